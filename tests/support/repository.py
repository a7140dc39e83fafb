"""A real git repository in a temporary directory, and how to talk to it plainly."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


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

    def write(self, name: str | bytes, content: str | bytes) -> Path:
        place = Path(os.fsdecode(os.path.join(os.fsencode(self.top), os.fsencode(name))))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def commit(self, message: str = "change", *extra: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, *extra)
        return self.git("rev-parse", "HEAD")
