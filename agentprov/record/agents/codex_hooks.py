"""Codex's hooks for one run: by ``-c``, trusted for this run by the digests that Codex asks for.

Measured with Codex 0.169.0. A hook runs only if the user has trusted its definition: the
sha256 of its canonical JSON, kept as ``hooks.state`` in the user's settings. Given by ``-c``
beside the hooks, that is true of ours alone and for this run alone; hooks of the user and the
repository are trusted or not as before, and no file is written. A Codex that computes another
digest runs none of ours, which the session tells (``hooks-silent``).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from agentprov.formats.dropbox import Drop
from agentprov.record.agents import codex_settings
from agentprov.record.agents.reading import absolute, json_object, text

CHANNEL = "codex"
# As they are called in settings, and in the keys of the state.
EVENTS = {
    "SessionStart": "session_start",
    "PostToolUse": "post_tool_use",
    "SubagentStart": "subagent_start",
    "SubagentStop": "subagent_stop",
}
TIMEOUT_SECONDS = 10
_PLACE = "/<session-flags>/config.toml"


@dataclass
class Told:
    """What the hooks of a session said: its ids, its rollouts, and the tools that were done."""

    sessions: dict[str, None] = field(default_factory=dict)
    rollouts: dict[str, None] = field(default_factory=dict)
    done: list[Mapping[str, Any]] = field(default_factory=list)


def options(words: Sequence[str], spool_script: Path) -> list[str]:
    """Give the options that set and trust the hooks; none beside hooks on the user's own line.

    `words` are the agent's own. Two ``-c`` for one key do not add up, and ours would be the last.
    """
    if codex_settings.given(words).get("hooks") is not None:
        return []
    found: list[str] = []
    states: list[str] = []
    for event, key in EVENTS.items():
        # Status 2 would block the tool, and text on stdout would reach the model.
        spool = shlex.join(["/bin/sh", str(spool_script), CHANNEL, event])
        command = f"{spool} >/dev/null 2>&1 || :"
        quoted = codex_settings.quoted(command)
        hook = f'{{type="command",command={quoted},timeout={TIMEOUT_SECONDS}}}'
        found += ["-c", f"hooks.{event}=[{{hooks=[{hook}]}}]"]
        digest = _digest(key, command)
        states.append(f'"{_PLACE}:{key}:0:0"={{trusted_hash="{digest}"}}')
    return [*found, "-c", f"hooks.state={{{','.join(states)}}}"]


def _digest(key: str, command: str) -> str:
    hook = {"async": False, "command": command, "timeout": TIMEOUT_SECONDS, "type": "command"}
    identity = {"event_name": key, "hooks": [hook]}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def read(drops: Iterable[Drop]) -> Told:
    """Take in what the hooks dropped; skips what is not as expected."""
    told = Told()
    for drop in drops:
        if drop.channel != CHANNEL or drop.event not in EVENTS:
            continue
        payload = json_object(drop.payload)
        session = text(payload.get("session_id"))
        if session is None:
            continue
        told.sessions.setdefault(session)
        for name in ("transcript_path", "agent_transcript_path"):
            path = absolute(payload.get(name), None)
            if path:
                told.rollouts.setdefault(path)
        if drop.event == "PostToolUse":
            told.done.append(payload)
    return told
