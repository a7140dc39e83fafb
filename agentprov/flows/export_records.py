"""Writes what is verified here in the formats of other tools: git-ai's notes, Agent Trace records.

Only records that hold go out, and none that was imported: those exist in their own form. What
the other format cannot say (how a claim is known, which statement it stands in) goes into the
place that it leaves for others. docs/spec/interop.md is the page.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agentprov
from agentprov.errors import UsageError
from agentprov.flows import verify as verifying
from agentprov.flows.show import shown
from agentprov.flows.world import World
from agentprov.formats.foreign import agent_trace, content_hash, git_ai
from agentprov.formats.foreign.claims import Complaint
from agentprov.formats.names import NOTES_REF, label_path
from agentprov.formats.vocabulary import BASES
from agentprov.store.notes import IDENTITY, NotesStore
from agentprov.system.files import write_for_user
from agentprov.system.git_objects import CatFile
from agentprov.verify.authority import is_import
from agentprov.verify.finding import CommitVerdict
from agentprov.verify.judge import Judgement
from agentprov.verify.trust import TrustRoot

SCHEMA = "agentprov-export/1"
FORMATS = ("git-ai", "agent-trace")
_REFUSED = frozenset({NOTES_REF, "refs/notes/commits"})
_KINDS: Mapping[str, str] = {
    "model": "ai",
    "agent": "ai",
    "command": "ai",
    "human": "human",
    "unknown": "unknown",
}


@dataclass(frozen=True)
class StatedLines:
    """Lines of a file as a statement that holds puts them down; `path` is a label."""

    path: str
    start: int
    end: int
    origin: str
    basis: str
    model: str | None


@dataclass(frozen=True)
class StatedSession:
    """What one session's generation says of one commit, with all that it stands on verified.

    `generation` is the payload digest of its first part; `model` is provider and served id of
    the main model, where exactly one is known. `related` are (kind, payload digest) of plans and
    approvals.
    """

    commit: str
    session: str
    builder: str
    generation: str
    started: str
    agent: str
    agent_version: str | None
    model: tuple[str, str] | None
    providers: Mapping[str, str]
    lines: tuple[StatedLines, ...]
    related: tuple[tuple[str, str], ...]

    @property
    def grade(self) -> str:
        """Give the weakest basis on which any of the lines is known."""
        found = {item.basis for item in self.lines}
        return next((basis for basis in BASES if basis in found), "declared")


@dataclass
class Exported:
    """What an export came to: commits that were written, and what was left out and why."""

    format: str
    place: str
    written: list[str] = field(default_factory=list)
    sessions: int = 0
    imports: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    complaints: dict[tuple[str, Complaint], None] = field(default_factory=dict)


def stated_sessions(judgement: Judgement) -> Iterator[StatedSession]:
    """Give what holds of the judged commits, session by session: the one way out of here."""
    for verdict in judgement.verdict.commits:
        if not verdict.generations:
            continue
        for session in shown(judgement, verdict.commit)["sessions"]:
            yield _stated(verdict, session)


def _stated(verdict: CommitVerdict, session: Mapping[str, Any]) -> StatedSession:
    parts = [item for item in verdict.generations if item.session == session["id"]]
    served = [model for model in session["models"] if model["served"] is not None]
    main = [model for model in served if model["role"] in ("main", None)]
    related = [("plan", item.statement_sha256) for item in verdict.plans]
    related += [
        ("approval", item.sha256)
        for item in verdict.approvals
        if item.valid and item.decision == "approved"
    ]
    return StatedSession(
        commit=verdict.commit,
        session=session["id"],
        builder=session["builder"],
        generation=min(parts, key=lambda item: item.part).sha256,
        started=session["startedAt"],
        agent=session["agent"]["name"] or "unknown",
        agent_version=session["agent"]["version"],
        model=(main[0]["provider"], main[0]["served"]) if len(main) == 1 else None,
        providers={model["served"]: model["provider"] for model in served},
        lines=tuple(
            StatedLines(
                file["path"],
                item["start"],
                item["end"],
                item["origin"],
                item["basis"],
                item["model"],
            )
            for file in session["files"]
            for item in file["ranges"]
        ),
        related=tuple(related),
    )


def export(
    world: World,
    words: Sequence[str],
    root: TrustRoot,
    format_: str,
    *,
    ref: str = git_ai.REF,
    output: Path | None = None,
) -> Exported:
    """Write the verified records of revisions and ranges in another tool's format.

    git-ai goes to its notes ref, where no note that stands there is touched; Agent Trace goes to
    a file of JSON lines, or only into the result. Raises UsageError, UserError, GitFailed.
    """
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: it is one of {', '.join(FORMATS)}")
    if format_ == "git-ai" and (not ref.startswith("refs/notes/") or ref in _REFUSED):
        raise UsageError(f"--ref {ref}: git-ai's notes go to a ref of their own under refs/notes/")
    if format_ == "git-ai" and output is not None:
        raise UsageError("--output goes with --format agent-trace; git-ai's notes go to --ref")
    targets = verifying.resolve(world.git, words)
    if targets.bundles:
        raise UsageError("export takes revisions and ranges, no files")
    judgement = verifying.judge_targets(world, targets, root)
    made = Exported(format_, ref if format_ == "git-ai" else str(output) if output else "-")
    sessions = []
    for session in stated_sessions(judgement):
        if is_import(session.builder):
            made.imports += 1
        else:
            sessions.append(session)
    writers: Mapping[str, Callable[[], None]] = {
        "git-ai": lambda: _to_notes(world, sessions, ref, made),
        "agent-trace": lambda: _to_records(world, sessions, output, made),
    }
    writers[format_]()
    return made


def _to_notes(world: World, sessions: Iterable[StatedSession], ref: str, made: Exported) -> None:
    by_commit: dict[str, list[StatedSession]] = {}
    for session in sessions:
        by_commit.setdefault(session.commit, []).append(session)
    taken = NotesStore(world.git, ref=ref).blobs(ref)
    notes: dict[str, bytes] = {}
    for commit, found in by_commit.items():
        if commit in taken:
            there = Complaint("note-exists", "a note of git-ai's stands there and was left alone")
            made.complaints.setdefault((commit, there))
            continue
        for session in found:
            for path in {item.path for item in session.lines}:
                if not git_ai.can_hold(label_path(path)):
                    odd = Complaint("path-refused", "a path that git-ai's notes cannot name")
                    made.complaints.setdefault((commit, odd))
        notes[commit] = git_ai.write(commit, agentprov.__version__, map(_note_of, found))
        made.sessions += len(found)
    if notes:
        _add_notes(world, ref, notes)
    made.written = list(notes)


def _note_of(session: StatedSession) -> git_ai.Written:
    return git_ai.Written(
        tool=session.agent,
        conversation=session.session,
        model=session.model[1] if session.model else "unknown",
        trace=session.generation,
        attributes={
            "agentprov.generation": f"sha256:{session.generation}",
            "agentprov.builder": session.builder,
            "agentprov.basis": session.grade,
        },
        ranges=tuple(
            (label_path(item.path), item.start, item.end)
            for item in session.lines
            if _KINDS[item.origin] == "ai"
        ),
    )


def _add_notes(world: World, ref: str, notes: Mapping[str, bytes]) -> None:
    """Add notes by git's own importer, which keeps the layout and refuses a ref that moved on."""
    seconds = int(world.clock.now().timestamp())
    message = b"Export verified records"
    stream = [
        f"commit {ref}\ncommitter {IDENTITY} {seconds} +0000\ndata {len(message)}\n".encode(),
        message + b"\n",
    ]
    if world.git.text("rev-parse", "--verify", "--quiet", ref, check=False):
        stream.append(f"from {ref}^0\n".encode())
    for commit, body in notes.items():
        stream.append(f"N inline {commit}\ndata {len(body)}\n".encode() + body + b"\n")
    world.git.run("fast-import", "--quiet", "--done", input=b"".join([*stream, b"done\n"]))


def _to_records(
    world: World, sessions: Iterable[StatedSession], output: Path | None, made: Exported
) -> None:
    with world.git.cat_file() as reader:
        for session in sessions:
            for path in {item.path for item in session.lines}:
                if not _nameable(path):
                    odd = Complaint("path-refused", "a path that a record cannot name")
                    made.complaints.setdefault((session.commit, odd))
            made.records.append(_record(reader, session))
            made.sessions += 1
            if session.commit not in made.written:
                made.written.append(session.commit)
    if output is not None:
        body = b"".join(line_of(record) + b"\n" for record in made.records)
        write_for_user(output, body, fsync=False)


def line_of(record: Mapping[str, Any]) -> bytes:
    """Give a record as the one line that is stored."""
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _record(reader: CatFile, session: StatedSession) -> dict[str, Any]:
    lines: dict[str, list[bytes]] = {}
    said = []
    for item in session.lines:
        if not _nameable(item.path):
            continue
        if item.path not in lines:
            lines[item.path] = _lines(reader, session.commit, label_path(item.path))
        kind = _KINDS[item.origin]
        said.append(
            agent_trace.Said(
                path=item.path,
                start=item.start,
                end=item.end,
                content_hash=content_hash.of(lines[item.path][item.start - 1 : item.end]),
                kind=kind,
                model_id=_model_id(session, item) if kind == "ai" else None,
                origin=item.origin,
                basis=item.basis,
            )
        )
    return agent_trace.write(
        statement_sha256=session.generation,
        commit=session.commit,
        written=session.started.removesuffix("+00:00") + "Z",
        tool=session.agent,
        tool_version=session.agent_version or "unknown",
        ranges=said,
        related=[(kind, f"urn:agentprov:statement:{sha256}") for kind, sha256 in session.related],
        ours={"session": session.session, "builder": session.builder, "basis": session.grade},
    )


def _nameable(label: str) -> bool:
    """Say whether a path is text that git takes as the name of an object in a commit."""
    return label_path(label) == label.encode("utf-8") and "\n" not in label


def _model_id(session: StatedSession, item: StatedLines) -> str | None:
    """Give ``provider/model`` of a line: its own model, else the session's only main one."""
    if item.model is not None:
        found = f"{session.providers.get(item.model, 'unknown')}/{item.model}"
    elif session.model is not None and item.origin == "model":
        found = "/".join(session.model)
    else:
        return None
    return found if len(found) <= 250 else None


def _lines(reader: CatFile, commit: str, path: bytes) -> list[bytes]:
    found = reader.get(f"{commit}:{os.fsdecode(path)}")
    lines = found[1].split(b"\n") if found is not None and found[0] == "blob" else []
    if lines and not lines[-1]:
        lines.pop()
    return lines


def document(made: Exported) -> dict[str, object]:
    """Give what was exported as the JSON that scripts read (docs/spec/json-output.md)."""
    return {
        "schema": SCHEMA,
        "format": made.format,
        "place": made.place,
        "commits": made.written,
        "sessions": made.sessions,
        "importsLeftOut": made.imports,
        "records": made.records if made.place == "-" else [],
        "findings": [
            {"subject": subject, "code": complaint.code, "message": complaint.detail}
            for subject, complaint in made.complaints
        ],
    }
