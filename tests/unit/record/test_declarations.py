from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats import declaration
from agentprov.formats.dropbox import Drop
from agentprov.formats.facts import (
    Agent,
    AgentReport,
    Change,
    Commit,
    LineRange,
    ModelUse,
    PlanRef,
    Repository,
    Session,
)
from agentprov.formats.names import LOCAL_WRAPPER
from agentprov.record import declarations

TOKEN = b"t" * 64
AT = "2026-01-02T03:04:05Z"
TOP = Path("/work")
FILE = b"def area(width, height):\n    return width * height\n\n}\n"


def drop(kind: str, content: bytes = b"", number: int = 0, **members: Any) -> Drop:
    common = {"kind": kind, "session": "s-1", "at": AT, "nonce": f"{number:032x}"}
    return Drop("declared", kind, declaration.encode(TOKEN, {**common, **members}, content))


def session(**changes: Any) -> Session:
    agent = Agent("claude", "claude", "/x/claude", "a" * 64, "observed", version="2.1")
    made = Session(
        id="s-1", started=AT, builder=LOCAL_WRAPPER, repository=Repository("urn:x:y", "sha1"),
        base_commit=None, base_tree=None, ref=None, platform="p", agent=agent,
        command_line=("claude",),
    )  # fmt: skip
    return replace(made, **changes)


def merged(report: AgentReport, *drops: Drop, **changes: Any) -> AgentReport:
    said = declarations.spoken(drops, TOKEN, "s-1", AT)
    assert not said.gaps
    return declarations.merge(report, said, session(**changes), TOP)


def use(served: str, basis: Any = "intercepted") -> ModelUse:
    return ModelUse("acme", None, served, "main", basis, calls=1)


def model(served: str) -> Drop:
    return drop("model", provider="acme", model=served)


def test_what_nobody_else_named_is_named_as_declared() -> None:
    report = merged(AgentReport(), model("m-1"))
    assert [(item.served, item.basis) for item in report.models] == [("m-1", "declared")]
    assert not report.contradictions


def test_what_is_known_better_stays_as_it_is() -> None:
    known = AgentReport(models=(use("m-1"),))
    assert merged(known, model("m-1")).models == known.models


@pytest.mark.parametrize("complete", [True, False])
def test_another_than_is_known_is_a_contradiction(complete: bool) -> None:
    known = AgentReport(models=(use("m-1"),), wire_complete=complete)
    report = merged(known, model("m-2"))
    assert len(report.contradictions) == 1
    assert [item.served for item in report.models] == ["m-1", *["m-2"] * (not complete)]
    assert report.models[0].basis == "intercepted"


@pytest.mark.parametrize(
    ("name", "version", "contradicts"),
    [
        ("Claude Code", None, False),
        ("claude", "2.1", False),
        ("Claude", "3.0", True),
        ("Codex", None, True),
    ],
)
def test_the_agent_that_was_seen_stays_and_another_name_is_told(
    name: str, version: str | None, contradicts: bool
) -> None:
    members = {"name": name, **({"version": version} if version else {})}
    report = merged(AgentReport(), drop("agent", **members))
    assert bool(report.contradictions) == contradicts


def test_a_plan_other_than_the_sessions_is_a_contradiction() -> None:
    plan = PlanRef("P", "a" * 64, "b" * 64, "c" * 64)
    same = drop("plan", digest={"sha256": "a" * 64})
    other = drop("plan", digest={"sha256": "d" * 64})
    assert not merged(AgentReport(), same, plan=plan).contradictions
    assert merged(AgentReport(), other, plan=plan).contradictions


def test_an_agent_that_calls_itself_otherwise_after_it_was_signed_contradicts_itself() -> None:
    mine = Agent("first", "first", "first", None, "declared")
    again = drop("agent", name="first"), drop("agent", number=1, name="second")
    assert not merged(AgentReport(), again[0], agent=mine).contradictions
    assert merged(AgentReport(), *again, agent=mine).contradictions


def artifact(content: bytes = FILE, path: str = "a.py", named: str | None = "m-1") -> Drop:
    members = {"model": named} if named else {}
    return drop(
        "artifact", content, path=path, start=1, end=1 + content.count(b"\n"), purpose="x",
        **members,
    )  # fmt: skip


def settled(
    *ranges: LineRange,
    drops: tuple[Drop, ...],
    content: bytes = FILE,
    best: Any = "intercepted",
    complete: bool = False,
) -> tuple[tuple[LineRange, ...], list[str]]:
    report = merged(AgentReport(wire_complete=complete), *drops)
    change = Change(b"a.py", "add", "100644", "b" * 40, "c" * 64, ranges=ranges)
    commit = Commit("o" * 40, "t" * 40, (), None, None, 1, (change,))
    writes = {b"a.py": report.declared_writes}
    done, against = declarations.settle(commit, report, writes, lambda _: content, best)
    return done.changes[0].ranges, against


def unknown(start: int, end: int, why: str | None = "no-model-text") -> LineRange:
    return LineRange(start, end, "unknown", "observed", why=why)


def test_declared_lines_of_which_nothing_is_known_become_a_models() -> None:
    ranges, against = settled(unknown(1, 4), drops=(artifact(),))
    assert ranges == (LineRange(1, 4, "model", "declared", "m-1", "declared"),)
    assert not against


def test_what_was_not_declared_stays_unknown_and_brackets_prove_nothing() -> None:
    content = b"# by a person, on top\n" + FILE + b"}\n"
    ranges, _ = settled(unknown(1, 6), drops=(artifact(FILE[:-2]),), content=content)
    assert [(r.start, r.end, r.origin) for r in ranges] == [
        (1, 1, "unknown"),
        (2, 4, "model"),
        (5, 6, "unknown"),
    ]


@pytest.mark.parametrize(
    "why",
    ["before-session", "after-session", "another-session-is-live", "repeated-line",
     "differs-from-answer", "said-in-an-answer", "command-or-agent", "nobody-seen-to-open",
     "echoed", "too-short-to-tell"],
)  # fmt: skip
def test_where_something_is_known_a_declaration_changes_nothing(why: str) -> None:
    before = unknown(1, 4, why)
    assert settled(before, drops=(artifact(),)) == ((before,), [])


@pytest.mark.parametrize("origin", ["model", "command", "human", "agent"])
def test_no_other_origin_is_replaced(origin: Any) -> None:
    before = LineRange(1, 4, origin, "observed", "m-9" if origin == "model" else None)
    ranges, against = settled(before, drops=(artifact(),))
    assert ranges == (before,)
    assert bool(against) == (origin in ("human", "agent"))


def test_where_the_whole_wire_was_seen_the_agents_word_adds_nothing() -> None:
    before = unknown(1, 4)
    assert settled(before, drops=(artifact(),), complete=True)[0] == (before,)


def test_without_a_model_none_is_made_up() -> None:
    ranges, _ = settled(unknown(1, 4), drops=(artifact(named=None),))
    assert ranges[0].model is None


def test_bases_are_lowered_to_what_the_builder_can_know() -> None:
    ranges, _ = settled(unknown(1, 2), LineRange(3, 4, "model", "declared"), drops=(),
                        best="reported")  # fmt: skip
    assert [item.basis for item in ranges] == ["reported", "declared"]


def test_a_file_that_is_as_it_was_is_told() -> None:
    report = merged(AgentReport(), artifact())
    assert declarations.untouched(report, {b"a.py"}) == []
    assert len(declarations.untouched(report, set())) == 1


def test_what_is_not_this_sessions_or_too_much_is_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(declaration, "MAX_DECLARATIONS", 2)
    drops = [
        *(drop("decision", number=n, text="x") for n in range(3)),
        Drop("declared", "model", b"0" * 64 + b"\n{}"),
        Drop("git", "post-commit", b""),
    ]
    said = declarations.spoken(drops, TOKEN, "s-1", AT)
    assert len(said.items) == 2
    assert {(gap.why, gap.detail) for gap in said.gaps} == {
        ("declaration-forged", "1"),
        ("declarations-too-many", "1"),
    }
    assert not declarations.spoken(drops, None, "s-1", AT).items


def test_a_drop_that_was_left_twice_counts_once() -> None:
    one = drop("decision", text="x")
    assert len(declarations.spoken([one, one], TOKEN, "s-1", AT).items) == 1
