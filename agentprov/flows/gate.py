"""Whether a range may merge: verify, then policy, both under rules that the range cannot change.

Policy and trust come from the target branch, or from files outside the work tree. Whatever is
missing, misspelled or unreadable fails closed.
"""

from __future__ import annotations

import os
from pathlib import Path

from agentprov.errors import ConfigurationInvalid, UserError
from agentprov.flows import strict_yaml, trust
from agentprov.flows import verify as verifying
from agentprov.flows.world import World
from agentprov.formats import digest
from agentprov.system import files
from agentprov.system.git import Git
from agentprov.verify import policy
from agentprov.verify.finding import Verdict
from agentprov.verify.policy import Policy
from agentprov.verify.trust import TrustRoot

DEFAULT_TARGET = "refs/remotes/origin/HEAD"


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
    written: no target branch here, no file in it, a file inside the work tree.
    """
    if span is not None and ".." not in span:
        raise UserError(f"{span!r} is no range", hint="name what is to be merged: main..HEAD")
    branch = _target(world.git, target, needed=span is None or None in (policy_file, trust_file))
    words = span or f"{branch}..HEAD"
    root = _trust(world.git, branch, trust_file)
    rules = _policy(world.git, branch, policy_file)
    targets = verifying.resolve(world.git, [words])
    verdict = verifying.judge_targets(world, targets, root).verdict
    return policy.judge(rules, verdict)


def _target(git: Git, named: str | None, *, needed: bool) -> str:
    word = named or DEFAULT_TARGET
    found = git.resolve(word)
    if found is None and (needed or named is not None):
        raise ConfigurationInvalid(
            f"the target {word!r} is not here, so nobody says what must hold",
            hint="name the branch that it shall merge into: --target origin/main",
        )
    return word


def _outside(git: Git, path: Path) -> Path:
    real = os.path.realpath(path)
    if not os.path.relpath(real, os.path.realpath(git.top)).startswith(os.pardir):
        raise ConfigurationInvalid(
            f"{path} is in the work tree, where the change under judgement could have written it",
            hint="name a file outside of it, or let it be read from the target branch",
        )
    return path


def _trust(git: Git, branch: str, named: Path | None) -> TrustRoot:
    if named is not None:
        return trust.read_file(_outside(git, named))
    found = trust.at_revision(git, branch)
    if found is None:
        raise ConfigurationInvalid(
            f"{branch} holds no {trust.TRUST_PATH}",
            hint="merge the files that `agentprov init` writes there first; that is not gated",
        )
    return found


def _policy(git: Git, branch: str, named: Path | None) -> Policy:
    if named is not None:
        path = _outside(git, named)
        try:
            content = files.read_bounded(path, strict_yaml.MAX_BYTES)
        except OSError as error:
            raise ConfigurationInvalid(f"{path}: {error.strerror}") from error
        source = str(path)
    else:
        content = git.run("cat-file", "blob", f"{branch}:{trust.POLICY_PATH}", check=False)
        source = f"{trust.POLICY_PATH} of {branch}"
        if not content:
            raise ConfigurationInvalid(
                f"{branch} holds no {trust.POLICY_PATH}",
                hint="merge the files that `agentprov init` writes there first; that is not gated",
            )
    return policy.parse(
        strict_yaml.parse(content, source=source), sha256=digest.sha256(content), source=source
    )
