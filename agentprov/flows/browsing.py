"""Sessions as one looks through them: what each made, in which commits, by what the index holds.

Reads like `query`, over all history: the index is brought up to date first, and every answer says
as of when. Nothing is written but the index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agentprov.errors import UserError
from agentprov.flows import query, report
from agentprov.flows.query import Part, Scope
from agentprov.formats.value import value
from agentprov.formats.vocabulary import ORIGINS

if TYPE_CHECKING:
    from agentprov.query.asking import Hit


@value
class Made:
    """What a session put into one commit; `certain` says that a record of it holds here."""

    commit: str
    subject: str
    author: str
    committed: int
    paths: tuple[str, ...]
    certain: bool
    rewrite: str | None


@value
class Session:
    """One session: its models, plan and commits, oldest first, and lines by origin.

    Lines are those of records that hold. `repository` numbers it among those that are looked at.
    """

    repository: int
    uri: str
    id: str
    agent: str
    plan: str | None
    models: tuple[str, ...]
    origins: tuple[tuple[str, int], ...]
    commits: tuple[Made, ...]

    @property
    def last(self) -> int:
        """Give the time of its latest commit, in seconds since 1970."""
        return max(made.committed for made in self.commits)

    def holds(self, words: str) -> bool:
        """Say whether all words stand somewhere in it, in any case."""
        told = [self.id, self.uri, self.agent, self.plan or "", *self.models]
        for made in self.commits:
            told += [made.commit, made.subject, made.author, *made.paths]
        whole = "\n".join(told).lower()
        return all(word in whole for word in words.lower().split())


class Browsing:
    """Looks through some repositories, again and again; one thread at a time."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._seen: tuple[Any, ...] = ()
        self._sessions: list[Session] = []
        self.as_of = ""

    def sessions(self, say: Callable[[str], None] = lambda _: None) -> Sequence[Session]:
        """Give all sessions, the one with the newest commit first; raises as `query` does."""
        from agentprov.query.asking import Question

        states = query.in_each(self._scope, lambda _engine, keeper, state: Part(
            keeper.world, state, None, (), 0, 0, {}), say)  # fmt: skip
        seen = tuple((part.state.place, part.state.tip, part.state.as_of) for part in states)
        self.as_of = min((part.state.as_of for part in states), default="")
        if seen != self._seen:
            # Asked for every origin, a line is certain where its record holds, whatever it says.
            lines = query.query(self._scope, Question(origins=ORIGINS), say)
            files = query.query(self._scope, Question(), say)
            found = [
                one
                for number, (part, more) in enumerate(zip(lines, files, strict=True))
                for one in _sessions(
                    number, part, [*part.hits, *(hit for hit in more.hits if hit.start is None)]
                )
            ]
            self._sessions = sorted(found, key=lambda one: (-one.last, one.id))
            self._seen = seen
        return self._sessions

    def page_of(self, repository: int, commit: str) -> dict[str, Any]:
        """Gather a report page about one commit; raises UserError for one that is not there."""
        if not 0 <= repository < len(self._scope.worlds):
            raise UserError("no such repository")
        return report.collect(self._scope.worlds[repository], [commit], self._scope.trust)


def when(seconds: int) -> str:
    """Give a commit's time as people read it; git's own word."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "a time that no calendar has"


def _sessions(number: int, part: Part, hits: Sequence[Hit]) -> list[Session]:
    grouped: dict[str, list[Hit]] = {}
    for hit in hits:
        grouped.setdefault(hit.session, []).append(hit)
    return [_session(number, part.state.uri, name, of) for name, of in grouped.items()]


def _session(number: int, uri: str, name: str, hits: Sequence[Hit]) -> Session:
    origins: Counter[str] = Counter()
    by_commit: dict[str, list[Hit]] = {}
    for hit in hits:
        by_commit.setdefault(hit.commit, []).append(hit)
        if hit.certain and hit.start is not None and hit.end is not None:
            origins[hit.origin] += hit.end - hit.start + 1
    commits = [
        Made(
            commit=oid,
            subject=of[0].subject,
            author=of[0].author,
            committed=of[0].committed,
            paths=tuple(sorted({hit.path for hit in of})),
            certain=any(hit.certain for hit in of),
            rewrite=next((hit.method for hit in of if hit.method), None),
        )
        for oid, of in by_commit.items()
    ]
    commits.sort(key=lambda made: (made.committed, made.commit))
    first = hits[0]
    return Session(
        repository=number,
        uri=uri,
        id=name,
        agent=first.agent,
        plan=next((hit.plan for hit in hits if hit.plan), None),
        models=tuple(sorted({hit.model for hit in hits if hit.model})),
        origins=tuple(sorted(origins.items())),
        commits=tuple(commits),
    )


__all__ = ["Browsing", "Made", "Session", "when"]
