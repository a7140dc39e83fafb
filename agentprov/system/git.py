"""Git, by its own program: a scrubbed environment, no repository-named program, counted spawns.

Why not a library: docs/adr/0001. Every call runs with ``--no-replace-objects`` and without
hooks, file system monitors, prompts or inherited ``GIT_*`` variables (THREATS 31, 46). Clean
filters that the *user's* configuration names do run where git itself would run them to hash
work tree files; nothing else of the repository is executed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Literal, cast

from agentprov.errors import GitFailed, NotARepository, UserError
from agentprov.formats.value import value

if TYPE_CHECKING:
    from agentprov.system.git_objects import CatFile

# Transport and authentication settings are the user's, about the user's own remotes.
_KEPT = frozenset(
    {
        "GIT_ASKPASS",
        "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_SSL_NO_VERIFY",
        # Only where the user points git's own configuration; never injected pairs.
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CEILING_DIRECTORIES",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        # Observation only: counts our own spawns in the benchmark and the tests.
        "GIT_TRACE2_EVENT",
    }
)
ALWAYS = (
    "--no-replace-objects",
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.quotePath=true",
    "-c", "diff.external=",
    "-c", "diff.renames=true",
    # Larger files are binary to diff: nobody reads their lines, and diffing them takes memory.
    "-c", "core.bigFileThreshold=32m",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "advice.detachedHead=false",
)  # fmt: skip

# For what must be there after a loss of power: git does not wait for loose objects by itself.
# The second one is for git before 2.36.
DURABLY = ("-c", "core.fsync=committed", "-c", "core.fsyncObjectFiles=true")

# All that people committed and still have, for a walk: also where a HEAD of any work tree is
# detached or unborn. Without our own refs and those of other tools.
ALL_HISTORY = ("--branches", "--remotes", "--tags", "--exclude=refs/*", "--all")


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Give an environment for our own git calls: no inherited ``GIT_*`` but transport settings."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    kept["GIT_TERMINAL_PROMPT"] = "0"
    kept["GIT_OPTIONAL_LOCKS"] = "0"
    # Grafts give commits other parents than they were made with.
    kept["GIT_GRAFT_FILE"] = os.devnull
    # A partial clone must not make a verifier reach for the network.
    kept["GIT_NO_LAZY_FETCH"] = "1"
    kept["LC_ALL"] = "C"
    kept.pop("LANGUAGE", None)
    return kept


def git_program() -> str:
    """Find git in the absolute folders of PATH; raises UserError when there is none."""
    # A relative folder would let the repository we stand in name the program.
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = shutil.which("git", path=os.pathsep.join(one for one in folders if os.path.isabs(one)))
    if found is None:
        raise UserError("git is not installed, or not on PATH", hint="install git 2.31 or newer")
    return found


@value
class Git:
    """One repository as seen from one work tree.

    `top` is the top of the work tree; `git_dir` is this work tree's own git directory;
    `common_dir` is shared by all linked work trees. `objects` redirects new objects into a
    private directory (the repository's own objects stay readable); `index` names a private
    index file.
    """

    top: Path
    git_dir: Path
    common_dir: Path
    object_format: Literal["sha1", "sha256"]
    program: str
    objects: Path | None = None
    index: Path | None = None

    @classmethod
    def discover(cls, start: Path) -> Git:
        """Find the repository of a directory.

        Raises NotARepository: no repository, bare, inside a ``.git`` directory, or a git that
        refuses the owner of the directory. Does not check that there is a commit.
        """
        program = git_program()
        questions = (
            "--is-bare-repository", "--is-inside-work-tree", "--show-object-format",
            "--path-format=absolute", "--git-common-dir", "--absolute-git-dir", "--show-toplevel",
        )  # fmt: skip
        answer = _spawn(program, ("rev-parse", *questions), cwd=start)
        lines = os.fsdecode(answer.stdout).split("\n")
        if lines[:1] == ["true"]:
            raise NotARepository(
                f"{start}: a bare repository has no work tree to record",
                hint="run this in a clone, or in a work tree made by `git worktree add`",
            )
        if answer.returncode != 0 or lines[1] != "true":
            raise NotARepository(
                f"{start}: not inside a git work tree ({_words(answer.stderr)})",
                hint="run this inside a repository, or make one with `git init`",
            )
        if len(lines) == 7 and lines[6] == "":
            common, git_dir, top = lines[3:6]
        else:  # a path holds a newline: ask one at a time
            common, git_dir, top = (
                os.fsdecode(
                    _spawn(program, ("rev-parse", "--path-format=absolute", q), cwd=start).stdout
                )[:-1]
                for q in ("--git-common-dir", "--absolute-git-dir", "--show-toplevel")
            )
        return cls(
            top=Path(top),
            git_dir=Path(git_dir),
            common_dir=Path(common),
            object_format=cast('Literal["sha1", "sha256"]', lines[2]),
            program=program,
        )

    @property
    def home(self) -> Path:
        """Give our own directory in this repository (shared by its work trees)."""
        return self.common_dir / "agentprov"

    @property
    def is_gone(self) -> bool:
        """Say whether the work tree was removed meanwhile: then git answers what it can without."""
        return not os.path.isdir(self.top)

    @property
    def place(self) -> Path:
        """Give the folder that git runs in: the top, or the common directory where that is gone."""
        return self.common_dir if self.is_gone else self.top

    @property
    def zero(self) -> str:
        """Give the all-zero object id."""
        return "0" * (40 if self.object_format == "sha1" else 64)

    @property
    def empty_tree(self) -> str:
        """Give the id of the empty tree, which git knows without storing it."""
        return (
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
            if self.object_format == "sha1"
            else "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
        )

    def private(self, *, objects: Path | None = None, index: Path | None = None) -> Git:
        """Give the same repository, writing objects and index elsewhere."""
        return replace(self, objects=objects or self.objects, index=index or self.index)

    def environment(self) -> dict[str, str]:
        """Give the environment that our git calls run with."""
        env = scrubbed(os.environ)
        env["GIT_DIR"] = str(self.git_dir if os.path.isdir(self.git_dir) else self.common_dir)
        if self.is_gone:
            # Without a work tree git would take the folder that it runs in for one.
            env["GIT_IMPLICIT_WORK_TREE"] = "0"
        else:
            env["GIT_WORK_TREE"] = str(self.top)
        if self.objects is not None:
            env["GIT_OBJECT_DIRECTORY"] = str(self.objects)
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quote_alternate(self.common_dir / "objects")
        if self.index is not None:
            env["GIT_INDEX_FILE"] = str(self.index)
        return env

    def run(
        self,
        *arguments: str | bytes,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        holding: tuple[int, ...] = (),
    ) -> bytes:
        """Run one git command at the top of the work tree and give its stdout.

        In the common git directory, where the work tree is gone.

        `holding` are descriptors that git inherits, and with them the locks on their files.
        Raises GitFailed with git's own words unless `check` is false.
        """
        environment = self.environment()
        environment.update(env or {})
        done = _spawn(
            self.program, arguments, cwd=self.place, env=environment, input=input, holding=holding
        )
        if check:
            _require_success(arguments, done.returncode, done.stderr)
        return done.stdout

    def run_within(
        self, most: int | None, *arguments: str | bytes, input: bytes
    ) -> tuple[bytes, bool]:
        """Run one git command; gives at most `most` bytes of its stdout, and whether that is all.

        A command that has more to say is ended. Raises GitFailed with git's own words.
        """
        if most is None:
            return self.run(*arguments, input=input), True
        with TemporaryFile() as asked, TemporaryFile() as words:
            asked.write(input)
            asked.seek(0)
            process = subprocess.Popen(
                [self.program, *ALWAYS, *arguments],
                cwd=self.place,
                env=self.environment(),
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=words,
            )
            with process:
                assert process.stdout is not None
                out = process.stdout.read(most)
                if process.stdout.read(1):
                    process.kill()
                    return out, False
            words.seek(0)
            _require_success(arguments, process.returncode, words.read())
        return out, True

    def ask(self, *arguments: str | bytes, input: bytes | None = None) -> Asked:
        """Start one git command and give it while it runs, so that others can run beside it.

        One with `input` is fed, and what it says is taken, by a thread: git never waits for us.
        """
        process = _start(
            self.program, arguments, self.place, self.environment(), fed=input is not None
        )
        return Asked(process, arguments, input)

    def succeeds(self, *arguments: str) -> bool:
        """Say whether a git command ends with status 0."""
        return (
            _spawn(self.program, arguments, cwd=self.place, env=self.environment()).returncode == 0
        )

    def text(self, *arguments: str, check: bool = True) -> str:
        """Run a command whose answer is one line of text, without its newline."""
        return os.fsdecode(self.run(*arguments, check=check)).rstrip("\n")

    def resolve(self, revision: str) -> str | None:
        """Give the commit id that a revision names, or None."""
        if revision.startswith("-"):
            return None
        answer = self.text(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}",
            check=False,
        )  # fmt: skip
        return answer or None

    def cat_file(self) -> CatFile:
        """Open a reader of objects; close it, or use it as a context manager."""
        from agentprov.system.git_objects import CatFile

        return CatFile(self)


class Asked:
    """A git command that runs beside us; `wait` must be called once, and gives what it said."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        arguments: Sequence[str | bytes],
        input: bytes | None = None,
    ) -> None:
        self._process = process
        self._arguments = arguments
        self._out, self._err = b"", b""
        self._feeder: threading.Thread | None = None
        if input is not None:
            self._feeder = threading.Thread(target=self._communicate, args=(input,), daemon=True)
            self._feeder.start()

    def _communicate(self, input: bytes | None = None) -> None:
        self._out, self._err = self._process.communicate(input)

    def wait(self) -> Asked:
        """Wait for its end without judging it."""
        if self._feeder is not None:
            self._feeder.join()
        elif self._process.returncode is None:
            self._communicate()
        return self

    def answer(self, *, check: bool = True) -> bytes:
        """Give its stdout; raises GitFailed with git's own words unless `check` is false."""
        self.wait()
        if check:
            _require_success(self._arguments, self._process.returncode, self._err)
        return self._out


def _quote_alternate(path: Path) -> str:
    text = str(path)
    if '"' in text or "\n" in text or ":" in text:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return text


def _words(stderr: bytes) -> str:
    """Give git's own reason: what it calls fatal or an error, else its last line."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    reasons = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    chosen = reasons[:2] or [line for line in lines if line][-1:]
    words = [line.removeprefix("fatal: ").removeprefix("error: ") for line in chosen]
    return "; ".join(words) or "no message"


def _require_success(arguments: Sequence[str | bytes], status: int, stderr: bytes) -> None:
    if status != 0:
        words = arguments[len(DURABLY) :] if arguments[: len(DURABLY)] == DURABLY else arguments
        verb = next((a for a in words if not os.fsdecode(a).startswith("-")), "")
        raise GitFailed(f"git {os.fsdecode(verb)}: {_words(stderr)}", status=status)


def _start(
    program: str,
    arguments: Sequence[str | bytes],
    cwd: Path,
    env: Mapping[str, str],
    *,
    fed: bool = False,
) -> subprocess.Popen[bytes]:
    with _explaining(cwd):
        return subprocess.Popen(
            [program, *ALWAYS, *arguments],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def _spawn(
    program: str,
    arguments: Sequence[str | bytes],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    holding: tuple[int, ...] = (),
) -> subprocess.CompletedProcess[bytes]:
    with _explaining(cwd):
        return subprocess.run(
            [program, *ALWAYS, *arguments],
            cwd=cwd,
            env=dict(env) if env is not None else scrubbed(os.environ),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            check=False,
            pass_fds=holding,
        )


@contextmanager
def _explaining(cwd: Path) -> Iterator[None]:
    """Turn what is wrong with the directory to start in into NotARepository."""
    try:
        yield
    except NotADirectoryError as error:
        raise NotARepository(f"{cwd}: not a directory") from error
    except FileNotFoundError as error:
        raise NotARepository(f"{cwd}: no such directory") from error
    except PermissionError as error:
        raise NotARepository(f"{cwd}: permission denied") from error
