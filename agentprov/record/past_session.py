"""A past session of Claude Code or Codex, read from its transcript, against commits.

A transcript is the agent's own word, and whoever can write the file can write it. What it says was
written is looked for among the lines that commits added at the same paths, after the write; text
that was found once is not found again in a later commit. Nothing of its text leaves this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from agentprov.errors import UserError
from agentprov.formats.facts import Change, Commit, Edit, LineRange, ModelUse, Source
from agentprov.formats.foreign.claims import git_path, model_name, plain
from agentprov.formats.lineage import is_distinctive
from agentprov.record.accounts import Circumstances
from agentprov.record.agents.claude_transcript import Transcript
from agentprov.record.agents.codex_rollout import Rollouts
from agentprov.record.agents.reading import MAX_FILE
from agentprov.record.describe import Evidence, describe
from agentprov.record.versions import instant
from agentprov.system.files import open_regular, sha256_of_descriptor
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, read_commit

CLOCK_SLACK = timedelta(minutes=5)
NOT_TOLD = "not-in-the-transcript"
TranscriptFormat = Literal["claude-transcript", "codex-transcript"]
_AGENTS: Mapping[TranscriptFormat, str] = {
    "claude-transcript": "claude-code",
    "codex-transcript": "codex",
}


@dataclass(frozen=True)
class PastSession:
    """What a transcript says: the agent, its models, and its writes by git path, oldest first.

    `elsewhere` is how many writes went to places outside the work tree. `started` and `finished`
    are the times of the first and last write (RFC 3339), None without any.
    """

    agent: str
    sources: tuple[Source, ...]
    models: tuple[ModelUse, ...]
    writes: Mapping[bytes, tuple[Edit, ...]]
    elsewhere: int
    started: str | None
    finished: str | None


def read(path: Path, format_: TranscriptFormat, tops: Sequence[str]) -> PastSession:
    """Read a transcript, and for Claude Code those of the subagents beside it.

    `tops` are the places where the work tree lay, as the session named it. Raises UserError for a
    file that cannot be read, or that changes meanwhile because its session still runs.
    """
    files = [path, *(_subagents(path) if format_ == "claude-transcript" else ())]
    before = [_digest(file) for file in files]
    if format_ == "claude-transcript":
        transcript = Transcript(None)
        transcript.read(path)
        edits, models = transcript.edits({}), transcript.models()
    else:
        rollouts = Rollouts(None)
        rollouts.read(path)
        edits, models = rollouts.edits(), rollouts.models()
    if [_digest(file) for file in files] != before:
        raise UserError(
            f"{path} changed while it was read", hint="import a session when it has ended"
        )
    writes: dict[bytes, list[Edit]] = {}
    elsewhere = 0
    for edit in edits:
        inside = _inside(edit.path, tops)
        if inside is None:
            elsewhere += 1
        else:
            model = model_name(edit.model)
            writes.setdefault(inside, []).append(replace(edit, model=model.name if model else None))
    times = sorted(edit.at for kept in writes.values() for edit in kept if edit.at)
    return PastSession(
        agent=_AGENTS[format_],
        sources=tuple(Source(format_, digest) for digest in before),
        models=tuple(_plain_models(models)),
        writes={name: tuple(kept) for name, kept in writes.items()},
        elsewhere=elsewhere,
        started=times[0] if times else None,
        finished=times[-1] if times else None,
    )


def _subagents(path: Path) -> list[Path]:
    folder = path.with_suffix("") / "subagents"
    try:
        names = sorted(os.listdir(folder))[:10_000]
    except (OSError, ValueError):
        return []
    return [
        folder / name
        for name in names
        if name.startswith("agent-") and name.endswith(".jsonl") and (folder / name).is_file()
    ]


def _digest(path: Path) -> str:
    try:
        descriptor = open_regular(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    try:
        if os.fstat(descriptor).st_size > MAX_FILE:
            raise UserError(f"{path} is larger than {MAX_FILE} bytes")
        return sha256_of_descriptor(descriptor)[0]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _inside(place: str, tops: Sequence[str]) -> bytes | None:
    """Give the git path of a place, by its text alone: nothing is looked up on disk."""
    named = place.replace("\\", "/")
    for top in tops:
        root = top.replace("\\", "/").rstrip("/") + "/"
        if named.startswith(root):
            return git_path(named[len(root) :])
    return None


def _plain_models(models: Sequence[ModelUse]) -> Iterator[ModelUse]:
    """Give the models without what a transcript should not be able to put into a statement."""
    for use in models:
        served, requested = model_name(use.served), model_name(use.requested)
        yield replace(
            use,
            provider=plain(use.provider) or "unknown",
            served=served.name if served else None,
            requested=requested.name if requested else None,
            why=use.why or (None if served else "the transcript names no model"),
        )


class Matcher:
    """Finds a past session's writes in commits, which are to be given oldest first."""

    def __init__(self, git: Git, reader: CatFile, session: PastSession) -> None:
        self._git = git
        self._reader = reader
        self._left = {path: list(edits) for path, edits in session.writes.items()}

    def bind(self, oid: str) -> Commit | None:
        """State what of a commit came out of the session, or None; raises GitFailed."""
        commit = read_commit(self._reader, oid)
        made = instant_of(commit.committed)
        if made is None:
            return None
        edits = {
            path: found
            for path, kept in self._left.items()
            if (found := [edit for edit in kept if _by(edit, made)])
        }
        if not edits:
            return None
        base = self._git.empty_tree
        if commit.parents:
            base = read_commit(self._reader, commit.parents[0]).tree
        described = describe(
            self._git,
            self._reader,
            oid,
            Evidence(
                baseline_tree=base,
                edits=edits,
                limited_to=frozenset(edits),
                circumstances=Circumstances(why_not=NOT_TOLD),
            ),
            sequence=1,
            ref=None,
            during=True,
        )
        changes = []
        for change in described.changes:
            ranges = tuple(map(_reported, change.ranges))
            if any(item.origin == "model" for item in ranges):
                changes.append(replace(change, ranges=ranges))
                self._use_up(change, ranges)
        return replace(described, changes=tuple(changes)) if changes else None

    def _use_up(self, change: Change, ranges: Sequence[LineRange]) -> None:
        """Take the lines that were found out of what is still looked for."""
        found = self._reader.get(change.blob or "")
        lines = found[1].split(b"\n") if found is not None else []
        used = {
            line.rstrip()
            for item in ranges
            if item.origin == "model"
            for line in lines[item.start - 1 : item.end]
        }
        left = []
        for edit in self._left.get(change.path, ()):
            kept = _without(edit.text, used)
            if any(is_distinctive(_key(line)) for line in kept):
                left.append(replace(edit, text="\n".join(kept), replaces=None))
        self._left[change.path] = left


def _without(text: str, used: set[bytes]) -> list[str]:
    return [
        line
        for line in text.split("\n")
        if _key(line) not in used or not is_distinctive(_key(line))
    ]


def _key(line: str) -> bytes:
    return line.rstrip().encode("utf-8", "replace")


def _by(edit: Edit, made: datetime) -> bool:
    return edit.at is None or instant(edit.at) <= made + CLOCK_SLACK


def instant_of(seconds: int) -> datetime | None:
    """Give the time of a commit, or None for one outside of the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _reported(item: LineRange) -> LineRange:
    """Keep what a transcript can know: its own writes. All else is unknown, and by its word."""
    if item.origin == "model":
        return replace(item, basis="reported")
    return replace(item, origin="unknown", basis="reported", model=None, why=item.why or NOT_TOLD)
