"""in-toto Statement v1: the signed bytes, and beside them a view that was checked.

The bytes never change once they exist: `build` makes them, `parse` keeps them as they came.
Members of a statement that we do not know are ignored and kept, as in-toto asks; what happens to
unknown members of a predicate is each predicate's own rule (formats/predicates).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, NamedTuple

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, digest, schema
from agentprov.formats.names import (
    APPROVAL_TYPE,
    PLAN_TYPE,
    PROVENANCE_TYPE,
    REWRITE_TYPE,
    SESSION_TYPE,
    STATEMENT_TYPE,
)
from agentprov.formats.predicates import approval, generation, plan, rewrite, session
from agentprov.formats.value import value

Kind = Literal["plan", "session-open", "session-close", "generation", "approval", "rewrite"]

MAX_SUBJECTS = 1_000


class Subject(NamedTuple):
    """What a statement is about: a label, and the digests that decide."""

    name: str
    digest: Mapping[str, str]


@value
class Statement:
    """Signed or signable bytes with their checked view.

    `kind` is None for types that this version does not know; the predicate of such a statement
    was not checked.
    """

    payload: bytes
    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]
    kind: Kind | None
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", digest.sha256(self.payload))


def build(
    subjects: Sequence[Subject], predicate_type: str, predicate: Mapping[str, Any]
) -> Statement:
    """Make a statement in canonical JSON; raises MalformedInput for one that breaks its schema."""
    return parse(
        canonical.encode(
            {
                "_type": STATEMENT_TYPE,
                "subject": [
                    {"name": subject.name, "digest": dict(subject.digest)} for subject in subjects
                ],
                "predicateType": predicate_type,
                "predicate": dict(predicate),
            }
        )
    )


def parse(payload: bytes) -> Statement:
    """Read a statement and check its shape, and its predicate's where the type is known.

    Raises MalformedInput. Checks no signature, no digest against anything, and accepts any key
    order and spacing: which bytes were signed is the envelope's business.
    """
    value = canonical.parse(payload, what="statement")
    schema.require(_STATEMENT, value, "statement")
    subjects = tuple(Subject(item["name"], item["digest"]) for item in value["subject"])
    predicate_type, predicate = value["predicateType"], value["predicate"]
    kind = _kind(predicate_type, predicate)
    if kind is not None:
        schema.require(_PREDICATES[kind], predicate, f"{kind} predicate")
        complaint = _CONTRADICTIONS[kind](
            [(subject.name, subject.digest) for subject in subjects], predicate
        )
        if complaint is not None:
            raise MalformedInput(f"{kind} statement contradicts itself: {complaint}")
    return Statement(payload, subjects, predicate_type, predicate, kind)


def _kind(predicate_type: str, predicate: Mapping[str, Any]) -> Kind | None:
    if predicate_type == PLAN_TYPE:
        return "plan"
    if predicate_type == APPROVAL_TYPE:
        return "approval"
    if predicate_type == REWRITE_TYPE:
        return "rewrite"
    if predicate_type == SESSION_TYPE:
        return "session-close" if predicate.get("phase") == "close" else "session-open"
    if predicate_type == PROVENANCE_TYPE and generation.is_ours(predicate):
        return "generation"
    return None


def _type(value: Any) -> None:
    if value != STATEMENT_TYPE:
        raise schema.Mismatch(f"must be {STATEMENT_TYPE}")


def _non_empty_object(value: Any) -> None:
    if type(value) is not dict or not value:
        raise schema.Mismatch("must be an object that is not empty")


_STATEMENT = schema.members(
    {
        "_type": _type,
        "subject": schema.array(
            schema.members(
                {"name": schema.text(most=12_288), "digest": schema.digest_set}, unknown="ignore"
            ),
            least=1,
            most=MAX_SUBJECTS,
        ),
        "predicateType": schema.uri,
        "predicate": _non_empty_object,
    },
    unknown="ignore",
)

_PREDICATES: Mapping[Kind, schema.Check] = {
    "plan": plan.CHECK,
    "session-open": session.CHECK_OPEN,
    "session-close": session.CHECK_CLOSE,
    "generation": generation.CHECK,
    "approval": approval.CHECK,
    "rewrite": rewrite.CHECK,
}

Subjects = Sequence[tuple[str, Mapping[str, str]]]
_CONTRADICTIONS: Mapping[Kind, Callable[[Subjects, Mapping[str, Any]], str | None]] = {
    "plan": plan.contradiction,
    "session-open": session.contradiction,
    "session-close": session.contradiction,
    "generation": generation.contradiction,
    "approval": approval.contradiction,
    "rewrite": rewrite.contradiction,
}
