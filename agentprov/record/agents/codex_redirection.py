"""Point Codex at another base URL: by ``-c``, which outranks every file but managed ones.

Measured with Codex 0.169.0: ``OPENAI_BASE_URL`` is ignored. The built-in provider takes
``openai_base_url``; for a provider of the user's own ``model_providers.ID.base_url`` merges into
what is configured, so that its headers and its key stay. A later ``-c`` wins, so ours come last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentprov.ports import Launch, LaunchContext, Upstream
from agentprov.record.agents import codex_settings
from agentprov.record.agents.command_line import options_of
from agentprov.record.agents.reading import json_file, mapping, text
from agentprov.record.agents.redirection import NO_KEY, past_proxies, upstream_at, with_environment

DEFAULT = "https://api.openai.com/v1"
BUILT_IN = "openai"
_RESERVED = frozenset({"ollama", "lmstudio", "oss", "amazon-bedrock"})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def upstream(context: LaunchContext, words: Sequence[str]) -> Upstream:
    """Give Codex's effective base URL; `words` are the agent's own."""
    settings = codex_settings.effective(context, words)
    name = _provider(settings)
    if "--oss" in options_of(words) or name in _RESERVED:
        return Upstream(None, name, f"the built-in provider {name} cannot be redirected")
    if not _NAME.fullmatch(name):
        return Upstream(None, name[:64], "the provider's name cannot stand on a command line")
    managed = codex_settings.managed(context)
    if managed.keys() & {"openai_base_url", "model_provider", "model_providers"}:
        return Upstream(None, name, "managed settings fix the provider")
    if name == BUILT_IN:
        if not _has_key(context):
            return Upstream(None, name, NO_KEY)
        return upstream_at(text(settings.get("openai_base_url")) or DEFAULT, name)
    provider = mapping(mapping(settings.get("model_providers")).get(name))
    url = text(provider.get("base_url"))
    if url is None:
        return Upstream(None, name, "the provider names no base URL")
    if provider.get("requires_openai_auth") is True and not _has_key(context):
        return Upstream(None, name, NO_KEY)
    return upstream_at(url, name)


def redirect(context: LaunchContext, launch: Launch, base_url: str, words: Sequence[str]) -> Launch:
    """Give a launch with one more ``-c``, behind all of the user's own options."""
    name = _provider(codex_settings.effective(context, words))
    key = "openai_base_url" if name == BUILT_IN else f"model_providers.{name}.base_url"
    # Quoted as JSON, which is TOML too for what stands in a URL.
    ours = ("-c", f"{key}={json.dumps(base_url)}")
    argv = launch.argv
    end = argv.index("--") if "--" in argv else len(argv)
    return with_environment(
        replace(launch, argv=(*argv[:end], *ours, *argv[end:])),
        past_proxies(context.environment),
    )


def _provider(settings: Mapping[str, Any]) -> str:
    return text(settings.get("model_provider")) or BUILT_IN


def _has_key(context: LaunchContext) -> bool:
    if context.environment.get("CODEX_API_KEY"):
        return True
    login = json_file(codex_settings.user_folder(context) / "auth.json")
    mode = text(login.get("auth_mode"))
    return text(login.get("OPENAI_API_KEY")) is not None and mode in (None, "apikey")
