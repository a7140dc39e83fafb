"""A session's end: the facts of its closing statement, and what is kept after it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentprov import attest
from agentprov.formats.facts import AgentReport, Edit, Gap, McpSeen, Session
from agentprov.formats.statement import Statement


@dataclass(frozen=True)
class Ending:
    """What the closing statement says beside what the journal already holds."""

    finished: str
    outcome: str
    exit_status: int | None
    last_sequence: int
    report: AgentReport
    uncommitted: int
    gaps: tuple[Gap, ...] = ()
    mcp: tuple[McpSeen, ...] = ()

    def statement(
        self,
        session: Session,
        open_sha256: str,
        generations: Sequence[str],
        head: str,
        entries: int,
    ) -> Statement:
        """Give the closing statement; `head` and `entries` are the journal's at that moment."""
        return attest.session_close(
            session,
            open_sha256=open_sha256,
            generations=generations,
            last_sequence=self.last_sequence,
            finished=self.finished,
            journal_head=head,
            journal_entries=entries,
            outcome=self.outcome,
            exit_status=self.exit_status,
            report=self.report,
            uncommitted=[b""] * self.uncommitted,
            gaps=self.gaps,
            mcp=self.mcp,
        )


def writes_by_path(edits: Sequence[Edit], top: bytes) -> Mapping[bytes, Sequence[Edit]]:
    """Group writes by the git path they went to; writes elsewhere are left out."""
    real_top = os.path.realpath(top)
    grouped: dict[bytes, list[Edit]] = {}
    for edit in edits:
        place = os.fsencode(edit.path)
        folder, name = os.path.split(place)
        real = os.path.join(os.path.realpath(folder), name)
        if real.startswith(real_top + b"/"):
            grouped.setdefault(real[len(real_top) + 1 :], []).append(edit)
    return grouped


def stated(report: AgentReport) -> AgentReport:
    """Keep what statements are made of; texts, paths and the agent's own ids stay out."""
    return AgentReport(
        channels=report.channels,
        models=report.models,
        gaps=report.gaps,
        mcp_connected=report.mcp_connected,
        wire_complete=report.wire_complete,
        contradictions=report.contradictions,
        declared=report.declared,
    )


def without_texts(report: AgentReport, open_ends: Sequence[bytes], top: bytes) -> AgentReport:
    """Keep what a later commit may need: models, and writes to paths that are not committed yet.

    What a model wrote, and what else the agent said, stays no longer than that.
    """
    kept = {
        id(edit)
        for path, edits in writes_by_path(
            (*report.edits, *report.wire, *report.declared_writes), top
        ).items()
        if path in open_ends
        for edit in edits
    }
    return AgentReport(
        channels=report.channels,
        models=report.models,
        edits=tuple(edit for edit in report.edits if id(edit) in kept),
        declared=report.declared,
        declared_writes=tuple(edit for edit in report.declared_writes if id(edit) in kept),
        wire=tuple(edit for edit in report.wire if id(edit) in kept),
        wire_complete=report.wire_complete,
        said=report.said if open_ends else (),
        said_key=report.said_key if open_ends else "",
    )
