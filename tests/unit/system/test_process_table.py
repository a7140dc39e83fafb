from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentprov.system import process_table
from agentprov.system.process_table import Process, alive, start_time

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_process_is_alive_until_it_ends_and_its_successor_is_not_it() -> None:
    child = subprocess.Popen(["sleep", "20"])
    started = start_time(child.pid)
    assert started is not None
    assert alive(child.pid, started)
    assert not alive(child.pid, started + "0")
    assert alive(child.pid, None)
    child.kill()
    child.wait()
    assert not alive(child.pid, started)
    assert start_time(child.pid) is None


@linux
def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    end = time.monotonic() + 10
    while process_table.state_of(child.pid) != "Z" and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(child.pid, None)
    child.wait()


@linux
def test_a_name_with_spaces_and_parentheses_does_not_confuse(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(odd), "20"])
    try:
        end = time.monotonic() + 10
        while process_table.state_of(child.pid) != "S" and time.monotonic() < end:
            time.sleep(0.01)
        assert process_table.state_of(child.pid) == "S"
        assert start_time(child.pid) != start_time(os.getpid())
    finally:
        child.kill()
        child.wait()


@linux
def test_descendants_are_found_through_generations() -> None:
    child = subprocess.Popen(
        ["sh", "-c", "sh -c 'sleep 20 & echo $!; wait' & wait"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    found = process_table.descendants(child.pid)
    assert grandchild in found
    assert child.pid not in found
    for pid in (*reversed(found), child.pid):
        os.kill(pid, 9)
    child.wait()
    child.stdout.close()


@linux
def test_the_executed_file_is_given_even_after_it_was_replaced(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    child = subprocess.Popen([str(program), "20"])
    try:
        before = program.stat()
        program.unlink()
        program.write_bytes(b"something else")
        opened = process_table.executable_of(child.pid)
        assert opened is not None
        descriptor, path = opened
        assert path == str(program)
        assert os.read(descriptor, 4) == b"\x7fELF"
        os.close(descriptor)
        assert process_table.identity_of(child.pid) == (before.st_dev, before.st_ino)
    finally:
        child.kill()
        child.wait()
    assert process_table.executable_of(child.pid) is None


@linux
def test_a_process_left_behind_is_found_by_its_variable_however_detached() -> None:
    value = f"session-{os.getpid()}"
    left = subprocess.Popen(
        ["sleep", "20"], env={"AGENTPROV_SESSION": value}, start_new_session=True
    )
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if process_table.carrying("AGENTPROV_SESSION", value):
                break
        found = process_table.carrying("AGENTPROV_SESSION", value)
        assert found == (Process(left.pid, "sleep"),)
        assert process_table.carrying("AGENTPROV_SESSION", value[:-1]) == ()
    finally:
        left.kill()
        left.wait()
