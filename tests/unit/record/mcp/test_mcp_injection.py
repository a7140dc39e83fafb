from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentprov.ports import ConfiguredMcpServer, Launch, LaunchContext
from agentprov.record.agents import claude_settings, codex_settings, opencode_settings
from agentprov.record.agents.registry import adapter_named
from agentprov.record.mcp.around import gemini_cli, opencode
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
    assert not any("mcp_servers" in word for word in launch.argv)
    assert len(launch.gaps) == 1


def test_opencode_gets_commands_over_what_its_variable_holds_and_nothing_else(
    tmp_path: Path,
) -> None:
    local = {"type": "local", "command": ["serve", "{env:PLACE}"], "environment": {"K": SECRET}}
    filed = {"type": "local", "command": ["serve", "{file:./key}"]}
    off = {"type": "local", "command": ["serve"], "enabled": False}
    far = {"type": "remote", "url": "https://far.example/mcp"}
    theirs = {"notes": local, "filed": filed, "off": off, "far": far}
    write(tmp_path / "repo/opencode.json", {"mcp": theirs})
    held = json.dumps({"theme": "plain", "mcp": {"notes": {"timeout": 5}}})
    found = context(tmp_path, "opencode", "run", "go on")
    found = replace(found, environment={**found.environment, opencode_settings.CONTENT: held})
    launch = injected("opencode", found)
    given = json.loads(launch.environment[opencode_settings.CONTENT])
    assert given["theme"] == "plain"
    assert list(given["mcp"]) == ["notes"]
    assert given["mcp"]["notes"]["timeout"] == 5
    assert given["mcp"]["notes"]["command"][0] == sys.executable
    assert given["mcp"]["notes"]["command"][-3:] == ["--", "serve", "{env:PLACE}"]
    assert SECRET not in str(launch)
    assert set(launch.gaps) == {
        "mcp-not-watched: filed: the command is read from a file",
        "mcp-not-watched: far: reached over the network",
    }


def test_opencodes_redirection_and_relay_stand_in_one_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "repo/opencode.json", {"mcp": {"notes": {"command": ["serve"]}}})
    found = context(tmp_path, "opencode", "run", "--model", "scripted/m", "go on")
    adapter = adapter_named("opencode")
    launch = adapter.redirect(found, adapter.prepare(found), "http://127.0.0.1:1/v1")
    servers = adapter.mcp_servers(found)
    given = json.loads(
        inject("opencode", found, launch, servers).environment[opencode_settings.CONTENT]
    )
    assert given["provider"]["scripted"]["options"]["baseURL"] == "http://127.0.0.1:1/v1"
    assert given["mcp"]["notes"]["command"][-1] == "serve"
    monkeypatch.setattr(opencode, "MANAGED", tmp_path / "etc")
    write(tmp_path / "etc/opencode.json", {})
    left = inject("opencode", found, launch, servers)
    assert left.environment == launch.environment
    assert left.gaps[-1] == "mcp-not-watched: notes: managed settings outrank the run's own"


def qwen(base: Path, *words: str) -> tuple[Launch, dict[str, Any], dict[str, Any]]:
    """Give the launch, and what stands in the two places that Qwen Code is given."""
    launch = injected("qwen-code", context(base, "qwen", *words, "-p", "go on"))
    held = json.loads((base / "scratch/qwen/settings.json").read_text()).get("mcpServers", {})
    option = f"--mcp-config={base / 'scratch' / FILE}"
    return launch, held, wrapped(base) if option in launch.argv else {}


def test_qwens_servers_go_where_their_variables_mean_what_they_meant(tmp_path: Path) -> None:
    write(tmp_path / "home/.qwen/settings.json", entry("user", env={"TOKEN": SECRET}, trust=True))
    write(tmp_path / "repo/.mcp.json", {"mcpServers": {"theirs": {"command": "project"}}})
    write(tmp_path / "repo/mine.json", {"mcpServers": {"mine": {"command": "option"}, "far": {}}})
    launch, held, given = qwen(tmp_path, "--yolo", "--mcp-config", "mine.json")
    assert held["notes"]["args"][-2:] == ["--", "user"]
    assert (held["notes"]["env"], held["notes"]["trust"]) == ({"TOKEN": SECRET}, True)
    assert held.keys() == {"notes"}
    assert {name: one["args"][-1] for name, one in given.items() if one} == {
        "theirs": "project",
        "mine": "option",
    }
    assert "mine.json" not in launch.argv
    assert launch.gaps == ()
    assert (tmp_path / "scratch/qwen/settings.json").stat().st_mode & 0o777 == 0o600
    assert SECRET not in str(launch)


def test_qwen_starts_no_server_of_the_repository_that_it_would_have_asked_about(
    tmp_path: Path,
) -> None:
    write(tmp_path / "repo/.mcp.json", {"mcpServers": {"theirs": {"command": "project"}}})
    write(tmp_path / "repo/.qwen/settings.json", entry("workspace"))
    asks = "mcp-not-watched: notes, theirs: Qwen Code asks for approval first"
    launch, held, given = qwen(tmp_path, "--approval-mode", "auto-edit")
    assert (launch.gaps, held, given) == ((asks,), {}, {})
    write(
        tmp_path / "home/.qwen/settings.json",
        {"security": {"folderTrust": {"enabled": True}}},
    )
    launch, held, given = qwen(tmp_path, "--yolo")
    assert (launch.gaps, held, given) == ((asks,), {}, {})


def test_a_server_that_an_extension_brings_is_named_for_qwen_and_watched_for_gemini(
    tmp_path: Path,
) -> None:
    brought = {"name": "e", **entry("serve", args=["${extensionPath}/x"])}
    folder = tmp_path / "home/.qwen/extensions/e"
    write(folder / "qwen-extension.json", brought)
    launch, held, given = qwen(tmp_path, "-y")
    assert launch.gaps == ("mcp-not-watched: notes: an extension brings them",)
    assert (held, given) == ({}, {})
    folder = tmp_path / "home/.gemini/extensions/e"
    write(folder / "gemini-extension.json", brought)
    assert injected("gemini-cli", context(tmp_path, "gemini", "-p", "go on")).gaps == ()
    known = json.loads((tmp_path / "scratch" / gemini_cli.SERVERS).read_text())["servers"]
    assert [one["command"] for one in known] == [["serve", f"{folder}/x"]]


def test_the_entry_that_qwen_would_start_is_the_one_that_is_wrapped(tmp_path: Path) -> None:
    write(tmp_path / "home/.qwen/settings.json", entry("user"))
    assert qwen(tmp_path, "-y")[1]["notes"]["args"][-1] == "user"
    write(tmp_path / "repo/.mcp.json", entry("project"))
    _, held, given = qwen(tmp_path, "-y")
    assert (held, given["notes"]["args"][-1]) == ({}, "project")
    write(tmp_path / "repo/.qwen/settings.json", entry("workspace"))
    _, held, given = qwen(tmp_path, "-y")
    assert (held["notes"]["args"][-1], given) == ("workspace", {})
    inline = json.dumps(entry("option"))
    _, held, given = qwen(tmp_path, "-y", "--mcp-config", inline)
    assert (held, given["notes"]["args"][-1]) == ({}, "option")
    _, held, given = qwen(tmp_path, "-y", "--bare")
    assert (held, given) == ({}, {})


@pytest.mark.parametrize(("agent", "place"), [("qwen-code", ".qwen"), ("gemini-cli", ".gemini")])
def test_servers_in_a_sandbox_are_left_alone(tmp_path: Path, agent: str, place: str) -> None:
    write(tmp_path / f"home/{place}/settings.json", entry("user"))
    program = agent.partition("-")[0]
    launch = injected(agent, context(tmp_path, program, "-s", "-p", "go on"))
    assert launch.gaps == ("mcp-not-watched: notes: a sandbox starts them",)
    assert "NODE_OPTIONS" not in launch.environment


def test_gemini_gets_a_script_beside_what_its_variable_holds(tmp_path: Path) -> None:
    write(
        tmp_path / "home/.gemini/settings.json", entry("serve", args=["$PLACE"], env={"K": SECRET})
    )
    found = context(tmp_path, "gemini", "-p", "go on")
    found = replace(found, environment={**found.environment, "NODE_OPTIONS": "--no-warnings"})
    launch = injected("gemini-cli", found)
    script = tmp_path / "scratch" / gemini_cli.SCRIPT
    assert launch.environment["NODE_OPTIONS"] == f'--no-warnings --require "{script}"'
    assert script.read_text().startswith("// Loaded by node")
    held = (tmp_path / "scratch" / gemini_cli.SERVERS).read_text()
    (server,) = json.loads(held)["servers"]
    assert server["command"] == ["serve", "$PLACE"]
    assert server["relay"][0] == sys.executable
    assert SECRET not in held
    assert launch.argv == found.argv


def test_agents_without_a_way_around_their_servers_say_so(tmp_path: Path) -> None:
    found = context(tmp_path, "pi")
    known = ConfiguredMcpServer("notes", "serve", (), None, (), "somewhere")
    launch = inject("pi", found, Launch(found.argv, channels=("hooks",)), [known])
    assert launch.gaps == ("mcp-not-watched: notes: this agent's servers cannot be wrapped",)


@pytest.mark.parametrize(("agent", "argv"), [("claude-code", ["mcp", "list"]), ("codex", ["mcp"])])
def test_a_command_that_is_no_session_is_left_as_it_is(
    tmp_path: Path, agent: str, argv: list[str]
) -> None:
    write(tmp_path / "home/.claude.json", entry("user"))
    write(tmp_path / "home/.codex/config.toml", '[mcp_servers.notes]\ncommand = "serve"\n')
    found = context(tmp_path, agent.removesuffix("-code"), *argv)
    assert injected(agent, found) == Launch(found.argv)
