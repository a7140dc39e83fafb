"""The whole story in a temporary repository: plan, recorded run, commit, verdict, tampering.

Real git, real keys (made for the occasion and thrown away), the real commands; only the agent
is a script and asks no model. Nothing of the user's is read or written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import git

from agentprov.errors import UserError
from agentprov.system.process import spawn

PLAN = """# Greet people by name

Add a module `greeting` with one function, and a test for it.

- `greet(name)` gives "Hello, NAME!"
- an empty name greets a stranger
"""


class Demo:
    """Tells the story step by step; `say` prints a line of it."""

    def __init__(self, place: Path, say: Callable[[str], None]) -> None:
        self.top = place / "hello"
        self.home = place / "home"
        self.say = say

    def play(self) -> bool:
        """Play all of it; True when every step ended as it should."""
        self._repository()
        self.say("1. A person writes a plan, and signs it before any work starts.")
        signed = self._run("plan", "sign", "PLAN.md")
        self.say("2. `init` sets the repository up: hooks that bind later commits, trust, policy.")
        ready = self._run("init", "--commit")
        self.say("3. An agent works under that plan, recorded. It writes two files and commits.")
        agent = self._agent()
        ran = self._run("run", "--plan", "PLAN.md", "--", str(agent))
        self.say("4. What is on record of that commit:")
        shown = self._run("show", "HEAD")
        self.say("5. Anybody with a clone can check it, offline.")
        verified = self._run("verify", "HEAD")
        self.say("6. In a clone, somebody without these keys changes one byte of greeting.py,")
        self.say("   rewrites the commit, and hangs the old record on the new commit.")
        self._go_elsewhere()
        self._tamper()
        caught = self._run("verify", "HEAD")
        self.say(f"   The verdict is {caught}: the bytes are not those that were attested.")
        return [signed, ready, ran, shown, verified, caught] == [0, 0, 0, 0, 0, 12]

    def _repository(self) -> None:
        self.home.mkdir(mode=0o700)
        self.top.mkdir()
        repository = git.Repo.init(self.top, initial_branch="main", env=self._environment())
        with repository.config_writer() as config:
            config.set_value("user", "name", "Ada Demo")
            config.set_value("user", "email", "ada@example.com")
            config.set_value("commit", "gpgsign", "false")
        repository.close()
        (self.top / "PLAN.md").write_text(PLAN)
        self._git("add", "PLAN.md")
        self._git("commit", "--quiet", "-m", "Plan: greet people by name")

    def _agent(self) -> Path:
        source = files("agentprov.flows").joinpath("scripted-agent").read_text()
        agent = self.home / "scripted-agent"
        agent.write_text(f"#!{sys.executable}\n{source}")
        agent.chmod(0o755)
        return agent

    def _go_elsewhere(self) -> None:
        """Go on in a clone, as another user: a rewrite by the recorder's own user is followed."""
        clone = self.top.parent / "clone"
        self._git("clone", "--quiet", str(self.top), str(clone))
        self.home = self.top.parent / "elsewhere"
        self.home.mkdir(mode=0o700)
        self.top = clone
        self._git("fetch", "--quiet", "origin", "refs/notes/agentprov:refs/notes/agentprov")
        self._git("config", "user.name", "Mallory Demo")
        self._git("config", "user.email", "mallory@example.com")

    def _tamper(self) -> None:
        place = self.top / "greeting.py"
        place.write_text(place.read_text().replace("Hello", "Hallo", 1))
        old = self._git("rev-parse", "HEAD")
        self._git("commit", "--quiet", "--all", "--amend", "--no-edit", "--no-verify")
        self._git("notes", "--ref=agentprov", "copy", "--force", old, "HEAD")

    def _git(self, *arguments: str) -> str:
        with git.Repo(self.top) as repository:
            repository.git.update_environment(**self._environment())
            return str(repository.git.execute(["git", *arguments]))

    def _run(self, *arguments: str) -> int:
        self.say("")
        shown = " ".join(Path(a).name if os.path.isabs(a) else a for a in arguments)
        self.say(f"   $ agentprov {shown}")
        sys.stdout.flush()
        command = [sys.executable, "-I", "-m", "agentprov", *arguments]
        status = spawn(command, self._environment(), self.top).wait()
        self.say("")
        return status

    def _environment(self) -> Mapping[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "AGENTPROV_"))
        }
        return {
            **kept,
            "HOME": str(self.home),
            "AGENTPROV_HOME": str(self.home / "agentprov"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }


def play(place: Path, say: Callable[[str], None]) -> None:
    """Play the demo in a directory; raises UserError when a step did not end as it should."""
    if not Demo(place, say).play():
        raise UserError(
            "a step of the demo did not end as it should; its words are above",
            hint="run `agentprov doctor` here, and report it if that says all is well",
        )
