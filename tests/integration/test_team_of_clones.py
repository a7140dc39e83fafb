"""Five clones, a forge that knows nothing of us, a fork: what a fresh clone knows in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.clones import Team

STEPS = 60


@pytest.mark.parametrize("seed", [2, 3])
def test_a_fresh_clone_names_the_right_session_for_every_line_that_is_left(
    tmp_path: Path, seed: int
) -> None:
    """The long run, of 300 steps, is `python benchmarks/run.py team`."""
    team = Team(tmp_path, seed)
    for _ in range(STEPS):
        team.step()
    found = team.outcome()
    assert found.wrong == []
    assert found.orphans == set()
    assert found.sessions
    assert found.right > 60
