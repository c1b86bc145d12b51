"""The filter of system calls, run by an interpreter of its own language: seccomp(2), bpf(4)."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.runtime.sandbox.seccomp import ARCHITECTURES, NEWEST, REFUSED, Architecture, program

KILL, ALLOW = "kill", "allow"
MACHINES = sorted(ARCHITECTURES)
NAMESPACES = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
#: name: number on x86_64, on aarch64. What every Python program calls.
USUAL = {
    "read": (0, 63),
    "write": (1, 64),
    "mmap": (9, 222),
    "execve": (59, 221),
    "openat": (257, 56),
    "futex": (202, 98),
    "epoll_ctl": (233, 21),
    "pidfd_open": (434, 434),
    "seccomp": (317, 277),
    "prlimit64": (302, 261),
}


def run(code: bytes, audit: int, number: int, *arguments: int) -> str:
    """What the filter says: "allow", "kill", or the name of an errno."""
    data = struct.pack("=iIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    lines = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    at = word = 0
    while True:
        what, yes, no, value = lines[at]
        at += 1
        if what == 0x20:
            assert value % 4 == 0
            word = struct.unpack_from("=I", data, value)[0]
        elif what == 0x54:
            word &= value
        elif what == 0x06:
            return ALLOW if value == 0x7FFF0000 else KILL if value == 0x80000000 else _name(value)
        else:
            holds = {0x15: word == value, 0x25: word > value, 0x35: word >= value, 0x45: word & value}[what]
            at += yes if holds else no


def _name(value: int) -> str:
    assert value >> 16 == 5, "an action that is not to return an errno"
    return errno.errorcode[value & 0xFFFF]


@pytest.fixture(params=MACHINES)
def arch(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


def said(arch: Architecture, number: int, *arguments: int) -> str:
    return run(program(arch.name), arch.audit, number, *arguments)


def test_what_is_refused_says_eperm(arch: Architecture) -> None:
    numbers = {name: row[arch.column] for name, row in REFUSED.items() if row[arch.column] >= 0}
    assert len(numbers) > 55
    assert {name for name, number in numbers.items() if said(arch, number) != "EPERM"} == set()


def test_the_usual_is_allowed(arch: Architecture) -> None:
    found = {name: said(arch, row[arch.column]) for name, row in USUAL.items()}
    assert found == dict.fromkeys(USUAL, ALLOW)


def test_calls_that_it_does_not_know_do_not_exist(arch: Architecture) -> None:
    assert said(arch, NEWEST + 1) == said(arch, 100_000) == said(arch, arch.clone3) == "ENOSYS"


def test_calls_of_another_architecture_end_the_process(arch: Architecture) -> None:
    others = [one.audit for one in ARCHITECTURES.values() if one is not arch] + [0x40000003, 0x40000028]
    assert {run(program(arch.name), audit, 0) for audit in others} == {KILL}
    assert said(arch, 0x40000000 | 39) == (KILL if arch.x32 else "ENOSYS")


@pytest.mark.parametrize("flag", NAMESPACES)
def test_no_namespace_by_clone(arch: Architecture, flag: int) -> None:
    assert said(arch, arch.clone, 17) == ALLOW
    assert said(arch, arch.clone, flag | 17) == "EPERM"
    assert said(arch, arch.clone, 0x3D0F00) == ALLOW  # What a thread is made with.


def test_sockets(arch: Architecture) -> None:
    stream, datagram, raw, packet, cloexec = 1, 2, 3, 10, 0x80000
    allowed = [(1, stream, 0), (1, stream, 1), (2, stream | cloexec, 6), (10, datagram, 17), (2, stream, 0)]
    assert {said(arch, arch.socket, *one) for one in allowed} == {ALLOW}
    for family in (0, 3, 9, 16, 17, 38, 40, 45):
        assert said(arch, arch.socket, family, datagram, 0) == "EAFNOSUPPORT"
    for kind in (raw, raw | cloexec, packet):
        assert said(arch, arch.socket, 2, kind, 0) == "EPERM"
    for protocol in (132, 136, 262, 33):
        assert said(arch, arch.socket, 2, stream, protocol) == "EPROTONOSUPPORT"
    assert said(arch, arch.socketpair, 1, stream, 0) == ALLOW
    assert said(arch, arch.socketpair, 16, raw, 0) == said(arch, arch.socketpair, 2, 1, 0) == "EAFNOSUPPORT"


def test_terminals_and_personality(arch: Architecture) -> None:
    for request in (0x5412, 0x541C):
        assert said(arch, arch.ioctl, 0, request) == "EPERM"
        # The kernel takes 32 bits of it.
        assert said(arch, arch.ioctl, 0, request | 1 << 40) == "EPERM"
    assert said(arch, arch.ioctl, 0, 0x5413) == ALLOW
    assert said(arch, arch.personality, 0xFFFFFFFF) == ALLOW
    assert said(arch, arch.personality, 0x0040000) == "EPERM"


@given(
    machine=st.sampled_from(MACHINES),
    audit=st.sampled_from([one.audit for one in ARCHITECTURES.values()]) | st.integers(0, 2**32 - 1),
    number=st.integers(0, 500) | st.integers(-(2**31), 2**31 - 1),
    arguments=st.lists(st.integers(0, 2**64 - 1), max_size=6),
)
def test_it_answers_whatever_is_called(machine: str, audit: int, number: int, arguments: list[int]) -> None:
    answer = run(program(machine), audit, number, *arguments)
    if audit != ARCHITECTURES[machine].audit:
        assert answer == KILL
    elif number > NEWEST or number < 0:
        assert answer in (KILL, "ENOSYS")


def test_a_machine_whose_calls_are_not_known() -> None:
    with pytest.raises(KeyError):
        program("riscv64")
