"""What a session did is held against its plan's limits; what nobody knows was not kept to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentprov.attest import Limits
from agentprov.formats.facts import McpServer
from agentprov.formats.predicates.generation import GenerationView
from agentprov.verify import plan_limits
from tests.support.story import REPORT, SESSION, Story, codes, judge

CLAUDE = "pkg:npm/%40anthropic-ai/claude-code"
SERVED = "anthropic/claude-sonnet-4-5-20250929"


def beyond(story: Story, target: str | None = None, **limits: Any) -> list[str]:
    """Give the limits that a story went beyond, in order."""
    told = replace(story, plan={"limits": Limits(**limits)}).tell()
    (entry,) = [
        one
        for one in judge(told.lines(), [told.commit()]).accepted
        if isinstance(one.view, GenerationView)
    ]
    return [limit for limit, _ in plan_limits.exceeded(entry, target)]


def constrained(story: Story | None = None, **constraints: Any) -> list[str]:
    return beyond(story or Story(), constraints=constraints)


def with_servers(*names: str) -> Story:
    servers = tuple(McpServer(name, "observed") for name in names)
    return Story(session=replace(SESSION, mcp_servers=servers))


def test_a_limit_is_kept_or_not() -> None:
    assert beyond(Story(), allowed_paths=("**",)) == []
    assert beyond(Story(), allowed_paths=("src/**",)) == ["allowedPaths"]
    assert constrained(agents=[CLAUDE]) == []
    assert constrained(agents=[f"{CLAUDE}@2.*"]) == []
    assert constrained(agents=["pkg:npm/codex"]) == ["agents"]
    assert constrained(mcpServers=["*"]) == []
    assert constrained(with_servers("github"), mcpServers=[]) == ["mcpServers"]
    assert constrained(with_servers("github", "notes"), mcpServers=["github"]) == ["mcpServers"]
    assert constrained(with_servers("github"), mcpServers=["git*"]) == []


def test_models_are_allowed_with_or_without_their_provider() -> None:
    assert constrained(models=[SERVED]) == []
    assert constrained(models=["claude-sonnet-4-*"]) == []
    assert constrained(models=["anthropic/claude-opus-*"]) == ["models"]


def test_a_model_that_nobody_could_name_is_not_among_those_that_are_allowed() -> None:
    nameless = replace(
        REPORT, models=(*REPORT.models, replace(REPORT.models[0], served=None, why="off the wire"))
    )
    assert constrained(Story(report=nameless), models=["**"]) == ["models"]
    assert constrained(Story(report=replace(REPORT, models=())), models=["**"]) == ["models"]


def test_the_branch_is_the_sessions_own_or_the_one_merged_into() -> None:
    assert SESSION.ref == "refs/heads/main"
    assert beyond(Story(), target_ref="refs/heads/main") == []
    assert beyond(Story(), target_ref="refs/heads/topic") == ["targetRef"]
    assert beyond(Story(), "refs/heads/topic", target_ref="refs/heads/topic") == []
    nowhere = Story(session=replace(SESSION, ref=None))
    assert beyond(nowhere, target_ref="refs/heads/main") == ["targetRef"]


def test_work_beyond_a_plan_is_a_warning_where_nobody_asked_for_a_record() -> None:
    told = Story(plan={"limits": Limits(allowed_paths=("docs/**",))}).tell()
    asked = judge(told.lines(), [told.commit()])
    assert asked.verdict.exit_code == 15
    assert asked.verdict.commits[0].coverage == "covered"
    passing = judge(told.lines(), [told.commit()], required=False)
    assert passing.verdict.exit_code == 0
    assert "plan-exceeded" in codes(passing, "warning")


@pytest.mark.parametrize("pattern", ["src/", "[a-z]*", "!x", ""])
def test_what_is_no_pattern_allows_nothing(pattern: str) -> None:
    limits = ("README.md", pattern) if pattern else ("README.md",)
    assert beyond(Story(), allowed_paths=limits) == ["allowedPaths"]
