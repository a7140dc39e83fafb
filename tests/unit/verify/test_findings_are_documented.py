from __future__ import annotations

import re
from pathlib import Path

from agentprov.verify.catalogue import CATALOGUE, EXIT_ORDER

SPEC = Path(__file__).resolve().parents[3] / "docs" / "spec"
ENTRY = re.compile(r"^### `([a-z-]+)`\n\n(\w+), exit (\d+)\.", re.MULTILINE)


def test_every_code_has_its_entry_and_every_entry_its_code() -> None:
    entries = ENTRY.findall((SPEC / "findings.md").read_text(encoding="utf-8"))
    assert len(entries) == len({code for code, _, _ in entries})
    assert {code: (severity.lower(), int(number)) for code, severity, number in entries} == {
        code: (kind.severity, kind.exit_code) for code, kind in CATALOGUE.items()
    }


def test_every_code_has_a_remedy_and_an_exit_code_with_a_place_in_the_order() -> None:
    assert all(kind.remedy for kind in CATALOGUE.values())
    assert {kind.exit_code for kind in CATALOGUE.values()} <= set(EXIT_ORDER)


def test_the_procedure_in_the_code_has_the_steps_of_the_page() -> None:
    page = (SPEC / "verification.md").read_text(encoding="utf-8")
    headings = [int(number) for number in re.findall(r"^## (\d+)\. ", page, re.MULTILINE)]
    assert headings == list(range(1, 11))
    source = Path(__file__).resolve().parents[3] / "agentprov" / "verify" / "judge.py"
    steps: list[int] = []
    for first, last in re.findall(r"^    # (\d+)(?:-(\d+))?\. ", source.read_text(), re.MULTILINE):
        steps += range(int(first), int(last or first) + 1)
    assert steps == headings
