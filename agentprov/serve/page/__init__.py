"""The report page: one HTML file that checks the records in it, in the reader's own browser.

Pure: what it is given goes into the page, and nothing else. The page's policy lets nothing run but
the script that stands in it, and lets it reach nothing (docs/spec/report-page.md).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


def render(data: Mapping[str, Any], *, version: str) -> str:
    """Give the page for what `flows.report.collect` gives.

    The script and the style are bound by digest in the page's Content-Security-Policy; no
    request can leave the page. Text of the record stands in it as JSON only.
    """
    script, sheet = _asset("page.js"), style()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{digest(script)}'",
            f"style-src '{digest(sheet)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    parts = {
        "CSP": policy,
        "STYLE": sheet,
        "SCRIPT": script,
        "VERSION": html.escape(version),
        "DATA": _embedded(data),
    }
    whole = _asset("page.html").split("@")
    return "".join(parts.get(piece, piece) if n % 2 else piece for n, piece in enumerate(whole))


def style() -> str:
    """Give the style that all pages share."""
    return _asset("page.css")


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """Give the source expression under which a Content-Security-Policy lets a text in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(data: Mapping[str, Any]) -> str:
    """Give JSON that cannot end the element it stands in, nor begin another one."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


__all__ = ["digest", "render", "style"]
