"""What the figures stand on: repositories of a given size, a home of their own, no user state."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import Failed

PYTHON = sys.executable
AGENTPROV = (PYTHON, "-I", "-m", "agentprov")
_LINES = 40


@dataclass
class Ground:
    """A scratch directory with an environment in which nothing is the user's."""

    place: Path
    quick: bool
    minute: bool = False
    commits: int = 0
    kills: int = 200
    seed: int = 1
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        home = self.place / "home"
        home.mkdir()
        (home / "gitconfig").write_text(
            "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n"
            "[commit]\n\tgpgsign = false\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
            # Stories add submodules that lie beside them.
            '[protocol "file"]\n\tallow = always\n'
        )
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "AGENTPROV_", "XDG_", "PYTHON", "CLAUDE", "CODEX"))
        }
        self.env = {
            **kept,
            "HOME": str(home),
            "AGENTPROV_HOME": str(home / "agentprov"),
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
        }
        # Flows that are driven inside this process read the same settings.
        os.environ.clear()
        os.environ.update(self.env)

    def rounds(self, full: int, quick: int) -> int:
        """Choose how often the cases of a figure run."""
        return quick if self.quick else full

    def run(self, *argv: str, cwd: Path, input: bytes | None = None) -> bytes:
        """Run a program untimed and give its stdout; raises Failed."""
        done = subprocess.run(
            argv, cwd=cwd, env=self.env, input=input, capture_output=True, check=False
        )
        if done.returncode:
            raise Failed(f"{' '.join(argv)}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout

    def repository(self, name: str, files: int) -> Path:
        """Make a repository of so many text files with one commit, its index warm."""
        top = self.place / name
        top.mkdir()
        self.run("git", "init", "-q", cwd=top)
        for number in range(files):
            path = top / f"d{number // 100:04d}" / f"f{number:06d}.txt"
            if number % 100 == 0:
                path.parent.mkdir()
            path.write_text("".join(f"{number} {line}\n" for line in range(_LINES)))
        self.run("git", "add", "-A", cwd=top)
        self.run("git", "commit", "-q", "-m", "First", cwd=top)
        # Files must be older than the index, or git hashes them again at every look.
        time.sleep(1.1)
        self.run("git", "update-index", "--refresh", cwd=top)
        self.run("git", "update-index", "--force-write-index", cwd=top)
        return top

    def copy(self, top: Path, name: str) -> Path:
        """Copy a repository with its times, so that both start alike."""
        place = self.place / name
        shutil.copytree(top, place, symlinks=True)
        self.run("git", "update-index", "-q", "--refresh", cwd=place)
        return place

    def agentprov(self, *arguments: str, cwd: Path) -> bytes:
        """Run one of our commands untimed."""
        return self.run(*AGENTPROV, *arguments, cwd=cwd)


def git_events(trace: Path) -> list[tuple[str, list[str]]]:
    """Read a GIT_TRACE2_EVENT file: (session id, arguments) of every git process in it."""
    started = []
    for line in trace.read_bytes().splitlines():
        event = json.loads(line)
        if event["event"] == "start":
            started.append((event["sid"], event["argv"]))
    return started


def program(name: str) -> str | None:
    """Find a rival on PATH or beside the interpreter; None when it is not installed."""
    beside = Path(PYTHON).with_name(name)
    return shutil.which(name) or (str(beside) if beside.exists() else None)


def machine() -> dict[str, str]:
    """Describe this machine in general terms: nothing that names it."""
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "git": _version(("git", "version")),
        "typer": _package("typer"),
        "cryptography": _package("cryptography"),
        "agentprov": _package("agentprov"),
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _version(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("git version ")


def _package(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"
