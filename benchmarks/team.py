"""A scripted team: whether a fresh clone knows who wrote each line that is left of its work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ground import Ground
from measure import Table

TESTS = Path(__file__).resolve().parent.parent / "tests"


def team(ground: Ground, table: Table) -> None:
    """Let five clones, a forge and a fork work for 300 random steps, some times over."""
    sys.path.insert(0, str(TESTS))
    from support.clones import Team

    steps = 300 if not ground.quick else 60
    for seed in range(ground.seed, ground.seed + (3 if not ground.quick else 1)):
        place = ground.place / f"team{seed}"
        place.mkdir()
        home = {"HOME": str(place), "AGENTPROV_HOME": str(place / "keys")}
        before = dict(os.environ)
        os.environ.update(home)
        try:
            for name, value in (("name", "Team"), ("email", "team@example.com")):
                subprocess.run(["git", "config", "--global", f"user.{name}", value], check=True)
            begun = time.perf_counter()
            made = Team(place, seed)
            for _ in range(steps):
                made.step()
            found = made.outcome()
        finally:
            os.environ.clear()
            os.environ.update(before)
        what = f"{steps} steps, seed {seed}, {time.perf_counter() - begun:.0f} s"
        said = (
            f"{found.lines} lines: {found.right} right, {found.unknown} unknown, "
            f"{len(found.wrong)} wrong; {found.sessions} sessions live on, "
            f"{len(found.orphans)} of them orphans"
        )
        met = not found.wrong and not found.orphans
        table.fact("team", what, said, "0 wrong, 0 orphans", met)
        done = ", ".join(f"{name} {count}" for name, count in sorted(found.steps.items()))
        table.note(f"seed {seed}: {done}")
