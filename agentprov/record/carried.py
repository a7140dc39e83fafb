"""Lines that people carry about: whether a line in a person's change may be a model's after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentprov.formats.lineage import is_distinctive
from agentprov.record.accounts import ONE_OF_A_KIND, Account, Circumstances
from agentprov.record.landing import TOOL_AFTERMATH, Step
from agentprov.record.neighbours import Departure, Judge, Sighting, Traces


@dataclass(frozen=True)
class Carried:
    """What is known of one file's lines and of where else they stood.

    `traces` are those of the file itself so far, `judge` gives those of another.
    """

    account: Account
    about: Circumstances
    traces: Traces
    judge: Judge

    def may_be_a_models(self, step: Step, line: bytes) -> bool:
        """Say whether a line that a person put here may be one that a model wrote before.

        It is not, though an answer holds it, if it stood in the tree before that answer and no
        model had written it where it stood: the model has read it. Nor if an answer holds no
        more than a piece of it, and it stood nowhere but in lines that were no model's.
        """
        moves = self.about.elsewhere
        assert step.at is not None
        said = self.about.said(line, step.at)
        if not is_distinctive(line) or not (said or (moves and moves.holds_part_of(line))):
            return False
        others = self._elsewhere(line)
        if others is None:
            return True
        seen = [
            one
            for traces in (*others, self.traces)
            for one in traces.seen.get(line, ())
            if one.by(step.at)
        ]
        if any(one.origin not in (None, "human", "command") for one in seen):
            return True
        return said and not any(one.at is None or not self.about.said(line, one.at) for one in seen)

    def source(self, step: Step, index: int) -> Sighting | None:
        """Find the model's line that left another file as this one came here, by a person's hand.

        With its new neighbours that left with it, it must be long enough to be one of a kind.
        """
        for traces in self._elsewhere(step.keys[index]) or ():
            for left in traces.left.get(step.keys[index], ()):
                if _moved_characters(step, index, traces, left) < ONE_OF_A_KIND:
                    continue
                seen = [one for one in traces.seen[step.keys[index]] if one.by(left.since)]
                if seen and all(one.origin == "model" for one in seen):
                    return seen[-1]
        return None

    def _elsewhere(self, line: bytes) -> Sequence[Traces] | None:
        """Give the traces of other files in which a line stood; None if nobody can tell."""
        if self.about.neighbours is None or not self.about.followed:
            return None
        return self.about.neighbours.traces(line, self.account.path, self.judge)


def _moved_characters(step: Step, index: int, traces: Traces, left: Departure) -> int:
    """Count the characters of the new lines about one that left the other file with it."""
    if (
        not left.by_others
        or step.since is None
        or step.at is None
        or not step.since - TOOL_AFTERMATH <= left.since <= step.at + TOOL_AFTERMATH
    ):
        return 0
    total = 0
    for place, way in ((index, 1), (index - 1, -1)):
        while place in step.fresh and left in traces.left.get(step.keys[place], ()):
            total += len(step.keys[place].strip())
            place += way
    return total
