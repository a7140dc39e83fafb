"""Digests the weights of the model server on this machine, in a thread beside the agent.

Looks when it starts and after each answer (a server may load a model when it is first asked for,
or exchange it), hashes each file once from the descriptor that it opened, and gives up when the
session ends: what is not known by then is said to be unknown.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agentprov.formats.facts import FileDigest, Gap, ModelUse, Weights
from agentprov.formats.model_manifest import root
from agentprov.formats.names import path_label
from agentprov.record import ollama
from agentprov.record.weights import Model, Source, held_model, ollama_model, server_name
from agentprov.system.files import sha256_of_descriptor
from agentprov.system.places import home_of_user
from agentprov.system.process_table import alive, start_time
from agentprov.system.serving import Listener, listener_on
from agentprov.system.signals import unsignalled

NOT_HASHED = "weights-not-hashed"
CHANGED = "weights-changed"
DIFFER = "weights-differ"
MAX_MODELS = 100
_PAUSE_SECONDS = 0.5
_GIVE_UP_SECONDS = 5.0
_NOBODY = "nobody is known to listen there"
_ELSEWHERE = "which process listens there can only be found out on Linux"
_ENDED = "not hashed before the session ended"


@dataclass(frozen=True)
class _Read:
    sha256: str | None
    size: int | None
    why: str | None = None


class Weighing:
    """The weights behind one loopback address; runs from `start` to `finish`.

    `home` is this session's, for Ollama's default place. `started` is the time that gaps carry.
    """

    def __init__(self, host: str, port: int, home: Path, started: str) -> None:
        self._host, self._port, self._home, self._started = host, port, home, started
        self._names: dict[str, None] = {}
        self._asked = threading.Condition()
        self._known: dict[str, None] = {}
        self._pending = True
        self._busy = False
        self._looked = False
        self._ending = False
        self._cancelled = False
        self._read: dict[tuple[int, ...], _Read] = {}
        self._of_server: Weights | None = None
        self._by_name: dict[str, Weights] = {}
        self._gaps: list[Gap] = []
        self._listener: tuple[Listener, str | None] | None = None
        self._thread = threading.Thread(target=self._run, name="agentprov-weights", daemon=True)

    def start(self) -> None:
        """Begin to look; call it where the agent need not wait for it."""
        with unsignalled():
            self._thread.start()

    def heard(self, names: Iterable[str | None]) -> None:
        """Learn that the server answered, under these names of models (asked for, or served)."""
        with self._asked:
            for name in names:
                if name and len(self._names) < MAX_MODELS:
                    self._names.setdefault(name)
            self._pending = True
            self._asked.notify_all()

    @property
    def settled(self) -> bool:
        """Say whether every model that was heard of has been looked for, and nothing is hashed.

        A later look for what changed may still be due.
        """
        return not self._busy and self._looked and self._names.keys() <= self._known.keys()

    def finish(self, seconds: float) -> tuple[Gap, ...]:
        """Wait a moment for what is under way, give the rest up, and tell what was not right."""
        if self._thread.ident is None:
            return ()
        with self._asked:
            self._asked.wait_for(lambda: not self._unfinished, seconds)
            self._cancelled = self._unfinished
            self._ending = True
            self._asked.notify_all()
        self._thread.join(_GIVE_UP_SECONDS)
        return tuple(dict.fromkeys(self._gaps))

    @property
    def _unfinished(self) -> bool:
        return self._pending or self._busy

    def put(self, uses: Sequence[ModelUse]) -> tuple[ModelUse, ...]:
        """Give uses of models with the weights behind those whose answers came from the server."""
        return tuple(
            replace(use, weights=self._weights(use)) if use.host is not None else use
            for use in uses
        )

    def _weights(self, use: ModelUse) -> Weights:
        for name in (use.served, use.requested):
            if name in self._by_name:
                return self._by_name[name]
        return self._of_server or Weights(None, "observed", why=_ENDED)

    # --- the thread

    def _run(self) -> None:
        if sys.platform == "linux":
            # Only this thread, there: reading weights should not slow the agent.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._pending or self._ending)
                if self._ending:
                    return
                self._pending, self._busy = False, True
                names = tuple(self._names)
                self._known = dict(self._names)
            try:
                self._look(names)
            except (OSError, ValueError) as error:
                why = f"could not be looked for: {type(error).__name__}"
                self._of_server = self._of_server or Weights(None, "observed", why=why)
            with self._asked:
                self._busy, self._looked = False, True
                self._asked.notify_all()
                # Answers may come many times a second; the tables need not be read as often.
                self._asked.wait_for(lambda: self._ending, _PAUSE_SECONDS)

    def _look(self, names: Sequence[str]) -> None:
        listener = self._find()
        if listener is None:
            why = _NOBODY if sys.platform == "linux" else _ELSEWHERE
            self._note_server(Weights(None, "observed", why=why))
            return
        owner, owner_home = home_of_user(listener.uid)
        server = server_name(listener, owner)
        if server != ollama.PROGRAM:
            self._note_server(self._weigh(held_model(listener), server))
            return
        self._of_server = Weights(None, "reported", server=server, why="no model was named")
        for name in names:
            found = self._weigh(ollama_model(listener, name, owner_home, self._home), server)
            self._by_name[name] = self._after(self._by_name.get(name), found)

    def _find(self) -> Listener | None:
        """Find who listens; whoever did before and still lives is not looked for again."""
        if self._listener is not None:
            listener, started = self._listener
            if listener.pids and alive(listener.pids[0], started):
                return listener
        found = listener_on(self._host, self._port)
        self._listener = None
        if found is not None:
            self._listener = found, start_time(found.pids[0]) if found.pids else None
        return found

    def _note_server(self, found: Weights) -> None:
        self._of_server = self._after(self._of_server, found)

    def _after(self, before: Weights | None, found: Weights) -> Weights:
        """Judge a later look by an earlier one: other bytes are no answer any more."""
        if before is None or before.sha256 is None:
            return before if before is not None and before.why == _CHANGED_WHY else found
        if found.sha256 is None or found == before:
            return before
        if found.sha256 == before.sha256:
            # A model that has been unloaded since was still seen loaded.
            return before if before.basis == "observed" else found
        detail = f"{before.sha256[:16]} became {found.sha256[:16]}"
        self._gaps.append(Gap(CHANGED, self._started, self._started, detail))
        return Weights(None, "observed", found.name, server=found.server, why=_CHANGED_WHY)

    def _weigh(self, model: Model, server: str | None) -> Weights:
        if model.name is not None:
            model = replace(model, name=path_label(os.fsencode(model.name)))
        if not model.files:
            return Weights(None, model.basis, model.name, server=server, why=model.why)
        basis = model.basis
        files: list[FileDigest] = []
        why = None
        for name, source in model.files:
            read = self._digest(source)
            if read.sha256 is None and source.expected is not None:
                basis, why = "reported", f"by the name that Ollama gives it: {read.why}"
                read = _Read(source.expected, None)
            elif source.expected not in (None, read.sha256):
                why = "a file is not what Ollama's manifest says"
                detail = f"{model.name} is {(read.sha256 or '')[:16]}"
                self._gaps.append(Gap(DIFFER, self._started, self._started, detail))
            place = path_label(os.fsencode(name))
            files.append(FileDigest(place, read.sha256, read.size, read.why))
        known = {file.place: file.sha256 for file in files if file.sha256 is not None}
        if len(known) < len(files):
            why = next(file.why for file in files if file.sha256 is None)
            return Weights(None, basis, model.name, tuple(files), server, why)
        return Weights(root(known), basis, model.name, tuple(files), server, why)

    def _digest(self, source: Source) -> _Read:
        try:
            descriptor = source.open()
        except OSError as error:
            return _Read(None, None, f"could not be opened: {(error.strerror or '').lower()}")
        try:
            before = _stamp(descriptor)
            if before in self._read:
                return self._read[before]
            sha256, size = sha256_of_descriptor(descriptor, lambda: self._cancelled)
            if _stamp(descriptor) != before:
                return _Read(None, size, "changed while it was hashed")
            self._read[before] = _Read(sha256, size)
            return self._read[before]
        except InterruptedError:
            size = os.fstat(descriptor).st_size
            detail = f"a file of {size} bytes"
            self._gaps.append(Gap(NOT_HASHED, self._started, self._started, detail))
            return _Read(None, size, _ENDED)
        except OSError as error:
            return _Read(None, None, f"could not be read: {(error.strerror or '').lower()}")
        finally:
            os.close(descriptor)


_CHANGED_WHY = "the weights changed during the session"


def _stamp(descriptor: int) -> tuple[int, ...]:
    status = os.fstat(descriptor)
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


__all__ = ["CHANGED", "DIFFER", "NOT_HASHED", "Weighing"]
