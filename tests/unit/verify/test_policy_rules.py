"""Each rule of a policy, held against signed stories: what meets it, and what does not."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprov import attest
from agentprov.errors import ConfigurationInvalid
from agentprov.flows import strict_yaml
from agentprov.formats.facts import AgentReport, Gap, LineRange, McpServer, ModelUse
from agentprov.formats.policy_facts import JudgedCommit, Miss, PolicyFacts
from agentprov.verify import policy, policy_facts
from agentprov.verify.approvals import Surroundings
from agentprov.verify.finding import Verdict
from agentprov.verify.judge import Judgement
from agentprov.verify.policy import Policy
from agentprov.verify.subjects import PathDiff
from support.story import (
    FILES,
    HUMAN,
    JANE,
    RECORDER,
    SESSION,
    File,
    Key,
    Story,
    changes_of,
    judge,
    made_up,
    seal,
    trust_of,
)

BOTH = replace(HUMAN, roles=frozenset({"human", "reviewer"}))
TRUST = trust_of(BOTH, RECORDER, JANE)
CLAUDE = "pkg:npm/%40anthropic-ai/claude-code"
SERVED = "claude-sonnet-4-5-20250929"
AT = "2026-11-24T10:35:00Z"


def parse(document: Any) -> Policy:
    return policy.parse(document, sha256="ab" * 32, source="policy.yaml")


def asking(**require: Any) -> Policy:
    return parse({"version": 1, "mode": "enforce", "require": require})


def told(
    *approvers: Key,
    story: Story | None = None,
    without: tuple[str, ...] = (),
    around: Surroundings | None = None,
    parents: tuple[str, ...] = (),
    signed_by: bytes | None = None,
    **said: Any,
) -> Judgement:
    tale = (story or Story()).tell()
    lines = {name: line for name, line in tale.lines().items() if name not in without}
    for number, key in enumerate(approvers):
        lines[f"approval {number}"] = seal(tale.approval(reviewer=key.person, **said), key)
    commit = tale.commit(trailers=(), signed_by=signed_by)
    if parents:
        commit = replace(commit, parents=(*commit.parents, *parents))
    return judge(lines, [commit], trust=TRUST, required=False, around=around)


def laid_out(judged: Judgement, *, by_path: bool = True) -> PolicyFacts:
    return policy_facts.collect(judged, judged.case.around, (), by_path=by_path)


def missed(rules: Policy, judged: Judgement) -> set[str]:
    assert judged.verdict.exit_code == 0
    return codes(policy.judge(rules, judged))


def codes(verdict: Verdict) -> set[str]:
    return {item.code for item in verdict.findings if item.severity == "error"}


def model(served: str | None = SERVED, **changes: Any) -> Story:
    use = ModelUse("anthropic", "claude-opus-4-1", served, "main", "reported", 3)
    return Story(report=AgentReport(models=(replace(use, **changes),)))


def agent(**changes: Any) -> Story:
    return Story(session=replace(SESSION, agent=replace(SESSION.agent, **changes)))


def servers(*found: McpServer) -> Story:
    return Story(session=replace(SESSION, mcp_servers=found))


def lines(*found: tuple[str, str, int], why: str | None = None, op: str = "add") -> Story:
    """A commit of one file, with so many lines of each (origin, basis)."""
    ranges, at = [], 1
    for origin, basis, count in found:
        ranges.append(LineRange(at, at + count - 1, origin, basis))  # type: ignore[arg-type]
        at += count
    file = File(b"a.txt", b"x\n" * (at - 1) + b"y", None if op == "add" else b"old\n")
    (change,) = changes_of([file])
    commit = replace(
        Story().facts(), changes=(replace(change, ranges=tuple(ranges), why=why, op=op),)
    )
    return Story(files=(file,), commit=commit)


def plan(**limits: Any) -> Story:
    return Story(plan={"limits": attest.Limits(**limits)})


def gaps(*kinds: str, outcome: str = "completed") -> Story:
    return Story(ending={"gaps": [Gap(kind, AT, AT) for kind in kinds], "outcome": outcome})


PACKAGE = {"package": CLAUDE}
GITHUB = "pkg:npm/%40modelcontextprotocol/server-github"
MCP_DIGEST = f"sha256:{made_up('mcp')}"

CASES: list[tuple[dict[str, Any], Story, str | None]] = [
    # agents
    ({"agents": {"allow": [PACKAGE]}}, Story(), None),
    ({"agents": {"allow": [{"package": "pkg:npm/**"}]}}, Story(), None),
    ({"agents": {"allow": [{**PACKAGE, "versions": ">=2.1,<3"}]}}, Story(), None),
    ({"agents": {"allow": [{**PACKAGE, "versions": ">=2.2"}]}}, Story(), "policy-agent"),
    ({"agents": {"allow": [{"package": "pkg:npm/codex"}]}}, Story(), "policy-agent"),
    ({"agents": {"allow": [{"digests": [f"sha256:{made_up('agent')}"]}]}}, Story(), None),
    ({"agents": {"allow": [{"digests": ["sha256:" + "0" * 64]}]}}, Story(), "policy-agent"),
    (
        {"agents": {"allow": [{**PACKAGE, "digests": ["sha256:" + "0" * 64]}]}},
        Story(),
        "policy-agent",
    ),
    ({"agents": {"allow": [PACKAGE]}}, agent(purl=None), "policy-agent"),
    (
        {"agents": {"allow": [{**PACKAGE, "versions": ">=1"}]}},
        agent(purl=CLAUDE),
        "policy-agent",
    ),
    (
        {"agents": {"allow": [{**PACKAGE, "versions": ">=1"}]}},
        agent(purl=f"{CLAUDE}@nightly"),
        "policy-agent",
    ),
    (
        {"agents": {"allow": [{**PACKAGE, "versions": ">=1"}]}},
        agent(purl=f"{CLAUDE}@2.2.0-beta.1"),
        "policy-agent",
    ),
    (
        {"agents": {"allow": [{**PACKAGE, "versions": "==2.1.3+acme.1"}]}},
        agent(purl=f"{CLAUDE}@2.1.3%2Bacme.1"),
        None,
    ),
    (
        {"agents": {"allow": [PACKAGE]}},
        agent(purl=f"{CLAUDE}@2.1.3?repository_url=evil.example"),
        "policy-agent",
    ),
    (
        {"agents": {"allow": [PACKAGE]}},
        agent(purl="pkg:npm/%40anthropic-ai/cl\u0430ude-code@2.1.3".encode("punycode").decode()),
        "policy-agent",
    ),
    ({"agents": {"allow": [{"package": f"{CLAUDE}-x"}, PACKAGE]}}, Story(), None),
    ({"agents": {"allow": [PACKAGE], "basis": "observed"}}, Story(), None),
    ({"agents": {"allow": [PACKAGE], "basis": "intercepted"}}, Story(), "policy-basis"),
    # models
    ({"models": {"allow": ["anthropic/claude-*"]}}, Story(), None),
    ({"models": {"allow": ["anthropic/claude-sonnet-4-5"]}}, Story(), "policy-model"),
    ({"models": {"allow": ["openai/*", "anthropic/claude-opus-*"]}}, model(), "policy-model"),
    ({"models": {"allow": ["Anthropic/*"]}}, Story(), "policy-model"),
    ({"models": {"allow": ["**"]}}, model("cl\u0430ude-sonnet-4-5"), "policy-model"),
    ({"models": {"allow": ["**"]}}, model(None, why="cut off"), "policy-model"),
    ({"models": {"allow": ["**"]}}, Story(report=AgentReport()), "policy-model"),
    ({"models": {"deny": ["anthropic/claude-sonnet-4-5-20250929"]}}, Story(), "policy-model"),
    ({"models": {"deny": ["Anthropic/Claude-Sonnet-*"]}}, Story(), "policy-model"),
    ({"models": {"deny": ["**/claude-*"]}}, model("CLAUDE-sonnet-4-5"), "policy-model"),
    ({"models": {"deny": ["anthropic/claude-sonnet-4-5"]}}, Story(), None),
    ({"models": {"deny": ["openai/*"]}}, Story(), None),
    ({"models": {"deny": ["openai/*"]}}, model("cl\u0430ude-sonnet-4-5"), "policy-model"),
    ({"models": {"deny": ["openai/*"]}}, model(None, why="cut off"), "policy-model"),
    ({"models": {"deny": ["openai/*"]}}, Story(report=AgentReport()), "policy-model"),
    (
        {"models": {"allow": ["anthropic/*"], "deny": ["*/*sonnet*"]}},
        Story(),
        "policy-model",
    ),
    ({"models": {"basis": "reported"}}, Story(report=AgentReport()), "policy-model"),
    ({"models": {"allow": ["anthropic/*"]}}, model("x/y"), "policy-model"),
    ({"models": {"allow": ["anthropic/x/*"]}}, model("x/y"), None),
    ({"models": {"basis": "reported"}}, Story(), None),
    ({"models": {"basis": "intercepted"}}, Story(), "policy-basis"),
    ({"models": {"basis": "intercepted"}}, model(basis="intercepted"), None),
    ({"models": {"endpoints": ["api.anthropic.com"]}}, model(), "policy-endpoint"),
    ({"models": {"endpoints": ["api.anthropic.com"]}}, model(host="api.anthropic.com"), None),
    (
        {"models": {"endpoints": ["*.anthropic.com"]}},
        model(host="api.anthropic.com.evil.example"),
        "policy-endpoint",
    ),
    # MCP servers
    ({"mcpServers": {"allow": [{"name": "github"}]}}, Story(), None),
    ({"mcpServers": {"allow": [{"name": "git*", "package": GITHUB}]}}, Story(), None),
    ({"mcpServers": {"allow": [{"name": "github", "digests": [MCP_DIGEST]}]}}, Story(), None),
    ({"mcpServers": {"allow": []}}, Story(), "policy-mcp-server"),
    ({"mcpServers": {"allow": []}}, servers(), None),
    ({"mcpServers": {"allow": [{"name": "gitlab"}]}}, Story(), "policy-mcp-server"),
    (
        {"mcpServers": {"allow": [{"package": GITHUB, "versions": "==0.6.1"}]}},
        Story(),
        "policy-mcp-server",
    ),
    (
        {"mcpServers": {"allow": [{"name": "github", "digests": [MCP_DIGEST]}]}},
        servers(McpServer("github", "observed", why="remote")),
        "policy-mcp-server",
    ),
    # origins
    ({"origins": {"noAgent": True}}, lines(("model", "reported", 9)), None),
    (
        {"origins": {"noAgent": True}},
        lines(("model", "intercepted", 9), ("agent", "intercepted", 1)),
        "policy-origin",
    ),
    ({"origins": {"maxUnknown": 0}}, lines(("model", "reported", 9)), None),
    (
        {"origins": {"maxUnknown": 10}},
        lines(("model", "reported", 9), ("unknown", "observed", 1)),
        None,
    ),
    (
        {"origins": {"maxUnknown": 9}},
        lines(("model", "reported", 9), ("unknown", "observed", 1)),
        "policy-origin",
    ),
    # An agent's own word makes no line known.
    (
        {"origins": {"maxUnknown": 50}},
        lines(("model", "declared", 6), ("model", "reported", 4)),
        "policy-origin",
    ),
    ({"origins": {"maxUnknown": 100}}, lines(why="too-large"), "policy-origin"),
    ({"origins": {"maxUnknown": 100, "untold": "accept"}}, lines(why="too-large"), None),
    ({"origins": {"maxUnknown": 100}}, lines(), "policy-origin"),
    ({"origins": {"maxUnknown": 100}}, lines(op="modify"), None),
    (
        {"origins": {"weak": {"below": "intercepted", "most": 50}}},
        lines(("model", "intercepted", 5), ("model", "reported", 5)),
        None,
    ),
    (
        {"origins": {"weak": {"below": "intercepted", "most": 49}}},
        lines(("model", "intercepted", 5), ("model", "reported", 5)),
        "policy-basis",
    ),
    # plans
    ({"plan": {"signed": True}}, Story(), None),
    ({"plan": {"signed": True}}, Story(planned=False), "policy-plan"),
    ({"plan": {"signed": True, "role": "human"}}, Story(human=BOTH), None),
    ({"plan": {"signed": True, "maxAge": "1m"}}, Story(), None),
    (
        {"plan": {"signed": True, "maxAge": "1m"}},
        Story(plan={"declared_at": "2026-11-24T10:29:59Z"}),
        "policy-plan-age",
    ),
    ({"plan": {"signed": True, "withinPaths": True}}, Story(), None),
    (
        {"plan": {"signed": True, "withinPaths": True}},
        plan(allowed_paths=("src/**", "*.md", "*.txt", "run.sh")),
        None,
    ),
    (
        {"plan": {"signed": True, "withinPaths": True}},
        plan(allowed_paths=("src/**", "*.md", "*.txt")),
        "policy-plan-paths",
    ),
    (
        {"plan": {"signed": True, "withinPaths": True}},
        plan(allowed_paths=("src/", "[a-z]*", "!x", "*.md", "*.txt", "run.sh")),
        "policy-plan-paths",
    ),
    ({"plan": "signed"}, plan(allowed_paths=("nothing",)), "policy-plan-paths"),
    ({"plan": "signed"}, plan(target_ref="refs/heads/other"), "policy-plan-limits"),
    ({"plan": "signed"}, plan(constraints={"tools": {"deny": ["Bash"]}}), None),
    # sessions
    ({"sessions": {"complete": True}}, Story(), None),
    ({"sessions": {"complete": True}}, gaps(outcome="incomplete"), "policy-session"),
    ({"sessions": {"noGaps": ["hooks-*"]}}, gaps("events-lost"), None),
    ({"sessions": {"noGaps": ["hooks-*"]}}, gaps("events-lost", "hooks-silent"), "policy-session"),
    ({"sessions": {"noGaps": ["*"]}}, gaps("odd/kind"), "policy-session"),
]


@pytest.mark.parametrize(
    ("require", "story", "code"),
    CASES,
    ids=[f"{i}-{next(iter(c[0]))}" for i, c in enumerate(CASES)],
)
def test_a_rule_is_met_or_missed(require: dict[str, Any], story: Story, code: str | None) -> None:
    assert missed(asking(**require), told(story=story)) == ({code} if code else set())


@pytest.mark.parametrize(
    ("require", "approvers", "said", "denied"),
    [
        ({"people": 1, "withRecords": True}, (JANE,), {}, False),
        ({"people": 1, "withRecords": True}, (JANE,), {"reviewed": attest.Reviewed()}, True),
        ({"people": 1}, (JANE,), {"reviewed": attest.Reviewed()}, False),
        ({"people": 1, "maxAge": "70m"}, (JANE,), {}, False),
        ({"people": 1, "maxAge": "69m"}, (JANE,), {}, True),
        ({"people": 2, "maxAge": "2h", "withRecords": True}, (JANE, BOTH), {}, False),
    ],
)
def test_approvals_that_do_not_count(
    require: dict[str, Any], approvers: tuple[Key, ...], said: dict[str, Any], denied: bool
) -> None:
    judged = told(*approvers, **said)
    assert missed(asking(approvals=require), judged) == ({"policy-approvals"} if denied else set())


def test_a_plans_signer_must_hold_the_role_that_is_asked_for() -> None:
    rules = asking(plan={"signed": True, "role": "reviewer"})
    tale = Story().tell()
    for human, expected in ((HUMAN, {"policy-plan-signer"}), (BOTH, set())):
        trust = trust_of(human, RECORDER)
        judged = judge(tale.lines(), [tale.commit()], trust=trust, required=False)
        assert missed(rules, judged) == expected


NEEDY: list[dict[str, Any]] = [
    {"agents": {"allow": [PACKAGE]}},
    {"models": {"allow": ["**"]}},
    {"mcpServers": {"allow": [{"name": "**"}]}},
    {"origins": {"maxUnknown": 100, "untold": "accept"}},
    {"sessions": {"complete": True}},
    {"plan": {"signed": True}},
]


@pytest.mark.parametrize("require", NEEDY, ids=[next(iter(item)) for item in NEEDY])
def test_no_record_is_never_nothing_to_object_to(require: dict[str, Any]) -> None:
    bare = ("plan", "open", "generation", "close")
    assert missed(asking(**require), told()) == set()
    assert missed(asking(**require), told(without=bare)) == {"policy-record"}
    # A person who signs or approves it does not say what was at work, unless that is accepted.
    for judged in (told(without=bare, signed_by=BOTH.spki), told(JANE, without=bare)):
        assert judged.verdict.commits[0].coverage == "human"
        assert missed(asking(**require), judged) == {"policy-record"}
        assert missed(asking(**require, unrecorded="human"), judged) == set()
    assert missed(asking(**require, unrecorded="human"), told(without=bare)) == {"policy-record"}


def test_who_vouches_for_a_commit_excuses_none_of_its_records() -> None:
    rules = asking(models={"allow": ["openai/*"]}, unrecorded="human")
    assert missed(rules, told(JANE, signed_by=BOTH.spki)) == {"policy-model"}


def test_an_approval_with_records_is_asked_of_commits_that_have_none_unless_excused() -> None:
    bare = ("plan", "open", "generation", "close")
    asked = {"people": 1, "withRecords": True}
    assert missed(asking(approvals=asked), told(JANE, without=bare)) == {"policy-approvals"}
    assert missed(asking(approvals=asked, unrecorded="human"), told(JANE, without=bare)) == set()


def test_all_sessions_behind_a_commit_must_meet_a_rule() -> None:
    first = Story().tell()
    other = Story(session=replace(SESSION, id="other"), report=model("gpt-5").report).tell()
    lines = first.lines() | {f"other {name}": line for name, line in other.lines().items()}
    judged = judge(lines, [first.commit()], trust=TRUST, required=False)
    assert len(judged.verdict.commits[0].generations) == 2
    assert missed(asking(models={"allow": ["anthropic/claude-*"]}), judged) == {"policy-model"}


def test_a_closing_statement_that_does_not_hold_makes_no_session_whole() -> None:
    tale = Story().tell()
    broken = seal(tale.close, RECORDER)[:-40] + b"0" * 40
    stranger = seal(tale.close, Key(71, "mallory", frozenset({"recorder"}), RECORDER.builders))
    for close in (broken, stranger):
        lines = {**tale.lines(), "close": close}
        judged = judge(lines, [tale.commit(trailers=())], trust=TRUST, required=False)
        assert judged.verdict.commits[0].coverage == "covered"
        for asked in ({"complete": True}, {"noGaps": ["**"]}):
            assert codes(policy.judge(asking(sessions=asked), judged)) == {"policy-session"}


def test_a_record_that_does_not_hold_meets_no_rule() -> None:
    tale = Story().tell()
    stranger = Key(71, "mallory", frozenset({"recorder"}), RECORDER.builders)
    lines = {name: seal(item, stranger) for name, item in (("o", tale.open), ("c", tale.close))}
    lines["g"] = seal(tale.generation, stranger)
    judged = judge(lines, [tale.commit(trailers=())], trust=TRUST, required=False)
    assert "policy-record" in codes(policy.judge(asking(models={"allow": ["**"]}), judged))


# Which commits a rule is for.


def aimed(paths: list[str] | None = None, refs: list[str] | None = None) -> Policy:
    aim = {key: value for key, value in (("paths", paths), ("refs", refs)) if value}
    block = {"name": "guard", "for": aim, "require": {"approvals": {"people": 1}}}
    return parse({"version": 1, "mode": "enforce", "rules": [block]})


@pytest.mark.parametrize(
    ("paths", "concerned"),
    [
        (["src/**"], True),
        (["*.py"], False),
        (["**/*.py"], True),
        (["SRC/**"], False),
        (["docs/**", "old.txt"], True),
        (["docs/**"], False),
        (["run.sh"], True),
    ],
)
def test_a_rule_for_paths_is_for_commits_that_touch_one(paths: list[str], concerned: bool) -> None:
    verdict = policy.judge(aimed(paths), told())
    assert codes(verdict) == ({"policy-approvals"} if concerned else set())
    if concerned:
        assert verdict.findings[-1].message.startswith("rule 'guard': ")


@pytest.mark.parametrize("side", ["guarded/a", "free/a"])
def test_both_sides_of_a_rename_count(side: str) -> None:
    files = (File(b"guarded/a", None, b"same\n"), File(b"free/a", b"same\n"))
    judged = told(story=Story(files=files))
    assert missed(aimed([side]), judged) == {"policy-approvals"}


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        (b"guarded/\xff\xfe", "guarded/**"),
        ("guarded/caf\u0065\u0301".encode(), "guarded/caf\u00e9"),
        ("guarded/caf\u00e9".encode(), "guarded/caf\u0065\u0301"),
        (b"guarded/new\nline", "guarded/*"),
        (b"guarded", "guarded/**"),
        (b"%bytes:x", "%bytes:*"),
    ],
)
def test_no_spelling_of_a_path_escapes_its_rule(path: bytes, pattern: str) -> None:
    judged = told(story=Story(files=(File(path, b"x\n"),)))
    assert missed(aimed([pattern]), judged) == {"policy-approvals"}


def test_what_a_merge_undoes_of_its_other_parent_is_touched() -> None:
    other = made_up("other parent", 40)

    def around(found: dict[bytes, PathDiff] | None) -> Surroundings:
        return Surroundings(differences=lambda _old, _new: found)

    undone = {b"guarded/a": PathDiff("100644", "a" * 40, None, None)}
    bare = ("plan", "open", "generation", "close")
    for found, expected in (
        (undone, {"policy-approvals"}),
        ({}, set()),
        (None, {"policy-approvals"}),
    ):
        judged = told(without=bare, parents=(other,), around=around(found))
        assert missed(aimed(["guarded/**"]), judged) == expected


@pytest.mark.parametrize(
    ("refs", "target", "concerned"),
    [
        (["refs/heads/main"], "refs/heads/main", True),
        (["refs/heads/main"], "refs/heads/maintenance", False),
        (["refs/heads/release/**"], "refs/heads/release/1/2", True),
        (["refs/tags/v*"], "refs/tags/v1", True),
        (["refs/tags/v*"], "refs/heads/v1", False),
        (["refs/heads/main"], None, True),
    ],
)
def test_a_rule_for_refs_is_for_what_is_merged_there(
    refs: list[str], target: str | None, concerned: bool
) -> None:
    judged = told(around=Surroundings(target_ref=target))
    assert missed(aimed(refs=refs), judged) == ({"policy-approvals"} if concerned else set())
    both = aimed(["docs/**"], refs)
    assert missed(both, judged) == set()


def test_rules_add_to_each_other_and_trusted_time_to_all_of_them() -> None:
    rules = parse(
        {
            "version": 1,
            "mode": "enforce",
            "require": {"trustedTime": ["approval"], "approvals": {"people": 1}},
            "rules": [
                {
                    "name": "two",
                    "for": {"paths": ["src/**"]},
                    "require": {"approvals": {"people": 2}},
                }
            ],
        }
    )
    facts = laid_out(told(JANE, BOTH))
    (commit,) = facts.commits
    stamped = tuple(replace(item, trusted_time=True) for item in commit.approvals)

    def found(approvals: tuple[Any, ...]) -> list[Miss]:
        return list(rules.misses(replace(facts, commits=(replace(commit, approvals=approvals),))))

    assert found(stamped) == []
    one = found((stamped[0], commit.approvals[1]))
    assert {item.message.partition(":")[0] for item in one} >= {"rule 'two'"}
    assert "rule 'two': 1 of 2 people have approved all of it" in [item.message for item in one]


def test_what_was_there_at_adoption_is_exempt_from_coverage_and_from_nothing_else() -> None:
    since, oid = made_up("adopted", 40), Story().facts().oid
    bare = ("plan", "open", "generation", "close")

    def at(led: dict[str, frozenset[str]] | None) -> Judgement:
        def between(base: str | None, commit: str) -> frozenset[str] | None:
            return None if led is None or base is not None else led.get(commit)

        return told(without=bare, around=Surroundings(between=between))

    rules = asking(coverage={"accept": ["covered"], "since": since})
    assert missed(rules, at({since: frozenset({oid, since})})) == set()
    assert missed(rules, at({since: frozenset({since})})) == {"policy-coverage"}
    assert missed(rules, at(None)) == {"policy-coverage"}
    strict = asking(coverage={"accept": ["covered"], "since": since}, models={"allow": ["**"]})
    assert missed(strict, at({since: frozenset({oid})})) == {"policy-record"}
    assert missed(asking(coverage={"accept": ["covered"]}), at({since: frozenset({oid})})) == {
        "policy-coverage"
    }


# Reading the document.

GOOD: dict[str, Any] = {
    "coverage": {"accept": ["covered", "human"], "since": "ab" * 20},
    "plan": {"signed": True, "role": "human", "maxAge": "30d", "withinPaths": True},
    "trustedTime": ["plan", "approval"],
    "approvals": {"people": 2, "notPlanAuthor": True, "withRecords": True, "maxAge": "2w"},
    "agents": {
        "allow": [{"package": "pkg:npm/x", "versions": "~=1.2", "digests": ["sha256:" + "a" * 64]}],
        "basis": "observed",
    },
    "models": {"allow": ["a/*"], "basis": "intercepted", "endpoints": ["a.example"]},
    "mcpServers": {"allow": [{"name": "x", "package": "pkg:npm/x"}]},
    "origins": {
        "noAgent": True,
        "maxUnknown": 5,
        "weak": {"below": "observed", "most": 5},
        "untold": "accept",
    },
    "sessions": {"complete": True, "noGaps": ["*"]},
    "unrecorded": "human",
}
WHOLE = {
    "version": 1,
    "mode": "enforce",
    "require": GOOD,
    "rules": [
        {
            "name": "one",
            "for": {"paths": ["a/**"], "refs": ["refs/heads/main"]},
            "require": {"plan": "signed"},
        }
    ],
}


def bent(value: Any) -> Iterator[Any]:
    """Give a document with each of its members misspelled, emptied or made of another kind."""
    if isinstance(value, dict):
        yield {**value, "allow ": 1}
        yield []
        for key, item in value.items():
            rest = {other: kept for other, kept in value.items() if other != key}
            for wrong in (key + "s", key.upper(), key + "\u200b"):
                yield {**rest, wrong: item}
            for wrong in bent(item):
                yield {**value, key: wrong}
    elif isinstance(value, list):
        yield {}
        for at, item in enumerate(value):
            for wrong in bent(item):
                yield [*value[:at], wrong, *value[at + 1 :]]
    elif isinstance(value, bool):
        yield from ("true", 1, None)
    elif isinstance(value, int):
        yield from (str(value), -1, 1.0, True, None, 10**9)
    else:
        yield from ("", None, 7, ["x"], value + "\n", value + "\u0435/")


def test_the_whole_document_is_read() -> None:
    assert len(parse(WHOLE).blocks) == 2
    assert parse(WHOLE).by_path
    assert parse(WHOLE).milestones == {"ab" * 20}
    assert not parse({"version": 1, "mode": "observe"}).by_path


def test_no_member_can_be_misspelled_or_of_another_kind() -> None:
    count = 0
    for document in bent(WHOLE):
        count += 1
        with pytest.raises(ConfigurationInvalid):
            parse(document)
    assert count > 200


@pytest.mark.parametrize(
    "require",
    [
        {"agents": {"allow": []}},
        {"agents": {"allow": [{}]}},
        {"agents": {"allow": [{"name": "claude"}]}},
        {"agents": {"allow": [{"versions": ">=1"}]}},
        {"agents": {"allow": [{"package": f"{CLAUDE}@2.1.3"}]}},
        {"agents": {"allow": [{"package": "claude-code"}]}},
        {"agents": {"allow": [{**PACKAGE, "versions": "^2"}]}},
        {"agents": {"allow": [{**PACKAGE, "versions": ""}]}},
        {"agents": {"allow": [{**PACKAGE, "versions": ","}]}},
        {"agents": {"allow": [{**PACKAGE, "versions": "===x"}]}},
        {"agents": {"allow": [{"digests": ["ab" * 32]}]}},
        {"models": {}},
        {"models": {"allow": ["!openai/*"]}},
        {"models": {"basis": "seen"}},
        {"origins": {}},
        {"origins": {"untold": "accept"}},
        {"origins": {"noAgent": False}},
        {"origins": {"maxUnknown": 101}},
        {"plan": {"withinPaths": True}},
        {"plan": {"signed": False}},
        {"plan": {"signed": True, "maxAge": "0d"}},
        {"plan": {"signed": True, "maxAge": "1y"}},
        {"plan": {"signed": True, "role": "recorder"}},
        {"sessions": {}},
        {"sessions": {"noGaps": []}},
        {"coverage": {"accept": []}},
        {"coverage": {"accept": ["covered"], "since": "HEAD"}},
        {"coverage": {"accept": ["covered"], "since": "abcdef1"}},
        {"unrecorded": "covered"},
    ],
)
def test_what_asks_for_nothing_or_for_nonsense_is_refused(require: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationInvalid):
        asking(**require)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{"require": {"plan": "signed"}}],
        [{"name": "x", "require": {}}],
        [{"name": "x", "for": {}, "require": {"plan": "signed"}}],
        [{"name": "x", "for": {"paths": []}, "require": {"plan": "signed"}}],
        [{"name": "x", "for": {"paths": ["/src/**"]}, "require": {"plan": "signed"}}],
        [{"name": "x", "for": {"paths": ["src/"]}, "require": {"plan": "signed"}}],
        [{"name": "x", "for": {"refs": ["main"]}, "require": {"plan": "signed"}}],
        [{"name": "x", "for": {"branches": ["main"]}, "require": {"plan": "signed"}}],
        [{"name": "x", "require": {"plan": "signed"}}] * 2,
        [{"name": "x" * 129, "require": {"plan": "signed"}}],
    ],
)
def test_rules_that_could_silently_be_for_nothing_are_refused(rules: Any) -> None:
    with pytest.raises(ConfigurationInvalid):
        parse({"version": 1, "mode": "enforce", "rules": rules})


# Monotonic: what is taken away never helps.

EVERY: tuple[dict[str, Any], ...] = (
    *(
        {key: GOOD[key]}
        for key in ("plan", "approvals", "agents", "models", "mcpServers", "sessions")
    ),
    *(
        case[0]
        for case in CASES
        if case[0] != {"plan": "signed"} and "untold" not in case[0].get("origins", {})
    ),
    {"origins": {"noAgent": True, "maxUnknown": 5, "weak": {"below": "observed", "most": 5}}},
    {"coverage": ["covered", "human"]},
    {"trustedTime": ["approval"], "approvals": {"people": 1}},
    {"approvals": {"people": 1}},
    {"approvals": {"people": 1, "withRecords": True}},
    {"approvals": {"people": 1, "withRecords": True, "notPlanAuthor": True}},
    {"plan": {"signed": True}},
)
TALES = [
    told(JANE, BOTH, story=story, **said)
    for story, said in itertools.product(
        [
            Story(),
            Story(planned=False),
            model(basis="intercepted", host="a.example"),
            lines(("model", "intercepted", 9), ("unknown", "observed", 1)),
            gaps("hooks-silent"),
        ],
        [{}, {"reviewed": attest.Reviewed()}],
    )
]
FACTS = [laid_out(item) for item in TALES]


def less(facts: PolicyFacts, pick: Any) -> PolicyFacts:
    """Take something away that stands for a good thing, as losing a record or a proof does."""
    (commit,) = facts.commits
    return replace(facts, commits=(pick(weaker(commit)),))


def weaker(commit: JudgedCommit) -> list[JudgedCommit]:
    found = [replace(commit, sessions=(), coverage="uncovered"), replace(commit, paths=None)]
    if commit.coverage == "covered":
        found.append(replace(commit, sessions=(), coverage="human"))
    found += [
        replace(commit, approvals=commit.approvals[:at] + commit.approvals[at + 1 :])
        for at in range(len(commit.approvals))
    ]
    for change in ({"trusted_time": False}, {"records": ()}, {"partial": True}):
        found.append(
            replace(commit, approvals=tuple(replace(item, **change) for item in commit.approvals))
        )
    for session in commit.sessions:
        # Its plan is not among these: without that the session's records do not hold at all.
        changes: list[dict[str, Any]] = [
            {"plans": tuple(replace(item, trusted_time=False) for item in session.plans)},
            {"plans": tuple(replace(item, roles=()) for item in session.plans)},
            {"agent": replace(session.agent, purl=None)},
            {"agent": replace(session.agent, sha256=None)},
            {"agent": replace(session.agent, basis="declared")},
            {"models": ()},
            {"models": tuple(replace(item, host=None) for item in session.models)},
            {"models": tuple(replace(item, basis="declared") for item in session.models)},
            {"models": tuple(replace(item, name="") for item in session.models)},
            {"servers": tuple(replace(item, purl=None, sha256=None) for item in session.servers)},
            {"lines": tuple(replace(item, basis="declared") for item in session.lines)},
            {"lines": tuple(replace(item, origin="unknown") for item in session.lines)},
            {"closed": False, "complete": False, "gaps": ()},
        ]
        found += [replace(commit, sessions=(replace(session, **item),)) for item in changes]
        # Lines of which nothing is told any more are files that nobody accounts for.
        paths = tuple(sorted({*commit.untold, *(item.path for item in session.lines)}))
        found.append(replace(commit, sessions=(replace(session, lines=()),), untold=paths))
    return found


@pytest.mark.parametrize("require", EVERY)
def test_each_thing_taken_away_never_helps_any_rule(require: dict[str, Any]) -> None:
    rules = asking(**require)
    for facts in FACTS:
        if list(rules.misses(facts)):
            for commit in weaker(facts.commits[0]):
                assert list(rules.misses(replace(facts, commits=(commit,))))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(EVERY), min_size=1, max_size=3),
    st.sampled_from(FACTS),
    st.lists(st.integers(min_value=0, max_value=10_000), min_size=1, max_size=4),
    st.booleans(),
)
def test_taking_evidence_away_never_turns_a_denial_into_a_pass(
    requires: list[dict[str, Any]], facts: PolicyFacts, picks: list[int], aim: bool
) -> None:
    blocks = [
        {"name": f"rule {at}", "require": require, **({"for": {"paths": ["*"]}} if aim else {})}
        for at, require in enumerate(requires)
    ]
    rules = parse({"version": 1, "mode": "enforce", "rules": blocks})
    denied = bool(list(rules.misses(facts)))
    for pick in picks:
        facts = less(facts, lambda found, pick=pick: found[pick % len(found)])
        now = bool(list(rules.misses(facts)))
        assert now or not denied
        denied = now


@pytest.mark.parametrize("require", EVERY)
def test_leaving_out_any_records_of_a_real_story_never_helps(require: dict[str, Any]) -> None:
    tale = Story(report=model(None, why="cut off").report).tell()
    lines = tale.lines() | {"yes": seal(tale.approval(), JANE)}
    lines["own"] = seal(tale.approval(reviewer=BOTH.person), BOTH)
    rules = asking(**require)

    def denied(names: tuple[str, ...]) -> bool:
        kept = {name: lines[name] for name in names}
        judged = judge(kept, [tale.commit(trailers=())], trust=TRUST, required=False)
        return bool(list(rules.misses(laid_out(judged))))

    subsets = [
        names for size in range(len(lines) + 1) for names in itertools.combinations(lines, size)
    ]
    answers = {frozenset(names): denied(names) for names in subsets}
    for names, answer in answers.items():
        if answer:
            assert all(answers[other] for other in answers if other < names)


def test_an_engine_sees_plain_values_only() -> None:
    facts = laid_out(told(JANE))
    again = json.loads(json.dumps(asdict(facts)))
    assert again["commits"][0]["sessions"][0]["models"][0]["name"] == f"anthropic/{SERVED}"
    assert again["commits"][0]["paths"] == sorted(file.path.decode() for file in FILES)


def test_another_engine_is_given_the_same_and_its_misses_become_findings() -> None:
    class Curious:
        sha256, source, enforces, by_path = "cd" * 32, "elsewhere", True, False
        milestones: frozenset[str] = frozenset()

        def misses(self, facts: PolicyFacts) -> list[Miss]:
            self.seen = facts
            return [Miss(facts.commits[0].commit, "policy-model", "I do not like it")]

    engine, judged = Curious(), told()
    verdict = policy.judge(engine, judged)
    assert codes(verdict) == {"policy-model"}
    assert (verdict.policy_sha256, verdict.policy_source) == ("cd" * 32, "elsewhere")
    assert engine.seen == laid_out(judged, by_path=False)
    assert engine.seen.commits[0].paths is None


# The page.

PAGE = Path(__file__).resolve().parents[3] / "docs" / "spec" / "policy.md"


def test_every_example_of_the_page_is_a_policy_and_every_rule_has_one() -> None:
    shown: set[str] = set()
    for example in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.M):
        document = strict_yaml.parse(example.encode(), source="policy.md")
        if "version" not in document:
            shown |= document.keys()
            document = {"version": 1, "mode": "enforce", "require": document}
        assert parse(document).blocks
    assert shown == {*policy.RULES, "unrecorded"}
