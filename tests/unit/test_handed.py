"""What a worker may hand over, and everything else."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from a2a_cloud.runtime.handed import WrongHandover, close_aside, listener_from, refuse_descriptors

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


def settled(count: int) -> bool:
    """So many descriptors are open, at the latest in a moment."""
    end = time.monotonic() + 2
    while opened() != count:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_one_listener_is_taken(pair: Pair) -> None:
    ours, theirs = pair
    with pytest.raises(BlockingIOError):
        listener_from(ours)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.create_server((address, 0), family=family) as listener:
            socket.send_fds(theirs, [b"l"], [listener.fileno()])
            taken = listener_from(ours)
            assert taken is not None
            with taken:
                assert taken.getsockname() == listener.getsockname()
                assert not taken.get_inheritable()
    theirs.close()
    assert listener_from(ours) is None


def test_anything_else_is_refused_and_closed(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = pair
    listener = socket.create_server(("127.0.0.1", 0))
    wide = socket.create_server(("0.0.0.0", 0))  # noqa: S104
    plain = socket.socket()
    udp = socket.socket(type=socket.SOCK_DGRAM)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "s"))
    unix.listen()
    file = os.open(tmp_path, os.O_RDONLY)
    made = [listener, wide, plain, udp, unix]
    cases: list[tuple[str, list[int]]] = [
        ("no descriptors", []),
        ("2 descriptors", [listener.fileno()] * 2),
        ("253 descriptors", [listener.fileno()] * 253),
        ("something that is no socket", [file]),
        ("a socket that is not TCP", [udp.fileno()]),
        ("a socket that is not TCP", [unix.fileno()]),
        ("a socket that does not listen", [plain.fileno()]),
        ("a socket that listens on another address than loopback", [wide.fileno()]),
    ]
    before = opened()
    for said, numbers in cases:
        if numbers:
            socket.send_fds(theirs, [b"l"], numbers)
        else:
            theirs.send(b"l")
        with pytest.raises(WrongHandover) as caught:
            listener_from(ours)
        assert str(caught.value) == said
        assert settled(before), said
    os.close(file)
    for each in made:
        each.close()


def lingering() -> tuple[socket.socket, socket.socket]:
    """A socket whose last close takes 2 s, and its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
    here.setblocking(False)
    try:
        while True:
            here.send(bytes(1 << 16))
    except BlockingIOError:
        return here, there


def test_a_descriptor_that_takes_long_to_close_holds_nobody_up(pair: Pair) -> None:
    ours, theirs = pair
    here, there = lingering()
    with there:
        socket.send_fds(theirs, [b"l"], [here.fileno()])
        os.close(here.detach())
        began = time.monotonic()
        with pytest.raises(WrongHandover):
            listener_from(ours)
        close_aside(ours.detach())
        assert time.monotonic() - began < 1


def test_a_socket_takes_no_descriptors_where_the_kernel_can_refuse_them(pair: Pair) -> None:
    ours, theirs = pair
    refuse_descriptors(ours)
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 16):
        pytest.skip("this kernel can't")
    with pytest.raises(PermissionError):
        socket.send_fds(theirs, [b"l"], [0])
    theirs.send(b"a frame")
    assert ours.recv(100) == b"a frame"
