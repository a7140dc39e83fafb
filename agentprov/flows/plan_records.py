"""Plan records as they are found in this repository, each with what is known of its signer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentprov.errors import MalformedInput, UserError
from agentprov.flows.trust import working_trust
from agentprov.flows.world import World
from agentprov.formats import bundle as bundles
from agentprov.formats import digest, names, schema, statement
from agentprov.formats.names import PLAN_TYPE
from agentprov.formats.predicates import plan
from agentprov.formats.presentation import MAX_PLAN_BYTES
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.store.objects import NewObjects
from agentprov.system import files
from agentprov.verify import signatures
from agentprov.verify.trust import TrustRoot


@dataclass(frozen=True)
class PlanRecord:
    """One plan statement, as found.

    `problem` is empty when a human key that this user works with signed it; else it says why the
    signature does not count here, and everything in the record is only what somebody claims.
    `blob` is the plan's blob as the statement names it, else the object that the record hangs on.
    """

    name: str
    sha256: str
    blob: str
    author: str
    declared_at: str
    not_after: str | None
    repository: str | None
    limits: tuple[str, ...]
    shown_on: str
    hidden_segments: int
    renderer: str
    rendered_sha256: str
    accepted: tuple[str, ...]
    intent: str | None
    statement_sha256: str
    signature_sha256: str
    signer: str | None
    problem: str
    bundle: bytes


def records_of(world: World, content: bytes) -> list[PlanRecord]:
    """Give the records of exactly these bytes, newest first."""
    blob = NewObjects(world.git.object_format).add("blob", content)
    sha256 = digest.sha256(content)
    found = _records(world, [(blob, world.store.get(blob))])
    return [record for record in found if record.sha256 == sha256]


def signed_plans(world: World) -> list[PlanRecord]:
    """Give all plan records that are stored here, newest first, each once.

    A record hangs on its plan, and again on each commit that was made under it.
    """
    found = _records(world, world.store.everything())
    return list({record.bundle: record for record in reversed(found)}.values())[::-1]


def find(records: Sequence[PlanRecord], name: str) -> PlanRecord:
    """Find the newest record by the plan's name or the start of its digest (6 digits or more).

    Names are tried first: exactly, then as the last part of the path. Raises UserError.
    """
    wanted = name.lower().removeprefix("sha256:")
    found = (
        [record for record in records if record.name == name]
        or [record for record in records if record.name.rsplit("/", 1)[-1] == name]
        or [record for record in records if len(wanted) >= 6 and record.sha256.startswith(wanted)]
    )
    if not found:
        raise UserError(f"no signed plan {name!r} here", hint="see them all: agentprov plan list")
    return found[0]


def state_in_work_tree(world: World, record: PlanRecord) -> str:
    """Say how the file of that name stands now: ``signed``, ``changed`` or ``absent``."""
    place = os.path.join(os.fsencode(world.git.top), names.label_path(record.name))
    try:
        content = files.read_bounded(os.fsdecode(place), MAX_PLAN_BYTES)
    except FileNotFoundError:
        return "absent"
    except OSError:
        return "changed"
    return "signed" if digest.sha256(content) == record.sha256 else "changed"


def _records(world: World, notes: Iterable[tuple[str, list[bytes]]]) -> list[PlanRecord]:
    trust = working_trust(world.git, world.home)
    verifier = KeyVerifier()
    found = [
        record
        for blob, lines in notes
        for line in lines
        if (record := _record(blob, line, trust, verifier)) is not None
    ]
    found.sort(
        key=lambda record: (schema.instant(record.declared_at), record.statement_sha256),
        reverse=True,
    )
    return found


def _record(blob: str, line: bytes, trust: TrustRoot, verifier: KeyVerifier) -> PlanRecord | None:
    try:
        bundle = bundles.parse(line)
        said = statement.parse(bundle.payload) if PLAN_TYPE.encode() in bundle.payload else None
    except MalformedInput:
        return None
    if said is None or said.kind != "plan":
        return None
    view = plan.view([(s.name, s.digest) for s in said.subjects], said.predicate)
    shown = said.predicate["presentation"]
    signer, problem = _signer(line, trust, verifier)
    return PlanRecord(
        name=view.name,
        sha256=view.sha256,
        blob=view.blob or blob,
        author=view.author,
        declared_at=view.declared_at,
        not_after=view.not_after,
        repository=view.repository,
        limits=view.limits,
        shown_on=view.shown_on,
        hidden_segments=view.hidden_segments,
        renderer=shown["renderer"],
        rendered_sha256=shown["rendered"]["sha256"],
        accepted=tuple(shown.get("accepted", ())),
        intent=said.predicate.get("intent"),
        statement_sha256=said.sha256,
        signature_sha256=bundle.signature_sha256,
        signer=signer,
        problem=problem,
        bundle=line,
    )


def _signer(line: bytes, trust: TrustRoot, verifier: KeyVerifier) -> tuple[str | None, str]:
    checked = signatures.check(line, trust, verifier, OfflineEvidence())
    if checked.statement is None:
        problem = checked.problems[0]
        if problem.code == "signer-unknown":
            return None, "it was signed by a key that is not trusted here"
        return None, f"its signature does not hold: {problem.message}"
    key = checked.statement.signer
    if not key.may("human"):
        return key.person, f"the key of {key.person} may not sign plans"
    if key.retired is not None or key.compromised is not None:
        return key.person, f"the key of {key.person} was revoked"
    return key.person, ""


def by_digest(records: Sequence[PlanRecord], sha256: str) -> PlanRecord:
    """Find the newest record of a plan, or of a plan's statement, by its whole digest.

    One that a trusted person signed comes before others. Raises UserError.
    """
    wanted = sha256.lower().removeprefix("sha256:")
    found = [record for record in records if wanted in (record.sha256, record.statement_sha256)]
    if not found:
        raise UserError(
            f"no signed plan here has the digest {wanted[:80]!r}",
            hint="a person signs one with `agentprov plan sign`; `agentprov plan list` shows all",
        )
    return next((record for record in found if not record.problem), found[0])


def allowed_paths(record: PlanRecord) -> tuple[str, ...] | None:
    """Give the patterns of paths that a plan allows to change; None where it limits none."""
    said = statement.parse(bundles.parse(record.bundle).payload)
    found = said.predicate.get("scope", {}).get("allowedPaths")
    return None if found is None else tuple(found)
