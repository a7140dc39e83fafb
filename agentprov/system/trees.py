"""What trees hold and where two of them differ, read by git itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agentprov.formats.value import value
from agentprov.system.git import Asked, Git


@value
class RawChange:
    """One entry of ``git diff-tree --raw``: what changed at a path between two trees."""

    status: str
    path: bytes
    old_path: bytes | None
    old_mode: str
    new_mode: str
    old_blob: str
    new_blob: str


def diff_tree(git: Git, old: str, new: str, *, renames: bool = True) -> list[RawChange]:
    """List what differs between two trees or commits, by git itself, unfiltered.

    With `renames`, exact and similar renames are one entry of status ``R``.
    """
    out = git.run(
        "diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-ext-diff", "--no-textconv",
        "--full-index", *_renames(renames), old, new,
    )  # fmt: skip
    return list(_raw_changes(out))


def diff_pairs(
    git: Git, pairs: Sequence[tuple[str, str]], *, renames: bool = False
) -> list[list[RawChange]]:
    """List what differs for each (old tree, new tree), by one process."""
    return Comparison(git, pairs, renames=renames).changes()


class Comparison:
    """Pairs of trees that git compares beside us, by one process; `close` it, or use `with`."""

    def __init__(
        self, git: Git, pairs: Sequence[tuple[str, str]], *, renames: bool = False
    ) -> None:
        self._pairs = pairs
        self._asked: Asked | None = None
        if pairs:
            self._asked = git.ask(
                "diff-tree", "--stdin", "-r", "-z", "--raw", "--no-abbrev", "--no-ext-diff",
                "--no-textconv", "--full-index", *_renames(renames),
                input="".join(f"{old} {new}\n" for old, new in pairs).encode(),
            )  # fmt: skip

    def changes(self) -> list[list[RawChange]]:
        """Wait for git and list what differs for each pair; raises GitFailed."""
        return _of_pairs(self._pairs, self._asked.answer()) if self._asked else []

    def close(self) -> None:
        """Wait until git has ended."""
        if self._asked is not None:
            self._asked.wait()

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _of_pairs(pairs: Sequence[tuple[str, str]], out: bytes) -> list[list[RawChange]]:
    answers: dict[tuple[str, str], list[RawChange]] = {}
    current: list[RawChange] = []
    fields = iter(out.split(b"\0"))
    for field in fields:
        # Each pair is echoed on a line of its own, in front of its first change if it has any.
        for line in field.split(b"\n"):
            if line.startswith(b":"):
                current.append(_entry(line, fields))
            elif line:
                old, _, new = line.decode().partition(" ")
                current = answers[old, new] = []
    return [answers.get(pair, []) for pair in pairs]


def _raw_change(meta: bytes, path: bytes, old_path: bytes | None = None) -> RawChange:
    old_mode, new_mode, old_blob, new_blob, status = meta[1:].decode().split(" ")
    return RawChange(status[0], path, old_path, old_mode, new_mode, old_blob, new_blob)


def _raw_changes(out: bytes) -> Iterator[RawChange]:
    fields = iter(out.split(b"\0"))
    for meta in fields:
        if not meta.startswith(b":"):
            continue
        yield _entry(meta, fields)


def _entry(meta: bytes, fields: Iterator[bytes]) -> RawChange:
    path = next(fields)
    if meta.rpartition(b" ")[2][:1] in (b"R", b"C"):
        return _raw_change(meta, next(fields), path)
    return _raw_change(meta, path)


def _renames(wanted: bool) -> Sequence[str]:
    return ("-M", "-l0") if wanted else ("--no-renames",)


def blobs_at(git: Git, tree: str, paths: Iterable[bytes]) -> dict[bytes, str]:
    """Give the blob ids of paths in a tree; those that are not there are left out."""
    wanted = list(paths)
    if not wanted:
        return {}
    out = git.run("--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", tree, "--", *wanted)
    found: dict[bytes, str] = {}
    for record in out.split(b"\0"):
        meta, tab, path = record.partition(b"\t")
        if tab:
            found[path] = meta.split(b" ")[2].decode()
    return found
