"""Signing: in this process, through ssh-agent, with a passphrase, and a plan from a cold start."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from ground import AGENTPROV, PYTHON, Ground
from measure import Case, Failed, Sample, Table, Target, inside, process, run_cases
from starts import nothing_app

from agentprov.formats.envelope import pae
from agentprov.formats.names import PAYLOAD_TYPE
from agentprov.ports import Signer
from agentprov.sign import file_key
from agentprov.sign.key_use import KeyUse
from agentprov.sign.registry import resolve

_BATCH = 200
_PLAN_LINES = 200
_STATEMENT = pae(PAYLOAD_TYPE, b'{"predicate":"' + b"x" * 1_800 + b'"}')


def signing(ground: Ground, table: Table) -> None:
    """One signature by each kind of key, then `plan sign` of a plan of 200 lines."""
    batches(ground, table)
    with _agent(ground) as keys:
        through_the_agent(ground, table, keys)
        plans(ground, table, keys)


def batches(ground: Ground, table: Table) -> None:
    """Keys in files, already open: time per signature in a batch."""
    own = ground.place / "batch" / "p256.pem"
    file_key.create(own)
    cases = {
        "sha256 of the statement": _each(sha256),
        "P-256 in a file": _each(resolve(f"file:{own}").sign),
    }
    key = _generate(ground, "batch/ed25519", "ed25519")
    if key is not None:
        cases["Ed25519 in a file"] = _each(resolve(f"file:{key}").sign)
    limit = Target("<= 0.3 ms p50", lambda row: row.wall_p50 <= 0.3)
    run_cases(
        table, "sign, one of a batch", cases, ground.rounds(30, 8),
        {name: limit for name in cases if "file" in name},
    )  # fmt: skip
    locked = ground.place / "batch" / "locked.pem"
    file_key.create(locked, b"correct horse")
    use = KeyUse(ask=lambda _: "correct horse")
    samples = [
        inside(lambda: file_key.FileKey(locked, use).sign(_STATEMENT)).wall
        for _ in range(ground.rounds(7, 3))
    ]
    table.fact("sign", "first signature of a key with a passphrase (bcrypt), ms", _mid(samples))


def through_the_agent(ground: Ground, table: Table, keys: dict[str, str]) -> None:
    """One signature with a connection of its own each, as `plan sign` makes it."""
    if not keys:
        table.note("ssh-agent: not installed here")
        return
    cases: dict[str, Case] = {"P-256 in a file": _once(f"file:{ground.place}/batch/p256.pem")}
    for kind, uri in keys.items():
        cases[f"{kind} in ssh-agent"] = _once(uri)
    limit = Target("<= 10 ms p95", lambda row: row.wall_p95 <= 10)
    run_cases(
        table, "sign, one", cases, ground.rounds(60, 15),
        {name: limit for name in cases if "agent" in name},
    )  # fmt: skip


def plans(ground: Ground, table: Table, keys: dict[str, str]) -> None:
    """`plan sign` in a fresh interpreter, against a command line that does nothing."""
    top = ground.repository("plans", 50)
    lines = [f"{number}. Do the step number {number} of it.\n" for number in range(_PLAN_LINES)]
    (top / "PLAN.md").write_text("".join(lines))
    sign = (*AGENTPROV, "plan", "sign", "PLAN.md")
    floor = str(nothing_app(ground))
    cases: dict[str, Case] = {
        "do-nothing typer app": lambda: process(
            (PYTHON, "-I", floor, "one"), cwd=top, env=ground.env
        ),
        "plan sign, key in a file": lambda: process(sign, cwd=top, env=ground.env),
    }
    for kind, uri in keys.items():
        cases[f"plan sign, {kind} in ssh-agent"] = _plan_with(ground, top, sign, uri)
    limit = Target("<= 1500 ms p95", lambda row: row.wall_p95 <= 1_500)
    run_cases(
        table, "plan of 200 lines", cases, ground.rounds(15, 4),
        {name: limit for name in cases if name.startswith("plan")},
    )  # fmt: skip


def _plan_with(ground: Ground, top: Path, sign: tuple[str, ...], uri: str) -> Case:
    return lambda: process((*sign, "--key", uri), cwd=top, env=ground.env)


def _each(call: Callable[[bytes], object]) -> Case:
    def many() -> None:
        for _ in range(_BATCH):
            call(_STATEMENT)

    def case() -> Sample:
        whole = inside(many)
        return Sample(whole.wall / _BATCH, whole.cpu / _BATCH)

    return case


def _once(uri: str) -> Case:
    signer: Signer = resolve(uri)
    return lambda: inside(lambda: signer.sign(_STATEMENT))


def _mid(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 1)


def _generate(ground: Ground, name: str, kind: str) -> Path | None:
    if shutil.which("ssh-keygen") is None:
        return None
    place = ground.place / name
    place.parent.mkdir(mode=0o700, exist_ok=True)
    ground.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(place), cwd=ground.place)
    return place


@contextmanager
def _agent(ground: Ground) -> Iterator[dict[str, str]]:
    """Run an ssh-agent with a key of each kind; gives their URIs, none without OpenSSH."""
    if shutil.which("ssh-agent") is None:
        yield {}
        return
    path = str(ground.place / "agent")
    running = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise Failed("ssh-agent did not start")
            time.sleep(0.01)
        os.environ["SSH_AUTH_SOCK"] = path
        ground.env["SSH_AUTH_SOCK"] = path
        found = {}
        for name, kind in (("P-256", "ecdsa"), ("Ed25519", "ed25519")):
            key = _generate(ground, f"in-agent/{kind}", kind)
            assert key is not None
            ground.run("ssh-add", "-q", str(key), cwd=ground.place)
            listed = ground.run("ssh-keygen", "-lf", f"{key}.pub", cwd=ground.place)
            found[name] = f"ssh:{listed.decode().split()[1]}"
        yield found
    finally:
        running.terminate()
        running.wait()
