"""What was last seen of each remote's records, kept where a plain ``git fetch`` cannot change it.

The tracking ref follows the remote, also backwards, because git moves it. So the newest tip that
a remote ever showed stands under a ref of its own, which only goes forward and keeps the objects,
and what else is known of the remote in one file. The file is what a verifier reads; it costs no
git process. docs/spec/refs.md is the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from agentprov.formats.value import value
from agentprov.system import files
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile

VERSION = 1
MAX_BYTES = 4 * 1024 * 1024
LOCK_SECONDS = 10.0
SEEN_REFS = "refs/agentprov/seen/"
_MAX_REMOTES = 1_000
_PLAIN_NAME = re.compile(r"(?!.*\.\.)(?!.*\.lock(?:/|$))[A-Za-z0-9_][A-Za-z0-9._/-]{0,99}(?<![./])")


@dataclass(frozen=True)
class Remote:
    """What is known of one remote since it was last asked; times are RFC 3339, in UTC.

    `seen` is the newest tip from which nothing was taken away again, `tip` what the remote had
    when it was `asked`, `tracking` where our tracking ref was left. `moved` is when `tip` was
    first seen. `code` and `message` say what was wrong with it, as a finding would.
    """

    asked: str
    seen: str | None = None
    tip: str | None = None
    tracking: str | None = None
    moved: str | None = None
    code: str | None = None
    message: str | None = None


@value
class Fresh:
    """How a remote's records stand now, without asking it; `code` is a finding's, or None."""

    remote: str
    asked: str
    code: str | None
    message: str | None


def label(remote: str) -> str:
    """Give the name under which a remote is kept here: its own, or one made of its URL."""
    if _PLAIN_NAME.fullmatch(remote):
        return remote
    # A URL may hold a password, and need not be a legal part of a ref.
    return "url-" + sha256(remote.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def tracking_ref(remote: str) -> str:
    """Give the ref that follows a remote's notes, also backwards; `remote` is a name or a URL."""
    return f"refs/notes/remotes/{label(remote)}/agentprov"


def seen_ref(remote: str) -> str:
    """Give the ref that holds the newest tip a remote ever showed."""
    return f"{SEEN_REFS}{label(remote)}/agentprov"


def path(git: Git) -> Path:
    """Give the file in which all remotes stand."""
    return git.home / "remotes.json"


def load(git: Git) -> dict[str, Remote]:
    """Give what is known of each remote, by label; nothing where the file cannot be understood.

    The refs are what must not be lost; without the file, the next look starts from them.
    """
    try:
        body: Any = json.loads(files.read_bounded(path(git), MAX_BYTES, follow=False))
        if body["version"] != VERSION:
            return {}
        return {str(name): _remote(entry) for name, entry in body["remotes"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _remote(entry: Mapping[str, Any]) -> Remote:
    made = Remote(**entry)
    if not all(item is None or isinstance(item, str) for item in asdict(made).values()):
        raise ValueError("a remote's entry holds something other than text")
    return made


def note(git: Git, remote: str, now: str, **changes: str | None) -> Remote:
    """Keep what is known of a remote now; members that are not named stay as they were."""
    files.private_directory(git.home)
    with files.locked(git.home / "remotes.lock", LOCK_SECONDS):
        known = load(git)
        name = label(remote)
        before = known.get(name) or Remote(asked=now)
        after = replace(before, **changes)  # type: ignore[arg-type]
        if before.tip != after.tip or after.moved is None:
            after = replace(after, moved=now)
        known[name] = after
        while len(known) > _MAX_REMOTES:
            del known[min(known, key=lambda one: known[one].asked)]
        remotes = {name: asdict(known[name]) for name in sorted(known)}
        body = {"version": VERSION, "remotes": remotes}
        files.atomic_write(path(git), json.dumps(body, indent=1).encode() + b"\n")
        return after


def standing(git: Git, reader: CatFile) -> list[Fresh]:
    """Say how each remote's records stand, also when a plain fetch moved them since we looked.

    Asks nobody. Starts a git process only for a remote whose tracking ref is not where it was.
    """
    return [
        Fresh(name, known.asked, *_now(git, reader, name, known))
        for name, known in sorted(load(git).items())
    ]


def _now(git: Git, reader: CatFile, name: str, known: Remote) -> tuple[str | None, str | None]:
    tip = reader.resolve(tracking_ref(name))
    if tip == known.tracking or known.seen is None:
        return known.code, known.message
    if tip is None:
        return "notes-missing", "a fetch found no records there any more"
    if git.succeeds("merge-base", "--is-ancestor", known.seen, tip):
        return None, None
    # Behind a shallow boundary only going backwards is sure.
    backwards = git.succeeds("merge-base", "--is-ancestor", tip, known.seen)
    if (git.common_dir / "shallow").exists() and not backwards:
        return None, None
    return "notes-rollback", "what a fetch brought does not follow from what was seen before"


__all__ = [
    "Fresh",
    "Remote",
    "label",
    "load",
    "note",
    "path",
    "seen_ref",
    "standing",
    "tracking_ref",
]
