"""The wrapper on a real terminal, and without one: what the agent sees and what a shell sees."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.terminal import Terminal, environment, python, wrapper

SENDERS = [
    pytest.param(
        True,
        id="senders told",
        marks=pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="not told here"),
    ),
    pytest.param(False, id="senders not told"),
]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX process groups and terminals")

COUNTS_INTERRUPTS = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("ready", flush=True)
end = time.monotonic() + 20
while not seen and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.3)
print("interrupts:", len(seen), flush=True)
sys.exit(7)
"""

REPORTS_SIGNAL = """
import signal, sys, time
def leave(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    sys.exit(5)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), leave)
print("ready", flush=True)
time.sleep(20)
"""


def piped(command: list[str], cwd: Path, *, told: bool = True) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        wrapper(*command, told=told),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.terminal
@pytest.mark.parametrize("told", SENDERS)
def test_ctrl_c_reaches_the_child_once_and_its_own_status_is_returned(
    tmp_path: Path, told: bool
) -> None:
    command = wrapper(*python(COUNTS_INTERRUPTS), told=told)
    with Terminal(command, tmp_path, environment()) as terminal:
        terminal.until("ready")
        terminal.type("\x03")
        terminal.until("interrupts: 1\r\n")
        assert terminal.status() == 7


@pytest.mark.terminal
def test_a_child_that_dies_of_ctrl_c_gives_130(tmp_path: Path) -> None:
    command = wrapper("sh", "-c", "echo ready; exec sleep 20")
    with Terminal(command, tmp_path, environment()) as terminal:
        terminal.until("ready")
        time.sleep(0.2)
        terminal.type("\x03")
        terminal.until("wrapper: 130")
        assert terminal.status() == 130


@pytest.mark.terminal
def test_the_childs_three_streams_are_the_terminal_and_it_can_set_raw_mode(tmp_path: Path) -> None:
    program = """
import os, sys, tty, termios
print("ttys:", [os.isatty(n) for n in range(3)], os.tcgetpgrp(0) == os.getpgrp(), flush=True)
old = termios.tcgetattr(0)
tty.setraw(0)
sys.stdout.write("raw" + chr(10)); sys.stdout.flush()
key = os.read(0, 1)
termios.tcsetattr(0, termios.TCSADRAIN, old)
print("key:", key, flush=True)
"""
    with Terminal(wrapper(*python(program)), tmp_path, environment()) as terminal:
        terminal.until("ttys: [True, True, True] True")
        terminal.until("raw")
        terminal.type("\x03")
        terminal.until("key: b'\\x03'")
        assert terminal.status() == 0


@pytest.mark.terminal
def test_a_resized_window_is_seen_by_the_child(tmp_path: Path) -> None:
    program = """
import os, signal, time
changed = []
signal.signal(signal.SIGWINCH, lambda *_: changed.append(os.get_terminal_size(0)))
print("ready", flush=True)
while not changed:
    time.sleep(0.01)
print("size:", changed[0].lines, changed[0].columns, flush=True)
"""
    with Terminal(wrapper(*python(program)), tmp_path, environment()) as terminal:
        terminal.until("ready")
        terminal.resize(41, 123)
        terminal.until("size: 41 123")
        assert terminal.status() == 0


@pytest.mark.terminal
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash for job control")
@pytest.mark.parametrize("told", SENDERS)
@pytest.mark.parametrize("how", ["default", "caught", "alone"])
def test_ctrl_z_gives_the_shell_back_and_fg_resumes_the_child(
    tmp_path: Path, how: str, told: bool
) -> None:
    program = f"""
import os, signal, sys, time
how = {how!r}
def caught(*_):
    time.sleep(0.2)
    print("tidied up", flush=True)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
if how == "caught":
    signal.signal(signal.SIGTSTP, caught)
resumed = []
signal.signal(signal.SIGCONT, lambda *_: resumed.append(1))
print("re" + "ady", flush=True)
if how == "alone":
    os.kill(os.getpid(), signal.SIGSTOP)
while not resumed:
    time.sleep(0.01)
print("resumed", flush=True)
line = sys.stdin.readline()
print("read:", line.strip()[::-1], flush=True)
sys.exit(9)
"""
    script = tmp_path / "agent.py"
    script.write_text(program)
    start = tmp_path / "start.py"
    start.write_text(wrapper(told=told)[2])
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, tmp_path, environment(PS1="", HISTFILE="/dev/null")) as terminal:
        terminal.type(f"{sys.executable} start.py {sys.executable} agent.py\n")
        terminal.until("ready")
        if how != "alone":
            time.sleep(0.2)
            terminal.type("\x1a")
        if how == "caught":
            terminal.until("tidied up")
        terminal.until("Stopped")
        terminal.type("echo shell-$((40+2))\n")
        terminal.until("shell-42")
        terminal.type("fg\n")
        terminal.until("resumed")
        terminal.type("abc\n")
        terminal.until("read: cba")
        terminal.until("wrapper: 9")
        terminal.type("echo status-$?\n")
        terminal.until("status-9")
        terminal.type("exit\n")
        assert terminal.status() == 0


@pytest.mark.parametrize("told", SENDERS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_a_signal_sent_to_the_wrapper_alone_reaches_the_child(
    tmp_path: Path, name: str, told: bool
) -> None:
    process = piped(python(REPORTS_SIGNAL, name), tmp_path, told=told)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(getattr(signal, name))
    assert process.stdout.read() == f"got {name}\n".encode()
    process.stdout.close()
    assert process.wait(20) == 5


@pytest.mark.terminal
@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="senders are not told here")
def test_kill_from_elsewhere_reaches_a_child_in_the_foreground(tmp_path: Path) -> None:
    command = wrapper(*python(REPORTS_SIGNAL, "SIGINT"))
    with Terminal(command, tmp_path, environment()) as terminal:
        terminal.until("ready")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("got SIGINT")
        assert terminal.status() == 5


def test_a_child_stopped_without_a_terminal_does_not_stop_the_wrapper(tmp_path: Path) -> None:
    # A group of its own in our session: a group that may be stopped, but is not in front.
    process = subprocess.Popen(
        wrapper("sh", "-c", "echo $$; kill -STOP $$; echo on; exit 4"),
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    time.sleep(0.3)
    os.kill(child, signal.SIGCONT)
    assert process.stdout.readline() == b"on\n"
    process.stdout.close()
    assert process.wait(20) == 4


def test_continuing_the_wrapper_alone_continues_a_stopped_child(tmp_path: Path) -> None:
    process = piped(["sh", "-c", "echo ready; kill -STOP $$; echo on; exit 4"], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGCONT)
    assert process.wait(20) == 4
    assert process.stdout.read() == b"on\n"
    process.stdout.close()


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -INT $$", 130),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
    ],
)
def test_the_exit_status_is_the_childs_as_a_shell_tells_it(
    tmp_path: Path, script: str, status: int
) -> None:
    done = subprocess.run(
        wrapper("sh", "-c", script),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == status


def test_bytes_go_through_pipes_unchanged_and_unread_input_is_left(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    done = subprocess.run(
        wrapper("cat"),
        input=data,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.stdout == data
    source = tmp_path / "input"
    source.write_bytes(b"one\ntwo\n")
    with source.open("rb") as stream:
        subprocess.run(wrapper("true"), stdin=stream, cwd=tmp_path, env=environment(), check=True)
        assert os.lseek(stream.fileno(), 0, os.SEEK_CUR) == 0


def test_a_closed_pipe_ends_the_child_as_without_us(tmp_path: Path) -> None:
    command = ["sh", "-c", 'yes 2>/dev/null; echo "$?" >status']
    process = piped(command, tmp_path)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    process.wait(20)
    assert (tmp_path / "status").read_text() == "141\n"


def test_descriptors_of_the_shell_are_the_childs(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"from a process substitution\n")
    os.close(writing)
    done = subprocess.run(
        wrapper("cat", f"/dev/fd/{reading}"),
        pass_fds=(reading,),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    os.close(reading)
    assert done.stdout == b"from a process substitution\n"


def test_the_child_starts_with_default_signals_and_none_blocked(tmp_path: Path) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    done = subprocess.run(
        wrapper("grep", "-E", "^Sig(Blk|Ign)", str(status)),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    masks = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) == 0


def test_a_signal_ignored_by_nohup_stays_ignored_in_the_child(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *wrapper("sh", "-c", "kill -HUP $$; echo on")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.stdout == b"on\n"
