"""Session v0.1: what a recorder signs when a session opens, and again when it closes.

`phase` tells them apart. The opening statement fixes agent, configuration, plan and base before
any work; every generation statement points at it by payload digest. The closing statement lists
all generation statements and the journal's head, so that a missing one shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from agentprov.formats import schema
from agentprov.formats.predicates import parts

OUTCOMES = ("completed", "incomplete")

_PLAN = schema.members(
    {
        "name": parts.NAME,
        "digest": schema.sha256_set,
        "statement": schema.sha256_set,
        "signature": schema.sha256_set,
    },
    {"notAfter": schema.time},
    unknown="ignore",
)

CHECK_OPEN = schema.members(
    {
        "phase": schema.one_of(("open",)),
        "session": schema.members(
            {"id": parts.SESSION_ID, "startedOn": schema.time}, unknown="ignore"
        ),
        "builder": parts.BUILDER,
        "repository": schema.uri,
        "agent": parts.AGENT,
        "commandLine": schema.array(schema.text(most=4_096), least=1, most=1_000),
        "platform": schema.text(most=256),
    },
    {
        "base": schema.members({}, {"gitCommit": schema.object_id, "gitTree": schema.object_id}),
        "ref": schema.text(most=4_096),
        "plan": _PLAN,
        "materials": schema.array(parts.MATERIAL, most=10_000),
        "mcpServers": schema.array(parts.MCP_SERVER, most=1_000),
        "labels": schema.mapping(schema.text(least=0, most=4_096), most=100),
        "principal": schema.members(
            {"id": schema.text(most=512), "basis": parts.BASIS}, unknown="ignore"
        ),
        "gaps": parts.GAPS,
        "imported": schema.array(parts.SOURCE, least=1, most=1_000),
    },
    unknown="ignore",
)

CHECK_CLOSE = schema.members(
    {
        "phase": schema.one_of(("close",)),
        "session": schema.members(
            {
                "id": parts.SESSION_ID,
                "startedOn": schema.time,
                "finishedOn": schema.time,
                "outcome": schema.one_of(OUTCOMES),
            },
            {"exitStatus": schema.integer(most=255)},
            unknown="ignore",
        ),
        "builder": parts.BUILDER,
        "open": schema.sha256_set,
        "generations": schema.array(schema.sha256_set),
        "lastSequence": schema.integer(most=10_000_000),
        "journal": schema.members(
            {"entries": schema.integer(least=1), "head": schema.sha256_set}, unknown="ignore"
        ),
    },
    {
        "models": schema.array(parts.MODEL, most=1_000),
        "mcpServers": schema.array(parts.MCP_SEEN, most=1_000),
        "channels": schema.array(schema.text(most=128), most=100),
        "declarations": schema.array(parts.DECLARED, most=1_000),
        "uncommitted": schema.integer(),
        "contradictions": schema.integer(least=1),
        "gaps": parts.GAPS,
    },
    unknown="ignore",
)


class OpenView(NamedTuple):
    """The members of an opening statement that the chain needs; `plan` is (payload, signature).

    `imported` are the formats from which an imported session was read.
    """

    id: str
    started: str
    builder: str
    repository: str
    agent: str
    agent_sha256: str | None
    plan_sha256: str | None
    plan: tuple[str, str] | None
    gaps: int
    imported: tuple[str, ...] = ()


class CloseView(NamedTuple):
    """The members of a closing statement that the chain needs."""

    id: str
    started: str
    finished: str
    outcome: str
    builder: str
    open_sha256: str
    generations: tuple[str, ...]
    last_sequence: int
    gaps: int
    contradictions: int


def view_open(predicate: Mapping[str, Any]) -> OpenView:
    """Read a checked opening statement."""
    plan = predicate.get("plan")
    return OpenView(
        id=predicate["session"]["id"],
        started=predicate["session"]["startedOn"],
        builder=predicate["builder"]["id"],
        repository=predicate["repository"],
        agent=predicate["agent"]["name"],
        agent_sha256=predicate["agent"].get("digest", {}).get("sha256"),
        plan_sha256=plan["digest"]["sha256"] if plan else None,
        plan=(plan["statement"]["sha256"], plan["signature"]["sha256"]) if plan else None,
        gaps=len(predicate.get("gaps", ())),
        imported=tuple(item["format"] for item in predicate.get("imported", ())),
    )


def view_close(predicate: Mapping[str, Any]) -> CloseView:
    """Read a checked closing statement."""
    session = predicate["session"]
    return CloseView(
        id=session["id"],
        started=session["startedOn"],
        finished=session["finishedOn"],
        outcome=session["outcome"],
        builder=predicate["builder"]["id"],
        open_sha256=predicate["open"]["sha256"],
        generations=tuple(item["sha256"] for item in predicate["generations"]),
        last_sequence=predicate["lastSequence"],
        gaps=len(predicate.get("gaps", ())),
        contradictions=predicate.get("contradictions", 0),
    )


def bases(predicate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give (JSON pointer, basis) of every claim in an opening or closing statement."""
    for key in ("agent", "principal"):
        if key in predicate:
            yield f"/{key}", predicate[key]["basis"]
    for key in ("materials", "mcpServers", "models", "declarations"):
        for index, item in enumerate(predicate.get(key, ())):
            yield f"/{key}/{index}", item["basis"]
            if "weights" in item:
                yield f"/{key}/{index}/weights", item["weights"]["basis"]


def contradiction(subjects: parts.Subjects, predicate: Mapping[str, Any]) -> str | None:
    """Say what in the statement cannot be true together, or None."""
    if len(subjects) != 1 or subjects[0][0] != "journal" or "sha256" not in subjects[0][1]:
        return "a session has exactly one subject, its journal, with a sha256"
    if predicate["phase"] == "open":
        return None
    if predicate["journal"]["head"]["sha256"] != subjects[0][1]["sha256"]:
        return "subject and journal record name different heads"
    listed = [item["sha256"] for item in predicate["generations"]]
    if len(set(listed)) != len(listed):
        return "it lists a generation twice"
    if schema.instant(predicate["session"]["finishedOn"]) < schema.instant(
        predicate["session"]["startedOn"]
    ):
        return "it finished before it started"
    return None


__all__ = [
    "CHECK_CLOSE",
    "CHECK_OPEN",
    "OUTCOMES",
    "CloseView",
    "OpenView",
    "bases",
    "contradiction",
    "view_close",
    "view_open",
]
