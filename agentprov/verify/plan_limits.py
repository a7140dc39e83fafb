"""Whether what a session did stays within its plan's limits, as far as its records can tell.

Limits can only deny: what a session says nothing of was not kept to. Names are matched by the one
matcher (`rules.matcher`). Tools, network and turns stand in no record that could be held against
them; they stay under *not proven*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.session import OpenView
from agentprov.verify.record import Entry
from agentprov.verify.rules import matcher
from agentprov.verify.rules.matcher import Pattern
from agentprov.verify.rules.plans import allows
from agentprov.verify.rules.shapes import split

JUDGED = ("targetRef", "allowedPaths", "agents", "models", "mcpServers")
"""The limits that are held against records; the others cannot be."""
_NAMED = 3


def exceeded(entry: Entry, target_ref: str | None = None) -> Iterator[tuple[str, str]]:
    """Give (limit, sentence) for each that a generation's plan sets and its session did not keep.

    `target_ref` is the branch that is merged into, where there is one. Of a generation without
    a plan, nothing.
    """
    if not isinstance(entry.view, GenerationView) or entry.statement is None:
        return
    parts = entry.everything()
    for plan in parts:
        if isinstance(plan.view, PlanView) and plan.statement is not None:
            limits = plan.statement.value.predicate
            for limit, sentence in _beyond(limits, entry, parts, target_ref):
                yield limit, f"{plan.view.name!r} {sentence}"


def _beyond(
    limits: Mapping[str, Any], entry: Entry, parts: Sequence[Entry], target_ref: str | None
) -> Iterator[tuple[str, str]]:
    assert entry.statement is not None
    scope, constraints = limits.get("scope", {}), limits.get("constraints", {})
    definition = entry.statement.value.predicate["buildDefinition"]
    opened = next(
        (one.statement.value.predicate for one in parts
         if isinstance(one.view, OpenView) and one.statement is not None),
        {},
    )  # fmt: skip
    if "targetRef" in scope:
        began_on = definition["externalParameters"].get("ref")
        if scope["targetRef"] not in (began_on, target_ref):
            at = began_on or "no branch"
            yield "targetRef", f"is for {scope['targetRef']}; the session worked on {at}"
    if "allowedPaths" in scope:
        outside = [path for path in _paths(entry) if not allows(scope["allowedPaths"], path)]
        if outside:
            yield "allowedPaths", f"does not allow to change {_few(outside)}"
    if "agents" in constraints:
        agent = opened.get("agent", {"name": entry.view.agent})  # type: ignore[union-attr]
        package, _ = split(agent.get("uri"))
        if not _allowed((package, agent.get("uri")), constraints["agents"]):
            yield "agents", f"does not allow the agent {agent.get('uri') or agent['name']!r}"
    if "models" in constraints:
        for sentence in _models(definition, entry, constraints["models"]):
            yield "models", sentence
    if "mcpServers" in constraints:
        names = {server["name"] for server in opened.get("mcpServers", ())}
        names.update(definition["externalParameters"].get("mcpServers", ()))
        others = sorted(one for one in names if not _allowed((one,), constraints["mcpServers"]))
        if others:
            yield "mcpServers", f"does not allow the MCP server {_few(others)}"


def _models(definition: Mapping[str, Any], entry: Entry, allowed: Sequence[str]) -> Iterator[str]:
    assert entry.statement is not None
    served = [
        unquote(item["uri"].removeprefix("pkg:generic/"))
        for item in definition["resolvedDependencies"]
        if item["name"].startswith("model/")
    ]
    others = [name for name in served if not _allowed((name, name.partition("/")[2]), allowed)]
    if others:
        yield f"does not allow the model {_few(others)}"
    unknown = entry.statement.value.predicate["runDetails"]["metadata"].get("agentprov_unknown", ())
    unnamed = [item for item in unknown if item["claim"].partition(" ")[0] == "model"]
    if unnamed or not served:
        yield "allows certain models; nobody could name all that answered"


def _paths(entry: Entry) -> list[str]:
    """Give the labels of what came out of a session, both sides of renames."""
    found: set[str] = set()
    if isinstance(entry.view, GenerationView):
        for change in entry.view.changes:
            if change.from_session:
                found.add(change.path)
                found.update({change.old_path} - {None})  # type: ignore[arg-type]
    return sorted(found)


def _allowed(names: Sequence[str | None], allowed: Sequence[str]) -> bool:
    patterns = [Pattern(text) for text in allowed if matcher.why_not(text) is None]
    return any(name is not None and matcher.names(patterns, name) for name in names)


def _few(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(repr(name) for name in names[:_NAMED]) + more


__all__ = ["JUDGED", "exceeded"]
