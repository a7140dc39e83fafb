"""Counts what the record says, lines by origin, model, agent, session, and what it leaves open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from agentprov.flows import query
from agentprov.flows.query import Part, Scope
from agentprov.formats.vocabulary import ORIGINS
from agentprov.system.git import ALL_HISTORY

if TYPE_CHECKING:
    from agentprov.query.asking import Hit

SCHEMA = "agentprov-stats/1"


def stats(scope: Scope, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Count the lines that records speak of in each repository; raises as `query` does.

    Lines of which no record speaks are not counted. Where records contradict each other a line
    is in `unverified` or unknown, never counted for both.
    """
    from agentprov.query.asking import Question

    parts = query.query(scope, Question(origins=ORIGINS), say)
    return {
        "schema": SCHEMA,
        "asOf": min((part.state.as_of for part in parts), default="").removesuffix("Z") + "+00:00",
        "repositories": [_repository(part) for part in parts],
    }


def _repository(part: Part) -> dict[str, Any]:
    certain = [hit for hit in part.hits if hit.certain]
    lines = sum(map(_lines, certain))
    unknown = [hit for hit in certain if hit.origin == "unknown"]
    return {
        "repository": part.state.uri,
        "directory": str(part.world.git.top),
        "revision": part.revision or "history",
        "asOf": part.state.as_of.removesuffix("Z") + "+00:00",
        "trust": part.state.trust_source,
        "lines": lines,
        "unverifiedLines": sum(_lines(hit) for hit in part.hits if not hit.certain),
        "origins": {name: _total(certain, name) for name in ORIGINS},
        "bases": _by(certain, lambda hit: hit.basis),
        "models": _by((hit for hit in certain if hit.origin == "model"), lambda hit: hit.model),
        "agents": _by(certain, lambda hit: hit.agent),
        "sessions": _by(certain, lambda hit: hit.session),
        "plans": _by(certain, lambda hit: hit.plan),
        "unknown": {
            "share": round(sum(map(_lines, unknown)) / lines, 4) if lines else None,
            "why": _by(unknown, lambda hit: hit.why),
        },
        "coverage": _coverage(part),
        "sessionsWithoutModel": part.unnamed,
        "commitsNotHere": part.absent,
    }


def _coverage(part: Part) -> dict[str, int]:
    """Count the commits that lead to the revision, or to any ref of people's or HEAD."""
    words = (part.revision,) if part.revision else ALL_HISTORY
    out = part.world.git.run("rev-list", *words)
    reachable = out.decode("ascii").split()
    known = Counter(part.coverage.get(oid, "unrecorded") for oid in reachable)
    return {
        "commits": len(reachable),
        **{name: known[name] for name in ("covered", "human", "uncovered", "unrecorded")},
    }


def _lines(hit: Hit) -> int:
    return 0 if hit.start is None or hit.end is None else hit.end - hit.start + 1


def _total(hits: Sequence[Hit], origin: str) -> int:
    return sum(_lines(hit) for hit in hits if hit.origin == origin)


def _by(hits: Iterable[Hit], key: Callable[[Hit], str | None]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for hit in hits:
        counts[key(hit) or ""] += _lines(hit)
    return dict(counts.most_common())


__all__ = ["stats"]
