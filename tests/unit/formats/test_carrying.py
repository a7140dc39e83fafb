"""Which lines of a rewritten commit are which lines of the old ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentprov.formats import carrying
from agentprov.formats.carrying import Claim, OldCommit, StatedChange, Version


def claim(start: int, end: int, origin: str = "model", source: int = 0, **more: Any) -> Claim:
    made = Claim(start, end, origin, more.pop("basis", "intercepted"), None, None, source)
    return made._replace(**more)


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


BASE = text("import os", "", "print(os.name)")
MADE = text("import os", "", "def greet():", "    return 'hello'", "", "print(os.name)")


def carried(
    new: bytes, added: Sequence[tuple[int, int]], claims: Sequence[Claim] = (claim(3, 5),)
) -> list[Claim] | None:
    blobs = {"base": BASE, "made": MADE}
    return carrying.carry([Version("base", "made", tuple(claims))], blobs.get, new, added)


def test_an_unchanged_file_keeps_its_claims() -> None:
    assert carried(MADE, [(3, 5)]) == [claim(3, 5)]


def test_only_added_lines_are_claimed() -> None:
    assert carried(MADE, [(4, 4)]) == [claim(4, 4)]
    assert carried(MADE, []) == []


def test_lines_move_with_what_stands_around_them() -> None:
    new = text("#!/usr/bin/python", "import os", "", "def greet():", "    return 'hello'", "", "x")
    assert carried(new, [(1, 7)]) == [claim(4, 6)]


def test_an_edited_line_is_nobodys() -> None:
    new = text("import os", "", "def greet():", "    return 'good bye'", "", "print(os.name)")
    assert carried(new, [(3, 5)]) == [claim(3, 3), claim(5, 5)]


def test_trailing_space_does_not_count() -> None:
    new = MADE.replace(b"def greet():\n", b"def greet():  \r\n")
    assert carried(new, [(3, 5)]) == [claim(3, 5)]


def test_a_later_commit_claims_what_it_changed() -> None:
    blobs = {"1": text("one", "two", "three"), "2": text("one", "TWO", "three")}
    history = [Version(None, "1", (claim(1, 3),)), Version("1", "2", (claim(2, 2, source=1),))]
    assert carrying.carry(history, blobs.get, blobs["2"], [(1, 3)]) == [
        claim(1, 1),
        claim(2, 2, source=1),
        claim(3, 3),
    ]


def test_where_equal_lines_have_different_claims_none_is_claimed() -> None:
    blobs = {"1": text("a", "}", "}", "b")}
    history = [Version(None, "1", (claim(1, 2), claim(3, 4, "human", source=1)))]
    assert carrying.carry(history, blobs.get, text("a", "}", "b"), [(1, 3)]) == [
        claim(1, 1),
        claim(3, 3, "human", source=1),
    ]


def test_binary_and_missing_versions_say_nothing() -> None:
    assert carrying.carry([Version("gone", "made", ())], {"made": MADE}.get, MADE, [(1, 1)]) is None
    assert carrying.carry([Version(None, "b", ())], {"b": b"\0"}.get, MADE, [(1, 1)]) is None
    assert carrying.carry([Version(None, "b", ())], {"b": MADE}.get, b"\0", [(1, 1)]) is None
    assert carrying.carry([], {}.get, MADE, [(1, 1)]) is None


def test_without_old_versions_the_same_file_and_the_same_added_lines_are_enough() -> None:
    claims = (claim(3, 5),)
    same = [Version(None, "made", claims)]
    assert carrying.follow([Version("gone", "gone too", claims)], {}.get, MADE, [(3, 5)], "x") == []
    assert carrying.follow([*same], {}.get, MADE, [(3, 4)], "made") == [claim(3, 4)]
    digest = carrying.added_digest(MADE, [(3, 5)])
    moved = text("first", "second", *MADE.decode().splitlines())
    shifted = [Version("gone", "gone too", claims, digest)]
    assert carrying.follow(shifted, {}.get, moved, [(5, 7)], "x") == [claim(5, 7)]
    assert carrying.follow(shifted, {}.get, moved, [(5, 6)], "x") == []


def test_several_statements_of_one_session_are_one() -> None:
    one, other = claim(1, 2), claim(2, 3, source=1)
    assert carrying.merged([one, other]) == [claim(1, 1), claim(3, 3, source=1)]
    same = carrying.merged([one, other], lambda _: "session")
    assert same == [claim(1, 2), claim(3, 3, source=1)]
    assert carrying.merged([claim(1, 1, "unknown"), other._replace(start=1, end=1)]) == [
        claim(1, 1, source=1)
    ]


def test_files_are_followed_through_the_renames_that_are_stated() -> None:
    olds = [
        OldCommit("o1", {"a": (None, "1")}, {"a": StatedChange("add", None, (claim(1, 1),))}),
        OldCommit(
            "o2",
            {"a": ("1", None), "b": (None, "2")},
            {"b": StatedChange("rename", "a", (claim(2, 2),))},
        ),
    ]
    assert carrying.versions("b", olds) == [
        Version(None, "1", (claim(1, 1),)),
        Version("1", "2", (claim(2, 2),)),
    ]


def test_a_likeness_is_at_most_reported() -> None:
    assert [one.basis for one in carrying.capped([claim(1, 1), claim(2, 2, basis="declared")])] == [
        "reported",
        "declared",
    ]


_LINES = st.lists(st.sampled_from(["", "}", "a = 1", "b = 22222", "a long line of its own"]))


@given(
    versions=st.lists(_LINES, min_size=1, max_size=4),
    new=_LINES,
    marks=st.lists(st.integers(0, 12), max_size=6),
    added=st.lists(st.integers(1, 12), max_size=8, unique=True),
)
def test_a_claim_stands_on_added_lines_of_the_same_text_only(
    versions: list[list[str]], new: list[str], marks: list[int], added: list[int]
) -> None:
    blobs = {str(n): text(*lines) for n, lines in enumerate(versions)}
    history = []
    told: set[str] = set()
    for number, lines in enumerate(versions):
        mine = sorted({mark % len(lines) + 1 for mark in marks}) if lines else []
        told.update(lines[at - 1] for at in mine)
        before = str(number - 1) if number else None
        claims = tuple(claim(at, at, source=number) for at in mine)
        history.append(Version(before, str(number), claims))
    spans = [(number, number) for number in sorted(added) if number <= len(new)]
    found = carrying.carry(history, blobs.get, text(*new), spans)
    assert found == carrying.carry(history, blobs.get, text(*new), spans)
    assert found is not None
    numbers = [n for one in found for n in range(one.start, one.end + 1)]
    assert len(numbers) == len(set(numbers))
    assert {(number, number) for number in numbers} <= set(spans)
    for one in found:
        for number in range(one.start, one.end + 1):
            stood = versions[one.source]
            assert new[number - 1] in stood and new[number - 1] in told
