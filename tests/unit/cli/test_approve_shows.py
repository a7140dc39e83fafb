from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from agentprov.cli import approve


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("out", "err", "on"),
    [(True, True, "pager"), (False, True, "terminal"), (False, False, "none")],
    ids=["at a terminal", "stdout is a file", "nobody looks"],
)
def test_only_who_looks_was_shown_a_long_change(
    monkeypatch: pytest.MonkeyPatch, out: bool, err: bool, on: str
) -> None:
    paged: list[str] = []
    monkeypatch.setattr("click.echo_via_pager", paged.append)
    stdin, stdout, stderr = Screen(True), Screen(out), Screen(err)
    for name, stream in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        monkeypatch.setattr(sys, name, stream)
    text = "a line\n" * 10_000
    prepared: Any = SimpleNamespace(review=SimpleNamespace(text=text))
    assert approve._show(prepared) == on
    assert stdout.getvalue() == ""
    assert (paged, stderr.getvalue()) == (([text], "") if on == "pager" else ([], text))
