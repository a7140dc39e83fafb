"""The human's consent: look at a change as git has it, and sign a decision about these bytes.

What is shown is made from git objects and signed statements, never from the work tree. Deciding
is for people: it is refused inside a run, and with a recorder's key.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentprov import attest
from agentprov.errors import MalformedInput, UserError
from agentprov.flows import log_append, stamping
from agentprov.flows import verify as verifying
from agentprov.flows.human_key import human_signer
from agentprov.flows.known_names import known_names
from agentprov.flows.plan import ShownOn
from agentprov.flows.review import address, gather
from agentprov.flows.trust import person
from agentprov.flows.world import World, seal
from agentprov.formats import digest
from agentprov.formats import review as reviews
from agentprov.formats.hidden import Finding as Hidden
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.review import Review
from agentprov.formats.statement import Statement
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.key_use import Ask, Say
from agentprov.sign.verifier import KeyVerifier
from agentprov.verify import signatures
from agentprov.verify.finding import Verdict
from agentprov.verify.record import Entry
from agentprov.verify.trust import TrustRoot

Decision = Literal["approved", "rejected"]
MAX_COMMITS = 1_000


class HiddenInChange(UserError):
    """What is to be approved holds text that a reader would not see."""

    def __init__(self, message: str, findings: Sequence[Hidden], *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Prepared:
    """A change that somebody is about to decide on.

    `target` is what the user typed, `base` the commit that the change starts from, `commits` all
    that it brings, newest last. `verdict` is what `verify` says of them; `statements` are those
    whose content is part of `review`, by payload digest; `hidden` is what was found hidden in
    what the change adds; `blobs` are of the plans.
    """

    target: str
    base: str | None
    commit: str
    tree: str
    commits: tuple[str, ...]
    review: Review
    hidden: tuple[Hidden, ...]
    verdict: Verdict
    statements: Mapping[str, Statement]
    plans: tuple[tuple[str, str], ...]
    blobs: tuple[str, ...]
    trust: TrustRoot

    @property
    def refusals(self) -> tuple[Hidden, ...]:
        """Give what stands in the way of an approval until it is accepted by its id."""
        return tuple(finding for finding in self.hidden if finding.severity != "note")


@dataclass(frozen=True)
class Decided:
    """A decision that was just signed.

    `doubt` says why it may not count, `not_logged` why the signing log does not have it,
    `not_stamped` why it carries no timestamp though one was configured; each may be empty.
    """

    decision: Decision
    commit: str
    statement: Statement
    bundle: bytes
    signer: str
    reviewer: str
    doubt: str
    not_logged: str = ""
    not_stamped: str = ""


def prepare(
    world: World,
    target: str = "HEAD",
    *,
    paths: Sequence[str] = (),
    trust_file: Path | None = None,
) -> Prepared:
    """Gather what a reviewer has to see of a commit or a range, and make its review.

    A commit is looked at against its first parent; a range A..B is the change from where the two
    parted to B. `paths` limit what is shown, and make the review partial. Raises UserError for
    what is no commit or range, for an empty range, and for paths that did not change.
    """
    base, commit, commits = _change(world, target)
    root = verifying.trust_for(world, trust_file)
    targets = verifying.Targets(target, commits, frozenset())
    judgement = verifying.judge_targets(world, targets, root)
    parts = {id(part): part for entry in judgement.accepted for part in entry.everything()}
    used = list(parts.values())
    statements = {
        entry.statement.value.sha256: entry.statement.value for entry in used if entry.statement
    }
    try:
        with world.git.cat_file() as reader:
            change = gather(world.git, reader, base, commit, statements)
    except MalformedInput as error:
        raise UserError(error.message) from error
    only = _only(paths, [path.label for path in change.paths])
    shown = reviews.render(change, only)
    plans = tuple((name, digest.sha256(content)) for name, content in change.plans)
    return Prepared(
        target=target,
        base=base,
        commit=commit,
        tree=change.tree,
        commits=commits,
        review=shown,
        hidden=reviews.search(change, shown.presented, known_names(world.git, world.home)),
        verdict=judgement.verdict,
        statements=statements,
        plans=plans,
        blobs=tuple(sorted(_plan_blobs(used, {sha256 for _, sha256 in plans}))),
        trust=root,
    )


def decide(
    world: World,
    prepared: Prepared,
    decision: Decision,
    *,
    shown_on: ShownOn,
    accept: Sequence[str] = (),
    notes: str | None = None,
    not_after: str | None = None,
    target_ref: str | None = None,
    key: str | None = None,
    ask: Ask | None = None,
    say: Say | None = None,
    tsa: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Decided:
    """Sign a decision about what was prepared, and keep it where verifiers look for it.

    Hidden text stands in the way of an approval unless each passage is accepted by its id; a
    rejection needs none. `notes` are published. `key`, `ask` and `say` are as for `human_signer`.
    `tsa` is the timestamp authority that must stamp the signature, or ``none`` (flows.stamping).
    Raises HiddenInChange, UserError (inside a run, no reviewer, a recorder's key, facts that
    cannot be stated, not stamped), KeyUnusable.
    """
    _refuse_inside_a_run(os.environ if environment is None else environment)
    if decision == "approved":
        _require_accepted(prepared, accept)
    reviewer = _reviewer(world)
    action = f"to sign that {prepared.commit[:12]} is {decision}"
    signer = human_signer(world.home, key, action, ask=ask, say=say)
    review = prepared.review
    kinds: dict[str, list[str]] = {}
    for sha256, item in prepared.statements.items():
        kinds.setdefault(str(item.kind), []).append(sha256)
    whole = len(review.presented) == review.whole
    counts = Counter(
        finding.code for finding in prepared.verdict.findings if finding.severity != "note"
    )
    try:
        statement = attest.approval_statement(
            commit=prepared.commit,
            tree=prepared.tree,
            base=prepared.base,
            repository=address(world.git),
            reviewer=reviewer,
            decision="APPROVED" if decision == "approved" else "REJECTED",
            decided_at=world.now(),
            not_after=not_after,
            target_ref=target_ref,
            notes=notes,
            shown=attest.Shown(
                renderer=review.renderer,
                rendered_sha256=review.sha256,
                shown_on=shown_on,
                paths_in_change=review.whole,
                paths=None if whole else review.presented,
                hidden_segments=len(prepared.refusals),
                accepted=tuple(dict.fromkeys(accept)),
                findings=dict(sorted(counts.items())),
            ),
            reviewed=attest.Reviewed(
                plans=[sha256 for _, sha256 in prepared.plans],
                plan_statements=sorted(kinds.get("plan", ())),
                generations=sorted(kinds.get("generation", ())),
                sessions=sorted([*kinds.get("session-open", ()), *kinds.get("session-close", ())]),
            ),
        )
    except MalformedInput as error:
        raise UserError(f"the decision cannot be stated like this: {error.message}") from error
    stamp = stamping.chosen(world.git, tsa, signer)
    line = seal(statement, signer, stamp)
    # It hangs on all that it speaks of, and on the base: there the commit finds it that has
    # taken the approved one's place.
    anchors = dict.fromkeys([prepared.commit, *prepared.commits, *prepared.blobs])
    if prepared.base is not None:
        anchors[prepared.base] = None
    world.store.add({anchor: [line] for anchor in anchors})
    return Decided(
        decision=decision,
        commit=prepared.commit,
        statement=statement,
        bundle=line,
        signer=signer.uri,
        reviewer=reviewer,
        doubt=_doubt(prepared.trust, line),
        not_logged=log_append.append(world, [line]),
        not_stamped=stamp.why_not,
    )


def _change(world: World, target: str) -> tuple[str | None, str, tuple[str, ...]]:
    """Give (base, commit, commits) of what the user named."""
    git = world.git
    if ".." not in target:
        commit = git.resolve(target)
        if commit is None:
            raise UserError(f"{target!r} is no commit here", hint="name a commit or a range A..B")
        parents = git.text("rev-list", "--parents", "-1", commit).split()[1:]
        return (parents[0] if parents else None), commit, (commit,)
    first, _, last = target.partition("..")
    if last.startswith("."):
        raise UserError(f"{target!r}: name a range with two dots")
    ends = [git.resolve(word or "HEAD") for word in (first, last)]
    if None in ends:
        raise UserError(f"{target!r} is no range here", hint="name two commits: main..HEAD")
    old, new = str(ends[0]), str(ends[1])
    base = git.text("merge-base", old, new, check=False).strip() or None
    commits = verifying.resolve(git, [f"{old}..{new}"]).commits
    if not commits:
        raise UserError(f"{target!r} is empty: there is nothing to decide on")
    if len(commits) > MAX_COMMITS:
        raise UserError(
            f"{target!r} holds {len(commits)} commits, at most {MAX_COMMITS} can be decided on",
            hint="approve it in parts, or approve the merge commit",
        )
    return base, new, commits


def _only(paths: Sequence[str], labels: Sequence[str]) -> frozenset[str] | None:
    if not paths:
        return None
    strangers = [path for path in paths if path not in labels]
    if strangers:
        raise UserError(
            f"{strangers[0]!r} does not change here",
            hint="name changed paths as git does, from the top of the repository",
        )
    return frozenset(paths)


def _plan_blobs(entries: Sequence[Entry], kept: set[str]) -> set[str]:
    return {
        entry.view.blob
        for entry in entries
        if isinstance(entry.view, PlanView) and entry.view.blob and entry.view.sha256 in kept
    }


def _refuse_inside_a_run(environment: Mapping[str, str]) -> None:
    if environment.get("AGENTPROV_SESSION"):
        raise UserError(
            "a person decides about a change, outside of the run that made it; this is inside one",
            hint="approve it in a terminal of your own",
        )


def _require_accepted(prepared: Prepared, accept: Sequence[str]) -> None:
    known = {finding.id for finding in prepared.hidden}
    strangers = [item for item in accept if item not in known]
    if strangers:
        raise UserError(f"no finding {strangers[0]!r} in this change")
    open_ = [finding for finding in prepared.refusals if finding.id not in accept]
    if not open_:
        return
    ids = dict.fromkeys([*accept, *(finding.id for finding in open_)])
    words = [f"--accept-finding {shlex.quote(item)}" for item in ids]
    command = " ".join(["agentprov approve", shlex.quote(prepared.target), *words])
    others = f", and {len(open_) - 1} more" if len(open_) > 1 else ""
    raise HiddenInChange(
        f"{open_[0].message}{others}",
        open_,
        hint=f"reject it, or, if it shall stand: {command}",
    )


def _reviewer(world: World) -> str:
    name = person(world.git)
    if "@" not in name:
        raise UserError(
            "git does not know who you are, so the decision would be nobody's",
            hint="git config user.email you@example.com",
        )
    return f"mailto:{name}"


def _doubt(root: TrustRoot, line: bytes) -> str:
    """Say why this decision may not count where it is judged."""
    checked = signatures.check(line, root, KeyVerifier(), OfflineEvidence()).statement
    if checked is None or not checked.signer.may("reviewer"):
        return f"its signer holds no reviewer's role in {root.source}"
    if root.self_trust:
        return "no trust file names this key yet; only you count it"
    return ""
