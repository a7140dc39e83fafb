"""Foreign records laid over a real repository: notes, traces and transcripts made for a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agentprov.flows.trust import trust_text
from agentprov.system import places
from support.repository import Repository

IMPORT = "https://agentprov.github.io/builders/transcript-import/v0.1"
LOCAL = "https://agentprov.github.io/builders/local-wrapper/v0.1"
SESSION = "s_1b36c35afd9ad7"
AT = "2025-03-01T10:00:00Z"
LATER = "2025-03-01T11:00:00Z"


def trust_listing_imports(place: Path) -> Path:
    """Write a trust file of this user's keys in which the recorder may speak for imports."""
    place.write_text(trust_text(places.home(), "ada").replace(LOCAL, f"{LOCAL}\n  - {IMPORT}"))
    return place


def commit_at(repository: Repository, when: str, message: str = "change") -> str:
    """Commit everything with this committer time."""
    repository.git("add", "-A")
    repository.git("-c", "user.name=T", "commit", "-q", "--allow-empty", "-m", message)
    tree = repository.git("rev-parse", "HEAD^{tree}")
    parents = repository.git("rev-list", "--parents", "-n1", "HEAD").split()[1:]
    seconds = _seconds(when)
    head = "".join([f"tree {tree}\n", *(f"parent {parent}\n" for parent in parents)])
    who = f"T <t@example.com> {seconds} +0000"
    raw = f"{head}author {who}\ncommitter {who}\n\n{message}\n".encode()
    made = repository.git("hash-object", "-t", "commit", "-w", "--stdin", input=raw)
    repository.git("reset", "-q", "--soft", made)
    return made


def _seconds(when: str) -> int:
    return int(datetime.fromisoformat(when).timestamp())


def git_ai_note(
    repository: Repository,
    commit: str,
    entries: str,
    *,
    tool: str = "claude",
    model: str = "claude-opus-5",
    ref: str = "ai",
) -> bytes:
    """Hang a note of git-ai's on a commit; `entries` is its first part."""
    metadata = {
        "schema_version": "authorship/3.0.0",
        "git_ai_version": "1.7.4",
        "base_commit_sha": commit,
        "prompts": {},
        "sessions": {SESSION: {"agent_id": {"tool": tool, "id": "7b1d", "model": model}}},
        "humans": {"h_9e71e8b09f7cf2": {"author": "Jo <jo@example.com>"}},
    }
    note = f"{entries}---\n{json.dumps(metadata, indent=2)}".encode()
    repository.git("notes", f"--ref={ref}", "add", "-f", "-F", "-", commit, input=note)
    return note


def trace(revision: str, files: Sequence[dict[str, Any]], **members: Any) -> dict[str, Any]:
    """Give an Agent Trace record."""
    return {
        "version": "0.1.0",
        "id": "0b2f4d9c-6b0e-4a52-9f58-2f9a4d1f7c10",
        "timestamp": AT,
        "vcs": {"type": "git", "revision": revision},
        "tool": {"name": "cursor", "version": "2.4.0"},
        "files": list(files),
        **members,
    }


def file_of(
    path: str, *ranges: dict[str, Any], kind: str = "ai", model: str = "openai/gpt-5"
) -> Any:
    """Give a file of an Agent Trace record, with one conversation."""
    contributor = {"type": kind, **({"model_id": model} if model else {})}
    return {"path": path, "conversations": [{"contributor": contributor, "ranges": list(ranges)}]}


def claude_transcript(
    place: Path, writes: Sequence[tuple[str, str]], *, cwd: str, at: str = AT
) -> Path:
    """Write a transcript of Claude Code in which these files were written with these texts."""
    lines: list[dict[str, Any]] = []
    for number, (path, text) in enumerate(writes):
        common = {"timestamp": at, "sessionId": "4f1c", "cwd": cwd, "isSidechain": False}
        use = {
            "type": "tool_use",
            "id": f"toolu_{number}",
            "name": "Write",
            "input": {"file_path": path, "content": text},
        }
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "done"}
        message = {
            "id": f"msg_{number}",
            "role": "assistant",
            "model": "claude-opus-5",
            "usage": {"input_tokens": 3, "output_tokens": 4},
            "content": [{"type": "text", "text": "token=hunter2-hunter2"}, use],
        }
        lines.append({"type": "assistant", "message": message, **common})
        lines.append({"type": "user", "message": {"role": "user", "content": [result]}, **common})
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return place


def codex_rollout(place: Path, patch: str, *, cwd: str, at: str = AT) -> Path:
    """Write a rollout of Codex in which this patch was applied."""
    payloads = [
        ("session_meta", {"id": "0199", "cwd": cwd, "model_provider": "openai"}),
        ("turn_context", {"cwd": cwd, "model": "gpt-5-codex"}),
        (
            "response_item",
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": patch},
        ),
        (
            "response_item",
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "Exit code: 0\nok"},
        ),
        ("token_usage_record", {"response_id": "r1", "usage": {"input_tokens": 1}}),
    ]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(
        "".join(
            json.dumps({"timestamp": at, "type": kind, "payload": payload}) + "\n"
            for kind, payload in payloads
        ),
        encoding="utf-8",
    )
    return place
