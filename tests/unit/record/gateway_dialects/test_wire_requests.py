from __future__ import annotations

import gzip
import hashlib
import json
import os
from typing import Any

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats.exchange import Exchange, line_mac
from agentprov.record.gateway import dialects
from agentprov.record.gateway.dialects import prompt
from agentprov.record.gateway.dialects.request import tool_digest
from support.wire_bodies import body, observe

TOOL = {"name": "Write", "description": "Writes.", "input_schema": {"type": "object"}}


def asked(dialect: str, request: Any, key: bytes | None = None, **headers: str) -> Exchange:
    names = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return observe(dialect, b"{}", asked=request, headers=names, key=key or os.urandom(32))


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", "anthropic"),
        ("/deep/prefix/v1/messages?beta=true", "anthropic"),
        ("/responses", "openai-responses"),
        ("/backend-api/codex/responses", "openai-responses"),
        ("/openai/v1/chat/completions?api-version=7", "openai-chat"),
        ("/v1beta/models/gem-1:generateContent", "google"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent", "google"),
        ("/v1internal:streamGenerateContent?alt=sse", "google"),
    ],
)
def test_a_dialect_is_known_by_the_end_of_the_path(path: str, dialect: str) -> None:
    speech = dialects.recognise("POST", path)
    assert speech is not None
    assert speech.dialect == dialect
    assert dialects.recognise("GET", path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/count_tokens",
        "/v1/responses/compact",
        "/v1/models",
        "/v1beta/models/gem-1:countTokens",
        "/v1/embeddings?next=/v1/messages",
        "/",
    ],
)
def test_everything_else_is_nobodys(path: str) -> None:
    assert dialects.recognise("POST", path) is None


def test_parameters_are_kept_as_text() -> None:
    request = {
        "model": "m-1",
        "max_tokens": 128000,
        "temperature": 0.7,
        "top_p": 1e-7,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "medium"},
        "stream": True,
        "metadata": {"user_id": "secret"},
        "stop_sequences": ["x"],
    }
    exchange = asked("anthropic", request)
    assert exchange.requested == "m-1"
    assert dict(exchange.parameters) == {
        "max_tokens": "128000",
        "temperature": "0.7",
        "top_p": "0.0000001",
        "thinking.type": "adaptive",
        "output_config.effort": "medium",
        "stream": "true",
    }


@pytest.mark.parametrize(
    ("dialect", "request_", "expected"),
    [
        (
            "responses",
            {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "store": False},
            {"reasoning.effort": "low", "text.verbosity": "low", "store": "false"},
        ),
        (
            "chat",
            {"seed": 7, "temperature": 0, "max_completion_tokens": 8000, "tool_choice": {"a": 1}},
            {"seed": "7", "temperature": "0", "max_completion_tokens": "8000"},
        ),
        (
            "google",
            {"generationConfig": {"topP": 0.95, "thinkingConfig": {"thinkingLevel": "HIGH"}}},
            {
                "generationConfig.topP": "0.95",
                "generationConfig.thinkingConfig.thinkingLevel": "HIGH",
            },
        ),
    ],
)
def test_each_dialect_has_its_own_parameters(
    dialect: str, request_: dict[str, Any], expected: dict[str, str]
) -> None:
    assert dict(asked(dialect, request_).parameters) == expected


def test_a_tool_is_known_by_its_whole_definition() -> None:
    canonical = json.dumps(TOOL, separators=(",", ":"), sort_keys=True).encode()
    exchange = asked("anthropic", {"tools": [TOOL]})
    assert [(t.name, t.sha256) for t in exchange.tools] == [
        ("Write", hashlib.sha256(canonical).hexdigest())
    ]
    for change in ({"description": "Writes!"}, {"input_schema": {"type": "string"}}, {"x": 0.5}):
        assert tool_digest({**TOOL, **change}) != tool_digest(TOOL)
    assert tool_digest({**TOOL, "cache_control": {"type": "ephemeral"}}) == tool_digest(TOOL)


def test_tools_are_found_in_all_the_places_where_agents_put_them() -> None:
    function = {"type": "function", "function": {"name": "bash", "parameters": {}}}
    assert [t.name for t in asked("chat", {"tools": [function]}).tools] == ["bash"]
    declared = {"tools": [{"functionDeclarations": [{"name": "glob"}]}, {"googleSearch": {}}]}
    assert [t.name for t in asked("google", declared).tools] == ["glob", "googleSearch"]
    spaces = [
        {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
        {"type": "namespace", "name": "clock", "tools": [{"type": "function", "name": "sleep"}]},
        {"type": "web_search"},
    ]
    listed = {"tools": spaces[2:], "input": [{"type": "additional_tools", "tools": spaces[:2]}]}
    names = [t.name for t in asked("responses", listed).tools]
    assert names == ["web_search", "exec", "clock__sleep"]


def test_a_tool_that_cannot_be_read_is_told() -> None:
    exchange = asked("anthropic", {"tools": [TOOL, {"name": "\n"}]})
    assert [t.name for t in exchange.tools] == ["Write"]
    assert "a tool that cannot be read" in (exchange.why or "")
    with pytest.raises(MalformedInput):
        tool_digest({"name": "x", "maximum": 2**60})


TURN = '{"request_kind": "%s", "agent_name": "%s", "thread_source": "%s"}'
SCHEMA = {"output_config": {"format": {"type": "json_schema"}}}


@pytest.mark.parametrize(
    ("dialect", "request_", "headers", "role"),
    [
        ("anthropic", {"tools": [TOOL]}, {}, "main"),
        ("anthropic", {"tools": [TOOL]}, {"x_claude_code_agent_id": "a1"}, "subagent"),
        ("anthropic", {}, {"x_claude_code_request_class": "auxiliary"}, "helper"),
        ("anthropic", {"tools": [TOOL]}, {"x_claude_code_request_class": "main"}, "main"),
        ("anthropic", {"tools": [], **SCHEMA}, {}, "helper"),
        ("anthropic", {"tools": [TOOL], **SCHEMA}, {}, "main"),
        ("anthropic", {}, {}, "main"),
        ("responses", {}, {"x_openai_subagent": "collab_spawn"}, "subagent"),
        ("responses", {}, {"x_openai_subagent": "guardian"}, "helper"),
        ("responses", {}, {"x_codex_turn_metadata": TURN % ("turn", "/root", "user")}, "main"),
        ("responses", {}, {"x_codex_turn_metadata": TURN % ("prewarm", "/root", "")}, "helper"),
        ("responses", {}, {"x_codex_turn_metadata": TURN % ("turn", "/root/a", "")}, "subagent"),
        (
            "responses",
            {"client_metadata": {"x-codex-turn-metadata": TURN % ("turn", "", "subagent")}},
            {},
            "subagent",
        ),
        ("responses", {}, {"x_codex_turn_metadata": "not JSON"}, "main"),
        ("google", {"generationConfig": {"responseJsonSchema": {}}}, {}, "helper"),
        ("google", {"contents": []}, {}, "main"),
        ("chat", {}, {"user_agent": "opencode/1.18.33 ai-sdk"}, "helper"),
        ("chat", {"tools": [TOOL]}, {"user_agent": "opencode/1.18.33 ai-sdk"}, "main"),
        ("chat", {"response_format": {"type": "json_object"}}, {}, "main"),
        ("chat", {}, {"user_agent": "OpenAI/Python 2.20.0"}, "main"),
    ],
)
def test_the_role_is_told_by_what_each_agent_sends(
    dialect: str, request_: dict[str, Any], headers: dict[str, str], role: str
) -> None:
    assert asked(dialect, request_, **headers).role == role


@pytest.mark.parametrize(
    ("request_", "headers", "session"),
    [
        ({}, {"X_Claude_Code_Session_Id": "27ed770f"}, "27ed770f"),
        ({}, {"session_id": "01a20287"}, "01a20287"),
        ({}, {"x_session_affinity": "ses_dfd6"}, "ses_dfd6"),
        ({"metadata": {"user_id": '{"session_id": "s-1"}'}}, {}, "s-1"),
        ({"prompt_cache_key": "conv-1"}, {}, "conv-1"),
        ({}, {"session_id": "not an id\n"}, None),
        ({}, {}, None),
    ],
)
def test_the_agents_own_session_id_is_kept_where_there_is_one(
    request_: dict[str, Any], headers: dict[str, str], session: str | None
) -> None:
    assert asked("chat", request_, **headers).agent_session == session


def lines(text: str, key: bytes) -> set[str]:
    return {line_mac(key, line) for line in text.splitlines()}


def test_lines_of_every_part_of_the_prompt_are_digested() -> None:
    key = os.urandom(32)
    nested = json.dumps({"result": "from the tool result\nsecond result line"})
    request = {
        "system": [{"type": "text", "text": "from the system prompt"}],
        "tools": [{**TOOL, "description": "from a tool description"}],
        "messages": [
            {"role": "user", "content": "from the user\n  indented user line  \nshort\n"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "input": {"content": "from an argument\n"}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "content": nested}]},
        ],
    }
    found = set(asked("anthropic", request, key).prompt_lines)
    wanted = "\n".join(
        [
            "from the system prompt",
            "from a tool description",
            "from the user",
            "indented user line",
            "from an argument",
            "from the tool result",
            "second result line",
        ]
    )
    assert lines(wanted, key) <= found
    assert not lines("short", key) & found


@pytest.mark.parametrize(
    "shown",
    [
        "    12→    return planted(1)",
        "12\t    return planted(1)",
        "00012|     return planted(1)",
        "12. return planted(1)",
        "src/app.py:12:    return planted(1)",
        "src/app.py-12-    return planted(1)",
        "+    return planted(1)",
        "-    return planted(1)",
        "     return planted(1)",
        'text(await tools.patch("*** Begin\\n    return planted(1)\\n"));',
        '{"content": "x\\n    return planted(1)\\ny"',
    ],
)
def test_a_line_is_found_in_the_ways_in_which_agents_show_files(shown: str) -> None:
    key = os.urandom(32)
    request = {"messages": [{"role": "user", "content": f"before\n{shown}\nafter"}]}
    assert line_mac(key, "    return planted(1)") in asked("chat", request, key).prompt_lines


def test_what_earlier_requests_held_is_not_digested_again() -> None:
    key = os.urandom(32)
    first = {"messages": [{"role": "user", "content": "the very first line"}]}
    second = {"messages": [*first["messages"], {"role": "user", "content": "another, later"}]}
    assert set(asked("chat", first, key).prompt_lines) == lines("the very first line", key)
    assert set(asked("chat", second, key).prompt_lines) == lines("another, later", key)
    assert len(asked("chat", second, os.urandom(32)).prompt_lines) == 2


def test_the_number_of_lines_is_bounded_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt, "MAX_LINES", 10)
    many = "\n".join(f"a distinctive line {n}" for n in range(50))
    exchange = asked("chat", {"messages": [{"content": many}]})
    assert len(exchange.prompt_lines) <= 10
    assert "more lines than are looked at" in (exchange.why or "")


def test_lines_count_as_distinctive_by_eight_bytes_without_blanks_around() -> None:
    key = os.urandom(32)
    assert prompt.line_digest(key, "   1234567   ") is None
    assert prompt.line_digest(key, "   12345678   ") == line_mac(key, "12345678")
    assert prompt.line_digest(key, "日本語") is not None
    assert prompt.line_digest(os.urandom(32), "12345678") != prompt.line_digest(key, "12345678")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"not JSON", "request: malformed JSON"),
        (b"[1]", "request: malformed JSON: not an object"),
        (b"[" * 100_000, "request: malformed JSON"),
        (b'{"model": NaN}', "request: malformed JSON"),
    ],
    ids=["words", "list", "deep", "nan"],
)
def test_a_request_that_cannot_be_read_leaves_the_answer_as_it_is(raw: bytes, why: str) -> None:
    exchange = observe("anthropic", body("anthropic.sse"), asked=raw)
    assert exchange.why == why
    assert exchange.complete
    assert exchange.requested is None


def test_a_compressed_request_is_read() -> None:
    raw = gzip.compress(b'{"model": "m-zipped"}')
    exchange = observe(
        "responses", body("responses.sse"), asked=raw, headers=[("Content-Encoding", "gzip")]
    )
    assert exchange.requested == "m-zipped"
