from __future__ import annotations

import pytest

from agentprov.errors import MalformedInput
from agentprov.store.memory import MemoryStore


def test_it_is_a_set_of_lines_by_anchor() -> None:
    store = MemoryStore()
    store.add({"a": [b"2", b"1"], "b": []})
    store.add({"a": [b"1", b"3"]})
    assert store.get("a") == [b"1", b"2", b"3"]
    assert store.get("b") == []
    assert list(store.everything()) == [("a", [b"1", b"2", b"3"])]


@pytest.mark.parametrize("line", [b"", b" ", b"a\nb", b"a\r"])
def test_what_is_not_one_line_is_refused_and_nothing_is_added(line: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(MalformedInput):
        store.add({"a": [b"1"], "b": [line]})
    assert list(store.everything()) == []
