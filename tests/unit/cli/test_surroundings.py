"""What the disk or its owner refuses is said in the system's words; anything else is a bug."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agentprov import cli


def ended(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, list[Path]]:
    """Run a command that fails so; gives its status and the reports that were left."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return cli.execute(["log"]), list(tmp_path.glob("agentprov-report-*"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOTDIR])
def test_what_the_disk_refuses_is_no_bug(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, os.strerror(number), "/repository/.git/agentprov/lock")
    assert ended(error, tmp_path, monkeypatch) == (1, [])
    said = capsys.readouterr().err
    assert f"/repository/.git/agentprov/lock: {os.strerror(number)}" in said
    assert "bug" not in said


@pytest.mark.parametrize(
    "error", [OSError(errno.EINVAL, "Invalid argument", "/x"), OSError(errno.EACCES, "no file")]
)
def test_anything_else_is(error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, reports = ended(error, tmp_path, monkeypatch)
    assert status == 3
    assert len(reports) == 1
