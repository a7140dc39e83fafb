"""Signals for a process that stands between a terminal and its child.

`Inbox` takes the signals that concern the child, says where each came from, and gives the old
handlers back. docs/adr/0004 has the reasons.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT")
_KEYBOARD = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGHUP")
KERNEL = -1
_SI_USER = 0
# Longest sleep while a signal may be lying with another thread, seconds.
_GLANCE = 0.25


@dataclass(frozen=True)
class Arrival:
    """A signal that came; `sender` is a process id, KERNEL, or None where that is not told.

    The id 0 stands for a process outside our namespace: whoever stops a container.
    """

    number: int
    sender: int | None


@contextlib.contextmanager
def unsignalled() -> Iterator[None]:
    """Make threads that are started inside deaf to signals, so that the main thread gets them.

    Programs that such threads start are deaf to them as well: a Ctrl-C meant for the agent does
    not kill a git that works for us. SIGCHLD stays open; some shells hang without it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers = {getattr(signal, name) for name in _NAMES}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def open_to_signals() -> Iterator[None]:
    """Block nothing in this thread meanwhile, so that a program started inside blocks nothing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def foreground() -> bool:
    """Say whether our process group owns the controlling terminal, if there is one."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)


class Inbox:
    """Takes signals meant for the child from `open` to `close`; used by the main thread only.

    A signal that was ignored before stays ignored (nohup, background jobs), so that the child
    inherits that. All others get handlers, never "ignore": exec sets handlers back to the
    default, so the child starts clean without code between fork and exec.
    """

    def __init__(self, *, tell_senders: bool | None = None) -> None:
        able = hasattr(signal, "sigtimedwait")
        self._tells = able if tell_senders is None else tell_senders and able
        self._arrived: deque[Arrival] = deque()
        self._old: dict[int, Any] = {}
        self._mask: set[Any] = set()
        self._held = False
        self._pipe: tuple[int, int] | None = None
        self._old_wakeup = -1

    def open(self) -> None:
        """Put the handlers in place; outside the main thread, where Python has none, nothing."""
        if threading.current_thread() is not threading.main_thread() or os.name == "nt":
            return
        for name in (*_NAMES, "SIGCHLD"):
            number = getattr(signal, name)
            if name == "SIGCHLD" or signal.getsignal(number) != signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._note)
        if not self._tells:
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[0], False)
            os.set_blocking(self._pipe[1], False)
            self._old_wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)

    def hold(self) -> None:
        """Queue signals in the kernel from now on, which keeps who sent them; after the spawn."""
        if self._tells and self._old:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, self._old.keys())
            self._mask = self._old.keys() - before
            self._held = True

    def close(self) -> None:
        """Swallow what is still queued and give the old handlers back."""
        if not self._old:
            return
        while self._next_queued(0.0) is not None:
            pass
        if self._mask:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._mask)
        self._held = False
        for number, handler in self._old.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._old.clear()
        if self._pipe is not None:
            signal.set_wakeup_fd(self._old_wakeup)
            for descriptor in self._pipe:
                os.close(descriptor)
            self._pipe = None

    def take(self, timeout: float) -> Arrival | None:
        """Wait for the next signal, at most `timeout` seconds; a child's change is one too."""
        if self._arrived:
            return self._arrived.popleft()
        timeout = max(0.0, min(timeout, _GLANCE))
        if not self._old:
            time.sleep(min(timeout, 0.02))
        elif self._tells:
            return self._next_queued(timeout)
        elif self._pipe is not None:
            import select

            select.select([self._pipe[0]], [], [], timeout)
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe[0], 512)
        return self._arrived.popleft() if self._arrived else None

    @contextlib.contextmanager
    def children_heard(self) -> Iterator[None]:
        """Let SIGCHLD through meanwhile: programs started inside would inherit its blocking."""
        with self._let_through(signal.SIGCHLD):
            yield

    def stop_ourselves(self) -> None:
        """Stop this process as Ctrl-Z would; returns when it was continued.

        The kernel refuses it to a process that nobody could continue (an orphaned group).
        """
        if signal.SIGTSTP not in self._old:
            return
        # The terminal's own Ctrl-Z may still be queued; let through, it would stop us twice.
        while self._held and signal.sigtimedwait({signal.SIGTSTP}, 0) is not None:
            pass
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        with self._let_through(signal.SIGTSTP):
            signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._note)

    def for_child(self, arrival: Arrival, child: int) -> bool:
        """Say whether the child did not get this signal itself and has to be told.

        What the terminal sends reaches the whole foreground group, the child included. Where
        the system does not tell senders, a keyboard's signal counts as the terminal's while we
        are in the foreground.
        """
        if arrival.number in (signal.SIGCHLD, signal.SIGCONT):
            return False
        if arrival.sender is not None:
            return arrival.sender not in (KERNEL, child)
        keyboard = {getattr(signal, name) for name in _KEYBOARD}
        return arrival.number not in keyboard or not foreground()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(Arrival(number, None))

    def _next_queued(self, timeout: float) -> Arrival | None:
        if not self._held:
            return None
        info = signal.sigtimedwait(self._old.keys(), timeout)
        if info is None:
            return self._arrived.popleft() if self._arrived else None
        # si_code is not positive when a process sent it; si_pid means nothing otherwise.
        return Arrival(info.si_signo, info.si_pid if info.si_code <= _SI_USER else KERNEL)

    @contextlib.contextmanager
    def _let_through(self, number: int) -> Iterator[None]:
        if number not in self._mask:
            yield
            return
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
