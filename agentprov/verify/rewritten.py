"""What is asked and answered about rewritten commits; apart, because most cases have none.

`rewriting` and `rebinding` do the work, and are loaded where there is some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from agentprov.formats.value import value

if TYPE_CHECKING:
    from agentprov.verify.claims import ClaimedPath
    from agentprov.verify.record import Entry

Spans = Sequence[tuple[int, int]]
Blobs = Mapping[str, tuple[str | None, str | None]]


@value
class History:
    """What git knows of commits before and after a rewrite; each gives None where it is not here.

    `blobs` gives, for an old commit, the blob ids before and after of every path (by label) that
    differs from its first parent; `content` a blob's bytes; `added` the lines (from 1, inclusive)
    that a commit adds to its first parent, by label, where git sees lines. `patch` is git's
    stable patch id of a commit whose changes are all text; `moved` gives, for an older commit and
    a commit, the labels of the paths in which the latter's first parent differs from the former.
    """

    blobs: Callable[[str], Blobs | None] = lambda _: None
    content: Callable[[str], bytes | None] = lambda _: None
    added: Callable[[str], Mapping[str, Spans] | None] = lambda _: None
    patch: Callable[[str], str | None] = lambda _: None
    moved: Callable[[str, str], frozenset[str] | None] = lambda _older, _commit: None


class Found(NamedTuple):
    """A generation whose content was found at a path, by which key, and what it claims there."""

    entry: Entry
    key: str
    path: str


@value
class Binding:
    """What content says of one commit.

    `paths` are what it grants; `ambiguous` are the candidates of paths of which nobody can say
    which it is. `exact` says that every path of the commit was found by an exact key, or that it
    does all that recorded commits in a row did; `matched` that every added line is claimed.
    """

    found: tuple[Found, ...] = ()
    ambiguous: tuple[Found, ...] = ()
    paths: tuple[ClaimedPath, ...] = ()
    exact: bool = False
    matched: bool = False
