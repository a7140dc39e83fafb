"""A repository in which recorders are killed, and what must hold of it after every kill.

`Laboratory.kill` kills one command at one point, looks at what is left, runs the next command
and looks again. Whatever does not hold is a sentence in `Outcome.wrong`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentprov.formats import bundle, journal, packed
from agentprov.store import lines
from agentprov.system.process_table import descendants

_KILLED = Path(__file__).parent / "killed"
_TORN = (None, "the last line is not whole")
# The agent edits, commits, goes on after its recorder is dead, and says when it is done.
_AGENT = """
n={number}
echo "one $n" > a$n.txt; echo line $n >> shared.txt; git add -A; git commit -qm "a $n"
sleep 0.05
echo "two $n" > b$n.txt; git add -A; git commit -qm "b $n"
sleep {pause}
echo "three $n" > c$n.txt
echo done > {done}
"""


@dataclass(frozen=True)
class Outcome:
    """One kill: which command at which point, and each thing that does not hold after it."""

    victim: str
    point: str
    killed: bool
    wrong: tuple[str, ...] = ()
    repaired: int = 0


@dataclass
class Tally:
    """What came out of many kills."""

    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    @property
    def kills(self) -> int:
        return sum(one.killed for one in self.outcomes)

    def wrong(self, kind: str) -> int:
        return sum(any(text.startswith(kind) for text in one.wrong) for one in self.outcomes)

    def by_victim(self) -> Counter[str]:
        return Counter(one.victim for one in self.outcomes if one.killed)


def environment(home: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Give an environment in which nothing is the user's."""
    home.mkdir(parents=True, exist_ok=True)
    config = home / "gitconfig"
    config.write_text(
        "[user]\n\tname = Ada Tester\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n"
        '[commit]\n\tgpgsign = false\n[protocol "file"]\n\tallow = always\n'
    )
    foreign = ("GIT_", "AGENTPROV_", "XDG_", "PYTHON", "CLAUDE", "CODEX", "SSH_", "COV_")
    kept = {name: value for name, value in base.items() if not name.startswith(foreign)}
    return {
        **kept,
        "HOME": str(home),
        "AGENTPROV_HOME": str(home / "agentprov"),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "TMPDIR": str(_made(home / "tmp")),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


class Laboratory:
    """One clone with a remote, hooks, keys and a signed plan; victims are killed in it."""

    def __init__(self, place: Path, seed: int, *, thorough: bool = True) -> None:
        self.place = _made(place)
        self.random = random.Random(seed)
        self.thorough = thorough
        self.env = environment(place / "home", os.environ)
        self.top = place / "repo"
        self.number = 0
        self._counts: dict[str, int] = {}
        self._stored: set[bytes] = set()
        self._run("git", "init", "-q", "--bare", str(place / "origin"), cwd=place)
        self._run("git", "clone", "-q", str(place / "origin"), str(self.top), cwd=place)
        (self.top / "shared.txt").write_text("first\n")
        (self.top / "PLAN.md").write_text("# Plan\n\nDo it.\n")
        self._git("add", "-A")
        self._git("commit", "-qm", "first")
        self._git("push", "-q", "origin", "HEAD")
        self.tell("init", must=True)
        self.tell("plan", "sign", "PLAN.md", must=True)
        self.victims: dict[str, Callable[[], list[str]]] = {
            "run": self._run_victim,
            "run and its agent": self._run_victim,
            "drain of late commits": self._late,
            "drain of a dead recorder": self._dead,
            "sync": self._sync,
            "plan sign": self._plan,
            "approve": self._approve,
            "init": lambda: ["init"],
            "hook": self._leave_work,
            "hook's worker": self._leave_work,
        }

    # --- running things

    def _run(self, *argv: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            argv, cwd=cwd or self.top, env=self.env, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{argv}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8", "replace").rstrip("\n")

    def _git(self, *arguments: str, check: bool = True) -> str:
        return self._run("git", *arguments, check=check)

    def tell(self, *arguments: str, must: bool = False) -> subprocess.CompletedProcess[bytes]:
        """Run one of our commands to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "agentprov", *arguments],
            cwd=self.top, env=self.env, capture_output=True, stdin=subprocess.DEVNULL,
            timeout=120, check=False,
        )  # fmt: skip
        if must and done.returncode:
            raise AssertionError(f"{arguments}: {done.stderr.decode('utf-8', 'replace')}")
        return done

    def _start(self, arguments: list[str], **crash: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "agentprov", *arguments],
            cwd=self.top, env={**self.env, "PYTHONPATH": str(_KILLED), **crash},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    # --- the victims, each with what it needs

    def _script(self, pause: float = 0.3) -> list[str]:
        self.number += 1
        script = _AGENT.format(number=self.number, pause=pause, done=self._done_file)
        plan = ["--plan", "PLAN.md"] if self.random.random() < 0.5 else []
        return ["run", "-q", *plan, "--", "sh", "-c", script]

    @property
    def _done_file(self) -> Path:
        return self.place / f"done-{self.number}"

    def _run_victim(self) -> list[str]:
        return self._script()

    def _leave_work(self) -> list[str]:
        self.tell(*self._script(pause=0))
        self._git("add", "-A")
        return ["hook"]

    def _late(self) -> list[str]:
        self.tell(*self._script(pause=0))
        self._git("-c", "core.hooksPath=/dev/null", "add", "-A")
        self._git("-c", "core.hooksPath=/dev/null", "commit", "-qm", "by hand")
        return ["drain"]

    def _dead(self) -> list[str]:
        recorder = self._start(self._script(pause=0.1))
        _wait_for(self._done_file.exists, 20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(recorder.pid, signal.SIGKILL)
        recorder.wait()
        return ["drain"]

    def _sync(self) -> list[str]:
        self.tell(*self._script(pause=0))
        return ["sync"]

    def _plan(self) -> list[str]:
        self.number += 1
        (self.top / "PLAN.md").write_text(f"# Plan\n\nDo it, part {self.number}.\n")
        return ["plan", "sign", "PLAN.md"]

    def _approve(self) -> list[str]:
        return ["approve", "HEAD", "--yes"]

    # --- killing

    def kill(self, victim: str) -> Outcome:
        """Kill one command at a random time or at a random operation, then look."""
        arguments = self.victims[victim]()
        self._stored |= self._notes() | self._own_records()
        if arguments == ["hook"]:
            return self._kill_at_a_commit(victim)
        group = victim == "run and its agent" or self.random.random() < 0.3
        if self.random.random() < 0.35:
            point, process = self._at_a_time(victim, arguments, group)
        else:
            point, process = self._at_an_operation(victim, arguments, group)
        killed = process.wait() in (-signal.SIGKILL, 128 + signal.SIGKILL)
        wrong: list[str] = []
        if arguments[0] == "run" and killed and not group and not self._agent_ends():
            wrong.append("agent: it did not reach its end")
        # Whoever outlived the victim (git, a worker) has ended when nobody writes any more.
        self._reap(process.pid, at_once=group)
        return self._look(victim, point, killed, wrong)

    def _kill_at_a_commit(self, victim: str) -> Outcome:
        """Commit what waits; kill the hook's shell and all below it, or the worker it leaves."""
        committing = subprocess.Popen(
            ["git", "commit", "-qm", "by hand"],
            cwd=self.top, env=self.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found: tuple[int, ...] = ()
        if victim == "hook":
            delay = self.random.uniform(0.0, 0.05)
            time.sleep(delay)
            found = descendants(committing.pid)
        else:
            delay = self.random.uniform(0.0, 0.6)
            committing.wait()
            time.sleep(delay)
            mark = self.top / ".git/agentprov/worker"
            with contextlib.suppress(OSError, ValueError):
                worker = int(mark.read_text().split()[0])
                found = (worker, *descendants(worker))
        hit = 0
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                hit += 1
        committing.wait()
        _wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in found), 5)
        return self._look(victim, f"after {delay:.3f} s", hit > 0, [])

    def _at_a_time(
        self, victim: str, arguments: list[str], group: bool
    ) -> tuple[str, subprocess.Popen[bytes]]:
        delay = self.random.uniform(0.05, 1.4 if arguments[0] == "run" else 0.7)
        process = self._start(arguments)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        return f"after {delay:.3f} s" + (", with its group" if group else ""), process

    def _at_an_operation(
        self, victim: str, arguments: list[str], group: bool
    ) -> tuple[str, subprocess.Popen[bytes]]:
        # Where it is not known yet how many there are, any small number will do.
        at = self.random.randint(1, self._counts.get(victim, 60))
        how = self.random.choice(["before", "after", "torn"])
        crash = {"CRASH_AT": str(at), "CRASH_HOW": how, "CRASH_GROUP": "1" if group else ""}
        count_to = self.place / "count"
        count_to.unlink(missing_ok=True)
        process = self._start(arguments, **crash, CRASH_COUNT_TO=str(count_to))
        process.wait(timeout=120)
        if count_to.exists():
            self._counts[victim] = int(count_to.read_text())
        elif at > self._counts.get(victim, 0) * 0.9:
            self._counts[victim] = max(self._counts.get(victim, 0), int(at * 1.5))
        return f"{how} operation {at}" + (", with its group" if group else ""), process

    def _agent_ends(self) -> bool:
        # Killed before the agent was started, there is none to end.
        if not (self.top / f"a{self.number}.txt").exists():
            time.sleep(0.3)
            if not (self.top / f"a{self.number}.txt").exists():
                return True
        return _wait_for(self._done_file.exists, 20)

    def _reap(self, pid: int, *, at_once: bool) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                os.killpg(pid, signal.SIGKILL if at_once else 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    # --- looking

    def _look(self, victim: str, point: str, killed: bool, wrong: list[str]) -> Outcome:
        wrong += self._journals("at the kill")
        wrong += self._lost("at the kill")
        # git's own lock of the index is the user's: whoever killed git knows what it says.
        (self.top / ".git/index.lock").unlink(missing_ok=True)
        done = self.tell("drain")
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode or b" 0 failures" not in done.stdout:
            wrong.append(f"next: drain ended with {done.returncode}: {done.stdout!r} {said[-300:]}")
        if "Traceback" in said or "bug of ours" in said:
            wrong.append(f"next: {said[-300:]}")
        wrong += self._journals("after the next command")
        wrong += self._lost("after the next command")
        wrong += self._settled()
        wrong += self._consistent()
        wrong += self._replays()
        if victim == "plan sign":
            self.tell("plan", "sign", "PLAN.md", must=True)
        if self.thorough:
            wrong += self._verifies()
            wrong += self._commits()
        return Outcome(victim, point, killed, tuple(wrong), said.count("put right:"))

    def _sessions(self) -> list[Path]:
        home = self.top / ".git/agentprov/sessions"
        return sorted(home.iterdir()) if home.is_dir() else []

    def _journals(self, when: str) -> list[str]:
        wrong = []
        for session in self._sessions():
            place = session / "journal.jsonl"
            if place.exists():
                reading = journal.read(place.read_bytes())
                if reading.defect not in _TORN:
                    wrong.append(f"journal: {when}: {session.name}: {reading.defect}")
        return wrong

    def _notes(self) -> set[bytes]:
        listing = self._git("notes", "--ref=agentprov", "list", check=False)
        found: set[bytes] = set()
        for row in listing.splitlines():
            found |= lines.split(self._git("cat-file", "blob", row.split()[0]).encode())
        return found

    def _own_records(self) -> set[bytes]:
        found: set[bytes] = set()
        for session in self._sessions():
            with contextlib.suppress(OSError):
                text = (session / "records.jsonl").read_bytes()
                found |= set(text[: text.rfind(b"\n") + 1].splitlines())
        return {line for line in found if _is_bundle(line)}

    def _lost(self, when: str) -> list[str]:
        notes = self._notes()
        wrong = []
        broken = [line for line in notes if line and not _is_bundle(line)]
        if broken:
            wrong.append(f"notes: {when}: {len(broken)} lines are no records")
        if self._git("rev-parse", "--verify", "-q", "refs/notes/agentprov", check=False):
            checked = subprocess.run(
                ["git", "fsck", "--connectivity-only", "--no-dangling"],
                cwd=self.top, env=self.env, capture_output=True, check=False,
            )  # fmt: skip
            if checked.returncode:
                wrong.append(f"notes: {when}: git fsck: {checked.stderr.decode()[-200:]}")
        here = notes | self._own_records()
        if self._stored - here:
            wrong.append(f"record: {when}: {len(self._stored - here)} are gone")
        self._stored |= here
        return wrong

    def _settled(self) -> list[str]:
        home = self.top / ".git/agentprov"
        left = [name for name in os.listdir(home / "live") if not name.startswith(".")]
        wrong = [f"session: {left} wait for ever"] if left else []
        unpublished = self._own_records() - self._notes()
        for session in self._sessions():
            kinds = Counter(_kind(line) for line in _whole(session / "records.jsonl"))
            if kinds["open"] != kinds["close"] or kinds["open"] > 1:
                wrong.append(f"session: {session.name}: {dict(kinds)}")
            if kinds["generation"] and unpublished & set(_whole(session / "records.jsonl")):
                wrong.append(f"record: {session.name}: signed and not in the notes")
        return wrong

    def _consistent(self) -> list[str]:
        numbers: Counter[tuple[str, int]] = Counter()
        commits: Counter[tuple[str, str]] = Counter()
        for line in self._notes():
            said = _statement(line)
            if "slsa.dev" not in said["predicateType"]:
                continue
            metadata = said["predicate"]["runDetails"]["metadata"]
            commit = metadata["agentprov_commit"]
            session = metadata["invocationId"]
            numbers[session, commit["sequence"]] += 1
            commits[session, commit["gitCommit"]] += 1
        twice = [key for key, count in (*numbers.items(), *commits.items()) if count > 1]
        return [f"statements: two of one commit or number: {twice}"] if twice else []

    def _replays(self) -> list[str]:
        from agentprov.flows.replay import replay
        from agentprov.record.session import SessionDirectory

        wrong = []
        for session in self._sessions():
            if not (session / "journal.jsonl").exists():
                continue
            found = replay(SessionDirectory(session.parent.parent, session.name))
            if not found.same:
                wrong.append(f"replay: {session.name}: {found}")
        return wrong

    def _verifies(self) -> list[str]:
        first = self._git("rev-list", "--max-parents=0", "HEAD").split()[0]
        done = self.tell("verify", f"{first}..HEAD", "--json")
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            return [f"next: verify said {done.stderr.decode()[-300:]!r}"]
        errors = [
            f"{one['code']}: {one['message']}"
            for one in answer["findings"]
            if one["severity"] == "error" and one["code"] not in _EXPECTED
        ]
        warned = [one["code"] for one in answer["findings"] if one["code"].startswith("log-")]
        return [f"verify: {text}" for text in (*errors, *warned)]

    def _commits(self) -> list[str]:
        wrong = []
        (self.top / "human.txt").write_text(f"{self.number} {time.monotonic_ns()}\n")
        try:
            self._git("add", "human.txt")
            self._git("commit", "-qm", "a human's", "--", "human.txt")
        except AssertionError as error:
            wrong.append(f"commit: {error}")
        doctor = self.tell("doctor", "--json")
        checks = {one["name"]: one for one in json.loads(doctor.stdout)["checks"]}
        for name in ("sessions", "records", "signing log"):
            if not checks[name]["ok"]:
                wrong.append(f"doctor: {name}: {checks[name]['detail']}")
        return wrong


# What a commit without a record of its own gets, a human's or one of a session that was killed.
_EXPECTED = {"uncovered", "provenance-missing", "commit-uncovered"}


def _wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _is_bundle(line: bytes) -> bool:
    try:
        bundle.parse(line)
    except Exception:  # noqa: BLE001  whatever is wrong with it, it is none
        return False
    return True


def _whole(place: Path) -> list[bytes]:
    try:
        return [line for line in place.read_bytes().splitlines() if _is_bundle(line)]
    except OSError:
        return []


def _statement(line: bytes) -> dict[str, Any]:
    return dict(
        json.loads(base64.b64decode(json.loads(packed.unpack(line))["dsseEnvelope"]["payload"]))
    )


def _kind(line: bytes) -> str:
    said = _statement(line)
    if "slsa.dev" in said["predicateType"]:
        return "generation"
    return str(said["predicate"].get("phase", "other"))


def fresh(place: Path, seed: int, *, thorough: bool = True) -> Laboratory:
    """Make a laboratory where another one may have stood."""
    shutil.rmtree(place, ignore_errors=True)
    return Laboratory(place, seed, thorough=thorough)
