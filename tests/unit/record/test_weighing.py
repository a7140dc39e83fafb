"""The weights behind a model server: found, hashed, told apart, given up."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentprov.formats.facts import ModelUse, Weights
from agentprov.formats.model_manifest import root
from agentprov.record import ollama, weighing
from agentprov.record.weighing import Weighing
from support.model_server import ModelServer, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
NOW = "2026-11-24T10:00:00Z"
USE = ModelUse("openai", "tiny", "tiny:1b", "main", "intercepted", 1, host="127.0.0.1")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def watching(server: ModelServer, home: Path, *names: str) -> Iterator[Weighing]:
    one = Weighing("127.0.0.1", server.port, home, NOW)
    one.heard(names)
    one.start()
    try:
        yield one
    finally:
        one.finish(0)


def settle(one: Weighing) -> None:
    deadline = time.monotonic() + 20
    while not one.settled or one._unfinished:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def found(one: Weighing, use: ModelUse = USE) -> Weights:
    settle(one)
    (put,) = one.put([use])
    assert put.weights is not None
    return put.weights


@pytest.mark.parametrize("option", ["--map", "--open"])
def test_a_file_that_the_server_holds_is_observed(option: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny-Q4.gguf"
    path.write_bytes(b"GGUF" + b"w" * 5000)
    with serving(option, str(path)) as server, watching(server, tmp_path) as one:
        weights = found(one)
    assert weights.sha256 == root({".": sha(path.read_bytes())})
    assert (weights.basis, weights.name, weights.server) == (
        "observed", "tiny-Q4.gguf", "llama-server",
    )  # fmt: skip
    assert [(f.place, f.sha256, f.size) for f in weights.files] == [
        (".", sha(path.read_bytes()), 5004)
    ]


def test_shards_make_one_model(tmp_path: Path) -> None:
    words = []
    for number in (1, 2):
        path = tmp_path / "tiny" / f"tiny-0000{number}-of-00002.gguf"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"GGUF%d" % number)
        words += ["--map", str(path)]
    with serving(*words) as server, watching(server, tmp_path) as one:
        weights = found(one)
    assert weights.name == "tiny"
    assert weights.sha256 == root(
        {"tiny-00001-of-00002.gguf": sha(b"GGUF1"), "tiny-00002-of-00002.gguf": sha(b"GGUF2")}
    )


def test_a_name_that_is_no_text_is_labelled_and_harms_no_statement(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff.gguf")
    with open(path, "wb") as stream:
        stream.write(b"GGUF")
    with serving("--map", os.fsdecode(path)) as server, watching(server, tmp_path) as one:
        weights = found(one)
    assert (weights.name, weights.sha256) == ("%bytes:%ff.gguf", root({".": sha(b"GGUF")}))


def test_without_weights_there_is_a_reason_and_no_digest(tmp_path: Path) -> None:
    with serving() as server, watching(server, tmp_path) as one:
        weights = found(one)
    assert weights.sha256 is None
    assert weights.why == "the process that listens there holds no file of weights"
    gone = Weighing("127.0.0.1", server.port, tmp_path, NOW)
    gone.start()
    weights = found(gone)
    assert (weights.sha256, weights.why) == (None, "nobody is known to listen there")
    gone.finish(0)


def test_a_file_on_the_command_line_is_only_declared(tmp_path: Path) -> None:
    (tmp_path / "named.gguf").write_bytes(b"GGUF named")
    with serving("--model=named.gguf", cwd=tmp_path) as server, watching(server, tmp_path) as one:
        weights = found(one)
    assert weights.sha256 == root({".": sha(b"GGUF named")})
    assert weights.basis == "declared"


def test_a_folder_on_the_command_line_is_digested_whole(tmp_path: Path) -> None:
    contents = {"config.json": b"{}", "a/b": b"b", "m.safetensors": b"C"}
    for name, data in {**contents, ".git/HEAD": b"y", ".gitattributes": b"x"}.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with serving("--model", str(tmp_path / "model")) as server, watching(server, tmp_path) as one:
        weights = found(one)
    assert weights.sha256 == root({name: sha(data) for name, data in contents.items()})
    assert (weights.basis, weights.name) == ("declared", "model")


def test_a_name_on_the_hub_is_looked_for_in_the_servers_own_cache(tmp_path: Path) -> None:
    revision = "a" * 40
    model = tmp_path / ".cache/huggingface/hub/models--Ada--tiny-1b"
    for name, data in (("config.json", b"{}"), ("model.safetensors", b"weights")):
        blob, link = model / "blobs" / name, model / "snapshots" / revision / name
        for place in (blob, link):
            place.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link.symlink_to(blob)
    (model / "refs").mkdir()
    (model / "refs/main").write_text(revision)
    words = ("--model", "Ada/tiny-1b")
    with serving(*words, home=tmp_path) as server, watching(server, tmp_path) as one:
        weights = found(one)
    contents = {"config.json": sha(b"{}"), "model.safetensors": sha(b"weights")}
    assert (weights.sha256, weights.name) == (root(contents), revision)
    assert weights.basis == "declared"


def test_other_weights_in_the_middle_of_a_session_are_no_answer(tmp_path: Path) -> None:
    first, second = tmp_path / "one.gguf", tmp_path / "two.gguf"
    first.write_bytes(b"GGUF one")
    second.write_bytes(b"GGUF two")
    with serving("--map", str(first)) as server:
        one = Weighing("127.0.0.1", server.port, tmp_path, NOW)
        one.start()
        assert found(one).sha256 == root({".": sha(b"GGUF one")})
        server.tell(str(second))
        one.heard(["tiny"])
        weights = found(one)
        assert (weights.sha256, weights.why) == (None, "the weights changed during the session")
        server.tell(str(first))
        one.heard(["tiny"])
        assert found(one).sha256 is None
        (gap, _) = (*one.finish(1), None)
    assert gap is not None
    assert gap.why == weighing.CHANGED


def test_what_is_not_hashed_in_time_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as stream:
        stream.truncate(40 << 30)
    with serving("--map", str(path)) as server:
        one = Weighing("127.0.0.1", server.port, tmp_path, NOW)
        one.start()
        begun = time.monotonic()
        gaps = one.finish(0.3)
        assert time.monotonic() - begun < 3
    assert [gap.why for gap in gaps] == [weighing.NOT_HASHED]
    (put,) = one.put([USE])
    assert put.weights is not None
    assert (put.weights.sha256, put.weights.why) == (None, "not hashed before the session ended")


def test_uses_that_did_not_come_over_the_wire_get_none(tmp_path: Path) -> None:
    with serving() as server, watching(server, tmp_path) as one:
        settle(one)
        told = ModelUse("openai", "tiny", None, "main", "reported")
        assert one.put([told]) == (told,)


# --- Ollama


def lay_out(home: Path, name: str = "tiny/1b", data: bytes = b"GGUF ollama") -> Path:
    """Keep a model as Ollama does; gives the blob."""
    models = home / ".ollama" / "models"
    blob = models / "blobs" / f"sha256-{sha(data)}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{sha(data)}"},
        {"mediaType": "application/vnd.ollama.image.params", "digest": f"sha256:{'0' * 64}"},
    ]
    manifest = models / "manifests/registry.ollama.ai/library" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return blob


def test_ollamas_manifest_says_which_of_the_held_files_a_name_stands_for(tmp_path: Path) -> None:
    blob = lay_out(tmp_path)
    other = lay_out(tmp_path, "other/latest", b"GGUF other")
    words = ("--map", str(blob), "--map", str(other))
    with (
        serving(*words, name="ollama", home=tmp_path) as server,
        watching(server, Path("/nowhere"), "tiny:1b") as one,
    ):
        weights = found(one)
    assert weights.sha256 == root({".": sha(b"GGUF ollama")})
    assert (weights.basis, weights.server, weights.why) == ("observed", "ollama", None)


def test_a_blob_that_no_process_holds_is_reported(tmp_path: Path) -> None:
    lay_out(tmp_path)
    with (
        serving(name="ollama", home=tmp_path) as server,
        watching(server, Path("/nowhere"), "tiny:1b") as one,
    ):
        weights = found(one)
    assert weights.sha256 == root({".": sha(b"GGUF ollama")})
    assert weights.basis == "reported"


def test_a_blob_that_is_not_what_its_name_says_is_told(tmp_path: Path) -> None:
    blob = lay_out(tmp_path)
    blob.write_bytes(b"GGUF forged")
    with serving("--map", str(blob), name="ollama", home=tmp_path) as server:
        one = Weighing("127.0.0.1", server.port, tmp_path, NOW)
        one.heard(["tiny:1b"])
        one.start()
        weights = found(one)
        gaps = one.finish(1)
    assert weights.sha256 == root({".": sha(b"GGUF forged")})
    assert weights.why == "a file is not what Ollama's manifest says"
    assert [gap.why for gap in gaps] == [weighing.DIFFER]


def test_a_blob_that_could_not_be_hashed_keeps_ollamas_own_word(tmp_path: Path) -> None:
    blob = lay_out(tmp_path)
    os.truncate(blob, 40 << 30)
    with serving("--map", str(blob), name="ollama", home=tmp_path) as server:
        one = Weighing("127.0.0.1", server.port, tmp_path, NOW)
        one.heard(["tiny:1b"])
        one.start()
        gaps = one.finish(0.3)
    assert [gap.why for gap in gaps] == [weighing.NOT_HASHED]
    (put,) = one.put([USE])
    assert put.weights is not None
    assert put.weights.sha256 == root({".": sha(b"GGUF ollama")})
    assert put.weights.basis == "reported"
    assert "not hashed" in str(put.weights.why)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("qwen3", "registry.ollama.ai/library/qwen3/latest"),
        ("qwen3:8b", "registry.ollama.ai/library/qwen3/8b"),
        ("ada/mine:q4", "registry.ollama.ai/ada/mine/q4"),
        ("hf.co/org/repo:Q4_K_M", "hf.co/org/repo/Q4_K_M"),
        ("localhost:5000/a/b", "localhost:5000/a/b/latest"),
    ],
)
def test_a_name_is_spelled_out_as_ollama_does(name: str, place: str, tmp_path: Path) -> None:
    data = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'a' * 64}"}
    manifest = tmp_path / "manifests" / place
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": [data]}))
    blobs, why = ollama.blobs_of(name, [tmp_path])
    assert why is None
    assert [blob.path for blob in blobs] == [tmp_path / "blobs" / f"sha256-{'a' * 64}"]


@pytest.mark.parametrize(
    "name", ["", "..", "../../x", "a/../b:c", "a:b/..", "a/b/c/d/e", "a:", "/"]
)
def test_a_name_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    blobs, why = ollama.blobs_of(name, [tmp_path / "models"])
    assert blobs == []
    assert why


def test_a_manifest_that_is_none_gives_a_reason(tmp_path: Path) -> None:
    place = tmp_path / "manifests/registry.ollama.ai/library/m/latest"
    place.parent.mkdir(parents=True)
    for content in ("", "[]", '{"layers": 1}', '{"layers": [1, {"mediaType": 2}]}', "{"):
        place.write_text(content)
        assert ollama.blobs_of("m", [tmp_path])[0] == []
        assert ollama.blobs_of("m", [tmp_path])[1]
