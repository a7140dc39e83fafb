from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentprov.formats.quoting import quote, unquote
from support.repository import Repository


@given(st.binary(min_size=1, max_size=40))
def test_quoting_can_be_undone(path: bytes) -> None:
    assert unquote(quote(path)) == path


def test_quoting_is_what_git_prints(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    names = [
        b"plain",
        b"with space",
        b'qu"ote',
        b"new\nline",
        b"tab\t",
        b"back\\slash",
        b"\xff\x01",
    ]
    names.append("é".encode())
    for name in names:
        repository.write(name, "x")
    repository.git("add", "-A")
    printed = repository.git("-c", "core.quotePath=true", "ls-files").encode().splitlines()
    assert sorted(printed) == sorted(quote(name) for name in names)
