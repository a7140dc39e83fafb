from __future__ import annotations

import hashlib

import pytest

from agentprov.formats import digest
from agentprov.formats.envelope import pae


def test_pae_is_the_one_of_the_dsse_protocol_document() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes_not_characters() -> None:
    assert pae("caf\u00e9", "\u00e9".encode()) == b"DSSEv1 5 caf\xc3\xa9 2 \xc3\xa9"


def test_two_splits_of_the_same_text_encode_differently() -> None:
    assert pae("a", b"b c") != pae("a b", b"c")


def test_sha256_is_lower_case_hex() -> None:
    assert digest.sha256(b"x") == hashlib.sha256(b"x").hexdigest()


def test_broken_and_unknown_algorithms_alone_bind_nothing() -> None:
    assert digest.is_weak({"sha1": "ab" * 20})
    assert digest.is_weak({"md5": "ab" * 16, "future": "ab" * 32})
    assert not digest.is_weak({"sha1": "ab" * 20, "sha256": "ab" * 32})


def test_git_object_ids_are_not_called_weak() -> None:
    assert not digest.is_weak({"gitCommit": "ab" * 20})
    assert not digest.is_weak({"gitBlob": "ab" * 32})


@pytest.mark.parametrize(
    ("digits", "oid"),
    [
        (40, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (64, "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"),
    ],
)
def test_the_empty_blob_has_the_id_that_git_gives_it(digits: int, oid: str) -> None:
    assert digest.git_blob(b"", digits) == oid
    with pytest.raises(ValueError, match="41 digits"):
        digest.git_blob(b"", 41)
