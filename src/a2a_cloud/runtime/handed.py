"""Descriptors that come from an agent's side, where code of a stranger may have run before ours.

The last close of a socket can wait as long as its other end likes (SO_LINGER), also when the kernel does it
for a descriptor that nobody took. So what is unwanted is closed on a thread of its own, and the socket to
a worker takes no descriptors at all, where the kernel can refuse them (Linux 6.16).
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import threading
from ipaddress import ip_address

#: Descriptors that one message can carry (SCM_MAX_FD).
_MOST = 253
_ITEM = array.array("i").itemsize
_SO_PASSRIGHTS = 83
_TCP = {(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) for family in (socket.AF_INET, socket.AF_INET6)}


class WrongHandover(Exception):
    """What came is not one listener. The text says what it is, after "it handed over "."""


def refuse_descriptors(sock: socket.socket) -> None:
    """Whoever sends a descriptor to `sock` gets EPERM, where the kernel can do that."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)


def close_aside(number: int) -> None:
    """Close a descriptor of which an agent may decide how long that takes."""
    threading.Thread(target=os.close, args=(number,), name="close", daemon=True).start()


def listener_from(handed: socket.socket) -> socket.socket | None:
    """The one listener that came over `handed`, a non-blocking UNIX socket; None when it ended without.

    Raises BlockingIOError when nothing has come yet, and WrongHandover for anything but one TCP socket
    that listens on a loopback address; then nothing of it stays open.
    """
    try:
        data, ancillary, _, _ = handed.recvmsg(1, socket.CMSG_SPACE(_MOST * _ITEM), socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        raise
    except OSError:
        return None
    numbers = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % _ITEM])
    if not numbers and not data:
        return None
    wrong = f"{len(numbers) or 'no'} descriptors" if len(numbers) != 1 else _wrong(numbers[0])
    if wrong:
        for number in numbers:
            close_aside(number)
        raise WrongHandover(wrong)
    return socket.socket(fileno=numbers[0])


def _wrong(number: int) -> str:
    """What a descriptor is, if it is no listener that may be served; else ""."""
    try:
        found = socket.socket(fileno=number)
    except OSError:
        return "something that is no socket"
    try:
        kind = tuple(
            found.getsockopt(socket.SOL_SOCKET, each)
            for each in (socket.SO_DOMAIN, socket.SO_TYPE, socket.SO_PROTOCOL)
        )
        if kind not in _TCP:
            return "a socket that is not TCP"
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return "a socket that does not listen"
        if not ip_address(found.getsockname()[0]).is_loopback:
            return "a socket that listens on another address than loopback"
    except (OSError, ValueError) as error:
        return f"a socket that can't be looked at ({error})"
    finally:
        found.detach()
    return ""
