"""What a start may import: every module here costs each command of each user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import Repository

# The whole package is forbidden, with everything in it.
HEAVY = frozenset(
    {"pydantic", "sigstore", "mcp", "git", "watchdog", "rich", "requests", "tuf", "jsonschema",
     "asyncio", "http", "sqlite3", "sqlalchemy", "unittest", "email"}
)  # fmt: skip

_PROGRAM = """
import json, sys
from agentprov.cli import execute
status = execute(sys.argv[2:])
with open(sys.argv[1], "w") as stream:
    json.dump([status, sorted(sys.modules)], stream)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("a", "1\n")
    made.commit()
    return made


def _unmeasured() -> dict[str, str]:
    """Give the environment without coverage's own start, which imports sqlite3."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def _imported(place: Path, *arguments: str) -> tuple[int, set[str]]:
    """Run one command in a fresh interpreter; gives its status and the modules it imported."""
    answer = place.parent / "imported.json"
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(answer), *arguments],
        cwd=place, env=_unmeasured(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    status, modules = json.loads(answer.read_text())
    return status, set(modules)


def _heavy(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} & HEAVY


def _wings(modules: set[str]) -> set[str]:
    ours = [module.split(".") for module in modules if module.startswith("agentprov.")]
    return {parts[1] for parts in ours}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_and_version_import_the_table_and_nothing_else(
    repository: Repository, arguments: tuple[str, ...]
) -> None:
    status, modules = _imported(repository.top, *arguments)
    assert status == 0
    assert not _heavy(modules)
    assert _wings(modules) == {"cli", "errors"}
    assert "cryptography" not in modules


def test_help_of_a_command_does_not_load_what_the_command_uses(repository: Repository) -> None:
    for command in ("verify", "run", "show", "init"):
        status, modules = _imported(repository.top, command, "--help")
        assert status == 0
        assert not _heavy(modules)
        assert "cryptography" not in modules
        assert _wings(modules) <= {"cli", "errors"}, command


def test_a_recorded_command_loads_nothing_heavy(repository: Repository) -> None:
    status, modules = _imported(repository.top, "run", "--quiet", "--", "true")
    assert status == 0
    # The watcher, and watchdog with it, comes at the first tick, if the command lives that long.
    assert _heavy(modules) <= {"watchdog"}
    assert "verify" not in _wings(modules)


def test_an_agents_start_does_not_wait_for_the_watcher_or_signatures(
    repository: Repository,
) -> None:
    program = "import agentprov.flows.run, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=_unmeasured(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules = set(done.stdout.split())
    assert not _heavy(modules)
    assert "cryptography" not in modules


def test_verifying_loads_neither_the_recorder_nor_the_signer_of_others(
    repository: Repository,
) -> None:
    _imported(repository.top, "run", "--quiet", "--", "sh", "-c",
              "echo 2 >a; git commit -qam two")  # fmt: skip
    status, modules = _imported(repository.top, "verify")
    assert status == 0
    assert not _heavy(modules)
    assert _wings(modules).isdisjoint({"record", "attest"})
    assert "agentprov.formats.facts" not in modules
    assert "agentprov.ports" not in modules


def test_where_nothing_was_logged_verifying_loads_no_log(
    repository: Repository,
) -> None:
    _imported(repository.top, "run", "--quiet", "--", "sh", "-c",
              "echo 2 >a; git commit -qam two")  # fmt: skip
    _, modules = _imported(repository.top, "verify")
    assert "agentprov.store.signing_log" in modules
    shutil.rmtree(repository.top / ".git/agentprov/log")
    shutil.rmtree(Path(os.environ["AGENTPROV_HOME"]) / "log-seen")
    _, modules = _imported(repository.top, "verify")
    assert "agentprov.store.signing_log" not in modules


def test_the_worker_that_hooks_start_loads_nothing_when_nothing_waits(
    repository: Repository,
) -> None:
    status, modules = _imported(repository.top, "drain", "--quiet")
    assert status == 0
    assert not _heavy(modules)
    assert "cryptography" not in modules


def test_git_hooks_do_not_start_an_interpreter_when_no_session_touched_the_commit(
    repository: Repository,
) -> None:
    status, _ = _imported(repository.top, "init")
    assert status == 0
    program = repository.top / ".git/agentprov/hook.sh"
    marker = repository.top.parent / "started"
    python = repository.top.parent / "python"
    python.write_text(f"#!/bin/sh\n: >'{marker}'\n")
    python.chmod(0o755)
    text = program.read_text()
    assert f"_ap_python='{sys.executable}'" in text
    program.write_text(text.replace(sys.executable, str(python)))
    repository.write("a", "by hand\n")
    repository.commit("by hand")
    assert not marker.exists()
