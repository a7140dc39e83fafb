"""Whether a range may merge: verify, then policy, both under rules that the range cannot change.

Policy and trust come from the target branch, or from files outside the work tree. Whatever is
missing, misspelled or unreadable fails closed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from agentprov.errors import ConfigurationInvalid, UserError
from agentprov.flows import strict_yaml, trust
from agentprov.flows import verify as verifying
from agentprov.flows.review import surroundings
from agentprov.flows.world import World
from agentprov.formats import digest
from agentprov.system import files
from agentprov.system.git import Git
from agentprov.verify import policy
from agentprov.verify.finding import Verdict
from agentprov.verify.policy import Policy
from agentprov.verify.record import Entry
from agentprov.verify.trust import TrustRoot

DEFAULT_TARGET = "refs/remotes/origin/HEAD"


@dataclass(frozen=True)
class Judged:
    """A gate's verdict, and what it rests on.

    `accepted` are the generation entries that hold, `span` is the range as git was asked for it.
    `into` is the full name of the branch that is merged into, as its own repository has it;
    `policy_path` is the policy's path on that branch, None where it came from elsewhere.
    """

    verdict: Verdict
    accepted: tuple[Entry, ...]
    trust: TrustRoot
    span: str
    into: str | None
    policy_path: str | None


def gate(
    world: World,
    span: str | None = None,
    *,
    target: str | None = None,
    policy_file: Path | None = None,
    trust_file: Path | None = None,
) -> Verdict:
    """Judge every commit of a range under the target branch's trust and policy.

    `span` is a range A..B, by default what HEAD has and the target has not. `target` is the
    revision whose rules apply, by default the remote's default branch. Raises UserError for what
    is no range; ConfigurationInvalid where there are no rules that the range could not have
    written: no target branch here, no file in it, a target that holds commits of the range already,
    a file inside the work tree.
    """
    return judged(
        world, span, target=target, policy_file=policy_file, trust_file=trust_file
    ).verdict


def judged(
    world: World,
    span: str | None = None,
    *,
    target: str | None = None,
    policy_file: Path | None = None,
    trust_file: Path | None = None,
) -> Judged:
    """Judge like `gate`, and give beside the verdict what it rests on."""
    if span is not None and ".." not in span:
        raise UserError(f"{span!r} is no range", hint="name what is to be merged: main..HEAD")
    read_there = None in (policy_file, trust_file)
    branch = _target(world.git, target, needed=span is None or read_there)
    words = span or f"{branch.commit}..HEAD"
    root = _trust(world.git, branch, trust_file)
    rules = _policy(world.git, branch, policy_file)
    targets = verifying.resolve(world.git, [words])
    if read_there:
        _refuse_rules_of_the_range(world.git, branch, words, len(targets.commits))
    targets = replace(targets, text=span or f"{branch.name}..HEAD")
    into = _ref(world.git, branch.name)
    judgement = verifying.judge_targets(world, targets, root, target_ref=into)
    with world.git.cat_file() as reader:
        verdict = policy.judge(rules, judgement, surroundings(world.git, reader, into))
    return Judged(
        verdict,
        judgement.accepted,
        root,
        span=words,
        into=into,
        policy_path=trust.POLICY_PATH if policy_file is None else None,
    )


def policy_of(git: Git, target: str) -> Policy | None:
    """Give the policy that a branch holds, or None; raises ConfigurationInvalid for a bad one."""
    branch = _target(git, target, needed=True)
    if trust.blob_at(git, branch.commit, trust.POLICY_PATH) is None:
        return None
    return _policy(git, branch, None)


@dataclass(frozen=True)
class _Target:
    """The branch whose rules apply, as it was named, and the one commit that all are read from."""

    name: str
    commit: str


def _target(git: Git, named: str | None, *, needed: bool) -> _Target:
    name = named or DEFAULT_TARGET
    found = git.resolve(name)
    if found is None and (needed or named is not None):
        raise ConfigurationInvalid(
            f"the target {name!r} is not here, so nobody says what must hold",
            hint="name the branch that it shall merge into: --target origin/main",
        )
    return _Target(name, found or "")


def _ref(git: Git, name: str) -> str | None:
    """Give the full name of the branch that is merged into, as its own repository has it."""
    if git.resolve(name) is None:
        return None
    # git repeats --end-of-options here; what resolves does not begin with a hyphen.
    full = git.text("rev-parse", "--symbolic-full-name", name, check=False)
    if full.startswith("refs/remotes/"):
        rest = full.removeprefix("refs/remotes/")
        # A remote's name may hold slashes, too.
        remotes = [name for name in git.text("remote").split("\n") if rest.startswith(f"{name}/")]
        remote = max(remotes, key=len, default=rest.partition("/")[0])
        return "refs/heads/" + rest.removeprefix(f"{remote}/")
    return full or None


def _refuse_rules_of_the_range(git: Git, branch: _Target, words: str, whole: int) -> None:
    """Refuse a target that holds what is judged: its rules may be the range's own."""
    new = verifying.in_range(git, words, without=branch.commit)
    if len(new) < whole:
        raise ConfigurationInvalid(
            f"{branch.name} holds {whole - len(new)} of the {whole} commits of the range already, "
            "so they may have written its rules",
            hint="name as --target what it was before, or the rules in files of their own",
        )


def _outside(git: Git, path: Path) -> Path:
    """Give the file's real path, which no link can lead elsewhere any more."""
    real = Path(os.path.realpath(path))
    if real.is_relative_to(os.path.realpath(git.top)):
        raise ConfigurationInvalid(
            f"{path} is in the work tree, where the change under judgement could have written it",
            hint="name a file outside of it, or let it be read from the target branch",
        )
    return real


def _trust(git: Git, branch: _Target, named: Path | None) -> TrustRoot:
    if named is not None:
        return trust.read_file(_outside(git, named))
    found = trust.at_revision(git, branch.commit, branch.name)
    if found is None:
        raise ConfigurationInvalid(
            f"{branch.name} holds no {trust.TRUST_PATH}",
            hint="merge the files that `agentprov init` writes there first; that is not gated",
        )
    return found


def _policy(git: Git, branch: _Target, named: Path | None) -> Policy:
    if named is not None:
        path = _outside(git, named)
        try:
            content = files.read_bounded(path, strict_yaml.MAX_BYTES)
        except OSError as error:
            raise ConfigurationInvalid(f"{path}: {error.strerror}") from error
        source = str(path)
    else:
        found = trust.blob_at(git, branch.commit, trust.POLICY_PATH)
        source = f"{trust.POLICY_PATH} of {branch.name}"
        if found is None:
            raise ConfigurationInvalid(
                f"{branch.name} holds no {trust.POLICY_PATH}",
                hint="merge the files that `agentprov init` writes there first; that is not gated",
            )
        content = found
    return policy.parse(
        strict_yaml.parse(content, source=source), sha256=digest.sha256(content), source=source
    )
