"""Agent Trace records: what is read of them, what is refused, and what ours look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agentprov.errors import MalformedInput
from agentprov.formats.foreign import agent_trace, content_hash
from agentprov.formats.foreign.claims import Claim, ModelName

DATA = Path(__file__).resolve().parents[3] / "data" / "interop"
RECORD = json.loads((DATA / "agent-trace.json").read_bytes())
SCHEMA = json.loads((DATA / "agent-trace-schema.json").read_bytes())


def changed(**members: Any) -> bytes:
    return json.dumps({**RECORD, **members}).encode()


def test_models_people_and_revision_are_read_and_links_are_not() -> None:
    trace = agent_trace.parse(json.dumps(RECORD).encode())
    assert trace.revision == RECORD["vcs"]["revision"]
    assert [
        (author.kind, author.tool, author.version, author.model) for author in trace.record.authors
    ] == [
        ("agent", "cursor", "2.4.0", ModelName("anthropic", "claude-opus-5")),
        ("human", "cursor", "2.4.0", None),
    ]
    assert trace.record.claims == (
        Claim(b"src/app.py", 1, 2, "agent anthropic/claude-opus-5"),
        Claim(b"src/app.py", 4, 4, "human"),
    )
    assert "example.com" not in repr(trace)


def test_a_record_as_the_reference_hook_writes_it_is_read() -> None:
    conversation = {"contributor": {"type": "ai"}, "ranges": [{"start_line": 1, "end_line": 1}]}
    files = [{"path": "a.py", "conversations": [conversation]}]
    trace = agent_trace.parse(
        changed(
            version="1.0",
            timestamp="2026-01-23T14:30:00.123Z",
            tool={"name": "claude-code"},
            files=files,
        )
    )
    assert [author.model for author in trace.record.authors] == [None]


@pytest.mark.parametrize(
    "members",
    [
        {"version": "2.0"},
        {"id": 5},
        {"timestamp": "yesterday"},
        {"files": {}},
        {"files": [{"path": "a"}]},
        {
            "files": [
                {"path": "a", "conversations": [{"ranges": [{"start_line": 0, "end_line": 1}]}]}
            ]
        },
        {
            "files": [
                {"path": "a", "conversations": [{"ranges": [{"start_line": True, "end_line": 1}]}]}
            ]
        },
        {
            "files": [
                {"path": "a", "conversations": [{"contributor": {"type": "robot"}, "ranges": []}]}
            ]
        },
        {"vcs": {"type": "git"}},
    ],
)
def test_what_is_no_record_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        agent_trace.parse(changed(**members))


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../b", "", ".git/config", "a\0b"])
def test_a_path_out_of_the_tree_is_left_out_and_told(path: str) -> None:
    files = [{**RECORD["files"][0], "path": path}]
    record = agent_trace.parse(changed(files=files)).record
    assert record.claims == ()
    assert [complaint.code for complaint in record.complaints] == ["path-refused"]


def test_a_range_that_ends_before_it_starts_is_left_out_and_told() -> None:
    conversation = {"ranges": [{"start_line": 3, "end_line": 2}]}
    files = [{"path": "a", "conversations": [conversation]}]
    record = agent_trace.parse(changed(files=files)).record
    assert record.claims == ()
    assert [complaint.code for complaint in record.complaints] == ["range-refused"]


def test_a_record_of_ours_fits_the_schema_and_reads_back() -> None:
    said = [
        agent_trace.Said(
            "a.py", 1, 2, content_hash.of([b"x", b"y"]), "ai", "anthropic/m", "model", "reported"
        ),
        agent_trace.Said(
            "a.py", 3, 3, content_hash.of([b"z"]), "unknown", None, "unknown", "observed"
        ),
    ]
    record = agent_trace.write(
        statement_sha256="ab" * 32,
        commit="1" * 40,
        written="2026-01-23T14:30:00.000Z",
        tool="codex",
        tool_version="1",
        ranges=said,
        related=[("plan", "urn:agentprov:statement:" + "cd" * 32)],
        ours={"basis": "reported"},
    )
    jsonschema.validate(record, SCHEMA)
    again = agent_trace.parse(json.dumps(record).encode())
    assert again.revision == "1" * 40
    assert [(claim.start, claim.end, claim.author) for claim in again.record.claims] == [
        (1, 2, "agent anthropic/m"),
        (3, 3, "unknown"),
    ]
    assert [claim.content_hash for claim in again.record.claims] == [
        one.content_hash for one in said
    ]


def test_the_schema_of_our_tests_takes_the_specifications_own_shape() -> None:
    jsonschema.validate({**RECORD, "version": "0.1"}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(RECORD, SCHEMA)
