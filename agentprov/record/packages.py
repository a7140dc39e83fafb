"""Which package a program came in, read from the package's own metadata beside the file.

npm: the nearest ``package.json`` above; PyPI: the ``.dist-info`` that owns the script. Such
metadata is what the installer left there: it names, it does not prove. The digests of the files
stand next to it in the record. Nothing is executed and nobody is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from agentprov.system.files import read_bounded

_METADATA_LIMIT = 1024 * 1024
_LOCK_LIMIT = 64 * 1024 * 1024
_MAX_COMPANIONS = 24
_MAX_ENTRIES = 2000
_PROGRAM_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ", b"#!")
_SCRIPT_SECTIONS = ("[console_scripts]", "[gui_scripts]")
_LIBRARY = re.compile(r"\.(so(\.\d+)*|dylib|dll|node)$")


@dataclass(frozen=True)
class Package:
    """An installed package: its name and version, and the directory that its files are in.

    `purl` is None where the files are not an installed copy (a checkout, say). `record` is the
    list of all files with their digests that a Python installer leaves.
    """

    kind: Literal["npm", "pypi"]
    name: str
    version: str
    root: Path
    purl: str | None
    record: Path | None = None


def purl(kind: Literal["npm", "pypi"], name: str, version: str | None = None) -> str:
    """Write a package URL, for example ``pkg:npm/%40scope/name@1.2``.

    PyPI names are normalised (lower case, ``-`` for runs of ``-_.``), npm names are kept.
    """
    if kind == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    path = "/".join(quote(part, safe="") for part in name.split("/"))
    return f"pkg:{kind}/{path}" + (f"@{quote(version, safe='')}" if version else "")


def npm_package(program: Path) -> Package | None:
    """Find the npm package that a file (its real path) belongs to.

    That is the nearest package.json with a name and a version, if it lies in a node_modules
    directory or names this very file as its program.
    """
    for directory in program.parents:
        if directory.name == "node_modules":
            return None
        found = _package_json(directory)
        if found is None:
            continue
        name, version = found["name"], found["version"]
        if "node_modules" in directory.parts:
            return Package("npm", name, version, directory, purl("npm", name, version))
        if program in _programs(found, directory):
            return Package("npm", name, version, directory, None)
        return None
    return None


def npm_installed(name: str, start: Path) -> Package | None:
    """Find a package by name as node would from the directory `start`; real paths."""
    for directory in (start, *start.parents):
        place = directory / "node_modules" / name
        found = _package_json(place)
        if found is not None:
            root = Path(os.path.realpath(place))
            url = purl("npm", found["name"], found["version"])
            return Package("npm", found["name"], found["version"], root, url)
    return None


def npm_integrity(package: Package) -> str | None:
    """Give the tarball digest that npm noted for a local install (``sha512-...``).

    A global install has no such note.
    """
    parts = package.root.parts
    if "node_modules" not in parts:
        return None
    top = parts.index("node_modules")
    lock = Path(*parts[: top + 1]) / ".package-lock.json"
    entry = _json(lock, _LOCK_LIMIT).get("packages", {})
    entry = entry.get("/".join(parts[top:]), {}) if isinstance(entry, dict) else {}
    value = entry.get("integrity") if isinstance(entry, dict) else None
    return value[:256] if isinstance(value, str) else None


def companions(package: Package) -> tuple[Path, ...]:
    """Give the programs in the platform packages installed for an npm package.

    Platform packages are optional dependencies that name an operating system or a processor;
    agents keep their native binaries there. Libraries and add-ons are left out.
    """
    if package.kind != "npm":
        return ()
    wanted = _json(package.root / "package.json", _METADATA_LIMIT).get("optionalDependencies")
    found: list[Path] = []
    for name in sorted(wanted) if isinstance(wanted, dict) else ():
        other = npm_installed(name, package.root)
        if other is not None:
            about = _json(other.root / "package.json", _METADATA_LIMIT)
            if about.get("os") or about.get("cpu"):
                found += _executables(other.root)
    return tuple(found[:_MAX_COMPANIONS])


def _executables(root: Path) -> Iterator[Path]:
    seen = 0
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != "node_modules")
        for name in sorted(files):
            seen += 1
            if seen > _MAX_ENTRIES:
                return
            path = Path(directory, name)
            if not _LIBRARY.search(name) and os.access(path, os.X_OK) and _is_program(path):
                yield path


def _is_program(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(4).startswith(_PROGRAM_MAGIC)
    except OSError:
        return False


def python_package(script: Path, interpreters: Sequence[Path]) -> Package | None:
    """Find the distribution that a Python console script was installed from.

    `interpreters` are the paths under which the interpreter was called; a virtual environment
    is known by them, so they must not be resolved.
    """
    for site in _sites([script, *interpreters]):
        for info in _dist_infos(site):
            if _owns(info, script.name):
                return _distribution(info)
    return None


def python_module(module: str, interpreter: Path) -> tuple[Path | None, Package | None]:
    """Find what ``python -m module`` runs, and the distribution of the same name."""
    relative = module.replace(".", "/")
    for site in _sites([interpreter]):
        for candidate in (f"{relative}/__main__.py", f"{relative}.py"):
            path = site / candidate
            if path.is_file():
                wanted = _plain(module.split(".")[0])
                for info in _dist_infos(site):
                    if _plain(_name_of(info)) == wanted:
                        return path, _distribution(info)
                return path, None
    return None, None


def _sites(programs: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for program in programs:
        prefix = program.parent.parent
        for pattern in (
            "lib/python*/site-packages",
            "lib/python*/dist-packages",
            "local/lib/python*/dist-packages",
        ):
            found.update((path, None) for path in sorted(prefix.glob(pattern)))
    return list(found)


def _dist_infos(site: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(site)):
            if name.endswith(".dist-info"):
                yield site / name


def _owns(info: Path, script: str) -> bool:
    section = ""
    for line in _text(info / "entry_points.txt").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section in _SCRIPT_SECTIONS and line.partition("=")[0].strip() == script:
            return True
    if _plain(_name_of(info)) != _plain(script):
        return False
    return f"/bin/{script}," in _text(info / "RECORD")


def _distribution(info: Path) -> Package | None:
    fields: dict[str, str] = {}
    for line in _text(info / "METADATA").splitlines():
        if not line:
            break
        key, colon, value = line.partition(":")
        if colon and key not in fields:
            fields[key] = value.strip()[:256]
    name, version = fields.get("Name"), fields.get("Version")
    if not name or not version:
        return None
    record = info / "RECORD"
    return Package(
        "pypi",
        name,
        version,
        info.parent,
        purl("pypi", name, version),
        record if record.is_file() else None,
    )


def _name_of(info: Path) -> str:
    # name-version.dist-info; installers keep "-" out of both.
    return info.name.partition("-")[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package_json(directory: Path) -> dict[str, Any] | None:
    found = _json(directory / "package.json", _METADATA_LIMIT)
    name, version = found.get("name"), found.get("version")
    if isinstance(name, str) and isinstance(version, str) and 0 < len(name) < 256 > len(version):
        return found
    return None


def _programs(about: dict[str, Any], directory: Path) -> set[Path]:
    listed = about.get("bin")
    values = list(listed.values()) if isinstance(listed, dict) else [listed]
    return {Path(os.path.realpath(directory / value)) for value in values if isinstance(value, str)}


def _json(path: Path, limit: int) -> dict[str, Any]:
    try:
        value = json.loads(read_bounded(path, limit))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    try:
        return read_bounded(path, _METADATA_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""
