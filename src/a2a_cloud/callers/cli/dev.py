"""`a2a dev`: one agent on a platform of its own that takes each save, with a page, a prompt, every event."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

import click

from a2a_cloud.callers.cli.dev_prompt import Prompt, Skills
from a2a_cloud.callers.cli.dev_screen import Screen, broken, findings, reloaded
from a2a_cloud.callers.cli.dev_watch import Watch
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, json_option, with_options
from a2a_cloud.callers.cli.terminal import clean_line
from a2a_cloud.callers.cli.up import APP, check_folders
from a2a_cloud.client.profile import Target
from a2a_cloud.client.shapes import items, obj, objs, text

#: Seconds that a platform gets to drain (10 of them are its calls') before it is ended.
DRAIN = 20.0
_PR_SET_PDEATHSIG = 1


def agent_name(folder: Path) -> str:
    """The name in the folder's manifest; "" when it says none that can be read (the platform tells why)."""
    for name, keys in (("a2a.toml", ()), ("pyproject.toml", ("tool", "a2a"))):
        try:
            found: Any = tomllib.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        for key in keys:
            found = obj(found).get(key)
        if obj(found).get("name"):
            return text(obj(found).get("name"))
    return ""


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or 0 (a free one) when somebody listens there already."""
    if wanted == 0:
        return 0
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        # What else can be wrong with an address, the platform says in its own words.
        return 0 if error.errno == errno.EADDRINUSE else wanted
    return wanted


def _dies_with(parent: int) -> Callable[[], None]:
    """What a child does before it becomes the platform: it is killed when we die, however that comes."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def arrange() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return arrange


class Dev:
    """One session: the platform as a child, and what it tells."""

    def __init__(self, screen: Screen, folder: Path, data: Path) -> None:
        self.screen = screen
        self.folder = folder
        self.data = data
        self.skills = Skills(agent=agent_name(folder))
        self.release = 0
        self.over = threading.Event()
        self.stopping = False
        self.died = False
        self.watch: Watch | None = None
        self.prompting = False
        self.process: subprocess.Popen[str] | None = None
        self._first: dict[str, Any] = {}
        self._answered = threading.Event()
        self._served: list[str] = []
        self._threads: list[threading.Thread] = []

    def start(self, environment: dict[str, str]) -> None:
        """Start the platform."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", APP, str(self.folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is ours to pass on, once
            preexec_fn=_dies_with(os.getpid()),  # no thread runs yet
        )
        self._thread(lambda: self._read(cast("IO[str]", self.process and self.process.stdout), self._told))
        self._thread(lambda: self._read(cast("IO[str]", self.process and self.process.stderr), self._said))
        self._thread(self._wait)

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _read(self, stream: IO[str], take: Callable[[str], None]) -> None:
        for line in stream:
            take(line.rstrip("\n"))

    def _wait(self) -> None:
        assert self.process is not None
        self.process.wait()
        self.died = not self.stopping
        self.over.set()
        self._answered.set()
        main = threading.main_thread().ident
        if self.prompting and main is not None:
            signal.pthread_kill(main, signal.SIGTERM)  # the prompt waits for a line that nobody needs now

    def _told(self, line: str) -> None:
        """A line of the platform's standard output: an event, or words."""
        try:
            event: Any = json.loads(line)
        except ValueError:
            return self._said(line)
        known = obj(event)
        kind = known.get("event")
        if kind in ("ready", "broken") and not self._answered.is_set():
            self._first = known
            self._answered.set()  # `announce` tells it, after the addresses
        elif kind in ("ready", "reloaded"):
            self._reloaded(known)
        elif kind == "broken":
            self._broken(known)
        else:
            self._said(line)
        return None

    def _broken(self, event: dict[str, Any]) -> None:
        self.screen.tell(event, *broken(self.screen, event, self.folder, self.release))

    def _said(self, line: str) -> None:
        if not line.strip() or " INFO " in line:
            return
        self.screen.tell(
            {"event": "platform", "line": line}, self.screen.style("dim", clean_line(f"  {line}"))
        )

    def _reloaded(self, event: dict[str, Any]) -> None:
        found = objs(event.get("findings"))
        lines = reloaded(self.screen, event, self._served)
        lines += findings(self.screen, found, self.skills.findings)
        self.skills.findings = found
        self._served = [text(each) for each in items(event.get("skills"))]
        self.release = int(event.get("release") or 0)
        self.screen.tell(event, *lines)
        if self.watch is not None:
            self.watch.changed(self.release)

    def url(self) -> str:
        """The platform's address, once it listens and has served the folder or refused it.

        Raises Failure when it ended instead.
        """
        if not self._answered.wait(1.0):
            self.screen.tell({"event": "building"}, self.screen.style("dim", "Building the environment…"))
            self._answered.wait()
        if self._first:
            with contextlib.suppress(OSError, ValueError):
                return text(obj(json.loads((self.data / "server.json").read_text("utf-8"))).get("url"))
        code = None if self.process is None else self.process.returncode
        self.join()
        raise Failure(
            Exit.FAILED,
            f"The platform ended with {code} before it listened.",
            remedy="Its last lines, above, say why.",
            code="start_failed",
        )

    def announce(self, url: str, key: str, described: dict[str, Any]) -> None:
        """Tell where everything is."""
        style, name = self.screen.style, self.skills.agent
        self.release = int(described.get("release") or 0)
        self.skills.take(described)
        self._served = self.skills.names()
        document: dict[str, Any] = {
            "event": "ready" if self.release else "listening",
            "agent": name,
            "release": self.release,
            "version": text(described.get("version")),
            "url": url,
            "agent_url": f"{url}/agents/{name}",
            "dev_url": f"{url}/_dev#key={key}",
            "key_file": str(self.data / "admin.key"),
            "skills": self._served,
        }
        lines: list[str] = []
        if self.release:
            lines.append(style("bold", clean_line(f"{name} {document['version']} · release {self.release}")))
            lines.append(f"  skills  {clean_line(', '.join(self._served) or 'none')}")
        lines += [
            f"  agent   {document['agent_url']}",
            "  page    " + style("accent", document["dev_url"]),
            f"  shell   export A2A_URL={url} A2A_KEY=$(cat {document['key_file']})",
            style(
                "dim",
                "  Not isolated: it runs as a process with limits, not in a cage. Each save is served.",
            ),
        ]
        if self._first.get("event") == "ready":
            self.skills.findings = objs(self._first.get("findings"))
            lines += findings(self.screen, self.skills.findings, [])
        self.screen.tell(document, *lines)
        if self._first.get("event") == "broken":
            self._broken(self._first)

    def follow(self, watch: Watch) -> None:
        """Show what happens, from now on."""
        self.watch = watch
        watch.changed(self.release)
        self._thread(watch.run)

    def stop(self) -> None:
        """Ctrl-C for the platform, and wait until it is gone; a second Ctrl-C ends it at once."""
        self.stopping = True
        if self.watch is not None:
            self.watch.stop()
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(DRAIN)
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                process.kill()
                process.wait()
        self.join()

    def join(self) -> None:
        """Wait for what was still to be told."""
        for thread in self._threads:
            thread.join(5)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """A signal that ends us as Ctrl-C does, from wherever the main thread is."""
        self.stopping = True
        raise KeyboardInterrupt


def _describe(target: Target, name: str) -> dict[str, Any]:
    """The agent as the platform describes it; {} while it serves none."""
    import asyncio

    from a2a_cloud.client.errors import ServerProblem
    from a2a_cloud.client.http import Platform, agent_path

    async def talk() -> dict[str, Any]:
        async with Platform(target) as platform:
            try:
                return obj(await platform.json("GET", f"/api/v1{agent_path(name)}"))
            except ServerProblem as problem:
                if problem.status == 404:
                    return {}
                raise

    return asyncio.run(talk())


def _environment(dev: Dev, port: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    host = environment.get("A2A_HOST") or "127.0.0.1"
    given = environment.get("A2A_PORT", "")
    wanted = port if port is not None else int(given) if given.isascii() and given.isdigit() else 8080
    free = free_port(host, wanted)
    if free != wanted:
        words = f"Port {wanted} is taken, so a free one is used."
        dev.screen.tell({"event": "port_taken", "port": wanted}, dev.screen.style("warn", words))
    return environment | {
        "A2A_DEV": "1",
        "A2A_DATA": str(dev.data),
        "A2A_PORT": str(free),
        "PYTHONUNBUFFERED": "1",
    }


@click.command("dev")
@json_option
@with_options
@click.argument("folder", default=".", metavar="[FOLDER]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on (A2A_PORT, 8080); 0: a free one."
)
@click.option("--data", default="", metavar="DIR", help="Folder for its data (A2A_DATA, FOLDER/.a2a/dev).")
def dev_command(options: Options, folder: str, port: int | None, data: str) -> int:
    """Serve the agent in FOLDER (this one), and again after each save.

    At the prompt, call a skill as `a2a call` does: SKILL name=value. ? lists them. Ctrl-C ends.
    """
    (agent,) = check_folders((folder,))
    if importlib.util.find_spec(APP) is None or importlib.util.find_spec("uvicorn") is None:
        raise Failure(
            Exit.FAILED,
            "The platform is not installed here, only its command line.",
            remedy="pip install 'a2a-cloud[platform]'",
        )
    agent = agent.absolute()
    where = Path(data or os.environ.get("A2A_DATA") or agent / ".a2a" / "dev").expanduser().absolute()
    dev = Dev(Screen(as_json=options.json), agent, where)
    began = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, dev.interrupt)
    try:
        dev.start(_environment(dev, port))
        _session(dev, began)
    except KeyboardInterrupt:
        if not dev.screen.as_json:
            print(flush=True)
    finally:
        dev.stop()
    if dev.died and dev.process is not None:
        raise Failure(
            Exit.FAILED,
            f"The platform ended by itself, with {dev.process.returncode}.",
            remedy="Its last lines, above, say why; start it again: a2a dev",
            code="platform_ended",
        )
    dev.screen.tell({"event": "stopped"})
    return int(Exit.OK)


def _session(dev: Dev, began: str) -> None:
    url = dev.url()
    key = (dev.data / "admin.key").read_text("utf-8").strip()
    target = Target(url, key)
    dev.announce(url, key, _describe(target, dev.skills.agent))
    options = Options(url=url, key=key)
    prompt = Prompt(dev.screen, dev.skills, options, dev.data / "prompt_history")

    def mine(run_id: str) -> bool | None:
        calling = prompt.calling
        if run_id in prompt.own or (calling is not None and calling.run_id == run_id):
            return True
        return None if calling is not None and not calling.run_id else False

    dev.follow(Watch(dev.screen, target, dev.skills.agent, began, mine=mine, describe=dev.skills.take))
    if dev.screen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        dev.over.wait()
        return
    dev.prompting = True
    try:
        prompt.loop(lambda: dev.stopping or dev.over.is_set())
    finally:
        dev.prompting = False
