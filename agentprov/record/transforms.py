"""How a model's text becomes lines of a file: what write tools do to it, made comparable.

Tools change line ends, drop trailing blanks, put notebook cells into JSON and replace pieces
inside lines. Two lines are the same here when their keys are: bytes without trailing white
space, for notebooks the text inside the JSON string. Leading white space counts: it can be the
meaning of a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentprov.formats.facts import Edit
from agentprov.formats.lineage import DISTINCTIVE_CHARACTERS

_WORDS = re.compile(rb"[^A-Za-z0-9_]+")
_BLANKS = re.compile(rb"\s+")
_LEAST_WORD_CHARACTERS = 4
_BOM = b"\xef\xbb\xbf"
_NOTEBOOK_FRAME = re.compile(rb'\s*(?:"[A-Za-z_]+"\s*:|[\[\]{}])')
WHOLE_FILE_TOOLS = frozenset({"Write", "write", "write_file", "create_file"})
_CELL_TOOLS = frozenset({"NotebookEdit"})


def is_notebook(path: bytes) -> bool:
    """Say whether a path names a Jupyter notebook, whose cells are JSON strings line by line."""
    return path.endswith(b".ipynb")


def is_frame(key: bytes) -> bool:
    """Say whether a notebook's line looks like its JSON frame rather than a cell's text."""
    return _NOTEBOOK_FRAME.match(key) is not None


def file_keys(content: bytes, *, notebook: bool = False) -> list[bytes]:
    """Give one key per line of a file; what follows the last newline counts if not empty."""
    lines = content.removeprefix(_BOM).split(b"\n")
    if not lines[-1]:
        lines.pop()
    if notebook:
        return [_cell_line(line) for line in lines]
    return [line.rstrip() for line in lines]


def text_keys(edit: Edit, *, notebook: bool = False) -> list[bytes]:
    """Give one key per line of a write's text, comparable with `file_keys` of its file."""
    content = edit.text.encode("utf-8", "replace")
    return file_keys(content, notebook=notebook and edit.tool not in _CELL_TOOLS)


def _cell_line(line: bytes) -> bytes:
    piece = line.strip().removesuffix(b",")
    if piece[:1] == b'"' and piece[-1:] == b'"':
        try:
            value = json.loads(piece)
        except ValueError:
            return line.rstrip()
        if isinstance(value, str):
            return value.encode("utf-8", "replace").rstrip()
    return line.rstrip()


def squeezed(line: bytes) -> bytes:
    """Give what formatters leave alone: word characters; for other scripts, all but blanks.

    Empty when that is too little to tell anything.
    """
    words = _WORDS.sub(b"", line)
    if len(words) >= _LEAST_WORD_CHARACTERS:
        return words
    rest = _BLANKS.sub(b"", line)
    return rest if len(rest) >= DISTINCTIVE_CHARACTERS and rest.strip(b"-=#*/_+~.") else b""


@dataclass
class Draft:
    """A file as it should look after a model's replacements: lines, and whose each one is.

    `tags` number the edit that made a line, None for lines that were there.
    """

    text: bytes
    tags: list[int | None]

    @classmethod
    def of(cls, content: bytes) -> Draft:
        """Begin with a file as it was."""
        text = content.removeprefix(_BOM).replace(b"\r\n", b"\n")
        return cls(text, [None] * (text.count(b"\n") + 1))

    @classmethod
    def written(cls, edit: Edit, tag: int) -> Draft:
        """Begin with a file that a write made as a whole."""
        draft = cls.of(edit.text.encode("utf-8", "replace"))
        draft.tags = [tag] * len(draft.tags)
        return draft

    def copy(self) -> Draft:
        """Give a draft of its own with the same content."""
        return Draft(self.text, list(self.tags))

    def replace(self, edit: Edit, tag: int) -> bool:
        """Do what a replacing tool does; False, and nothing done, if the old text is not there."""
        old = _unix(edit.replaces or "")
        new = _unix(edit.text)
        if not old or old == new or old not in self.text:
            return False
        at = self.text.find(old)
        while at >= 0:
            self._replace_one(at, old, new, tag)
            at = self.text.find(old, at + len(new)) if edit.every else -1
        return True

    def _replace_one(self, at: int, old: bytes, new: bytes, tag: int) -> None:
        first = self.text.count(b"\n", 0, at)
        begin = self.text.rfind(b"\n", 0, at) + 1
        end = self.text.find(b"\n", at + len(old))
        end = len(self.text) if end < 0 else end
        before = self.text[begin:end].split(b"\n")
        after = (self.text[begin:at] + new + self.text[at + len(old) : end]).split(b"\n")
        same = 0
        while same < min(len(before), len(after)) and before[same] == after[same]:
            same += 1
        tail = 0
        while (
            tail < min(len(before), len(after)) - same
            and before[len(before) - 1 - tail] == after[len(after) - 1 - tail]
        ):
            tail += 1
        made: list[int | None] = [tag] * (len(after) - same - tail)
        self.tags[first + same : first + len(before) - tail] = made
        self.text = self.text[:at] + new + self.text[at + len(old) :]

    def runs(self, *, notebook: bool = False) -> Iterator[tuple[int, list[bytes]]]:
        """Give (tag, keys) for each stretch of neighbouring lines that one edit made."""
        keys = file_keys(self.text, notebook=notebook)
        yield from _stretches(keys, self.tags)


def _stretches(
    keys: Sequence[bytes], tags: Sequence[int | None]
) -> Iterator[tuple[int, list[bytes]]]:
    index = 0
    while index < len(keys):
        tag = tags[index]
        end = index + 1
        while end < len(keys) and tags[end] == tag:
            end += 1
        if tag is not None:
            yield tag, list(keys[index:end])
        index = end


def _unix(text: str) -> bytes:
    return text.encode("utf-8", "replace").replace(b"\r\n", b"\n")
