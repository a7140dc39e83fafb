"""The whole story of one line: plan, session, model call, edit, commit, rewrite, approval.

Each step says how it is known. What no accepted record tells is missing, and the edit says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agentprov.errors import UserError
from agentprov.flows import claims
from agentprov.flows import verify as verifying
from agentprov.flows.blame import Answer, Choice, Told, Trusting, blame
from agentprov.flows.verify import Targets
from agentprov.flows.world import World
from agentprov.formats.claims import CommitClaim, GenerationClaim, ModelClaim
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.query.blame import NOT_COMMITTED, SEVERAL
from agentprov.system.git_objects import read_commits
from agentprov.verify.judge import Judgement
from agentprov.verify.record import Entry

SCHEMA = "agentprov-trace/1"


def split(word: str) -> tuple[str, int]:
    """Read ``FILE:LINE``; raises UserError."""
    path, _, number = word.rpartition(":")
    if not path or not (number.isascii() and number.isdigit()) or not 0 < int(number[:9]) < 10**8:
        raise UserError(f"{word!r} names no line", hint="FILE:LINE, for example src/app.py:12")
    return path, int(number)


def trace(world: World, choice: Choice, line: int, trust: Trusting) -> dict[str, Any]:
    """Tell the story of one line of a file; raises UserError for a line that is not there."""
    root = trust()
    answer = blame(world, replace(choice, lines=(f"{line},{line}",)), lambda: root)
    told = answer.lines[0]
    document = {
        "schema": SCHEMA,
        "path": answer.path,
        "line": line,
        "rev": choice.revision,
        "content": told.line.content.decode("utf-8", "replace").removesuffix("\r"),
        "origin": told.answer.origin,
        "why": told.answer.why,
        "steps": [],
    }
    oid = told.line.commit
    if oid in NOT_COMMITTED:
        return document
    with world.git.cat_file() as reader:
        commits = read_commits(reader, [oid])
    judgement = verifying.judge_targets(world, Targets(oid, (oid,), frozenset()), root)
    claim = next(iter(claims.claims_of(judgement, commits)), None)
    document["steps"] = list(_steps(answer, told, claim, judgement))
    document["findings"] = [
        {"code": item.code, "severity": item.severity, "message": item.message}
        for item in judgement.verdict.findings
        if item.commit in (oid, None)
    ]
    return document


def _steps(
    answer: Answer, told: Told, claim: CommitClaim | None, judgement: Judgement
) -> Iterator[dict[str, Any]]:
    source = told.answer.source
    made = _behind(claim, told) if source is not None and source.verified else None
    if made is not None:
        yield from _before(made, told, judgement)
    yield _edit(answer, told, made, _possible(claim, told))
    commit = answer.commits[told.line.commit]
    yield _step(
        "commit",
        at=datetime.fromtimestamp(max(0, min(commit.seconds, 2**33)), UTC).isoformat(),
        by=commit.author,
        basis="observed",
        digest={"gitCommit": told.line.commit},
        text=commit.summary,
    )
    if made is not None and made.rewrite is not None:
        link = made.rewrite
        yield _step(
            "rewrite",
            by=link.signer,
            basis="observed",
            digest={"sha256": link.sha256},
            text=f"{link.method} of {link.old}",
        )
    for said in claim.decisions if claim is not None else ():
        standing = "" if said.valid else ", does not stand"
        part = ", of a part of the change" if said.partial else ""
        yield _step(
            "approval",
            at=_offset(said.decided_at),
            by=said.signer,
            basis="declared",
            digest={"sha256": said.sha256},
            text=f"{said.decision}{part}{standing}",
        )


def _behind(claim: CommitClaim | None, told: Told) -> GenerationClaim | None:
    source = told.answer.source
    for made in claim.generations if claim is not None and source is not None else ():
        if source is not None and made.accepted and made.sha256 == source.digest:
            return made
    return None


def _possible(claim: CommitClaim | None, told: Told) -> list[str]:
    """Give the sessions of which any may have written the line, where that is left open."""
    if claim is None or told.answer.why != SEVERAL:
        return []
    found = {
        made.session
        for made in claim.generations
        for file in made.files
        if made.accepted and file.path == told.line.path
        for line in file.lines
        if line.start <= told.line.source <= line.end
    }
    return sorted(found)


def _before(made: GenerationClaim, told: Told, judgement: Judgement) -> Iterator[dict[str, Any]]:
    if made.plan is not None:
        intent = f": {made.plan.intent}" if made.plan.intent else ""
        yield _step(
            "plan",
            at=_offset(made.plan.declared_at),
            by=made.plan.signer,
            basis="declared",
            digest={"sha256": made.plan.sha256},
            text=made.plan.name + intent,
        )
    opened, closed = _ends(made, judgement)
    agent = made.opening.agent
    servers = [server.name for server in made.opening.servers]
    steering = [item.name for item in made.opening.materials]
    parts = [f"session {made.session}, recorded by {made.signer} ({made.builder})"]
    parts += [f"MCP servers: {', '.join(servers)}"] if servers else []
    parts += [f"steered by: {', '.join(steering)}"] if steering else []
    parts += [] if made.complete else ["its recorder did not see the end"]
    yield _step(
        "session",
        at=_offset(made.started),
        by=agent.purl or agent.name,
        basis=agent.basis,
        digest={"sha256": opened or made.opening.sha256},
        text="; ".join(parts),
    )
    for model in made.models:
        if told.answer.model in (None, model.name):
            yield _exchange(model, closed)
    if not made.models:
        yield _step("exchange", text=made.unnamed[0] if made.unnamed else "no model was named")


def _ends(made: GenerationClaim, judgement: Judgement) -> tuple[str | None, Mapping[str, Any]]:
    """Give the digest of the session's opening statement, and its closing one."""
    for entry in judgement.accepted:
        for part in entry.everything():
            if part.payload_sha256 == made.sha256:
                return _of_session(part)
    return None, {}


def _of_session(entry: Entry) -> tuple[str | None, Mapping[str, Any]]:
    opened: str | None = None
    closed: Mapping[str, Any] = {}
    for part in entry.everything():
        if isinstance(part.view, OpenView):
            opened = part.payload_sha256
        elif isinstance(part.view, CloseView) and part.statement is not None:
            closed = part.statement.value.predicate
    return opened, closed


def _exchange(model: ModelClaim, closed: Mapping[str, Any]) -> dict[str, Any]:
    parts = [f"{model.role or 'a'} model of the session"]
    parts += [f"asked for {model.requested}"] if model.requested else []
    parts += [f"at {model.host}"] if model.host else []
    for item in closed.get("models", ()):
        if item.get("served") == model.served and item["role"] == (model.role or item["role"]):
            counts = [
                f"{item[key]} {what}"
                for key, what in (
                    ("calls", "calls"),
                    ("inputTokens", "tokens in"),
                    ("outputTokens", "tokens out"),
                )
                if key in item
            ]
            parts += [", ".join(counts) + " in the session"] if counts else []
            break
    return _step("exchange", by=model.name, basis=model.basis, text="; ".join(parts))


def _edit(
    answer: Answer, told: Told, made: GenerationClaim | None, possible: Sequence[str]
) -> dict[str, Any]:
    said, line = told.answer, told.line
    why = f" ({said.why})" if said.why else ""
    where = f"line {line.source} of {line.path}"
    of = f", of {' or '.join(possible)}" if possible else ""
    now = "" if line.path == answer.path else f", now in {answer.path}"
    return _step(
        "edit",
        by=said.model or (made.opening.agent.name if made else None),
        basis=said.basis,
        digest={"sha256": said.source.digest} if said.source else None,
        text=f"{where}: {said.origin}{why}{of}{now}",
    )


def _step(
    kind: str,
    *,
    at: str | None = None,
    by: str | None = None,
    basis: str | None = None,
    digest: Mapping[str, str] | None = None,
    text: str = "",
) -> dict[str, Any]:
    return {"kind": kind, "at": at, "by": by, "basis": basis, "digest": digest, "text": text}


def _offset(time: str | None) -> str | None:
    return None if not time else time.removesuffix("Z") + "+00:00"


__all__ = ["split", "trace"]
