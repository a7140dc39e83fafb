"""What a rewrite link that was not accepted says: claims that are possible, and no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from agentprov.formats.claims import (
    AgentClaim,
    FileClaim,
    GenerationClaim,
    LineClaim,
    OpeningClaim,
    Rewrite,
    model_named,
)
from agentprov.formats.predicates.rewrite import RewriteView


def carry(
    view: RewriteView,
    sha256: str,
    made: Mapping[str, GenerationClaim],
    links: Mapping[str, RewriteView],
    against: Sequence[str] = (),
) -> Iterator[GenerationClaim]:
    """Give the claims that a link which was not accepted says it carries to its new commit.

    `made` are claims by the payload digest of their statement, `links` other links by theirs.
    """
    lines: dict[int, dict[str, list[LineClaim]]] = defaultdict(lambda: defaultdict(list))
    whole: dict[int, dict[str, FileClaim]] = defaultdict(dict)
    roots = {
        number: _roots(statement, made, links) for number, (_, statement) in enumerate(view.sources)
    }
    for change in view.changes:
        if change.source is not None:
            whole[change.source][change.path] = FileClaim(change.path, change.op, change.blob, True)
        for claim in change.claims:
            models = [model for root in roots.get(claim.source, ()) for model in root.models]
            lines[claim.source][change.path].append(
                LineClaim(
                    claim.start,
                    claim.end,
                    claim.origin,
                    claim.basis,
                    model_named(claim.model, models),
                    claim.why,
                )
            )
    paths = {change.path: change for change in view.changes}
    for number, (old, _) in enumerate(view.sources):
        files = dict(whole[number])
        for path, ranges in lines[number].items():
            change = paths[path]
            files[path] = FileClaim(path, change.op, change.blob, True, tuple(ranges))
        if not files:
            continue
        root = next(iter(roots[number]), None)
        yield replace(
            root or _nobody(view),
            commit=view.commit,
            files=tuple(files.values()),
            accepted=False,
            why=tuple(against) or ("not-accepted",),
            rewrite=Rewrite(view.method, sha256, old),
        )


def _roots(
    statement: str, made: Mapping[str, GenerationClaim], links: Mapping[str, RewriteView]
) -> list[GenerationClaim]:
    """Follow links back to the statements that sessions made."""
    found: dict[str, GenerationClaim] = {}
    waiting, seen = [statement], set()
    while waiting:
        sha256 = waiting.pop()
        if sha256 in seen:
            continue
        seen.add(sha256)
        if sha256 in made:
            found[sha256] = made[sha256]
        elif sha256 in links:
            waiting.extend(digest for _, digest in reversed(links[sha256].sources))
    return list(found.values())


def _nobody(view: RewriteView) -> GenerationClaim:
    """Stand in for a statement that a link points at and that is not here."""
    return GenerationClaim(
        commit=view.commit,
        sha256=view.sources[0][1],
        session="",
        sequence=1,
        part=1,
        started="",
        builder=view.builder,
        signer=None,
        opening=OpeningClaim("", AgentClaim("")),
        models=(),
        unnamed=(),
        plan=None,
        files=(),
        accepted=False,
    )


__all__ = ["carry"]
