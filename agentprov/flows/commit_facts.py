"""What git holds of commits that are judged: read at once, compared with their parents beside us.

Nothing is fetched; what a shallow or partial clone does not hold is said, not passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from agentprov.errors import GitFailed, MalformedInput, UserError
from agentprov.flows.review import path_diffs
from agentprov.sign.verifier import KeyVerifier
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, CommitObject, parse_commit
from agentprov.system.trees import Comparison, RawChange
from agentprov.verify.subjects import CommitFacts, session_trailers

_TOGETHER = 200


def commit_facts(
    git: Git, reader: CatFile, oids: Iterable[str], content: Callable[[str], str | None]
) -> list[CommitFacts]:
    """Give what git holds of commits, as `CommitsRead.facts` does, and raise as that does."""
    with CommitsRead(git, reader, oids, content) as read:
        return read.facts()


class CommitsRead:
    """Commits that were read, while git goes on comparing their trees; use it by `with`.

    Ids of commits that are not here are left out. `content` gives the SHA-256 of a blob. Raises
    UserError for a commit whose parent a shallow clone does not hold: what it changed cannot be
    said.
    """

    def __init__(
        self, git: Git, reader: CatFile, oids: Iterable[str], content: Callable[[str], str | None]
    ) -> None:
        self._git = git
        self._reader = reader
        self._content = content
        self._commits: list[CommitObject] = []
        self._signers: dict[str, bytes] = {}
        wanted = list(dict.fromkeys(oids))
        for oid, found in zip(wanted, reader.get_many(wanted), strict=True):
            if found is not None and found[0] == "commit":
                self._commits.append(parse_commit(oid, found[1]))
                signer = _signer(found[1])
                if signer is not None:
                    self._signers[oid] = signer
        self._trailers = [session_trailers(commit.message) for commit in self._commits]
        self._pairs = self._trees()
        self._facts: list[CommitFacts] | None = None
        self._compared = Comparison(git, self._pairs)

    def _trees(self) -> list[tuple[str, str]]:
        trees = {commit.oid: commit.tree for commit in self._commits}
        pairs = []
        for commit in self._commits:
            before = self._git.empty_tree
            if commit.parents:
                parent = commit.parents[0]
                before = trees.get(parent) or _tree_of(self._reader, parent, commit.oid)
            pairs.append((before, commit.tree))
        return pairs

    @property
    def parents(self) -> set[str]:
        """All parents that the commits name; they need not be here."""
        return {parent for commit in self._commits for parent in commit.parents}

    @property
    def trailers(self) -> set[str]:
        """The values of the session trailers of all of them."""
        return {trailer for trailers in self._trailers for trailer in trailers}

    def facts(self) -> list[CommitFacts]:
        """Wait for git and give what it holds; the same list every time.

        Raises UserError where a partial clone lacks trees, GitFailed.
        """
        if self._facts is None:
            changed = _changes(self._git, self._reader, self._pairs, self._compared)
            self._facts = [
                CommitFacts(
                    oid=commit.oid,
                    tree=commit.tree,
                    parents=commit.parents,
                    diffs=path_diffs(changes),
                    sha256_of=self._content,
                    trailers=trailers,
                    signed_by=self._signers.get(commit.oid),
                )
                for commit, trailers, changes in zip(
                    self._commits, self._trailers, changed, strict=True
                )
            ]
        return self._facts

    def __enter__(self) -> CommitsRead:
        return self

    def __exit__(self, *_: object) -> None:
        self._compared.close()


def _changes(
    git: Git, reader: CatFile, pairs: Sequence[tuple[str, str]], compared: Comparison
) -> list[list[RawChange]]:
    """Give what git found; raises UserError where a partial clone does not hold them.

    Newer gits pass over a tree that is not there, and say that nothing changed.
    """
    try:
        found = compared.changes()
        lacking = next(
            (
                tree
                for pair, changes in zip(pairs, found, strict=True)
                if not changes and pair[0] != pair[1]
                for tree in pair
                if tree != git.empty_tree and reader.get(tree) is None
            ),
            None,
        )
    except GitFailed as error:
        if "promisor" not in error.message:
            raise
        lacking = error.message
    if lacking is not None:
        raise UserError(
            f"this partial clone lacks trees of these commits: {lacking}",
            hint="`git log --raw RANGE >/dev/null` fetches them, with -p also the contents",
        )
    return found


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


class ContentDigests:
    """Digests blob contents on demand, each once; with one that was expected, some others."""

    def __init__(self, reader: CatFile) -> None:
        self._reader = reader
        self._known: dict[str, str | None] = {}
        self._expected: dict[str, None] = {}

    def expect(self, oids: Iterable[str]) -> None:
        """Say which blobs will be asked for."""
        self._expected.update(dict.fromkeys(oids))

    def __call__(self, oid: str) -> str | None:
        if oid not in self._known:
            self._expected.pop(oid, None)
            together = [oid, *islice(self._expected, _TOGETHER)]
            for one, found in zip(together, self._reader.digest_many(together), strict=True):
                self._expected.pop(one, None)
                blob = found is not None and found.kind == "blob"
                self._known[one] = found.sha256 if found is not None and blob else None
        return self._known[oid]
