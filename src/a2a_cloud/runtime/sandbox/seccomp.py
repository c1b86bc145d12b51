"""The system calls of a cage: a classic BPF program (seccomp(2), linux/filter.h), assembled here.

What it refuses is refused with an errno, so that programs that try and go on keep working; what only
an attack does (another architecture's calls on the same machine) ends the process. Calls that are
newer than this list do not exist (ENOSYS): programs then take the older way, which the list knows.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

#: The newest number that this list was written for (file_setattr, Linux 6.17).
NEWEST = 469

# name: number on x86_64, number on aarch64 (-1: does not exist there)
REFUSED = {
    "_sysctl": (156, -1),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, -1),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, -1),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, -1),
    "iopl": (172, -1),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, -1),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "query_module": (178, -1),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, -1),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, -1),
    "userfaultfd": (323, 282),
    "ustat": (136, -1),
    "vhangup": (153, 58),
}

# Address families and socket types that a cage may have; ioctls that push input into a terminal.
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_SOCK_TYPE, _SOCK_RAW, _SOCK_PACKET = 0xF, 3, 10
# Others load modules of the kernel that hardly anybody uses or looks at.
_PROTOCOLS = (0, 1, 6, 17)  # the family's own, PF_UNIX (or ICMP, which needs more), TCP, UDP
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
#: CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET.
_NAMESPACES = 0x7E020000
_X32 = 0x40000000
_ASK_PERSONALITY = 0xFFFFFFFF

_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _GREATER, _NOT_LESS, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NR, _ARCH, _ARGUMENTS = 0, 4, 16


@dataclass(frozen=True, slots=True)
class Architecture:
    """How system calls are numbered: `audit` is AUDIT_ARCH_…, `column` that of REFUSED."""

    name: str
    audit: int
    column: int
    clone: int
    clone3: int
    socket: int
    socketpair: int
    ioctl: int
    personality: int
    x32: bool = False


ARCHITECTURES = {
    "x86_64": Architecture("x86_64", 0xC000003E, 0, 56, 435, 41, 53, 16, 135, x32=True),
    "aarch64": Architecture("aarch64", 0xC00000B7, 1, 220, 435, 198, 199, 29, 92),
}


class _Program:
    def __init__(self) -> None:
        self.code: list[tuple[int, int, int, int]] = []

    def load(self, offset: int) -> None:
        self.code.append((_LOAD, 0, 0, offset))

    def give(self, action: int) -> None:
        self.code.append((_RETURN, 0, 0, action))

    def when(self, test: int, value: int, action: int) -> None:
        """`action` if the test of the loaded word holds, else on with the next line."""
        self.code.append((test, 0, 1, value))
        self.give(action)

    def unless(self, test: int, value: int, action: int) -> None:
        """`action` if the test of the loaded word does not hold, else on with the next line."""
        self.code.append((test, 1, 0, value))
        self.give(action)

    def among(self, values: tuple[int, ...], action: int) -> None:
        """`action` if the loaded word is none of these, else on with the next line."""
        for number, value in enumerate(values):
            self.code.append((_EQUAL, len(values) - number, 0, value))
        self.give(action)

    def call(self, number: int, body: _Program) -> None:
        """`body`, which ends by returning, if the loaded word is this call's number."""
        # A jump is a byte wide.
        assert len(body.code) < 256
        self.code.append((_EQUAL, 0, len(body.code), number))
        self.code.extend(body.code)


def program(machine: str = "") -> bytes:
    """The filter for a machine (`platform.machine()`), as an array of struct sock_filter.

    Raises KeyError on an architecture whose calls are not known here.
    """
    arch = ARCHITECTURES[machine or platform.machine()]
    eperm = _ERRNO | errno.EPERM
    main = _Program()
    main.load(_ARCH)
    main.unless(_EQUAL, arch.audit, _KILL)
    main.load(_NR)
    if arch.x32:
        main.when(_NOT_LESS, _X32, _KILL)
    main.when(_GREATER, NEWEST, _ERRNO | errno.ENOSYS)
    # The flags of clone3 lie in memory, where a filter can't look; without it, libraries use clone.
    main.when(_EQUAL, arch.clone3, _ERRNO | errno.ENOSYS)
    for numbers in REFUSED.values():
        if numbers[arch.column] >= 0:
            main.when(_EQUAL, numbers[arch.column], eperm)

    # Where the kernel takes an int, only the lower half of the argument counts.
    clone = _Program()
    clone.load(_ARGUMENTS)
    clone.when(_ANY_BIT, _NAMESPACES, eperm)
    clone.give(_ALLOW)
    main.call(arch.clone, clone)

    socket = _Program()
    socket.load(_ARGUMENTS)
    socket.among(_FAMILIES, _ERRNO | errno.EAFNOSUPPORT)
    socket.load(_ARGUMENTS + 8)
    socket.code.append((_AND, 0, 0, _SOCK_TYPE))
    socket.when(_EQUAL, _SOCK_RAW, eperm)
    socket.when(_EQUAL, _SOCK_PACKET, eperm)
    socket.load(_ARGUMENTS + 16)
    socket.among(_PROTOCOLS, _ERRNO | errno.EPROTONOSUPPORT)
    socket.give(_ALLOW)
    main.call(arch.socket, socket)

    # It makes two sockets of the family before it finds that the family has no pairs.
    pair = _Program()
    pair.load(_ARGUMENTS)
    pair.among(_FAMILIES[:1], _ERRNO | errno.EAFNOSUPPORT)
    pair.give(_ALLOW)
    main.call(arch.socketpair, pair)

    ioctl = _Program()
    ioctl.load(_ARGUMENTS + 8)
    ioctl.when(_EQUAL, _TIOCSTI, eperm)
    ioctl.when(_EQUAL, _TIOCLINUX, eperm)
    ioctl.give(_ALLOW)
    main.call(arch.ioctl, ioctl)

    personality = _Program()
    personality.load(_ARGUMENTS)
    personality.when(_EQUAL, _ASK_PERSONALITY, _ALLOW)
    personality.give(eperm)
    main.call(arch.personality, personality)

    main.give(_ALLOW)
    return b"".join(struct.pack("=HBBI", *line) for line in main.code)
