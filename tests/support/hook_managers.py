"""Real hook managers for tests: installed once, at pinned versions, outside the tracked tree.

They live in ``$AGENTPROV_TEST_HOOK_MANAGERS`` or ``.cache/hook-managers``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentprov.system.files import locked, private_directory

TOP = Path(__file__).resolve().parents[2]
NPM = {"husky": "9.1.7", "lefthook": "2.2.2"}
PRE_COMMIT = "4.7.0"


def program(name: str) -> Path:
    """Give a hook manager's executable, installing it first where that is still to be done.

    Skips the test where it cannot be had; on CI (``CI=true``) that fails it instead.
    """
    root = Path(os.environ.get("AGENTPROV_TEST_HOOK_MANAGERS") or TOP / ".cache" / "hook-managers")
    private_directory(root)
    with locked(root / f"{name}.lock", 300):
        return _pre_commit(root) if name == "pre-commit" else _from_npm(root, name)


def _from_npm(root: Path, name: str) -> Path:
    prefix = root / f"{name}-{NPM[name]}"
    found = prefix / "node_modules" / ".bin" / name
    if found.exists():
        return found
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            _give_up(f"{name} needs {tool}, which is not installed")
    prefix.mkdir(parents=True, exist_ok=True)
    # The binaries are packages of their own; no script of a package has to run.
    options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(prefix)]
    _run(name, ["npm", "install", *options, f"{name}@{NPM[name]}"], prefix)
    return found


def _pre_commit(root: Path) -> Path:
    prefix = root / f"pre-commit-{PRE_COMMIT}"
    found = prefix / "bin" / "pre-commit"
    if found.exists():
        return found
    _run("pre-commit", [sys.executable, "-m", "venv", str(prefix)], root)
    pip = [str(prefix / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    _run("pre-commit", [*pip, f"pre-commit=={PRE_COMMIT}"], root)
    return found


def _run(name: str, command: list[str], cwd: Path) -> None:
    # The autouse fixtures give tests an empty home; package clients need the user's settings.
    environment = {**os.environ, "HOME": _real_home()}
    environment.pop("XDG_CONFIG_HOME", None)
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        _give_up(f"{name} cannot be installed: {done.stderr.strip()[-400:]}")


def _real_home() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_dir


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
