"""Rewritten histories of every category: what is said of a line is never wrong.

The long form, with hundreds of stories, is ``python benchmarks/run.py rewrite-stories``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.rewrite_cases import CASES, tell

_ALL = [(category, way) for category, ways in CASES.items() for way in ways]
# Ways in which nothing of a session is left, or nobody can say whose it is.
_NOTHING_LEFT = {
    "typed_by_hand",
    "every_line_edited",
    "revert",
    "the_same_text_twice",
    "reset_hard",
    "submodules",
}


@pytest.mark.parametrize(
    ("number", "way"),
    [(number, way) for number, (_, way) in enumerate(_ALL)],
    ids=[way.__name__ for _, way in _ALL],
)
def test_nothing_is_said_wrongly_of_a_rewritten_line(
    number: int, way: object, tmp_path: Path
) -> None:
    tally = tell(tmp_path / "story", 100 + number, way)  # type: ignore[arg-type]
    assert tally.wrong == []
    assert tally.refused == []
    if way.__name__ not in _NOTHING_LEFT:  # type: ignore[attr-defined]
        assert tally.right > 0
        lost = sum(
            count
            for why, count in tally.unknown.items()
            if why != "the session's own record leaves it open"
        )
        assert lost <= tally.right
