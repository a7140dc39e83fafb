from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentprov.formats.facts import CommandWindow, Edit, LineRange
from agentprov.record import origins
from agentprov.record.origins import Account, Circumstances, added_lines, within_commands

ALL = "no-model-text"


def ranges(
    content: bytes,
    added: Sequence[tuple[int, int]],
    outside: Mapping[str, frozenset[int]],
    edits: Sequence[Edit],
    *,
    why_not: str,
    by_command: bool = False,
) -> tuple[LineRange, ...]:
    """Judge a file of which there are reports only: no wire, no versions."""
    account = Account(b"f", reported=edits, by_command=by_command)
    return origins.ranges(content, added, outside, account, Circumstances(why_not=why_not))


def _edit(text: str, model: str = "m") -> Edit:
    return Edit("/r/f", text, "Write", model, "reported")


def test_hunk_headers_give_added_ranges() -> None:
    patch = b"@@ -0,0 +1,3 @@\n@@ -4 +8 @@\n@@ -9,2 +10,0 @@\n"
    assert list(added_lines(patch)) == [(1, 3), (8, 8)]


def test_a_written_file_is_the_models() -> None:
    text = "import os\n\nprint(os.name)\n"
    assert ranges(text.encode(), [(1, 3)], {}, [_edit(text)], why_not=ALL) == (
        LineRange(1, 3, "model", "reported", "m"),
    )


def test_a_line_that_no_edit_holds_stays_unknown() -> None:
    text = "import os\nprint(os.name)\n"
    found = ranges((text + "evil()\n").encode(), [(1, 3)], {}, [_edit(text)], why_not=ALL)
    assert found == (
        LineRange(1, 2, "model", "reported", "m"),
        LineRange(3, 3, "unknown", "observed", why=ALL),
    )


def test_a_brace_alone_is_not_evidence() -> None:
    found = ranges(b"}\n", [(1, 1)], {}, [_edit("something long enough\n}\n")], why_not=ALL)
    assert found == (LineRange(1, 1, "unknown", "observed", why=ALL),)


def test_lines_from_before_or_after_the_session_are_never_the_models() -> None:
    text = "first distinctive line\nsecond distinctive line\n"
    outside = {"before-session": frozenset({1}), "after-session": frozenset({2})}
    found = ranges(text.encode(), [(1, 2)], outside, [_edit(text)], why_not=ALL)
    assert [(r.origin, r.why) for r in found] == [
        ("unknown", "before-session"),
        ("unknown", "after-session"),
    ]


def test_carriage_returns_do_not_hide_the_model() -> None:
    found = ranges(
        b"a long line here\r\n", [(1, 1)], {}, [_edit("a long line here\n")], why_not=ALL
    )
    assert found[0].origin == "model"


def test_the_later_edit_names_the_model() -> None:
    text = "the very same line\n"
    found = ranges(text.encode(), [(1, 1)], {}, [_edit(text, "a"), _edit(text, "b")], why_not=ALL)
    assert found[0].model == "b"


def test_one_edit_does_not_account_for_a_repeated_line_twice() -> None:
    content = b"x = compute()\ny = 1\nx = compute()\n"
    found = ranges(content, [(1, 3)], {}, [_edit("x = compute()\n")], why_not=ALL)
    assert [(r.origin, r.why) for r in found] == [
        ("unknown", "repeated-line"),
        ("unknown", ALL),
        ("unknown", "repeated-line"),
    ]


WINDOW = CommandWindow("2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z", "reported")


def test_a_file_that_changed_only_during_one_command_is_the_commands() -> None:
    touched = {
        b"inside": ("2026-01-01T00:00:11.000Z", "2026-01-01T00:00:20.100Z"),
        b"before": ("2026-01-01T00:00:09.900Z", "2026-01-01T00:00:12.000Z"),
        b"after": ("2026-01-01T00:00:11.000Z", "2026-01-01T00:00:21.000Z"),
    }
    assert within_commands(touched, [WINDOW]) == {b"inside"}


def test_two_commands_do_not_add_up_to_one() -> None:
    later = CommandWindow("2026-01-01T00:00:30Z", "2026-01-01T00:00:40Z", "reported")
    touched = {b"f": ("2026-01-01T00:00:11.000Z", "2026-01-01T00:00:35.000Z")}
    assert within_commands(touched, [WINDOW, later]) == frozenset()


def test_a_command_claims_nothing_of_a_file_that_a_write_tool_wrote() -> None:
    found = ranges(
        b"from the tool\nfrom elsewhere\n", [(1, 2)], {}, [_edit("from the tool\n")],
        why_not=ALL, by_command=True,
    )  # fmt: skip
    assert [(r.origin, r.why) for r in found] == [("model", None), ("unknown", ALL)]


def test_a_command_claims_the_lines_of_its_own_file_but_no_older_ones() -> None:
    outside = {"before-session": frozenset({1})}
    found = ranges(b"old\nnew\n", [(1, 2)], outside, [], why_not=ALL, by_command=True)
    assert [(r.origin, r.basis) for r in found] == [
        ("unknown", "observed"),
        ("command", "reported"),
    ]
