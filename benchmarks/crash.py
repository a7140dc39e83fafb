"""Kills recorders with SIGKILL at random points, and counts what does not hold afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

from ground import Ground
from measure import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.crashes import Laboratory, Tally

_IN_ONE_REPOSITORY = 24
# What must hold after every kill, by the first word of what `Laboratory.kill` says of it.
_CHECKS = {
    "journal": "unreadable journals, at the kill and after the next command",
    "record": "stored records lost",
    "notes": "corrupted notes refs, or lines in them that are no records",
    "next": "next commands that failed",
    "session": "sessions not closed exactly once, or waiting for ever",
    "statements": "commits or numbers with two statements",
    "replay": "journals that do not give the signed statements",
    "verify": "errors of verify, of the signing log included",
    "doctor": "complaints of doctor",
    "agent": "agents stopped by their recorder's death",
    "commit": "blocked commits",
}


def crashes(ground: Ground, table: Table) -> None:
    """Kill `run`, `drain`, `sync`, `plan sign`, `approve`, `init` and hooks at random points."""
    tally = Tally()
    laboratory: Laboratory | None = None
    turn = 0
    while tally.kills < ground.kills:
        if turn % _IN_ONE_REPOSITORY == 0:
            laboratory = Laboratory(ground.place / f"crash-{turn}", ground.seed + turn)
        assert laboratory is not None
        names = list(laboratory.victims)
        outcome = laboratory.kill(names[turn % len(names)])
        tally.add(outcome)
        turn += 1
        if turn % 20 == 0:
            print(f"{tally.kills} kills", file=sys.stderr, flush=True)
        for sentence in outcome.wrong:
            table.note(f"{outcome.victim}, {outcome.point}: {sentence[:300]}")
    figure = "crash"
    victims = ", ".join(f"{name} {count}" for name, count in tally.by_victim().items())
    table.fact(figure, "kills", f"{tally.kills} ({victims})")
    exact = sum("operation" in one.point for one in tally.outcomes if one.killed)
    table.fact(figure, "of them at an exact operation, the others at a random time", exact)
    put_right = sum(one.repaired for one in tally.outcomes)
    table.fact(figure, "repairs that the next command told of", put_right)
    for word, sentence in _CHECKS.items():
        count = tally.wrong(word)
        table.fact(figure, sentence, count, "0", count == 0)
