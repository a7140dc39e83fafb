"""Writes the bundles of one commit to files, as other verifiers take them.

Nothing is verified and nothing is written anew: a file holds the stored line, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentprov.errors import MalformedInput, UserError
from agentprov.flows import verify as verifying
from agentprov.flows.world import World
from agentprov.formats import bundle, statement
from agentprov.system.files import atomic_write

SUFFIX = ".sigstore.json"
OTHER = "other"


@dataclass(frozen=True)
class BundleFile:
    """One bundle in a file: what it states, its payload's digest, and whose key it hints at."""

    kind: str
    payload_sha256: str
    hint: str | None
    file: Path


@dataclass(frozen=True)
class Export:
    """What was written of one commit, sorted by kind and digest."""

    commit: str
    files: tuple[BundleFile, ...]


def export(world: World, revision: str, folder: Path) -> Export:
    """Write what is recorded of a commit to `folder`, one file per bundle.

    That is what hangs on the commit, what links say that it was made of, and the plans and
    sessions that these belong to, wherever they hang. A file is named after the kind and the
    payload's digest; further signatures of one payload are numbered. Files of the same name are
    replaced, others stay. Lines that are no bundles are left out. Raises UserError. Checks no
    signature.
    """
    commit = world.git.resolve(revision)
    if commit is None:
        raise UserError(f"{revision!r} is no commit here", hint="name a commit, such as HEAD")
    files: dict[str, BundleFile] = {}
    for line in sorted(set(verifying.lines_about(world, commit))):
        try:
            parsed = bundle.parse(line)
        except MalformedInput:
            continue
        kind = _kind(parsed.payload)
        stem = f"{kind}-{parsed.payload_sha256[:16]}"
        names = (stem, *(f"{stem}-{number}" for number in range(2, len(files) + 2)))
        name = next(name for name in names if name not in files)
        file = folder / (name + SUFFIX)
        try:
            atomic_write(file, line + b"\n", mode=0o644, fsync=False, make_parent=True)
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror}") from error
        files[name] = BundleFile(kind, parsed.payload_sha256, parsed.hint, file)
    return Export(commit, tuple(files[name] for name in sorted(files)))


def document(exported: Export) -> dict[str, object]:
    """Give what was exported as the JSON that scripts read (docs/spec/json-output.md)."""
    return {
        "schema": "agentprov-bundles/1",
        "commit": exported.commit,
        "bundles": [
            {
                "kind": item.kind,
                "digest": {"sha256": item.payload_sha256},
                "hint": item.hint,
                "file": str(item.file),
            }
            for item in exported.files
        ],
    }


def _kind(payload: bytes) -> str:
    try:
        return statement.parse(payload).kind or OTHER
    except MalformedInput:
        return OTHER
