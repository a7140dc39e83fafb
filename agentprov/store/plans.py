"""Keeps the bytes of signed plans in the repository, out of reach of garbage collection.

The blob of each plan is held by a local ref under its SHA-256. The refs are local: plan bytes
travel only where the plan is tracked, or when asked for.
"""

from __future__ import annotations

import re
from contextlib import nullcontext

from agentprov.formats import digest
from agentprov.formats.names import PLANS_REF
from agentprov.system.git import DURABLY, Git
from agentprov.system.git_objects import CatFile

_SHA256 = re.compile(r"[0-9a-f]{64}")


class PlanShelf:
    """Plans by the SHA-256 of their bytes; an open `reader` saves a process for each."""

    def __init__(self, git: Git, reader: CatFile | None = None) -> None:
        self.git = git
        self._reader = reader

    def keep_plan(self, plan: bytes) -> str:
        """Keep a plan's bytes and give their blob id; keeping twice is keeping once.

        No clean filter touches the bytes. Raises GitFailed.
        """
        blob = self.git.run(*DURABLY, "hash-object", "-w", "--stdin", input=plan).decode().strip()
        self.git.run(*DURABLY, "update-ref", PLANS_REF + digest.sha256(plan), blob)
        return blob

    def plan_bytes(self, sha256: str) -> bytes | None:
        """Give the kept bytes of a plan; None where they are not here, or not those bytes."""
        if not _SHA256.fullmatch(sha256):
            return None
        with nullcontext(self._reader) if self._reader else self.git.cat_file() as reader:
            found = reader.read(PLANS_REF + sha256)
        if found is None or found[1] != "blob" or digest.sha256(found[2]) != sha256:
            return None
        return found[2]

    def kept(self) -> dict[str, str]:
        """Give the blob id of every kept plan, by SHA-256 of its bytes."""
        listing = self.git.text("for-each-ref", "--format=%(refname) %(objectname)", PLANS_REF)
        pairs = (line.split(" ") for line in listing.split("\n") if line)
        return {name.removeprefix(PLANS_REF): oid for name, oid in pairs}
