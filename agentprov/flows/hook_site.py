"""Where a repository's hooks stand, and what stands there now; reads, never writes.

Git looks in one directory: ``core.hooksPath`` where it is set, else ``hooks`` in the common
directory. The first may be tracked, shared or owned by a hook manager, so it is never written
into: our shims then stand in a directory of our own and pass on to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentprov.flows import hook_texts
from agentprov.flows.hook_texts import CHAINED, OURS
from agentprov.system.files import read_bounded
from agentprov.system.git import Git

MAX_HOOK_BYTES = 16 * 1024 * 1024

Condition = Literal["active", "outdated", "edited", "missing", "displaced", "not-executable"]


@dataclass(frozen=True)
class HooksPath:
    """A setting of ``core.hooksPath``: as written, with ``~`` resolved, and where it is set."""

    raw: str
    expanded: str
    scope: str


@dataclass(frozen=True)
class HookState:
    """One of our hooks as git would find it; `detail` says what stands there instead."""

    name: str
    path: Path
    condition: Condition
    detail: str = ""


def own_directory(git: Git) -> Path:
    """Give the directory for our shims where ``core.hooksPath`` is set."""
    return git.home / "hooks"


def program_path(git: Git) -> Path:
    """Give the path of the program that all shims of this repository source."""
    return git.home / "hook.sh"


def hooks_paths(git: Git) -> list[HooksPath]:
    """Give every setting of ``core.hooksPath``, the effective one last.

    Settings of our own git calls do not count. An empty list means the default directory.
    """
    raw = _settings(git)
    expanded = _settings(git, "--type=path")
    if len(expanded) != len(raw):  # a value that git cannot expand, such as an unknown ~user
        expanded = raw
    return [
        HooksPath(value, resolved, scope)
        for (scope, value), (_, resolved) in zip(raw, expanded, strict=True)
    ]


def _settings(git: Git, *options: str) -> list[tuple[str, str]]:
    out = git.run(
        "config", "-z", "--show-scope", *options, "--get-all", "core.hooksPath", check=False
    )
    fields = [os.fsdecode(field) for field in out.split(b"\0")]
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return [(scope, value) for scope, value in pairs if scope != "command"]


def directory_of(git: Git, setting: str) -> Path:
    """Give the directory that a value of ``core.hooksPath`` means, seen from this work tree."""
    return git.top / setting


def effective_directory(git: Git) -> Path:
    """Give the directory in which git looks for hooks now."""
    paths = hooks_paths(git)
    return directory_of(git, paths[-1].expanded) if paths else git.common_dir / "hooks"


def is_same(one: Path, other: Path) -> bool:
    """Say whether two paths name one place, whatever links lead there."""
    return os.path.realpath(one) == os.path.realpath(other)


def read_hook(path: Path) -> bytes | None:
    """Read a hook's bytes; None when there is none. Raises OSError for what is no file."""
    try:
        return read_bounded(path, MAX_HOOK_BYTES)
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class Standing:
    """Our own hooks that git would run, as texts by name, and what says where they are."""

    setting: str | None
    configured: tuple[tuple[int, int] | None, ...]
    texts: Mapping[str, bytes]


def standing(git: Git, setting: str | None) -> Standing:
    """Say which of our own hooks git would run; asks no git.

    `setting` is ``core.hooksPath`` as written, or None. One that a hook manager calls is not seen.
    """
    directory = git.common_dir / "hooks"
    if setting is not None:
        directory = directory_of(git, os.path.expanduser(setting))
    places = {name: directory / name for name in OURS}
    # What the others source; without it they do nothing.
    program = program_path(git)
    found = {}
    for name, place in {**places, program.name: program}.items():
        try:
            text = read_hook(place)
        except OSError:
            continue
        runs = text is not None and (place == program or os.access(place, os.X_OK))
        if text is not None and runs and hook_texts.ownership(text) != "foreign":
            found[name] = text
    return Standing(setting, _configured(git), found)


def changed(git: Git, before: Standing) -> list[str]:
    """Name the hooks of ours that stood then and do not stand so now.

    Asks git only where a file of its configuration was touched; what such a file includes, and
    the system's own, are not looked at.
    """
    setting = before.setting
    if _configured(git) != before.configured:
        paths = hooks_paths(git)
        setting = paths[-1].raw if paths else None
    now = standing(git, setting).texts
    return sorted(name for name, text in before.texts.items() if now.get(name) != text)


def _configured(git: Git) -> tuple[tuple[int, int] | None, ...]:
    home = os.path.expanduser("~")
    places = (
        git.common_dir / "config",
        git.git_dir / "config.worktree",
        os.environ.get("GIT_CONFIG_GLOBAL", os.path.join(home, ".gitconfig")),
        os.path.join(
            os.environ.get("XDG_CONFIG_HOME", os.path.join(home, ".config")), "git", "config"
        ),
    )
    found: list[tuple[int, int] | None] = []
    for place in places:
        try:
            status = os.stat(place)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


def states(git: Git) -> list[HookState]:
    """Say for each of our hooks whether git would run it, also through a hook manager."""
    directory = effective_directory(git)
    return [_state(git, directory / name, name) for name in OURS]


def _state(git: Git, path: Path, name: str) -> HookState:
    try:
        text = read_hook(path)
    except OSError as error:
        return HookState(name, path, "displaced", f"cannot be read: {error.strerror}")
    if text is None:
        return HookState(name, path, "missing")
    current = hook_texts.shim(hook_texts.baked(text) or None)
    owner = hook_texts.ownership(text, current)
    if owner == "foreign":
        return _through_manager(git, path, name, text)
    if not os.access(path, os.X_OK):
        return HookState(name, path, "not-executable")
    if owner == "current":
        return HookState(name, path, "active")
    return HookState(name, path, owner)


def _through_manager(git: Git, path: Path, name: str, text: bytes) -> HookState:
    legacy = path.with_name(name + ".legacy")
    if is_pre_commit(text) and _is_ours(legacy) and os.access(legacy, os.X_OK):
        return HookState(name, path, "active", f"the pre-commit framework runs {legacy.name}")
    caller = calls_us(git, path, name, text)
    if caller is not None:
        return HookState(name, path, "active", f"{caller} calls it")
    return HookState(
        name, path, "displaced", f"{_author(path, text)} stands there and does not call it"
    )


def _author(path: Path, text: bytes) -> str:
    if is_pre_commit(text):
        return "a hook of the pre-commit framework"
    if b"lefthook" in text:
        return "a hook of lefthook"
    if path.parent.name == "_" and path.parent.parent.name == ".husky":
        return "a hook of husky"
    return "another hook"


def is_pre_commit(text: bytes) -> bool:
    """Say whether a hook was written by the pre-commit framework."""
    return b"generated by pre-commit" in text


def calls_us(git: Git, path: Path, name: str, text: bytes) -> str | None:
    """Name the file from which a manager's hook calls ours, if its configuration says so.

    Reads configuration as text; does not check that the manager would get that far.
    """
    candidates = [path]
    if path.parent.name == "_":
        candidates.append(path.parent.parent / name)
    if b"lefthook" in text:
        stems = ("lefthook", ".lefthook", "lefthook-local", ".lefthook-local")
        endings = ("yml", "yaml", "toml", "json")
        candidates += [git.top / f"{stem}.{ending}" for stem in stems for ending in endings]
    if is_pre_commit(text):
        candidates.append(git.top / ".pre-commit-config.yaml")
    for candidate in candidates:
        try:
            content = read_bounded(candidate, MAX_HOOK_BYTES)
        except OSError:
            continue
        wanted = (b"agentprov/hook.sh", b"agentprov-" + name.encode())
        if wanted[0] in content and name.encode() in candidate.name.encode() + content:
            return candidate.name
        if wanted[1] in content:
            return candidate.name
    return None


def _is_ours(path: Path) -> bool:
    try:
        text = read_hook(path)
    except OSError:
        return False
    return text is not None and hook_texts.ownership(text) != "foreign"


def leftovers(directory: Path, name: str) -> list[Path]:
    """Give the places where managers keep our shim after they put their own hook there."""
    found = [directory / (name + ending) for ending in (".legacy", ".old")]
    return [path for path in found if _is_ours(path)]


def chained(directory: Path, name: str) -> Path:
    """Give the place of the former hook that our shim runs first."""
    return directory / (name + CHAINED)
