"""`doctor`: looks at everything the set-up rests on, and says what to do where it is broken.

Reads only. Each check stands alone: one that cannot be made says so and the others go on.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.errors import AgentprovError
from agentprov.flows import hook_site, hook_texts, install_record, left_over
from agentprov.flows.install import DIRECTORIES, fetch_settings, notes_refspec
from agentprov.formats.names import NOTES_REF
from agentprov.record.session import SessionDirectory
from agentprov.system import repairs
from agentprov.system.git import Git
from agentprov.verify.catalogue import CATALOGUE
from agentprov.verify.finding import Problem

if TYPE_CHECKING:
    from agentprov.flows.keys import KeyInfo

OLDEST_GIT = (2, 31)
# git holds such a lock for milliseconds.
_LOCK_SECONDS = 10.0
_AGAIN = "run `agentprov init` again"
_LEFTHOOK = ("lefthook.yml", ".lefthook.yml", "lefthook.yaml", "lefthook.toml", "lefthook.json")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `remedy` is empty where nothing is to be done."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """All checks, in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Say whether every check holds."""
        return all(check.ok for check in self.checks)


def examine(
    git: Git,
    *,
    keys: Sequence[Path] = (),
    chosen: KeyInfo | None = None,
    environment: Mapping[str, str] | None = None,
    log: Callable[[], Problem | None] | None = None,
) -> DoctorReport:
    """Examine one repository and what it needs on this machine; changes nothing.

    `keys` are the private key files that should be there, `chosen` describes the human key where
    the user chose one, `log` says what is wrong with the log of what was signed here. Checks of
    docs/spec/json-output.md.
    Does not ask a remote, start an agent, or check that records verify.
    """
    environment = os.environ if environment is None else environment
    makers: tuple[Callable[[], Iterator[Check]], ...] = (
        lambda: _git(git),
        lambda: _set_up(git),
        lambda: _hooks(git),
        lambda: _hooks_path(git),
        lambda: _managers(git),
        lambda: _program(git),
        lambda: _spool(git),
        lambda: _sessions(git),
        lambda: _crashes(git),
        lambda: _fetch(git),
        lambda: _notes(git),
        lambda: _keys(keys),
        lambda: _chosen(chosen),
        lambda: _signing_log(log),
        lambda: _disabled(environment),
    )
    checks: list[Check] = []
    for make in makers:
        try:
            checks += make()
        except (AgentprovError, OSError) as error:
            checks.append(Check("examination", False, str(error), "see the message"))
    return DoctorReport(tuple(checks))


def _git(git: Git) -> Iterator[Check]:
    words = git.text("version")
    found = re.search(r"(\d+)\.(\d+)", words)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    oldest = ".".join(map(str, OLDEST_GIT))
    good = version >= OLDEST_GIT
    yield Check("git", good, words, "" if good else f"install git {oldest} or newer")
    kind = "work tree"
    if git.git_dir != git.common_dir:
        kind = "linked work tree"
    elif git.text("rev-parse", "--show-superproject-working-tree", check=False):
        kind = "submodule"
    yield Check("repository", True, f"{kind} at {git.top}, {git.object_format}")


def _set_up(git: Git) -> Iterator[Check]:
    recorded = install_record.load(git) is not None
    missing = [name for name in DIRECTORIES if not (git.home / name).is_dir()]
    if not recorded:
        there = install_record.record_path(git).exists()
        detail = "its record cannot be read" if there else "not set up here"
        yield Check("init", False, detail, "run `agentprov init`")
    elif missing:
        yield Check("init", False, f"missing in {git.home}: {', '.join(missing)}", _AGAIN)
    else:
        yield Check("init", True, f"set up in {git.home}")


def _hooks(git: Git) -> Iterator[Check]:
    for state in hook_site.states(git):
        detail = f"{state.condition}: {state.path}" + (f" ({state.detail})" if state.detail else "")
        remedy = ""
        if state.condition == "displaced":
            remedy = f"{_AGAIN}, or let the hook manager call it (docs/howto/hooks.md)"
        elif state.condition != "active":
            remedy = _AGAIN
        yield Check(f"hook {state.name}", state.condition == "active", detail, remedy)


def _hooks_path(git: Git) -> Iterator[Check]:
    paths = hook_site.hooks_paths(git)
    own = hook_site.own_directory(git)
    record = install_record.load(git)
    if not paths:
        good = record is None or record.hooks_path_set is None
        detail = "not set" if good else "not set any more; the hooks that init redirected are off"
        yield Check("core.hooksPath", good, detail, "" if good else _AGAIN)
        return
    setting = paths[-1]
    detail = f"{setting.raw} ({setting.scope})"
    directory = hook_site.directory_of(git, setting.expanded)
    if not hook_site.is_same(directory, own):
        if hook_site.is_same(directory, git.common_dir / "hooks"):
            yield Check("core.hooksPath", True, f"{detail}, which is git's own directory")
        else:
            remedy = f"{_AGAIN}; it passes on to the hooks there"
            if setting.scope == "worktree":
                remedy = "unset it in this work tree's configuration, then " + _AGAIN
            yield Check("core.hooksPath", False, f"{detail} hides our hooks", remedy)
        return
    yield from _passed_on(git, own, paths, record)


def _passed_on(
    git: Git,
    own: Path,
    paths: Sequence[hook_site.HooksPath],
    record: install_record.InstallRecord | None,
) -> Iterator[Check]:
    former = record.former_directory if record else None
    outside = [path for path in paths if path.scope in ("global", "system")]
    if record and record.hooks_path_before is None and outside and former != outside[-1].expanded:
        yield Check(
            "core.hooksPath", False,
            f"hooks are passed on to {former}, but {outside[-1].scope} configuration now says "
            f"{outside[-1].raw}",
            f"`git config --local --unset core.hooksPath`, then {_AGAIN}",
        )  # fmt: skip
        return
    there = hook_site.directory_of(git, former or os.devnull)
    unheard = [
        name
        for name in hook_texts.PASSED_ON_IF_THERE
        if (there / name).exists() and not (own / name).exists()
    ]
    if unheard:
        yield Check("core.hooksPath", False, f"not passed on: {', '.join(unheard)}", _AGAIN)
    else:
        yield Check("core.hooksPath", True, f"ours, which runs the hooks of {former} first")


def _managers(git: Git) -> Iterator[Check]:
    seen: list[str] = []
    if (git.top / ".husky").is_dir():
        seen.append("husky")
    if any((git.top / name).exists() for name in _LEFTHOOK):
        seen.append("lefthook")
    if (git.top / ".pre-commit-config.yaml").exists():
        seen.append("pre-commit")
    dead = [s.name for s in hook_site.states(git) if s.condition == "displaced"]
    if not seen:
        yield Check("hook managers", True, "none seen")
    elif dead:
        yield Check(
            "hook managers", False, f"{', '.join(seen)}; it has taken over {', '.join(dead)}",
            f"{_AGAIN} after each installation of the manager, or add the lines of "
            "docs/howto/hooks.md to its configuration",
        )  # fmt: skip
    else:
        yield Check("hook managers", True, f"{', '.join(seen)}; our hooks run beside it")


def _program(git: Git) -> Iterator[Check]:
    path = hook_site.program_path(git)
    text = hook_site.read_hook(path)
    if text is None:
        yield Check("hook program", False, f"{path} is missing", _AGAIN)
        return
    python = hook_texts.baked(text) or ""
    owner = hook_texts.ownership(text, hook_texts.hook_program(python))
    current = owner == "current"
    yield Check("hook program", current, f"{owner}: {path}", "" if current else _AGAIN)
    good = os.access(python, os.X_OK)
    detail = python if good else f"{python or 'none'} cannot be executed; commits are not bound"
    yield Check("interpreter", good, detail, "" if good else _AGAIN)


def _spool(git: Git) -> Iterator[Check]:
    place = git.home / "spool"
    if not place.is_dir():
        return
    waiting = sum(1 for name in os.listdir(place) if name.endswith(".drop"))
    if not os.access(place, os.W_OK | os.X_OK):
        yield Check("spool", False, f"{place} is not writable", "give yourself write permission")
    else:
        yield Check("spool", True, f"{waiting} events wait" if waiting else "writable, empty")


def _sessions(git: Git) -> Iterator[Check]:
    live: list[str] = []
    dead: list[str] = []
    for name in _names(git.home / "live"):
        (live if SessionDirectory(git.home, name).is_live() else dead).append(name)
    detail = f"{len(live)} recorded now"
    if dead:
        detail += f"; the recorder of {', '.join(dead)} has died"
    yield Check(
        "sessions", not dead, detail, "run `agentprov drain`: it closes them" if dead else ""
    )
    pending = _names(git.home / "pending")
    yield Check(
        "uncommitted", True,
        f"output of {len(pending)} sessions waits for a commit" if pending else "nothing waits",
    )  # fmt: skip


def _crashes(git: Git) -> Iterator[Check]:
    done = repairs.recent(git.home)
    detail = "; ".join(f"{one.at} {one.what}" for one in done)
    yield Check("repairs", True, detail or "none were needed")
    count = left_over.unfinished(git.home)
    if count:
        yield Check("unfinished files", True, f"{count}, in use or removed when they are old")
    lock = git.common_dir / f"{NOTES_REF}.lock"
    if lock.exists() and time.time() - lock.stat().st_mtime > _LOCK_SECONDS:
        remedy = "run `agentprov sync`; what a dead git left goes when it is ten minutes old"
        yield Check("lock of the records", False, f"{lock} is there", remedy)


def _names(place: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError:
        return []


def _fetch(git: Git) -> Iterator[Check]:
    remotes = fetch_settings(git)
    lacking = [
        remote
        for remote, refspecs in remotes.items()
        if refspecs
        and notes_refspec(remote) not in refspecs
        and not any(refspec.lstrip("+").startswith("refs/*:") for refspec in refspecs)
    ]
    if lacking:
        yield Check("fetch", False, f"records are not fetched from {', '.join(lacking)}", _AGAIN)
    else:
        yield Check("fetch", True, "records are fetched" if remotes else "no remote")


def _notes(git: Git) -> Iterator[Check]:
    tip = git.text("rev-parse", "--verify", "--quiet", NOTES_REF, check=False)
    if not tip:
        yield Check("records", True, "none yet")
    elif git.succeeds("ls-tree", "-r", "--name-only", tip):
        yield Check("records", True, f"{NOTES_REF} is readable")
    else:
        yield Check(
            "records", False, f"{NOTES_REF} cannot be read",
            "look with `git fsck`; other clones may have the objects",
        )  # fmt: skip


def _keys(keys: Sequence[Path]) -> Iterator[Check]:
    for path in keys:
        name = f"key {path.name}"
        try:
            status = path.stat()
        except FileNotFoundError:
            yield Check(name, True, f"{path}: not made yet; it is on first need")
            continue
        except OSError as error:
            yield Check(name, False, f"{path}: {error.strerror}", "make it readable for yourself")
            continue
        open_to = stat.S_IMODE(status.st_mode) & 0o077
        if not stat.S_ISREG(status.st_mode):
            yield Check(name, False, f"{path} is no regular file", "move it away")
        elif open_to and os.name == "posix":
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            yield Check(name, False, f"{path} has mode {mode}", f"chmod 600 {path}")
        elif not os.access(path, os.R_OK):
            yield Check(name, False, f"{path} is not readable", "make it readable for yourself")
        else:
            yield Check(name, True, str(path))


def _chosen(key: KeyInfo | None) -> Iterator[Check]:
    if key is None:
        return
    detail = f"{key.uri}, custody {key.custody}"
    if key.problem:
        detail += f"; cannot sign: {key.problem}"
    yield Check("human key", key.problem is None, detail, key.remedy or "")


def _signing_log(look: Callable[[], Problem | None] | None) -> Iterator[Check]:
    if look is None:
        return
    problem = look()
    if problem is None:
        yield Check("signing log", True, "is what was last seen of it")
    else:
        kind = CATALOGUE[problem.code]
        broken = kind.severity == "error"
        detail = f"{problem.code}: {problem.message}"
        yield Check("signing log", not broken, detail, kind.remedy if broken else "")


def _disabled(environment: Mapping[str, str]) -> Iterator[Check]:
    off = environment.get("AGENTPROV_DISABLE", "") not in ("", "0")
    yield Check(
        "AGENTPROV_DISABLE", not off, "set: hooks stand aside" if off else "not set",
        "unset AGENTPROV_DISABLE" if off else "",
    )  # fmt: skip
