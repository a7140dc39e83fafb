"""What must hold before a change may merge: our policy engine, and what a verdict owes to one.

Pure, and monotonic: what is absent can only deny. A policy is read from the target branch or from
a file outside the change, by whoever gates (flows.gate). docs/spec/policy.md is the page; what can
be asked for stands in `rules`, one file each.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from agentprov.errors import ConfigurationInvalid, MalformedInput
from agentprov.formats import schema
from agentprov.formats.policy_facts import JudgedCommit, Miss, PolicyFacts
from agentprov.ports import PolicyEngine
from agentprov.verify import policy_facts
from agentprov.verify.approvals import Surroundings
from agentprov.verify.finding import Finding, Problem, Verdict, finding
from agentprov.verify.judge import Judgement
from agentprov.verify.rules import (
    agents,
    approvals,
    coverage,
    matcher,
    models,
    origins,
    plans,
    rewrites,
    servers,
    sessions,
    trusted_time,
)
from agentprov.verify.rules.matcher import Pattern
from agentprov.verify.rules.rule import Asked, Rule
from agentprov.verify.rules.trusted_time import TrustedTimes

Mode = Literal["observe", "enforce"]
MAX_BLOCKS = 200
_REASONS = frozenset({"approval-void", "approval-expired", "approval-by-author"})


class _Kind(NamedTuple):
    check: schema.Check
    read: Callable[[Any], Rule]


RULES: Mapping[str, _Kind] = {
    "coverage": _Kind(coverage.CHECK, coverage.read),
    "plan": _Kind(plans.CHECK, plans.read),
    "trustedTime": _Kind(trusted_time.CHECK, trusted_time.read),
    "approvals": _Kind(approvals.CHECK, approvals.read),
    "agents": _Kind(agents.CHECK, agents.read),
    "models": _Kind(models.CHECK, models.read),
    "mcpServers": _Kind(servers.CHECK, servers.read),
    "origins": _Kind(origins.CHECK, origins.read),
    "sessions": _Kind(sessions.CHECK, sessions.read),
    "rewrites": _Kind(rewrites.CHECK, rewrites.read),
}
"""What may stand in `require`, in the order in which it is reported."""


@dataclass(frozen=True)
class Block:
    """Rules with what they are for; None is for everything.

    `unrecorded` says that what a person signed or approved needs no record.
    """

    name: str | None
    paths: tuple[Pattern, ...] | None
    refs: tuple[Pattern, ...] | None
    rules: tuple[Rule, ...]
    unrecorded: bool = False

    def concerns(self, commit: JudgedCommit, target_ref: str | None) -> bool:
        """Say whether it is for a commit; where that cannot be said, it is."""
        elsewhere = self.refs is not None and not any(
            target_ref is None or item.matches(target_ref) for item in self.refs
        )
        if elsewhere:
            return False
        if self.paths is None or commit.paths is None:
            return True
        names = {plans.as_text(label) for label in commit.paths}
        names |= {unicodedata.normalize("NFC", name) for name in names}
        return any(item.matches(name) for item in self.paths for name in names)


@dataclass(frozen=True)
class Policy:
    """A policy as it was read; the first implementation of `ports.PolicyEngine`."""

    mode: Mode
    sha256: str
    source: str
    blocks: tuple[Block, ...] = ()

    @property
    def enforces(self) -> bool:
        """Say whether a miss is an error."""
        return self.mode == "enforce"

    @property
    def by_path(self) -> bool:
        """Say whether any of its rules are for paths."""
        return any(block.paths is not None for block in self.blocks)

    @property
    def milestones(self) -> frozenset[str]:
        """Give the commits since which coverage is asked."""
        rules = [rule for block in self.blocks for rule in block.rules]
        return frozenset(
            rule.since for rule in rules if isinstance(rule, coverage.Coverage) and rule.since
        )

    def misses(self, facts: PolicyFacts) -> Iterator[Miss]:
        """Hand each commit to the rules of all blocks that are for it."""
        for commit in facts.commits:
            blocks = [item for item in self.blocks if item.concerns(commit, facts.target_ref)]
            timed = frozenset(
                kind
                for block in blocks
                for rule in block.rules
                if isinstance(rule, TrustedTimes)
                for kind in rule.kinds
            )
            told: dict[Miss, None] = {}
            for block in blocks:
                for problem in _misses(block, commit, facts.as_of, timed):
                    where = f"rule {block.name!r}: " if block.name is not None else ""
                    told[Miss(commit.commit, problem.code, where + problem.message)] = None
            yield from told


def _misses(
    block: Block, commit: JudgedCommit, as_of: str, timed: frozenset[str]
) -> Iterator[Problem]:
    bare = not commit.sessions
    excused = bare and block.unrecorded and commit.coverage == "human"
    if bare and not excused and any(rule.needs_record for rule in block.rules):
        yield Problem("policy-record", "no record that holds says what was at work here")
    for rule in block.rules:
        yield from rule.misses(commit, Asked(as_of, timed, excused))


def parse(document: Any, *, sha256: str, source: str) -> Policy:
    """Read a policy that was parsed from YAML; raises ConfigurationInvalid.

    `sha256` is of the document's bytes. Refuses every member that it does not know: a
    requirement that is misspelled must not be one that is not made.
    """
    try:
        schema.require(_DOCUMENT, document, source)
    except MalformedInput as error:
        raise ConfigurationInvalid(error.message) from error
    blocks = [_block(document)] if "require" in document else []
    blocks += [_block(item) for item in document.get("rules", ())]
    names = [block.name for block in blocks if block.name is not None]
    if len(set(names)) != len(names):
        raise ConfigurationInvalid(f"{source} at /rules: two rules have one name")
    return Policy(mode=document["mode"], sha256=sha256, source=source, blocks=tuple(blocks))


def _block(item: Mapping[str, Any]) -> Block:
    aim, required = item.get("for", {}), item["require"]
    paths = (
        [unicodedata.normalize("NFC", text) for text in aim["paths"]] if "paths" in aim else None
    )
    return Block(
        name=item.get("name"),
        paths=None if paths is None else matcher.read([*aim["paths"], *paths]),
        refs=matcher.read(aim["refs"]) if "refs" in aim else None,
        rules=tuple(kind.read(required[key]) for key, kind in RULES.items() if key in required),
        unrecorded="unrecorded" in required,
    )


def judge(
    engine: PolicyEngine, judgement: Judgement, around: Surroundings | None = None
) -> Verdict:
    """Hold a judgement against a policy; gives the verdict with what the policy has to say.

    `around` answers what git knows around the commits; by default the judgement's own is asked.
    Where the policy enforces, what it misses is an error, and so are the findings that say why;
    where it observes, a warning. No commit at all satisfies every policy.
    """
    verdict = judgement.verdict
    severity: Literal["error", "warning"] = "error" if engine.enforces else "warning"
    facts = policy_facts.collect(
        judgement, around or judgement.case.around, engine.milestones, by_path=engine.by_path
    )
    misses = tuple(engine.misses(facts))
    missed = [
        finding(
            Problem(miss.code, miss.message),
            subject=miss.commit,
            commit=miss.commit,
            severity=severity,
        )
        for miss in misses
    ]
    return replace(
        verdict,
        findings=(*_with_reasons(verdict.findings, misses, severity), *missed),
        policy_sha256=engine.sha256,
        policy_source=engine.source,
    )


def _with_reasons(
    findings: Sequence[Finding], misses: Sequence[Miss], severity: str
) -> Iterator[Finding]:
    """Make errors of what says why approvals are missed, where they are."""
    voided = {miss.commit for miss in misses if miss.code == "policy-approvals"}
    for item in findings:
        reason = severity == "error" and item.code in _REASONS and item.commit in voided
        yield item._replace(severity="error") if reason else item


def _version(value: Any) -> None:
    if value != 1 or type(value) is not int:
        raise schema.Mismatch("must be 1")


def _ref(value: Any) -> None:
    matcher.pattern(value)
    if not value.startswith("refs/"):
        raise schema.Mismatch("must be a full name, which begins with refs/: refs/heads/main")


def _something(value: Mapping[str, Any]) -> str | None:
    return None if value else "is empty"


_REQUIRE = schema.members(
    {},
    {
        **{name: kind.check for name, kind in RULES.items()},
        "unrecorded": schema.one_of(("human",)),
    },
)
_BLOCK = schema.members(
    {
        "name": schema.text(most=128, pattern=r"[!-~](?:[ -~]*[!-~])?"),
        "require": schema.constrained(_REQUIRE, _something),
    },
    {
        "for": schema.constrained(
            schema.members(
                {},
                {
                    "paths": schema.array(matcher.pattern, least=1, most=1_000),
                    "refs": schema.array(_ref, least=1, most=1_000),
                },
            ),
            _something,
        )
    },
)
_DOCUMENT = schema.members(
    {"version": _version, "mode": schema.one_of(("observe", "enforce"))},
    {"require": _REQUIRE, "rules": schema.array(_BLOCK, least=1, most=MAX_BLOCKS)},
)
