"""One bounded POST over HTTP, for services that a user has named; nothing else goes out here.

Follows no redirect, sends no cookie and no credential, and gives up after a deadline however
slowly the other side speaks.
"""

from __future__ import annotations

import time
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from agentprov.errors import UserError

_CHUNK = 16 * 1024


def post(url: str, body: bytes, *, kind: str, accept: str, limit: int, seconds: float) -> bytes:
    """Send a body to an http or https URL and give the answer's, of at most `limit` bytes.

    `kind` and `accept` are media types. Uses the proxies of the environment, as other programs
    do. Raises UserError: no such URL, unreachable, too slow, any status but 2xx, another media
    type, too large.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{url!r} is no http or https URL")
    if parts.username or parts.password:
        raise UserError(f"{parts.hostname}: no credentials may stand in the URL")
    # Only here: importing it costs 30 ms.
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NoRedirect(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    deadline = time.monotonic() + seconds
    headers = {"Content-Type": kind, "Accept": accept, "User-Agent": "agentprov"}
    request = Request(url, data=body, headers=headers, method="POST")  # noqa: S310  checked above
    try:
        with build_opener(NoRedirect).open(request, timeout=seconds) as answer:
            said = answer.headers.get_content_type()
            if said != accept:
                raise UserError(f"{parts.hostname} answered with {said}, not {accept}")
            return _read(answer, limit, deadline, parts.hostname)
    except HTTPError as error:
        with error:
            raise UserError(f"{parts.hostname} answered with status {error.code}") from error
    except TimeoutError as error:
        raise UserError(f"{parts.hostname} did not answer within {seconds:g} s") from error
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise UserError(f"{parts.hostname} cannot be reached: {why}") from error


def _read(answer: Any, limit: int, deadline: float, host: str) -> bytes:
    found = bytearray()
    while chunk := answer.read1(_CHUNK):
        found += chunk
        if len(found) > limit:
            raise UserError(f"{host} answered with more than {limit} bytes")
        if time.monotonic() > deadline:
            raise UserError(f"{host} took too long to answer")
    return bytes(found)
