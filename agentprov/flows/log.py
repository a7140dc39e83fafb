"""Commits with what is recorded of them, newest first."""

from __future__ import annotations

from typing import Any

from agentprov.errors import UserError
from agentprov.flows import verify as verifying
from agentprov.flows.show import shown
from agentprov.flows.verify import Targets
from agentprov.flows.world import World
from agentprov.system.git_objects import read_commit
from agentprov.verify.trust import TrustRoot

SCHEMA = "agentprov-log/1"


def log(world: World, revision: str, root: TrustRoot, count: int) -> dict[str, Any]:
    """Judge the newest `count` commits of a revision or range and give what holds of each."""
    if revision.startswith("-") or (".." not in revision and world.git.resolve(revision) is None):
        raise UserError(f"{revision!r} is no revision or range here", hint="name a commit or A..B")
    out = world.git.run("rev-list", f"--max-count={count}", "--end-of-options", revision, "--")
    oids = tuple(out.decode().split())
    judgement = verifying.judge_targets(world, Targets(revision, oids, frozenset()), root)
    rows = []
    with world.git.cat_file() as reader:
        for oid in oids:
            commit = read_commit(reader, oid)
            found = shown(judgement, oid)
            rows.append(
                {
                    "commit": oid,
                    "subject": commit.message.split("\n", 1)[0],
                    "author": commit.author.rsplit(" ", 2)[0],
                    "coverage": found["coverage"],
                    "sessions": [
                        {
                            "id": session["id"],
                            "agent": session["agent"]["purl"] or session["agent"]["name"],
                            "models": [m["served"] for m in session["models"] if m["served"]],
                            "plan": session["plan"]["name"] if session["plan"] else None,
                        }
                        for session in found["sessions"]
                    ],
                }
            )
    return {"schema": SCHEMA, "commits": rows}
