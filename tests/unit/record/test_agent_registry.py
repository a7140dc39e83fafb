from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentprov.formats.facts import AgentReport
from agentprov.ports import AgentAdapter, Launch
from agentprov.record.agents import claude_settings, codex_settings
from agentprov.record.agents.any_command import AnyCommand
from agentprov.record.agents.registry import UNKNOWN, adapter_for, adapter_named, adapters
from agentprov.record.agents.scripted import TRANSCRIPT_VARIABLE, Scripted
from support import agent_samples as samples


@pytest.mark.parametrize(
    ("command", "package", "name"),
    [
        ("claude", None, "claude-code"),
        ("/usr/bin/codex", None, "codex"),
        ("node", "@openai/codex", "codex"),
        ("claude", "@openai/codex", "codex"),
        ("scripted_agent.py", None, "scripted"),
        ("make", None, "command"),
        ("make", "left-pad", "command"),
    ],
)
def test_each_command_finds_its_adapter_and_the_package_is_believed_first(
    command: str, package: str | None, name: str
) -> None:
    assert adapter_for(command, package).name == name


def test_an_adapter_is_found_by_the_name_that_a_session_keeps() -> None:
    for adapter in (*adapters(), UNKNOWN):
        assert adapter_named(adapter.name) is adapter
    assert adapter_named("from-the-future") is UNKNOWN


@pytest.mark.parametrize("adapter", [*adapters(), UNKNOWN], ids=lambda adapter: adapter.name)
def test_every_adapter_copes_with_an_empty_world(
    adapter: AgentAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_settings, "MANAGED", ())
    monkeypatch.setattr(codex_settings, "SYSTEM", tmp_path / "etc")
    context = samples.context(tmp_path, "x")
    launch = adapter.prepare(context)
    assert launch.argv[0] == "x"
    assert list(adapter.materials(context)) == []
    assert list(adapter.mcp_servers(context)) == []
    report = adapter.report(context, [], None)
    assert report.channels == report.models == report.edits == ()
    assert list(context.cwd.iterdir()) == list(context.home.iterdir()) == []


def test_an_unknown_command_is_started_as_typed_and_claims_nothing(tmp_path: Path) -> None:
    adapter = AnyCommand()
    context = samples.context(tmp_path, "make", "-j4")
    (context.cwd / "AGENTS.md").write_text("rules")
    assert adapter.prepare(context) == Launch(("make", "-j4"))
    assert adapter.materials(context) == ()
    assert adapter.report(context, samples.claude_drops(tmp_path), 1) == AgentReport()


def test_the_scripted_agent_is_told_where_to_keep_its_transcript(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "scripted-agent")
    launch = Scripted().prepare(context)
    assert Path(launch.environment[TRANSCRIPT_VARIABLE]).parent == context.scratch
    assert launch.channels == ("transcript",)


def test_the_scripted_agents_transcript_tells_the_session(tmp_path: Path) -> None:
    adapter = Scripted()
    context = samples.context(tmp_path, "scripted-agent")
    (context.cwd / "AGENTS.md").write_text("rules")
    model = {"kind": "model", "provider": "scripted", "requested": "m", "served": "m-1"}
    lines = [
        {"kind": "session", "id": "s"},
        {"kind": "instruction", "path": "AGENTS.md"},
        {"kind": "read", "path": "PLAN.md"},
        {**model, "inputTokens": 1, "outputTokens": 2},
        {"kind": "edit", "path": "src/app.py", "text": "x = 1\n"},
        {**model, "inputTokens": 10, "outputTokens": 20},
        {
            "kind": "edit",
            "path": "/abs/b.py",
            "text": "y",
            "model": "z",
            "at": "2026-01-02T03:04:05Z",
        },
        {"kind": "command", "start": "2026-01-02T03:04:05Z", "end": "2026-01-02T05:04:06+02:00"},
        {"kind": "unheard"},
        {"kind": "edit", "path": 7, "text": []},
        {"kind": "model", "served": None},
    ]
    place = Path(adapter.prepare(context).environment[TRANSCRIPT_VARIABLE])
    place.write_text("".join(json.dumps(line) + "\n" for line in lines) + "no json\n")
    report = adapter.report(context, [], None)

    first, second = report.models
    assert (first.served, first.calls, first.input_tokens, first.output_tokens) == (
        "m-1",
        2,
        11,
        22,
    )
    assert (second.served, second.provider) == (None, "scripted")
    assert second.why
    assert [(edit.path, edit.text, edit.model, edit.at) for edit in report.edits] == [
        (str(context.cwd / "src" / "app.py"), "x = 1\n", "m-1", None),
        ("/abs/b.py", "y", "z", "2026-01-02T03:04:05.000000Z"),
    ]
    assert [(window.start, window.end) for window in report.commands] == [
        ("2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:06.000000Z")
    ]
    assert report.instructions == (str(context.cwd / "AGENTS.md"),)
    assert report.read_paths == (str(context.cwd / "PLAN.md"),)
    assert (report.channels, report.agent_sessions) == (("transcript",), ("s",))
    assert [path.name for _, path in adapter.materials(context)] == ["AGENTS.md"]
