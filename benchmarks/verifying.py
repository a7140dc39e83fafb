"""`agentprov verify`, cold, against an interpreter that only loads what signatures need."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ground import AGENTPROV, PYTHON, Ground
from measure import Case, Table, Target, at_most_times, inside, process, run_cases
from starts import nothing_app

from agentprov import attest
from agentprov.flows.repository import identity
from agentprov.flows.world import World, seal
from agentprov.formats import digest, names
from agentprov.formats.facts import Agent, AgentReport, Change, Commit, LineRange, Session
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


@dataclass(frozen=True)
class Corpus:
    """A repository whose last `commits` commits have a record each."""

    top: Path
    commits: int
    statements: int


def verify(ground: Ground, table: Table) -> None:
    """1, 100 and 1,000 distinct statements; then what one more costs."""
    floor = ground.place / "floor.py"
    floor.write_text(_FLOOR + nothing_app(ground).read_text())
    small = corpus(ground, "small", 110, one_session=True)
    large = small if ground.quick else corpus(ground, "large", 1_000, one_session=True)
    apart = corpus(ground, "apart", 100, one_session=False)
    cases = {
        "floor: signature imports + do-nothing app": lambda: process(
            (PYTHON, "-I", str(floor), "one"), cwd=ground.place, env=ground.env
        ),
        "verify 1 commit": _case(ground, small, "HEAD"),
        "verify 100 commits of one session": _case(ground, small, "HEAD~100..HEAD"),
        "verify 100 commits of 100 sessions": _case(ground, apart, "HEAD~100..HEAD"),
    }
    targets = {
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


def corpus(ground: Ground, name: str, commits: int, *, one_session: bool) -> Corpus:
    """Make commits of one small file each, and records of them as a recorder would sign them."""
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
    groups = [described] if one_session else [[commit] for commit in described]
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
