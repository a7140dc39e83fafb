"""Makes a session's statements again from its journal, and holds them against the signed ones.

The journal keeps what was decided, as facts; `attest` is pure. So whoever has a session's
directory can check that nothing was stated that was not journaled, byte for byte
(docs/spec/journal.md). Says nothing of whether the facts were true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentprov.errors import MalformedInput, UserError
from agentprov.flows.journaled import decided
from agentprov.formats import bundle, journal
from agentprov.record.session import SessionDirectory

_KINDS = {
    (True, False): "session-open",
    (False, True): "generation",
    (False, False): "session-close",
}


@dataclass(frozen=True)
class Replayed:
    """One statement that the journal gives, and whether a signed record has the same payload."""

    kind: str
    payload_sha256: str
    signed: bool


@dataclass(frozen=True)
class Replay:
    """All statements of a session's journal in order, and why its reading ended early, if so."""

    session: str
    statements: tuple[Replayed, ...]
    unaccounted: tuple[str, ...]
    defect: str | None

    @property
    def same(self) -> bool:
        """Say whether journal and signed records say the same, no more and no less."""
        return (
            self.defect is None
            and not self.unaccounted
            and all(item.signed for item in self.statements)
        )


def replay(directory: SessionDirectory) -> Replay:
    """Replay one session; raises UserError when it has no journal."""
    try:
        reading = journal.read(directory.journal.read_bytes())
    except OSError as error:
        raise UserError(f"session {directory.id} has no journal here") from error
    signed = dict(_signed(directory))
    made: list[Replayed] = []
    defect = reading.defect
    try:
        for decision in decided(reading):
            kind = _KINDS[decision.session is not None, decision.commit is not None]
            for statement in decision.statements:
                made.append(Replayed(kind, statement.sha256, statement.sha256 in signed))
    except (MalformedInput, KeyError, TypeError) as error:
        defect = f"its facts do not make statements: {error}"
    again = {item.payload_sha256 for item in made}
    left = tuple(
        sha256 for sha256, kind in signed.items() if kind != "plan" and sha256 not in again
    )
    return Replay(directory.id, tuple(made), left, defect)


def _signed(directory: SessionDirectory) -> Iterator[tuple[str, str]]:
    from agentprov.formats.statement import parse

    for line in directory.bundles():
        try:
            found = bundle.parse(line)
            yield found.payload_sha256, parse(found.payload).kind or ""
        except MalformedInput:
            continue
