"""Line origins, fast and right: ``python benchmarks/origins.py [--operations N] [--seed S]``.

Times the origins of a session of 200 files and 20,000 lines. With `--operations`, tells stories
of that many operations (people, two agents, commands, moves, renames, refusals, tampering) and
holds every answer against the author whom each line knows. Prints tables and the seeds of
whatever is wrong; ends with 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from agentprov.formats.facts import Edit
from agentprov.record.accounts import Account, Circumstances, Moves
from agentprov.record.origins import ranges
from agentprov.record.versions import Version
from support.origin_model import Setting, Story, stamp

_STORY = 60
_SETTINGS = {
    "gateway, attribution, versions": Setting(),
    "gateway, versions": Setting(attribution=False),
    "reports, attribution, versions": Setting(gateway=False),
    "gateway, a fifth of versions lost": Setting(loss=0.2),
}


def session(files: int = 200, lines: int = 100) -> Iterator[tuple[bytes, Account]]:
    """Give the content and account of each file: written, edited and formatted."""
    for number in range(files):
        path = f"src/part{number}.py"
        before = [f"old_{number}_{n} = {n}" for n in range(20)]
        made = [f"value_{number}_{n} = compute({n})" for n in range(lines)]
        first = [*before, *made]
        second = [line.replace("compute", "calculate") if n % 10 == 0 else line
                  for n, line in enumerate(first)]  # fmt: skip
        moment = number * 10_000
        edits = [Edit(f"/r/{path}", "\n".join(first), "Write", "m", "intercepted",
                      stamp(moment), "c1")]  # fmt: skip
        for n, (old, new) in enumerate(zip(first, second, strict=True)):
            if old != new:
                edits.append(Edit(f"/r/{path}", new, "Edit", "m", "intercepted",
                                  stamp(moment + 1_000), f"c{n}", replaces=old))  # fmt: skip
        versions = [
            Version(stamp(moment + 100), stamp(moment + 105), _content(first)),
            Version(stamp(moment + 1_100), stamp(moment + 1_105), _content(second)),
        ]
        account = Account(path.encode(), _content(before), versions, (), edits)
        yield _content(second), account


def _content(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


def speed(rounds: int) -> None:
    """Time the origins of the whole session."""
    work = list(session())
    moves = Moves(edit for _, account in work for edit in account.wire)
    about = Circumstances(wire_complete=True, followed=True, elsewhere=moves)
    walls, cpus, model = [], [], 0
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        found = [ranges(content, [(21, 120)], {}, account, about) for content, account in work]
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        model = sum(r.end - r.start + 1 for one in found for r in one if r.origin == "model")
    print(
        f"200 files, 20,000 added lines: median {statistics.median(walls) * 1000:.0f} ms wall, "
        f"worst {max(walls) * 1000:.0f} ms, {statistics.median(cpus) * 1000:.0f} ms CPU "
        f"(target 1000 ms); {model} lines are the model's"
    )


def tell(job: tuple[str, int, int]) -> tuple[Counter[str], list[str]]:
    """Tell stories from one seed to before another."""
    name, begin, end = job
    tally: Counter[str] = Counter()
    errors: list[str] = []
    for seed in range(begin, end):
        story = Story(seed, _SETTINGS[name])
        story.run(_STORY)
        tally += story.tally
        errors += story.errors
    return tally, errors


def fuzz(operations: int, seed: int, workers: int) -> None:
    """Tell stories in every setting, most of them in the one that the figure is about."""
    for name in _SETTINGS:
        share = operations if name == next(iter(_SETTINGS)) else operations // 10
        stories = max(share // _STORY, 1)
        began = time.perf_counter()
        size = max(stories // (workers * 20), 1)
        jobs = [
            (name, seed + first, seed + min(first + size, stories))
            for first in range(0, stories, size)
        ]
        tally: Counter[str] = Counter()
        errors: list[str] = []
        with ProcessPoolExecutor(workers) as pool:
            for some, wrong in pool.map(tell, jobs):
                tally += some
                errors += wrong
        _print(name, stories * _STORY, tally, errors, time.perf_counter() - began, seed)


def _print(
    name: str, operations: int, tally: Counter[str], errors: list[str], took: float, seed: int
) -> None:
    total = tally["lines"] or 1
    print(f"\n{name}: {operations} operations from seed {seed}, {took:.0f} s")
    print(f"  {tally['commits']} commits, {tally['lines']} added lines judged")
    swaps = tally["swap model for human"] + tally["swap human for model"]
    print(f"  swaps between model and human: {swaps}; other false model: {tally['false model']}; "
          f"false agent: {tally['false agent']}")  # fmt: skip
    shares = ", ".join(
        f"{origin} {100 * tally[origin] / total:.2f} %"
        for origin in ("model", "command", "human", "agent", "unknown")
    )
    print(f"  {shares}")
    for key, count in sorted(tally.items(), key=lambda item: -item[1]):
        if key.startswith("why "):
            print(f"    unknown, {key[4:]}: {100 * count / total:.2f} %")
    for author in ("model", "human", "agent", "command"):
        seen = {key: count for key, count in tally.items() if key.startswith(f"{author} as ")}
        words = ", ".join(f"{key.split(' as ')[1]} {count}" for key, count in sorted(seen.items()))
        print(f"    lines by {author}: {words}")
    for error in errors[:20]:
        print(f"  WRONG {error}")


def main() -> int:
    """Run both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    speed(chosen.rounds)
    fuzz(chosen.operations, chosen.seed, chosen.workers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
