"""`agentprov serve timeline` as a process, asked over HTTP, and looked at in a real browser."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.browser import browser
from support.command_line import agentprov
from support.repository import Repository

HOSTILE = "<img src=x onerror=alert(1)>\u202eevil"


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    url: str
    repository: Repository

    def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=60)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())

    @property
    def base(self) -> str:
        return urlsplit(self.url).path


def work(repository: Repository, name: str, message: str) -> None:
    script = f'printf "one\\ntwo\\n" > {name}; git add -A; git commit -qm "$MESSAGE"'
    environment = {"MESSAGE": message}
    answer = agentprov("run", "--", "sh", "-c", script, cwd=repository.top, env=environment)
    assert answer.status == 0, answer.err


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    repository = Repository(tmp_path / "r")
    repository.commit("first")
    agentprov("init", cwd=repository.top)
    work(repository, "a.txt", "Write a")
    work(repository, "b.txt", HOSTILE)
    process = subprocess.Popen(
        [sys.executable, "-m", "agentprov", "serve", "timeline"],
        cwd=repository.top, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip()
    try:
        yield Served(process, url, repository)
    finally:
        process.kill()
        process.wait()


def test_sessions_their_commits_and_reports_are_served(served: Served) -> None:
    status, text, headers = served.get(served.base)
    assert (status, "2 of 2 sessions" in text) == (200, True)
    assert headers["Cache-Control"] == "no-store"
    status, text, _ = served.get(served.base + "?q=write")
    assert "1 of 2 sessions" in text
    links = [part.split('"')[0] for part in text.split('href="')[1:] if part.startswith("session/")]
    status, text, _ = served.get(served.base + links[0])
    assert (status, "Write a" in text, "holds" in text) == (200, True, True)
    head = served.repository.git("rev-parse", "HEAD~1")
    status, text, _ = served.get(f"{served.base}commit/0/{head}")
    assert (status, 'id="data"' in text) == (200, True)
    # What is recorded meanwhile is there at the next look.
    work(served.repository, "c.txt", "Add c")
    assert "3 of 3 sessions" in served.get(served.base)[1]


def test_nothing_but_reading_by_whoever_has_the_address(served: Served) -> None:
    for path in ("/", "/wrong/", "/" + "x" * len(served.base.strip("/")) + "/"):
        assert served.get(path)[0] == 404
    assert served.get(served.base, Host="evil.example")[0] == 403
    assert served.get(served.base, Host=f"evil.example:{urlsplit(served.url).port}")[0] == 403
    for path in ("commit/0/HEAD", "commit/9/" + "0" * 40, "commit/0/" + "0" * 40, "session/0/none",
                 "commit/0/../../../etc/passwd", "?page=99999999", "nothing"):  # fmt: skip
        assert served.get(served.base + path)[0] in (200, 404)
    where = urlsplit(served.url)
    connection = http.client.HTTPConnection("127.0.0.1", where.port, timeout=60)
    connection.request("POST", where.path, body=b"x")
    assert connection.getresponse().status == 501
    assert served.process.poll() is None


def test_it_listens_on_loopback_only(served: Served) -> None:
    port = f"{urlsplit(served.url).port:04X}"
    table = Path("/proc/net/tcp").read_text() if os.path.exists("/proc/net/tcp") else ""
    listening = [row.split()[1] for row in table.splitlines()[1:] if row.split()[3] == "0A"]
    mine = [where for where in listening if where.endswith(":" + port)]
    if table:
        assert mine == [f"0100007F:{port}"]


def test_ctrl_c_ends_it_quietly(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=30) == 130


def test_a_browser_shows_hostile_names_as_text(served: Served) -> None:
    with browser() as window:
        window.open(served.url)
        body = str(window.does("return document.body.innerText"))
        assert "2 of 2 sessions" in body
        sessions = window.does(
            "return [...document.querySelectorAll('a[href^=\"session/\"]')].map(a => a.href)"
        )
        shown = []
        for session in sessions:
            window.open(session)
            shown.append(str(window.does("return document.body.innerText")))
        assert any("<img src=x onerror=alert(1)><U+202E>evil" in body for body in shown)
        assert window.does("return document.querySelectorAll('img, script').length") == 0
        commit = window.does(
            "return [...document.querySelectorAll('a')].find(a => a.href.includes('/commit/')).href"
        )
        window.open(commit)
        window.until("return document.body.dataset.ready")
        assert "good" in str(window.does("return document.querySelector('#checked').textContent"))
