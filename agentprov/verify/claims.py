"""What holds of the lines of a judged commit, and which session's statement says it.

Three ways lead to a claim: a record of the commit itself, a rewrite link, and content that was
found again. They are never mixed up: each range says by which it is known. Of a line that several
speak of, a record says more than a link, and a link more than content; what says where a line is
from says more than `unknown`. Only statements that hold are asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.vocabulary import BASES
from agentprov.verify.finding import Via
from agentprov.verify.record import Entry

if TYPE_CHECKING:
    from agentprov.verify.judge import Judgement

DISAGREE = "records-disagree"


class ClaimedRange(NamedTuple):
    """What is claimed of added lines `start`..`end` (from 1, inclusive).

    `sources` are the generation entries that say it: one, unless several say the same, or nobody
    can tell which of several a link means. `link` is the rewrite entry that carried it here, and
    `replayed` says whether that was made again; both are None for `via` "record".
    """

    start: int
    end: int
    origin: str
    basis: str
    model: str | None
    why: str | None
    sources: tuple[Entry, ...]
    via: Via = "record"
    link: Entry | None = None
    replayed: bool | None = None


class ClaimedPath(NamedTuple):
    """What is claimed of one path (a label) of a commit; `ranges` do not overlap, in order.

    `sources` are the generation entries that speak of the path at all, also where it has no
    lines: a delete, a mode, a binary file.
    """

    path: str
    op: str
    mode: str
    blob: str | None
    old_path: str | None
    sources: tuple[Entry, ...]
    via: Via
    ranges: tuple[ClaimedRange, ...]


def claims_of(judgement: Judgement, commit: str) -> Mapping[str, ClaimedPath]:
    """Give all that holds of a judged commit's paths and lines, by path label.

    Empty for a commit of which nothing holds. Takes no part in the verdict.
    """
    found: dict[str, list[ClaimedPath]] = {}
    binding = judgement.bindings.get(commit)
    for item in (
        *_records(judgement.accepted, commit),
        *_links(judgement.accepted, commit),
        *(binding.paths if binding is not None else ()),
    ):
        found.setdefault(item.path, []).append(item)
    return {path: _together(items) for path, items in sorted(found.items())}


def behind(judgement: Judgement, commit: str) -> Mapping[str, ClaimedPath]:
    """Give what links, and content that covers the commit, say of its paths; no record of its own.

    By path label, as `claims_of`.
    """
    found: dict[str, list[ClaimedPath]] = {}
    binding = judgement.bindings.get(commit)
    content = binding.paths if binding is not None and binding.exact else ()
    for item in (*_links(judgement.accepted, commit), *content):
        found.setdefault(item.path, []).append(item)
    return {path: _together(items) for path, items in sorted(found.items())}


def _records(accepted: Iterable[Entry], commit: str) -> Iterator[ClaimedPath]:
    for entry in accepted:
        view = entry.view
        if isinstance(view, GenerationView) and view.commit == commit and entry.statement:
            yield from claimed_by(entry, entry.statement.value.predicate)


def _links(accepted: Iterable[Entry], commit: str) -> Iterator[ClaimedPath]:
    for entry in accepted:
        view = entry.view
        if isinstance(view, RewriteView) and view.commit == commit:
            yield from _linked(entry, view)


def _linked(entry: Entry, view: RewriteView) -> Iterator[ClaimedPath]:
    found = {part.payload_sha256: part for part in entry.everything()}
    behind = [found.get(sha256) for _, sha256 in view.sources]

    def generations(number: int) -> tuple[Entry, ...]:
        source = behind[number]
        parts = source.everything() if source is not None else ()
        if source is not None and isinstance(source.view, GenerationView):
            return (source,)
        return tuple(part for part in parts if isinstance(part.view, GenerationView))

    for change in view.changes:
        numbers = {claim.source for claim in change.claims}
        if change.source is not None:
            numbers.add(change.source)
        yield ClaimedPath(
            path=change.path,
            op=change.op,
            mode=change.mode,
            blob=change.blob,
            old_path=change.old_path,
            sources=_each(one for number in sorted(numbers) for one in generations(number)),
            via="rewrite",
            ranges=tuple(
                ClaimedRange(
                    claim.start,
                    claim.end,
                    claim.origin,
                    claim.basis,
                    claim.model,
                    claim.why,
                    generations(claim.source),
                    "rewrite",
                    entry,
                    change.path in entry.again,
                )
                for claim in change.claims
            ),
        )


def claimed_by(entry: Entry, predicate: Mapping[str, Any]) -> Iterator[ClaimedPath]:
    """Give what one generation statement claims of its own commit."""
    for item in predicate["runDetails"]["metadata"]["agentprov_changes"]:
        yield ClaimedPath(
            path=item["path"],
            op=item["op"],
            mode=item["mode"],
            blob=item.get("gitBlob"),
            old_path=item.get("oldPath"),
            sources=(entry,),
            via="record",
            ranges=tuple(
                ClaimedRange(
                    one["start"],
                    one["end"],
                    one["origin"],
                    one["basis"],
                    one.get("model"),
                    one.get("why"),
                    (entry,),
                )
                for one in item.get("ranges", ())
            ),
        )


def _together(items: Sequence[ClaimedPath]) -> ClaimedPath:
    """Make one of what several statements claim of a path; those that say more come first."""
    if len(items) == 1:
        return items[0]
    lines: dict[int, ClaimedRange] = {}
    for item in items:
        for claim in item.ranges:
            for number in range(claim.start, claim.end + 1):
                known = lines.get(number)
                lines[number] = claim if known is None else _one_of(known, claim)
    return items[0]._replace(
        sources=_each(entry for item in items for entry in item.sources),
        ranges=tuple(_joined(lines)),
    )


def _one_of(known: ClaimedRange, other: ClaimedRange) -> ClaimedRange:
    if known.origin != other.origin and "unknown" in (known.origin, other.origin):
        return other if known.origin == "unknown" and known.why != DISAGREE else known
    if known.via != other.via:
        # What was found here says more than a link that could not be made again here.
        return other if known.replayed is False and other.via == "content" else known
    # Of a line that several leave open, each of them may be the one that wrote it.
    both = _each((*known.sources, *other.sources))
    basis = min(known.basis, other.basis, key=BASES.index)
    if (known.origin, known.model) == (other.origin, other.model):
        return known._replace(sources=both, basis=basis)
    return known._replace(origin="unknown", basis=basis, model=None, why=DISAGREE, sources=both)


def _each(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple({id(entry): entry for entry in entries}.values())


def _joined(lines: Mapping[int, ClaimedRange]) -> Iterator[ClaimedRange]:
    last: ClaimedRange | None = None
    for number in sorted(lines):
        claim = lines[number]
        if last is not None and last.end + 1 == number and last[2:] == claim[2:]:
            last = last._replace(end=number)
            continue
        if last is not None:
            yield last
        last = claim._replace(start=number, end=number)
    if last is not None:
        yield last


__all__ = ["ClaimedPath", "ClaimedRange", "behind", "claimed_by", "claims_of"]
