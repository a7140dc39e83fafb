"""Settings of git that are the user's own, asked outside any repository too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from agentprov.system.git import git_program, scrubbed

_OWN = frozenset({"system", "global"})


def own_settings(*names: str) -> dict[str, str]:
    """Give the last value of each setting that the user's or the machine's configuration has.

    `names` are in lower case. Files that these include are read, as git reads them here; what a
    repository or a work tree says is left out. A setting that is nowhere is not in the answer,
    and a configuration that git cannot read gives none.
    """
    done = subprocess.run(
        [git_program(), "config", "--show-scope", "-z", "--get-regexp", _pattern(names)],
        env=scrubbed(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    words = os.fsdecode(done.stdout).split("\0")
    found: dict[str, str] = {}
    for scope, entry in zip(words[::2], words[1::2], strict=False):
        name, _, value = entry.partition("\n")
        if scope in _OWN:
            found[name.lower()] = value
    return found


def _pattern(names: Sequence[str]) -> str:
    return "^(" + "|".join(name.replace(".", "[.]") for name in names) + ")$"


__all__ = ["own_settings"]
