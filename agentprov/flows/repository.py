"""Which repository this is, in words that mean the same in every clone."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from agentprov.formats.facts import Repository
from agentprov.system.git import Git


def identity(git: Git) -> Repository:
    """Name the repository: its origin without credentials, else its first commits.

    The origin is what the developer's own configuration says; nobody checked it.
    """
    return named(git, git.text("config", "--get", "remote.origin.url", check=False) or None)


def named(git: Git, origin: str | None) -> Repository:
    """Name the repository whose origin is known already."""
    uri = public_url(origin) if origin else None
    if uri is None:
        # Not --all: the roots of notes and of other tools' refs are nobody's first commits.
        words = ("rev-list", "--max-parents=0", "--branches", "--tags", "--remotes")
        roots = git.run(*words, check=False).decode().split()
        uri = "urn:agentprov:repository:" + (min(roots) if roots else "unborn")
    return Repository(uri, git.object_format)


def public_url(url: str) -> str | None:
    """Give ``git+https://host/path`` for a remote URL, without user, password or query.

    None for a path on this machine, which means nothing elsewhere.
    """
    scp_like = "://" not in url and ":" in url and not url.startswith(("/", "."))
    if scp_like:
        machine, _, path = url.partition(":")
        if len(machine) == 1:
            return None  # a Windows drive
        url = f"ssh://{machine}/{path.lstrip('/')}"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http", "ssh", "git") or not host:
        return None
    netloc = f"{host}:{port}" if port else host
    scheme = "https" if parts.scheme in ("http", "git", "ssh") else parts.scheme
    path = parts.path.rstrip("/").removesuffix(".git")
    return urlunsplit((f"git+{scheme}", netloc, path, "", ""))
