"""Judges what is about to be pushed by the gate of the remote's default branch.

Runs where the repository's own configuration says ``agentprov.prePush = gate``, and that branch's
policy enforces. It spares a developer the way to the forge and back; whoever can push can also
push past it, so the forge's own gate is what counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentprov.errors import ConfigurationInvalid
from agentprov.flows import gate
from agentprov.flows.world import World
from agentprov.system.git import Git
from agentprov.verify.finding import Verdict

SETTING = "agentprov.prePush"
_LINE = re.compile(r"(\S*) ([0-9a-f]{40}|[0-9a-f]{64}) (\S*)(?: .*)?")
_JUDGED = ("refs/heads/", "refs/tags/")


@dataclass(frozen=True)
class Pushed:
    """One ref that is pushed, as it will be called there, and what the gate says of it."""

    ref: str
    verdict: Verdict


def setting(git: Git) -> str | None:
    """Say what the repository's configuration wants: ``gate`` or None.

    Raises ConfigurationInvalid for a word that means nothing: somebody wanted something.
    """
    value = git.text("config", "--get", SETTING, check=False)
    if value in ("", "off"):
        return None
    if value != "gate":
        raise ConfigurationInvalid(
            f"{SETTING} is {value!r}, which means nothing",
            hint=f"`git config {SETTING} gate`, or `git config {SETTING} off`",
        )
    return value


def judge(world: World, remote: str, lines: Sequence[str]) -> tuple[Pushed, ...]:
    """Judge each branch and tag that adds commits to the remote's default branch.

    `lines` are git's for a pre-push hook: local ref and id, remote ref and id. Deletions add
    nothing; other refs (notes, where the records are) are never in the way. Empty where that
    branch holds no policy yet, or one that only observes. Raises ConfigurationInvalid where
    nobody can say what must hold, and for lines that cannot be read.
    """
    pushed = [found for line in lines if line.strip() and (found := _read(world.git, line))]
    if not pushed:
        return ()
    target = _target(world.git, remote)
    rules = None if target is None else gate.policy_of(world.git, target)
    if target is None or rules is None or rules.mode != "enforce":
        return ()
    verdicts: dict[str, Verdict] = {}
    for _, commit in pushed:
        if commit not in verdicts:
            verdicts[commit] = gate.gate(world, f"{target}..{commit}", target=target)
    return tuple(Pushed(ref, verdicts[commit]) for ref, commit in pushed)


def _read(git: Git, line: str) -> tuple[str, str] | None:
    """Give the remote's ref and the commit it shall point at; None for what adds no commit."""
    found = _LINE.fullmatch(line.rstrip("\n"))
    if found is None:
        raise ConfigurationInvalid(
            f"git's word on what is pushed cannot be read: {line.rstrip()!r}"
        )
    oid, ref = found[2], found[3]
    if set(oid) == {"0"} or not _is_judged(ref):
        return None
    commit = git.resolve(oid)
    return None if commit is None else (ref, commit)


def _is_judged(ref: str) -> bool:
    # The pre-commit framework leaves names out; then what is pushed is judged as a branch.
    return not ref.startswith("refs/") or ref.startswith(_JUDGED)


def _target(git: Git, remote: str) -> str | None:
    """Give the remote-tracking default branch; None where the remote has no branch known here.

    Raises ConfigurationInvalid where it has some, and none is known as the default.
    """
    refs = git.text("for-each-ref", "--format=%(refname)", "refs/remotes", check=False).split()
    name = remote if any(ref.startswith(f"refs/remotes/{remote}/") for ref in refs) else "origin"
    target = f"refs/remotes/{name}/HEAD"
    if git.resolve(target) is not None:
        return target
    if any(ref.startswith(f"refs/remotes/{name}/") for ref in refs):
        raise ConfigurationInvalid(
            f"nobody knows the default branch of {name}, whose policy applies",
            hint=f"ask it: `git remote set-head {name} --auto`",
        )
    return None


__all__ = ["SETTING", "Pushed", "judge", "setting"]
