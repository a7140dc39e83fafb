from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agentprov.ports import LaunchContext
from agentprov.record.agents import claude_settings, codex_settings
from agentprov.record.agents.claude_code import ClaudeCode
from agentprov.record.agents.codex import Codex
from support import agent_samples as samples

CLAUDE, CODEX = ClaudeCode(), Codex()


@pytest.fixture(autouse=True)
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the machine-wide settings of both agents under the test's own folder."""
    monkeypatch.setattr(claude_settings, "MANAGED", (tmp_path / "etc" / "claude-code",))
    monkeypatch.setattr(codex_settings, "SYSTEM", tmp_path / "etc" / "codex")
    return tmp_path / "etc"


def _write(base: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _found(base: Path, pairs: object) -> list[tuple[str, str]]:
    return [(role, path.relative_to(base).as_posix()) for role, path in pairs]  # type: ignore[attr-defined]


def _server(command: str, **fields: object) -> str:
    return json.dumps({"mcpServers": {"notes": {"command": command, **fields}}})


# Claude Code


def test_claudes_instruction_files_settings_and_server_lists_are_found(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude", "--settings", "extra.json")
    _write(
        tmp_path,
        {
            "home/.claude/CLAUDE.md": "mine",
            "home/.claude/settings.json": "{}",
            "home/.claude/rules/tone.md": "kind",
            "home/.claude.json": _server("a"),
            "AGENTS.md": "above the repository",
            "repo/CLAUDE.md": "ours",
            "repo/CLAUDE.local.md": "only here",
            "repo/.claude/CLAUDE.md": "more",
            "repo/.claude/settings.json": "{}",
            "repo/.claude/settings.local.json": "{}",
            "repo/.mcp.json": _server("b"),
            "repo/extra.json": "{}",
            "repo/README.md": "not for agents",
        },
    )
    assert _found(tmp_path, CLAUDE.materials(context)) == [
        ("instruction", "home/.claude/CLAUDE.md"),
        ("instruction", "home/.claude/rules/tone.md"),
        ("instruction", "AGENTS.md"),
        ("instruction", "repo/CLAUDE.md"),
        ("instruction", "repo/.claude/CLAUDE.md"),
        ("instruction", "repo/CLAUDE.local.md"),
        ("settings", "home/.claude/settings.json"),
        ("settings", "repo/.claude/settings.json"),
        ("settings", "repo/.claude/settings.local.json"),
        ("settings", "repo/extra.json"),
        ("mcp-configuration", "repo/.mcp.json"),
        ("mcp-configuration", "home/.claude.json"),
    ]


def test_claudes_state_file_without_servers_is_not_named(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    _write(tmp_path, {"home/.claude.json": '{"numStartups": 3}'})
    assert _found(tmp_path, CLAUDE.materials(context)) == []


def test_imports_are_followed_five_deep_outside_code_and_only_once(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    files = {f"repo/d/{n}.md": f"go on: @{n + 1}.md, and back: @../CLAUDE.md" for n in range(1, 9)}
    files["repo/CLAUDE.md"] = (
        "See @d/1.md.\nMail ada@example.md\n`@d/code.md`\n"
        "```\n@d/fence.md\n```\n@~/mine.md @gone.md"
    )
    files |= {
        "repo/d/code.md": "",
        "repo/d/fence.md": "",
        "repo/example.md": "",
        "home/mine.md": "",
    }
    _write(tmp_path, files)
    assert [name for _, name in _found(tmp_path, CLAUDE.materials(context))] == [
        "repo/CLAUDE.md",
        "repo/d/1.md",
        "home/mine.md",
        "repo/d/2.md",
        "repo/d/3.md",
        "repo/d/4.md",
        "repo/d/5.md",
    ]


def test_a_file_that_imports_thousands_of_others_is_cut_short(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    names = [f"{number}.md" for number in range(1000)]
    _write(tmp_path / "repo", dict.fromkeys(names, ""))
    _write(tmp_path / "repo", {"CLAUDE.md": " ".join("@" + name for name in names)})
    assert len(CLAUDE.materials(context)) <= 201


def test_claude_config_dir_moves_the_users_own_files(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    context = samples.context(tmp_path, "claude", CLAUDE_CONFIG_DIR=str(moved))
    _write(
        tmp_path,
        {
            "home/.claude/CLAUDE.md": "unused",
            "home/.claude.json": _server("unused"),
            "moved/CLAUDE.md": "used",
            "moved/.claude.json": _server("used"),
        },
    )
    assert _found(tmp_path, CLAUDE.materials(context)) == [
        ("instruction", "moved/CLAUDE.md"),
        ("mcp-configuration", "moved/.claude.json"),
    ]
    assert [server.command for server in CLAUDE.mcp_servers(context)] == ["used"]


def test_a_servers_variables_are_named_and_their_values_never_kept(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    secret = "hunter2-value"
    _write(
        tmp_path,
        {"repo/.mcp.json": _server("node", args=["s.js"], env={"TOKEN": secret, "A": secret})},
    )
    (server,) = CLAUDE.mcp_servers(context)
    assert server.environment_names == ("A", "TOKEN")
    assert (server.name, server.command, server.arguments) == ("notes", "node", ("s.js",))
    assert (server.url, server.source) == (None, ".mcp.json")
    assert secret not in repr(server)


def test_the_nearer_configuration_of_a_claude_server_wins(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    state = {"mcpServers": {"notes": {"command": "user"}}}

    def winner(*argv: str) -> list[str | None]:
        words = samples.context(tmp_path, *argv) if argv else context
        return [server.command for server in CLAUDE.mcp_servers(words)]

    _write(tmp_path, {"home/.claude.json": json.dumps(state)})
    assert winner() == ["user"]
    _write(tmp_path, {"repo/.mcp.json": _server("project")})
    assert winner() == ["project"]
    state["projects"] = {str(context.top): {"mcpServers": {"notes": {"command": "local"}}}}
    _write(tmp_path, {"home/.claude.json": json.dumps(state)})
    assert winner() == ["local"]
    assert winner("claude", "--mcp-config", _server("inline"), "-p", "x") == ["inline"]


@pytest.mark.parametrize("form", ["apart", "joined"])
def test_strict_mcp_config_leaves_only_what_the_command_line_names(
    form: str, tmp_path: Path
) -> None:
    _write(
        tmp_path,
        {
            "repo/.mcp.json": _server("project"),
            "repo/one.json": '{"mcpServers": {"one": {"url": "https://one.invalid/mcp"}}}',
        },
    )
    inline = '{"mcpServers": {"two": {"command": "two"}}}'
    words = {
        "apart": ("--mcp-config", "one.json", inline, "--strict-mcp-config"),
        "joined": ("--mcp-config=one.json", f"--mcp-config={inline}", "--strict-mcp-config"),
    }
    context = samples.context(tmp_path, "claude", *words[form])
    servers = CLAUDE.mcp_servers(context)
    assert [(s.name, s.command, s.url, s.source) for s in servers] == [
        ("one", None, "https://one.invalid/mcp", "one.json"),
        ("two", "two", None, "--mcp-config"),
    ]
    assert ("mcp-configuration", "repo/one.json") in _found(tmp_path, CLAUDE.materials(context))


# Codex


def test_codex_instruction_files_are_found_from_the_top_to_the_working_directory(
    tmp_path: Path,
) -> None:
    base = samples.context(tmp_path, "codex", "-p", "work")
    _write(
        tmp_path,
        {
            "home/.codex/config.toml": 'project_doc_fallback_filenames = ["TEAM.md"]',
            "home/.codex/work.config.toml": "",
            "home/.codex/AGENTS.md": "mine",
            "home/.codex/hooks.json": "{}",
            "home/.codex/rules/git.rules": "",
            "AGENTS.md": "above the top: not read",
            "repo/AGENTS.md": "top",
            "repo/sub/AGENTS.override.md": "sub",
            "repo/sub/TEAM.md": "team",
            "repo/.codex/config.toml": "",
            "repo/.codex/hooks.json": "{}",
        },
    )
    context = LaunchContext(**{**base.__dict__, "cwd": base.top / "sub"})
    assert _found(tmp_path, CODEX.materials(context)) == [
        ("instruction", "home/.codex/AGENTS.md"),
        ("instruction", "repo/AGENTS.md"),
        ("instruction", "repo/sub/AGENTS.override.md"),
        ("instruction", "repo/sub/TEAM.md"),
        ("settings", "home/.codex/config.toml"),
        ("settings", "home/.codex/work.config.toml"),
        ("settings", "repo/.codex/config.toml"),
        ("hooks", "home/.codex/hooks.json"),
        ("hooks", "repo/.codex/hooks.json"),
        ("settings", "home/.codex/rules/git.rules"),
    ]


def test_codex_servers_come_from_the_file_and_the_command_line(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "home/.codex/config.toml": (
                '[mcp_servers.notes]\ncommand = "node"\nargs = ["s.js"]\nenv_vars = ["B"]\n'
                'env = { A = "hunter2-value" }\n'
                "[mcp_servers.off]\ncommand = 'x'\nenabled = false\n"
                '[mcp_servers.far]\nurl = "https://far.invalid/mcp"\nbearer_token_env_var = "T"\n'
            )
        },
    )
    context = samples.context(
        tmp_path, "codex", "exec", "-c", 'mcp_servers.mine.command="python3"', "--config",
        "mcp_servers.notes.command=deno", "-c", "mcp_servers.far.enabled=true",
        "-c", "model=x", "hi",
    )  # fmt: skip
    servers = {server.name: server for server in CODEX.mcp_servers(context)}
    assert list(servers) == ["notes", "far", "mine"]
    assert (servers["notes"].command, servers["notes"].arguments) == ("deno", ("s.js",))
    assert servers["notes"].environment_names == ("A", "B")
    assert servers["notes"].source == servers["mine"].source == "command line"
    assert (servers["far"].url, servers["far"].source) == (
        "https://far.invalid/mcp",
        "~/.codex/config.toml",
    )
    assert servers["far"].environment_names == ("T",)
    assert "hunter2-value" not in repr(servers)


@pytest.mark.parametrize("trusted", [True, False])
def test_the_repositorys_own_codex_servers_count_only_where_the_user_trusts_it(
    trusted: bool, tmp_path: Path
) -> None:
    context = samples.context(tmp_path, "codex")
    level = "trusted" if trusted else "untrusted"
    _write(
        tmp_path,
        {
            "home/.codex/config.toml": f'[projects."{context.top}"]\ntrust_level = "{level}"\n',
            "repo/.codex/config.toml": '[mcp_servers.theirs]\ncommand = "x"\n',
        },
    )
    assert [s.name for s in CODEX.mcp_servers(context)] == (["theirs"] if trusted else [])


# Both


def test_machine_wide_settings_count_for_both_agents(managed: Path, tmp_path: Path) -> None:
    context = samples.context(tmp_path, "x")
    _write(
        managed,
        {
            "claude-code/managed-settings.json": '{"disableAllHooks": true}',
            "claude-code/managed-settings.d/10-more.json": "{}",
            "claude-code/managed-mcp.json": _server("managed"),
            "codex/config.toml": '[mcp_servers.notes]\ncommand = "managed"\n',
            "codex/requirements.toml": "",
        },
    )
    assert _found(managed, CLAUDE.materials(context)) == [
        ("settings", "claude-code/managed-settings.json"),
        ("settings", "claude-code/managed-settings.d/10-more.json"),
        ("mcp-configuration", "claude-code/managed-mcp.json"),
    ]
    assert _found(managed, CODEX.materials(context)) == [
        ("settings", "codex/config.toml"),
        ("settings", "codex/requirements.toml"),
    ]
    for adapter in (CLAUDE, CODEX):
        assert [server.command for server in adapter.mcp_servers(context)] == ["managed"]
    assert CLAUDE.prepare(context).gaps[0].startswith("hooks-off: ")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 20000, b"7", b'{"mcpServers": 7}', b""])
def test_settings_that_make_no_sense_are_named_and_not_read(content: bytes, tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    for name in (
        "home/.claude.json", "home/.claude/settings.json", "repo/.mcp.json", "repo/CLAUDE.md",
        "home/.codex/config.toml", "repo/.codex/config.toml",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert list(CLAUDE.mcp_servers(context)) == list(CODEX.mcp_servers(context)) == []
    assert ("settings", "home/.codex/config.toml") in _found(tmp_path, CODEX.materials(context))
    assert ("instruction", "repo/CLAUDE.md") in _found(tmp_path, CLAUDE.materials(context))


def test_a_server_entry_of_the_wrong_shape_is_skipped_or_cut_to_what_it_says(
    tmp_path: Path,
) -> None:
    entries = {"a": 7, "b": [], "c": {"command": 7, "args": "x", "env": [1]}, "": {"command": "x"}}
    _write(tmp_path, {"repo/.mcp.json": json.dumps({"mcpServers": entries})})
    (server,) = CLAUDE.mcp_servers(samples.context(tmp_path, "claude"))
    assert (server.name, server.command, server.arguments, server.environment_names) == (
        "c",
        None,
        (),
        (),
    )


def test_a_fifo_or_a_folder_with_the_name_of_an_instruction_file_is_not_one(
    tmp_path: Path,
) -> None:
    context = samples.context(tmp_path, "claude")
    os.mkfifo(context.cwd / "CLAUDE.md")
    os.mkfifo(context.cwd / ".mcp.json")
    (context.cwd / "AGENTS.md").mkdir()
    assert list(CLAUDE.materials(context)) == list(CODEX.materials(context)) == []
    assert list(CLAUDE.mcp_servers(context)) == []


def test_the_same_file_under_two_names_is_given_once(tmp_path: Path) -> None:
    context = samples.context(tmp_path, "claude")
    (context.cwd / "AGENTS.md").write_text("rules")
    (context.cwd / "CLAUDE.md").symlink_to("AGENTS.md")
    assert len(CLAUDE.materials(context)) == 1
