from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentprov.formats.exchange import Exchange, ToolCall, line_mac
from agentprov.formats.facts import AgentReport, Edit, Gap, ModelUse
from agentprov.record.witness import merge, said_of

KEY = b"k" * 32
TEXT = "alpha_one = 1\nbeta_two = 2\n"


def _edits_of(call: ToolCall, cwd: str) -> Sequence[Edit]:
    if call.name != "Write":
        return ()
    fields = json.loads(call.arguments)
    return [Edit(f"{cwd}/{fields['path']}", fields["text"], "Write", None, "intercepted")]


def _call(name: str = "Write", text: str = TEXT, number: str = "c1") -> ToolCall:
    fields = {"path": "f", "text": text} if name == "Write" else {"command": text}
    return ToolCall(number, name, json.dumps(fields))


def _exchange(number: int, **fields: Any) -> Exchange:
    plain: dict[str, Any] = {
        "dialect": "anthropic",
        "provider": "anthropic",
        "host": "api.example",
        "started": f"2026-01-01T00:{number:02}:00Z",
        "finished": f"2026-01-01T00:{number:02}:30Z",
        "status": 200,
        "complete": True,
        "requested": "latest",
        "served": "served-1",
    }
    return Exchange(number=number, **{**plain, **fields})


def _merge(
    exchanges: Sequence[Exchange],
    report: AgentReport | None = None,
    *,
    gaps: Sequence[Gap] = (),
    relayed: bool = True,
) -> AgentReport:
    return merge(
        report or AgentReport(channels=("hooks",)), exchanges, _edits_of, "/r",
        key=KEY, gateway_gaps=gaps, relayed=relayed,
    )  # fmt: skip


def _told(text: str = TEXT, call: str | None = "c1") -> AgentReport:
    edit = Edit("/r/f", text, "Write", None, "reported", call_id=call)
    return AgentReport(channels=("hooks",), edits=(edit,))


def test_what_was_asked_for_and_what_answered_stay_apart() -> None:
    merged = _merge([_exchange(1, input_tokens=3), _exchange(2, input_tokens=4)])
    assert merged.models == (
        ModelUse(
            "anthropic", "latest", "served-1", "main", "intercepted", 2, 7, host="api.example"
        ),
    )


def test_parameters_are_kept_as_far_as_every_call_agrees() -> None:
    one = _exchange(1, parameters=(("effort", "high"), ("max_tokens", "10")))
    two = _exchange(2, parameters=(("effort", "high"), ("max_tokens", "20")))
    (use,) = _merge([one, two]).models
    assert use.parameters == (("effort", "high"),)


def test_an_answer_that_names_no_model_gets_no_name() -> None:
    (use,) = _merge([_exchange(1, served=None)]).models
    assert (use.requested, use.served, bool(use.why)) == ("latest", None, True)


def test_calls_that_fail_are_told_apart() -> None:
    merged = _merge([_exchange(1, status=529, served=None), _exchange(2)])
    assert [use.calls for use in merged.models] == [1]
    assert [(gap.why, gap.detail) for gap in merged.gaps] == [("model-calls-failed", "1 x 529")]


def test_reported_calls_that_the_wire_saw_are_not_counted_twice() -> None:
    told = ModelUse("anthropic", "latest", "served-1", "main", "reported", 3)
    report = AgentReport(channels=("transcript",), models=(told,))
    seen = _merge([_exchange(1)], report, relayed=False).models
    assert [(use.basis, use.calls) for use in seen] == [("intercepted", 1), ("reported", 2)]
    assert [use.basis for use in _merge([_exchange(1)], report).models] == ["intercepted"]


def test_a_write_on_the_wire_knows_its_answer() -> None:
    exchanges = [_exchange(1, tool_calls=(_call(),)), _exchange(2)]
    (edit,) = _merge(exchanges).wire
    assert (edit.basis, edit.model, edit.call_id) == ("intercepted", "served-1", "c1")
    assert (edit.at, edit.until) == (exchanges[0].started, exchanges[1].started)


def test_lines_of_the_same_or_an_earlier_request_are_echoes() -> None:
    asked = (line_mac(KEY, "  beta_two = 2"),)
    later = [_exchange(1, prompt_lines=asked), _exchange(2, tool_calls=(_call(),))]
    assert _merge(later).wire[0].echoed == (2,)
    earlier = [_exchange(1, tool_calls=(_call(),)), _exchange(2, prompt_lines=asked)]
    assert _merge(earlier).wire[0].echoed == ()


def test_everything_seen_is_a_complete_view() -> None:
    assert _merge([_exchange(1, tool_calls=(_call(),))], _told()).wire_complete


def test_a_view_is_not_complete_when_anything_may_have_been_missed() -> None:
    whole = [_exchange(1, tool_calls=(_call(),))]
    gap = Gap("gateway-down", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")
    assert not _merge(whole, _told(), relayed=False).wire_complete
    assert not _merge(whole, _told(), gaps=[gap]).wire_complete
    assert not _merge([*whole, _exchange(2, complete=False)], _told()).wire_complete
    assert _merge([*whole, _exchange(2, why="a remark")], _told()).wire_complete
    assert not _merge(whole, _told("another_text_altogether()\n", call=None)).wire_complete


def test_an_answer_that_was_asked_for_again_is_not_missed() -> None:
    cut = _exchange(1, complete=False, request_mac="m")
    again = _exchange(2, request_mac="m", tool_calls=(_call(),))
    assert _merge([cut, again], _told()).wire_complete


def test_a_cut_off_answer_gives_no_writes() -> None:
    assert _merge([_exchange(1, complete=False, tool_calls=(_call(),))]).wire == ()


def test_another_model_than_on_the_wire_is_a_contradiction() -> None:
    told = ModelUse("anthropic", "latest", "another", "main", "reported", 1)
    merged = _merge([_exchange(1)], AgentReport(channels=("transcript",), models=(told,)))
    assert len(merged.contradictions) == 1
    assert "another" in merged.contradictions[0]


def test_other_text_for_the_same_call_is_a_contradiction() -> None:
    exchanges = [_exchange(1, tool_calls=(_call(),))]
    merged = _merge(exchanges, _told(TEXT + "evil_line()\n"))
    assert len(merged.contradictions) == 1
    assert merged.wire_complete
    assert _merge(exchanges, _told("beta_two = 2\n")).contradictions == ()


def test_calls_that_only_one_side_knows_are_contradictions() -> None:
    report = AgentReport(channels=("hooks",), known_calls=("c9",))
    merged = _merge([_exchange(1, tool_calls=(_call(),))], report)
    assert [("c9" in one, "c1" in one) for one in merged.contradictions] == [
        (True, False),
        (False, True),
    ]


def test_lines_of_replies_and_commands_count_as_said_from_then_on() -> None:
    command = _call("Bash", "cat > f <<EOF\nsome_generated(line)\nEOF")
    merged = _merge([_exchange(5, texts=("use this_other(thing)",), tool_calls=(command,))])
    said = said_of(merged)
    assert said(b"  some_generated( line )", None)
    assert said(b"use this_other(thing)", None)
    assert not said(b"never_mentioned()", None)
    from datetime import UTC, datetime

    assert not said(b"some_generated(line)", datetime(2026, 1, 1, tzinfo=UTC))


def test_without_exchanges_the_report_stays_as_it_is() -> None:
    assert _merge([], _told()) == _told()
