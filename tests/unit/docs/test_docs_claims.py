"""What README, the threat model and the exit codes page claim is there."""

from __future__ import annotations

import fnmatch
import json
import os
import re

import pytest

from support import documents
from support.documents import MEANING, TOP

README = TOP / "README.md"
THREATS = TOP / "docs" / "threat-model.md"
ROW = re.compile(r"^\| ([A-G]\d+) \|", re.MULTILINE)
GRADES = {"prevented", "detected", "evident", "not covered"}


@pytest.mark.parametrize("command", ["sh scripts/demo", "sh scripts/test"])
def test_the_two_commands_of_the_readme_are_there(command: str) -> None:
    shown = [line.strip() for fenced, line in documents.lines(README) if fenced]
    assert command in shown
    place = TOP / command.removeprefix("sh ")
    assert os.access(place, os.X_OK)
    assert place.read_text().startswith("#!/bin/sh\n")


def test_ci_runs_the_readmes_own_test_command() -> None:
    place = TOP / ".ci" / "run"
    assert os.access(place, os.X_OK)
    assert "exec sh scripts/test" in place.read_text().splitlines()


def test_the_exit_codes_page_has_the_numbers_of_the_code() -> None:
    text = (TOP / "docs" / "spec" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", text, re.MULTILINE)
    assert {int(number): meaning for number, meaning in rows} == MEANING


def threats() -> list[list[str]]:
    """Give the cells of every row of the threat model that has an id."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in THREATS.read_text().splitlines()
        if ROW.match(line)
    ]


def known_tests() -> set[str]:
    return {
        name
        for place in (TOP / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", place.read_text(), re.MULTILINE)
    }


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = {span for span in documents.spans(THREATS) if span.startswith("test_")}
    assert len(named) >= 40
    assert sorted(named - known_tests()) == []


def vectors() -> dict[str, bool]:
    """Give the vectors by name, and whether each must be refused."""
    return {
        place.parent.name: json.loads(place.read_bytes())["verdict"] == "fail"
        for place in (TOP / "tests" / "vectors").glob("*/expect.json")
    }


def vectors_named() -> set[str]:
    """Give the names and patterns by which the threat model names vectors."""
    spans = documents.spans(THREATS)
    return {span.removeprefix("vectors/") for span in spans if span.startswith("vectors/")}


def test_every_vector_that_the_threat_model_names_exists() -> None:
    assert vectors_named()
    assert [
        pattern for pattern in sorted(vectors_named()) if not fnmatch.filter(vectors(), pattern)
    ] == []


def test_every_vector_that_must_be_refused_stands_for_a_threat() -> None:
    known = vectors_named()
    assert [
        name
        for name, refused in sorted(vectors().items())
        if refused and not any(fnmatch.fnmatchcase(name, pattern) for pattern in known)
    ] == []


ATTACKS = TOP / "tests" / "vectors" / "README.md"


def test_every_known_attack_on_verifiers_has_vectors_or_tests_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", ATTACKS.read_text(), re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 27))
    for _, attack, shown in rows:
        named = re.findall(r"`([^`]+)`", shown)
        assert named, attack
        tests = {name for name in named if name.startswith("test_")}
        assert tests <= known_tests(), attack
        assert [name for name in set(named) - tests if not fnmatch.filter(vectors(), name)] == []


def test_every_threat_has_a_grade_and_evidence_unless_it_is_not_covered() -> None:
    rows = threats()
    ids = [row[0] for row in rows]
    assert len(ids) == len(set(ids))
    assert {id_[0] for id_ in ids} == set("ABCDEFG")
    for id_, _, grade, *_, evidence in rows:
        assert grade in GRADES, id_
        shown = "`test_" in evidence or "`vectors/" in evidence
        assert shown == (grade != "not covered"), id_
