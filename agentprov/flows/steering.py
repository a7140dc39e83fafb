"""What steered an agent, held at its end against what it was at its beginning."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from agentprov.formats.facts import Material, PlanRef


def changed(before: Iterable[Material], after: Iterable[Material]) -> Iterator[str]:
    """Name the instructions, settings and hooks that differ, but for what is the agent's own."""
    then = {(one.role, one.label): one.sha256 for one in before}
    now = {(one.role, one.label): one.sha256 for one in after}
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name) and not _is_agents_own(name[1], then):
            yield f"{name[0]}: {name[1]}"


def of_plan(plan: PlanRef, given: Path, top: Path, read: Iterable[str]) -> Iterator[str]:
    """Give the gaps about a plan: its copy changed, the file changed, neither was seen read.

    `given` is the copy that the agent was told of, `read` the paths that it said it read.
    """
    with contextlib.suppress(OSError):
        if sha256(given.read_bytes()).hexdigest() != plan.sha256:
            yield "plan-copy-changed"
    original = top / plan.name
    seen = {os.path.realpath(path) for path in read}
    if os.path.realpath(given) in seen:
        return
    if os.path.realpath(original) in seen:
        with contextlib.suppress(OSError):
            if sha256(original.read_bytes()).hexdigest() == plan.sha256:
                return
        yield "plan-changed-during-session"
        return
    yield "plan-not-seen-read"


def _is_agents_own(label: str, before: Iterable[tuple[str, str]]) -> bool:
    """Say whether a change is what the agent itself does at a start.

    Claude writes its state into one file at every start; Codex unpacks its own skills at the
    first one, where none of them were there.
    """
    unpacked = "/skills/.system/"
    if unpacked in label:
        return not any(unpacked in known for _, known in before)
    return label.endswith("/.claude.json")
