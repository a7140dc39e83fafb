"""Which commits say by a trailer that a session made them, while its record is not here.

A trailer proves nothing. That it names a record which is missing is the one trace that a record
leaves in a clone that never saw it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agentprov.errors import MalformedInput
from agentprov.flows.glancing import glance
from agentprov.flows.world import World
from agentprov.formats import names
from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.value import value
from agentprov.record.session import SessionDirectory
from agentprov.system.git import ALL_HISTORY
from agentprov.verify.record import Record
from agentprov.verify.subjects import session_trailers

_PLACE = re.compile(r"([A-Za-z0-9-]{1,64})/([0-9]{1,8})")


@value
class Unrecorded:
    """A commit, its own word on when it was made (seconds), and the record that it names."""

    commit: str
    committed: int
    trailer: str


def find(world: World) -> list[Unrecorded]:
    """Give the commits of all branches whose trailers name records that are not here, oldest first.

    Looks at branches, remote-tracking branches, tags and each work tree's HEAD, as far as this
    clone holds them. A session that is being recorded here has nothing to show yet and is left
    out. Verifies nothing: a record that is here may still not hold.
    """
    named = _named(world, ALL_HISTORY)
    if not named:
        return []
    here = _recorded(world, named)
    missing = [one for one in named if one.trailer not in here]
    live = {
        session
        for session in {one.trailer.partition("/")[0] for one in missing}
        if SessionDirectory(world.git.home, session).is_live()
    }
    missing = [one for one in missing if one.trailer.partition("/")[0] not in live]
    return sorted(missing, key=lambda one: (one.committed, one.commit))


def later_than_all_records(
    world: World, remote: str, missing: Sequence[Unrecorded]
) -> list[Unrecorded]:
    """Give those of the missing on a remote's branches that come after all that have a record.

    By the time that commits state. Empty where records are missing in between only.
    """
    if not missing:
        return []
    named = _named(world, (f"--remotes={remote}/*",))
    gone = {(one.commit, one.trailer) for one in missing}
    there = [one for one in named if (one.commit, one.trailer) in gone]
    kept = [one.committed for one in named if (one.commit, one.trailer) not in gone]
    last = max(kept, default=None)
    late = [one for one in there if last is None or one.committed >= last]
    return sorted(late, key=lambda one: (one.committed, one.commit))


def _named(world: World, where: Sequence[str]) -> list[Unrecorded]:
    """Give every record that the commits of some refs name."""
    out = world.git.run(
        "log", "-z", "-i", f"--grep=^{names.TRAILER}:", "--no-show-signature", "--no-notes",
        "--format=%H %ct%n%B", "--ignore-missing", *where, "--", check=False,
    )  # fmt: skip
    found: list[Unrecorded] = []
    for entry in out.decode("utf-8", "replace").split("\0"):
        head, _, message = entry.partition("\n")
        oid, _, seconds = head.strip().partition(" ")
        if not seconds.lstrip("-").isdigit():
            continue
        found += [
            Unrecorded(oid, int(seconds), trailer)
            for trailer in dict.fromkeys(session_trailers(message))
            if _PLACE.fullmatch(trailer)
        ]
    return found


def _recorded(world: World, named: Sequence[Unrecorded]) -> set[str]:
    """Give the SESSION/NUMBER of generations that are here: on the commits first, then anywhere."""
    wanted = {one.trailer for one in named}
    with world.git.cat_file() as reader:
        near = world.notes.get_many(sorted({one.commit for one in named}), reader)
        here = _places(line for lines in near.values() for line in lines)
        if not wanted <= here:
            here |= _places(line for _, lines in world.notes.everything(reader) for line in lines)
    return here


def _places(lines: Iterable[bytes]) -> set[str]:
    """Give what lines of notes say they are, by a glance where that is as good as reading."""
    found: set[str] = set()
    for line in lines:
        payload = glance(line)
        if payload is not None and b'"sequence"' not in payload:
            continue
        try:
            view = Record(line, "").reading.view()
        except MalformedInput:
            continue
        if isinstance(view, GenerationView):
            found.add(f"{view.session}/{view.sequence}")
    return found
