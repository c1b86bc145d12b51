"""Attacks on a real cage, as root and as an ordinary user: refused, and with the right errno.

Each is tried outside of the cage too, where that does no harm: an attack that would fail anyway
proves nothing. And with one layer of the cage taken away, the attacks that it is there for succeed,
or at least meet another layer.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from running import Running

ROOT = Path(__file__).parents[2]
ESCAPER = ROOT / "tests/agents/escaper"
DRIVER = Path(__file__).with_name("caging.py")
#: An ordinary user, with nothing to its name.
ORDINARY = 61_234
MARK = "A2A_MARK=only-outside"

#: attack: how it ends in the cage, and outside as root and as an ordinary user ("" not tried there,
#: because it would do harm or because it needs more than the machine is sure to have). `A|B`: kernels differ.
TABLE: dict[str, tuple[str, str, str]] = {
    # files
    "shadow": ("ENOENT", "ok", "EACCES"),
    "host_file": ("ENOENT", "ok", "ok"),
    "host_home": ("ENOENT", "ok", "ok"),
    "list_home": ("ENOENT", "ok", "ok"),
    "platform_key": ("ENOENT", "ok", "ok"),
    "platform_code": ("ENOENT", "ok", "ok"),
    "other_rundir": ("ENOENT", "ok", "ok"),
    "proc_1_root": ("ENOENT", "", "EACCES"),
    "proc_1_cwd": ("ENOENT", "", "EACCES"),
    "proc_kcore": ("EACCES|ENOENT", "", ""),
    "dev_mem": ("ENOENT", "", ""),
    "dev_kmsg": ("ENOENT", "", ""),
    "block_device": ("ENOENT", "", ""),
    "path_socket": ("ENOENT", "ok", "ok"),
    "symlink_out": ("ENOENT", "ok", "ok"),
    "dotdot": ("ENOENT", "", ""),
    "environments": ("ENOENT", "ok", "ok"),
    "command_lines": ("ENOENT", "ok", "ok"),
    "variables": ("ENOENT", "", ""),
    "descriptors": ("EBADF", "", ""),
    "write_root": ("EROFS", "ok", "EACCES"),
    "write_usr": ("EROFS", "ok", "EACCES"),
    "write_etc": ("EROFS", "ok", "EACCES"),
    "write_dev": ("EROFS", "ok", "EACCES"),
    "write_app": ("EROFS", "", ""),
    "write_python": ("EROFS", "", ""),
    "preload": ("EROFS", "", ""),
    "change_app": ("EROFS", "", ""),
    "change_python": ("EROFS", "", ""),
    "chmod_app": ("EROFS", "", ""),
    "rename_app": ("EROFS", "", ""),
    "hard_link": ("EXDEV", "", ""),
    "magic_link": ("EROFS", "", ""),
    "exe_link": ("EACCES", "", ""),
    "mknod_block": ("EPERM", "", "EPERM"),
    "mknod_char": ("EPERM", "", "EPERM"),
    "core_pattern": ("EACCES", "ok", "EACCES"),
    "sysrq": ("EACCES|ENOENT", "", ""),
    "release_agent": ("ENOENT", "", ""),
    "cgroup_mount": ("EPERM", "", "EPERM"),
    "open_by_handle": ("EPERM", "ok", "EPERM"),
    "handle_of": ("EPERM", "", ""),
    # identity
    "setuid": ("EINVAL", "ok", "EPERM"),
    "setgid": ("EINVAL", "ok", "EPERM"),
    "setgroups": ("EPERM", "ok", "EPERM"),
    "signal_outside": ("ESRCH", "ok", "EPERM"),
    "priority": ("EACCES", "ok", "EACCES"),
    "others": ("ESRCH", "ok", "ok"),
    "capabilities": ("EPERM", "ok", ""),
    "new_privileges": ("EPERM", "ok", "ok"),
    "groups": ("EPERM", "", ""),
    "uid_map": ("EPERM", "", ""),
    "raise_limit": ("EPERM", "", ""),
    "raise_processes": ("EPERM", "", ""),
    # network
    "loopback": ("ECONNREFUSED", "ok", "ok"),
    "loopback6": ("ECONNREFUSED", "ok", "ok"),
    "mapped": ("ECONNREFUSED", "ok", "ok"),
    "loopback_udp": ("ECONNREFUSED", "ok", "ok"),
    "abstract": ("ECONNREFUSED", "ok", "ok"),
    "public": ("ENETUNREACH", "", ""),
    "public6": ("ENETUNREACH", "", ""),
    "metadata": ("ENETUNREACH", "", ""),
    "dns": ("ENETUNREACH", "", ""),
    "raw": ("EPERM", "ok", "EPERM"),
    "raw6": ("EPERM", "ok", "EPERM"),
    "raw_cloexec": ("EPERM", "ok", "EPERM"),
    "packet": ("EAFNOSUPPORT", "ok", "EPERM"),
    "packet_old": ("EPERM", "", ""),
    "netlink": ("EAFNOSUPPORT", "ok", "ok"),
    "netlink_pair": ("EAFNOSUPPORT", "ENOTSUP", "ENOTSUP"),
    "sctp": ("EPROTONOSUPPORT", "", ""),
    "mptcp": ("EPROTONOSUPPORT", "", ""),
    "vsock": ("EAFNOSUPPORT", "", ""),
    "alg": ("EAFNOSUPPORT", "", ""),
    # kernel
    "mount": ("EPERM", "", "EPERM"),
    "remount": ("EPERM", "", "EPERM"),
    "umount": ("EPERM", "", "EPERM"),
    "fsopen": ("EPERM", "ok", "EPERM"),
    "open_tree": ("EPERM", "ok", "ok"),
    "mount_setattr": ("EPERM", "", "EPERM"),
    "pivot_root": ("EPERM", "", "EPERM"),
    "chroot": ("EPERM", "ok", "EPERM"),
    "unshare_user": ("EPERM", "ok", "ok"),
    "unshare_user_and_mount": ("EPERM", "ok", "ok"),
    "unshare_mount": ("EPERM", "ok", "EPERM"),
    "unshare_net": ("EPERM", "ok", "EPERM"),
    "unshare_pid": ("EPERM", "ok", "EPERM"),
    "setns": ("EPERM", "ok", "EPERM"),
    "clone_user": ("EPERM", "ok", "ok"),
    "clone_net": ("EPERM", "ok", "EPERM"),
    "clone3": ("ENOSYS", "ok", "ok"),
    "clone3_user": ("ENOSYS", "ok", "ok"),
    "bpf": ("EPERM", "ok", ""),
    "perf": ("EPERM", "", ""),
    "userfaultfd": ("EPERM", "ok", "ok"),
    "io_uring": ("EPERM", "ok", "ok"),
    "keyring": ("EPERM", "ok", "ok"),
    "add_key": ("EPERM", "ok", "ok"),
    "personality": ("EPERM", "ok", "ok"),
    "syslog": ("EPERM", "ok", ""),
    "kexec": ("EPERM", "", ""),
    "module": ("EPERM", "", ""),
    "module_removal": ("EPERM", "", ""),
    "host_name": ("EPERM", "ok", "EPERM"),
    "trace_me": ("EPERM", "ok", "ok"),
    "trace_first": ("EPERM", "", "EPERM"),
    "vm_read": ("EPERM", "ok", "ok"),
    "vm_write": ("EPERM", "ok", "ok"),
    "pidfd_getfd": ("EPERM", "ok", "ok"),
    "kcmp": ("EPERM", "ok", "ok"),
    "host_name_seen": ("ENOENT", "", ""),
    "cgroup_path": ("ENOENT", "", ""),
    "first_process": ("EPERM", "ok", "ok"),
    "x32": ("killed by SIGSYS", "", ""),
    "int80": ("killed by SIGSYS", "", ""),
    "unknown_call": ("ENOSYS", "", ""),
    "newer_call": ("ENOSYS", "", ""),
    "tiocsti": ("EPERM", "", ""),
    "tiocsti_upper_bits": ("EPERM", "", ""),
    "tioclinux": ("EPERM", "", ""),
    "sysv_memory": ("EINVAL", "ok", "ok"),
}
WHO = ["root", "user"]


@dataclass
class Outside:
    """What there is to attack, and a place that every user can read."""

    store: Path
    target: dict[str, Any]

    def run(self, who: str, **request: object) -> dict[str, Any]:
        """What caging.py says to a request, run as root or as an ordinary user."""
        done = subprocess.run(
            self.command(request), capture_output=True, text=True, check=False, timeout=60, **self.user(who)
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)

    def command(self, request: dict[str, object]) -> list[str]:
        whole = {"store": str(self.store), "target": self.target} | request
        python = self.store / "python/bin/python3"
        return [str(python), "-P", str(self.store / DRIVER.name), json.dumps(whole)]

    def user(self, who: str) -> dict[str, Any]:
        """How subprocess starts it as that user."""
        if who == "root" and os.geteuid() != 0:
            pytest.skip("These tests were not started as root.")
        env = {
            "PYTHONPATH": str(self.store / "site"),
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        options: dict[str, Any] = {"env": env, "cwd": "/"}
        if who == "user" and os.geteuid() == 0:
            options |= {"user": ORDINARY, "group": ORDINARY, "extra_groups": []}
        return options

    def outcomes(self, who: str, names: list[str], **request: object) -> dict[str, str]:
        """attack → outcome, the part before the colon."""
        said = self.run(who, names=names, **request)
        found: dict[str, str] = dict(map(json.loads, said["out"].splitlines()))
        assert list(found) == names, said
        return {
            name: outcome if outcome.startswith("broken") else outcome.split(":")[0]
            for name, outcome in found.items()
        }


def _linked(source: Path, into: Path, *unwanted: str) -> None:
    """A copy of a folder; by hard links where that goes, because it may be large."""

    def copy(one: str, other: str) -> None:
        try:
            os.link(one, other, follow_symlinks=False)
        except OSError:
            shutil.copy2(one, other, follow_symlinks=False)

    shutil.copytree(
        source,
        into,
        symlinks=True,
        copy_function=copy,
        ignore=shutil.ignore_patterns(*unwanted, "__pycache__"),
    )


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """A world of targets around the cage; their file modes let everybody in."""
    if shutil.which("bwrap") is None:
        pytest.fail("bubblewrap is missing: scripts/setup-system installs it.")
    import msgspec

    with ExitStack() as stack:
        store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2a-escapes-", dir="/var/tmp")))
        home = Path(sys.executable).resolve().parent.parent
        library = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
        _linked(
            home / library,
            store / "python" / library,
            "site-packages",
            "test",
            "tests",
            "idlelib",
            "config-*",
        )
        (store / "python/bin").mkdir()
        shutil.copy(Path(sys.executable).resolve(), store / "python/bin/python3")
        for shared in (home / "lib").glob("libpython*.so*"):
            shutil.copy(shared, store / "python/lib", follow_symlinks=False)
        _linked(ROOT / "src/a2a_cloud", store / "site/a2a_cloud")
        _linked(Path(msgspec.__file__).parent, store / "site/msgspec")
        shutil.copy(DRIVER, store)
        for name, content in {
            "canary": "outside",
            "home/.ssh/id_ed25519": "a key",
            "data/admin.key": "a key",
            "other/notes": "of another agent",
            "code/platform.py": "code",
        }.items():
            (store / name).parent.mkdir(parents=True, exist_ok=True)
            (store / name).write_text(content)
        shutil.copytree(ESCAPER, store / "escaper", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["chmod", "-R", "a+rX", str(store)], check=True)
        (store / "escaper/private").write_text("of the platform's user")
        (store / "escaper/private").chmod(0o600)
        # Writable for everybody: it is the mount that refuses, and no file mode.
        for place in ("escaper/open.txt", "python/lib/open.txt"):
            (store / place).write_text("open")
            (store / place).chmod(0o666)
        ports: dict[str, int] = {}
        for name, family, kind, address in (
            ("port", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
            ("port6", socket.AF_INET6, socket.SOCK_STREAM, "::1"),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        ):
            one = stack.enter_context(socket.socket(family, kind))
            one.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                one.listen(64)
            ports[name] = one.getsockname()[1]
        abstract = f"a2a-escapes-{os.getpid()}"
        for address in (str(store / "engine.sock"), "\0" + abstract):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.bind(address)
            one.listen(64)
        (store / "engine.sock").chmod(0o777)
        # Somebody whose environment is worth reading, seen by root and by the ordinary user.
        for number in {os.geteuid(), ORDINARY if os.geteuid() == 0 else os.geteuid()}:
            sleeper = subprocess.Popen(
                ["/usr/bin/tail", "-f", str(store / "escaper/a2a.toml")],
                env={MARK.partition("=")[0]: MARK.partition("=")[2]},
                user=number,
                group=number,
                cwd="/",
                stdout=subprocess.DEVNULL,
            )
            stack.callback(sleeper.wait)
            stack.callback(sleeper.kill)
        libc = ctypes.CDLL(None, use_errno=True)
        segment = libc.shmget(0, 4096, 0o1000 | 0o666)
        assert segment != -1
        stack.callback(libc.shmctl, segment, 0, None)
        yield Outside(
            store,
            {
                **ports,
                "canary": str(store / "canary"),
                "home": str(store / "home"),
                "data": str(store / "data"),
                "code": str(store / "code/platform.py"),
                "other": str(store / "other"),
                "socket": str(store / "engine.sock"),
                "abstract": abstract,
                "block": _block_device(),
                "mark": MARK,
                "pid": os.getpid(),
                "segment": segment,
                "handle": _handle(store / "canary"),
            },
        )


def _block_device() -> str:
    for name in sorted(os.listdir("/dev")):
        if (Path("/dev") / name).is_block_device():
            return f"/dev/{name}"
    return "/dev/sda"


def _handle(path: Path) -> str:
    """The file's handle, as open_by_handle_at takes it; as hex digits."""
    buffer = ctypes.create_string_buffer(b"\x80\0\0\0", 136)
    mount = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.name_to_handle_at(-100, str(path).encode(), buffer, ctypes.byref(mount), 0)
    assert done == 0, os.strerror(ctypes.get_errno())
    length = int.from_bytes(buffer.raw[:4], sys.byteorder)
    return buffer.raw[: 8 + length].hex()


def differences(found: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    return {
        name: f"{found[name]}, not {wanted[name]}"
        for name in wanted
        if found[name] not in wanted[name].split("|")
    }


@pytest.mark.parametrize("who", WHO)
def test_every_attack_is_refused_in_the_way_it_should_be(outside: Outside, who: str) -> None:
    found = outside.outcomes(who, list(TABLE))
    assert differences(found, {name: row[0] for name, row in TABLE.items()}) == {}


@pytest.mark.parametrize("who", WHO)
def test_outside_of_the_cage_the_same_attacks_work(outside: Outside, who: str) -> None:
    column = 1 + WHO.index(who)
    wanted = {name: row[column] for name, row in TABLE.items() if row[column]}
    found = outside.outcomes(who, list(wanted), bare=True)
    assert differences(found, wanted) == {}


# --- each layer is good for something ---------------------------------------------------------------

#: Attacks that a test with less than the whole cage leaves alone: they would go to the internet.
FAR = {"public", "public6", "metadata", "dns"}
SECCOMP = {
    **dict.fromkeys(["handle_of", "netlink", "open_tree", "clone3", "io_uring", "keyring", "add_key"], "ok"),
    **dict.fromkeys(["personality", "trace_me", "trace_first", "vm_read", "vm_write", "pidfd_getfd"], "ok"),
    **dict.fromkeys(["kcmp", "userfaultfd", "first_process"], "ok"),
    # The next layer says no: --disable-userns.
    **dict.fromkeys(["unshare_user", "unshare_user_and_mount", "clone_user", "clone3_user"], "ENOSPC"),
    "tioclinux": "ENOTTY",
    "packet": "EPERM",
    "netlink_pair": "ENOTSUP",
}
#: layers that are taken away: what gets through then, or meets another layer.
MUTATIONS: dict[tuple[str, ...], dict[str, str]] = {
    ("seccomp",): SECCOMP,
    ("seccomp", "no nested user namespaces"): SECCOMP
    | dict.fromkeys(["unshare_user", "unshare_user_and_mount", "clone_user", "clone3_user"], "ok"),
    ("process namespace",): {
        "proc_1_root": "EACCES",
        "proc_1_cwd": "EACCES",
        "command_lines": "ok",
        "descriptors": "EACCES",
        "signal_outside": "EPERM",
        "others": "ok",
        "first_process": "ok",
    },
    ("network namespace",): dict.fromkeys(
        ["loopback", "loopback6", "mapped", "loopback_udp", "abstract"], "ok"
    ),
    ("ipc namespace",): {"sysv_memory": "ok"},
    ("host name namespace",): {"host_name_seen": "ok"},
    ("cgroup namespace",): {"cgroup_path": "ok"},
    ("read-only files",): {
        "change_app": "ok",
        "change_python": "ok",
        "magic_link": "ok",
        "write_app": "EACCES",
        "write_python": "EACCES",
        "chmod_app": "EPERM",
        "rename_app": "EACCES",
    },
    ("own user id",): {"private_file": "ok", "core_pattern": "ok", "exe_link": "ETXTBSY"},
}
#: Attacks that depend on the machine: with less than the whole cage they may end in another way.
OPEN_END = {
    "sctp",
    "mptcp",
    "kexec",
    "module",
    "module_removal",
    "perf",
    "vsock",
    "alg",
    "int80",
    "x32",
    "tiocsti",
} | {
    "tiocsti_upper_bits",
    "write_usr",
    "cgroup_path",
}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("omit", MUTATIONS, ids=", ".join)
def test_without_a_layer_its_attacks_get_further(outside: Outside, who: str, omit: tuple[str, ...]) -> None:
    if who == "user" and omit == ("own user id",):
        with_it = outside.run(who, names=["others"])
        assert "own user id" not in with_it["layers"]
        assert "no user id of their own" in " ".join(with_it["missing"])
        return
    expected = {name: row[0] for name, row in TABLE.items() if name not in FAR}
    if who == "root":
        # Root's files in the source are not for the agent's user.
        expected["private_file"] = "EACCES"
    whole = outside.outcomes(who, list(expected))
    assert differences(whole, expected) == {}
    found = outside.outcomes(who, list(expected), omit=omit)
    wanted = expected | MUTATIONS[omit]
    changed = differences(found, wanted)
    assert {name: how for name, how in changed.items() if name not in OPEN_END} == {}
    assert any(found[name] != whole[name] for name in MUTATIONS[omit])


@pytest.mark.parametrize("who", WHO)
def test_cages_of_one_agent_do_not_meet(outside: Outside, who: str) -> None:
    rundir = outside.store / f"sibling-{who}"
    rundir.mkdir(0o700)
    if who == "user" and os.geteuid() == 0:
        os.chown(rundir, ORDINARY, ORDINARY)
    target = outside.target | {"port": 20_001, "abstract": f"{outside.target['abstract']}-sibling"}
    request: dict[str, object] = {"names": ["serve"], "rundir": str(rundir), "target": target}
    sibling = subprocess.Popen(
        outside.command(request), stdout=subprocess.PIPE, text=True, **outside.user(who)
    )
    end = time.monotonic() + 10
    while not (rundir / "ready").exists() or not (rundir / "ready").read_text():
        assert time.monotonic() < end
        assert sibling.poll() is None
        time.sleep(0.02)
    assert (rundir / "ready").read_text() == "connected"
    names = ["loopback", "abstract", "others", "list_other"]
    found = outside.outcomes(who, names, target=target | {"other": str(rundir)})
    (rundir / "enough").touch()
    out = sibling.communicate(timeout=20)[0]
    refused = ["ECONNREFUSED", "ECONNREFUSED", "ESRCH", "ENOENT"]
    assert found == dict(zip(names, refused, strict=True))
    assert json.loads(json.loads(out)["out"]) == ["serve", "ok: nobody came"]


# --- limits -----------------------------------------------------------------------------------------

SMALL = {"memory": 64 << 20, "pids": 32, "open_files": 64, "tmp_bytes": 4 << 20}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    ("name", "by_root", "by_user", "error", "says"),
    [
        (
            "forks",
            "EAGAIN",
            "EAGAIN",
            "EAGAIN",
            "started more processes and threads than it may (32): `pids`",
        ),
        (
            "memory",
            "killed by SIGKILL",
            "ENOMEM",
            "ENOMEM",
            "used more memory than it may (64 MiB): `memory`",
        ),
        ("memory_of_many", "ENOMEM", "", "", "used more memory than it may (64 MiB): `memory`"),
        ("inodes", "killed by SIGKILL", "", "", "used more memory than it may (64 MiB): `memory`"),
        ("fill_tmp", "ENOSPC", "ENOSPC", "ENOSPC", "wrote more to /tmp than it may (4 MiB): `tmp_bytes`"),
        ("fill_tmp_in_many_files", "ENOSPC", "ENOSPC", "ENOSPC", "wrote more to /tmp than it may (4 MiB)"),
        ("fill_shm", "ENOSPC", "ENOSPC", "", ""),
        ("fill_dev", "EROFS", "EROFS", "", ""),
        ("files", "EMFILE", "EMFILE", "EMFILE", "opened more files at once than it may (64): `open_files`"),
    ],
)
def test_a_limit_holds_and_can_be_told(
    outside: Outside, who: str, name: str, by_root: str, by_user: str, error: str, says: str
) -> None:
    wanted = by_root if who == "root" else by_user
    if not wanted:
        # Without cgroups there is nothing that counts a cage's processes together, and it is said.
        missing = " ".join(outside.run(who, names=["others"], limits=SMALL)["missing"])
        assert "no writable cgroup with the controller `memory`" in missing
        assert "files without content" in missing
        return
    hint = getattr(errno, error) if error else 0
    said = outside.run(who, names=[name, "others"], limits=SMALL, error=hint)
    outcomes = {key: value.split(":")[0] for key, value in map(json.loads, said["out"].splitlines())}
    if name not in outcomes and said["code"] == -signal.SIGKILL:
        outcomes[name] = "killed by SIGKILL"  # Out of memory, the kernel chose the first one.
    else:
        assert outcomes["others"] in ("ESRCH", "ok")  # The cage goes on.
    assert outcomes[name] == wanted
    assert says in said["verdict"]
    assert bool(says) == bool(said["verdict"])
    assert said["again"] == ""
    if who == "root" and name in ("forks", "memory", "memory_of_many", "inodes"):
        # The kernel has counted: no word of the agent's is needed for it.
        assert says in outside.run(who, names=[name], limits=SMALL)["verdict"]


def test_a_core_is_shared_out(outside: Outside) -> None:
    assert outside.outcomes("root", ["cpu"], limits=SMALL | {"cpu": 0.2}) == {"cpu": "EAGAIN"}
    said = outside.run("root", names=["cpu"])
    assert said["verdict"] == ""


def test_a_neighbour_of_a_memory_hog_lives(outside: Outside) -> None:
    request: dict[str, object] = {"names": ["cpu", "fill_dev"], "key": "default/neighbour"}
    neighbour = subprocess.Popen(
        outside.command(request), stdout=subprocess.PIPE, text=True, **outside.user("root")
    )
    outside.run("root", names=["memory", "memory_of_many"], limits=SMALL)
    out = neighbour.communicate(timeout=30)[0]
    lines = dict(map(json.loads, json.loads(out)["out"].splitlines()))
    assert lines["fill_dev"] == "EROFS"
    assert not lines["cpu"].startswith("killed")


# --- nothing stays ----------------------------------------------------------------------------------


def _family(ancestor: int) -> dict[int, str]:
    """Descendants of a process: pid → start time."""
    parents: dict[int, tuple[int, str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(name)] = int(words[1]), words[19]
    found: dict[int, str] = {}
    growing = {ancestor}
    while growing:
        growing = {pid for pid, (parent, _) in parents.items() if parent in growing and pid not in found}
        found |= {pid: parents[pid][1] for pid in growing}
    return found


def _living(family: dict[int, str]) -> list[int]:
    alive: list[int] = []
    for pid, started in family.items():
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if words[19] == started and words[0] != "Z":
            alive.append(pid)
    return alive


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("way", ["the platform is killed", "the group is killed", "the first one is killed"])
def test_nothing_stays_behind(outside: Outside, who: str, way: str) -> None:
    platform = subprocess.Popen(
        outside.command({"names": ["stay"], "linger": True}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **outside.user(who),
    )
    with platform:
        try:
            assert platform.stdout is not None
            started = json.loads(platform.stdout.readline())
            end = time.monotonic() + 10
            # Whole once the attacks, the one that stays and the one that left its parent are there;
            # the one between those two is there for a moment.
            programs, before = 7 if who == "root" else 5, [0]
            while len(living := _living(family := _family(platform.pid))) < programs or living != before:
                assert time.monotonic() < end, living
                before = living
                time.sleep(0.02)
            family = {pid: family[pid] for pid in living}
            if way == "the platform is killed":
                platform.kill()
            elif way == "the group is killed":
                os.killpg(started["pid"], signal.SIGKILL)
            else:
                os.kill(started["pid"], signal.SIGKILL)
            end = time.monotonic() + 5
            while left := _living(family):
                assert time.monotonic() < end, left
                time.sleep(0.02)
        finally:
            platform.kill()
    # What a killed platform leaves of cgroups is removed by the next one.
    outside.run(who, names=["others"])
    assert [one for one in started["groups"] if os.path.exists(one)] == []


# --- the choice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", WHO)
def test_the_jail_is_picked_and_has_tested_itself(outside: Outside, who: str) -> None:
    started = time.monotonic()
    said = outside.run(who, pick="jail")
    assert said["name"] == "jail"
    assert len(said["attacks"]) >= 12
    assert [one for one in said["attacks"] if not one[1]] == []
    assert {"seccomp", "network namespace", "read-only files"} <= set(said["layers"])
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("who", WHO)
def test_the_agents_own_files(outside: Outside, who: str) -> None:
    rundir = outside.store / f"rundir-{who}"
    rundir.mkdir()
    rundir.chmod(0o700)
    if who == "user" and os.geteuid() == 0:
        os.chown(rundir, ORDINARY, ORDINARY)
    found = outside.run(who, names=["run_folder"], rundir=str(rundir))
    assert json.loads(found["out"]) == ["run_folder", "ok: agent 1000 /tmp /tmp"], found
    assert (rundir / "made").read_text() == "by the agent"
    if who == "root":
        assert (rundir / "made").stat().st_uid == rundir.stat().st_uid >= 30_000


@pytest.mark.parametrize("who", WHO)
def test_a_folder_to_write_in_a_folder_that_is_nobodys(outside: Outside, who: str) -> None:
    parent = outside.store / f"builds-{who}"
    place = parent / "place"
    place.mkdir(parents=True)
    (parent / "neighbour").mkdir()
    parent.chmod(0o700)
    if who == "user" and os.geteuid() == 0:
        os.chown(parent, ORDINARY, ORDINARY)
        os.chown(place, ORDINARY, ORDINARY)
    target = outside.target | {"place": str(place)}
    found = outside.run(who, names=["given_folder"], writable=[str(place)], target=target)
    assert json.loads(found["out"]) == ["given_folder", "ok: ['linked', 'made'] ['place']"], found
    assert (place / "made").samefile(place / "linked")


# --- the platform -----------------------------------------------------------------------------------


def test_an_agent_of_a_platform_is_in_the_cage(
    outside: Outside, platform: Callable[..., Running], tmp_path: Path
) -> None:
    running = platform(["escaper"], A2A_SANDBOX="jail")
    names = [
        "shadow",
        "host_file",
        "list_home",
        "platform_key",
        "loopback",
        "public",
        "write_app",
        "trace_me",
    ]
    names += [
        "unshare_user",
        "signal_outside",
        "capabilities",
        "new_privileges",
        "setuid",
        "netlink",
        "mount",
    ]
    target = outside.target | {"data": str(running.data), "home": str(tmp_path), "port": running.port}
    answer = httpx.post(
        f"{running.agent('escaper')}/invoke/attack",
        json={"names": names, "target": target},
        headers=running.auth,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert differences(answer.json(), {name: TABLE[name][0] for name in names}) == {}


# --- the documentation ------------------------------------------------------------------------------


def _documented() -> str:
    lines = ["| attack | in the jail | outside as root | as a user | layer |", "|---|---|---|---|---|"]
    for name, row in TABLE.items():
        layers = [
            " and ".join(omit)
            for omit, found in MUTATIONS.items()
            # Of two layers together, what neither of them alone lets through.
            if name in found and (len(omit) == 1 or found[name] != MUTATIONS[omit[:1]].get(name))
        ]
        cells = [f"`{name}`", *(cell.replace("|", " or ") or "—" for cell in row)]
        lines.append(f"| {' | '.join(cells)} | {', '.join(layers) or '—'} |")
    return "\n".join(lines)


def test_the_table_of_attacks_is_the_one_that_is_tried() -> None:
    text = (ROOT / "docs/sandbox.md").read_text()
    between = text.partition("<!-- attacks -->")[2].partition("<!-- /attacks -->")[0]
    assert between.strip() == _documented()
