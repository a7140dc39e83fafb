"""What a session's journal says was decided: its statements, made again from the facts in it.

The journal has the facts of a statement before the statement is signed, and `attest` is pure; so
whoever has the journal has the statements. `replay` holds them against the signed ones; `resume`
goes on from them where a recorder was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentprov import attest
from agentprov.errors import MalformedInput
from agentprov.flows.ending import Ending
from agentprov.formats import frozen, journal
from agentprov.formats.facts import AgentReport, Commit, Session
from agentprov.formats.statement import Statement
from agentprov.record.session import State


@dataclass(frozen=True)
class Decided:
    """One decision and the statements it makes: exactly one of the three facts is there.

    `report` is what the agent had reported of a commit by then.
    """

    statements: tuple[Statement, ...]
    session: Session | None = None
    commit: Commit | None = None
    report: AgentReport | None = None
    ending: Ending | None = None


def decided(reading: journal.Reading) -> Iterator[Decided]:
    """Give the decisions in their order.

    Raises MalformedInput, KeyError or TypeError for facts that make no statement.
    """
    session: Session | None = None
    open_sha256 = ""
    generations: list[str] = []
    for entry in reading.entries:
        data: Mapping[str, Any] = entry.data
        if entry.kind == "statement" and data.get("kind") == "session-open":
            session = frozen.from_plain(Session, data["session"])
            opening = attest.session_open(session)
            open_sha256 = opening.sha256
            yield Decided((opening,), session=session)
        elif entry.kind == "commit" and session is not None:
            commit = frozen.from_plain(Commit, data["commit"])
            report = frozen.from_plain(AgentReport, data["report"])
            made = tuple(attest.generation(session, open_sha256, commit, report))
            generations += [statement.sha256 for statement in made]
            yield Decided(made, commit=commit, report=report)
        elif entry.kind == "session-close" and session is not None:
            ending = frozen.from_plain(Ending, data["ending"])
            line = journal.encode_line(entry.seq, entry.at, entry.kind, data, entry.prev)
            head = journal.digest(line)
            closing = ending.statement(session, open_sha256, generations, head, entry.seq + 1)
            yield Decided((closing,), ending=ending)


def last_tree(reading: journal.Reading) -> str | None:
    """Give the tree that the last snapshot at a session's end gave, None where there was none."""
    trees = [entry.data.get("tree") for entry in reading.entries if entry.kind == "snapshot"]
    return trees[-1] if trees and isinstance(trees[-1], str) else None


def first_state(reading: journal.Reading) -> State | None:
    """Give the state with which a session began, as its journal has it; None where it does not."""
    for entry in reading.entries[:2]:
        if entry.kind == "state":
            try:
                return frozen.from_plain(State, entry.data.get("state"))
            except MalformedInput:
                return None
    return None
