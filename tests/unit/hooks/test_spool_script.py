"""The spool script that agents' hooks call."""

from __future__ import annotations

import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from agentprov.formats.dropbox import Drop, decode

SCRIPT = str(resources.files("agentprov_hooks").joinpath("spool.sh"))


def spool(
    payload: bytes, *arguments: str, shell: tuple[str, ...] = ("sh",), **variables: Path | str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*shell, SCRIPT, *arguments],
        env={"PATH": os.environ["PATH"], **{k: str(v) for k, v in variables.items()}},
        input=payload,
        capture_output=True,
        check=False,
    )


def drops(directory: Path) -> list[Drop]:
    return [decode(path.read_bytes()) for path in sorted(directory.glob("*.drop"))]


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"no newline", b"\n\n\n", bytes(range(256)) * 40, b"x" * 3_000_000]
)
def test_a_payload_arrives_byte_for_byte(tmp_path: Path, payload: bytes) -> None:
    done = spool(payload, "claude-code", "PreToolUse", AGENTPROV_SPOOL=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert drops(tmp_path) == [Drop("claude-code", "PreToolUse", payload)]
    assert [path.suffix for path in tmp_path.iterdir()] == [".drop"]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            ["sh", SCRIPT, "codex", "Stop"],
            env={"PATH": os.environ["PATH"], "AGENTPROV_SPOOL": str(tmp_path)},
            stdin=subprocess.PIPE,
        )
        for _ in range(40)
    ]
    for number, process in enumerate(running):
        process.communicate(b"%d" % number)
    assert sorted(int(drop.payload) for drop in drops(tmp_path)) == list(range(40))


def test_a_directory_that_takes_nothing_is_passed_over(tmp_path: Path) -> None:
    done = spool(
        b"{}",
        "codex",
        "Stop",
        AGENTPROV_SPOOL=tmp_path / "missing",
        AGENTPROV_SPOOL_FALLBACK=tmp_path,
    )
    assert done.returncode == 0
    assert len(drops(tmp_path)) == 1


def test_a_read_only_file_system_is_passed_over(tmp_path: Path) -> None:
    done = spool(
        b"{}", "codex", "Stop", AGENTPROV_SPOOL="/proc/self", AGENTPROV_SPOOL_FALLBACK=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(drops(tmp_path)) == 1


@pytest.mark.parametrize("variables", [{}, {"AGENTPROV_SPOOL": "/nowhere"}])
def test_without_a_listener_it_reads_everything_and_stays_silent(
    variables: dict[str, str],
) -> None:
    # A writer that nobody reads from would get an error; the agent must not.
    done = spool(b"x" * 1_000_000, "codex", "Stop", **variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_payload_that_breaks_off_stays_aside(tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk.
    done = spool(
        b"x" * 1_000_000, "codex", "Stop",
        shell=("sh", "-c", 'trap "" XFSZ; ulimit -f 8; . "$0"'),
        AGENTPROV_SPOOL=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    assert drops(tmp_path) == []
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]


def test_names_sort_by_time_where_the_system_tells_it(tmp_path: Path) -> None:
    if not Path("/proc/uptime").exists():
        pytest.skip("no /proc/uptime here")
    spool(b"1", "codex", "Stop", AGENTPROV_SPOOL=tmp_path)
    (name,) = (path.name for path in tmp_path.iterdir())
    assert name.partition("-")[0].isdigit()
