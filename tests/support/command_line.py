"""The real command line in a process of its own, and what its records say."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentprov.formats import packed
from support.repository import Repository


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def agentprov(
    *arguments: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    input: bytes | None = None,
    timeout: float = 120,
) -> Answer:
    """Run one command as a user would; the environment is the test's own, plus `env`."""
    done = subprocess.run(
        [sys.executable, "-m", "agentprov", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Answer(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))


def bundles(repository: Repository, revision: str = "HEAD") -> list[dict[str, Any]]:
    """Give the statements that hang on a commit, unverified."""
    text = repository.git("notes", "--ref=agentprov", "show", revision, check=False)
    return [statement(line) for line in text.splitlines() if line]


def statement(line: str) -> dict[str, Any]:
    """Give the statement inside one line of a note, however it is stored, unverified."""
    envelope = json.loads(packed.unpack(line.encode()))["dsseEnvelope"]
    return dict(json.loads(base64.b64decode(envelope["payload"])))


def generations(repository: Repository, revision: str = "HEAD") -> list[dict[str, Any]]:
    """Give the generation statements that hang on a commit, unverified."""
    return [s for s in bundles(repository, revision) if "slsa.dev" in s["predicateType"]]


def changes(generation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give a generation's changes by path."""
    listed = generation["predicate"]["runDetails"]["metadata"].get("agentprov_changes", [])
    return {change["path"]: change for change in listed}
