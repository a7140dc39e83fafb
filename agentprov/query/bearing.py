"""Which commits of the index a change of some records may bear on."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select

from agentprov.query import schema

_TOGETHER = 400


def of_sessions(connection: Connection, repository: int, names: Collection[str]) -> set[str]:
    """Give the ids of commits with a record of one of these sessions."""
    made, session, commit = schema.generation, schema.session, schema.commit
    found: set[str] = set()
    wanted = sorted(names)
    for start in range(0, len(wanted), _TOGETHER):
        rows = connection.execute(
            select(commit.c.oid)
            .distinct()
            .select_from(made)
            .join(session, session.c.id == made.c.session)
            .join(commit, commit.c.id == made.c.commit)
            .where(
                session.c.repository == repository,
                session.c.name.in_(wanted[start : start + _TOGETHER]),
            )
        )
        found |= {oid.hex() for (oid,) in rows}
    return found


def of_plans(connection: Connection, repository: int, statements: Collection[str]) -> set[str]:
    """Give the ids of commits with a record that points at one of these plan statements."""
    made, plan, commit = schema.generation, schema.plan, schema.commit
    found: set[str] = set()
    wanted = sorted(statements)
    for start in range(0, len(wanted), _TOGETHER):
        rows = connection.execute(
            select(commit.c.oid)
            .distinct()
            .select_from(made)
            .join(plan, plan.c.id == made.c.plan)
            .join(commit, commit.c.id == made.c.commit)
            .where(
                commit.c.repository == repository,
                plan.c.statement.in_(wanted[start : start + _TOGETHER]),
            )
        )
        found |= {oid.hex() for (oid,) in rows}
    return found


def of_olds(connection: Connection, repository: int, commits: Collection[str]) -> set[str]:
    """Give the ids of commits to which the records of one of these commits were carried."""
    made, commit = schema.generation, schema.commit
    found: set[str] = set()
    wanted = [bytes.fromhex(oid) for oid in sorted(commits)]
    for start in range(0, len(wanted), _TOGETHER):
        rows = connection.execute(
            select(commit.c.oid)
            .distinct()
            .select_from(made)
            .join(commit, commit.c.id == made.c.commit)
            .where(
                commit.c.repository == repository,
                made.c.old.in_(wanted[start : start + _TOGETHER]),
            )
        )
        found |= {oid.hex() for (oid,) in rows}
    return found


def recorded(connection: Connection, repository: int) -> set[str]:
    """Give the ids of all commits of which some record speaks."""
    made, commit = schema.generation, schema.commit
    rows = connection.execute(
        select(commit.c.oid)
        .distinct()
        .select_from(commit)
        .join(made, made.c.commit == commit.c.id)
        .where(commit.c.repository == repository)
    )
    return {oid.hex() for (oid,) in rows}


def bare(connection: Connection, tip: int) -> set[str]:
    """Give the ids of commits that stand at a revision and of which no record speaks."""
    head, survivor, commit = schema.head, schema.survivor, schema.commit
    speaks = select(schema.generation.c.id).where(schema.generation.c.commit == commit.c.id)
    rows = connection.execute(
        select(commit.c.oid)
        .distinct()
        .select_from(head)
        .join(survivor, survivor.c.blamed == head.c.blamed)
        .join(commit, commit.c.id == survivor.c.commit)
        .where(head.c.tip == tip, ~speaks.exists())
    )
    return {oid.hex() for (oid,) in rows}


def absent(connection: Connection, repository: int) -> list[str]:
    """Give the ids of commits that records speak of and that could not be judged here."""
    table = schema.absent
    rows = connection.execute(select(table.c.oid).where(table.c.repository == repository))
    return sorted(oid.hex() for (oid,) in rows)


def put_absent(
    connection: Connection, repository: int, asked: Collection[str], judged: Collection[str]
) -> None:
    """Write down which of some commits could not be judged."""
    table = schema.absent
    raw = [bytes.fromhex(oid) for oid in asked]
    for start in range(0, len(raw), _TOGETHER):
        some = raw[start : start + _TOGETHER]
        connection.execute(
            delete(table).where(table.c.repository == repository, table.c.oid.in_(some))
        )
    rows = [
        {"repository": repository, "oid": bytes.fromhex(oid)}
        for oid in sorted(set(asked) - set(judged))
    ]
    if rows:
        connection.execute(insert(table), rows)


def everything(connection: Connection, repository: int) -> set[str]:
    """Give the ids of all commits that the index knows of a repository."""
    rows = connection.execute(
        select(schema.commit.c.oid).where(schema.commit.c.repository == repository)
    )
    return {oid.hex() for (oid,) in rows}


__all__ = [
    "absent",
    "bare",
    "everything",
    "of_olds",
    "of_plans",
    "of_sessions",
    "put_absent",
    "recorded",
]
