from __future__ import annotations

from dataclasses import replace

from agentprov.formats.exchange import Exchange, OfferedTool, ToolCall
from agentprov.formats.facts import McpCall, McpSeen, McpTool
from agentprov.record.mcp.binding import bind

OFFERED = (OfferedTool("any", "00"),)


def at(second: float) -> str:
    return f"2026-11-24T18:46:{second:06.3f}Z"


def answer(number: int, second: float, *calls: tuple[str, str], **fields: object) -> Exchange:
    found = Exchange(
        number=number,
        dialect="openai-chat",
        provider="openai",
        host="far.example",
        started=at(second),
        finished=at(second + 0.5),
        status=200,
        complete=True,
        tools=OFFERED,
        tool_calls=tuple(ToolCall(call, name, "{}") for call, name in calls),
    )
    return replace(found, **fields)  # type: ignore[arg-type]


def server(name: str, *calls: tuple[str, float], tools: tuple[str, ...] = ()) -> McpSeen:
    return McpSeen(
        name=name,
        basis="intercepted",
        stage="called",
        tools=tuple(McpTool(tool, "00", None) for tool in tools),
        calls=tuple(McpCall(tool, at(second), "answered") for tool, second in calls),
    )


def ids(servers: tuple[McpSeen, ...]) -> list[str | None]:
    return [call.call_id for one in servers for call in one.calls]


def test_a_call_gets_the_id_of_the_open_call_that_is_spelled_in_any_agents_way() -> None:
    for name in ("my-notes_add", "mcp_my_notes_add", "mcp__my-notes__add"):
        found = bind([server("my-notes", ("add", 2))], [answer(1, 1, ("call_1", name))])
        assert ids(found) == ["call_1"]
        assert found[0].calls[0].by_name
    deferred = ToolCall("call_1", "tool_call", '{"name": "mcp__notes__add", "arguments": {}}')
    wire = [answer(1, 1, tool_calls=(deferred,))]
    assert ids(bind([server("notes", ("add", 2))], wire)) == ["call_1"]


def test_calls_of_one_tool_are_told_apart_by_the_request_that_carried_the_result() -> None:
    wire = [
        answer(1, 1, ("refused-by-a-person", "notes_add")),
        answer(2, 3, ("call_2", "notes_add")),
        answer(3, 5, ("call_3", "notes_add")),
    ]
    found = bind([server("notes", ("add", 4), ("add", 6))], reversed(wire))
    assert ids(found) == ["call_2", "call_3"]


def test_in_doubt_a_call_stays_without_an_id() -> None:
    twice = [answer(1, 1, ("a", "notes_add"), ("b", "notes_add"))]
    assert ids(bind([server("notes", ("add", 2), ("add", 2.1))], twice)) == [None, None]
    alike = [server("a_b", ("c", 2)), server("a", tools=("b_c",))]
    assert ids(bind(alike, [answer(1, 1, ("x", "a_b_c"))])) == [None]
    two_at_once = [
        answer(1, 1, ("x", "notes_add"), agent_session="one"),
        answer(2, 1.5, ("y", "notes_add"), agent_session="two"),
    ]
    assert ids(bind([server("notes", ("add", 3))], two_at_once)) == [None]


def test_what_proves_nothing_gives_no_id() -> None:
    late = answer(1, 9, ("x", "notes_add"))
    cut = answer(1, 1, ("x", "notes_add"), complete=False)
    other = answer(1, 1, ("x", "notes_remove"))
    for wire in ([late], [cut], [other], []):
        assert ids(bind([server("notes", ("add", 2))], wire)) == [None]


def test_an_id_that_the_agent_sent_stays_and_a_helpers_request_closes_nothing() -> None:
    sent = McpCall("add", at(2), "answered", call_id="toolu_1")
    known = replace(server("notes"), calls=(sent,))
    assert bind([known], [answer(1, 1, ("x", "notes_add"))]) == (known,)
    title = answer(2, 1.2, tools=())
    wire = [answer(1, 1, ("x", "notes_add")), title]
    assert ids(bind([server("notes", ("add", 2))], wire)) == ["x"]
