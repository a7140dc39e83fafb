"""States a session twice: what is true when it opens, and what it came to when it closes."""

from __future__ import annotations

from collections.abc import Sequence

from agentprov.attest import descriptors
from agentprov.attest.descriptors import present, sha256
from agentprov.formats.facts import AgentReport, Gap, McpSeen, Session
from agentprov.formats.names import SESSION_TYPE
from agentprov.formats.statement import Statement, Subject, build


def session_open(session: Session) -> Statement:
    """State a session at its start (docs/spec/predicates/session.md).

    The subject is the journal, by the digest of its first line; of an imported session it is its
    first source, for there is no journal. Raises MalformedInput for facts
    that the schema refuses.
    """
    plan = session.plan
    predicate = present(
        phase="open",
        session={"id": session.id, "startedOn": session.started},
        builder=descriptors.builder(session.builder),
        repository=session.repository.uri,
        base=present(gitCommit=session.base_commit, gitTree=session.base_tree),
        ref=session.ref,
        platform=session.platform,
        agent=descriptors.agent(session.agent),
        commandLine=descriptors.command_line(session.command_line),
        plan=None
        if plan is None
        else present(
            name=plan.name,
            digest=sha256(plan.sha256),
            statement=sha256(plan.statement_sha256),
            signature=sha256(plan.signature_sha256),
            notAfter=plan.not_after,
        ),
        materials=[descriptors.material(item) for item in session.materials],
        mcpServers=[descriptors.mcp_server(item) for item in session.mcp_servers],
        labels=dict(session.labels),
        principal=None
        if session.principal is None
        else {"id": session.principal, "basis": "declared"},
        gaps=descriptors.gaps(session.gaps),
        imported=descriptors.sources(session.sources),
    )
    return build([Subject("journal", sha256(session.journal_genesis))], SESSION_TYPE, predicate)


def session_close(
    session: Session,
    *,
    open_sha256: str,
    generations: Sequence[str],
    last_sequence: int,
    finished: str,
    journal_head: str,
    journal_entries: int,
    outcome: str,
    exit_status: int | None,
    report: AgentReport,
    uncommitted: Sequence[bytes] = (),
    gaps: Sequence[Gap] = (),
    mcp: Sequence[McpSeen] = (),
) -> Statement:
    """State a session at its end: every generation statement, and the head of the journal.

    `open_sha256` and `generations` are payload digests, the latter in order of sequence and
    part; `journal_head` is the digest of the journal's last line; `outcome` is ``completed`` or
    ``incomplete``. Paths that changed and were not committed are counted, never named, because
    published records name committed paths only; so are contradictions between the channels,
    whose sentences stand in the journal. Raises MalformedInput.
    """
    predicate = present(
        phase="close",
        session=present(
            id=session.id,
            startedOn=session.started,
            finishedOn=finished,
            outcome=outcome,
            exitStatus=exit_status,
        ),
        builder=descriptors.builder(session.builder),
        open=sha256(open_sha256),
        lastSequence=last_sequence,
        journal={"entries": journal_entries, "head": sha256(journal_head)},
        models=[descriptors.model(item) for item in report.models],
        mcpServers=[descriptors.mcp_seen(item) for item in mcp],
        channels=list(report.channels),
        declarations=[descriptors.declared(item) for item in report.declared],
        uncommitted=len(uncommitted),
        contradictions=len(report.contradictions) or None,
        gaps=descriptors.gaps((*report.gaps, *gaps)),
    )
    predicate["generations"] = [sha256(item) for item in generations]
    return build([Subject("journal", sha256(journal_head))], SESSION_TYPE, predicate)
