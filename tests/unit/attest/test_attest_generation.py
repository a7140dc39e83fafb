from __future__ import annotations

from dataclasses import replace

import pytest

from agentprov import attest
from agentprov.formats.digest import sha256
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    FileDigest,
    LineRange,
    Material,
    McpServer,
    ModelUse,
    Weights,
)
from agentprov.formats.predicates import generation as shape
from agentprov.formats.statement import Statement
from support.story import FILES, REPORT, SESSION, File, Story, blob_id, made_up


def state(**facts: object) -> Statement:
    return Story(**facts).tell().generation  # type: ignore[arg-type]


def view(statement: Statement) -> shape.GenerationView:
    subjects = [(subject.name, subject.digest) for subject in statement.subjects]
    return shape.view(subjects, statement.predicate)


def dependencies(statement: Statement) -> dict[str, dict[str, object]]:
    found = statement.predicate["buildDefinition"]["resolvedDependencies"]
    return {item["name"]: item for item in found}


def changes(statement: Statement) -> dict[str, dict[str, object]]:
    found = statement.predicate["runDetails"]["metadata"]["agentprov_changes"]
    return {item["path"]: item for item in found}


def test_the_commit_comes_first_and_files_follow_by_their_content() -> None:
    assert [(s.name, s.digest) for s in state().subjects] == [
        (".", {"gitCommit": made_up("commit", 40)}),
        ("src/hello.py", {"sha256": sha256(b"print('hello')\n")}),
        ("README.md", {"sha256": sha256(b"# Two\nlines\n")}),
    ]


def test_deletions_and_modes_are_changes_without_a_subject() -> None:
    found = changes(state())
    assert found["old.txt"] == {"path": "old.txt", "op": "delete", "mode": "100644"}
    assert found["run.sh"]["op"] == "mode"
    assert found["run.sh"]["gitBlob"] == blob_id(b"#!/bin/sh\n")


def test_edges_carry_payload_and_signature_of_the_plan() -> None:
    told = Story().tell()
    assert told.session.plan is not None
    seen = view(told.generation)
    assert seen.open_sha256 == told.open.sha256
    assert seen.plan == (told.plan.sha256, told.session.plan.signature_sha256)
    assert seen.plan_sha256 == told.session.plan.sha256


def test_without_a_plan_nothing_speaks_of_one() -> None:
    statement = state(planned=False)
    assert b"plan" not in statement.payload
    assert view(statement).plan is None


def test_the_statement_is_the_same_whenever_and_however_it_is_made() -> None:
    told = Story().tell()
    again = attest.generation(told.session, told.open.sha256, told.story.facts(), REPORT)
    assert [item.payload for item in again] == [told.generation.payload]


def test_a_served_model_is_a_dependency_with_its_own_name() -> None:
    report = AgentReport(
        models=(
            ModelUse("anthropic", "opus", "claude-opus-4-1", "main", "reported"),
            ModelUse("z ai/x", None, "GLM 4.6", "helper", "reported"),
            ModelUse("openai", "gpt-5", None, "subagent", "reported", why="stream cut"),
        )
    )
    statement = state(report=report)
    found = dependencies(statement)
    assert found["model/1"]["uri"] == "pkg:generic/anthropic/claude-opus-4-1"
    assert found["model/1"]["annotations"] == {
        "requested": "opus",
        "role": "main",
        "basis": "reported",
    }
    assert found["model/2"]["uri"] == "pkg:generic/z%20ai%2Fx/GLM%204.6"
    assert "model/3" not in found
    unknown = statement.predicate["runDetails"]["metadata"]["agentprov_unknown"]
    assert unknown == [{"claim": "model served by openai (asked for gpt-5)", "why": "stream cut"}]


def test_local_weights_are_the_models_digest_with_a_basis_of_their_own() -> None:
    use = ModelUse("openai", "tiny", "tiny:1b", "main", "intercepted", 1, host="127.0.0.1")
    weighed = Weights(made_up("w"), "observed", "tiny.gguf", (FileDigest(".", made_up("f")),))
    nothing = Weights(None, "observed", why="nobody listens")
    report = AgentReport(
        models=(replace(use, weights=weighed), replace(use, served="other", weights=nothing))
    )
    statement = state(report=report)
    found = dependencies(statement)
    assert found["model/1"]["digest"] == {"sha256": made_up("w")}
    assert found["model/1"]["annotations"] == {
        "requested": "tiny",
        "role": "main",
        "basis": "intercepted",
        "host": "127.0.0.1",
        "digestRule": "https://model_signing/signature/v1.0",
        "digestBasis": "observed",
    }
    assert "digest" not in found["model/2"]
    unknown = statement.predicate["runDetails"]["metadata"]["agentprov_unknown"]
    assert unknown == [{"claim": "weights of model/2", "why": "nobody listens"}]
    place = list(found).index("model/1")
    pointer = f"/buildDefinition/resolvedDependencies/{place}"
    claims = list(shape.bases(statement.predicate))
    assert {(pointer, "intercepted"), (pointer, "observed")} <= set(claims)


def test_an_unknown_model_is_said_to_be_unknown() -> None:
    unknown = state(report=AgentReport()).predicate["runDetails"]["metadata"]["agentprov_unknown"]
    assert unknown == [{"claim": "model", "why": "no channel said which model was used"}]


def test_an_agent_that_could_not_be_hashed_is_said_to_be_unknown() -> None:
    agent = Agent("x", "x", "/x", None, "observed", why="vanished before it was read")
    statement = state(session=replace(SESSION, agent=agent))
    assert "agent" not in dependencies(statement)
    unknown = statement.predicate["runDetails"]["metadata"]["agentprov_unknown"]
    assert {"claim": "agent digest", "why": "vanished before it was read"} in unknown


def test_two_dependencies_never_share_a_name() -> None:
    servers = (
        McpServer("twice", "observed", sha256=made_up("n1")),
        McpServer("twice", "observed", sha256=made_up("n2")),
        McpServer("twice", "observed", sha256=made_up("n1")),
    )
    found = dependencies(state(session=replace(SESSION, mcp_servers=servers)))
    assert found["mcp/twice"]["digest"] == {"sha256": made_up("n1")}
    assert found["mcp/twice#2"]["digest"] == {"sha256": made_up("n2")}
    assert "mcp/twice#3" not in found


def test_what_holds_for_the_session_stands_in_the_opening_alone() -> None:
    agent = replace(SESSION.agent, parts=(FileDigest("/a/node", made_up("node")),))
    materials = (
        Material("instruction", "docs/AGENTS.md", made_up("i"), "observed"),
        Material("settings", ".claude/settings.json", made_up("s"), "observed"),
    )
    servers = (
        McpServer("packaged", "observed", purl="pkg:npm/server@1", sha256=made_up("p")),
        McpServer("plain", "observed", sha256=made_up("q")),
    )
    session = replace(SESSION, agent=agent, materials=materials, mcp_servers=servers)
    payload = state(session=session).payload.decode()
    opening = attest.session_open(session).payload.decode()
    for word in ("node", "i", "s", "p"):
        assert made_up(word) not in payload
        assert made_up(word) in opening
    found = dependencies(state(session=session))
    # What consumers of SLSA look for: agent by package and digest, model, servers by package.
    assert found["agent"]["digest"] == {"sha256": SESSION.agent.sha256}
    assert found["agent"]["uri"] == SESSION.agent.purl
    assert found["mcp/packaged"]["uri"] == "pkg:npm/server@1"
    assert found["mcp/plain"]["digest"] == {"sha256": made_up("q")}


def test_an_mcp_server_that_is_only_a_host_is_named_as_unknown() -> None:
    servers = (McpServer("far", "declared", host="mcp.example.com", why="remote server"),)
    statement = state(session=replace(SESSION, mcp_servers=servers))
    unknown = statement.predicate["runDetails"]["metadata"]["agentprov_unknown"]
    assert {"claim": "mcp/far", "why": "remote server"} in unknown
    parameters = statement.predicate["buildDefinition"]["externalParameters"]
    assert parameters["mcpServers"] == ["far"]


def test_neighbouring_ranges_of_one_claim_are_one_range() -> None:
    ranges = (
        LineRange(1, 2, "model", "reported", "m"),
        LineRange(3, 3, "model", "reported", "m"),
        LineRange(5, 6, "model", "reported", "m"),
        LineRange(7, 7, "unknown", "observed", why="no-process-attribution"),
    )
    change = Change(b"a.py", "add", "100644", made_up("b", 40), made_up("c"), ranges=ranges)
    facts = replace(Story().facts(), changes=(change,))
    assert changes(state(commit=facts))["a.py"]["ranges"] == [
        {"start": 1, "end": 3, "origin": "model", "basis": "reported", "model": "m"},
        {"start": 5, "end": 6, "origin": "model", "basis": "reported", "model": "m"},
        {
            "start": 7,
            "end": 7,
            "origin": "unknown",
            "basis": "observed",
            "why": "no-process-attribution",
        },
    ]


def test_a_path_that_did_not_come_out_of_the_session_is_no_subject() -> None:
    foreign = Change(
        b"mine.txt", "add", "100644", made_up("b", 40), made_up("c"), from_session=False
    )
    facts = replace(Story().facts(), changes=(foreign,))
    statement = state(commit=facts)
    assert [subject.name for subject in statement.subjects] == ["."]
    assert changes(statement)["mine.txt"]["fromSession"] is False


def test_a_submodule_is_bound_by_its_commit_and_has_no_content() -> None:
    module = Change(b"lib", "add", "160000", made_up("sub", 40), None, why="submodule")
    facts = replace(Story().facts(), changes=(module,))
    statement = state(commit=facts)
    assert changes(statement)["lib"]["gitBlob"] == made_up("sub", 40)
    assert len(statement.subjects) == 1


def test_paths_that_are_no_text_keep_their_bytes() -> None:
    statement = state(files=(File(b"caf\xe9", b"x\n"), File(b"%bytes:00", b"y\n")))
    assert [subject.name for subject in statement.subjects[1:]] == [
        "%bytes:caf%e9",
        "%bytes:%25bytes%3a00",
    ]


@pytest.mark.parametrize(("count", "parts"), [(999, 1), (1000, 2), (1998, 2), (1999, 3)])
def test_no_statement_has_more_than_a_thousand_subjects(count: int, parts: int) -> None:
    files = tuple(File(b"%d" % number, b"x\n") for number in range(count))
    told = Story(files=files).tell()
    assert len(told.generations) == parts
    assert all(len(item.subjects) <= 1000 for item in told.generations)
    views = [view(item) for item in told.generations]
    assert [(item.part, item.parts) for item in views] == [
        (number, parts) for number in range(1, parts + 1)
    ]
    assert sum(len(item.changes) for item in views) == count


def test_a_late_commit_says_so() -> None:
    late = replace(Story(files=FILES).facts(), during=False, sequence=7)
    seen = view(state(commit=late, ending={"last_sequence": 0, "generations": []}))
    assert (seen.during, seen.sequence) == (False, 7)


def test_ids_of_sha256_repositories_fit() -> None:
    commit = replace(
        Story(files=()).facts(), oid=made_up("c"), tree=made_up("t"), parents=(made_up("p"),)
    )
    assert view(state(commit=commit)).commit == made_up("c")
