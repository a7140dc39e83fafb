from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from agentprov.formats import facts
from agentprov.ports import ConfiguredMcpServer
from agentprov.record import materials
from agentprov.record.materials import digest_materials, resolve_mcp, run_package

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX")


def server(command: str | None, *arguments: str, url: str | None = None) -> ConfiguredMcpServer:
    return ConfiguredMcpServer("notes", command, arguments, url, ("TOKEN", "A"), ".mcp.json")


def one(found: ConfiguredMcpServer, cwd: Path) -> facts.McpServer:
    return resolve_mcp([found], cwd, {"PATH": os.environ["PATH"], "HOME": "/nowhere"})[0]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "work"
    path.mkdir(parents=True)
    return path


def digest_one(path: Path, top: Path, role: str = "instruction") -> facts.Material:
    (material,) = digest_materials([(role, path)], top, top.parent)
    return material


def test_labels_are_relative_in_the_tree_short_at_home_absolute_elsewhere(top: Path) -> None:
    inside, at_home, outside = top / "a" / "A.md", top.parent / "B.md", top.parent.parent / "C.md"
    for path in (inside, at_home, outside):
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    found = digest_materials(
        [("settings", outside), ("instruction", inside), ("instruction", at_home)],
        top,
        top.parent,
    )
    assert [(m.role, m.label) for m in found] == [
        ("instruction", "a/A.md"),
        ("instruction", "~/B.md"),
        ("settings", str(outside)),
    ]
    assert found[0].sha256 == hashlib.sha256(b"A.md").hexdigest()
    assert (found[0].size, found[0].why, found[0].basis) == (4, None, "observed")


def test_one_file_in_one_role_is_told_once(top: Path) -> None:
    path = top / "A.md"
    path.write_text("x")
    again = top / "." / "A.md"
    assert len(digest_materials([("settings", path), ("settings", again)], top, top)) == 1


@posix
def test_what_cannot_be_digested_says_why_and_never_blocks(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(top / "fifo")
    (top / "dangling").symlink_to("nowhere")
    (top / "large").write_bytes(b"12345")
    monkeypatch.setattr(materials, "MAX_MATERIAL_BYTES", 4)
    for name, why in (
        ("fifo", "FIFO"),
        (".", "directory"),
        ("missing", "no such file"),
        ("dangling", "no such file"),
        ("large", "larger than"),
    ):
        material = digest_one(top / name, top)
        assert material.sha256 is None
        assert material.why is not None
        assert why in material.why


@posix
def test_a_link_out_of_the_tree_is_followed_and_its_target_told(top: Path) -> None:
    target = top.parent / "shared.md"
    target.write_text("be nice")
    (top / "AGENTS.md").symlink_to(target)
    (top / "inside.md").symlink_to("real.md")
    (top / "real.md").write_text("x")
    material = digest_one(top / "AGENTS.md", top)
    assert material.label == "AGENTS.md"
    assert material.sha256 == hashlib.sha256(b"be nice").hexdigest()
    assert material.why == "a symbolic link to ~/shared.md"
    assert digest_one(top / "inside.md", top).why is None


@posix
def test_a_name_that_is_not_utf8_has_an_escaped_label(top: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(top) + b"/caf\xe9.md"))
    path.write_text("x")
    assert digest_one(path, top).label == "%bytes:caf%e9.md"


def test_a_script_server_has_the_scripts_digest_and_its_interpreter_as_a_part(
    tmp_path: Path,
) -> None:
    script = tmp_path / "server.py"
    script.write_text("print()")
    found = one(server(sys.executable, "server.py", "--token", "hunter2"), tmp_path)
    assert found.sha256 == hashlib.sha256(b"print()").hexdigest()
    assert found.command == str(script)
    assert [part.place for part in found.parts] == [os.path.realpath(sys.executable)]
    assert found.environment_names == ("A", "TOKEN")
    assert found.source == ".mcp.json"
    assert found.why is None
    assert "hunter2" not in json.dumps(asdict(found))


@posix
def test_script_files_among_the_arguments_of_any_command_are_parts(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("x")
    (tmp_path / "notes.txt").write_text("secret")
    found = one(server("env", "X=secret", "python3", "server.py", "notes.txt"), tmp_path)
    assert [part.place for part in found.parts] == [str(tmp_path / "server.py")]
    assert "secret" not in json.dumps(asdict(found))


def test_a_server_that_is_not_installed_is_told(tmp_path: Path) -> None:
    found = one(server("no-such-server"), tmp_path)
    assert found.sha256 is None
    assert found.why is not None
    assert "not found" in found.why


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:pw@mcp.example.com/path?key=1", "mcp.example.com"),
        ("http://127.0.0.1:8931/mcp", "127.0.0.1:8931"),
        ("http://[::1]:80/", "[::1]:80"),
        ("not a url", None),
        ("http://[broken", None),
        ("http://host:port/", None),
    ],
)
def test_of_a_url_only_the_host_is_kept(tmp_path: Path, url: str, host: str | None) -> None:
    found = one(server(None, url=url), tmp_path)
    assert found.host == host
    assert (found.why is None) == (host is not None)
    assert "pw" not in json.dumps(asdict(found))


def test_a_server_without_command_and_url_is_told(tmp_path: Path) -> None:
    assert one(server(None), tmp_path).why == "neither a command nor a URL"


@pytest.mark.parametrize(
    ("line", "purl"),
    [
        ("npx -y pkg@1.2.3", "pkg:npm/pkg@1.2.3"),
        ("npx @s/pkg@1.2.3 --flag x", "pkg:npm/%40s/pkg@1.2.3"),
        ("npx -y @s/pkg@latest", "pkg:npm/%40s/pkg"),
        ("npx --package=pkg@1.0.0 run-it", "pkg:npm/pkg@1.0.0"),
        ("npx -p pkg@1.0.0 run-it", "pkg:npm/pkg@1.0.0"),
        ("npm exec -- pkg", "pkg:npm/pkg"),
        ("pnpm dlx pkg@2.0.0", "pkg:npm/pkg@2.0.0"),
        ("uvx some_Tool", "pkg:pypi/some-tool"),
        ("uvx --python 3.12 tool@1.4.0", "pkg:pypi/tool@1.4.0"),
        ("uvx --from pkg[x]==1.4.0 tool", "pkg:pypi/pkg@1.4.0"),
        ("uv tool run pkg==0.9.1", "pkg:pypi/pkg@0.9.1"),
        ("/usr/local/bin/pipx run pkg", "pkg:pypi/pkg"),
        ("npx -y git+https://u:token@host/x", None),
        ("uvx --from git+ssh://host/x tool", None),
        ("npx ./local", None),
        ("npx", None),
    ],
)
def test_a_server_run_by_package_name_gets_its_purl(
    tmp_path: Path, line: str, purl: str | None
) -> None:
    command, *arguments = line.split()
    found, why = run_package(command, arguments, tmp_path)
    assert found == purl
    assert why is not None
    assert "token" not in why


@pytest.mark.parametrize("line", ["node x.js", "npm start", "uv run server.py", "docker run x"])
def test_other_commands_are_no_package_runners(tmp_path: Path, line: str) -> None:
    command, *arguments = line.split()
    assert run_package(command, arguments, tmp_path) == (None, None)


def test_an_installed_package_gives_the_version_that_npx_would_take(tmp_path: Path) -> None:
    root = tmp_path / "node_modules" / "pkg"
    root.mkdir(parents=True)
    (root / "package.json").write_text('{"name": "pkg", "version": "4.5.6"}')
    assert run_package("npx", ["pkg"], tmp_path) == ("pkg:npm/pkg@4.5.6", None)


@posix
def test_the_fetching_tool_is_a_part_and_not_the_servers_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "uvx"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    found = one(server("uvx", "pkg@1.0.0"), tmp_path)
    assert (found.purl, found.sha256) == ("pkg:pypi/pkg@1.0.0", None)
    assert found.parts[0].place == str(tool)
    assert found.why is not None
