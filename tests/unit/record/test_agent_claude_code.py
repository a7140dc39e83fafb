from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.dropbox import Drop
from agentprov.record.agents.claude_code import EVENTS, ClaudeCode
from support import agent_samples as samples

CLAUDE = ClaudeCode()


def _change(objects: list[dict[str, Any]], call: str, **fields: object) -> None:
    """Change the result line of a tool call."""
    for line in objects:
        content = line.get("message", {}).get("content")
        if line["type"] == "user" and isinstance(content, list):
            for block in content:
                if block.get("tool_use_id") == call:
                    line.update(fields)


# What it does before the start


@pytest.mark.parametrize(
    ("command", "package", "expected"),
    [
        ("claude", None, True),
        ("/usr/local/bin/claude", None, True),
        ("C:\\tools\\Claude.EXE", None, True),
        ("cli.js", "@anthropic-ai/claude-code", True),
        ("x", "@anthropic-ai/claude-code-linux-x64", True),
        ("claudette", None, False),
        ("codex", "@openai/codex", False),
    ],
)
def test_it_is_known_by_its_program_or_its_package(
    command: str, package: str | None, expected: bool
) -> None:
    assert CLAUDE.recognises(command, package) is expected


def test_a_session_gets_a_plugin_of_its_own_and_nothing_else_is_written(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude", "-p", "do it")
    launch = CLAUDE.prepare(context)

    plugin = context.scratch / "claude-plugin"
    assert launch.argv == ("claude", "--plugin-dir", str(plugin), "-p", "do it")
    assert launch.environment == {}
    assert launch.channels == ("hooks", "transcript")
    assert list(context.cwd.iterdir()) == []
    assert list(context.home.iterdir()) == []
    hooks = json.loads((plugin / "hooks" / "hooks.json").read_text())["hooks"]
    assert set(hooks) == set(EVENTS)
    assert (
        json.loads((plugin / ".claude-plugin" / "plugin.json").read_text())["name"] == "agentprov"
    )


@pytest.mark.parametrize(
    "argv",
    [
        ("claude", "--version"),
        ("claude", "-p", "x", "--help"),
        ("claude", "mcp", "list"),
        ("claude", "update"),
        ("claude", "plugin", "list"),
        ("claude", "doctor"),
    ],
)
def test_a_command_that_is_no_session_is_started_as_it_was_typed(
    argv: tuple[str, ...], tmp_path: Path
) -> None:
    context = samples.context(tmp_path, *argv)
    launch = CLAUDE.prepare(context)
    assert launch.argv == argv
    assert launch.channels == ()
    assert list(context.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "place"),
    [
        (("npx", "@anthropic-ai/claude-code@2.1.330", "-p", "x"), 2),
        (("node", "/opt/node_modules/@anthropic-ai/claude-code/cli.js", "-p", "x"), 2),
        (("env", "A=B", "claude", "--", "mcp"), 3),
        (("my-alias", "-p", "x"), 1),
    ],
)
def test_the_plugin_goes_behind_the_agents_own_name(
    argv: tuple[str, ...], place: int, tmp_path: Path
) -> None:
    launch = CLAUDE.prepare(samples.context(tmp_path, *argv))
    assert launch.argv[:place] == argv[:place]
    assert launch.argv[place] == "--plugin-dir"
    assert launch.argv[place + 2 :] == argv[place:]


@pytest.mark.parametrize("script", ["exit 2", "echo noise; echo noise >&2; exit 1", None])
def test_a_hook_always_ends_well_and_says_nothing(script: str | None, tmp_path: Path) -> None:
    base = tmp_path / "it's a folder"
    base.mkdir()
    context = samples.context(base, "claude")
    if script is not None:
        context.spool_script.write_text(script)
    CLAUDE.prepare(context)
    hooks = json.loads((context.scratch / "claude-plugin" / "hooks" / "hooks.json").read_text())
    command = hooks["hooks"]["PreToolUse"][0]["hooks"][0]["command"]
    assert shlex.split(command)[:4] == [
        "/bin/sh",
        str(context.spool_script),
        "claude-code",
        "PreToolUse",
    ]
    done = subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("argv", "environment", "settings", "gap"),
    [
        (("claude", "--bare"), {}, None, "hooks-off: --bare"),
        (("claude",), {"CLAUDE_CODE_SAFE_MODE": "1"}, None, "hooks-off: CLAUDE_CODE_SAFE_MODE"),
        (("claude",), {}, True, "hooks-off: .claude/settings.local.json"),
        (("claude", "--settings", '{"disableAllHooks": true}'), {}, None, "hooks-off: --settings"),
        (("claude", "--settings", '{"disableAllHooks": false}'), {}, True, None),
        (("claude",), {}, False, None),
    ],
)
def test_what_switches_the_hooks_off_is_said_before_the_start(
    argv: tuple[str, ...],
    environment: dict[str, str],
    settings: bool | None,
    gap: str | None,
    tmp_path: Path,
) -> None:
    context = samples.context(tmp_path, *argv, **environment)
    if settings is not None:
        (context.cwd / ".claude").mkdir()
        place = context.cwd / ".claude" / "settings.local.json"
        place.write_text(json.dumps({"disableAllHooks": settings}))
    assert CLAUDE.prepare(context).gaps == ((gap,) if gap else ())


# What it reports


def test_hooks_and_transcripts_together_tell_the_whole_session(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude", "-p", "x")
    report = CLAUDE.report(context, samples.claude_drops(tmp_path), None)

    assert report.channels == ("hooks", "transcript")
    assert report.gaps == ()
    assert len(report.agent_sessions) == 1
    main, child = report.models
    assert (main.provider, main.requested, main.served, main.role, main.basis) == (
        "anthropic",
        "claude-opus-5-5",
        "served-by-claude-code",
        "main",
        "reported",
    )
    assert child.role == "subagent"
    assert report.mcp_connected == ("labnotes",)
    repo = tmp_path / "repo"
    assert set(report.instructions) == {
        str(repo / name) for name in ("CLAUDE.md", "docs/style.md", "docs/CLAUDE.md")
    }
    assert report.read_paths == (str(repo / "docs" / "style.md"),)
    assert [(window.start < window.end) for window in report.commands] == [True, True]


def test_a_message_that_is_written_as_several_lines_is_one_call(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    main, child = CLAUDE.report(context, samples.claude_drops(tmp_path), None).models
    # Turn two holds two tool calls, so its message id and usage stand in two lines.
    assert (main.calls, main.input_tokens, main.output_tokens) == (7, 700, 140)
    assert (child.calls, child.input_tokens, child.output_tokens) == (3, 300, 60)


def test_an_edit_within_a_line_also_gives_the_whole_line_that_it_made(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    report = CLAUDE.report(context, samples.claude_drops(tmp_path), None)
    texts = [edit.text for edit in report.edits if edit.path.endswith("app.py")]
    assert texts == [
        "def greet(name):\n    return 'hello ' + name\n",
        "f'hello, {name}!'",
        "    return f'hello, {name}!'",
    ]
    assert {edit.model for edit in report.edits} == {"served-by-claude-code"}
    assert all(edit.at is not None for edit in report.edits)


def test_a_subagents_whole_lines_come_from_the_hooks(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    drops = samples.claude_drops(tmp_path)
    part = str(tmp_path / "repo" / "part.py")
    with_hooks = [e.text for e in CLAUDE.report(context, drops, None).edits if e.path == part]
    without = [e.text for e in CLAUDE.report(context, [], None).edits if e.path == part]
    assert with_hooks == ["PART = 1\n", "22", "PART = 22"]
    assert without == ["PART = 1\n", "22"]


def test_text_that_a_person_changed_before_it_was_written_is_not_completed(tmp_path: Path) -> None:
    objects = samples.lines("claude-main.jsonl", tmp_path)
    for line in objects:
        if isinstance(line.get("toolUseResult"), dict) and "oldString" in line["toolUseResult"]:
            line["toolUseResult"]["userModified"] = True
    samples.put_claude(tmp_path, objects)
    report = CLAUDE.report(samples.context(tmp_path, "claude"), [], None)
    assert "    return f'hello, {name}!'" not in [edit.text for edit in report.edits]


def test_a_write_that_failed_or_has_no_answer_yet_is_no_edit(tmp_path: Path) -> None:
    objects = samples.lines("claude-main.jsonl", tmp_path)
    for line in objects:
        content = line.get("message", {}).get("content")
        if line["type"] == "user" and isinstance(content, list):
            for block in content:
                block["is_error"] = block.get("tool_use_id") == "toolu_s0x0"
    unanswered = [line for line in objects if "toolu_s1x0" not in json.dumps(line)[:400]]
    samples.put_claude(tmp_path, unanswered)
    report = CLAUDE.report(samples.context(tmp_path, "claude"), [], None)
    assert [edit.text for edit in report.edits if edit.path.endswith("app.py")] == []


def test_without_hooks_the_one_transcript_since_the_start_is_found_and_the_silence_is_a_gap(
    tmp_path: Path,
) -> None:
    samples.put_claude(tmp_path)
    report = CLAUDE.report(samples.context(tmp_path, "claude"), [], None)
    assert report.channels == ("transcript",)
    assert [gap.why for gap in report.gaps] == ["hooks-silent"]
    assert report.models[0].served == "served-by-claude-code"


def test_two_transcripts_since_the_start_are_a_gap_and_no_guess(tmp_path: Path) -> None:
    path = samples.put_claude(tmp_path)
    samples.put(path.with_name("another.jsonl"), samples.lines("claude-main.jsonl", tmp_path))
    report = CLAUDE.report(samples.context(tmp_path, "claude"), [], None)
    assert [gap.why for gap in report.gaps] == ["hooks-silent", "transcript-ambiguous"]
    assert report.models == report.edits == ()

    named = samples.context(tmp_path, "claude", "--session-id", path.stem)
    assert CLAUDE.report(named, [], None).models != ()


def test_lines_from_before_the_start_are_an_earlier_sessions(tmp_path: Path) -> None:
    path = samples.put_claude(tmp_path)
    late = samples.context(tmp_path, "claude", started="2026-11-24T18:46:03.100Z")
    report = CLAUDE.report(late, [], None)
    assert [edit.text for edit in report.edits if edit.path.endswith("app.py")] == []
    assert report.models[0].calls < 7

    os.utime(path, (0, 0))
    after = samples.context(tmp_path, "claude", started="2026-11-24T19:00:00Z")
    assert [gap.why for gap in CLAUDE.report(after, [], None).gaps] == [
        "hooks-silent",
        "transcript-missing",
    ]


def test_a_command_that_still_runs_has_an_open_end(tmp_path: Path) -> None:
    objects = samples.lines("claude-main.jsonl", tmp_path)
    answered = [line for line in objects if "toolu_s5x0" not in json.dumps(line.get("message", ""))]
    asked = [line for line in objects if '"id": "toolu_s5x0"' in json.dumps(line)]
    samples.put_claude(tmp_path, answered + asked)
    report = CLAUDE.report(samples.context(tmp_path, "claude"), [], None)
    assert report.commands[-1].end == "9999-12-31T23:59:59Z"


def test_a_command_that_only_a_hook_knows_yet_began_after_the_last_line(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    payload = {"tool_name": "Bash", "tool_use_id": "toolu_new", "tool_input": {"command": "make"}}
    drops = [
        *samples.claude_drops(tmp_path),
        Drop("claude-code", "PreToolUse", json.dumps(payload).encode()),
    ]
    last = CLAUDE.report(context, drops, None).commands[-1]
    assert last.start == "2026-11-24T18:46:04.424000Z"
    assert last.end == "9999-12-31T23:59:59Z"
    drops.append(Drop("claude-code", "PostToolUseFailure", json.dumps(payload).encode()))
    assert len(CLAUDE.report(context, drops, None).commands) == 2


def test_a_background_command_ends_when_the_agent_is_told_so(tmp_path: Path) -> None:
    objects = samples.lines("claude-main.jsonl", tmp_path)
    _change(objects, "toolu_s5x0", toolUseResult={"backgroundTaskId": "b1"})
    samples.put_claude(tmp_path, objects)
    context = samples.context(tmp_path, "claude")
    assert CLAUDE.report(context, [], None).commands[-1].end.startswith("9999")

    told = (
        "<task-notification><tool-use-id>toolu_s5x0</tool-use-id>\n"
        "<status>completed</status></task-notification>"
    )
    at = "2026-11-24T18:46:09Z"
    objects.append({"type": "queue-operation", "timestamp": at, "content": told})
    samples.put_claude(tmp_path, objects)
    assert CLAUDE.report(context, [], None).commands[-1].end == at.replace("Z", ".000000Z")


def test_a_helper_call_is_named_by_what_was_requested(tmp_path: Path) -> None:
    objects = samples.lines("claude-main.jsonl", tmp_path)
    request = next(line for line in objects if line["type"] == "api-request")
    title = {
        **request,
        "id": "title",
        "querySource": "generate_session_title",
        "params": {"model": "claude-haiku-5-5"},
    }
    samples.put_claude(tmp_path, [*objects, title])
    report = CLAUDE.report(samples.context(tmp_path, "claude"), [], None)
    helper = next(use for use in report.models if use.role == "helper")
    assert (helper.requested, helper.served, helper.calls) == ("claude-haiku-5-5", None, 1)
    assert helper.why


def test_the_agents_own_error_messages_are_no_model(tmp_path: Path) -> None:
    objects = samples.lines("claude-main.jsonl", tmp_path)
    for line in objects:
        if line["type"] == "assistant":
            line["message"]["model"] = "<synthetic>"
    path = samples.put_claude(tmp_path, objects)
    for child in (path.with_suffix("") / "subagents").iterdir():
        child.unlink()
    assert CLAUDE.report(samples.context(tmp_path, "claude"), [], None).models == ()


def test_with_hooks_and_no_transcript_the_edits_are_known_and_the_models_are_not(
    tmp_path: Path,
) -> None:
    drops = samples.claude_drops(tmp_path)
    for path in (tmp_path / "home").rglob("*.jsonl"):
        path.unlink()
    report = CLAUDE.report(samples.context(tmp_path, "claude"), drops, None)
    assert report.channels == ("hooks",)
    assert report.models == ()
    assert [gap.why for gap in report.gaps] == ["transcript-missing"]
    app = [edit for edit in report.edits if edit.path.endswith("app.py")]
    assert [edit.text for edit in app][-1] == "    return f'hello, {name}!'"
    assert {(edit.model, edit.at) for edit in app} == {(None, None)}


def test_odd_input_is_skipped_and_never_raises(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    path = samples.put_claude(tmp_path)
    with path.open("ab") as stream:
        stream.write(b'\xff\xfe\n[1, 2]\n"x"\nnull\n{"type": "assistant"}\n{' + b"[" * 5000 + b"\n")
        for value in (None, 7, [], {}, "x", [[]], {"content": {}}, {"content": [7, {}]}):
            for kind in ("assistant", "user", "attachment", "api-request", "queue-operation"):
                line = {"type": kind, "timestamp": "2026-11-24T18:46:30Z", "message": value}
                line |= {"attachment": value, "params": value, "content": value, "cwd": value}
                line |= {"toolUseResult": value, "requestRef": value, "sessionId": value}
                stream.write(json.dumps(line).encode() + b"\n")
        stream.write(b'{"half a line')
    os.utime(path, (2e9, 2e9))
    fifo = path.with_name("fifo.jsonl")
    os.mkfifo(fifo)
    drops = [
        Drop("claude-code", event, payload)
        for event in (*EVENTS, "Unheard")
        for payload in (b"", b"[]", b"\xff", b'{"transcript_path": 7, "tool_input": [], "cwd": {}}')
    ]
    named = json.dumps({"transcript_path": str(fifo)}).encode()
    real = json.dumps({"transcript_path": str(path)}).encode()
    drops += [Drop("claude-code", "Stop", named), Drop("claude-code", "Stop", real)]
    report = CLAUDE.report(context, drops, None)
    assert sum(use.calls for use in report.models) >= 10
    assert [gap.why for gap in report.gaps] == []


def test_what_another_channel_dropped_is_not_claude_codes(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    drops = [Drop("git", drop.event, drop.payload) for drop in samples.claude_drops(tmp_path)]
    assert "hooks" not in CLAUDE.report(context, drops, None).channels


def test_a_command_that_is_no_session_reports_nothing(tmp_path: Path) -> None:
    samples.put_claude(tmp_path)
    report = CLAUDE.report(samples.context(tmp_path, "claude", "--version"), [], None)
    assert report.channels == report.gaps == ()
