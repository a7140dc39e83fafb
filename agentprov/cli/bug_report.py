"""The report file of a bug: versions, command name and traceback, never argument values."""

from __future__ import annotations

import platform
import tempfile
import traceback
from collections.abc import Sequence

from agentprov import __version__


def write_report(error: Exception, arguments: Sequence[str]) -> str | None:
    """Write a report that can be pasted as it is; None when no file could be written."""
    flags = [word if word.startswith("-") and "=" not in word else "..." for word in arguments[1:]]
    text = "\n".join(
        [
            f"agentprov {__version__}, Python {platform.python_version()}, {platform.platform()}",
            "command: " + " ".join([*arguments[:1], *flags]),
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="agentprov-report-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
    except OSError:
        return None
    return file.name
