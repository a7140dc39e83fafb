from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentprov.errors import KeyUnusable, UsageError
from agentprov.sign import file_key
from agentprov.sign.registry import key_path, local_public, resolve, signer_for


def test_a_key_is_made_on_first_need_and_kept(tmp_path: Path) -> None:
    first = signer_for("human", tmp_path)
    assert signer_for("human", tmp_path).spki == first.spki
    assert first.custody == "file"


def test_the_two_purposes_have_two_keys(tmp_path: Path) -> None:
    assert signer_for("human", tmp_path).spki != signer_for("recorder", tmp_path).spki


def test_without_leave_to_create_a_missing_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable):
        signer_for("human", tmp_path, create=False)
    assert not (tmp_path / "keys").exists()


def test_one_key_for_both_purposes_is_refused(tmp_path: Path) -> None:
    signer_for("human", tmp_path)
    shutil.copy2(key_path("human", tmp_path), key_path("recorder", tmp_path))
    with pytest.raises(KeyUnusable, match="also the human key"):
        signer_for("recorder", tmp_path)


def test_the_public_key_is_known_without_opening_the_private_one(tmp_path: Path) -> None:
    spki = signer_for("human", tmp_path).spki
    key_path("human", tmp_path).write_text("not read")
    assert local_public("human", tmp_path) == spki
    assert local_public("recorder", tmp_path) is None


def test_a_replaced_key_replaces_its_public_half_when_it_is_used(tmp_path: Path) -> None:
    signer_for("human", tmp_path)
    key_path("human", tmp_path).unlink()
    assert file_key.create(key_path("human", tmp_path))
    spki = signer_for("human", tmp_path).spki
    assert local_public("human", tmp_path) == spki


def test_a_key_uri_leads_back_to_the_same_key(tmp_path: Path) -> None:
    home = tmp_path / "odd name %20 \u00e4"
    signer = signer_for("human", home)
    assert resolve(signer.uri).spki == signer.spki
    assert resolve(signer.uri.replace("file:", "file://")).spki == signer.spki


@pytest.mark.parametrize("uri", ["", "human", "ssh:x", "file:relative.pem", "/plain/path"])
def test_other_key_uris_are_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError):
        resolve(uri)
