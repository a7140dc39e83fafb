"""A journal gives the very statements that were signed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import agentprov
from support.repository import Repository


@pytest.fixture
def session(tmp_path: Path) -> tuple[Repository, Path]:
    made = Repository(tmp_path / "r")
    made.write("old.txt", "one\n")
    made.commit("first")
    script = (
        "printf 'a\\nb\\n' > 'odd name\t.txt'; git add -A; git commit -qm a;"
        "git mv old.txt new.txt; git commit -qm b; echo c > c; exit 3"
    )
    assert agentprov("run", "--label", "k=v", "--", "sh", "-c", script, cwd=made.top).status == 3
    made.commit("the rest")
    assert agentprov("drain", cwd=made.top).status == 0
    (place,) = (made.top / ".git/agentprov/sessions").iterdir()
    return made, place


def test_the_journal_replays_to_the_signed_payloads(session: tuple[Repository, Path]) -> None:
    repository, place = session
    answer = agentprov("replay", place.name[:8], "--json", cwd=repository.top)
    assert answer.status == 0, answer.out
    result = answer.json()
    assert [item["kind"] for item in result["statements"]] == [
        "session-open", "generation", "generation", "session-close", "generation",
    ]  # fmt: skip
    assert result["same"]


def test_a_statement_that_was_never_journaled_is_found(session: tuple[Repository, Path]) -> None:
    repository, place = session
    lines = (place / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (place / "journal.jsonl").write_bytes(b"".join(lines[:-2]))
    answer = agentprov("replay", place.name, "--json", cwd=repository.top)
    assert answer.status == 12
    assert len(answer.json()["unaccounted"]) == 1


def test_a_changed_fact_breaks_the_chain_and_the_replay(session: tuple[Repository, Path]) -> None:
    repository, place = session
    journal = (place / "journal.jsonl").read_bytes()
    (place / "journal.jsonl").write_bytes(journal.replace(b'"exit_status":3', b'"exit_status":0'))
    answer = agentprov("replay", place.name, "--json", cwd=repository.top)
    assert answer.status == 12
    assert answer.json()["defect"] is not None
