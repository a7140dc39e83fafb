"""A command that is called without saying what to do shows its help, as help."""

from __future__ import annotations

import pytest

from agentprov.cli import execute, exit_codes

GROUPS = ("trust", "keys", "plan", "hooks", "checkpoint", "serve")


@pytest.mark.parametrize("words", [[], *([name] for name in GROUPS)])
def test_its_help_goes_to_stderr_line_by_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(words) == exit_codes.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Usage: {' '.join(['agentprov', *words])} [OPTIONS]")
    assert "\nCommands:\n" in err
    assert "U+000A" not in err
