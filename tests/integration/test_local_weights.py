"""A session whose model runs on this machine: the digest of its weights reaches every record."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.model_manifest import RULE, root
from support.command_line import agentprov
from support.model_server import serving
from support.real_agents import AgentMissing, configure, install
from support.repository import Repository

pytestmark = [
    pytest.mark.agents,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
SERVED = "tiny:1b"
WEIGHTS = b"GGUF" + b"seven weights" * 1000


def record(tmp_path: Path, *words: str, name: str = "llama-server") -> dict[str, Any]:
    """Run Codex against a model server with these words; gives what is shown of its commit."""
    try:
        install("codex")
    except AgentMissing as missing:
        pytest.skip(str(missing))
    repository = Repository(tmp_path / "repo")
    repository.write("README", "a project\n")
    repository.commit("first")
    options = ("--served", SERVED, "--root", str(repository.top), *words)
    with serving(*options, name=name, home=tmp_path / "server-home") as server:
        prefix, environment = configure("codex", tmp_path / "agent-home", server.url)
        kept = {k: v for k, v in os.environ.items() if k.startswith(("AGENTPROV_", "GIT_CONFIG"))}
        done = subprocess.run(
            [
                sys.executable, "-m", "agentprov", "run", "--gateway", "on", "--",
                *prefix, "make it",
            ],
            cwd=repository.top,
            env={**environment, **kept},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    verdict = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()
    assert verdict["verdict"] == "pass"
    (session,) = agentprov("show", "HEAD", "--json", cwd=repository.top).json()["sessions"]
    replayed = agentprov("replay", session["id"], "--json", cwd=repository.top)
    assert replayed.status == 0, replayed.out
    session["text"] = agentprov("show", "HEAD", cwd=repository.top).out
    journal = repository.top / ".git/agentprov/sessions" / session["id"] / "journal.jsonl"
    session["journal"] = [json.loads(line) for line in journal.read_text().splitlines()]
    return dict(session)


def test_the_weights_that_the_server_has_mapped_are_in_statement_and_journal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "private" / "tiny-1b-Q4_K_M.gguf"
    path.parent.mkdir()
    path.write_bytes(WEIGHTS)
    whole = hashlib.sha256(WEIGHTS).hexdigest()
    session = record(tmp_path, "--map", str(path))
    (model,) = session["models"]
    assert (model["served"], model["basis"]) == (SERVED, "intercepted")
    assert model["digest"] == {"sha256": root({".": whole})}
    assert (model["digestRule"], model["digestBasis"]) == (RULE, "observed")
    assert model["weights"] == [{"name": ".", "digest": {"sha256": whole}}]
    assert f"weights sha256:{root({'.': whole})[:16]}" in session["text"]
    facts = [
        entry["data"]["report"]["models"][0]["weights"]
        for entry in session["journal"]
        if entry["kind"] == "commit"
    ]
    assert [fact["sha256"] for fact in facts] == [root({".": whole})]
    assert str(path.parent) not in json.dumps(session)
    # Codex unpacks its own skills at its first start; that is no change by anybody.
    assert "material-changed" not in {gap["why"] for gap in session["gaps"]}


def test_without_weights_the_statement_says_why(tmp_path: Path) -> None:
    session = record(tmp_path)
    (model,) = session["models"]
    why = "the process that listens there holds no file of weights"
    assert (model["served"], model["digest"], model["weightsWhy"]) == (SERVED, None, why)
    assert f"weights unknown: {why}" in session["text"]


def test_ollamas_layout_gives_the_weights_of_the_model_that_answered(tmp_path: Path) -> None:
    models = tmp_path / "server-home/.ollama/models"
    whole = hashlib.sha256(WEIGHTS).hexdigest()
    blob = models / "blobs" / f"sha256-{whole}"
    manifest = models / "manifests/registry.ollama.ai/library/tiny/1b"
    for place in (blob, manifest):
        place.parent.mkdir(parents=True)
    blob.write_bytes(WEIGHTS)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{whole}"}
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer]}))
    session = record(tmp_path, "--map", str(blob), name="ollama")
    (model,) = session["models"]
    assert model["digest"] == {"sha256": root({".": whole})}
    assert model["digestBasis"] == "observed"
