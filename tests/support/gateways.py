"""Gateways for tests: started with an environment of their own, stopped whatever happens."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentprov.formats import dropbox
from agentprov.formats.exchange import unsealed
from agentprov.ports import Upstream
from agentprov.record.gateway.authority import make_authority
from agentprov.record.gateway.launch import Gateway
from agentprov.record.gateway.server import leaf_context


@contextmanager
def gateway_to(
    place: Path,
    *base_urls: str,
    environment: Mapping[str, str] | None = None,
    proxied: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """Run a gateway to these upstreams; spool and scratch lie in `place`."""
    for name in ("spool", "scratch"):
        (place / name).mkdir(exist_ok=True)
    gateway = Gateway.start(
        [Upstream(url, "model") for url in base_urls],
        place / "spool",
        place / "scratch",
        environment={} if environment is None else environment,
        proxied=proxied,
    )
    try:
        yield gateway
    finally:
        gateway.stop()


def port_and_path(base_url: str) -> tuple[int, str]:
    """Take a gateway's base URL apart."""
    parts = urlsplit(base_url)
    assert parts.port is not None
    return parts.port, parts.path


def drops(place: Path, event: str) -> list[Any]:
    """Give the payloads of the gateway's drops of one kind, as JSON."""
    read = [dropbox.decode(path.read_bytes()) for path in (place / "spool").glob("*.drop")]
    return [json.loads(unsealed(drop.payload)) for drop in read if drop.event == event]


def certified(place: Path, *hosts: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate authority's file, and a server's context for these hosts."""
    made = make_authority(hosts, datetime.now(UTC))
    path = place / f"test-ca-{hosts[0]}.pem"
    path.write_text(made.certificate)
    return path, leaf_context(made.leaf, place)


def resident(pid: int, which: str = "VmHWM") -> int:
    """Give a process's memory in bytes; the peak by default."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(which)


__all__ = ["certified", "drops", "gateway_to", "port_and_path", "resident"]
