"""Looks up what the index holds of the lines of some files at some commits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, and_, select

from agentprov.query import schema
from agentprov.query.blame import Source, Span

_TOGETHER = 400


def spans_at(
    connection: Connection, repository: int, places: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[Span]]:
    """Give the claims about lines by (commit id, path label), for these places."""
    line, made, commit, path = schema.line, schema.generation, schema.commit, schema.path
    session, opening, agent = schema.session, schema.opening, schema.agent
    plan, model = schema.plan, schema.model
    found: dict[tuple[str, str], list[Span]] = {}
    wanted = sorted({commit_id for commit_id, _ in places})
    labels = {label for _, label in places}
    narrow = len(labels) <= _TOGETHER
    for start in range(0, len(wanted), _TOGETHER):
        some = [bytes.fromhex(oid) for oid in wanted[start : start + _TOGETHER]]
        rows = connection.execute(
            select(
                commit.c.oid, path.c.label, line.c.first, line.c.last, line.c.origin,
                line.c.basis, model.c.provider, model.c.served, line.c.why, made.c.sha256,
                session.c.name, agent.c.purl, agent.c.name, plan.c.name, plan.c.sha256,
                made.c.signer, made.c.verified, made.c.why, made.c.method,
            )
            .select_from(commit)
            .join(line, line.c.commit == commit.c.id)
            .join(path, path.c.id == line.c.path)
            .join(made, made.c.id == line.c.generation)
            .join(session, session.c.id == made.c.session)
            .join(opening, opening.c.id == made.c.opening)
            .join(agent, agent.c.id == opening.c.agent)
            .outerjoin(plan, plan.c.id == made.c.plan)
            .outerjoin(model, model.c.id == line.c.model)
            .where(
                and_(
                    commit.c.repository == repository,
                    commit.c.oid.in_(some),
                    *([path.c.label.in_(labels)] if narrow else []),
                )
            )
        )  # fmt: skip
        for row in rows:
            place = (row[0].hex(), row[1])
            if place in places:
                found.setdefault(place, []).append(_span(row))
    return found


def _span(row: Any) -> Span:
    (
        _, _, first, last, origin, basis, provider, served, why, digest, session, purl, agent,
        plan, plan_sha256, signer, verified, against, method,
    ) = row  # fmt: skip
    source = Source(
        digest.hex(), session, purl or agent, plan, plan_sha256, signer, verified, against, method
    )
    name = None if served is None else f"{provider}/{served}" if provider else served
    return Span(first, last, origin, basis, name, why, source)


__all__ = ["spans_at"]
