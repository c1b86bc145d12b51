"""Environments built by the real uv, from wheels in a folder: no network but for one test."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path

import pytest
import uv

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build import BuiltEnvironment, Environments
from a2a_cloud.wire.worker import PROTOCOL, Frames, Hello, Ready, Stop, decode_from_worker, encode

ASK = ("-I", "-B", "-X", "utf8", "-c")


def write_wheel(
    folder: Path, name: str, version: str, files: dict[str, bytes], needs: str = "", tag: str = ""
) -> Path:
    """A wheel with its RECORD; `tag` by default for every Python and platform."""
    tag = tag or "py3-none-any"
    info = f"{name}-{version}.dist-info"
    files = dict(files)
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n{needs}"
    ).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    hashes = {
        path: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        for path, data in files.items()
    }
    files[f"{info}/RECORD"] = "".join(
        f"{path},sha256={one},{len(files[path])}\n" for path, one in hashes.items()
    ).encode()
    made = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(made, "w") as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    return made


def write_msgspec(folder: Path) -> None:
    """The installed msgspec as a wheel again."""
    found = distribution("msgspec")
    files = {
        str(one): Path(str(one.locate())).read_bytes()
        for one in found.files or ()
        if str(one).startswith("msgspec/") and not str(one).endswith(".pyc")
    }
    write_wheel(folder, "msgspec", found.version, files)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels, and uv's cache beside it."""
    links = tmp_path_factory.mktemp("wheels") / "links"
    links.mkdir()
    write_msgspec(links)
    write_wheel(links, "one", "1.0", {"one.py": b"import two\nSAYS = two.SAYS\n"}, "Requires-Dist: two>=1\n")
    write_wheel(links, "two", "1.0", {"two.py": b"SAYS = 'two 1.0'\n"})
    mark = b"import pathlib; pathlib.Path('/tmp/a2a-pth-was-run').touch()\n"
    write_wheel(links, "sly", "1.0", {"sly.py": b"", "sly.pth": mark, "old.py": b"print 'python 2'\n"})
    write_wheel(links, "elsewhere", "1.0", {"elsewhere.py": b""}, tag="cp39-cp39-win32")
    write_wheel(links, "newer", "1.0", {"newer.py": b""}, "Requires-Python: >=3.99\n")
    write_wheel(links, "linked", "1.0", {"linked.py": b""}, "Requires-Dist: x @ https://example.com/x.whl\n")
    write_wheel(links, "wants_kit", "1.0", {"wants_kit.py": b""}, "Requires-Dist: a2a-cloud>=0.1\n")
    (links / "source_only-1.0.tar.gz").write_bytes(b"")
    return links


def no_index(home: Path, *links: Path) -> Path:
    """A configuration of uv that knows these folders of wheels and no index."""
    path = home / "uv.toml"
    path.write_text(f"no-index = true\nfind-links = {json.dumps([str(one) for one in links])}\n")
    return path


@pytest.fixture
def environ(shared: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "UV_CACHE_DIR": str(shared.parent / "cache"),
        "UV_CONFIG_FILE": str(no_index(shared.parent, shared)),
        "UV_HTTP_RETRIES": "0",
        "A_SECRET": "of the platform",
    }


class Site:
    """A folder of environments, an agent's folder, and what was said."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self.home = home
        self.environ = environ
        self.said: list[str] = []
        self.environments = Environments(home / "root", environ=environ)

    def source(self, requirements: str = "", **files: str) -> Path:
        folder = self.home / f"agent{len(list(self.home.glob('agent*')))}"
        folder.mkdir()
        if requirements:
            (folder / "requirements.txt").write_text(requirements)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return folder

    def prepare(self, source: Path, **options: object) -> BuiltEnvironment:
        self.said.clear()
        return asyncio.run(self.environments.prepare(source, self.said.append, **options))  # type: ignore[arg-type]

    def refused(self, requirements: str) -> BuildFailed:
        with pytest.raises(BuildFailed) as caught:
            self.prepare(self.source(requirements))
        assert caught.value.remedy
        assert self.left() == []
        return caught.value

    def left(self) -> list[Path]:
        """What lies in the middle, or was made whole."""
        root = self.home / "root"
        return [*root.glob("building/*"), *root.glob("envs/*")]


@pytest.fixture
def site(tmp_path: Path, environ: dict[str, str]) -> Iterator[Site]:
    yield Site(tmp_path, environ)
    assert list((tmp_path / "root").glob("building/*")) == []


def ask(environment: BuiltEnvironment, code: str) -> str:
    done = subprocess.run([environment.python, *ASK, code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(environment: BuiltEnvironment) -> list[str]:
    return [f"{one.name} {one.version}" for one in environment.packages]


MSGSPEC = f"msgspec {distribution('msgspec').version}"


def test_an_agent_gets_the_kit_and_what_it_asks_for(site: Site) -> None:
    built = site.prepare(site.source("one\n"))
    assert names(built) == [MSGSPEC, "one 1.0", "two 1.0"]
    assert built.packages[1].requires == ("two",)
    assert built.packages[1].license == "MIT"
    assert all(len(one.hashes) == 1 for one in built.packages)
    assert built.lock.count(b"--hash=sha256:") == 3
    assert built.python.parent.parent.parent == site.home / "root" / "envs"
    assert "Building the environment: 3 packages and the kit" in " ".join(site.said)

    assert ask(built, "import one, msgspec, a2a_cloud.agent.main; print(one.SAYS)") == "two 1.0"
    paths = json.loads(ask(built, "import json, sys; print(json.dumps(sys.path))"))
    assert [path for path in paths if "site-packages" in path] == [
        str(next(built.python.parents[1].glob("lib/*/site-packages")))
    ]
    for foreign in (
        "pytest",
        "uv",
        "aiohttp",
        "pip",
        "setuptools",
        "a2a_cloud.surface",
        "a2a_cloud.runtime.pool",
    ):
        found = ask(
            built,
            "import importlib.util as u\n"
            f"try: print(u.find_spec({foreign!r}))\nexcept ImportError: print(None)",
        )
        assert found == "None", foreign
    # Workers run with -B: the bytecode has to be there, and be the one that is used.
    where = ask(built, "import a2a_cloud.agent.session as s; print(s.__cached__); print(s.__file__)").split()
    assert Path(where[0]).is_file()
    assert all(path.startswith(str(built.python.parents[1])) for path in where)


def test_every_module_of_the_kit_can_be_imported(site: Site) -> None:
    built = site.prepare(site.source())
    assert names(built) == [MSGSPEC]
    code = (
        "import a2a_cloud, importlib, pkgutil\n"
        "for one in pkgutil.walk_packages(a2a_cloud.__path__, 'a2a_cloud.'):\n"
        "    if one.name != 'a2a_cloud.wire.json_schema': importlib.import_module(one.name)\n"
        "from a2a_cloud import skill, Agent, Context; print('all')"
    )
    assert ask(built, code) == "all"


def test_a_worker_starts_in_it_soon(site: Site) -> None:
    built = site.prepare(site.source())
    agent = site.source(
        agent_py="from a2a_cloud import skill\n@skill\ndef hi() -> str:\n    '''Say hi.'''\n    return 'hi'\n"
    )
    start_worker(built, agent)
    times = [start_worker(built, agent) for _ in range(3)]
    assert min(times) < 0.25, times


def start_worker(built: BuiltEnvironment, agent: Path) -> float:
    """Seconds from the start of the process to its Ready, as the pool starts it."""
    ours, theirs = socket.socketpair()
    began = time.perf_counter()
    process = subprocess.Popen(
        [built.python, "-I", "-B", "-X", "utf8", "-m", "a2a_cloud.agent.main"],
        env={
            "A2A_WORKER_FD": str(theirs.fileno()),
            "A2A_WORKER_PARENT": str(os.getpid()),
            "HOME": "/nonexistent",
        },
        pass_fds=(theirs.fileno(),),
        cwd=agent,
        start_new_session=True,
    )
    theirs.close()
    with ours:
        ours.settimeout(20)
        hello = Hello(
            protocol=PROTOCOL,
            agent="x",
            release=1,
            folder=str(agent),
            entry="agent.py",
            memory=1 << 30,
            open_files=256,
            concurrency=1,
            log_bytes=1 << 20,
        )
        ours.sendall(encode(hello))
        frames = Frames()
        ready = next(
            frame
            for data in iter(lambda: ours.recv(65536), b"")
            for frame in map(decode_from_worker, frames.feed(data))
        )
        took = time.perf_counter() - began
        assert isinstance(ready, Ready), ready
        ours.sendall(encode(Stop()))
    assert process.wait(20) in (0, -signal.SIGKILL)
    return took


def test_the_second_time_needs_no_uv(site: Site, environ: dict[str, str]) -> None:
    first = site.prepare(site.source("one\n# a comment\n"))
    site.environments = Environments(site.home / "root", uv=Path("/nonexistent/uv"), environ=environ)
    site.prepare(site.source("one"))
    began = time.perf_counter()
    again = site.prepare(site.source("one"))
    assert time.perf_counter() - began < 0.5
    assert again == first
    assert site.environments.find(first.digest) == first
    assert "there already" in site.said[-1]
    given = site.prepare(site.source(first.lock.decode()))
    assert given == first
    project = site.source(pyproject_toml='[project]\nname = "x"\ndependencies = ["one"]\n')
    assert site.prepare(project) == first
    with pytest.raises(BuildFailed, match="has no uv") as caught:
        site.prepare(site.source("two"))
    assert "pip install" in caught.value.remedy


def test_versions_stay_until_an_upgrade(site: Site, tmp_path: Path, shared: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    environ = {**site.environ, "UV_CONFIG_FILE": str(no_index(tmp_path, shared, links))}
    site.environments = Environments(site.home / "root", environ=environ)
    old = site.prepare(site.source("two\n"))
    write_wheel(links, "two", "2.0", {"two.py": b"SAYS = 'two 2.0'\n"})
    assert site.prepare(site.source("two\n")) == old
    more = site.prepare(site.source("one\n"), known_lock=old.lock)
    assert names(more)[1:] == ["one 1.0", "two 1.0"]
    new = site.prepare(site.source("two\n"), upgrade=True, known_lock=old.lock)
    assert names(new)[1:] == ["two 2.0"]
    assert ask(new, "import two; print(two.SAYS)") == "two 2.0"
    assert ask(old, "import two; print(two.SAYS)") == "two 1.0"
    assert site.prepare(site.source("two\n")) == new
    site.prepare(site.source("one<2\n"), known_lock=b"not a lock")
    assert "can't be read" in site.said[0]


def test_nothing_of_a_package_is_run(site: Site) -> None:
    mark = Path("/tmp/a2a-pth-was-run")
    mark.unlink(missing_ok=True)
    built = site.prepare(site.source("sly\n"))
    assert not mark.exists()
    ask(built, "pass")
    assert mark.exists()
    mark.unlink()


def test_what_depends_on_the_kit_gets_the_platforms(site: Site) -> None:
    built = site.prepare(site.source("wants-kit\na2a-cloud\n"))
    assert names(built) == [MSGSPEC, "wants-kit 1.0"]
    assert b"a2a-cloud" not in built.lock


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("nowhere-to-be-found\n", "no package `nowhere-to-be-found`"),
        ("one>=7\n", "one"),
        ("one==7\n", "`one==7`"),
        ("elsewhere\n", "no wheel for Python"),
        ("source-only\n", "no wheel for Python"),
        ("newer\n", "Python"),
        ("linked\n", "depends on a URL"),
        ("msgspec<0.10\n", "together with the kit"),
        ("a2a-cloud>=99\n", "together with the kit"),
        ("two==1.0\ntwo==2.0\n", "two==1.0 and two==2.0"),
        ("two===>1\n", "can't be read"),
        ("two ; python_version >> '3'\n", "can't be read"),
        (f"two==1.0 --hash=sha256:{'0' * 64}\n", "its hash differs"),
        (f"msgspec==0.10.0 --hash=sha256:{'0' * 64}\n", "the kit needs msgspec"),
    ],
)
def test_what_can_not_be_built_says_why(site: Site, requirements: str, words: str) -> None:
    assert words in site.refused(requirements).detail


def test_an_index_that_can_not_be_reached(site: Site) -> None:
    environ = {k: v for k, v in site.environ.items() if k != "UV_CONFIG_FILE"}
    environ |= {
        "UV_DEFAULT_INDEX": "http://me:secret@127.0.0.1:9/simple",
        "UV_CACHE_DIR": str(site.home / "cache"),
    }
    site.environments = Environments(site.home / "root", environ=environ)
    problem = site.refused("six\n")
    assert "can't be reached" in problem.detail
    assert "127.0.0.1:9" in problem.info["log"]
    assert "secret" not in str(problem.info)


def test_no_time_and_no_python(site: Site) -> None:
    site.environments = Environments(site.home / "root", environ=site.environ, timeout=0.01)
    assert "not ready after" in site.refused("two\n").detail
    site.environments = Environments(site.home / "root", environ=site.environ, python=Path("/bin/false"))
    assert "can't be run" in site.refused("two\n").detail


def test_a_folder_that_can_not_be_written(site: Site) -> None:
    (site.home / "file").touch()
    site.environments = Environments(site.home / "file", environ=site.environ)
    with pytest.raises(BuildFailed, match="can't be stored"):
        site.prepare(site.source("two\n"))


def test_several_at_once_are_one(site: Site) -> None:
    async def together() -> list[BuiltEnvironment]:
        sources = [site.source("one\n"), site.source("one"), site.source("# x\none\n"), site.source("two\n")]
        return await asyncio.gather(*(site.environments.prepare(each, site.said.append) for each in sources))

    built = asyncio.run(together())
    assert built[0] == built[1] == built[2] != built[3]
    assert sum(line.startswith("Building") for line in site.said) == 2
    assert sum(line.startswith("Resolving") for line in site.said) == 2


def test_a_build_that_is_cancelled_leaves_nothing(site: Site) -> None:
    async def cancelled(word: str, delay: float) -> None:
        reached = asyncio.Event()
        said: Callable[[str], None] = lambda line: reached.set() if line.startswith(word) else None  # noqa: E731
        task = asyncio.create_task(site.environments.prepare(source, said))
        await asyncio.wait_for(reached.wait(), 20)
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    source = site.source("one\n")
    for word, delay in (("Resolving", 0.0), ("Building", 0.0), ("Building", 0.03), ("Compiling", 0.0)):
        asyncio.run(cancelled(word, delay))
        assert site.left() == []
    assert site.prepare(source)


def test_a_build_that_is_killed_is_not_taken_for_whole(site: Site) -> None:
    source = site.source("one\n")
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom a2a_cloud.runtime.build import Environments\n"
        "say = lambda line: print(line, flush=True)\n"
        "asyncio.run(Environments(Path(sys.argv[1])).prepare(Path(sys.argv[2]), say))"
    )
    for word in ("Building", "Compiling"):
        process = subprocess.Popen(
            [sys.executable, "-c", code, site.home / "root", source],
            env={**site.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout:
            assert any(line.startswith(word) for line in process.stdout)
            process.kill()
            process.wait()
        assert list((site.home / "root" / "envs").glob("*")) == []
        if word == "Compiling":
            assert list((site.home / "root" / "building").iterdir()) != []
    time.sleep(0.3)  # What the killed process had started ends by itself.
    assert names(site.prepare(source))[1:] == ["one 1.0", "two 1.0"]


def test_removing_and_building_again(site: Site) -> None:
    source = site.source("two\n")
    built = site.prepare(source)
    asyncio.run(site.environments.remove(built.digest))
    assert site.environments.find(built.digest) is None
    assert site.left() == []
    assert site.prepare(source) == built
    built.python.unlink()  # The platform's Python moved away.
    assert site.environments.find(built.digest) is None
    assert site.prepare(source) == built


@contextlib.contextmanager
def index(links: Path) -> Iterator[str]:
    """A package index over HTTP, with hashes, of the wheels in a folder."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            body, media = b"", "text/html"
            if kind == "simple":
                for one in sorted(links.glob(f"{name.replace('-', '_')}-*.whl")):
                    digest = hashlib.sha256(one.read_bytes()).hexdigest()
                    body += f'<a href="/files/{one.name}#sha256={digest}">{one.name}</a>\n'.encode()
            elif (links / name).is_file():
                body, media = (links / name).read_bytes(), "application/octet-stream"
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 (the library names it)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


def lock_with_uv(environ: dict[str, str], folder: Path) -> None:
    command = [uv.find_uv_bin(), "lock", "-q", "--python", sys.executable]
    subprocess.run(command, cwd=folder, env={**environ, "HOME": str(folder)}, check=True)


@pytest.mark.parametrize("hashes", [True, False])
def test_a_lock_of_uv_is_what_counts(site: Site, shared: Path, hashes: bool) -> None:
    with contextlib.ExitStack() as stack:
        environ = site.environ
        if hashes:
            environ = {k: v for k, v in environ.items() if k != "UV_CONFIG_FILE"}
            environ |= {"UV_DEFAULT_INDEX": stack.enter_context(index(shared)), "HOME": str(site.home)}
            site.environments = Environments(site.home / "root", environ=environ)
        text = '[project]\nname = "my-agent"\nversion = "0"\nrequires-python = ">=3.11"\n'
        text += 'dependencies = ["one"]\n'
        folder = site.source(pyproject_toml=text + '[dependency-groups]\ndev = ["sly"]\n')
        lock_with_uv(environ, folder)
        assert ("hash = " in (folder / "uv.lock").read_text()) is hashes
        built = site.prepare(folder)
        assert names(built) == [MSGSPEC, "one 1.0", "two 1.0"]
        assert ("without a hash" in " ".join(site.said)) is not hashes
        assert site.prepare(folder) == built
        assert "as before" in " ".join(site.said)
        (folder / "pyproject.toml").write_text(text.replace('"one"', '"one", "sly"'))
        with pytest.raises(BuildFailed, match=r"`sly` is not in it") as caught:
            site.prepare(folder)
        assert "uv lock" in caught.value.remedy


def test_from_the_index_that_everybody_uses(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.settimeout(3)
        try:
            probe.connect(("pypi.org", 443))
        except OSError:
            pytest.skip("PyPI can't be reached from here")
    site = Site(tmp_path, dict(os.environ))
    built = site.prepare(site.source("six==1.17.0\n"))
    assert names(built)[-1] == "six 1.17.0"
    assert built.packages[-1].hashes == (
        "sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
    )
