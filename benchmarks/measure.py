"""Timing: cases take turns in every round, so that a busy machine is busy for all of them.

A case does its untimed preparation itself and gives one `Sample` per call. Times are in
milliseconds; CPU is user plus system time of the measured process and of the children that it
waited for.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One measured run: wall and CPU milliseconds."""

    wall: float
    cpu: float


Case = Callable[[], Sample]


class Failed(Exception):
    """What was to be measured did not do its work; its time would be worth nothing."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratio` and `added` compare with the figure's first case.

    `added` is the median over the rounds of (this case less the first case), which a drifting
    machine disturbs less than a difference of medians.
    """

    figure: str
    case: str
    wall_p50: float
    wall_p95: float
    cpu_p50: float
    ratio: float | None = None
    cpu_ratio: float | None = None
    cpu_p95: float | None = None
    added: float | None = None
    added_p95: float | None = None
    target: str = ""
    met: bool | None = None


class Table:
    """Collects rows and facts; prints them; gives them as JSON."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.facts: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def fact(
        self, figure: str, what: str, value: object, target: str = "", met: bool | None = None
    ) -> None:
        """Keep a figure that is no time: a count, a size."""
        self.facts.append(
            {"figure": figure, "what": what, "value": value, "target": target, "met": met}
        )

    def note(self, text: str) -> None:
        """Keep a sentence: what was missing here, what was left out."""
        self.notes.append(text)

    def document(self, machine: Mapping[str, str]) -> dict[str, Any]:
        """Give everything as data."""
        return {
            "machine": dict(machine),
            "times": [asdict(row) for row in self.rows],
            "facts": self.facts,
            "notes": self.notes,
        }

    def print(self, figure: str | None = None) -> None:
        """Print the rows and facts of one figure, or of all."""
        rows = [row for row in self.rows if figure in (None, row.figure)]
        if rows:
            _columns(
                [
                    ["figure", "case", "wall p50", "p95", "cpu p50", "cpu p95",
                     "x wall", "x cpu", "+ms", "+p95", "target", ""],
                    *([
                        row.figure, row.case, _ms(row.wall_p50), _ms(row.wall_p95),
                        _ms(row.cpu_p50), _ms(row.cpu_p95), _times(row.ratio),
                        _times(row.cpu_ratio), _ms(row.added),
                        _ms(row.added_p95), row.target, _word(row.met),
                    ] for row in rows),
                ]
            )  # fmt: skip
        for item in self.facts:
            if figure in (None, item["figure"]):
                wanted = f"  ({item['target']}: {_word(item['met'])})" if item["target"] else ""
                print(f"{item['figure']}: {item['what']}: {item['value']}{wanted}")
        sys.stdout.flush()


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _word(met: bool | None) -> str:
    return {True: "met", False: "MISSED", None: ""}[met]


def _columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [
            cell.ljust(width) if i in (0, 1, 10) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def median(values: Sequence[float]) -> float:
    """Give the middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True)
class Target:
    """What a case must reach, in words and as a test of its finished row."""

    text: str
    holds: Callable[[Row], bool]


def at_most_times(limit: float, *, cpu: bool = False) -> Target:
    """Demand at most `limit` times the first case."""
    word = "cpu" if cpu else "wall"
    return Target(
        f"<= {limit:g}x {word}",
        lambda row: ((row.cpu_ratio if cpu else row.ratio) or 0) <= limit,
    )


def at_most_added(p50: float, p95: float | None = None) -> Target:
    """Demand at most so many milliseconds on top of the first case."""
    text = f"+{p50:g} ms p50" + (f", +{p95:g} p95" if p95 else "")
    return Target(
        text,
        lambda row: (row.added or 0) <= p50 and (p95 is None or (row.added_p95 or 0) <= p95),
    )


def run_cases(
    table: Table,
    figure: str,
    cases: Mapping[str, Case],
    rounds: int,
    targets: Mapping[str, Target] | None = None,
    *,
    warm: int = 1,
) -> dict[str, list[Sample]]:
    """Run every case once per round, starting with another one each time; fill the table."""
    names = list(cases)
    kept: dict[str, list[Sample]] = {name: [] for name in names}
    for turn in range(-warm, rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            sample = cases[name]()
            if turn >= 0:
                kept[name].append(sample)
    floor = kept[names[0]]
    for name in names:
        row = _row(figure, name, kept[name], None if name == names[0] else floor)
        target = (targets or {}).get(name)
        if target is not None:
            row = Row(**{**asdict(row), "target": target.text, "met": target.holds(row)})
        table.rows.append(row)
    return kept


def _row(figure: str, name: str, samples: Sequence[Sample], floor: Sequence[Sample] | None) -> Row:
    walls = [sample.wall for sample in samples]
    cpus = [sample.cpu for sample in samples]
    plain = Row(
        figure, name, median(walls), quantile(walls, 0.95), median(cpus),
        cpu_p95=quantile(cpus, 0.95),
    )  # fmt: skip
    if floor is None:
        return plain
    added = [mine.wall - its.wall for mine, its in zip(samples, floor, strict=True)]
    return Row(
        **{
            **asdict(plain),
            "ratio": plain.wall_p50 / max(median([s.wall for s in floor]), 1e-9),
            "cpu_ratio": plain.cpu_p50 / max(median([s.cpu for s in floor]), 1e-9),
            "added": median(added),
            "added_p95": quantile(added, 0.95),
        }
    )


def process(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    input: bytes | None = None,
    status: int | None = 0,
) -> Sample:
    """Time one process from start to end; its output goes nowhere.

    Raises Failed when it ends with another status than the expected one.
    """
    read, write = os.pipe()
    if input:
        os.write(write, input)  # payloads here are far below a pipe's capacity
    os.close(write)
    with open(read, "rb") as stdin, open(os.devnull, "wb") as nowhere:
        begun = time.perf_counter()
        child = subprocess.Popen(
            argv, cwd=cwd, env=dict(env), stdin=stdin, stdout=nowhere, stderr=nowhere
        )
        _, raw, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(raw)
    if status is not None and child.returncode != status:
        raise Failed(f"{' '.join(argv)}: status {child.returncode}, expected {status}")
    return Sample(wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def first_byte(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Sample:
    """Time one process until something it starts has written its first byte to stdout.

    CPU is of the whole process.
    """
    read, write = os.pipe()
    with open(os.devnull, "r+b") as nowhere:
        begun = time.perf_counter()
        child = subprocess.Popen(
            argv, cwd=cwd, env=dict(env), stdin=nowhere, stdout=write, stderr=nowhere
        )
        os.close(write)
        os.read(read, 1)
        wall = time.perf_counter() - begun
        _, raw, usage = os.wait4(child.pid, 0)
    os.close(read)
    child.returncode = os.waitstatus_to_exitcode(raw)
    if child.returncode != 0:
        raise Failed(f"{' '.join(argv)}: status {child.returncode}")
    return Sample(wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def inside(action: Callable[[], object]) -> Sample:
    """Time a call in this process, with the CPU of children that it waited for."""
    before = _cpu()
    begun = time.perf_counter()
    action()
    wall = time.perf_counter() - begun
    return Sample(wall * 1000, (_cpu() - before) * 1000)


def _cpu() -> float:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total
