"""Accepting on a listener that agent code may hold as well.

The flags of an open socket belong to all who hold it: an agent that kept its listener can make it blocking
at any moment, and who accepts on it then waits until somebody connects. That must never be the loop's
thread, so each listener has a thread of its own. What is accepted is nobody's but ours.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from a2a_cloud.runtime.handed import close_aside

log = logging.getLogger("a2a_cloud.egress")

#: Seconds after which a failed accept (no descriptors left) is tried again.
PAUSE = 0.1
#: Seconds between looks at a listener that the agent made non-blocking.
LOOK = 0.05
#: How often, and every how many seconds, a thread that does not end is told to.
TOLD, TELL = 10, 0.05
_NO_LINGER = struct.pack("ii", 0, 0)
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: What accept(2) says of a connection that broke before it was accepted.
_LOST = (
    errno.ECONNABORTED,
    errno.EINTR,
    errno.ENETDOWN,
    errno.EPROTO,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
)


class Acceptor:
    """Accepts on `listener` from now on, and gives each connection to `taken` on the loop's thread.

    `taken` returns the seconds for which nothing more is to be accepted.
    Raises RuntimeError when the machine has no thread left.
    """

    def __init__(self, listener: socket.socket, taken: Callable[[socket.socket], float]) -> None:
        self._listener = listener
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._turns = threading.Semaphore(1)  # One is accepted, and taken, after the other.
        self._over = threading.Event()
        self._ended = asyncio.Event()
        listener.setblocking(True)
        threading.Thread(target=self._run, name="egress", daemon=True).start()

    async def stop(self) -> None:
        """Nothing more is taken, and the listener is closed."""
        self._over.set()
        self._turns.release()
        for _ in range(TOLD):
            # Wakes the thread. An agent that still lives can listen anew, so once is not enough.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL):
                    await self._ended.wait()
                break
        close_aside(self._listener.detach())

    # --- on the loop's thread ----------------------------------------------------------------------------

    def _take(self, peer: socket.socket) -> None:
        if self._over.is_set():
            peer.close()
            return
        seconds = self._taken(peer)
        if seconds > 0:
            self._loop.call_later(seconds, self._turns.release)
        else:
            self._turns.release()

    # --- on its own thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                self._turns.acquire()
                peer = self._next()
                if peer is None:
                    break
                try:
                    self._loop.call_soon_threadsafe(self._take, peer)
                except RuntimeError:  # The loop is closed.
                    peer.close()
                    break
        finally:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)

    def _next(self) -> socket.socket | None:
        """The next connection; None when it is over."""
        while not self._over.is_set():
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                self._over.wait(LOOK)
                continue
            except OSError as error:
                if error.errno in _FULL:
                    log.warning("An agent's connection can't be accepted: %s", error)
                    self._over.wait(PAUSE)
                elif error.errno not in _LOST:
                    # It was shut down, by us or by the agent: it leads nowhere any more.
                    return None
                continue
            # A connection has its listener's options. With this one, close(2) waits for the agent to read.
            with suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            peer.setblocking(False)
            return peer
        return None
