"""Where each added line came from, as far as this recorder can tell.

Here a line is ``model`` only at basis ``reported``: its text stands, as part of a run of lines,
in what the agent says its write tool was given for that very file. It is ``command`` when the
whole file changed only while a command of the agent ran. Everything else is ``unknown`` with a
reason; nothing here ever says ``human`` or ``agent``, which need process attribution and the
wire (DESIGN sections 2 and 9). A false ``model`` is worse than ``unknown``,
so a run of lines counts only if it holds something distinctive or is the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from agentprov.formats.facts import CommandWindow, Edit, LineRange

_DISTINCTIVE_CHARACTERS = 8
_EVENT_DELAY = timedelta(milliseconds=250)
_MAX_PLACES = 64
_HUNK = re.compile(rb"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")


def within_commands(
    touched: Mapping[bytes, tuple[str, str]], commands: Sequence[CommandWindow]
) -> frozenset[bytes]:
    """Give the paths whose first and last change fall into one and the same command's run.

    `touched` maps paths to the times (RFC 3339, UTC, milliseconds) of their first and last
    change. File events come a little after the write, so a command's end counts generously; a
    write tool of the agent that follows at once is told apart by its own report.
    """
    windows = [(_instant(c.start), _instant(c.end) + _EVENT_DELAY) for c in commands]
    return frozenset(
        path
        for path, (first, last) in touched.items()
        if any(start <= _instant(first) and _instant(last) <= end for start, end in windows)
    )


def _instant(time: str) -> datetime:
    return datetime.fromisoformat(time)


def added_lines(patch: bytes) -> Iterator[tuple[int, int]]:
    """Give the added (start, end) ranges of one file's zero-context patch, 1-based inclusive."""
    for match in _HUNK.finditer(patch):
        start = int(match[1])
        count = int(match[2]) if match[2] is not None else 1
        if count:
            yield start, start + count - 1


def ranges(
    content: bytes,
    added: Iterable[tuple[int, int]],
    outside: Mapping[str, frozenset[int]],
    edits: Sequence[Edit],
    *,
    why_not: str,
    by_command: bool = False,
) -> tuple[LineRange, ...]:
    """Give an origin to every added line of one file.

    `added` are the lines that the commit added; `outside` maps a reason to those of them that
    cannot be this session's (there before it began, or added after it ended); `edits` are the
    reported writes to this file; `why_not` is the reason for lines that no edit accounts for.
    With `by_command`, and no edit at all, the file changed only while a command of the agent
    ran: the times are ours, what ran then is the agent's word, so the basis is `reported`.
    """
    lines = content.split(b"\n")
    wanted = {number for start, end in added for number in range(start, end + 1)}
    excluded = {number: why for why, numbers in outside.items() for number in numbers}
    by_model = _matched(lines, wanted - excluded.keys(), edits)
    out: list[LineRange] = []
    for number in sorted(wanted):
        if number in by_model:
            entry = LineRange(number, number, "model", "reported", by_model[number])
        elif by_command and not edits and number not in excluded:
            entry = LineRange(number, number, "command", "reported")
        else:
            why = excluded.get(number, why_not)
            entry = LineRange(number, number, "unknown", "observed", why=why)
        last = out[-1] if out else None
        if last and last.end == number - 1 and _same(last, entry):
            out[-1] = LineRange(last.start, number, last.origin, last.basis, last.model, last.why)
        else:
            out.append(entry)
    return tuple(out)


def _same(a: LineRange, b: LineRange) -> bool:
    return (a.origin, a.basis, a.model, a.why) == (b.origin, b.basis, b.model, b.why)


def _matched(
    lines: Sequence[bytes], wanted: set[int], edits: Sequence[Edit]
) -> dict[int, str | None]:
    """Map line numbers to the model whose reported text holds them; later edits win."""
    places: dict[bytes, list[int]] = {}
    for number in sorted(wanted):
        places.setdefault(lines[number - 1].rstrip(b"\r"), []).append(number)
    claimed: dict[int, str | None] = {}
    for edit in reversed(edits):
        text = [line.rstrip(b"\r") for line in edit.text.encode("utf-8", "replace").split(b"\n")]
        if text and not text[-1]:
            text.pop()
        index = 0
        while index < len(text):
            start, length = _longest_run(text, index, lines, wanted, places, claimed)
            if length and _counts(text[index : index + length], len(text)):
                for number in range(start, start + length):
                    claimed[number] = edit.model
            index += max(length, 1)
    return claimed


def _longest_run(
    text: Sequence[bytes],
    index: int,
    lines: Sequence[bytes],
    wanted: set[int],
    places: dict[bytes, list[int]],
    claimed: dict[int, str | None],
) -> tuple[int, int]:
    best_start, best = 0, 0
    for start in places.get(text[index], ())[:_MAX_PLACES]:
        length = 0
        while (
            index + length < len(text)
            and start + length in wanted
            and start + length not in claimed
            and lines[start + length - 1].rstrip(b"\r") == text[index + length]
        ):
            length += 1
        if length > best:
            best_start, best = start, length
    return best_start, best


def _counts(run: Sequence[bytes], whole: int) -> bool:
    return len(run) == whole or any(len(line.strip()) >= _DISTINCTIVE_CHARACTERS for line in run)
