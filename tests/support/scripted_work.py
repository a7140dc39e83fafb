"""A scripted agent that says which model wrote which file, and a repository that it works in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.command_line import Answer, agentprov
from support.repository import Repository

_AGENT = """#!/usr/bin/env python3
import json, os, pathlib, subprocess, sys
work = json.loads(sys.argv[1])
told = [{"kind": "model", "provider": work["provider"], "requested": work["model"],
         "served": work["model"], "inputTokens": 11, "outputTokens": 22}]
for name, text in work["files"].items():
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    told.append({"kind": "edit", "path": str(path.resolve()), "text": text, "model": work["model"]})
for name, text in work["silent"].items():
    pathlib.Path(name).write_text(text)
with open(os.environ["AGENTPROV_SCRIPTED_TRANSCRIPT"], "w") as stream:
    stream.writelines(json.dumps(line) + chr(10) for line in told)
subprocess.run(["git", "add", "-A"], check=True)
subprocess.run(["git", "commit", "-qm", work["message"]], check=True)
"""


@dataclass(frozen=True)
class Workshop:
    """One repository, one home; `agent` is the scripted agent's program."""

    repository: Repository
    home: Path
    agent: Path

    def say(self, *arguments: str, **env: str) -> Answer:
        """Run one of our commands there."""
        env = {"AGENTPROV_HOME": str(self.home), **env}
        return agentprov(*arguments, cwd=self.repository.top, env=env)

    def does(self, *arguments: str) -> Answer:
        """Run one that must end well."""
        answer = self.say(*arguments)
        assert answer.status == 0, (arguments, answer.out, answer.err)
        return answer

    def work(
        self,
        files: Mapping[str, str],
        *,
        model: str = "claude-sonnet-4-20250514",
        provider: str = "anthropic",
        plan: str | None = None,
        silent: Mapping[str, str] | None = None,
        message: str = "Work",
    ) -> str:
        """Let the agent write files by a model (`silent` ones it does not report) and commit."""
        told = {
            "files": files, "silent": dict(silent or {}), "model": model, "provider": provider,
            "message": message,
        }  # fmt: skip
        under = ("--plan", plan) if plan else ()
        self.does("run", *under, "--", str(self.agent), json.dumps(told))
        return self.repository.git("rev-parse", "HEAD")


def workshop(place: Path, home: Path | None = None) -> Workshop:
    """Make a repository with a plan and one commit, set up for agentprov."""
    place.mkdir(parents=True, exist_ok=True)
    agent = place / "scripted-agent"
    agent.write_text(_AGENT)
    agent.chmod(0o755)
    made = Workshop(Repository(place / "r"), home or place / "home", agent)
    made.repository.git("config", "user.name", "Ada")
    made.repository.git("config", "user.email", "ada@example.com")
    made.repository.write("PLAN.md", "# Plan\n\nMake a lighthouse.\n")
    made.repository.write("old.py", "print('old')\n")
    made.repository.commit("First")
    made.does("init")
    made.does("plan", "sign", "PLAN.md", "--intent", "a beam of light")
    return made
