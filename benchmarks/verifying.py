"""`agentprov verify`, cold, against an interpreter that only loads what signatures need."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ground import AGENTPROV, PYTHON, Ground
from measure import (
    Case,
    Failed,
    Table,
    Target,
    at_most_times,
    inside,
    process,
    run_cases,
)
from starts import nothing_app

from agentprov import attest
from agentprov.flows.repository import identity
from agentprov.flows.world import World, seal
from agentprov.formats import bundle, digest, names
from agentprov.formats.envelope import pae
from agentprov.formats.facts import Agent, AgentReport, Change, Commit, LineRange, Session
from agentprov.ports import Signer
from agentprov.system.clock import SystemClock
from agentprov.system.git import Git

_FLOOR = """
import base64, hashlib, json
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
"""
_ABOVE_FLOOR_MS = 420
_MANY = 10_000
_MANY_SECONDS = 20
_MANY_MB = 300
_HOSTILE_BYTES = 1_000_000
_MALFORMED_STATUS = 14
# What a process holds at most is known to itself alone: what waits for it would count its own too.
_PEAK = """
import resource, sys
from agentprov.cli import execute
status = execute(sys.argv[1:])
own = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(status, max(int(own[0]), children), file=sys.stderr)
"""


@dataclass(frozen=True)
class Corpus:
    """A repository whose last `commits` commits have a record each."""

    top: Path
    commits: int
    statements: int


def verify(ground: Ground, table: Table) -> None:
    """One session of one commit, 1, 100 and 1,000 commits; then what one more statement costs."""
    floor = ground.place / "floor.py"
    floor.write_text(_FLOOR + nothing_app(ground).read_text())
    small = corpus(ground, "small", 110, each=110)
    large = small if ground.quick else corpus(ground, "large", 1_000, each=1_000)
    apart = corpus(ground, "apart", 100, each=1)
    cases = {
        "floor: signature imports + do-nothing app": lambda: process(
            (PYTHON, "-I", str(floor), "one"), cwd=ground.place, env=ground.env
        ),
        "verify 1 commit, the only one of its session": _case(ground, apart, "HEAD"),
        "verify 1 commit": _case(ground, small, "HEAD"),
        "verify 100 commits of one session": _case(ground, small, "HEAD~100..HEAD"),
        "verify 100 commits of 100 sessions": _case(ground, apart, "HEAD~100..HEAD"),
    }
    targets = {
        "verify 1 commit, the only one of its session": at_most_times(1.6, cpu=True),
        "verify 1 commit": at_most_times(1.6, cpu=True),
        "verify 100 commits of one session": at_most_times(2.2),
    }
    if not ground.quick:
        name = "verify 1,000 commits of one session"
        cases[name] = _case(ground, large, "HEAD~1000..HEAD")
        targets[name] = Target(
            f"+{_ABOVE_FLOOR_MS} ms", lambda row: (row.added or 0) <= _ABOVE_FLOOR_MS
        )
    run_cases(table, "verify", cases, ground.rounds(20, 5), targets)
    rows = {row.case: row for row in table.rows if row.figure == "verify"}
    table.fact("verify", "statements of 100 commits of 100 sessions", apart.statements)
    if not ground.quick:
        more = 900
        spent = (
            rows["verify 1,000 commits of one session"].wall_p50
            - rows["verify 100 commits of one session"].wall_p50
        )
        each = spent / more
        table.fact("verify", "one more statement, ms", round(each, 3), "<= 0.35 ms", each <= 0.35)
    _signature_alone(ground, table)


def _case(ground: Ground, corpus: Corpus, words: str) -> Case:
    return lambda: process((*AGENTPROV, "verify", words), cwd=corpus.top, env=ground.env)


def many(ground: Ground, table: Table) -> None:
    """The whole history of 10,000 commits by 1,000 sessions: time, memory, and one commit of it."""
    commits = 1_000 if ground.quick else _MANY
    made = corpus(ground, "many", commits, each=10)
    span = f"HEAD~{commits}..HEAD"
    name = f"verify {commits:,} commits"
    seconds = Target(f"<= {_MANY_SECONDS} s", lambda row: row.wall_p50 <= _MANY_SECONDS * 1_000)
    cases = {
        "verify 1 commit of them": _case(ground, made, "HEAD"),
        name: _case(ground, made, span),
    }
    kept = run_cases(table, "verify-many", cases, ground.rounds(3, 1), {name: seconds}, warm=0)
    best = min(sample.wall for sample in kept[name]) / 1_000
    table.fact("verify-many", "statements", made.statements)
    rate = round(made.statements / best)
    table.fact("verify-many", "statements a second, best run", rate, ">= 1000", rate >= 1_000)
    for words in ("HEAD", span):
        peak = _peak_mb(ground, made.top, words)
        what = f"most memory in verify {'1 commit' if words == 'HEAD' else span}, MB"
        table.fact("verify-many", what, peak, f"<= {_MANY_MB} MB", peak <= _MANY_MB)


def _peak_mb(ground: Ground, top: Path, *words: str) -> int:
    if not sys.platform.startswith("linux"):
        raise Failed("how much memory a process held at most is read from Linux's /proc")
    script = ground.place / "peak.py"
    script.write_text(_PEAK)
    said = ground.place / "peak.txt"
    ground.run(
        "sh", "-c", 'exec "$@" 2>"$0" >/dev/null', str(said), PYTHON, "-I", str(script), "verify",
        *words, cwd=top,
    )  # fmt: skip
    return round(int(said.read_text().split()[-1]) / 1_000)


def hostile(ground: Ground, table: Table) -> None:
    """A megabyte of JSON that is made to cost, as a bundle and as what a trusted key has signed."""
    top = corpus(ground, "hostile", 1, each=1).top
    key = World(Git.discover(top), Path(ground.env["AGENTPROV_HOME"]), SystemClock()).recorder
    texts = _hostile_texts()
    cases: dict[str, Case] = {}
    targets = {}
    for name, text in texts.items():
        for place, data in (("bundle", text), ("signed", _signed(text, key))):
            path = top / f"{place}-{len(cases)}.json"
            path.write_bytes(data)
            case = f"{name}, {place}"
            cases[case] = _refusing(ground, top, path)
            targets[case] = Target("< 1 s", lambda row: row.wall_p95 < 1_000)
    run_cases(table, "hostile", cases, ground.rounds(5, 2), targets, warm=0)


def _refusing(ground: Ground, top: Path, path: Path) -> Case:
    argv = (*AGENTPROV, "verify", path.name)
    return lambda: process(argv, cwd=top, env=ground.env, status=_MALFORMED_STATUS)


def _hostile_texts() -> dict[str, bytes]:
    size = _HOSTILE_BYTES
    pairs = ",".join(f'"{number:06d}":{number}' for number in range(size // 16))
    return {
        "a word that is no JSON": b"junk",
        "nested arrays": b"[" * (size // 2) + b"]" * (size // 2),
        "nested objects": b'{"a":' * (size // 5),
        "one long number": b'{"a":' + b"9" * size + b"}",
        "many members": b"{" + pairs.encode() + b"}",
        "one member again and again": b"{" + b'"a":1,' * (size // 6) + b'"a":1}',
        "many small objects": b"[" + b"{}," * (size // 3) + b"{}]",
        "escapes": b'{"a":"' + b"\\ud800" * (size // 6) + b'"}',
        "brackets in a text": b'{"a":"' + b"[" * size + b'"}',
        "no end": b'{"a":"' + b"x" * size,
        "not UTF-8": b'{"a":"' + b"\xff" * size + b'"}',
    }


def _signed(payload: bytes, key: Signer) -> bytes:
    signature = key.sign(pae(names.PAYLOAD_TYPE, payload))
    return bundle.encode(bundle.Bundle(payload, signature, bundle.key_hint(key.spki)))


def _signature_alone(ground: Ground, table: Table) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    data = os.urandom(1800)
    algorithm = ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(data, algorithm), key.public_key()

    def many() -> None:
        for _ in range(1_000):
            public.verify(signature, data, algorithm)

    best = min(inside(many).wall for _ in range(ground.rounds(7, 3)))
    table.fact("verify", "P-256 verify alone, ms", round(best / 1_000, 4))


def corpus(ground: Ground, name: str, commits: int, *, each: int) -> Corpus:
    """Make commits of one small file each, and records of them as a recorder would sign them.

    `each` is how many commits a session makes.
    """
    top = ground.place / name
    top.mkdir()
    ground.run("git", "init", "-q", cwd=top)
    ground.run("git", "fast-import", "--quiet", cwd=top, input=_history(commits + 1))
    ground.run("git", "reset", "-q", "--hard", "main", cwd=top)
    git = Git.discover(top)
    world = World(git, Path(ground.env["AGENTPROV_HOME"]), SystemClock())
    listing = ground.run("git", "rev-list", "--reverse", "--format=%T %P", "main", cwd=top)
    rows = [line.split() for line in listing.decode().splitlines()]
    described = [
        Commit(ids[1], detail[0], tuple(detail[1:]), None, "refs/heads/main", 1)
        for ids, detail in zip(rows[::2], rows[1::2], strict=True)
    ][1:]
    notes: dict[str, list[bytes]] = {}
    statements = 0
    groups = [described[start : start + each] for start in range(0, commits, each)]
    number = 0
    for group in groups:
        lines = _session(world, group, number)
        number += len(group)
        for oid, found in lines.items():
            notes[oid] = found
            statements += len(found)
    world.store.add(notes)
    ground.agentprov("verify", f"HEAD~{commits}..HEAD", cwd=top)
    return Corpus(top, commits, statements)


def _content(number: int) -> bytes:
    return "".join(f"line {number} {n}\n" for n in range(20)).encode()


def _history(commits: int) -> bytes:
    out = bytearray()
    for number in range(commits):
        body = _content(number)
        out += b"commit refs/heads/main\nmark :%d\n" % (number + 1)
        out += b"committer Bench <bench@example.com> %d +0000\n" % (1_760_000_000 + number)
        out += b"data 7\nChange\n"
        if number:
            out += b"from :%d\n" % number
        out += b"M 100644 inline src/file%04d.txt\ndata %d\n%b\n" % (number, len(body), body)
    return bytes(out)


def _session(world: World, commits: list[Commit], first: int) -> dict[str, list[bytes]]:
    """Sign one session's statements; the opening hangs on its first commit, with the close."""
    session = Session(
        id=str(uuid.uuid4()),
        started=world.now(),
        builder=names.LOCAL_WRAPPER,
        repository=identity(world.git),
        base_commit=commits[0].parents[0],
        base_tree=None,
        ref="refs/heads/main",
        platform="linux/x86_64",
        agent=Agent("agent", "agent", "~/bin/agent", sha256(b"agent").hexdigest(), "observed"),
        command_line=("agent",),
        principal="bench@example.com",
        journal_genesis=sha256(os.urandom(8)).hexdigest(),
    )
    report = AgentReport()
    opening = attest.session_open(session)
    opened = digest.sha256(opening.payload)
    notes: dict[str, list[bytes]] = {}
    generations: list[str] = []
    for sequence, commit in enumerate(commits, 1):
        number = first + sequence
        body = _content(number)
        blob = sha1_blob(body)
        change = Change(
            f"src/file{number:04d}.txt".encode(), "add", "100644", blob,
            sha256(body).hexdigest(), len(body),
            ranges=(LineRange(1, 20, "unknown", "observed", why="agent-reports-nothing"),),
        )  # fmt: skip
        full = Commit(
            commit.oid, commit.tree, commit.parents, sha256(body).hexdigest()[:40], commit.ref,
            sequence, (change,),
        )  # fmt: skip
        for statement in attest.generation(session, opened, full, report):
            generations.append(digest.sha256(statement.payload))
            notes.setdefault(commit.oid, []).append(seal(statement, world.recorder))
    closing = attest.session_close(
        session,
        open_sha256=opened,
        generations=generations,
        last_sequence=len(commits),
        finished=world.now(),
        journal_head=sha256(b"head").hexdigest(),
        journal_entries=3,
        outcome="completed",
        exit_status=0,
        report=report,
    )
    anchor = notes[commits[0].oid]
    anchor.insert(0, seal(opening, world.recorder))
    anchor.append(seal(closing, world.recorder))
    return notes


def sha1_blob(content: bytes) -> str:
    """Give git's SHA-1 id of a blob."""
    from hashlib import sha1

    return sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
