"""Instruction files that other instruction files pull in, written ``@path`` in prose."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agentprov.record.agents.places import existing
from agentprov.record.agents.reading import small_file

IMPORT_DEPTH = 5
MAX_IMPORTS = 200
_IMPORT = re.compile(r"(?:^|(?<=\s))@((?:[^\s\\]|\\ )+)", re.MULTILINE)
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`", re.DOTALL)


def imports_of(start: Path, home: Path) -> list[Path]:
    """Give the files that one file imports, and those that they do; not what stands in code.

    Five deep and 200 at most. Whether the agent asks its user first is not looked at.
    """
    found: dict[Path, int] = {start: 0}
    waiting = [start]
    while waiting:
        path = waiting.pop(0)
        data = small_file(path) if found[path] < IMPORT_DEPTH else None
        prose = _CODE.sub(" ", (data or b"").decode("utf-8", "replace"))
        for match in _IMPORT.finditer(prose):
            named = match.group(1).replace("\\ ", " ").rstrip(".,;:!?)")
            target = home / named[2:] if named.startswith("~/") else path.parent / named
            target = Path(os.path.normpath(target))
            if len(found) <= MAX_IMPORTS and target not in found and existing([("", target)]):
                found[target] = found[path] + 1
                waiting.append(target)
    return list(found)[1:]


__all__ = ["IMPORT_DEPTH", "MAX_IMPORTS", "imports_of"]
