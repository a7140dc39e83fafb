"""Which git program runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.errors import UserError
from agentprov.system.git import git_program


def test_a_relative_folder_on_path_names_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    with pytest.raises(UserError):
        git_program()
    monkeypatch.setenv("PATH", f".:{tmp_path}")
    assert git_program() == str(tmp_path / "git")
