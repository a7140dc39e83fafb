"""What must hold before a change may merge: reading a policy, and holding a verdict against it.

Pure, and monotonic: what is absent can only deny. A policy is read from the target branch or from
a file outside the change, by whoever gates (flows.gate). docs/spec/policy.md is the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentprov.errors import ConfigurationInvalid, MalformedInput
from agentprov.formats import schema
from agentprov.verify.finding import CommitVerdict, Finding, Problem, Verdict, finding
from agentprov.verify.people import taken_for

Mode = Literal["observe", "enforce"]
COVERAGES = ("covered", "human")
TIMED = ("plan", "approval")
_REASONS = frozenset({"approval-void", "approval-expired", "approval-by-author"})


@dataclass(frozen=True)
class Approvals:
    """How many people must have approved; `not_author` leaves out who signed the plan."""

    people: int
    not_author: bool = False


@dataclass(frozen=True)
class Policy:
    """A policy as it was read.

    `require_plan` asks for a signed plan behind what agents made; `timed` are the kinds of
    statements (plan, approval) that count with a trusted time only.
    """

    mode: Mode
    sha256: str
    source: str
    coverage: frozenset[str] | None = None
    require_plan: bool = False
    approvals: Approvals | None = None
    timed: frozenset[str] = frozenset()


def parse(document: Any, *, sha256: str, source: str) -> Policy:
    """Read a policy that was parsed from YAML; raises ConfigurationInvalid.

    `sha256` is of the document's bytes. Refuses every member that it does not know: a
    requirement that is misspelled must not be one that is not made.
    """
    try:
        schema.require(_DOCUMENT, document, source)
    except MalformedInput as error:
        raise ConfigurationInvalid(error.message) from error
    required = document.get("require", {})
    approvals = required.get("approvals")
    return Policy(
        mode=document["mode"],
        sha256=sha256,
        source=source,
        coverage=frozenset(required["coverage"]) if "coverage" in required else None,
        require_plan=required.get("plan") == "signed",
        approvals=(
            Approvals(approvals["people"], approvals.get("notPlanAuthor", False))
            if approvals
            else None
        ),
        timed=frozenset(required.get("trustedTime", ())),
    )


def judge(policy: Policy, verdict: Verdict) -> Verdict:
    """Hold a verdict against a policy; gives it with what the policy has to say.

    Where the policy enforces, what it misses is an error, and so are the findings that say why;
    where it observes, a warning. No commit at all satisfies every policy.
    """
    severity: Literal["error", "warning"] = "error" if policy.mode == "enforce" else "warning"
    missed: list[Finding] = []
    voided: set[str] = set()
    for commit in verdict.commits:
        for problem in _missing(policy, commit):
            missed.append(
                finding(problem, subject=commit.commit, commit=commit.commit, severity=severity)
            )
            if problem.code == "policy-approvals":
                voided.add(commit.commit)
    findings = [
        item._replace(severity="error")
        if severity == "error" and item.code in _REASONS and item.commit in voided
        else item
        for item in verdict.findings
    ]
    return replace(
        verdict,
        findings=(*findings, *missed),
        policy_sha256=policy.sha256,
        policy_source=policy.source,
    )


def _missing(policy: Policy, commit: CommitVerdict) -> Iterator[Problem]:
    if policy.coverage is not None and commit.coverage not in policy.coverage:
        wanted = " or ".join(sorted(policy.coverage))
        yield Problem("policy-coverage", f"it is {commit.coverage}; policy asks for {wanted}")
    unplanned = sorted({item.session for item in commit.generations if not item.planned})
    if policy.require_plan and unplanned:
        others = f", and {len(unplanned) - 1} more" if len(unplanned) > 1 else ""
        yield Problem(
            "policy-plan",
            f"no signed plan stands behind what session {unplanned[0]}{others} made",
        )
    if "plan" in policy.timed:
        for plan in commit.plans:
            if plan.proven is None:
                yield Problem("policy-time", f"no trusted time says when {plan.name!r} was signed")
    if policy.approvals is not None:
        yield from _approvals(policy.approvals, commit, timed="approval" in policy.timed)


def _approvals(wanted: Approvals, commit: CommitVerdict, *, timed: bool) -> Iterator[Problem]:
    standing = [item for item in commit.approvals if item.valid]
    for item in standing:
        if item.decision != "approved":
            yield Problem("policy-approvals", f"{item.signer} rejected it")
            return
    whole = [item for item in standing if not item.partial]
    people = {taken_for(item.signer) for item in whole if item.proven or not timed}
    for item in whole:
        if taken_for(item.signer) not in people:
            yield Problem("policy-time", f"no trusted time says when {item.signer} decided")
    authors = {taken_for(plan.signer) for plan in commit.plans}
    note = ""
    if wanted.not_author and people & authors:
        people -= authors
        note = ", not counting who signed the plan"
    if len(people) < wanted.people:
        yield Problem(
            "policy-approvals",
            f"{len(people)} of {wanted.people} people have approved all of it{note}",
        )


def _version(value: Any) -> None:
    if value != 1 or type(value) is not int:
        raise schema.Mismatch("must be 1")


_DOCUMENT = schema.members(
    {"version": _version, "mode": schema.one_of(("observe", "enforce"))},
    {
        "require": schema.members(
            {},
            {
                "coverage": schema.array(schema.one_of(COVERAGES), least=1, most=len(COVERAGES)),
                "plan": schema.one_of(("signed",)),
                "trustedTime": schema.array(schema.one_of(TIMED), least=1, most=len(TIMED)),
                "approvals": schema.members(
                    {"people": schema.integer(least=1, most=100)},
                    {"notPlanAuthor": schema.boolean},
                ),
            },
        )
    },
)
