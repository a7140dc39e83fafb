"""Gathers from git what a reviewer is shown of a change, and what shows it to a verifier again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentprov.errors import AgentprovError, MalformedInput
from agentprov.formats import bundle, statement
from agentprov.formats.digest import sha256
from agentprov.formats.names import path_label
from agentprov.formats.predicates.approval import ApprovalView
from agentprov.formats.statement import Statement
from agentprov.store.plans import PlanShelf
from agentprov.system.git import Git
from agentprov.system.git_objects import CatFile, parse_commit
from agentprov.system.trees import RawChange, diff_tree
from agentprov.verify.approvals import Surroundings
from agentprov.verify.record import Record
from agentprov.verify.subjects import PathDiff

if TYPE_CHECKING:
    from agentprov.formats.review import Change, ChangedPath

_ABSENT = "000000"
_SUBMODULE = "160000"
_TOO_LARGE: Final = "too large"
_ABSENT_CONTENT: Final = "its content is not here"


def surroundings(git: Git, reader: CatFile, target_ref: str | None = None) -> Surroundings:
    """Answer the judge's questions around approvals from git, each when it is first asked."""

    @cache
    def between(base: str | None, commit: str) -> frozenset[str] | None:
        found = reader.get(commit)
        if found is None or found[0] != "commit":
            return None
        # Most approvals are of one commit; where thousands are, one process for each takes long.
        if parse_commit(commit, found[1]).parents == (base,):
            return frozenset({commit})
        words = [commit] if base is None else [commit, f"^{base}"]
        try:
            walk = ("rev-list", "--end-of-options", *words, "--")
            out = git.run(*walk, env={"GIT_SHALLOW_FILE": ""})
        except AgentprovError:
            return None
        return frozenset(out.decode().split())

    @cache
    def differences(old: str | None, new: str) -> Mapping[bytes, PathDiff] | None:
        try:
            found = diff_tree(git, old or git.empty_tree, new, renames=False)
        except AgentprovError:
            return None
        return path_diffs(found)

    def tree_of(commit: str) -> str | None:
        found = reader.get(commit)
        return parse_commit(commit, found[1]).tree if found and found[0] == "commit" else None

    @cache
    def is_ancestor(first: str, second: str) -> bool | None:
        if reader.get(first) is None or reader.get(second) is None:
            return None
        return git.succeeds("merge-base", "--is-ancestor", first, second)

    @cache
    def repository() -> str | None:
        return address(git)

    return Surroundings(between, differences, tree_of, is_ancestor, repository, target_ref)


def path_diffs(changes: Iterable[RawChange]) -> Mapping[bytes, PathDiff]:
    """Give changes as the judge takes them, by path; made without rename detection."""
    return {
        change.path: PathDiff(
            _there(change.old_mode, change.old_mode),
            _there(change.old_blob, change.old_mode),
            _there(change.new_mode, change.new_mode),
            _there(change.new_blob, change.new_mode),
        )
        for change in changes
    }


def address(git: Git) -> str | None:
    """Give the repository's URI where every clone has the same one, which only an origin is."""
    from agentprov.flows.repository import identity

    here = identity(git).uri
    return here if here.startswith("git+") else None


def material_for(
    git: Git, reader: CatFile, records: Iterable[Record]
) -> Callable[[ApprovalView], Change | None]:
    """Give what finds all that the reviewer of an approval was to be shown.

    It gives None where something of it is not at hand: then nothing can be said about what was
    shown. `records` need not be verified: what an approval names, it names by digest.
    """

    @cache
    def payloads() -> Mapping[str, bytes]:
        found = {}
        for record in records:
            try:
                parsed = bundle.parse(record.data)
            except MalformedInput:
                continue
            found[parsed.payload_sha256] = parsed.payload
        return found

    def find(digest: str) -> Statement | None:
        payload = payloads().get(digest)
        try:
            return statement.parse(payload) if payload is not None else None
        except MalformedInput:
            return None

    def material(view: ApprovalView) -> Change | None:
        wanted = [digest for name, digest in view.reviewed if name.endswith("-attestation")]
        said = {digest: find(digest) for digest in wanted}
        present = {digest: item for digest, item in said.items() if item is not None}
        if len(present) != len(said):
            return None
        try:
            change = gather(git, reader, view.base, view.commit, present)
        except AgentprovError:
            return None
        whole = all(path.unseen != _ABSENT_CONTENT for path in change.paths)
        plans = sum(1 for name, _ in view.reviewed if name == "plan")
        return change if whole and len(change.plans) == plans else None

    return material


def gather(
    git: Git,
    reader: CatFile,
    base: str | None,
    commit: str,
    statements: Mapping[str, Statement],
) -> Change:
    """Gather a change: what differs in git, and what these statements say of it.

    `statements` are by payload digest: plans, sessions and generations. Plans whose bytes are not
    here are left out. Raises GitFailed where a commit is not here.
    """
    from agentprov.formats.review import Change

    found = reader.get(commit)
    if found is None or found[0] != "commit":
        raise MalformedInput(f"{commit} is no commit that is here")
    generations = {
        digest: item.predicate for digest, item in statements.items() if item.kind == "generation"
    }
    origins = _origins(generations)
    changes = diff_tree(git, base or git.empty_tree, commit, renames=False)
    shelf = PlanShelf(git)
    plans = []
    for item in statements.values():
        if item.kind == "plan":
            subject = item.subjects[0]
            content = shelf.plan_bytes(subject.digest["sha256"]) or _blob(
                reader, subject.digest.get("gitBlob"), subject.digest["sha256"]
            )
            if content is not None:
                plans.append((subject.name, content))
    return Change(
        commit=commit,
        tree=parse_commit(commit, found[1]).tree,
        base=base,
        paths=[_path(reader, change, origins) for change in changes],
        plans=plans,
        generations=generations,
    )


def _origins(
    generations: Mapping[str, Mapping[str, Any]],
) -> Mapping[tuple[str, str], list[Mapping[str, Any]]]:
    """Map (label, blob) to origins; where two records speak of one, the first by digest does."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for _, predicate in sorted(generations.items()):
        for change in predicate["runDetails"]["metadata"]["agentprov_changes"]:
            if change.get("gitBlob") and change.get("ranges"):
                found.setdefault((change["path"], change["gitBlob"]), change["ranges"])
    return found


def _path(
    reader: CatFile,
    change: RawChange,
    origins: Mapping[tuple[str, str], list[Mapping[str, Any]]],
) -> ChangedPath:
    from agentprov.formats.review import ChangedPath

    label = path_label(change.path)
    old = _side(reader, change.old_mode, change.old_blob)
    new = _side(reader, change.new_mode, change.new_blob)
    unseen = {old if isinstance(old, str) else "", new if isinstance(new, str) else ""}
    return ChangedPath(
        label=label,
        old_mode=_there(change.old_mode, change.old_mode),
        new_mode=_there(change.new_mode, change.new_mode),
        old=old if isinstance(old, bytes) else b"",
        new=new if isinstance(new, bytes) else b"",
        old_id=_there(change.old_blob, change.old_mode),
        new_id=_there(change.new_blob, change.new_mode),
        unseen=_ABSENT_CONTENT if _ABSENT_CONTENT in unseen else _TOO_LARGE if any(unseen) else "",
        ranges=origins.get((label, change.new_blob), ()),
    )


def _side(reader: CatFile, mode: str, blob: str) -> bytes | str:
    """Give one side's content, or why it cannot be shown."""
    if mode in (_ABSENT, _SUBMODULE):
        return b""
    from agentprov.formats.review import MAX_SHOWN_BYTES

    found = reader.digest(blob, keep=MAX_SHOWN_BYTES)
    if found is None or found.kind != "blob":
        return _ABSENT_CONTENT
    return _TOO_LARGE if found.content is None else found.content


def _blob(reader: CatFile, blob: str | None, digest: str) -> bytes | None:
    found = reader.get(blob) if blob else None
    return found[1] if found is not None and sha256(found[1]) == digest else None


def _there(value: str, mode: str) -> str | None:
    return None if mode == _ABSENT else value
