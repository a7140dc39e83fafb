from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentprov.errors import UserError
from agentprov.flows import keys
from agentprov.sign.registry import key_path, signer_for


def test_a_new_key_is_described_without_its_private_half(tmp_path: Path) -> None:
    made = keys.new(tmp_path, "human")
    assert made.algorithm == "ecdsa-p256-sha256"
    assert len(made.fingerprint) == 64
    assert made.public_key.startswith("-----BEGIN PUBLIC KEY-----")
    assert made.problem is None
    secret = key_path("human", tmp_path).read_text().splitlines()[1]
    assert secret not in repr(made)


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    keys.new(tmp_path, "human")
    before = key_path("human", tmp_path).read_bytes()
    with pytest.raises(UserError, match="already"):
        keys.new(tmp_path, "human")
    assert key_path("human", tmp_path).read_bytes() == before


def test_keys_are_listed_and_found_by_purpose_or_fingerprint(tmp_path: Path) -> None:
    assert keys.list_keys(tmp_path) == []
    human, recorder = keys.new(tmp_path, "human"), keys.new(tmp_path, "recorder")
    assert keys.list_keys(tmp_path) == [human, recorder]
    assert keys.show(tmp_path, "recorder") == recorder
    assert keys.show(tmp_path, "sha256:" + human.fingerprint[:10]) == human
    for name in ("", "abc", "nobody", human.fingerprint[:7]):
        with pytest.raises(UserError, match="no key"):
            keys.show(tmp_path, name)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")
def test_a_key_that_cannot_be_used_is_listed_with_the_way_out(tmp_path: Path) -> None:
    keys.new(tmp_path, "human")
    key_path("human", tmp_path).chmod(0o644)
    (listed,) = keys.list_keys(tmp_path)
    assert "read by others" in (listed.problem or "")
    assert "chmod 600" in (listed.remedy or "")
    assert listed.fingerprint


def test_damaged_halves_are_problems_and_no_crash(tmp_path: Path) -> None:
    signer_for("human", tmp_path)
    key_path("human", tmp_path).with_suffix(".pub").write_text("nonsense")
    (listed,) = keys.list_keys(tmp_path)
    assert listed.problem
    assert listed.fingerprint == ""
