"""Takes over what other tools, transcripts and commit messages say, as statements of our own.

Each source and commit gives a session of its own: opened, one generation, closed. Its id is made
from all that it says, so that the same import is the same statement, here and elsewhere. The basis
is `declared`, for transcripts `reported`, and never more; who signs says "this was written there".
A gate counts it only where the trust document lets the key speak for the builder id.
docs/spec/interop.md is the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from agentprov import attest
from agentprov.attest.descriptors import IMPORT_RULES
from agentprov.errors import MalformedInput, UserError
from agentprov.flows import foreign_sources, log_append
from agentprov.flows.foreign_sources import Found, Wanted
from agentprov.flows.repository import identity
from agentprov.flows.world import World, seal
from agentprov.formats import bundle, canonical, digest, frozen
from agentprov.formats.envelope import pae
from agentprov.formats.facts import AgentReport, Gap, Repository, Session
from agentprov.formats.foreign.claims import Complaint, Format
from agentprov.formats.names import PAYLOAD_TYPE, TRANSCRIPT_IMPORT
from agentprov.formats.schema import instant
from agentprov.sign.registry import local_public
from agentprov.sign.verifier import KeyVerifier
from agentprov.system.git_objects import CatFile

if TYPE_CHECKING:
    from agentprov.formats.statement import Statement

SCHEMA = "agentprov-import/1"
TOGETHER = 200
NOT_RECORDED = "imported-not-recorded"


@dataclass(frozen=True)
class Taken:
    """One session that was taken over, or would be: `new` says that it was not here before."""

    commit: str
    session: str
    agent: str
    model: str | None
    files: int
    lines: int
    new: bool


@dataclass
class Result:
    """What an import came to; complaints are (subject, complaint), each once."""

    format: Format
    dry: bool
    taken: list[Taken] = field(default_factory=list)
    complaints: dict[tuple[str, Complaint], None] = field(default_factory=dict)

    @property
    def added(self) -> int:
        """Count the sessions that were not here before."""
        return sum(item.new for item in self.taken)


def take(
    world: World,
    wanted: Wanted,
    *,
    dry: bool = False,
    environment: Mapping[str, str] = os.environ,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Import; with `dry` nothing is signed or written. What is here already is not added again.

    Raises UsageError, UserError (also inside of a run), KeyUnusable, GitFailed, Busy.
    """
    if environment.get("AGENTPROV_SESSION") and not dry:
        raise UserError(
            "an import signs with your recorder's key, and this is inside of a recorded run",
            hint="run it yourself, outside of the agent's session",
        )
    result = Result(wanted.format, dry)
    repository, now = identity(world.git), instant(world.now())
    with world.git.cat_file() as reader:
        waiting: list[tuple[Taken, list[Statement]]] = []
        own: dict[str, set[str]] = {}
        for found in foreign_sources.read(world, reader, wanted):
            for complaint in found.complaints:
                result.complaints.setdefault((found.subject, complaint))
            if found.commit is None:
                continue
            session = _session(found, repository, now)
            if session is None:
                late = Complaint("time-in-future", "it speaks of a time that is still to come")
                result.complaints.setdefault((found.subject, late))
                continue
            try:
                waiting.append((_taken(found, session), _statements(found, session)))
            except MalformedInput as error:
                refused = Complaint("refused", error.message)
                result.complaints.setdefault((found.subject, refused))
            if len(waiting) >= TOGETHER:
                own = _keep(world, reader, waiting, own, result)
                progress(f"{len(result.taken)} sessions")
        _keep(world, reader, waiting, own, result)
    return result


def _session(found: Found, repository: Repository, now: datetime) -> Session | None:
    """Give the facts of an imported session, or None where its time is still to come."""
    assert found.commit is not None
    if max(instant(found.started), instant(found.finished)) > now:
        return None
    facts = Session(
        id="",
        started=found.started,
        builder=TRANSCRIPT_IMPORT,
        repository=repository,
        base_commit=found.commit.parents[0] if found.commit.parents else None,
        base_tree=None,
        ref=None,
        platform="not known: imported",
        agent=found.agent,
        command_line=(found.agent.name,),
        labels=found.labels,
        journal_genesis=found.sources[0].sha256,
        gaps=(Gap(NOT_RECORDED, found.started, found.finished),),
        sources=found.sources,
    )
    said = {
        "rules": IMPORT_RULES,
        "session": frozen.to_plain(facts),
        "commit": frozen.to_plain(found.commit),
        "report": frozen.to_plain(found.report),
        "finished": found.finished,
    }
    return replace(facts, id="import-" + digest.sha256(canonical.encode(said))[:32])


def _taken(found: Found, session: Session) -> Taken:
    assert found.commit is not None
    served = next((use.served for use in found.report.models if use.served), None)
    return Taken(
        commit=found.commit.oid,
        session=session.id,
        agent=found.agent.name,
        model=served,
        files=len(found.commit.changes),
        lines=sum(
            item.end - item.start + 1
            for change in found.commit.changes
            for item in change.ranges
            if item.origin == "model"
        ),
        new=True,
    )


def _statements(found: Found, session: Session) -> list[Statement]:
    assert found.commit is not None
    opened = attest.session_open(session)
    generations = attest.generation(session, opened.sha256, found.commit, found.report)
    closed = attest.session_close(
        session,
        open_sha256=opened.sha256,
        generations=[statement.sha256 for statement in generations],
        last_sequence=1,
        finished=found.finished,
        journal_head=session.journal_genesis,
        journal_entries=1,
        outcome="incomplete",
        exit_status=None,
        report=AgentReport(models=found.report.models),
    )
    return [opened, *generations, closed]


def _keep(
    world: World,
    reader: CatFile,
    waiting: list[tuple[Taken, list[Statement]]],
    before: Mapping[str, set[str]],
    result: Result,
) -> dict[str, set[str]]:
    """Sign and store what is not here yet, all of it in one go; empties `waiting`.

    Gives what of ours these commits have then; `before` is that of the last ones, so that
    it is not read and verified again with every batch.
    """
    commits = {taken.commit for taken, _ in waiting}
    unread = sorted(commits - before.keys())
    here = world.notes.get_many(unread, reader) if unread else {}
    own = {commit: before[commit] for commit in commits & before.keys()}
    own |= {commit: _own(world, lines) for commit, lines in here.items()}
    additions: dict[str, list[bytes]] = {}
    for taken, statements in waiting:
        missing = [one for one in statements if one.sha256 not in own[taken.commit]]
        result.taken.append(replace(taken, new=bool(missing)))
        own[taken.commit] |= {one.sha256 for one in missing}
        if not result.dry:
            sealed = [seal(one, world.recorder) for one in missing]
            additions.setdefault(taken.commit, []).extend(sealed)
    waiting.clear()
    if any(additions.values()):
        world.store.add(additions)
        why = log_append.append(world, [line for lines in additions.values() for line in lines])
        if why:
            complaint = Complaint("not-in-the-signing-log", why)
            result.complaints.setdefault(("signing log", complaint))
    return own


def _own(world: World, lines: Iterable[bytes]) -> set[str]:
    """Give the payload digests of bundles that this recorder's key really signed."""
    spki = local_public("recorder", world.home)
    if spki is None:
        return set()
    hint = bundle.key_hint(spki)
    return set(_signed(lines, spki, hint))


def _signed(lines: Iterable[bytes], spki: bytes, hint: str) -> Iterator[str]:
    verifier = KeyVerifier()
    for line in lines:
        try:
            parsed = bundle.parse(line)
        except MalformedInput:
            continue
        # A forged line with our hint must not keep the real one out.
        if parsed.hint == hint and verifier.verify(
            spki, pae(PAYLOAD_TYPE, parsed.payload), parsed.signature
        ):
            yield parsed.payload_sha256


def document(result: Result) -> dict[str, object]:
    """Give the result as the JSON that scripts read (docs/spec/json-output.md)."""
    return {
        "schema": SCHEMA,
        "format": result.format,
        "dryRun": result.dry,
        "added": result.added,
        "sessions": [
            {
                "commit": item.commit,
                "session": item.session,
                "agent": item.agent,
                "model": item.model,
                "files": item.files,
                "lines": item.lines,
                "new": item.new,
            }
            for item in result.taken
        ],
        "findings": [
            {"subject": subject, "code": complaint.code, "message": complaint.detail}
            for subject, complaint in result.complaints
        ],
    }
