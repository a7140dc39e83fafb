"""The dialects that are read: which request speaks which, and who reads its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentprov.formats.exchange import Dialect
from agentprov.record.gateway.dialects import anthropic, google, openai_chat, openai_responses
from agentprov.record.gateway.dialects.answer import AnswerReader

_GEMINI = re.compile(r"(?:/models/([^/:]+))?:(?:streamG|g)enerateContent")


@dataclass(frozen=True)
class Speech:
    """What a request speaks: its dialect, the names of its settings, the reader of its answer.

    `model` is set where the path names the model.
    """

    dialect: Dialect
    parameters: tuple[str, ...]
    answer: type[AnswerReader]
    model: str | None = None


_BY_SUFFIX: tuple[tuple[str, Speech], ...] = (
    ("/v1/messages", Speech("anthropic", anthropic.PARAMETERS, anthropic.MessagesAnswer)),
    (
        "/responses",
        Speech("openai-responses", openai_responses.PARAMETERS, openai_responses.ResponsesAnswer),
    ),
    ("/chat/completions", Speech("openai-chat", openai_chat.PARAMETERS, openai_chat.ChatAnswer)),
)


def recognise(method: str, path: str) -> Speech | None:
    """Tell the dialect by method and end of path, whatever prefix stands in front; else None."""
    if method != "POST":
        return None
    place = path.partition("?")[0]
    for suffix, speech in _BY_SUFFIX:
        if place.endswith(suffix):
            return speech
    found = _GEMINI.search(place)
    if found is None or found.end() != len(place):
        return None
    return Speech("google", google.PARAMETERS, google.GeminiAnswer, found[1])
