"""`sync`: carries the records to and from remotes, and says what is missing and what was taken.

One remote that cannot be reached stops no other. Whatever a remote did with its records, ours
are kept, and a push gives back what is gone there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentprov.errors import Busy, GitFailed, UserError
from agentprov.flows import unrecorded
from agentprov.flows.drain import link_rewrites
from agentprov.flows.unrecorded import Unrecorded
from agentprov.flows.world import World
from agentprov.store import seen
from agentprov.store import sync as carrying
from agentprov.store.sync import Fetched, Merged, Pushed
from agentprov.system.git import Git
from agentprov.verify.finding import Problem


@dataclass(frozen=True)
class Carried:
    """What was done with one remote; `name` is how it is kept here (a URL never stands there).

    `error` says why it could not be asked; then nothing else is there. `problem` is what is wrong
    with its records, `repaired` whether our push has put that right; `unmet` says that it lacks
    what was expected of it.
    """

    remote: str
    name: str
    fetched: Fetched | None = None
    merged: Merged = Merged(0, False)  # noqa: RUF009 - a frozen value
    pushed: Pushed | None = None
    problem: Problem | None = None
    repaired: bool = False
    unmet: bool = False
    error: str | None = None

    @property
    def refused(self) -> bool:
        """Say whether something was asked for and not done."""
        return self.error is not None or (
            self.pushed is not None and self.pushed.outcome == "refused"
        )


@dataclass(frozen=True)
class Report:
    """All remotes that were asked, and the commits whose trailers name records nobody has."""

    remotes: tuple[Carried, ...]
    missing: tuple[Unrecorded, ...]


def remotes_of(git: Git) -> list[str]:
    """Give the names of the configured remotes."""
    return git.text("remote").split()


def push_target(git: Git, remotes: Sequence[str]) -> str | None:
    """Give the remote that is pushed to where none is named: git's default, origin, or the only."""
    default = git.text("config", "--get", "remote.pushDefault", check=False)
    for name in (default, "origin", remotes[0] if len(remotes) == 1 else ""):
        if name in remotes:
            return name
    return None


def sync(
    world: World,
    named: Sequence[str] = (),
    *,
    push: bool = True,
    accept: bool = False,
    expect: str | None = None,
) -> Report:
    """Fetch and merge the records of remotes, then push ours.

    Without names, all remotes are fetched from and one is pushed to (`push_target`); to those
    that are named, both. With `accept`, what a remote has now counts from here on, whatever it had
    before. `expect` is the id of a notes commit that was kept elsewhere: the remote must have it.
    Raises UserError where there is no remote.
    """
    git = world.git
    remotes = list(dict.fromkeys(named)) or remotes_of(git)
    if not remotes:
        raise UserError(
            "there is no remote to fetch records from",
            hint="`git remote add origin URL`, or name a URL: agentprov sync URL",
        )
    targets: list[str | None] = list(named) or [push_target(git, remotes)]
    done = [_fetch(world, remote, accept, expect) for remote in remotes]
    # What a forge squashed or rebased and this clone still has is linked before it is pushed.
    link_rewrites(world, fetched=True)
    if push:
        done = [_push(world, one) if one.remote in targets else one for one in done]
    missing = unrecorded.find(world)
    done = [_remember(world, _judge_age(world, one, missing)) for one in done]
    return Report(tuple(done), tuple(missing))


def _fetch(world: World, remote: str, accept: bool, expect: str | None) -> Carried:
    name = seen.label(remote)
    notes = world.notes
    try:
        fetched = carrying.fetch(notes, remote)
        problem = None if accept else _problem(name, fetched, seen.load(world.git).get(name))
        if accept:
            carrying.accept(notes, remote, fetched.tip)
        unmet = expect is not None and not _has(world.git, fetched.tip, expect)
        if unmet:
            problem = Problem("stale-checkpoint", f"{name} does not have the records of {expect}")
        merged = carrying.merge_remote(notes, remote)
    except GitFailed as error:
        return Carried(remote, name, error=error.message)
    return Carried(remote, name, fetched, merged, problem=problem, unmet=unmet)


def _problem(name: str, fetched: Fetched, known: seen.Remote | None) -> Problem | None:
    when = f" (last asked {known.asked})" if known else ""
    if fetched.outcome == "vanished":
        return Problem("notes-missing", f"{name} had records, and has none any more{when}")
    if fetched.outcome == "rewound":
        gone = f"; {fetched.removed} records are gone there" if fetched.removed else ""
        return Problem(
            "notes-rollback", f"{name} has other or older records than it had{when}{gone}"
        )
    if fetched.removed:
        return Problem("notes-missing", f"{name} has taken {fetched.removed} records out{when}")
    return None


def _has(git: Git, tip: str | None, expected: str) -> bool:
    oid = git.resolve(expected)
    if tip is None or oid is None:
        return False
    return git.succeeds("merge-base", "--is-ancestor", oid, tip)


def _push(world: World, one: Carried) -> Carried:
    if one.error is not None or one.fetched is None:
        return one
    try:
        pushed = carrying.push(world.notes, one.remote, one.fetched, world.home / "turns")
    except Busy as error:
        pushed = Pushed("refused", error.message)
    done = pushed.outcome == "pushed"
    harmed = one.problem is not None and one.problem.code in ("notes-rollback", "notes-missing")
    return replace(one, pushed=pushed, repaired=harmed and done)


def _judge_age(world: World, one: Carried, missing: Sequence[Unrecorded]) -> Carried:
    """Say that a remote's records stop before its branches do, where they do.

    A remote that holds records back looks so, and so does a colleague who has not synced yet;
    nobody can tell them apart from here.
    """
    if one.error is not None or one.problem is not None:
        return one
    late = unrecorded.later_than_all_records(world, one.name, missing)
    if not late:
        return one
    newest = late[-1]
    message = (
        f"the records of {one.name} end before its branches do: {len(late)} commits after the "
        f"last one with a record, the newest {newest.commit[:12]}, name records that are not here"
    )
    return replace(one, problem=Problem("stale-checkpoint", message))


def _remember(world: World, one: Carried) -> Carried:
    """Keep how the remote stands, for whoever verifies later without asking it."""
    if one.error is not None or one.fetched is None:
        return one
    now = world.now()
    pushed = one.pushed is not None and one.pushed.outcome in ("pushed", "unchanged")
    tracking = world.git.resolve(carrying.tracking_ref(one.remote))
    problem = None if one.repaired else one.problem
    seen.note(
        world.git,
        one.remote,
        now,
        asked=now,
        seen=world.git.resolve(seen.seen_ref(one.remote)),
        tip=tracking if pushed else one.fetched.tip,
        tracking=tracking,
        code=problem.code if problem else None,
        message=problem.message if problem else None,
    )
    return one
