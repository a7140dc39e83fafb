"""Whose signatures count here: this user's own keys, or what a trust file says.

Reading only. Which commit or branch a trust file is taken from is decided by whoever gates.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from pathlib import Path

from agentprov.errors import ConfigurationInvalid, GitFailed
from agentprov.flows import strict_yaml
from agentprov.formats import canonical, digest
from agentprov.formats.names import LOCAL_WRAPPER, MCP_DECLARED
from agentprov.sign.key_use import KeyUse
from agentprov.sign.registry import (
    PURPOSES,
    Purpose,
    local_custody,
    local_public,
    signer_for,
)
from agentprov.system import files
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile
from agentprov.verify import trust
from agentprov.verify.trust import TrustedKey, TrustRoot

TRUST_PATH = ".agentprov/trust.yaml"
POLICY_PATH = ".agentprov/policy.yaml"
SELF_TRUST = "self-trust: this user's own keys"

TRUST_HEAD = """\
# Who may sign what in this repository (docs/spec/trust.md).
# A record counts only if one of these keys signed it; keys inside records count for nothing.
# Gates read this file from the target branch, so a change cannot widen its own trust.
"""
_POLICY = """\
# What must hold before a change may merge.
# observe: everything is recorded and reported, nothing is refused.
version: 1
mode: observe
"""


def person(git: Git) -> str:
    """Name this user as git does: the e-mail address, else the name; ``unknown`` without both."""
    for setting in ("user.email", "user.name"):
        value = git.text("config", "--get", setting, check=False).strip()
        if value:
            return value[:512]
    return "unknown"


def local_keys(home: Path, whose: str = "this user") -> tuple[TrustedKey, ...]:
    """Give the keys in the user's own directory, with the roles of their purpose.

    Makes none. Reads public keys only, where they were ever written. Raises KeyUnusable.
    """
    keys = []
    for purpose in PURPOSES:
        spki = local_public(purpose, home)
        if spki is not None:
            custody = local_custody(purpose, home)
            # What agents declare is of this machine's own making; what a team accepts stands in
            # its trust file.
            keys.append(_trusted(purpose, spki, whose, custody, {LOCAL_WRAPPER, MCP_DECLARED}))
    return tuple(keys)


def local_trust(home: Path, whose: str = "this user") -> TrustRoot:
    """Give the trust of first use: this user's keys vouch for themselves, and nobody for them.

    A root without keys when there are none yet. Raises KeyUnusable.
    """
    return _root(local_keys(home, whose), SELF_TRUST, self_trust=True)


def read(
    data: bytes, source: str, beside: Callable[[str], bytes | None] = lambda _: None
) -> TrustRoot:
    """Read the bytes of a trust file; raises ConfigurationInvalid.

    `source` says where they came from, in errors and in verdicts. `beside` gives the files that
    it names, from the same folder and revision.
    """
    return trust.parse(
        strict_yaml.parse(data, source=source),
        sha256=digest.sha256(data),
        source=source,
        beside=beside,
    )


def at_revision(
    git: Git, revision: str, name: str | None = None, reader: CatFile | None = None
) -> TrustRoot | None:
    """Read the trust file of a revision, and what it names, from there; None without one.

    `name` is what the revision is called in errors and verdicts. An open `reader` spares asking
    about a revision that is not here. Raises ConfigurationInvalid, also where the revision has
    such a file and this clone has not fetched it.
    """
    if reader is not None and reader.resolve(revision) is None:
        return None
    content = blob_at(git, revision, TRUST_PATH)
    if content is None:
        return None
    folder = TRUST_PATH.rpartition("/")[0]
    source = f"{TRUST_PATH} of {name or revision}"
    return read(content, source, lambda item: blob_at(git, revision, f"{folder}/{item}"))


def blob_at(git: Git, revision: str, path: str) -> bytes | None:
    """Give a file's content as a revision has it; None if it has no such path.

    Raises ConfigurationInvalid where the path is there and no file, or its content is not here:
    what cannot be read must not pass for what is not there.
    """
    name = f"{revision}:{path}"
    quiet = ("--verify", "--quiet", "--end-of-options")
    if not git.text("rev-parse", *quiet, name, check=False):
        return None
    try:
        return git.run("cat-file", "blob", name)
    except GitFailed as error:
        raise ConfigurationInvalid(
            f"{path} of {revision} cannot be read: {error.message}",
            hint="it must be a file; fetch it, if this is a partial clone",
        ) from error


def beside(folder: Path) -> Callable[[str], bytes | None]:
    """Give what reads the files that a trust file in this folder may name, and no others."""

    def content(name: str) -> bytes | None:
        try:
            return files.read_bounded(folder / name, strict_yaml.MAX_BYTES, follow=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationInvalid(f"{folder / name}: {error.strerror}") from error

    return content


def read_file(path: Path) -> TrustRoot:
    """Read a trust file from disk; raises ConfigurationInvalid, also when it is not there."""
    try:
        data = files.read_bounded(path, strict_yaml.MAX_BYTES)
    except OSError as error:
        raise ConfigurationInvalid(f"{path}: {error.strerror}") from error
    return read(data, str(path), beside(path.parent))


def working_trust(git: Git, home: Path) -> TrustRoot:
    """Give what this user works with: their own keys and the work tree's trust file, if any.

    For the recorder's own questions before and during work. Not for gates: the work tree is
    what a gate judges. Raises ConfigurationInvalid, KeyUnusable.
    """
    own = local_keys(home, person(git))
    try:
        data = files.read_bounded(git.top / TRUST_PATH, strict_yaml.MAX_BYTES, follow=False)
    except FileNotFoundError:
        return _root(own, SELF_TRUST, self_trust=True)
    except OSError as error:
        raise ConfigurationInvalid(f"{TRUST_PATH}: {error.strerror}") from error
    shared = read(data, TRUST_PATH, beside((git.top / TRUST_PATH).parent))
    known = {key.spki for key in shared.keys}
    both = (*shared.keys, *(key for key in own if key.spki not in known))
    root = _root(both, f"{TRUST_PATH} and {SELF_TRUST}")
    return replace(
        root,
        identities=shared.identities,
        sigstore=shared.sigstore,
        timestamps=shared.timestamps,
    )


def trust_text(home: Path, whose: str, use: KeyUse | None = None) -> str:
    """Write the trust file with which a repository starts: this user's two keys.

    Finds or makes the keys where they are missing, and says so through `use`. Raises KeyUnusable.
    """
    import yaml

    signers = [(purpose, signer_for(purpose, home, use=use)) for purpose in PURPOSES]
    keys = [
        _trusted(purpose, key.spki, whose, key.custody, {LOCAL_WRAPPER}) for purpose, key in signers
    ]
    body = yaml.safe_dump(trust.document(keys), sort_keys=False, allow_unicode=True, width=1_000)
    return TRUST_HEAD + body


def policy_text() -> str:
    """Write the policy with which a repository starts: observe, refuse nothing."""
    return _POLICY


def _trusted(
    purpose: Purpose, spki: bytes, whose: str, custody: str, builders: Set[str]
) -> TrustedKey:
    machine = purpose == "recorder"
    return TrustedKey(
        spki=spki,
        person=whose,
        roles=frozenset({"recorder"}) if machine else frozenset({"human", "reviewer"}),
        builders=frozenset(builders) if machine else frozenset(),
        custody=custody,
        source=SELF_TRUST,
    )


def _root(keys: tuple[TrustedKey, ...], source: str, *, self_trust: bool = False) -> TrustRoot:
    sha256 = digest.sha256(canonical.encode(trust.document(keys)))
    return TrustRoot(keys, sha256, source, self_trust)
