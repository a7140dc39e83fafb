"""Which commits of the index a change of some records may bear on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, insert, select

from agentprov.query import schema
from agentprov.query.writing import Names

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


def sought(connection: Connection, repository: int) -> tuple[set[str], set[str]]:
    """Give labels of paths and ids of blobs that records say such commits left."""
    table = schema.sought
    rows = connection.execute(
        select(schema.path.c.label, table.c.blob)
        .distinct()
        .select_from(table)
        .join(schema.path, schema.path.c.id == table.c.path)
        .where(table.c.repository == repository)
    ).all()
    return {label for label, _ in rows}, {blob.hex() for _, blob in rows if blob is not None}


def put_absent(
    connection: Connection,
    repository: int,
    asked: Collection[str],
    left: Mapping[str, Collection[tuple[str, str | None]]],
) -> None:
    """Write down which of some commits could not be judged, and what records say they left.

    That is (label, blob id) of paths, by commit.
    """
    raw = [bytes.fromhex(oid) for oid in asked]
    for start in range(0, len(raw), _TOGETHER):
        some = raw[start : start + _TOGETHER]
        for table in (schema.absent, schema.sought):
            connection.execute(
                delete(table).where(table.c.repository == repository, table.c.oid.in_(some))
            )
    if not left:
        return
    paths = Names(connection, schema.path, "label")
    paths.expect(label for changes in left.values() for label, _ in changes)
    rows = [
        {
            "repository": repository,
            "oid": bytes.fromhex(oid),
            "path": paths.make(label),
            "blob": None if blob is None else bytes.fromhex(blob),
        }
        for oid, changes in sorted(left.items())
        for label, blob in changes
    ]
    paths.flush()
    connection.execute(
        insert(schema.absent),
        [{"repository": repository, "oid": bytes.fromhex(oid)} for oid in sorted(left)],
    )
    if rows:
        connection.execute(insert(schema.sought), rows)


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
    "sought",
]
