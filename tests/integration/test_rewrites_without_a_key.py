"""A look at rewritten commits by somebody without a recorder's key leaves them to who has one."""

from __future__ import annotations

from pathlib import Path

from support.command_line import agentprov
from support.repository import Repository


def test_what_was_looked_at_without_a_key_is_linked_by_whoever_has_one(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.commit("first")
    agentprov("init", cwd=repository.top)
    script = "echo a line of some length > a.txt; git add -A; git commit -qm one"
    assert agentprov("run", "--", "sh", "-c", script, cwd=repository.top).status == 0
    repository.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "--amend", "-m", "two")
    stranger = {"AGENTPROV_HOME": str(tmp_path / "other")}
    for command in ("log", "drain", "log"):
        agentprov(command, cwd=repository.top, env=stranger)
    assert repository.git("notes", "--ref=agentprov", "list", "HEAD", check=False) == ""
    (commit,) = agentprov("verify", "HEAD", "--json", cwd=repository.top).json()["commits"]
    assert (commit["coverage"], commit["via"]) == ("covered", "rewrite")
