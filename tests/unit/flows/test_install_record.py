"""What `init` remembers, so that it can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentprov.flows import install_record
from agentprov.flows.install_record import InstallRecord, former_hook
from agentprov.system.git import Git
from support.hooked_repository import make_repository


@pytest.fixture
def git(tmp_path: Path) -> Git:
    git = make_repository(tmp_path / "repo", tmp_path / "scratch", fresh=False).git_view
    git.home.mkdir()
    return git


def test_a_record_comes_back_as_it_was_saved(git: Git) -> None:
    record = InstallRecord(
        hooks_path_before="raw\udcff\n'",
        hooks={"post-commit": former_hook(b"\x00\xff", 0o755), "pre-push": None},
        fetch=[("origin", "+a:b")],
        files={"x": "y"},
    )
    record.note_config(b"before\xff", b"after")
    record.save(git)
    assert install_record.load(git) == record
    assert install_record.record_path(git).stat().st_mode & 0o777 == 0o600


def test_the_original_configuration_needs_an_unbroken_chain_of_our_own_changes() -> None:
    record = InstallRecord()
    assert record.original_config(b"a") is None
    record.note_config(b"a", b"b")
    record.note_config(b"b", b"c")
    assert record.original_config(b"c") == b"a"
    assert record.original_config(b"d") is None
    record.note_config(b"d", b"e")
    assert record.original_config(b"e") is None


def test_a_change_that_changed_nothing_is_not_noted() -> None:
    record = InstallRecord()
    record.note_config(b"a", b"a")
    assert record.config_after is None


def test_a_large_hook_is_kept_by_digest_only() -> None:
    assert former_hook(b"x" * (install_record.KEPT_HOOK_BYTES + 1), 0o755).content is None
    assert former_hook(b"x", 0o755).content is not None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b'{"version": 2}', b'{"version": 1, "hooks": 3}']
)
def test_a_record_that_cannot_be_understood_is_none(git: Git, content: bytes) -> None:
    install_record.record_path(git).write_bytes(content)
    assert install_record.load(git) is None
