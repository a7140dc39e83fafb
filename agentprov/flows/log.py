"""Commits with what is recorded of them, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentprov.errors import UserError
from agentprov.flows import verify as verifying
from agentprov.flows.show import shown
from agentprov.flows.verify import Targets
from agentprov.flows.world import World
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, CommitObject, read_commits
from agentprov.verify.trust import TrustRoot

SCHEMA = "agentprov-log/1"


def log(world: World, revision: str, root: TrustRoot, count: int) -> dict[str, Any]:
    """Judge the newest `count` commits of a revision or range and give what holds of each.

    Where a shallow clone is cut, a commit's changes cannot be told: it is listed, with null for
    its coverage. Raises UserError for what names no commits.
    """
    if revision.startswith("-") or (".." not in revision and world.git.resolve(revision) is None):
        raise UserError(f"{revision!r} is no revision or range here", hint="name a commit or A..B")
    out = world.git.run("rev-list", f"--max-count={count}", "--end-of-options", revision, "--")
    oids = tuple(out.decode().split())
    with world.git.cat_file() as reader:
        commits = read_commits(reader, oids)
        cut = _cut(world.git, reader, commits)
    judged = tuple(oid for oid in oids if oid not in cut)
    judgement = verifying.judge_targets(world, Targets(revision, judged, frozenset()), root)
    rows = []
    for oid, commit in commits.items():
        found = None if oid in cut else shown(judgement, oid)
        rows.append(
            {
                "commit": oid,
                "subject": commit.message.split("\n", 1)[0],
                "author": commit.author.rsplit(" ", 2)[0],
                "coverage": found["coverage"] if found else None,
                "sessions": _sessions(found["sessions"]) if found else [],
            }
        )
    return {"schema": SCHEMA, "commits": rows}


def _cut(git: Git, reader: CatFile, commits: dict[str, CommitObject]) -> set[str]:
    """Give the commits whose first parent a shallow clone does not hold."""
    try:
        ends = (git.common_dir / "shallow").read_text().split()
    except FileNotFoundError:
        return set()
    at_ends = {oid: commits[oid].parents for oid in ends if oid in commits}
    # Git counts a commit without parents among the ends too, if it is that deep.
    parents = {oid: named[0] for oid, named in at_ends.items() if named}
    found = reader.get_many(list(parents.values()))
    return {oid for oid, parent in zip(parents, found, strict=True) if parent is None}


def _sessions(shown_of: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give each session once, however many of its commits a rewrite put into this one."""
    rows: dict[str, dict[str, Any]] = {}
    for session in shown_of:
        row = rows.setdefault(
            session["id"],
            {
                "id": session["id"],
                "agent": session["agent"]["purl"] or session["agent"]["name"],
                "models": [],
                "plan": session["plan"]["name"] if session["plan"] else None,
            },
        )
        served = [model["served"] for model in session["models"] if model["served"]]
        row["models"] = list(dict.fromkeys([*row["models"], *served]))
    return list(rows.values())
