"""What process attribution costs: ``python benchmarks/attribution.py [--quick]``.

The same work bare and attributed, taking turns in every round; attributed includes the start of
launcher and supervisors unless a case says otherwise. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ground import PYTHON, Ground, machine
from measure import Sample, Table, process, run_cases

from agentprov.system.attribution.tree import Attribution, available

_GIT = """
set -e
git clone -q --no-hardlinks "$1" clone
cd clone
for i in $(seq 15); do
  echo "$i" >> d0000/f000000.txt
  git add -A
  git commit -q -m "$i"
done
"""
_READ = 'cat "$1"/d*/*.txt > /dev/null; grep -r nothing "$1" > /dev/null || true'
_CREATE = """
import os, sys
for number in range(int(sys.argv[1])):
    os.close(os.open(str(number), os.O_WRONLY | os.O_CREAT))
"""
_PROCESSES = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"


class _Place:
    """A fresh directory per run, removed untimed."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def bare(self, *argv: str) -> Sample:
        work = Path(tempfile.mkdtemp(dir=self._ground.place))
        sample = process(argv, cwd=work, env=self._ground.env)
        shutil.rmtree(work)
        return sample

    def attributed(self, *argv: str) -> Sample:
        work = Path(tempfile.mkdtemp(dir=self._ground.place))
        scratch = Path(tempfile.mkdtemp(dir=self._ground.place))
        begun, cpu = time.perf_counter(), _cpu()
        attribution = Attribution.start(scratch)
        status = attribution.spawn(list(argv), self._ground.env, work).wait(attribution.check)
        wall = time.perf_counter() - begun
        # Launcher and agent are waited for by now; the supervisors' share is not in it.
        sample = Sample(wall * 1000, (_cpu() - cpu) * 1000)
        answer = attribution.stop()
        if status or not answer.complete:
            raise SystemExit(f"{argv[0]}: status {status}, {answer.gaps}")
        shutil.rmtree(work)
        shutil.rmtree(scratch)
        return sample


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def overhead(ground: Ground, table: Table) -> None:
    """Compare bare and attributed work: git, reading, many processes, and nothing but creating."""
    if (why := available()) is not None:
        table.note(f"attribution: {why}")
        return
    top = ground.repository("source", ground.rounds(1000, 200))
    count = ground.rounds(5000, 1000)
    works: dict[str, tuple[str, ...]] = {
        "start": ("/bin/true",),
        "git": ("sh", "-c", _GIT, "sh", str(top)),
        "read": ("sh", "-c", _READ, "sh", str(top)),
        "processes": ("sh", "-c", _PROCESSES),
        "create": (PYTHON, "-I", "-S", "-c", _CREATE, str(count)),
    }
    place = _Place(ground)
    for name, argv in works.items():
        cases: dict[str, Callable[[], Sample]] = {
            "bare": lambda argv=argv: place.bare(*argv),  # type: ignore[misc]
            "attributed": lambda argv=argv: place.attributed(*argv),  # type: ignore[misc]
        }
        figure = f"attribution-{name}"
        kept = run_cases(table, figure, cases, ground.rounds(9, 3))
        if name == "create":
            pairs = zip(kept["attributed"], kept["bare"], strict=True)
            added = sorted((mine.wall - its.wall) / count * 1000 for mine, its in pairs)
            table.fact(figure, "added per create, us (median)", round(added[len(added) // 2]))
        table.print(figure)


def main() -> int:
    """Run and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, little work")
    chosen = parser.parse_args()
    print("  ".join(f"{key}: {value}" for key, value in machine().items()), flush=True)
    table = Table()
    with tempfile.TemporaryDirectory(prefix="agentprov-bench-") as place:
        overhead(Ground(Path(place).resolve(), chosen.quick), table)
    for note in table.notes:
        print(f"note: {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
