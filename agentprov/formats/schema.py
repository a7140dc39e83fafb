"""Small combinators that say what JSON must look like; errors carry the exact JSON pointer.

A check is a plain function that returns for a good value and raises `Mismatch` for a bad one.
`require` turns that into MalformedInput. There is no coercion, there are no defaults and no
copies: the value that was parsed is the value that is used. Why not a library:
docs/adr/0002-own-schema-combinators.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Literal

from agentprov.errors import MalformedInput
from agentprov.formats import digest as digests
from agentprov.formats import names
from agentprov.formats.canonical import MAX_INTEGER

Check = Callable[[Any], None]

_TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z"
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?")
_MODE = re.compile(r"100644|100664|100755|120000|160000")
MAX_TEXT = 65_536


class Mismatch(Exception):
    """A value that is not as it must be; collects the way to it while it travels up."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.steps: list[str | int] = []

    def pointer(self) -> str:
        """Give the place of the value as a JSON pointer (RFC 6901)."""
        return "".join(
            "/" + str(step).replace("~", "~0").replace("/", "~1") for step in reversed(self.steps)
        )


def require(check: Check, value: Any, what: str) -> None:
    """Apply a check; raises MalformedInput that names `what` and the JSON pointer."""
    try:
        check(value)
    except Mismatch as mismatch:
        pointer = mismatch.pointer()
        place = f" at {pointer}" if pointer else ""
        raise MalformedInput(f"{what}{place}: {mismatch.message}") from None


def members(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    *,
    unknown: Literal["refuse", "ignore"] = "refuse",
) -> Check:
    """Make a check for an object with these keys; `unknown` says what other keys do."""
    known = {**required, **(optional or {})}
    needed = frozenset(required)

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Mismatch("must be an object")
        if not needed <= value.keys():
            raise Mismatch(f"lacks {', '.join(sorted(needed - value.keys()))}")
        for key, item in value.items():
            inner = known.get(key)
            try:
                if inner is not None:
                    inner(item)
                elif unknown == "refuse":
                    raise Mismatch("is not a member that belongs here")
            except Mismatch as mismatch:
                mismatch.steps.append(key)
                raise

    return check


def array(item: Check, *, least: int = 0, most: int = 100_000) -> Check:
    """Make a check for an array of `least` to `most` items."""

    def check(value: Any) -> None:
        if type(value) is not list:
            raise Mismatch("must be an array")
        if not least <= len(value) <= most:
            raise Mismatch(f"has {len(value)} items, {least} to {most} are allowed")
        at = 0
        try:
            for element in value:
                item(element)
                at += 1
        except Mismatch as mismatch:
            mismatch.steps.append(at)
            raise

    return check


def mapping(item: Check, *, least: int = 0, most: int = 1_000) -> Check:
    """Make a check for an object used as a map from free text to one kind of value."""

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Mismatch("must be an object")
        if not least <= len(value) <= most:
            raise Mismatch(f"has {len(value)} members, {least} to {most} are allowed")
        for key, element in value.items():
            try:
                item(element)
            except Mismatch as mismatch:
                mismatch.steps.append(key)
                raise

    return check


def text(*, least: int = 1, most: int = MAX_TEXT, pattern: str | None = None) -> Check:
    """Make a check for text of `least` to `most` characters, all of it matching `pattern`."""
    compiled = re.compile(pattern) if pattern is not None else None

    def check(value: Any) -> None:
        if type(value) is not str:
            raise Mismatch("must be text")
        if not least <= len(value) <= most:
            raise Mismatch(f"has {len(value)} characters, {least} to {most} are allowed")
        if compiled is not None and not compiled.fullmatch(value):
            raise Mismatch(f"must match {compiled.pattern}")

    return check


def one_of(allowed: Collection[str]) -> Check:
    """Make a check for one of a closed set of words."""
    words = frozenset(allowed)

    def check(value: Any) -> None:
        if type(value) is not str or value not in words:
            raise Mismatch(f"must be one of {', '.join(sorted(words))}")

    return check


def integer(*, least: int = 0, most: int = MAX_INTEGER) -> Check:
    """Make a check for a whole number; true and false are not numbers, nor is 1.0."""

    def check(value: Any) -> None:
        if type(value) is not int:
            raise Mismatch("must be a whole number")
        if not least <= value <= most:
            raise Mismatch(f"is {value}, {least} to {most} are allowed")

    return check


def constrained(shape: Check, rule: Callable[[Any], str | None]) -> Check:
    """Make a check that adds a rule to a shape; the rule returns what is wrong, or None."""

    def check(value: Any) -> None:
        shape(value)
        complaint = rule(value)
        if complaint is not None:
            raise Mismatch(complaint)

    return check


def anything(value: Any) -> None:
    """Accept whatever JSON value stands here."""


def boolean(value: Any) -> None:
    """Accept true and false."""
    if type(value) is not bool:
        raise Mismatch("must be true or false")


def time(value: Any) -> None:
    """Accept an RFC 3339 time in UTC, written with Z, that exists in the calendar."""
    if type(value) is not str or not _TIME.fullmatch(value):
        raise Mismatch("must be an RFC 3339 time ending in Z")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise Mismatch("is not a time that exists") from None


def instant(value: str) -> datetime:
    """Give the aware datetime of a text that `time` accepts; nanoseconds are cut off."""
    return datetime.fromisoformat(value)


def uri(value: Any) -> None:
    """Accept an absolute URI in ASCII, at most 2,048 characters."""
    if type(value) is not str or len(value) > 2048 or not _URI.fullmatch(value):
        raise Mismatch("must be an absolute URI")


def decimal(value: Any) -> None:
    """Accept a decimal number written as text, so that no parser can round it."""
    if type(value) is not str or not _DECIMAL.fullmatch(value):
        raise Mismatch("must be a decimal number as text")


def digest_set(value: Any) -> None:
    """Accept an in-toto DigestSet: at least one algorithm, lower-case hex of the right length."""
    if type(value) is not dict or not value:
        raise Mismatch("must be an object with at least one digest")
    if len(value) > 32:
        raise Mismatch("has more than 32 digests")
    for algorithm, hexadecimal in value.items():
        complaint = digests.why_not(algorithm, hexadecimal)
        if complaint is not None:
            raise Mismatch(complaint)


def sha256_set(value: Any) -> None:
    """Accept a digest set that holds a sha256 and nothing else."""
    digest_set(value)
    if set(value) != {"sha256"}:
        raise Mismatch("must be a sha256 digest alone")


def object_id(value: Any) -> None:
    """Accept a git object id: 40 or 64 lower-case hex digits."""
    if digests.why_not("gitCommit", value) is not None:
        raise Mismatch("must be a git object id")


def git_mode(value: Any) -> None:
    """Accept a mode of a file, executable, symbolic link or submodule, as git writes it."""
    if type(value) is not str or not _MODE.fullmatch(value):
        raise Mismatch("must be a git mode: 100644, 100755, 120000 or 160000")


def path(value: Any) -> None:
    """Accept the label of a path that git can hold (formats.names), and no other.

    Labels are compared, never opened; this refuses those that would be dangerous if someone
    did: absolute, empty, ``.`` and ``..`` steps, NUL, and anything under ``.git``.
    """
    if type(value) is not str or not value or len(value) > 12_288:
        raise Mismatch("must be a path label")
    try:
        raw = names.label_path(value)
    except ValueError:
        raise Mismatch("is not a canonical path label") from None
    if b"\0" in raw:
        raise Mismatch("holds a NUL byte")
    for step in raw.split(b"/"):
        if step in (b"", b".", b"..") or step.lower() == b".git":
            raise Mismatch("is not a path that git can hold")
