"""What a foreign record says, as plain values: who is named, and which lines are put down to whom.

Nobody checked any of it. Texts that come from outside pass `plain` before they are kept: they go
into signed statements, and whoever writes a note or a trailer may write anything.
"""

from __future__ import annotations

import re
from typing import Literal

from agentprov.errors import MalformedInput
from agentprov.formats import names, schema
from agentprov.formats.redaction import Redactor
from agentprov.formats.value import value

Format = Literal["git-ai", "agent-trace", "claude-transcript", "codex-transcript", "trailers"]
FORMATS: tuple[Format, ...] = (
    "git-ai",
    "agent-trace",
    "claude-transcript",
    "codex-transcript",
    "trailers",
)
Kind = Literal["agent", "human", "mixed", "unknown"]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/@+()\[\]-]{0,199}")
# What tools write where they know no model.
_NO_MODEL = frozenset({"", "unknown", "default", "auto", "none", "n/a", "<synthetic>", "?"})
_PROVIDERS: tuple[tuple[str, str], ...] = (
    ("claude", "anthropic"),
    ("gpt", "openai"),
    ("chatgpt", "openai"),
    ("codex", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("gemini", "google"),
    ("qwen", "alibaba"),
    ("deepseek", "deepseek"),
    ("mistral", "mistral"),
    ("devstral", "mistral"),
    ("codestral", "mistral"),
    ("grok", "xai"),
    ("llama", "meta"),
    ("kimi", "moonshot"),
    ("glm", "zhipu"),
)


@value
class ModelName:
    """A model as somebody named it; `provider` is ``unknown`` where nobody said."""

    provider: str
    name: str


@value
class Author:
    """Whom a foreign record names under a key of its own: an agent's session, or a person."""

    key: str
    kind: Kind
    tool: str | None = None
    version: str | None = None
    model: ModelName | None = None


@value
class Claim:
    """Lines `start`..`end` (from 1, inclusive) of a git path that are put down to one author."""

    path: bytes
    start: int
    end: int
    author: str
    content_hash: str | None = None


@value
class Complaint:
    """Something in a source that was not taken over: a short code, and what it is about."""

    code: str
    detail: str


@value
class ForeignRecord:
    """One record of another tool: the authors by key, their lines in the order they stood."""

    authors: tuple[Author, ...]
    claims: tuple[Claim, ...]
    complaints: tuple[Complaint, ...] = ()


def plain(text: object) -> str | None:
    """Give a name from outside if it is plain enough to be signed, else None.

    Plain is short ASCII of the characters that names of models and tools are made of, and nothing
    that looks like a secret.
    """
    if not isinstance(text, str) or not _PLAIN.fullmatch(text.strip()):
        return None
    stripped = text.strip()
    return stripped if Redactor().redact(stripped) == stripped else None


def model_name(text: object, provider: str | None = None) -> ModelName | None:
    """Read the name of a model; ``provider/name`` is taken apart, a known family gives one.

    None for what names no model.
    """
    found = plain(text)
    if found is None or found.lower() in _NO_MODEL:
        return None
    before, slash, rest = found.partition("/")
    if provider is None and slash and before and rest:
        return ModelName(before.lower(), rest)
    family = found.lower().replace(" ", "-")
    guessed = next((whose for word, whose in _PROVIDERS if family.startswith(word)), "unknown")
    return ModelName(provider or guessed, found)


def git_path(text: str) -> bytes | None:
    """Give the git path that a text names, or None where git could not hold it.

    A path that is absolute, leads out of the tree or into ``.git`` is none.
    """
    try:
        path = text.encode("utf-8")
        schema.path(names.path_label(path))
    except (UnicodeEncodeError, schema.Mismatch):
        return None
    return path


def key_label(text: object) -> str:
    """Give a foreign key; raises MalformedInput for one that could not stand in a statement."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_:.-]{1,128}", text):
        raise MalformedInput("a key is not 1 to 128 letters, digits or _ : . -")
    return text
