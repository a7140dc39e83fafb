"""Writes a gate's verdict down as a signed SLSA verification summary (docs/spec/vsa.md).

It is a machine's word, so no person's key signs it: by default the recorder's of this user, else
the one that is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentprov import attest
from agentprov.errors import UserError
from agentprov.flows import repository
from agentprov.flows.gate import Judged
from agentprov.flows.world import World, seal
from agentprov.ports import Signer
from agentprov.sign.key_use import KeyUse
from agentprov.sign.registry import local_public, resolve, signer_for
from agentprov.system import files
from agentprov.system.git import Git
from agentprov.verify.finding import CommitVerdict
from agentprov.verify.record import Entry
from agentprov.verify.trust import TrustedKey

UNEVALUATED = "SLSA_SOURCE_LEVEL_UNEVALUATED"
ATTRIBUTED = "ORG_SOURCE_AGENT_ATTRIBUTED"
PLAN_SIGNED = "ORG_SOURCE_AGENT_PLAN_SIGNED"
HUMAN_APPROVED = "ORG_SOURCE_AGENT_HUMAN_APPROVED"
FAILED = "FAILED"
_KINDS = {"session-open": "session", "session-close": "session"}
_PERSONAL = frozenset({"human", "reviewer"})


def prepare(world: World, path: Path, key: str | None) -> Signer:
    """Give the signer for a summary, before anything is judged.

    Raises UserError where a file is there already, so that no older word can be taken for this
    one, and for this user's human key; UsageError for what is no key URI; KeyUnusable.
    """
    if os.path.lexists(path):
        raise UserError(f"{path} is there already", hint="move it away; nothing is overwritten")
    use = KeyUse("key for the verification summary", f"to sign {path}")
    if key is None:
        signer = signer_for("recorder", world.home, create=False, use=use)
    else:
        signer = resolve(key, use)
    if signer.spki == local_public("human", world.home):
        raise _personal("the human key of this user")
    return signer


def write(world: World, judged: Judged, path: Path, signer: Signer) -> None:
    """Sign what was judged and write it to a file, as one line: a Sigstore bundle v0.3.

    Raises UserError for a range that says nothing about one commit, and for a key that the trust
    document knows as a person's; KeyUnusable.
    """
    for trusted in judged.trust.signers:
        mine = isinstance(trusted, TrustedKey) and trusted.spki == signer.spki
        if mine and trusted.roles & _PERSONAL:
            raise _personal(f"a key of {trusted.person}")
    verdict = judged.verdict
    if not verdict.commits:
        raise UserError(
            "the range holds no commit, so there is nothing to sum up", hint="leave --vsa out"
        )
    commit = _tip(world.git, judged.span)
    name = repository.identity(world.git).uri
    public = name.startswith("git+https://")
    statement = attest.verification_summary(
        commit=commit,
        commit_uri=f"{name.removeprefix('git+')}/commit/{commit}" if public else None,
        source_refs=_refs_at(world.git, commit),
        resource=name,
        verified_at=verdict.as_of,
        policy_uri=(
            f"{name}@{judged.into}#{judged.policy_path}"
            if public and judged.into and judged.policy_path
            else None
        ),
        policy_sha256=verdict.policy_sha256 or "",
        inputs=_inputs(judged.accepted, verdict.commits),
        passed=verdict.holds,
        levels=levels(verdict.commits) if verdict.holds else (FAILED,),
    )
    line = seal(statement, signer)
    files.write_for_user(path, line + b"\n")


def levels(commits: Sequence[CommitVerdict]) -> tuple[str, ...]:
    """Give what holds of every commit of a range that passed, in words of ours under SLSA's track.

    SLSA's own source levels are about the forge, of which nothing is known here.
    """
    found = [UNEVALUATED]
    recorded = [item for item in commits if item.coverage == "covered"]
    if all(item.coverage != "uncovered" for item in commits):
        found.append(ATTRIBUTED)
        if recorded and all(one.planned for item in recorded for one in item.behind):
            found.append(PLAN_SIGNED)
    if all(_approved(item) for item in commits):
        found.append(HUMAN_APPROVED)
    return tuple(found)


def _approved(commit: CommitVerdict) -> bool:
    standing = [item for item in commit.approvals if item.valid]
    rejected = any(item.decision == "rejected" for item in standing)
    return not rejected and any(
        item.decision == "approved" and not item.partial for item in standing
    )


def _personal(whose: str) -> UserError:
    return UserError(
        f"{whose} cannot sign a verification summary: it is a machine's word",
        hint="name a key that only the gate uses: --vsa-key file:/...",
    )


def _tip(git: Git, span: str) -> str:
    """Give the one commit that the range leads to; raises UserError where there are two ends."""
    left, dots, right = span.partition("..")
    if right.startswith(".") or not dots:
        raise UserError(f"{span!r} has two ends", hint="with --vsa name a range A..B")
    found = git.resolve(right or "HEAD")
    if found is None:
        raise UserError(f"{left}..{right} does not end in a commit")
    return found


def _refs_at(git: Git, commit: str) -> list[str]:
    """Give the branches and tags that point at a commit, as their own repository names them."""
    words = ("for-each-ref", f"--points-at={commit}", "--format=%(refname)")
    found = set()
    for ref in git.text(*words, "refs/heads", "refs/tags", "refs/remotes", check=False).split():
        if ref.startswith("refs/remotes/"):
            branch = ref.removeprefix("refs/remotes/").partition("/")[2]
            if branch in ("", "HEAD"):
                continue
            ref = f"refs/heads/{branch}"
        found.add(ref)
    return sorted(found)


def _inputs(accepted: Sequence[Entry], commits: Sequence[CommitVerdict]) -> list[tuple[str, str]]:
    """Give kind and payload digest of every statement that the verdict rests on, each once."""
    found = dict.fromkeys(_standing(accepted))
    for commit in commits:
        for decided in commit.approvals:
            if decided.valid:
                found["approval", decided.sha256] = None
    order = ("plan", "generation", "session", "rewrite", "approval")
    return sorted(found, key=lambda item: (order.index(item[0]), item[1]))


def _standing(accepted: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    waiting, seen = list(accepted), set[int]()
    while waiting:
        entry = waiting.pop()
        if id(entry) in seen:
            continue
        seen.add(id(entry))
        waiting += entry.uses
        if entry.statement is not None and entry.statement.value.kind is not None:
            kind = entry.statement.value.kind
            yield _KINDS.get(kind, kind), entry.statement.value.sha256


__all__ = ["levels", "prepare", "write"]
