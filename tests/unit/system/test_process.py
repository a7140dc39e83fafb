from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentprov.errors import CannotStart
from agentprov.system import process
from agentprov.system.process import ExecFailed, spawn, which
from support.terminal import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def run(*argv: str, cwd: Path, **env: str) -> int:
    return spawn(argv, environment(**env), cwd).wait()


def wait_for(path: Path, seconds: float = 10) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.01)
    raise AssertionError(f"{path.name} never came")


def test_which_searches_the_childs_path_in_order_and_skips_what_cannot_run(
    tmp_path: Path,
) -> None:
    program(tmp_path / "a" / "tool", mode=0o644)
    (tmp_path / "b" / "tool").mkdir(parents=True)
    found = program(tmp_path / "c" / "tool")
    program(tmp_path / "d" / "tool")
    path = os.pathsep.join(str(tmp_path / name) for name in "abcd")
    assert which("tool", tmp_path, {"PATH": path}) == found


def test_which_takes_empty_and_relative_entries_from_the_childs_directory(tmp_path: Path) -> None:
    here = program(tmp_path / "tool")
    below = program(tmp_path / "bin" / "other")
    assert which("tool", tmp_path, {"PATH": "/nowhere:"}) == here
    assert which("other", tmp_path, {"PATH": "bin"}) == below
    assert which("./tool", tmp_path, {"PATH": "/nowhere"}) == here
    assert which("bin/other", tmp_path, {}) == below


def test_which_leaves_symbolic_links_as_they_are(tmp_path: Path) -> None:
    program(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert which("link", tmp_path, {"PATH": str(tmp_path)}) == tmp_path / "link"


@pytest.mark.parametrize("command", ["nothing-of-that-name", "./nothing", ""])
def test_a_missing_command_is_127(tmp_path: Path, command: str) -> None:
    with pytest.raises(ExecFailed) as caught:
        spawn([command], environment(), tmp_path)
    assert caught.value.status == 127


def test_what_is_there_but_cannot_run_is_126_and_says_why(tmp_path: Path) -> None:
    program(tmp_path / "file", mode=0o644)
    (tmp_path / "dir").mkdir()
    program(tmp_path / "orphan", "#!/no/such/interpreter\n")
    for command, why in (
        ("./file", "not executable"),
        ("./dir", "directory"),
        ("./orphan", "interpreter"),
    ):
        with pytest.raises(ExecFailed, match=why) as caught:
            spawn([command], environment(), tmp_path)
        assert caught.value.status == 126


def test_a_failed_start_leaves_the_signal_handlers_as_they_were(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    program(tmp_path / "orphan", "#!/no/such/interpreter\n")
    with pytest.raises(ExecFailed):
        spawn(["./orphan"], environment(), tmp_path)
    assert before == {number: signal.getsignal(number) for number in signal.valid_signals()}


def test_after_waiting_handlers_and_mask_are_as_they_were(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert run("true", cwd=tmp_path) == 0
    assert before == {number: signal.getsignal(number) for number in signal.valid_signals()}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_a_directory_that_is_gone_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="not a directory"):
        spawn(["true"], environment(), tmp_path / "gone")


def test_a_script_without_a_first_line_runs_under_sh(tmp_path: Path) -> None:
    program(tmp_path / "script", 'exit "$1"\n')
    assert run("./script", "6", cwd=tmp_path) == 6


def test_the_command_is_passed_as_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "typed").symlink_to(sys.executable)
    code = "import sys; open('argv', 'w').write(sys.orig_argv[0] + chr(10))"
    assert run("./typed", "-S", "-c", code, cwd=tmp_path) == 0
    assert (tmp_path / "argv").read_text() == "./typed\n"


def test_ticks_come_while_waiting_and_a_failing_one_does_not_lose_the_child(
    tmp_path: Path,
) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        raise RuntimeError("disk full")

    running = spawn(["sh", "-c", "sleep 0.4; exit 3"], environment(), tmp_path)
    assert running.wait(tick, 0.05) == 3
    assert len(ticks) >= 3
    assert str(running.tick_failure) == "disk full"


def test_programs_started_by_a_tick_keep_their_own_status_and_hear_their_children(
    tmp_path: Path,
) -> None:
    seen: list[int] = []

    def tick() -> None:
        script = "sleep 0.01 & wait $!; exit 42"
        seen.append(subprocess.run(["sh", "-c", script], check=False, timeout=20).returncode)
        with (tmp_path / "blocked").open("w") as out:
            subprocess.run(["grep", "SigBlk", "/proc/self/status"], stdout=out, check=False)

    assert spawn(["sleep", "0.3"], environment(), tmp_path).wait(tick, 0.05) == 0
    assert set(seen) == {42}
    if Path("/proc/self").exists():
        blocked = int((tmp_path / "blocked").read_text().split()[1], 16)
        assert not blocked & 1 << signal.SIGCHLD - 1
        assert blocked & 1 << signal.SIGINT - 1


def test_the_end_of_the_child_is_noticed_long_before_the_next_tick(tmp_path: Path) -> None:
    started = time.monotonic()
    assert spawn(["true"], environment(), tmp_path).wait(lambda: None, 60) == 0
    assert time.monotonic() - started < 2


def test_a_child_that_was_waited_for_is_not_waited_for_again(tmp_path: Path) -> None:
    code = """
import gc, os
from pathlib import Path
from agentprov.system.process import spawn
spawn(["true"], dict(os.environ), Path.cwd()).wait()
gc.collect()
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert done.stderr == b""


def test_waiting_works_outside_the_main_thread(tmp_path: Path) -> None:
    statuses: list[int] = []
    thread = threading.Thread(
        target=lambda: statuses.append(run("sh", "-c", "exit 8", cwd=tmp_path))
    )
    thread.start()
    thread.join()
    assert statuses == [8]


def test_a_detached_worker_has_its_own_session_and_outlives_its_starter(tmp_path: Path) -> None:
    worker = """
import os, time
from pathlib import Path
time.sleep(0.3)
ends = [os.readlink(f"/proc/self/fd/{n}") if os.path.isdir("/proc/self") else "/dev/null"
        for n in range(3)]
Path("worker").write_text(f"{os.getsid(0) != int(os.environ['STARTER'])} {set(ends)}\\n")
"""
    starter = f"""
import os, sys
from pathlib import Path
from agentprov.system.process import detach
env = dict(os.environ, STARTER=str(os.getsid(0)))
detach([sys.executable, "-S", "-c", {worker!r}], env, Path.cwd())
"""
    subprocess.run([sys.executable, "-c", starter], cwd=tmp_path, env=environment(), check=True)
    assert not (tmp_path / "worker").exists()
    assert wait_for(tmp_path / "worker") == "True {'/dev/null'}\n"


def test_a_worker_that_does_not_exist_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ExecFailed):
        process.detach(["no-such-worker"], environment(), tmp_path)
