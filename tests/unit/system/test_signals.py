from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from agentprov.system.signals import KERNEL, Arrival, Inbox, unsignalled

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")


@pytest.fixture(params=[True, False], ids=["told who sent it", "not told"])
def inbox(request: pytest.FixtureRequest) -> Inbox:
    return Inbox(tell_senders=request.param)


def test_a_signal_is_queued_and_not_acted_upon(inbox: Inbox) -> None:
    inbox.open()
    inbox.hold()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        arrival = inbox.take(1)
        assert arrival is not None
        assert arrival.number == signal.SIGINT
        assert arrival.sender in (None, os.getpid())
        assert inbox.take(0.01) is None
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        inbox.close()


def test_a_child_that_ends_wakes_the_waiter(inbox: Inbox) -> None:
    inbox.open()
    try:
        child = subprocess.Popen(["sleep", "0.05"])
        inbox.hold()
        started = time.monotonic()
        arrival = inbox.take(0.25)
        assert arrival is not None
        assert arrival.number == signal.SIGCHLD
        assert time.monotonic() - started < 0.25
        child.wait()
    finally:
        inbox.close()


def test_a_signal_between_opening_and_holding_is_kept(inbox: Inbox) -> None:
    inbox.open()
    os.kill(os.getpid(), signal.SIGUSR1)
    inbox.hold()
    try:
        assert inbox.take(1) == Arrival(signal.SIGUSR1, None)
    finally:
        inbox.close()


def test_what_the_terminal_or_the_child_itself_sent_is_not_sent_again(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, child, other = 0, 77, 78
    told = {
        sender: inbox.for_child(Arrival(signal.SIGINT, sender), child)
        for sender in (KERNEL, child, other, outside)
    }
    assert told == {KERNEL: False, child: False, other: True, outside: True}
    assert not inbox.for_child(Arrival(signal.SIGCHLD, other), child)
    monkeypatch.setattr("agentprov.system.signals.foreground", lambda: True)
    assert not inbox.for_child(Arrival(signal.SIGINT, None), child)
    assert inbox.for_child(Arrival(signal.SIGTERM, None), child)
    monkeypatch.setattr("agentprov.system.signals.foreground", lambda: False)
    assert inbox.for_child(Arrival(signal.SIGINT, None), child)


def test_threads_started_unsignalled_take_no_signal_but_hear_their_children() -> None:
    masks: list[set[signal.Signals]] = []
    thread = threading.Thread(
        target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with unsignalled():
        thread.start()
    thread.join()
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGTSTP} <= masks[0]
    assert signal.SIGCHLD not in masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_an_ignored_signal_is_left_ignored(inbox: Inbox) -> None:
    code = """
import signal
from agentprov.system.signals import Inbox
signal.signal(signal.SIGHUP, signal.SIG_IGN)
inbox = Inbox(); inbox.open(); inbox.hold()
print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
inbox.close()
"""
    from support.terminal import environment

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
