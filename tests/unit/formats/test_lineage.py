"""Lines that are followed from version to version, and files that were made to take for ever."""

from __future__ import annotations

import time

from agentprov.formats.lineage import Lineage, carried


def peeled(count: int, word: str) -> list[bytes]:
    """Give lines of which each common one stands once only after the one before it was found."""
    lines = [b"%s 0" % word.encode(), b"v 1", b"%s 1" % word.encode(), b"u"]
    for number in range(2, count):
        lines += [b"%s %d" % (word.encode(), number), b"v %d" % number, b"v %d" % (number - 1)]
    return [*lines, b"%s end" % word.encode()]


def test_anchors_inside_of_anchors_end_after_some_levels() -> None:
    old, new = peeled(16_000, "old"), peeled(16_000, "new")
    began = time.process_time()
    found = carried(old, new)
    # Without the bound: more than a minute. Every line that is found is a true one all the same.
    assert time.process_time() - began < 10
    assert all(old[before] == new[after] for after, before in enumerate(found) if before >= 0)
    assert sum(before >= 0 for before in found) >= 60


def test_equal_lines_by_the_thousand_take_no_time() -> None:
    began = time.process_time()
    for more in (1, 500, 50_000):
        lineage = Lineage([b"x"] * 50_000)
        assert len(lineage.step([b"x"] * (50_000 + more))) == more
    assert time.process_time() - began < 10
