"""Where a repository stands, asked of git in one breath.

Three processes side by side answer what a session says of its start; where the usual question
does not fit (no commit yet, odd names), single ones follow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from agentprov.record.commits import RefsAsked, RefState
from agentprov.system.git import Asked, Git

_SETTINGS = r"^(user\.email|remote\.origin\.url|core\.hookspath)$"


@dataclass(frozen=True)
class Standing:
    """HEAD's commit, tree and branch, the refs, and who works here; None for what is not.

    `hooks_path` is ``core.hooksPath`` as it is written.
    """

    head: str | None
    head_tree: str | None
    ref: str | None
    refs: RefState
    origin: str | None
    email: str | None
    hooks_path: str | None = None


class StandingAsked:
    """The questions, under way; `finish` gives the answers."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._refs = RefsAsked(git)
        self._head: Asked = git.ask(
            "rev-parse", "HEAD^{commit}", "HEAD^{tree}", "--symbolic-full-name", "HEAD"
        )
        self._settings: Asked = git.ask("config", "-z", "--show-scope", "--get-regexp", _SETTINGS)

    def finish(self) -> Standing:
        """Wait for git; raises GitFailed when refs cannot be listed."""
        settings = _settings(self._settings.answer(check=False))
        lines = os.fsdecode(self._head.answer(check=False)).split("\n")
        head: str | None
        tree: str | None
        if len(lines) == 4 and len(lines[0]) == len(self._git.zero):
            head, tree, ref = lines[:3]
        else:
            head = self._git.resolve("HEAD")
            tree = self._git.text("rev-parse", "HEAD^{tree}") if head else None
            ref = self._git.text("symbolic-ref", "--quiet", "HEAD", check=False)
        return Standing(
            head=head,
            head_tree=tree,
            ref=ref if ref.startswith("refs/") else None,
            refs=self._refs.finish(head),
            origin=settings.get("remote.origin.url"),
            email=settings.get("user.email"),
            hooks_path=settings.get("core.hookspath"),
        )


def _settings(listing: bytes) -> dict[str, str]:
    fields = [os.fsdecode(field) for field in listing.split(b"\0")]
    found = {}
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = entry.partition("\n")
        # Of several the last wins, as for git; those of our own calls are none of the user's.
        if value and scope != "command":
            found[key] = value
    return found
