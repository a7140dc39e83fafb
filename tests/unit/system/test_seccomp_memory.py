"""What a waiting call points at is read out of the caller's memory, in one call where allowed."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from agentprov.system.attribution.memory import Borrowed, Fault, Memory, Unreadable, lend

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux attributes writes")

PAGE = mmap.PAGESIZE
NOBODY = 2**22 + 1


class Refused(Memory):
    """As in a container whose profile forbids the one call, and counts how often it was tried."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = 0

        def refuse(*_: object) -> int:
            self.tried += 1
            ctypes.set_errno(errno.EPERM)
            return -1

        self._copy = refuse


@pytest.fixture
def pages() -> Iterator[tuple[mmap.mmap, int]]:
    with mmap.mmap(-1, 2 * PAGE) as room:
        view = ctypes.c_char.from_buffer(room)
        yield room, ctypes.addressof(view)
        del view


@pytest.mark.parametrize("kind", [Memory, Refused])
def test_a_path_is_read_up_to_its_end_also_across_a_page(
    kind: type[Memory], pages: tuple[mmap.mmap, int]
) -> None:
    room, at = pages
    path = b"a/" * 40 + "räd".encode()
    room[PAGE - 10 : PAGE - 10 + len(path) + 1] = path + b"\0"
    memory = kind()
    assert memory.text(os.getpid(), at + PAGE - 10) == path
    room[:9] = (77).to_bytes(8, "little") + b"x"
    assert memory.number(os.getpid(), at) == 77
    assert memory.read(os.getpid(), at, 9)[8:] == b"x"


def test_where_the_one_call_is_refused_proc_is_asked(pages: tuple[mmap.mmap, int]) -> None:
    memory = Refused()
    pages[0][:2] = b"x\0"
    assert memory.text(os.getpid(), pages[1]) == b"x"
    assert memory.tried == 1


@pytest.mark.parametrize("kind", [Memory, Refused])
def test_an_address_that_means_nothing_is_the_callers_fault(kind: type[Memory]) -> None:
    for ask in (kind().text, kind().number):
        with pytest.raises(Fault):
            ask(os.getpid(), 16)


@pytest.mark.parametrize("kind", [Memory, Refused])
def test_a_process_that_is_not_there_is_not_a_fault(kind: type[Memory]) -> None:
    with pytest.raises(Unreadable):
        kind().read(NOBODY, 16, 8)


def test_a_text_without_end_is_a_fault(pages: tuple[mmap.mmap, int]) -> None:
    pages[0][:] = b"x" * (2 * PAGE)
    with pytest.raises(Fault):
        Memory().text(os.getpid(), pages[1])


def test_eyes_that_are_lent_see_the_same(pages: tuple[mmap.mmap, int]) -> None:
    pages[0][:5] = b"path\0"
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    eyes = Memory()

    def serve() -> None:
        while lend(mine, eyes):
            pass

    lender = threading.Thread(target=serve, daemon=True)
    lender.start()
    with mine:
        borrowed = Borrowed(theirs)
        assert borrowed.text(os.getpid(), pages[1]) == b"path"
        with pytest.raises(Fault):
            borrowed.text(os.getpid(), 16)
        with pytest.raises(Unreadable):
            borrowed.text(NOBODY, 16)
        theirs.close()
        lender.join(5)
        assert not lender.is_alive()
