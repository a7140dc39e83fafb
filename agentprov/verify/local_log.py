"""Whether the log that this machine keeps of what it signed fits the records that are judged.

The log itself was opened, and compared with what was last seen of it, by whoever keeps it; here
it is only weighed. Where no log is kept (any other clone, CI) there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agentprov.formats.predicates.generation import GenerationView
from agentprov.formats.predicates.session import CloseView, OpenView
from agentprov.formats.schema import instant
from agentprov.formats.value import value
from agentprov.verify.finding import Finding, Problem, finding
from agentprov.verify.record import Entry

SOURCE = "the signing log"


@value
class LogFacts:
    """What is known of this machine's log.

    `problem` is what is wrong with it as a whole; then nothing else is known. `includes` looks
    for an entry (`formats.tile_log.entry`) and proves it. Only statements by `own_keys` (hints), of
    sessions that were `recorded_here` and started after the log was `began`, must be in it.
    """

    problem: Problem | None
    includes: Callable[[bytes], bool] = lambda _: True
    began: str | None = None
    own_keys: frozenset[str] = frozenset()
    recorded_here: Callable[[str], bool] = lambda _: False


def judge(facts: LogFacts | None, accepted: Sequence[Entry]) -> list[Finding]:
    """Find what is wrong with the log, and accepted records that it should hold and does not."""
    if facts is None:
        return []
    if facts.problem is not None:
        return [finding(facts.problem, subject=SOURCE, commit=None)]
    parts = {id(part): part for entry in accepted for part in entry.everything()}
    return [
        finding(problem, subject=part.label, commit=_commit(part))
        for part in parts.values()
        for problem in _missing(facts, part)
    ]


def _missing(facts: LogFacts, entry: Entry) -> Iterator[Problem]:
    view = entry.view
    if isinstance(view, OpenView | CloseView):
        session = view.id
    elif isinstance(view, GenerationView):
        session = view.session
    else:
        return
    began = facts.began
    if began is None or instant(view.started) < instant(began) or not facts.recorded_here(session):
        return
    own = [d for d, signed in entry.signatures.items() if signed.signer.mark in facts.own_keys]
    payload = entry.payload_sha256
    if payload is None or not own:
        return
    from agentprov.formats import tile_log

    if not any(facts.includes(tile_log.entry(payload, signature)) for signature in own):
        yield Problem(
            "log-inclusion-missing",
            f"session {session} was recorded here, and the log of this machine does not have this",
        )


def _commit(entry: Entry) -> str | None:
    return entry.view.commit if isinstance(entry.view, GenerationView) else None
