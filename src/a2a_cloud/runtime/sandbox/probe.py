"""The attacks of the self-test, run inside of a cage as `python -I -S -c …`: standard library alone.

Prints a JSON array of {name, refused, detail}. An attack that could not be tried counts as one that
got through.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import socket
import sys
from collections.abc import Callable

_NUMBERS = {"x86_64": (165, 272, 101), "aarch64": (40, 97, 117)}
_CLONE_NEWUSER = 0x10000000
_PTRACE_TRACEME = 0


def main(target: dict[str, str | int]) -> None:
    """Try each attack on what `target` names: a canary file, a port of the host's loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    mount, unshare, ptrace = _NUMBERS[platform.machine()]

    def call(number: int, *arguments: int | bytes | None) -> str:
        words = [
            ctypes.c_char_p(one) if not isinstance(one, int) else ctypes.c_long(one) for one in arguments
        ]
        if libc.syscall(ctypes.c_long(number), *words) == -1:
            raise OSError(ctypes.get_errno(), "")
        return "it worked"

    def read(path: str) -> Callable[[], str]:
        def attack() -> str:
            with open(path, "rb") as file:
                return f"{len(file.read(64))} bytes were read"

        return attack

    def write(path: str) -> Callable[[], str]:
        def attack() -> str:
            with open(path, "xb"):
                return "it was made"

        return attack

    def others() -> str:
        seen = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
        if any(pid != "1" for pid in seen):
            return f"processes {', '.join(seen[:8])} can be seen"
        raise ProcessLookupError(errno.ESRCH, "")

    def loopback() -> str:
        socket.create_connection(("127.0.0.1", int(target["port"])), timeout=1).close()
        return "it was connected"

    def packets() -> str:
        socket.socket(17, socket.SOCK_RAW, 0).close()  # AF_PACKET
        return "it was opened"

    def root() -> str:
        os.setuid(0)
        return "it worked"

    tries: list[tuple[str, Callable[[], str]]] = [
        ("read a file of the host", read(str(target["canary"]))),
        ("read /etc/shadow", read("/etc/shadow")),
        ("look into the platform's data", lambda: f"{len(os.listdir(str(target['data'])))} entries"),
        ("write to /usr", write("/usr/a2a-was-here")),
        ("write to the source", write("/app/a2a-was-here")),
        ("see another process", others),
        ("connect to the host's loopback", loopback),
        ("open a packet socket", packets),
        ("become root", root),
        ("mount a file system", lambda: call(mount, b"none", b"/tmp", b"tmpfs", 0, None)),
        ("make a user namespace", lambda: call(unshare, _CLONE_NEWUSER)),
        ("trace a process", lambda: call(ptrace, _PTRACE_TRACEME, 0, 0, 0)),
    ]
    results: list[dict[str, str | bool]] = []
    for name, attack in tries:
        try:
            refused, detail = False, attack()
        except OSError as error:
            refused, detail = True, errno.errorcode.get(error.errno or 0, type(error).__name__)
        except Exception as error:
            refused, detail = False, f"it could not be tried: {type(error).__name__}: {error}"
        results.append({"name": name, "refused": refused, "detail": detail})
    print(json.dumps(results))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
