"""`init`: hooks, fetch refspecs, directories and the files to commit; safe to run again.

Everything that is changed goes into the install record first, so that `uninstall` can put it
back. Nothing that somebody else owns is overwritten: a hook in git's own hooks directory is set
aside and run first, a directory that ``core.hooksPath`` names is never written into
(docs/adr/0005).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentprov.errors import GitFailed, UserError
from agentprov.flows import hook_site, hook_texts, install_record
from agentprov.flows.hook_site import HooksPath, HookState
from agentprov.flows.install_record import InstallRecord
from agentprov.formats.names import NOTES_REF
from agentprov.system.files import atomic_write, locked, private_directory
from agentprov.system.git import Git

DIRECTORIES = ("spool", "live", "pending", "sessions")
COMMIT_MESSAGE = "Adopt agentprov: policy and trust"
_LOCK_SECONDS = 20.0

StepState = Literal["done", "already", "skipped", "kept"]


@dataclass(frozen=True)
class Step:
    """One thing that was looked after: `name`, what happened to it, and where or why."""

    name: str
    state: StepState
    detail: str


@dataclass(frozen=True)
class InstallReport:
    """What `install` or `uninstall` did, in order."""

    steps: tuple[Step, ...]

    @property
    def changed(self) -> bool:
        """Say whether anything was changed at all."""
        return any(step.state == "done" for step in self.steps)


@dataclass(frozen=True)
class HooksStatus:
    """Which hooks git would run: their states, the directory, and the setting behind it."""

    hooks: tuple[HookState, ...]
    directory: Path
    setting: HooksPath | None
    recorded: bool


def status(git: Git) -> HooksStatus:
    """Say what stands where; changes nothing."""
    paths = hook_site.hooks_paths(git)
    return HooksStatus(
        tuple(hook_site.states(git)),
        hook_site.effective_directory(git),
        paths[-1] if paths else None,
        install_record.load(git) is not None,
    )


def install(
    git: Git,
    *,
    files: Mapping[str, bytes] | None = None,
    commit: bool = False,
    python: str | None = None,
) -> InstallReport:
    """Set a repository up, or bring an older set-up to date.

    `files` are written into the work tree where absent (path from the top: content); with
    `commit` those of them that git does not track yet are committed, and nothing else. `python`
    is the interpreter that hooks start, by default this one. Idempotent. Raises UserError when
    the git directory cannot be written, GitFailed when git refuses. Needs no commit to exist.
    """
    try:
        private_directory(git.home)
        with locked(git.home / "install.lock", _LOCK_SECONDS):
            setup = _Setup(git)
            setup.directories()
            setup.program(python or sys.executable)
            setup.hooks()
            setup.fetch()
            setup.work_tree(files or {})
            if commit:
                setup.commit(tuple(files or {}))
            return InstallReport(tuple(setup.steps))
    except OSError as error:
        raise UserError(
            f"cannot set up {git.common_dir}: {error.strerror} ({error.filename})",
            hint="what was done so far is safe; `agentprov hooks uninstall` takes it back",
        ) from error


def notes_refspec(remote: str) -> str:
    """Give the fetch refspec that brings a remote's records without touching our own.

    A pattern, although it matches one ref: git fails the whole fetch when a remote does not
    have a ref that is named in full.
    """
    return f"+{NOTES_REF}*:refs/notes/remotes/{remote}/agentprov*"


def fetch_settings(git: Git) -> dict[str, list[str]]:
    """Give the fetch refspecs of each remote of this repository's own configuration."""
    out = git.run(
        "config", "--local", "-z", "--get-regexp", r"^remote\..*\.(url|fetch)$", check=False
    )
    found: dict[str, list[str]] = {}
    for entry in out.split(b"\0"):
        key, _, value = os.fsdecode(entry).partition("\n")
        if not key:
            continue
        remote, _, kind = key.removeprefix("remote.").rpartition(".")
        refspecs = found.setdefault(remote, [])
        if kind == "fetch":
            refspecs.append(value)
    return found


class _Setup:
    """One run of `install`; each method looks after one thing and adds its steps."""

    def __init__(self, git: Git) -> None:
        self.git = git
        self.record = install_record.load(git) or InstallRecord()
        self.steps: list[Step] = []

    def _step(self, name: str, done: bool, detail: str) -> None:
        self.steps.append(Step(name, "done" if done else "already", detail))

    def _skip(self, name: str, why: str) -> None:
        self.steps.append(Step(name, "skipped", why))

    def directories(self) -> None:
        """Make our own directories in the git directory; only this user can enter them."""
        fresh = False
        for name in DIRECTORIES:
            place = self.git.home / name
            fresh = fresh or not place.is_dir()
            private_directory(place)
        self._step("directory", fresh, str(self.git.home))
        self.record.save(self.git)

    def program(self, python: str) -> None:
        """Write the program that the shims source."""
        path = hook_site.program_path(self.git)
        self._step("hook program", _write_text(path, hook_texts.hook_program(python)), str(path))

    def hooks(self) -> None:
        """Put the shims where git looks for them."""
        git, default = self.git, self.git.common_dir / "hooks"
        paths = hook_site.hooks_paths(git)
        if paths and not hook_site.is_same(
            hook_site.directory_of(git, paths[-1].expanded), default
        ):
            self._redirect(paths)
        elif default.is_symlink():
            self._redirect([*paths, HooksPath("", str(default), "default")])
        elif default.exists() and not default.is_dir():
            self._skip("hooks", f"{default} is not a directory")
        else:
            if not default.is_dir():
                default.mkdir(parents=True)
                self.record.made_hooks_directory = True
                self.record.save(git)
            for name in hook_texts.OURS:
                self._beside(default, name)

    def _beside(self, directory: Path, name: str) -> None:
        path, step = directory / name, f"hook {name}"
        shim = hook_texts.shim(None)
        try:
            text = hook_site.read_hook(path)
        except OSError as error:
            return self._skip(step, f"{path}: {error.strerror}")
        owner = "absent" if text is None else hook_texts.ownership(text, shim)
        if owner == "foreign" and text is not None:
            legacy = directory / f"{name}.legacy"
            if hook_site.is_pre_commit(text) and legacy in hook_site.leftovers(directory, name):
                self._step(step, _write_text(legacy, shim, 0o755), f"{legacy}, run by pre-commit")
                return None
            former = self._set_aside(path, text, name)
            detail = f"{path}, after the hook that stood there ({former.name})"
        else:
            if owner == "edited" and text is not None:
                self._keep(text, name)
            detail = str(path)
            self.record.hooks.setdefault(name, None)
        self.record.save(self.git)
        self._step(step, _write_text(path, shim, 0o755), detail)
        if owner == "foreign":
            for leftover in hook_site.leftovers(directory, name):
                leftover.unlink()
        return None

    def _set_aside(self, path: Path, text: bytes, name: str) -> Path:
        former = hook_site.chained(path.parent, name)
        with suppress(OSError):
            older = hook_site.read_hook(former)
            if older is not None and older != text:
                self._keep(older, name)
        mode = os.stat(path).st_mode & 0o7777
        self.record.hooks[name] = install_record.former_hook(text, mode)
        self.record.save(self.git)
        # Linked, not moved: at no time does git find no hook there.
        with suppress(FileNotFoundError):
            former.unlink()
        try:
            os.link(path, former, follow_symlinks=False)
        except (OSError, NotImplementedError):
            os.rename(path, former)
        return former

    def _keep(self, text: bytes, name: str) -> None:
        place = self.git.home / "former" / f"{name}-{install_record.digest(text)[:12]}"
        atomic_write(place, text, make_parent=True)
        self.steps.append(Step(f"hook {name}", "kept", f"an edited or older hook: {place}"))

    def _redirect(self, paths: list[HooksPath]) -> None:
        """Stand in a directory of our own that passes on to the configured one."""
        git, own = self.git, hook_site.own_directory(self.git)
        effective = paths[-1]
        if effective.scope == "worktree":
            return self._skip(
                "hooks",
                f"core.hooksPath is set for this work tree alone ({effective.raw}), which outranks "
                "the repository's configuration; commits in a run are found without hooks",
            )
        already = hook_site.is_same(hook_site.directory_of(git, effective.expanded), own)
        if already:
            former = self.record.former_directory or _former_of(own)
        else:
            former = effective.expanded
            local = [path.raw for path in paths if path.scope == "local"]
            self.record.hooks_path_before = local[-1] if local else None
            self.record.former_directory = former
        fresh = self._fill(own, former or os.devnull)
        if not already:
            self._point_at(own)
        self._step("hooks", fresh or not already, f"{own}, which runs the hooks of {former} first")
        return None

    def _fill(self, own: Path, former: str) -> bool:
        own.mkdir(mode=0o755, exist_ok=True)
        if self.git.text("config", "--get", "core.sharedRepository", check=False) not in (
            "", "0", "umask", "false",
        ):  # fmt: skip
            # Others in the group must reach the hooks that they had before.
            os.chmod(self.git.home, 0o711)  # noqa: S103
        there = hook_site.directory_of(self.git, former)
        rare = [name for name in hook_texts.PASSED_ON_IF_THERE if (there / name).exists()]
        shim = hook_texts.shim(former)
        names = {*hook_texts.OURS, *hook_texts.PASSED_ON, *rare, *os.listdir(own)}
        written = [_write_text(own / name, shim, 0o755) for name in sorted(names)]
        return any(written)

    def _point_at(self, own: Path) -> None:
        self.record.hooks_path_set = str(own)
        self._configure("--replace-all", "core.hooksPath", str(own))
        paths = hook_site.hooks_paths(self.git)
        if not paths or not hook_site.is_same(Path(paths[-1].expanded), own):
            raise GitFailed(
                "core.hooksPath is set again after the repository's own setting "
                f"({paths[-1].raw if paths else 'nowhere'})",
                hint="look for an include in .git/config that sets core.hooksPath",
            )

    def _configure(self, *arguments: str) -> None:
        config = self.git.common_dir / "config"
        self.record.save(self.git)
        before = config.read_bytes()
        self.git.run("config", "--local", *arguments)
        self.record.note_config(before, config.read_bytes())
        self.record.save(self.git)

    def fetch(self) -> None:
        """Let every remote's records come along with its branches."""
        for remote, refspecs in fetch_settings(self.git).items():
            step, wanted = f"fetch {remote}", notes_refspec(remote)
            if wanted in refspecs:
                self._step(step, False, wanted)
            elif not refspecs:
                self._skip(step, "it has no fetch refspec; adding one would change what it fetches")
            elif any(refspec.lstrip("+").startswith("refs/*:") for refspec in refspecs):
                self._skip(step, "it is mirrored, records included")
            elif not self.git.succeeds("check-ref-format", f"refs/notes/remotes/{remote}/x"):
                self._skip(step, "its name cannot be part of a ref")
            else:
                self.record.fetch.append((remote, wanted))
                self._configure("--add", f"remote.{remote}.fetch", wanted)
                self._step(step, True, wanted)

    def work_tree(self, files: Mapping[str, bytes]) -> None:
        """Write the files that are to be committed, where they are not there yet."""
        for name, content in files.items():
            path = self.git.top / name
            if path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir()):
                self._skip(name, f"{path.parent} is not a directory of this work tree")
            elif os.path.lexists(path):
                self._step(name, False, "left as it is")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.record.files[name] = install_record.digest(content)
                self.record.save(self.git)
                atomic_write(path, content, mode=0o666 & ~_umask())
                self._step(name, True, "written; commit it to share it")

    def commit(self, names: tuple[str, ...]) -> None:
        """Commit those of our files that git does not track yet; leaves the index else alone."""
        git = self.git
        fresh = [
            name
            for name in names
            if (git.top / name).is_file()
            and not git.succeeds("ls-files", "--error-unmatch", "--", name)
        ]
        if not fresh:
            return self._step("commit", False, "git tracks the files")
        git.run("add", "--", *fresh)
        try:
            # The user's own hooks run, as they do for any commit of theirs.
            git.run(
                "-c", f"core.hooksPath={hook_site.effective_directory(git)}",
                "commit", "--quiet", "--only", "-m", COMMIT_MESSAGE, "--", *fresh,
            )  # fmt: skip
        except GitFailed as error:
            git.run("rm", "--cached", "--quiet", "--", *fresh, check=False)
            raise GitFailed(
                f"the files are written but not committed: {error.message}",
                status=error.status,
                hint=f"commit them yourself: git add {' '.join(fresh)}",
            ) from error
        return self._step("commit", True, git.text("rev-parse", "--short", "HEAD"))


def _former_of(own: Path) -> str | None:
    for name in hook_texts.OURS:
        with suppress(OSError):
            text = hook_site.read_hook(own / name)
            if text is not None:
                return hook_texts.baked(text)
    return None


def _write_text(path: Path, text: bytes, mode: int = 0o644) -> bool:
    with suppress(OSError):
        if not path.is_symlink() and hook_site.read_hook(path) == text:
            if os.access(path, os.X_OK) or not mode & 0o100:
                return False
            os.chmod(path, mode)
            return True
    atomic_write(path, text, mode=mode)
    return True


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
