"""The program that an agent starts in place of an MCP server; it starts the real one.

``python -I -m agentprov.record.mcp.process --name NAME --spool DIR [--spool DIR] [--state DIR]
-- COMMAND ARGUMENT...``. Settings come from the command line alone, because agents cut the
environment of their servers. This very process becomes the server; one in between passes bytes
on and drops what it understood into the first spool that takes it (channel ``mcp``,
docs/spec/mcp.md). Whatever fails here, bytes keep flowing and the server never hears of it.
"""

# Every import in front of the server's own start is time that the agent waits.
from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from agentprov.system.interpose import step_between

if TYPE_CHECKING:
    from typing import Any

    from agentprov.record.mcp.relay import Observer

USAGE = 2


def main(arguments: list[str]) -> None:
    """Run the relay; ends the process, or becomes the server."""
    settings: dict[str, list[str]] = {"--name": [], "--spool": [], "--state": []}
    words = list(arguments)
    while words and words[0] in settings and len(words) > 1:
        settings[words.pop(0)].append(words.pop(0))
    if len(words) < 2 or words[0] != "--" or not settings["--name"]:
        sys.stderr.write("usage: --name NAME --spool DIR [--state DIR] -- COMMAND ARGUMENT...\n")
        sys.stderr.flush()
        os._exit(USAGE)
    between = step_between(words[1:])
    try:
        from agentprov.record.mcp.pump import pump

        watch = Watch(settings["--name"][-1], settings["--spool"], settings["--state"])
        watch.event("server", {"phase": "started"})
        pump(between, watch.from_agent, watch.from_server)
        watch.end()
    finally:
        # No clean-up of Python's is needed, and the caller may already wait for our end.
        os._exit(0)


class Watch:
    """Shows pieces to the observer until that fails once, and drops its events."""

    def __init__(self, name: str, spools: list[str], states: list[str]) -> None:
        import secrets

        self._name = name
        self._spools = spools
        self._states = states
        self._instance = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._observer: Observer | None = None
        self._blind = False
        self._number = 0
        self._known: object = None

    def from_agent(self, data: bytes) -> None:
        """Take what the agent sent."""
        self._show(data, agent=True)

    def from_server(self, data: bytes) -> None:
        """Take what the server sent."""
        self._show(data, agent=False)

    def _show(self, data: bytes, *, agent: bool) -> None:
        if self._blind:
            return
        try:
            if self._observer is None:
                from agentprov.record.mcp.relay import Observer

                self._observer = Observer(self.event, self._earlier())
                self._known = self._observer.definitions
            (self._observer.from_agent if agent else self._observer.from_server)(data)
            self._remember()
        except Exception as error:  # noqa: BLE001 - the agent must not lose its server
            self._blind = True
            # Only our own words may be quoted: others hold what was parsed.
            known = type(error).__name__ == "Blind"
            self.event(
                "gap",
                {"why": "mcp-not-read", "detail": str(error) if known else type(error).__name__},
            )

    def end(self) -> None:
        """Say what stayed open."""
        if self._blind or self._observer is None:
            self.event("server", {"phase": "ended", "answered": False, "blind": self._blind})
            return
        self._observer.end()

    def event(self, event: str, payload: dict[str, Any]) -> None:
        """Drop an event; one that no spool takes is lost."""
        import json
        from datetime import UTC, datetime
        from pathlib import Path

        from agentprov.formats import dropbox
        from agentprov.system.files import atomic_write

        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        whole = {"at": at, "instance": self._instance, "name": self._name, **payload}
        drop = dropbox.encode(dropbox.Drop("mcp", event, json.dumps(whole).encode()))
        # Many events fall into one tick of the file system's clock; the name keeps their order.
        self._number += 1
        name = f"mcp-{self._instance}-{self._number:08}{dropbox.SUFFIX}"
        for spool in self._spools:
            try:
                atomic_write(Path(spool) / name, drop, fsync=False)
            except OSError:
                continue
            return

    def _place(self) -> str | None:
        from hashlib import sha256

        label = sha256(self._name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return os.path.join(self._states[-1], f"{label}.json") if self._states else None

    def _earlier(self) -> dict[str, Any] | None:
        """Read the list that an earlier connection of this session saw last."""
        import json
        from pathlib import Path

        from agentprov.system.files import read_bounded

        place = self._place()
        try:
            value = json.loads(read_bounded(Path(place), 64 * 1024 * 1024)) if place else None
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def _remember(self) -> None:
        place = self._place() if self._observer is not None else None
        if place is None or self._observer is None or self._observer.definitions is self._known:
            return
        import contextlib
        import json
        from pathlib import Path

        from agentprov.system.files import atomic_write

        self._known = self._observer.definitions
        data = json.dumps(self._observer.definitions).encode()
        with contextlib.suppress(OSError):
            atomic_write(Path(place), data, fsync=False, make_parent=True)


if __name__ == "__main__":
    main(sys.argv[1:])
