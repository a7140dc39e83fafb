"""Objects as git keeps them: read many through one process, and what a commit says of itself."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO

from agentprov.errors import GitFailed
from agentprov.formats.value import value
from agentprov.system.git import ALWAYS, Git

_BLOCK = 1024 * 1024
# As much as a pipe holds on Linux: answers to what was asked ahead are taken in few turns.
_BUFFER = 64 * 1024
# What a pipe takes even where the system is short of them: asking ahead must never block.
_AHEAD_BYTES = 4_000
OVERSIZED = "oversized"
"""The type under which an object is given that is larger than whoever asked will read."""


@value
class Digested:
    """An object's type, SHA-256 and size, and its content where that was asked to be kept."""

    kind: str
    sha256: str
    size: int
    content: bytes | None


class CatFile:
    """Reads many objects through one ``git cat-file --batch`` process.

    In a partial clone an object that was not fetched ends git's process; it is missing, and the
    next question goes to a new one.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        git = self._git
        return subprocess.Popen(
            [git.program, *ALWAYS, "cat-file", "--batch"],
            cwd=git.place,
            env=git.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=_BUFFER,
        )

    def __enter__(self) -> CatFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, name: str) -> tuple[str, bytes] | None:
        """Give (type, content) of an object by id; None when it is missing."""
        found = self.read(name)
        return None if found is None else (found[1], found[2])

    def resolve(self, revision: str) -> str | None:
        """Give the commit id that a revision names, or None, as `Git.resolve` does."""
        found = None if revision.startswith("-") else self.read(f"{revision}^{{commit}}")
        return None if found is None else found[0]

    def read(self, name: str) -> tuple[str, str, bytes] | None:
        """Give (id, type, content) of an object by name; None when there is no such object."""
        header = self._ask(name)
        if header is None:
            return None
        oid, kind, size = header
        content = self._answer.read(size)
        self._answer.read(1)
        return oid, kind, content

    def get_many(
        self, oids: Sequence[str], *, most: int | None = None
    ) -> list[tuple[str, bytes] | None]:
        """Give what `get` gives for each of many ids, asking ahead: no turn for every object.

        An object of more than `most` bytes is passed over in constant memory: its type is given
        as `OVERSIZED`, and no content.
        """
        found: list[tuple[str, bytes] | None] = []
        for header in self._ask_ahead(oids):
            if header is None:
                found.append(None)
            elif most is not None and header[2] > most:
                self._digest(header, 0)
                found.append((OVERSIZED, b""))
            else:
                found.append((header[1], self._answer.read(header[2])))
                self._answer.read(1)
        return found

    def digest(self, name: str, *, keep: int) -> Digested | None:
        """Digest an object in constant memory; None when there is no such object.

        The content is given with it when it is at most `keep` bytes long.
        """
        header = self._ask(name)
        return None if header is None else self._digest(header, keep)

    def digest_many(self, oids: Sequence[str]) -> list[Digested | None]:
        """Digest each of many objects in constant memory, asking ahead; contents are not kept."""
        return [
            None if header is None else self._digest(header, 0) for header in self._ask_ahead(oids)
        ]

    def _digest(self, header: tuple[str, str, int], keep: int) -> Digested:
        _, kind, size = header
        digest = hashlib.sha256()
        kept = bytearray() if size <= keep else None
        left = size
        while left:
            block = self._answer.read(min(left, _BLOCK))
            if not block:
                raise GitFailed("git cat-file stopped in the middle of an object")
            left -= len(block)
            digest.update(block)
            if kept is not None:
                kept += block
        self._answer.read(1)
        content = None if kept is None else bytes(kept)
        return Digested(kind, digest.hexdigest(), size, content)

    def _ask_ahead(self, oids: Sequence[str]) -> Iterator[tuple[str, str, int] | None]:
        """Give the header of each object; its content must be read before the next is taken."""
        left = list(oids)
        while left:
            size = len(left[0]) + 1
            now = left[: max(1, _AHEAD_BYTES // size)]
            self._send("\n".join(now))
            answered = 0
            process = self._process
            for _ in now:
                answered += 1
                yield self._header()
                if self._process is not process:  # a new one has heard nothing of the rest
                    break
            del left[:answered]

    def _ask(self, name: str) -> tuple[str, str, int] | None:
        if "\n" in name:
            return None
        self._send(name)
        return self._header()

    def _send(self, names: str) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(os.fsencode(names) + b"\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise GitFailed("git cat-file stopped answering") from error

    def _header(self) -> tuple[str, str, int] | None:
        header = self._answer.readline()
        parts = header.split()
        if len(parts) == 3 and parts[2].isdigit():
            return parts[0].decode(), parts[1].decode(), int(parts[2])
        if not header:
            self._begin_again()
        return None

    def _begin_again(self) -> None:
        """Replace a process that an unfetched object has ended; raise GitFailed for any other."""
        self.close()
        promised = ("config", "--get-regexp", r"^remote\..*\.promisor$")
        if self._process.returncode != 128 or not self._git.text(*promised, check=False):
            raise GitFailed("git cat-file stopped answering")
        self._process = self._begin()

    @property
    def _answer(self) -> IO[bytes]:
        stdout = self._process.stdout
        assert stdout is not None
        return stdout

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


@value
class CommitObject:
    """A commit as stored: tree, parents, times, message; the object's own words, unverified."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: str
    committer: str
    committed: int
    message: str
    signed: bool


_SECONDS = re.compile(r"-?[0-9]{1,18}")


def parse_commit(oid: str, content: bytes) -> CommitObject:
    """Read a commit object's bytes; tolerant of unknown headers, never raises on odd bytes."""
    head, _, message = content.partition(b"\n\n")
    tree, author, committer = "", "", ""
    parents: list[str] = []
    signed = False
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        text = value.decode("utf-8", "replace")
        if key == b"tree":
            tree = text
        elif key == b"parent":
            parents.append(text)
        elif key == b"author":
            author = text
        elif key == b"committer":
            committer = text
        elif key in (b"gpgsig", b"gpgsig-sha256"):
            signed = True
    words = committer.rsplit(" ", 2)
    # Whoever writes a commit object by hand writes what they like here; git takes it.
    committed = int(words[1]) if len(words) == 3 and _SECONDS.fullmatch(words[1]) else 0
    return CommitObject(
        oid, tree, tuple(parents), author, committer, committed,
        message.decode("utf-8", "replace"), signed,
    )  # fmt: skip


def read_commits(reader: CatFile, oids: Sequence[str]) -> dict[str, CommitObject]:
    """Read the commits among some ids that this clone holds, asking ahead."""
    return {
        oid: parse_commit(oid, found[1])
        for oid, found in zip(oids, reader.get_many(oids), strict=True)
        if found is not None and found[0] == "commit"
    }


def read_commit(reader: CatFile, oid: str) -> CommitObject:
    """Read a commit through an open reader; raises GitFailed when it is not there."""
    found = reader.get(oid)
    if found is None or found[0] != "commit":
        raise GitFailed(f"commit {oid} is not in this repository")
    return parse_commit(oid, found[1])
