"""`--explain` says what the page says, from wherever the page is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from agentprov.cli import main
from agentprov.flows import explain
from agentprov.verify.catalogue import CATALOGUE

TOP = Path(__file__).resolve().parents[3]


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_has_words_of_its_own(code: str) -> None:
    lines = explain.explanation(code)
    assert lines
    assert not [line for line in lines if line.startswith(("#", "Way out", "Error, exit"))]


@pytest.mark.parametrize("command", ["verify", "gate"])
def test_both_judges_explain_and_judge_nothing(
    command: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([command, "--explain", "payload-type"]) == 0
    said = capsys.readouterr().out
    assert "exit code 14" in said
    assert "it was not made over an in-toto statement" in " ".join(said.split())
    assert CATALOGUE["payload-type"].remedy in said
    assert run([command, "--explain", "payload"]) == 1
    assert "payload-type" in capsys.readouterr().err


def test_a_wheel_carries_the_page_that_is_read() -> None:
    targets = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    forced = targets["targets"]["wheel"]["force-include"]
    assert forced == {"docs/spec/findings.md": f"agentprov/{explain.PACKAGED}"}
    assert explain.page() == (TOP / "docs/spec/findings.md").read_text(encoding="utf-8")


def test_without_the_page_the_catalogue_still_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(explain, "page", str)
    assert explain.explanation("payload-type") == []
    assert run(["verify", "--explain", "payload-type"]) == 0
    assert re.search("What to do: .+", capsys.readouterr().out)
