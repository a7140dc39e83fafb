"""The filter as a program: interpreted here, so that every machine's can be tested on any."""

from __future__ import annotations

import platform
import struct

import pytest

from agentprov.system.attribution import calls, seccomp
from agentprov.system.attribution.calls import MACHINES, NUMBERS

READ, WRITE, CREATE = 0, 1, 0o100


def answer(machine: str, arch: int, number: int, *arguments: int) -> int:
    """Interpret the filter for one call, as the kernel's classic BPF machine would."""
    data = struct.pack("=iIQ6Q", number, arch, 0, *(arguments + (0,) * 6)[:6])
    program = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    value, at = 0, 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, k)
        elif code == 0x54:
            value &= k
        elif code == 0x05:
            at += k
        elif code == 0x15:
            at += yes if value == k else no
        elif code == 0x45:
            at += yes if value & k else no
        elif code == 0x06:
            return int(k)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


@pytest.fixture(params=list(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_reading_is_never_held_up_and_writing_always(machine: str) -> None:
    for arch in MACHINES[machine]:
        openat = NUMBERS[arch]["openat"]
        assert answer(machine, arch, openat, 3, 4, READ) == seccomp.RET_ALLOW
        for flags in (WRITE, 2, CREATE, 0o1000, CREATE | 0o2000000):
            assert answer(machine, arch, openat, 3, 4, flags) == seccomp.RET_NOTIFY
        if "open" in NUMBERS[arch]:
            number = NUMBERS[arch]["open"]
            assert answer(machine, arch, number, 4, READ, WRITE) == seccomp.RET_ALLOW
            assert answer(machine, arch, number, 4, WRITE) == seccomp.RET_NOTIFY


def test_every_call_that_changes_names_is_held_up(machine: str) -> None:
    for arch in MACHINES[machine]:
        for name, number in NUMBERS[arch].items():
            if name not in ("open", "openat", "open_by_handle_at", "seccomp", "io_uring_setup"):
                assert answer(machine, arch, number) == seccomp.RET_NOTIFY, name


def test_io_uring_does_not_exist_for_the_agent(machine: str) -> None:
    for arch in MACHINES[machine]:
        number = NUMBERS[arch]["io_uring_setup"]
        assert answer(machine, arch, number, 8, 9) == seccomp.RET_ENOSYS


def test_only_a_filter_with_a_listener_is_told_of(machine: str) -> None:
    arch = MACHINES[machine][0]
    number = NUMBERS[arch]["seccomp"]
    assert answer(machine, arch, number, 1, 1 << 2) == seccomp.RET_ALLOW
    assert answer(machine, arch, number, 1, 1 << 3) == seccomp.RET_NOTIFY


def test_all_other_calls_pass(machine: str) -> None:
    for arch in MACHINES[machine]:
        known = set(NUMBERS[arch].values())
        for number in set(range(500)) - known:
            assert answer(machine, arch, number, 1, 1, 1, 1) == seccomp.RET_ALLOW


def test_the_numbers_of_one_architecture_do_not_count_for_the_other() -> None:
    x86, i386 = MACHINES["x86_64"]
    assert answer("x86_64", i386, NUMBERS[x86]["rename"]) == seccomp.RET_ALLOW
    assert answer("x86_64", i386, NUMBERS[i386]["rename"]) == seccomp.RET_NOTIFY


def test_the_x32_interface_is_no_way_around() -> None:
    number = NUMBERS[calls.AUDIT_ARCH_X86_64]["openat"] | calls.X32_BIT
    assert answer("x86_64", calls.AUDIT_ARCH_X86_64, number, 3, 4, WRITE) == seccomp.RET_NOTIFY


def test_an_architecture_that_we_do_not_know_passes(machine: str) -> None:
    assert answer(machine, 0x12345678, 257, 3, 4, WRITE) == seccomp.RET_ALLOW


def test_there_is_no_filter_for_other_machines() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64")


@pytest.mark.parametrize(
    ("system", "machine", "release", "words"),
    [
        ("darwin", "arm64", "23.0", "only Linux"),
        ("linux", "riscv64", "6.1.0", "riscv64"),
        ("linux", "x86_64", "5.8.0-63-generic", "older than 5.9"),
        ("linux", "x86_64", "4.18.0", "older than 5.9"),
    ],
)
def test_a_system_without_support_says_why(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, release: str, words: str
) -> None:
    monkeypatch.setattr(seccomp.sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "release", lambda: release)
    assert words in (seccomp.unsupported() or "")
