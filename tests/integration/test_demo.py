"""The first thing that a newcomer runs ends as it says it does."""

from __future__ import annotations

from pathlib import Path

from support.command_line import agentprov


def test_the_demo_tells_its_story_and_a_changed_byte_is_caught(tmp_path: Path) -> None:
    answer = agentprov("demo", cwd=tmp_path)
    assert answer.status == 0, answer.out + answer.err
    assert "Verdict: HEAD holds (exit code 0)" in answer.out
    assert "error: changed-since-recorded: 'greeting.py'" in answer.out
    assert "Verdict: HEAD fails (exit code 12)" in answer.out
