"""Wires the real ports: the only place where everything meets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agentprov.formats import bundle
from agentprov.formats.envelope import pae
from agentprov.formats.evidence import Evidence
from agentprov.formats.names import PAYLOAD_TYPE
from agentprov.formats.statement import Statement
from agentprov.formats.value import value
from agentprov.system import places
from agentprov.system.clock import SystemClock, rfc3339
from agentprov.system.git import Git

if TYPE_CHECKING:
    from agentprov.ports import CertifiedSigner, Clock, Signer, Store
    from agentprov.store.notes import NotesStore


@value
class World:
    """One repository, this user's own directory, and the clock."""

    git: Git
    home: Path
    clock: Clock

    @classmethod
    def here(cls, start: Path | None = None) -> World:
        """Build the world of the current directory; raises NotARepository."""
        return cls(Git.discover(start or Path.cwd()), places.home(), SystemClock())

    def now(self) -> str:
        """Give the time as statements write it."""
        return rfc3339(self.clock.now())

    @cached_property
    def notes(self) -> NotesStore:
        """Give the store that publishes records in git notes."""
        from agentprov.store.notes import NotesStore

        return NotesStore(self.git)

    @property
    def store(self) -> Store:
        """Give the place where records are kept."""
        return self.notes

    @cached_property
    def recorder(self) -> Signer:
        """Give the recorder's own signer; made on first need."""
        from agentprov.sign.registry import signer_for

        return signer_for("recorder", self.home)


def seal(
    statement: Statement,
    signer: Signer | CertifiedSigner,
    stamp: Callable[[bytes], tuple[bytes, ...]] = lambda _: (),
) -> bytes:
    """Sign a statement and give the bundle, as the one line that is stored.

    `stamp` gives the timestamps to carry beside a key's signature; who signs by certificate
    brings its own. Raises KeyUnusable.
    """
    # Here, because verifying needs this module and signs nothing.
    from agentprov.ports import CertifiedSigner

    if isinstance(signer, CertifiedSigner):
        return bundle.encode(signer.seal(statement.payload))
    signature = signer.sign(pae(PAYLOAD_TYPE, statement.payload))
    evidence = Evidence(timestamps=stamp(signature))
    return bundle.encode(
        bundle.Bundle(statement.payload, signature, bundle.key_hint(signer.spki), evidence=evidence)
    )
