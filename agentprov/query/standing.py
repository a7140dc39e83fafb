"""What stands at a revision: which lines of which files came from which commits, kept by blob.

git says it (`flows.surviving`); here it is kept, so that it is asked once for each content of a
file and not once for each question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from agentprov.formats.value import value
from agentprov.query import schema
from agentprov.query.blame import Stretch
from agentprov.query.writing import Names, next_key

_TOGETHER = 400
KEPT_TIPS = 4


@value
class Tip:
    """A revision whose files were looked at, after what the index took in at `taken`."""

    key: int
    oid: str
    taken: str


def tip_of(connection: Connection, repository: int, oid: str) -> Tip | None:
    """Give what is known of a revision."""
    table = schema.tip
    row = connection.execute(
        select(table.c.id, table.c.oid, table.c.taken).where(
            table.c.repository == repository, table.c.oid == oid
        )
    ).first()
    return None if row is None else Tip(row[0], row[1], row[2])


def newest_tips(connection: Connection, repository: int) -> list[Tip]:
    """Give the revisions that were looked at, the newest look first."""
    table = schema.tip
    rows = connection.execute(
        select(table.c.id, table.c.oid, table.c.taken)
        .where(table.c.repository == repository)
        .order_by(table.c.seen.desc(), table.c.id.desc())
    )
    return [Tip(*row) for row in rows]


def claimed_paths(connection: Connection, repository: int) -> dict[str, bool]:
    """Give the labels of all paths that records speak of; True where they speak of its lines."""
    file, made, commit, path = schema.file, schema.generation, schema.commit, schema.path
    rows = connection.execute(
        select(path.c.label, func.max(file.c.ranges))
        .select_from(commit)
        .join(made, made.c.commit == commit.c.id)
        .join(file, file.c.generation == made.c.id)
        .join(path, path.c.id == file.c.path)
        .where(commit.c.repository == repository)
        .group_by(path.c.label)
    )
    return {label: bool(ranges) for label, ranges in rows}


def renames(connection: Connection, repository: int) -> dict[str, set[str]]:
    """Give, by old label, the labels that a path was ever renamed to."""
    table = schema.renamed
    old, new = schema.path.alias(), schema.path.alias()
    rows = connection.execute(
        select(old.c.label, new.c.label)
        .select_from(table)
        .join(old, old.c.id == table.c.old)
        .join(new, new.c.id == table.c.new)
        .where(table.c.repository == repository)
    )
    found: dict[str, set[str]] = {}
    for before, after in rows:
        found.setdefault(before, set()).add(after)
    return found


def touched_once(connection: Connection, repository: int) -> dict[str, tuple[str, str]]:
    """Give (commit id, blob id) of each path that one commit made and no other touched."""
    table = schema.touched
    rows = connection.execute(
        select(schema.path.c.label, table.c.first, table.c.blob)
        .select_from(table)
        .join(schema.path, schema.path.c.id == table.c.path)
        .where(table.c.repository == repository, table.c.times == 1)
    )
    return {label: (first.hex(), blob.hex()) for label, first, blob in rows if blob is not None}


def walked(connection: Connection, repository: int) -> str | None:
    """Give the commit up to which the history was walked for touches and renames."""
    table = schema.repository
    found = connection.execute(select(table.c.walked).where(table.c.id == repository)).scalar()
    return None if found is None else str(found)


@value
class Touches:
    """What a stretch of history did to paths: how often, and what the first touch made of it.

    `first` gives (commit id, blob id); the blob is None where the first touch was no addition.
    """

    times: Mapping[str, int]
    first: Mapping[str, tuple[str, str | None]]
    renamed: frozenset[tuple[str, str]]


def put_walk(
    connection: Connection, repository: int, oid: str, found: Touches, *, anew: bool
) -> None:
    """Add what a walk found; with `anew`, in place of all that was known."""
    table = schema.touched
    if anew:
        for one in (table, schema.renamed):
            connection.execute(delete(one).where(one.c.repository == repository))
    paths = Names(connection, schema.path, "label")
    paths.expect([*found.times, *(label for pair in found.renamed for label in pair)])
    keys = {label: paths.make(label) for label in found.times}
    pairs = {(paths.make(old), paths.make(new)) for old, new in found.renamed}
    paths.flush()
    there: set[int] = set()
    wanted = list(keys.values())
    for start in range(0, len(wanted), _TOGETHER) if not anew else ():
        some = wanted[start : start + _TOGETHER]
        rows = connection.execute(
            select(table.c.path).where(table.c.repository == repository, table.c.path.in_(some))
        )
        there |= {key for (key,) in rows}
    new = []
    for label, key in keys.items():
        if key in there:
            connection.execute(
                update(table)
                .where(table.c.repository == repository, table.c.path == key)
                .values(times=table.c.times + found.times[label])
            )
        else:
            commit, blob = found.first[label]
            new.append(
                {
                    "repository": repository,
                    "path": key,
                    "times": found.times[label],
                    "first": bytes.fromhex(commit),
                    "blob": bytes.fromhex(blob) if blob else None,
                }
            )
    if new:
        connection.execute(insert(table), new)
    known = {
        (old, later)
        for old, later in connection.execute(
            select(schema.renamed.c.old, schema.renamed.c.new).where(
                schema.renamed.c.repository == repository
            )
        )
    }
    more = [{"repository": repository, "old": old, "new": later} for old, later in pairs - known]
    if more:
        connection.execute(insert(schema.renamed), more)
    connection.execute(
        update(schema.repository).where(schema.repository.c.id == repository).values(walked=oid)
    )


def heads(connection: Connection, tip: int) -> dict[str, tuple[str, int]]:
    """Give (blob id, key of its blame) of each file that was looked at, by label."""
    table = schema.head
    rows = connection.execute(
        select(schema.path.c.label, table.c.blob, table.c.blamed)
        .select_from(table)
        .join(schema.path, schema.path.c.id == table.c.path)
        .where(table.c.tip == tip)
    )
    return {label: (blob.hex(), blamed) for label, blob, blamed in rows}


def put_tip(
    connection: Connection,
    repository: int,
    oid: str,
    taken: str,
    seen: str,
    kept: Mapping[str, tuple[str, int]],
    blames: Sequence[tuple[str, str, Sequence[Stretch]]],
) -> Tip:
    """Write down what stands at a revision.

    `kept` are files whose blame is known, as `heads` gives them; `blames` are (label, blob id,
    stretches) of others.
    """
    old = tip_of(connection, repository, oid)
    if old is not None:
        _drop(connection, old.key)
    key = next_key(connection, schema.tip)
    connection.execute(
        insert(schema.tip),
        [{"id": key, "repository": repository, "oid": oid, "taken": taken, "seen": seen}],
    )
    paths = Names(connection, schema.path, "label")
    commits = Names(connection, schema.commit, "repository", "oid")
    paths.expect(
        [*kept, *(label for label, _, _ in blames)]
        + [part.path for _, _, parts in blames for part in parts]
    )
    commits.expect(
        (bytes.fromhex(part.commit) for _, _, parts in blames for part in parts), repository
    )
    head = [
        {"tip": key, "path": paths.make(label), "blamed": blamed, "blob": bytes.fromhex(blob)}
        for label, (blob, blamed) in kept.items()
    ]
    number = next_key(connection, schema.blamed)
    made: list[dict[str, object]] = []
    survivors: list[dict[str, object]] = []
    for label, blob, parts in blames:
        path = paths.make(label)
        raw = bytes.fromhex(blob)
        made.append({"id": number, "repository": repository, "path": path, "blob": raw})
        head.append({"tip": key, "path": path, "blamed": number, "blob": raw})
        survivors += [
            {
                "blamed": number,
                "first": part.first,
                "last": part.first + part.lines - 1,
                "commit": commits.make(
                    repository,
                    bytes.fromhex(part.commit),
                    author="",
                    committed=0,
                    subject="",
                    coverage=None,
                ),
                "path": paths.make(part.path),
                "origin_first": part.source,
            }
            for part in parts
        ]
        number += 1
    paths.flush()
    commits.flush()
    for table, rows in ((schema.blamed, made), (schema.survivor, survivors), (schema.head, head)):
        if rows:
            connection.execute(insert(table), rows)
    for stale in newest_tips(connection, repository)[KEPT_TIPS:]:
        _drop(connection, stale.key)
    _sweep(connection, repository)
    return Tip(key, oid, taken)


def _drop(connection: Connection, tip: int) -> None:
    connection.execute(delete(schema.head).where(schema.head.c.tip == tip))
    connection.execute(delete(schema.tip).where(schema.tip.c.id == tip))


def _sweep(connection: Connection, repository: int) -> None:
    """Take out blames that no revision has any more."""
    blamed = schema.blamed
    used = select(schema.head.c.blamed)
    stale = select(blamed.c.id).where(blamed.c.repository == repository, blamed.c.id.not_in(used))
    keys = [key for (key,) in connection.execute(stale)]
    for start in range(0, len(keys), _TOGETHER):
        some = keys[start : start + _TOGETHER]
        connection.execute(delete(schema.survivor).where(schema.survivor.c.blamed.in_(some)))
        connection.execute(delete(blamed).where(blamed.c.id.in_(some)))


__all__ = [
    "Tip",
    "Touches",
    "claimed_paths",
    "heads",
    "newest_tips",
    "put_tip",
    "put_walk",
    "renames",
    "tip_of",
    "touched_once",
    "walked",
]
