"""What the recorder tells its relay, once, over a pipe: nothing of it is in argv or on a disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from agentprov.errors import MalformedInput
from agentprov.record.gateway.door import Route


@dataclass(frozen=True)
class Orders:
    """One relay's whole configuration.

    `listener` is the number of the inherited listening descriptor. `routes` maps path tokens to
    routes. `key` is the session's secret for keyed digests, in hex. In proxy mode `password`
    lets the agent in, `known` names the hosts whose tunnels are opened (``host:port`` to
    provider) and `leaf` is the PEM certificate and key to show there.
    """

    listener: int
    port: int
    spool: str
    scratch: str
    key: str = field(repr=False)
    first_number: int
    routes: Mapping[str, Route] = field(repr=False)
    password: str | None = field(default=None, repr=False)
    known: Mapping[str, str] = field(default_factory=dict)
    leaf: str | None = field(default=None, repr=False)


def encode(orders: Orders) -> bytes:
    """Write orders as one line."""
    return json.dumps(asdict(orders)).encode() + b"\n"


def decode(line: bytes) -> Orders:
    """Read orders; raises MalformedInput."""
    try:
        value: dict[str, Any] = json.loads(line)
        value["routes"] = {token: Route(**route) for token, route in value["routes"].items()}
        return Orders(**value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedInput("these are no orders for a relay") from error


__all__ = ["Orders", "decode", "encode"]
