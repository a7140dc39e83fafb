"""Point Claude Code at another base URL: by ``--settings``, which outranks every other file.

Measured with Claude Code 2.1.330: ``env`` in the user's or the repository's settings beats the
variables of the process, and only ``--settings`` beats those. Given twice, the last one wins, so
that the user's own is taken up into ours. Managed settings outrank even that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agentprov.ports import Launch, LaunchContext, Upstream
from agentprov.record.agents import claude_settings
from agentprov.record.agents.claude_transcript import PROVIDER
from agentprov.record.agents.command_line import values_of, without_option
from agentprov.record.agents.reading import json_file, mapping, text
from agentprov.record.agents.redirection import NO_KEY, past_proxies, upstream_at, with_environment

DEFAULT = "https://api.anthropic.com"
FILE = "claude-settings.json"
_VARIABLE = "ANTHROPIC_BASE_URL"
_CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock",
    "CLAUDE_CODE_USE_MANTLE": "Amazon Bedrock",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS": "Anthropic on AWS",
    "CLAUDE_CODE_USE_VERTEX": "Google Vertex AI",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD": "Anthropic on Google Cloud",
    "CLAUDE_CODE_USE_FOUNDRY": "Microsoft Foundry",
    "CLAUDE_CODE_USE_GATEWAY": "a gateway login",
}
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def upstream(context: LaunchContext, words: Sequence[str]) -> Upstream:
    """Give Claude's effective base URL; `words` are the agent's own.

    Does not see a key that a person types into the running program.
    """
    environment = claude_settings.environment_of(context, words)
    for variable, cloud in _CLOUDS.items():
        if environment.get(variable, "").lower() not in ("", "0", "false", "no", "off"):
            return Upstream(None, PROVIDER, f"requests go to {cloud}")
    if environment.get("ANTHROPIC_UNIX_SOCKET"):
        return Upstream(None, PROVIDER, "requests go to a Unix socket")
    given = claude_settings.given_settings(context, words)
    if given is None and values_of(words, "--settings"):
        return Upstream(None, PROVIDER, "what --settings names cannot be read")
    for path in claude_settings.managed_files():
        if _VARIABLE in mapping(json_file(path).get("env")):
            return Upstream(None, PROVIDER, f"{path} fixes the base URL")
    if not _has_key(context, words, environment):
        return Upstream(None, PROVIDER, NO_KEY)
    return upstream_at(environment.get(_VARIABLE) or DEFAULT, PROVIDER)


def redirect(context: LaunchContext, launch: Launch, base_url: str, start: int) -> Launch:
    """Give a launch whose ``--settings`` holds the base URL and what the user's own held.

    `start` is the index in the user's command line behind the agent's name; our own words may
    follow it in `launch`. Raises OSError if the scratch folder cannot be written.
    """
    words = context.argv[start:]
    bypass = past_proxies(claude_settings.environment_of(context, words))
    settings = dict(claude_settings.given_settings(context, words) or {})
    settings["env"] = {**mapping(settings.get("env")), _VARIABLE: base_url, **bypass}
    path = context.scratch / FILE
    _write_private(path, json.dumps(settings).encode())
    argv = [
        *launch.argv[:start],
        "--settings",
        str(path),
        *without_option(launch.argv[start:], "--settings"),
    ]
    return with_environment(replace(launch, argv=tuple(argv)), {_VARIABLE: base_url}, bypass)


def _has_key(context: LaunchContext, words: Sequence[str], environment: Mapping[str, str]) -> bool:
    if any(environment.get(name) for name in _KEYS):
        return True
    if any(
        text(settings.get("apiKeyHelper")) for _, settings in claude_settings.layers(context, words)
    ):
        return True
    return text(json_file(claude_settings.state_file(context)).get("primaryApiKey")) is not None


def _write_private(path: Path, data: bytes) -> None:
    # It may hold what the user keeps in settings of their own.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
