"""`hooks uninstall`: takes back what `install` did, and nothing else.

What nobody has changed since is put back byte for byte. Where somebody has, only what is ours
is removed, and the report says so. Records of sessions stay: they are not set-up.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import stat
from contextlib import nullcontext, suppress
from pathlib import Path

from agentprov.errors import UserError
from agentprov.flows import hook_site, hook_texts, install_record
from agentprov.flows.hook_site import HooksPath
from agentprov.flows.install import (
    DIRECTORIES,
    InstallReport,
    Step,
    StepState,
    fetch_settings,
    notes_refspec,
)
from agentprov.flows.install_record import InstallRecord
from agentprov.store import unsettled
from agentprov.system.files import atomic_write, locked
from agentprov.system.git import Git

_LOCK_SECONDS = 20.0
_LOCKS = {"lock", "notes.lock"}


def uninstall(git: Git) -> InstallReport:
    """Take the set-up of a repository back.

    Works without an install record too, from what can be recognised as ours. Raises UserError
    inside a recorded run and when the git directory cannot be written, Busy while another process
    sets up. Never removes a session's records, and no file that git tracks.
    """
    if os.environ.get("AGENTPROV_SESSION"):
        raise UserError(
            "whether commits are recorded is for a person to decide; this is inside a recorded run",
            hint="run `agentprov hooks uninstall` when the agent is done",
        )
    there = git.home.is_dir()
    try:
        with locked(git.home / "install.lock", _LOCK_SECONDS) if there else nullcontext():
            removal = _Removal(git)
            removal.hooks()
            removal.configuration()
            removal.work_tree()
            removal.directories()
        with suppress(OSError):
            git.home.rmdir()
        return InstallReport(tuple(removal.steps))
    except OSError as error:
        raise UserError(
            f"cannot take the set-up of {git.common_dir} back: {error.strerror} ({error.filename})",
            hint="make it writable and try again; what was done so far is safe",
        ) from error


class _Removal:
    """One run of `uninstall`; each method looks after one thing and adds its steps."""

    def __init__(self, git: Git) -> None:
        self.git = git
        found = install_record.load(git)
        self.record = found or InstallRecord()
        self.steps: list[Step] = []
        if found is None and git.home.is_dir():
            self._say("record", "skipped", "there is no install record; removing what is ours")

    def _say(self, name: str, state: StepState, detail: str) -> None:
        self.steps.append(Step(name, state, detail))

    def hooks(self) -> None:
        """Put the former hooks back into git's own directory."""
        directory = self.git.common_dir / "hooks"
        for name in hook_texts.OURS:
            self._hook(directory, name)
        if self.record.made_hooks_directory:
            with suppress(OSError):
                directory.rmdir()

    def _hook(self, directory: Path, name: str) -> None:
        path, former = directory / name, hook_site.chained(directory, name)
        places = hook_site.leftovers(directory, name)
        with suppress(OSError):
            text = hook_site.read_hook(path)
            if text is not None and hook_texts.ownership(text) != "foreign":
                places.insert(0, path)
        if not places:
            if path.is_file() and former.is_file() and path.samefile(former):
                former.unlink()  # `init` died between setting aside and replacing
            elif os.path.lexists(former):
                self._say(f"hook {name}", "kept", f"{former}: another hook now stands in its place")
            return
        place, *others = places
        self._put_back(place, former, name)
        for other in others:
            other.unlink()

    def _put_back(self, place: Path, former: Path, name: str) -> None:
        known = self.record.hooks.get(name)
        if os.path.lexists(former):
            edited = known is not None and not _has_digest(former, known.sha256)
            os.replace(former, place)
            self._say(
                f"hook {name}", "done",
                f"the former hook is back{', with the changes made to it since' if edited else ''}",
            )  # fmt: skip
        elif known is not None and known.content is not None:
            atomic_write(place, base64.b64decode(known.content), mode=known.mode)
            self._say(f"hook {name}", "done", "the former hook is back, from the install record")
        else:
            place.unlink()
            self._say(f"hook {name}", "done", "removed")

    def configuration(self) -> None:
        """Put the repository's configuration back: exact bytes, or only our lines out of it."""
        config = self.git.common_dir / "config"
        now = config.read_bytes()
        original = self.record.original_config(now)
        if original is not None:
            if original != now:
                _replace_config(config, original)
            self._say("configuration", "done", "as it was, byte for byte")
            return
        before = now
        self._hooks_path()
        for remote, refspecs in fetch_settings(self.git).items():
            ours = notes_refspec(remote)
            if ours in refspecs:
                self._unset(f"remote.{remote}.fetch", ours)
        if config.read_bytes() != before:
            self._say("configuration", "done", "changed by others since; only ours is taken out")

    def _hooks_path(self) -> None:
        own = str(hook_site.own_directory(self.git))
        local = [p for p in hook_site.hooks_paths(self.git) if p.scope == "local"]
        if not any(_names(path, own) for path in local):
            return
        self._unset("core.hooksPath", own)
        before = self.record.hooks_path_before
        if before is not None and len(local) == 1:
            self.git.run("config", "--local", "core.hooksPath", before)

    def _unset(self, key: str, value: str) -> None:
        pattern = "^" + re.sub(r"([^A-Za-z0-9/_-])", r"\\\1", value) + "$"
        self.git.run("config", "--local", "--unset-all", key, pattern, check=False)

    def work_tree(self) -> None:
        """Remove the files that `init` wrote, where nobody has changed or committed them."""
        for name, sha256 in self.record.files.items():
            path = self.git.top / name
            if not path.is_file() or path.is_symlink():
                continue
            if self.git.succeeds("ls-files", "--error-unmatch", "--", name):
                self._say(name, "kept", "git tracks it; `git rm` it if you want it gone")
            elif not _has_digest(path, sha256):
                self._say(name, "kept", "it was changed since")
            else:
                path.unlink()
                with suppress(OSError):
                    path.parent.rmdir()
                self._say(name, "done", "removed")

    def directories(self) -> None:
        """Remove our programs, and our directories as far as they are empty."""
        home = self.git.home
        own = hook_site.own_directory(self.git)
        if own.is_dir():
            for entry in own.iterdir():
                entry.unlink()
            own.rmdir()
        for name in ("hook.sh", "worker", "install.json", "install.lock", "swept", "repairs.jsonl"):
            (home / name).unlink(missing_ok=True)
        shutil.rmtree(home / unsettled.FOLDER, ignore_errors=True)
        for name in (*DIRECTORIES, "former"):
            with suppress(OSError):
                (home / name).rmdir()
        left = sorted(os.listdir(home)) if home.is_dir() else []
        if set(left) <= _LOCKS:
            for name in left:
                (home / name).unlink()
        else:
            records = ", ".join(name for name in left if name not in _LOCKS)
            self._say("records", "kept", f"{home}: {records}")


def _names(path: HooksPath, directory: str) -> bool:
    return path.expanded == directory or path.raw == directory


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        content = hook_site.read_hook(path)
    except OSError:
        return False
    return content is not None and install_record.digest(content) == sha256


def _replace_config(config: Path, content: bytes) -> None:
    # As git itself does it, so that a git that writes at the same time is not overrun.
    target = Path(os.path.realpath(config))
    lock = target.with_name(target.name + ".lock")
    mode = stat.S_IMODE(target.stat().st_mode)
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UserError(
            f"{lock} exists: another git is changing the configuration",
            hint="try again; if no git is running, remove that file",
        ) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    os.chmod(lock, mode)
    os.replace(lock, target)
