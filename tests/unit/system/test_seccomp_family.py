"""Which process calls, and whose child it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from agentprov.system.attribution import records
from agentprov.system.attribution.family import Family, Kin, Process
from agentprov.system.attribution.ledger import read
from agentprov.system.attribution.records import Entry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_process_is_told_once_after_its_parents_with_its_command_line() -> None:
    told: list[Kin] = []
    family = Family(told.append)
    program = [sys.executable, "-I", "-S", "-c", "input('runs\\n')", "an argument"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        # Until the kernel has set it up, a process that has begun to run shows no command line.
        assert child.stdout is not None
        assert child.stdout.readline() == b"runs\n"
        found = family.of(child.pid)
        again = family.of(child.pid)
        child.communicate(b"\n")
    assert found is not None
    assert found == again
    assert told[-1].process == found
    assert told[-1].line.split(b"\x1f")[-1] == b"an argument"
    assert told[-1].parent is not None
    assert told[-1].parent.pid == os.getpid()
    assert len({kin.process for kin in told}) == len(told)
    known = {kin.process for kin in told}
    assert all(kin.parent is None or kin.parent in known for kin in told)
    assert abs(found.started - time.time_ns()) < 60 * 10**9


def test_a_thread_is_its_process() -> None:
    family = Family(lambda _: None)
    numbers: list[int] = []
    done = threading.Event()

    def work() -> None:
        numbers.append(threading.get_native_id())
        done.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    while not numbers:
        time.sleep(0.01)
    found = family.of(numbers[0])
    done.set()
    thread.join()
    assert numbers[0] != os.getpid()
    assert found is not None
    assert found.pid == os.getpid()


def test_a_process_that_is_gone_is_nobody() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert Family(lambda _: None).of(child.pid) is None


def test_openings_keep_their_process_and_both_times() -> None:
    kin = Kin(Process(7, 40), Process(6, 30), b"sh\x1f-c\x1fecho 1 2")
    orphaned = kin._replace(parent=Process(1, 1))
    data = (
        records.process(kin).encode()
        + Entry(records.OPENED, 50, 7, (1, 2), None, 1, b"/a", 40).encode()
        + Entry(records.AGAIN, 90, 7, (1, 2), None, 3, b"/a", 40, 60).encode()
        + Entry(records.OPENED, 70, 8, (1, 2), None, 1, b"/a").encode()
        + records.process(orphaned).encode()
    )
    known = read(data)
    assert known.processes == {Process(7, 40): kin}
    assert [(one.first, one.last, one.process) for one in known.openings] == [
        (50, 50, Process(7, 40)), (60, 90, Process(7, 40)), (70, 70, None),
    ]  # fmt: skip
