from __future__ import annotations

from pathlib import Path

from agentprov.flows.repository import identity
from agentprov.system.git import Git
from support.repository import Repository


def test_notes_do_not_change_what_a_repository_without_origin_is_called(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.write("a", "1\n")
    root = repository.commit()
    git = Git.discover(repository.top)
    assert identity(git).uri == f"urn:agentprov:repository:{root}"
    # Some of these roots sort before the first commit.
    for number in range(8):
        repository.git("notes", f"--ref=n{number}", "add", "-m", f"note {number}", root)
    assert identity(git).uri == f"urn:agentprov:repository:{root}"
