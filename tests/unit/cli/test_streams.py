"""Output that cannot be written: the user is told in plain words, and nothing is called our bug."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import Repository

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")

NO_TRUST = 16


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "r")
    made.write("PLAN.md", "# Plan\n")
    made.commit()
    return made


def shell(repository: Repository, line: str, **env: str) -> tuple[int, str]:
    """Run a line of shell, where $P is agentprov; gives status and what came on standard error."""
    program = f"{shlex.quote(sys.executable)} -m agentprov"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reports = repository.top.parent / "reports"
    reports.mkdir(exist_ok=True)
    environment |= {"TMPDIR": str(reports), "AGENTPROV_HOME": str(reports.parent / "home"), **env}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("$P", program)],
        cwd=repository.top, env=environment, capture_output=True, check=False, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert list(reports.glob("agentprov-report-*")) == []
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("words", ["verify HEAD", "log --json", "--help", "--version"])
@pytest.mark.parametrize(
    ("to", "why", "env"),
    [
        (">/dev/full", "No space left on device", {}),
        (">/dev/full", "No space left on device", {"PYTHONUNBUFFERED": "1"}),
        (">&-", "Bad file descriptor", {}),
    ],
    ids=["full", "full at once", "closed"],
)
def test_an_output_that_cannot_be_written_is_told_and_is_no_bug(
    repository: Repository, words: str, to: str, why: str, env: dict[str, str]
) -> None:
    status, told = shell(repository, f"$P {words} {to}", **env)
    assert status == 1
    assert told.startswith(f"error: standard output cannot be written: {why}\n")
    assert "Traceback" not in told and "Exception ignored" not in told


@pytest.mark.parametrize("to", ["2>/dev/full", "2>&-", "2>&- <&-"])
def test_the_answer_and_the_code_stand_where_nothing_can_be_said_beside(
    repository: Repository, to: str
) -> None:
    assert shell(repository, f"$P verify HEAD {to}") == (NO_TRUST, "")
    assert shell(repository, f"$P no-such-command {to}") == (2, "")


def test_nothing_is_signed_that_could_not_be_shown(repository: Repository) -> None:
    assert shell(repository, "$P init")[0] == 0
    assert shell(repository, "$P plan sign PLAN.md 2>/dev/full")[0] == 1
    assert repository.git("notes", "--ref=agentprov", "list", check=False) == ""
    assert shell(repository, "$P plan sign PLAN.md")[0] == 0


def test_a_reader_that_left_is_no_error_and_changes_no_verdict(repository: Repository) -> None:
    assert shell(repository, "$P log | true") == (0, "")
    assert shell(repository, "$P verify HEAD | true") == (NO_TRUST, "")
