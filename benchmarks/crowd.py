"""Many at once: writers to one notes ref, and clones that push to one bare repository.

Counts what was lost, and how often somebody had to start again because another was faster. The
last case shares no lock, as if every clone stood on a machine of its own; they still share this
machine's cores.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ground import Ground
from measure import Failed, Table, median, quantile

from agentprov.formats.names import NOTES_REF
from agentprov.store import sync
from agentprov.store.notes import NotesStore
from agentprov.system.git import Git

WRITERS = 50
QUICK_WRITERS = 20
AT_MOST = 2


def crowd(ground: Ground, table: Table) -> None:
    """Measure local writers, then pushes with and without turns."""
    count = QUICK_WRITERS if ground.quick else WRITERS
    seed = ground.place / "seed"
    _git(ground.place, "init", "-q", str(seed))
    _git(seed, "commit", "-q", "--allow-empty", "-m", "first")
    head = _git(seed, "rev-parse", "HEAD")
    trees = [ground.place / f"tree{number}" for number in range(4)]
    for tree in trees:
        _git(seed, "worktree", "add", "-q", "--detach", str(tree))
    written = _at_once([(_write, (trees[n % 4], head, n)) for n in range(count)])
    kept = set(NotesStore(Git.discover(seed)).get(head))
    _tell(table, f"{count} writers of 5 records, 4 work trees", written, kept, 5 * count)

    for name, shared in (("taking turns", True), ("with nothing in common", False)):
        hub = ground.place / f"hub-{shared}.git"
        _git(ground.place, "clone", "-q", "--bare", str(seed), str(hub))
        _git(hub, "update-ref", "-d", NOTES_REF)
        tops = []
        for number in range(count):
            top = ground.place / f"clone-{shared}-{number}"
            _git(ground.place, "clone", "-q", str(hub), str(top))
            NotesStore(Git.discover(top)).add({head: [f"record {number}".encode()]})
            tops.append(top)
        turns = ground.place / "turns" if shared else None
        pushed = _at_once([(_push, (top, turns)) for top in tops])
        there = _git(hub, "notes", "--ref=agentprov", "show", head).splitlines()
        kept = {line.encode() for line in there if line}
        _tell(table, f"{count} clones push at once, {name}", pushed, kept, count)


def _tell(
    table: Table, what: str, done: Sequence[tuple[int, float]], kept: set[bytes], expected: int
) -> None:
    lost = expected - len(kept)
    retries = [float(one[0]) for one in done]
    seconds = [one[1] for one in done]
    table.fact("crowd", f"{what}: lost", lost, "0", lost == 0)
    p95 = quantile(retries, 0.95)
    table.fact(
        "crowd", f"{what}: retries p95 (most, mean)",
        f"{p95:g} ({max(retries):g}, {sum(retries) / len(retries):.2f})",
        f"<= {AT_MOST}", p95 <= AT_MOST,
    )  # fmt: skip
    table.fact(
        "crowd", f"{what}: seconds p50, p95, most",
        f"{median(seconds):.1f}, {quantile(seconds, 0.95):.1f}, {max(seconds):.1f}",
    )  # fmt: skip


def _write(top: Path, head: str, number: int) -> int:
    store = NotesStore(Git.discover(top))
    for turn in range(5):
        store.add({head: [f"{number}-{turn}".encode()]})
    return store.retries


def _push(top: Path, turns: Path | None) -> int:
    store = NotesStore(Git.discover(top))
    _, _, pushed = sync.sync(store, "origin", turns)
    if pushed.outcome not in ("pushed", "unchanged"):
        raise Failed(f"a push was refused: {pushed.why}")
    return max(0, pushed.attempts - 1)


def _at_once(
    jobs: Sequence[tuple[Callable[..., int], tuple[Any, ...]]],
) -> list[tuple[int, float]]:
    """Run each job in a process of its own, all started together; gives (retries, seconds)."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(len(jobs))
    answers: Any = context.SimpleQueue()
    running = [
        context.Process(target=_one, args=(gate, answers, job, arguments))
        for job, arguments in jobs
    ]
    for process in running:
        process.start()
    found = [answers.get() for _ in running]
    for process in running:
        process.join()
    failed = [word for word, _ in found if isinstance(word, str)]
    if failed:
        raise Failed("; ".join(failed[:3]))
    return found


def _one(gate: Any, answers: Any, job: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    gate.wait()
    begun = time.perf_counter()
    try:
        retries: int | str = job(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent tells it
        retries = repr(error)
    answers.put((retries, time.perf_counter() - begun))


def _git(where: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", *arguments],
        cwd=where, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
