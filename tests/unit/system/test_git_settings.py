from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.system.git_settings import own_settings
from support.repository import Repository


def test_the_last_of_the_users_own_settings_counts_and_included_files_are_theirs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "work" / "r")
    (home / "included").write_text("[user]\n\tsigningKey = from an include\n")
    with (home / "gitconfig").open("a") as config:
        config.write(
            "[user]\n\tsigningkey = first\n\tsigningkey = second=with=signs\n"
            f'[includeIf "gitdir:{tmp_path}/work/"]\n\tpath = {home}/included\n'
        )
    monkeypatch.chdir(tmp_path)
    assert own_settings("user.signingkey") == {"user.signingkey": "second=with=signs"}
    monkeypatch.chdir(repository.top)
    assert own_settings("user.signingkey") == {"user.signingkey": "from an include"}
    repository.git("config", "user.signingkey", "the repository's")
    assert own_settings("user.signingkey") == {"user.signingkey": "from an include"}


def test_what_the_environment_injects_is_not_the_users_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.signingkey")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "injected")
    assert own_settings("user.signingkey") == {}


def test_a_setting_that_is_nowhere_and_a_broken_configuration_give_nothing(home: Path) -> None:
    assert own_settings("gpg.format", "userXsigningkey") == {}
    (home / "gitconfig").write_text("[user\n")
    assert own_settings("user.email") == {}
