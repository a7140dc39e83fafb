"""The one place that says what is claimed of the lines of a commit.

`blame`, `trace`, `query` and `stats` all read their claims from here. What the judge accepted and
what it did not come out as the same values; `accepted` tells them apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from agentprov.errors import MalformedInput
from agentprov.flows.refused_links import carry
from agentprov.formats.claims import (
    UNREPLAYED,
    AgentClaim,
    CommitClaim,
    DecisionClaim,
    FileClaim,
    GenerationClaim,
    LineClaim,
    MaterialClaim,
    ModelClaim,
    OpeningClaim,
    PlanClaim,
    Rewrite,
    ServerClaim,
    model_named,
)
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.predicates.rewrite import RewriteView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.system.git_objects import CommitObject
from agentprov.verify.claims import claims_of as verified_claims
from agentprov.verify.finding import CommitVerdict
from agentprov.verify.judge import Judgement
from agentprov.verify.record import Entry

_MODEL = "pkg:generic/"
_REASONS = 12


def claims_of(judgement: Judgement, commits: Mapping[str, CommitObject]) -> Iterator[CommitClaim]:
    """Give what is claimed of each judged commit that is among `commits`, accepted or not.

    What holds comes from `verify.claims`: a commit's own records, rewrite links, content found
    again. A link that could not be made again here counts as not accepted.
    """
    against = _against(judgement)
    unheld = _unheld(judgement, against)
    for verdict in judgement.verdict.commits:
        commit = commits.get(verdict.commit)
        if commit is not None:
            held = _held(judgement, verdict.commit)
            yield _commit(commit, verdict, (*held, *unheld.get(verdict.commit, ())))


_Way = tuple[Entry, Entry | None, str, bool]
"""A generation, the link that leads from it to the commit, by what, and whether that is sure."""


def _held(judgement: Judgement, commit: str) -> Iterator[GenerationClaim]:
    """Give what holds of a commit, one claim for each statement and each way that leads to it."""
    bases: dict[Entry, GenerationClaim] = {}
    files: dict[_Way, dict[str, FileClaim]] = defaultdict(dict)

    def base_of(entry: Entry) -> GenerationClaim | None:
        if entry not in bases:
            made = _accepted(entry)
            if made is None:
                return None
            bases[entry] = made
        return bases[entry]

    for path, claimed in verified_claims(judgement, commit).items():
        plain = FileClaim(path, claimed.op, claimed.blob, True)
        for entry in claimed.sources:
            base = base_of(entry)
            if base is None:
                continue
            if claimed.via != "record" and not claimed.ranges:
                files[entry, None, claimed.via, True][path] = plain
            elif claimed.via == "record":
                own = next((file for file in base.files if file.path == path), None)
                if own is not None and not own.lines:
                    files[entry, None, "record", True][path] = own
        for item in claimed.ranges:
            for entry in item.sources:
                base = base_of(entry)
                if base is None:
                    continue
                named = model_named(item.model, base.models)
                line = LineClaim(item.start, item.end, item.origin, item.basis, named, item.why)
                way = (entry, item.link, item.via, item.replayed is not False)
                known = files[way].get(path, plain)
                files[way][path] = known._replace(lines=(*known.lines, line))
    for (entry, link, via, sure), found in files.items():
        yield replace(
            bases[entry],
            commit=commit,
            files=tuple(found.values()),
            accepted=sure,
            why=() if sure else (UNREPLAYED,),
            rewrite=None if via == "record" else _rewrite(bases[entry], link, via),
        )


def _rewrite(base: GenerationClaim, link: Entry | None, via: str) -> Rewrite:
    view = link.view if link is not None else None
    if isinstance(view, RewriteView) and link is not None and link.statement is not None:
        signed = link.statement
        return Rewrite(view.method, signed.value.sha256, base.commit, signed.signer.person)
    return Rewrite(via, base.sha256, base.commit)


def _unheld(
    judgement: Judgement, against: Mapping[str, tuple[str, ...]]
) -> Mapping[str, list[GenerationClaim]]:
    """Give what is said of commits by records that do not hold."""
    made: dict[str, GenerationClaim] = {}
    held: set[str] = set()
    for accepted in judgement.accepted:
        for entry in accepted.everything():
            claim = _accepted(entry)
            if claim is not None:
                made[claim.sha256] = claim
            if entry is accepted and entry.payload_sha256 is not None:
                held.add(entry.payload_sha256)
    found: dict[str, list[GenerationClaim]] = defaultdict(list)
    links: dict[str, RewriteView] = {}
    for record in judgement.case.records:
        try:
            view, statement = record.reading.view(), record.reading.statement()
        except MalformedInput:
            continue
        if isinstance(view, GenerationView) and statement.sha256 not in made:
            why = against.get(view.commit, ())
            claim = _unverified(view, statement.sha256, statement.predicate, why)
            made[statement.sha256] = claim
            found[view.commit].append(claim)
        elif isinstance(view, RewriteView) and statement.sha256 not in links:
            links[statement.sha256] = view
    for sha256, link in links.items():
        if sha256 not in held:
            found[link.commit] += carry(link, sha256, made, links, against.get(link.commit, ()))
    return found


def commits_of(view: object) -> Iterator[str]:
    """Give the commits whose lines a record may speak of."""
    if isinstance(view, GenerationView | RewriteView):
        yield view.commit


def _against(judgement: Judgement) -> Mapping[str, tuple[str, ...]]:
    """Give the codes of what was found against the records of each commit."""
    codes: dict[str, dict[str, None]] = defaultdict(dict)
    for item in judgement.verdict.findings:
        if item.commit is not None and item.severity != "note":
            codes[item.commit][item.code] = None
    return {commit: tuple(found)[:_REASONS] for commit, found in codes.items()}


def _commit(
    found: CommitObject, verdict: CommitVerdict, generations: Sequence[GenerationClaim]
) -> CommitClaim:
    return CommitClaim(
        commit=found.oid,
        author=found.author.rsplit(" ", 2)[0],
        committed=found.committed,
        subject=found.message.split("\n", 1)[0][:500],
        coverage=verdict.coverage,
        generations=tuple(generations),
        decisions=tuple(
            DecisionClaim(
                item.sha256,
                item.signer,
                item.decision,
                item.decided_at,
                item.not_after,
                item.valid,
                item.partial,
            )
            for item in verdict.approvals
        ),
    )


def _accepted(entry: Entry) -> GenerationClaim | None:
    view = entry.view
    if not isinstance(view, GenerationView) or entry.statement is None:
        return None
    predicate = entry.statement.value.predicate
    opening = plan = None
    complete = False
    for part in entry.everything():
        if part.statement is None:
            continue
        if isinstance(part.view, OpenView):
            opening = _opening(part.statement.value.sha256, part.statement.value.predicate)
        elif isinstance(part.view, CloseView):
            complete = part.view.outcome == "completed"
        elif isinstance(part.view, PlanView):
            signed = part.signatures.get(view.plan[1]) if view.plan else None
            plan = PlanClaim(
                part.view.name,
                part.view.sha256,
                part.statement.value.sha256,
                (signed or part.statement).signer.person,
                part.view.declared_at,
                part.statement.value.predicate.get("intent"),
            )
    return _generation(
        view,
        entry.statement.value.sha256,
        predicate,
        opening=opening or _told_opening(view, predicate),
        plan=plan,
        signer=entry.statement.signer.person,
        complete=complete,
        accepted=True,
        why=(),
    )


def _unverified(
    view: GenerationView, sha256: str, predicate: Mapping[str, Any], why: Sequence[str]
) -> GenerationClaim:
    plan = None
    if view.plan is not None and view.plan_sha256 is not None:
        name = predicate["buildDefinition"]["externalParameters"].get("plan", "")
        plan = PlanClaim(name, view.plan_sha256, view.plan[0])
    return _generation(
        view,
        sha256,
        predicate,
        opening=_told_opening(view, predicate),
        plan=plan,
        signer=None,
        complete=False,
        accepted=False,
        why=tuple(why) or ("not-accepted",),
    )


def _generation(
    view: GenerationView,
    sha256: str,
    predicate: Mapping[str, Any],
    *,
    opening: OpeningClaim,
    plan: PlanClaim | None,
    signer: str | None,
    complete: bool,
    accepted: bool,
    why: tuple[str, ...],
) -> GenerationClaim:
    metadata = predicate["runDetails"]["metadata"]
    models = tuple(_models(predicate))
    return GenerationClaim(
        commit=view.commit,
        sha256=sha256,
        session=view.session,
        sequence=view.sequence,
        part=view.part,
        started=view.started,
        builder=view.builder,
        signer=signer,
        opening=opening,
        models=models,
        unnamed=tuple(
            item["why"]
            for item in metadata.get("agentprov_unknown", ())
            if item["claim"] == "model" or item["claim"].startswith("model ")
        ),
        plan=plan,
        files=tuple(_files(metadata["agentprov_changes"], models)),
        accepted=accepted,
        complete=complete,
        why=why,
    )


def _opening(sha256: str, predicate: Mapping[str, Any]) -> OpeningClaim:
    agent = predicate["agent"]
    return OpeningClaim(
        sha256,
        AgentClaim(
            agent["name"],
            agent.get("version"),
            agent.get("uri"),
            agent.get("digest", {}).get("sha256"),
            agent["basis"],
        ),
        tuple(
            ServerClaim(item["name"], item.get("uri"), item.get("digest", {}).get("sha256"))
            for item in predicate.get("mcpServers", ())
        ),
        tuple(
            MaterialClaim(item["role"], item["name"], item.get("digest", {}).get("sha256"))
            for item in predicate.get("materials", ())
        ),
    )


def _told_opening(view: GenerationView, predicate: Mapping[str, Any]) -> OpeningClaim:
    """Give what a generation says by itself of how its session was set up."""
    definition = predicate["buildDefinition"]
    named = {item["name"]: item for item in definition["resolvedDependencies"]}
    agent = named.get("agent", {})
    notes = agent.get("annotations", {})
    return OpeningClaim(
        view.open_sha256 or "",
        AgentClaim(
            view.agent,
            notes.get("version"),
            agent.get("uri"),
            view.agent_sha256,
            notes.get("basis", "declared"),
        ),
        tuple(
            _server(name, named.get("mcp/" + name, {}))
            for name in definition["externalParameters"].get("mcpServers", ())
        ),
        tuple(
            MaterialClaim(
                "instruction",
                name.partition("/")[2],
                item.get("digest", {}).get("sha256"),
            )
            for name, item in named.items()
            if name.startswith("agent-instructions/")
        ),
    )


def _server(name: str, item: Mapping[str, Any]) -> ServerClaim:
    return ServerClaim(name, item.get("uri"), item.get("digest", {}).get("sha256"))


def _models(predicate: Mapping[str, Any]) -> Iterator[ModelClaim]:
    for item in predicate["buildDefinition"]["resolvedDependencies"]:
        if not item["name"].startswith("model/") or "uri" not in item:
            continue
        notes = item.get("annotations", {})
        provider, _, served = item["uri"].removeprefix(_MODEL).partition("/")
        plain = item["uri"].startswith(_MODEL) and provider and served
        yield ModelClaim(
            item["uri"],
            unquote(provider) if plain else "",
            unquote(served) if plain else item["uri"],
            notes.get("requested"),
            notes.get("role"),
            notes.get("host"),
            notes.get("basis", "declared"),
        )


def _files(
    changes: Iterable[Mapping[str, Any]], models: Sequence[ModelClaim]
) -> Iterator[FileClaim]:
    for change in changes:
        yield FileClaim(
            change["path"],
            change["op"],
            change.get("gitBlob"),
            change.get("fromSession", True),
            tuple(
                LineClaim(
                    item["start"],
                    item["end"],
                    item["origin"],
                    item["basis"],
                    model_named(item.get("model"), models),
                    item.get("why"),
                )
                for item in change.get("ranges", ())
            ),
            change.get("why"),
        )


__all__ = ["claims_of", "commits_of"]
