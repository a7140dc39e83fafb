"""Tool calls as transcripts of several agents tell them, and what follows from them.

The agents differ in the names of tools and arguments; what a call wrote, ran or read is told
from the names below, which several of them share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from agentprov.formats.facts import CommandWindow, Edit, ModelUse
from agentprov.record.agents.reading import absolute, count, items, mapping, stamp, text

Role = Literal["main", "helper", "subagent"]

STILL_RUNNING = "9999-12-31T23:59:59Z"
_PATHS = ("filePath", "file_path", "path", "absolute_path")
_NEW = ("newString", "new_string", "newText", "new_text")
_OLD = ("oldString", "old_string", "oldText", "old_text")
_EVERY = ("replaceAll", "replace_all", "allow_multiple")
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@")


@dataclass(frozen=True)
class Tools:
    """The names of an agent's own tools that write files, run commands and read files."""

    writes: frozenset[str]
    commands: frozenset[str]
    reads: frozenset[str]


@dataclass
class Call:
    """One tool call; `diff` is the unified diff that the tool itself gave of what it did."""

    tool: str
    arguments: Mapping[str, Any]
    folder: str | None
    model: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    result: Literal["open", "good", "bad"] = "open"
    diff: str | None = None


@dataclass
class Calls:
    """The calls of a session by their ids, in the order in which they were made."""

    tools: Tools
    by_id: dict[str, Call] = field(default_factory=dict)

    def edits(self) -> tuple[Edit, ...]:
        """Give the texts of each write that succeeded."""
        found: list[Edit] = []
        for name, call in self.by_id.items():
            if call.result == "good" and call.tool in self.tools.writes:
                at = stamp(call.ended) if call.ended else None
                for edit in edits_in(call.tool, call.arguments, call.folder, call.diff):
                    found.append(replace(edit, model=call.model, at=at, call_id=name))
        return tuple(found)

    def commands(self) -> tuple[CommandWindow, ...]:
        """Give when each command ran; one that runs still ends at `STILL_RUNNING`."""
        return tuple(
            CommandWindow(
                stamp(call.started), stamp(call.ended) if call.ended else STILL_RUNNING, "reported"
            )
            for call in self.by_id.values()
            if call.tool in self.tools.commands and call.started is not None
        )

    def read_paths(self) -> tuple[str, ...]:
        """Give the absolute paths of the files that the read tool read."""
        paths = [
            path_of(call.arguments, call.folder)
            for call in self.by_id.values()
            if call.tool in self.tools.reads and call.result == "good"
        ]
        return tuple(dict.fromkeys(path for path in paths if path))


@dataclass
class Answers:
    """The answers of models, each counted once; feed it with `add`."""

    _seen: dict[str, tuple[str, str | None, str | None, Role]] = field(default_factory=dict)
    _tokens: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        provider: str,
        requested: str | None,
        served: str | None,
        role: Role,
        tokens: tuple[object, object],
    ) -> None:
        """Take in one answer; of one that is told again, the last telling counts."""
        self._seen[name] = (provider, requested, served, role)
        self._tokens[name] = (count(tokens[0]), count(tokens[1]))

    def uses(self, why_not_served: str) -> tuple[ModelUse, ...]:
        """Give the uses of each (provider, requested, served, role)."""
        groups: dict[tuple[str, str | None, str | None, Role], list[str]] = {}
        for name, key in self._seen.items():
            groups.setdefault(key, []).append(name)
        return tuple(
            ModelUse(
                provider=provider,
                requested=requested,
                served=served,
                role=role,
                basis="reported",
                calls=len(names),
                input_tokens=sum(self._tokens[name][0] for name in names),
                output_tokens=sum(self._tokens[name][1] for name in names),
                why=None if served else why_not_served,
            )
            for (provider, requested, served, role), names in groups.items()
        )


def path_of(arguments: Mapping[str, Any], folder: str | None) -> str | None:
    """Give the absolute path that a call names."""
    return absolute(_first(arguments, _PATHS), folder)


def edits_in(
    tool: str, arguments: Mapping[str, Any], folder: str | None, diff: str | None = None
) -> Iterator[Edit]:
    """Give what a call that writes a file, or replaces parts of it, puts there.

    A replacement may begin and end inside a line. Then the lines that it made, as the tool's own
    diff shows them, follow the text that the model sent.
    """
    path = path_of(arguments, folder)
    if path is None:
        return
    if "content" in arguments:
        content = text(arguments.get("content"))
        if content:
            yield Edit(path, content, tool, None, "reported")
        return
    sent: list[str] = []
    for piece in (arguments, *map(mapping, items(arguments.get("edits")))):
        new, old = _first(piece, _NEW), _first(piece, _OLD)
        if new:
            sent.append(new)
            every = any(piece.get(key) is True for key in _EVERY)
            yield Edit(path, new, tool, None, "reported", replaces=old, every=every)
    for made in _whole_lines(sent, diff or ""):
        if made not in sent:
            yield Edit(path, made, tool, None, "reported")


def _first(piece: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((found for key in names if (found := text(piece.get(key)))), None)


def _whole_lines(sent: Iterable[str], diff: str) -> Iterator[str]:
    pieces = {piece for new in sent for piece in new.split("\n") if piece.strip()}
    run: list[str] = []
    inside = False
    for line in [*diff.split("\n"), ""]:
        inside = inside or bool(_HUNK.match(line))
        if inside and line.startswith("+"):
            run.append(line[1:])
            continue
        if run and all(
            not one.strip() or one in pieces or any(piece in one for piece in pieces) for one in run
        ):
            yield "\n".join(run)
        run = []
