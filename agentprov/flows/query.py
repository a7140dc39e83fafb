"""Answers who wrote what, over several repositories at once: `agentprov query`.

Each repository is taken in first, under its own trust root; every answer says as of when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentprov.errors import UsageError
from agentprov.flows import index
from agentprov.flows.index import Keeper
from agentprov.flows.verify import trust_for
from agentprov.flows.world import World
from agentprov.formats.value import value
from agentprov.verify.rules.matcher import Pattern

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from agentprov.query.asking import Hit, Question
    from agentprov.query.state import State

SCHEMA = "agentprov-query/1"
_EVERYTHING = "history"


@value
class Scope:
    """Where to look: at what stands at a revision of each repository, or (None) at all history."""

    worlds: tuple[World, ...]
    trust: Path | None
    place: Path | None
    revision: str | None = "HEAD"


@value
class Part:
    """The answer of one repository. `revision` is a commit id, None for all history.

    `absent` counts the commits that records speak of and that could not be judged here.
    `coverage` is the judge's word about each commit that records speak of, by its id.
    """

    world: World
    state: State
    revision: str | None
    hits: tuple[Hit, ...]
    unnamed: int
    absent: int
    coverage: Mapping[str, str]


def worlds_of(directories: Sequence[Path]) -> tuple[World, ...]:
    """Give the repositories of some directories, each once; raises NotARepository."""
    found = {world.git.common_dir: world for world in map(World.here, directories)}
    return tuple(found.values())


def glob(text: str) -> Callable[[str], bool]:
    """Read a pattern of the policies' matcher; raises UsageError."""
    try:
        return Pattern(text).matches
    except ValueError as error:
        raise UsageError(f"{text!r} is no pattern: it {error}") from None


def query(
    scope: Scope, question: Question, say: Callable[[str], None] = lambda _: None
) -> list[Part]:
    """Answer a question in every repository; raises UserError, UsageError, ConfigurationInvalid."""
    from agentprov.query import asking, bearing

    def answered(engine: Engine, keeper: Keeper, state: State) -> Part:
        revision, tip = _looked_at(scope, keeper, state, say)
        with engine.connect() as connection:
            hits = asking.ask(connection, state.key, question, glob, tip)
            unnamed = asking.unnamed_sessions(connection, state.key)
            absent = len(bearing.absent(connection, state.key))
            coverage = asking.coverage(connection, state.key)
        return Part(keeper.world, state, revision, tuple(hits), unnamed, absent, coverage)

    return in_each(scope, answered, say)


def in_each(
    scope: Scope,
    action: Callable[[Engine, Keeper, State], Part],
    say: Callable[[str], None] = lambda _: None,
) -> list[Part]:
    """Bring the index up to date for each repository and do something with it."""

    def all_of_them(engine: Engine) -> list[Part]:
        parts = []
        for world in scope.worlds:
            keeper = Keeper(world, engine, scope.place, trust_for(world, scope.trust))
            parts.append(action(engine, keeper, keeper.up_to_date(say)))
        return parts

    return index.using(scope.place, all_of_them)


def _looked_at(
    scope: Scope, keeper: Keeper, state: State, say: Callable[[str], None]
) -> tuple[str | None, int | None]:
    if scope.revision is None:
        return None, None
    from agentprov.flows import surviving

    tip = surviving.look(keeper, state, scope.revision, say)
    return tip.oid, tip.key


def seconds(text: str, *, end: bool = False) -> int:
    """Read a date or an RFC 3339 time (UTC without an offset); a date ends with its last second.

    Raises UsageError.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time", hint="2026-11-24, or 2026-11-24T10:30:00Z"
        ) from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    day = end and len(text) <= len("2026-11-24")
    return int(at.timestamp()) + (86_399 if day else 0)


def document(parts: Sequence[Part]) -> dict[str, Any]:
    """Give the answer as docs/spec/json-output.md has it."""
    rows = [(hit, row(part, hit)) for part in parts for hit in part.hits]
    return {
        "schema": SCHEMA,
        "asOf": _offset(min((part.state.as_of for part in parts), default="")),
        "repositories": [
            {
                "repository": part.state.uri,
                "directory": str(part.world.git.top),
                "revision": part.revision or _EVERYTHING,
                "asOf": _offset(part.state.as_of),
                "notes": part.state.tip,
                "trust": {
                    "digest": {"sha256": part.state.trust_sha256},
                    "source": part.state.trust_source,
                },
                "sessionsWithoutModel": part.unnamed,
                "commitsNotHere": part.absent,
            }
            for part in parts
        ],
        "certain": [made for hit, made in rows if hit.certain],
        "possible": [made for hit, made in rows if not hit.certain],
        "totals": totals(parts),
    }


def row(part: Part, hit: Hit) -> dict[str, Any]:
    """Give one answer as flat values but for digests."""
    return {
        "repository": part.state.uri,
        "commit": hit.commit,
        "path": hit.path,
        "start": hit.start,
        "end": hit.end,
        "lines": 0 if hit.start is None or hit.end is None else hit.end - hit.start + 1,
        "session": hit.session,
        "agent": hit.agent,
        "model": hit.model,
        "plan": hit.plan,
        "basis": hit.basis,
        "origin": hit.origin,
        "why": hit.why,
        "author": hit.author,
        "committedAt": _at(hit.committed),
        "sourcePath": hit.source_path,
        "sourceStart": hit.source_start,
        "planDigest": {"sha256": hit.plan_sha256} if hit.plan_sha256 else None,
        "record": {"sha256": hit.record},
        "rewrite": hit.method,
    }


def totals(parts: Sequence[Part]) -> dict[str, dict[str, int]]:
    """Count what was found, each line once however many statements speak of it."""
    return {
        name: _counted([(part, hit) for part in parts for hit in part.hits if hit.certain is sure])
        for name, sure in (("certain", True), ("possible", False))
    }


def _counted(found: Sequence[tuple[Part, Hit]]) -> dict[str, int]:
    ranges: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for part, hit in found:
        # In all history, line numbers are those of one commit.
        place = (part.state.place, hit.path, "" if part.revision else hit.commit)
        spans = ranges.setdefault(place, [])
        if hit.start is not None and hit.end is not None:
            spans.append((hit.start, hit.end))
    return {
        "lines": sum(map(_covered, ranges.values())),
        "files": len({(part.state.place, hit.path) for part, hit in found}),
        "commits": len({(part.state.place, hit.commit) for part, hit in found}),
        "sessions": len({hit.session for _, hit in found}),
        "plans": len({hit.plan_sha256 for _, hit in found if hit.plan_sha256}),
        "repositories": len({part.state.place for part, _ in found}),
    }


def _covered(spans: Iterable[tuple[int, int]]) -> int:
    count = last = 0
    for start, end in sorted(spans):
        if end > last:
            count += end - max(start - 1, last)
            last = end
    return count


def _offset(time: str) -> str | None:
    return time.removesuffix("Z") + "+00:00" if time else None


def _at(since: int) -> str | None:
    try:
        return datetime.fromtimestamp(since, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return None


COLUMNS = (
    "certainty", "repository", "commit", "path", "start", "end", "lines", "session", "agent",
    "model", "plan", "basis", "origin", "why", "author", "committedAt", "sourcePath",
    "sourceStart", "planDigest", "record", "rewrite",
)  # fmt: skip


def cells(part: Part, hit: Hit) -> list[str]:
    """Give one answer as the cells of a table, in the order of `COLUMNS`.

    What a spreadsheet would take for a formula gets an apostrophe in front.
    """
    values: Mapping[str, Any] = {
        "certainty": "certain" if hit.certain else "possible",
        **row(part, hit),
    }
    return [_cell(values[name]) for name in COLUMNS]


def _cell(found: Any) -> str:
    if found is None:
        return ""
    text = f"sha256:{found['sha256']}" if isinstance(found, dict) else str(found)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


__all__ = [
    "COLUMNS",
    "Part",
    "Scope",
    "cells",
    "document",
    "glob",
    "in_each",
    "query",
    "row",
    "seconds",
    "totals",
    "worlds_of",
]
