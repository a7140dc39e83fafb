"""Every kind of statement, from a real repository, put before verifiers that are not ours.

docs/howto/verify-elsewhere.md says what each of them checks; the programs and commands are its own.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest

from agentprov.formats.statement import Kind
from support import foreign_verifiers as foreign
from support.command_line import agentprov, statement
from support.foreign_verifiers import answers
from support.homes import private_home
from support.repository import Repository
from support.ssh import agent, fingerprint, make_key, needs_openssh

pytestmark = needs_openssh
KINDS = ("plan", "session-open", "generation", "session-close", "approval", "rewrite")
ALGORITHMS = ("P-256", "Ed25519")
PEOPLES = ("plan", "approval")
INTOTO = "application/vnd.in-toto+json"
WORK = "echo hi >greet.txt; git add greet.txt; git commit -qm greet"
Check = Callable[[Path, Sequence[Path]], Mapping[Path, str | None]]


@dataclass
class Recorded:
    """One repository with a commit of every kind of record, all signed with one kind of key."""

    algorithm: str
    repository: Repository
    env: dict[str, str]
    keys: dict[str, Path] = field(default_factory=dict)
    bundles: dict[str, Path] = field(default_factory=dict)
    others: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    def does(self, *arguments: str) -> str:
        answer = agentprov(*arguments, cwd=self.repository.top, env=self.env)
        assert answer.status == 0, (arguments, answer.out, answer.err)
        return answer.out

    def key_of(self, kind: str) -> Path:
        return self.keys["human" if kind in PEOPLES else "recorder"]

    def pairs(self) -> list[tuple[Path, Path]]:
        """Give (key, bundle) of every record."""
        own = [(self.key_of(kind), path) for kind, path in self.bundles.items()]
        return [*own, *self.others.values()]

    def other_key(self, key: Path) -> Path:
        """Give another key of the same kind."""
        return next(one for one in self.keys.values() if one.read_text() != key.read_text())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Recorded]]:
    """Play one change through, from plan to approval, with each kind of key."""
    with pytest.MonkeyPatch.context() as monkeypatch, agent() as running:
        private_home(tmp_path_factory.mktemp("home"), monkeypatch)
        env = {"SSH_AUTH_SOCK": running.socket}
        made = {}
        for algorithm in ALGORITHMS:
            folder = tmp_path_factory.mktemp(algorithm)
            own = {**env, "AGENTPROV_HOME": str(folder / "agentprov")}
            story = made[algorithm] = Recorded(algorithm, Repository(folder / "repo"), own)
            if algorithm == "Ed25519":
                key = make_key(folder / "ssh" / "id")
                running.add(key)
                own["HUMAN"] = f"ssh:{fingerprint(key.with_name('id.pub'))}"
                story.does("keys", "use", "human", own["HUMAN"])
                edwards_recorder(folder / "agentprov" / "keys")
            play(story, folder)
        by_ssh(made["P-256"], running.add, "ecdsa", tmp_path_factory.mktemp("ssh"))
        by_ssh(made["Ed25519"], None, "ed25519", tmp_path_factory.mktemp("file"))
        yield made


def edwards_recorder(folder: Path) -> None:
    """Put an Ed25519 key where the recorder's is kept; one is never made of this kind."""
    private, public = folder / "recorder.pem", folder / "recorder.pub"
    subprocess.run(
        [foreign.openssl(), "genpkey", "-algorithm", "ed25519", "-out", private], check=True
    )
    private.chmod(0o600)
    subprocess.run(
        [foreign.openssl(), "pkey", "-in", private, "-pubout", "-out", public], check=True
    )


def play(story: Recorded, folder: Path) -> None:
    """Sign a plan, work under it, approve the commit, and export as the page says."""
    story.repository.write("PLAN.md", "# Plan\n\nGreet.\n")
    story.repository.commit("first")
    story.does("init", "--commit")
    story.does("plan", "sign", "PLAN.md")
    story.does("run", "--plan", "PLAN.md", "--", "sh", "-c", WORK)
    story.does("approve", "HEAD~1..HEAD", "--yes")
    shown = json.loads(story.does("show", "--bundles", str(folder / "bundles"), "--json"))
    story.bundles = {item["kind"]: Path(item["file"]) for item in shown["bundles"]}
    story.repository.git("commit", "-q", "--amend", "-m", "greet them")
    again = json.loads(story.does("show", "--bundles", str(folder / "amended"), "--json"))
    story.bundles |= {
        item["kind"]: Path(item["file"]) for item in again["bundles"] if item["kind"] == "rewrite"
    }
    story.repository.git("reset", "-q", "--hard", "HEAD@{1}")
    for purpose in ("human", "recorder"):
        (key,) = json.loads(story.does("keys", "show", purpose, "--json"))["keys"]
        assert key["algorithm"] == ("ed25519" if story.algorithm == "Ed25519" else P256_NAME)
        story.keys[purpose] = folder / f"{purpose}.pem"
        story.keys[purpose].write_text(key["publicKey"])


P256_NAME = "ecdsa-p256-sha256"


def by_ssh(story: Recorded, add: Callable[[Path], None] | None, kind: str, folder: Path) -> None:
    """Sign one more plan with an OpenSSH key, in the agent or, without `add`, in its file."""
    key = make_key(folder / "id", kind)
    public = key.with_name("id.pub")
    uri = f"file:{key}"
    if add is not None:
        add(key)
        uri = f"ssh:{fingerprint(public)}"
    story.repository.write("OTHER.md", f"# Plan\n\nBy {kind}.\n")
    story.does("plan", "sign", "OTHER.md", "--key", uri)
    blob = story.repository.git("hash-object", "OTHER.md")
    bundle = folder / "plan.sigstore.json"
    (line,) = story.repository.bundles(blob)
    bundle.write_text(line)
    pem = folder / "key.pem"
    pem.write_bytes(
        subprocess.run(
            ["ssh-keygen", "-e", "-m", "PKCS8", "-f", public], check=True, capture_output=True
        ).stdout
        if kind == "ecdsa"
        else edwards_pem(public)
    )
    story.others[uri.partition(":")[0]] = (pem, bundle)


def edwards_pem(public: Path) -> bytes:
    """Give an OpenSSH Ed25519 key as PEM, which ssh-keygen of OpenSSH 9 cannot."""
    raw = base64.b64decode(public.read_text().split()[1])[-32:]
    spki = bytes.fromhex("302a300506032b6570032100") + raw
    return b"-----BEGIN PUBLIC KEY-----\n%b-----END PUBLIC KEY-----\n" % base64.encodebytes(spki)


def test_every_kind_of_statement_is_there_under_both_kinds_of_key(
    recorded: dict[str, Recorded],
) -> None:
    assert set(KINDS) == set(get_args(Kind))
    for story in recorded.values():
        assert sorted(story.bundles) == sorted(KINDS)
        assert story.others
        files = map(str, story.bundles.values())
        story.does("verify", "HEAD", *files, "--trust", ".agentprov/trust.yaml")


def test_bundles_and_subjects_have_the_shape_that_all_of_them_take(
    recorded: dict[str, Recorded],
) -> None:
    for story in recorded.values():
        for key, path in story.pairs():
            bundle = json.loads(path.read_text())
            (signature,) = bundle["dsseEnvelope"]["signatures"]
            assert set(signature) == {"sig"}
            spki = base64.b64decode("".join(key.read_text().splitlines()[1:-1]))
            hint = base64.b64encode(hashlib.sha256(spki).digest()).decode()
            assert bundle["verificationMaterial"] == {
                "publicKey": {"hint": hint},
                "tlogEntries": [],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            }
            said = statement(path.read_text())
            assert said["predicate"]
            for subject in said["subject"]:
                assert subject["name"]
                assert subject["digest"]
                for value in subject["digest"].values():
                    assert re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value)


def altered(story: Recorded, folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Give (what was done, key, bundle) for everything that no verifier may accept."""
    pairs = story.pairs()
    for number, (key, path) in enumerate(pairs):
        bundle = json.loads(path.read_text())
        yield "key of another", story.other_key(key), path
        # A space behind the JSON changes the bytes and nothing that they say.
        payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]) + b" "
        other = json.loads(pairs[number - 1][1].read_text())["dsseEnvelope"]["signatures"]
        for what, change in {
            "payload": {"payload": base64.b64encode(payload).decode()},
            "payload type": {"payloadType": "application/vnd.in-toto.v1+json"},
            "signature of another statement": {"signatures": other},
        }.items():
            forged = copy.deepcopy(bundle)
            forged["dsseEnvelope"] |= change
            made = folder / f"{number}-{what.replace(' ', '-')}.sigstore.json"
            made.write_text(json.dumps(forged))
            yield what, key, made


def put_to(check: Check, recorded: Mapping[str, Recorded], folder: Path) -> set[str]:
    """Have a verifier accept every record and refuse every forgery; gives its reasons to refuse."""
    reasons = set()
    for story in recorded.values():
        place = folder / story.algorithm
        place.mkdir()
        good: dict[Path, list[Path]] = {}
        for key, path in story.pairs():
            good.setdefault(key, []).append(path)
        for key, paths in good.items():
            assert check(key, paths) == dict.fromkeys(paths), (story.algorithm, key)
        bad: dict[Path, list[Path]] = {}
        names: dict[tuple[Path, Path], str] = {}
        for what, key, path in altered(story, place):
            bad.setdefault(key, []).append(path)
            names[key, path] = what
        assert len(names) == 4 * len(story.pairs())
        for key, paths in bad.items():
            for path, why in check(key, paths).items():
                assert why is not None, (story.algorithm, names[key, path], path)
                reasons.add(why)
    return reasons


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Give a directory with the programs that the page shows."""
    folder = tmp_path / "programs"
    folder.mkdir()
    foreign.write_programs(folder)
    return folder


def test_openssl(recorded: dict[str, Recorded], programs: Path, tmp_path: Path) -> None:
    openssl = foreign.openssl()

    def check(key: Path, paths: Sequence[Path]) -> dict[Path, str | None]:
        found: dict[Path, str | None] = {}
        edwards = b"ED25519" in subprocess.run(
            [openssl, "pkey", "-pubin", "-in", key, "-text", "-noout"],
            check=True, capture_output=True,
        ).stdout  # fmt: skip
        verify = ["dgst", "-sha256", "-verify", key, "-signature", "signature", "signed"]
        if edwards:
            verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key]
            verify += ["-in", "signed", "-sigfile", "signature"]
        for path in paths:
            subprocess.run([sys.executable, "pae.py", path], cwd=programs, check=True)
            done = subprocess.run(
                [openssl, *verify], cwd=programs, capture_output=True, text=True, check=False
            )
            found[path] = None if done.returncode == 0 else (done.stdout + done.stderr).strip()
        return found

    reasons = put_to(check, recorded, tmp_path)
    assert all("Verification" in why and "ailure" in why for why in reasons), reasons


def test_securesystemslib(recorded: dict[str, Recorded], programs: Path, tmp_path: Path) -> None:
    def check(key: Path, paths: Sequence[Path]) -> dict[Path, str | None]:
        return answers([sys.executable, "verify_dsse.py", key], paths, programs)

    reasons = put_to(check, recorded, tmp_path)
    assert all("Accepted signatures do not match threshold" in why for why in reasons), reasons


def test_sigstore_js(
    recorded: dict[str, Recorded],
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NODE_PATH", str(foreign.sigstore_js()))

    def check(key: Path, paths: Sequence[Path]) -> dict[Path, str | None]:
        return answers(["node", "verify.cjs", key], paths, programs)

    assert put_to(check, recorded, tmp_path) == {"SIGNATURE_ERROR"}


class Cosign:
    """cosign with the page's options, a home that it must leave empty, and no way out."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        dead = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        self.environment = {"PATH": os.defpath, "HOME": str(home), **dead}
        self.program = foreign.cosign()

    def __call__(self, key: Path, path: Path, kind: str, *subject: str) -> str | None:
        """Give what it says against a bundle, or None."""
        done = subprocess.run(
            [self.program, "verify-blob-attestation", "--insecure-ignore-tlog",
             "--key", key, "--bundle", path, "--type", kind, *subject],
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode == 0) == ("Verified OK" in done.stderr + done.stdout)
        return None if done.returncode == 0 else done.stderr

    def check(self, key: Path, paths: Sequence[Path]) -> dict[Path, str | None]:
        """Verify each bundle by every digest of every subject."""
        return {path: self._one(key, path) for path in paths}

    def _one(self, key: Path, path: Path) -> str | None:
        said = statement(path.read_text())
        digests = [pair for subject in said["subject"] for pair in subject["digest"].items()]
        found = [
            self(key, path, said["predicateType"], "--digestAlg", name, "--digest", value)
            for name, value in digests
        ]
        assert len({why is None for why in found}) == 1, found
        return found[0]


@pytest.fixture
def cosign(tmp_path: Path) -> Cosign:
    return Cosign(tmp_path / "empty")


def test_cosign(recorded: dict[str, Recorded], cosign: Cosign, tmp_path: Path) -> None:
    reasons = put_to(cosign.check, recorded, tmp_path)
    assert all("failed to verify" in why for why in reasons), reasons
    assert list(cosign.home.iterdir()) == []
    # Without the option it goes out for a trust root: that it stayed in would have been noticed.
    story = recorded["P-256"]
    done = subprocess.run(
        [cosign.program, "verify-blob-attestation", "--key", story.keys["human"],
         "--bundle", story.bundles["plan"], "--type", "https://agentprov.github.io/plan/v0.1",
         story.repository.top / "PLAN.md"],
        env=cosign.environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "127.0.0.1:9" in done.stderr
    assert list(cosign.home.iterdir()) != []


def test_cosign_holds_a_statement_to_its_type_and_its_subjects(
    recorded: dict[str, Recorded], cosign: Cosign
) -> None:
    story = recorded["P-256"]
    key, path = story.keys["recorder"], story.bundles["generation"]
    kind = "https://slsa.dev/provenance/v1"
    top = story.repository.top
    head = story.repository.git("rev-parse", "HEAD")
    commit = ("--digestAlg", "gitCommit", "--digest")
    assert cosign(key, path, kind, str(top / "greet.txt")) is None
    assert cosign(key, path, kind, *commit, head) is None
    assert cosign(key, path, kind, str(top / "PLAN.md"))
    assert cosign(key, path, kind, *commit, story.repository.git("rev-parse", "HEAD~1"))
    assert cosign(key, path, "https://agentprov.github.io/plan/v0.1", *commit, head)


def test_what_the_bundles_leave_out_is_left_out_for_a_reason(
    recorded: dict[str, Recorded], cosign: Cosign, tmp_path: Path
) -> None:
    """A keyid, a second signature, or a member of ours would cost a verifier."""
    story = recorded["Ed25519"]
    key, path = story.keys["human"], story.bundles["plan"]
    kind = "https://agentprov.github.io/plan/v0.1"
    plan = str(story.repository.top / "PLAN.md")

    def edited(edit: Callable[[dict[str, Any]], object]) -> Path:
        bundle = json.loads(path.read_text())
        edit(bundle)
        made = tmp_path / "edited.json"
        made.write_text(json.dumps(bundle))
        return made

    def keyid(value: str) -> Path:
        return edited(lambda b: b["dsseEnvelope"]["signatures"][0].update(keyid=value))

    assert cosign(key, keyid(""), kind, plan) is None
    assert cosign(key, keyid(story.env["HUMAN"].removeprefix("ssh:")), kind, plan) is None
    hint = json.loads(path.read_text())["verificationMaterial"]["publicKey"]["hint"]
    for other in (hint, "ada@example.com"):
        assert cosign(key, keyid(other), kind, plan)
    assert cosign(key, edited(lambda b: b.update(agentprov={})), kind, plan)

    def sign_twice(bundle: dict[str, Any]) -> None:
        bundle["dsseEnvelope"]["signatures"] *= 2

    assert cosign(key, edited(sign_twice), kind, plan)
    envelope = json.loads(path.read_text())["dsseEnvelope"]
    from securesystemslib.dsse import Envelope

    with pytest.raises(KeyError, match="keyid"):
        Envelope.from_dict(envelope)


def test_sigstore_python_loads_no_bundle_of_a_key(
    recorded: dict[str, Recorded], tmp_path: Path
) -> None:
    from sigstore.models import Bundle, InvalidBundle
    from sigstore_models.bundle.v1 import Bundle as Shape

    for story in recorded.values():
        forged = [path for _, _, path in altered(story, tmp_path)]
        for path in [*(path for _, path in story.pairs()), *forged]:
            text = path.read_text()
            with pytest.raises(InvalidBundle, match="expected certificate in bundle"):
                Bundle.from_json(text)
            # The shape is right to the last member; only what it can verify is missing.
            read = Shape.from_json(text)
            assert read.verification_material.public_key is not None
            with pytest.raises(ValueError, match="agentprov"):
                Shape.from_json(json.dumps({**json.loads(text), "agentprov": {}}))
    command = [sys.executable, "-m", "sigstore", "verify", "identity", "--offline"]
    story = recorded["P-256"]
    done = subprocess.run(
        [*command, "--bundle", story.bundles["plan"], "--cert-identity", "ada@example.com",
         "--cert-oidc-issuer", "https://accounts.example.com", story.repository.top / "PLAN.md"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "expected certificate in bundle" in done.stdout + done.stderr


def test_in_toto_attestation(recorded: dict[str, Recorded], programs: Path, tmp_path: Path) -> None:
    def check(paths: Sequence[Path]) -> dict[Path, str | None]:
        return answers([sys.executable, "check_statement.py"], paths, programs)

    good = [path for story in recorded.values() for _, path in story.pairs()]
    assert check(good) == dict.fromkeys(good)
    edits: dict[str, Callable[[dict[str, Any]], object]] = {
        "Wrong statement type": lambda s: s.update(_type="https://in-toto.io/Statement/v2"),
        "At least one subject required": lambda s: s.update(subject=[]),
        "At least one digest required": lambda s: s["subject"][0].pop("digest"),
        "Predicate object required": lambda s: s.update(predicate={}),
        "Predicate type required": lambda s: s.pop("predicateType"),
        'no field named "extra"': lambda s: s["subject"][0].update(extra=1),
    }
    # It says nothing of signatures, and the page says so.
    unsigned = [path for _, _, path in altered(recorded["P-256"], tmp_path)]
    assert check(unsigned) == dict.fromkeys(unsigned)
    forged = {}
    for words, edit in edits.items():
        for path in recorded["P-256"].bundles.values():
            bundle = json.loads(path.read_text())
            said = statement(path.read_text())
            edit(said)
            bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
            made = tmp_path / f"{len(forged)}.json"
            made.write_text(json.dumps(bundle))
            forged[made] = words
    for path, why in check(list(forged)).items():
        assert forged[path] in str(why)


def test_descriptors_of_the_provenance_are_resource_descriptors(
    recorded: dict[str, Recorded],
) -> None:
    """Nothing unknown is ignored here; of the whole predicate only our own metadata is extra."""
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import resource_descriptor_pb2
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor

    def strict(value: Any) -> None:
        message = resource_descriptor_pb2.ResourceDescriptor()
        json_format.ParseDict(value, message)
        ResourceDescriptor.copy_from_pb(message).validate()

    for story in recorded.values():
        for path in story.bundles.values():
            said = statement(path.read_text())
            for descriptor in [*said["subject"], *said["predicate"].get("reviewed", [])]:
                strict(descriptor)
        predicate = statement(story.bundles["generation"].read_text())["predicate"]
        dependencies = predicate["buildDefinition"]["resolvedDependencies"]
        assert {"plan", "plan-attestation", "session-attestation", "base", "agent"} <= {
            item["name"] for item in dependencies
        }
        details = predicate["runDetails"]
        for descriptor in (
            *dependencies,
            *details.get("byproducts", []),
            *details["builder"].get("builderDependencies", []),
        ):
            strict(descriptor)
        with pytest.raises(json_format.ParseError, match='no field named "agentprov_'):
            json_format.ParseDict(predicate, provenance_pb2.Provenance())
        for name in [name for name in details["metadata"] if name.startswith("agentprov_")]:
            del details["metadata"][name]
        json_format.ParseDict(predicate, provenance_pb2.Provenance())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_commands_of_the_page_do_as_it_says(
    recorded: dict[str, Recorded], tmp_path: Path, programs: Path, algorithm: str
) -> None:
    story = recorded[algorithm]
    top = tmp_path / "clone"
    shutil.copytree(story.repository.top, top)
    for program in programs.iterdir():
        shutil.copy(program, top)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "cosign").symlink_to(foreign.cosign())
    for name in ("python3", "agentprov"):
        (bin_ / name).write_text(f'#!/bin/sh\nexec {sys.executable} {MODULE.get(name, "")} "$@"\n')
        (bin_ / name).chmod(0o755)
    foreign.openssl()
    env = {
        **os.environ, **story.env, "NODE_PATH": str(foreign.sigstore_js()),
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    ours = test_the_commands_of_the_page_do_as_it_says.__name__
    ran = set()
    for block in foreign.blocks():
        if ours not in block.status or block.section in set(ALGORITHM_SECTIONS) - {
            ALGORITHM_SECTIONS[ALGORITHMS.index(algorithm)]
        }:
            continue
        done = subprocess.run(
            ["sh", "-eu", "-c", block.text], cwd=top, env=env, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        assert "refused" not in done.stdout
        ran.add(block.section)
    assert {"The files", "cosign", "sigstore-js", "securesystemslib", "in-toto-attestation"} < ran


MODULE = {"agentprov": "-m agentprov"}
ALGORITHM_SECTIONS = ("ECDSA P-256", "Ed25519")


def test_every_block_of_the_page_says_whether_it_is_run() -> None:
    found = foreign.blocks()
    assert len(found) > 12
    for block in found:
        word, _, rest = block.status.partition(" ")
        assert word in ("Run", "Not"), block
        if word == "Run":
            name = rest.removeprefix("by `").removesuffix("`:")
            assert callable(globals()[name])
            # A program is written to a file; only a shell block can be run as it is.
            assert (block.language == "sh") == (name.startswith("test_the_commands")), block
