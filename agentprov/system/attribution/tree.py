"""The recorder's side: starts an agent under attribution and says what its tree named.

Whatever cannot be had becomes a gap; the agent runs all the same. One supervisor is started
before the agent; `check` adds a second, which stands by, and replaces one that died. Should
none be left and none start, a thread of ours lets calls through unseen, so that no write ever
hangs or fails for our sake.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from agentprov.errors import CannotStart
from agentprov.formats.facts import Gap
from agentprov.system import process
from agentprov.system.attribution import ledger, memory, records, resolve, seccomp
from agentprov.system.attribution.launcher import GO
from agentprov.system.attribution.ledger import Attributed
from agentprov.system.attribution.shared import ACTIVE, BLIND, Shared
from agentprov.system.clock import rfc3339
from agentprov.system.process import Running, unsignalled

_ROOT = Path(__file__).resolve().parents[3]
# Without site-packages a start takes a third of the time; we need the standard library only.
_START = (
    "import sys;sys.path.append(sys.argv.pop(1));"
    "from agentprov.system.attribution.{} import main;main()"
)
_MAX_STARTS = 50
_ANSWER_SECONDS = 5.0
_CAP_SYS_PTRACE = 1 << 19
UNAVAILABLE = "process-attribution-unavailable"
MISSED = "process-attribution-missed"
RESTARTED = "process-attribution-supervisor-died"


def available() -> str | None:
    """Say why processes cannot be attributed here, None when they can; changes nothing.

    A refusal that only shows at the start (a container's profile, a notifier above us) is not
    foreseen: it becomes a gap then.
    """
    why = seccomp.unsupported()
    if why is not None:
        return why
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as stream:
            scope = stream.read().strip()
    except OSError:
        return None
    if scope not in ("0", "1") and not _may_trace():
        return f"kernel.yama.ptrace_scope is {scope}: reading what a write names is forbidden"
    return None


def _only_ancestors_read() -> bool:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as stream:
            return stream.read().strip() == "1" and not _may_trace()
    except OSError:
        return False


def _may_trace() -> bool:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
            lines = [line for line in stream if line.startswith("CapEff:")]
        return bool(int(lines[0].split()[1], 16) & _CAP_SYS_PTRACE)
    except (OSError, ValueError, IndexError):
        return False


def loses_privileges(path: Path) -> bool:
    """Say whether a program is set-user-id, set-group-id or has capabilities of its own."""
    try:
        if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return bool(os.getxattr(path, "security.capability"))
    except (OSError, AttributeError):
        return False


class _Supervisor:
    """A supervisor that was started; `orders` once, then short words."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with unsignalled():
                self.process = subprocess.Popen(
                    [
                        sys.executable, "-I", "-S", "-c", _START.format("supervisor"),
                        str(_ROOT), str(theirs.fileno()),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    # Nothing of the session: left-overs are told by a variable they carry.
                    env={"PATH": os.defpath},
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )  # fmt: skip
        except OSError:
            self.control.close()
            raise
        finally:
            theirs.close()
        self.control.settimeout(_ANSWER_SECONDS)

    def order(self, orders: str, descriptors: Sequence[int]) -> None:
        with contextlib.suppress(OSError):
            socket.send_fds(self.control, [os.fsencode(orders)], list(descriptors))

    def ask(self, word: bytes) -> bool:
        """Send a word and wait for the answer; False when none comes."""
        try:
            self.control.send(word)
            return self.control.recv(16) == b"done"
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it; it ends by itself when the tree is gone."""
        self.control.close()
        # It may outlive us; nobody is to wait for it.
        self.process.returncode = self.process.poll() or 0


class Attribution:
    """Attribution of one agent's tree; made by `start`, used by the main thread only."""

    def __init__(self, scratch: Path, mark: str) -> None:
        self._mark = mark
        self._gaps: list[Gap] = []
        self._whole = False
        self._listener: int | None = None
        self._shared: Shared | None = None
        self._book: int | None = None
        self._book_path = scratch / "attribution"
        self._supervisors: list[_Supervisor] = []
        self._starts = 0
        self._root = 0
        self._stopped: Attributed | None = None
        self._relay: threading.Thread | None = None
        self._lending = _only_ancestors_read()
        self._refusal: str | None = available()

    @classmethod
    def start(cls, scratch: Path, mark: str = "") -> Attribution:
        """Make ready in a private directory; never fails, what cannot be had becomes a gap.

        `mark` is a ``NAME=value`` that the agent's processes will carry in their environment:
        it tells a server that the agent started itself from one that was there before.
        """
        made = cls(scratch, mark)
        if made._refusal is None:
            try:
                made._shared = Shared.create()
                made._book = os.open(
                    made._book_path,
                    os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC,
                    0o600,
                )
                # One for now: a second start would slow the agent's own. `check` adds it.
                made._supervisors = [_Supervisor()]
                made._starts = 1
            except OSError as error:
                made._refusal = f"cannot set up: {error.strerror}"
        if made._refusal is not None:
            made._gap(UNAVAILABLE, made._refusal)
        return made

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Running:
        """Start the agent as `process.spawn` does, with the same errors and the same terminal.

        Raises ExecFailed and CannotStart as there, and CannotStart for a set-user-id program,
        which could not do its work without its privileges.
        """
        if self._refusal is not None:
            return process.spawn(argv, env, cwd)
        if not cwd.is_dir():
            raise CannotStart(f"{cwd} is not a directory")
        path = process.which(argv[0], cwd, env)
        if os.geteuid() != 0 and loses_privileges(path):
            raise CannotStart(
                f"{argv[0]} is set-user-id or has capabilities, which are lost under attribution",
                hint="leave out --attribute processes for this command",
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            theirs.set_inheritable(True)
            running = process.spawn(self._launch(theirs.fileno(), path, argv), env, cwd)
            theirs.close()
            # The launcher becomes the agent.
            self._root = running.pid
            return self._await(ours, running, argv, env, cwd)

    @staticmethod
    def _launch(report: int, path: Path, argv: Sequence[str]) -> list[str]:
        start = _START.format("launcher")
        return [
            sys.executable, "-I", "-S", "-c", start, str(_ROOT), str(report),
            seccomp.program(os.uname().machine).hex(), str(path), *argv,
        ]  # fmt: skip

    def _await(
        self,
        report: socket.socket,
        running: Running,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
    ) -> Running:
        message, descriptors, _, _ = socket.recv_fds(report, 65_536, 1)
        word, _, rest = message.partition(b" ")
        if word == b"listening" and descriptors:
            self._serve(descriptors[0], rest)
            # It may have been killed meanwhile; how it ended is told by its status.
            with contextlib.suppress(OSError):
                report.send(GO)
        elif word == b"refused":
            self._give_up(_refusal(rest))
        elif _killed(running.pid):
            # Ctrl-C while it started: that is the answer, not a reason to start again.
            return running
        else:
            running.wait()
            self._give_up("the launcher did not start")
            return process.spawn(argv, env, cwd)
        if report.recv(64):
            running.wait()
            self._give_up("the launcher could not execute the program")
            # Nothing ran. The same failure again, in the words of a plain start.
            return process.spawn(argv, env, cwd)
        return running

    def _serve(self, listener: int, held: bytes) -> None:
        self._listener = listener
        self._whole = True
        now = time.time_ns()
        for path in held.split(b"\0"):
            if path and self._book is not None:
                self._hold(path, now)
        self._order(self._supervisors[0], before=0)

    def _hold(self, path: bytes, now: int) -> None:
        """Note a file that the agent was handed open for writing."""
        assert self._book is not None
        with contextlib.suppress(OSError):
            found = resolve.identify(resolve.AT_FDCWD, path)
            parent = resolve.identify(resolve.AT_FDCWD, os.path.dirname(path), follow=True)
            place = resolve.Place(
                path,
                (parent[0].device, parent[0].inode) if parent else None,
                found[0] if found else None,
            )
            os.write(self._book, records.entry(records.OPENED, now, 0, place).encode())

    def _order(self, supervisor: _Supervisor, *, before: int) -> None:
        assert self._listener is not None
        assert self._shared is not None
        assert self._book is not None
        orders = f"{before} {int(self._stopped is not None)} {self._mark}"
        descriptors = [self._listener, self._shared.descriptor, self._book]
        if not self._lending:
            supervisor.order(orders, descriptors)
            return
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, unsignalled():
            threading.Thread(target=_lend, args=(mine,), daemon=True).start()
            supervisor.order(orders, [*descriptors, theirs.fileno()])

    def _give_up(self, why: str) -> None:
        self._refusal = why
        self._whole = False
        self._gap(UNAVAILABLE, why)
        self._let_go()

    def check(self) -> None:
        """Replace a supervisor that died; call now and then while the agent runs."""
        if self._listener is None or self._stopped is not None:
            return
        died = [one for one in self._supervisors if one.process.poll() not in (None, 0)]
        for one in died:
            one.control.close()
            self._supervisors.remove(one)
        if died:
            self._gap(RESTARTED, f"{len(died)} of them; another went on")
        while len(self._supervisors) < 2 and self._relay is None and self._replace():
            continue

    def _replace(self) -> bool:
        before = self._supervisors[0].process.pid if self._supervisors else 0
        try:
            if self._starts >= _MAX_STARTS:
                raise OSError(0, "supervisors keep dying")
            fresh = _Supervisor()
        except OSError as error:
            if not self._supervisors:
                self._let_all_through(str(error.strerror))
            return False
        self._starts += 1
        self._order(fresh, before=before)
        self._supervisors.append(fresh)
        return True

    def _let_all_through(self, why: str) -> None:
        """Answer ourselves, unseen: an agent whose writes hang is worse than a gap."""
        self._whole = False
        self._gap(MISSED, f"no supervisor: {why}")
        assert self._listener is not None
        assert self._shared is not None
        listener = seccomp.Listener(self._listener, self._shared.room)
        self._relay = threading.Thread(target=_relay, args=(listener,), daemon=True)
        with unsignalled():
            self._relay.start()

    def so_far(self) -> Attributed:
        """Give what is known by now, while the agent goes on."""
        return self._stopped or self._read()

    def stop(self) -> Attributed:
        """End recording and give what is known; the same answer every time.

        Processes of the tree that go on are served, unseen, as long as they live.
        """
        if self._stopped is None:
            self.check()
            self._stopped = self._read(b"end")
            self._let_go()
        return self._stopped

    def _read(self, word: bytes = b"flush") -> Attributed:
        if self._book is None or self._listener is None or self._shared is None:
            return Attributed(gaps=tuple(self._gaps))
        active = self._shared.get(ACTIVE)
        for one in self._supervisors:
            # One that ended by itself has told all: nobody is left in the tree.
            if one.process.pid == active:
                one.ask(word)
        try:
            data = self._book_path.read_bytes()
        except OSError as error:
            gap = self._make(MISSED, f"the ledger cannot be read: {error.strerror}")
            return Attributed(gaps=(*self._gaps, gap))
        known = self._locate(ledger.read(data))
        known = replace(
            known,
            gaps=(*self._gaps, *known.gaps),
            complete=known.complete and self._whole,
            root=self._root,
        )
        blind = self._shared.get(BLIND)
        if blind:
            known = ledger.with_gap(known, self._make(MISSED, f"{blind} calls or records"))
        return known

    def _locate(self, known: Attributed) -> Attributed:
        """Identify created files that were not yet; one that an outsider took away is a gap."""
        found, lost = dict(known.files), 0
        for path in known.unseen:
            with contextlib.suppress(OSError):
                there = resolve.identify(resolve.AT_FDCWD, path)
                if there is not None:
                    found[there[0]] = known.paths[path]
                    continue
            # Where we may not write, the call itself has failed.
            lost += os.access(os.path.dirname(path), os.W_OK)
        known = replace(known, files=found)
        if lost:
            known = ledger.with_gap(
                known, self._make(MISSED, f"{lost} created files were taken away from outside")
            )
        return known

    def _let_go(self) -> None:
        for one in self._supervisors:
            if self._listener is None:
                with contextlib.suppress(OSError):
                    one.process.kill()
                    one.process.wait()
            one.close()
        self._supervisors = []
        if self._relay is None and self._listener is not None:
            os.close(self._listener)
            self._listener = None
        if self._book is not None:
            os.close(self._book)
            self._book = None

    def _gap(self, why: str, detail: str) -> None:
        self._gaps.append(self._make(why, detail))

    @staticmethod
    def _make(why: str, detail: str) -> Gap:
        now = rfc3339(datetime.now(UTC))
        return Gap(why, now, now, detail)


def _killed(pid: int) -> bool:
    """Say whether a child that is ending was ended by a signal; it stays to be waited for."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return ended is not None and ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED)


def _refusal(rest: bytes) -> str:
    code, _, text = rest.decode("utf-8", "replace").partition(" ")
    if code == str(errno.EBUSY):
        return "a seccomp notifier is above us already (a run inside a run, or a sandbox)"
    return f"seccomp was refused: {text}"


def _lend(borrower: socket.socket) -> None:
    eyes = memory.Memory()
    with borrower:
        while memory.lend(borrower, eyes):
            pass


def _relay(listener: seccomp.Listener) -> None:
    poller = select.poll()
    poller.register(listener.descriptor, select.POLLIN)
    left = listener.pending()
    if left is not None:
        listener.let_through(left)
    while True:
        for _, state in poller.poll():
            if not state & select.POLLIN:
                return
            waiting = listener.receive()
            if waiting is not None:
                listener.let_through(waiting)
