"""Where lines of a file come from: git says which commit added them, records say the rest.

The one place that the MCP tools go through. Whose a line is, is told as `agentprov blame` tells it
(flows.claims, query.blame); of each commit only what holds is shown (flows.show).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentprov.errors import GitFailed, UserError
from agentprov.flows import verify as verifying
from agentprov.flows.claims import claims_of
from agentprov.flows.declaring import inside
from agentprov.flows.show import shown
from agentprov.flows.verify import Targets, trust_for
from agentprov.flows.world import World
from agentprov.formats.names import path_label
from agentprov.formats.quoting import unquote
from agentprov.query.blame import Spans, attribute, spans_of
from agentprov.system.git_objects import read_commits

MAX_LINES = 5_000
MAX_COMMITS = 500
_HEADER = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) (\d+) (\d+)(?: (\d+))?")


@dataclass(frozen=True)
class _Blamed:
    """A line and where it first stood: commit, path there, line there."""

    line: int
    commit: str
    path: bytes
    there: int


def lines(
    world: World, path: str, revision: str, start: int | None, end: int | None
) -> dict[str, Any]:
    """Give for lines `start` to `end` (from 1) of a file which records stand behind each.

    Ranges join lines with the same answer. Lines that nothing records have no session. Raises
    UserError for what is not there, and for more than `MAX_LINES` lines or `MAX_COMMITS` commits.
    """
    oid = world.git.resolve(revision)
    if oid is None:
        raise UserError(f"{revision!r} is no commit here", hint="name a commit: HEAD")
    relative = inside(world, path)
    blamed = list(_blame(world, oid, relative, start, end))
    commits = tuple(dict.fromkeys(item.commit for item in blamed))
    if len(blamed) > MAX_LINES or len(commits) > MAX_COMMITS:
        raise UserError(
            f"{len(blamed)} lines out of {len(commits)} commits are too many at once",
            hint="ask for fewer lines",
        )
    targets = Targets(revision, commits, frozenset())
    judgement = verifying.judge_targets(world, targets, trust_for(world, None))
    known = {commit: shown(judgement, commit) for commit in commits}
    with world.git.cat_file() as reader:
        spans = spans_of(claims_of(judgement, read_commits(reader, commits)))
    return {
        "path": path_label(relative),
        "revision": oid,
        "lines": _joined(_line(item, spans) for item in blamed),
        "commits": [
            {
                "commit": commit,
                "coverage": found["coverage"],
                "sessions": [_summary(session) for session in found["sessions"]],
                "approvals": found["approvals"],
                "findings": found["findings"],
            }
            for commit, found in known.items()
        ],
    }


def _blame(
    world: World, oid: str, path: bytes, start: int | None, end: int | None
) -> Iterator[_Blamed]:
    span = [f"-L{start or 1},{'' if end is None else end}"] if start or end else []
    # Text conversion would run a program that the repository's attributes choose.
    words = ("blame", "--porcelain", "--no-textconv", "--ignore-revs-file=", *span, oid, "--")
    try:
        out = world.git.run(*words, path)
    except GitFailed as error:
        raise UserError(f"{path_label(path)!r}: {error.message}") from error
    origins: dict[bytes, bytes] = {}
    header: re.Match[bytes] | None = None
    for text in out.split(b"\n"):
        if text.startswith(b"\t"):
            if header is not None:
                where = origins.get(header[1], path)
                yield _Blamed(int(header[3]), header[1].decode(), where, int(header[2]))
            header = None
        elif header is None:
            header = _HEADER.fullmatch(text)
        elif text.startswith(b"filename "):
            origins[header[1]] = unquote(text.removeprefix(b"filename "))


def _line(item: _Blamed, spans: Spans) -> dict[str, Any]:
    told = attribute(spans.get((item.commit, path_label(item.path)), ()), item.there)
    return {
        "start": item.line,
        "end": item.line,
        "commit": item.commit,
        "origins": []
        if told.source is None
        else [
            {
                "session": told.source.session,
                "origin": told.origin,
                "basis": told.basis,
                "model": told.model,
                "why": told.why,
            }
        ],
    }


def _joined(found: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for item in found:
        last = joined[-1] if joined else None
        same = last and all(last[key] == item[key] for key in ("commit", "origins"))
        if last and same and last["end"] + 1 == item["start"]:
            last["end"] = item["end"]
        else:
            joined.append(item)
    return joined


def _summary(session: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": session["id"],
        "builder": session["builder"],
        "signer": session["signer"],
        "complete": session["complete"],
        "startedAt": session["startedAt"],
        "plan": session["plan"],
        "agent": {key: session["agent"][key] for key in ("name", "version", "purl", "basis")},
        "models": [
            {key: model.get(key) for key in ("provider", "requested", "served", "role", "basis")}
            for model in session["models"]
        ],
    }


__all__ = ["MAX_COMMITS", "MAX_LINES", "lines"]
