from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from agentprov.formats.facts import CommandWindow, Edit, LineRange
from agentprov.record import origins
from agentprov.record.accounts import Account, Circumstances, Hand, Moves, Opened
from agentprov.record.neighbours import Neighbours
from agentprov.record.versions import Version
from agentprov.record.windows import within_commands

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


# --- with versions and the wire


def _at(second: float) -> str:
    return f"2026-01-01T00:{int(second) // 60:02}:{second % 60:06.3f}Z"


def _version(second: float, text: str, *, by_others: bool = False) -> Version:
    return Version(_at(second), _at(second + 0.005), text.encode(), by_others)


def _wire(
    second: float, text: str, *, replaces: str | None = None, echoed: tuple[int, ...] = ()
) -> Edit:
    return Edit(
        "/r/f", text, "Write", "m", "intercepted", _at(second), f"call{second}",
        echoed=echoed, replaces=replaces, until=_at(second + 2),
    )  # fmt: skip


def _told(second: float, text: str, call: float) -> Edit:
    return Edit("/r/f", text, "Write", "m", "reported", _at(second), f"call{call}")


SEEN = Circumstances(wire_complete=True, followed=True)


def judged(
    content: str, account: Account, about: Circumstances = SEEN
) -> list[tuple[str, str, str | None]]:
    """Judge a file whose every line was added; give (origin, basis, why) line by line."""
    count = content.count("\n")
    found = origins.ranges(content.encode(), [(1, count)], {}, account, about)
    assert found[0].start == 1
    assert found[-1].end == count
    return [(r.origin, r.basis, r.why) for r in found for _ in range(r.start, r.end + 1)]


MODEL = ("model", "intercepted", None)
TEXT = "alpha_one = 1\nbeta_two = 2\n"


def test_what_an_answer_held_before_it_was_written_is_the_models() -> None:
    account = Account(b"f", b"", [_version(11, TEXT)], (), [_wire(10, TEXT)])
    assert judged(TEXT, account) == [MODEL, MODEL]


def test_an_answer_that_came_after_the_line_did_not_write_it() -> None:
    account = Account(b"f", b"", [_version(9, TEXT)], (), [_wire(10, TEXT)])
    assert {origin for origin, _, _ in judged(TEXT, account)} == {"unknown"}


def test_a_persons_line_stays_out_of_the_models_when_the_model_writes_the_file_again() -> None:
    mine = "gamma_three = 3\n"
    account = Account(
        b"f", b"", [_version(5, mine), _version(11, mine + TEXT)], (),
        [_wire(10, mine + TEXT, echoed=(1,))],
    )  # fmt: skip
    assert judged(mine + TEXT, account) == [
        ("unknown", "observed", "no-process-attribution"),
        MODEL,
        MODEL,
    ]


def test_a_line_that_stood_in_a_request_before_carries_that() -> None:
    account = Account(b"f", b"", [_version(11, TEXT)], (), [_wire(10, TEXT, echoed=(2,))])
    assert judged(TEXT, account)[1] == ("model", "intercepted", "echoed")


def test_without_versions_an_echoed_line_is_nobodys() -> None:
    account = Account(b"f", wire=[_wire(10, TEXT, echoed=(2,))])
    about = Circumstances(wire_complete=True)
    assert judged(TEXT, account, about)[1] == ("unknown", "observed", "echoed")


def test_a_piece_inside_a_line_is_put_where_the_tool_puts_it() -> None:
    before, after = "call(first, second)\n", "call(first, renamed)\n"
    account = Account(
        b"f", before.encode(), [_version(11, after)], (),
        [_wire(10, "renamed", replaces="second")],
    )  # fmt: skip
    assert judged(after, account) == [MODEL]


def test_more_than_the_piece_is_an_alarm() -> None:
    before = "call(first, second)\n"
    after = "call(first, renamed_argument); steal_everything()\n"
    account = Account(
        b"f", before.encode(), [_version(11, after)], [_told(11.1, after, 10)],
        [_wire(10, "renamed_argument", replaces="second")],
    )  # fmt: skip
    assert judged(after, account) == [("agent", "intercepted", "not-in-any-answer")]


def test_a_piece_of_which_nobody_knows_the_place_is_only_reported() -> None:
    before, after = "call(first, second)\n", "call(first, renamed_argument)\n"
    account = Account(
        b"f", before.encode(), [_version(11, after)], [_told(11.1, after, 10)],
        [_wire(10, "renamed_argument")],
    )  # fmt: skip
    assert judged(after, account) == [("model", "reported", "part-of-a-line")]


def test_every_place_of_a_replacement_of_all_is_the_models() -> None:
    before = "use(old_name)\nkeep_this_line()\nuse(old_name) + 1\n"
    after = before.replace("old_name", "new_name_here")
    edit = replace(_wire(10, "new_name_here", replaces="old_name"), every=True)
    account = Account(b"f", before.encode(), [_version(11, after)], (), [edit])
    found = origins.ranges(after.encode(), [(1, 1), (3, 3)], {}, account, SEEN)
    assert [r.origin for r in found] == ["model", "model"]


def test_a_line_that_the_agents_own_tool_added_is_the_agents() -> None:
    evil = TEXT + "send_secrets_to(attacker)\n"
    account = Account(b"f", b"", [_version(11, evil)], [_told(11.1, evil, 10)], [_wire(10, TEXT)])
    assert judged(evil, account) == [MODEL, MODEL, ("agent", "intercepted", "not-in-any-answer")]


def test_a_line_that_a_hook_added_right_after_the_tool_is_the_agents() -> None:
    evil = TEXT + "send_secrets_to(attacker)\n"
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(11.3, evil)], [_told(11.1, TEXT, 10)],
        [_wire(10, TEXT)],
    )  # fmt: skip
    assert judged(evil, account)[2] == ("agent", "intercepted", "during-write-tool")


@pytest.mark.parametrize(
    "about",
    [
        pytest.param(replace(SEEN, wire_complete=False), id="an-answer-was-missed"),
        pytest.param(replace(SEEN, followed=False), id="a-file-event-was-missed"),
        pytest.param(replace(SEEN, alone=False), id="another-session-was-live"),
        pytest.param(replace(SEEN, said=lambda _line, _by: True), id="an-answer-held-it"),
    ],
)
def test_there_is_no_alarm_while_anything_is_in_doubt(about: Circumstances) -> None:
    evil = TEXT + "send_secrets_to(attacker)\n"
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(11.3, evil)], [_told(11.1, TEXT, 10)],
        [_wire(10, TEXT)],
    )  # fmt: skip
    origin, _, why = judged(evil, account, about)[2]
    assert (origin, bool(why)) == ("unknown", True)


def test_a_save_long_after_the_tool_is_no_alarm() -> None:
    more = TEXT + "typed_by_a_person()\n"
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(40, more)], [_told(11.1, TEXT, 10)],
        [_wire(10, TEXT)],
    )  # fmt: skip
    assert judged(more, account)[2] == ("unknown", "observed", "no-process-attribution")


def test_a_reformatted_line_is_no_alarm() -> None:
    made = 'alpha_one = "x"\nbeta_two = 2\n'
    account = Account(
        b"f", b"", [_version(11, made)], [_told(11.1, made, 10)],
        [_wire(10, "alpha_one='x'\nbeta_two = 2\n")],
    )  # fmt: skip
    assert judged(made, account) == [("unknown", "observed", "differs-from-answer"), MODEL]


def test_a_formatters_lines_are_the_commands_and_the_others_stay_the_models() -> None:
    formatted = TEXT.replace("alpha_one = 1", "alpha_one: int = 1")
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(31, formatted)], (), [_wire(10, TEXT)]
    )
    about = replace(SEEN, commands=[CommandWindow(_at(30), _at(32), "reported")])
    assert judged(formatted, account, about) == [("command", "reported", None), MODEL]


def test_another_session_leaves_a_command_in_doubt() -> None:
    account = Account(b"f", b"", [_version(31, TEXT)])
    about = replace(SEEN, alone=False, commands=[CommandWindow(_at(30), _at(32), "reported")])
    assert {why for _, _, why in judged(TEXT, account, about)} == {"another-session-is-live"}


def test_a_moved_block_stays_the_models() -> None:
    block = "alpha_one = 1\nbeta_two = 2\ngamma_three = 3\n"
    rest = "untouched_line = 0\n"
    account = Account(
        b"f", rest.encode(),
        [_version(11, rest + block), _version(50, rest), _version(60, block + rest)], (),
        [_wire(10, block)],
    )  # fmt: skip
    assert judged(block + rest, account)[:3] == [MODEL] * 3


def test_a_block_moved_to_another_file_stays_the_models() -> None:
    block = "a_long_line_of_the_model = 1\nbeta_two = 2\ngamma_three = 3\n"
    account = Account(b"g", b"", [_version(60, block)])
    about = replace(SEEN, elsewhere=Moves([_wire(10, block)]))
    assert {(o, why) for o, _, why in judged(block, account, about)} == {("model", "moved")}


def test_carriage_returns_and_trailing_blanks_do_not_matter() -> None:
    landed = TEXT.replace("\n", "\r\n")
    account = Account(
        b"f", b"", [_version(11, landed)], (), [_wire(10, TEXT.replace(" 1\n", " 1  \n"))]
    )
    assert judged(landed, account) == [MODEL, MODEL]


def test_a_text_without_a_last_newline_is_found() -> None:
    account = Account(b"f", b"", [_version(11, TEXT)], (), [_wire(10, TEXT.rstrip("\n"))])
    assert judged(TEXT, account) == [MODEL, MODEL]


def test_a_notebooks_cell_is_found_in_its_json() -> None:
    notebook = (
        '{\n "cells": [\n  {\n   "source": [\n    "import numpy\\n",\n'
        '    "say(\\"hello world\\")"\n   ]\n  }\n ]\n}\n'
    )
    edit = replace(_wire(10, 'import numpy\nsay("hello world")'), tool="NotebookEdit")
    account = Account(b"n.ipynb", b"", [_version(11, notebook)], (), [edit])
    found = judged(notebook, account)
    assert found[4:6] == [MODEL, MODEL]
    assert {origin for origin, _, _ in (*found[:4], *found[6:])} == {"unknown"}


def test_a_line_in_a_file_that_the_agent_never_opened_is_a_persons() -> None:
    account = Account(b"f", b"", [_version(11, TEXT)])
    about = replace(SEEN, untouched_by_agent=frozenset({b"f"}))
    assert judged(TEXT, account, about) == [("human", "observed", None)] * 2


def test_a_line_from_before_the_agent_opened_the_file_is_a_persons() -> None:
    typed = "typed_before()\n"
    account = Account(
        b"f", b"", [_version(5, typed), _version(11, typed + TEXT)], (), [_wire(10, TEXT)]
    )
    about = replace(SEEN, opened_by_agent={b"f": (_at(11), _at(11))})
    assert judged(typed + TEXT, account, about) == [("human", "observed", None), MODEL, MODEL]


def test_a_save_that_the_agent_had_no_part_in_is_a_persons() -> None:
    more = TEXT + "typed_afterwards()\n"
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(40, more, by_others=True)], (),
        [_wire(10, TEXT)],
    )  # fmt: skip
    assert judged(more, account) == [MODEL, MODEL, ("human", "observed", None)]


def test_what_a_model_said_is_never_called_a_persons() -> None:
    account = Account(b"f", b"", [_version(11, TEXT)])
    about = replace(
        SEEN, untouched_by_agent=frozenset({b"f"}), said=lambda line, _by: b"alpha" in line
    )
    assert judged(TEXT, account, about) == [
        ("unknown", "observed", "said-in-an-answer"),
        ("human", "observed", None),
    ]


def test_nobody_is_called_human_while_another_session_is_live() -> None:
    account = Account(b"f", b"", [_version(11, TEXT, by_others=True)])
    about = replace(SEEN, alone=False, untouched_by_agent=frozenset({b"f"}))
    assert {origin for origin, _, _ in judged(TEXT, account, about)} == {"unknown"}


def test_a_refused_write_claims_nothing_of_what_a_person_types_next() -> None:
    typed = "import os\nsomething_else_entirely()\n"
    refused = "import os\nmodels_own_line()\nanother_of_the_models()\n"
    account = Account(b"f", b"", [_version(12, typed)], (), [_wire(10, refused)])
    assert {origin for origin, _, _ in judged(typed, account)} == {"unknown"}


EVIL = TEXT + "send_secrets_to(attacker)\n"
RUNNING = CommandWindow(_at(30), _at(32), "reported")


def _opened(second: float, hand: Hand) -> Opened:
    moment = datetime.fromisoformat(_at(second))
    return Opened(moment, moment, hand)


def _beside(*openings: Opened, **changes: object) -> tuple[str, str, str | None]:
    """Judge a line that appeared while a command ran, by who opened the file."""
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(31, EVIL)], [_told(11.1, TEXT, 10)],
        [_wire(10, TEXT)],
    )  # fmt: skip
    own = _opened(10.9, "unclear")
    about = replace(SEEN, commands=[RUNNING], openings={b"f": [own, *openings]})
    return judged(EVIL, account, replace(about, **changes))[2]  # type: ignore[arg-type]


def test_a_command_that_runs_does_not_excuse_what_the_agent_itself_writes() -> None:
    assert _beside(_opened(30.99, "agent")) == ("agent", "intercepted", "beside-a-command")
    assert _beside(_opened(30.99, "command")) == ("command", "reported", None)
    # Nobody follows processes: the window has to do.
    assert _beside(openings=None) == ("command", "reported", None)


@pytest.mark.parametrize(
    ("openings", "changes"),
    [
        pytest.param([], {}, id="nobody-opened-it"),
        pytest.param([_opened(30.9, "command"), _opened(30.99, "agent")], {}, id="both-did"),
        pytest.param([_opened(30.99, "unclear")], {}, id="nobody-knows-who"),
        pytest.param([_opened(30.99, "agent")], {"wire_complete": False}, id="answers-missed"),
        pytest.param([_opened(30.99, "agent")], {"alone": False}, id="another-session"),
        pytest.param(
            [_opened(30.99, "agent")], {"said": lambda _line, _by: True}, id="an-answer-held-it"
        ),
    ],
)
def test_beside_a_command_doubt_is_neither_an_alarm_nor_an_excuse(
    openings: list[Opened], changes: dict[str, object]
) -> None:
    origin, _, why = _beside(*openings, **changes)
    assert (origin, bool(why)) == ("unknown", True)


def test_what_a_command_opened_it_may_write_to_as_long_as_it_runs() -> None:
    logged = TEXT + "logged_by_the_command()\n"
    evil = logged + "send_secrets_to(attacker)\n"
    versions = [_version(11, TEXT), _version(30.6, logged), _version(31, evil)]
    account = Account(b"f", b"", versions, [_told(11.1, TEXT, 10)], [_wire(10, TEXT)])
    opened = [_opened(30.5, "command"), _opened(30.99, "agent")]
    about = replace(SEEN, commands=[RUNNING], openings={b"f": opened})
    assert judged(evil, account, about)[2:] == [
        ("command", "reported", None),
        ("unknown", "observed", "command-or-agent"),
    ]


def test_what_the_agents_formatter_breaks_into_other_lines_is_no_alarm() -> None:
    long = "compute(alpha_one, beta_two)\n"
    broken = "compute(\n    alpha_one,\n    beta_two,\n)\n"
    versions = [_version(31, broken)]
    account = Account(b"f", long.encode(), versions)
    about = replace(SEEN, commands=[RUNNING], openings={b"f": [_opened(30.99, "agent")]})
    assert {origin for origin, _, _ in judged(broken, account, about)} == {"unknown"}


def test_what_a_command_writes_after_it_was_reported_over_is_its_own() -> None:
    account = Account(b"f", b"", [_version(40, TEXT)])
    about = replace(SEEN, commands=[RUNNING], openings={b"f": [_opened(39.99, "command")]})
    assert judged(TEXT, account, about) == [("command", "reported", "after-its-command")] * 2


def _neighbours(*accounts: Account) -> Neighbours:
    return Neighbours(lambda: {account.path: account for account in accounts})


LINE = "carried_about = somewhere_else()\n"


def _carried(other: Account, said_at: float) -> tuple[str, str, str | None]:
    """Judge a person's line that an answer held from a time on, and that another file knows."""
    account = Account(b"f", b"", [_version(40, LINE, by_others=True)])
    about = replace(
        SEEN,
        said=lambda line, by: b"carried" in line and by is not None and by.second >= said_at,
        neighbours=_neighbours(account, other),
    )
    return judged(LINE, account, about)[0]


def test_a_line_that_the_model_only_read_stays_the_persons_when_it_is_moved() -> None:
    typed = Account(b"g", b"", [_version(5, LINE, by_others=True)])
    assert _carried(typed, 20) == ("human", "observed", None)
    assert _carried(Account(b"g", LINE.encode()), 20) == ("human", "observed", None)


def test_a_line_that_a_model_had_said_before_it_stood_anywhere_is_nobodys() -> None:
    typed = Account(b"g", b"", [_version(25, LINE, by_others=True)])
    doubt = ("unknown", "observed", "said-in-an-answer")
    assert _carried(typed, 20) == doubt
    assert _carried(Account(b"g"), 20) == doubt


def test_a_models_line_that_a_person_cut_and_pasted_stays_the_models() -> None:
    written = [_version(11, LINE), _version(41, "", by_others=True)]
    source = Account(b"g", b"", written, (), [_wire(10, LINE)])
    assert _carried(source, 10) == ("model", "intercepted", "moved")
    # It stays where it was: then it is a copy, or was typed again.
    still = Account(b"g", b"", written[:1], (), [_wire(10, LINE)])
    assert _carried(still, 10) == ("unknown", "observed", "said-in-an-answer")


def test_brackets_between_old_lines_are_the_models_where_its_whole_text_stands() -> None:
    before = "first_old_line = 1\nsecond_old_line = 2\n"
    after = "first_old_line = 1\n}\nsecond_old_line = 2\n"
    account = Account(b"f", before.encode(), [_version(11, after)], (), [_wire(10, after)])
    assert judged(after, account)[1] == MODEL
    by_hand = replace(account, versions=[_version(11, after, by_others=True)])
    assert judged(after, by_hand)[1] == ("human", "observed", None)


def test_of_two_equal_neighbours_of_different_hands_nobody_knows_which_was_deleted() -> None:
    twice = TEXT + "beta_two = 2\n"
    account = Account(
        b"f", b"", [_version(11, TEXT), _version(40, twice, by_others=True), _version(60, TEXT)],
        (), [_wire(10, TEXT)],
    )  # fmt: skip
    assert judged(TEXT, account) == [MODEL, ("unknown", "observed", "repeated-line")]
    assert judged(twice, replace(account, versions=account.versions[:2]))[0] == MODEL
