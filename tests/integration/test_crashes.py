"""Recorders are killed at any point; the next command finds everything whole and goes on.

The long form is ``python benchmarks/run.py crash --kills 200``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.crashes import Laboratory, Tally


@pytest.mark.parametrize("seed", [11, 12])
def test_kill_9_at_random_points_leaves_nothing_broken(tmp_path: Path, seed: int) -> None:
    laboratory = Laboratory(tmp_path, seed, thorough=False)
    tally = Tally()
    for victim in laboratory.victims:
        tally.add(laboratory.kill(victim))
    laboratory.thorough = True
    for victim in ("run", "drain of a dead recorder"):
        tally.add(laboratory.kill(victim))
    assert tally.kills >= 6
    assert [(one.victim, one.point, one.wrong) for one in tally.outcomes if one.wrong] == []
