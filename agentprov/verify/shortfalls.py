"""What stands in the way of a commit, said as findings; what follows from them is coverage's.

docs/spec/verification.md, step 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentprov.formats.names import label_path
from agentprov.formats.predicates.generation import ChangeView, GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView, RewrittenPath
from agentprov.verify.finding import Coverage, Finding, Problem, finding
from agentprov.verify.record import Entry, generations
from agentprov.verify.rewritten import Binding
from agentprov.verify.subjects import MAX_PLACE_DIGITS, CommitFacts

_NAMED = 5


def misplaced(entry: Entry, facts: CommitFacts) -> list[Finding]:
    """Find what a record that hangs on this commit says of another: a copy, moved or replayed.

    The entry itself keeps its standing: it may hold for the commit that it describes, and
    whoever hangs a copy elsewhere must not be able to take that away.
    """
    view = entry.view
    if not isinstance(view, GenerationView | RewriteView) or view.commit == facts.oid:
        return []
    if facts.oid not in entry.anchors:
        return []
    problems = [
        Problem(
            "record-of-another-commit", f"it hangs on {facts.oid}, yet it describes {view.commit}"
        )
    ]
    differing = [change.path for change in view.changes if change.blob and _differs(change, facts)]
    problems += [
        Problem(
            "changed-since-recorded", f"{path!r} does not have the content that was signed", path
        )
        for path in differing
    ]
    return [finding(item, subject=entry.label, commit=facts.oid) for item in problems]


def _differs(change: ChangeView | RewrittenPath, facts: CommitFacts) -> bool:
    real = facts.diffs.get(label_path(change.path))
    return real is not None and real.new_blob is not None and real.new_blob != change.blob


def missing(coverage: Coverage, facts: CommitFacts, required: bool) -> list[Finding]:
    if coverage != "uncovered":
        return []
    return [
        finding(
            Problem("provenance-missing", "no record that holds says where this commit came from"),
            subject=facts.oid,
            commit=facts.oid,
            severity="error" if required else "warning",
        )
    ]


def beyond_plans(
    holding: Sequence[Entry], oid: str, required: frozenset[str], target_ref: str | None
) -> list[Finding]:
    """Find work that its plan's signer did not allow; the record of it is still a true one."""
    planned = [
        entry
        for entry in holding
        if any(isinstance(part.view, PlanView) for part in entry.everything())
    ]
    if not planned:
        return []
    # Patterns and rules are loaded where there is something to hold against them.
    from agentprov.verify import plan_limits

    return [
        finding(
            Problem("plan-exceeded", sentence),
            subject=entry.label,
            commit=oid,
            severity="error" if oid in required else "warning",
        )
        for entry in planned
        for _, sentence in plan_limits.exceeded(entry, target_ref)
    ]


def trailers(
    holding: Sequence[Entry],
    places: Mapping[tuple[str, int], Sequence[Entry]],
    facts: CommitFacts,
    is_ancestor: Callable[[str, str], bool | None],
) -> list[Finding]:
    """Find trailers whose record is not here: the trace that a deleted record leaves.

    Commits that follow each other at once may carry one number. So a record of an ancestor is not
    that of the commit before it was rewritten: what was rewritten is in no history of the new one.
    A commit that changes nothing needs no record.
    """
    problems: list[Problem] = []
    sessions = {
        entry.view.session
        for entry in generations(holding)
        if isinstance(entry.view, GenerationView)
    }
    for trailer in facts.trailers:
        session, _, number = trailer.rpartition("/")
        if (
            not session
            or not (number.isascii() and number.isdigit())
            or len(number) > MAX_PLACE_DIGITS
        ):
            problems.append(Problem("trailer-malformed", f"{trailer!r} is not SESSION/NUMBER"))
        elif session not in sessions:
            others = [
                entry.view.commit
                for entry in places.get((session, int(number)), ())
                if isinstance(entry.view, GenerationView)
                and entry.view.commit != facts.oid
                and entry.holds()
            ]
            before = [
                one for one in others if not facts.diffs or is_ancestor(one, facts.oid) is not True
            ]
            if before:
                told = Problem("commit-rewritten", f"the record of {trailer} describes {before[0]}")
            elif others:
                told = Problem(
                    "record-missing",
                    f"its trailer names {trailer}; that record describes its ancestor {others[0]}",
                )
            else:
                told = Problem(
                    "record-missing", f"its trailer names {trailer}; no such record holds"
                )
            problems.append(told)
    return [finding(problem, subject=facts.oid, commit=facts.oid) for problem in problems]


def about_content(facts: CommitFacts, binding: Binding, *, liked: bool) -> list[Finding]:
    problems = []
    if binding.found:
        commits = sorted({one.entry.commit or "" for one in binding.found})
        paths = len({one.path for one in binding.found})
        link = (
            "a link by likeness says so" if liked else "no signed link says that it was rewritten"
        )
        problems.append(
            Problem(
                "content-found",
                f"{paths} of {len(facts.diffs)} paths hold what was recorded for "
                f"{_few(commits)}; {link}",
            )
        )
    if binding.ambiguous:
        commits = sorted({one.entry.commit or "" for one in binding.ambiguous})
        problems.append(
            Problem(
                "content-ambiguous",
                f"what it holds was recorded for {_few(commits)}, and nobody can say which it is",
            )
        )
    return [finding(one, subject=facts.oid, commit=facts.oid) for one in problems]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
