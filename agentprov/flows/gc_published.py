"""Whether what a session signed lies where it must before the session's own copy may go.

docs/spec/gc.md is the page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Set

from agentprov.errors import AgentprovError, KeyMissing, MalformedInput
from agentprov.flows.log_append import entry_of, log_of
from agentprov.flows.world import World
from agentprov.formats import bundle, statement
from agentprov.sign.registry import local_public
from agentprov.store.notes import NotesStore
from agentprov.store.signing_log import SigningLog, View

_OF_SESSIONS = ("session-open", "session-close")


class Published:
    """What is in the notes, on remotes as last seen, and in the signing log; read at first need."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._here: set[bytes] | None = None
        self._there: set[bytes] | None = None
        self._log: _Log | None = None

    def lacks(
        self, bundles: Sequence[bytes], *, committed: bool, dropped: Set[bytes]
    ) -> str | None:
        """Say where one of these bundles is missing, or may be; None where nothing is.

        The opening and the close of a session that has not `committed` anything have no commit to
        hang on: they must be in the signing log alone, where no other trace of them is left. What
        was `dropped` from the notes on purpose is missed in the log alone. Raises GitFailed.
        """
        if self._here is None or self._log is None:
            self._here, self._there = self._notes()
            self._log = _Log(self._world)
        kinds = {line: _kind(line) for line in bundles}
        logged: set[bytes] = set()
        if not committed and "generation" not in kinds.values():
            logged = {line for line, kind in kinds.items() if kind in _OF_SESSIONS}
        noted = kinds.keys() - logged - dropped
        if not self._here >= noted:
            return "not all that it signed is in the notes"
        if self._there is not None and not self._there >= noted:
            return "not all that it signed is known to be on a remote"
        return self._log.lacks(kinds.keys(), logged)

    def _notes(self) -> tuple[set[bytes], set[bytes] | None]:
        git = self._world.git
        here = _lines_of(self._world.notes)
        if not git.text("remote", check=False):
            return here, None
        words = ("for-each-ref", "--format=%(refname)", "refs/notes/remotes/")
        refs = git.text(*words, check=False).split()
        return here, {line for ref in refs for line in _lines_of(NotesStore(git, ref=ref))}


class _Log:
    """This user's signing log; one that is kept here and cannot be read may lack anything."""

    def __init__(self, world: World) -> None:
        self._view: View | None = None
        self._hint: str | None = None
        self._trouble: str | None = None
        try:
            self._open(world)
        except (AgentprovError, OSError) as error:
            self._trouble = f"the signing log cannot be read: {error}"

    def _open(self, world: World) -> None:
        log = log_of(world)
        try:
            self._view = log.view()
        except KeyMissing:
            if _kept_here(world, log):
                raise
            return
        if self._view is None:
            if _kept_here(world, log):
                self._trouble = "the signing log cannot be read: it has no checkpoint"
            return
        spki = local_public("recorder", world.home)
        if spki is None:
            self._trouble = "what the signing log must have cannot be told: no recorder's key"
        else:
            self._hint = bundle.key_hint(spki)

    def lacks(self, bundles: Set[bytes], required: Set[bytes]) -> str | None:
        """Say why one of these may be missing; `required` also where this user keeps no log."""
        if self._trouble is not None:
            return self._trouble
        wanted = required
        if self._view is not None:
            wanted = required | {line for line in bundles if _hint(line) == self._hint}
        if not all(self._includes(line) for line in wanted):
            return "not all that it signed is in the signing log"
        return None

    def _includes(self, line: bytes) -> bool:
        return self._view is not None and self._view.includes(entry_of(line))


def _kept_here(world: World, log: SigningLog) -> bool:
    """Say whether anything tells that a signing log was ever kept for this clone."""
    return os.path.lexists(log.seen_path) or os.path.lexists(world.git.home / "log")


def _lines_of(store: NotesStore) -> set[bytes]:
    return {line for _, lines in store.everything() for line in lines}


def _kind(line: bytes) -> statement.Kind | None:
    try:
        return statement.parse(bundle.parse(line).payload).kind
    except MalformedInput:
        return None


def _hint(line: bytes) -> str | None:
    try:
        return bundle.parse(line).hint
    except MalformedInput:
        return None


__all__ = ["Published"]
