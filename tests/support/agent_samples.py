"""Samples of what real agents left behind, laid out as they lay: see tests/data/agents.

They were captured from runs of Claude Code 2.1.330 and Codex 0.169.0 against the scripted
model, and cut down to the lines and fields that matter; ``/sample`` stands for the folder that
holds the repository and the agent's home.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentprov.formats.dropbox import Drop
from agentprov.ports import LaunchContext

DATA = Path(__file__).resolve().parents[1] / "data" / "agents"
STARTED = "2026-11-24T18:46:00Z"


def lines(name: str, base: Path) -> list[dict[str, Any]]:
    """Give the objects of a sample, with `base` in the place of ``/sample``."""
    text = (DATA / name).read_text(encoding="utf-8").replace("/sample", base.as_posix())
    return [json.loads(line) for line in text.splitlines()]


def context(base: Path, *argv: str, started: str = STARTED, **environment: str) -> LaunchContext:
    """Give the context of a run in ``base/repo`` by a user whose home is ``base/home``."""
    for name in ("repo", "home", "scratch"):
        (base / name).mkdir(exist_ok=True)
    return LaunchContext(
        argv=argv,
        cwd=base / "repo",
        top=base / "repo",
        home=base / "home",
        environment=environment,
        scratch=base / "scratch",
        spool_script=base / "spool.sh",
        started=started,
    )


def put(path: Path, objects: list[dict[str, Any]], *, at: str = STARTED) -> Path:
    """Write JSON lines to a file that was last changed after `at`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8")
    seconds = datetime.fromisoformat(at).astimezone(UTC).timestamp() + 5
    os.utime(path, (seconds, seconds))
    return path


def put_claude(base: Path, main: list[dict[str, Any]] | None = None) -> Path:
    """Lay out the transcripts of the Claude Code sample; give the main one's path."""
    main = lines("claude-main.jsonl", base) if main is None else main
    session = main[0]["sessionId"]
    project = re.sub(r"[^A-Za-z0-9]", "-", str(base / "repo"))
    folder = base / "home" / ".claude" / "projects" / project
    put(folder / session / "subagents" / "agent-1.jsonl", lines("claude-subagent.jsonl", base))
    return put(folder / f"{session}.jsonl", main)


def claude_drops(base: Path) -> list[Drop]:
    """Give the hook events of the Claude Code sample, pointing to where `put_claude` puts it."""
    transcript = str(put_claude(base))
    drops = []
    for line in lines("claude-hooks.jsonl", base):
        payload = {**line["payload"], "transcript_path": transcript}
        drops.append(Drop("claude-code", line["event"], json.dumps(payload).encode()))
    return drops


def put_codex(base: Path, *names: str) -> list[Path]:
    """Lay out rollouts under CODEX_HOME as Codex does; give their paths."""
    folder = base / "home" / ".codex" / "sessions" / "2026" / "11" / "24"
    found = []
    for name in names:
        objects = lines(f"{name}.jsonl", base)
        found.append(put(folder / f"rollout-{objects[0]['payload']['id']}.jsonl", objects))
    return found
