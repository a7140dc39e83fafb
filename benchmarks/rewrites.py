"""Rewritten history: what a link costs for each commit, and whether lines keep their authors."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ground import Ground
from measure import Table, median

from agentprov import attest
from agentprov.flows import rewrites
from agentprov.flows.world import World, seal
from agentprov.formats.carrying import added_digest
from agentprov.formats.dropbox import Drop, encode
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    Commit,
    LineRange,
    Repository,
    Session,
)
from agentprov.formats.names import LOCAL_WRAPPER
from agentprov.record.spool import Spool
from agentprov.system.git import Git

TESTS = Path(__file__).resolve().parent.parent / "tests"
_FILES = 50
_LINES = 200
_FACTS = Session(
    id="00000000-0000-4000-8000-000000000000", started="2026-01-01T00:00:00Z",
    builder=LOCAL_WRAPPER, repository=Repository("urn:example:r", "sha1"), base_commit=None,
    base_tree=None, ref=None, platform="bench", command_line=("agent",), journal_genesis="0" * 64,
    agent=Agent("agent", "agent", "/agent", "0" * 64, "observed"),
)  # fmt: skip


def rewritten(ground: Ground, table: Table) -> None:
    """Rebase recorded commits onto a moved base, and link them; small and large in turns."""
    many = 1_000 if not ground.quick else 200
    rounds = 3 if not ground.quick else 1
    times: dict[int, list[float]] = {10: [], many: []}
    spawns: dict[int, set[int]] = {10: set(), many: set()}
    for turn in range(rounds):
        for count in times:
            world, drops = _history(ground.place / f"r{count}-{turn}", count)
            with _counted() as started:
                begun = time.perf_counter()
                taken = rewrites.take_in(world, drops)
                times[count].append(time.perf_counter() - begun)
            assert len(taken.linked) == count, len(taken.linked)
            spawns[count].add(len(started))
    each = median(times[many]) * 1_000 / many
    table.fact(
        "rewrites",
        f"link per commit of {many:,} rebased",
        f"{each:.2f} ms",
        "at most 5 ms",
        each <= 5,
    )
    same = len(spawns[10] | spawns[many]) == 1
    told = " / ".join(str(sorted(found)) for found in spawns.values())
    table.fact("rewrites", f"git processes for 10 / {many:,} commits", told, "the same", same)


def stories(ground: Ground, table: Table) -> None:
    """Tell stories of rewritten history of every category, and count what is said of lines."""
    sys.path.insert(0, str(TESTS))
    from support.rewrite_cases import CASES, tell
    from support.rewrite_stories import Tally

    seeds = range(1, 3 if ground.quick else 10)
    total, told = Tally(), 0
    for category, ways in CASES.items():
        part, cases = Tally(), 0
        for way in ways:
            for seed in seeds:
                part.add(tell(ground.place / f"{way.__name__}-{seed}", seed, way))
                cases += 1
        total.add(part)
        told += cases
        table.fact(
            "rewrite-stories",
            f"{category}, {cases} cases",
            _words(part),
            "0 wrong",
            not (part.wrong or part.refused),
        )
        for wrong in (*part.wrong, *part.refused):
            table.note(wrong)
    table.fact(
        "rewrite-stories",
        f"all, {told} cases",
        _words(total),
        "0 wrong",
        not (total.wrong or total.refused),
    )


def _words(tally: object) -> str:
    found = vars(tally)
    unknown = "; ".join(f"{count} {why}" for why, count in sorted(found["unknown"].items()))
    return (
        f"{found['lines']} lines: {found['right']} right, {found['human']} people's,"
        f" {len(found['wrong'])} wrong, {len(found['refused'])} links refused,"
        f" unknown: {unknown or 'none'}"
    )


@contextmanager
def _counted() -> Iterator[list[object]]:
    started: list[object] = []
    real = subprocess.Popen.__init__

    def init(self: subprocess.Popen[bytes], *arguments: object, **options: object) -> None:
        started.append(arguments)
        real(self, *arguments, **options)  # type: ignore[arg-type]

    subprocess.Popen.__init__ = init  # type: ignore[method-assign]
    try:
        yield started
    finally:
        subprocess.Popen.__init__ = real  # type: ignore[method-assign]


def _history(top: Path, count: int) -> tuple[World, list]:  # type: ignore[type-arg]
    """Make recorded commits and the same on a moved base, by fast-import; gives hooks' pairs."""
    top.mkdir()
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    files = {n: [f"line {n} {i}" for i in range(_LINES)] for n in range(_FILES)}
    stream = [_commit("refs/heads/base", 1, None, {f"f{n}.txt": _text(files[n]) for n in files})]
    stream.append(_commit("refs/heads/moved", 2, ":1", {"other.txt": "other\n"}))
    spans = []
    for branch, parent in (("main", ":1"), ("rebased", ":2")):
        held = {n: list(lines) for n, lines in files.items()}
        for number in range(count):
            lines = held[number % _FILES]
            at = 7 * number % len(lines)
            lines[at:at] = [f"made {number} {i}" for i in range(3)]
            mark = 10 + number + (count if branch == "rebased" else 0)
            changed = {f"f{number % _FILES}.txt": _text(lines)}
            stream.append(_commit(f"refs/heads/{branch}", mark, parent, changed))
            parent = f":{mark}"
            if branch == "main":
                content = _text(lines).encode()
                spans.append((number, at + 1, at + 3, content))
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=top, input="".join(stream).encode(), check=True
    )
    subprocess.run(["git", "checkout", "-q", "main"], cwd=top, check=True)
    world = World.here(top)
    olds, news = (
        world.git.run("rev-list", "--reverse", span).decode().split()
        for span in ("base..main", "moved..rebased")
    )
    _record(world, olds, spans)
    # The old commits were looked at before they were rewritten.
    subprocess.run(["git", "branch", "-q", "-D", "rebased"], cwd=top, check=True)
    rewrites.take_in(world)
    subprocess.run(["git", "checkout", "-q", "-b", "rebased", news[-1]], cwd=top, check=True)
    spool = top / ".git" / "agentprov" / "spool"
    spool.mkdir(parents=True)
    pairs = "".join(f"{old} {new}\n" for old, new in zip(olds, news, strict=True))
    payload = f"hook post-rewrite\nargument rebase\n\n{pairs}".encode()
    (spool / "1.drop").write_bytes(encode(Drop("git", "post-rewrite", payload)))
    return world, Spool((spool,)).new()


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _commit(ref: str, mark: int, parent: str | None, files: dict[str, str]) -> str:
    told = [f"commit {ref}\nmark :{mark}\n"]
    told.append(f"committer B <b@example.com> {1_700_000_000 + mark} +0000\ndata 4\nwork")
    told.append(f"\nfrom {parent}\n" if parent else "\n")
    told += [f"M 100644 inline {name}\ndata {len(text)}\n{text}" for name, text in files.items()]
    return "".join(told)


def _record(world: World, olds: list[str], spans: list[tuple[int, int, int, bytes]]) -> None:
    git: Git = world.git
    shape = git.run("log", "--reverse", "--format=%T %P", "base..main").decode().split("\n")
    blobs = git.run("log", "--reverse", "--format=", "--raw", "--no-abbrev", "base..main").decode()
    rows = [line.split() for line in blobs.splitlines() if line]
    notes = {}
    for span, oid, about, row in zip(spans, olds, shape, rows, strict=False):
        number, start, end, content = span
        tree, *parents = about.split()
        change = Change(
            f"f{number % _FILES}.txt".encode(), "modify", "100644", row[3], "0" * 64, len(content),
            ranges=(LineRange(start, end, "model", "intercepted"),),
            added=added_digest(content, [(start, end)]),
        )  # fmt: skip
        commit = Commit(oid, tree, tuple(parents), None, None, number + 1, (change,))
        statements = attest.generation(_FACTS, "0" * 64, commit, AgentReport())
        notes[oid] = [seal(statement, world.recorder) for statement in statements]
    world.store.add(notes)
