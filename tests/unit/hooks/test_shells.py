"""The hook texts in every POSIX shell that is installed here."""

from __future__ import annotations

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from support.hooked_repository import SESSION, Repository, make_repository

TEXTS = ["git/shim.sh", "git/hook.sh", "git/from-manager.sh", "spool.sh"]
KNOWN = [
    ("sh",), ("dash",), ("bash", "--posix"), ("busybox", "sh"), ("ksh",), ("mksh",),
    ("yash", "--posix"),
]  # fmt: skip
SHELLS = [words for words in KNOWN if shutil.which(words[0]) is not None]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path / "repo", tmp_path / "scratch")
    made.install()
    return made


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_parses(name: str, words: tuple[str, ...]) -> None:
    path = resources.files("agentprov_hooks").joinpath(*name.split("/"))
    done = subprocess.run([*words, "-n", str(path)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Title", f"Title\n\nAgentprov-Session: {SESSION}/1\n"),
        (
            "Title\n\nSigned-off-by: A <a@b>",
            f"Title\n\nSigned-off-by: A <a@b>\nAgentprov-Session: {SESSION}/1\n",
        ),
        ("Title\n\nback\\slash %s -n", "Title\n\nback\\slash %s -n\n\n"
         f"Agentprov-Session: {SESSION}/1\n"),
    ],
)  # fmt: skip
def test_a_commit_in_a_session_is_marked_and_noted_under_every_shell(
    repository: Repository, words: tuple[str, ...], message: str, expected: str
) -> None:
    line = f"#!{shutil.which(words[0])} {' '.join(words[1:])}".rstrip()
    for name in ("prepare-commit-msg", "post-commit"):
        path = repository.common / "hooks" / name
        path.write_text(path.read_text().replace("#!/bin/sh", line, 1))
    assert repository.commit("-m", message, env=repository.session()) == expected
    assert [drop.event for drop in repository.session_drops()] == ["post-commit"]


@pytest.mark.parametrize("words", SHELLS, ids=lambda words: words[0])
def test_a_damaged_program_fails_nothing_under_any_shell(
    repository: Repository, words: tuple[str, ...]
) -> None:
    (repository.home / "hook.sh").write_text("if (((\n")
    shim = repository.common / "hooks" / "pre-push"
    done = subprocess.run(
        [*words, str(shim), "origin", "url"],
        cwd=repository.top,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


def test_no_text_asks_for_an_interpreter_by_name() -> None:
    for name in TEXTS:
        text = resources.files("agentprov_hooks").joinpath(*name.split("/")).read_text()
        assert text.startswith("#!/bin/sh\n")
        assert "/usr/bin/env" not in text
