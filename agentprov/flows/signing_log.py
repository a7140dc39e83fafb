"""The log of what was signed on this machine: look at it, compare it, accept it as it is.

Looking makes no key and writes nothing. Appending is `agentprov.flows.log_append`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentprov.errors import KeyUnusable, UserError
from agentprov.flows.log_append import log_of
from agentprov.flows.world import World
from agentprov.formats import bundle, checkpoint
from agentprov.formats.checkpoint import Checkpoint
from agentprov.formats.value import value
from agentprov.sign.registry import PURPOSES, local_public
from agentprov.store.signing_log import LogBroken, SigningLog, View
from agentprov.system import files
from agentprov.verify.finding import Problem
from agentprov.verify.local_log import LogFacts


@value
class Head:
    """A log's newest checkpoint: the note as it is signed, what it says, and the key to check it.

    `verifier_key` is in the spelling of C2SP signed notes.
    """

    note: bytes
    checkpoint: Checkpoint
    verifier_key: str


def facts(world: World) -> LogFacts | None:
    """Give what the judge may know of the log; None where this user never kept one here."""
    log = log_of(world)
    try:
        view = log.view()
    except LogBroken as error:
        return LogFacts(Problem(error.code, error.message))
    except KeyUnusable as error:
        if not os.path.lexists(log.seen_path):
            return None
        return LogFacts(Problem("log-damaged", f"a log was kept here, yet {error.message}"))
    if view is None:
        return None
    own = (local_public(purpose, world.home) for purpose in PURPOSES)
    return LogFacts(
        problem=None,
        includes=view.includes,
        began=log.began(),
        own_keys=frozenset(bundle.key_hint(spki) for spki in own if spki is not None),
        recorded_here=lambda session: (world.git.home / "sessions" / session).is_dir(),
    )


def trouble(world: World) -> Problem | None:
    """Say what is wrong with the log as a whole; None where nothing is, or none is kept."""
    found = facts(world)
    return found.problem if found else None


def head(world: World) -> Head:
    """Give the newest checkpoint; raises UserError when nothing was logged, LogBroken."""
    log = log_of(world)
    view = _view(log, ())
    if view is None:
        raise UserError(
            "nothing was logged here yet", hint="sign a plan, or run an agent, and look again"
        )
    key = checkpoint.verifier_key(view.checkpoint.origin, log.key.public)
    return Head(view.note, view.checkpoint, key)


def check(world: World, kept: Sequence[Path] = ()) -> tuple[Checkpoint | None, list[Problem]]:
    """Compare the log with itself, entry by entry, and with checkpoints that were kept elsewhere.

    Gives the newest checkpoint where it can be read, and what is wrong. Raises UserError for a
    file that cannot be read.
    """
    notes = {str(path): _content(path) for path in kept}
    log = log_of(world)
    problems: dict[Problem, None] = {}
    newest = None
    for name in ("", *notes):
        try:
            view = _view(log, [(name, log.read(notes[name], name))] if name else ())
            if view is not None and not name:
                view.audit()
        except LogBroken as error:
            problems[Problem(error.code, error.message)] = None
        else:
            newest = view.checkpoint if view else None
    return newest, list(problems)


def accept(world: World, environment: Mapping[str, str] | None = None) -> Checkpoint | None:
    """Take the log as it is for the one that is meant; the next checkpoint names a new log.

    Raises UserError inside a run, and when there is no log and none was seen.
    """
    if (os.environ if environment is None else environment).get("AGENTPROV_SESSION"):
        raise UserError(
            "that a log was exchanged is for a person to accept; this is inside a recorded run"
        )
    return log_of(world, create=True).accept()


def _view(
    log: SigningLog, others: Sequence[tuple[str, checkpoint.SignedCheckpoint]]
) -> View | None:
    try:
        return log.view(others)
    except KeyUnusable:
        if os.path.lexists(log.seen_path):
            raise
        return None


def _content(path: Path) -> bytes:
    try:
        return files.read_bounded(path, checkpoint.MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
