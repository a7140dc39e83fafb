"""Puts an agent's declarations into the drop-box of a live session.

Nothing here signs, executes, or reads outside the work tree. What is declared is cleaned and
redacted before it is written anywhere; whoever records the session takes it from there.
"""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentprov.errors import MalformedInput, UserError
from agentprov.flows.world import World
from agentprov.formats import declaration, dropbox, names, visible
from agentprov.formats.declaration import Declaration
from agentprov.formats.redaction import Redactor, secret_values
from agentprov.record.session import SessionDirectory
from agentprov.system.files import atomic_write, read_bounded
from agentprov.system.process_table import ancestors

MAX_FILE_BYTES = 4 * 1024 * 1024
_FALLBACK = "AGENTPROV_SPOOL_FALLBACK"


@dataclass
class Joined:
    """A live session that declarations go to, with what was declared from here so far.

    `around` says that this process was started within the session, by the agent that it records.
    """

    world: World
    directory: SessionDirectory
    token: bytes
    around: bool = False
    said: list[Declaration] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def live(self) -> bool:
        """Say whether somebody still records the session and takes declarations."""
        return self.directory.is_live() and self.directory.token() == self.token

    def declare(self, kind: str, members: Mapping[str, Any], content: bytes = b"") -> Declaration:
        """Drop one declaration and give it as it will be read.

        None of the members may be None. Raises UserError for what is malformed or too much, and
        where the session is over or its drop-box cannot be written.
        """
        if not self.live:
            raise UserError("this session is over", hint="start one with start_session")
        whole = {
            "kind": kind,
            "session": self.directory.id,
            "at": self.world.now(),
            "nonce": secrets.token_hex(16),
            **members,
        }
        with self._lock:
            size = sum(len(item.content) for item in self.said) + len(content)
            if (
                len(self.said) >= declaration.MAX_DECLARATIONS
                or size > declaration.MAX_ARTIFACTS_BYTES
            ):
                raise UserError(
                    "this session holds as many declarations as it can",
                    hint="end it with end_session and start another",
                )
            try:
                payload = declaration.encode(self.token, whole, content)
                item = declaration.decode(self.token, self.directory.id, kind, payload)
            except MalformedInput as error:
                raise UserError(error.message) from error
            self._drop(kind, payload)
            self.said.append(item)
        return item

    def _drop(self, kind: str, payload: bytes) -> None:
        data = dropbox.encode(dropbox.Drop(declaration.CHANNEL, kind, payload))
        name = f"declared-{os.getpid()}-{secrets.token_hex(8)}{dropbox.SUFFIX}"
        fallback = os.environ.get(_FALLBACK) if self.around else None
        failure: OSError | None = None
        for place in (self.directory.spool, *([Path(fallback)] if fallback else [])):
            try:
                atomic_write(place / name, data, fsync=False)
                return
            except OSError as error:
                failure = error
        why = failure.strerror if failure else "no drop-box"
        raise UserError(f"the session's drop-box cannot be written: {why}")


def around(world: World) -> Joined | None:
    """Give the live session that this process runs within, if any.

    By the variable that a run sets, and, because agents cut the environment of their servers, by
    a recorder among the ancestors of this process.
    """
    named = os.environ.get("AGENTPROV_SESSION")
    above: tuple[int, ...] | None = None
    for directory in SessionDirectory.said_live(world.git.home):
        if not directory.is_live():
            continue
        owner = directory.owner()
        if directory.id != named:
            above = ancestors(os.getpid()) if above is None else above
            if owner is None or owner[0] not in above:
                continue
        token = directory.token()
        if token is not None:
            return Joined(world, directory, token, around=True)
    return None


def join(world: World, session: str, token: str) -> Joined:
    """Join a live session of this repository by its id and token; raises UserError."""
    for directory in SessionDirectory.said_live(world.git.home):
        if directory.id == session and directory.is_live():
            known = directory.token()
            if known is not None and hmac.compare_digest(known, token.encode()):
                return Joined(world, directory, known)
    # The same answer for both, so that ids cannot be tried out.
    raise UserError(
        "no live session here has this id and token",
        hint="start_session without them starts a session of its own",
    )


def prose(text: str) -> tuple[str, int]:
    """Give a text fit to keep, and how many secrets were taken out of it.

    Control and invisible characters become visible; line breaks and tabs stay. Raises UserError
    for a text that is empty or too long.
    """
    redactor = Redactor(secret_values(os.environ))
    if len(text) > declaration.MAX_TEXT:
        raise UserError(f"at most {declaration.MAX_TEXT} characters, this has {len(text)}")
    lines = redactor.redact(text.strip()).replace("\r\n", "\n").split("\n")
    shown = "\n".join("\t".join(visible.safe(cell) for cell in one.split("\t")) for one in lines)
    # A secret that invisible characters broke up, and that is whole without them, is not kept.
    bare = "".join(char for char in text if char.isprintable() or char in "\n\t")
    if Redactor(secret_values(os.environ)).redact(bare).count("[redacted:") > sum(
        redactor.counts.values()
    ):
        raise UserError("this text hides a secret between invisible characters")
    if not shown:
        raise UserError("say something; this text is empty")
    return shown[: declaration.MAX_TEXT], sum(redactor.counts.values())


@dataclass(frozen=True)
class Lines:
    """Lines `start` to `end` (from 1) of a file in the work tree, as they stand now."""

    label: str
    start: int
    end: int
    content: bytes


def lines_of(world: World, path: str, start: int | None, end: int | None) -> Lines:
    """Read lines of a file of the work tree; all of them without `start` and `end`.

    Raises UserError for a path outside the work tree or inside git's own directory, through a
    link that leads out, for what is no regular file, too large, or has fewer lines.
    """
    relative = inside(world, path)
    place = os.path.join(os.fsencode(world.git.top), relative)
    label = names.path_label(relative)
    try:
        content = read_bounded(os.fsdecode(place), MAX_FILE_BYTES, follow=False)
    except FileNotFoundError as error:
        raise UserError(f"{label!r} is not there", hint="write it first, then record it") from error
    except OSError as error:
        raise UserError(f"{label!r} cannot be read: {error.strerror}") from error
    whole = content.split(b"\n")
    count = len(whole) - (not whole[-1])
    first, last = start or 1, end if end is not None else max(count, 1)
    if not 1 <= first <= last <= max(count, 1):
        raise UserError(f"{label!r} has {count} lines, not {first} to {last}")
    chosen = b"\n".join(whole[first - 1 : last])
    if len(chosen) > declaration.MAX_ARTIFACT_BYTES:
        raise UserError(
            f"at most {declaration.MAX_ARTIFACT_BYTES} bytes at once",
            hint="record the file in several pieces: start and end",
        )
    return Lines(label, first, last, chosen)


def label_inside(world: World, path: str) -> str:
    """Give the label of a file in the work tree; raises UserError for any other place."""
    return names.path_label(inside(world, path))


def inside(world: World, path: str) -> bytes:
    """Give the git path of a file in the work tree; raises UserError for any other place."""
    try:
        given = names.label_path(path)
    except (ValueError, UnicodeEncodeError) as error:
        raise UserError("this is no path") from error
    top = os.fsencode(world.git.top)
    place = os.path.normpath(os.path.join(top, given))
    folder, name = os.path.split(place)
    real = os.path.join(os.path.realpath(folder), name) if b"\0" not in given else b""
    base = os.path.realpath(top) + b"/"
    relative = real[len(base) :] if real.startswith(base) else b""
    if not relative or b".git" in [step.lower() for step in relative.split(b"/")]:
        raise UserError("the path must lead to a file inside this work tree")
    return relative
