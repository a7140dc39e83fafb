"""The work tree: our snapshot against `git status`, and a recorded `true` against others."""

from __future__ import annotations

import shutil
from pathlib import Path

from ground import AGENTPROV, PYTHON, Ground, program
from measure import (
    Case,
    Failed,
    Table,
    Target,
    at_most_times,
    first_byte,
    inside,
    process,
    run_cases,
)

from agentprov.record import snapshot
from agentprov.system.git import Git

_STATUS = ("git", "status", "--porcelain=v2", "-z")
_AT = "2026-01-01T00:00:00Z"
_LIMITS = {1_000: 2.0, 10_000: 1.5, 100_000: 1.5}


def _sizes(ground: Ground) -> list[int]:
    return [1_000, 10_000] if ground.quick else [1_000, 10_000, 100_000]


def snapshots(ground: Ground, table: Table) -> None:
    """One snapshot of an unchanged and of a changed tree, beside warm `git status`."""
    for size in _sizes(ground):
        top = ground.repository(f"tree-{size}", size)
        git = Git.discover(top)
        git.home.mkdir(exist_ok=True)
        limit = at_most_times(_LIMITS[size])

        def take(git: Git = git) -> None:
            snapshot.take(git, _AT, "bench")

        def ask(top: Path = top) -> None:
            ground.run(*_STATUS, cwd=top)

        run_cases(
            table, f"snapshot, {size:,} files",
            {
                "git status": lambda ask=ask: inside(ask),  # type: ignore[misc]
                "snapshot": lambda take=take: inside(take),  # type: ignore[misc]
            },
            ground.rounds(30 if size < 100_000 else 12, 7),
            {"snapshot": limit}, warm=2,
        )  # fmt: skip
        for number in range(10):
            path = top / "d0000" / f"f{number:06d}.txt"
            path.write_text(path.read_text() + "changed\n")
        run_cases(
            table, f"snapshot, {size:,} files, 10 of them changed",
            {
                "git status": lambda ask=ask: inside(ask),  # type: ignore[misc]
                "snapshot": lambda take=take: inside(take),  # type: ignore[misc]
            },
            ground.rounds(15, 5), warm=2,
        )  # fmt: skip
        shutil.rmtree(top)


def run_true(ground: Ground, table: Table) -> None:
    """`run -- true` at 1,000 and 10,000 files, beside what records it elsewhere."""
    key = _key(ground)
    rivals = _rivals(table, key)
    for size in (1_000, 10_000):
        top = ground.repository(f"true-{size}", size)
        out = ground.place / f"out-{size}"
        out.mkdir()
        cases: dict[str, Case] = {}
        for name, argv in rivals.items():
            case = _case([word.replace("OUT", str(out)) for word in argv], top, ground)
            try:
                case()
            except Failed as failure:
                table.note(f"{name} did not work here, not compared: {failure}")
                continue
            cases[name] = case
        cases["agentprov run -- true"] = _case([*AGENTPROV, "run", "-q", "--", "true"], top, ground)
        half = Target("< 0.5x wall", lambda row: (row.ratio or 9) < 0.5)
        targets = {"agentprov run -- true": half} if "witness run" in cases else {}
        run_cases(table, f"run true, {size:,} files", cases, ground.rounds(15, 4), targets)


def _case(argv: list[str], top: Path, ground: Ground) -> Case:
    return lambda: process(argv, cwd=top, env=ground.env)


def _rivals(table: Table, key: Path) -> dict[str, list[str]]:
    """Give the rivals that are installed; the target is stated against the first, witness."""
    found: dict[str, list[str]] = {}
    witness, in_toto = program("witness"), program("in-toto-run")
    if witness is not None:
        found["witness run"] = [
            witness, "run", "--step", "bench", "--attestations", "git",
            "--signer-file-key-path", str(key), "--outfile", "OUT/witness.json", "--", "true",
        ]  # fmt: skip
    else:
        table.note("witness is not on PATH: the target 'under half of witness' is not judged here")
    if in_toto is not None:
        found["in-toto-run"] = [
            in_toto, "-n", "bench", "--signing-key", str(key), "-d", "OUT", "-m", ".", "-p", ".",
            "--", "true",
        ]  # fmt: skip
    else:
        table.note("in-toto-run is not installed: not compared")
    return found


def _key(ground: Ground) -> Path:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    place = ground.place / "rival-key.pem"
    place.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return place


def agent_start(ground: Ground, table: Table) -> None:
    """From our start to the agent's first byte of output, beside the agent alone."""
    agent = ("sh", "-c", "echo up")
    limit = Target("+300 ms", lambda row: (row.added or 0) <= 300)
    for size in (1_000, 10_000):
        top = ground.repository(f"start-{size}", size)
        run_cases(
            table, f"first instruction, {size:,} files",
            {
                "agent alone": lambda top=top: first_byte(  # type: ignore[misc]
                    agent, cwd=top, env=ground.env
                ),
                "interpreter alone": lambda top=top: first_byte(  # type: ignore[misc]
                    (PYTHON, "-I", "-c", "print(1)"), cwd=top, env=ground.env
                ),
                "agentprov run": lambda top=top: first_byte(  # type: ignore[misc]
                    (*AGENTPROV, "run", "-q", "--", *agent), cwd=top, env=ground.env
                ),
            },
            ground.rounds(25, 6),
            {"agentprov run": limit} if size == 1_000 else {},
        )  # fmt: skip
