from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from agentprov.formats import facts
from agentprov.record.executable import Digests, Identity, identify
from agentprov.record.launchers import links, script_argument
from agentprov.system.process import ExecFailed, spawn
from support.privileges import bound_by_modes, open_folder
from support.terminal import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def native(path: Path, source: str = "sleep") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = shutil.which(source)
    assert found is not None
    shutil.copy(found, path)
    path.chmod(0o755)
    return path


def npm(root: Path, name: str, **more: object) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "package.json").write_text(json.dumps({"name": name, "version": "1.2.3", **more}))
    return root


def finish(identity: Identity, *argv: str, cwd: Path, seconds: float = 0.02) -> facts.Agent:
    running = spawn(argv, environment(PATH=f"{cwd}/bin:{os.environ['PATH']}"), cwd)
    identity.observe(running.pid)
    identity.start_hashing()
    running.wait(lambda: identity.observe(running.pid), seconds)
    return identity.finish()


def found(command: str, cwd: Path, *arguments: str, **env: str) -> Identity:
    path = f"{cwd}/bin:{os.environ['PATH']}"
    return identify(command, environment(PATH=path, **env), cwd, arguments)


def test_a_native_program_is_named_digested_and_checked(tmp_path: Path) -> None:
    program = native(tmp_path / "bin" / "agent")
    agent = finish(found("agent", tmp_path), "agent", "0.2", cwd=tmp_path)
    assert (agent.name, agent.command, agent.basis) == ("agent", "agent", "observed")
    assert agent.place == str(program)
    assert agent.sha256 == digest(program)
    assert agent.parts == ()
    if sys.platform == "linux":
        assert agent.why is None


def test_every_hop_of_a_chain_of_links_is_told(tmp_path: Path) -> None:
    real = native(tmp_path / "opt" / "v2" / "agent")
    (tmp_path / "opt" / "current").symlink_to("v2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "second").symlink_to("../opt/current/agent")
    (tmp_path / "bin" / "first").symlink_to("second")
    identity = found("first", tmp_path)
    assert [Path(hop).relative_to(tmp_path).as_posix() for hop in identity.chain] == [
        "bin/first",
        "bin/second",
        "opt/current/agent",
        "opt/v2/agent",
    ]
    assert identity.place == str(real)
    identity.close()


def test_links_that_turn_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert len(links(tmp_path / "a")) < 50


def test_places_in_the_home_directory_are_written_short(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "agent")
    identity = found("agent", tmp_path, HOME=str(tmp_path))
    assert identity.place == "~/bin/agent"
    assert identity.finish().chain == ("~/bin/agent",)


def test_a_script_is_the_program_and_its_interpreter_a_part(tmp_path: Path) -> None:
    interpreter = native(tmp_path / "bin" / "myrt", "sh")
    program = script(tmp_path / "bin" / "agent", "#!/usr/bin/env myrt\nsleep 0.3\n")
    agent = finish(found("agent", tmp_path), "agent", cwd=tmp_path)
    assert agent.sha256 == digest(program)
    assert [(part.place, part.sha256) for part in agent.parts] == [
        (str(interpreter), digest(interpreter))
    ]
    if sys.platform == "linux":
        assert agent.why is None


def test_an_interpreter_that_is_itself_a_script_is_followed(tmp_path: Path) -> None:
    shim = script(tmp_path / "bin" / "myrt", '#!/bin/sh\nexec sh "$@"\n')
    script(tmp_path / "bin" / "agent", f"#!{shim}\n")
    parts = [part.place for part in found("agent", tmp_path).finish().parts]
    assert parts == [str(shim), os.path.realpath("/bin/sh")]


def test_a_missing_interpreter_is_told_and_does_not_fail(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "agent", "#!/usr/bin/env no-such-runtime\n")
    agent = found("agent", tmp_path).finish()
    assert agent.sha256 is not None
    assert agent.parts == ()


def test_an_npm_package_gives_name_version_purl_integrity_and_companions(tmp_path: Path) -> None:
    modules = tmp_path / "lib" / "node_modules"
    root = npm(
        modules / "@acme" / "agent",
        "@acme/agent",
        optionalDependencies={"@acme/agent-here": "npm:@acme/agent@1.2.3-here"},
    )
    start = script(
        root / "cli.js",
        '#!/bin/sh\n"$(dirname "$(readlink -f "$0")")"/../agent-here/bin/agent 0.4\n',
    )
    beside = npm(modules / "@acme" / "agent-here", "@acme/agent", os=["linux", "darwin"])
    engine = native(beside / "bin" / "agent")
    helper = native(beside / "bin" / "helper", "true")
    lock = {"packages": {"node_modules/@acme/agent": {"integrity": "sha512-xyz"}}}
    (modules / ".package-lock.json").write_text(json.dumps(lock))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "acme").symlink_to("../lib/node_modules/@acme/agent/cli.js")
    identity = found("acme", tmp_path)
    assert identity.package is not None
    assert identity.package.name == "@acme/agent"
    agent = finish(identity, "acme", cwd=tmp_path)
    assert (agent.name, agent.command, agent.version) == ("@acme/agent", "acme", "1.2.3")
    assert agent.purl == "pkg:npm/%40acme/agent@1.2.3"
    assert agent.integrity == "sha512-xyz"
    assert agent.sha256 == digest(start)
    parts = {part.place: part for part in agent.parts}
    assert parts[str(engine)].sha256 == digest(engine)
    assert parts[str(helper)].sha256 == digest(helper)
    if sys.platform == "linux":
        assert parts[str(engine)].why is None
        assert parts[str(helper)].why == "installed beside the agent, not seen running"


def test_a_hard_linked_companion_is_read_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "node_modules"
    root = npm(modules / "agent", "agent", optionalDependencies={"agent-here": "1"})
    beside = npm(modules / "agent-here", "agent-here", cpu=["x64"])
    real = native(beside / "agent")
    os.link(real, root / "agent.exe")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "agent").symlink_to("../node_modules/agent/agent.exe")
    reads: list[int] = []
    original = "agentprov.record.executable.sha256_of_descriptor"
    from agentprov.system.files import sha256_of_descriptor

    def counted(descriptor: int) -> tuple[str, int]:
        reads.append(descriptor)
        return sha256_of_descriptor(descriptor)

    monkeypatch.setattr(original, counted)
    agent = found("agent", tmp_path).finish()
    assert agent.parts[0].place == str(real)
    assert agent.parts[0].sha256 == agent.sha256 == digest(real)
    assert len(reads) == 1


def test_a_shell_launcher_that_package_managers_write_leads_to_its_program(
    tmp_path: Path,
) -> None:
    root = npm(tmp_path / "node_modules" / "agent", "agent")
    program = native(root / "bin" / "agent.exe")
    launcher = script(
        tmp_path / "node_modules" / ".bin" / "agent",
        '#!/bin/sh\nbasedir=$(dirname "$0")\nexec "$basedir/../agent/bin/agent.exe" "$@"\n',
    )
    agent = finish(found(str(launcher), tmp_path), str(launcher), "0.2", cwd=tmp_path)
    assert agent.place == str(program)
    assert agent.purl == "pkg:npm/agent@1.2.3"
    assert [part.place for part in agent.parts] == [str(launcher)]
    if sys.platform == "linux":
        assert agent.why is None


def test_a_console_script_gives_its_distribution_and_record(tmp_path: Path) -> None:
    interpreter = tmp_path / "env" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    info = tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "agent-3.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: agent\nVersion: 3.1\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nagent=agent:main\n")
    (info / "RECORD").write_text("agent/__init__.py,sha256=x,1\n")
    program = script(
        tmp_path / "env" / "bin" / "agent",
        f"#!/bin/sh\n'''exec' \"{interpreter}\" \"$0\" \"$@\"\n' '''\nimport agent\n",
    )
    agent = found(str(program), tmp_path).finish()
    assert (agent.name, agent.version, agent.purl) == ("agent", "3.1", "pkg:pypi/agent@3.1")
    assert [part.place for part in agent.parts] == [
        os.path.realpath(sys.executable),
        str(info / "RECORD"),
    ]


def test_the_script_of_a_bare_interpreter_is_the_program(tmp_path: Path) -> None:
    program = script(tmp_path / "server.py", "import time; time.sleep(0.2)\n")
    identity = found(sys.executable, tmp_path, "-X", "dev", "server.py", "--port", "1")
    agent = identity.finish()
    assert agent.sha256 == digest(program)
    assert agent.parts[0].place == os.path.realpath(sys.executable)


@pytest.mark.parametrize(
    ("words", "python", "expected"),
    [
        (["x.js", "y"], False, ("x.js", None)),
        (["--require", "a", "-v", "x.js"], False, ("x.js", None)),
        (["-m", "tool", "x"], True, (None, "tool")),
        (["-m", "x.js"], False, ("x.js", None)),
        (["-c", "code", "x"], True, (None, None)),
        (["run", "x.ts"], False, ("x.ts", None)),
        ([], False, (None, None)),
    ],
)
def test_which_argument_an_interpreter_runs(
    words: list[str], python: bool, expected: tuple[str | None, str | None]
) -> None:
    assert script_argument(words, python=python) == expected


def test_code_on_the_command_line_is_no_script_however_long_it_is(tmp_path: Path) -> None:
    for code in ("exit 0 # " + 300 * "x", "exit 0 #" + 5_000 * "/x"):
        assert found("sh", tmp_path, "-ec", code).finish().name == "sh"


def test_a_command_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExecFailed):
        found("no-such-agent", tmp_path)


@linux
def test_a_program_exchanged_before_the_start_is_digested_as_it_ran(tmp_path: Path) -> None:
    program = native(tmp_path / "bin" / "agent")
    identity = found("agent", tmp_path)
    other = native(tmp_path / "other", "sleep")
    with other.open("ab") as stream:
        stream.write(b"one more byte")
    os.replace(other, program)
    agent = finish(identity, "agent", "0.2", cwd=tmp_path)
    assert agent.sha256 == digest(program)
    assert agent.why is not None
    assert "replaced" in agent.why


@linux
def test_a_script_exchanged_before_the_start_is_told(tmp_path: Path) -> None:
    program = script(tmp_path / "bin" / "agent", "#!/bin/sh\nsleep 0.2\n")
    identity = found("agent", tmp_path)
    before = digest(program)
    script(tmp_path / "new", "#!/bin/sh\nsleep 0.2 # evil\n").replace(program)
    agent = finish(identity, "agent", cwd=tmp_path)
    assert agent.sha256 == before
    assert agent.why == "changed while the agent started"


@linux
def test_a_program_exchanged_while_it_runs_does_not_change_the_digest(tmp_path: Path) -> None:
    program = native(tmp_path / "bin" / "agent")
    before = digest(program)
    identity = found("agent", tmp_path)
    running = spawn(["agent", "0.2"], environment(PATH=f"{tmp_path}/bin"), tmp_path)
    identity.observe(running.pid)
    program.unlink()
    native(program, "true")
    running.wait()
    agent = identity.finish()
    assert (agent.sha256, agent.why) == (before, None)


@linux
def test_what_a_launcher_becomes_is_a_part(tmp_path: Path) -> None:
    engine = native(tmp_path / "engine")
    script(tmp_path / "bin" / "agent", f"#!/bin/sh\nsleep 0.1\nexec {engine} 0.3\n")
    agent = finish(found("agent", tmp_path), "agent", cwd=tmp_path)
    assert (str(engine), digest(engine)) in [(part.place, part.sha256) for part in agent.parts]


@linux
def test_tools_that_an_agent_runs_are_not_its_parts(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "agent", "#!/bin/sh\nsleep 0.3\nexit 0\n")
    agent = finish(found("agent", tmp_path), "agent", cwd=tmp_path)
    assert [part.place for part in agent.parts] == [os.path.realpath("/bin/sh")]


def test_without_a_look_at_the_process_that_is_said(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "agent")
    assert found("agent", tmp_path).finish().why == "not compared with the running process"


def test_a_program_that_cannot_be_read_has_no_digest_but_a_reason() -> None:
    with open_folder() as folder:
        native(folder / "bin" / "agent").chmod(0o111)
        with bound_by_modes():
            agent = found("agent", folder).finish()
    assert agent.sha256 is None
    assert agent.why is not None


def test_a_large_program_does_not_delay_the_lookup(tmp_path: Path) -> None:
    program = native(tmp_path / "bin" / "agent")
    with program.open("r+b") as stream:
        stream.truncate(1 << 30)
    identity = found("agent", tmp_path)
    assert not identity.hashed
    identity.close()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    native(tmp_path / "bin" / "agent")
    before = len(os.listdir("/proc/self/fd"))
    finish(found("agent", tmp_path), "agent", "0.1", cwd=tmp_path)
    found("agent", tmp_path).close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_written_while_it_is_hashed_is_not_kept_as_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def writes_meanwhile(descriptor: int) -> tuple[str, int]:
        path.write_bytes(b"longer than before")
        return "0" * 64, 6

    monkeypatch.setattr("agentprov.record.executable.sha256_of_descriptor", writes_meanwhile)
    digests = Digests()
    descriptor = os.open(path, os.O_RDONLY)
    assert digests.of(descriptor) == ("0" * 64, 6, False)
    monkeypatch.undo()
    assert digests.of(descriptor) == (digest(path), 18, True)
    os.close(descriptor)
