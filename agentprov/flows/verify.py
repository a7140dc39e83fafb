"""Brings the judge what it asks for: records from the notes, facts from git, a trust root.

Which records are brought decides nothing: all that can bear on the judged commits are, wherever
they hang. Nothing is fetched; a shallow or partial clone is judged on what it holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from agentprov.errors import AgentprovError, UserError
from agentprov.flows import choosing, rewrite_facts, trust
from agentprov.flows.choosing import Asked, Chosen, Lost, choose
from agentprov.flows.commit_facts import CommitsRead, ContentDigests, commit_facts
from agentprov.flows.describing import described
from agentprov.flows.review import material_for, surroundings
from agentprov.flows.world import World
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.value import value
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.store import seen
from agentprov.store.plans import PlanShelf
from agentprov.system.files import read_bounded
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile
from agentprov.verify.catalogue import CATALOGUE
from agentprov.verify.finding import Problem
from agentprov.verify.judge import Case, Judgement, judge
from agentprov.verify.local_log import LogFacts
from agentprov.verify.record import Record
from agentprov.verify.remotes import RemoteFacts
from agentprov.verify.subjects import MAX_PLACE_DIGITS, CommitFacts
from agentprov.verify.trust import TrustRoot

MAX_BUNDLE_FILE = 256 * 1024 * 1024
_DEFAULT_BRANCH = "refs/remotes/origin/HEAD"


@value
class Targets:
    """What the user named: commits to judge, those that must have a record, bundle files."""

    text: str
    commits: tuple[str, ...]
    required: frozenset[str]
    bundles: tuple[Record, ...] = ()


def resolve(git: Git, words: Sequence[str], reader: CatFile | None = None) -> Targets:
    """Tell revisions, ranges and bundle files apart.

    A single revision must have a record; in a range every commit is judged and reported, and
    what a missing record means is policy's business. An open `reader` saves a process for each
    revision. Raises UserError for what names nothing.
    """
    commits: dict[str, None] = {}
    required: set[str] = set()
    bundles: list[Record] = []
    for word in words or ("HEAD",):
        if ".." in word:
            commits.update(dict.fromkeys(in_range(git, word)))
            continue
        oid = git.resolve(word) if reader is None else reader.resolve(word)
        if oid is not None:
            commits[oid] = None
            required.add(oid)
        elif Path(word).is_file():
            bundles += _bundle_file(Path(word))
        else:
            raise UserError(
                f"{word!r} is no revision, no range and no bundle file here",
                hint="name a commit (HEAD), a range (main..HEAD) or a file of bundles",
            )
    return Targets(
        " ".join(words or ("HEAD",)), tuple(commits), frozenset(required), tuple(bundles)
    )


def in_range(git: Git, word: str, *, without: str | None = None) -> list[str]:
    """Give the commits of a range, oldest first, but those that `without` (an id) leads back to.

    Walks the parents that commits name themselves: what a shallow clone's boundary hides is not
    passed over. Raises UserError for what is no range, and where such a parent is not here.
    """
    if word.startswith("-"):
        raise UserError(f"{word!r} is no range")
    words = [word] if without is None else [word, f"^{without}"]
    walk = ("rev-list", "--reverse", "--topo-order", "--end-of-options", *words, "--")
    try:
        out = git.run(*walk, env={"GIT_SHALLOW_FILE": ""})
    except AgentprovError as error:
        hint = None
        if git.text("rev-parse", "--is-shallow-repository") == "true":
            hint = "this clone is shallow: `git fetch --unshallow`"
        raise UserError(f"{word!r} is no range here: {error.message}", hint=hint) from error
    return out.decode().split()


def _bundle_file(path: Path) -> list[Record]:
    try:
        data = read_bounded(path, MAX_BUNDLE_FILE)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    lines = [line for line in data.split(b"\n") if line.strip()]
    one = len(lines) == 1
    if not lines:
        # Nothing where records were promised is no record, and must not pass for a good one.
        return [Record(data[:1_000], str(path), named=True)]
    if not one and not all(line.startswith(b"{") and line.endswith(b"}") for line in lines):
        return [Record(data, str(path), named=True)]
    return [
        Record(line, str(path) if one else f"{path}:{number}", named=True)
        for number, line in enumerate(lines, 1)
    ]


def trust_for(world: World, trust_file: Path | None, reader: CatFile | None = None) -> TrustRoot:
    """Choose the trust root: the named file, else the default branch's, else this user's keys.

    The work tree's own file is never used: a change must not widen its own trust. Raises
    ConfigurationInvalid.
    """
    if trust_file is not None:
        return trust.read_file(trust_file)
    found = trust.at_revision(world.git, _DEFAULT_BRANCH, reader=reader)
    return found or trust.local_trust(world.home, trust.person(world.git))


def verify(world: World, words: Sequence[str], trust_file: Path | None = None) -> Judgement:
    """Judge what the user named; raises UserError and ConfigurationInvalid before judging only."""
    with world.git.cat_file() as reader:
        targets = resolve(world.git, words, reader)
        root = trust_for(world, trust_file, reader)
        return _judge(world, reader, targets, root, _log_facts(world), None)


def _log_facts(world: World) -> LogFacts | None:
    # In most clones nothing was ever logged, and what reads a log need not be loaded.
    if not any(map(os.path.lexists, (world.git.home / "log", world.home / "log-seen"))):
        return None
    from agentprov.flows import signing_log

    return signing_log.facts(world)


def judge_targets(
    world: World,
    targets: Targets,
    root: TrustRoot,
    log: LogFacts | None = None,
    target_ref: str | None = None,
    *,
    entire: bool = False,
) -> Judgement:
    """Judge resolved targets under a trust root, and beside them this machine's signing log.

    `target_ref` is the branch that they shall merge into. `entire` brings all records of their
    sessions, for whoever hands on what was judged.
    """
    with world.git.cat_file() as reader:
        return _judge(world, reader, targets, root, log, target_ref, entire)


def _judge(
    world: World,
    reader: CatFile,
    targets: Targets,
    root: TrustRoot,
    log: LogFacts | None,
    target_ref: str | None,
    entire: bool = False,
) -> Judgement:
    said = [described(record).commit for record in targets.bundles]
    named = [commit for commit in said if commit is not None]
    content = ContentDigests(reader)
    with CommitsRead(world.git, reader, [*targets.commits, *named], content) as read:
        chosen = choose(
            world.notes,
            reader,
            targets.commits,
            read.parents,
            targets.bundles,
            Lost(rewrite_facts.not_behind(world.git), rewrite_facts.touched(read.facts)),
            Asked(_trailing(read.trailers), entire),
        )
        facts = read.facts()
    judged = {commit.oid: commit for commit in facts}
    others = _others(world.git, reader, chosen, judged, content)
    content.expect(
        path.new_blob
        for commit in (*facts, *others)
        if commit.oid in chosen.about
        for path in commit.diffs.values()
        if path.new_blob is not None
    )
    records = [*targets.bundles, *chosen.records]
    shelf = PlanShelf(world.git, reader)
    case = Case(
        target=targets.text,
        records=records,
        commits=facts,
        trust=root,
        as_of=world.now(),
        required=targets.required,
        plan_content=lambda view: _plan_bytes(shelf, reader, view),
        review_material=material_for(world.git, reader, records),
        around=surroundings(world.git, reader, target_ref),
        log=log,
        others=others,
        history=rewrite_facts.history(
            world.git,
            reader,
            {commit.oid: commit for commit in (*others, *facts)},
            chosen.linked | (chosen.bare if chosen.gone else frozenset()),
        ),
        gone=chosen.gone,
        whole=not chosen.gone or world.git.text("rev-parse", "--is-shallow-repository") != "true",
        unopened=chosen.unopened,
        remotes=_remotes(world, reader),
    )
    return judge(case, KeyVerifier(), OfflineEvidence())


def _trailing(trailers: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Give the places in sessions that trailers name; what is there may be about another commit."""
    named = [trailer.rpartition("/") for trailer in trailers]
    return frozenset(
        (session, int(number))
        for session, _, number in named
        if number.isascii() and number.isdigit() and len(number) <= MAX_PLACE_DIGITS
    )


def _others(
    git: Git,
    reader: CatFile,
    chosen: Chosen,
    judged: Mapping[str, CommitFacts],
    content: Callable[[str], str | None],
) -> list[CommitFacts]:
    """Read what git has of commits that judged ones were, or may have been, made of."""
    wanted = (chosen.olds | chosen.linked | chosen.gone) - judged.keys()
    if not wanted:
        return []
    try:
        return commit_facts(git, reader, rewrite_facts.here(reader, wanted), content)
    except AgentprovError:
        # What can be said without them is said; trees may be missing in a partial clone.
        return []


def _remotes(world: World, reader: CatFile) -> tuple[RemoteFacts, ...]:
    """Give what is known of the remotes that were asked for records; none is asked now."""
    return tuple(
        RemoteFacts(one.remote, one.asked, _problem(one.code, one.message))
        for one in seen.standing(world.git, reader)
    )


def _problem(code: str | None, message: str | None) -> Problem | None:
    return Problem(code, message or "") if code is not None and code in CATALOGUE else None


def _plan_bytes(shelf: PlanShelf, reader: CatFile, view: PlanView) -> bytes | None:
    """Give a plan's bytes: kept here by whoever signed it, or tracked in the repository."""
    kept = shelf.plan_bytes(view.sha256)
    if kept is not None or view.blob is None:
        return kept
    from agentprov.formats.presentation import MAX_PLAN_BYTES

    found = reader.digest(view.blob, keep=MAX_PLAN_BYTES)
    tracked = found is not None and found.kind == "blob" and found.sha256 == view.sha256
    return found.content if found is not None and tracked else None


def lines_about(world: World, commit: str) -> list[bytes]:
    """Give the stored lines about one commit, as `choosing.lines_about` does."""
    with world.git.cat_file() as reader:
        return choosing.lines_about(world.notes, reader, commit)
