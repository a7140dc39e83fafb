"""A real git repository in a temporary directory, and how to talk to it plainly."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agentprov.store import lines


class Repository:
    """One work tree; `git` is the user's git, with the test's own configuration."""

    def __init__(self, top: Path, *, object_format: str = "sha1") -> None:
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", f"--object-format={object_format}")

    def git(self, *arguments: str, check: bool = True, input: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.top, capture_output=True, check=False, input=input
        )
        if check and done.returncode:
            raise AssertionError(f"git {arguments}: {done.stderr.decode()}")
        return os.fsdecode(done.stdout).rstrip("\n")

    def bundles(self, *revisions: str) -> list[str]:
        """Give the lines of these objects' notes, or of all, with each bundle as it was signed."""
        listed = self.git("notes", "--ref=agentprov", "list", check=False).split()
        names = [self.git("rev-parse", name) for name in revisions] or listed[1::2]
        blobs = [
            blob for blob, name in zip(listed[::2], listed[1::2], strict=True) if name in names
        ]
        bodies = [self.git("cat-file", "blob", blob).encode() for blob in blobs]
        return [line.decode() for body in bodies for line in sorted(lines.split(body))]

    def write(self, name: str | bytes, content: str | bytes) -> Path:
        place = Path(os.fsdecode(os.path.join(os.fsencode(self.top), os.fsencode(name))))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def commit(self, message: str = "change", *extra: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, *extra)
        return self.git("rev-parse", "HEAD")
