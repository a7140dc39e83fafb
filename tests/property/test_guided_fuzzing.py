"""Each parser under libFuzzer, led by the code that inputs reach; a moment here, minutes by hand.

``AGENTPROV_FUZZ_SECONDS=120 python -m pytest tests/property/test_guided_fuzzing.py`` is the long
run; without it each parser gets `ROUNDS` inputs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.hostile_parsers import PARSERS

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "guided_fuzzing.py"
ROUNDS = 4_000
# What goes through other people's code, or through the whole judge, is slower.
FEW_ROUNDS = {
    "keyless": 200, "timestamp": 400, "timestamp-chain": 400, "sigstore-root": 200,
    "claude-transcript": 600, "codex-transcript": 600, "agent-trace": 1_500,
    "agent-trailers": 1_500,
    "trust": 1_000, "policy": 1_000, "judge-plan": 1_500, "judge-approval": 1_500,
}  # fmt: skip


def fuzz(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), name, *options],
        capture_output=True, text=True, errors="replace", timeout=3_600, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_nothing_but_its_own_errors_comes_out_of_a_parser(name: str) -> None:
    pytest.importorskip("atheris", reason="no atheris for this Python or system")
    seconds = os.environ.get("AGENTPROV_FUZZ_SECONDS")
    limit = f"-max_total_time={seconds}" if seconds else f"-runs={FEW_ROUNDS.get(name, ROUNDS)}"
    done = fuzz(name, limit)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "Done " in done.stderr


def test_an_error_that_is_not_a_parsers_own_ends_it(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="no atheris for this Python or system")
    broken = tmp_path / "broken.py"
    broken.write_text(
        PROGRAM.read_text()
        .replace("Path(__file__).resolve().parents[1]", repr(PROGRAM.parents[1]))
        .replace("run(name, data)", "assert data[:1] != b'\\x7f', 'seen'")
        .replace("PosixPath", "Path")
    )
    done = subprocess.run(
        [sys.executable, str(broken), "commit", "-runs=200000"],
        capture_output=True, text=True, errors="replace", timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "AssertionError: seen" in done.stdout + done.stderr
