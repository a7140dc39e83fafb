"""Husky, lefthook and the pre-commit framework, for real: before us, after us, and again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agentprov.flows.doctor import Check, examine
from agentprov.flows.install import status
from agentprov.flows.uninstall import uninstall
from support.hook_managers import TOP, program
from support.hooked_repository import SESSION, Repository, make_repository

TRAILER = f"Agentprov-Session: {SESSION}/1"
# The line of docs/howto/hooks.md.
CALL = 'f="$(git rev-parse --git-common-dir)/agentprov/hook.sh"; [ ! -r "$f" ] || sh "$f"'


class Managed:
    """A repository under a hook manager whose own hooks leave a line in ``.git/ran``."""

    name = ""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.program = program(self.name)
        path = f"{self.program.parent}{os.pathsep}{os.environ['PATH']}"
        repository.environment["PATH"] = path
        # Where the framework keeps its clones.
        repository.environment["PRE_COMMIT_HOME"] = str(repository.log.parent / "pre-commit")
        self.configure()

    def configure(self, *, with_ours: bool = False) -> None:
        raise NotImplementedError

    def install(self) -> subprocess.CompletedProcess[str]:
        raise NotImplementedError

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *arguments],
            cwd=self.repository.top,
            env={**os.environ, **self.repository.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def both_run(self) -> tuple[bool, int, int]:
        """Commit in a session: is it marked, how many events came, how often did theirs run."""
        ran = self.repository.common / "ran"
        ran.unlink(missing_ok=True)
        shutil.rmtree(self.repository.home / "sessions" / SESSION, ignore_errors=True)
        env = self.repository.session()
        self.repository.commit(env=env)
        theirs = len(ran.read_text().split()) if ran.exists() else 0
        marked = self.repository.trailers() == [TRAILER]
        return marked, len(self.repository.session_drops()), theirs

    def checks(self) -> dict[str, Check]:
        return {check.name: check for check in examine(self.repository.git_view).checks}


class Husky(Managed):
    name = "husky"

    def configure(self, *, with_ours: bool = False) -> None:
        directory = self.repository.top / ".husky"
        directory.mkdir(exist_ok=True)
        for hook in ("post-commit", "prepare-commit-msg"):
            lines = ["echo theirs >>.git/ran"] if hook == "post-commit" else []
            if with_ours:
                lines.append(f'{CALL} {hook} "$@"')
            (directory / hook).write_text("\n".join(lines) + "\n")

    def install(self) -> subprocess.CompletedProcess[str]:
        return self.run()


class Lefthook(Managed):
    name = "lefthook"

    def configure(self, *, with_ours: bool = False) -> None:
        ours = {
            "post-commit": f"    - run: {CALL} post-commit\n",
            "prepare-commit-msg": f"    - run: {CALL} prepare-commit-msg {{1}} {{2}}\n",
        }
        (self.repository.top / "lefthook.yml").write_text(
            "post-commit:\n  jobs:\n    - run: echo theirs >>.git/ran\n"
            + (ours["post-commit"] if with_ours else "")
            + "prepare-commit-msg:\n  jobs:\n    - run: 'true'\n"
            + (ours["prepare-commit-msg"] if with_ours else "")
        )

    def install(self) -> subprocess.CompletedProcess[str]:
        return self.run("install")


class PreCommit(Managed):
    name = "pre-commit"

    def configure(self, *, with_ours: bool = False) -> None:
        text = (
            "default_install_hook_types: [post-commit, prepare-commit-msg]\n"
            "repos:\n- repo: local\n  hooks:\n  - {id: theirs, name: theirs, language: system,\n"
            "     entry: sh -c 'echo theirs >>.git/ran', stages: [post-commit],\n"
            "     always_run: true, pass_filenames: false}\n"
        )
        if with_ours:
            clone, revision = self._published()
            text += (
                f"- repo: {clone}\n  rev: {revision}\n  hooks:\n"
                "  - id: agentprov-post-commit\n  - id: agentprov-prepare-commit-msg\n"
            )
        (self.repository.top / ".pre-commit-config.yaml").write_text(text)
        self.repository.git("add", ".pre-commit-config.yaml")

    def _published(self) -> tuple[Path, str]:
        """Make the repository that a user would name: what we ship of it for the framework."""
        made = make_repository(self.repository.log.parent / "ours", self.repository.log.parent)
        script = Path("hooks") / "agentprov_hooks" / "git" / "from-manager.sh"
        for name in (Path(".pre-commit-hooks.yaml"), script):
            (made.top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, made.top / name)
        made.git("add", ".")
        made.git("commit", "-qm", "Ship")
        return made.top, made.git("rev-parse", "HEAD").stdout.decode().strip()

    def install(self) -> subprocess.CompletedProcess[str]:
        return self.run("install")


MANAGERS = [Husky, Lefthook, PreCommit]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repo", tmp_path / "scratch")


@pytest.mark.parametrize("kind", MANAGERS)
def test_set_up_after_a_manager_both_run(repository: Repository, kind: type[Managed]) -> None:
    managed = kind(repository)
    assert managed.install().returncode == 0
    repository.install()
    assert managed.both_run() == (True, 1, 1)
    assert managed.checks()["hook managers"].ok
    assert not repository.install().changed


@pytest.mark.parametrize("kind", MANAGERS)
def test_a_manager_goes_on_as_before_once_we_are_gone(
    repository: Repository, kind: type[Managed]
) -> None:
    managed = kind(repository)
    managed.install()
    repository.install()
    shutil.rmtree(repository.home / "sessions")
    uninstall(repository.git_view)
    repository.commit()
    assert (repository.common / "ran").read_text().split() == ["theirs"]


@pytest.mark.parametrize("kind", [Husky, Lefthook])
def test_a_manager_that_comes_later_displaces_us_doctor_says_so_and_init_repairs(
    repository: Repository, kind: type[Managed]
) -> None:
    managed = kind(repository)
    repository.install()
    assert managed.install().returncode == 0
    assert managed.both_run() == (False, 0, 1)
    check = managed.checks()["hook managers"]
    assert not check.ok
    assert managed.name in check.detail
    assert "agentprov init" in check.remedy
    repository.install()
    assert managed.both_run() == (True, 1, 1)
    assert managed.checks()["hook managers"].ok
    # And round again, as every `npm install` may do it.
    assert managed.install().returncode == 0
    repository.install()
    assert managed.both_run() == (True, 1, 1)


def test_pre_commit_runs_us_when_it_comes_later(repository: Repository) -> None:
    managed = PreCommit(repository)
    repository.install()
    assert managed.install().returncode == 0
    assert managed.both_run() == (True, 1, 1)
    assert managed.checks()["hook managers"].ok
    assert not repository.install().changed
    uninstall(repository.git_view)
    repository.commit()
    assert not list((repository.common / "hooks").glob("*.legacy"))


def test_pre_commit_over_a_hook_of_the_users_keeps_all_three(repository: Repository) -> None:
    managed = PreCommit(repository)
    repository.hook("post-commit", "echo users >>.git/ran")
    repository.install()
    managed.install()
    assert managed.both_run() == (True, 1, 2)
    uninstall(repository.git_view)
    repository.commit()
    assert sorted((repository.common / "ran").read_text().split()[2:]) == ["theirs", "users"]


def test_pre_commit_that_overwrites_us_is_noticed_and_repaired(repository: Repository) -> None:
    managed = PreCommit(repository)
    repository.install()
    assert managed.run("install", "--overwrite").returncode == 0
    assert not managed.checks()["hook managers"].ok
    repository.install()
    assert managed.both_run() == (True, 1, 1)


def test_pre_commit_refuses_while_husky_redirects(repository: Repository) -> None:
    Husky(repository).install()
    repository.install()
    managed = PreCommit(repository)
    refused = managed.install()
    assert refused.returncode == 1
    assert "core.hooksPath" in refused.stdout


@pytest.mark.parametrize("kind", MANAGERS)
def test_lines_in_a_managers_configuration_keep_us_alive_without_our_shims(
    repository: Repository, kind: type[Managed]
) -> None:
    managed = kind(repository)
    repository.install()
    managed.configure(with_ours=True)
    managed.run("install", "--overwrite") if kind is PreCommit else managed.install()
    conditions = {hook.name: hook.condition for hook in status(repository.git_view).hooks}
    assert conditions["post-commit"] == conditions["prepare-commit-msg"] == "active"
    assert managed.both_run() == (True, 1, 1)


@pytest.mark.parametrize("kind", MANAGERS)
def test_lines_in_a_managers_configuration_do_nothing_where_init_was_never_run(
    repository: Repository, kind: type[Managed]
) -> None:
    managed = kind(repository)
    managed.configure(with_ours=True)
    managed.install()
    repository.commit("-m", "Plain")
    assert repository.message() == "Plain\n"
    assert (repository.common / "ran").read_text().split() == ["theirs"]


def test_the_documented_lines_are_the_tested_ones() -> None:
    text = (TOP / "docs" / "howto" / "hooks.md").read_text()
    for ending in (
        'post-commit "$@"', 'prepare-commit-msg "$@"', "post-commit", "prepare-commit-msg {1} {2}",
    ):  # fmt: skip
        assert f"{CALL} {ending}\n" in text


@pytest.mark.parametrize("kind", MANAGERS)
def test_lines_and_shims_together_make_one_event(
    repository: Repository, kind: type[Managed]
) -> None:
    managed = kind(repository)
    managed.configure(with_ours=True)
    managed.install()
    repository.install()
    assert managed.both_run() == (True, 1, 1)
