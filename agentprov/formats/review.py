"""What a reviewer is shown of a change: a versioned pure function of bytes and signed statements.

The plan is shown as its signer saw it, then what the records say of session, agent and models,
then every changed path with its lines, old and new, each new line with its origin. What would not
be seen is written out. The digest of the result goes into the approval with the name and version
of this function (`RENDERER`), and a verifier that has the objects makes it again and compares.

What a search points out in what was added is no part of the text: the search learns, and what was
signed must stay verifiable. docs/spec/review.md is the page; any change of the outcome for any
change is a new VERSION.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Any, Literal

from agentprov.formats import presentation
from agentprov.formats.hidden import Finding, scan
from agentprov.formats.unseen import escape_unseen

VERSION = 1
RENDERER = f"agentprov-review/{VERSION}"
MAX_SHOWN_BYTES = 2 * 1024 * 1024
CONTEXT = 3
_MAX_COMPARED = 2_000
_SUBMODULE = "160000"
_PROSE = (".md", ".mdc", ".markdown", ".txt", ".rst")
_GUTTER = {"model": "M", "command": "C", "human": "H", "agent": "A", "unknown": "?"}


@dataclass(frozen=True)
class ChangedPath:
    """One path of a change; modes as git writes them, None and no bytes where there is no file.

    `label` is as `formats.names` makes it. `unseen` says why the content cannot be shown: it is
    larger than MAX_SHOWN_BYTES, or not here; a submodule has none. `ranges` are a generation's,
    for the new side.
    """

    label: str
    old_mode: str | None
    new_mode: str | None
    old: bytes = b""
    new: bytes = b""
    old_id: str | None = None
    new_id: str | None = None
    unseen: Literal["", "too large", "its content is not here"] = ""
    ranges: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Change:
    """Everything that is shown of a change. `generations` are predicates by payload digest."""

    commit: str
    tree: str
    base: str | None
    paths: Sequence[ChangedPath]
    plans: Sequence[tuple[str, bytes]] = ()
    generations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Review:
    """The shown text of a change, and its digest.

    `text` holds no control character but newline and tab. `presented` are the labels of the
    paths that were shown, out of `whole`; `unseen` are those that could not be, with the reason.
    """

    renderer: str
    text: str
    sha256: str
    presented: tuple[str, ...]
    whole: int
    binaries: int
    unseen: tuple[tuple[str, str], ...] = ()


def render(change: Change, only: Collection[str] | None = None) -> Review:
    """Make what a reviewer is shown; `only` are labels of paths, None shows all.

    Paths whose content cannot be shown are named and do not count as shown. Raises MalformedInput
    for plans that cannot be shown.
    """
    lines = [f"agentprov review {VERSION}", f"commit {change.commit}", f"tree {change.tree}"]
    lines.append(f"base {change.base}" if change.base else "base none, all that the tree holds")
    for name, plan in sorted(change.plans):
        lines.append(f"plan {_one_line(name)}")
        lines += [f"  {line}" for line in presentation.shown(plan).splitlines()]
    for digest, predicate in sorted(change.generations.items()):
        lines += _generation(digest, predicate)
    presented: list[str] = []
    binaries = 0
    for path in sorted(change.paths, key=lambda item: item.label.encode("utf-8")):
        lines.append(_headline(path))
        if path.unseen or (only is not None and path.label not in only):
            # Why is not in the text: who makes it again may have more content, or less.
            lines.append("  not shown")
            continue
        presented.append(path.label)
        old, new = _text(path.old), _text(path.new)
        if old is None or new is None:
            binaries += 1
            lines.append(f"  binary, {len(path.old)} bytes before, {len(path.new)} bytes after")
            lines.append(f"  sha256 {sha256(path.new).hexdigest()}")
            continue
        lines += _difference(old, new, path.ranges)
    lines.append(f"paths: {len(presented)} of {len(change.paths)} shown")
    text = "".join(f"{line}\n" for line in lines)
    return Review(
        renderer=RENDERER,
        text=text,
        sha256=sha256(text.encode("utf-8")).hexdigest(),
        presented=tuple(presented),
        whole=len(change.paths),
        binaries=binaries,
        unseen=tuple((path.label, path.unseen) for path in change.paths if path.unseen),
    )


def search(
    change: Change, presented: Collection[str], known: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """Find hidden text in the lines that a change adds to the paths that are shown.

    In prose, what a renderer would drop is hidden too. `known` are names with which look-alikes
    are compared. The ids carry the path's label. What was there before is not looked at.
    """
    names = tuple(known)
    found: list[Finding] = []
    for path in sorted(change.paths, key=lambda item: item.label.encode("utf-8")):
        old, new = _text(path.old), _text(path.new)
        if path.unseen or path.label not in presented or old is None or not new:
            continue
        opcodes = _opcodes(_lines(old), _lines(new))
        added = {
            line + 1
            for tag, _, _, start, end in opcodes
            if tag != "equal"
            for line in range(start, end)
        }
        prose = path.label.lower().endswith(_PROSE)
        for finding in scan(new, syntax="markdown" if prose else "plain", known=names):
            if added.intersection(range(finding.line, finding.end_line + 1)):
                found.append(
                    replace(
                        finding,
                        id=f"{path.label}:{finding.id}",
                        message=f"{path.label}, {finding.where}: {finding.message}",
                    )
                )
    return tuple(found)


def _generation(digest: str, predicate: Mapping[str, Any]) -> Iterator[str]:
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    yield f"generation {digest}"
    yield f"  session {details['metadata']['invocationId']}"
    yield f"  recorded by {_one_line(details['builder']['id'])}"
    yield f"  agent {_one_line(definition['externalParameters']['agent'])}"
    for item in definition["resolvedDependencies"]:
        notes = item.get("annotations", {})
        basis = notes.get("basis", "unknown")
        if item["name"].startswith("model/"):
            asked = _one_line(notes.get("requested", "?"))
            yield f"  model {_one_line(item['uri'])} [{basis}], asked for {asked}"
        elif item["name"].startswith("mcp/"):
            yield f"  MCP server {_one_line(item['name'][4:])} [{basis}]"


def _headline(path: ChangedPath) -> str:
    name = _one_line(path.label)
    if path.old_mode is None:
        of = f" of {path.new_id}" if path.new_mode == _SUBMODULE else ""
        return f"added {path.new_mode} {name}{of}"
    if path.new_mode is None:
        of = f" of {path.old_id}" if path.old_mode == _SUBMODULE else ""
        return f"deleted {path.old_mode} {name}{of}"
    mode = path.new_mode
    if path.old_mode != path.new_mode:
        mode = f"{path.old_mode} to {path.new_mode}"
    if _SUBMODULE in (path.old_mode, path.new_mode):
        return f"changed {mode} {name} from {path.old_id} to {path.new_id}"
    return f"changed {mode} {name}"


def _one_line(text: str) -> str:
    return escape_unseen(text).replace("\n", "<U+000A>").replace("\t", "<U+0009>")


def _text(content: bytes) -> str | None:
    """Give content as text, or None for what is not; NUL makes it binary, as for git."""
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def _difference(old_text: str, new_text: str, ranges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give the changed lines with context."""
    old, new = _lines(old_text), _lines(new_text)
    origins = _origins(ranges, len(new))
    for group in _groups(_opcodes(old, new)):
        yield f"  @@ {group[0][1] + 1} @@ {group[0][3] + 1}"
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                for index in range(new_start, new_end):
                    yield f"  {index + 1:>6}     | {escape_unseen(new[index])}"
                continue
            for index in range(old_start, old_end):
                yield f"- {index + 1:>6}     | {escape_unseen(old[index])}"
            for index in range(new_start, new_end):
                origin = origins.get(index + 1, " ")
                yield f"+ {index + 1:>6} {origin}   | {escape_unseen(new[index])}"
    if new and not new_text.endswith("\n"):
        yield "             \\ no newline at the end"


def _origins(ranges: Sequence[Mapping[str, Any]], count: int) -> dict[int, str]:
    return {
        line: _GUTTER.get(item["origin"], "?")
        for item in ranges
        for line in range(item["start"], min(item["end"], count) + 1)
    }


Opcode = tuple[str, int, int, int, int]


def _opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """Compare line by line; what is the same at both ends is cut off first.

    Beyond _MAX_COMPARED lines in the middle, all of it is shown as taken out and put in: a
    longer list for the reader, never a shorter one.
    """
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    left, right = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(left), len(right)) > _MAX_COMPARED or not left or not right:
        middle: list[Opcode] = [("replace", 0, len(left), 0, len(right))] if left or right else []
    else:
        middle = [*SequenceMatcher(None, left, right).get_opcodes()]
    opcodes = [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in middle]
    if head:
        opcodes.insert(0, ("equal", 0, head, 0, head))
    if tail:
        opcodes.append(("equal", len(old) - tail, len(old), len(new) - tail, len(new)))
    return opcodes


def _groups(opcodes: Sequence[Opcode]) -> Iterator[list[Opcode]]:
    """Cut equal stretches down to the context around changes."""
    group: list[Opcode] = []
    for index, (tag, a, b, c, d) in enumerate(opcodes):
        if tag != "equal":
            group.append((tag, a, b, c, d))
            continue
        first, last = index == 0, index == len(opcodes) - 1
        if first and last:
            return
        if first:
            keep = min(CONTEXT, b - a)
            group.append((tag, b - keep, b, d - keep, d))
        elif last:
            keep = min(CONTEXT, b - a)
            group.append((tag, a, a + keep, c, c + keep))
        elif b - a <= 2 * CONTEXT:
            group.append((tag, a, b, c, d))
        else:
            group.append((tag, a, a + CONTEXT, c, c + CONTEXT))
            yield group
            group = [(tag, b - CONTEXT, b, d - CONTEXT, d)]
    if any(tag != "equal" for tag, *_ in group):
        yield group
