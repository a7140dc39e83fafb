"""Files that steer the agent, and the MCP servers that it may start: named and digested.

Neither file contents nor environment values nor full command lines are kept: an MCP server's
arguments often hold keys. Whether the agent really read a file, or connected to a server, is
for its own channels to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from agentprov.formats import facts
from agentprov.formats.facts import MaterialRole
from agentprov.formats.names import path_label
from agentprov.ports import ConfiguredMcpServer
from agentprov.record.executable import Digests, Identity, identify
from agentprov.record.packages import npm_installed, purl
from agentprov.system.files import open_regular
from agentprov.system.places import short, user_home
from agentprov.system.process import ExecFailed

NOT_ALL = "a directory that holds more than is digested"
NOT_FOLLOWED = "a symbolic link to a directory elsewhere, not followed"
MAX_MATERIAL_BYTES = 64 * 1024 * 1024
_MAX_ARGUMENT_FILES = 8
_SCRIPT = re.compile(r"\.(py|pyz|js|mjs|cjs|ts|mts|rb|sh|jar)$")
_NPM_NAME = re.compile(r"(@[A-Za-z0-9._~-]+/)?[A-Za-z0-9._~-]+(@[A-Za-z0-9._+~^*-]+)?")
_PYPI_NAME = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?(?:(?:==|@)([A-Za-z0-9.+!_-]+))?"
)
_EXACT = re.compile(r"\d+\.\d+[0-9A-Za-z.+!-]*")
_FETCHED = "fetched or taken from a cache when it starts"
# (program, first arguments) that run a package by name, which kind, and flags that name it.
_RUNNERS: tuple[tuple[str, tuple[str, ...], Literal["npm", "pypi"]], ...] = (
    ("npx", (), "npm"),
    ("bunx", (), "npm"),
    ("npm", ("exec",), "npm"),
    ("npm", ("x",), "npm"),
    ("pnpm", ("dlx",), "npm"),
    ("yarn", ("dlx",), "npm"),
    ("bun", ("x",), "npm"),
    ("uvx", (), "pypi"),
    ("uv", ("tool", "run"), "pypi"),
    ("pipx", ("run",), "pypi"),
)
_NAMING = frozenset({"-p", "--package", "--from", "--spec"})
_VALUED = frozenset({"--with", "--python", "--index-url", "--registry", "--cache", "-c", "--call"})


def digest_materials(
    pairs: Iterable[tuple[str, Path]], top: Path, home: Path
) -> tuple[facts.Material, ...]:
    """Digest (role, path) pairs; sorted by role and label, each file once per role.

    Labels: the path inside the work tree, ``~/...`` in the home directory, else absolute. A
    symbolic link is followed, because the agent follows it: the label is the link's, the digest
    is of the target's bytes, and `why` names a target outside the directory that the label is
    in. A directory stands for what adapters did not look at. What cannot be digested (missing,
    unreadable, FIFO, over 64 MiB) has a `why` instead.
    """
    found: dict[tuple[str, str], facts.Material] = {}
    for role, path in pairs:
        material = _material(role, path, top, home)
        found.setdefault((material.role, material.label), material)
    return tuple(found[key] for key in sorted(found))


def _material(role: str, path: Path, top: Path, home: Path) -> facts.Material:
    label = _label(path, top, home)
    known = cast("MaterialRole", role)
    if role in ("skill", "plugin", "hooks") and path.is_dir():
        left_out = NOT_FOLLOWED if path.is_symlink() else NOT_ALL
        return facts.Material(known, label, None, "observed", why=left_out)
    try:
        descriptor = open_regular(path)
    except OSError as error:
        return facts.Material(known, label, None, "observed", why=_reason(error))
    try:
        size = os.fstat(descriptor).st_size
        if size > MAX_MATERIAL_BYTES:
            large = f"larger than {MAX_MATERIAL_BYTES} bytes"
            return facts.Material(known, label, None, "observed", size=size, why=large)
        digest, size, still = Digests().of(descriptor)
    except OSError as error:
        return facts.Material(known, label, None, "observed", why=_reason(error))
    finally:
        os.close(descriptor)
    why = _elsewhere(path, top, home) if still else "changed while it was hashed"
    return facts.Material(known, label, digest, "observed", size=size, why=why)


def _label(path: Path, top: Path, home: Path) -> str:
    text = os.path.abspath(path)
    root = os.path.abspath(top)
    if text.startswith(root.rstrip("/") + "/"):
        text = text[len(root.rstrip("/")) + 1 :]
    else:
        text = short(text, home)
    return path_label(os.fsencode(text))


def _elsewhere(path: Path, top: Path, home: Path) -> str | None:
    real = Path(os.path.realpath(path))
    for base in (top, home):
        if path.is_relative_to(base):
            if real.is_relative_to(os.path.realpath(base)):
                return None
            return f"a symbolic link to {_label(real, top, home)}"
    return None if real == path else f"a symbolic link to {_label(real, top, home)}"


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__)[:1].lower() + (error.strerror or "")[1:]


def resolve_mcp(
    servers: Sequence[ConfiguredMcpServer],
    cwd: Path,
    env: Mapping[str, str],
    *,
    digests: Digests | None = None,
) -> tuple[facts.McpServer, ...]:
    """Say what each configured MCP server would run, or which host it is on; starts none.

    The digest is of the script or program; its interpreter and other script files among the
    arguments are `parts`. Hashes large files: call it beside the agent. A server that is run by
    package name (npx, uvx and the like) gets the package's purl, with a version only if one is
    pinned or installed here.
    """
    shared = digests or Digests()
    return tuple(_server(server, cwd, env, shared) for server in servers)


def _server(
    server: ConfiguredMcpServer, cwd: Path, env: Mapping[str, str], digests: Digests
) -> facts.McpServer:
    if server.command:
        return _local(server, server.command, cwd, env, digests)
    host, why = _host(server.url) if server.url else (None, "neither a command nor a URL")
    return _fact(server, host=host, why=why)


def _fact(
    server: ConfiguredMcpServer,
    *,
    command: str | None = None,
    package: str | None = None,
    sha256: str | None = None,
    parts: tuple[facts.FileDigest, ...] = (),
    host: str | None = None,
    why: str | None = None,
) -> facts.McpServer:
    return facts.McpServer(
        name=server.name,
        basis="observed",
        command=command,
        purl=package,
        sha256=sha256,
        parts=parts,
        host=host,
        environment_names=tuple(sorted(set(server.environment_names))),
        source=server.source,
        why=why,
    )


def _host(url: str) -> tuple[str | None, str | None]:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname
    except ValueError:
        return None, "its URL cannot be read"
    if not host:
        return None, "its URL names no host"
    return (f"[{host}]" if ":" in host else host) + port, None


def _local(
    server: ConfiguredMcpServer, command: str, cwd: Path, env: Mapping[str, str], digests: Digests
) -> facts.McpServer:
    package, why = run_package(command, server.arguments, cwd)
    try:
        identity = identify(
            command, env, cwd, () if package or why else server.arguments, digests=digests
        )
    except ExecFailed as error:
        return _fact(server, command=os.path.basename(command), package=package, why=str(error))
    found = identity.finish()
    if package or why:
        # What was identified is the tool that fetches; the server itself is the package.
        tool = facts.FileDigest(found.place, found.sha256, None, None)
        parts = (tool, *found.parts)
        return _fact(server, command=found.place, package=package, parts=parts, why=why)
    more = _argument_files(server.arguments, identity, cwd, env, digests)
    return _fact(
        server,
        command=found.place,
        package=found.purl,
        sha256=found.sha256,
        parts=(*found.parts, *more),
        why=None if found.sha256 else found.why,
    )


def _argument_files(
    arguments: Sequence[str],
    identity: Identity,
    cwd: Path,
    env: Mapping[str, str],
    digests: Digests,
) -> tuple[facts.FileDigest, ...]:
    home = user_home(env)
    found: list[facts.FileDigest] = []
    for word in arguments:
        path = Path(os.path.join(cwd, word))
        if word.startswith("-") or not _SCRIPT.search(word) or len(found) >= _MAX_ARGUMENT_FILES:
            continue
        place = short(os.path.realpath(path), home)
        if place == identity.place:
            continue
        try:
            descriptor = open_regular(path)
        except OSError:
            continue
        try:
            digest, size, _ = digests.of(descriptor)
        except OSError as error:
            found.append(facts.FileDigest(place, None, None, _reason(error)))
        else:
            found.append(facts.FileDigest(place, digest, size))
        finally:
            os.close(descriptor)
    return tuple(found)


def run_package(command: str, arguments: Sequence[str], cwd: Path) -> tuple[str | None, str | None]:
    """Give (purl, why) of the package that a runner such as npx or uvx would run.

    (None, None) when the command is no such runner; a purl of None with a reason when the
    package is named by a URL or path, which may hold credentials and is not kept.
    """
    name = re.sub(r"\.(exe|cmd)$", "", os.path.basename(command))
    for program, first, kind in _RUNNERS:
        if program == name and tuple(arguments[: len(first)]) == first:
            spec = _spec(arguments[len(first) :])
            if spec is None:
                return None, "no package is named"
            return _npm(spec, cwd) if kind == "npm" else _pypi(spec)
    return None, None


def _spec(arguments: Sequence[str]) -> str | None:
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in _NAMING:
            return value if equals else next(words, None)
        if word in _VALUED:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _npm(spec: str, cwd: Path) -> tuple[str | None, str | None]:
    if not _NPM_NAME.fullmatch(spec):
        return None, "the package is named by a URL or a path"
    at = spec.find("@", 1)
    name, version = (spec, "") if at < 0 else (spec[:at], spec[at + 1 :])
    if _EXACT.fullmatch(version):
        return purl("npm", name, version), _FETCHED
    installed = npm_installed(name, cwd)
    if installed is not None and not version:
        return installed.purl, None
    return purl("npm", name), f"no exact version is named; {_FETCHED}"


def _pypi(spec: str) -> tuple[str | None, str | None]:
    match = _PYPI_NAME.fullmatch(spec)
    if match is None:
        return None, "the package is named by a URL or a path"
    version = match[3] or ""
    if _EXACT.fullmatch(version):
        return purl("pypi", match[1], version), _FETCHED
    return purl("pypi", match[1]), f"no exact version is named; {_FETCHED}"
