"""Stories of people, agents and commands in one tree: nobody's line is ever given to another.

The million is told by ``python benchmarks/origins.py --operations 1000000``; a failure names
the seed that tells the same story again.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from support.origin_model import Setting, Story

STORY = 60
STORIES = 25


def _tell(setting: Setting) -> Counter[str]:
    first = int(os.environ.get("ORIGIN_SEED", "7000"))
    tally: Counter[str] = Counter()
    for seed in range(first, first + STORIES):
        story = Story(seed, setting)
        story.run(STORY)
        assert not story.errors, "\n".join(story.errors[:10])
        tally += story.tally
    return tally


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(Setting(), id="all-witnesses"),
        pytest.param(Setting(attribution=False), id="no-attribution"),
        pytest.param(Setting(gateway=False), id="no-gateway"),
        pytest.param(Setting(loss=0.2), id="lost-versions"),
        pytest.param(Setting(versions=False, attribution=False), id="no-versions"),
        pytest.param(Setting(second=1.0), id="two-sessions"),
        pytest.param(Setting(malice=0.3), id="malice"),
        pytest.param(Setting(malice=0.3, lost_processes=0.2), id="malice-and-lost-processes"),
    ],
)
def test_no_line_is_given_to_the_wrong_hand(setting: Setting) -> None:
    tally = _tell(setting)
    assert tally["lines"] > 1_000
    assert tally["model as model"] > tally["lines"] / 4
    for wrong in ("swap model for human", "swap human for model", "false agent", "false model"):
        assert tally[wrong] == 0


def test_little_stays_unknown_with_all_witnesses() -> None:
    tally = _tell(Setting())
    print(f"unknown: {100 * tally['unknown'] / tally['lines']:.2f} % of {tally['lines']} lines")
    assert tally["unknown"] < tally["lines"] * 0.03


def test_what_an_agent_slips_in_is_its_own() -> None:
    tally = _tell(Setting(malice=0.3, second=0.0))
    assert tally["beside"] > 20
    assert tally["agent as agent"] > 0.9 * sum(
        count for kind, count in tally.items() if kind.startswith("agent as ")
    )
    assert tally["agent as model"] == tally["agent as command"] == 0


def test_people_are_named_only_where_attribution_proves_it() -> None:
    assert _tell(Setting(attribution=False))["human"] == 0
    assert _tell(Setting())["human as human"] > 0
