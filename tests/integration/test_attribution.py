"""Process attribution with real programs: what is named, what is not, and what goes wrong."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agentprov.errors import CannotStart
from agentprov.record.attribution import contact_gap
from agentprov.system.attribution import tree
from agentprov.system.attribution.ledger import Attributed
from agentprov.system.attribution.tree import Attribution
from agentprov.system.process import ExecFailed
from support.attributed import (
    Ran,
    attribute,
    needs_attribution,
    python,
    static_c,
    static_go,
    wait_until,
)
from support.repository import Repository

pytestmark = needs_attribution


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return static_c(tmp_path_factory.mktemp("c"))


ROOT = Path(tree.__file__).resolve().parents[3]


def available_to_nobody(program: str) -> bool:
    """Say whether a user without rights can run a program and import ours."""
    try:
        done = subprocess.run(
            [program, "-c", "import agentprov.system.attribution.tree"],
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            user=65534,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def shell(script: str, top: Path, scratch: Path) -> Ran:
    return attribute("sh", "-c", script, top=top, scratch=scratch)


def test_a_shell_names_what_it_writes_and_not_what_it_reads(top: Path, scratch: Path) -> None:
    (top / "read").write_text("only read\n")
    ran = shell("cat read > written; echo more >> written; : < read", top, scratch)
    assert ran.status == 0
    assert ran.named() == {"written"}
    times = ran.attributed.paths[os.fsencode(top / "written")]
    assert times.calls == 2
    assert times.first <= times.last
    assert ran.attributed.complete
    assert ran.attributed.gaps == ()


def test_a_static_binary_names_every_kind_of_call(top: Path, scratch: Path, writer: Path) -> None:
    (top / "dir").mkdir()
    (top / "dir" / "gone").write_text("x")
    (top / "cut").write_text("xyz")
    ran = attribute(writer, "at", top / "dir", top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {
        "dir/by-descriptor", "dir/linked", "dir/renamed", "dir/symbolic", "dir/gone",
        "dir/node", "dir/by-how", "cut", "made",
    }  # fmt: skip
    assert ran.attributed.complete


def test_a_go_binary_is_seen(
    top: Path, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran = attribute(static_go(tmp_path_factory.mktemp("go")), top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {"from-go-1", "from-go-2"}


def test_node_is_seen(top: Path, scratch: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    script = (
        "const fs=require('fs');fs.writeFileSync('sync.js','1');"
        "fs.promises.writeFile('async.js','2').then(()=>fs.renameSync('sync.js','moved.js'))"
    )
    ran = attribute(node, "-e", script, top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {"sync.js", "async.js", "moved.js"}
    assert ran.attributed.complete


def test_chdir_and_parents_are_followed(top: Path, scratch: Path, writer: Path) -> None:
    ran = attribute(writer, "chdir", top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {"deep/inner", "outer"}


def test_every_thread_is_seen(top: Path, scratch: Path, writer: Path) -> None:
    ran = attribute(writer, "threads", top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {f"{name}-{i}" for name in ("one", "two") for i in range(50)}


def test_a_burst_of_ten_thousand_files_is_seen_whole(
    top: Path, scratch: Path, writer: Path
) -> None:
    ran = attribute(writer, "burst", 10_000, top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {f"f{i:05d}" for i in range(10_000)}
    assert ran.attributed.complete


def test_symbolic_links_lead_to_the_file_that_is_written(top: Path, scratch: Path) -> None:
    (top / "real").mkdir()
    (top / "dir-link").symlink_to("real")
    (top / "file-link").symlink_to(top / "real" / "target")
    (top / "dangling").symlink_to("real/later")
    script = "echo 1 > dir-link/inside; echo 2 > file-link; echo 3 > dangling"
    ran = shell(script, top, scratch)
    assert ran.named() == {"real/inside", "real/target", "real/later"}
    assert ran.untouched("real/inside", "real/target", "real/later", "file-link") == {"file-link"}


def test_a_commit_of_a_humans_edit_leaves_it_untouched(top: Path, scratch: Path) -> None:
    repository = Repository(top)
    repository.write("mine.txt", "one\n")
    repository.write("theirs.txt", "one\n")
    repository.commit("first")
    with (top / "mine.txt").open("a") as stream:
        stream.write("by hand\n")
    ran = shell("echo agent >> theirs.txt; git add -A; git commit -qm both", top, scratch)
    assert ran.status == 0
    assert ran.untouched("mine.txt", "theirs.txt") == {"mine.txt"}
    assert ".git/index" in ran.named()


def test_a_human_editor_at_the_same_time_is_told_apart(top: Path, scratch: Path) -> None:
    """Editors write in place, or aside and rename; temporary files of the agent free inodes."""
    editing = threading.Event()

    def edit(_: Attribution) -> None:
        def work() -> None:
            for number in range(40):
                (top / f"in-place-{number}").write_text("by hand\n")
                aside = top / f".saved-{number}~"
                aside.write_text("by hand\n")
                aside.rename(top / f"saved-{number}")
                time.sleep(0.002)
            editing.set()

        threading.Thread(target=work).start()

    script = (
        "i=0; while [ $i -lt 150 ]; do echo x > a$i.tmp; mv a$i.tmp a$i; echo y > t; rm t;"
        " i=$((i+1)); done"
    )
    ran = attribute("sh", "-c", script, top=top, scratch=scratch, meanwhile=edit)
    assert editing.wait(10)
    human = {f"{how}-{number}" for how in ("in-place", "saved") for number in range(40)}
    agent = {f"a{number}" for number in range(150)}
    assert ran.untouched(*human, *agent) == human


def test_a_file_that_both_wrote_is_not_untouched(top: Path, scratch: Path) -> None:
    ran = shell("echo agent > shared", top, scratch)
    aside = top / "aside"
    aside.write_text("agent\nby hand\n")
    aside.rename(top / "shared")
    assert ran.untouched("shared") == set()


def test_a_hard_link_from_outside_counts_for_every_name(top: Path, scratch: Path) -> None:
    (top / "inside").write_text("one\n")
    os.link(top / "inside", top.parent / "outside")
    ran = shell("echo more >> ../outside", top, scratch)
    assert ran.named() == set()
    assert ran.untouched("inside") == set()
    assert ran.attributed.linked


def test_a_directory_that_the_agent_renames_takes_its_files_along(top: Path, scratch: Path) -> None:
    (top / "old" / "sub").mkdir(parents=True)
    (top / "old" / "sub" / "file").write_text("x")
    (top / "other").write_text("x")
    ran = shell("mv old new", top, scratch)
    assert ran.untouched("old/sub/file", "new/sub/file", "other") == {"other"}


def test_a_file_that_a_human_moves_afterwards_stays_the_agents(top: Path, scratch: Path) -> None:
    (top / "elsewhere").mkdir()

    def move(_: Attribution) -> None:
        wait_until((top / "ready").exists)
        time.sleep(0.2)
        (top / "made").rename(top / "elsewhere" / "moved")
        (top / "dir").rename(top / "renamed")
        (top / "human-is-done").touch()

    script = (
        "mkdir dir; echo x > made; echo y > dir/file; : > ready;"
        " until [ -e human-is-done ]; do sleep 0.02; done"
    )
    ran = attribute("sh", "-c", script, top=top, scratch=scratch, meanwhile=move)
    assert ran.status == 0
    assert ran.untouched("elsewhere/moved", "renamed/file", "human-is-done") == {"human-is-done"}


def test_a_file_that_appears_by_a_link_from_nowhere_is_named(
    top: Path, scratch: Path, writer: Path
) -> None:
    ran = attribute(writer, "tmpfile", top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.untouched("appeared", "other") == {"other"}


def test_a_descriptor_that_is_opened_again_by_proc_is_named(
    top: Path, scratch: Path, writer: Path
) -> None:
    (top / "quiet").write_text("x")
    ran = attribute(writer, "reopen", top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.named() == {"quiet"}
    assert ran.attributed.complete


def test_a_link_into_proc_is_a_gap_and_nothing_is_called_untouched(
    top: Path, scratch: Path
) -> None:
    (top / "quiet").write_text("x")
    (top / "descriptors").symlink_to("/proc/self/fd")
    ran = shell("exec 5< quiet; echo sneaky > descriptors/5", top, scratch)
    assert "sneaky" in (top / "quiet").read_text()
    assert not ran.attributed.complete
    assert ran.judged("quiet").why_not == "process-attribution-incomplete"


def test_a_file_that_was_handed_over_open_is_named(top: Path, scratch: Path) -> None:
    before = os.dup(1)
    with (top / "output").open("w") as stream:
        os.dup2(stream.fileno(), 1)
        try:
            ran = shell("echo hello", top, scratch)
        finally:
            os.dup2(before, 1)
            os.close(before)
    assert (top / "output").read_text() == "hello\n"
    assert ran.untouched("output") == set()


def test_io_uring_is_refused_so_that_it_cannot_write_unseen(
    top: Path, scratch: Path, writer: Path
) -> None:
    assert attribute(writer, "uring", top=top, scratch=scratch).status == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is of x86-64")
def test_a_call_of_the_32_bit_interface_is_named_and_is_a_gap(
    top: Path, scratch: Path, writer: Path
) -> None:
    ran = attribute(writer, "foreign", top=top, scratch=scratch)
    if ran.status == 3:
        pytest.skip("this kernel has no 32-bit interface")
    assert ran.named() == {"by-i386"}
    assert [gap.detail for gap in ran.attributed.gaps] == ["a program of a foreign architecture"]
    assert not ran.attributed.complete


def test_a_storm_of_short_processes_is_seen_whole(top: Path, scratch: Path) -> None:
    """As a package manager does it: many processes, temporary names, renames into place."""
    script = """
import os, subprocess, sys
def unpack(number):
    os.makedirs(f"node_modules/.p{number}-tmp/lib", exist_ok=True)
    for i in range(20):
        with open(f"node_modules/.p{number}-tmp/lib/{i}.js", "w") as stream:
            stream.write("x")
    os.rename(f"node_modules/.p{number}-tmp", f"node_modules/p{number}")
    os.symlink(f"../p{number}", f"bin-{number}")
if len(sys.argv) > 1:
    unpack(sys.argv[1])
else:
    parts = [subprocess.Popen([sys.executable, "-I", "-S", __file__, str(n)]) for n in range(12)]
    sys.exit(any(part.wait() for part in parts))
"""
    (scratch / "storm.py").write_text(script)
    ran = attribute(*python(scratch / "storm.py"), top=top, scratch=scratch)
    assert ran.status == 0
    made = [
        os.path.relpath(os.path.join(folder, name), top)
        for folder, _, names in os.walk(top)
        for name in names
    ]
    assert len([path for path in made if path.endswith(".js")]) == 240
    assert ran.untouched(*made) == set()


def test_a_background_child_is_of_the_tree_and_never_hangs(top: Path, scratch: Path) -> None:
    script = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    open("detached", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    open("late", "w").close()
    os._exit(0)
os.wait()
while not os.path.exists("detached"):
    time.sleep(0.01)
"""
    ran = attribute(*python("-c", script), top=top, scratch=scratch)
    assert ran.named() == {"detached"}
    # The session is over; what goes on must still be able to write.
    (top / "go").touch()
    wait_until((top / "late").exists)


def kill_active(attribution: Attribution, number: int = signal.SIGKILL) -> int:
    assert attribution._shared is not None
    wait_until(lambda: bool(attribution._shared and attribution._shared.get(tree.ACTIVE)))
    pid = attribution._shared.get(tree.ACTIVE)
    os.kill(pid, number)
    return pid


def test_when_the_supervisor_is_killed_writes_go_on_and_none_is_missed(
    top: Path, scratch: Path, writer: Path
) -> None:
    killed: list[int] = []

    def kill(attribution: Attribution) -> None:
        def replaced() -> bool:
            attribution.check()
            assert attribution._shared is not None
            return attribution._shared.get(tree.ACTIVE) not in killed

        for number in (300, 900, 1500):
            attribution.check()
            wait_until((top / f"f{number:05d}").exists)
            killed.append(kill_active(attribution))
            wait_until(replaced)

    ran = attribute(writer, "burst", 3000, top=top, scratch=scratch, meanwhile=kill)
    assert ran.status == 0
    assert len(set(killed)) == 3
    assert ran.named() == {f"f{i:05d}" for i in range(3000)}
    assert {gap.why for gap in ran.attributed.gaps} == {tree.RESTARTED}
    assert ran.attributed.complete


def test_when_both_supervisors_are_killed_the_recorder_starts_others(
    top: Path, scratch: Path, writer: Path
) -> None:
    def kill(attribution: Attribution) -> None:
        attribution.check()
        wait_until((top / "f00200").exists)
        for one in list(attribution._supervisors):
            one.process.kill()

    ran = attribute(writer, "burst", 2000, top=top, scratch=scratch, meanwhile=kill)
    assert ran.status == 0
    assert ran.named() == {f"f{i:05d}" for i in range(2000)}
    assert ran.attributed.complete


def test_a_supervisor_that_hangs_is_replaced_with_a_gap(
    top: Path, scratch: Path, writer: Path
) -> None:
    def stop(attribution: Attribution) -> None:
        attribution.check()
        wait_until((top / "f00200").exists)
        kill_active(attribution, signal.SIGSTOP)

    ran = attribute(writer, "burst", 2000, top=top, scratch=scratch, meanwhile=stop)
    assert ran.status == 0
    assert len(list(top.iterdir())) == 2000
    assert tree.RESTARTED in {gap.why for gap in ran.attributed.gaps}


def test_without_any_supervisor_the_agent_writes_on_unattributed(
    top: Path, scratch: Path, writer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(attribution: Attribution) -> None:
        wait_until((top / "f00200").exists)
        monkeypatch.setattr(tree, "_MAX_STARTS", 0)
        for one in list(attribution._supervisors):
            one.process.kill()
            one.process.wait()

    ran = attribute(writer, "burst", 2000, top=top, scratch=scratch, meanwhile=kill)
    assert ran.status == 0
    assert len(list(top.iterdir())) == 2000
    assert not ran.attributed.complete
    assert tree.MISSED in {gap.why for gap in ran.attributed.gaps}


def test_when_the_recorder_dies_the_agent_writes_on(top: Path, tmp_path: Path) -> None:
    recorder = """
import os, sys
from pathlib import Path
from agentprov.system.attribution.tree import Attribution
attribution = Attribution.start(Path(sys.argv[1]))
script = "echo $$ > pid; until [ -e go ]; do sleep 0.02; done; echo late > late"
attribution.spawn(["sh", "-c", script], dict(os.environ), Path(sys.argv[2])).wait()
"""
    (tmp_path / "s").mkdir()
    process = subprocess.Popen([sys.executable, "-c", recorder, tmp_path / "s", top])
    wait_until((top / "pid").exists)
    process.kill()
    process.wait()
    (top / "go").touch()
    wait_until((top / "late").exists)


def test_an_agent_is_not_started_that_nobody_would_let_write(top: Path, tmp_path: Path) -> None:
    recorder = """
import os, sys
from pathlib import Path
from agentprov.system.attribution.tree import Attribution
attribution = Attribution.start(Path(sys.argv[1]))
attribution._serve = lambda listener, held: os.kill(os.getpid(), 9)
attribution.spawn(["sh", "-c", "echo started >&2; : > late"], dict(os.environ), Path(sys.argv[2]))
"""
    (tmp_path / "s").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", recorder, tmp_path / "s", top], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stderr.decode().splitlines() == [
        "agentprov: the recorder died while it started the agent; the agent was not started"
    ]
    assert not list(top.iterdir())


def test_a_run_inside_a_run_goes_on_with_a_gap(top: Path, tmp_path: Path, scratch: Path) -> None:
    inner = """
import os, sys
from pathlib import Path
from agentprov.system.attribution.tree import Attribution
attribution = Attribution.start(Path(sys.argv[1]))
child = attribution.spawn(["sh", "-c", "echo x > inner"], dict(os.environ), Path.cwd())
status = child.wait(attribution.check)
answer = attribution.stop()
assert not answer.complete and len(answer.gaps) == 1, answer
assert "notifier" in answer.gaps[0].detail, answer
sys.exit(status + 40)
"""
    (tmp_path / "s").mkdir()
    ran = attribute(sys.executable, "-c", inner, tmp_path / "s", top=top, scratch=scratch)
    assert ran.status == 40
    assert "inner" in ran.named()
    # Somebody inside wanted a listener and got none: that is worth knowing outside.
    assert any("listener of its own" in (gap.detail or "") for gap in ran.attributed.gaps)


def test_where_seccomp_is_refused_the_agent_runs_all_the_same(top: Path, tmp_path: Path) -> None:
    """A filter that answers EPERM to seccomp(2), as a container's profile may."""
    script = """
import ctypes, os, struct, sys
from pathlib import Path
from agentprov.system.attribution import install, seccomp, tree
number = install._SYS_SECCOMP[os.uname().machine]
tree.available = lambda: None
code = (seccomp._load(0) + seccomp._instruction(0x15, number, 0, 1)
        + seccomp._instruction(6, 0x00050001) + seccomp._instruction(6, 0x7FFF0000))
room = ctypes.create_string_buffer(code, len(code))
prog = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(room)))
libc = install.libc()
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, prog) == 0
attribution = tree.Attribution.start(Path(sys.argv[1]))
child = attribution.spawn(["sh", "-c", "echo x > written; exit 5"], dict(os.environ), Path.cwd())
status = child.wait(attribution.check)
answer = attribution.stop()
assert not answer.complete and answer.gaps[0].why == tree.UNAVAILABLE, answer
sys.exit(status)
"""
    (tmp_path / "s").mkdir()
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "s"], cwd=top, check=False)
    assert done.returncode == 5
    assert (top / "written").exists()


def test_a_launcher_that_cannot_start_is_a_gap(
    top: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_START", "import sys;sys.exit(9) #{}")
    ran = shell("echo x > written; exit 4", top, scratch)
    assert ran.status == 4
    assert (top / "written").exists()
    assert not ran.attributed.complete
    assert [gap.why for gap in ran.attributed.gaps] == [tree.UNAVAILABLE]


def test_what_cannot_be_executed_fails_as_without_attribution(top: Path, scratch: Path) -> None:
    attribution = Attribution.start(scratch)
    (top / "orphan").write_text("#!/no/such/interpreter\n")
    (top / "orphan").chmod(0o755)
    with pytest.raises(ExecFailed) as caught:
        attribution.spawn(["./nothing"], os.environ, top)
    assert caught.value.status == 127
    with pytest.raises(ExecFailed) as caught:
        attribution.spawn(["./orphan"], os.environ, top)
    assert caught.value.status == 126
    assert "interpreter" in caught.value.message
    attribution.stop()


def test_a_script_without_its_first_line_runs_under_sh(top: Path, scratch: Path) -> None:
    (top / "plain").write_text("echo x > by-plain; exit 3\n")
    (top / "plain").chmod(0o755)
    ran = attribute("./plain", top=top, scratch=scratch)
    assert ran.status == 3
    assert ran.named() == {"by-plain"}


def test_the_agent_gets_exactly_what_it_would_get_without(
    top: Path, scratch: Path, tmp_path: Path
) -> None:
    """Environment, signals, descriptors, directory, process group and name."""
    script = (
        "env | sort > $1; grep -E '^Sig(Blk|Ign)' /proc/self/status >> $1;"
        " ls -l /proc/self/fd | grep -c socket >> $1; pwd >> $1; ps -o pgid= -p $$ >> $1;"
        " echo $0 >> $1"
    )
    (tmp_path / "s2").mkdir()
    env = {"LC_ALL": "", "LANG": "C", "PYTHONPATH": "/x", "A": "line\nbreak", "E": ""}
    attribute("sh", "-c", script, "me", "with", top=top, scratch=scratch, env=env)
    plain = Attribution(tmp_path / "s2", "")
    plain._refusal = "not wanted"
    child = plain.spawn(
        ["sh", "-c", script, "me", "without"],
        {**os.environ, "AGENTPROV_SESSION": "under-test", **env},
        top,
    )
    assert child.wait() == 0
    assert (top / "with").read_text() == (top / "without").read_text()


def test_a_signal_that_ends_the_agent_is_its_status(top: Path, scratch: Path) -> None:
    assert shell("kill -TERM $$", top, scratch).status == 128 + signal.SIGTERM


def test_a_set_user_id_program_is_refused_with_a_way_out(
    top: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (top / "sudo").write_text("#!/bin/sh\n")
    (top / "sudo").chmod(0o4755)
    attribution = Attribution.start(scratch)
    with pytest.raises(CannotStart) as caught:
        attribution.spawn(["./sudo", "true"], os.environ, top)
    assert "--attribute" in (caught.value.hint or "")
    attribution.stop()


def test_a_process_outside_that_was_spoken_to_makes_everything_doubtful(
    top: Path, scratch: Path
) -> None:
    """A daemon that was there before may write what the agent tells it."""
    path = str(top.parent / "daemon.sock")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(path)
        daemon.listen()
        script = f"import socket;socket.socket(socket.AF_UNIX).connect({path!r})"
        ran = attribute(*python("-c", script), top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.attributed.contacts == {f"unix:{path}"}
    assert ran.judged("any").why_not == "agent-reached-other-processes"
    gap = contact_gap(ran.attributed, "2026-01-01T00:00:00.000Z")
    assert gap is not None
    assert path in (gap.detail or "")


def test_a_tcp_server_of_the_trees_own_is_inside_and_the_gateway_can_be_expected(
    top: Path, scratch: Path
) -> None:
    script = """
import socket, sys
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname())
socket.create_connection(("127.0.0.1", int(sys.argv[1])))
"""
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        port = gateway.getsockname()[1]
        ran = attribute(*python("-c", script, port), top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.attributed.contacts == {f"tcp:127.0.0.1:{port}"}
    assert contact_gap(ran.attributed, "", [f"tcp:127.0.0.1:{port}"]) is None


def test_what_is_known_can_be_asked_in_the_middle(top: Path, scratch: Path) -> None:
    answers: list[Attributed] = []

    def ask(attribution: Attribution) -> None:
        wait_until((top / "first").exists)
        answers.append(attribution.so_far())
        (top / "go").touch()

    script = "echo x > first; until [ -e go ]; do sleep 0.02; done; echo y > second"
    ran = attribute("sh", "-c", script, top=top, scratch=scratch, meanwhile=ask)
    (middle,) = answers
    assert os.fsencode(top / "first") in middle.paths
    assert os.fsencode(top / "second") not in middle.paths
    assert middle.complete
    assert ran.named() == {"first", "second"}


def test_where_only_ancestors_may_read_the_recorder_lends_its_eyes(
    top: Path, scratch: Path, writer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_only_ancestors_read", lambda: True)
    lent: list[bool] = []
    lend = tree.memory.lend
    monkeypatch.setattr(tree.memory, "lend", lambda *given: lent.append(lend(*given)) or lent[-1])
    ran = attribute(writer, "burst", 500, top=top, scratch=scratch)
    assert ran.named() == {f"f{i:05d}" for i in range(500)}
    assert ran.attributed.complete
    assert len(lent) >= 500


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_nothing_of_it_needs_rights_and_closed_memory_is_a_gap(tmp_path: Path) -> None:
    python3 = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python3 is None or not available_to_nobody(python3):
        pytest.skip("nobody can run Python here")
    for name in ("s1", "s2", "top"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 65534, 65534)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    hide = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); open(chr(97), chr(119))"
    script = """
import os, sys
from pathlib import Path
from agentprov.system.attribution.tree import Attribution
first, second, hide = sys.argv[1:]
for scratch, argv in (
    (first, ["sh", "-c", "echo x > open; echo y > /etc/not-allowed"]),
    (second, [sys.executable, "-c", hide]),
):
    attribution = Attribution.start(Path(scratch))
    attribution.spawn(argv, dict(os.environ), Path.cwd()).wait(attribution.check)
    answer = attribution.stop()
    print(answer.complete, len(answer.paths), *[gap.detail for gap in answer.gaps])
"""
    done = subprocess.run(
        [python3, "-c", script, tmp_path / "s1", tmp_path / "s2", hide],
        cwd=tmp_path / "top",
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        user=65534,
        group=65534,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    first, second = done.stdout.splitlines()
    assert first == "True 2"
    assert second.startswith("False 0 the memory of python3")
    assert (tmp_path / "top" / "a").exists()


def test_a_sandbox_that_mounts_the_tree_elsewhere_hides_nothing(top: Path, scratch: Path) -> None:
    elsewhere = top.parent / "elsewhere"
    elsewhere.mkdir()
    (top / "old").write_text("x")
    (top / "mine").write_text("x")
    inner = f"mount --bind {top} {elsewhere} && cd {elsewhere} && echo 1 > new && echo 2 >> old"
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces")
    ran = attribute("unshare", "-Urm", "sh", "-c", inner, top=top, scratch=scratch)
    assert ran.status == 0
    assert ran.untouched("new", "old", "mine") == {"mine"}


def test_a_creation_that_a_sandbox_refused_is_no_gap(top: Path, scratch: Path) -> None:
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces")
    inner = f"mount --bind -o ro {top} {top} && cd {top} && ! echo x 2>/dev/null > refused"
    ran = attribute("unshare", "-Urm", "sh", "-c", inner, top=top, scratch=scratch)
    assert not (top / "refused").exists()
    assert ran.attributed.complete, ran.attributed.gaps


def test_a_created_file_that_an_outsider_takes_away_at_once_is_no_proof_for_others(
    top: Path, scratch: Path
) -> None:
    """Whatever was done with it, it may be the changed file that is asked about."""
    taken = threading.Event()

    def take(attribution: Attribution) -> None:
        # The agent stands still between creating a file and anybody's next look at it.
        pid = kill_active(attribution, signal.SIGSTOP)
        (top / "go").touch()
        os.kill(pid, signal.SIGCONT)

    def snatch() -> None:
        while not taken.is_set():
            for number in range(200):
                try:
                    (top / f"f{number}").rename(top.parent / f"taken{number}")
                except FileNotFoundError:
                    continue

    thread = threading.Thread(target=snatch)
    thread.start()
    script = "until [ -e go ]; do :; done; i=0; while [ $i -lt 200 ]; do : > f$i; i=$((i+1)); done"
    try:
        ran = attribute("sh", "-c", ": > first;" + script, top=top, scratch=scratch, meanwhile=take)
    finally:
        taken.set()
        thread.join()
    assert len(list(top.parent.glob("taken*"))) > 0
    os.rename(top.parent / "taken0", top / "elsewhere")
    assert "elsewhere" not in {os.fsdecode(path) for path in ran.judged("elsewhere").paths}


def test_every_opening_names_its_process_and_whose_child_it_was(top: Path, scratch: Path) -> None:
    """Also when the parent is gone by the time that the child writes again."""
    script = "echo own > own; sh -c 'echo one > child; (sleep 0.3; echo two >> late) & '; sleep 0.6"
    ran = shell(script, top, scratch)
    known = ran.attributed

    def lines(name: str) -> list[bytes]:
        path = os.fsencode(top / name)
        (at,) = {one.process for one in known.openings if one.path == path}
        found = []
        while at is not None and at in known.processes:
            found.append(known.processes[at].line.split(b"\x1f")[-1])
            if at.pid == known.root:
                return found
            at = known.processes[at].parent
        return [*found, b"lost"]

    assert lines("own") == [script.encode()]
    assert [line[:8] for line in lines("child")] == [b"echo one", script.encode()[:8]]
    # Its parent had ended before it was first seen: nobody knows whose child it was.
    assert lines("late")[-1] == b"lost"
