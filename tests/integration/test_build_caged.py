"""Builds in a cage: the real uv where it has to work, and in its place programs that try to get out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import invoke, request
from test_build import MSGSPEC, ask, index, names, no_index, write_msgspec, write_wheel

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build import BuiltEnvironment, Environments, cage
from a2a_cloud.runtime.build.cage import Cages
from a2a_cloud.runtime.build.indexes import Indexes
from a2a_cloud.runtime.egress.dial import tls_context
from a2a_cloud.runtime.egress.proxy import Egress
from a2a_cloud.runtime.sandbox.jail import Jail, lacking
from a2a_cloud.runtime.sandbox.process import Process
from running import start_platform

pytestmark = pytest.mark.skipif(bool(lacking()), reason="no jail here")
PYTHON = Path(sys.executable).resolve()
FIXED = f"{MSGSPEC.replace(' ', '==')} --hash=sha256:{'0' * 64}\n"
ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    links = tmp_path_factory.mktemp("caged") / "links"
    links.mkdir()
    write_msgspec(links)
    write_wheel(links, "one", "1.0", {"one.py": b"import two\nSAYS = two.SAYS\n"}, "Requires-Dist: two>=1\n")
    write_wheel(links, "two", "1.0", {"two.py": b"SAYS = 'two 1.0'\n"})
    return links


class Place:
    """A data folder, its environments, and what was said."""

    def __init__(self, home: Path, links: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.root = self.data / "environments"
        self.data.mkdir(mode=0o700)
        (self.data / "admin.key").write_text("the key")
        self.environ = {
            "PATH": os.environ["PATH"],
            "UV_CONFIG_FILE": str(no_index(home, links)),
            "UV_HTTP_RETRIES": "0",
            "A_SECRET": "of the platform",
        }
        self.jail = Jail(self.data)
        self.egress = Egress(context=tls_context())
        self.said: list[str] = []

    def environments(self, uv: Path | None = None, **environ: str) -> Environments:
        return Environments(
            self.root, uv=uv, environ={**self.environ, **environ}, sandbox=self.jail, egress=self.egress
        )

    def source(self, requirements: str) -> Path:
        folder = self.home / f"agent{len(list(self.home.glob('agent*')))}"
        folder.mkdir()
        (folder / "requirements.txt").write_text(requirements)
        return folder

    def prepare(self, environments: Environments, requirements: str, org_no: int = 1) -> BuiltEnvironment:
        self.said.clear()
        return asyncio.run(environments.prepare(self.source(requirements), self.said.append, org_no=org_no))

    def fails(self, environments: Environments, requirements: str = FIXED, org_no: int = 1) -> BuildFailed:
        with pytest.raises(BuildFailed) as caught:
            self.prepare(environments, requirements, org_no)
        assert list(self.root.glob("building/*")) == []
        return caught.value

    def fake(self, code: str) -> Path:
        """A program in uv's place: `code` runs with `work`, `cache` and `say` (an answer as JSON)."""
        start = (
            f"#!{PYTHON} -IS\nimport json, os, pathlib, socket, sys, time\n"
            "work, cache = pathlib.Path.cwd(), pathlib.Path(os.environ['UV_CACHE_DIR'])\n"
            "def say(what): sys.exit('error: said ' + json.dumps(what))\n"
        )
        path = self.home / f"uv{len(list(self.home.glob('uv*')))}"
        path.write_text(start + code)
        path.chmod(0o755)
        return path

    def asked(self, code: str, org_no: int = 1, **environ: str) -> list[str]:
        """What a program says that stands in uv's place."""
        problem = self.fails(self.environments(self.fake(code), **environ), org_no=org_no)
        assert "said [" in problem.detail, (problem.detail, problem.info)
        return json.loads(problem.info["log"].partition("error: said ")[2])


@pytest.fixture
def place(tmp_path: Path, links: Path) -> Iterator[Place]:
    yield Place(tmp_path, links)
    assert list((tmp_path / "data" / "environments").glob("building/*")) == []


def everything(folder: Path) -> list[tuple[str, os.stat_result]]:
    return [(str(one), one.lstat()) for one in sorted([folder, *folder.rglob("*")])]


def sum_of(folder: Path) -> str:
    whole = hashlib.sha256()
    for one in sorted(folder.rglob("*")):
        whole.update(f"{one} {one.lstat().st_mode}".encode())
        if one.is_file():
            whole.update(one.read_bytes())
    return whole.hexdigest()


def test_what_is_built_is_the_platforms_and_works(place: Place) -> None:
    environments = place.environments()
    assert asyncio.run(environments.uncaged()) == ""
    built = place.prepare(environments, "one\n")
    assert names(built) == [MSGSPEC, "one 1.0", "two 1.0"]
    assert ask(built, "import one, msgspec, a2a_cloud.agent.main; print(one.SAYS)") == "two 1.0"
    folder = built.python.parents[1]
    for name, found in everything(folder):
        assert found.st_uid == os.geteuid(), name
        if stat.S_ISLNK(found.st_mode):
            assert Path(name).resolve() == PYTHON or Path(name).resolve().is_relative_to(folder), name
        else:
            assert stat.S_IMODE(found.st_mode) in (0o755, 0o644), name
            assert stat.S_ISDIR(found.st_mode) or found.st_nlink == 1, name
    cache = place.root / "caches" / "1"
    assert list(cache.rglob("*.py"))
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert (cache.stat().st_uid == os.geteuid()) is not ROOT
    # The bytecode is of these very files: a worker, which writes none, uses it.
    source = next(folder.glob("lib/*/site-packages/one.py"))
    code = next(source.parent.glob("__pycache__/one.*.pyc")).read_bytes()
    assert struct.unpack("<II", code[8:16]) == (int(source.stat().st_mtime), source.stat().st_size)


def test_what_is_there_starts_no_cage(place: Place) -> None:
    built = place.prepare(place.environments(), "two\n")
    again = place.environments(Path("/nonexistent/uv"))
    place.prepare(again, "two\n")
    began = time.perf_counter()
    assert place.prepare(again, "two\n") == built
    assert time.perf_counter() - began < 0.1


def test_an_index_on_this_machine_is_reached(place: Place, links: Path) -> None:
    del place.environ["UV_CONFIG_FILE"]
    with index(links) as url:
        built = place.prepare(place.environments(UV_DEFAULT_INDEX=url), "one\n")
    assert names(built) == [MSGSPEC, "one 1.0", "two 1.0"]


def test_organisations_share_nothing(place: Place) -> None:
    environments = place.environments()
    first, second = (place.prepare(environments, "two\n", org_no) for org_no in (1, 2))
    assert first.digest != second.digest
    assert first.lock == second.lock
    owners = {one.name: one.stat().st_uid for one in (place.root / "caches").iterdir()}
    assert owners.keys() == {"1", "2"}
    assert len(set(owners.values())) == (2 if ROOT else 1)


def test_a_program_in_uvs_place_sees_nothing_and_gets_nowhere(place: Place) -> None:
    theirs = place.prepare(place.environments(), "two\n", 2)
    before = sum_of(theirs.python.parents[1])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        paths = ["/etc/shadow", place.data / "admin.key", place.root / "caches" / "2", theirs.python]
        paths += [theirs.python.parents[1] / "requirements.lock", Path(__file__), sys.argv[0]]
        paths += [Path.home() / ".ssh", Path.home() / ".bashrc", Path.home() / ".netrc"]
        written = [place.root / "kit" / "x", PYTHON, PYTHON.parent / "x", "/usr/x"]
        said = place.asked(
            f"found = [one for one in {list(map(str, paths))!r} if os.path.exists(one)]\n"
            "found += [name for name in ('A_SECRET', 'NETRC', 'UV_KEYRING_PROVIDER') if name in os.environ]\n"
            "if os.getuid() == 0: found.append('root')\n"
            f"for one in {list(map(str, written))!r}:\n"
            "    try: pathlib.Path(one).write_bytes(b''); found.append('wrote ' + one)\n"
            "    except OSError: pass\n"
            f"for one in [('127.0.0.1', {port}), ('203.0.113.80', 443)]:\n"
            "    try: socket.create_connection(one, 2); found.append('reached ' + one[0])\n"
            "    except OSError: pass\n"
            "say(found or ['nothing'])"
        )
        assert said == ["nothing"]
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()
    assert sum_of(theirs.python.parents[1]) == before


def test_the_way_out_leads_to_the_index_alone(place: Place, links: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = (
            "proxy = os.environ['HTTPS_PROXY'].rpartition('/')[2].split(':')\n"
            "def ask(text):\n"
            "    with socket.create_connection((proxy[0], int(proxy[1])), 5) as one:\n"
            "        one.sendall(text.encode()); return one.recv(65536).split()[1].decode()\n"
            f"hosts = ['127.0.0.1:{port}', 'example.com:443', '169.254.169.254:80']\n"
            "found = [ask(f'CONNECT {one} HTTP/1.1\\r\\nHost: {one}\\r\\n\\r\\n') for one in hosts]\n"
            "found.append(ask(f'GET http://{hosts[0]}/ HTTP/1.1\\r\\nHost: {hosts[0]}\\r\\n\\r\\n'))\n"
            "print('error: said', found, file=sys.stderr); sys.exit(1)"
        )
        problem = place.fails(place.environments(place.fake(code)))
        assert "said ['403', '403', '403', '403']" in problem.info["log"]
        assert f"refused a connection to 127.0.0.1:{port}, example.com:443" in problem.detail
        assert f"A2A_BUILD_HOSTS=127.0.0.1:{port}" in problem.remedy
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()


def test_uv_that_is_pointed_elsewhere_is_refused(place: Place, links: Path) -> None:
    """As by a configuration that came in with an agent, if one ever did."""
    work = place.home / "work"
    work.mkdir()
    kit = place.home / "kit"
    kit.mkdir()
    (work / "in.txt").write_text("six\n")
    with index(links) as elsewhere:
        (work / "uv.toml").write_text(f'index-url = "{elsewhere}"\n')
        work.chmod(0o755)
        cages = Cages(place.jail, place.egress, place.root, kit, PYTHON)
        program = place.environments()._uv.path()  # pyright: ignore[reportPrivateUsage]
        words = ("pip", "compile", "--python", PYTHON, "--output-file", "out.txt", "in.txt")
        run = cages.uv(
            program, *words, work=work, org_no=1, indexes=Indexes({("pypi.org", 443)}), say=place.said.append
        )
        with pytest.raises(BuildFailed, match=r"refused a connection to 127\.0\.0\.1:"):
            asyncio.run(run)
    assert not (work / "out.txt").exists()


def test_a_later_build_changes_no_environment(place: Place) -> None:
    """Not even of its own organisation: no file of an environment is one of the cache or of a work folder."""
    built = place.prepare(place.environments(), "one\n")
    folder = built.python.parents[1]
    before, inodes = sum_of(folder), {found.st_ino for _, found in everything(folder)}
    said = place.asked(
        "count = 0\n"
        "for top in (work, cache):\n"
        "    for one in list(top.rglob('*')):\n"
        "        if one.is_file() and not one.is_symlink(): one.write_bytes(b'changed'); count += 1\n"
        "say([str(count), *(str(one.stat().st_ino) for one in cache.rglob('*'))])"
    )
    assert int(said[0]) > 10
    assert not inodes & set(map(int, said[1:]))
    assert sum_of(folder) == before
    assert ask(built, "import one; print(one.SAYS)") == "two 1.0"


MAKE = (
    "made = work / 'environment'\n"
    "site = made / 'lib' / 'python3.11' / 'site-packages'\n"
    "if sys.argv[1] == 'venv':\n"
    "    site.mkdir(parents=True); (made / 'bin').mkdir(); (made / 'pyvenv.cfg').write_text('uv = 1')\n"
    "    (made / 'bin' / 'python').symlink_to('/etc/shadow')\n"
    "    (made / 'bin' / 'python3').symlink_to('python')\n"
    "else:\n"
)


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        ("(site / 'x').symlink_to('/etc/shadow')", "is a link that leads elsewhere"),
        ("(site / 'x.dist-info').symlink_to('..')", "is a link that leads elsewhere"),
        ("(made / 'bin').rename(work / 'b'); (made / 'bin').symlink_to('/usr/bin')", "leads elsewhere"),
        ("(made / 'bin' / 'python').unlink(); (made / 'bin' / 'python').write_text('')", "bin/python is not"),
        ("made.rename(work / 'm'); made.symlink_to('/etc')", "environment is no folder"),
        ("os.mkfifo(site / 'x')", "is neither file nor folder"),
        ("os.chdir(site); socket.socket(socket.AF_UNIX).bind('x')", "is neither file nor folder"),
        ("(site / 'x').write_text(''); (site / 'x').chmod(0)", "" if ROOT else "can't be opened"),
        ("(site / 'a-1.dist-info').mkdir(); (site / 'a-1.dist-info' / 'METADATA').mkdir()", "can't be"),
        ("import shutil; shutil.rmtree(made / 'lib')", "is no environment"),
        ("os.chdir(site)\n    for _ in range(3000): os.mkdir('d'); os.chdir('d')", "in too many folders"),
        ("(made / 'environment.json').mkdir()", "can't be stored"),
    ],
)
def test_what_comes_out_is_taken_as_it_should_be_or_not_at_all(place: Place, trick: str, words: str) -> None:
    environments = place.environments(place.fake(MAKE + f"    {trick}\n"))
    if words:
        problem = place.fails(environments)
        assert words in problem.detail
        assert "root:" not in str(problem.info)
        assert list(place.root.glob("envs/*")) == []
    else:
        built = place.prepare(environments, FIXED)
        assert built.python.readlink() == PYTHON


def test_marks_and_links_to_other_names_do_not_come_out(place: Place) -> None:
    trick = (
        "    (site / 'x').write_text('1'); os.link(site / 'x', work / 'y'); os.link(site / 'x', site / 'z')\n"
        "    (site / 'x').chmod(0o6777); made.chmod(0o777)\n"
    )
    built = place.prepare(place.environments(place.fake(MAKE + trick)), FIXED)
    folder = built.python.parents[1]
    for name, found in everything(folder):
        if not stat.S_ISLNK(found.st_mode):
            assert found.st_mode & 0o7022 == 0, name
            assert stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
            assert found.st_uid == os.geteuid()


@pytest.mark.parametrize(
    "trick",
    [
        "out.symlink_to('/etc/shadow')",
        "os.mkfifo(out)",
        "out.mkdir()",
        "out.write_bytes(b'\\xff')",
        "out.write_text('packages = 1')",
        "out.write_text('[[packages]]\\nversion = \"1\"')",
        'out.write_text(\'[[packages]]\\nname="a"\\nversion = "1\\\\n--index-url http://x"\\n'
        'wheels=[{hashes={sha256="00"}}]\')',
    ],
)
def test_what_uv_resolved_is_read_as_a_strangers_word(place: Place, trick: str) -> None:
    code = f"out = work / 'pylock.toml'\nout.unlink(missing_ok=True)\n{trick}\n"
    problem = place.fails(place.environments(place.fake(code)), "two\n")
    assert "root:" not in f"{problem.detail}{problem.info}"
    assert list(place.root.glob("locks/*")) == []


def test_the_disk_is_not_filled(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cage, "DISK_BYTES", 8 << 20)
    monkeypatch.setattr(cage, "LOOK", 0.05)
    code = "for n in range(30):\n    (cache / str(n)).write_bytes(bytes(1 << 20)); time.sleep(0.05)\n"
    code += "time.sleep(60)"
    assert "GiB of the disk" in place.fails(place.environments(place.fake(code))).detail
    monkeypatch.setattr(cage, "DISK_FILES", 50)
    code = "for n in range(100): (work / str(n)).mkdir()\ntime.sleep(60)"
    assert "50 files" in place.fails(place.environments(place.fake(code)), org_no=2).detail


def test_a_cache_that_grew_too_large_goes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cage, "CACHE_BYTES", 1)
    place.prepare(place.environments(), "two\n")
    assert list((place.root / "caches").iterdir()) == []
    place.prepare(place.environments(), "one\n")


def test_memory_has_an_end(place: Place) -> None:
    problem = place.fails(
        place.environments(place.fake("x = bytearray(4 << 30)\nx[::4096] = b'1' * (1 << 20)\n"))
    )
    assert "signal 9" in problem.detail or "MemoryError" in str(problem.info)


def test_a_cancelled_build_is_gone(place: Place) -> None:
    mark = f"sleep-{os.urandom(6).hex()}"

    async def cancelled() -> None:
        environments = place.environments(place.fake(f"time.sleep(60) # {mark}\n"))
        task = asyncio.create_task(environments.prepare(place.source("two\n"), place.said.append))
        await asyncio.sleep(0.5)
        assert list(place.root.glob("building/*"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert list(place.root.glob("building/*")) == []
    end = time.monotonic() + 5
    while any(str(place.home) in line for line in commands()):
        assert time.monotonic() < end
        time.sleep(0.02)


def commands() -> list[str]:
    found: list[str] = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(one.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def test_a_wrong_thing_in_the_place_of_the_way_out(place: Place) -> None:
    """The launcher is ours, but what it leaves open is not closed by it alone."""
    said = place.asked("say([str(one) for one in os.listdir('/proc/self/fd') if int(one) > 3] or ['none'])")
    assert said == ["none"]


@pytest.mark.parametrize(
    "environ",
    [
        {"UV_DEFAULT_INDEX": "https://me:secret@127.0.0.1:9/simple"},
        {"HTTPS_PROXY": "http://127.0.0.1:9"},
        {"UV_INDEX_MINE_PASSWORD": "secret"},
        {"NETRC": "netrc"},
    ],
)
def test_what_has_credentials_is_not_caged_and_says_so(place: Place, environ: dict[str, str]) -> None:
    if "NETRC" in environ:
        environ["NETRC"] = str(place.home / "netrc")
        (place.home / "netrc").write_text("machine pypi.org login me password secret\n")
        environ["UV_CONFIG_FILE"] = ""
        environ["UV_DEFAULT_INDEX"] = "https://pypi.org/simple"
    environments = place.environments(None, **environ)
    why = asyncio.run(environments.uncaged())
    assert why
    assert "secret" not in why
    if "UV_DEFAULT_INDEX" not in environ:  # The others lead nowhere.
        assert names(place.prepare(environments, "two\n")) == [MSGSPEC, "two 1.0"]
        assert place.said.count(f"This build is not caged. {why}") == 1
        place.prepare(environments, "two\n")
        assert "not caged" not in " ".join(place.said)
        assert not (place.root / "caches").exists()


def test_without_a_jail_builds_are_as_agents_are(place: Place) -> None:
    plain = Environments(place.root, environ=place.environ, sandbox=Process(place.data), egress=place.egress)
    assert asyncio.run(plain.uncaged()) is None
    built = place.prepare(plain, "two\n", 7)
    assert not (place.root / "caches").exists()
    assert place.prepare(plain, "two\n", 8) == built


@pytest.mark.skipif(not ROOT, reason="the platform's user has no other")
def test_a_cache_of_another_user_is_made_anew(place: Place) -> None:
    """As when the folder was copied from elsewhere: what lies in it could not be changed."""
    cache = place.root / "caches" / "1"
    place.prepare(place.environments(), "two\n")
    for one in (cache, *cache.rglob("*")):
        os.chown(one, 12_345, 12_345, follow_symlinks=False)
    (cache / "theirs").mkdir(mode=0o700)
    assert len(place.prepare(place.environments(), "one\n").packages) == 3
    assert not (cache / "theirs").exists()


def test_builds_side_by_side_share_a_cache(place: Place) -> None:
    environments = place.environments()

    async def together() -> list[BuiltEnvironment]:
        sources = [place.source("one\n"), place.source("two\n"), place.source("")]
        return await asyncio.gather(
            *(environments.prepare(each, place.said.append, org_no=1) for each in sources)
        )

    assert [len(built.packages) for built in asyncio.run(together())] == [3, 2, 1]


def test_a_deploy_on_a_whole_platform(tmp_path: Path, links: Path) -> None:
    folder = tmp_path / "two-user"
    folder.mkdir()
    (folder / "a2a.toml").write_text('name = "two-user"\nversion = "1.0.0"\n')
    (folder / "requirements.txt").write_text("one\n")
    (folder / "agent.py").write_text(
        "import one\nfrom a2a_cloud import skill\n@skill\ndef says() -> str:\n"
        "    '''Say what it says. Does nothing else.'''\n    return one.SAYS\n"
    )
    running = start_platform(
        [folder],
        tmp_path,
        A2A_SANDBOX="jail",
        A2A_ENVIRONMENTS="",
        UV_CONFIG_FILE=str(no_index(tmp_path, links)),
    )
    try:
        assert invoke(running, "two-user", "says").json == "two 1.0"
        found = request(running, "GET", "/api/v1/doctor").json["checks"]
        (line,) = [one for one in found if one["name"] == "builds"]
        assert line["state"] == "ok"
        (cache,) = (running.data / "environments" / "caches").iterdir()
        assert (cache.stat().st_uid == os.geteuid()) is not ROOT
        running.kill()
        began = time.monotonic()
        running.restart()
        assert time.monotonic() - began < 10
        assert invoke(running, "two-user", "says").json == "two 1.0"
    finally:
        running.stop()
