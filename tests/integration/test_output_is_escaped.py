"""No command prints a control, bidirectional or invisible character that came from outside."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_line import Answer, agentprov
from support.repository import Repository

NASTY = "\x1b[2K\u202e\u2066\u200b\U000e0041"
# A file name may also hold these; git keeps them out of branches and of people's names.
NASTIER = NASTY + "\r\x08\n\x9b"
RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e0fff]"
)

AGENT = f"""#!/usr/bin/env python3
import json, os, pathlib, subprocess
nasty = {NASTIER!r}
path = pathlib.Path("out" + nasty + ".txt")
told = [
    {{"kind": "model", "provider": "p" + nasty, "requested": "m" + nasty, "served": "s" + nasty}},
    {{"kind": "tool", "name": "t" + nasty}},
]
path.write_text("line " + nasty)
edit = {{"path": str(path.resolve()), "text": "line " + nasty, "model": "s" + nasty}}
told.append({{"kind": "edit"}} | edit)
transcript = os.environ.get("AGENTPROV_SCRIPTED_TRANSCRIPT")
if transcript:
    pathlib.Path(transcript).write_text("".join(json.dumps(line) + chr(10) for line in told))
subprocess.run(["git", "add", "-A"], check=True)
subprocess.run(["git", "commit", "-qm", "message " + nasty], check=True)
"""


@dataclass(frozen=True)
class Hostile:
    """A repository in which every name is hostile, and how it came to be."""

    repository: Repository
    home: Path
    plan: str
    made: list[Answer]
    session: str

    def say(self, *words: str) -> Answer:
        home = {"AGENTPROV_HOME": str(self.home)}
        return agentprov(*words, cwd=self.repository.top, env=home)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    repository = Repository(folder / f"r{NASTY}")
    repository.git("config", "user.name", f"Ada{NASTY}")
    repository.git("config", "user.email", f"ada{NASTY}@example.com")
    plan = f"PLAN{NASTIER}.md"
    repository.write(plan, f"# Plan\n\nSay {NASTY} <!-- hidden {NASTY} words -->\n")
    servers = {"mcpServers": {f"server{NASTY}": {"command": "true"}}}
    repository.write(".mcp.json", json.dumps(servers))
    repository.commit("first")
    repository.git("checkout", "-qb", "branch\u202e\u200b")
    agent = folder / "scripted-agent"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    made: list[Answer] = []
    story = Hostile(repository, folder / "home", plan, made, "")
    made.append(story.say("init"))
    refused = story.say("plan", "sign", plan)
    made.append(refused)
    ids = re.findall(r"--accept-finding (\S+)", refused.err)
    accepted = [word for item in ids for word in ("--accept-finding", item)]
    made.append(story.say("plan", "sign", plan, *accepted, "--intent", f"intent {NASTY}"))
    assert made[-1].status == 0, made[-1].err
    made.append(story.say("run", "--keep", "transcript", "--plan", plan, "--", str(agent)))
    assert made[-1].status == 0, made[-1].err
    (session,) = set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", story.say("log", "--json").out))
    return Hostile(repository, folder / "home", plan, made, session)


def raw(answer: Answer) -> list[str]:
    return [repr(line) for line in (answer.out + answer.err).split("\n") if RAW.search(line)]


def test_making_the_story_prints_nothing_raw(hostile: Hostile) -> None:
    for answer in hostile.made:
        assert raw(answer) == []


COMMANDS = (
    "doctor", "hooks status", "keys list", "keys show human", "plan list", "plan list --json",
    "plan show PLAN", "plan show PLAN --json", "plan lint PLAN", "plan lint PLAN --json",
    "plan lint PLAN --code", "plan sign PLAN", "plan show NONE", "log", "log --json", "show HEAD",
    "show HEAD --json", "verify HEAD", "verify HEAD --json", "verify HEAD --format sarif",
    "verify HEAD --format junit", "verify HEAD --format markdown", "verify NONE", "show NONE",
    "log NONE", "replay NONE", "transcript NONE", "transcript SESSION", "transcript SESSION --json",
    "replay SESSION", "drain -v", "sync", "sync NONE", "run NONE", "run -- NONE",
    "run --plan NONE -- true", "NONE", "plan NONE", "-C NONE log", "init", "hooks install",
    "blame FILE", "blame --porcelain FILE", "blame --json FILE", "blame NONE", "blame NONE -- FILE",
    "trace FILE:1", "trace FILE:1 --json", "trace NONE", "query --origin unknown", "stats",
    "query --model NONE", "query --plan NONE", "query --path NONE", "query --history --json",
    "query --history --format csv", "query --history --format sarif", "stats --json",
    "trust deny-model NONE --reason NONE", "plan sign PLAN --accept-finding NONE",
    "plan sign PLAN --key NONE", "verify --trust NONE HEAD",
)  # fmt: skip
# What these say must hold what was hostile, or they would prove nothing.
TELLING = {
    "plan list",
    "plan show PLAN",
    "log",
    "show HEAD",
    "verify HEAD --format junit",
    "verify HEAD --format markdown",
    "transcript SESSION",
    "plan lint PLAN",
    "blame FILE",
    "blame --porcelain FILE",
    "trace FILE:1",
    "query --origin unknown",
    "query --history --format csv",
    "stats",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_anything_raw(hostile: Hostile, command: str) -> None:
    file = f"out{NASTIER}.txt"
    for_words = {"PLAN": hostile.plan, "NONE": f"no{NASTIER}", "SESSION": hostile.session}
    for_words |= {"FILE": file, "FILE:1": f"{file}:1"}
    answer = hostile.say(*(for_words.get(word, word) for word in command.split(" ")))
    assert answer.out + answer.err
    assert raw(answer) == []
    if command in TELLING:
        assert answer.status in (0, 13), answer.err
        assert "<U+202E>" in answer.out.replace("&lt;", "<").replace("&gt;", ">")
