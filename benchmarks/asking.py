"""The index, `agentprov blame` and `agentprov query`, beside git and beside an empty question."""

from __future__ import annotations

import os
import time
import uuid
from hashlib import sha256
from pathlib import Path

from ground import AGENTPROV, Ground
from measure import Failed, Sample, Table, Target, at_most_times, inside, process, run_cases
from verifying import sha1_blob

from agentprov import attest
from agentprov.flows import index, query, surviving
from agentprov.flows.repository import identity
from agentprov.flows.verify import trust_for
from agentprov.flows.world import World, seal
from agentprov.formats import digest, names
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    Commit,
    LineRange,
    ModelUse,
    Repository,
    Session,
)
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git

COMMON, RARE = "claude-sonnet-4-20250514", "claude-opus-4-1-20250805"
_ADDED = 5
_EACH = 10
_RARE_EVERY = 100
_COLD_SECONDS = 60
_COMMIT_MS = 100
_WARM_MS = 1_000
_MILLION_MS = 100
Made = tuple[str, str, tuple[str, ...], bytes, bytes]
"""A commit to be recorded: id, tree, parents, its one path, and what that holds."""


def indexing(ground: Ground, table: Table) -> None:
    """10,000 commits taken in cold, what stands at HEAD, one more commit, and a warm question."""
    commits = 1_000 if ground.quick else 10_000
    top = corpus(ground, "many", commits, files=commits // 20)
    place = _index(ground)
    world = _world(ground, top)
    begun = time.perf_counter()
    _take_in(world, place)
    cold = time.perf_counter() - begun
    begun = time.perf_counter()
    _look(world, place)
    looked = time.perf_counter() - begun
    met = cold + looked <= _COLD_SECONDS
    wanted = f"<= {_COLD_SECONDS} s together"
    table.fact("index", f"{commits:,} commits, cold, s", round(cold, 1), wanted, met)
    table.fact("index", "what of them stands at HEAD, cold, s", round(looked, 1), wanted, met)
    size = sum(path.stat().st_size for path in place.parent.glob("index.sqlite*"))
    table.fact("index", "size, MB", round(size / 1e6, 1))

    def one_more() -> Sample:
        _more(world, top, commits + next(count))
        return inside(lambda: _take_in(world, place))

    count = iter(range(1, 1_000))
    run_cases(
        table, "index", {"one more commit": one_more}, ground.rounds(10, 3),
        {"one more commit": Target(f"<= {_COMMIT_MS} ms", lambda row: row.wall_p50 <= _COMMIT_MS)},
    )  # fmt: skip
    _look(world, place)
    family = "claude-sonnet-4"
    cases = {
        "agentprov --version": lambda: process((*AGENTPROV, "--version"), cwd=top, env=ground.env),
        f"query --model {family}, warm": lambda: process(
            (*AGENTPROV, "query", "--model", family, "--json"), cwd=top, env=ground.env
        ),
        "query --model claude-opus-4-1, warm": lambda: process(
            (*AGENTPROV, "query", "--model", "claude-opus-4-1", "--json"), cwd=top, env=ground.env
        ),
    }
    limit = Target(f"<= {_WARM_MS} ms", lambda row: row.wall_p50 <= _WARM_MS)
    run_cases(
        table, "query", cases, ground.rounds(10, 3),
        {name: limit for name in cases if name.startswith("query")},
    )  # fmt: skip
    found = query.query(query.Scope((world,), None, place), _question(family))
    told = query.totals(found)["certain"]
    table.fact("query", f"lines and commits of {family}", f"{told['lines']}, {told['commits']}")


def blaming(ground: Ground, table: Table) -> None:
    """A file of 5,000 lines by 1,000 commits, beside git; with an index, and without."""
    commits = 200 if ground.quick else 1_000
    top = corpus(ground, "blame", commits, files=1)
    world = _world(ground, top)
    lines = (top / "src/file0000.txt").read_bytes().count(b"\n")
    argv = (*AGENTPROV, "blame", "src/file0000.txt")
    away = {**ground.env, "AGENTPROV_HOME": str(ground.place / "blame-home")}
    _copy_keys(ground, away)
    _take_in(world, _index(ground))
    git = ("git", "blame", "src/file0000.txt")
    cases = {
        "git blame": lambda: process(git, cwd=top, env=ground.env),
        "agentprov blame": lambda: process(argv, cwd=top, env=ground.env),
        "agentprov blame --json": lambda: process((*argv, "--json"), cwd=top, env=ground.env),
        "agentprov blame, no index": lambda: process(argv, cwd=top, env=away),
    }
    targets = {"agentprov blame": at_most_times(1.5)}
    run_cases(table, "blame", cases, ground.rounds(10, 3), targets)
    table.fact("blame", "lines of the file, commits that made it", f"{lines}, {commits}")


def million(ground: Ground, table: Table) -> None:
    """A rare model among a million files, rows put straight into the index: no records behind."""
    from sqlalchemy import insert

    from agentprov.query import asking, schema

    generations = 10_000 if ground.quick else 100_000
    place = ground.place / "million.sqlite"
    each = 10

    def fill(engine: object) -> None:
        with engine.begin() as connection:  # type: ignore[attr-defined]
            put = connection.execute
            put(insert(schema.repository), [{"id": 1, "place": "/r", "uri": "urn:r"}])
            put(insert(schema.model), [
                {"id": 1, "uri": "pkg:generic/a/common-1", "provider": "a", "served": "common-1"},
                {"id": 2, "uri": "pkg:generic/a/rare-1", "provider": "a", "served": "rare-1"},
            ])  # fmt: skip
            put(insert(schema.agent), [
                {"id": 1, "name": "x", "version": "1", "purl": "", "sha256": ""},
            ])  # fmt: skip
            put(insert(schema.judging), [
                {"id": 1, "repository": 1, "trust_sha256": "", "trust_source": "", "as_of": ""},
            ])  # fmt: skip
            put(insert(schema.opening), [
                {"id": 1, "repository": 1, "sha256": "", "agent": 1, "agent_basis": "observed",
                 "verified": True},
            ])  # fmt: skip
            put(insert(schema.session), [
                {"id": 1, "repository": 1, "name": "s", "started": "2026-01-01T00:00:00Z"},
            ])  # fmt: skip
            paths = 350_000 if not ground.quick else 35_000
            put(insert(schema.path), [
                {"id": n + 1, "label": f"d{n % 997}/f{n}.py"} for n in range(paths)
            ])  # fmt: skip
            put(insert(schema.tip), [
                {"id": 1, "repository": 1, "oid": "", "taken": "", "seen": ""},
            ])  # fmt: skip
            for start in range(0, generations, 10_000):
                _fill(put, range(start, min(start + 10_000, generations)), each, paths)

    index.using(place, fill)

    def ask(name: str) -> list[asking.Hit]:
        def asked(engine: object) -> list[asking.Hit]:
            with engine.connect() as connection:  # type: ignore[attr-defined]
                return asking.ask(connection, 1, _question(name), query.glob, 1)

        return index.using(place, asked)

    cases = {"a rare model, of what stands": lambda: inside(lambda: ask("rare"))}
    limit = Target(f"<= {_MILLION_MS} ms", lambda row: row.wall_p50 <= _MILLION_MS)
    run_cases(table, "million", cases, ground.rounds(15, 5), dict.fromkeys(cases, limit))
    table.fact("million", "file records", generations * each)
    table.fact("million", "found", len(ask("rare")))
    table.fact("million", "size, MB", round(place.stat().st_size / 1e6))


def _fill(put: object, numbers: range, each: int, paths: int) -> None:
    from sqlalchemy import insert

    from agentprov.query import schema

    commits, made, used, files, lines, blamed, heads, survivors = ([] for _ in range(8))
    for n in numbers:
        raw = n.to_bytes(20, "big")
        commits.append({"id": n + 1, "repository": 1, "oid": raw, "author": "A <a@example.com>",
                        "committed": n, "subject": "s", "coverage": "covered"})  # fmt: skip
        made.append({"id": n + 1, "commit": n + 1, "session": 1, "opening": 1, "plan": None,
                     "judging": 1, "sha256": raw, "sequence": 1, "part": 1, "builder": "b",
                     "verified": True, "complete": True})  # fmt: skip
        model = 2 if n % 500 == 7 else 1
        used.append({"generation": n + 1, "model": model, "basis": "reported"})
        for k in range(each):
            key = n * each + k + 1
            path = key % paths + 1
            files.append({"id": key, "generation": n + 1, "path": path, "op": "modify",
                          "blob": raw, "from_session": True, "ranges": 1})  # fmt: skip
            lines.append(
                {
                    "generation": n + 1,
                    "commit": n + 1,
                    "path": path,
                    "first": 1,
                    "last": 10,
                    "origin": "model",
                    "basis": "reported",
                    "model": model,
                }
            )
            if key <= paths:
                blamed.append({"id": key, "repository": 1, "path": path, "blob": raw})
                heads.append({"tip": 1, "path": path, "blamed": key, "blob": raw})
                survivors.append({"blamed": key, "first": 1, "last": 10, "commit": n + 1,
                                  "path": path, "origin_first": 1})  # fmt: skip
    for rows, into in (
        (commits, schema.commit), (made, schema.generation), (used, schema.used),
        (files, schema.file), (lines, schema.line), (blamed, schema.blamed),
        (heads, schema.head), (survivors, schema.survivor),
    ):  # fmt: skip
        if rows:
            put(insert(into), rows)  # type: ignore[operator]


def _question(model: str) -> object:
    from agentprov.query.asking import Question

    return Question(models=(model,))


def _index(ground: Ground) -> Path:
    return Path(ground.env["AGENTPROV_HOME"]) / "cache" / "index.sqlite"


def _world(ground: Ground, top: Path) -> World:
    return World(Git.discover(top), Path(ground.env["AGENTPROV_HOME"]), SystemClock())


def _take_in(world: World, place: Path) -> None:
    root = trust_for(world, None)
    index.using(place, lambda engine: index.Keeper(world, engine, place, root).up_to_date())


def _look(world: World, place: Path) -> None:
    def looked(engine: object) -> None:
        keeper = index.Keeper(world, engine, place, trust_for(world, None))  # type: ignore[arg-type]
        surviving.look(keeper, keeper.up_to_date(), "HEAD")

    index.using(place, looked)


def _copy_keys(ground: Ground, away: dict[str, str]) -> None:
    import shutil

    keys = Path(ground.env["AGENTPROV_HOME"]) / "keys"
    if not keys.is_dir():
        raise Failed("the corpus was signed by no key of this home")
    shutil.copytree(keys, Path(away["AGENTPROV_HOME"]) / "keys")


def _content(file: int, pieces: int) -> bytes:
    return "".join(
        f"file {file} piece {piece} line {n}\n" for piece in range(pieces) for n in range(_ADDED)
    ).encode()


def corpus(ground: Ground, name: str, commits: int, *, files: int) -> Path:
    """Make commits that each add five lines to one of some files, and records of all of them.

    Ten commits are a session. One session in a hundred used the rare model.
    """
    top = ground.place / name
    top.mkdir()
    ground.run("git", "init", "-q", cwd=top)
    out = bytearray()
    for number in range(commits + 1):
        out += b"commit refs/heads/main\nmark :%d\n" % (number + 1)
        out += b"committer Bench <bench@example.com> %d +0000\n" % (1_760_000_000 + number)
        out += b"data 7\nChange\n"
        if number:
            out += b"from :%d\n" % number
            path, body = _made(number, files)
            out += b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(body), body)
    ground.run("git", "fast-import", "--quiet", cwd=top, input=bytes(out))
    ground.run("git", "reset", "-q", "--hard", "main", cwd=top)
    world = _world(ground, top)
    listing = ground.run("git", "rev-list", "--reverse", "--format=%T %P", "main", cwd=top)
    rows = [line.split() for line in listing.decode().splitlines()]
    described = [
        (ids[1], detail[0], tuple(detail[1:]))
        for ids, detail in zip(rows[::2], rows[1::2], strict=True)
    ][1:]
    notes: dict[str, list[bytes]] = {}
    repository = identity(world.git)
    for start in range(0, commits, _EACH):
        rare = start // _EACH % _RARE_EVERY == _RARE_EVERY // 2
        group = [
            (*described[number], *_made(number + 1, files))
            for number in range(start, min(start + _EACH, commits))
        ]
        notes.update(_session(world, repository, group, RARE if rare else COMMON))
    world.store.add(notes)
    return top


def _made(number: int, files: int) -> tuple[bytes, bytes]:
    file = number % files
    return f"src/file{file:04d}.txt".encode(), _content(file, (number - 1) // files + 1)


def _session(
    world: World,
    repository: Repository,
    commits: list[Made],
    model: str,
) -> dict[str, list[bytes]]:
    session = Session(
        id=str(uuid.uuid4()),
        started=world.now(),
        builder=names.LOCAL_WRAPPER,
        repository=repository,
        base_commit=commits[0][2][0],
        base_tree=None,
        ref="refs/heads/main",
        platform="linux/x86_64",
        agent=Agent("agent", "agent", "~/bin/agent", sha256(b"agent").hexdigest(), "observed"),
        command_line=("agent",),
        principal="bench@example.com",
        journal_genesis=sha256(os.urandom(8)).hexdigest(),
    )
    report = AgentReport(models=(ModelUse("anthropic", model, model, "main", "reported", 3),))
    opening = attest.session_open(session)
    opened = digest.sha256(opening.payload)
    notes: dict[str, list[bytes]] = {}
    generations: list[str] = []
    for sequence, (oid, tree, parents, path, body) in enumerate(commits, 1):
        lines = body.count(b"\n")
        change = Change(
            path, "add" if lines == _ADDED else "modify", "100644", sha1_blob(body),
            sha256(body).hexdigest(), len(body),
            ranges=(LineRange(lines - _ADDED + 1, lines, "model", "reported", model),),
        )  # fmt: skip
        full = Commit(
            oid, tree, parents, sha256(body).hexdigest()[:40], session.ref, sequence, (change,)
        )
        for statement in attest.generation(session, opened, full, report):
            generations.append(digest.sha256(statement.payload))
            notes.setdefault(oid, []).append(seal(statement, world.recorder))
    closing = attest.session_close(
        session,
        open_sha256=opened,
        generations=generations,
        last_sequence=len(commits),
        finished=world.now(),
        journal_head=sha256(b"head").hexdigest(),
        journal_entries=3,
        outcome="completed",
        exit_status=0,
        report=report,
    )
    first = notes[commits[0][0]]
    first.insert(0, seal(opening, world.recorder))
    first.append(seal(closing, world.recorder))
    return notes


def _more(world: World, top: Path, number: int) -> None:
    """Add one commit by a session of its own."""
    path, body = f"src/more{number:05d}.txt".encode(), _content(number, 1)
    (top / os.fsdecode(path)).write_bytes(body)
    world.git.run("add", path)
    world.git.run("commit", "-q", "-m", "More")
    oid, tree, *parents = world.git.text("log", "-1", "--format=%H %T %P").split(" ")
    made = (oid, tree, tuple(parents), path, body)
    world.store.add(_session(world, identity(world.git), [made], COMMON))
