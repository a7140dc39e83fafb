"""Where agentprov keeps what is the user's and not the repository's; makes nothing itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def home(environment: Mapping[str, str] | None = None) -> Path:
    """Give the directory of keys and cache: ``AGENTPROV_HOME``, else the platform's own.

    Never creates it. A relative ``AGENTPROV_HOME`` counts from the working directory, as it
    does for every other tool.
    """
    given = (os.environ if environment is None else environment).get("AGENTPROV_HOME", "")
    if given:
        return Path(os.path.abspath(os.path.expanduser(given)))
    # Only here: the variable is set in hooks and tests, where start-up time counts.
    import platformdirs

    return Path(platformdirs.user_config_dir("agentprov", appauthor=False, roaming=False))


def keys(environment: Mapping[str, str] | None = None) -> Path:
    """Give the directory that holds private keys."""
    return home(environment) / "keys"


def cache(environment: Mapping[str, str] | None = None) -> Path:
    """Give the directory of things that can be thrown away at any time."""
    return home(environment) / "cache"


def index() -> Path:
    """Give the file of this user's index over records; a cache, as all that is beside it."""
    return cache() / "index.sqlite"


def user_home(environment: Mapping[str, str] | None = None) -> Path:
    """Give the user's home directory as programs of this environment see it."""
    given = (os.environ if environment is None else environment).get("HOME", "")
    return Path(given) if given else Path(os.path.expanduser("~"))


def home_of_user(uid: int) -> tuple[str | None, Path | None]:
    """Give name and home directory of a user of this machine; None where they are not known."""
    try:
        import pwd

        entry = pwd.getpwuid(uid)
    except (ImportError, KeyError, OverflowError):
        return None, None
    return entry.pw_name, Path(entry.pw_dir) if entry.pw_dir else None


def short(path: str, home_directory: Path) -> str:
    """Write a path as a person would: ``~/...`` inside the home directory, else unchanged."""
    base = str(home_directory).rstrip("/")
    if base and path == base:
        return "~"
    return "~" + path[len(base) :] if base and path.startswith(base + "/") else path
