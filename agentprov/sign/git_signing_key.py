"""The SSH key that the user's git signs with, as their git configuration names it.

Reads the user's own and the machine's configuration, never a repository's: a repository must not
choose a person's key. ``gpg.ssh.defaultKeyCommand`` is a program and is not run.
"""

from __future__ import annotations

import os
from pathlib import Path

from agentprov.errors import KeyMissing, KeyUnusable, MalformedInput
from agentprov.formats import ssh_wire
from agentprov.sign import private_key
from agentprov.system import files, places
from agentprov.system.git_settings import own_settings

_LITERAL = "key::"
_MAX_BYTES = 64 * 1024
_WAY_OUT = "name the key: `ssh:SHA256:...` (`ssh-add -l` lists them), or `file:/path`"


def blob() -> bytes | None:
    """Give the public key blob, or None where git signs with no SSH key that is named.

    Raises KeyUnusable for a setting that leads to no key, or to one of a kind that is refused.
    """
    found = own_settings("gpg.format", "user.signingkey")
    value = found.get("user.signingkey", "").strip()
    if found.get("gpg.format", "").lower() != "ssh" or not value:
        return None
    place = "user.signingkey"
    try:
        if value.startswith(_LITERAL):
            key = ssh_wire.from_public_line(value.removeprefix(_LITERAL))
        elif value.startswith("ssh-"):  # git's older spelling of a literal
            key = ssh_wire.from_public_line(value)
        else:
            place, key = _from_file(value)
        private_key.public_of(key, place)
    except MalformedInput as error:
        raise KeyUnusable(f"{place}: {error.message}", hint=_WAY_OUT) from error
    return key


def required_blob() -> bytes:
    """Give the public key blob; raises KeyMissing where git names none, KeyUnusable."""
    key = blob()
    if key is None:
        raise KeyMissing(
            "git signs with no SSH key of yours: gpg.format is not ssh, or user.signingkey is "
            "not set, in your own configuration",
            hint=_WAY_OUT,
        )
    return key


def _from_file(value: str) -> tuple[str, bytes]:
    path = str(places.user_home()) + value[1:] if value.startswith("~/") else value
    if not os.path.isabs(path):
        raise KeyUnusable(
            f"user.signingkey: {value!r} is not an absolute path, so it means another file in "
            "each directory",
            hint=_WAY_OUT,
        )
    beside = [path] if path.endswith(".pub") else [path + ".pub", path]
    for name in beside:
        try:
            data = files.read_bounded(Path(name), _MAX_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise KeyUnusable(f"cannot read {name}: {error.strerror}", hint=_WAY_OUT) from error
        if data.startswith(private_key.OPENSSH):
            spki = private_key.look(data, name).spki
            assert spki is not None
            return name, ssh_wire.blob_of(spki)
        return name, ssh_wire.from_public_line(data.decode("utf-8", "replace"))
    raise KeyUnusable(f"user.signingkey: there is no {path}", hint=_WAY_OUT)


__all__ = ["blob", "required_blob"]
