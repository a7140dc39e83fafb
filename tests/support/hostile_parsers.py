"""Every parser that takes bytes from strangers: a good input, and the errors that it may raise."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprov import verify
from agentprov.errors import ConfigurationInvalid, EvidenceInvalid, MalformedInput
from agentprov.flows import strict_yaml
from agentprov.formats import (
    bundle,
    checkpoint,
    dropbox,
    exchange,
    journal,
    names,
    ssh_signature,
    ssh_wire,
    statement,
    tile_log,
)
from agentprov.formats.evidence import SigstoreRoot, TimestampAuthority
from agentprov.formats.foreign import agent_trace, content_hash, git_ai, trailers
from agentprov.record import past_session
from agentprov.sign import public, sigstore_root
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.store import lines, objects
from agentprov.system.git_objects import parse_commit
from agentprov.verify import policy, trust
from agentprov.verify.claims import claims_of
from agentprov.verify.subjects import session_trailers
from support import rewrite_defects
from support.story import AS_OF, HUMAN, JANE, RECORDER, Story, judge, seal, trust_of

DATA = Path(__file__).resolve().parents[1] / "data"
TOLD = Story(files=Story().files[:1]).tell()
REWRITE = rewrite_defects.link(rewrite_defects.tell(), rewrite_defects.commit_of(b"x\n"))
LINES = TOLD.lines() | {"approval": seal(TOLD.approval(), JANE)}
COMMIT = TOLD.commit()
STAMP = (DATA / "timestamps" / "plan-10-30.tsr").read_bytes()
CHAIN = (DATA / "timestamps" / "chain.pem").read_bytes()
KEYLESS = (DATA / "keyless" / "plan-rekor1.json").read_bytes()
ROOT = SigstoreRoot("ours", (DATA / "keyless" / "trusted_root.json").read_bytes(), "0" * 64)
POLICY = b"""version: 1
mode: enforce
require:
  coverage: [covered, human]
  plan: signed
  trustedTime: [plan]
  approvals: {people: 2, notPlanAuthor: true}
"""


@dataclass(frozen=True)
class Parser:
    """A function from bytes, an input that it accepts, and the only errors that it may raise."""

    parse: Callable[[bytes], object]
    sample: bytes
    errors: tuple[type[Exception], ...] = (MalformedInput,)


def _trust(data: bytes) -> object:
    document = strict_yaml.parse(data, source="trust")
    return trust.parse(document, sha256="0" * 64, source="trust")


def _policy(data: bytes) -> object:
    document = strict_yaml.parse(data, source="policy")
    return policy.parse(document, sha256="0" * 64, source="policy")


def _commit(data: bytes) -> object:
    return parse_commit("0" * 40, data), session_trailers(data.decode("utf-8", "replace"))


def _times(data: bytes) -> object:
    made = bundle.Bundle(b"{}", b"x", evidence=bundle.Evidence(timestamps=(data,)))
    return OfflineEvidence().times(made, [TimestampAuthority("ours", CHAIN)])


def _chain(data: bytes) -> object:
    made = bundle.parse(LINES["plan"])
    made = bundle.Bundle(
        made.payload, made.signature, evidence=bundle.Evidence(timestamps=(STAMP,))
    )
    return OfflineEvidence().times(made, [TimestampAuthority("ours", data)])


def _sigstore_root(data: bytes) -> object:
    return sigstore_root.load(SigstoreRoot("ours", data, "0" * 64))


def _judge(name: str) -> Callable[[bytes], object]:
    def put(data: bytes) -> object:
        trusted = trust_of(HUMAN, RECORDER, JANE)
        return judge({**LINES, name: data}, [COMMIT], named=True, trust=trusted)

    return put


def _signed_rewrite(data: bytes) -> object:
    """Judge whatever it is as what the recorder signed: bent statements reach the later steps."""
    told = rewrite_defects.tell()
    new = rewrite_defects.commit_of(rewrite_defects.NEW)
    known = rewrite_defects.past(told, new)
    found = [*told.lines().values(), seal(data, RECORDER)]
    case = verify.Case(
        target="HEAD",
        records=[verify.Record(line, "line") for line in found],
        commits=[new],
        trust=trust_of(),
        as_of=AS_OF,
        **known.about(),
    )
    judgement = verify.judge(case, KeyVerifier())
    claims_of(judgement, new.oid)
    return judgement


def _note(data: bytes) -> object:
    return judge(sorted(lines.split(data)), [COMMIT], anchor=COMMIT.oid)


def _label(data: bytes) -> object:
    return names.label_path(data.decode("utf-8", "replace"))


def _public_line(data: bytes) -> object:
    return ssh_wire.from_public_line(data.decode("utf-8", "replace"))


def _signature(data: bytes) -> object:
    return ssh_wire.signature_of(b"ssh-ed25519", data)


def _tree(data: bytes) -> object:
    return objects.parse_tree(data, "sha1")


def _trailers(data: bytes) -> object:
    return trailers.parse(data.decode("utf-8", "replace"))


def _content_hash(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    return content_hash.known(text) and content_hash.matches(text, [b"a", b"b"])


def _past_session(format_: past_session.TranscriptFormat) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            file.write(data)
            file.flush()
            return past_session.read(Path(file.name), format_, ["/sample/repo"])

    return read


def _pem(data: bytes) -> object:
    return public.from_pem(data.decode("utf-8", "replace"))


SIGNED_COMMIT = (
    b"tree " + b"1" * 40 + b"\nauthor A <a@example.com> 1764000000 +0000\n"
    b"committer A <a@example.com> 1764000000 +0000\n"
    b"gpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg\n"
    b" -----END SSH SIGNATURE-----\n\nAdd\n\nAgentprov-Session: x/1\n"
)
AGENT_TRAILERS = b"""Fix it

Assisted-by: Claude:claude-opus-5 [bash] coccinelle
Co-authored-by: aider (gpt-4o) <noreply@aider.chat>
Model: gpt-5
Claude-Session: https://example.com/1
"""
ENTRY = tile_log.entry("0" * 64, "1" * 64)
JOURNAL = b"".join(
    journal.encode_line(0, "2026-11-24T10:00:00Z", kind, {}, journal.GENESIS) + b"\n"
    for kind in sorted(journal.KINDS)[:1]
)
CHECKPOINT = (
    b"agentprov.example/log\n1\n"
    + b"A" * 43
    + b"=\n\n\xe2\x80\x94 agentprov.example/log AAAAAAA=\n"
)


def trust_sample() -> bytes:
    """Give a trust document that is accepted."""
    return json.dumps(trust.document(trust_of(HUMAN, RECORDER, JANE).keys), indent=1).encode()


PARSERS: dict[str, Parser] = {
    "bundle": Parser(bundle.parse, LINES["generation"]),
    "statement": Parser(statement.parse, TOLD.generation.payload),
    "statement-of-an-approval": Parser(statement.parse, TOLD.approval().payload),
    "statement-of-a-rewrite": Parser(statement.parse, REWRITE.payload),
    "judge-rewrite": Parser(_judge("rewrite"), seal(REWRITE, RECORDER), ()),
    "judge-signed-rewrite": Parser(_signed_rewrite, REWRITE.payload),
    "trust": Parser(_trust, trust_sample(), (ConfigurationInvalid,)),
    "policy": Parser(_policy, POLICY, (ConfigurationInvalid,)),
    "note": Parser(_note, lines.join(LINES.values()), ()),
    "judge-plan": Parser(_judge("plan"), LINES["plan"], ()),
    "judge-approval": Parser(_judge("approval"), LINES["approval"], ()),
    "commit": Parser(_commit, SIGNED_COMMIT, ()),
    "commit-signature": Parser(ssh_signature.of_commit, SIGNED_COMMIT),
    "ssh-public-key": Parser(ssh_wire.spki_of, ssh_wire.blob_of(RECORDER.spki)),
    "ssh-public-line": Parser(_public_line, ssh_wire.public_line(HUMAN.spki).encode()),
    "ssh-signature": Parser(_signature, ssh_wire.text(b"ssh-ed25519") + ssh_wire.text(bytes(64))),
    "public-key": Parser(public.load, HUMAN.spki),
    "public-key-as-pem": Parser(_pem, public.to_pem(HUMAN.spki).encode()),
    "tree": Parser(_tree, b"100644 a\0" + bytes(20) + b"40000 b\0" + bytes(20)),
    "path-label": Parser(_label, b"%bytes:a%ffb", (ValueError,)),
    "checkpoint": Parser(checkpoint.parse, CHECKPOINT),
    "log-entries": Parser(tile_log.decode_entries, tile_log.encode_entries([ENTRY, ENTRY])),
    "journal": Parser(journal.read, JOURNAL, ()),
    "drop": Parser(dropbox.decode, dropbox.encode(dropbox.Drop("wire", "exchange", b"{}"))),
    "exchange": Parser(exchange.decode, b'{"number":1,"dialect":"x"}'),
    "timestamp": Parser(_times, STAMP, (EvidenceInvalid,)),
    "timestamp-chain": Parser(_chain, CHAIN, (EvidenceInvalid,)),
    "keyless": Parser(
        lambda data: OfflineEvidence().identify(data, [ROOT]), KEYLESS, (EvidenceInvalid,)
    ),
    "git-ai-note": Parser(git_ai.parse, (DATA / "interop" / "git-ai-sessions.txt").read_bytes()),
    "git-ai-old-note": Parser(git_ai.parse, (DATA / "interop" / "git-ai-prompts.txt").read_bytes()),
    "agent-trace": Parser(agent_trace.parse, (DATA / "interop" / "agent-trace.json").read_bytes()),
    "agent-trailers": Parser(_trailers, AGENT_TRAILERS, ()),
    "claude-transcript": Parser(
        _past_session("claude-transcript"), (DATA / "agents" / "claude-main.jsonl").read_bytes(), ()
    ),
    "codex-transcript": Parser(
        _past_session("codex-transcript"), (DATA / "agents" / "codex-direct.jsonl").read_bytes(), ()
    ),
    "content-hash": Parser(_content_hash, b"sha256:" + b"0" * 64, ()),
    "sigstore-root": Parser(_sigstore_root, ROOT.data, (EvidenceInvalid,)),
}


def run(name: str, data: bytes) -> Any:
    """Parse; gives None where a parser refuses in one of the ways that it may."""
    parser = PARSERS[name]
    try:
        return parser.parse(data)
    except parser.errors:
        return None
