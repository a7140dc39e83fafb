"""Skills, sub-agents, commands and plug-ins of every agent, and the limits of folders."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentprov.ports import AgentAdapter, LaunchContext
from agentprov.record.agents import claude_settings, codex_settings, folders
from agentprov.record.agents.claude_code import ClaudeCode
from agentprov.record.agents.codex import Codex
from agentprov.record.agents.gemini_cli import GeminiCli
from agentprov.record.agents.opencode import OpenCode
from agentprov.record.agents.pi import Pi
from agentprov.record.agents.qwen_code import QwenCode
from agentprov.record.materials import NOT_ALL, NOT_FOLLOWED, digest_materials
from support import agent_samples as samples

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX")


@pytest.fixture(autouse=True)
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_settings, "MANAGED", (tmp_path / "etc" / "claude-code",))
    monkeypatch.setattr(codex_settings, "SYSTEM", tmp_path / "etc" / "codex")


def write(base: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def found(adapter: AgentAdapter, context: LaunchContext, base: Path) -> dict[str, str]:
    return {path.relative_to(base).as_posix(): role for role, path in adapter.materials(context)}


EXPECTED: dict[str, tuple[AgentAdapter, tuple[str, ...], dict[str, str]]] = {
    "claude": (
        ClaudeCode(),
        ("--add-dir", "beside"),
        {
            "home/.claude/skills/tidy/SKILL.md": "skill",
            "home/.claude/skills/tidy/scripts/run.py": "skill",
            "home/.claude/agents/reviewer.md": "skill",
            "home/.claude/commands/ship/now.md": "skill",
            "home/.claude/output-styles/terse.md": "skill",
            "home/.claude/rules/deep/tone.md": "instruction",
            "repo/.claude/skills/ours/SKILL.md": "skill",
            "repo/.claude/agents/ours.md": "skill",
            "repo/.claude/commands/ours.md": "skill",
            "repo/.claude/hooks/check.sh": "hooks",
            "repo/beside/.claude/skills/other/SKILL.md": "skill",
            "etc/claude-code/.claude/skills/all/SKILL.md": "skill",
        },
    ),
    "codex": (
        Codex(),
        (),
        {
            "home/.codex/skills/tidy/SKILL.md": "skill",
            "home/.codex/prompts/ship.md": "skill",
            "home/.codex/agents/reviewer.toml": "skill",
            "home/.agents/skills/shared/SKILL.md": "skill",
            "repo/.codex/skills/ours/SKILL.md": "skill",
            "repo/.agents/skills/ours/scripts/run.sh": "skill",
            "etc/codex/skills/all/SKILL.md": "skill",
        },
    ),
    "gemini": (
        GeminiCli(),
        (),
        {
            "home/.gemini/skills/tidy/SKILL.md": "skill",
            "home/.gemini/agents/reviewer.md": "skill",
            "home/.gemini/commands/ship/now.toml": "skill",
            "home/.gemini/policies/own.toml": "skill",
            "home/.agents/skills/shared/SKILL.md": "skill",
            "home/.gemini/extensions/more/gemini-extension.json": "plugin",
            "home/.gemini/extensions/more/GEMINI.md": "plugin",
            "home/.gemini/extensions/more/hooks/hooks.json": "hooks",
            "repo/.gemini/skills/ours/SKILL.md": "skill",
            "repo/.agents/skills/ours/SKILL.md": "skill",
            "repo/GEMINI.md": "instruction",
            "repo/docs/style.md": "instruction",
        },
    ),
    "qwen": (
        QwenCode(),
        (),
        {
            "home/.qwen/skills/tidy/SKILL.md": "skill",
            "home/.qwen/agents/reviewer.md": "skill",
            "home/.qwen/output-styles/terse.md": "skill",
            "home/.qwen/rules/tone.md": "instruction",
            "home/.qwen/extensions/more/qwen-extension.json": "plugin",
            "home/.qwen/extensions/more/skills/s/SKILL.md": "plugin",
            "repo/.qwen/commands/ours.md": "skill",
            "repo/.qwen/rules/ours.md": "instruction",
            "repo/.agents/skills/ours/SKILL.md": "skill",
        },
    ),
    "opencode": (
        OpenCode(),
        (),
        {
            "home/.config/opencode/skill/tidy/SKILL.md": "skill",
            "home/.config/opencode/agents/reviewer.md": "skill",
            "home/.config/opencode/command/ship.md": "skill",
            "home/.config/opencode/modes/plan.md": "skill",
            "home/.config/opencode/plugins/own.ts": "hooks",
            "home/.claude/skills/theirs/SKILL.md": "skill",
            "home/.agents/skills/shared/SKILL.md": "skill",
            "repo/.opencode/plugin/ours.js": "hooks",
            "repo/.opencode/tool/ours.ts": "hooks",
            "repo/.opencode/agent/ours.md": "skill",
            "repo/.claude/skills/ours/SKILL.md": "skill",
            "repo/tools/own-plugin.js": "hooks",
        },
    ),
    "pi": (
        Pi(),
        ("--skill", "one.md"),
        {
            "home/.pi/agent/skills/tidy/SKILL.md": "skill",
            "home/.pi/agent/prompts/ship.md": "skill",
            "home/.pi/agent/extensions/own/index.ts": "hooks",
            "home/.pi/agent/npm/node_modules/@ada/pack/index.js": "plugin",
            "home/.pi/agent/git/host.example/ada/pack/SKILL.md": "plugin",
            "home/.agents/skills/shared/SKILL.md": "skill",
            "repo/.pi/skills/ours/SKILL.md": "skill",
            "repo/.agents/skills/ours/SKILL.md": "skill",
            "repo/one.md": "skill",
        },
    ),
}
CONTENTS = {
    "repo/GEMINI.md": "Follow @docs/style.md and `@docs/unread.md`.",
}
BESIDE = {
    "repo/opencode.json": json.dumps({"plugin": ["./tools/own-plugin.js", "named-on-npm"]}),
    "home/.pi/agent/settings.json": json.dumps(
        {"packages": ["npm:@ada/pack@1.0.0", {"source": "git:host.example/ada/pack@v1"}]}
    ),
    "repo/docs/unread.md": "not imported",
    "repo/skills/not-read/SKILL.md": "no agent looks there",
    "repo/.claude/skills.md": "no folder",
}


@pytest.mark.parametrize("command", EXPECTED)
def test_what_an_agent_would_load_is_found_file_by_file(command: str, tmp_path: Path) -> None:
    adapter, words, expected = EXPECTED[command]
    context = samples.context(tmp_path, command, *words)
    write(tmp_path, {name: CONTENTS.get(name, name) for name in expected})
    write(tmp_path, BESIDE)
    got = found(adapter, context, tmp_path)
    assert {name: got.get(name) for name in expected} == expected
    others = {name for name in got if name not in expected}
    settings = {"repo/opencode.json", "home/.pi/agent/settings.json"}
    assert others <= settings


# Plug-ins of Claude Code


def plugin(folder: Path, name: str = "pp") -> dict[str, str]:
    """Lay a plug-in out; gives role by path below it."""
    server = {"command": "${CLAUDE_PLUGIN_ROOT}/server.py", "args": []}
    write(
        folder,
        {
            ".claude-plugin/plugin.json": json.dumps({"name": name}),
            "skills/s/SKILL.md": "s",
            "commands/c.md": "c",
            "agents/a.md": "a",
            "hooks/hooks.json": "{}",
            "hooks/run.sh": ":",
            ".mcp.json": json.dumps({"mcpServers": {"notes": server}}),
            ".git/HEAD": "not looked at",
        },
    )
    return {
        ".claude-plugin/plugin.json": "plugin",
        "skills/s/SKILL.md": "plugin",
        "commands/c.md": "plugin",
        "agents/a.md": "plugin",
        "hooks/hooks.json": "hooks",
        "hooks/run.sh": "hooks",
        ".mcp.json": "mcp-configuration",
    }


def installed(base: Path, **fields: object) -> Path:
    """Say that a plug-in is installed, and give its folder."""
    folder = base / "home/.claude/plugins/cache/mk/pp/1.0.0"
    entry = {"scope": "user", "installPath": str(folder), **fields}
    listing = {"version": 2, "plugins": {"pp@mk": [entry]}}
    write(base, {"home/.claude/plugins/installed_plugins.json": json.dumps(listing)})
    return folder


def below(got: Mapping[str, str], folder: Path, base: Path) -> dict[str, str]:
    start = folder.relative_to(base).as_posix() + "/"
    return {name[len(start) :]: role for name, role in got.items() if name.startswith(start)}


@pytest.mark.parametrize("enabled", [True, None, False])
def test_an_installed_plugin_counts_unless_it_is_switched_off(
    enabled: bool | None, tmp_path: Path
) -> None:
    context = samples.context(tmp_path, "claude")
    folder = installed(tmp_path)
    roles = plugin(folder)
    settings = {} if enabled is None else {"enabledPlugins": {"pp@mk": enabled}}
    write(tmp_path, {"home/.claude/settings.json": json.dumps(settings)})
    got = below(found(ClaudeCode(), context, tmp_path), folder, tmp_path)
    assert got == ({} if enabled is False else roles)
    names = [server.name for server in ClaudeCode().mcp_servers(context)]
    assert names == ([] if enabled is False else ["plugin:pp:notes"])


def test_the_repository_may_switch_a_plugin_off_and_the_user_on_again(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    plugin(folder)
    off, on = (json.dumps({"enabledPlugins": {"pp@mk": value}}) for value in (False, True))
    write(tmp_path, {"home/.claude/settings.json": on, "repo/.claude/settings.json": off})
    context = samples.context(tmp_path, "claude")
    assert not below(found(ClaudeCode(), context, tmp_path), folder, tmp_path)
    again = samples.context(tmp_path, "claude", "--settings", on)
    assert below(found(ClaudeCode(), again, tmp_path), folder, tmp_path)


def test_a_plugin_of_another_project_does_not_count(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    folder = installed(tmp_path, scope="project", projectPath="/somewhere/else")
    plugin(folder)
    assert not below(found(ClaudeCode(), context, tmp_path), folder, tmp_path)
    installed(tmp_path, scope="project", projectPath=str(tmp_path / "repo"))
    assert below(found(ClaudeCode(), context, tmp_path), folder, tmp_path)


def test_a_plugin_of_the_command_line_counts_and_its_server_is_placed(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude", "--plugin-dir", "mine")
    roles = plugin(tmp_path / "repo/mine", "mine")
    got = found(ClaudeCode(), context, tmp_path)
    assert below(got, tmp_path / "repo/mine", tmp_path) == roles
    (server,) = ClaudeCode().mcp_servers(context)
    assert server.name == "plugin:mine:notes"
    assert server.command == str(tmp_path / "repo/mine/server.py")


def test_a_plugin_in_a_marketplace_that_is_a_folder_is_read_there(tmp_path: Path) -> None:
    market = tmp_path / "market"
    roles = plugin(market / "plugins/pp")
    catalogue = {"name": "mk", "plugins": [{"name": "pp", "source": "./plugins/pp"}]}
    known = {"mk": {"source": {"source": "directory"}, "installLocation": str(market)}}
    write(
        tmp_path,
        {
            "market/.claude-plugin/marketplace.json": json.dumps(catalogue),
            "home/.claude/plugins/known_marketplaces.json": json.dumps(known),
            "home/.claude/settings.json": json.dumps({"enabledPlugins": {"pp@mk": True}}),
        },
    )
    got = found(ClaudeCode(), samples.context(tmp_path, "claude"), tmp_path)
    assert below(got, market / "plugins/pp", tmp_path) == roles


@pytest.mark.parametrize("content", ["", "[]", '{"plugins": 3}', '{"plugins": {"a@b": 3, "": {}}}'])
def test_a_broken_list_of_plugins_breaks_nothing(content: str, tmp_path: Path) -> None:
    write(tmp_path, {"home/.claude/plugins/installed_plugins.json": content})
    context = samples.context(tmp_path, "claude")
    assert set(found(ClaudeCode(), context, tmp_path).values()) <= {"settings"}


def test_codex_plugins_count_unless_they_are_switched_off(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "codex")
    cache = "home/.codex/plugins/cache/mk"
    settings = '[plugins."on@mk"]\nenabled = true\n[plugins."off@mk"]\nenabled = false\n'
    write(
        tmp_path,
        {
            "home/.codex/config.toml": settings + '[plugins."../../x@mk"]\n',
            f"{cache}/on/1.0/.codex-plugin/plugin.json": "{}",
            f"{cache}/off/1.0/.codex-plugin/plugin.json": "{}",
        },
    )
    got = found(Codex(), context, tmp_path)
    assert got[f"{cache}/on/1.0/.codex-plugin/plugin.json"] == "plugin"
    assert not any("/off/" in name for name in got)


@pytest.mark.parametrize(
    ("command", "adapter"),
    [("gemini", GeminiCli()), ("qwen", QwenCode())],
    ids=["gemini", "qwen"],
)
def test_a_linked_extension_is_read_where_its_files_lie(
    command: str, adapter: AgentAdapter, tmp_path: Path
) -> None:
    kind = f"{command}-extension"
    link = json.dumps({"type": "link", "source": str(tmp_path / "elsewhere")})
    place = f"home/.{command}/extensions/e/.{kind}-install.json"
    write(tmp_path, {place: link, f"elsewhere/{kind}.json": "{}"})
    got = found(adapter, samples.context(tmp_path, command), tmp_path)
    assert got[f"elsewhere/{kind}.json"] == "plugin"


@pytest.mark.parametrize(
    ("command", "adapter"),
    [("gemini", GeminiCli()), ("qwen", QwenCode())],
    ids=["gemini", "qwen"],
)
def test_servers_of_an_extension_are_named_with_their_place(
    command: str, adapter: AgentAdapter, tmp_path: Path
) -> None:
    servers = {"notes": {"command": "node", "args": ["${extensionPath}/server.js"]}}
    place = tmp_path / f"home/.{command}/extensions/e"
    write(place, {f"{command}-extension.json": json.dumps({"mcpServers": servers})})
    (server,) = adapter.mcp_servers(samples.context(tmp_path, command))
    assert (server.name, server.arguments) == ("notes", (f"{place}/server.js",))


# Limits and links


def labels(context: LaunchContext) -> dict[str, str | None]:
    pairs = ClaudeCode().materials(context)
    return {m.label: m.why for m in digest_materials(pairs, context.top, context.home)}


def test_a_folder_with_too_many_files_is_cut_in_a_fixed_order_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 3)
    names = ("z.md", "a.md", "node_modules/x.js", "m/b.md", "m/a.md")
    write(tmp_path / "repo/.claude/skills", dict.fromkeys(names, "x"))
    assert labels(samples.context(tmp_path, "claude")) == {
        ".claude/skills/a.md": None,
        ".claude/skills/z.md": None,
        ".claude/skills/m/a.md": None,
        ".claude/skills": NOT_ALL,
    }


def test_a_folder_with_too_many_bytes_is_cut_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_BYTES", 10)
    write(tmp_path / "repo/.claude/skills", {"a.md": "x" * 8, "b.md": "x" * 8})
    assert labels(samples.context(tmp_path, "claude")) == {
        ".claude/skills/a.md": None,
        ".claude/skills": NOT_ALL,
    }


def test_a_folder_that_goes_on_for_ever_is_cut_too(tmp_path: Path) -> None:
    deep = "/".join("d" * 1 for _ in range(40))
    write(tmp_path / "repo/.claude/skills", {f"{deep}/a.md": "x"})
    assert list(labels(samples.context(tmp_path, "claude")).values()) == [NOT_ALL]


@posix
def test_links_are_followed_once_and_never_out_of_the_repository(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    write(tmp_path, {"private/key": "secret", "repo/lib/s/SKILL.md": "s", "kept/t/SKILL.md": "t"})
    ours, users = tmp_path / "repo/.claude/skills", tmp_path / "home/.claude/skills"
    for folder in (ours, users):
        folder.mkdir(parents=True)
    (ours / "s").symlink_to("../../lib/s")
    (ours / "out").symlink_to(tmp_path / "private")
    (ours / "round").symlink_to(ours)
    (ours / "nowhere").symlink_to("gone")
    os.mkfifo(ours / "fifo")
    (users / "t").symlink_to(tmp_path / "kept/t")
    got = labels(context)
    assert ".claude/skills/out/key" not in got
    assert got.pop(".claude/skills/out") == NOT_FOLLOWED
    assert got.pop(".claude/skills/s/SKILL.md") is None
    assert str(got.pop("~/.claude/skills/t/SKILL.md")).startswith("a symbolic link to")
    assert got == {}
