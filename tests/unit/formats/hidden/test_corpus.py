"""Every attack of the corpus is found at its place; no honest text is graded above a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentprov.formats.hidden import Finding, scan

CORPUS = Path(__file__).parents[3] / "data" / "hidden_text"
ATTACKS: dict[str, dict[str, Any]] = json.loads((CORPUS / "attacks.json").read_text())
BENIGN: dict[str, dict[str, Any]] = json.loads((CORPUS / "benign.json").read_text())


def searched(folder: str, name: str, known: list[str]) -> list[Finding]:
    (path,) = (CORPUS / folder).glob(f"{name}.*")
    syntax = "markdown" if path.suffix == ".markdown" else "plain"
    return scan(path.read_bytes().decode(), syntax=syntax, known=known)


def test_the_corpus_is_whole() -> None:
    for folder, listed in (("attacks", ATTACKS), ("benign", BENIGN)):
        assert {path.stem for path in (CORPUS / folder).iterdir()} == set(listed)
    assert len(ATTACKS) >= 60
    assert len(BENIGN) >= 40


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_found_at_its_place(name: str) -> None:
    expected = ATTACKS[name]
    found = searched("attacks", name, expected.get("known", []))
    there = [
        finding
        for finding in found
        if finding.kind == expected["kind"]
        and (finding.line, finding.column) == (expected["line"], expected["column"])
    ]
    assert len(there) == 1, found
    assert expected.get("decoded", "") in there[0].text
    assert (there[0].severity == "note") == (expected["severity"] == "note")


@pytest.mark.parametrize("name", BENIGN)
def test_no_honest_text_is_graded_above_a_note(name: str) -> None:
    found = searched("benign", name, BENIGN[name].get("known", []))
    assert [finding for finding in found if finding.severity != "note"] == []
