"""Gathers what a report page holds: the verdict, signed bundles as they are, and files' bytes.

What the page shows of the records it reads out of the bundles by itself, so nothing is laid out
for it here. Commit subjects and authors are git's word, the verdict is this machine's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentprov.errors import MalformedInput, UserError
from agentprov.flows import verify as verifying
from agentprov.flows.world import World
from agentprov.formats.names import label_path, path_label
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.system.files import write_for_user
from agentprov.system.git_objects import CatFile, read_commit
from agentprov.verify.judge import Judgement
from agentprov.verify.output import verdict_json
from agentprov.verify.record import Entry, Record

SCHEMA = "agentprov-report/1"
MAX_COMMITS = 500
MAX_BESIDE = 500
MAX_FILE_BYTES = 512 * 1024
MAX_CONTENT_BYTES = 8 * 1024 * 1024


def collect(
    world: World,
    words: Sequence[str],
    trust_file: Path | None = None,
    *,
    with_content: bool = True,
) -> dict[str, Any]:
    """Judge revisions or ranges and gather what a page about them needs.

    `bundles` are the lines as they were signed: those of accepted records, and the others of their
    sessions, up to MAX_BESIDE. `files` are the changed files with content in base64, up to
    MAX_FILE_BYTES each and MAX_CONTENT_BYTES in all. Raises UserError, ConfigurationInvalid.
    """
    with world.git.cat_file() as reader:
        targets = verifying.resolve(world.git, words, reader)
        if len(targets.commits) > MAX_COMMITS:
            raise UserError(
                f"a page holds at most {MAX_COMMITS} commits, these are {len(targets.commits)}",
                hint="name a shorter range",
            )
        root = verifying.trust_for(world, trust_file, reader)
    judgement = verifying.judge_targets(world, targets, root, entire=True)
    verdict = verdict_json(judgement.verdict)
    bundles, partial = _bundles(judgement)
    with world.git.cat_file() as reader:
        return {
            "schema": SCHEMA,
            "target": targets.text,
            "verdict": verdict,
            "keys": [
                {
                    "publicKey": base64.b64encode(key.spki).decode(),
                    "person": key.person,
                    "roles": sorted(key.roles),
                    "source": key.source,
                }
                for key in root.keys
            ],
            "bundles": bundles,
            "partial": partial,
            "commits": [_commit(reader, item) for item in verdict["commits"]],
            "files": list(_files(reader, judgement)) if with_content else [],
        }


def write(page: str, place: Path) -> None:
    """Write a page to a file, whole or not at all; raises UserError."""
    write_for_user(place, page.encode("utf-8"))


def _bundles(judgement: Judgement) -> tuple[list[str], bool]:
    """Give the lines of the records that count, and whether others of their sessions are left."""
    counting = {
        part.payload_sha256 for entry in _counting(judgement) for part in entry.everything()
    }
    found: dict[bytes, bool] = {}
    for record in judgement.case.records:
        digest = _payload(record)
        if digest is not None:
            found[record.data] = digest in counting
    everything = len(found) <= MAX_BESIDE + len(counting)
    lines = [line for line, counts in found.items() if counts or everything]
    return [line.decode("utf-8") for line in lines], not everything


def _counting(judgement: Judgement) -> Iterable[Entry]:
    return (*judgement.accepted, *judgement.decided)


def _payload(record: Record) -> str | None:
    try:
        record.reading.statement()
        return record.reading.bundle().payload_sha256
    except MalformedInput:
        return None


def _commit(reader: CatFile, verdict: dict[str, Any]) -> dict[str, Any]:
    commit = read_commit(reader, verdict["commit"])
    return {
        "commit": commit.oid,
        "subject": commit.message.split("\n", 1)[0],
        "author": commit.author.rsplit(" ", 2)[0],
        "committedAt": _time(commit.committed),
        "coverage": verdict["coverage"],
        "approvals": [item["digest"]["sha256"] for item in verdict["approvals"]],
    }


def _time(seconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def _files(reader: CatFile, judgement: Judgement) -> Iterator[dict[str, Any]]:
    """Give the bytes of the files that accepted records speak of, as far as they are small."""
    paths: dict[str, set[bytes]] = {}
    for entry in judgement.accepted:
        if isinstance(entry.view, GenerationView | RewriteView):
            of = paths.setdefault(entry.view.commit, set())
            of.update(label_path(change.path) for change in entry.view.changes if change.blob)
    left = MAX_CONTENT_BYTES
    for facts in judgement.case.commits:
        for path in sorted(paths.get(facts.oid, ())):
            blob = facts.diffs[path].new_blob if path in facts.diffs else None
            found = reader.digest(blob, keep=MAX_FILE_BYTES) if blob else None
            content = found.content if found is not None and found.kind == "blob" else None
            if content is None or len(content) > left:
                continue
            left -= len(content)
            yield {
                "commit": facts.oid,
                "path": path_label(path),
                "content": base64.b64encode(content).decode(),
            }


__all__ = ["MAX_COMMITS", "SCHEMA", "collect", "write"]
