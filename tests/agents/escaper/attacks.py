"""Attacks on a cage, each with valid arguments: `python -I -S attacks.py TARGET NAME…`.

TARGET is JSON that names what is to be attacked outside. Prints a line [name, outcome] for each. An
outcome is the name of the errno with which the attack was refused, `killed by SIG…`, `ok` with what
it got, or `broken` when the attack itself has a fault. Standard library alone; every attack runs in
a child.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import signal
import socket
import stat
import struct
import sys
import termios
import time
import traceback
from collections.abc import Callable

# name: number on x86_64, on aarch64
NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "prlimit64": (302, 261),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "socketpair": (53, 199),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
SHADOW, TMP = "/etc/shadow", "/tmp"
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
target: dict[str, str | int] = {}
attacks: dict[str, Callable[[], object]] = {}
Argument = int | bytes | None | ctypes.Array[ctypes.c_char]


def attack(function: Callable[[], object]) -> Callable[[], object]:
    """An attack of that name; what it returns is what it got."""
    attacks[function.__name__] = function
    return function


def given(name: str) -> str:
    """What the test says about the outside."""
    return str(target[name])


def raw(number: int, *arguments: Argument) -> int:
    """A system call. Raises OSError."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def call(name: str, *arguments: Argument) -> int:
    """A system call by name. Raises OSError."""
    return raw(NUMBERS[name][platform.machine() == "aarch64"], *arguments)


def refuse(number: int) -> None:
    raise OSError(number, "")


def read(path: str) -> str:
    with open(path, "rb") as file:
        return f"{len(file.read(64))} bytes"


def make(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return "made"


def changed(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return "opened for writing"


def connect(family: int, address: object, kind: int = socket.SOCK_STREAM) -> str:
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        one.connect(address)  # type: ignore[arg-type]
        if kind == socket.SOCK_DGRAM:
            one.send(b"x")
        return "connected"


def opened(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "opened"


# --- files ----------------------------------------------------------------------------------------

attacks |= {
    "shadow": lambda: read(SHADOW),
    "host_file": lambda: read(given("canary")),
    "host_home": lambda: read(given("home") + "/.ssh/id_ed25519"),
    "list_home": lambda: os.listdir(given("home")),
    "platform_key": lambda: read(given("data") + "/admin.key"),
    "platform_code": lambda: read(given("code")),
    "other_rundir": lambda: read(given("other") + "/notes"),
    "list_other": lambda: os.listdir(given("other")),
    "proc_1_root": lambda: read("/proc/1/root" + given("canary")),
    "proc_1_cwd": lambda: read("/proc/1/cwd" + given("canary")),
    "proc_kcore": lambda: read("/proc/kcore"),
    "dev_mem": lambda: read("/dev/mem"),
    "dev_kmsg": lambda: read("/dev/kmsg"),
    "block_device": lambda: read(given("block")),
    "path_socket": lambda: connect(socket.AF_UNIX, given("socket")),
    "write_root": lambda: make("/a2a-was-here"),
    "write_usr": lambda: make("/usr/a2a-was-here"),
    "write_app": lambda: make("/app/a2a-was-here"),
    "write_etc": lambda: make("/etc/a2a-was-here"),
    "write_dev": lambda: make("/dev/a2a-was-here"),
    "write_python": lambda: make(os.path.dirname(os.__file__) + "/a2a-was-here.py"),
    "preload": lambda: make("/etc/ld.so.preload"),
    "change_app": lambda: changed("/app/open.txt"),
    "change_python": lambda: changed(os.path.dirname(os.path.dirname(os.__file__)) + "/open.txt"),
    "chmod_app": lambda: os.chmod("/app", 0o777),  # noqa: S103  # refused: that is the point
    "rename_app": lambda: os.rename("/app/attacks.py", "/app/others.py"),
    "hard_link": lambda: os.link("/app/attacks.py", TMP + "/attacks.py"),
    "private_file": lambda: read("/app/private"),
    "mknod_block": lambda: os.mknod(TMP + "/block", stat.S_IFBLK | 0o600, os.makedev(254, 0)),
    "mknod_char": lambda: os.mknod(TMP + "/mem", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
    "core_pattern": lambda: changed("/proc/sys/kernel/core_pattern"),
    "sysrq": lambda: changed("/proc/sysrq-trigger"),
    "release_agent": lambda: changed("/sys/fs/cgroup/memory/release_agent"),
    "cgroup_mount": lambda: call("mount", b"cgroup", b"/tmp", b"cgroup", 0, b"memory"),
}


@attack
def symlink_out() -> str:
    link = f"{TMP}/a2a-link-{os.getpid()}"
    os.symlink(given("canary"), link)
    try:
        return read(link)
    finally:
        os.unlink(link)


@attack
def dotdot() -> str:
    return read("/app/" + "../" * 30 + given("canary").lstrip("/"))


@attack
def magic_link() -> str:
    """A descriptor that was opened for reading, opened again for writing."""
    number = os.open("/app/open.txt", os.O_RDONLY)
    return changed(f"/proc/self/fd/{number}")


@attack
def exe_link() -> str:
    """The runc hole of 2019: /proc/1/exe is the program that made the cage."""
    return changed("/proc/1/exe")


@attack
def environments() -> str:
    mark = given("mark").encode()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read():
                    return f"that of {name}"
    raise OSError(errno.ENOENT, "")


@attack
def command_lines() -> str:
    """Paths of the host in the arguments of the programs around the cage."""
    # Not a part of the target, which is an argument of ours.
    data = os.path.dirname(given("canary")).encode() + b"/escaper/"
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and int(name) != os.getppid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                if data in file.read():
                    return f"that of {name}"
    raise OSError(errno.ENOENT, "")


@attack
def variables() -> str:
    """Variables of the platform's."""
    known = {"HOME", "TMPDIR", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PWD"}
    more = sorted(set(os.environ) - known)
    if more:
        return ", ".join(more)
    raise OSError(errno.ENOENT, "")


@attack
def descriptors() -> str:
    """Descriptors that were left open on the way in, here and in the first process."""
    found = [name for name in os.listdir("/proc/self/fd") if int(name) > 2]
    links: list[str] = []
    for name in found:
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    # The pipe to the parent, and the folder that is being listed.
    strange = [link for link in links if not link.startswith(("pipe:", "/proc/"))]
    for name in os.listdir("/proc/1/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/1/fd/{name}")
            if not link.startswith(("pipe:", "anon_inode:", "/dev/null")):
                strange.append(link)
    if strange:
        return ", ".join(strange)
    raise OSError(errno.EBADF, "")


@attack
def open_by_handle() -> str:
    """The shocker hole of docker: a handle of a host's file, by number."""
    handle = bytes.fromhex(given("handle"))
    mount = os.open(os.path.dirname(os.path.abspath(__file__)), os.O_RDONLY)
    return read(f"/proc/self/fd/{call('open_by_handle_at', mount, handle, os.O_RDONLY)}")


@attack
def handle_of() -> int:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    return call("name_to_handle_at", -100, b"/usr", handle, ctypes.create_string_buffer(4), 0)


# --- identity -------------------------------------------------------------------------------------

attacks |= {
    "setuid": lambda: os.setuid(0),
    "setgid": lambda: os.setgid(0),
    "setgroups": lambda: os.setgroups([0]),
    "signal_outside": lambda: os.kill(int(target["pid"]), 0),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
}


@attack
def others() -> str:
    """Processes that are neither the cage's nor this test's."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    foreign = [pid for pid in pids if pid not in (1, os.getpid(), os.getppid())]
    if foreign:
        return f"{len(foreign)} of them"
    raise OSError(errno.ESRCH, "")


@attack
def capabilities() -> str:
    with open("/proc/self/status") as file:
        held = [line.split() for line in file if line.startswith("Cap")]
    some = [name for name, value in held if int(value, 16)]
    if some:
        return " ".join(some)
    raise OSError(errno.EPERM, "")


@attack
def new_privileges() -> str:
    with open("/proc/self/status") as file:
        if "NoNewPrivs:\t1\n" in file.read():
            raise OSError(errno.EPERM, "")
    return "may be gained"


@attack
def groups() -> list[int]:
    """Groups of the platform's user that were kept; those unknown in the namespace are 65534."""
    kept = [one for one in os.getgroups() if one not in (1000, 65534)]
    if not kept:
        refuse(errno.EPERM)
    return kept


@attack
def uid_map() -> int:
    with open("/proc/self/uid_map", "wb", buffering=0) as file:
        return file.write(b"0 0 1\n")


@attack
def raise_limit() -> int:
    limits = ctypes.create_string_buffer(struct.pack("=QQ", 1 << 19, 1 << 19), 16)
    return call("prlimit64", 0, 7, limits, None)  # RLIMIT_NOFILE


@attack
def raise_processes() -> int:
    limits = ctypes.create_string_buffer(struct.pack("=QQ", 1 << 20, 1 << 20), 16)
    return call("prlimit64", 0, 6, limits, None)  # RLIMIT_NPROC


# --- network --------------------------------------------------------------------------------------

attacks |= {
    "loopback": lambda: connect(socket.AF_INET, ("127.0.0.1", target["port"])),
    "loopback6": lambda: connect(socket.AF_INET6, ("::1", target["port6"])),
    "mapped": lambda: connect(socket.AF_INET6, ("::ffff:127.0.0.1", target["port"])),
    "public": lambda: connect(socket.AF_INET, ("1.1.1.1", 443)),
    "public6": lambda: connect(socket.AF_INET6, ("2606:4700:4700::1111", 443)),
    "metadata": lambda: connect(socket.AF_INET, ("169.254.169.254", 80)),
    "dns": lambda: connect(socket.AF_INET, ("8.8.8.8", 53), socket.SOCK_DGRAM),
    "loopback_udp": lambda: udp(),
    "abstract": lambda: connect(socket.AF_UNIX, "\0" + given("abstract")),
    "raw": lambda: opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "raw6": lambda: opened(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "raw_cloexec": lambda: opened(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 1),
    "packet": lambda: opened(17, socket.SOCK_RAW, 0),
    "packet_old": lambda: opened(socket.AF_INET, 10, 0),
    "netlink": lambda: opened(16, socket.SOCK_RAW, 0),
    "netlink_pair": lambda: call("socketpair", 16, 3, 0, ctypes.create_string_buffer(8)),
    "sctp": lambda: opened(socket.AF_INET, socket.SOCK_STREAM, 132),
    "mptcp": lambda: opened(socket.AF_INET6, socket.SOCK_STREAM, 262),
    "vsock": lambda: opened(40, socket.SOCK_STREAM),
    "alg": lambda: opened(38, socket.SOCK_SEQPACKET),
}


def udp() -> str:
    """A datagram to the host's loopback: refused when nobody hears it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.5)
        one.connect(("127.0.0.1", int(target["udp"])))
        one.send(b"x")
        time.sleep(0.05)
        one.send(b"x")
        return "sent"


# --- kernel ---------------------------------------------------------------------------------------

attacks |= {
    "mount": lambda: call("mount", b"none", TMP.encode(), b"tmpfs", 0, None),
    "remount": lambda: call("mount", b"none", b"/", None, 0x1020, None),  # MS_REMOUNT | MS_BIND
    "umount": lambda: call("umount2", b"/proc", 2),
    "fsopen": lambda: call("fsopen", b"tmpfs", 0),
    "open_tree": lambda: call("open_tree", -100, b"/usr", 0),
    "pivot_root": lambda: call("pivot_root", TMP.encode(), TMP.encode()),
    "chroot": lambda: call("chroot", TMP.encode()),
    "unshare_user": lambda: call("unshare", NEWUSER),
    "unshare_user_and_mount": lambda: call("unshare", NEWUSER | NEWNS),
    "unshare_mount": lambda: call("unshare", NEWNS),
    "unshare_net": lambda: call("unshare", NEWNET),
    "unshare_pid": lambda: call("unshare", NEWPID),
    "setns": lambda: call("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), NEWUTS),
    "clone_user": lambda: clone(NEWUSER | signal.SIGCHLD),
    "clone_net": lambda: clone(NEWNET | signal.SIGCHLD),
    "clone3": lambda: clone3(0),
    "clone3_user": lambda: clone3(NEWUSER),
    "userfaultfd": lambda: call("userfaultfd", os.O_CLOEXEC | 1),
    "io_uring": lambda: call("io_uring_setup", 1, ctypes.create_string_buffer(120)),
    "keyring": lambda: call("keyctl", 0, -3, 1),
    "add_key": lambda: call("add_key", b"user", b"a2a", b"x", 1, -2),
    "personality": lambda: call("personality", 0x0040000),
    "syslog": lambda: call("syslog", 3, ctypes.create_string_buffer(64), 64),
    "kexec": lambda: call("kexec_load", 0, 0, None, 0),
    "module": lambda: call("finit_module", os.open(__file__, os.O_RDONLY), b"", 0),
    "module_removal": lambda: call("delete_module", b"a2a_no_such_module", os.O_NONBLOCK),
    "host_name": lambda: call("sethostname", os.uname().nodename.encode(), len(os.uname().nodename)),
    "unknown_call": lambda: raw(100_000),
    "newer_call": lambda: raw(471),
    "trace_me": lambda: call("ptrace", 0, 0, 0, 0),
    "trace_first": lambda: call("ptrace", 0x4206, 1, 0, 0),
    "x32": lambda: raw(0x40000000 | 39),
}


def clone(flags: int) -> str:
    child = call("clone", flags, None, None, None, None)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "cloned"


def clone3(flags: int) -> str:
    words = struct.pack("=11Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    child = call("clone3", ctypes.create_string_buffer(words, 88), 88)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "cloned"


@attack
def mount_setattr() -> int:
    """Take the read-only flag from /app."""
    words = ctypes.create_string_buffer(struct.pack("=4Q", 0, 1, 0, 0), 32)
    return call("mount_setattr", -100, b"/", 0, words, 32)


@attack
def bpf() -> int:
    words = ctypes.create_string_buffer(struct.pack("=4I", 2, 4, 4, 1), 120)  # an array of one
    return call("bpf", 0, words, 120)


@attack
def perf() -> int:
    words = ctypes.create_string_buffer(struct.pack("=2IQ", 1, 112, 0), 112)  # the software cpu clock
    return call("perf_event_open", words, 0, -1, -1, 0)


@attack
def vm_read() -> int:
    source, into = ctypes.create_string_buffer(b"secret"), ctypes.create_string_buffer(8)
    return call("process_vm_readv", os.getpid(), vector(into, 6), 1, vector(source, 6), 1, 0)


@attack
def vm_write() -> int:
    source, into = ctypes.create_string_buffer(b"change"), ctypes.create_string_buffer(8)
    return call("process_vm_writev", os.getpid(), vector(source, 6), 1, vector(into, 6), 1, 0)


def vector(buffer: ctypes.Array[ctypes.c_char], length: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(buffer), length), 16)


@attack
def pidfd_getfd() -> int:
    return call("pidfd_getfd", os.pidfd_open(os.getpid()), 1, 0)


@attack
def kcmp() -> int:
    return call("kcmp", os.getpid(), os.getpid(), 0, 1, 1)


@attack
def host_name_seen() -> str:
    if os.uname().nodename == "agent":
        raise OSError(errno.ENOENT, "")
    return os.uname().nodename


@attack
def cgroup_path() -> str:
    """Where the cage lies among the host's control groups."""
    with open("/proc/self/cgroup") as file:
        places = {line.rstrip().split(":", 2)[2] for line in file}
    if places <= {"/"}:
        raise OSError(errno.ENOENT, "")
    return ", ".join(sorted(places))


@attack
def first_process() -> str:
    """The first process of the namespace has our user, so its memory can be changed: what would that
    give? It must be caged as we are."""
    with open("/proc/1/status") as file:
        facts = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    caps = [facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    if any(int(one, 16) for one in caps) or facts["NoNewPrivs"] != "1" or facts["Seccomp"] != "2":
        return f"{caps}, no new privileges: {facts['NoNewPrivs']}, seccomp: {facts['Seccomp']}"
    raise OSError(errno.EPERM, "")


@attack
def int80() -> int:
    """getpid of the 32-bit table, whose numbers mean other calls: a filter that looks at numbers alone
    takes it for writev."""
    if platform.machine() != "x86_64":
        os.kill(os.getpid(), signal.SIGSYS)
    code = b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3"  # push rbx; mov eax, 20; int 0x80; pop rbx; ret
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


def _terminal() -> int:
    os.setsid()
    _, inside = os.openpty()
    fcntl.ioctl(inside, termios.TIOCSCTTY, 0)
    return inside


@attack
def tiocsti() -> None:
    fcntl.ioctl(_terminal(), 0x5412, b"x")


@attack
def tiocsti_upper_bits() -> int:
    """The kernel looks at 32 bits of the request, so a filter must too."""
    inside = _terminal()
    number = 29 if platform.machine() == "aarch64" else 16
    return raw(number, inside, 0x1_0000_5412, ctypes.create_string_buffer(b"x"))


@attack
def tioclinux() -> None:
    fcntl.ioctl(_terminal(), 0x541C, b"\x02")


@attack
def sysv_memory() -> int:
    """A shared memory segment of the host, by its number."""
    libc.shmat.restype = ctypes.c_long
    if libc.shmat(int(target["segment"]), None, 0) == -1:
        raise OSError(ctypes.get_errno(), "")
    return 1


# --- resources ------------------------------------------------------------------------------------


def fill(folder: str) -> str:
    """Until it is full; at most 2 GiB."""
    block = bytes(1 << 20)
    with open(folder + "/a2a-fill", "wb", buffering=0) as file:
        for _ in range(2048):
            file.write(block)
    return "2 GiB"


attacks |= {
    "fill_tmp": lambda: fill(TMP),
    "fill_shm": lambda: fill("/dev/shm"),
    "fill_dev": lambda: fill("/dev"),
}


@attack
def fill_tmp_in_many_files() -> str:
    """Each is smaller than a file may be."""
    for number in range(4096):
        with open(f"{TMP}/{number}", "wb", buffering=0) as file:
            file.write(bytes(256 << 10))
    return "1 GiB"


@attack
def inodes() -> str:
    """Files without content: at most 2 million."""
    for number in range(2_000_000):
        os.mknod(f"{TMP}/{number}")
    return "2 million files"


@attack
def forks() -> str:
    """A fork bomb that stops at 2000."""
    children: list[int] = []
    try:
        for _ in range(2000):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    return "2000 processes"


@attack
def memory() -> str:
    """Takes 1 GiB and touches it."""
    pages = [bytearray(b"x") * (16 << 20) for _ in range(64)]
    return f"{len(pages) * 16} MiB"


@attack
def memory_of_many() -> str:
    """Eight processes that take 128 MiB each."""
    children: list[int] = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            held = bytearray(b"x") * (128 << 20)
            time.sleep(1 + (len(held) == 0))
            os._exit(0)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if -signal.SIGKILL in ends or 1 in ends:
        refuse(errno.ENOMEM)
    return "1 GiB"


@attack
def files() -> str:
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(20_000)]
    return f"{len(held)} open files"


@attack
def cpu() -> str:
    """Spins for half a second of the clock; how much of a core it got, in percent."""
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        pass
    used = time.process_time() / 0.6
    if used < 0.6:
        refuse(errno.EAGAIN)
    return f"{used:.0%}"


@attack
def serve() -> str:
    """No attack: listens where another cage of the same agent will look, for up to ten seconds."""
    with (
        socket.create_server(("127.0.0.1", int(target["port"]))) as one,
        socket.socket(socket.AF_UNIX) as two,
    ):
        two.bind("\0" + given("abstract"))
        two.listen()
        with open("/run/agent/ready", "w") as file:
            file.write(connect(socket.AF_INET, ("127.0.0.1", target["port"])))
        end = time.monotonic() + 10
        while not os.path.exists("/run/agent/enough") and time.monotonic() < end:
            time.sleep(0.02)
        one.settimeout(0)
        one.accept()
        with contextlib.suppress(BlockingIOError):
            one.accept()
            return "somebody came"
    return "nobody came"


@attack
def given_folder() -> str:
    """No attack: a folder that it may write under its own path, where hard links work, and its
    neighbour, which it may not see."""
    place = given("place")
    with open(place + "/made", "x") as file:
        file.write("by the agent")
    os.link(place + "/made", place + "/linked")
    return f"{sorted(os.listdir(place))} {os.listdir(os.path.dirname(place))}"


@attack
def run_folder() -> str:
    """No attack: what it may do. Who it is, its home, and where temporary files go."""
    import pwd
    import tempfile

    with open("/run/agent/made", "w") as file:
        file.write("by the agent")
    user = pwd.getpwuid(os.getuid())
    return f"{user.pw_name} {user.pw_uid} {os.environ['HOME']} {tempfile.gettempdir()}"


@attack
def stay() -> str:
    """Stays for a minute, and leaves a process behind that left its session and its parent."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
            time.sleep(60)
        os._exit(0)
    time.sleep(60)
    return "a minute"


# --- how they are run -----------------------------------------------------------------------------


def tried(function: Callable[[], object]) -> str:
    """The outcome of an attack in a child of its own."""
    back, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(back)
        try:
            outcome = f"ok: {function()}"
        except OSError as error:
            outcome = errno.errorcode.get(error.errno or 0, f"broken: {error}")
        except MemoryError:
            outcome = "ENOMEM"
        except BaseException:
            outcome = "broken: " + traceback.format_exc(limit=2)
        with contextlib.suppress(OSError):
            os.write(out, outcome.encode())
        os._exit(0)
    os.close(out)
    with open(back, "rb") as pipe:
        outcome = pipe.read().decode()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return f"killed by {signal.Signals(-code).name}" if code < 0 else outcome


def main(argv: list[str]) -> None:
    """Try the named attacks in their order."""
    target.update(json.loads(argv[1]))
    for name in argv[2:]:
        # A line each, so that what a later attack breaks takes nothing along.
        print(json.dumps([name, tried(attacks[name])]), flush=True)


if __name__ == "__main__":
    main(sys.argv)
