"""`a2a` against a real platform that `a2a up` started: a user's session, from a call to a checked receipt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AGENT = '''
from __future__ import annotations

from a2a_cloud import Context, File, Refuse, skill


@skill
def say(name: str, times: int = 1) -> dict:
    """Say a name."""
    print("saying", name)
    return {"said": name * times}


@skill
async def write(ctx: Context, topic: str) -> str:
    await ctx.progress("writing", 50, "half of it")
    await ctx.text("about ")
    await ctx.text(topic)
    await ctx.artifact("report.md", "# " + topic, media_type="text/markdown")
    return "about " + topic


@skill
async def law(ctx: Context) -> str:
    schema = {"type": "object", "properties": {"law": {"enum": ["DE", "NY"]}}, "required": ["law"]}
    first = await ctx.ask("Which law?", schema)
    sure = await ctx.ask("Sure?", {"type": "boolean"})
    return f"{first['law']} {sure}"


@skill
def count(doc: File, more: File | None = None, note: str = "") -> dict:
    with doc.open() as file:
        size = sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b""))
    return {"size": size, "name": doc.name, "more": more.name if more else None, "note": note}


@skill
async def wait(ctx: Context) -> str:
    await ctx.progress("waiting")
    await ctx.sleep(600)
    return "late"


@skill
def refuse() -> str:
    raise Refuse("I won't.")


@skill
def fail() -> str:
    raise ValueError("broken")
'''


@dataclass
class Served:
    """A running platform and the environment in which `a2a` finds it."""

    process: subprocess.Popen[str]
    folder: Path
    env: dict[str, str]
    url: str = ""
    said: list[str] = field(default_factory=list)

    def a2a(self, *words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
            input=stdin,
            env={**self.env, **env},
            cwd=self.folder / "elsewhere",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def document(self, *words: str, code: int = 0, **env: str) -> Any:
        """The one JSON document of a command with --json."""
        done = self.a2a(*words, "--json", **env)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "agent").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "agent" / "a2a.toml").write_text('name = "echo"\nentry = "agent"\n')
    (folder / "agent" / "agent.py").write_text(AGENT)
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    env |= {"XDG_CONFIG_HOME": str(folder / "config"), "PYTHONPATH": str(ROOT / "src")}
    words = ["-m", "a2a_cloud.callers.cli", "up", "--port", "0", "--data", str(folder / "data")]
    with (folder / "up.log").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT, text=True
        )
    one = Served(process, folder, env)
    try:
        deadline = time.monotonic() + 60
        while (
            not (folder / "data" / "server.json").exists() or "is up" not in (folder / "up.log").read_text()
        ):
            assert process.poll() is None, (folder / "up.log").read_text()
            assert time.monotonic() < deadline, (folder / "up.log").read_text()
            time.sleep(0.05)
        one.url = json.loads((folder / "data" / "server.json").read_text())["url"]
        yield one
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (folder / "up.log").read_text()  # Ctrl-C drains
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_the_profile_finds_the_platform_from_any_folder(served: Served) -> None:
    agents = served.document("ls")["agents"]
    assert [agent["name"] for agent in agents] == ["echo"]
    assert "say" in served.a2a("ls").stdout
    assert "a2a call echo count doc=@FILE" in served.a2a("show", "echo").stdout
    key = (served.folder / "data" / "admin.key").read_text().strip()
    nothing = {"XDG_CONFIG_HOME": str(served.folder / "none")}
    assert served.a2a("runs", **nothing).returncode == 3
    assert served.a2a("runs", **nothing, A2A_DATA=str(served.folder / "data")).returncode == 0
    assert served.a2a("runs", **nothing, A2A_URL=served.url, A2A_KEY=key).returncode == 0
    assert served.a2a("runs", **nothing, A2A_URL=served.url).returncode == 4
    assert served.a2a("runs", A2A_KEY="nonsense").returncode == 4


def test_call(served: Served) -> None:
    done = served.a2a("call", "echo", "say", "name=Ada", "times:=2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"said": "AdaAda"}
    assert "receipt rcpt_" in done.stderr
    document = served.document("call", "echo", "say", "name=@-")
    assert document["result"] == {"said": ""}
    assert document["state"] == "completed"
    again = [served.document("call", "echo", "say", "name=B", "--key", "once")["run_id"] for _ in range(2)]
    assert again[0] == again[1]
    conflict = served.a2a("call", "echo", "say", "name=C", "--key", "once")
    assert (conflict.returncode, "idempotency_conflict" in conflict.stderr) == (2, True)


def test_stream_and_artifacts(served: Served) -> None:
    done = served.a2a("call", "echo", "write", "topic=rain", "--stream", "--out", "out")
    assert (done.returncode, done.stdout) == (0, "about rain\n"), done.stderr
    assert (served.folder / "elsewhere" / "out" / "report.md").read_text() == "# rain"
    lines = served.a2a("call", "echo", "write", "topic=rain", "--stream", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [e["event"] for e in events if e["event"] in ("progress", "artifact", "result")] == [
        "progress",
        "artifact",
        "result",
    ]
    assert "".join(e["data"]["delta"] for e in events if e["event"] == "text") == "about rain"
    assert events[-1]["data"]["state"] == "completed"
    assert events[-1]["data"]["receipt_id"].startswith("rcpt_")


def test_files(served: Served) -> None:
    folder = served.folder / "elsewhere"
    (folder / "big ß.bin").write_bytes(b"x" * 20_000_000)
    (folder / "small.md").write_text("# small")
    (folder / "data.json").write_text("{}")
    result = served.document("call", "echo", "count", "doc=@big ß.bin", "note=ünï=1&2")["result"]
    assert result == {"size": 20_000_000, "name": "big ß.bin", "more": None, "note": "ünï=1&2"}
    result = served.document("call", "echo", "count", "doc=@small.md", "more=@data.json")["result"]
    assert (result["name"], result["more"]) == ("small.md", "data.json")
    assert served.document("call", "echo", "count", "doc=@data.json")["result"]["size"] == 2
    assert served.a2a("call", "echo", "count", "doc=@-", stdin="12345").stdout.count('"size": 5') == 1
    assert served.document("call", "echo", "say", "name=@small.md")["result"] == {"said": "# small"}
    done = served.a2a("call", "echo", "count", "doc=@big ß.bin", "more=@small.md")
    assert (done.returncode, "11 MB" in done.stderr) == (2, True)


def test_question_and_answer(served: Served) -> None:
    done = served.a2a("call", "echo", "law")
    assert done.returncode == 6
    assert "Which law?" in done.stderr
    command = next(line for line in done.stderr.splitlines() if "a2a answer" in line).split()[1:]
    second = served.document(*command, code=6)
    assert second["question"]["text"] == "Sure?"
    assert served.a2a("answer", second["task_id"], "maybe").returncode == 2
    final = served.document("answer", second["task_id"], "yes")
    assert final["result"] == "DE True"
    assert served.a2a("answer", second["task_id"], "yes").returncode == 2
    assert served.a2a("answer", "task_nobody", "yes").returncode == 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("call", "echo", "refuse"), 1, "I won't."),
        (("call", "echo", "fail"), 1, "skill_failed"),
        (("call", "echo", "nothing"), 5, "skill_not_found"),
        (("call", "nobody", "say"), 5, "agent_not_found"),
        (("call", "echo", "say"), 2, "name"),
        (("call", "echo", "say", "name:=5"), 2, "string"),
        (("runs", "run_nobody"), 5, "run_not_found"),
        (("cancel", "task_nobody"), 5, "task_not_found"),
        (("logs", "nobody"), 5, "agent_not_found"),
        (("keys", "revoke", "nobody"), 5, ""),
    ],
)
def test_exit_codes(served: Served, words: tuple[str, ...], code: int, said: str) -> None:
    done = served.a2a(*words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_async_cancel_runs_and_logs(served: Served) -> None:
    begun = served.document("call", "echo", "wait", "--async")
    assert served.a2a("call", "echo", "wait", "--timeout", "0.5").returncode == 10
    assert served.a2a("cancel", begun["task_id"]).returncode == 0
    waiting = served.document("runs", "--agent", "echo", "--limit", "1")["runs"][0]
    assert served.a2a("cancel", waiting["id"]).returncode == 0
    assert served.document("runs", begun["run_id"])["state"] == "canceled"
    states = {run["id"]: run["state"] for run in served.document("runs", "--state", "canceled")["runs"]}
    assert states[begun["run_id"]] == states[waiting["id"]] == "canceled"
    assert served.document("runs", "--dead")["runs"] == []
    run = served.document("call", "echo", "say", "name=Grace")["run_id"]
    assert served.document("runs", "last")["id"] == run
    assert "saying Grace" in served.a2a("logs", run, "-f").stdout
    assert "saying Grace" in served.a2a("logs", "echo").stdout


def test_receipt_is_checked_with_the_server_off(served: Served) -> None:
    folder = served.folder / "elsewhere"
    run = served.document("call", "echo", "say", "name=Ada")["run_id"]
    assert served.a2a("receipt", "get", run, "--out", "r.json").returncode == 0
    raw = (folder / "r.json").read_bytes()
    assert served.a2a("receipt", "get", run).stdout.strip().encode() == raw.strip()
    import urllib.request

    with urllib.request.urlopen(f"{served.url}/.well-known/jwks.json") as answer:  # noqa: S310
        (folder / "jwks.json").write_bytes(answer.read())
    off = {"A2A_URL": "http://127.0.0.1:9"}
    good = served.a2a("receipt", "verify", "r.json", "--key", "jwks.json", **off)
    assert (good.returncode, good.stdout.startswith("valid")) == (0, True)
    assert served.a2a("receipt", "verify", "r.json", **off).returncode == 7
    for place in (10, len(raw) // 2, len(raw) - 10):
        (folder / "bad.json").write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert served.a2a("receipt", "verify", "bad.json", "--key", "jwks.json", **off).returncode == 8


def test_two_owners(served: Served) -> None:
    made = served.document("keys", "create", "--principal", "alice", "--org", "default", "--label", "test")
    alice = {"A2A_KEY": made["key"]}
    run = served.document("call", "echo", "say", "name=Alice", **alice)["run_id"]
    assert [each["id"] for each in served.document("runs", **alice)["runs"]] == [run]
    mine = served.document("runs", "--limit", "2")["runs"][1]["id"]
    assert served.a2a("runs", mine, **alice).returncode == 5
    assert served.a2a("receipt", "get", mine, **alice).returncode == 5
    assert served.a2a("receipt", "get", run, **alice).returncode == 0
    assert served.a2a("keys", "ls", **alice).returncode == 4
    assert made["id"] in served.a2a("keys", "ls").stdout
    assert served.a2a("keys", "revoke", made["id"]).returncode == 0
    assert served.a2a("runs", **alice).returncode == 4
