from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from agentprov.formats.dropbox import Drop
from agentprov.record.agents import codex_hooks, codex_settings
from agentprov.record.agents.codex import Codex
from agentprov.record.agents.codex_rollout import REQUESTED_ONLY, patch_additions
from support import agent_samples as samples

CODEX = Codex()


@pytest.mark.parametrize(
    ("command", "package", "expected"),
    [
        ("codex", None, True),
        ("/x/codex.exe", None, True),
        ("codex.js", "@openai/codex", True),
        ("x", "@openai/codex-linux-x64", True),
        ("codexy", None, False),
        ("claude", "@anthropic-ai/claude-code", False),
    ],
)
def test_it_is_known_by_its_program_or_its_package(
    command: str, package: str | None, expected: bool
) -> None:
    assert CODEX.recognises(command, package) is expected


@pytest.mark.parametrize(
    ("argv", "is_session"),
    [
        (("codex", "exec", "x"), True),
        (("codex",), True),
        (("codex", "fix the bug"), True),
        (("codex", "-m", "gpt-5.5", "exec", "x"), True),
        (("codex", "resume", "--last"), True),
        (("codex", "login"), False),
        (("codex", "mcp", "list"), False),
        (("codex", "--version"), False),
        (("npx", "@openai/codex@0.169.0", "doctor"), False),
    ],
)
def test_the_users_words_stay_and_only_a_session_has_hooks_and_channels(
    argv: tuple[str, ...], is_session: bool, tmp_path: Path
) -> None:
    launch = CODEX.prepare(samples.context(tmp_path, *argv))
    assert launch.argv[: len(argv)] == argv
    assert (len(launch.argv) > len(argv)) is is_session
    assert launch.environment == {}
    assert launch.channels == (("hooks", "transcript") if is_session else ())


def test_hooks_are_set_and_trusted_in_front_of_operands(tmp_path: Path) -> None:
    launch = CODEX.prepare(samples.context(tmp_path, "codex", "exec", "--", "x"))
    assert launch.argv[-2:] == ("--", "x")
    hooks = codex_settings.given(launch.argv[1:])["hooks"]
    assert {*hooks} == {*codex_hooks.EVENTS, "state"}
    for event, key in codex_hooks.EVENTS.items():
        ((hook,),) = [group["hooks"] for group in hooks[event]]
        script = tmp_path / "spool.sh"
        assert hook["command"] == f"/bin/sh {script} codex {event} >/dev/null 2>&1 || :"
        trusted = hooks["state"][f"/<session-flags>/config.toml:{key}:0:0"]["trusted_hash"]
        assert trusted.startswith("sha256:")


def test_hooks_on_the_users_own_line_stay_as_they_are(tmp_path: Path) -> None:
    argv = ("codex", "exec", "-c", 'hooks.Stop=[{hooks=[{type="command",command="x"}]}]', "y")
    launch = CODEX.prepare(samples.context(tmp_path, *argv))
    assert (launch.argv, launch.channels) == (argv, ("transcript",))
    assert launch.gaps == ("hooks-off: the command line sets hooks",)
    report = CODEX.report(samples.context(tmp_path, *argv), [], None)
    assert [gap.why for gap in report.gaps] == ["transcript-missing"]


def told(path: Path, event: str = "SessionStart", **fields: object) -> Drop:
    meta = json.loads(path.read_text().splitlines()[0])["payload"]
    session = meta.get("session_id") or meta["id"]
    payload = {"session_id": session, "transcript_path": str(path), **fields}
    return Drop("codex", event, json.dumps(payload).encode())


def test_hooks_tell_our_session_from_another_in_the_same_tree(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    direct, code = samples.put_codex(tmp_path, "codex-direct", "codex-code")
    ours = CODEX.report(context, [told(code)], None)
    assert (ours.gaps, ours.channels) == ((), ("hooks", "transcript"))
    assert [use.requested for use in ours.models] == ["gpt-6.1-sol"]
    direct.unlink()
    elsewhere = Drop("codex", "SessionStart", b'{"session_id": "a-third-one"}')
    report = CODEX.report(context, [elsewhere], None)
    assert [gap.why for gap in report.gaps] == ["transcript-missing"]
    assert report.models == ()


def test_a_hook_tells_a_patch_and_a_server_that_the_rollout_lost(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (path,) = samples.put_codex(tmp_path, "codex-code")
    whole = CODEX.report(context, [told(path)], None)
    body = "*** Begin Patch\n*** Add File: lost.py\n+one\n+two\n*** End Patch\n"
    fields = {
        "tool_name": "apply_patch",
        "tool_input": {"command": body},
        "tool_use_id": "exec-lost",
        "cwd": str(tmp_path / "repo"),
    }
    good = told(path, "PostToolUse", **fields, tool_response="Exit code: 0\nOutput:\nSuccess.")
    failed = told(
        path, "PostToolUse", **{**fields, "tool_use_id": "no"}, tool_response="Exit code: 1"
    )
    server = told(path, "PostToolUse", tool_name="mcp__far__add", tool_use_id="exec-2")
    report = CODEX.report(context, [good, failed, server], None)
    (new,) = [edit for edit in report.edits if edit not in whole.edits]
    assert (new.path, new.text) == (str(tmp_path / "repo" / "lost.py"), "one\ntwo\n")
    assert set(report.mcp_connected) - set(whole.mcp_connected) == {"far"}
    known = next(edit for edit in whole.edits)
    assert known in report.edits


def test_what_hooks_say_oddly_is_skipped(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (path,) = samples.put_codex(tmp_path, "codex-code")
    whole = CODEX.report(context, [told(path)], None)
    odd = [Drop("codex", "PostToolUse", data) for data in (b"", b"[]", b"{}", b"\xff", b"[" * 9000)]
    odd += [
        told(path, "PostToolUse", tool_name=value, tool_input=value, tool_use_id=value, cwd=value)
        for value in (None, 7, [], {}, "apply_patch")
    ]
    assert CODEX.report(context, [told(path), *odd], None) == whole


def test_a_session_that_keeps_no_rollout_says_so_before_the_start(tmp_path: Path) -> None:
    launch = CODEX.prepare(samples.context(tmp_path, "codex", "exec", "--ephemeral", "x"))
    assert launch.gaps == ("transcript-off: --ephemeral",)


def test_a_rollout_tells_the_whole_session(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (context.cwd / "AGENTS.md").write_text("# Rules for agents\n")
    samples.put_codex(tmp_path, "codex-direct")
    report = CODEX.report(context, [], None)

    assert report.channels == ("transcript",)
    assert [gap.why for gap in report.gaps] == ["hooks-silent"]
    (use,) = report.models
    assert (use.provider, use.requested, use.served, use.why) == (
        "scripted",
        "gpt-5.5",
        None,
        REQUESTED_ONLY,
    )
    assert (use.calls, use.input_tokens, use.output_tokens, use.role) == (7, 700, 140, "main")
    assert [(Path(edit.path).name, edit.text) for edit in report.edits] == [
        ("app.py", "def greet(name):\n    return 'hello ' + name\n"),
        ("app.py", "    return f'hello, {name}!'\n"),
    ]
    assert {(edit.basis, edit.model) for edit in report.edits} == {("reported", None)}
    assert len(report.commands) == 4
    assert all(window.start < window.end < "2026-11-24T18:47" for window in report.commands)
    assert report.read_paths == (str(context.cwd / "README.md"),)
    assert report.mcp_connected == ("labnotes",)
    assert report.instructions == (str(context.cwd / "AGENTS.md"),)


def test_a_subagents_rollout_belongs_to_its_parents_session(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    samples.put_codex(tmp_path, "codex-code-subagent", "codex-code")
    report = CODEX.report(context, [], None)

    assert len(report.agent_sessions) == 1
    assert {use.role: use.calls for use in report.models} == {"main": 6, "subagent": 2}
    assert {Path(edit.path).name for edit in report.edits} == {"app.py", "part.py"}
    assert report.mcp_connected == ("labnotes",)


def test_a_reviewers_rollout_is_a_helper(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    _, child = samples.put_codex(tmp_path, "codex-code", "codex-code-subagent")
    objects = [json.loads(line) for line in child.read_text().splitlines()]
    objects[0]["payload"]["source"] = {"subagent": {"other": "guardian"}}
    samples.put(child, objects)
    assert {use.role for use in CODEX.report(context, [], None).models} == {"main", "helper"}


def test_an_edit_whose_event_was_lost_is_read_from_the_patch_itself(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (path,) = samples.put_codex(tmp_path, "codex-direct")
    objects = [json.loads(line) for line in path.read_text().splitlines()]
    with_events = CODEX.report(context, [], None).edits
    samples.put(path, [one for one in objects if one["type"] != "event_msg"])
    without = CODEX.report(context, [], None).edits
    assert [(e.path, e.text, e.model) for e in without] == [
        (e.path, e.text, e.model) for e in with_events
    ]


def test_a_patch_that_failed_is_no_edit(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (path,) = samples.put_codex(tmp_path, "codex-direct")
    objects = [json.loads(line) for line in path.read_text().splitlines()]
    for one in objects:
        if one["payload"].get("type") == "custom_tool_call_output":
            one["payload"]["output"] = "Exit code: 1\nWall time: 0 seconds\nOutput:\nfailed"
        if one["payload"].get("item", {}).get("type") == "FileChange":
            one["payload"]["item"]["status"] = "failed"
    samples.put(path, objects)
    assert CODEX.report(context, [], None).edits == ()


def test_a_command_that_still_runs_has_an_open_end(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (path,) = samples.put_codex(tmp_path, "codex-direct")
    objects = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [one for one in objects if one["payload"].get("type") != "item_completed"]
    for one in kept:
        if one["payload"].get("call_id") == "call_s5x0" and "output" in one["payload"]:
            one["payload"]["output"] = "Wall time: 10 seconds\nProcess running with session ID 1\n"
    samples.put(path, kept)
    assert CODEX.report(context, [], None).commands[-1].end == "9999-12-31T23:59:59Z"


def test_two_sessions_in_one_tree_are_a_gap_and_no_guess(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    samples.put_codex(tmp_path, "codex-direct", "codex-code")
    report = CODEX.report(context, [], None)
    assert [gap.why for gap in report.gaps] == ["hooks-silent", "transcript-ambiguous"]
    assert report.models == report.edits == report.channels == ()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are seen in /proc")
def test_the_rollout_that_our_process_holds_open_is_ours_also_afterwards(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    direct, _ = samples.put_codex(tmp_path, "codex-direct", "codex-code")
    with direct.open():
        during = CODEX.report(context, [], os.getpid())
    afterwards = CODEX.report(context, [], None)
    assert during.models[0].requested == "gpt-5.5"
    assert afterwards == during


@pytest.mark.parametrize("why", ["elsewhere", "older"])
def test_a_rollout_of_another_tree_or_another_time_is_not_ours(why: str, tmp_path: Path) -> None:
    started = "2026-11-24T18:50:00Z" if why == "older" else samples.STARTED
    context = samples.context(tmp_path, "codex", "exec", "x", started=started)
    (path,) = samples.put_codex(tmp_path, "codex-direct")
    if why == "elsewhere":
        objects = [json.loads(line) for line in path.read_text().splitlines()]
        objects[0]["payload"]["cwd"] = str(tmp_path / "repository-with-a-longer-name")
        samples.put(path, objects)
    report = CODEX.report(context, [], None)
    assert [gap.why for gap in report.gaps] == ["hooks-silent", "transcript-missing"]
    assert report.edits == ()


def test_a_resumed_session_counts_from_the_start_of_this_run(tmp_path: Path) -> None:
    samples.context(tmp_path, "codex", "resume")
    (path,) = samples.put_codex(tmp_path, "codex-code")
    objects = [json.loads(line) for line in path.read_text().splitlines()]
    middle = objects[len(objects) // 2]["timestamp"]
    late = samples.context(tmp_path, "codex", "resume", started=middle)
    (use,) = CODEX.report(late, [], None).models
    assert use.requested == "gpt-6.1-sol"
    assert 0 < use.calls < 6


def test_codex_home_moves_the_rollouts(tmp_path: Path) -> None:
    samples.context(tmp_path, "codex")
    samples.put_codex(tmp_path, "codex-direct")
    (tmp_path / "home" / ".codex").rename(tmp_path / "moved")
    moved = samples.context(tmp_path, "codex", CODEX_HOME=str(tmp_path / "moved"))
    assert CODEX.report(moved, [], None).channels == ("transcript",)


def test_odd_input_is_skipped_and_never_raises(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex", "exec", "x")
    (path,) = samples.put_codex(tmp_path, "codex-direct")
    with path.open("ab") as stream:
        stream.write(b'\xff\n[]\n{"type": 7}\n{' + b"[" * 5000 + b"\n")
        for value in (None, 7, [], {}, "x", [7], {"type": "x"}):
            for kind in ("session_meta", "turn_context", "world_state", "token_usage_record"):
                line = {"timestamp": "2026-11-24T18:46:50Z", "type": kind, "payload": value}
                stream.write(json.dumps(line).encode() + b"\n")
            for kind in ("custom_tool_call", "function_call", "function_call_output"):
                payload = {"type": kind, "call_id": "odd", "name": "apply_patch", "input": value}
                payload |= {"arguments": value, "output": value, "namespace": value}
                line = {"timestamp": "2026-11-24T18:46:51Z", "type": "response_item"}
                stream.write(json.dumps({**line, "payload": payload}).encode() + b"\n")
            for kind in ("FileChange", "CommandExecution", "McpToolCall"):
                item = {"type": kind, "id": "odd", "status": "completed", "changes": value}
                item |= {"parsed_cmd": value, "server": value, "cwd": value}
                payload = {"type": "item_completed", "item": item}
                line = {"timestamp": "2026-11-24T18:46:52Z", "type": "event_msg"}
                stream.write(json.dumps({**line, "payload": payload}).encode() + b"\n")
    os.mkfifo(path.with_name("rollout-fifo.jsonl"))
    os.utime(path, (2e9, 2e9))
    report = CODEX.report(context, [], 2**22 + 1)
    assert report.models[0].calls >= 7
    assert len(report.edits) >= 2


def test_a_patch_gives_each_run_of_added_lines_to_the_file_that_gets_it() -> None:
    patch = (
        "*** Begin Patch\n"
        "*** Add File: a.py\n+one\n+two\n"
        "*** Delete File: b.py\n"
        "*** Update File: c.py\n*** Move to: d.py\n@@ def f():\n x\n-y\n+z\n w\n+v\n"
        "*** End of File\n"
        "*** End Patch\n"
    )
    assert list(patch_additions(patch)) == [
        ("a.py", "one\ntwo\n"),
        ("d.py", "z\n"),
        ("d.py", "v\n"),
    ]
