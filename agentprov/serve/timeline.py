"""A browser's view of many sessions, over the index: read-only, on loopback, for one user.

The address holds a secret, so that other users of this machine cannot read along, and requests
under another host's name are refused, so that no page of the network can (DNS rebinding). Nothing
runs in the pages of the list; a commit's page is the report page.
"""

from __future__ import annotations

import hmac
import html
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from agentprov.errors import AgentprovError
from agentprov.flows.browsing import Browsing, Made, Session, when
from agentprov.formats.visible import safe
from agentprov.serve import page

AT_ONCE = 100
_ORIGINS = ("model", "command", "human", "agent", "unknown")
_SECONDS = 30


class Timeline(ThreadingHTTPServer):
    """The server; `url` is what a person opens. Raises OSError where the port cannot be had."""

    daemon_threads = True

    def __init__(
        self, browsing: Browsing, version: str, port: int = 0, log: Callable[[str], None] = print
    ) -> None:
        self.browsing = browsing
        self.version = version
        self.secret = secrets.token_urlsafe(24)
        self.log = log
        self.turn = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Give the address with its secret."""
        return f"http://127.0.0.1:{self.server_port}/{self.secret}/"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Pass over a browser that went away; nothing is printed with what it asked for."""
        self.log("a request was cut off")


class _Handler(BaseHTTPRequestHandler):
    server: Timeline
    timeout = _SECONDS
    server_version = "agentprov"
    sys_version = ""

    def do_GET(self) -> None:
        own = {f"127.0.0.1:{self.server.server_port}", f"localhost:{self.server.server_port}"}
        if self.headers.get("Host") not in own:
            return self._refuse(HTTPStatus.FORBIDDEN, "asked for under another name")
        asked = urlsplit(self.path)
        first, _, rest = asked.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(first.encode(), self.server.secret.encode()):
            return self._refuse(HTTPStatus.NOT_FOUND, "not here; use the address that was printed")
        try:
            with self.server.turn:
                found = self._answer(rest, parse_qs(asked.query))
        except AgentprovError as error:
            return self._refuse(HTTPStatus.NOT_FOUND, error.message)
        if found is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        self._send(HTTPStatus.OK, found)

    def _answer(self, rest: str, wanted: dict[str, list[str]]) -> str | None:
        browsing = self.server.browsing
        if rest == "":
            words = wanted.get("q", [""])[0][:500]
            number = wanted.get("page", ["1"])[0]
            at = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
            return _list(browsing.sessions(), words, max(at, 1), browsing.as_of)
        kind, _, rest = rest.partition("/")
        number, _, name = rest.partition("/")
        if not (number.isascii() and number.isdigit() and len(number) < 5):
            return None
        if kind == "session":
            for session in browsing.sessions():
                if session.repository == int(number) and quote(session.id, safe="") == name:
                    return _one(session, browsing.as_of)
        if kind == "commit" and len(name) in (40, 64) and not set(name) - set("0123456789abcdef"):
            return page.render(browsing.page_of(int(number), name), version=self.server.version)
        return None

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, _page("Not here", f"<p>{_text(why)}</p>"))

    def _send(self, status: HTTPStatus, text: str) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print no request: its address holds the secret."""


def _text(text: object) -> str:
    return html.escape(safe(str(text)))


def _page(title: str, body: str) -> str:
    style = page.style()
    policy = (
        f"default-src 'none'; style-src '{page.digest(style)}'; base-uri 'none'; form-action 'self'"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{style}</style></head>"
        f"<body><h1>{_text(title)}</h1>{body}</body></html>"
    )


def _list(sessions: Sequence[Session], words: str, at: int, as_of: str) -> str:
    found = [one for one in sessions if one.holds(words)] if words else list(sessions)
    shown = found[(at - 1) * AT_ONCE : at * AT_ONCE]
    count = f"{len(found)} of {len(sessions)} sessions, as of {as_of or 'now'}"
    more = "".join(
        f'<a href="?q={quote(words, safe="")}&amp;page={number}">{label}</a> '
        for number, label, there in (
            (at - 1, "newer", at > 1),
            (at + 1, "older", at * AT_ONCE < len(found)),
        )
        if there
    )
    rows = "".join(
        f'<tr><td>{_text(when(one.last))}</td><td><a href="session/{one.repository}/'
        f'{quote(one.id, safe="")}">{_text(one.id[:13])}</a></td><td>{_text(one.agent)}<br>'
        f'<span class="quiet">{_text(", ".join(one.models) or "no model on record")}</span></td>'
        f"<td>{_text(one.plan or 'no plan')}</td><td>{len(one.commits)}</td>"
        f"<td>{_bar(one)}</td><td>{_text(one.uri)}</td></tr>"
        for one in shown
    )
    return _page(
        "Sessions",
        f'<form><input name="q" value="{_text(words)}" aria-label="Words to look for"> '
        f'<button>Look</button></form><p class="quiet">{_text(count)}</p>'
        f"<nav>{more}</nav>"
        + _table(
            (
                "latest commit",
                "session",
                "agent, model",
                "plan",
                "commits",
                "origins",
                "repository",
            ),
            rows,
        ),
    )


def _one(session: Session, as_of: str) -> str:
    rows = "".join(_made(session, made) for made in reversed(session.commits))
    return _page(
        f"Session {session.id}",
        f'<p><a href="../../">all sessions</a></p><p>{_text(session.agent)}, '
        f"{_text(', '.join(session.models) or 'no model on record')}, plan: "
        f"{_text(session.plan or 'none')}, in {_text(session.uri)}</p>{_bar(session)}"
        f'<p class="quiet">As of {_text(as_of)}. A commit\'s page has plan, records and lines.</p>'
        + _table(("committed", "commit", "subject", "author", "files", "record"), rows),
    )


def _made(session: Session, made: Made) -> str:
    state = "holds" if made.certain else "does not hold, or is not trusted here"
    if made.rewrite:
        state += f", through a rewrite ({made.rewrite})"
    paths = ", ".join(made.paths[:5]) + (f" and {len(made.paths) - 5} more" * (len(made.paths) > 5))
    return (
        f'<tr><td>{_text(when(made.committed))}</td><td><a href="../../commit/{session.repository}/'
        f'{made.commit}">{made.commit[:12]}</a></td><td>{_text(made.subject)}</td>'
        f"<td>{_text(made.author)}</td><td>{_text(paths)}</td>"
        f'<td class="{"good" if made.certain else "bad"}">{_text(state)}</td></tr>'
    )


def _bar(session: Session) -> str:
    """Show lines by origin as a drawing: its widths are attributes, which no policy forbids."""
    counts = dict(session.origins)
    whole = sum(counts.values())
    if not whole:
        return '<span class="quiet">no lines</span>'
    parts, at = [], 0.0
    for origin in _ORIGINS:
        width = 160 * counts.get(origin, 0) / whole
        if width:
            parts.append(
                f'<rect class="o-{origin}" x="{at:.1f}" width="{width:.1f}" height="9"></rect>'
            )
        at += width
    said = ", ".join(f"{counts[one]} {one}" for one in _ORIGINS if counts.get(one))
    return (
        f'<svg width="160" height="9" role="img" aria-label="{_text(said)}">{"".join(parts)}</svg>'
        f'<span class="quiet">{_text(said)}</span>'
    )


def _table(heads: Iterable[str], rows: str) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    body = rows or '<tr><td class="quiet">nothing</td></tr>'
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


__all__ = ["AT_ONCE", "Timeline"]
