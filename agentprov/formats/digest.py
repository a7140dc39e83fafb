"""Digests: how we make them, which names we know, and which of them prove anything.

A digest set maps an algorithm's name to lower-case hex, as in in-toto's DigestSet. Git's own
object ids go under ``gitCommit``, ``gitTree``, ``gitBlob`` and ``gitTag``, in either of git's
two object formats, told apart by length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

LENGTHS: Mapping[str, tuple[int, ...]] = {
    "sha256": (64,),
    "sha384": (96,),
    "sha512": (128,),
    "sha3_256": (64,),
    "sha3_384": (96,),
    "sha3_512": (128,),
    "blake2b": (128,),
    "blake3": (64,),
    "sha224": (56,),
    "sha1": (40,),
    "md5": (32,),
    "gitCommit": (40, 64),
    "gitTree": (40, 64),
    "gitBlob": (40, 64),
    "gitTag": (40, 64),
}
WEAK = frozenset({"md5", "sha1"})

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_UNKNOWN_LENGTHS = range(32, 257)


def sha256(data: bytes) -> str:
    """Give the SHA-256 of `data` as lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def git_blob(content: bytes, digits: int = 40) -> str:
    """Give git's id of a blob, in the object format whose ids have this many hex digits.

    Raises ValueError for a number of digits that no format has.
    """
    whole = b"blob %d\0%b" % (len(content), content)
    if digits == 40:
        return hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    if digits == 64:
        return sha256(whole)
    raise ValueError(f"no object format of git has ids of {digits} digits")


def why_not(algorithm: str, value: object) -> str | None:
    """Say what is wrong with one entry of a digest set, or None where nothing is.

    Algorithms that we do not know are let through when their value is plain lower-case hex of
    a believable length (in-toto's DigestSet is open); they are never counted as strong.
    """
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        return f"{algorithm} is not lower-case hex"
    lengths = LENGTHS.get(algorithm)
    if lengths is None:
        if not _NAME.fullmatch(algorithm):
            return f"{algorithm!r} is no name of an algorithm"
        lengths = tuple(_UNKNOWN_LENGTHS)
    if len(value) not in lengths:
        return f"{algorithm} has {len(value)} digits"
    return None


def is_weak(digests: Mapping[str, str]) -> bool:
    """Say whether nothing in the set binds content: only broken or unknown algorithms.

    Git object ids are not weak here: what they name is looked up in git, which detects the
    known collisions, and files carry a sha256 beside them (THREATS 48).
    """
    return all(name in WEAK or name not in LENGTHS for name in digests)
