from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.terminal import REPOSITORY, Terminal, environment, python

ASK = """
from agentprov.system.terminal import ask_hidden
print("answer:", ask_hidden("Secret? "))
"""


@pytest.mark.terminal
def test_the_answer_is_read_from_the_terminal_and_not_shown_on_it(tmp_path: Path) -> None:
    with Terminal(python(ASK), tmp_path, environment()) as terminal:
        terminal.until("Secret? ")
        terminal.type("swordfish\n")
        shown = terminal.until("swordfish")
        assert shown.strip() == "answer: swordfish"
        assert terminal.status() == 0


@pytest.mark.terminal
def test_the_end_of_input_is_an_empty_answer(tmp_path: Path) -> None:
    with Terminal(python(ASK), tmp_path, environment()) as terminal:
        terminal.until("Secret? ")
        terminal.type("\x04")
        terminal.until("answer: \r\n")


def test_without_a_terminal_nobody_is_asked_and_stdin_is_not_read() -> None:
    program = ASK + "import sys; print(sys.stdin.read())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="from a pipe", capture_output=True, text=True, check=True, cwd=REPOSITORY,
        start_new_session=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.split("\n")[:2] == ["answer: None", "from a pipe"]
