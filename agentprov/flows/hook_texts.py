"""The shell texts that `init` puts into a repository: rendered, and recognised again.

A text is ours when it carries our id line; it is untouched when, with the baked values taken
out, its digest is one that some release wrote. docs/adr/0005 says why shell, and why these
hooks.
"""

from __future__ import annotations

import hashlib
import os
import re
from importlib import resources
from typing import Literal

Ownership = Literal["current", "outdated", "edited", "foreign"]

# The hooks that do something; the first two fire on a plain commit.
OURS = ("prepare-commit-msg", "post-commit", "post-rewrite", "pre-push")
# Hooks that mean nothing while they are absent, so that a shim for them changes nothing.
PASSED_ON = (
    "applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit",
    "commit-msg", "pre-rebase", "post-checkout", "post-merge", "pre-auto-gc", "sendemail-validate",
)  # fmt: skip
# Hooks that change or slow git down by being there: passed on only where one exists.
PASSED_ON_IF_THERE = (
    "reference-transaction", "post-index-change", "push-to-checkout", "pre-receive", "update",
    "post-receive", "post-update", "proc-receive", "p4-changelist", "p4-prepare-changelist",
    "p4-post-changelist", "p4-pre-submit",
)  # fmt: skip
CHAINED = ".agentprov-chained"

# sha256 of every text that a release wrote, baked values taken out. Add, never remove.
KNOWN = frozenset(
    {
        "a199a20d78e5cc628352a47960dd234ed54abf4c2fe5451e53429af432dca235",  # shim v1
        "365a2d58e857b0e0bc2490d8b090252df23edddc2a4c3b8b3c31624ef338855e",  # hook v1
        "ed730fb9bfc001cbe7be1ac3ae645d55aa1b0a7dac711abde3d9aad53c08dcdf",  # hook v1, start times
    }
)

_ID_LINE = re.compile(rb"^# agentprov-(?:shim|hook) v[0-9]+$", re.MULTILINE)
_BAKED = re.compile(rb"^(_ap_(?:former|python)=)('[^']*'(?:\\''[^']*')*)$", re.MULTILINE)


def shim(former: str | None) -> bytes:
    """Give the shim for every hook name.

    `former` is the directory whose hooks it runs first, as git would resolve it; None means
    that the former hook stands beside the shim, with `CHAINED` added to its name.
    """
    return _text("git/shim.sh").replace(b"@FORMER@", _quoted(former or ""))


def hook_program(python: str) -> bytes:
    """Give the program that the shims source; `python` is the interpreter it starts."""
    return _text("git/hook.sh").replace(b"@PYTHON@", _quoted(python))


def baked(text: bytes) -> str | None:
    """Give the value that was baked into one of our texts; None where there is none."""
    found = _BAKED.search(text)
    if found is None:
        return None
    return os.fsdecode(found[2][1:-1].replace(b"'\\''", b"'"))


def ownership(text: bytes, current: bytes | None = None) -> Ownership:
    """Say whose text this is; `current` is what this release would write there."""
    if text == current:
        return "current"
    if not _ID_LINE.search(text[:512]):
        return "foreign"
    return "outdated" if template_digest(text) in KNOWN else "edited"


def template_digest(text: bytes) -> str:
    """Give the sha256 of one of our texts without its baked values."""
    return hashlib.sha256(_BAKED.sub(rb"\1", text)).hexdigest()


def _text(name: str) -> bytes:
    return resources.files("agentprov_hooks").joinpath(*name.split("/")).read_bytes()


def _quoted(value: str) -> bytes:
    return b"'" + os.fsencode(value).replace(b"'", b"'\\''") + b"'"
