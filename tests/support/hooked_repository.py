"""Real repositories with our hooks in them, and everything a test asks about one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentprov.flows.install import InstallReport, install
from agentprov.formats.dropbox import Drop, decode
from agentprov.system.git import Git
from agentprov.system.process_table import start_time

SESSION = "20260101T000000-abcdef"


@dataclass
class Repository:
    """One work tree; `python` stands in for the interpreter that hooks start."""

    top: Path
    log: Path
    python: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def git_view(self) -> Git:
        return Git.discover(self.top)

    @property
    def common(self) -> Path:
        return self.git_view.common_dir

    @property
    def home(self) -> Path:
        return self.common / "agentprov"

    def install(self, **more: object) -> InstallReport:
        return install(self.git_view, python=str(self.python), **more)  # type: ignore[arg-type]

    def git(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        input: bytes | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.top,
            env={**os.environ, **self.environment, **(env or {})},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done

    def change(self, name: str = "file.txt", content: str | None = None) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if content is not None else f"{time.monotonic_ns()}\n")
        self.git("add", "--", name)

    def commit(
        self, *arguments: str, name: str = "file.txt", env: Mapping[str, str] | None = None
    ) -> str:
        """Change a file, commit, and give the message as git stored it."""
        self.change(name)
        self.git("commit", "-q", *(arguments or ("-m", "Change a file")), env=env)
        return self.message()

    def message(self, rev: str = "HEAD") -> str:
        raw = self.git("cat-file", "commit", rev).stdout
        return raw.partition(b"\n\n")[2].decode()

    def trailers(self, rev: str = "HEAD") -> list[str]:
        out = self.git("log", "-1", "--format=%(trailers:unfold)", rev).stdout.decode()
        return [line for line in out.splitlines() if line]

    def session(self, name: str = SESSION, *, live: bool = True, number: int = 1) -> dict[str, str]:
        """Make a session's files as the recorder does; gives what its child would have."""
        directory = self.home / "sessions" / name
        (directory / "spool").mkdir(parents=True)
        (directory / "next").write_text(f"{number}\n")
        if live:
            self.live(name, os.getpid(), Path("/somewhere/else"))
        return {"AGENTPROV_SESSION": name, "AGENTPROV_SPOOL": str(directory / "spool")}

    def live(self, name: str, pid: int, worktree: Path) -> None:
        started = start_time(pid) or "12345"
        (self.home / "live" / name).write_text(f"{pid}\n{started}\n{worktree}\n")

    def pending(self, *quoted: str, name: str = SESSION) -> None:
        (self.home / "pending" / name).write_text("".join(path + "\n" for path in quoted))

    def drops(self, directory: Path | None = None) -> list[Drop]:
        place = directory or self.home / "spool"
        files = sorted(place.glob("*.drop"), key=lambda path: path.stat().st_mtime_ns)
        return [decode(path.read_bytes()) for path in files]

    def session_drops(self, name: str = SESSION) -> list[Drop]:
        return self.drops(self.home / "sessions" / name / "spool")

    def started(self) -> list[str]:
        """Give the command lines with which hooks started the interpreter."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def hook(self, name: str, script: str, directory: Path | None = None) -> Path:
        """Write a foreign hook, executable."""
        path = (directory or self.common / "hooks") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + script + "\n")
        path.chmod(0o755)
        return path

    def git_processes(self, *arguments: str, env: Mapping[str, str] | None = None) -> int:
        """Run git and count the git processes that took part, itself included."""
        trace = self.log.parent / f"trace-{time.monotonic_ns()}"
        self.git(*arguments, env={**(env or {}), "GIT_TRACE2_EVENT": str(trace)})
        events = [json.loads(line) for line in trace.read_text().splitlines()]
        return sum(1 for event in events if event["event"] == "version")


def make_repository(
    top: Path, scratch: Path, *options: str, fresh: bool = True, status: int = 0
) -> Repository:
    """Make a repository with one commit (none if `fresh` is false) and a stand-in interpreter."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / "started.log"
    python = scratch / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{log}"\nexit {status}\n')
    python.chmod(0o755)
    top.mkdir(parents=True, exist_ok=True)
    repository = Repository(top, log, python)
    repository.git("init", "-q", *options)
    if fresh:
        repository.change("first.txt", "first\n")
        repository.git("commit", "-q", "-m", "First")
    return repository


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until a background process has done something; False when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def tree_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Give every file below a directory: mode and bytes, links as their targets."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            content = os.fsencode(os.readlink(path))
        else:
            content = path.read_bytes() if path.is_file() else b""
        found[os.fspath(path.relative_to(directory))] = (status.st_mode, content)
    return found
