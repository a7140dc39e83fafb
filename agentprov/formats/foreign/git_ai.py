"""git-ai's authorship log, version 3: the note that hangs on a commit under ``refs/notes/ai``.

Two parts with a line ``---`` between them. The first names files, and under each, indented by two
spaces, a key and line ranges. The second is JSON: `sessions` (keys ``s_`` + 14 hex digits; in the
first part followed by ``::t_`` and a trace), `prompts` (older: 16 or 7 hex digits, with counters
and sometimes the conversation) and `humans` (``h_`` + 14). Later entries of a file win over
earlier ones, as they do for git-ai's own blame. Lines that nobody is named for are untracked.
docs/spec/interop.md is the page.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.formats import canonical
from agentprov.formats.foreign.claims import (
    Author,
    Claim,
    Complaint,
    ForeignRecord,
    git_path,
    model_name,
    plain,
)
from agentprov.formats.value import value

REF = "refs/notes/ai"
SCHEMA = "authorship/3.0.0"
MAX_ENTRIES = 100_000
MAX_RANGES = 1_000_000
MAX_LINE = 2**31 - 1

_SESSION = re.compile(r"(s_[0-9a-f]{14})(?:::t_[0-9a-f]{14})?")
_HUMAN = re.compile(r"h_[0-9a-f]{14}")
_PROMPT = re.compile(r"[0-9a-f]{16}|[0-9a-f]{7}")
_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")


@value
class Written:
    """A session of ours as git-ai's note holds it: `ranges` are (path, start, end)."""

    tool: str
    conversation: str
    model: str
    trace: str
    attributes: Mapping[str, str]
    ranges: tuple[tuple[bytes, int, int], ...]


def parse(data: bytes) -> ForeignRecord:
    """Read a note; raises MalformedInput for what is no authorship log of version 3.

    Entries that cannot be used (a path that git cannot hold, a key or a range that is none) are
    left out with a complaint. Conversations, prompts and people's names are not taken over.
    """
    if len(data) > canonical.MAX_BYTES:
        raise MalformedInput(f"the note has {len(data)} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInput("the note is not UTF-8") from None
    first, divider, second = ("\n" + text).partition("\n---\n")
    if not divider:
        raise MalformedInput("the note has no line --- between its parts")
    metadata = _metadata(second)
    complaints: list[Complaint] = []
    authors: dict[str, Author] = {}
    claims: list[Claim] = []
    for path, key, ranges in _entries(first.removeprefix("\n"), complaints):
        author = _author(key, metadata)
        if author is None:
            complaints.append(Complaint("key-unknown", "a key that git-ai does not make"))
            continue
        authors.setdefault(author.key, author)
        for start, end in _ranges(ranges, complaints):
            claims.append(Claim(path, start, end, author.key))
            if len(claims) > MAX_RANGES:
                raise MalformedInput(f"the note has more than {MAX_RANGES} ranges")
    return ForeignRecord(tuple(authors.values()), tuple(claims), tuple(complaints))


def _metadata(text: str) -> Mapping[str, Any]:
    found = canonical.parse(text.encode("utf-8"), what="the note's second part")
    if not isinstance(found, dict):
        raise MalformedInput("the note's second part is no JSON object")
    if found.get("schema_version") != SCHEMA:
        raise MalformedInput(f"the note's schema_version is not {SCHEMA}")
    return found


def _entries(text: str, complaints: list[Complaint]) -> Iterator[tuple[bytes, str, str]]:
    """Give (path, key, ranges) of each entry line under a path that can be used."""
    path: bytes | None = None
    count = 0
    for raw in text.split("\n"):
        line = raw.rstrip()
        if not line:
            continue
        if not line.startswith("  "):
            quoted = len(line) > 1 and line.startswith('"') and line.endswith('"')
            path = git_path(line[1:-1] if quoted else line)
            if path is None:
                complaints.append(Complaint("path-refused", "a path that git cannot hold"))
            continue
        count += 1
        if count > MAX_ENTRIES:
            raise MalformedInput(f"the note has more than {MAX_ENTRIES} entries")
        key, _, ranges = line[2:].partition(" ")
        if path is not None:
            yield path, key, ranges


def _author(key: str, metadata: Mapping[str, Any]) -> Author | None:
    session = _SESSION.fullmatch(key)
    if session is not None:
        return _named(session[1], _member(metadata, "sessions", session[1]))
    if _HUMAN.fullmatch(key):
        return Author(key, "human")
    if _PROMPT.fullmatch(key):
        return _named(key, _member(metadata, "prompts", key))
    return None


def _named(key: str, record: Mapping[str, Any]) -> Author:
    agent = record.get("agent_id")
    fields = agent if isinstance(agent, dict) else {}
    return Author(key, "agent", plain(fields.get("tool")), None, model_name(fields.get("model")))


def _member(metadata: Mapping[str, Any], group: str, key: str) -> Mapping[str, Any]:
    records = metadata.get(group)
    record = records.get(key) if isinstance(records, dict) else None
    return record if isinstance(record, dict) else {}


def _ranges(text: str, complaints: list[Complaint]) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        start = int(match[1]) if match else 0
        end = int(match[2] or match[1]) if match else 0
        if 1 <= start <= end <= MAX_LINE:
            yield start, end
        elif part:
            complaints.append(Complaint("range-refused", "a line range that is none"))


def session_key(tool: str, conversation: str) -> str:
    """Give git-ai's key of an agent's session: from tool and conversation, the same everywhere."""
    return "s_" + hashlib.sha256(f"{tool}:{conversation}".encode()).hexdigest()[:14]


def can_hold(path: bytes) -> bool:
    """Say whether a note can name this path so that git-ai reads the same one back."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return (
        text == text.rstrip()
        and not text.startswith((" ", '"'))
        and text != "---"
        and (not re.search(r'["\r\n]', text))
    )


def write(commit: str, version: str, sessions: Iterable[Written]) -> bytes:
    """Write the note of a commit; the same sessions give the same bytes.

    Paths that `can_hold` refuses are left out.
    """
    files: dict[bytes, dict[str, list[tuple[int, int]]]] = {}
    records: dict[str, Any] = {}
    for session in sessions:
        key = session_key(session.tool, session.conversation)
        records[key] = {
            "agent_id": {
                "tool": session.tool,
                "id": session.conversation,
                "model": session.model,
            },
            "human_author": None,
            "custom_attributes": dict(session.attributes),
        }
        for path, start, end in session.ranges:
            if can_hold(path):
                entry = f"{key}::t_{session.trace[:14]}"
                files.setdefault(path, {}).setdefault(entry, []).append((start, end))
    lines: list[str] = []
    for path in sorted(files):
        name = path.decode("utf-8")
        lines.append(f'"{name}"' if re.search(r"\s", name) else name)
        lines += [f"  {key} {_spelled(ranges)}" for key, ranges in sorted(files[path].items())]
    metadata = {
        "schema_version": SCHEMA,
        "git_ai_version": f"agentprov-{version}",
        "base_commit_sha": commit,
        "prompts": {},
        "sessions": records,
    }
    body = json.dumps(metadata, indent=2, sort_keys=False, ensure_ascii=False)
    return "\n".join([*lines, "---", body]).encode("utf-8")


def _spelled(ranges: Iterable[tuple[int, int]]) -> str:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in joined)
