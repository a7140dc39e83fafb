"""The cases of tests/vectors about approvals, each held against a policy as a gate does.

Imported for what it enters into `defects.CASES`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentprov import attest
from agentprov.formats import canonical, names, review
from agentprov.formats.names import path_label
from agentprov.formats.statement import Statement
from agentprov.verify.trust import Retired, TrustRoot
from support.defects import Vector, case, edited, flipped, opened
from support.story import (
    HUMAN,
    JANE,
    PLAN_TEXT,
    RECORDER,
    SESSION,
    STRANGER,
    Key,
    Story,
    Told,
    blob_id,
    made_up,
    seal,
    trust_of,
)

MAX = Key(55, "mailto:max@example.com", frozenset({"reviewer"}))
ONE = {"people": 1}
OTHER = made_up("another commit", 40)
LATER = made_up("a later commit", 40)


@dataclass(frozen=True)
class Around:
    """What git knows around an approval, as data; what stands in none of these it cannot say.

    `ranges` are (first, last, the commits after the first up to the last), `ancestors` what led
    to a commit, itself included.
    """

    repository: str | None = SESSION.repository.uri
    target_ref: str | None = "refs/heads/main"
    trees: Mapping[str, str] = field(default_factory=dict)
    ranges: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    ancestors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Give it as the vectors' around.json."""
        return {
            "repository": self.repository,
            "targetRef": self.target_ref,
            "trees": dict(self.trees),
            "ranges": [
                {"from": first, "to": last, "commits": list(commits)}
                for first, last, commits in self.ranges
            ],
            "ancestors": {commit: list(led) for commit, led in self.ancestors.items()},
        }


@dataclass(frozen=True)
class Reviewed:
    """What stands in a vector about approvals besides records, trust and commits."""

    change: review.Change
    around: Around
    approvals: Mapping[str, Any]


def change_of(told: Told, unseen: str | None = None) -> review.Change:
    """Give what the reviewer of a story is shown; `unseen` is a path that is too large for it."""
    predicates = {item.sha256: item.predicate for item in told.generations}
    ranges = {
        change["path"]: change.get("ranges", ())
        for predicate in predicates.values()
        for change in predicate["runDetails"]["metadata"]["agentprov_changes"]
    }
    facts = told.story.facts()
    return review.Change(
        commit=facts.oid,
        tree=facts.tree,
        base=facts.parents[0],
        paths=[
            review.ChangedPath(
                label=path_label(file.path),
                old_mode=file.diff().old_mode,
                new_mode=file.diff().new_mode,
                old=file.before or b"",
                new=file.after or b"",
                old_id=None if file.before is None else blob_id(file.before),
                new_id=None if file.after is None else blob_id(file.after),
                unseen="too large" if path_label(file.path) == unseen else "",
                ranges=ranges.get(path_label(file.path), ()),
            )
            for file in told.story.files
        ],
        plans=[("PLAN.md", PLAN_TEXT)] if told.story.planned else [],
        generations=predicates,
    )


def shown_of(change: review.Change, **said: Any) -> attest.Shown:
    """State honestly what was shown of a change; `said` changes that."""
    made = review.render(change)
    whole = len(made.presented) == made.whole
    paths = None if whole else made.presented
    honest = attest.Shown(made.renderer, made.sha256, "terminal", made.whole, paths)
    return replace(honest, **said)


def approval(told: Told, **changes: Any) -> Statement:
    """State that Jane approved the story's commit, having been shown all of it."""
    return told.approval(**{"shown": shown_of(change_of(told)), **changes})


def vector(
    about: str,
    *approvals: bytes,
    exit_code: int = 13,
    errors: tuple[str, ...] = ("policy-approvals",),
    warnings: tuple[str, ...] = (),
    wanted: Mapping[str, Any] = ONE,
    trust: TrustRoot | None = None,
    around: Around | None = None,
    change: review.Change | None = None,
) -> Vector:
    """Make a vector of the whole story and these decisions; it is denied unless said otherwise."""
    told = Story().tell()
    lines = told.lines()
    lines.update({f"approval-{number}": line for number, line in enumerate(approvals, 1)})
    commit = told.commit()
    near = around or Around(trees={commit.oid: commit.tree})
    return Vector(
        about, told, lines, [commit], errors if exit_code else (), exit_code,
        trust=trust or trust_of(HUMAN, RECORDER, JANE), warnings=warnings,
        reviewed=Reviewed(change or change_of(told), near, wanted),
    )  # fmt: skip


TOLD = Story().tell()


@case
def valid_approved() -> Vector:
    return vector(
        "A reviewer was shown all of the change and approved it.",
        seal(approval(TOLD), JANE),
        exit_code=0,
    )


@case
def valid_rejected_then_approved() -> Vector:
    return vector(
        "A reviewer rejected the change and then approved it; their newest word counts.",
        seal(approval(TOLD, decision="REJECTED", decided_at="2026-11-24T10:48:00Z"), JANE),
        seal(approval(TOLD), JANE),
        exit_code=0,
    )


@case
def valid_approved_as_part_of_a_range() -> Vector:
    base, here = TOLD.story.facts().parents[0], TOLD.story.facts().oid
    return vector(
        "The approval names a later commit, and its range holds this one.",
        seal(approval(TOLD, commit=LATER, tree=made_up("later tree", 40)), JANE),
        exit_code=0,
        around=Around(
            trees={LATER: made_up("later tree", 40)}, ranges=((base, LATER, (here, LATER)),)
        ),
        change=change_of(TOLD),
    )


@case
def valid_approved_by_two_people() -> Vector:
    return vector(
        "Two people are asked for, and two have approved.",
        seal(approval(TOLD), JANE),
        seal(approval(TOLD, reviewer=MAX.person), MAX),
        exit_code=0,
        wanted={"people": 2},
        trust=trust_of(HUMAN, RECORDER, JANE, MAX),
    )


@case
def valid_approved_before_the_reviewer_retired() -> Vector:
    return _retired(
        "The reviewer retired after a later commit; this one led to it.", 0,
        ancestors=(TOLD.story.facts().oid, LATER),
    )  # fmt: skip


@case
def approval_by_the_recorder() -> Vector:
    return vector(
        "An agent that reaches the recorder's key approves its own work.",
        seal(approval(TOLD), RECORDER),
        warnings=("signer-role",),
    )


@case
def approval_by_no_reviewer() -> Vector:
    return vector(
        "Its signer may sign plans and holds no reviewer's role.",
        seal(approval(TOLD, reviewer=HUMAN.person), HUMAN),
        warnings=("signer-role",),
    )


@case
def approval_by_a_stranger() -> Vector:
    return vector(
        "A good signature of a key that the trust document does not name, in Jane's name.",
        seal(approval(TOLD), STRANGER),
        warnings=("signer-unknown",),
    )


@case
def approval_by_a_key_with_two_roles() -> Vector:
    both = replace(JANE, roles=frozenset({"reviewer", "ci"}))
    return vector(
        "The trust document gives one key a reviewer's and a machine's role: it approves nothing.",
        seal(approval(TOLD), both),
        trust=trust_of(HUMAN, RECORDER, both),
        warnings=("signer-role",),
    )


@case
def approval_signature_bit_flipped() -> Vector:
    value = opened(seal(approval(TOLD), JANE))
    signature = value["dsseEnvelope"]["signatures"][0]
    signature["sig"] = flipped(signature["sig"])
    return vector(
        "One bit of the approval's signature is another.",
        canonical.encode(value),
        warnings=("signature-invalid",),
    )


@case
def approval_under_the_type_of_a_plan() -> Vector:
    def edit(value: dict[str, Any]) -> None:
        value["predicateType"] = names.PLAN_TYPE

    return vector(
        "The body of an approval, signed by the reviewer as a plan.",
        edited(approval(TOLD), edit, JANE),
        warnings=("statement-malformed",),
    )


@case
def approval_of_another_tree() -> Vector:
    return vector(
        "The approval names this commit and the tree of another.",
        seal(approval(TOLD, tree=made_up("another tree", 40)), JANE),
        warnings=("commit-differs",),
    )


@case
def approval_replayed_on_another_commit() -> Vector:
    return vector(
        "An approval of another commit hangs here; nothing ties the two.",
        seal(approval(TOLD, commit=OTHER, base=made_up("another base", 40)), JANE),
    )


@case
def approval_of_a_range_that_ends_before() -> Vector:
    base = TOLD.story.facts().parents[0]
    return vector(
        "The approval's range starts from the same base, and does not hold this commit.",
        seal(approval(TOLD, commit=OTHER), JANE),
        around=Around(ranges=((base, OTHER, (OTHER,)),)),
        errors=("policy-approvals", "approval-void"),
        exit_code=12,
    )


@case
def approval_of_another_repository() -> Vector:
    return vector(
        "The approval is about a change of another repository, a fork for example.",
        seal(approval(TOLD, repository="git+https://git.example.com/mallory/app"), JANE),
        warnings=("approval-elsewhere",),
    )


@case
def approval_for_another_branch() -> Vector:
    return vector(
        "The approval is for a test branch; the gate is the main branch's.",
        seal(approval(TOLD, target_ref="refs/heads/test"), JANE),
        warnings=("approval-elsewhere",),
    )


@case
def approval_expired() -> Vector:
    return vector(
        "The approval was good for ten minutes.",
        seal(approval(TOLD, not_after="2026-11-24T11:00:00Z"), JANE),
        errors=("approval-expired", "policy-approvals"),
        exit_code=18,
    )


@case
def approval_expired_after_an_older_one() -> Vector:
    later = approval(TOLD, decided_at="2026-11-24T10:55:00Z", not_after="2026-11-24T11:00:00Z")
    return vector(
        "The reviewer's newest approval has expired; it brings back none of their older ones.",
        seal(approval(TOLD), JANE),
        seal(later, JANE),
        errors=("approval-expired", "policy-approvals"),
        exit_code=18,
    )


@case
def approval_before_the_work() -> Vector:
    return vector(
        "The approval says it was decided before the session began whose record it names.",
        seal(approval(TOLD, decided_at="2026-11-24T10:30:30Z"), JANE),
        warnings=("approval-before-work",),
    )


@case
def approval_from_the_future() -> Vector:
    return vector(
        "The approval was decided in 2099.",
        seal(approval(TOLD, decided_at="2099-01-01T00:00:00Z"), JANE),
        warnings=("time-in-future",),
    )


@case
def approval_then_rejected() -> Vector:
    return vector(
        "The reviewer approved the change and rejected it later.",
        seal(approval(TOLD), JANE),
        seal(approval(TOLD, decision="REJECTED", decided_at="2026-11-24T10:51:00Z"), JANE),
        warnings=("approval-rejected",),
    )


@case
def approval_and_rejection_at_one_time() -> Vector:
    return vector(
        "Both decisions of the reviewer carry the same time: the rejection counts.",
        seal(approval(TOLD), JANE),
        seal(approval(TOLD, decision="REJECTED"), JANE),
        warnings=("approval-rejected",),
    )


@case
def approval_beside_a_rejection() -> Vector:
    return vector(
        "One reviewer approved the change, another rejected it.",
        seal(approval(TOLD), JANE),
        seal(approval(TOLD, reviewer=MAX.person, decision="REJECTED"), MAX),
        trust=trust_of(HUMAN, RECORDER, JANE, MAX),
        warnings=("approval-rejected",),
    )


@case
def approval_partial() -> Vector:
    change = change_of(TOLD, "README.md")
    return vector(
        "One of four changed paths could not be shown; the approval says so.",
        seal(approval(TOLD, shown=shown_of(change)), JANE),
        change=change,
        warnings=("approval-partial",),
    )


@case
def approval_claims_more_than_was_shown() -> Vector:
    change = change_of(TOLD, "README.md")
    return vector(
        "One of four changed paths could not be shown; the approval says that all were.",
        seal(approval(TOLD, shown=shown_of(change, paths=None)), JANE),
        change=change,
        warnings=("presentation-differs",),
    )


@case
def approval_of_something_else_shown() -> Vector:
    return vector(
        "The digest of what was shown is not that of this change.",
        seal(approval(TOLD, shown=shown_of(change_of(TOLD), rendered_sha256=made_up("x"))), JANE),
        warnings=("presentation-differs",),
    )


@case
def approval_by_the_plans_author() -> Vector:
    return _by_author("The signer of the plan approved its result.", HUMAN.person)


@case
def approval_by_the_plans_author_in_another_spelling() -> Vector:
    return _by_author(
        "The signer of the plan approved its result under another key and spelling.",
        "Ada Lovelace <ADA@example.com>",
    )


@case
def approval_by_two_keys_of_one_person() -> Vector:
    second = replace(MAX, person="jane@example.com")
    return vector(
        "Two people are asked for; two keys of one person have signed.",
        seal(approval(TOLD), JANE),
        seal(approval(TOLD, decided_at="2026-11-24T10:51:00Z"), second),
        wanted={"people": 2},
        trust=trust_of(HUMAN, RECORDER, JANE, second),
    )


@case
def approval_after_the_reviewer_retired() -> Vector:
    return _retired("The reviewer retired after a commit that this one did not lead to.", 13)


def _retired(about: str, exit_code: int, ancestors: tuple[str, ...] = (OTHER,)) -> Vector:
    last = ancestors[-1]
    root = trust_of(HUMAN, RECORDER, JANE)
    keys = [
        replace(key, retired=Retired(last, "left the team")) if key.spki == JANE.spki else key
        for key in root.keys
    ]
    return vector(
        about,
        seal(approval(TOLD), JANE),
        exit_code=exit_code,
        trust=replace(root, keys=tuple(keys)),
        around=Around(
            trees={TOLD.story.facts().oid: TOLD.story.facts().tree}, ancestors={last: ancestors}
        ),
        warnings=("signer-retired",) if exit_code else (),
    )


def _by_author(about: str, person: str) -> Vector:
    own = Key(66, person, frozenset({"reviewer"}))
    return vector(
        about,
        seal(approval(TOLD, reviewer=person), own),
        trust=trust_of(HUMAN, RECORDER, own),
        wanted={"people": 1, "notPlanAuthor": True},
        errors=("approval-by-author", "policy-approvals"),
    )


def review_json(change: review.Change) -> dict[str, Any]:
    """Give what a reviewer is shown, as the vectors' review.json."""
    return {
        "commit": change.commit,
        "tree": change.tree,
        "base": change.base,
        "paths": [
            {
                "path": path.label,
                "old": _side(path.old_mode, path.old_id, path.old),
                "new": _side(path.new_mode, path.new_id, path.new),
                "tooLarge": path.unseen == "too large",
            }
            for path in change.paths
        ],
    }


def _side(mode: str | None, blob: str | None, content: bytes) -> dict[str, Any] | None:
    if mode is None:
        return None
    return {"mode": mode, "gitBlob": blob, "content": base64.b64encode(content).decode()}


def policy_json(approvals: Mapping[str, Any]) -> dict[str, Any]:
    """Give the policy that the gate of a vector holds."""
    return {"version": 1, "mode": "enforce", "require": {"approvals": dict(approvals)}}
