from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agentprov.record import packages
from agentprov.record.packages import purl


def package(root: Path, name: str, version: str = "1.2.3", **more: object) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "package.json").write_text(json.dumps({"name": name, "version": version, **more}))
    return root


def program(path: Path, data: bytes = b"\x7fELF native") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("kind", "name", "version", "expected"),
    [
        ("npm", "left", "1.0.0", "pkg:npm/left@1.0.0"),
        ("npm", "@scope/name", "1.0.0-linux-x64", "pkg:npm/%40scope/name@1.0.0-linux-x64"),
        ("npm", "@scope/name", None, "pkg:npm/%40scope/name"),
        ("pypi", "Aider_Chat.x", "1.0+local", "pkg:pypi/aider-chat-x@1.0%2Blocal"),
    ],
)
def test_package_urls(kind: str, name: str, version: str | None, expected: str) -> None:
    assert purl(kind, name, version) == expected  # type: ignore[arg-type]


def test_the_nearest_package_json_with_a_name_counts(tmp_path: Path) -> None:
    root = package(tmp_path / "node_modules" / "@s" / "agent", "@s/agent")
    (root / "dist").mkdir()
    (root / "dist" / "package.json").write_text('{"type": "module"}')
    found = packages.npm_package(program(root / "dist" / "cli.js"))
    assert found is not None
    assert (found.name, found.version, found.root) == ("@s/agent", "1.2.3", root)
    assert found.purl == "pkg:npm/%40s/agent@1.2.3"


def test_a_checkout_is_named_only_for_its_own_program_and_gets_no_purl(tmp_path: Path) -> None:
    root = package(tmp_path / "project", "project", bin={"p": "./bin/p.js"})
    found = packages.npm_package(program(root / "bin" / "p.js"))
    assert found is not None
    assert (found.name, found.purl) == ("project", None)
    assert packages.npm_package(program(root / "scripts" / "agent.sh")) is None


def test_a_file_beside_packages_belongs_to_none(tmp_path: Path) -> None:
    package(tmp_path, "outer", bin="x")
    assert packages.npm_package(program(tmp_path / "node_modules" / "stray.js")) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": 1, "version": "1"}', '{"name": "x"}'])
def test_a_broken_package_json_is_no_package(tmp_path: Path, text: str) -> None:
    root = tmp_path / "node_modules" / "x"
    root.mkdir(parents=True)
    (root / "package.json").write_text(text)
    assert packages.npm_package(root / "cli.js") is None


def test_the_integrity_comes_from_the_outermost_hidden_lock_file(tmp_path: Path) -> None:
    root = package(tmp_path / "node_modules" / "a" / "node_modules" / "@s" / "b", "@s/b")
    lock = tmp_path / "node_modules" / ".package-lock.json"
    entries = {"node_modules/a/node_modules/@s/b": {"integrity": "sha512-abc"}}
    lock.write_text(json.dumps({"packages": entries}))
    found = packages.npm_package(program(root / "b.js"))
    assert found is not None
    assert packages.npm_integrity(found) == "sha512-abc"
    lock.unlink()
    assert packages.npm_integrity(found) is None


def test_companions_are_the_programs_of_installed_platform_packages(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    wanted = {"@s/agent-linux-x64": "1", "@s/agent-darwin-arm64": "1", "colours": "1"}
    root = package(modules / "@s" / "agent", "@s/agent", optionalDependencies=wanted)
    native = package(modules / "@s" / "agent-linux-x64", "@s/agent-linux-x64", os=["linux"])
    tool = program(native / "vendor" / "bin" / "agent")
    program(native / "vendor" / "lib" / "libx.so.0")
    program(native / "vendor" / "data.json", b"{}")
    program(native / "node_modules" / "x" / "y")
    (native / "README").write_bytes(b"\x7fELF not executable")
    program(package(modules / "colours", "colours") / "cli")
    found = packages.npm_package(program(root / "cli.js"))
    assert found is not None
    assert packages.companions(found) == (tool,)


def environment_of(root: Path, *, scripts: str = "", record: str = "") -> Path:
    site = root / "lib" / "python3.11" / "site-packages"
    info = site / "Some_Agent-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Some_Agent\nVersion: 2.0\n\nName: x"
    )
    (info / "entry_points.txt").write_text(scripts)
    (info / "RECORD").write_text(record)
    program(root / "bin" / "python")
    return info


def test_a_console_script_leads_to_its_distribution(tmp_path: Path) -> None:
    info = environment_of(
        tmp_path, scripts="[console_scripts]\nagent = a.b:main\n\n[other]\nstray = x:y\n"
    )
    found = packages.python_package(tmp_path / "bin" / "agent", [])
    assert found is not None
    assert (found.name, found.version) == ("Some_Agent", "2.0")
    assert found.purl == "pkg:pypi/some-agent@2.0"
    assert found.record == info / "RECORD"
    assert packages.python_package(tmp_path / "bin" / "stray", []) is None


def test_a_native_program_of_the_distributions_own_name_is_found_by_record(
    tmp_path: Path,
) -> None:
    environment_of(tmp_path, record="../../../bin/some-agent,sha256=x,1\n")
    found = packages.python_package(tmp_path / "bin" / "some-agent", [])
    assert found is not None
    assert packages.python_package(tmp_path / "bin" / "agent", []) is None


def test_a_module_leads_to_its_file_and_distribution(tmp_path: Path) -> None:
    info = environment_of(tmp_path)
    main = program(info.parent / "some_agent" / "__main__.py")
    path, found = packages.python_module("some_agent", tmp_path / "bin" / "python")
    assert path == main
    assert found is not None
    assert found.version == "2.0"
    assert packages.python_module("missing", tmp_path / "bin" / "python") == (None, None)


@pytest.mark.skipif(os.name == "nt", reason="needs mkfifo")
def test_metadata_that_would_block_is_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "node_modules" / "x"
    root.mkdir(parents=True)
    os.mkfifo(root / "package.json")
    assert packages.npm_package(root / "cli.js") is None
