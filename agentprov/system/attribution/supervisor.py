"""The supervisor: a process that answers waiting calls, writes them down, and does no more.

Two of them run: one answers, the other stands by and takes over when the first dies or gets
stuck. Both are deaf to signals and in a session of their own. They end when nobody is left in
the tree. Once the recorder is gone, or has all it wants, calls are let through unseen.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import sys
import time

from agentprov.system.attribution import calls, records, resolve
from agentprov.system.attribution.calls import Call
from agentprov.system.attribution.contacts import Contacts
from agentprov.system.attribution.memory import Borrowed, Fault, Memory, Unreadable
from agentprov.system.attribution.records import Entry
from agentprov.system.attribution.resolve import Place, Unresolved
from agentprov.system.attribution.seccomp import Listener, Notification
from agentprov.system.attribution.shared import ACTIVE, BLIND, HANDLED, Shared

MAX_KNOWN = 100_000
MAX_LEDGER_BYTES = 256 * 1024 * 1024
_FLUSH_SECONDS = 0.5
_STUCK_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_MAX_FRESH = 256
_MAX_TRIES = 2


class _Fresh:
    """A file that is about to be created: its record, its directory, when that last changed.

    The directory's descriptor is its own from now on.
    """

    def __init__(self, item: Entry, directory: int, changed: int) -> None:
        self.item = item
        self.directory = directory
        self.changed = changed
        self.tries = 0


class Supervisor:
    """Answers for one listener. `mark` is a variable that processes of the tree carry."""

    def __init__(
        self, listener: Listener, shared: Shared, book: int, mark: bytes, memory: Memory
    ) -> None:
        self._listener = listener
        self._shared = shared
        self._book = book
        self._known: dict[tuple[object, ...], list[int]] = {}
        self._again: dict[tuple[object, ...], Entry] = {}
        self._fresh: dict[bytes, _Fresh] = {}
        self._size = os.fstat(book).st_size
        self._tables = {arch: calls.by_number(arch) for arch in calls.NUMBERS}
        self._memory = memory
        self._contacts = Contacts(mark, memory)
        self._flushed = time.monotonic()
        self.blind = False

    def take_over(self, *, stuck: bool) -> None:
        """Become the one who answers; first for a call that the one before left unanswered.

        With `stuck` that call is let through unseen: looking at it is what nobody survived.
        """
        self._shared.set(ACTIVE, os.getpid())
        # A record that was cut off must not swallow the next one.
        self._write(b"\0")
        left = self._listener.pending()
        if left is None:
            return
        if not self._listener.waits(left):
            self._listener.forget()
        elif stuck:
            self._miss(left, "the supervisor was stuck over a call")
            self._listener.let_through(left)
        else:
            self._serve(left)

    def step(self) -> None:
        """Answer one waiting call; the listener must be readable."""
        waiting = self._listener.receive()
        if waiting is not None:
            self._serve(waiting)

    def _serve(self, waiting: Notification) -> None:
        if self.blind:
            self._shared.add(BLIND)
        else:
            try:
                self._look(waiting)
            except Exception as error:  # noqa: BLE001 - whatever happens, the call must go on
                self._miss(waiting, f"{type(error).__name__} in the supervisor")
        self._listener.let_through(waiting)
        self._shared.add(HANDLED)

    def _look(self, waiting: Notification) -> None:
        call = self._tables.get(waiting.arch, {}).get(waiting.number & ~calls.X32_BIT)
        if call is None:
            self._miss(waiting, "a call of an unknown architecture")
            return
        if waiting.arch not in (calls.AUDIT_ARCH_X86_64, calls.AUDIT_ARCH_AARCH64):
            self._miss(waiting, "a program of a foreign architecture")
        try:
            self._by_kind(call, waiting)
        except Fault:
            # The kernel cannot read it either.
            return
        except Unreadable as error:
            if self._listener.waits(waiting):
                self._miss(waiting, f"the memory of {_name(waiting.pid)} is closed: {error}")
        except Unresolved as error:
            if self._listener.waits(waiting):
                self._miss(
                    waiting, f"a path of {_name(waiting.pid)} could not be followed: {error}"
                )

    def _by_kind(self, call: Call, waiting: Notification) -> None:
        if call.kind in ("contact", "bind"):
            address = self._contacts.outside(waiting, bound=call.kind == "bind")
            if address is not None:
                self._note(records.CONTACT, waiting, Place(address.encode("utf-8"), None))
        elif call.kind == "listener":
            self._miss(waiting, f"{_name(waiting.pid)} wanted a seccomp listener of its own")
        elif call.kind == "handle":
            self._miss(waiting, f"{_name(waiting.pid)} opened a file by handle")
        elif call.kind == "rename":
            self._renamed(call, waiting)
        else:
            self._named(call, waiting)

    def _place(
        self, call: Call, waiting: Notification, index: int, *, follow: bool
    ) -> Place | None:
        name = call.names[index]
        directory = resolve.AT_FDCWD
        if name.directory is not None:
            directory = _signed(waiting.arguments[name.directory])
        if name.path is None:
            return resolve.descriptor(waiting.pid, directory)
        path = self._memory.text(waiting.pid, waiting.arguments[name.path])
        if not path:
            return None
        place = resolve.find(
            waiting.pid, path, directory, follow=follow, hold=call.kind in _CREATING
        )
        # The ids that /proc was read by may have become another process's meanwhile.
        if self._listener.waits(waiting):
            return place
        if place.directory >= 0:
            os.close(place.directory)
        return None

    def _renamed(self, call: Call, waiting: Notification) -> None:
        old = self._place(call, waiting, 0, follow=False)
        new = self._place(call, waiting, 1, follow=False)
        if old is None or new is None:
            return
        directory = stat.S_ISDIR(old.mode) or stat.S_ISDIR(new.mode)
        kind = records.MOVED if directory else records.RENAMED
        self._note(kind, waiting, old)
        self._note(kind, waiting, new)

    def _named(self, call: Call, waiting: Notification) -> None:
        if call.kind == "open-how" and not self._flags(call, waiting) & calls.WRITE_FLAGS:
            return
        kind = _KINDS[call.kind]
        place = self._place(call, waiting, 0, follow=kind in (records.OPENED, records.MODE))
        if place is None:
            return
        kept = False
        try:
            kept = self._judge(kind, call, waiting, place)
        finally:
            if place.directory >= 0 and not kept:
                os.close(place.directory)

    def _judge(self, kind: str, call: Call, waiting: Notification, place: Place) -> bool:
        """Note what a call means; True when the directory's descriptor is kept."""
        other = place.mode and not (
            stat.S_ISREG(place.mode) or stat.S_ISLNK(place.mode) or kind == records.REMOVED
        )
        if other:
            # Devices, pipes and directories hold no lines.
            return False
        if place.path.startswith(_NO_FILES):
            return False
        if (
            kind == records.OPENED
            and place.file is None
            and self._flags(call, waiting) & calls.O_CREAT
        ):
            kind = records.CREATED
        self._note(kind, waiting, place)
        if kind == records.OPENED and place.links > 1:
            self._note(records.LINKED, waiting, place)
        if kind == records.CREATED and place.directory >= 0:
            self._expect(waiting, place)
            return True
        return False

    def _flags(self, call: Call, waiting: Notification) -> int:
        if call.flags is None:
            return calls.O_CREAT if call.kind == "create" else 0
        if call.kind == "open-how":
            return self._memory.number(waiting.pid, waiting.arguments[call.flags])
        return waiting.arguments[call.flags]

    def _note(self, kind: str, waiting: Notification, place: Place) -> None:
        now = time.time_ns()
        item = records.entry(kind, now, waiting.pid, place)
        key = (kind, item.path, item.parent, item.file)
        old = self._known.get(key)
        if old is not None:
            old[0] += 1
            old[1] = now
            self._again[key] = item
            return
        if len(self._known) >= MAX_KNOWN:
            self.flush()
            self._known.clear()
        self._write(item.encode())
        self._known[key] = [0, now]
        if kind in (records.REMOVED, records.RENAMED):
            self._settle(item.path)

    def _expect(self, waiting: Notification, place: Place) -> None:
        """What stands there soon, an outsider may move elsewhere: know it by itself too."""
        self._settle(place.path)
        item = records.entry(records.IDENTIFIED, time.time_ns(), waiting.pid, place)
        self._fresh[place.path] = _Fresh(item, place.directory, place.changed)

    def _settle(self, path: bytes) -> None:
        known = self._fresh.pop(path, None)
        if known is not None:
            os.close(known.directory)

    def _miss(self, waiting: Notification, reason: str) -> None:
        self._note(records.MISSED, waiting, Place(reason.encode("utf-8", "replace"), None))

    def flush(self, *, last: bool = False) -> None:
        """Write down what may wait: repeated calls, and files that were created meanwhile.

        With `last` nobody will look again for a file that is not there yet.
        """
        out = [self._identified(last)]
        for key, item in self._again.items():
            counted = self._known[key]
            kind = records.MISSED if item.kind == records.MISSED else records.AGAIN
            out.append(
                Entry(kind, counted[1], item.pid, item.parent, None, counted[0], item.path).encode()
            )
            counted[0] = 0
        self._again.clear()
        if any(out):
            self._write(b"".join(out))
        self._flushed = time.monotonic()

    def _identified(self, last: bool) -> bytes:
        out = []
        for path, fresh in list(self._fresh.items()):
            item = fresh.item
            found = resolve.identify(fresh.directory, os.path.basename(path))
            if found is not None:
                out.append(item._replace(file=found[0]))
            elif fresh.tries < _MAX_TRIES and not last:
                fresh.tries += 1
                continue
            elif _never_created(fresh):
                out.append(item._replace(kind=records.VOID))
            self._settle(path)
        return b"".join(item.encode() for item in out)

    def due(self) -> bool:
        """Say whether it is time to flush although calls keep coming."""
        return len(self._fresh) >= _MAX_FRESH or time.monotonic() - self._flushed >= _FLUSH_SECONDS

    def pending(self) -> bool:
        """Say whether a flush would write anything."""
        return bool(self._fresh or self._again)

    def _write(self, data: bytes) -> None:
        if self._size + len(data) > MAX_LEDGER_BYTES:
            self.blind = True
            self._shared.add(BLIND)
            return
        try:
            done = os.write(self._book, data)
        except OSError:
            done = 0
        self._size += done
        if done != len(data):
            # No room on disk: from here on nothing is known, and the page says so.
            self.blind = True
            self._shared.add(BLIND)


_KINDS = {
    "open": records.OPENED,
    "open-how": records.OPENED,
    "create": records.OPENED,
    "truncate": records.OPENED,
    "link": records.NAMED,
    "symlink": records.NAMED,
    "node": records.NAMED,
    "remove": records.REMOVED,
    "mode": records.MODE,
}


_CREATING = ("open", "open-how", "create")
# Regular to look at, yet what is written there is an order to the kernel.
_NO_FILES = (b"/proc/", b"/sys/")


def _never_created(fresh: _Fresh) -> bool:
    """Say whether the call must have failed: a sandbox or missing rights were in its way."""
    if os.fstat(fresh.directory).st_mtime_ns == fresh.changed:
        return True
    return not os.access(b"/proc/self/fd/%d" % fresh.directory, os.W_OK)


def _signed(argument: int) -> int:
    number = argument & 0xFFFFFFFF
    return number - (1 << 32) if number & 0x80000000 else number


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as stream:
            return stream.read().decode("utf-8", "replace").strip()
    except OSError:
        return "a process"


def _answer(supervisor: Supervisor, listener: int, control: socket.socket) -> None:
    """Answer until nobody is left in the tree."""
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.register(control.fileno(), select.POLLIN)
    while True:
        wait = 20 if supervisor.pending() else None
        events = dict(poller.poll(wait))
        if not events or supervisor.due():
            supervisor.flush()
        state = events.get(listener, 0)
        if state & select.POLLIN:
            supervisor.step()
        elif state:
            supervisor.flush(last=True)
            return
        if control.fileno() in events and not _asked(supervisor, control):
            poller.unregister(control.fileno())


def _asked(supervisor: Supervisor, control: socket.socket) -> bool:
    """Do what the recorder asks; False when it is gone."""
    try:
        word = control.recv(64)
    except OSError:
        word = b""
    supervisor.flush(last=word != b"flush")
    if word != b"flush":
        supervisor.blind = True
    with contextlib.suppress(OSError):
        control.send(b"done")
    return bool(word)


def _stand_by(shared: Shared, before: int, listener: int) -> bool:
    """Wait until the one who answers is gone or stuck, and end him then; gives "stuck"."""
    try:
        other = os.pidfd_open(before)
    except OSError:
        return False
    poller = select.poll()
    poller.register(other, select.POLLIN)
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    seen, since = (-1, -1), time.monotonic()
    try:
        while not poller.poll(_LOOK_SECONDS * 1000):
            now = (shared.get(HANDLED), shared.waiting)
            idle = not shared.waiting and not waiting.poll(0)
            if idle or now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > _STUCK_SECONDS:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(other, signal.SIGKILL)
                poller.poll(1000)
                return True
        return False
    finally:
        os.close(other)


def main() -> None:
    """Serve; argument 1 is the descriptor of the socket to the recorder."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    control = socket.socket(fileno=int(sys.argv[1]))
    message, descriptors, _, _ = socket.recv_fds(control, 4096, 4)
    if len(descriptors) < 3:
        return
    before, blind, mark = message.split(b" ", 2)
    listener = Listener(descriptors[0], (shared := Shared(descriptors[1])).room)
    memory = Borrowed(socket.socket(fileno=descriptors[3])) if descriptors[3:] else Memory()
    supervisor = Supervisor(listener, shared, descriptors[2], mark, memory)
    stuck = False
    if int(before):
        stuck = _stand_by(shared, int(before), descriptors[0])
    listener.hurry()
    supervisor.blind = bool(int(blind))
    supervisor.take_over(stuck=stuck)
    _answer(supervisor, descriptors[0], control)


if __name__ == "__main__":
    main()
