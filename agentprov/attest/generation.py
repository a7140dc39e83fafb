"""States what one session put into one commit, as SLSA provenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agentprov.attest import descriptors
from agentprov.attest.descriptors import present, sha256
from agentprov.formats.facts import AgentReport, Change, Commit, LineRange, Session
from agentprov.formats.model_manifest import RULE
from agentprov.formats.names import (
    AGENT_SESSION_BUILD,
    MCP_DECLARED,
    PROVENANCE_TYPE,
    path_label,
)
from agentprov.formats.predicates.generation import COMMIT_NAME, SUBJECTS_PER_PART
from agentprov.formats.statement import Statement, Subject, build


def generation(
    session: Session, open_sha256: str, commit: Commit, report: AgentReport
) -> list[Statement]:
    """State a commit; more than 999 changes give several statements, numbered in `part`.

    What the opening statement says already (platform, recorder version, command line, digests of
    instructions, settings and servers) is not said again: one record per commit has to stay small.

    `open_sha256` is the payload digest of the session's opening statement. Holds no time but
    the session's start, so that it comes out the same whenever it is made. Raises
    MalformedInput for facts that the schema refuses.
    """
    dependencies, unknown = _dependencies(session, open_sha256, report)
    pages = list(_pages(commit.changes, SUBJECTS_PER_PART - 1))
    return [
        build(
            [_commit_subject(commit), *_file_subjects(page)],
            PROVENANCE_TYPE,
            {
                "buildDefinition": {
                    "buildType": AGENT_SESSION_BUILD,
                    "externalParameters": _parameters(session),
                    "resolvedDependencies": dependencies,
                },
                "runDetails": {
                    "builder": {"id": session.builder},
                    "metadata": {
                        "invocationId": session.id,
                        "startedOn": session.started,
                        "agentprov_commit": _commit(session, commit, number, len(pages)),
                        "agentprov_changes": [_change(change) for change in page],
                        **present(
                            agentprov_declared=_declared(report, page), agentprov_unknown=unknown
                        ),
                    },
                },
            },
        )
        for number, page in enumerate(pages, start=1)
    ]


def _pages(changes: Sequence[Change], size: int) -> Iterator[Sequence[Change]]:
    for start in range(0, max(len(changes), 1), size):
        yield changes[start : start + size]


def _commit_subject(commit: Commit) -> Subject:
    return Subject(COMMIT_NAME, {"gitCommit": commit.oid})


def _file_subjects(changes: Sequence[Change]) -> list[Subject]:
    return [
        Subject(path_label(change.path), sha256(change.sha256))
        for change in changes
        if change.from_session and change.sha256 and change.op not in ("delete", "mode")
    ]


def _parameters(session: Session) -> dict[str, Any]:
    return present(
        agent=session.agent.name,
        plan=session.plan.name if session.plan else None,
        ref=session.ref,
        mcpServers=[server.name for server in session.mcp_servers],
        labels=dict(session.labels),
    )


def _commit(session: Session, commit: Commit, part: int, parts: int) -> dict[str, Any]:
    record = {
        "repository": session.repository.uri,
        "gitCommit": commit.oid,
        "gitTree": commit.tree,
        "parents": list(commit.parents),
        "sequence": commit.sequence,
        **present(patchId=commit.patch_id),
    }
    if not commit.during:
        record["during"] = False
    if parts > 1:
        record.update(part=part, parts=parts)
    return record


def _change(change: Change) -> dict[str, Any]:
    record = present(
        path=path_label(change.path),
        op=change.op,
        mode=change.mode,
        gitBlob=None if change.op == "delete" else change.blob,
        oldPath=path_label(change.old_path) if change.old_path and change.op == "rename" else None,
        ranges=[_range(item) for item in _joined(change.ranges)],
        why=change.why,
        added=change.added,
    )
    if not change.from_session:
        record["fromSession"] = False
    return record


def _declared(report: AgentReport, page: Sequence[Change]) -> list[dict[str, Any]]:
    """Give the artifacts that were declared in files of this page; others are not named."""
    labels = {path_label(change.path) for change in page if change.from_session}
    return [
        descriptors.declared_artifact(item)
        for item in report.declared
        if item.kind == "artifact" and item.path in labels
    ]


def _joined(ranges: Sequence[LineRange]) -> list[LineRange]:
    joined: list[LineRange] = []
    for item in ranges:
        last = joined[-1] if joined else None
        if last is not None and last.end + 1 == item.start and _claim(last) == _claim(item):
            joined[-1] = LineRange(
                last.start, item.end, item.origin, item.basis, item.model, item.why
            )
        else:
            joined.append(item)
    return joined


def _claim(item: LineRange) -> tuple[str | None, ...]:
    return (item.origin, item.basis, item.model, item.why)


def _range(item: LineRange) -> dict[str, Any]:
    return present(
        start=item.start,
        end=item.end,
        origin=item.origin,
        basis=item.basis,
        model=item.model,
        why=item.why,
    )


def _dependencies(
    session: Session, open_sha256: str, report: AgentReport
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Give what went in, and what could not be said about it."""
    found: list[dict[str, Any]] = [{"name": "session-attestation", "digest": sha256(open_sha256)}]
    unknown: list[dict[str, str]] = []
    if session.plan is not None:
        found.append({"name": "plan", "digest": sha256(session.plan.sha256)})
        found.append(
            {
                "name": "plan-attestation",
                "digest": sha256(session.plan.statement_sha256),
                "annotations": {"signature": sha256(session.plan.signature_sha256)},
            }
        )
    for source in session.sources:
        found.append(
            {
                "name": "import-source",
                "digest": sha256(source.sha256),
                "annotations": {"format": source.format},
            }
        )
    if session.base_commit is not None:
        found.append({"name": "base", "digest": {"gitCommit": session.base_commit}})
    _add_agent(session, found, unknown)
    _add_models(session.builder, report, found, unknown)
    for server in session.mcp_servers:
        # Consumers of SLSA find a server by its package; its digest stands in the opening.
        by_digest = sha256(server.sha256) if server.sha256 and not server.purl else None
        described = present(uri=server.purl, digest=by_digest)
        if described:
            found.append(
                {
                    "name": f"mcp/{server.name}",
                    **described,
                    "annotations": {"basis": server.basis},
                }
            )
        else:
            unknown.append(
                {"claim": f"mcp/{server.name}", "why": server.why or "not a file of ours to read"}
            )
    return _unique(found), unknown


def _add_agent(
    session: Session, found: list[dict[str, Any]], unknown: list[dict[str, str]]
) -> None:
    agent = session.agent
    described = present(uri=agent.purl, digest=sha256(agent.sha256) if agent.sha256 else None)
    if described:
        found.append(
            {
                "name": "agent",
                **described,
                "annotations": present(
                    basis=agent.basis, version=None if agent.purl else agent.version
                ),
            }
        )
    if not agent.sha256:
        unknown.append({"claim": "agent digest", "why": agent.why or "nothing was kept of it"})


def _add_models(
    builder: str,
    report: AgentReport,
    found: list[dict[str, Any]],
    unknown: list[dict[str, str]],
) -> None:
    number = 0
    for use in report.models:
        if use.served is None:
            asked = f" (asked for {use.requested})" if use.requested else ""
            why = use.why or "nobody kept what was served"
            unknown.append({"claim": f"model served by {use.provider}{asked}", "why": why})
            continue
        number += 1
        weights = use.weights
        root = weights.sha256 if weights is not None else None
        found.append(
            {
                "name": f"model/{number}",
                "uri": descriptors.model_uri(use.provider, use.served),
                **present(digest=sha256(root) if root else None),
                "annotations": present(
                    requested=use.requested,
                    role=use.role,
                    basis=use.basis,
                    host=use.host,
                    digestRule=RULE if root else None,
                    digestBasis=weights.basis if weights is not None and root else None,
                ),
            }
        )
        if weights is not None and root is None:
            claim = f"weights of model/{number}"
            unknown.append({"claim": claim, "why": weights.why or "not hashed"})
    if not report.models:
        unknown.append({"claim": "model", "why": "no channel said which model was used"})
    elif builder != MCP_DECLARED and all(use.basis == "declared" for use in report.models):
        # Where a recorder looked and saw none, the agent's word must not pass for an answer.
        unknown.append({"claim": "model", "why": "only the agent's own declaration names one"})


def _unique(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every dependency a name of its own: equal ones fall together, others get a number."""
    kept: dict[str, dict[str, Any]] = {}
    for item in found:
        name, number = item["name"], 1
        while name in kept and {**kept[name], "name": ""} != {**item, "name": ""}:
            number += 1
            name = f"{item['name']}#{number}"
        kept[name] = {**item, "name": name}
    return list(kept.values())
