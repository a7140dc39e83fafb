"""Setting up and taking back, in every kind of repository that people have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agentprov.errors import GitFailed, NotARepository, UserError
from agentprov.flows import install as install_flow
from agentprov.flows.doctor import examine
from agentprov.flows.hook_texts import OURS
from agentprov.flows.install import install, notes_refspec, status
from agentprov.flows.uninstall import uninstall
from agentprov.system.git import Git
from support.hooked_repository import SESSION, Repository, make_repository, tree_of

FILES = {".agentprov/policy.yaml": b"policy\n", ".agentprov/trust.yaml": b"trust\n"}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repo", tmp_path / "scratch")


def set_up(repository: Repository) -> dict[str, tuple[int, bytes]]:
    """Give what must be the same again after `uninstall`."""
    common = repository.common
    found = {"config": ((common / "config").stat().st_mode, (common / "config").read_bytes())}
    if os.path.lexists(common / "hooks"):
        found["hooks/"] = ((common / "hooks").lstat().st_mode, b"")
        found.update(tree_of(common / "hooks"))
    return found


def marked(repository: Repository) -> bool:
    """Say whether a commit in a session is marked and noted."""
    env = repository.session()
    repository.commit(name="marked.txt", env=env)
    one = repository.trailers() == [f"Agentprov-Session: {SESSION}/1"]
    return one and len(repository.session_drops()) == 1


def healthy(repository: Repository) -> bool:
    """Say whether doctor is content; the recorder that tests pretend to have does not count."""
    checks = examine(repository.git_view).checks
    return all(check.ok for check in checks if check.name != "sessions")


# --- every kind of repository


def plain(top: Path, scratch: Path) -> Repository:
    return make_repository(top, scratch)


def unborn(top: Path, scratch: Path) -> Repository:
    return make_repository(top, scratch, fresh=False)


def sha256(top: Path, scratch: Path) -> Repository:
    return make_repository(top, scratch, "--object-format=sha256")


def separate_git_dir(top: Path, scratch: Path) -> Repository:
    scratch.mkdir(parents=True)
    return make_repository(top, scratch, f"--separate-git-dir={scratch / 'elsewhere'}")


def detached(top: Path, scratch: Path) -> Repository:
    made = make_repository(top, scratch)
    made.git("checkout", "-q", "--detach")
    return made


def dirty(top: Path, scratch: Path) -> Repository:
    made = make_repository(top, scratch)
    made.change("staged.txt")
    (top / "first.txt").write_text("changed\n")
    return made


def linked(top: Path, scratch: Path) -> Repository:
    made = make_repository(scratch / "main", scratch)
    made.git("worktree", "add", "-q", str(top))
    return Repository(top, made.log, made.python)


def submodule(top: Path, scratch: Path) -> Repository:
    library = make_repository(scratch / "library", scratch)
    outer = make_repository(scratch / "outer", scratch)
    outer.git("submodule", "add", "-q", str(library.top), "inner")
    return Repository(outer.top / "inner", outer.log, outer.python)


def linked_to_bare(top: Path, scratch: Path) -> Repository:
    made = make_repository(scratch / "first", scratch)
    made.git("clone", "-q", "--bare", str(made.top), str(scratch / "bare.git"))
    subprocess.run(["git", "worktree", "add", "-q", top], cwd=scratch / "bare.git", check=True)
    return Repository(top, made.log, made.python)


def without_hooks_directory(top: Path, scratch: Path) -> Repository:
    return make_repository(top, scratch, "--template=")


KINDS = [
    plain, unborn, sha256, separate_git_dir, detached, dirty, linked, submodule, linked_to_bare,
    without_hooks_directory,
]  # fmt: skip
NAMES = ["plain", "with space", 'it\'s "quoted" $HOME `x`', "new\nline", "gr\u00fcn", "raw\udcff"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_repository_is_set_up_and_put_back(
    tmp_path: Path, kind: Callable[[Path, Path], Repository]
) -> None:
    repository = kind(tmp_path / "repo", tmp_path / "scratch")
    before = set_up(repository)
    state = repository.git("status", "--porcelain").stdout
    assert repository.install().changed
    again = repository.install()
    assert not again.changed
    assert {step.state for step in again.steps} <= {"already", "skipped"}
    assert all(hook.condition == "active" for hook in status(repository.git_view).hooks)
    assert repository.git("status", "--porcelain").stdout == state
    assert examine(repository.git_view).ok
    uninstall(repository.git_view)
    assert set_up(repository) == before
    assert not repository.home.exists()
    repository.install()
    assert marked(repository)


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_paths_with_odd_bytes(tmp_path: Path, name: str, redirected: bool) -> None:
    repository = make_repository(tmp_path / name / "repo", tmp_path / "scratch")
    if redirected:
        repository.hook("commit-msg", ": >.git/former-ran", repository.top / "git hooks'")
        repository.git("config", "core.hooksPath", "git hooks'")
    before = set_up(repository)
    repository.install(files=FILES)
    assert marked(repository)
    assert (repository.common / "former-ran").exists() is redirected
    shutil.rmtree(repository.home / "sessions" / SESSION)
    (repository.home / "live" / SESSION).unlink()
    uninstall(repository.git_view)
    assert set_up(repository) == before
    assert not (repository.top / ".agentprov").exists()


def test_a_sub_directory_will_do(repository: Repository) -> None:
    (repository.top / "a" / "b").mkdir(parents=True)
    git = Git.discover(repository.top / "a" / "b")
    install(git, files=FILES, python=str(repository.python))
    assert (repository.top / ".agentprov" / "policy.yaml").read_bytes() == b"policy\n"
    assert marked(repository)


def test_hooks_of_the_main_work_tree_serve_linked_ones(
    repository: Repository, tmp_path: Path
) -> None:
    repository.install()
    repository.git("worktree", "add", "-q", str(tmp_path / "linked"))
    assert marked(Repository(tmp_path / "linked", repository.log, repository.python))


def test_a_bare_repository_is_refused_with_the_way_out(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "bare"], check=True)
    with pytest.raises(NotARepository, match="bare") as refusal:
        Git.discover(tmp_path / "bare")
    assert refusal.value.hint


def test_a_moved_repository_keeps_its_hooks(repository: Repository, tmp_path: Path) -> None:
    repository.install()
    repository.top.rename(tmp_path / "moved")
    assert marked(Repository(tmp_path / "moved", repository.log, repository.python))


# --- hooks that were there before


def test_former_hooks_are_run_first_and_come_back_unchanged(repository: Repository) -> None:
    repository.hook("post-commit", "echo mine >>.git/ran").chmod(0o700)
    repository.hook("pre-push", "exit 0").chmod(0o644)
    script = repository.hook("script", "exit 0", repository.top)
    (repository.common / "hooks" / "post-rewrite").symlink_to(script)
    before = set_up(repository)
    report = repository.install()
    assert (
        "post-commit.agentprov-chained"
        in {s.name: s for s in report.steps}["hook post-commit"].detail
    )
    repository.commit()
    assert (repository.common / "ran").read_text() == "mine\n"
    assert not repository.install().changed
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_former_hook_that_was_edited_meanwhile_comes_back_edited(
    repository: Repository,
) -> None:
    path = repository.hook("post-commit", "exit 0")
    repository.install()
    path.with_name("post-commit.agentprov-chained").write_text("#!/bin/sh\nexit 1\n")
    report = uninstall(repository.git_view)
    assert path.read_text() == "#!/bin/sh\nexit 1\n"
    assert any("changes made to it since" in step.detail for step in report.steps)


def test_a_former_hook_that_was_lost_meanwhile_comes_back_from_the_record(
    repository: Repository,
) -> None:
    path = repository.hook("post-commit", "exit 0")
    path.chmod(0o711)
    before = set_up(repository)
    repository.install()
    path.with_name("post-commit.agentprov-chained").unlink()
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_set_up_that_died_halfway_is_finished_by_the_next(repository: Repository) -> None:
    path = repository.hook("post-commit", "echo mine >>.git/ran")
    before = set_up(repository)
    os.link(path, path.with_name("post-commit.agentprov-chained"))
    repository.install()
    assert marked(repository)
    assert (repository.common / "ran").read_text() == "mine\n"
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_an_edited_shim_is_kept_aside_and_replaced(repository: Repository) -> None:
    repository.install()
    path = repository.common / "hooks" / "post-commit"
    edited = path.read_bytes() + b"# mine\n"
    path.write_bytes(edited)
    assert [h.condition for h in status(repository.git_view).hooks if h.name == path.name] == [
        "edited"
    ]
    repository.install()
    (kept,) = (repository.home / "former").iterdir()
    assert kept.read_bytes() == edited
    assert not path.with_name("post-commit.agentprov-chained").exists()
    assert marked(repository)


@pytest.mark.parametrize("odd", ["directory", "fifo"])
def test_what_is_no_file_is_left_alone(repository: Repository, odd: str) -> None:
    path = repository.common / "hooks" / "post-commit"
    if odd == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    report = repository.install()
    assert {s.name: s.state for s in report.steps}["hook post-commit"] == "skipped"
    assert path.is_dir() is (odd == "directory")
    assert not examine(repository.git_view).ok
    uninstall(repository.git_view)
    assert path.exists()


def test_a_linked_hooks_directory_is_not_written_into(
    repository: Repository, tmp_path: Path
) -> None:
    shared = tmp_path / "shared-hooks"
    repository.hook("commit-msg", "echo mine >>.git/ran", shared)
    shutil.rmtree(repository.common / "hooks")
    (repository.common / "hooks").symlink_to(shared)
    before, inside = set_up(repository), tree_of(shared)
    repository.install()
    assert marked(repository)
    assert (repository.common / "ran").exists()
    assert tree_of(shared) == inside
    assert not repository.install().changed
    uninstall(repository.git_view)
    assert set_up(repository) == before


# --- core.hooksPath


def configured(repository: Repository, how: str, home: Path) -> Path:
    directory = home / "hooks" if how in ("global", "home") else repository.top / "githooks"
    value = {"relative": "githooks", "home": "~/hooks"}.get(how, str(directory))
    scope = "--global" if how in ("global", "home") else "--local"
    repository.git("config", scope, "core.hooksPath", value)
    return directory


@pytest.mark.parametrize("how", ["relative", "absolute", "global", "home"])
def test_a_configured_directory_is_passed_on_to_and_never_written(
    repository: Repository, home: Path, how: str
) -> None:
    directory = configured(repository, how, home)
    repository.hook("pre-commit", "echo pre >>.git/ran", directory)
    repository.hook("post-commit", "echo post >>.git/ran", directory)
    before, inside = set_up(repository), tree_of(directory)
    global_config = (home / "gitconfig").read_bytes()
    repository.install()
    assert not repository.install().changed
    assert marked(repository)
    assert (repository.common / "ran").read_text() == "pre\npost\n"
    # A hook that a colleague adds later is run too.
    repository.hook("commit-msg", "exit 1", directory)
    repository.change()
    assert repository.git("commit", "-qm", "x", check=False).returncode == 1
    (directory / "commit-msg").unlink()
    assert tree_of(directory) == inside
    assert healthy(repository)
    uninstall(repository.git_view)
    assert set_up(repository) == before
    assert (home / "gitconfig").read_bytes() == global_config


def test_rare_hooks_are_passed_on_where_they_exist_and_missed_aloud(
    repository: Repository, home: Path
) -> None:
    directory = configured(repository, "absolute", home)
    repository.hook("reference-transaction", "exit 0", directory)
    repository.install()
    own = repository.home / "hooks"
    assert (own / "reference-transaction").exists()
    assert not (own / "post-index-change").exists()
    repository.hook("post-index-change", "exit 0", directory)
    check = {c.name: c for c in examine(repository.git_view).checks}["core.hooksPath"]
    assert not check.ok
    assert "post-index-change" in check.detail
    repository.install()
    assert examine(repository.git_view).ok


@pytest.mark.parametrize("value", ["", "/dev/null", "no/such/directory"])
def test_a_setting_that_names_no_hooks_is_replaced_and_comes_back(
    repository: Repository, value: str
) -> None:
    repository.git("config", "core.hooksPath", value)
    before = set_up(repository)
    repository.install()
    assert marked(repository)
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_setting_that_names_gits_own_directory_changes_nothing(repository: Repository) -> None:
    repository.git("config", "core.hooksPath", str(repository.common / "hooks"))
    before = set_up(repository)
    repository.install()
    assert marked(repository)
    assert not (repository.home / "hooks").exists()
    assert healthy(repository)
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_setting_of_one_work_tree_is_respected_and_reported(repository: Repository) -> None:
    repository.git("config", "extensions.worktreeConfig", "true")
    repository.git("config", "--worktree", "core.hooksPath", "/nowhere")
    report = repository.install()
    assert {s.name: s.state for s in report.steps}["hooks"] == "skipped"
    check = {c.name: c for c in examine(repository.git_view).checks}["core.hooksPath"]
    assert not check.ok
    assert "work tree" in check.remedy


def test_an_include_that_outranks_us_is_an_error_that_says_where(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "included").write_text("[core]\n\thooksPath = /nowhere\n")
    with (repository.common / "config").open("a") as config:
        config.write(f"[core]\n\tbare = false\n[include]\n\tpath = {tmp_path / 'included'}\n")
    before = set_up(repository)
    with pytest.raises(GitFailed, match="/nowhere"):
        repository.install()
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_global_setting_that_moves_later_is_noticed(repository: Repository, home: Path) -> None:
    configured(repository, "global", home)
    repository.install()
    repository.git("config", "--global", "core.hooksPath", "/other")
    check = {c.name: c for c in examine(repository.git_view).checks}["core.hooksPath"]
    assert not check.ok
    assert "/other" in check.detail


def test_others_in_a_shared_repository_keep_their_hooks(repository: Repository, home: Path) -> None:
    configured(repository, "absolute", home)
    repository.git("config", "core.sharedRepository", "group")
    repository.install()
    assert repository.home.stat().st_mode & 0o777 == 0o711
    assert (repository.home / "hooks").stat().st_mode & 0o005 == 0o005
    assert (repository.home / "sessions").stat().st_mode & 0o077 == 0


def test_our_directory_is_private(repository: Repository) -> None:
    repository.install()
    assert repository.home.stat().st_mode & 0o777 == 0o700
    assert (repository.home / "install.json").stat().st_mode & 0o777 == 0o600


# --- configuration


def test_configuration_that_others_changed_loses_only_what_is_ours(
    repository: Repository, home: Path
) -> None:
    configured(repository, "relative", home)
    repository.git("remote", "add", "origin", "/nowhere")
    repository.install()
    repository.git("config", "user.nickname", "ada")
    repository.git("config", "--add", "remote.origin.fetch", "+refs/pull/*:refs/pull/*")
    report = uninstall(repository.git_view)
    assert any("only ours is taken out" in step.detail for step in report.steps)
    listed = repository.git("config", "--local", "--list").stdout.decode()
    assert "agentprov" not in listed
    assert "user.nickname=ada\n" in listed
    assert "core.hookspath=githooks\n" in listed
    assert "remote.origin.fetch=+refs/heads/*:refs/remotes/origin/*\n" in listed
    assert "remote.origin.fetch=+refs/pull/*:refs/pull/*\n" in listed


def test_a_remote_added_between_two_runs_does_not_bring_old_bytes_back(
    repository: Repository,
) -> None:
    repository.git("remote", "add", "origin", "/nowhere")
    repository.install()
    repository.git("remote", "add", "second", "/elsewhere")
    repository.install()
    uninstall(repository.git_view)
    listed = repository.git("config", "--local", "--list").stdout.decode()
    assert "remote.second.url=/elsewhere\n" in listed
    assert "agentprov" not in listed


def test_records_are_fetched_beside_ours_and_a_remote_without_them_still_works(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("clone", "-q", "--bare", str(repository.top), str(tmp_path / "remote"))
    repository.git("remote", "add", "origin", str(tmp_path / "remote"))
    repository.install()
    repository.git("fetch", "-q", "origin")
    repository.git("notes", "--ref=agentprov", "add", "-m", "theirs")
    repository.git("push", "-q", "origin", "refs/notes/agentprov")
    repository.git("notes", "--ref=agentprov", "add", "-f", "-m", "ours, not pushed")
    ours = repository.git("rev-parse", "refs/notes/agentprov").stdout
    repository.git("fetch", "-q", "origin")
    assert repository.git("rev-parse", "refs/notes/agentprov").stdout == ours
    assert repository.git("rev-parse", "refs/notes/remotes/origin/agentprov").stdout != ours


def test_remotes_that_must_not_be_changed_are_skipped_with_the_reason(
    repository: Repository,
) -> None:
    repository.git("config", "remote.bare.url", "/nowhere")
    repository.git("config", "remote.mirror.url", "/nowhere")
    repository.git("config", "remote.mirror.fetch", "+refs/*:refs/*")
    steps = {step.name: step for step in repository.install().steps}
    assert steps["fetch bare"].state == steps["fetch mirror"].state == "skipped"
    assert "agentprov" not in repository.git("config", "--local", "--list").stdout.decode()
    assert examine(repository.git_view).ok


def test_a_remote_name_with_dots_and_slashes_is_handled(repository: Repository) -> None:
    repository.git("remote", "add", "team/a.b", "/nowhere")
    before = set_up(repository)
    repository.install()
    assert (
        notes_refspec("team/a.b").encode()
        in repository.git("config", "--get-all", "remote.team/a.b.fetch").stdout
    )
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_configuration_that_git_holds_locked_is_an_error_with_a_hint(
    repository: Repository,
) -> None:
    repository.git("remote", "add", "origin", "/nowhere")
    repository.install()
    (repository.common / "config.lock").touch()
    with pytest.raises(UserError, match=r"config\.lock") as refusal:
        uninstall(repository.git_view)
    assert refusal.value.hint
    (repository.common / "config.lock").unlink()
    uninstall(repository.git_view)
    assert not repository.home.exists()


# --- files in the work tree


def test_files_that_are_there_are_left_as_they_are(repository: Repository) -> None:
    (repository.top / ".agentprov").mkdir()
    (repository.top / ".agentprov" / "policy.yaml").write_text("mine\n")
    steps = {step.name: step.state for step in repository.install(files=FILES).steps}
    assert steps[".agentprov/policy.yaml"] == "already"
    assert steps[".agentprov/trust.yaml"] == "done"
    uninstall(repository.git_view)
    assert (repository.top / ".agentprov" / "policy.yaml").read_text() == "mine\n"
    assert not (repository.top / ".agentprov" / "trust.yaml").exists()


def test_a_link_out_of_the_work_tree_is_not_followed(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (repository.top / ".agentprov").symlink_to(tmp_path / "outside")
    steps = {step.name: step.state for step in repository.install(files=FILES).steps}
    assert steps[".agentprov/policy.yaml"] == "skipped"
    assert list((tmp_path / "outside").iterdir()) == []


def test_commit_takes_our_files_and_nothing_else(repository: Repository) -> None:
    repository.change("staged.txt", "staged\n")
    (repository.top / "first.txt").write_text("changed\n")
    repository.install(files=FILES, commit=True)
    shown = repository.git("show", "--format=", "--name-only", "HEAD").stdout.decode().split()
    assert shown == sorted(FILES)
    assert repository.git("status", "--porcelain").stdout == b" M first.txt\nA  staged.txt\n"
    assert not repository.install(files=FILES, commit=True).changed


def test_commit_works_before_the_first_commit(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repo", tmp_path / "scratch", fresh=False)
    repository.install(files=FILES, commit=True)
    assert repository.git("status", "--porcelain").stdout == b""


def test_a_refused_commit_leaves_the_index_as_it_was(repository: Repository) -> None:
    repository.hook("pre-commit", "echo no, not today >&2; exit 1")
    repository.change("staged.txt", "staged\n")
    with pytest.raises(GitFailed, match="not committed") as refusal:
        repository.install(files=FILES, commit=True)
    assert refusal.value.hint
    assert repository.git("diff", "--cached", "--name-only").stdout == b"staged.txt\n"


def test_files_that_were_changed_or_committed_stay(repository: Repository) -> None:
    repository.install(files=FILES)
    (repository.top / ".agentprov" / "policy.yaml").write_text("mine\n")
    repository.git("add", ".agentprov/trust.yaml")
    steps = {s.name: s.state for s in uninstall(repository.git_view).steps}
    assert steps[".agentprov/policy.yaml"] == steps[".agentprov/trust.yaml"] == "kept"
    assert (repository.top / ".agentprov" / "policy.yaml").read_text() == "mine\n"


# --- what goes wrong


def test_uninstall_without_a_record_takes_out_what_it_recognises(
    repository: Repository, home: Path
) -> None:
    repository.git("remote", "add", "origin", "/nowhere")
    before = set_up(repository)
    repository.hook("post-commit", "exit 0")
    repository.install()
    (repository.home / "install.json").write_text("{ not json")
    assert not examine(repository.git_view).ok
    uninstall(repository.git_view)
    after = set_up(repository)
    assert after.pop("post-commit")[1] == b"#!/bin/sh\nexit 0\n"
    assert after == before


def test_uninstall_where_our_directory_was_deleted(repository: Repository, home: Path) -> None:
    before = set_up(repository)
    directory = configured(repository, "global", home)
    repository.hook("pre-commit", "exit 0", directory)
    repository.install()
    shutil.rmtree(repository.home)
    assert not examine(repository.git_view).ok
    uninstall(repository.git_view)
    assert repository.git("config", "--local", "--get", "core.hooksPath", check=False).stdout == b""
    assert set_up(repository).keys() == before.keys()
    assert not repository.home.exists()


def test_uninstall_where_nothing_was_installed_changes_nothing(repository: Repository) -> None:
    before = set_up(repository)
    assert not uninstall(repository.git_view).changed
    assert set_up(repository) == before


def test_lock_files_alone_do_not_keep_our_directory(repository: Repository) -> None:
    repository.install()
    (repository.home / "lock").touch()
    (repository.home / "notes.lock").touch()
    uninstall(repository.git_view)
    assert not repository.home.exists()


def test_records_of_sessions_survive_uninstall(repository: Repository) -> None:
    repository.install()
    repository.session(live=False)
    report = uninstall(repository.git_view)
    assert (repository.home / "sessions" / SESSION / "next").exists()
    assert [step.state for step in report.steps if step.name == "records"] == ["kept"]
    repository.install()
    assert examine(repository.git_view).ok


def test_a_git_directory_that_takes_nothing_is_an_error_and_nothing_is_lost(
    repository: Repository,
) -> None:
    repository.home.write_text("a file stands here")
    before = set_up(repository)
    with pytest.raises(UserError, match="cannot set up"):
        repository.install()
    assert set_up(repository) == before


def test_a_disk_that_fills_up_leaves_every_hook_working(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.hook("post-commit", "echo mine >>.git/ran")
    before = set_up(repository)
    real = install_flow.atomic_write

    def full(path: Path, data: bytes, **more: object) -> None:
        if path.name == "post-commit":
            raise OSError(28, "No space left on device", str(path))
        real(path, data, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(install_flow, "atomic_write", full)
    with pytest.raises(UserError, match="No space left"):
        repository.install()
    repository.commit()
    assert (repository.common / "ran").read_text() == "mine\n"
    monkeypatch.setattr(install_flow, "atomic_write", real)
    uninstall(repository.git_view)
    assert set_up(repository) == before


def test_a_record_of_a_later_version_is_not_guessed_at(repository: Repository) -> None:
    repository.install()
    path = repository.home / "install.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "version": 99}))
    check = {c.name: c for c in examine(repository.git_view).checks}["init"]
    assert not check.ok
    assert "cannot be read" in check.detail


def test_status_names_every_hook(repository: Repository) -> None:
    before = status(repository.git_view)
    assert [hook.condition for hook in before.hooks] == ["missing"] * len(OURS)
    assert not before.recorded
    repository.install()
    after = status(repository.git_view)
    assert after.directory == repository.common / "hooks"
    assert after.setting is None
    assert after.recorded
