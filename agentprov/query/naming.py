"""What a word means when somebody asks for a model, an agent or a digest (docs/howto/ask.md).

Pure. Names come from records and are compared without regard to case; versions are PEP 440.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from agentprov.errors import UsageError

Glob = Callable[[str], Callable[[str], bool]]
"""Makes a matcher of a pattern with ``*`` and ``?``; raises UsageError for what is none."""

_RANGE = re.compile(r"\s*([^<>=!~]+?)\s*((?:[<>!=~]=|[<>]).*)", re.DOTALL)
_NUMBER = re.compile(r"v?([0-9]{1,3}(?:\.[0-9]{1,3})*)")
_SNAPSHOT = re.compile(r"[0-9]{4,}|latest")
_REGION = re.compile(r"(?:us|eu|apac|global|jp|au)\.(?=[a-z0-9-]+\.)")
_VENDOR = re.compile(r"([a-z][a-z0-9-]*)\.(?=[a-z])")
_TAIL = re.compile(r"-v[0-9]+(?::[0-9]+)?$")
_HEX = re.compile(r"[0-9a-f]{8,64}")


class ModelName(NamedTuple):
    """A model's name taken apart: ``claude-sonnet-4-5-20250929`` is claude-sonnet, 4.5, 20250929.

    The words of the family stand in their order, wherever the numbers stood between them.
    """

    vendors: frozenset[str]
    family: str
    version: tuple[int, ...]
    snapshot: str


def model_name(provider: str, served: str) -> ModelName:
    """Take a served id apart; also as clouds and brokers write it, region and vendor in front."""
    text = served.casefold()
    vendors = {provider.casefold()} - {""}
    while "/" in text:
        vendor, _, text = text.partition("/")
        vendors.add(vendor)
    text = _REGION.sub("", text, count=1)
    found = _VENDOR.match(text)
    if found:
        vendors.add(found[1])
        text = text[found.end() :]
        text = _TAIL.sub("", text)
    words: list[str] = []
    numbers: list[int] = []
    snapshots: list[str] = []
    for word in re.split(r"[-@:_]", text):
        number = _NUMBER.fullmatch(word)
        # Behind a date come pieces of the date; the version stands before it.
        if snapshots and word.isdigit():
            snapshots.append(word)
        elif number:
            numbers += [int(part) for part in number[1].split(".")]
        elif _SNAPSHOT.fullmatch(word):
            snapshots.append(word)
        elif word:
            words.append(word)
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return ModelName(frozenset(vendors), "-".join(words), tuple(numbers), "".join(snapshots))


def model_test(text: str, glob: Glob) -> Callable[[str, str], bool]:
    """Give what says whether (provider, served id) is what a text asks for.

    ``PROVIDER/ID`` or ``ID``. An id without version means its family, one without date every date
    of it; ``*`` and ``?`` match as in policies; ``FAMILY>=4,<5`` means a range of versions.
    """
    found = _RANGE.fullmatch(text)
    if found:
        wanted = _split(found[1])
        within = _within(found[2], text)

        def in_range(provider: str, served: str) -> bool:
            name = model_name(provider, served)
            same = _vendor(wanted, name) and name.family == wanted.family
            return same and bool(name.version) and within(".".join(map(str, name.version)))

        return in_range
    if "*" in text or "?" in text:
        matches = glob(text.casefold())
        whole = "/" in text

        def globbed(provider: str, served: str) -> bool:
            name = f"{provider}/{served}" if whole else served
            return matches(name.casefold())

        return globbed
    wanted = _split(text)

    def named(provider: str, served: str) -> bool:
        if text.casefold() in (served.casefold(), f"{provider}/{served}".casefold()):
            return True
        name = model_name(provider, served)
        return (
            _vendor(wanted, name)
            and bool(wanted.family)
            and name.family == wanted.family
            and (not wanted.version or name.version == wanted.version)
            and (not wanted.snapshot or name.snapshot == wanted.snapshot)
        )

    return named


def _split(text: str) -> ModelName:
    provider, _, served = text.rpartition("/")
    return model_name(provider, served)


def _vendor(wanted: ModelName, name: ModelName) -> bool:
    return wanted.vendors <= name.vendors


def agent_test(text: str, glob: Glob) -> Callable[[str, str, str], bool]:
    """Give what says whether an agent's (name, package URL, version) is what a text asks for.

    ``NAME``, ``NAME@VERSION``, ``NAME>=2,<3``, and the same with a package URL; ``*`` and ``?``.
    """
    found = _RANGE.fullmatch(text)
    within = _within(found[2], text) if found else None
    wanted = unquote((found[1] if found else text).casefold())
    at = wanted.rfind("@")
    # The @ of a scope stands at the beginning of a name, or behind a slash.
    version = wanted[at + 1 :] if at > 0 and wanted[at - 1] != "/" and within is None else None
    if version is not None:
        wanted = wanted[:at]
    matches = glob(wanted) if "*" in wanted or "?" in wanted else wanted.__eq__

    def fits(name: str, purl: str, told: str) -> bool:
        package, _, packed = purl.partition("@") if purl else ("", "", "")
        real = told or unquote(packed)
        names = {name, unquote(package), unquote(package).partition("/")[2]}
        names |= {one.rpartition("/")[2] for one in names}
        if not any(one and matches(one.casefold()) for one in names):
            return False
        if within is not None:
            return within(real)
        return version is None or real.casefold() == version

    return fits


def _within(versions: str, text: str) -> Callable[[str], bool]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        wanted = SpecifierSet(versions)
    except InvalidSpecifier:
        raise UsageError(
            f"{text!r} holds no version range", hint="for example: claude-sonnet>=4,<5"
        ) from None

    def within(version: str) -> bool:
        if not version or len(version) > 128:
            return False
        try:
            return wanted.contains(Version(version), prereleases=True)
        except InvalidVersion:
            return False

    return within


def digest_start(text: str) -> str | None:
    """Give the hexadecimal digits that a digest must begin with; None for what is no digest."""
    plain = text.removeprefix("sha256:").casefold()
    return plain if _HEX.fullmatch(plain) else None


def require_digest(text: str) -> str:
    """Give the same; raises UsageError for what is no digest."""
    found = digest_start(text)
    if found is None:
        raise UsageError(f"{text!r} is no digest", hint="sha256: and 8 to 64 hexadecimal digits")
    return found


__all__ = [
    "Glob",
    "ModelName",
    "agent_test",
    "digest_start",
    "model_name",
    "model_test",
    "require_digest",
]
