"""Records in git notes: one published ref, JSON Lines, merged as a set.

``git notes add`` loses notes when two of them run at once, and reports success. Here an
addition happens under a lock in the common directory, which keeps our own writers apart, *and*
by compare-and-swap on the ref, which holds against every other writer. One addition of any size
costs three git processes. docs/spec/refs.md is the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

from agentprov.errors import Busy, GitFailed
from agentprov.formats.names import NOTES_REF
from agentprov.store import lines, objects, ref_lock
from agentprov.store.notes_tree import NotesTree, require_anchor
from agentprov.store.objects import NewObjects
from agentprov.system import files
from agentprov.system.clock import SystemClock
from agentprov.system.git import DURABLY, Git
from agentprov.system.git_objects import CatFile, parse_commit

if TYPE_CHECKING:
    from agentprov.ports import Clock
    from agentprov.store.unsettled import Unsettled

IDENTITY = "agentprov <agentprov@localhost>"
LOCK_SECONDS = 60.0
ATTEMPTS = 25

Change = Callable[[CatFile, str | None, NewObjects], str | None]


class NotesStore:
    """Keeps bundles in a notes ref; implements Store.

    Anchors are ids of objects in this repository's format. Notes that others wrote on the same
    ref are kept line for line. `retries` counts how often another writer was faster. Does not
    look into bundles.
    """

    def __init__(self, git: Git, clock: Clock | None = None, *, ref: str = NOTES_REF) -> None:
        self.git = git
        self.ref = ref
        self.retries = 0
        self._clock = clock or SystemClock()

    @cached_property
    def _unsettled(self) -> Unsettled:
        # Here, because readers hardly ever need it.
        from agentprov.store.unsettled import Unsettled

        return Unsettled(self.git)

    def _restore(self) -> bool:
        return self._unsettled.restore()

    def get(self, anchor: str) -> list[bytes]:
        """Give the bundles under one object id, sorted; an empty list when there are none.

        Raises MalformedInput for an anchor that is no object id here.
        """
        require_anchor(anchor, self.git.object_format)
        with self.git.cat_file() as reader:
            return sorted(self.tree_at(reader, self._tip(reader)).find(anchor))

    def get_many(
        self, anchors: Sequence[str], reader: CatFile | None = None
    ) -> dict[str, list[bytes]]:
        """Give the bundles under each of these object ids, by one git process or an open reader."""
        for anchor in anchors:
            require_anchor(anchor, self.git.object_format)
        with self._reading(reader) as open_reader:
            found = self._tree(open_reader).find_many(anchors)
            return {anchor: sorted(found[anchor]) for anchor in anchors}

    def everything(self, reader: CatFile | None = None) -> Iterator[tuple[str, list[bytes]]]:
        """Give (object id, bundles) for all that is stored, in order of object id."""
        with self._reading(reader) as open_reader:
            for anchor, found in self._tree(open_reader).everything():
                if found:
                    yield anchor, sorted(found)

    def as_it_stands(self, reader: CatFile) -> NotesTree:
        """Give all notes of this moment, to be asked several times through an open reader."""
        return self.tree_at(reader, self._tip(reader), keeping=True)

    def anchors(self, reader: CatFile) -> set[str]:
        """Give the ids of all objects that have a note; reads trees only, by an open reader."""
        return set(self._tree(reader).places())

    def _reading(self, reader: CatFile | None) -> AbstractContextManager[CatFile]:
        return self.git.cat_file() if reader is None else nullcontext(reader)

    def _tree(self, reader: CatFile) -> NotesTree:
        return self.tree_at(reader, self._tip(reader))

    def add(self, additions: Mapping[str, Sequence[bytes]]) -> None:
        """Add bundles; all or nothing; none that was there is lost.

        Raises MalformedInput (not one line, no object id), Busy when another writer holds the
        lock or keeps winning the ref, GitFailed.
        """
        wanted = {
            require_anchor(anchor, self.git.object_format): {
                lines.require_line(line) for line in new
            }
            for anchor, new in additions.items()
            if new
        }
        if not wanted:
            return

        def union(reader: CatFile, tip: str | None, new: NewObjects) -> str | None:
            tree = self.tree_at(reader, tip)
            grown = {}
            for anchor, more in wanted.items():
                present = tree.find(anchor)
                if not more <= present:
                    grown[anchor] = present | more
            if not grown:
                return None
            return self.commit(new, tree.write(grown, new), [tip] if tip else [], "Add records")

        self.swap(union)

    def swap(self, change: Change) -> str | None:
        """Move the ref by compare-and-swap; retried while others move it in between.

        `change` gets a reader, the present tip and a place for new objects, and gives the new
        tip, or None to leave everything as it is. Gives the tip that stands afterwards.
        """
        files.private_directory(self.git.home)
        failure: GitFailed | None = None
        with files.locked(self.git.home / "notes.lock", LOCK_SECONDS) as held:
            ref_lock.remove_left(self.git, self.ref, held)
            self._unsettled.wait_for_gc()
            for _ in range(ATTEMPTS):
                with self.git.cat_file() as reader:
                    tip = self._tip(reader)
                    new = NewObjects(self.git.object_format)
                    target = change(reader, tip, new)
                if target is None or target == tip:
                    return tip
                if new:
                    pack = new.pack()
                    self._unsettled.keep(pack)
                    self._unsettled.write(pack, held)
                try:
                    with ref_lock.marked(held):
                        self.git.run(
                            *DURABLY, "update-ref", "--create-reflog", "-m",
                            "agentprov: add records", self.ref, target, tip or self.git.zero,
                            holding=(held,),
                        )  # fmt: skip
                except GitFailed as error:
                    failure = error
                    if self._current() == tip:
                        raise
                    self.retries += 1
                else:
                    self._unsettled.watch(new)
                    self.look_again()
                    return target
        raise Busy(
            f"{self.ref} kept moving while we wrote to it ({failure})",
            hint="another program writes notes all the time; try again when it is done",
        )

    def look_again(self) -> None:
        """Put back what a `git prune` has taken of the last addition; raises GitFailed.

        For who lives on: a prune may be at work when `add` returns. A few looks at files.
        """
        self._unsettled.look_again()

    def commit(self, new: NewObjects, tree: str, parents: Sequence[str], message: str) -> str:
        """Put a commit of a notes tree among the new objects; gives its id.

        Author and committer are ours and not the user's: records are signed, notes are not.
        """
        seconds = int(self._clock.now().timestamp())
        return new.add("commit", objects.format_commit(tree, parents, IDENTITY, seconds, message))

    def blobs(self, revision: str) -> dict[str, list[str]]:
        """Give the blobs of every note in a commit or ref, by object id; empty where none is.

        Raises GitFailed for a tree that neither git nor we would write.
        """
        with self.git.cat_file() as reader:
            found = reader.read(f"{revision}^{{commit}}")
            return self.tree_at(reader, found[0]).places() if found is not None else {}

    def _current(self) -> str | None:
        with self.git.cat_file() as reader:
            return self._tip(reader)

    def _tip(self, reader: CatFile) -> str | None:
        found = reader.read(self.ref)
        if found is None and self._stands():
            # It may have come this very moment; a ref whose object is gone is not "no records".
            found = reader.read(self.ref)
            if found is None and self._unsettled.restore():
                found = reader.read(self.ref)
            if found is None:
                raise GitFailed(f"{self.ref} is broken: see `git reflog {self.ref}`, `git fsck`")
        if found is None:
            return None
        if found[1] != "commit":
            raise GitFailed(f"{self.ref} does not point to a commit")
        return found[0]

    def _stands(self) -> bool:
        """Say whether the ref is there, whatever it points to; knows no reftable."""
        if (self.git.common_dir / self.ref).exists():
            return True
        try:
            packed = (self.git.common_dir / "packed-refs").read_bytes()
        except OSError:
            return False
        return b" %b\n" % self.ref.encode() in packed

    def tree_at(self, reader: CatFile, commit: str | None, *, keeping: bool = False) -> NotesTree:
        """Give the notes tree of a commit, to be read through `reader`; an empty one for None."""
        root = None
        if commit is not None:
            found = reader.get(commit)
            if found is None and self._unsettled.restore():
                found = reader.get(commit)
            if found is None or found[0] != "commit":
                raise GitFailed(f"the notes commit {commit} is missing from this repository")
            root = parse_commit(commit, found[1]).tree
        return NotesTree(reader, self.git.object_format, root, keeping, self._restore)
