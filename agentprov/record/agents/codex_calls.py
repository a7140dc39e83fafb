"""Read the patches in Codex's tool calls as the model wrote them.

A patch comes in three shapes (Codex 0.169.0): as the free text of the tool ``apply_patch``, as
an argument vector of a shell tool, and as a string in the JavaScript of the tool ``exec``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprov.formats.facts import Edit
from agentprov.record.agents.codex_rollout import patch_additions
from agentprov.record.agents.reading import absolute, items, json_object, text

PATCH_TOOL = "apply_patch"
SCRIPT_TOOL = "exec"
_BEGIN = "*** Begin Patch"
# Comments first, so that an apostrophe in one opens no string. What is never closed is taken to
# the end all the same: looking for its end again and again would take time without bounds.
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r"|(?P<raw>String\.raw[ \t]*)?"
    r"(?:\"(?P<double>(?:[^\"\\\n]|\\.)*)(?P<end1>\")?"
    r"|'(?P<single>(?:[^'\\\n]|\\.)*)(?P<end2>')?"
    r"|`(?P<template>(?:[^`\\]|\\.)*)(?P<end3>`)?)",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(\r\n|.))", re.DOTALL
)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def edits_of(tool: str, arguments: str, folder: str) -> list[Edit]:
    """Give one edit per run of added lines, in the order in which they stand."""
    found: list[Edit] = []
    for patch, place in _patches(tool, arguments, folder):
        for path, added in patch_additions(patch):
            target = absolute(path, place)
            if target:
                found.append(Edit(target, added, PATCH_TOOL, None, "reported"))
    return found


def _patches(tool: str, arguments: str, folder: str) -> Iterator[tuple[str, str]]:
    if tool == SCRIPT_TOOL:
        if PATCH_TOOL in arguments:
            for literal in _literals(arguments):
                if literal.lstrip().startswith(_BEGIN):
                    yield literal, folder
        return
    fields = json_object(arguments)
    if tool == PATCH_TOOL:
        patch = text(fields.get("input")) or text(fields.get("patch")) or arguments
        yield patch, folder
        return
    words = items(fields.get("command"))
    if len(words) == 2 and words[0] == PATCH_TOOL and isinstance(words[1], str):
        yield words[1], absolute(fields.get("workdir"), folder) or folder


def _literals(script: str) -> Iterator[str]:
    """Give the strings of a JavaScript; those with a ``${...}`` are left out.

    Regular expressions are not told apart, so that a quote in one may hide what follows.
    """
    for match in _TOKEN.finditer(script):
        body = next((one for one in match.group("double", "single", "template") if one), None)
        if body is None or not any(match.group("end1", "end2", "end3")):
            continue
        is_template = match.group("template") is not None
        if is_template and re.search(r"(?<!\\)\$\{", body):
            continue
        if not match.group("raw"):
            # Characters beyond the first plane may be written as two escapes.
            units = _ESCAPE.sub(_unescaped, body).encode("utf-16", "surrogatepass")
            body = units.decode("utf-16", "replace")
        yield body


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1) or match.group(2) or match.group(3)
    if code is not None:
        return chr(min(int(code, 16), 0x10FFFF))
    return _SHORT.get(match.group(4), "" if match.group(4) == "\r\n" else match.group(4))
