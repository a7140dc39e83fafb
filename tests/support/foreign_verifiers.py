"""Verifiers that are not ours, installed once and pinned, outside the tracked tree.

They live in ``.cache/verifiers``. Programs that docs/howto/verify-elsewhere.md shows are taken from
that page, so that what CI runs is what a reader types.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentprov.system.files import locked, private_directory

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "howto" / "verify-elsewhere.md"
NPM_LOCK = TOP / "tests" / "data" / "verifiers"
COSIGN = "3.1.1-2"
COSIGN_DEB = {
    "x86_64": ("amd64", "d8622ebffce1d69197288fc030ff06a4c247af5507107f85c5a878870b686b23"),
    "aarch64": ("arm64", "131d3a895f48a1f1f5df708cb3423e96fee4d2135ff4ee3fc71b884290e79549"),
}
DEBIAN = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ATTEMPTS = 3
# The no-network fixture guards this process, so what is fetched is fetched by another.
_FETCH = (
    "import sys, urllib.request as u;"
    "sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=60).read())"
)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page: where it stands, its language, whether CI runs it, and how."""

    section: str
    language: str
    status: str
    text: str


def blocks() -> list[Block]:
    """Give the fenced blocks of the page in order; status is the bold words above each."""
    found = []
    section, status, language = "", "", ""
    inside: list[str] | None = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if inside is None and line.startswith("```"):
            language, inside = line[3:], []
        elif inside is None:
            if line.startswith("#"):
                section, status = line.lstrip("# "), ""
            marked = re.match(r"\*\*((?:Not r|R)un)\*\*(.*)", line)
            status = "".join(marked.groups()) if marked else status
        elif line == "```":
            found.append(Block(section, language, status, "\n".join(inside) + "\n"))
            inside, status = None, ""
        else:
            inside.append(line)
    return found


def write_programs(folder: Path) -> None:
    """Write the programs that the page shows to files of the names in their first lines."""
    for block in blocks():
        named = re.match(r"(?:#|//) ([\w.]+)\n", block.text)
        if named and block.language != "sh":
            (folder / named[1]).write_text(block.text)


def cosign() -> Path:
    """Give cosign, unpacked from Debian sid's package; needs an x86-64 or ARM Linux.

    The pinned package by its digest, or, when the archive has replaced it, the one that apt finds
    in sid's signed index.
    """
    architecture, digest = COSIGN_DEB.get(platform.machine(), ("", ""))
    if sys.platform != "linux" or not architecture:
        give_up(f"Debian has no cosign for {sys.platform} on {platform.machine()}")
    place = _root() / f"cosign-{COSIGN}" / "cosign"
    with locked(_root() / "cosign.lock", 600):
        if not place.exists():
            _unpack_cosign(place, architecture, digest)
    return place


def _unpack_cosign(place: Path, architecture: str, digest: str) -> None:
    name = f"cosign_{COSIGN}_{architecture}.deb"
    fetched = _attempt(
        [sys.executable, "-c", _FETCH, f"{DEBIAN}/pool/main/c/cosign/{name}"], place.parent
    )
    package = fetched.stdout
    if fetched.returncode != 0:
        package = _from_apt(place.parent, fetched.stderr.decode(errors="replace"))
    elif hashlib.sha256(package).hexdigest() != digest:
        pytest.fail(f"{name} is not the package that was pinned")
    with tarfile.open(fileobj=io.BytesIO(_data_of(package))) as archive:
        program = archive.extractfile("./usr/bin/cosign")
        assert program is not None
        aside = place.with_suffix(".part")
        with aside.open("wb") as file:
            shutil.copyfileobj(program, file)
    aside.chmod(0o755)
    aside.rename(place)


def _from_apt(folder: Path, reason: str) -> bytes:
    """Let apt fetch sid's package by the archive's signatures, in directories of its own."""
    if shutil.which("apt-get") is None or not KEYRING.exists():
        give_up(f"cosign cannot be fetched: {reason.strip()[-300:]}")
    apt = folder / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {DEBIAN} sid main\n")
    settings = {
        "Dir::State": apt / "state", "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache", "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": os.devnull, "Acquire::Languages": "none",
        "APT::Sandbox::User": "root", "Acquire::Retries": str(ATTEMPTS),
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    for command in (["update"], ["download", "cosign"]):
        done = _attempt(["apt-get", "-q", *options, *command], folder)
        if done.returncode != 0:
            give_up(f"cosign cannot be fetched: {done.stderr.decode(errors='replace')[-300:]}")
    (package,) = folder.glob("cosign_*.deb")
    content = package.read_bytes()
    package.unlink()
    shutil.rmtree(apt)
    return content


def _data_of(package: bytes) -> bytes:
    """Give the files' archive out of a Debian package, which is an ar archive."""
    assert package.startswith(b"!<arch>\n")
    place = 8
    while place < len(package):
        name, size = package[place : place + 16].strip(), int(package[place + 48 : place + 58])
        if name.startswith(b"data.tar"):
            return package[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    raise AssertionError("a package without files")


def sigstore_js() -> Path:
    """Give a directory of node modules with sigstore-js, as the lock file pins it."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            give_up(f"sigstore-js needs {tool}, which is not installed")
    lock = (NPM_LOCK / "package-lock.json").read_bytes()
    prefix = _root() / f"sigstore-js-{hashlib.sha256(lock).hexdigest()[:16]}"
    with locked(_root() / "sigstore-js.lock", 600):
        if not (prefix / "installed").exists():
            private_directory(prefix)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NPM_LOCK / name, prefix)
            # A cache of its own: not every user that runs tests has a home that can be written.
            options = [
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--cache",
                str(prefix / "npm"),
            ]
            done = _attempt(["npm", "ci", *options], prefix)
            if done.returncode != 0:
                give_up(f"npm has no sigstore-js: {done.stderr.decode(errors='replace')[-400:]}")
            (prefix / "installed").touch()
    return prefix / "node_modules"


def openssl() -> str:
    """Give OpenSSL 3; others cannot verify Ed25519 from the command line."""
    found = shutil.which("openssl")
    version = subprocess.run([found, "version"], capture_output=True, check=True) if found else None
    if found is None or version is None or not version.stdout.startswith(b"OpenSSL 3"):
        give_up("no OpenSSL 3 here")
    return found


Check = Callable[[Path, Sequence[Path]], "dict[Path, str | None]"]


def answers(
    command: Sequence[str | Path], files: Sequence[Path], cwd: Path
) -> dict[Path, str | None]:
    """Run a program of the page on files; give each one's reason to be refused, or None."""
    done = subprocess.run(
        [*map(str, command), *map(str, files)],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    found = dict(_answer(line) for line in done.stdout.splitlines())
    assert set(found) == set(files), done.stdout + done.stderr
    assert (done.returncode == 0) == (not any(found.values())), done.stderr
    return found


def _answer(line: str) -> tuple[Path, str | None]:
    word, _, rest = line.partition(" ")
    name, _, why = rest.partition(": ")
    assert word in ("verified", "well-formed", "refused")
    return Path(name), why if word == "refused" else None


def give_up(reason: str) -> None:
    """Skip the test; on CI (``CI=true``) fail it instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _attempt(command: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command that needs a network, and again after a pause when it fails."""
    private_directory(cwd)
    # The autouse fixtures give tests an empty home; package clients need the user's settings.
    environment = {**os.environ, "HOME": _real_home()}
    environment.pop("XDG_CONFIG_HOME", None)
    for pause in _pauses():
        done = subprocess.run(
            list(command), cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=300, check=False,
        )  # fmt: skip
        gone = b"HTTP Error 404" in done.stderr
        if done.returncode == 0 or gone:
            break
        time.sleep(pause)
    return done


def _pauses() -> Iterator[float]:
    yield from (5.0 * attempt for attempt in range(1, ATTEMPTS))
    yield 0.0


def _real_home() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_dir


def _root() -> Path:
    return private_directory(TOP / ".cache" / "verifiers")
