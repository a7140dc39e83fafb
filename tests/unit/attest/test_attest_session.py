from __future__ import annotations

from dataclasses import replace

import pytest

from agentprov import attest
from agentprov.attest.descriptors import base_name, command_line
from agentprov.formats.facts import (
    Agent,
    FileDigest,
    Gap,
    Material,
    McpCall,
    McpSeen,
    McpServer,
    McpTool,
    McpToolChange,
    Weights,
)
from agentprov.formats.predicates import session as session_shape
from support.story import REPORT, SESSION, Story, made_up


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (("/usr/bin/claude",), ["claude"]),
        (("claude", "-p", "fix the bug"), ["claude", "-p"]),
        (("codex", "exec", "--model=gpt-5", "--full-auto"), ["codex", "--model", "--full-auto"]),
        (("x", "-pSECRET", "--token", "SECRET"), ["x", "-p", "--token"]),
        (("x", "--api-key=SECRET", "--", "--SECRET"), ["x", "--api-key"]),
        (("x", "--do what SECRET says", "-", "--"), ["x"]),
        (("x", "--\u043f\u0430\u0440\u043e\u043b\u044c"), ["x"]),
        (("C:\\Program Files\\agent.exe", "/c"), ["agent.exe"]),
        ((), ["?"]),
    ],
)
def test_a_command_line_is_executable_and_flag_names(
    argv: tuple[str, ...], shown: list[str]
) -> None:
    assert command_line(argv) == shown


def test_a_place_is_signed_as_its_file_name() -> None:
    assert base_name("/home/ada/.local/bin/claude") == "claude"
    assert base_name("node_modules/x/") == "x"
    assert base_name("/") == "/"


def test_nothing_private_gets_into_an_opening_statement() -> None:
    session = replace(
        SESSION,
        agent=Agent(
            "claude",
            "/home/ada/private/claude",
            "/home/ada/private/cli.js",
            made_up("a"),
            "observed",
            parts=(FileDigest("/home/ada/private/native.node", made_up("b")),),
        ),
        command_line=("/home/ada/private/claude", "-p", "private words", "--key=private"),
        mcp_servers=(
            McpServer("db", "declared", command="/home/ada/private/serve", host="db.example.com"),
        ),
    )
    payload = attest.session_open(session).payload
    assert b"private" not in payload
    assert b"native.node" in payload


def test_the_opening_statement_binds_the_journal_by_its_first_line() -> None:
    statement = attest.session_open(SESSION)
    assert [(s.name, s.digest) for s in statement.subjects] == [
        ("journal", {"sha256": SESSION.journal_genesis})
    ]


def test_a_claim_without_value_keeps_its_reason() -> None:
    session = replace(
        SESSION,
        agent=Agent("x", "x", "/x", None, "observed", why="vanished"),
        materials=(
            Material("settings", "~/.claude/settings.json", None, "observed", why="denied"),
        ),
    )
    predicate = attest.session_open(session).predicate
    assert predicate["agent"]["why"] == "vanished"
    assert predicate["materials"][0]["why"] == "denied"
    assert "digest" not in predicate["agent"]


def test_the_principal_is_declared_and_gaps_are_listed() -> None:
    gap = Gap("hooks-disabled", "2026-11-24T10:31:00Z", "2026-11-24T10:31:01Z", "by settings")
    predicate = attest.session_open(
        replace(SESSION, principal="ada@example.com", gaps=(gap,), labels=(("team", "core"),))
    ).predicate
    assert predicate["principal"] == {"id": "ada@example.com", "basis": "declared"}
    assert [item["why"] for item in predicate["gaps"]] == ["hooks-disabled"]
    assert predicate["labels"] == {"team": "core"}


def test_the_closing_statement_counts_what_was_not_committed_and_names_none_of_it() -> None:
    told = Story(ending={"uncommitted": [b"secret-plans.txt", b"b"]}).tell()
    assert told.close.predicate["uncommitted"] == 2
    assert b"secret-plans" not in told.close.payload


def test_the_closing_statement_lists_every_generation_and_the_head() -> None:
    told = Story().tell()
    predicate = told.close.predicate
    assert predicate["generations"] == [{"sha256": told.generation.sha256}]
    assert predicate["open"] == {"sha256": told.open.sha256}
    assert predicate["journal"] == {"entries": 42, "head": {"sha256": made_up("journal head")}}
    assert [(s.name, s.digest) for s in told.close.subjects] == [
        ("journal", {"sha256": made_up("journal head")})
    ]
    assert predicate["models"][0]["served"] == REPORT.models[0].served


def test_the_closing_statement_names_every_file_of_local_weights() -> None:
    files = (FileDigest("a/b.gguf", made_up("f")), FileDigest("c.gguf", None, why="gone"))
    weights = Weights(None, "observed", "tiny", files, "llama-server", "gone")
    report = replace(REPORT, models=(replace(REPORT.models[0], weights=weights),))
    predicate = Story(ending={"report": report}).tell().close.predicate
    assert predicate["models"][0]["weights"] == {
        "name": "tiny",
        "basis": "observed",
        "files": [
            {"name": "a/b.gguf", "digest": {"sha256": made_up("f")}},
            {"name": "c.gguf", "why": "gone"},
        ],
        "server": "llama-server",
        "why": "gone",
    }
    assert ("/models/0/weights", "observed") in set(session_shape.bases(predicate))


def test_a_session_without_commits_closes_with_an_empty_list() -> None:
    told = Story(ending={"generations": [], "last_sequence": 0}).tell()
    assert told.close.predicate["generations"] == []


def test_the_closing_statement_says_what_mcp_servers_offered_and_what_was_called() -> None:
    at = "2026-11-24T18:46:00Z"
    before, after = McpTool("add", made_up("a"), made_up("b")), McpTool("add", made_up("c"))
    seen = McpSeen(
        "notes",
        "intercepted",
        "called",
        connections=1,
        protocol="2026-07-28",
        tools=(after,),
        tools_sha256=made_up("d"),
        changes=(McpToolChange("add", at, 2, before, after),),
        calls=(McpCall("add", at, "answered", "call_1"), McpCall("x", at, "failed", listed=False)),
    )
    predicate = attest.session_close(
        SESSION,
        open_sha256=made_up("e"),
        generations=(),
        last_sequence=0,
        finished=SESSION.started,
        journal_head=made_up("f"),
        journal_entries=1,
        outcome="completed",
        exit_status=0,
        report=REPORT,
        mcp=(seen,),
    ).predicate
    (server,) = predicate["mcpServers"]
    (change,) = server["toolChanges"]
    assert change["before"]["description"] == {"sha256": made_up("b")}
    assert "description" not in change["after"]
    assert [call.get("unlisted") for call in server["calls"]] == [None, True]
    assert server["calls"][0]["call"] == "call_1"
