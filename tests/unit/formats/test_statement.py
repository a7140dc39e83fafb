from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentprov.errors import MalformedInput
from agentprov.formats import canonical, statement
from agentprov.formats.statement import Statement, Subject
from support.story import SESSION, Story, made_up

TOLD = Story().tell()
KINDS = {
    "plan": TOLD.plan,
    "session-open": TOLD.open,
    "generation": TOLD.generation,
    "session-close": TOLD.close,
}
Edit = Callable[[dict[str, Any]], object]


def parse_edited(made: Statement, edit: Edit) -> Statement:
    value = json.loads(made.payload)
    edit(value)
    return statement.parse(canonical.encode(value))


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_reads_back_as_it_was_built(kind: str) -> None:
    made = KINDS[kind]
    assert made.kind == kind
    assert statement.parse(made.payload) == made
    assert canonical.encode(json.loads(made.payload)) == made.payload


@pytest.mark.parametrize("kind", KINDS)
def test_in_toto_attestation_accepts_every_kind(kind: str) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement as Foreign

    message = json_format.Parse(KINDS[kind].payload, statement_pb2.Statement())
    foreign = Foreign.copy_from_pb(message)
    foreign.validate()
    assert foreign.pb.predicate_type == KINDS[kind].predicate_type


def test_the_generation_is_slsa_provenance_to_others() -> None:
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2

    predicate = dict(TOLD.generation.predicate)
    details = dict(predicate["runDetails"])
    metadata = dict(details["metadata"])
    ours = [key for key in metadata if key.startswith("agentprov_")]
    assert set(metadata) - set(ours) == {"invocationId", "startedOn"}
    for key in ours:
        del metadata[key]
    plain = {**predicate, "runDetails": {**details, "metadata": metadata}}
    message = json_format.Parse(json.dumps(plain), provenance_pb2.Provenance())
    assert message.run_details.builder.id == SESSION.builder
    assert {item.name for item in message.build_definition.resolved_dependencies} >= {
        "plan",
        "plan-attestation",
        "session-attestation",
        "base",
        "agent",
        "model/1",
        "mcp/github",
    }


def test_the_signed_bytes_are_kept_whatever_their_spelling() -> None:
    spaced = json.dumps(json.loads(TOLD.plan.payload), indent=1).encode()
    assert statement.parse(spaced).payload == spaced
    assert statement.parse(spaced).sha256 != TOLD.plan.sha256


def test_unknown_members_of_a_statement_are_ignored_and_kept() -> None:
    read = parse_edited(TOLD.plan, lambda value: value.update(future={"a": [1]}))
    assert read.kind == "plan"
    assert b"future" in read.payload


def test_unknown_members_of_a_predicate_are_ignored_where_they_limit_nothing() -> None:
    read = parse_edited(TOLD.open, lambda value: value["predicate"].update(mood="good"))
    assert read.predicate["mood"] == "good"


def test_a_statement_of_another_type_is_read_and_not_judged() -> None:
    read = parse_edited(TOLD.plan, lambda value: value.update(predicateType="https://x.example/a"))
    assert read.kind is None


def test_slsa_provenance_of_another_build_type_is_not_ours() -> None:
    read = parse_edited(
        TOLD.generation,
        lambda value: value["predicate"]["buildDefinition"].update(buildType="https://x.example/b"),
    )
    assert read.kind is None


def metadata(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["predicate"]["runDetails"]["metadata"]
    return found


def dependency(value: dict[str, Any], name: str) -> dict[str, Any]:
    dependencies = value["predicate"]["buildDefinition"]["resolvedDependencies"]
    found: dict[str, Any] = next(item for item in dependencies if item["name"] == name)
    return found


REFUSED: dict[str, tuple[str, Edit, str]] = {
    "wrong statement type": (
        "plan",
        lambda v: v.update(_type="https://in-toto.io/Statement/v0.1"),
        "/_type",
    ),
    "no subject": ("plan", lambda v: v.update(subject=[]), "/subject"),
    "subject without digest": ("plan", lambda v: v["subject"][0].update(digest={}), "/digest"),
    "subject without name": ("plan", lambda v: v["subject"][0].pop("name"), "lacks name"),
    "empty predicate": ("plan", lambda v: v.update(predicate={}), "/predicate"),
    "too many subjects": (
        "plan",
        lambda v: v.update(subject=v["subject"] * 1001),
        "/subject",
    ),
    "two plans at once": (
        "plan",
        lambda v: v.update(subject=v["subject"] * 2),
        "exactly one subject",
    ),
    "plan by a machine": (
        "plan",
        lambda v: v["predicate"]["author"].update(kind="agent"),
        "/author/kind",
    ),
    "limit that nobody knows": (
        "plan",
        lambda v: v["predicate"].update(constraints={"maxCost": "5"}),
        "/constraints/maxCost",
    ),
    "plan that expired before it was made": (
        "plan",
        lambda v: v["predicate"].update(scope={"notAfter": "2020-01-01T00:00:00Z"}),
        "expired before",
    ),
    "session with two subjects": (
        "session-open",
        lambda v: v["subject"].append({"name": "x", "digest": {"sha256": made_up("x")}}),
        "exactly one subject",
    ),
    "session of no phase": (
        "session-open",
        lambda v: v["predicate"].update(phase="middle"),
        "/phase",
    ),
    "agent without value or reason": (
        "session-open",
        lambda v: [v["predicate"]["agent"].pop(key) for key in ("uri", "digest")],
        "/agent",
    ),
    "close that ends before it starts": (
        "session-close",
        lambda v: v["predicate"]["session"].update(finishedOn="2026-11-24T10:30:59Z"),
        "finished before",
    ),
    "close that lists a generation twice": (
        "session-close",
        lambda v: v["predicate"].update(generations=v["predicate"]["generations"] * 2),
        "twice",
    ),
    "close with two heads": (
        "session-close",
        lambda v: v["predicate"]["journal"]["head"].update(sha256=made_up("other")),
        "different heads",
    ),
    "unknown external parameter": (
        "generation",
        lambda v: v["predicate"]["buildDefinition"]["externalParameters"].update(x=1),
        "/externalParameters/x",
    ),
    "first subject is not the commit": (
        "generation",
        lambda v: v["subject"].reverse(),
        "first subject",
    ),
    "commit record of another commit": (
        "generation",
        lambda v: metadata(v)["agentprov_commit"].update(gitCommit=made_up("o", 40)),
        "first subject",
    ),
    "subject that is no change": (
        "generation",
        lambda v: v["subject"].append({"name": "new", "digest": {"sha256": made_up("n")}}),
        "no change",
    ),
    "subject twice": ("generation", lambda v: v["subject"].append(v["subject"][1]), "twice"),
    "change twice": (
        "generation",
        lambda v: metadata(v)["agentprov_changes"].append(metadata(v)["agentprov_changes"][0]),
        "twice",
    ),
    "rename without an old path": (
        "generation",
        lambda v: metadata(v)["agentprov_changes"][0].update(op="rename"),
        "oldPath",
    ),
    "deleted file with a blob": (
        "generation",
        lambda v: metadata(v)["agentprov_changes"][0].update(op="delete"),
        "gitBlob",
    ),
    "overlapping ranges": (
        "generation",
        lambda v: metadata(v)["agentprov_changes"][1].update(
            ranges=[
                {"start": 1, "end": 5, "origin": "model", "basis": "reported"},
                {"start": 5, "end": 6, "origin": "unknown", "basis": "observed"},
            ]
        ),
        "overlap",
    ),
    "range that runs backwards": (
        "generation",
        lambda v: metadata(v)["agentprov_changes"][1]["ranges"][0].update(start=9),
        "/ranges/0",
    ),
    "origin that does not exist": (
        "generation",
        lambda v: metadata(v)["agentprov_changes"][1]["ranges"][0].update(origin="robot"),
        "/origin",
    ),
    "part without parts": (
        "generation",
        lambda v: metadata(v)["agentprov_commit"].update(part=1),
        "part and parts",
    ),
    "no edge to the session": (
        "generation",
        lambda v: dependency(v, "session-attestation").update(name="elsewhere"),
        "opening statement",
    ),
    "plan edge without the signature": (
        "generation",
        lambda v: dependency(v, "plan-attestation").pop("annotations"),
        "signature's digest",
    ),
    "plan parameter without a plan": (
        "generation",
        lambda v: v["predicate"]["buildDefinition"]["externalParameters"].pop("plan"),
        "come together",
    ),
    "dependency twice": (
        "generation",
        lambda v: dependency(v, "base").update(name="agent"),
        "twice",
    ),
    "model without a uri": (
        "generation",
        lambda v: dependency(v, "base").update(name="model/9"),
        "needs a uri",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_statement_that_cannot_be_true_is_refused(name: str) -> None:
    kind, edit, words = REFUSED[name]
    with pytest.raises(MalformedInput) as caught:
        parse_edited(KINDS[kind], edit)
    assert words in caught.value.message


def test_what_would_be_refused_cannot_be_built() -> None:
    with pytest.raises(MalformedInput):
        statement.build([Subject("x", {"sha256": "short"})], "https://x.example/a", {"a": 1})
    with pytest.raises(MalformedInput):
        Story(session=replace(SESSION, started="yesterday")).tell()
    with pytest.raises(MalformedInput, match="floating"):
        statement.build([Subject("x", {"sha256": made_up("x")})], "https://x.example/a", {"a": 0.5})
