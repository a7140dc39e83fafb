from __future__ import annotations

import pytest

from agentprov.formats.redaction import SecretNames

VALUE = "Zx9-planted-value-7Qk2"
HOLDS = SecretNames((VALUE,))


@pytest.mark.parametrize(
    "path",
    [
        f"notes-{VALUE}.txt".encode(),
        f"{VALUE.encode().hex()}/a".encode(),
        b"name-ghp_" + b"a1B2c3D4e5" * 4 + b".txt",
        b"AKIAABCDEFGHIJKLMNOP",
        b"\xff/hf_" + b"a" * 30,
    ],
)
def test_a_name_that_holds_a_secret_is_told(path: bytes) -> None:
    assert HOLDS(path)


@pytest.mark.parametrize(
    "path",
    [
        b"src/sk-learn-pipeline-steps.py",
        b"docs/token=value-of-the-thing.md",
        b"password: how to choose one.txt",
        b"secret_santa_assignments.csv",
        b"caf\xe9.txt",
        b"Zx9-planted-value",
    ],
)
def test_words_are_no_secrets(path: bytes) -> None:
    assert not HOLDS(path)
