"""Goes on with a session whose recorder, or whose drain, was killed in the middle of a step.

A statement's facts are in the journal before it is signed; it is in the session's own records
before anybody else can see it; the state follows last. So what journal and records say is brought
into the state, what lacks a signature is signed, what may not be stored is stored, and nothing is
decided a second time: no commit gets two statements, no number is used twice, no session has two
ends. docs/spec/crash-safety.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from agentprov import attest
from agentprov.errors import MalformedInput
from agentprov.flows import log_append
from agentprov.flows.ending import without_texts
from agentprov.flows.journaled import Decided, decided, last_tree
from agentprov.flows.recording import Recording
from agentprov.flows.world import seal
from agentprov.formats import bundle, journal, statement
from agentprov.record.session import State
from agentprov.system import repairs


class Unusable(Exception):
    """What is left of a session does not fit together; nothing more can be signed for it."""


def is_behind(recording: Recording, reading: journal.Reading) -> bool:
    """Say whether a session may have been left in the middle of a step; reads no git."""
    state, directory = recording.state, recording.directory
    if state.phase == "open" or not state.published or directory.marked_live():
        return True
    bound = set(state.bound)
    return any(
        entry.kind == "commit" and entry.data.get("commit", {}).get("oid") not in bound
        for entry in reading.entries
    )


def catch_up(recording: Recording, reading: journal.Reading) -> str | None:
    """Bring a session's state up to its journal and records, and store what they have.

    Gives the outcome of the closing statement that is among them, None when there is none: then
    the session is still to be closed. Raises Unusable, GitFailed, Busy, KeyUnusable, OSError.
    """
    directory, before = recording.directory, recording.state
    try:
        steps = list(decided(reading))
    except (MalformedInput, KeyError, TypeError) as error:
        raise Unusable(f"the journal's facts make no statements: {error}") from error
    for step in steps:
        if step.session is not None:
            recording.state = replace(recording.state, session=step.session)
        for made in _unsigned(step, _statements(recording)):
            directory.add_record(seal(made, recording.world.recorder))
    records = _statements(recording)
    recording.state, outcome = _with_records(recording.state, records)
    state = recording.state
    if state.open_sha256 and attest.session_open(state.session).sha256 != state.open_sha256:
        raise Unusable("what was signed at its start is not what is known of it now")
    directory.save(replace(state, published=False))
    added = _store(recording, records)
    log_append.append_own(recording.world, directory.bundles())
    recording.state = replace(state, published=True)
    directory.save(recording.state)
    directory.set_next(state.sequence + 1)
    late = len(state.bound) - len(before.bound)
    if late or added:
        repairs.note(
            directory.home,
            f"session {directory.id}: took up {late} commits that were signed and not noted, "
            f"stored {added} records",
        )
    return outcome


def finish_close(recording: Recording, reading: journal.Reading, outcome: str) -> None:
    """Do what was left of closing a session whose closing statement is signed."""
    state = recording.state
    if state.phase == "open":
        end_tree = last_tree(reading)
        if not all(map(recording.can_read, (state.baseline_tree, end_tree or ""))):
            end_tree = None
        left = recording.left_by(end_tree)
        report = without_texts(state.report, left, os.fsencode(recording.world.git.top))
        standing = {"tips": state.tips, "reflogs": state.reflogs}
        recording.finish(
            outcome=outcome, end_tree=end_tree, uncommitted=left, report=report, **standing
        )
        repairs.note(
            recording.directory.home,
            f"session {recording.directory.id}: finished closing it, which had been cut off",
        )


def _statements(recording: Recording) -> list[statement.Statement]:
    return [statement.parse(bundle.parse(line).payload) for line in recording.directory.bundles()]


def _unsigned(
    step: Decided, records: Sequence[statement.Statement]
) -> Sequence[statement.Statement]:
    """Give the statements of a decision that were not signed before the crash.

    What is signed stands: where the same facts make other bytes today (another release of ours),
    nothing is signed beside it.
    """
    signed = {record.sha256 for record in records if _is_of(record, step)}
    made = {one.sha256 for one in step.statements}
    return [one for one in step.statements if one.sha256 not in signed] if signed <= made else ()


def _is_of(record: statement.Statement, step: Decided) -> bool:
    if record.kind == "generation":
        return step.commit is not None and _commit_of(record) == step.commit.oid
    if record.kind == "session-open":
        return step.session is not None
    return record.kind == "session-close" and step.ending is not None


def _session_of(record: statement.Statement) -> str | None:
    if record.kind == "generation":
        return str(record.predicate["runDetails"]["metadata"]["invocationId"])
    if record.kind in ("session-open", "session-close"):
        return str(record.predicate["session"]["id"])
    return None


def _commit_of(record: statement.Statement) -> str:
    metadata = record.predicate["runDetails"]["metadata"]
    return str(metadata["agentprov_commit"]["gitCommit"])


def _with_records(state: State, records: Sequence[statement.Statement]) -> tuple[State, str | None]:
    """Take in all that is signed; gives the outcome that the closing statement has, if any."""
    outcome = None
    for record in records:
        if _session_of(record) != state.session.id:
            continue
        if record.kind == "generation":
            commit = record.predicate["runDetails"]["metadata"]["agentprov_commit"]
            if record.sha256 not in state.generations:
                state = replace(state, generations=(*state.generations, record.sha256))
            if commit["gitCommit"] not in state.bound:
                state = replace(
                    state,
                    bound=(*state.bound, commit["gitCommit"]),
                    sequence=max(state.sequence, commit["sequence"]),
                    anchor=state.anchor or commit["gitCommit"],
                )
        elif record.kind == "session-open":
            state = replace(state, open_sha256=record.sha256)
        elif record.kind == "session-close":
            outcome = record.predicate["session"]["outcome"]
    return state, outcome


def _store(recording: Recording, records: Sequence[statement.Statement]) -> int:
    """Store every record of the session where it belongs; gives how many were not there."""
    anchor = recording.state.anchor
    if anchor is None:
        return 0
    wanted: dict[str, list[bytes]] = {}
    for line, record in zip(recording.directory.bundles(), records, strict=True):
        if record.kind != "plan" and _session_of(record) != recording.directory.id:
            continue
        place = anchor
        if record.kind == "generation":
            place = _commit_of(record)
        wanted.setdefault(place, []).append(line)
    store = recording.world.notes
    present = store.get_many(list(wanted))
    added = sum(line not in present[place] for place, lines in wanted.items() for line in lines)
    if added:
        store.add(wanted)
    return added
