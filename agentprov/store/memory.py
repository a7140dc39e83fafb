"""A store in memory, for tests and for looking at records that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agentprov.store.lines import require_line


class MemoryStore:
    """Implements Store; forgets everything with the process."""

    def __init__(self) -> None:
        self._lines: dict[str, set[bytes]] = {}

    def get(self, anchor: str) -> list[bytes]:
        """Give the bundles under one object id, as the exact lines that were stored."""
        return sorted(self._lines.get(anchor, ()))

    def everything(self) -> Iterator[tuple[str, list[bytes]]]:
        """Give (object id, bundles) for all that is stored."""
        for anchor in sorted(self._lines):
            yield anchor, self.get(anchor)

    def add(self, additions: Mapping[str, Sequence[bytes]]) -> None:
        """Add bundles; all or nothing. Raises MalformedInput for what is not one line."""
        checked = {
            anchor: [require_line(line) for line in lines] for anchor, lines in additions.items()
        }
        for anchor, lines in checked.items():
            if lines:
                self._lines.setdefault(anchor, set()).update(lines)
