"""What a finding's code means, from the page that documents it.

The page is docs/spec/findings.md. Wheels carry it inside the package; in a checkout, and where
the package is installed from one in place, it is read where it stands.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import agentprov

PACKAGED = "findings.md"


def page() -> str:
    """Give the text of the page on findings; empty where this installation lost it."""
    packaged = resources.files("agentprov").joinpath(PACKAGED)
    checkout = Path(agentprov.__file__).parents[1] / "docs" / "spec" / "findings.md"
    for place in (packaged, checkout):
        if place.is_file():
            return place.read_text(encoding="utf-8")
    return ""


def explanation(code: str, text: str | None = None) -> list[str]:
    """Give what the page says of a code, as lines; none if the page or the entry is not there.

    Severity and way out are left out: the catalogue has both.
    """
    found = re.search(
        rf"^### `{re.escape(code)}`\n\n[^\n]*\n\n(.*?)(?=^#|\Z)",
        page() if text is None else text,
        re.MULTILINE | re.DOTALL,
    )
    if found is None:
        return []
    return found[1].partition("\nWay out:")[0].strip().splitlines()
