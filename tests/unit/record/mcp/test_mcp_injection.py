from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agentprov.ports import Launch, LaunchContext
from agentprov.record.agents import claude_settings, codex_settings
from agentprov.record.agents.registry import adapter_named
from agentprov.record.mcp.injection import inject
from agentprov.record.mcp.wrapping import FILE
from support import agent_samples as samples

SECRET = "planted-token-0000"


@pytest.fixture(autouse=True)
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(claude_settings, "MANAGED", (tmp_path / "etc" / "claude-code",))
    monkeypatch.setattr(codex_settings, "SYSTEM", tmp_path / "etc" / "codex")
    return tmp_path / "etc"


def write(place: Path, value: object) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(value if isinstance(value, str) else json.dumps(value))


def entry(command: str, **fields: Any) -> dict[str, Any]:
    return {"mcpServers": {"notes": {"command": command, **fields}}}


def context(base: Path, *argv: str) -> LaunchContext:
    return samples.context(base, *argv, AGENTPROV_SPOOL=str(base / "spool"))


def injected(agent: str, found: LaunchContext) -> Launch:
    adapter = adapter_named(agent)
    return inject(agent, found, adapter.prepare(found), adapter.mcp_servers(found))


def wrapped(base: Path) -> dict[str, Any]:
    return dict(json.loads((base / "scratch" / FILE).read_text())["mcpServers"])


def test_claudes_stdio_servers_are_wrapped_under_their_names_in_a_private_file(
    tmp_path: Path,
) -> None:
    found = context(tmp_path, "claude", "-p", "--", "go on")
    remote = {"type": "http", "url": "https://far.example/mcp", "headers": {"k": SECRET}}
    servers = entry("${HOME}/serve", args=["--fast"], env={"TOKEN": SECRET})["mcpServers"]
    write(tmp_path / "home/.claude.json", {"mcpServers": {**servers, "far": remote}})
    launch = injected("claude-code", found)
    option = f"--mcp-config={tmp_path / 'scratch' / FILE}"
    assert launch.argv[-3:] == (option, "--", "go on")
    assert "--strict-mcp-config" not in launch.argv
    assert list(wrapped(tmp_path)) == ["notes"]
    notes = wrapped(tmp_path)["notes"]
    assert notes["command"] == sys.executable
    assert notes["args"][-3:] == ["--", "${HOME}/serve", "--fast"]
    assert notes["env"] == {"TOKEN": SECRET}
    assert (tmp_path / "scratch" / FILE).stat().st_mode & 0o777 == 0o600
    assert SECRET not in " ".join(launch.argv)
    assert launch.gaps == ("mcp-not-watched: far: reached over the network",)


def test_the_entry_that_claude_would_start_is_the_one_that_is_wrapped(tmp_path: Path) -> None:
    found = context(tmp_path, "claude", "-p", "--mcp-config", "a.json", "b.json")
    state = {**entry("user"), "projects": {str(tmp_path / "repo"): entry("local")}}
    write(tmp_path / "home/.claude.json", state)
    write(tmp_path / "repo/.mcp.json", entry("project"))
    write(tmp_path / "repo/a.json", entry("first"))
    injected("claude-code", found)
    assert wrapped(tmp_path)["notes"]["args"][-1] == "first"
    write(tmp_path / "repo/b.json", entry("second"))
    injected("claude-code", found)
    assert wrapped(tmp_path)["notes"]["args"][-1] == "second"
    injected("claude-code", context(tmp_path, "claude", "-p"))
    assert wrapped(tmp_path)["notes"]["args"][-1] == "local"


def test_a_server_that_claude_would_ask_about_first_is_not_started_by_us(tmp_path: Path) -> None:
    write(tmp_path / "repo/.mcp.json", entry("theirs"))
    launch = injected("claude-code", context(tmp_path, "claude"))
    assert launch.gaps == ("mcp-not-watched: notes: Claude asks for approval first",)
    assert not (tmp_path / "scratch" / FILE).exists()
    settings = {"enabledMcpjsonServers": ["notes"]}
    write(tmp_path / "repo/.claude/settings.local.json", settings)
    assert injected("claude-code", context(tmp_path, "claude")).gaps == ()
    assert list(wrapped(tmp_path)) == ["notes"]


@pytest.mark.parametrize("key", ["disabledMcpjsonServers", "disabledMcpServers"])
def test_a_server_that_is_switched_off_stays_off(tmp_path: Path, key: str) -> None:
    write(tmp_path / "repo/.mcp.json", entry("theirs"))
    write(tmp_path / "repo/.claude/settings.local.json", {key: ["notes"]})
    launch = injected("claude-code", context(tmp_path, "claude", "-p"))
    assert not any("mcp-config" in word for word in launch.argv)


def test_claudes_servers_are_left_alone_where_rules_may_name_commands(
    tmp_path: Path, managed: Path
) -> None:
    found = context(tmp_path, "claude", "-p")
    write(tmp_path / "home/.claude.json", entry("user"))
    rule = {"deniedMcpServers": [{"serverCommand": ["user"]}]}
    write(tmp_path / "home/.claude/settings.json", rule)
    launch = injected("claude-code", found)
    assert launch.gaps == ("mcp-not-watched: notes: settings allow or deny servers",)
    write(managed / "claude-code/managed-mcp.json", {"mcpServers": {}})
    launch = injected("claude-code", found)
    assert launch.gaps == ("mcp-not-watched: notes: managed settings fix the servers",)
    assert not any("mcp-config" in word for word in launch.argv)


def test_servers_of_plug_ins_are_named_as_unseen(tmp_path: Path) -> None:
    write(tmp_path / "home/.claude/settings.json", {"enabledPlugins": {"notes@shop": True}})
    launch = injected("claude-code", context(tmp_path, "claude", "-p"))
    assert launch.gaps == ("mcp-not-watched: servers of plug-ins, if they have any",)


def test_codex_gets_command_and_arguments_only_so_that_the_rest_stays_as_configured(
    tmp_path: Path,
) -> None:
    write(
        tmp_path / "home/.codex/config.toml",
        '[mcp_servers.notes]\ncommand = "serve"\nargs = ["a \\"b\\"", "\u00e9"]\n'
        f'env = {{ TOKEN = "{SECRET}" }}\n[mcp_servers."odd.name"]\ncommand = "x"\n',
    )
    found = context(tmp_path, "codex", "exec", "--", "go on")
    launch = injected("codex", found)
    assert launch.argv[:2] == ("codex", "exec")
    assert launch.argv[-2:] == ("--", "go on")
    assert SECRET not in " ".join(launch.argv)
    assert launch.gaps == ("mcp-not-watched: odd.name: the name cannot stand on a command line",)
    given = codex_settings.effective(found, launch.argv[1:])["mcp_servers"]["notes"]
    assert given["env"] == {"TOKEN": SECRET}
    assert given["command"] == sys.executable
    assert given["args"][-4:] == ["--", "serve", 'a "b"', "\u00e9"]
    assert given["args"][:3] == ["-I", "-m", "agentprov.record.mcp.process"]


def test_codexs_servers_are_left_alone_where_an_administrator_fixes_them(
    tmp_path: Path, managed: Path
) -> None:
    write(tmp_path / "home/.codex/config.toml", '[mcp_servers.notes]\ncommand = "serve"\n')
    write(managed / "codex/requirements.toml", "")
    launch = injected("codex", context(tmp_path, "codex", "exec", "go on"))
    assert launch.argv == ("codex", "exec", "go on")
    assert len(launch.gaps) == 1


@pytest.mark.parametrize(("agent", "argv"), [("claude-code", ["mcp", "list"]), ("codex", ["mcp"])])
def test_a_command_that_is_no_session_is_left_as_it_is(
    tmp_path: Path, agent: str, argv: list[str]
) -> None:
    write(tmp_path / "home/.claude.json", entry("user"))
    write(tmp_path / "home/.codex/config.toml", '[mcp_servers.notes]\ncommand = "serve"\n')
    found = context(tmp_path, agent.removesuffix("-code"), *argv)
    assert injected(agent, found) == Launch(found.argv)
