from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprov.formats.names import label_path, path_label


@given(st.binary(min_size=1, max_size=60))
def test_every_path_has_one_label_and_comes_back(path: bytes) -> None:
    assert label_path(path_label(path)) == path


@given(st.binary(min_size=1, max_size=12), st.binary(min_size=1, max_size=12))
def test_no_two_paths_share_a_label(one: bytes, other: bytes) -> None:
    assert (path_label(one) == path_label(other)) == (one == other)


def test_a_utf8_path_is_its_own_label_and_is_not_normalised() -> None:
    assert path_label("é".encode()) == "é"
    assert path_label("e\u0301".encode()) == "e\u0301"


@pytest.mark.parametrize("label", ["%bytes:abc%zz", "%bytes:plain", "%bytes:%41"])
def test_a_label_that_nobody_makes_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=r"label|base 16"):
        label_path(label)
