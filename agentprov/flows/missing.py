"""What an agent's work still lacks before it is committed: declarations, plan, policy, trust.

Advice, not a gate: it looks at the work tree and at what was declared, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentprov.errors import AgentprovError, MalformedInput
from agentprov.flows import strict_yaml, trust
from agentprov.flows.plan_records import allowed_paths, signed_plans
from agentprov.flows.verify import trust_for
from agentprov.flows.world import World
from agentprov.formats import digest, names
from agentprov.formats.declaration import Declaration
from agentprov.formats.facts import Session
from agentprov.formats.names import path_label
from agentprov.record.session import SessionDirectory
from agentprov.system.files import read_bounded
from agentprov.verify import policy
from agentprov.verify.rules import matcher
from agentprov.verify.rules.matcher import Pattern
from agentprov.verify.rules.models import Models
from agentprov.verify.rules.plans import Plans, as_text

MAX_PATHS = 2_000


@dataclass(frozen=True)
class Changed:
    """A path of the work tree that differs from HEAD; `staged` where the index does."""

    path: bytes
    staged: bool


def missing(
    world: World, session: Session | None, declared: Sequence[Declaration]
) -> dict[str, Any]:
    """Give the changed paths and what is missing, each with why and what would mend it.

    `session` is the one that the work belongs to, if there is one; `declared` what was declared in
    it. Raises GitFailed.
    """
    changed = list(_changed(world))
    shown = changed[:MAX_PATHS]
    artifacts = {item.members["path"] for item in declared if item.kind == "artifact"}
    allowed = _allowed(world, session)
    rows = [
        {
            "path": path_label(item.path),
            "staged": item.staged,
            "declared": path_label(item.path) in artifacts,
            "inPlan": None if allowed is None else _is_allowed(item.path, allowed),
        }
        for item in shown
    ]
    lacks = [*_of_session(session, declared), *_of_paths(rows, len(changed) - len(shown))]
    lacks += _of_policy(world, session, declared)
    lacks += _of_trust(world, session)
    return {
        "session": session.id if session else None,
        "ready": not lacks,
        "paths": rows,
        "missing": [{"what": what, "why": why, "remedy": remedy} for what, why, remedy in lacks],
    }


_Lack = tuple[str, str, str]


def _changed(world: World) -> Iterator[Changed]:
    words = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    for entry in world.git.run(*words).split(b"\0"):
        if len(entry) > 3:
            yield Changed(entry[3:], entry[:1] not in (b" ", b"?"))


def _of_session(session: Session | None, declared: Sequence[Declaration]) -> Iterator[_Lack]:
    if session is None:
        yield "session", "nothing is being recorded", "start_session"
        return
    kinds = {item.kind for item in declared}
    if session.builder == names.MCP_DECLARED and "model" not in kinds:
        yield "model", "nobody said which model does this work", "declare_model"
    if session.plan is None:
        why = "the session is under no signed plan"
        yield "plan", why, "register_plan with the digest of a plan that a person signed"


def _of_paths(rows: Sequence[dict[str, Any]], left_out: int) -> Iterator[_Lack]:
    for row in rows:
        if not row["declared"]:
            why = f"{row['path']} changed and nobody declared by whom or for what"
            yield "artifact", why, "record_artifact, if this is your work; else leave it out"
        if row["inPlan"] is False:
            why = f"the plan does not allow to change {row['path']}"
            yield "plan-path", why, "take the change back, or ask for a plan that allows it"
    if left_out:
        yield "paths", f"{left_out} more changed paths were not looked at", "commit in pieces"


def _of_policy(
    world: World, session: Session | None, declared: Sequence[Declaration]
) -> Iterator[_Lack]:
    """Give what the policy in the work tree asks of models and plans that is not there yet."""
    try:
        rules = working_policy(world)
    except AgentprovError as error:
        yield "policy", f"the policy cannot be read: {error.message}", "ask a person to mend it"
        return
    asked = [rule for block in rules.blocks for rule in block.rules] if rules else []
    if session is not None and session.plan is None and any(isinstance(r, Plans) for r in asked):
        yield "policy-plan", "policy asks for a signed plan behind each session", "register_plan"
    for rule in (rule for rule in asked if isinstance(rule, Models)):
        for item in (item for item in declared if item.kind == "model"):
            name = f"{item.members['provider']}/{item.members['model']}"
            if rule.allowed is not None and not matcher.names(rule.allowed, name):
                why = f"policy does not allow the model {name}"
                yield "policy-model", why, "work with a model that policy allows"
        if rule.basis not in (None, "declared") and session is not None:
            why = f"policy asks that models are {rule.basis}; a declaration does not reach that"
            if session.builder == names.MCP_DECLARED:
                yield "policy-basis", why, "let a person start you with `agentprov run`"


def _of_trust(world: World, session: Session | None) -> Iterator[_Lack]:
    if session is None or session.builder != names.MCP_DECLARED:
        return
    try:
        spki = world.recorder.spki
        root = trust_for(world, None)
    except AgentprovError as error:
        yield "trust", f"trust cannot be read: {error.message}", "ask a person to mend it"
        return
    mine = [key for key in root.keys if key.spki == spki]
    if not any(session.builder in key.builders for key in mine):
        why = f"{root.source} does not let this recorder's key speak for {session.builder}"
        yield "trust", why, "ask a person to add that builder to the key's entry"


def working_policy(world: World) -> policy.Policy | None:
    """Read the policy that stands in the work tree, None without one; raises ConfigurationInvalid.

    For advice only: what counts at a gate is the target branch's.
    """
    try:
        place = world.git.top / trust.POLICY_PATH
        content = read_bounded(place, strict_yaml.MAX_BYTES, follow=False)
    except OSError:
        return None
    source = trust.POLICY_PATH
    return policy.parse(
        strict_yaml.parse(content, source=source), sha256=digest.sha256(content), source=source
    )


def session_of(directory: SessionDirectory) -> Session | None:
    """Give the facts of a live session; None where they cannot be read."""
    try:
        return directory.load().session
    except MalformedInput:
        return None


def _allowed(world: World, session: Session | None) -> tuple[str, ...] | None:
    if session is None or session.plan is None:
        return None
    for record in signed_plans(world):
        if record.statement_sha256 == session.plan.statement_sha256:
            return allowed_paths(record)
    return None


def _is_allowed(path: bytes, patterns: Collection[str]) -> bool:
    name = as_text(path_label(path))
    return any(matcher.why_not(text) is None and Pattern(text).matches(name) for text in patterns)
