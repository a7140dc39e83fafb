"""Gemini CLI, opencode, pi and Qwen Code: what a report reads from samples of real runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport
from agentprov.record.agents.calls import STILL_RUNNING
from agentprov.record.agents.registry import adapter_named
from support import agent_samples as samples

PROGRAM = {"gemini-cli": "gemini", "opencode": "opencode", "pi": "pi", "qwen-code": "qwen"}
SAMPLE = {
    "gemini-cli": "gemini-chat.jsonl",
    "opencode": "opencode-rows.jsonl",
    "pi": "pi-session.jsonl",
    "qwen-code": "qwen-chat.jsonl",
}
CALLS = {"gemini-cli": 6, "opencode": 6, "pi": 5, "qwen-code": 6}
NAMES = sorted(PROGRAM)
_TABLES = {
    "session": ("id", "parent_id", "directory", "time_created", "time_updated"),
    "message": ("id", "session_id", "time_created", "time_updated", "data"),
    "part": ("id", "message_id", "session_id", "time_created", "time_updated", "data"),
}

Change = Callable[[dict[str, Any]], None]


def put(name: str, base: Path, label: str = "one", change: Change | None = None) -> Path:
    """Lay out an agent's sample as the agent does."""
    objects = samples.lines(SAMPLE[name], base)
    for one in objects:
        if change is not None:
            change(one)
    home = base / "home"
    if name == "gemini-cli":
        project = home / ".gemini" / "tmp" / "repo"
        project.mkdir(parents=True, exist_ok=True)
        (project / ".project_root").write_text(str(base / "repo"))
        return samples.put(project / "chats" / f"session-{label}.jsonl", objects)
    if name == "pi":
        return samples.put(home / ".pi/agent/sessions" / "--repo--" / f"{label}.jsonl", objects)
    if name == "qwen-code":
        return samples.put(home / ".qwen/projects" / "-repo" / "chats" / f"{label}.jsonl", objects)
    place = home / ".local/share/opencode/opencode.db"
    place.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(place)
    for table, columns in _TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
    for one in objects:
        columns = _TABLES[one["table"]]
        values = [json.dumps(one[key]) if key == "data" else one.get(key) for key in columns]
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO {one['table']} VALUES ({marks})", values)
    connection.commit()
    connection.close()
    return place


def program(name: str, base: Path) -> str:
    if name != "pi":
        return PROGRAM[name]
    place = base / "pi-coding-agent" / "pi"
    place.parent.mkdir(exist_ok=True)
    place.touch(0o755)
    return str(place)


def report(
    name: str, base: Path, drops: tuple[Drop, ...] = (), started: str = samples.STARTED
) -> AgentReport:
    context = samples.context(base, program(name, base), started=started)
    return adapter_named(name).report(context, drops, None)


def whys(found: AgentReport) -> list[str]:
    return [gap.why for gap in found.gaps if gap.why != "hooks-silent"]


@pytest.fixture(autouse=True)
def _servers(tmp_path: Path) -> None:
    servers = {"labnotes": {"command": "python3", "args": ["x"], "env": {"TOKEN": "secret"}}}
    for path, settings in {
        ".gemini/settings.json": {"mcpServers": servers},
        ".qwen/settings.json": {"mcpServers": servers},
        ".config/opencode/opencode.json": {
            "mcp": {
                "labnotes": {"command": ["python3", "x"], "environment": {"TOKEN": "secret"}},
                "off": {"command": ["y"], "enabled": False},
            }
        },
    }.items():
        place = tmp_path / "home" / path
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(settings))


@pytest.mark.parametrize("name", NAMES)
def test_a_session_tells_models_edits_commands_and_reads(name: str, tmp_path: Path) -> None:
    put(name, tmp_path)
    found = report(name, tmp_path)

    (use,) = found.models
    served = {"pi": "served-by-pi", "qwen-code": "served-by-qwen-code"}.get(name)
    assert (use.served, use.role, use.basis, use.calls) == (served, "main", "reported", CALLS[name])
    assert (use.why is None) == (served is not None)
    place = str(tmp_path / "repo/src/app.py")
    assert {edit.path for edit in found.edits} == {place}
    assert [edit.text for edit in found.edits] == [
        "def greet(name):\n    return 'hello ' + name\n",
        "f'hello, {name}!'",
        "    return f'hello, {name}!'",
    ]
    assert {edit.model for edit in found.edits} == {served}
    assert all(edit.at and edit.call_id and "__" not in edit.call_id for edit in found.edits)
    assert len(found.commands) == 2
    assert all(window.start <= window.end < STILL_RUNNING for window in found.commands)
    assert found.read_paths == (str(tmp_path / "repo/README.md"),)
    assert len(found.agent_sessions) == 1
    assert "transcript" in found.channels
    assert whys(found) == []
    assert found.mcp_connected == (() if name == "pi" else ("labnotes",))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_session_said_before_this_run_does_not_count(name: str, tmp_path: Path) -> None:
    put(name, tmp_path)
    later = report(name, tmp_path, started="2026-11-25T00:00:00Z")
    assert later.models == later.edits == later.commands == ()
    assert whys(later) == ["transcript-missing"]


@pytest.mark.parametrize("name", NAMES)
def test_a_session_of_another_work_tree_is_not_taken_for_ours(name: str, tmp_path: Path) -> None:
    def elsewhere(one: dict[str, Any]) -> None:
        for key in ("cwd", "directory"):
            if key in one:
                one[key] = str(tmp_path / "elsewhere")

    place = put(name, tmp_path, change=elsewhere)
    if name == "gemini-cli":
        (place.parents[1] / ".project_root").write_text(str(tmp_path / "elsewhere"))
    found = report(name, tmp_path)
    assert found.edits == found.models == ()
    assert whys(found) == ["transcript-missing"]


@pytest.mark.parametrize("name", NAMES)
def test_two_sessions_in_one_work_tree_are_a_gap_and_no_guess(name: str, tmp_path: Path) -> None:
    put(name, tmp_path)

    def rename(one: dict[str, Any]) -> None:
        for key in ("id", "session_id", "sessionId"):
            if isinstance(one.get(key), str):
                one[key] = "second-" + one[key]

    put(name, tmp_path, "two", rename)
    found = report(name, tmp_path)
    assert whys(found) == ["transcript-ambiguous"]
    assert found.edits == found.models == found.commands == found.agent_sessions == ()


@pytest.mark.parametrize(
    ("name", "field"), [("pi", "sessionFile"), ("qwen-code", "transcript_path")]
)
def test_hooks_tell_which_of_two_sessions_is_ours(name: str, field: str, tmp_path: Path) -> None:
    ours = put(name, tmp_path)
    put(name, tmp_path, "two")
    drop = Drop(name, "session_start", json.dumps({field: str(ours)}).encode())
    found = report(name, tmp_path, (drop, Drop("git", "post-commit", b"{}")))
    assert found.channels == ("hooks", "transcript")
    assert found.gaps == ()
    assert len(found.models) == 1


def test_qwen_codes_hooks_name_the_instruction_files(tmp_path: Path) -> None:
    ours = put("qwen-code", tmp_path)
    payload = {"transcript_path": str(ours), "cwd": str(tmp_path / "repo"), "file_path": "QWEN.md"}
    drop = Drop("qwen-code", "InstructionsLoaded", json.dumps(payload).encode())
    found = report("qwen-code", tmp_path, (drop,))
    assert found.instructions == (str(tmp_path / "repo/QWEN.md"),)


@pytest.mark.parametrize("name", NAMES)
def test_a_write_that_failed_is_no_edit(name: str, tmp_path: Path) -> None:
    def fail(one: dict[str, Any]) -> None:
        if name == "pi" and one.get("message", {}).get("role") == "toolResult":
            one["message"]["isError"] = True
        for call in one.get("toolCalls", ()):
            call["status"] = "error"
        if "toolCallResult" in one:
            one["toolCallResult"]["status"] = "error"
        if one.get("table") == "part":
            one["data"]["state"]["status"] = "error"

    put(name, tmp_path, change=fail)
    found = report(name, tmp_path)
    assert found.edits == ()
    assert found.read_paths == ()
    assert len(found.commands) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_command_without_an_end_runs_still(name: str, tmp_path: Path) -> None:
    def forget(one: dict[str, Any]) -> None:
        if name == "pi" and one.get("message", {}).get("role") == "toolResult":
            one["message"]["toolCallId"] = "?"
        for call in one.get("toolCalls", ()):
            call["status"] = "executing"
        if "toolCallResult" in one:
            one["toolCallResult"]["callId"] = "?"
        if one.get("table") == "part":
            one["data"]["state"].update(status="running", time={"start": 1795548976454})

    put(name, tmp_path, change=forget)
    assert {window.end for window in report(name, tmp_path).commands} == {STILL_RUNNING}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("junk", [[], {}, 7, "x", None, True, {"a": [{}]}, "\ud800", -1e300])
def test_odd_records_are_passed_over(name: str, junk: object, tmp_path: Path) -> None:
    def spoil(one: dict[str, Any]) -> None:
        for key in list(one):
            if key not in ("timestamp", "type", "table", "time_created", "time_updated"):
                one[key] = json.dumps(junk) if name == "opencode" and key != "data" else junk

    put(name, tmp_path, change=spoil)
    found = report(name, tmp_path)
    assert found.edits == found.commands == ()


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(100)])
def test_a_database_that_is_none_is_a_missing_transcript(content: bytes, tmp_path: Path) -> None:
    place = tmp_path / "home/.local/share/opencode/opencode.db"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert whys(report("opencode", tmp_path)) == ["transcript-missing"]
    assert place.read_bytes() == content


def test_a_helpers_answer_is_told_from_the_main_agents(tmp_path: Path) -> None:
    place = put("qwen-code", tmp_path)
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    event = json.loads(json.dumps(lines[0]))
    event["systemPayload"]["uiEvent"].update(response_id="title", model="small")
    samples.put(place, [*lines, event])
    uses = {(use.served, use.role): use for use in report("qwen-code", tmp_path).models}
    assert uses["small", "helper"].requested is None
    assert uses["served-by-qwen-code", "main"].calls == 6


def test_a_subagents_work_is_told_from_the_main_agents(tmp_path: Path) -> None:
    def child(one: dict[str, Any]) -> None:
        if one["table"] == "session":
            one.update(id="child", parent_id="parent")
        else:
            one["session_id"] = "child"

    put("opencode", tmp_path, change=child)
    found = report("opencode", tmp_path)
    assert [use.role for use in found.models] == ["subagent"]
    put("gemini-cli", tmp_path)
    put("gemini-cli", tmp_path, "child", lambda one: one.update(kind="subagent", id=None))
    assert {use.role for use in report("gemini-cli", tmp_path).models} == {"main", "subagent"}


@pytest.mark.parametrize("name", ["gemini-cli", "opencode", "qwen-code"])
def test_a_servers_variables_are_named_and_never_told(name: str, tmp_path: Path) -> None:
    context = samples.context(tmp_path, PROGRAM[name])
    (server,) = adapter_named(name).mcp_servers(context)
    assert (server.name, server.command, server.arguments) == ("labnotes", "python3", ("x",))
    assert server.environment_names == ("TOKEN",)
    assert "secret" not in repr(server)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("gemini-cli", {"GEMINI.md": "instruction", ".gemini/settings.json": "settings"}),
        ("opencode", {"AGENTS.md": "instruction", "opencode.json": "settings"}),
        ("opencode", {".opencode/plugin/spy.js": "hooks"}),
        ("pi", {"AGENTS.md": "instruction", ".pi/settings.json": "settings"}),
        ("pi", {".pi/extensions/spy.ts": "hooks"}),
        ("qwen-code", {"QWEN.md": "instruction", "AGENTS.md": "instruction"}),
    ],
)
def test_the_files_that_steer_a_session_are_named_with_their_roles(
    name: str, files: dict[str, str], tmp_path: Path
) -> None:
    context = samples.context(tmp_path, PROGRAM[name])
    for path in files:
        (context.top / path).parent.mkdir(parents=True, exist_ok=True)
        (context.top / path).write_text("{}")
    roles = {
        path.relative_to(context.top).as_posix(): role
        for role, path in adapter_named(name).materials(context)
        if path.is_relative_to(context.top)
    }
    assert files.items() <= roles.items()


def test_geminis_instruction_files_may_have_another_name(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "gemini")
    (context.top / ".gemini").mkdir()
    settings = {"context": {"fileName": ["RULES.md", "AGENTS.md"]}}
    (context.top / ".gemini/settings.json").write_text(json.dumps(settings))
    for name in ("RULES.md", "GEMINI.md"):
        (context.top / name).write_text("x")
    found = adapter_named("gemini-cli").materials(context)
    names = [path.name for role, path in found if role == "instruction"]
    assert names == ["RULES.md"]
