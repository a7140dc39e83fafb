"""What `init` did to a repository, kept so that `hooks uninstall` can undo exactly that.

One JSON file, ``install.json`` in our directory of the repository. It holds the former bytes of
the configuration file, which may name credentials, so it is for this user only (0600).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentprov.system.files import atomic_write, read_bounded
from agentprov.system.git import Git

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
KEPT_HOOK_BYTES = 1024 * 1024


@dataclass
class FormerHook:
    """A hook that stood in the default directory: digest, mode, and its bytes if not large."""

    sha256: str
    mode: int
    content: str | None


@dataclass
class InstallRecord:
    """Everything that was changed; empty fields mean that nothing of the kind was.

    `config_before` is base64 of the configuration file as it was, None once somebody else
    changed it between two of our changes; `config_after` is the sha256 of what we left.
    `hooks_path_before` is the former local ``core.hooksPath``, None where none was set.
    """

    config_before: str | None = None
    config_after: str | None = None
    hooks_path_set: str | None = None
    hooks_path_before: str | None = None
    former_directory: str | None = None
    made_hooks_directory: bool = False
    hooks: dict[str, FormerHook | None] = field(default_factory=dict)
    fetch: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def note_config(self, before: bytes, after: bytes) -> None:
        """Take in one change of the configuration file by us."""
        if before == after:
            return
        if self.config_after is None:
            self.config_before = base64.b64encode(before).decode()
        elif self.config_after != digest(before):
            self.config_before = None
        self.config_after = digest(after)

    def original_config(self, now: bytes) -> bytes | None:
        """Give the bytes from before our first change, if nobody else has changed them since."""
        if self.config_before is None or self.config_after != digest(now):
            return None
        return base64.b64decode(self.config_before)

    def save(self, git: Git) -> None:
        """Write the record; raises OSError."""
        body = {"version": VERSION, **asdict(self)}
        atomic_write(record_path(git), json.dumps(body, indent=1, sort_keys=True).encode() + b"\n")


def record_path(git: Git) -> Path:
    """Give the path of a repository's install record."""
    return git.home / "install.json"


def load(git: Git) -> InstallRecord | None:
    """Read the record; None when there is none, or none that can be understood."""
    try:
        body: Any = json.loads(read_bounded(record_path(git), MAX_BYTES, follow=False))
        if body.pop("version") != VERSION:
            return None
        hooks = body.pop("hooks")
        fetch = body.pop("fetch")
        return InstallRecord(
            **body,
            hooks={
                name: None if hook is None else FormerHook(**hook) for name, hook in hooks.items()
            },
            fetch=[(str(remote), str(refspec)) for remote, refspec in fetch],
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def former_hook(content: bytes, mode: int) -> FormerHook:
    """Describe a hook before it is moved aside."""
    small = len(content) <= KEPT_HOOK_BYTES
    kept = base64.b64encode(content).decode() if small else None
    return FormerHook(digest(content), mode, kept)


def digest(content: bytes) -> str:
    """Give the sha256 in hex."""
    return hashlib.sha256(content).hexdigest()
