"""`a2a dev`: what it shows of a save, its prompt, and the life of the platform that it starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.callers.cli.dev import agent_name, free_port
from a2a_cloud.callers.cli.dev_prompt import Skills, complete
from a2a_cloud.callers.cli.dev_screen import Screen, broken, findings, locate, reloaded

AGENT = '''
from typing import Literal

from a2a_cloud import Context, File, skill


@skill
def greet(name: str, times: int = 1) -> str:
    """Greet somebody."""
    print("greeting", name)
    return "Hello " + name * times


@skill
async def advise(ctx: Context, topic: str) -> str:
    """Ask, then advise."""
    await ctx.progress("reading", 40, "the law")
    law = await ctx.ask("Which law?", Literal["Delaware", "England"])
    return f"{topic} under {law}"


@skill
def law(kind: Literal["civil", "common"], sure: bool = True, document: File | None = None) -> str:
    """Name a law."""
    return kind
'''


def described() -> Skills:
    skills = Skills("bistro")
    law = {
        "properties": {
            "kind": {"enum": ["civil", "common"]},
            "sure": {"type": "boolean", "default": True},
            "speed": {"$ref": "#/$defs/Speed"},
        },
        "required": ["kind"],
        "$defs": {"Speed": {"enum": ["fast", "slow"]}},
    }
    greet = {"properties": {"name": {"type": "string"}, "times": {"type": "integer"}}, "required": ["name"]}
    skills.take(
        {
            "skills": [
                {"id": "greet", "input_schema": greet},
                {"id": "law", "input_schema": law, "files": [{"name": "document", "required": True}]},
            ]
        }
    )
    return skills


@pytest.mark.parametrize(
    ("before", "word", "wanted"),
    [
        ("", "g", ["greet "]),
        ("", "", ["greet ", "law ", "? ", "help ", "lint "]),
        ("? ", "l", ["law "]),
        ("", "l", ["law ", "lint "]),
        ("greet ", "", ["name=", "times:="]),
        ("greet name=Ada ", "", ["times:="]),
        ("law ", "k", ["kind="]),
        ("law ", "d", ["document=@"]),
        ("law ", "kind=c", ["kind=civil ", "kind=common "]),
        ("law ", "speed=s", ["speed=slow "]),
        ("law ", "sure:=t", ["sure:=true "]),
        ("nothing ", "", []),
    ],
)
def test_completion(before: str, word: str, wanted: list[str]) -> None:
    assert complete(described(), before, word) == wanted


def test_completion_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lease.pdf").touch()
    (tmp_path / "letters").mkdir()
    assert complete(described(), "law ", "document=@le") == ["document=@lease.pdf", "document=@letters/"]


def test_what_a_call_needs() -> None:
    skills = described()
    assert skills.required("law") == {"document", "kind"}
    assert skills.required("nothing") == set()


TRACE = """Traceback (most recent call last):
  File "/opt/python/site-packages/a2a_cloud/agent/main.py", line 90, in load
  File "/data/.a2a/dev/releases/3-ab12/agent.py", line 2, in <module>
    from inner.sums import add
  File "/data/.a2a/dev/releases/3-ab12/inner/sums.py", line 3, in <module>
    return 1 +
SyntaxError: invalid syntax"""


def test_an_error_names_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "agent.py").write_text("import x\nfrom inner.sums import add\n")
    (tmp_path / "inner" / "sums.py").write_text("def add():\n    # \x1b[2J\n    return 1 +\n")
    assert locate(TRACE.splitlines(), tmp_path) == ("inner/sums.py", 3)
    event = {
        "code": "start_failed",
        "detail": "The agent can't be loaded.",
        "remedy": "Mend inner/sums.py.",
        "lines": TRACE.splitlines(),
    }
    lines = "\n".join(broken(Screen(), event, tmp_path, 2))
    assert "✗ The agent can't be loaded. (start_failed)" in lines
    assert "inner/sums.py:3  SyntaxError: invalid syntax" in lines
    assert "    3 ›     return 1 +" in lines
    assert "→ Mend inner/sums.py." in lines
    assert "Release 2 goes on serving." in lines
    assert "\x1b" not in lines
    assert "Nothing serves yet" in broken(Screen(), event, tmp_path, 0)[-1]


def test_an_error_without_a_frame_shows_the_log(tmp_path: Path) -> None:
    event = {"code": "no_skill", "detail": "The agent has no skill.", "lines": ["one", "two"]}
    lines = broken(Screen(), event, tmp_path, 1)
    assert lines[:3] == ["✗ The agent has no skill. (no_skill)", "  │ one", "  │ two"]


def test_a_reload_names_what_changed() -> None:
    event = {
        "release": 3,
        "ms": 212,
        "skills": ["greet", "new"],
    }
    assert reloaded(Screen(), event, ["greet", "old"]) == [
        "✓ release 3 serves in 212 ms",
        "  skills +new -old",
    ]


def test_findings_are_told_once_and_many_are_counted() -> None:
    found = [
        {"code": "no_example", "skill": name, "detail": "It has no example.", "remedy": "Add one."}
        for name in ("one", "two", "three", "four")
    ]
    assert findings(Screen(), found[:1], []) == ["  ! one: It has no example.", "    Add one."]
    assert findings(Screen(), found, found[1:]) == ["  ! one: It has no example.", "    Add one."]
    assert findings(Screen(), found, []) == [
        "  ! The card could say more: 4 findings on 4 skills. `lint` lists them."
    ]
    assert findings(Screen(), found, found) == []


def test_a_taken_port_falls_to_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) == 0
    assert free_port("127.0.0.1", port) == port
    assert free_port("127.0.0.1", 0) == 0


def test_the_name_in_a_manifest(tmp_path: Path) -> None:
    assert agent_name(tmp_path) == ""
    (tmp_path / "pyproject.toml").write_text('[tool.a2a]\nname = "one"\n')
    assert agent_name(tmp_path) == "one"
    (tmp_path / "a2a.toml").write_text("name = broken")
    assert agent_name(tmp_path) == "one"
    (tmp_path / "a2a.toml").write_text('name = "two"')
    assert agent_name(tmp_path) == "two"


# --- the whole command ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bistro"
    made.mkdir()
    (made / "a2a.toml").write_text('name = "bistro"\nentry = "agent"\nversion = "1.4.0"\n')
    (made / "agent.py").write_text(AGENT)
    return made


def environment(folder: Path) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    home = folder.parent
    return env | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "TERM": "dumb"}


class Started:
    """`a2a dev --json` in a pipe: its events as they come."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self.folder = folder
        self._passed: list[dict[str, Any]] = []
        with (folder.parent / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "a2a_cloud.callers.cli", "dev", str(folder), "--json", *words],
                env=environment(folder) | env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def event(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that fits, of those that were not asked for yet."""
        for document in self._passed:
            if fits(document):
                self._passed.remove(document)
                return document
        assert self.process.stdout is not None
        for line in self.process.stdout:
            document = json.loads(line)
            if fits(document):
                return document
            self._passed.append(document)
        pytest.fail(f"{self._passed}\n{(self.folder.parent / 'stderr').read_text()}")

    def ready(self) -> dict[str, Any]:
        return self.event(lambda each: each["event"] == "ready")

    def platform(self) -> int:
        """The platform's process id."""
        return int(json.loads((self.folder / ".a2a" / "dev" / "server.json").read_text())["pid"])


@pytest.fixture
def dev(folder: Path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def start(*words: str, **env: str) -> Started:
        started.append(Started(folder, *words, **env))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait(30)
        assert each.process.stdout is not None
        each.process.stdout.close()


def gone(pid: int) -> bool:
    """Whether a process ends within ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def call(ready: dict[str, Any], key: str, skill: str, **arguments: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310
        f"{ready['agent_url']}/invoke/{skill}",
        json.dumps(arguments).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_in_a_pipe_it_tells_json_and_ctrl_c_ends_both(dev: Callable[..., Started]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        started = dev("--port", str(taken.getsockname()[1]))
        assert started.event(lambda _: True)["event"] == "port_taken"
        ready = started.ready()
    assert (ready["agent"], ready["version"]) == ("bistro", "1.4.0")
    assert ready["skills"] == ["greet", "advise", "law"]
    key = Path(ready["key_file"]).read_text().strip()
    assert ready["dev_url"] == f"{ready['url']}/_dev#key={key}"
    assert call(ready, key, "greet", name="Ada") == "Hello Ada"
    log = started.event(lambda each: each["event"] == "log")
    assert log["line"] == "greeting Ada"
    run = started.event(lambda each: each["event"] == "run" and each["kind"] == "result")
    assert (run["skill"], run["data"]) == ("greet", {"value": "Hello Ada"})
    pid = started.platform()
    started.process.send_signal(signal.SIGINT)
    assert started.event(lambda each: each["event"] == "stopped")
    assert started.process.wait(30) == 0
    assert gone(pid)


def test_a_save_is_served_and_a_broken_one_told(dev: Callable[..., Started], folder: Path) -> None:
    started = dev("--port", "0")
    ready = started.ready()
    key = Path(ready["key_file"]).read_text().strip()
    agent = folder / "agent.py"
    agent.write_text(AGENT.replace("Hello ", "Good day "))
    event = started.event(lambda each: each["event"] == "reloaded")
    assert event["release"] == ready["release"] + 1
    assert call(ready, key, "greet", name="Ada") == "Good day Ada"
    agent.write_text(AGENT.replace("def greet(", "def greet(("))
    event = started.event(lambda each: each["event"] == "broken")
    assert event["remedy"]
    assert locate([event["detail"], *event["lines"]], folder) == ("agent.py", 8)
    assert call(ready, key, "greet", name="Ada") == "Good day Ada"


def test_a_folder_that_is_broken_from_the_start_is_served_once_mended(
    dev: Callable[..., Started], folder: Path
) -> None:
    (folder / "agent.py").write_text("import nothing_of_that_name\n")
    started = dev("--port", "0")
    listening = started.event(lambda each: each["event"] == "listening")
    assert listening["release"] == 0
    assert "nothing_of_that_name" in json.dumps(started.event(lambda each: each["event"] == "broken"))
    (folder / "agent.py").write_text(AGENT)
    event = started.event(lambda each: each["event"] in ("ready", "reloaded"))
    key = Path(listening["key_file"]).read_text().strip()
    assert call(listening, key, "greet", name="Ada") == "Hello Ada"
    assert event["skills"] == ["greet", "advise", "law"]


def test_the_platform_dies_with_the_command(dev: Callable[..., Started]) -> None:
    started = dev("--port", "0")
    started.ready()
    pid = started.platform()
    started.process.kill()
    assert gone(pid)


def test_a_platform_that_ends_by_itself_is_told(dev: Callable[..., Started]) -> None:
    started = dev("--port", "0")
    started.ready()
    os.kill(started.platform(), signal.SIGKILL)
    assert started.event(lambda each: "error" in each)["error"]["code"] == "platform_ended"
    assert started.process.wait(30) == 1


def test_no_agent_is_a_usage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", "dev", str(tmp_path)],
        env=environment(tmp_path / "x"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, "no a2a.toml" in done.stderr) == (2, True)


class Terminal:
    """`a2a dev` on a terminal of its own (`pty.spawn` in between)."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "a2a_cloud.callers.cli", "dev", str(folder), "--port", "0"]
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)", *words],
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def type(self, keys: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys.encode())
        self.process.stdin.flush()

    def shows(self, words: str) -> None:
        """Reads on until these words came, after those that were waited for before."""
        assert self.process.stdout is not None
        while words not in self.shown:
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            assert piece, f"{words!r} did not come: {self.shown}"
            self.shown += piece.decode("utf-8", "replace")
        self.shown = self.shown.partition(words)[2]


def test_the_prompt(folder: Path) -> None:
    terminal = Terminal(folder)
    try:
        terminal.shows("bistro 1.4.0 · release 1")
        terminal.shows("/_dev#key=")
        terminal.shows("bistro> ")
        terminal.type("gr\tna\tAda times:=2\n")
        terminal.shows("Hello AdaAda")
        terminal.shows("completed")
        terminal.shows("bistro> ")
        terminal.type("advise topic=tea\n")
        terminal.shows("reading 40 %: the law")
        terminal.shows("Which law?")
        terminal.shows("(1–2): ")
        terminal.type("2\n")
        terminal.shows("tea under England")
        terminal.shows("bistro> ")
        terminal.type("gret name=x\n")
        terminal.shows("Did you mean greet?")
        terminal.type("greet nam=x\n")
        terminal.shows("invalid_params")
        terminal.type("lint\n")
        terminal.shows("advise: ")
        terminal.type("?\n")
        terminal.shows("law kind=… [document=@…] [sure:=…]")
        terminal.shows("bistro> ")
        terminal.type("greet na")
        terminal.shows("greet na")
        (folder / "agent.py").write_text(AGENT.replace("Hello ", "Good day "))
        terminal.shows("✓ release 2 serves in ")
        terminal.shows("bistro> greet na")  # what was being typed is still there
        terminal.type("me=Bo\n")
        terminal.shows("Good day Bo")
        terminal.shows("bistro> ")
        (folder / "agent.py").write_text(AGENT.replace("def greet(", "def greet(("))
        terminal.shows("agent.py:8")
        terminal.shows("Release 2 goes on serving.")
        terminal.type("\x03")
        assert terminal.process.wait(30) == 0
    finally:
        if terminal.process.poll() is None:
            os.killpg(terminal.process.pid, signal.SIGKILL)
            terminal.process.wait(10)
        for stream in (terminal.process.stdin, terminal.process.stdout):
            assert stream is not None
            stream.close()
