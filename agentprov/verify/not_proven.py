"""What a verdict does not prove, said with every verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agentprov.formats.names import BUILDER_PREFIX
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import OpenView
from agentprov.verify import authority, times
from agentprov.verify.finding import Unproven
from agentprov.verify.record import Entry
from agentprov.verify.trust import UNGUARDED, TrustRoot

_SAME_USER = frozenset({"local-wrapper", "hooks-only", "mcp-declared"})


def collect(
    accepted: Sequence[Entry], decided: Sequence[Entry], trust: TrustRoot
) -> tuple[Unproven, ...]:
    """Give the claims that accepted records, decisions and the trust root leave open, each once."""
    parts = {id(part): part for entry in accepted for part in entry.everything()}
    entries = list(parts.values())
    found: dict[str, Unproven] = {}
    for item in (*_all(entries, trust), *_about_decisions(decided)):
        found.setdefault(item.claim, item)
    return tuple(found.values())


def _all(entries: Sequence[Entry], trust: TrustRoot) -> Iterator[Unproven]:
    if trust.self_trust:
        yield Unproven(
            "that the signers are who they are said to be",
            "no trust file was used; this user's own keys vouch for themselves",
            "declared",
        )
    yield from _about_signers(entries)
    yield from _about_recorders(entries)
    yield from _about_models(entries)
    yield from _about_lines(entries)
    yield from _about_rewrites(entries)
    yield from _about_plans(entries)
    if entries:
        yield Unproven(
            "that the agent was not led to make the model say what it said",
            "whatever reaches a prompt can steer a model; records show what came, not why",
            "reported",
        )
        untimed = sum(times.of(entry) is None for entry in entries)
        if untimed:
            yield Unproven(
                "when any of this happened",
                "times are the signer's own clock; no timestamp of a trusted authority stands "
                f"beside {untimed} of {len(entries)} statements",
                "observed",
            )
    yield Unproven(
        "that no record was deleted",
        "a missing record shows only through a commit's trailer or a session's closing statement",
        "observed",
    )


def _about_signers(entries: Iterable[Entry]) -> Iterator[Unproven]:
    for entry in entries:
        if not isinstance(entry.view, PlanView):
            continue
        for signed in entry.signatures.values():
            if signed.signer.custody in UNGUARDED:
                yield Unproven(
                    f"that {signed.signer.person} signed the plan in person",
                    f"key custody is {signed.signer.custody!r}: any process of this user, the "
                    "agent included, could have signed",
                    "declared",
                )


def _about_recorders(entries: Iterable[Entry]) -> Iterator[Unproven]:
    for entry in entries:
        view = entry.view
        if not isinstance(view, OpenView):
            continue
        mode = view.builder.removeprefix(BUILDER_PREFIX).partition("/")[0]
        if mode in _SAME_USER:
            yield Unproven(
                "that the agent left the recorder alone",
                f"{mode}: the recorder runs as the agent's own user, who can read its key, "
                "stop it, and inject into its processes",
                "observed",
            )
        if authority.is_import(view.builder):
            read_from = ", ".join(sorted(set(view.imported))) or "an unnamed source"
            yield Unproven(
                f"that what was imported from {read_from} is true",
                "nobody who recorded saw the work; who imported it signed what was found written",
                "declared",
            )
            continue
        for remark in entry.remarks:
            if remark.code == "session-incomplete":
                yield Unproven("that the session's record is whole", remark.message, "observed")


def _about_models(entries: Iterable[Entry]) -> Iterator[Unproven]:
    for entry in entries:
        if not isinstance(entry.view, GenerationView) or entry.statement is None:
            continue
        definition = entry.statement.value.predicate["buildDefinition"]
        models = [
            item for item in definition["resolvedDependencies"] if item["name"].startswith("model/")
        ]
        if not models:
            yield Unproven("which model answered", "nothing said so", "declared")
        for item in models:
            basis = item.get("annotations", {}).get("basis", "declared")
            if basis in ("declared", "reported"):
                yield Unproven(
                    f"that {item['uri']} answered",
                    "the agent says so; nobody looked at the model's wire",
                    basis,
                )


def _about_lines(entries: Iterable[Entry]) -> Iterator[Unproven]:
    weak = unknown = 0
    for told in _told_of_lines(entries).values():
        for lines in told.values():
            if len(lines) == 1:
                ((_, ranges),) = lines.items()
                unknown += sum(_length(item) for item in ranges if item["origin"] == "unknown")
                weak += sum(_length(item) for item in ranges if _is_weak(item))
                continue
            # A line is open if each session leaves it so, and is one however many speak of it.
            each = [item for ranges in lines.values() for item in ranges]
            known = _numbers(item for item in each if item["origin"] != "unknown")
            unknown += len(_numbers(each) - known)
            weak += len(_numbers(filter(_is_weak, each)))
    if weak:
        yield Unproven(
            f"that {weak} added lines came from the model",
            "the agent reported writing them; the model's answer was not seen",
            "reported",
        )
    if unknown:
        yield Unproven(
            f"who wrote {unknown} added lines",
            "no process attribution, or no channel that saw the write",
            "observed",
        )


_Ranges = list[Mapping[str, Any]]


def _told_of_lines(entries: Iterable[Entry]) -> dict[str, dict[str, dict[str, _Ranges]]]:
    """Give what is stated of lines, by commit, path and session."""
    found: dict[str, dict[str, dict[str, _Ranges]]] = {}
    for entry in entries:
        view = entry.view
        if not isinstance(view, GenerationView) or entry.statement is None:
            continue
        metadata = entry.statement.value.predicate["runDetails"]["metadata"]
        paths = found.setdefault(view.commit, {})
        for change in metadata["agentprov_changes"]:
            if "ranges" in change:
                sessions = paths.setdefault(change["path"], {})
                sessions.setdefault(view.session, []).extend(change["ranges"])
    return found


def _length(item: Mapping[str, Any]) -> int:
    return int(item["end"] - item["start"] + 1)


def _is_weak(item: Mapping[str, Any]) -> bool:
    return item["origin"] == "model" and item["basis"] in ("declared", "reported")


def _numbers(ranges: Iterable[Mapping[str, Any]]) -> set[int]:
    return {line for item in ranges for line in range(item["start"], item["end"] + 1)}


def _about_rewrites(entries: Iterable[Entry]) -> Iterator[Unproven]:
    for entry in entries:
        view = entry.view
        if not isinstance(view, RewriteView):
            continue
        if not entry.replayed:
            yield Unproven(
                f"that the lines of {view.commit} are those of the commits it was made of",
                "the recorder's link says so; it was not made again here, for want of old "
                "commits or a known rule, and was only held against what its sources say",
                "observed",
            )
        if view.carried < view.claimed:
            yield Unproven(
                f"what became of {view.claimed - view.carried} lines when {view.commit} was made",
                "a rewrite can drop or change lines, and the link carries the others only",
                "observed",
            )


def _about_plans(entries: Iterable[Entry]) -> Iterator[Unproven]:
    for entry in entries:
        view = entry.view
        if not isinstance(view, PlanView):
            continue
        if view.shown_on == "none" or not entry.rendered:
            again = "made again here" if entry.rendered else "not made again here"
            yield Unproven(
                f"that the signer of {view.name!r} saw all of it",
                f"shown on: {view.shown_on}; what was shown was {again}",
                "declared",
            )
        if not view.limits:
            continue
        from agentprov.verify import plan_limits

        unjudged = [one for one in view.limits if one.partition(".")[2] not in plan_limits.JUDGED]
        if unjudged:
            yield Unproven(
                f"that the work kept to the limits of {view.name!r}",
                f"no record tells enough to hold {', '.join(unjudged)} against it",
                "declared",
            )


def _about_decisions(decided: Iterable[Entry]) -> Iterator[Unproven]:
    for entry in decided:
        view = entry.view
        if entry.statement is None or not isinstance(view, ApprovalView):
            continue
        person, custody = entry.statement.signer.person, entry.statement.signer.custody
        if custody in UNGUARDED:
            yield Unproven(
                f"that {person} decided in person",
                f"key custody is {custody!r}: any process of this user, the agent included, could "
                "have signed",
                "declared",
            )
        if view.shown_on == "none" or not entry.rendered:
            again = "made again here" if entry.rendered else "not made again here"
            yield Unproven(
                f"that {person} saw all of {view.commit}",
                f"shown on: {view.shown_on}; what was shown was {again}",
                "declared",
            )
        yield Unproven(
            f"that {person} never rejected {view.commit}",
            "a rejection that somebody deleted leaves no trace",
            "declared",
        )
