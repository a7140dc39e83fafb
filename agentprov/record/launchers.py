"""From a command to the file that matters, through links, ``#!`` lines and shell launchers.

Pure looking: reads the first bytes of files and the metadata of packages, executes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentprov.record.packages import (
    Package,
    npm_package,
    python_module,
    python_package,
)
from agentprov.system.files import open_regular
from agentprov.system.process import ExecFailed, which

_HEAD = 16 * 1024
_MAX_STEPS = 6
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash"})
_INTERPRETER = re.compile(r"(python|pypy|node|nodejs|bun|deno|tsx|ruby|perl|sh|bash)[\d.]*")
_PYTHON = re.compile(r"(python|pypy)[\d.]*")
# Launchers that npm's cmd-shim and pnpm write name their program relative to themselves.
_BASEDIR = re.compile(rb'"\$basedir/([^"$]+)"')
# Python installers write this where the interpreter's path is too long, or has a space.
_LONG_SHEBANG = re.compile(rb"\A#!/bin/sh\n'''exec' \"?([^\"\n]+?)\"? \"\$0\" \"\$@\"\n")
# Flags of interpreters that take a value in the next word.
_VALUED = frozenset({"-W", "-X", "-r", "--require", "--import", "--loader", "-C", "--conditions"})
_CODE = frozenset({"-c", "-e", "-p", "--eval", "--print"})


@dataclass
class Program:
    """What a command comes down to.

    `path` is the real path of the program or script; `runners` are the interpreters and
    launchers that it runs through; `passing` are files that execute for a moment on the way.
    `chain` is how the path was found: as found, each link's target, the real path.
    """

    command: str
    path: Path
    chain: list[Path] = field(default_factory=list)
    runners: list[Path] = field(default_factory=list)
    passing: list[Path] = field(default_factory=list)
    package: Package | None = None
    path_why: str | None = None


def trace(argv0: str, env: Mapping[str, str], cwd: Path, arguments: Sequence[str] = ()) -> Program:
    """Follow a command to its program. Raises ExecFailed when there is nothing to run."""
    found = which(argv0, cwd, env)
    program = Program(argv0, Path(os.path.realpath(found)), chain=links(found))
    interpreters: list[Path] = []
    for _ in range(_MAX_STEPS):
        head = _head(program.path)
        if not head.startswith(b"#!"):
            break
        interpreter = _interpreter(head, program, env, cwd)
        if interpreter is None:
            break
        target = _launched(head, program.path) if _is_shell(interpreter) else None
        if target is None:
            interpreters.append(interpreter)
            program.runners.append(Path(os.path.realpath(interpreter)))
            _through_scripts(program, env, cwd)
            break
        # The launcher is replaced by what it starts, its shell with it.
        program.passing.append(Path(os.path.realpath(interpreter)))
        program.runners.append(program.path)
        program.chain += links(target)
        program.path = Path(os.path.realpath(target))
    if not interpreters:
        _take_argument(program, found, cwd, arguments)
    if program.package is None:
        program.package = _package(program, found, interpreters)
    return program


def links(path: Path) -> list[Path]:
    """Give a path, the target of each symbolic link in turn, and at last the real path."""
    hops = [path]
    for _ in range(40):
        try:
            target = os.readlink(hops[-1])
        except OSError:
            break
        hops.append(Path(os.path.normpath(os.path.join(hops[-1].parent, target))))
    real = Path(os.path.realpath(path))
    return hops if hops[-1] == real else [*hops, real]


def _head(path: Path) -> bytes:
    try:
        descriptor = open_regular(path)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _HEAD)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _interpreter(head: bytes, program: Program, env: Mapping[str, str], cwd: Path) -> Path | None:
    long = _LONG_SHEBANG.match(head)
    if long:
        program.passing.append(Path("/bin/sh"))
        return Path(os.fsdecode(long[1]))
    words = os.fsdecode(head[2:].split(b"\n", 1)[0]).split()
    if not words:
        return None
    if os.path.basename(words[0]) != "env":
        # The kernel takes a relative interpreter from the working directory.
        return Path(os.path.join(cwd, words[0]))
    program.passing.append(Path(words[0]))
    for word in words[1:]:
        if word.startswith("-") or "=" in word:
            continue
        try:
            return which(word, cwd, env)
        except ExecFailed:
            break
    program.path_why = "its interpreter was not found"
    return None


def _through_scripts(program: Program, env: Mapping[str, str], cwd: Path) -> None:
    # An interpreter may itself be a script (version managers put such shims on PATH).
    for _ in range(_MAX_STEPS):
        head = _head(program.runners[-1])
        if not head.startswith(b"#!"):
            return
        below = _interpreter(head, program, env, cwd)
        if below is None:
            return
        program.runners.append(Path(os.path.realpath(below)))


def _is_shell(interpreter: Path) -> bool:
    return interpreter.name in _SHELLS


def _launched(head: bytes, launcher: Path) -> Path | None:
    if b"basedir=" not in head or b"exec" not in head:
        return None
    for name in _BASEDIR.findall(head):
        path = launcher.parent / os.fsdecode(name)
        if path.is_file() and not _INTERPRETER.fullmatch(path.name):
            return path
    return None


def _take_argument(program: Program, found: Path, cwd: Path, arguments: Sequence[str]) -> None:
    name = found.name if _INTERPRETER.fullmatch(found.name) else program.path.name
    if not _INTERPRETER.fullmatch(name):
        return
    python = bool(_PYTHON.fullmatch(name))
    script, module = script_argument(arguments, python=python)
    path: Path | None = None
    if module is not None:
        path, program.package = python_module(module, found)
    elif script is not None:
        path = Path(os.path.join(cwd, script))
    # Code on the command line may be taken for a name here, and be no possible one.
    if path is not None and os.path.isfile(path):
        program.runners.append(program.path)
        program.chain += links(path)
        program.path = Path(os.path.realpath(path))


def script_argument(
    arguments: Sequence[str], *, python: bool = False
) -> tuple[str | None, str | None]:
    """Give (script, module) that an interpreter with these arguments runs; both may be None.

    ``run`` as the first word (bun, deno) is passed over. Code given on the command line is
    neither.
    """
    skip = False
    for index, word in enumerate(arguments):
        if skip:
            skip = False
        elif python and word == "-m":
            return None, arguments[index + 1] if index + 1 < len(arguments) else None
        elif word in _CODE:
            return None, None
        elif word.startswith("-"):
            skip = word in _VALUED
        elif index == 0 and word == "run":
            continue
        else:
            return word, None
    return None, None


def _package(program: Program, found: Path, interpreters: Sequence[Path]) -> Package | None:
    for path in (program.path, *reversed(program.chain)):
        package = npm_package(path)
        if package is not None:
            return package
    pythons = [path for path in interpreters if _PYTHON.fullmatch(path.name)]
    scripts = dict.fromkeys((found, program.path))
    for script in scripts:
        if pythons or (script.parent.parent / "pyvenv.cfg").is_file():
            package = python_package(script, pythons)
            if package is not None:
                return package
    return None
