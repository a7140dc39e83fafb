"""Real agents, headless, against the scripted model: they do what the script says."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agentprov.formats import dropbox
from agentprov.formats.facts import AgentReport
from agentprov.ports import LaunchContext
from agentprov.record.agents.registry import adapter_for
from support.model_endpoint import (
    Delegate,
    Edit,
    McpCall,
    ModelEndpoint,
    Read,
    Say,
    Shell,
    Turn,
    Write,
)
from support.real_agents import AGENTS, AgentMissing, configure, install

LABNOTES = Path(__file__).resolve().parents[1] / "support" / "labnotes_server.py"
SPOOL = """#!/bin/sh
file="{folder}/$$.$(date +%s%N)"
{{ printf 'agentprov-drop/1 %s %s\\n' "$1" "$2"; cat; }} > "$file.part"
mv "$file.part" "$file.drop"
"""
SCRIPT: list[Turn] = [
    Write("src/app.py", "def greet(name):\n    return 'hello ' + name\n"),
    (Edit("src/app.py", "'hello ' + name", "f'hello, {name}!'"), Read("README.md")),
    McpCall("labnotes", "add", {"a": 2, "b": 3}),
    Shell("echo 'made by a command' > notes.txt"),
    Shell("git add -A && git commit -qm 'Add the greeting'"),
    Say("All done."),
]
MODELS = {
    "claude-code": "claude-opus-5-5",
    "codex": "gpt-5.5",
    "gemini-cli": "gemini-3.1-pro-preview",
    "opencode": "scripted-model",
    "pi": "scripted-model",
    "qwen-code": "scripted-model",
}
WITHOUT_MCP = ("pi",)
KEEPS_SERVED = ("claude-code", "pi", "qwen-code")
LOADED = {
    "claude-code": ["CLAUDE.md", "docs/style.md"],
    "codex": ["AGENTS.md"],
    "qwen-code": ["AGENTS.md"],
}
CHANNELS = {
    "claude-code": ("hooks", "transcript"),
    "codex": ("hooks", "transcript"),
    "gemini-cli": ("transcript",),
    "opencode": ("transcript",),
    "pi": ("hooks", "transcript"),
    "qwen-code": ("hooks", "transcript"),
}
ANSWER = {
    "claude-code": '"result',
    "codex": '"result',
    "gemini-cli": "\\n5\\n",
    "opencode": '"content": "5"',
    "qwen-code": '"result',
}
SETTINGS = {"codex": "config.toml", "opencode": "opencode.json", "pi": "models.json"}


def _script(name: str) -> list[Turn]:
    return [turn for turn in SCRIPT if name not in WITHOUT_MCP or not isinstance(turn, McpCall)]


@dataclass
class Run:
    """One real run: where, with what context, and what the endpoint and the hooks kept."""

    repo: Path
    context: LaunchContext
    endpoint: ModelEndpoint
    drops: list[dropbox.Drop]
    stdout: str

    def report(self) -> AgentReport:
        adapter = adapter_for(self.context.argv[0])
        return adapter.report(self.context, self.drops, None)


def _git(repo: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=repo, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "docs").mkdir(parents=True)
    (folder / "README.md").write_text("# A small project\n")
    (folder / "CLAUDE.md").write_text("# Rules\n\n@docs/style.md\n")
    (folder / "AGENTS.md").write_text("# Rules for agents\n")
    (folder / "GEMINI.md").write_text("# Rules for Gemini\n")
    (folder / "docs" / "style.md").write_text("Be kind.\n")
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", "Start")
    return folder


def _play(name: str, repo: Path, script: list[Turn], **extra: object) -> Run:
    try:
        install(name)
    except AgentMissing as missing:
        pytest.skip(str(missing))
    base = repo.parent
    scratch, spool = base / "scratch", base / "spool"
    scratch.mkdir(exist_ok=True)
    spool.mkdir(exist_ok=True)
    spool_script = base / "the spool.sh"
    spool_script.write_text(SPOOL.format(folder=spool))
    with ModelEndpoint(script, root=repo, served=f"served-by-{name}") as endpoint:
        servers = {"labnotes": [sys.executable, str(LABNOTES)]}
        settings = {"mcp": {} if name in WITHOUT_MCP else servers, **extra}
        if name == "gemini-cli":
            # Else it first asks a model which model to ask.
            settings.setdefault("model", MODELS[name])
        prefix, environment = configure(name, base / "home", endpoint.url, settings)
        context = LaunchContext(
            argv=(*prefix, "make a greeting app"),
            cwd=repo,
            top=repo,
            home=base / "home",
            environment=environment,
            scratch=scratch,
            spool_script=spool_script,
            started=datetime.now(UTC).isoformat(),
        )
        launch = adapter_for(prefix[0]).prepare(context)
        done = subprocess.run(
            launch.argv,
            cwd=repo,
            env={**environment, **launch.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    files = sorted(spool.glob("*.drop"), key=lambda path: path.stat().st_mtime_ns)
    drops = [dropbox.decode(path.read_bytes()) for path in files]
    return Run(repo, context, endpoint, drops, done.stdout)


@pytest.mark.agents
@pytest.mark.parametrize("name", sorted(AGENTS))
def test_a_real_agent_writes_edits_runs_and_commits_what_the_script_says(
    name: str, repo: Path
) -> None:
    script = _script(name)
    run = _play(name, repo, script)

    assert "All done." in run.stdout
    assert _git(repo, "show", "HEAD:src/app.py") == (
        "def greet(name):\n    return f'hello, {name}!'\n"
    )
    assert _git(repo, "show", "HEAD:notes.txt") == "made by a command\n"
    assert _git(repo, "log", "--format=%s") == "Add the greeting\nStart\n"
    assert _git(repo, "status", "--porcelain") == ""
    # opencode also asks for a title, with no tools on offer.
    asked = [
        request
        for request in run.endpoint.model_requests
        if name != "opencode" or request.body.get("tools")
    ]
    assert [request.model for request in asked] == [MODELS[name]] * len(script)
    assert name in WITHOUT_MCP or ANSWER[name] in json.dumps(asked[-1].body), (
        "the MCP server's answer reached the model"
    )


@pytest.mark.agents
@pytest.mark.parametrize("name", sorted(AGENTS))
def test_a_report_on_a_real_run_tells_models_edits_commands_and_servers(
    name: str, repo: Path
) -> None:
    script = _script(name)
    run = _play(name, repo, script)
    report = run.report()

    (use,) = report.models
    assert (use.requested, use.role, use.basis) == (MODELS[name], "main", "reported")
    assert use.served == (f"served-by-{name}" if name in KEEPS_SERVED else None)
    calls = len(script)
    assert (use.calls, use.input_tokens, use.output_tokens) == (calls, 100 * calls, 20 * calls)
    edits = [edit for edit in report.edits if edit.path == str(repo / "src" / "app.py")]
    assert edits[0].text == "def greet(name):\n    return 'hello ' + name\n"
    assert edits[-1].text.rstrip("\n") == "    return f'hello, {name}!'"
    assert all(run.context.started < (edit.at or "") for edit in edits)
    assert len(report.commands) >= 2
    assert all(run.context.started < window.start for window in report.commands)
    assert all(window.start <= window.end < "9999" for window in report.commands)
    assert str(repo / "README.md") in report.read_paths
    assert report.mcp_connected == (() if name in WITHOUT_MCP else ("labnotes",))
    assert report.gaps == ()
    assert len(report.agent_sessions) == 1
    # Qwen Code also names a file of the user's own; hooks that run at once come in any order.
    loaded = sorted(path for path in report.instructions if path.startswith(str(repo)))
    assert loaded == [str(repo / path) for path in LOADED.get(name, ())]
    assert report.channels == CHANNELS[name]


@pytest.mark.agents
@pytest.mark.parametrize("name", sorted(AGENTS))
def test_the_configured_server_and_the_files_that_steer_a_real_agent_are_named(
    name: str, repo: Path
) -> None:
    run = _play(name, repo, [Say("Hello.")])
    adapter = adapter_for(run.context.argv[0])

    servers = adapter.mcp_servers(run.context)
    assert [(server.name, server.command, server.arguments) for server in servers] == (
        [] if name in WITHOUT_MCP else [("labnotes", sys.executable, (str(LABNOTES),))]
    )
    roles = {path.name: role for role, path in adapter.materials(run.context)}
    assert roles["GEMINI.md" if name == "gemini-cli" else "AGENTS.md"] == "instruction"
    assert roles[SETTINGS.get(name, "settings.json")] == "settings"


@pytest.mark.agents
@pytest.mark.parametrize("name", sorted(AGENTS))
def test_what_a_real_agent_was_told_to_write_is_read_off_the_wire(name: str, repo: Path) -> None:
    run = _play(name, repo, SCRIPT[:2])
    adapter = adapter_for(run.context.argv[0])

    texts = [
        (edit.path, edit.text.rstrip("\n"), edit.basis)
        for call in run.endpoint.tool_calls
        for edit in adapter.edits_of(call, str(repo))
    ]
    place = str(repo / "src" / "app.py")
    whole, part = texts
    assert whole == (place, "def greet(name):\n    return 'hello ' + name", "intercepted")
    assert part[0] == place
    assert "f'hello, {name}!'" in part[1]
    reported = {edit.call_id for edit in run.report().edits} - {None}
    assert reported <= {call.id for call in run.endpoint.tool_calls}


@pytest.mark.agents
def test_claude_code_tells_its_hooks_what_it_does_and_is_never_held_up_by_them(repo: Path) -> None:
    run = _play("claude-code", repo, SCRIPT)

    events = [drop.event for drop in run.drops]
    assert events[0] == "SessionStart"
    assert events[-1] == "SessionEnd"
    assert events.count("PreToolUse") == events.count("PostToolUse") == 6


@pytest.mark.agents
def test_an_instruction_file_in_a_folder_that_claude_code_enters_later_is_reported(
    repo: Path,
) -> None:
    (repo / "docs" / "CLAUDE.md").write_text("Write short sentences.\n")
    report = _play("claude-code", repo, [Read("docs/style.md"), Say("Read it.")]).report()

    loaded = [str(repo / path) for path in ("docs/CLAUDE.md", "CLAUDE.md", "docs/style.md")]
    assert sorted(report.instructions) == sorted(loaded)


@pytest.mark.agents
def test_claude_code_works_on_when_the_spool_script_is_gone(repo: Path) -> None:
    (repo / ".claude").mkdir()
    run = _play("claude-code", repo, SCRIPT[:2])
    before = _git(repo, "status", "--porcelain")
    (repo.parent / "the spool.sh").unlink()
    adapter = adapter_for("claude")
    launch = adapter.prepare(run.context)
    with ModelEndpoint([Shell("touch after.txt"), Say("ok")], root=repo) as endpoint:
        environment = {**run.context.environment, "ANTHROPIC_BASE_URL": endpoint.url}
        subprocess.run(
            launch.argv,
            cwd=repo,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=180,
            check=True,
        )
    assert _git(repo, "status", "--porcelain") == before.replace("?? src/", "?? after.txt\n?? src/")


@pytest.mark.agents
def test_hooks_that_the_repository_switches_off_are_a_gap_and_the_transcript_still_tells(
    repo: Path,
) -> None:
    (repo / ".claude").mkdir()
    (repo / ".claude" / "settings.json").write_text('{"disableAllHooks": true}')
    run = _play("claude-code", repo, SCRIPT)
    report = run.report()

    assert run.drops == []
    assert report.channels == ("transcript",)
    assert [gap.why for gap in report.gaps] == ["hooks-silent"]
    assert [use.served for use in report.models] == ["served-by-claude-code"]
    launch = adapter_for("claude").prepare(run.context)
    assert launch.gaps == ("hooks-off: .claude/settings.json",)


@pytest.mark.agents
@pytest.mark.parametrize(
    ("name", "model"), [("claude-code", "claude-opus-5-5"), ("codex", "gpt-6.1-sol")]
)
def test_the_work_of_a_subagent_is_told_from_that_of_the_main_agent(
    name: str, model: str, repo: Path
) -> None:
    script: list[Turn] = [
        Delegate(
            "Write the part file", (Write("part.py", "PART = 'by a subagent'\n"), Say("Made."))
        ),
        Shell("for i in 1 2 3 4 5 6 7 8 9 10; do test -e part.py && break; sleep 1; done"),
        Say("All done."),
    ]
    run = _play(name, repo, script, model=model, mcp={})
    report = run.report()

    calls = {use.role: use.calls for use in report.models}
    assert calls["main"] >= 3
    assert calls["subagent"] == 2
    assert (str(repo / "part.py"), "PART = 'by a subagent'\n") in [
        (edit.path, edit.text) for edit in report.edits
    ]


@pytest.fixture
def waiting_codex(repo: Path) -> Iterator[tuple[Run, subprocess.Popen[bytes]]]:
    """Run one Codex to its end, then a second in the same tree that is still at work."""
    run = _play("codex", repo, [Write("first.py", "FIRST = 1\n"), Say("ok")], mcp={})
    go = repo.parent / "go"
    wait = Shell(f"for i in $(seq 300); do test -e '{go}' && break; sleep 0.1; done")
    with ModelEndpoint(
        [Write("second.py", "SECOND = 2\n"), wait, Say("ok")], root=repo
    ) as endpoint:
        prefix, environment = configure("codex", repo.parent / "home", endpoint.url)
        process = subprocess.Popen(
            [*prefix, "once more"],
            cwd=repo,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while len(endpoint.model_requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        yield run, process
        go.touch()
        process.wait(timeout=60)


@pytest.mark.agents
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are seen in /proc")
def test_two_codex_runs_in_one_tree_are_told_apart_by_files_held_open_and_by_hooks(
    repo: Path, waiting_codex: tuple[Run, subprocess.Popen[bytes]]
) -> None:
    run, process = waiting_codex
    adapter = adapter_for("codex")

    blind = adapter.report(run.context, [], None)
    assert [gap.why for gap in blind.gaps] == ["hooks-silent", "transcript-ambiguous"]
    assert blind.edits == ()

    during = adapter.report(run.context, [], process.pid)
    assert [Path(edit.path).name for edit in during.edits] == ["second.py"]
    afterwards = adapter.report(run.context, [], None)
    assert [Path(edit.path).name for edit in afterwards.edits] == ["second.py"]
    elsewhere = replace(run.context, scratch=repo.parent / "other")
    assert adapter.report(elsewhere, [], None).edits == ()
    told = adapter.report(elsewhere, run.drops, None)
    assert [Path(edit.path).name for edit in told.edits] == ["first.py"]


def test_the_endpoint_refuses_a_websocket_so_that_the_agent_falls_back(tmp_path: Path) -> None:
    with ModelEndpoint([Say("x")], root=tmp_path) as endpoint:
        connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=10)
        connection.request("GET", "/v1/responses", headers={"Upgrade": "websocket"})
        assert connection.getresponse().status == 426
        connection.close()


def test_the_endpoint_plays_the_same_turn_again_to_a_client_that_asks_again(
    tmp_path: Path,
) -> None:
    body = json.dumps({"model": "m", "messages": [], "tools": [{"name": "Bash"}]})
    answers = []
    with ModelEndpoint([Shell("true"), Say("x")], root=tmp_path) as endpoint:
        for _ in range(2):
            connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=10)
            connection.request("POST", "/v1/messages", body)
            answers.append(connection.getresponse().read())
            connection.close()
    assert answers[0] == answers[1]
    assert b'"name": "Bash"' in answers[0]


@pytest.mark.parametrize(("ci", "error"), [("", AgentMissing), ("true", RuntimeError)])
def test_without_node_the_agents_are_skipped_on_a_desk_and_fail_on_ci(
    ci: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPROV_TEST_AGENTS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(error, match="codex needs node"):
        install("codex")
