"""Companions: processes that serve us, hear no Ctrl-C, and are never waited for long."""

from __future__ import annotations

import os
import socket
import sys
import time

import pytest

from agentprov.errors import CannotStart
from agentprov.system.companion import Companion

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def start(program: str, *inherit: int) -> Companion:
    return Companion([sys.executable, "-I", "-c", program], {"PATH": os.defpath}, inherit)


def hear_all(companion: Companion) -> bytes:
    said = b""
    while (data := companion.hear(5)) is not None:
        said += data
    return said


def test_it_is_told_and_heard_and_ends_with_its_input() -> None:
    companion = start(ECHO)
    companion.tell(b"hello\n")
    assert companion.hear(5) == b"hello\n"
    assert companion.hear(0.01) == b""
    companion.input.close()
    assert companion.hear(5) is None
    assert companion.end(5) == 0


def test_one_that_does_not_end_is_killed() -> None:
    companion = start("import time; time.sleep(60)")
    began = time.monotonic()
    assert companion.end(0.1) == -9
    assert time.monotonic() - began < 5


def test_it_is_in_a_session_of_its_own_and_gets_no_descriptor_but_those_named() -> None:
    ours, theirs = socket.socketpair()
    kept = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        program = (
            "import os\nprint(os.getsid(0) == os.getpid())\n"
            f"os.write({theirs.fileno()}, b'x')\n"
            f"try:\n os.fstat({kept}); print('leaked')\nexcept OSError: print('closed')"
        )
        companion = start(program, theirs.fileno())
        assert hear_all(companion) == b"True\nclosed\n"
        assert ours.recv(1) == b"x"
        assert companion.end(5) == 0
    finally:
        os.close(kept)
        ours.close()
        theirs.close()


def test_telling_one_that_has_died_is_no_error() -> None:
    companion = start("pass")
    assert hear_all(companion) == b""
    companion.tell(b"anybody\n" * 20_000)
    assert companion.end(5) == 0


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(CannotStart):
        Companion(["/nowhere/at/all"], {})
