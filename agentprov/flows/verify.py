"""Brings the judge what it asks for: records from the notes, facts from git, a trust root.

Which records are brought decides nothing: all that can bear on the judged commits are, wherever
they hang. Nothing is fetched; a shallow or partial clone is judged on what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentprov.errors import AgentprovError, MalformedInput, UserError
from agentprov.flows import signing_log, trust
from agentprov.flows.review import material_for, surroundings
from agentprov.flows.world import World
from agentprov.formats import bundle, statement
from agentprov.formats.digest import sha256
from agentprov.formats.predicates import generation, session
from agentprov.formats.predicates.plan import PlanView
from agentprov.formats.statement import Statement
from agentprov.sign.evidence import OfflineEvidence
from agentprov.sign.verifier import KeyVerifier
from agentprov.store.plans import PlanShelf
from agentprov.system.files import read_bounded
from agentprov.system.git import CatFile, CommitObject, Git, parse_commit
from agentprov.system.trees import diff_pairs
from agentprov.verify.judge import Case, Judgement, judge
from agentprov.verify.local_log import LogFacts
from agentprov.verify.record import Record
from agentprov.verify.subjects import CommitFacts, PathDiff, session_trailers
from agentprov.verify.trust import TrustRoot

MAX_BUNDLE_FILE = 256 * 1024 * 1024


@dataclass(frozen=True)
class Targets:
    """What the user named: commits to judge, those that must have a record, bundle files."""

    text: str
    commits: tuple[str, ...]
    required: frozenset[str]
    bundles: tuple[Record, ...] = ()


def resolve(git: Git, words: Sequence[str]) -> Targets:
    """Tell revisions, ranges and bundle files apart.

    A single revision must have a record; in a range every commit is judged and reported, and
    what a missing record means is policy's business. Raises UserError for what names nothing.
    """
    commits: dict[str, None] = {}
    required: set[str] = set()
    bundles: list[Record] = []
    for word in words or ("HEAD",):
        if ".." in word:
            commits.update(dict.fromkeys(in_range(git, word)))
            continue
        oid = git.resolve(word)
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


def trust_for(world: World, trust_file: Path | None) -> TrustRoot:
    """Choose the trust root: the named file, else the default branch's, else this user's keys.

    The work tree's own file is never used: a change must not widen its own trust. Raises
    ConfigurationInvalid.
    """
    if trust_file is not None:
        return trust.read_file(trust_file)
    found = trust.at_revision(world.git, "refs/remotes/origin/HEAD")
    return found or trust.local_trust(world.home, trust.person(world.git))


def verify(world: World, words: Sequence[str], trust_file: Path | None = None) -> Judgement:
    """Judge what the user named; raises UserError and ConfigurationInvalid before judging only."""
    targets = resolve(world.git, words)
    root = trust_for(world, trust_file)
    return judge_targets(world, targets, root, signing_log.facts(world))


def judge_targets(
    world: World,
    targets: Targets,
    root: TrustRoot,
    log: LogFacts | None = None,
    target_ref: str | None = None,
) -> Judgement:
    """Judge resolved targets under a trust root, and beside them this machine's signing log.

    `target_ref` is the branch that they shall merge into.
    """
    named = [
        parsed.commit
        for parsed in (_described(record) for record in targets.bundles)
        if parsed.commit is not None
    ]
    shelf = PlanShelf(world.git)

    def plan_content(view: PlanView) -> bytes | None:
        return shelf.plan_bytes(view.sha256)

    with world.git.cat_file() as reader:
        facts = commit_facts(world.git, reader, [*targets.commits, *named])
        parents = {parent for commit in facts for parent in commit.parents}
        records = [*targets.bundles, *_records(world, targets, parents)]
        case = Case(
            target=targets.text,
            records=records,
            commits=facts,
            trust=root,
            as_of=world.now(),
            required=targets.required,
            plan_content=plan_content,
            review_material=material_for(world.git, reader, records),
            around=surroundings(world.git, reader, target_ref),
            log=log,
        )
        return judge(case, KeyVerifier(), OfflineEvidence())


@dataclass(frozen=True)
class _Described:
    """What an unverified record says it is about; only used to choose what to bring."""

    payload_sha256: str | None = None
    commit: str | None = None
    session: str | None = None
    approves: bool = False
    points_at: frozenset[str] = field(default_factory=frozenset)


def _described(record: Record) -> _Described:
    try:
        parsed = bundle.parse(record.data)
        read = statement.parse(parsed.payload)
    except MalformedInput:
        return _Described()
    return _describe(read, sha256(parsed.payload))


def _describe(read: Statement, payload_sha256: str) -> _Described:
    subjects = [(subject.name, subject.digest) for subject in read.subjects]
    if read.kind == "generation":
        view = generation.view(subjects, read.predicate)
        edges = {view.open_sha256, view.plan[0] if view.plan else None} - {None}
        points_at = frozenset(str(edge) for edge in edges)
        return _Described(payload_sha256, view.commit, view.session, points_at=points_at)
    if read.kind == "session-open":
        opened = session.view_open(read.predicate)
        plan = frozenset({opened.plan[0]} if opened.plan else ())
        return _Described(payload_sha256, None, opened.id, points_at=plan)
    if read.kind == "session-close":
        closed = session.view_close(read.predicate)
        points_at = frozenset({closed.open_sha256, *closed.generations})
        return _Described(payload_sha256, None, closed.id, points_at=points_at)
    if read.kind == "approval":
        return _Described(payload_sha256, approves=True)
    return _Described(payload_sha256)


def _records(world: World, targets: Targets, parents: Iterable[str]) -> list[Record]:
    """Bring the notes of the judged commits, and whatever else these need to be judged.

    Of their parents' notes, the approvals: they hang there too, so that one is found by the
    commit that took the approved one's place.
    """
    around = sorted(set(parents) - set(targets.commits))
    notes = world.notes.get_many([*targets.commits, *around]) if targets.commits else {}
    near = [
        record
        for record in _as_records(notes)
        if record.anchor not in around or _described(record).approves
    ]
    described = {record.data: _described(record) for record in (*near, *targets.bundles)}
    if _complete(described, targets):
        return near
    return _related(near, described, _as_records(dict(world.notes.everything())), targets)


def lines_about(world: World, commit: str) -> list[bytes]:
    """Give the stored lines about one commit: its own note, its sessions' and their plans.

    Unverified. Of other notes, approvals and the generations of other commits are left out,
    though these may belong to the same session.
    """
    targets = Targets(commit, (commit,), frozenset())
    return [
        record.data
        for record in _records(world, targets, ())
        if record.anchor == commit or _concerns(_described(record), commit)
    ]


def _concerns(described: _Described, commit: str) -> bool:
    return not described.approves and described.commit in (None, commit)


def _as_records(notes: Mapping[str, Iterable[bytes]]) -> list[Record]:
    return [
        Record(line, f"note of {anchor[:12]}", anchor=anchor)
        for anchor, lines in notes.items()
        for line in lines
    ]


def _complete(described: Mapping[bytes, _Described], targets: Targets) -> bool:
    """Say whether the notes at hand answer for themselves, so that the rest need not be read."""
    here = {item.payload_sha256 for item in described.values()}
    covered = {item.commit for item in described.values()}
    return set(targets.commits) <= covered and all(
        item.points_at <= here for item in described.values()
    )


def _related(
    near: Sequence[Record],
    described: Mapping[bytes, _Described],
    everything: Sequence[Record],
    targets: Targets,
) -> list[Record]:
    """Choose from all records those of the judged commits' sessions and what they point at."""
    known = dict(described)
    for record in everything:
        if record.data not in known:
            known[record.data] = _described(record)
    judged = set(targets.commits)
    sessions = {
        item.session
        for item in known.values()
        if item.session and (item.commit in judged or item in described.values())
    }
    wanted = {
        edge for item in known.values() if item.session in sessions for edge in item.points_at
    }
    chosen = list(near)
    present = {record.data for record in near}
    for record in everything:
        item = known[record.data]
        if record.data in present:
            continue
        if item.approves or item.session in sessions or item.payload_sha256 in wanted:
            chosen.append(record)
    return chosen


def commit_facts(git: Git, reader: CatFile, oids: Iterable[str]) -> list[CommitFacts]:
    """Read what git holds of commits; ids of commits that are not here are left out.

    Raises UserError for a commit whose parent a shallow clone does not hold: what it changed
    cannot be said.
    """
    commits: list[CommitObject] = []
    signers: dict[str, bytes] = {}
    for oid in dict.fromkeys(oids):
        found = reader.get(oid)
        if found is not None and found[0] == "commit":
            commits.append(parse_commit(oid, found[1]))
            signer = _signer(found[1])
            if signer is not None:
                signers[oid] = signer
    trees = {commit.oid: commit.tree for commit in commits}
    pairs = []
    for commit in commits:
        before = git.empty_tree
        if commit.parents:
            parent = commit.parents[0]
            before = trees.get(parent) or _tree_of(reader, parent, commit.oid)
        pairs.append((before, commit.tree))
    content = _ContentDigests(reader)
    return [
        CommitFacts(
            oid=commit.oid,
            tree=commit.tree,
            parents=commit.parents,
            diffs={
                change.path: PathDiff(
                    _or_none(change.old_mode, change.old_mode),
                    _or_none(change.old_blob, change.old_mode),
                    _or_none(change.new_mode, change.new_mode),
                    _or_none(change.new_blob, change.new_mode),
                )
                for change in changes
            },
            sha256_of=content,
            trailers=session_trailers(commit.message),
            signed_by=signers.get(commit.oid),
        )
        for commit, changes in zip(commits, diff_pairs(git, pairs), strict=True)
    ]


def _signer(content: bytes) -> bytes | None:
    """Give the public key whose SSH signature on a commit is good; nothing about whose it is."""
    if b"\ngpgsig" not in content:
        return None
    from agentprov.formats.ssh_signature import of_commit

    try:
        found = of_commit(content)
    except MalformedInput:
        return None
    if found is None:
        return None
    good = KeyVerifier().verify(found.spki, found.message, found.signature)
    return found.spki if good else None


def _tree_of(reader: CatFile, parent: str, child: str) -> str:
    found = reader.get(parent)
    if found is None or found[0] != "commit":
        raise UserError(
            f"the parent of {child} is not in this clone, so its changes cannot be judged",
            hint="this clone is shallow: `git fetch --deepen=1`, or `git fetch --unshallow`",
        )
    return parse_commit(parent, found[1]).tree


def _or_none(value: str, mode: str) -> str | None:
    return None if mode == "000000" else value


class _ContentDigests:
    """Digests blob contents on demand, each once."""

    def __init__(self, reader: CatFile) -> None:
        self._reader = reader
        self._known: dict[str, str | None] = {}

    def __call__(self, oid: str) -> str | None:
        if oid not in self._known:
            found = self._reader.digest(oid, keep=0)
            blob = found is not None and found.kind == "blob"
            self._known[oid] = found.sha256 if found is not None and blob else None
        return self._known[oid]
