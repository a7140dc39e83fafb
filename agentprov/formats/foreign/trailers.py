"""What commit messages say of agents: trailers and lines that people and tools already write.

Two tables hold what is known. `IDENTITIES` says which agent a co-author's address or name is;
`TRAILERS` says how each trailer is read. To know one more, add a row, and the row of the page
docs/spec/interop.md. A trailer names a commit and no line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from agentprov.formats.foreign.claims import Author, ModelName, model_name, plain
from agentprov.formats.value import value

MAX_MESSAGE = 1_000_000
MAX_TRAILERS = 1_000
MAX_VALUE = 500

# Addresses without the number that GitHub puts in front (``1234+name@users.noreply...``).
IDENTITIES: Mapping[str, str] = {
    "noreply@anthropic.com": "claude-code",
    "claude@anthropic.com": "claude-code",
    "claude[bot]@users.noreply.github.com": "claude-code",
    "copilot@users.noreply.github.com": "copilot",
    "copilot@github.com": "copilot",
    "copilot-swe-agent[bot]@users.noreply.github.com": "copilot",
    "noreply@openai.com": "codex",
    "codex@openai.com": "codex",
    "chatgpt-codex-connector[bot]@users.noreply.github.com": "codex",
    "cursoragent@cursor.com": "cursor",
    "cursor[bot]@users.noreply.github.com": "cursor",
    "noreply@aider.chat": "aider",
    "aider@aider.chat": "aider",
    "gemini-code-assist[bot]@users.noreply.github.com": "gemini-code-assist",
    "gemini-cli[bot]@users.noreply.github.com": "gemini-cli",
    "google-labs-jules[bot]@users.noreply.github.com": "jules",
    "devin-ai-integration[bot]@users.noreply.github.com": "devin",
    "amp@ampcode.com": "amp",
    "noreply@opencode.ai": "opencode",
    "qwen-coder@alibabacloud.com": "qwen-code",
}
# Words with which people name an agent; longer ones stand first.
NAMES: tuple[tuple[str, str], ...] = (
    ("claude code", "claude-code"),
    ("claude-code", "claude-code"),
    ("claude", "claude-code"),
    ("github copilot", "copilot"),
    ("github-copilot", "copilot"),
    ("copilot", "copilot"),
    ("openai codex", "codex"),
    ("codex", "codex"),
    ("cursor", "cursor"),
    ("aider", "aider"),
    ("gemini-cli", "gemini-cli"),
    ("gemini cli", "gemini-cli"),
    ("gemini", "gemini-cli"),
    ("jules", "jules"),
    ("devin", "devin"),
    ("opencode", "opencode"),
    ("qwen code", "qwen-code"),
    ("qwen-coder", "qwen-code"),
    ("qwen-code", "qwen-code"),
    ("amp", "amp"),
    ("windsurf", "windsurf"),
    ("cline", "cline"),
)
_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,63}):[ \t]*(.*)")
_PERSON = re.compile(r"(.{0,200}?)[ \t]*<([^<>]{1,200})>")
_GITHUB_NUMBER = re.compile(r"[0-9]{1,20}\+")
_GENERATED = re.compile(r"(?:\W{0,4})Generated (?:with|by) \[?([A-Za-z][A-Za-z0-9 ._-]{0,60})\]?")
_MODEL_IN_BRACKETS = re.compile(r"(.{1,100}?)[ \t]*\(([^()]{1,100})\)")


@value
class Declared:
    """One agent that a message names, and the trailers that name it."""

    author: Author
    trailers: tuple[str, ...]


@value
class _Told:
    tool: str | None
    model: ModelName | None = None


def parse(message: str) -> tuple[Declared, ...]:
    """Give the agents that a commit message declares, each once; raises nothing.

    Looks into every paragraph that consists of trailers, because squash merges put messages one
    after another, and for the one-line signatures of tools. People are nobody here.
    """
    found: dict[str | None, tuple[ModelName | None, list[str]]] = {}
    for name, told in _all(message[:MAX_MESSAGE]):
        model, names = found.get(told.tool, (None, []))
        found[told.tool] = (model or told.model, names if name in names else [*names, name])
    alone = found.pop(None, None)
    if alone is not None and len(found) <= 1:
        # A bare model, or a link to a log, belongs to the one agent that is named.
        tool, (model, names) = next(iter(found.items()), (None, (None, [])))
        if found or _telling(*alone):
            found = {tool: (model or alone[0], [*names, *(n for n in alone[1] if n not in names)])}
    return tuple(
        Declared(Author(tool or "agent", "agent", tool, None, model), tuple(names))
        for tool, (model, names) in found.items()
    )


def _all(message: str) -> Iterator[tuple[str, _Told]]:
    count = 0
    for paragraph in re.split(r"\n[ \t]*\n", message.replace("\r\n", "\n")):
        lines = [line for line in paragraph.split("\n") if line.strip()]
        for line in lines:
            signed = _GENERATED.match(line)
            if signed is not None and (tool := agent_of(signed[1])) is not None:
                yield "Generated with", _Told(tool)
        if not all(_belongs(line) for line in lines):
            continue
        for match in filter(None, map(_TRAILER.fullmatch, lines)):
            count += 1
            if count > MAX_TRAILERS:
                return
            reader = TRAILERS.get(match[1].lower())
            told = reader(match[2].strip()[:MAX_VALUE]) if reader else None
            if told is not None:
                yield match[1].capitalize(), told


def _telling(model: ModelName | None, names: list[str]) -> bool:
    """Say whether trailers that name no agent mean one: machine learners write ``Model:`` too."""
    only_a_model = all(name in ("Model", "Ai-model") for name in names)
    return not only_a_model or (model is not None and model.provider != "unknown")


def _belongs(line: str) -> bool:
    """Say whether a line can stand among trailers: one, its continuation, or git's own remark."""
    return (
        line[0] in " \t"
        or line.startswith("(cherry picked from commit ")
        or _TRAILER.fullmatch(line) is not None
    )


def agent_of(text: str) -> str | None:
    """Give the agent that a name stands for; None for people and for agents not known here."""
    name = text.strip().lower()
    for word, tool in NAMES:
        if name == word or re.match(rf"{re.escape(word)}[^a-z]", name):
            return tool
    return None


def _co_author(text: str) -> _Told | None:
    match = _PERSON.fullmatch(text)
    if match is None:
        return None
    name, address = match[1], _GITHUB_NUMBER.sub("", match[2].lower(), count=1)
    tool = IDENTITIES.get(address)
    return None if tool is None else _Told(tool, _model_in(name, tool))


def _model_in(name: str, tool: str) -> ModelName | None:
    """Give the model inside a co-author's name: in brackets, or the name itself, if it is one."""
    bracketed = _MODEL_IN_BRACKETS.fullmatch(name)
    if bracketed is not None:
        return model_name(bracketed[2])
    words = name.lower().split()
    telling = len(words) > 1 and any(re.search(r"\d", word) for word in words)
    return model_name(name) if telling and tool == "claude-code" else None


def _assisted(text: str) -> _Told | None:
    """Read ``AGENT:MODEL [TOOL]...``, ``NAME <address>`` or a bare name."""
    if _PERSON.fullmatch(text):
        return _co_author(text) or _named(text.partition("<")[0])
    words = re.sub(r"(?:[ \t]+(?:\[[^\[\]]{0,100}\]|[a-z0-9_-]{1,40}))+$", "", text)
    agent, colon, model = words.partition(":")
    tool = agent_of(agent) or (plain(agent.strip().lower()) if colon else None)
    return None if tool is None else _Told(tool, model_name(model) if colon else None)


def _named(text: str) -> _Told | None:
    bracketed = _MODEL_IN_BRACKETS.fullmatch(text.strip())
    name, model = (bracketed[1], bracketed[2]) if bracketed else (text, None)
    tool = agent_of(name)
    return None if tool is None else _Told(tool, model_name(model) or _model_in(name, tool))


def _model(text: str) -> _Told | None:
    model = model_name(text)
    return None if model is None else _Told(None, model)


def _log_of(tool: str | None) -> Callable[[str], _Told | None]:
    return lambda text: _Told(tool) if text else None


TRAILERS: Mapping[str, Callable[[str], _Told | None]] = {
    "assisted-by": _assisted,
    "generated-by": _assisted,
    "ai-assisted-by": _assisted,
    "co-authored-by": _co_author,
    "co-developed-by": _co_author,
    "model": _model,
    "ai-model": _model,
    "claude-session": _log_of("claude-code"),
    "claude-session-id": _log_of("claude-code"),
    "agent-logs-url": _log_of("copilot"),
    "entire-checkpoint": _log_of(None),
}
"""How each trailer is read, by its name in small letters."""
