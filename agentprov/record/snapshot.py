"""The work tree as git would commit it, taken without touching the user's index or objects.

A private copy of the index is brought up to date against the work tree and written as a tree
into a private object directory (GIT section 1.8). What such a tree cannot hold is returned as
gaps: files too large to hash in passing, special files, nested repositories, unreadable files.
Ignored files that are not tracked are not looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from agentprov.errors import GitFailed
from agentprov.formats.facts import Gap
from agentprov.formats.names import path_label
from agentprov.system.git import Git

MAX_HASHED_BYTES = 128 * 1024 * 1024
_STATUS = (
    "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignore-submodules=none",
    "--no-renames", "--no-ahead-behind",
)  # fmt: skip
_WRITE_TREE = ("write-tree", "--missing-ok")
# An entry of `ls-files -v -z` whose tag hides changes: lower case, or skip-worktree.
_HIDING = re.compile(rb"(?:\A|(?<=\0))([a-zS]) ([^\0]*)")


@dataclass(frozen=True)
class Snapshot:
    """A tree id in the private object directory, and what the tree does not hold."""

    tree: str
    gaps: tuple[Gap, ...] = ()


def private_git(git: Git) -> Git:
    """Give the repository with our own object directory; makes it when it is not there."""
    objects = git.home / "objects"
    objects.mkdir(mode=0o700, parents=True, exist_ok=True)
    return git.private(objects=objects)


def take(git: Git, at: str, name: str) -> Snapshot:
    """Take a snapshot of the work tree; `at` dates its gaps, `name` keeps indexes apart.

    Raises GitFailed when git cannot do it at all, OSError when our own directory is unusable.
    """
    return Taking(git, at, name).finish()


class Taking:
    """A snapshot for which git is at work already; `finish` must be called once.

    What git is asked does not depend on each other while nothing has changed, so it is asked
    at once: hiding flags, changes, and the tree of the index as it is.
    """

    def __init__(self, git: Git, at: str, name: str) -> None:
        index = git.home / f"index-{name}-{sha256(os.fsencode(git.git_dir)).hexdigest()[:12]}"
        self._git = private_git(git).private(index=index)
        self._index = index
        self._at = at
        _seed(git, index)
        self._flags = self._git.ask("ls-files", "-v", "-z")
        self._status = self._git.ask(*_STATUS)
        self._tree = self._git.ask(*_WRITE_TREE)

    def finish(self) -> Snapshot:
        """Wait for git, hash what has changed, and give the snapshot; raises as `take` does."""
        git = self._git
        try:
            self._wait()
            lifted = _lift_hiding_flags(git, self._flags.answer())
            status = git.run(*_STATUS) if lifted else self._status.answer()
            _keep(git, status)
            gaps: list[Gap] = []
            paths = list(_to_hash(git, status, self._at, gaps))
            if paths:
                _update(git, paths, self._at, gaps)
            tree = git.run(*_WRITE_TREE) if paths else self._tree.answer()
            return Snapshot(tree.decode().strip(), tuple(gaps))
        finally:
            self.close()

    def close(self) -> None:
        """Remove the private index; called by `finish`, and instead of it."""
        self._wait()
        for left in (self._index, self._index.with_name(self._index.name + ".lock")):
            left.unlink(missing_ok=True)

    def _wait(self) -> None:
        for asked in (self._flags, self._tree, self._status):
            asked.wait()


def _keep(git: Git, status: bytes) -> None:
    """Copy what is staged and not committed into our own objects.

    Nothing but the user's index holds it, and whoever takes it back and tidies up removes it from
    git's objects while the snapshot still names it.
    """
    staged: dict[bytes, None] = {}
    for entry in status.split(b"\0"):
        if entry.startswith(b"1 ") and entry[2:3] not in b".D":
            _, _, _, _, mode, _, _, oid, _ = entry.split(b" ", 8)
            if mode != b"160000":
                staged[oid] = None
    if not staged or git.objects is None:
        return
    packs = git.objects / "pack"
    packs.mkdir(mode=0o700, exist_ok=True)
    # The same objects make the same name.
    name = os.fspath(packs / "pack")
    git.run("pack-objects", "-q", "--window=0", name, input=b"\n".join([*staged, b""]), check=False)


def _seed(git: Git, index: Path) -> None:
    source = git.git_dir / "index"
    try:
        shutil.copy2(source, index)
    except FileNotFoundError:
        index.unlink(missing_ok=True)


def _lift_hiding_flags(git: Git, listing: bytes) -> bool:
    """Clear assume-unchanged and skip-worktree where a file is there (THREATS 46)."""
    hidden: list[bytes] = []
    skipped: list[bytes] = []
    for tag, path in _HIDING.findall(listing):
        if tag.islower():
            hidden.append(path)
        if tag in (b"S", b"s") and os.path.lexists(os.path.join(os.fsencode(git.top), path)):
            skipped.append(path)
    for option, found in (("--no-assume-unchanged", hidden), ("--no-skip-worktree", skipped)):
        if found:
            git.run("update-index", option, "-z", "--stdin", input=b"\0".join(found) + b"\0")
    return bool(hidden or skipped)


def _to_hash(git: Git, status: bytes, at: str, gaps: list[Gap]) -> Iterator[bytes]:
    top = os.fsencode(git.top)
    for kind, path in _entries(status):
        if path.endswith(b"/"):
            gaps.append(Gap("nested-repository", at, at, path_label(path)))
            continue
        if kind == b"submodule":
            gaps.append(Gap("submodule-changed-inside", at, at, path_label(path)))
            continue
        try:
            found = os.lstat(os.path.join(top, path))
        except FileNotFoundError:
            yield path
            continue
        except OSError as error:
            gaps.append(Gap("unreadable", at, at, f"{path_label(path)}: {error.strerror}"))
            continue
        if stat.S_ISREG(found.st_mode) and found.st_size > MAX_HASHED_BYTES:
            gaps.append(Gap("not-hashed-too-large", at, at, path_label(path)))
        elif stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            yield path
        elif stat.S_ISDIR(found.st_mode):
            gaps.append(Gap("nested-repository", at, at, path_label(path)))
        else:
            gaps.append(Gap("special-file", at, at, path_label(path)))


def _entries(status: bytes) -> Iterator[tuple[bytes, bytes]]:
    for entry in status.split(b"\0"):
        if entry.startswith(b"? "):
            yield b"untracked", entry[2:]
        elif entry.startswith(b"1 "):
            _, xy, submodule, *_rest, path = entry.split(b" ", 8)
            if submodule[:1] == b"S" and submodule[2:4] != b"..":
                yield b"submodule", path
            elif xy[1:2] != b".":
                yield b"changed", path
        elif entry.startswith(b"u "):
            yield b"unmerged", entry.split(b" ", 10)[10]


def _update(git: Git, paths: Iterable[bytes], at: str, gaps: list[Gap]) -> None:
    """Hash paths into the index; where git refuses some, halve until they stand alone."""
    command = (
        "-c", "core.looseCompression=1", "-c", "core.safecrlf=false",
        "update-index", "--add", "--remove", "-z", "--stdin",
    )  # fmt: skip
    wanted = list(paths)
    try:
        git.run(*command, input=b"\0".join(wanted) + b"\0")
    except GitFailed as error:
        if len(wanted) == 1:
            gaps.append(Gap("unreadable", at, at, f"{path_label(wanted[0])}: {error.message}"))
            return
        middle = len(wanted) // 2
        _update(git, wanted[:middle], at, gaps)
        _update(git, wanted[middle:], at, gaps)
