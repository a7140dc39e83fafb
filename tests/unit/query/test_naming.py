"""What a word means when somebody asks for a model or an agent."""

from __future__ import annotations

import pytest

from agentprov.errors import UsageError
from agentprov.flows.query import glob
from agentprov.query import naming


@pytest.mark.parametrize(
    ("provider", "served", "family", "version", "snapshot"),
    [
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet", (4,), "20250514"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet", (4, 5), "20250929"),
        ("anthropic", "claude-3-5-sonnet-20241022", "claude-sonnet", (3, 5), "20241022"),
        ("vertex", "claude-sonnet-4@20250514", "claude-sonnet", (4,), "20250514"),
        (
            "bedrock",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            "claude-sonnet",
            (4,),
            "20250514",
        ),
        ("openrouter", "anthropic/claude-sonnet-4", "claude-sonnet", (4,), ""),
        ("openai", "gpt-5.1-codex", "gpt-codex", (5, 1), ""),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o", (), "20240806"),
        ("openai", "gpt-4-0613", "gpt", (4,), "0613"),
        ("google", "gemini-2.5-pro", "gemini-pro", (2, 5), ""),
        ("ollama", "qwen3-coder:30b", "qwen3-coder-30b", (), ""),
        ("x", "", "", (), ""),
    ],
)
def test_a_served_id_is_taken_apart(
    provider: str, served: str, family: str, version: tuple[int, ...], snapshot: str
) -> None:
    found = naming.model_name(provider, served)
    assert found[1:] == (family, version, snapshot)
    assert provider in found.vendors


@pytest.mark.parametrize(
    ("text", "provider", "served", "fits"),
    [
        ("claude-sonnet-4", "anthropic", "claude-sonnet-4-20250514", True),
        ("Claude-Sonnet-4", "anthropic", "claude-sonnet-4-20250514", True),
        ("claude-sonnet-4", "anthropic", "claude-sonnet-4-5-20250929", False),
        ("claude-sonnet-4", "anthropic", "claude-sonnet-40-20250929", False),
        ("claude-sonnet-4", "anthropic", "claude-opus-4-20250514", False),
        ("claude-sonnet", "anthropic", "claude-sonnet-4-5-20250929", True),
        ("claude", "anthropic", "claude-sonnet-4-5-20250929", False),
        ("claude-sonnet-4-20250514", "anthropic", "claude-sonnet-4-20250514", True),
        ("claude-sonnet-4-20250514", "anthropic", "claude-sonnet-4-20250101", False),
        ("anthropic/claude-sonnet-4", "bedrock", "anthropic.claude-sonnet-4-20250514-v1:0", True),
        ("anthropic/claude-sonnet-4", "openrouter", "anthropic/claude-sonnet-4", True),
        ("anthropic/claude-sonnet-4", "elsewhere", "claude-sonnet-4", False),
        ("claude-sonnet>=4,<4.6", "anthropic", "claude-sonnet-4-5-20250929", True),
        ("claude-sonnet>4.5", "anthropic", "claude-sonnet-4-5-20250929", False),
        ("claude-sonnet>=4", "anthropic", "claude-sonnet-latest", False),
        ("anthropic/claude-*", "anthropic", "claude-sonnet-4-5-20250929", True),
        ("claude-*", "anthropic", "claude-sonnet-4-5-20250929", True),
        ("openai/*", "anthropic", "claude-sonnet-4-5-20250929", False),
        ("odd name", "x", "odd name", True),
        ("", "x", "y", False),
        ("4", "anthropic", "claude-4", False),
    ],
)
def test_a_model_is_asked_for(text: str, provider: str, served: str, fits: bool) -> None:
    assert naming.model_test(text, glob)(provider, served) is fits


@pytest.mark.parametrize(
    ("text", "name", "purl", "version", "fits"),
    [
        ("claude-code", "claude-code", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "2.1.3", True),
        ("claude-code", "claude", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "2.1.3", True),
        ("claude-code@2.1.3", "claude", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "", True),
        ("claude-code@2.1", "claude", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "", False),
        ("claude-code>=2,<3", "claude", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "", True),
        ("claude-code>=3", "claude", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "", False),
        ("@anthropic-ai/claude-code", "x", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "", True),
        (
            "pkg:npm/%40anthropic-ai/claude-code",
            "x",
            "pkg:npm/%40anthropic-ai/claude-code@2",
            "",
            True,
        ),
        ("pkg:npm/%40anthropic-ai/*", "x", "pkg:npm/%40anthropic-ai/claude-code@2", "", True),
        ("claude-code>=2", "claude-code", "", "", False),
        ("codex", "claude-code", "pkg:npm/%40anthropic-ai/claude-code@2.1.3", "", False),
    ],
)
def test_an_agent_is_asked_for(text: str, name: str, purl: str, version: str, fits: bool) -> None:
    assert naming.agent_test(text, glob)(name, purl, version) is fits


def test_what_is_no_range_pattern_or_digest_is_refused() -> None:
    for text in ("claude>=four", "claude-[ab]*"):
        with pytest.raises(UsageError):
            naming.model_test(text, glob)
    with pytest.raises(UsageError):
        naming.require_digest("sha256:xyz")
    assert naming.digest_start("sha256:ABCDEF01") == "abcdef01"
    assert naming.digest_start("PLAN.md") is None
