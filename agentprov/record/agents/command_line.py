"""Find the agent's own words in a command line that may start with launchers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePath

_PROGRAM_SUFFIX = re.compile(r"\.(exe|cmd|bat|ps1)$", re.IGNORECASE)


def program_name(word: str) -> str:
    """Give the bare, lower-case name of a program: no folder, no Windows suffix."""
    return _PROGRAM_SUFFIX.sub("", PurePath(word.replace("\\", "/")).name).lower()


def start_of_agent(argv: Sequence[str], is_agent: Callable[[str], bool]) -> int:
    """Give the index of the word behind the agent's own name.

    Looks through ``node .../agent.js``, ``npx agent``, ``env A=B agent`` and the like; where no
    word names the agent, the first word is taken for it.
    """
    for index, word in enumerate(argv[:8]):
        if is_agent(word):
            return index + 1
    return min(1, len(argv))


def values_of(words: Sequence[str], *names: str) -> list[str]:
    """Give the values of options, ``--name value`` and ``--name=value``, up to a bare ``--``."""
    found: list[str] = []
    waiting = False
    for word in words:
        if word == "--":
            break
        if waiting:
            found.append(word)
            waiting = False
        elif word in names:
            waiting = True
        else:
            name, equals, value = word.partition("=")
            if equals and name in names:
                found.append(value)
    return found


def options_of(words: Sequence[str]) -> frozenset[str]:
    """Give the option words in front of a bare ``--``, without their ``=value``."""
    names: list[str] = []
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            names.append(word.partition("=")[0])
    return frozenset(names)


def without_option(words: Sequence[str], name: str) -> list[str]:
    """Leave out every ``--name value`` and ``--name=value`` in front of a bare ``--``."""
    kept: list[str] = []
    waiting = False
    for index, word in enumerate(words):
        if word == "--":
            return [*kept, *words[index:]]
        if waiting:
            waiting = False
        elif word == name:
            waiting = True
        elif not word.startswith(name + "="):
            kept.append(word)
    return kept
