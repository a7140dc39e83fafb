"""What opencode reads when it starts: configuration, instruction files, MCP servers.

Configuration is JSON with comments, merged from several places (opencode 1.18.33); the last of
them is the variable ``OPENCODE_CONFIG_CONTENT``, which no file of the repository outranks.
Plug-ins that configuration names as packages of npm are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agentprov.ports import ConfiguredMcpServer, LaunchContext
from agentprov.record.agents import folders
from agentprov.record.agents.command_line import values_of
from agentprov.record.agents.places import existing, first_of_each_name, label, upwards
from agentprov.record.agents.reading import items, json_file, mapping, small_file, text
from agentprov.record.agents.settings_text import lay_over, read_commented

CONTENT = "OPENCODE_CONFIG_CONTENT"
NAMES = ("opencode.json", "opencode.jsonc", "config.json")
CODE = ("plugin", "plugins", "tool", "tools")
KINDS = (
    "skill", "skills", "agent", "agents", "command", "commands", "mode", "modes",
)  # fmt: skip
_VARIABLE = re.compile(r"\{env:([^}]+)\}")


def user_folder(context: LaunchContext) -> Path:
    """Give the folder of the user's own configuration."""
    base = context.environment.get("XDG_CONFIG_HOME")
    return (context.cwd / base if base else context.home / ".config") / "opencode"


def data_folder(context: LaunchContext) -> Path:
    """Give the folder in which opencode keeps sessions and logins."""
    base = context.environment.get("XDG_DATA_HOME")
    return (context.cwd / base if base else context.home / ".local" / "share") / "opencode"


def settings_files(context: LaunchContext) -> list[Path]:
    """Give the configuration files, the one of least rank first; not all of them need exist."""
    found = [user_folder(context) / name for name in reversed(NAMES)]
    named = context.environment.get("OPENCODE_CONFIG")
    if named:
        found.append(context.cwd / named)
    if not context.environment.get("OPENCODE_DISABLE_PROJECT_CONFIG"):
        folders = list(reversed(list(upwards(context.cwd, context.top))))
        found += [folder / name for folder in folders for name in NAMES[:2]]
        found += [folder / ".opencode" / name for folder in folders for name in NAMES[:2]]
    moved = context.environment.get("OPENCODE_CONFIG_DIR")
    if moved:
        found += [context.cwd / moved / name for name in NAMES[:2]]
    return found


def effective(context: LaunchContext) -> dict[str, Any]:
    """Give the merged configuration of this run, variables in it not yet put in."""
    merged: dict[str, Any] = {}
    for path in settings_files(context):
        lay_over(merged, read_commented((small_file(path) or b"").decode("utf-8", "replace")))
    lay_over(merged, given(context) or {})
    return merged


def given(context: LaunchContext) -> dict[str, Any] | None:
    """Give what the user's own variable holds: empty without one, None if it is no object."""
    content = context.environment.get(CONTENT)
    if not content or not content.strip():
        return {}
    return read_commented(content) or None


def provider_of(context: LaunchContext, words: Sequence[str]) -> str | None:
    """Give the provider of the model that this run starts with; None if that is not settled."""
    chosen = values_of(words, "-m", "--model")
    model = chosen[-1] if chosen else text(effective(context).get("model"))
    return model.partition("/")[0] if model and "/" in model else None


def other_providers(context: LaunchContext, chosen: str) -> list[str]:
    """Give the providers that configuration names for helpers and agents beside the chosen one."""
    settings = effective(context)
    models = [settings.get("model"), settings.get("small_model")]
    models += [mapping(one).get("model") for one in mapping(settings.get("agent")).values()]
    named = {(text(model) or "").partition("/")[0] for model in models}
    return sorted(named - {chosen, ""})


def base_url(context: LaunchContext, provider: str) -> str | None:
    """Give the base URL that configuration sets for a provider; None if it sets none.

    A variable in it is put in; a file in it is not read, so that what comes out is no URL.
    """
    entry = mapping(mapping(effective(context).get("provider")).get(provider))
    url = text(mapping(entry.get("options")).get("baseURL")) or text(entry.get("api"))
    if url is None:
        return None
    return _VARIABLE.sub(lambda match: context.environment.get(match.group(1).strip(), ""), url)


def login_kind(context: LaunchContext, provider: str) -> str | None:
    """Give the kind of the user's stored login: ``api``, ``oauth``, ``wellknown`` or None."""
    logins = json_file(data_folder(context) / "auth.json")
    return text(mapping(logins.get(provider)).get("type"))


def materials(context: LaunchContext) -> list[tuple[str, Path]]:
    """Give (role, path) of the files that steer a session; existing ones only."""
    return existing(_candidates(context))


def _candidates(context: LaunchContext) -> Iterator[tuple[str, Path]]:
    projects = list(reversed(list(upwards(context.cwd, context.top))))
    yield "instruction", user_folder(context) / "AGENTS.md"
    yield "instruction", context.home / ".claude" / "CLAUDE.md"
    for folder in projects:
        for name in ("AGENTS.md", "CLAUDE.md", "CONTEXT.md"):
            yield "instruction", folder / name
    for named in items(effective(context).get("instructions")):
        if isinstance(named, str) and not re.search(r"[*?\[]|://", named):
            yield "instruction", context.top / named
    for path in settings_files(context):
        yield "settings", path
    own = [user_folder(context), context.home / ".opencode"]
    own += [one / ".opencode" for one in projects]
    moved = context.environment.get("OPENCODE_CONFIG_DIR")
    own += [context.cwd / moved] if moved else []
    yield from folders.skills(own, CODE, context, "hooks")
    for path in _plugins(context):
        if path.is_dir():
            yield from folders.plugin(path, context)
        yield "hooks", path
    yield from folders.skills(own, KINDS, context)
    for base in (context.home, *projects):
        yield from folders.skills((base / ".claude", base / ".agents"), ("skills",), context)


def _plugins(context: LaunchContext) -> Iterator[Path]:
    """Give the files and folders that configuration names as plug-ins."""
    for path in settings_files(context):
        for named in items(_read(path).get("plugin")):
            word = text(named) or ""
            if word.startswith("file://"):
                yield Path(unquote(urlsplit(word).path))
            elif word.startswith((".", "/")):
                yield path.parent / word


def mcp_servers(context: LaunchContext) -> list[ConfiguredMcpServer]:
    """Give the configured MCP servers that are not switched off."""
    found: list[ConfiguredMcpServer] = []
    layers = [(label(path, context), _read(path)) for path in settings_files(context)]
    layers.append((CONTENT, given(context) or {}))
    merged = mapping(effective(context).get("mcp"))
    for source, settings in reversed(layers):
        for name in mapping(settings.get("mcp")):
            entry = mapping(merged.get(name))
            words = [word for word in items(entry.get("command")) if isinstance(word, str)]
            if entry.get("enabled") is False or not text(name):
                continue
            found.append(
                ConfiguredMcpServer(
                    name=name,
                    command=words[0] if words else None,
                    arguments=tuple(words[1:]),
                    url=text(entry.get("url")),
                    environment_names=tuple(sorted(mapping(entry.get("environment")))),
                    source=source,
                )
            )
    return first_of_each_name(found)


def _read(path: Path) -> dict[str, Any]:
    return read_commented((small_file(path) or b"").decode("utf-8", "replace"))
