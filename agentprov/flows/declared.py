"""Takes what an agent declared into its session's statements; shared by all who record one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import AgentReport, Commit
from agentprov.formats.names import LOCAL_WRAPPER, MCP_DECLARED
from agentprov.system.git_objects import CatFile

if TYPE_CHECKING:
    from agentprov.flows.recording import Recording
    from agentprov.formats.redaction import Redactor

CHANNEL = "declared"


def with_declared(
    recording: Recording,
    report: AgentReport,
    drops: Sequence[Drop],
    publish: Redactor | None = None,
) -> AgentReport:
    """Put what the agent declared among these drops beside the report (record.declarations).

    Where nobody looked at the agent, and nothing was signed yet, it is called what it declares.
    """
    if not any(drop.channel == CHANNEL for drop in drops):
        return report
    from agentprov.record import declarations

    session = recording.state.session
    said = declarations.spoken(drops, recording.directory.token(), session.id, session.started)
    if session.builder == MCP_DECLARED and recording.state.open_sha256 is None:
        session = replace(session, agent=declarations.agent_of(said, session.agent))
        recording.state = replace(recording.state, session=session)
        recording.directory.save(recording.state)
    try:
        declarations.keep_texts(said, recording.directory.path)
    except OSError as error:
        gap = recording.gap("declarations-not-kept", str(error))
        said = replace(said, gaps=(*said.gaps, gap))
    return declarations.merge(report, said, session, recording.world.git.top, publish)


def with_lines(
    recording: Recording, commit: Commit, report: AgentReport, reader: CatFile
) -> Commit:
    """Let declarations speak for lines of a commit of which nothing else is known.

    Bases are lowered to what the session's builder can know.
    """
    builder = recording.state.session.builder
    if not report.declared_writes and builder == LOCAL_WRAPPER:
        return commit
    from agentprov.flows.ending import writes_by_path
    from agentprov.record import declarations
    from agentprov.record.describe import MAX_TEXT_BYTES
    from agentprov.verify.authority import cap

    def read(blob: str) -> bytes | None:
        found = reader.digest(blob, keep=MAX_TEXT_BYTES)
        return found.content if found else None

    writes = writes_by_path(report.declared_writes, os.fsencode(recording.world.git.top))
    commit, contradictions = declarations.settle(commit, report, writes, read, cap(builder))
    recording.contradict(contradictions)
    return commit


def untouched(recording: Recording, report: AgentReport, end_tree: str | None) -> list[str]:
    """Give a sentence for each file that was declared as work and never changed."""
    if end_tree is None or not any(item.path for item in report.declared):
        return []
    from agentprov.record import declarations

    changed = recording.changed_in([end_tree, *recording.state.bound])
    return declarations.untouched(report, changed)
