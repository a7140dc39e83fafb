"""Promises of the threat model that stand between the rooms, tried with real git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.command_line import agentprov
from support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path, home: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.write("PLAN.md", "# Greet\n\nAdd greet.txt.\n")
    made.commit("first")
    return made


def gaps(repository: Repository, *command: str) -> dict[str, str]:
    """Run a command under a signed plan and give the recorded gaps by name."""
    top = repository.top
    assert agentprov("plan", "sign", "PLAN.md", cwd=top).status == 0
    script = "echo hello > greet.txt; git add -A; git commit -qm greet; " + "; ".join(command)
    done = agentprov("run", "--plan", "PLAN.md", "--", "sh", "-c", script, cwd=top)
    lines = [line.split(" ", 3) for line in done.err.splitlines() if " gap: " in line]
    return {line[2]: line[3] if len(line) > 3 else "" for line in lines}


def test_programs_that_a_repository_or_the_environment_names_are_not_run(
    repository: Repository, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {canary}\n')
    trap.chmod(0o755)
    repository.write(".gitattributes", "* diff=trap\n")
    assert not gaps(repository).keys() - {"plan-not-seen-read"}
    for setting in (
        "core.fsmonitor", "diff.external", "diff.trap.command", "diff.trap.textconv",
        "core.sshCommand", "core.pager", "core.editor", "gpg.program", "credential.helper",
    ):  # fmt: skip
        repository.git("config", setting, str(trap))
    hostile = {
        "GIT_EXTERNAL_DIFF": str(trap),
        "GIT_SSH_COMMAND": str(trap),
        "GIT_PAGER": str(trap),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(trap),
    }
    assert agentprov("run", "--", "true", cwd=repository.top, env=hostile).status == 0
    for command in (
        ["verify", "HEAD"], ["show"], ["log"], ["blame", "-C", "greet.txt"],
        ["trace", "greet.txt:1"], ["query", "--rebuild"], ["stats"],
    ):  # fmt: skip
        assert agentprov(*command, cwd=repository.top, env=hostile).status == 0
    assert not canary.exists(), canary.read_text()


def test_no_control_character_of_a_name_or_a_message_reaches_the_output(
    repository: Repository,
) -> None:
    top = repository.top
    name = "\x1b[2Kgone\u202etxt.evil\r"
    script = 'printf x > "$1"; git add -A; git commit -qm "$1"'
    assert agentprov("run", "--", "sh", "-c", script, "sh", name, cwd=top).status == 0
    for command in (["verify", "HEAD"], ["show", "HEAD"], ["log"], ["log", "--json"]):
        answer = agentprov(*command, cwd=top)
        assert answer.status == 0
        assert not {"\x1b", "\r", "\u202e"} & set(answer.out + answer.err)
    assert "<U+001B>[2Kgone<U+202E>" in agentprov("log", cwd=top).out


def test_a_private_plan_that_the_agent_changes_is_a_gap(repository: Repository) -> None:
    found = gaps(repository, 'chmod u+w "$AGENTPROV_PLAN"', 'echo more >> "$AGENTPROV_PLAN"')
    assert "plan-copy-changed" in found


def test_a_process_that_outlives_the_agent_is_a_gap(repository: Repository) -> None:
    found = gaps(repository, "sleep 5 >/dev/null 2>&1 &")
    if not os.path.isdir("/proc"):
        pytest.skip("processes are found by /proc")
    assert "sleep" in found["processes-outlived-the-agent"]


def test_verifying_makes_no_key_and_changes_nothing(
    repository: Repository, home: Path, tmp_path: Path
) -> None:
    assert not gaps(repository).keys() - {"plan-not-seen-read"}
    other = tmp_path / "nobody"
    before = repository.git("for-each-ref")
    answer = agentprov("verify", "HEAD", cwd=repository.top, env={"AGENTPROV_HOME": str(other)})
    assert answer.status == 16
    assert not other.exists()
    assert repository.git("for-each-ref") == before
