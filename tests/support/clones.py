"""A scripted team: clones with our hooks, a bare forge without them, a fork; and who wrote what.

Every line that somebody writes is different from every other, and the oracle remembers who wrote
it: a session's id, or nobody's for a person. It knows nothing of records. What it asks for in the
end is each line of the forge's main branch, in a clone that has never seen any of the work.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("a.py", "b.py", "lib/c.py", "lib/d.py", "docs/e.md")
# Runs as the agent: writes what it is given, says in which session, commits if told to.
_AGENT = """
import json, os, subprocess, sys
task = json.load(open(sys.argv[1]))
open(task["tell"], "w").write(os.environ["AGENTPROV_SESSION"])
for name, text in task["files"].items():
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write(text)
for message in task["commits"]:
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", message], check=True)
"""


@dataclass
class Outcome:
    """What became of the lines of the forge's main branch.

    `right`: answered with the session that wrote them, or with none where a person did. `unknown`:
    a session's lines that nobody is named for. `wrong`: another answer. `orphans` are sessions
    whose lines live on and of which not one line is answered.
    """

    right: int = 0
    unknown: int = 0
    wrong: list[tuple[str, int, str, str | None, str | None]] = field(default_factory=list)
    orphans: set[str] = field(default_factory=set)
    sessions: int = 0
    steps: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> int:
        return self.right + self.unknown + len(self.wrong)


class Team:
    """Some clones of one bare forge, and a fork; `step` does something at random."""

    def __init__(self, place: Path, seed: int, clones: int = 5) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.wrote: dict[str, str | None] = {}
        self.steps: Counter[str] = Counter()
        self._count = 0
        self._branches = 0
        self.forge = place / "forge.git"
        self.fork = place / "fork.git"
        self._open: dict[str, tuple[int, Path]] = {}
        self._git(place, "init", "-q", "--bare", "-b", "main", str(self.forge))
        first = place / "first"
        self._git(place, "init", "-q", "-b", "main", str(first))
        for name in NAMES:
            self._write(first / name, [self._line(None) for _ in range(12)])
        self._git(first, "add", "-A")
        self._git(first, "commit", "-q", "-m", "first")
        self._git(first, "push", "-q", str(self.forge), "main")
        self._git(place, "clone", "-q", "--bare", str(self.forge), str(self.fork))
        self.clones = [place / f"clone{number}" for number in range(clones)]
        for clone in self.clones:
            self._git(place, "clone", "-q", str(self.forge), str(clone))
            self._git(clone, "config", "user.name", clone.name)
            self._git(clone, "config", "user.email", f"{clone.name}@example.com")
            self._agentprov(clone, "init")
            self._git(clone, "clean", "-qfd")
        # The forge merges somewhere where no hook of ours runs.
        self.merger = place / "merger"
        self._git(place, "clone", "-q", str(self.forge), str(self.merger))

    # --- what happens ---------------------------------------------------------------------------

    def step(self) -> str:
        """Do one thing somewhere; gives its name."""
        ways: list[tuple[Callable[[Path], str | None], int]] = [
            (self.agent, 5), (self.agent_leaves, 2), (self.human, 3), (self.amend, 2),
            (self.rebase, 2), (self.squash_here, 1), (self.fixup, 1), (self.pick, 1),
            (self.stash, 1), (self.push, 3), (self.merge_on_forge, 3), (self.update, 3),
            (self.collect, 1),
        ]  # fmt: skip
        way = self.random.choices([one for one, _ in ways], [weight for _, weight in ways])[0]
        clone = self.random.choice(self.clones)
        name = way(clone) or way.__name__
        self.steps[name] += 1
        return name

    def agent(self, clone: Path) -> str | None:
        """An agent edits and commits, once or twice."""
        self._branch(clone)
        commits = [f"agent {self._count}", *(["agent again"] if self.random.random() < 0.2 else [])]
        self._run_agent(clone, commits[:1])
        return None

    def agent_leaves(self, clone: Path) -> str | None:
        """An agent edits; a person commits, perhaps with lines of their own."""
        self._branch(clone)
        self._run_agent(clone, [])
        if self.random.random() < 0.5:
            self._edit(clone, None)
        self._commit(clone, "by hand, after an agent")
        return None

    def human(self, clone: Path) -> str | None:
        """A person edits and commits."""
        self._branch(clone)
        self._edit(clone, None)
        self._commit(clone, "by hand")
        return None

    def amend(self, clone: Path) -> str | None:
        """A person changes the last commit."""
        if not self._ahead(clone):
            return "nothing to do"
        self._edit(clone, None)
        self._git(clone, "commit", "-q", "-a", "--amend", "--no-edit")
        return None

    def rebase(self, clone: Path) -> str | None:
        """A branch goes on top of the newest main; where that conflicts it does not."""
        if not self._ahead(clone):
            return "nothing to do"
        self._git(clone, "fetch", "-q", "origin")
        done = self._git(clone, "rebase", "-q", "-X", "theirs", "origin/main", check=False)
        if done.returncode:
            self._git(clone, "rebase", "--abort", check=False)
            return "rebase aborted"
        return None

    def squash_here(self, clone: Path) -> str | None:
        """All commits of a branch become one."""
        if self._ahead(clone) < 2:
            return "nothing to do"
        base = self._text(clone, "merge-base", "origin/main", "HEAD")
        self._git(clone, "reset", "-q", "--soft", base)
        self._git(clone, "commit", "-q", "-m", "squashed")
        return None

    def fixup(self, clone: Path) -> str | None:
        """A later commit is folded into an earlier one, interactively."""
        if self._ahead(clone) < 2:
            return "nothing to do"
        self._edit(clone, None)
        self._git(clone, "add", "-A")
        self._git(clone, "commit", "-q", "--fixup", "HEAD~1")
        base = self._text(clone, "merge-base", "origin/main", "HEAD")
        environment = {"GIT_SEQUENCE_EDITOR": "true"}
        done = self._git(
            clone, "rebase", "-q", "-i", "--autosquash", "-X", "theirs", base,
            check=False, env=environment,
        )  # fmt: skip
        if done.returncode:
            self._git(clone, "rebase", "--abort", check=False)
            return "fixup aborted"
        return None

    def pick(self, clone: Path) -> str | None:
        """A commit of another branch is picked."""
        names = self._text(
            clone, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes"
        )
        here = self._text(clone, "rev-parse", "HEAD")
        others = [
            name
            for name in names.split("\n")
            if "/topic" in name and self._text(clone, "rev-parse", name) != here
        ]
        if not others:
            return "nothing to do"
        self._branch(clone)
        other = self.random.choice(others)
        if self._git(clone, "cherry-pick", "-X", "theirs", other, check=False).returncode:
            self._git(clone, "cherry-pick", "--abort", check=False)
            return "pick aborted"
        return None

    def stash(self, clone: Path) -> str | None:
        """An agent's work is put aside, something else is done, and it comes back."""
        self._branch(clone)
        self._run_agent(clone, [])
        self._git(clone, "stash", "-q", "-u")
        self._edit(clone, None, only="docs/e.md")
        self._commit(clone, "meanwhile")
        if self._git(clone, "stash", "pop", "-q", check=False).returncode:
            self._git(clone, "checkout", "-q", "-f", "HEAD")
            self._git(clone, "clean", "-qfd")
            self._git(clone, "stash", "drop", "-q")
            return "stash lost"
        self._commit(clone, "after the stash")
        return None

    def push(self, clone: Path) -> str | None:
        """A branch goes to the forge, or to the fork, with its records."""
        if not self._ahead(clone):
            return "nothing to do"
        branch = self._text(clone, "symbolic-ref", "--short", "HEAD")
        remote = self.fork if self.random.random() < 0.25 else self.forge
        self._git(clone, "push", "-q", "-f", str(remote), f"HEAD:refs/heads/{branch}")
        self._open[branch] = (self.clones.index(clone), remote)
        self._agentprov(clone, "sync", "origin")
        return None

    def merge_on_forge(self, _: Path) -> str | None:
        """The forge merges a branch: as a merge, a squash, or a rebase; then deletes it."""
        if not self._open:
            return "nothing to do"
        branch = self.random.choice(sorted(self._open))
        owner, remote = self._open.pop(branch)
        merger = self.merger
        self._git(merger, "fetch", "-q", "origin", "main")
        if self._git(merger, "fetch", "-q", str(remote), branch, check=False).returncode:
            return "nothing to do"
        self._git(merger, "checkout", "-q", "-B", "main", "origin/main")
        kind = self.random.choice(["merge", "squash", "squash", "rebase"])
        if kind == "merge":
            done = self._git(
                merger, "merge", "-q", "-m", f"Merge {branch}", "FETCH_HEAD", check=False
            )
        elif kind == "squash":
            done = self._git(merger, "merge", "-q", "--squash", "FETCH_HEAD", check=False)
            if not done.returncode:
                done = self._git(merger, "commit", "-q", "-m", f"{branch} (#1)", check=False)
        else:
            self._git(merger, "checkout", "-q", "--detach", "FETCH_HEAD")
            done = self._git(merger, "rebase", "-q", "origin/main", check=False)
            if not done.returncode:
                self._git(merger, "checkout", "-q", "-B", "main", "HEAD")
        if done.returncode:
            self._git(merger, "rebase", "--abort", check=False)
            self._git(merger, "merge", "--abort", check=False)
            self._git(merger, "reset", "-q", "--hard", "origin/main")
            return f"{kind} on the forge refused"
        self._git(merger, "push", "-q", "origin", "main")
        self._git(merger, "push", "-q", str(remote), f":refs/heads/{branch}", check=False)
        # Whoever wrote it looks at what became of it, sooner or later.
        clone = self.clones[owner]
        self._git(clone, "fetch", "-q", "--prune", "origin")
        self._agentprov(clone, "sync", "origin")
        if self.random.random() < 0.5:
            self._leave(clone, branch)
        return f"{kind} on the forge"

    def update(self, clone: Path) -> str | None:
        """A clone takes in what others did."""
        self._git(clone, "fetch", "-q", "--prune", "origin")
        self._agentprov(clone, "sync", "origin")
        return None

    def collect(self, clone: Path) -> str | None:
        """Git throws away what nothing leads to."""
        self._git(clone, "gc", "-q", "--prune=now")
        return None

    # --- the answer -----------------------------------------------------------------------------

    def outcome(self) -> Outcome:
        """Sync all clones, make a fresh one, and ask it for every line of main."""
        for clone in self.clones:
            self._git(clone, "fetch", "-q", "origin")
            self._agentprov(clone, "sync", "origin")
        fresh = self.place / "fresh"
        self._git(self.place, "clone", "-q", str(self.forge), str(fresh))
        self._agentprov(fresh, "sync", "origin")
        found = Outcome(steps=self.steps)
        answered: set[str] = set()
        alive: set[str] = set()
        for name in self._text(fresh, "ls-files").split("\n"):
            if name.startswith(".agentprov/"):
                continue
            lines = (fresh / name).read_text().split("\n")[:-1]
            told = self.answers(fresh, name)
            for number, line in enumerate(lines, 1):
                author, said = self.wrote[line], told.get(number)
                if author is not None:
                    alive.add(author)
                if said is not None:
                    answered.add(said)
                if said == author:
                    found.right += 1
                elif said is None:
                    found.unknown += 1
                else:
                    found.wrong.append((name, number, line, author, said))
        found.orphans = alive - answered
        found.sessions = len(alive)
        return found

    def answers(self, fresh: Path, name: str) -> dict[int, str]:
        """Give line -> session, as `agentprov blame` answers; the user's own keys are trusted."""
        done = self._agentprov(fresh, "blame", "--json", name)
        told = json.loads(done.stdout)
        return {
            number: one["session"]
            for one in told["ranges"]
            if one["session"] is not None
            for number in range(one["start"], one["end"] + 1)
        }

    # --- the small things -----------------------------------------------------------------------

    def _line(self, author: str | None) -> str:
        self._count += 1
        text = f"line_{self._count} = value_{self.random.randrange(10**6)}  # said once"
        self.wrote[text] = author
        return text

    def _edited(self, lines: list[str], author: str | None) -> list[str]:
        """Add some lines in one or two places, change one, sometimes remove some."""
        lines = list(lines)
        for _ in range(self.random.choice([1, 1, 2])):
            at = self.random.randint(0, len(lines))
            lines[at:at] = [self._line(author) for _ in range(self.random.randint(1, 6))]
        if lines and self.random.random() < 0.5:
            lines[self.random.randrange(len(lines))] = self._line(author)
        if len(lines) > 30 and self.random.random() < 0.5:
            at = self.random.randrange(len(lines) - 5)
            del lines[at : at + self.random.randint(1, 5)]
        return lines

    def _edit(self, clone: Path, author: str | None, only: str | None = None) -> None:
        for name in [only] if only else self.random.sample(NAMES, self.random.choice([1, 1, 2])):
            place = clone / name
            lines = place.read_text().split("\n")[:-1] if place.exists() else []
            self._write(place, self._edited(lines, author))

    def _run_agent(self, clone: Path, commits: list[str]) -> None:
        # The session has no name before it began: its lines are given their author afterwards.
        files: dict[str, str] = {}
        mine: list[str] = []
        for name in self.random.sample(NAMES[:4], self.random.choice([1, 1, 2])):
            place = clone / name
            before = place.read_text().split("\n")[:-1] if place.exists() else []
            after = self._edited(before, None)
            mine += sorted(set(after) - set(before))
            files[name] = "".join(line + "\n" for line in after)
        tell, task = self.place / "session", self.place / "task.json"
        task.write_text(json.dumps({"files": files, "commits": commits, "tell": str(tell)}))
        self._agentprov(clone, "run", "--", sys.executable, "-c", _AGENT, str(task))
        session = tell.read_text()
        for line in mine:
            self.wrote[line] = session

    def _branch(self, clone: Path) -> None:
        """Begin a new branch, or stay on the one that is there."""
        branch = self._text(clone, "symbolic-ref", "--short", "HEAD")
        if branch == "main" or (self.random.random() < 0.25 and branch not in self._open):
            self._git(clone, "fetch", "-q", "origin")
            self._branches += 1
            self._git(clone, "checkout", "-q", "-b", f"topic{self._branches}", "origin/main")

    def _leave(self, clone: Path, branch: str) -> None:
        if self._text(clone, "symbolic-ref", "--short", "HEAD") == branch:
            self._git(clone, "checkout", "-q", "main")
            self._git(clone, "reset", "-q", "--hard", "origin/main")
        self._git(clone, "branch", "-q", "-D", branch, check=False)

    def _ahead(self, clone: Path) -> int:
        return int(self._text(clone, "rev-list", "--count", "origin/main..HEAD"))

    def _commit(self, clone: Path, message: str) -> None:
        self._git(clone, "add", "-A")
        self._git(clone, "commit", "-q", "--allow-empty", "-m", message)

    @staticmethod
    def _write(place: Path, lines: list[str]) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(line + "\n" for line in lines))

    def _text(self, cwd: Path, *arguments: str) -> str:
        return os.fsdecode(self._git(cwd, *arguments).stdout).rstrip("\n")

    def _git(
        self, cwd: Path, *arguments: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, capture_output=True, check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})},
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"git {arguments} in {cwd}: {done.stderr.decode()}")
        return done

    def _agentprov(self, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        done: Any = subprocess.run(
            [sys.executable, "-m", "agentprov", *arguments], cwd=cwd, capture_output=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"agentprov {arguments} in {cwd}: {done.stderr.decode()}")
        return done
