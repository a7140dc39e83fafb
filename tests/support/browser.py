"""A real headless Chromium, driven over WebDriver; nothing of it may reach a network."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1300,1700",
)  # fmt: skip
_START_SECONDS = 60


def programs() -> tuple[str, str]:
    """Give chromium and chromedriver; skips the test without them, and on CI gets or misses them.

    CI machines that run as root with Debian's package manager install them once.
    """
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(found) and os.environ.get("CI") == "true":
        _install()
        found = shutil.which("chromium"), shutil.which("chromedriver")
    if found[0] is None or found[1] is None:
        if os.environ.get("CI") == "true":
            raise RuntimeError("on CI the page must be opened: no chromium and chromedriver")
        pytest.skip("no chromium and chromedriver on PATH")
    return found[0], found[1]


def _install() -> None:
    """Install Debian's packages; several test processes take turns."""
    with (Path(tempfile.gettempdir()) / "agentprov-tests-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which("chromium") and shutil.which("chromedriver"):
            return
        install = ["apt-get", "install", "-y", "--no-install-recommends"]
        names = ["chromium", "chromium-driver"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run([*install, *names], env=environment, capture_output=True, check=False)
        if done.returncode:
            subprocess.run(["apt-get", "update"], env=environment, capture_output=True, check=True)
            subprocess.run([*install, *names], env=environment, capture_output=True, check=True)


class Browser:
    """One window. Errors of WebDriver are raised as they come."""

    def __init__(self, address: str, session: str) -> None:
        self._base = f"{address}/session/{session}"

    def open(self, url: str) -> None:
        _ask(f"{self._base}/url", {"url": url})

    def does(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and give what it returns."""
        body = {"script": script, "args": list(arguments)}
        return _ask(f"{self._base}/execute/sync", body)

    def until(self, script: str, seconds: float = 30) -> Any:
        """Wait until a script returns something true, and give that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.does(script)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true in {seconds} s: {script}")

    def picture(self) -> bytes:
        """Give the window as PNG."""
        return base64.b64decode(_ask(f"{self._base}/screenshot", None))


def _ask(url: str, body: Any) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    # Loopback only: a proxy of the user's has no part in this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url}: {error.read().decode(errors='replace')[:2000]}") from error


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser with an empty profile."""
    chromium, driver = programs()
    # Its sockets lie in there, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="ap-", ignore_cleanup_errors=True) as place:
        yield from _started(chromium, driver, Path(place))


def _started(chromium: str, driver: str, home: Path) -> Iterator[Browser]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [driver, f"--port={port}"],
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address)
        options = {"binary": chromium, "args": [*_FLAGS, f"--user-data-dir={home / 'profile'}"]}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = _ask(f"{address}/session", {"capabilities": wanted})["sessionId"]
        yield Browser(address, session)
        request = urllib.request.Request(f"{address}/session/{session}", method="DELETE")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(address: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            if _ask(f"{address}/status", None)["ready"]:
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise RuntimeError("chromedriver did not start")
        time.sleep(0.05)
