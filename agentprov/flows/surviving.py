"""Finds out what still stands at a revision of all that records speak of, by git's own blame.

Only files that records speak of are looked at, under every name that they were given since. A file
that one commit made and no other touched needs no blame: all its lines are that commit's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from agentprov.errors import AgentprovError, GitFailed, UserError
from agentprov.flows.index import Keeper
from agentprov.formats.names import label_path, path_label
from agentprov.query.blame import Stretch, read_incremental
from agentprov.system import database, files
from agentprov.system.git import Git

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentprov.query.standing import Tip, Touches
    from agentprov.query.state import State

_AT_ONCE = 2
_WORTH_A_GRAPH = 20
_FILES = (b"100644 blob ", b"100755 blob ")
_SAY_EVERY = 500


def look(
    keeper: Keeper, state: State, revision: str, say: Callable[[str], None] = lambda _: None
) -> Tip:
    """Give the revision with all its files looked at; raises UserError for what is none."""
    from agentprov.query import standing

    oid = keeper.world.git.resolve(revision)
    if oid is None:
        raise UserError(f"{revision!r} is no revision in {keeper.world.git.top}")
    with keeper.engine.connect() as connection:
        found = standing.tip_of(connection, state.key, oid)
    if found is not None and found.taken == state.as_of:
        return found
    with database.writing(keeper.place), keeper.engine.begin() as connection:
        found = standing.tip_of(connection, state.key, oid)
        if found is not None and found.taken == state.as_of:
            return found
        return _Look(keeper, state, connection, oid, say).take()


class _Look:
    def __init__(
        self,
        keeper: Keeper,
        state: State,
        connection: Connection,
        oid: str,
        say: Callable[[str], None],
    ) -> None:
        self._keeper = keeper
        self._git = keeper.world.git
        self._state = state
        self._connection = connection
        self._oid = oid
        self._say = say

    def take(self) -> Tip:
        from agentprov.query import bearing, standing

        connection, key = self._connection, self._state.key
        self._walk()
        # What a commit left that is not here may stand under another that no record names.
        paths, blobs = bearing.sought(connection, key)
        wanted = _with_later_names(
            {**standing.claimed_paths(connection, key), **dict.fromkeys(paths, True)},
            standing.renames(connection, key),
        )
        here = {
            label: blob
            for label, blob in _files(self._git, self._oid)
            if label in wanted or blob in blobs
        }
        known = self._known()
        kept = {
            label: (blob, known[label][1])
            for label, blob in here.items()
            if label in known and known[label][0] == blob
        }
        once = standing.touched_once(connection, key)
        blames: list[tuple[str, str, Sequence[Stretch]]] = []
        slow: list[tuple[str, str]] = []
        for label, blob in here.items():
            if label in kept:
                continue
            commit, first = once.get(label, ("", ""))
            if first == blob:
                blames.append((label, blob, [Stretch(1, _MANY, commit, label, 1)]))
            elif wanted.get(label, True):
                slow.append((label, blob))
            else:
                blames.append((label, blob, []))
        blames += self._blamed(slow)
        tip = standing.put_tip(
            connection,
            key,
            self._oid,
            self._state.as_of,
            self._keeper.world.now(),
            kept,
            blames,
        )
        self._find_again(tip)
        return tip

    def _find_again(self, tip: Tip) -> None:
        """Have commits without records judged where records have lost their commits.

        A forge that squashed, a rebase that nobody saw: their content may be found again.
        """
        from agentprov.query import bearing

        key = self._state.key
        recorded = bearing.recorded(self._connection, key)
        recorded.update(bearing.absent(self._connection, key))
        if not lost(self._git, self._oid, recorded):
            return
        bare = sorted(bearing.bare(self._connection, tip.key))
        with self._git.cat_file() as reader:
            now = self._keeper.world.now()
            self._keeper.judge(self._connection, reader, key, bare, now, self._say, named=False)

    def _walk(self) -> None:
        """Go through the history since the last look for touches and renames."""
        from agentprov.query import standing

        before = standing.walked(self._connection, self._state.key)
        if before == self._oid:
            return
        onward = before is not None and self._leads_to(before)
        span = f"{before}..{self._oid}" if onward else self._oid
        found = _touches(self._git, span)
        standing.put_walk(self._connection, self._state.key, self._oid, found, anew=not onward)

    def _known(self) -> dict[str, tuple[str, int]]:
        """Give the files of an earlier look whose blame holds here too.

        The same blob is not enough: it may have been taken away and written again in between.
        """
        from agentprov.query import standing

        for tip in standing.newest_tips(self._connection, self._state.key):
            changed = _changed(self._git, tip.oid, self._oid)
            if changed is not None:
                there = standing.heads(self._connection, tip.key)
                return {label: found for label, found in there.items() if label not in changed}
        return {}

    def _leads_to(self, oid: str) -> bool:
        return self._git.succeeds("merge-base", "--is-ancestor", oid, self._oid)

    def _quick(self) -> Git:
        """Give git with a graph of the history that says which commit touched which path.

        It lies in a folder of ours, so that nothing of the repository changes, and is made anew
        each time. Where git makes none, blame takes longer and says the same.
        """
        folder = files.private_directory(self._git.home / "graph")
        (folder / "info" / "commit-graph").unlink(missing_ok=True)
        git = self._git.private(objects=folder)
        git.run(
            "commit-graph", "write", "--stdin-commits", "--changed-paths", "--no-progress",
            input=self._oid.encode() + b"\n", check=False,
        )  # fmt: skip
        return git

    def _blamed(
        self, wanted: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[str, str, Sequence[Stretch]]]:
        """Ask git about some files, a few at a time."""
        # What the user's configuration says of blame is for the user's own eyes.
        git = self._quick() if len(wanted) > _WORTH_A_GRAPH else self._git
        # The empty name takes back what configuration named; as a setting it would not.
        words = ("blame", "--incremental", "--root", "--no-textconv", "--ignore-revs-file=")
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            asked = [git.ask(*words, self._oid, "--", label_path(label)) for label, _ in some]
            try:
                for (label, blob), one in zip(some, asked, strict=True):
                    yield label, blob, list(read_incremental(one.answer()))
            except AgentprovError as error:
                raise UserError(
                    f"what stands at {self._oid[:12]} cannot be said: {error.message}",
                    hint="a shallow or partial clone lacks what it takes; --history needs less",
                ) from error
            finally:
                for one in asked:
                    one.wait()
            if (start // _AT_ONCE) % _SAY_EVERY == _SAY_EVERY - 1:
                self._say(f"{start + len(some)} of {len(wanted)} files are blamed")


_MANY = 2**31 - 1


def lost(git: Git, revision: str, recorded: set[str]) -> bool:
    """Say whether records speak of commits that a revision does not lead back to."""
    if not recorded:
        return False
    reached = git.run("rev-list", "--end-of-options", revision, "--", check=False)
    return bool(recorded.difference(reached.decode("ascii", "replace").split()))


def _changed(git: Git, old: str, new: str) -> set[str] | None:
    """Give the paths whose blame may differ between two revisions; None where any may.

    Blame hands a file on whole to the first parent that has the same. So what no step along first
    parents changed, from each revision back to where both lines meet, is the same in both.
    """
    ahead, fork = _along_first_parents(git, old, new)
    if fork is None:
        return None
    behind, met = _along_first_parents(git, fork, old)
    return ahead | behind if met == fork else None


def _along_first_parents(git: Git, since: str, oid: str) -> tuple[set[str], str | None]:
    """Give what a revision's first parents changed, and the first of them that `since` has too.

    It is None where none is, or where one of the two is not here.
    """
    try:
        out = git.run(
            "log", "--first-parent", "--diff-merges=first-parent", "--topo-order",
            "--format=%x00%H %P", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff",
            "--no-textconv", "--no-color", "--root", "--end-of-options", f"{since}..{oid}", "--",
        )  # fmt: skip
    except GitFailed:
        return set(), None
    changed: set[str] = set()
    met: str | None = oid
    fields = iter(out.split(b"\0"))
    for field in fields:
        meta = field.strip(b"\n")
        if meta.startswith(b":"):
            changed.add(path_label(next(fields)))
        elif meta:
            _, *parents = meta.decode("ascii").split()
            met = parents[0] if parents else None
    return changed, met


def _with_later_names(claimed: dict[str, bool], renames: dict[str, set[str]]) -> dict[str, bool]:
    """Add the names that claimed paths were renamed to, and so on."""
    found = dict(claimed)
    waiting = list(claimed)
    while waiting:
        label = waiting.pop()
        for later in renames.get(label, ()):
            if later not in found or (found[label] and not found[later]):
                found[later] = found[label] or found.get(later, False)
                waiting.append(later)
    return found


def _files(git: Git, oid: str) -> Iterator[tuple[str, str]]:
    """Give (label, blob id) of the files of a revision; no links, no submodules."""
    for record in git.run("ls-tree", "-r", "-z", "--full-tree", oid).split(b"\0"):
        meta, _, path = record.partition(b"\t")
        if path and meta.startswith(_FILES):
            yield path_label(path), meta.rsplit(b" ", 1)[1].decode("ascii")


def _touches(git: Git, span: str) -> Touches:
    """Read what a stretch of history did to paths, oldest first, by one process of git."""
    from agentprov.query.standing import Touches

    out = git.run(
        "log", "--reverse", "--topo-order", "--format=%x00%H", "--raw", "-z", "--no-abbrev",
        "-M", "-l0", "--no-ext-diff", "--no-textconv", "--no-color", "--root",
        "--end-of-options", span, "--",
    )  # fmt: skip
    times: dict[str, int] = {}
    first: dict[str, tuple[str, str | None]] = {}
    renamed: set[tuple[str, str]] = set()
    commit = ""
    fields = iter(out.split(b"\0"))
    for field in fields:
        meta = field.strip(b"\n")
        if not meta:
            continue
        if not meta.startswith(b":"):
            commit = meta.decode("ascii")
            continue
        _, _, _, blob, status = meta.decode("ascii").split(" ")
        labels = [path_label(next(fields))]
        if status[0] in "RC":
            labels.append(path_label(next(fields)))
            renamed.add((labels[0], labels[1]))
        for label in labels:
            times[label] = times.get(label, 0) + 1
            first.setdefault(label, (commit, blob if status == "A" else None))
    return Touches(times, first, frozenset(renamed))


__all__ = ["look", "lost"]
