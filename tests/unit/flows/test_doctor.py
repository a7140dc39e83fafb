"""Each check of `doctor`, broken one at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agentprov.flows import doctor, keys
from agentprov.flows.doctor import Check, examine
from agentprov.sign.registry import key_path, signer_for
from support.hooked_repository import Repository, make_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path / "repo", tmp_path / "scratch")
    made.git("remote", "add", "origin", "/nowhere")
    made.install()
    return made


def check(repository: Repository, name: str, **more: object) -> Check:
    report = examine(repository.git_view, **more)  # type: ignore[arg-type]
    return {found.name: found for found in report.checks}[name]


def test_a_repository_that_is_set_up_passes_every_check(repository: Repository) -> None:
    report = examine(repository.git_view)
    assert report.ok
    assert [found.remedy for found in report.checks if found.remedy] == []


def test_a_repository_that_is_not_set_up_is_told_how(tmp_path: Path) -> None:
    bare = make_repository(tmp_path / "repo", tmp_path / "scratch")
    found = check(bare, "init")
    assert not found.ok
    assert found.remedy == "run `agentprov init`"
    assert not (bare.common / "agentprov").exists()


def remove_hook(repository: Repository) -> None:
    (repository.common / "hooks" / "post-commit").unlink()


def forbid_hook(repository: Repository) -> None:
    (repository.common / "hooks" / "post-commit").chmod(0o644)


def edit_hook(repository: Repository) -> None:
    with (repository.common / "hooks" / "post-commit").open("a") as hook:
        hook.write("exit 3\n")


def displace_hook(repository: Repository) -> None:
    repository.hook("post-commit", "exit 0")


def hide_hooks(repository: Repository) -> None:
    repository.git("config", "core.hooksPath", "elsewhere")


def remove_program(repository: Repository) -> None:
    (repository.home / "hook.sh").unlink()


def edit_program(repository: Repository) -> None:
    with (repository.home / "hook.sh").open("a") as program:
        program.write("exit 3\n")


def remove_interpreter(repository: Repository) -> None:
    repository.python.unlink()


def remove_spool(repository: Repository) -> None:
    (repository.home / "spool").rmdir()


def kill_recorder(repository: Repository) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    repository.session()
    repository.live("20260101T000000-abcdef", process.pid, repository.top)


def lose_refspec(repository: Repository) -> None:
    repository.git("config", "--unset-all", "remote.origin.fetch", "agentprov")


def damage_notes(repository: Repository) -> None:
    repository.git("notes", "--ref=agentprov", "add", "-m", "x")
    tree = repository.git("rev-parse", "refs/notes/agentprov^{tree}").stdout.decode().strip()
    (repository.common / "objects" / tree[:2] / tree[2:]).unlink()


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (remove_hook, "hook post-commit"),
        (forbid_hook, "hook post-commit"),
        (edit_hook, "hook post-commit"),
        (displace_hook, "hook post-commit"),
        (hide_hooks, "hook post-commit"),
        (hide_hooks, "core.hooksPath"),
        (remove_program, "hook program"),
        (edit_program, "hook program"),
        (remove_interpreter, "interpreter"),
        (remove_spool, "init"),
        (kill_recorder, "sessions"),
        (lose_refspec, "fetch"),
        (damage_notes, "records"),
    ],
)
def test_damage_is_named_with_a_remedy(
    repository: Repository, damage: Callable[[Repository], None], name: str
) -> None:
    damage(repository)
    report = examine(repository.git_view)
    found = {item.name: item for item in report.checks}[name]
    assert not found.ok
    assert not report.ok
    assert found.remedy


@pytest.mark.parametrize(
    "damage",
    [
        remove_hook, forbid_hook, edit_hook, displace_hook, hide_hooks, remove_program,
        edit_program, remove_spool, lose_refspec,
    ],
)  # fmt: skip
def test_the_remedy_of_setting_up_again_works(
    repository: Repository, damage: Callable[[Repository], None]
) -> None:
    damage(repository)
    repository.install()
    assert examine(repository.git_view).ok


def test_a_live_session_and_waiting_output_are_told_without_alarm(repository: Repository) -> None:
    from agentprov.record.session import SessionDirectory
    from agentprov.system.process_table import start_time

    directory = SessionDirectory.create(repository.home, "one")
    directory.mark_live(os.getpid(), start_time(os.getpid()) or "", repository.top)
    directory.set_pending([b"a.txt"])
    assert check(repository, "sessions") == Check("sessions", True, "1 recorded now")
    assert "1 sessions" in check(repository, "uncommitted").detail


def test_events_that_wait_are_counted(repository: Repository) -> None:
    (repository.home / "spool" / "x.drop").touch()
    assert check(repository, "spool").detail == "1 events wait"


def test_an_old_git_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OLDEST_GIT", (99, 0))
    found = check(repository, "git")
    assert not found.ok
    assert found.remedy == "install git 99.0 or newer"


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o400, True), (0o640, False)])
def test_a_key_that_others_can_read_is_named(
    repository: Repository, tmp_path: Path, mode: int, good: bool
) -> None:
    key = tmp_path / "human.pem"
    key.write_text("key")
    key.chmod(mode)
    found = check(repository, "key human.pem", keys=[key])
    assert found.ok is good
    assert good or found.remedy == f"chmod 600 {key}"


def test_a_key_that_is_not_made_yet_is_no_fault(repository: Repository, tmp_path: Path) -> None:
    assert check(repository, "key human.pem", keys=[tmp_path / "human.pem"]).ok


def test_being_switched_off_is_said(repository: Repository) -> None:
    assert check(repository, "AGENTPROV_DISABLE", environment={}).ok
    assert check(repository, "AGENTPROV_DISABLE", environment={"AGENTPROV_DISABLE": "0"}).ok
    assert not check(repository, "AGENTPROV_DISABLE", environment={"AGENTPROV_DISABLE": "1"}).ok


def test_a_check_that_cannot_be_made_does_not_stop_the_others(
    repository: Repository,
) -> None:
    shutil.rmtree(repository.home / "pending")
    path = repository.home / "hook.sh"
    path.unlink()
    path.mkdir()
    names = [found.name for found in examine(repository.git_view).checks]
    assert "examination" in names
    assert "AGENTPROV_DISABLE" in names


def test_linked_work_trees_and_submodules_are_told_apart(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked", repository.log, repository.python)
    assert check(linked, "repository").detail.startswith("linked work tree at")
    repository.git("submodule", "add", "-q", str(repository.top), "inner")
    inner = Repository(repository.top / "inner", repository.log, repository.python)
    assert check(inner, "repository").detail.startswith("submodule at")


def test_a_chosen_key_is_looked_at_where_it_is(repository: Repository, tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert keys.chosen(own) is None
    assert [path.name for path in keys.files(own)] == ["human.pem", "recorder.pem"]
    other = signer_for("human", tmp_path / "other")
    keys.use(own, "human", other.uri)
    assert [path.name for path in keys.files(own)] == ["recorder.pem"]
    found = check(repository, "human key", chosen=keys.chosen(own))
    assert found.ok
    assert other.uri in found.detail
    key_path("human", tmp_path / "other").unlink()
    found = check(repository, "human key", chosen=keys.chosen(own))
    assert not found.ok
    assert "cannot sign: there is no key" in found.detail
    assert found.remedy
