"""Where the shell puts the trailer, against `git interpret-trailers`, over generated messages."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.hooked_repository import SESSION, Repository, make_repository

TRAILER = f"Agentprov-Session: {SESSION}/1"
LINES = st.sampled_from(
    [
        "words", "", "", "Key: value", "Other-Key: more", "Signed-off-by: A <a@b>", "  continued",
        "\tcontinued", "two words: no", "(cherry picked from commit 0123)", "Key : value", "a:b",
        ": nothing", "-x: y", "\u00e4: umlaut", "trailing space ", "back\\slash", "%s %d", "-n",
        "---", "* bullet: x", "Key:",
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    base = tmp_path_factory.mktemp("trailers")
    made = make_repository(base / "repo", base / "scratch", fresh=False)
    made.install()
    made.session()
    return made


def cleaned(lines: list[str]) -> bytes:
    """Give a message as git hands it to the hook: whitespace cleaned, some text in it."""
    done = subprocess.run(
        ["git", "stripspace"], input="\n".join(["Subject", *lines]).encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lines=st.lists(LINES, max_size=8))
def test_it_stands_where_git_would_put_it_and_nothing_else_changes(
    repository: Repository, lines: list[str]
) -> None:
    message = cleaned(lines)
    path = repository.log.parent / "message"
    path.write_bytes(message)
    done = subprocess.run(
        ["sh", str(repository.home / "hook.sh"), "prepare-commit-msg", str(path), "message"],
        cwd=repository.top,
        env={"PATH": os.environ["PATH"], "AGENTPROV_SESSION": SESSION, "GIT_EDITOR": ":"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    ours = path.read_bytes()
    assert ours.startswith(message)
    assert ours[len(message) :] in (f"{TRAILER}\n".encode(), f"\n{TRAILER}\n".encode())
    theirs = subprocess.run(
        ["git", "interpret-trailers", "--no-divider", "--trailer", TRAILER],
        input=message, capture_output=True, check=True,
    ).stdout  # fmt: skip
    # Git prints other trailers in its own spelling; what counts is whether a blank line came.
    assert theirs.endswith(f"\n\n{TRAILER}\n".encode()) == ours.endswith(
        f"\n\n{TRAILER}\n".encode()
    )


def test_the_generated_messages_meet_both_cases(tmp_path: Path) -> None:
    assert cleaned(["", "Key: value"]) == b"Subject\n\nKey: value\n"
    assert cleaned(["", "", "words ", ""]) == b"Subject\n\nwords\n"
