"""Shapes and values that several rules read: durations, bases, shares, packages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from agentprov.formats import schema
from agentprov.formats.schema import Mismatch
from agentprov.formats.vocabulary import BASES
from agentprov.verify.rules import matcher
from agentprov.verify.rules.matcher import Pattern

PATTERNS = schema.array(matcher.pattern, least=1, most=1_000)
BASIS = schema.one_of(BASES)
DURATION = schema.text(most=6, pattern=r"[1-9][0-9]{0,4}[mhdw]")
PERCENT = schema.integer(most=100)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DIGEST = r"sha256:[0-9a-f]{64}"


def true(value: Any) -> None:
    """Accept true alone: a requirement that is written down as not made is a mistake."""
    if value is not True:
        raise Mismatch("must be true; leave it out where it is not asked for")


def duration(text: str) -> timedelta:
    """Read a number with m, h, d or w."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def reaches(basis: str, least: str | None) -> bool:
    """Say whether a basis is at least as strong as another; one that is not known never is."""
    if least is None:
        return True
    return basis in BASES and BASES.index(basis) >= BASES.index(least)


def _versions(value: Any) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if type(value) is not str or not re.fullmatch("[ -~]{1,256}", value):
        raise Mismatch("must be a version range, for example '>=2.1,<3'")
    try:
        found = SpecifierSet(value)
    except InvalidSpecifier:
        raise Mismatch(
            f"{value!r} is no version range of PEP 440, for example '>=2.1,<3'"
        ) from None
    if not len(found) or any(item.operator == "===" for item in found):
        raise Mismatch("must name at least one bound, and none with ===")


def _meant(value: Mapping[str, Any]) -> str | None:
    if not value:
        return "allows nothing by anything"
    if "versions" in value and "package" not in value:
        return "a version range needs the package that it is of"
    return None


def _package(value: Any) -> None:
    matcher.pattern(value)
    if not re.match(r"pkg:[a-z][a-z0-9.+-]*/.", value) or re.search("[@#]", value):
        raise Mismatch("must be a package URL without version: pkg:npm/%40scope/name")


PIECES: Mapping[str, schema.Check] = {
    "package": _package,
    "versions": _versions,
    "digests": schema.array(schema.text(pattern=_DIGEST), least=1, most=1_000),
}


def piece(**more: schema.Check) -> schema.Check:
    """Make the check of one entry of an allow-list; `more` are further members."""
    return schema.constrained(schema.members({}, {**PIECES, **more}), _meant)


@dataclass(frozen=True)
class Piece:
    """An allowed program: each member that is there must fit."""

    name: Pattern | None = None
    package: Pattern | None = None
    versions: str | None = None
    digests: frozenset[str] = frozenset()

    def allows(self, name: str, purl: str | None, sha256: str | None) -> bool:
        """Say whether a program is this one; what is not known about it fits nothing."""
        package, version = split(purl)
        if self.name is not None and not matcher.names([self.name], name):
            return False
        if self.package is not None and not matcher.names([self.package], package):
            return False
        if self.versions is not None and not _within(self.versions, version):
            return False
        return not self.digests or sha256 in self.digests


def pieces(values: Sequence[Mapping[str, Any]]) -> tuple[Piece, ...]:
    """Read an allow-list of programs."""
    return tuple(
        Piece(
            name=Pattern(value["name"]) if "name" in value else None,
            package=Pattern(value["package"]) if "package" in value else None,
            versions=value.get("versions"),
            digests=frozenset(item.removeprefix("sha256:") for item in value.get("digests", ())),
        )
        for value in values
    )


def split(purl: str | None) -> tuple[str | None, str | None]:
    """Split a package URL into package and version; one with qualifiers is not taken apart."""
    if purl is None or "?" in purl or "#" in purl:
        return None, None
    package, at, version = purl.rpartition("@")
    return (package, unquote(version)) if at else (purl, None)


def _within(versions: str, version: str | None) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    if version is None or len(version) > 128:
        return False
    wanted = SpecifierSet(versions)
    try:
        return wanted.contains(Version(version), prereleases=bool(wanted.prereleases))
    except InvalidVersion:
        return False
