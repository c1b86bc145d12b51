"""`a2a client`: what the generators write is whole, fits its own types, and calls the live agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import outside
import pytest

from running import SOURCE, Running

#: npx of scripts/setup-conformance, which has made the generator ready too.
NODE = {"PATH": f"{outside.modules() / 'bin'}{os.pathsep}{os.environ['PATH']}"}

PYTHON = """
import io, json, sys

from desk_client import AuthenticatedClient
from desk_client.api.runs import get_receipt
from desk_client.api.skills import add, advise, fail, measure
from desk_client.api.tasks import get_task, list_tasks, send_message
from desk_client.models import AddInput, AdviseInput, FailInput, Message, Part, Problem, Receipt, Role
from desk_client.models import SendMessageRequest, SendMessageResponse, Task, TaskState, Unfinished
from desk_client.types import File

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
added = add.sync_detailed(client=client, body=AddInput(a=1, b=2), idempotency_key="typed-1")
again = add.sync_detailed(client=client, body=AddInput(a=1, b=2), idempotency_key="typed-1")
assert added.headers["a2a-run"] == again.headers["a2a-run"]
assert not isinstance(added.parsed, (Problem, Unfinished)) and added.parsed is not None
failed = fail.sync(client=client, body=FailInput(why="x"))
assert isinstance(failed, Problem) and failed.code == "skill_failed"
measured = measure.sync(client=client, body=File(payload=io.BytesIO(b"abc")), unit="bytes")
assert measured is not None and not isinstance(measured, (Problem, Unfinished))
asked = advise.sync(client=client, body=AdviseInput(topic="tea"))
assert isinstance(asked, Unfinished) and asked.question
message = Message("typed-2", Role.ROLE_USER, [Part(text="Delaware")], task_id=asked.task_id)
told = send_message.sync(client=client, body=SendMessageRequest(message))
assert isinstance(told, SendMessageResponse) and isinstance(told.task, Task)
assert told.task.status.state is TaskState.TASK_STATE_COMPLETED
receipt = get_receipt.sync(added.headers["a2a-run"], client=client)
assert isinstance(receipt, Receipt)
print(json.dumps({"sum": added.parsed["sum"], "size": measured["size"], "run": receipt.body.run_id}))
"""
TYPESCRIPT = """
import { connect } from "./index";

declare const process: { argv: string[] };
const desk = connect({ baseUrl: process.argv[2], key: process.argv[3] });
const { data, response } = await desk.POST("/invoke/add", { body: { a: 1, b: 2 } });
if (!data || typeof data !== "object" || "task_url" in data) throw new Error("no sum");
const failed = await desk.POST("/invoke/fail", { body: { why: "x" } });
const id = response.headers.get("a2a-task") ?? "";
const task = await desk.GET("/tasks/{id}", { params: { path: { id } } });
const state: "TASK_STATE_COMPLETED" | string = task.data?.status.state ?? "";
console.log(JSON.stringify({ sum: data.sum, code: failed.error?.code, state }));
"""
#: A call that the types refuse.
WRONG = """
import { connect } from "./index";
await connect().POST("/invoke/add", { body: { a: "one" } });
"""


def run(words: list[str], where: Path, **env: str) -> str:
    done = subprocess.run(
        words, cwd=where, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def a2a(desk: Running, where: Path, *words: str) -> Any:
    env = {"A2A_URL": desk.url, "A2A_KEY": desk.key, "PYTHONPATH": str(SOURCE), **NODE}
    return json.loads(run([sys.executable, "-m", "a2a_cloud.callers.cli", *words, "--json"], where, **env))


@pytest.fixture(scope="module")
def python_client(desk: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("python")
    made = a2a(desk, where, "client", "desk", "--lang", "python", "--out", "made")
    assert made["warnings"] == []
    return where / "made"


def test_a_python_client_calls_the_agent(desk: Running, python_client: Path) -> None:
    (python_client / "call.py").write_text(PYTHON)
    said = run([sys.executable, "call.py", desk.agent("desk"), desk.key], python_client)
    told = json.loads(said)
    assert (told["sum"], told["size"]) == (3, 3)


def test_a_python_client_fits_its_own_types(python_client: Path) -> None:
    for module in sorted((python_client / "desk_client" / "api").rglob("*.py")):
        compile(module.read_text(), str(module), "exec")
    (python_client / "pyrightconfig.json").write_text('{"include": ["desk_client", "call.py"]}')
    (python_client / "call.py").write_text(PYTHON)
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        cwd=python_client,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    errors = [each for each in json.loads(done.stdout)["generalDiagnostics"] if each["severity"] == "error"]
    # The generator's own base class passes its `__exit__` arguments on as objects.
    ours = [each for each in errors if not each["file"].endswith("desk_client/client.py")]
    assert ours == []


def test_a_typescript_client_calls_the_agent(desk: Running, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    # npx runs the generator of the folder that it is called in, if that is the one it is asked for.
    made = a2a(desk, outside.modules(), "client", "desk", "--lang", "typescript", "--out", str(folder))
    assert made["warnings"] == []
    wanted = json.loads((folder / "package.json").read_text())
    installed = json.loads((outside.modules() / "package.json").read_text())["dependencies"]
    assert {**wanted["dependencies"], **wanted["devDependencies"]}.items() <= installed.items()
    (folder / "node_modules").symlink_to(outside.modules() / "node_modules")
    (folder / "call.ts").write_text(TYPESCRIPT)
    (folder / "wrong.ts").write_text(WRONG)
    tsc = [str(outside.node()), str(outside.modules() / "node_modules" / "typescript" / "bin" / "tsc")]
    project = json.loads((folder / "tsconfig.json").read_text())
    project["include"] += ["call.ts", "wrong.ts"]
    (folder / "tsconfig.json").write_text(json.dumps(project))
    checked = subprocess.run(tsc, cwd=folder, capture_output=True, text=True, check=False)
    errors = [line for line in checked.stdout.splitlines() if "error TS" in line]
    assert [line.partition("(")[0] for line in errors] == ["wrong.ts"]
    assert "Type 'string' is not assignable to type 'number'" in errors[0]
    # Node asks for the whole name of a module; bundlers, for which this is compiled, don't.
    code = (folder / "dist" / "call.js").read_text().replace('"./index"', '"./index.js"')
    (folder / "dist" / "call.js").write_text(code)
    call = [str(outside.node()), "--preserve-symlinks", "dist/call.js", desk.agent("desk"), desk.key]
    told = json.loads(run(call, folder))
    assert told == {"sum": 3, "code": "skill_failed", "state": "TASK_STATE_COMPLETED"}


@pytest.mark.parametrize("words", [[], ["--force"]], ids=["plain", "force"])
def test_what_is_there_and_no_client_of_ours_is_left(desk: Running, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "mine").write_text("mine")
    env = {**os.environ, "A2A_URL": desk.url, "A2A_KEY": desk.key, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "a2a_cloud.callers.cli", "client", "desk", "--lang", "typescript"]
    done = subprocess.run(
        [*command, "--out", ".", *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, [path.name for path in tmp_path.iterdir()]) == (2, ["mine"])
    assert "no client that this command made" in done.stderr


def test_force_replaces_the_client_and_nothing_else(desk: Running, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    words = ["client", "desk", "--lang", "typescript", "--out", str(folder)]
    a2a(desk, outside.modules(), *words)
    (folder / "mine.ts").write_text("mine")
    (tmp_path / "beside").write_text("mine")
    made = json.loads((folder / ".a2a-client.json").read_text())
    assert sorted(made["files"]) == ["index.ts", "openapi.json", "package.json", "schema.ts", "tsconfig.json"]
    (folder / "schema.ts").write_text("old")
    (folder / "dropped.ts").write_text("of an older generator")
    listed = {"files": [*made["files"], "dropped.ts", "../beside", str(tmp_path / "beside")]}
    (folder / ".a2a-client.json").write_text(json.dumps(listed))
    a2a(desk, outside.modules(), *words, "--force")
    assert "paths" in (folder / "schema.ts").read_text()
    assert (folder / "mine.ts").read_text() == (tmp_path / "beside").read_text() == "mine"
    assert not (folder / "dropped.ts").exists()
    assert json.loads((folder / ".a2a-client.json").read_text()) == made


def test_without_its_generator_the_command_says_what_to_do(desk: Running, tmp_path: Path) -> None:
    env = {"A2A_URL": desk.url, "A2A_KEY": desk.key, "PYTHONPATH": str(SOURCE), "PATH": str(tmp_path)}
    words = [sys.executable, "-m", "a2a_cloud.callers.cli", "client", "desk", "--lang", "typescript"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "npx --yes openapi-typescript@" in done.stderr
    assert not (tmp_path / "desk-client").exists()
