"""Whose hand was on files that were left uncommitted, as a session's state keeps it for later."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agentprov.formats.names import label_path, path_label
from agentprov.record.accounts import Opened
from agentprov.record.session import State
from agentprov.record.versions import instant


def of(
    paths: Sequence[bytes],
    untouched: Collection[bytes] | None,
    opened: Mapping[bytes, tuple[str, str]] | None,
    openings: Mapping[bytes, Sequence[Opened]] | None,
) -> dict[str, Any]:
    """Give the members of a state that keep what is known of some paths.

    Nothing where no process was followed (`untouched` is None).
    """
    if untouched is None:
        return {}
    spans = opened or {}
    return {
        "untouched": tuple(path_label(path) for path in paths if path in untouched),
        "opened": tuple((path_label(path), *spans[path]) for path in paths if path in spans),
        "openings": tuple(
            (path_label(path), one.first.isoformat(), one.last.isoformat(), one.hand)
            for path in paths
            for one in (openings or {}).get(path, ())
        ),
    }


def openings(state: State) -> dict[bytes, list[Opened]]:
    """Give the single openings that a state keeps, by path."""
    found: dict[bytes, list[Opened]] = {}
    for label, first, last, hand in state.openings:
        opened = Opened(instant(first), instant(last), hand)
        found.setdefault(label_path(label), []).append(opened)
    return found
