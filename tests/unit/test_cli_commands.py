"""The commands against a server that plays the platform: requests, output, exit codes."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from cli_platform import Played, playing, status

from a2a_cloud.callers.cli import root as cli
from a2a_cloud.callers.cli.exits import Exit, exit_for
from a2a_cloud.client import calls

DONE = status("completed", "1.9", receipt_id="rcpt_1")
ECHO = ("POST", "/agents/echo/invoke/say")
TASK = ("GET", "/agents/echo/sse/task_1")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    with playing() as played:
        yield played


@pytest.fixture
def played(server: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    server.asked.clear()
    server.answers.clear()
    for name in [name for name in os.environ if name.startswith("A2A_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("A2A_URL", server.url)
    monkeypatch.setenv("A2A_KEY", "k-test")
    monkeypatch.chdir(tmp_path)
    return server


@pytest.fixture
def a2a(played: Played, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.run(list(words))
        out, err = capfd.readouterr()
        return code, out, err

    return run


def events(*extra: tuple[str, str, Any]) -> list[tuple[str, str, Any]]:
    return [status("working"), *extra, DONE]


# --- calls ----------------------------------------------------------------------------------------


def test_call_prints_the_result_and_nothing_else_on_stdout(played: Played, a2a: Run) -> None:
    played.stream(
        *ECHO,
        events(
            ("1.1", "progress", {"stage": "read", "percent": 40, "message": "half"}),
            ("1.2", "result", {"value": {"a": [1]}}),
        ),
    )
    code, out, err = a2a("call", "echo", "say", "name=Ada", "n:=3")
    assert code == 0
    assert json.loads(out) == {"a": [1]}
    assert "read 40 %: half" in err
    assert "run run_1 completed · receipt rcpt_1" in err
    asked = played.last(*ECHO)
    assert json.loads(asked.body) == {"name": "Ada", "n": 3}
    assert asked.headers["Authorization"] == "Bearer k-test"
    assert asked.headers["Accept"] == "text/event-stream"


def test_call_as_json_is_one_document(played: Played, a2a: Run) -> None:
    artifact = {"artifactId": "a1", "name": "r.md", "parts": [{"text": "# R"}]}
    played.stream(
        *ECHO,
        events(
            ("1.1", "text", {"delta": "hi"}),
            ("1.2", "artifact", {"artifact": artifact, "append": False, "last": True}),
            ("1.3", "result", {"value": None}),
        ),
    )
    code, out, _ = a2a("call", "echo", "say", "--json", "--key", "idem-1")
    document = json.loads(out)
    assert code == 0
    assert document["state"] == "completed"
    assert (document["run_id"], document["receipt_id"], document["text"]) == ("run_1", "rcpt_1", "hi")
    assert document["artifacts"][0]["parts"] == [{"text": "# R"}]
    assert played.last(*ECHO).headers["Idempotency-Key"] == "idem-1"


def test_stream_shows_text_once(played: Played, a2a: Run) -> None:
    played.stream(
        *ECHO,
        events(
            ("1.1", "text", {"delta": "one "}),
            ("1.2", "text", {"delta": "two"}),
            ("1.3", "result", {"value": "one two"}),
        ),
    )
    assert a2a("call", "echo", "say", "--stream")[:2] == (0, "one two\n")
    assert a2a("call", "echo", "say")[:2] == (0, "one two\n")
    code, out, _ = a2a("call", "echo", "say", "--stream", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["event"] for line in lines] == ["status", "text", "text", "result", "status"]


def test_a_further_attempt_voids_what_came(played: Played, a2a: Run) -> None:
    played.stream(
        *ECHO,
        events(
            ("1.1", "text", {"delta": "old"}),
            ("1.2", "attempt", {"attempt": 2, "why": "worker_lost"}),
            ("1.3", "text", {"delta": "new"}),
        ),
    )
    code, out, err = a2a("call", "echo", "say")
    assert (code, out) == (0, "new\n")
    assert "attempt 2" in err


def test_a_broken_stream_is_taken_up_where_it_broke(
    played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PAUSES", (0.0, 0.0))
    first = [status("working"), ("1.1", "text", {"delta": "one "})]
    second = [status("completed"), ("1.2", "text", {"delta": "two"}), DONE]
    played.stream(*ECHO, first)
    played.stream(*TASK, second)
    code, out, err = a2a("call", "echo", "say")
    assert (code, out) == (0, "one two\n")
    assert "taking it up again" in err
    assert played.last(*TASK).headers["Last-Event-ID"] == "1.1"


def test_a_stream_that_stays_broken(played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSES", (0.0, 0.0))
    played.stream(*ECHO, [status("working")])
    played.stream(*TASK, [status("working")])
    code, out, err = a2a("call", "echo", "say", "--json")
    assert code == Exit.UNREACHABLE
    assert json.loads(out)["error"]["run_id"] == "run_1"
    assert "a2a runs run_1" in err


def test_a_failed_run(played: Played, a2a: Run) -> None:
    error = {"code": "skill_failed", "detail": "ValueError: no"}
    played.stream(*ECHO, [status("working"), status("failed", "1.2", error=error)])
    code, out, err = a2a("call", "echo", "say")
    assert (code, out) == (Exit.FAILED, "")
    for word in ("ValueError: no", "skill_failed", "run_1", "a2a logs run_1"):
        assert word in err
    code, out, _ = a2a("call", "echo", "say", "--json")
    assert code == Exit.FAILED
    assert json.loads(out)["error"] == error


ASK = {"text": "Which law?", "schema": {"type": "object", "properties": {"law": {"enum": ["DE", "NY"]}}}}


def test_a_question_without_a_terminal(played: Played, a2a: Run) -> None:
    question = status("input-required", "1.2", question=ASK)
    played.stream(*ECHO, [status("working"), question])
    code, out, err = a2a("call", "echo", "say")
    assert (code, out) == (Exit.INPUT_REQUIRED, "")
    assert "Which law?" in err
    assert "a2a answer --agent echo task_1 law=DE" in err
    code, out, _ = a2a("call", "echo", "say", "--json")
    assert code == Exit.INPUT_REQUIRED
    assert json.loads(out)["question"] == ASK


APPROVAL = {"id": "appr_1", "text": "The run asks to read finance/** (May)."}


def test_what_the_run_asks_for_without_a_terminal(played: Played, a2a: Run) -> None:
    played.stream(*ECHO, [status("working"), status("auth-required", "1.2", approval=APPROVAL)])
    code, _, err = a2a("call", "echo", "say")
    assert code == 6
    assert "The run asks to read finance/** (May)." in err
    assert "a2a approvals show appr_1" in err
    assert "a2a approvals approve appr_1" in err
    code, out, _ = a2a("call", "echo", "say", "--json")
    assert (code, json.loads(out)["approval"]) == (6, APPROVAL)


def test_a_call_that_waits_goes_on_when_it_is_decided(played: Played, a2a: Run) -> None:
    other = {**APPROVAL, "id": "appr_2"}
    played.stream(*ECHO, [status("working"), status("auth-required", "1.2", approval=APPROVAL)])
    played.stream(
        *TASK,
        [
            status("auth-required", approval=APPROVAL),
            status("working", "1.3"),
            status("auth-required", "1.4", approval=other),
        ],
        [
            status("auth-required", approval=other),
            status("working", "1.5"),
            ("1.6", "result", {"value": "fine"}),
            status("completed", "1.7"),
        ],
    )
    code, out, err = a2a("call", "echo", "say", "--wait")
    assert (code, out) == (0, "fine\n")
    assert "a2a approvals approve appr_1" in err
    assert "a2a approvals approve appr_2" in err
    assert [each.headers.get("Last-Event-ID") for each in played.asked if each.path == TASK[1]] == [
        "1.2",
        "1.4",
    ]


def test_a_caller_may_leave_less_than_the_agent_may(played: Played, a2a: Run, tmp_path: Path) -> None:
    played.stream(*ECHO, events(("1.2", "result", {"value": 1}), status("completed", "1.3")))
    assert a2a("call", "echo", "say", "--grant", '{"read": ["ä/**"]}')[0] == 0
    sent = played.last(*ECHO).headers["A2A-Grant"]
    assert sent.isascii()
    assert json.loads(sent) == {"read": ["ä/**"]}
    file = tmp_path / "less.json"
    file.write_text('{"write": []}')
    play_message(played)
    assert a2a("call", "echo", "--message", "hello", "--grant", f"@{file}")[0] == 0
    message = json.loads(played.last("POST", "/agents/echo/tasks").body)["message"]
    assert message["metadata"] == {"a2a-cloud/grant": {"write": []}}
    file.write_bytes(b"\xff")
    for bad in ("[]", "{", f"@{file}", f"@{tmp_path}", "@nowhere.json"):
        code, _, err = a2a("call", "echo", "say", "--grant", bad)
        assert code == 2, bad
        assert "--grant" in err


def test_answer(played: Played, a2a: Run) -> None:
    played.json("GET", "/api/v1/tasks/task_1", {"agent": "echo", "org": "acme", "state": "input-required"})
    sse, tasks = "/agents/acme.echo/sse/task_1", "/agents/acme.echo/tasks"
    earlier, open_one = {"messageId": "msg_1"}, {"messageId": "msg_2"}
    played.stream(
        "GET",
        sse,
        [  # the backlog has another question, which was answered long ago
            status("input-required", question=ASK, message=open_one),
            ("1.0", "text", {"delta": "old text"}),
            status("input-required", "1.1", question={"text": "Old?"}, message=earlier),
            status("input-required", "1.2", question=ASK, message=open_one),
            ("1.3", "answer", {"by": "me", "value": {"law": "NY"}}),
            status("working", "1.4"),
            ("1.5", "result", {"value": "done"}),
            DONE,
        ],
    )
    task = {"id": "task_1", "contextId": "ctx_1", "metadata": {"a2a-cloud/run": "run_1"}}
    played.json("POST", tasks, {"task": task, "sse_url": "…"}, 202)
    code, out, err = a2a("answer", "task_1", "law=NY")
    assert (code, out) == (0, "done\n")
    assert "Old?" not in err
    message = json.loads(played.last("POST", tasks).body)["message"]
    assert message["parts"] == [{"data": {"law": "NY"}, "mediaType": "application/json"}]
    assert message["taskId"] == "task_1"
    assert played.last("POST", tasks).headers["A2A-Version"] == "1.0"


def test_answer_to_a_task_that_does_not_wait(played: Played, a2a: Run) -> None:
    played.json("GET", "/api/v1/tasks/task_1", {"agent": "echo", "org": "default", "state": "completed"})
    code, _, err = a2a("answer", "task_1", "yes")
    assert code == Exit.USAGE
    assert "completed" in err
    played.stream(*TASK, [status("completed")])
    assert a2a("answer", "task_1", "yes", "--agent", "echo")[0] == Exit.USAGE


def test_async_says_how_to_go_on(played: Played, a2a: Run) -> None:
    begun = {"run_id": "run_1", "task_id": "task_1", "context_id": "c", "state": "submitted"}
    played.json(*ECHO, begun, 202)
    code, out, err = a2a("call", "echo", "say", "--async")
    assert (code, out) == (0, "")
    assert "a2a runs run_1" in err
    assert played.last(*ECHO).query == {"async": "1"}
    assert json.loads(a2a("call", "echo", "say", "--async", "--json")[1]) == begun


def test_timeout_leaves_the_run(played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSES", (60.0,))  # the stream breaks, and the next look is far off
    played.stream(*ECHO, [status("working")])
    code, _, err = a2a("call", "echo", "say", "--timeout", "0.5")
    assert code == Exit.STILL_RUNNING
    assert "a2a cancel task_1" in err


# --- files ----------------------------------------------------------------------------------------


def describe(played: Played) -> None:
    skill = {
        "id": "say",
        "files": [{"name": "doc"}, {"name": "more", "required": False}],
        "input_schema": {"properties": {"law": {"type": "string"}, "note": {"type": "string"}}},
    }
    played.json("GET", "/api/v1/agents/echo", {"name": "echo", "skills": [skill]})


def test_one_file_goes_raw_in_pieces(played: Played, a2a: Run, tmp_path: Path) -> None:
    describe(played)
    played.stream(*ECHO, events())
    big = tmp_path / "Vertrag ß.pdf"
    with big.open("wb") as file:
        file.truncate(30 << 20)
    assert a2a("call", "echo", "say", f"doc=@{big}", "law=Delaware", "n:=[1]")[0] == 0
    asked = played.last(*ECHO)
    assert asked.size == 30 << 20
    assert asked.query == {"file": "doc", "law": "Delaware", "n": "[1]"}
    assert asked.headers["Content-Type"] == "application/pdf"
    assert asked.headers["Content-Length"] == str(30 << 20)
    assert asked.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''Vertrag%20%C3%9F.pdf; filename=\"Vertrag _.pdf\""
    )


def sent_parts(played: Played) -> list[dict[str, Any]]:
    return json.loads(played.last("POST", "/agents/echo/tasks").body)["message"]["parts"]


def play_message(played: Played) -> None:
    task = {"id": "task_1", "metadata": {"a2a-cloud/run": "run_1"}}
    played.json("POST", "/agents/echo/tasks", {"task": task}, 202)
    played.stream(*TASK, events(("1.1", "result", {"value": "ok"})))


def test_several_files_go_in_a_message(played: Played, a2a: Run, tmp_path: Path) -> None:
    describe(played)
    play_message(played)
    for name in ("a.txt", "b.md"):
        (tmp_path / name).write_text(name)
    code, out, _ = a2a("call", "echo", "say", "doc=@a.txt", "more=@b.md", "law=DE")
    assert (code, out) == (0, "ok\n")
    parts = sent_parts(played)
    assert parts[0]["data"] == {"skill": "say", "arguments": {"law": "DE"}}
    assert [
        (p["metadata"], p["filename"], p["mediaType"], base64.b64decode(p["raw"])) for p in parts[1:]
    ] == [
        ({"param": "doc"}, "a.txt", "text/plain", b"a.txt"),
        ({"param": "more"}, "b.md", "text/markdown", b"b.md"),
    ]


def test_a_json_file_is_no_arguments(played: Played, a2a: Run, tmp_path: Path) -> None:
    describe(played)
    play_message(played)
    (tmp_path / "x.json").write_text("{}")
    assert a2a("call", "echo", "say", "doc=@x.json")[0] == 0
    assert sent_parts(played)[1]["mediaType"] == "application/json"


def test_files_that_are_too_large_together(played: Played, a2a: Run, tmp_path: Path) -> None:
    describe(played)
    for name in ("a.bin", "b.bin"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(6_000_000)
    code, _, err = a2a("call", "echo", "say", "doc=@a.bin", "more=@b.bin")
    assert code == Exit.USAGE
    assert "11 MB" in err


def test_text_parameters_take_the_text_of_a_file(played: Played, a2a: Run, tmp_path: Path) -> None:
    describe(played)
    played.stream(*ECHO, events())
    (tmp_path / "note.txt").write_text("ünï")
    (tmp_path / "v.json").write_text('{"x": [1, null]}')
    assert a2a("call", "echo", "say", "note=@note.txt", "v:=@v.json")[0] == 0
    assert json.loads(played.last(*ECHO).body) == {"note": "ünï", "v": {"x": [1, None]}}
    (tmp_path / "note.txt").write_bytes(b"\xff\xfe\x00")
    assert a2a("call", "echo", "say", "note=@note.txt")[0] == Exit.USAGE
    assert a2a("call", "echo", "say", "note=@missing.txt")[0] == Exit.USAGE


def test_a_message_names_no_skill(played: Played, a2a: Run) -> None:
    play_message(played)
    assert a2a("call", "echo", "-m", "hello there")[:2] == (0, "ok\n")
    assert sent_parts(played) == [{"text": "hello there"}]
    assert a2a("call", "echo")[0] == Exit.USAGE
    assert a2a("call", "echo", "say", "-m", "x")[0] == Exit.USAGE


def test_artifacts_are_saved_where_they_should(played: Played, a2a: Run, tmp_path: Path) -> None:
    url = f"{played.url}/agents/echo/runs/run_1/artifacts/big?exp=1&sig=x"

    def artifact(ident: str, name: str, part: dict[str, Any], append: bool = False) -> tuple[str, str, Any]:
        made = {"artifactId": ident, "name": name, "parts": [part]}
        return ("1.1", "artifact", {"artifact": made, "append": append, "last": True})

    raw = {"raw": base64.b64encode(b"\0\1").decode(), "mediaType": "image/png"}
    played.stream(
        *ECHO,
        events(
            artifact("a", "report.md", {"text": "one "}),
            artifact("a", "report.md", {"text": "two"}, append=True),
            artifact("b", "../../etc/passwd", {"data": {"x": 1}}),
            artifact("c", ".bashrc", raw),
            artifact("c", ".bashrc", raw, append=True),
            artifact("d", "big.bin", {"url": url}),
            artifact("e", "far.bin", {"url": "http://169.254.169.254/latest"}),
        ),
    )
    played.json("GET", "/agents/echo/runs/run_1/artifacts/big", {"big": True})
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine")
    code, _, err = a2a("call", "echo", "say", "--out", str(out))
    assert code == 0
    assert sorted(each.name for each in out.iterdir()) == [
        "bashrc.png",
        "big.bin",
        "passwd.json",
        "report-2.md",
        "report.md",
    ]
    assert (out / "report.md").read_text() == "mine"
    assert (out / "report-2.md").read_text() == "one two"
    assert (out / "bashrc.png").read_bytes() == b"\0\1\0\1"
    assert json.loads((out / "big.bin").read_bytes()) == {"big": True}
    assert "not fetched" in err


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "problem", "code"),
    [
        (400, "invalid_params", Exit.USAGE),
        (401, "unauthenticated", Exit.DENIED),
        (403, "forbidden", Exit.DENIED),
        (404, "agent_not_found", Exit.NOT_FOUND),
        (409, "receipt_pending", Exit.TRY_LATER),
        (409, "idempotency_conflict", Exit.USAGE),
        (422, "refused", Exit.FAILED),
        (429, "busy", Exit.TRY_LATER),
        (500, "internal", Exit.FAILED),
        (503, "unavailable", Exit.TRY_LATER),
        (507, "storage_full", Exit.TRY_LATER),
    ],
)
def test_problems(played: Played, a2a: Run, http: int, problem: str, code: Exit) -> None:
    assert exit_for(http, problem) is code
    body = {"code": problem, "detail": "This was wrong.", "remedy": "Do that."}
    played.json("GET", "/api/v1/agents", body, http, A2A_Run="run_7", Retry_After="3")
    got, out, err = a2a("ls", "--json")
    assert got == code
    error = json.loads(out)["error"]
    assert (error["code"], error["run_id"], error["exit"]) == (problem, "run_7", code)
    for word in ("This was wrong.", "Do that.", problem, "run_7", "Try again in 3 s."):
        assert word in err


def test_problems_of_a2a_routes(played: Played, a2a: Run) -> None:
    played.json("GET", "/api/v1/tasks/task_1", {"agent": "echo", "org": "default"})
    info = {"reason": "TASK_NOT_CANCELABLE", "metadata": {"remedy": "Leave it."}}
    error = {
        "code": 400,
        "status": "FAILED_PRECONDITION",
        "message": "It ended. Leave it.",
        "details": [info],
    }
    played.json("POST", "/agents/echo/tasks/task_1:cancel", {"error": error}, 400)
    code, out, err = a2a("cancel", "task_1", "--json")
    assert code == Exit.USAGE
    told = json.loads(out)["error"]
    assert (told["code"], told["detail"], told["remedy"]) == ("task_not_cancelable", "It ended.", "Leave it.")
    assert "task_not_cancelable" in err


def test_what_answers_is_no_platform(played: Played, a2a: Run) -> None:
    played.json("GET", "/api/v1/agents", "x")
    assert a2a("ls")[0] in (0, Exit.UNREACHABLE)
    played.json("GET", "/api/v1/agents", {}, 302, Location="http://evil.example/")
    code, _, err = a2a("ls")
    assert code == Exit.FAILED
    assert "evil.example" in err


def test_nobody_is_there(played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2A_URL", "http://127.0.0.1:9")
    code, _, err = a2a("ls")
    assert code == Exit.UNREACHABLE
    assert "a2a up" in err
    monkeypatch.delenv("A2A_URL")
    monkeypatch.delenv("A2A_KEY")
    code, out, _ = a2a("runs", "--json")
    assert code == Exit.UNREACHABLE
    assert json.loads(out)["error"]["code"] == "not_configured"


def test_a_key_is_not_sent_to_another_origin(
    played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.json("GET", "/api/v1/agents", {"agents": []})
    monkeypatch.setenv("A2A_URL", "https://agents.example.com")
    assert a2a("ls", "--url", played.url)[0] == 0
    assert "Authorization" not in played.last("GET", "/api/v1/agents").headers
    assert a2a("--key", "k-mine", "ls", "--url", played.url)[0] == 0
    assert played.last("GET", "/api/v1/agents").headers["Authorization"] == "Bearer k-mine"


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("call",),
        ("runs", "--state", "odd"),
        ("runs", "--limit", "0"),
        ("call", "echo", "say", "word"),
        ("call", "echo", "say", "--timeout", "0"),
        ("keys", "create"),
        ("receipt", "verify", "missing.json"),
        ("up", "missing"),
        ("up",),
    ],
)
def test_usage(a2a: Run, words: tuple[str, ...]) -> None:
    code, out, err = a2a(*words)
    assert (code, out) == (Exit.USAGE, "")
    assert err


# --- the other commands ---------------------------------------------------------------------------

RUN = {
    "id": "run_1",
    "task_id": "task_1",
    "agent": "echo",
    "skill": "say",
    "state": "failed",
    "created": "2026-01-01T00:00:00Z",
    "error": {"code": "worker_lost", "detail": "It is gone."},
    "dead": True,
}


def test_lists_are_aligned_and_one_line_a_row(played: Played, a2a: Run) -> None:
    agent = {
        "name": "echo",
        "org": "acme",
        "release": 3,
        "version": "1\n2\x1b[31m",
        "skills": [{"id": "say"}],
    }
    played.json("GET", "/api/v1/agents", {"agents": [agent, {"name": "x"}]})
    code, out, _ = a2a("ls")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 3
    assert "acme.echo" in lines[1]
    assert "1\\n2\\u001b[31m" in lines[1]
    assert lines[0].index("RELEASE") == lines[1].index("3")


def test_runs(played: Played, a2a: Run) -> None:
    played.json("GET", "/api/v1/runs", {"runs": [RUN], "next": "c2"})
    code, out, err = a2a("runs", "--agent", "echo", "--dead", "--state", "failed", "--limit", "5")
    assert code == 0
    assert "run_1" in out
    assert "worker_lost" in out
    assert "--cursor c2" in err
    query = {"agent": "echo", "dead": "1", "state": "failed", "limit": "5"}
    assert played.last("GET", "/api/v1/runs").query == query
    assert json.loads(a2a("runs", "task_1", "--json")[1])["next"] == "c2"
    assert played.last("GET", "/api/v1/runs").query["task"] == "task_1"
    played.json(
        "GET", "/api/v1/runs/run_1", {**RUN, "events": [{"seq": 1, "kind": "text", "delta": "x" * 999}]}
    )
    grant = {
        "id": "grant_1",
        "state": "replaced",
        "created": "c",
        "expires": "e",
        "approval": "",
        "prior": "",
    }
    more = {**grant, "id": "grant_2", "state": "active", "approval": "appr_1", "prior": "grant_1"}
    played.json("GET", "/api/v1/grants", {"grants": [more, grant], "next": ""})
    refused = {"at": "t", "operation": "read", "target": "keys/a", "reason": "scope", "allowed": False}
    played.json("GET", "/api/v1/audit", {"events": [refused, {"kind": "issue", "allowed": True}]})
    code, out, _ = a2a("runs", "run_1")
    lines = [line.split() for line in out.splitlines()]
    assert ["grant_1", "replaced", "c", "e", "the", "call"] in lines
    assert ["grant_2", "active", "c", "e", "approval", "appr_1"] in lines
    assert ["t", "read", "keys/a", "scope"] in lines
    assert played.last("GET", "/api/v1/audit").query["run"] == "run_1"
    view = json.loads(a2a("runs", "run_1", "--json")[1])
    assert [each["id"] for each in view["grants"]] == ["grant_1", "grant_2"]
    assert [each["target"] for each in view["refusals"]] == ["keys/a"]
    played.json("GET", "/api/v1/audit", {"code": "forbidden", "detail": "For admins."}, 403)
    code, out, _ = a2a("runs", "run_1")
    assert "grant_2" in out
    assert "REFUSED" not in out
    assert "It is gone." in out
    assert "characters, all with --json" in out


def test_show(played: Played, a2a: Run) -> None:
    describe(played)
    code, out, _ = a2a("show", "echo")
    assert code == 0
    assert "a2a call echo say doc=@FILE" in out
    assert "law (string, optional)" in out


def test_logs_of_a_run_end_with_it(played: Played, a2a: Run) -> None:
    lines = [
        {"at": 1.0, "level": "info", "line": "one"},
        {"at": 1.0, "level": "info", "line": "\x1b]0;x\x07"},
    ]
    played.json("GET", "/api/v1/runs/run_1/logs", {"lines": lines})
    played.json("GET", "/api/v1/runs/run_1", RUN)
    code, out, _ = a2a("logs", "run_1", "-f")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "\\u001b]0;x\\u0007" in out
    assert json.loads(a2a("logs", "run_1", "--json")[1]) == {"lines": lines}
    assert len(a2a("logs", "run_1", "-f", "--json")[1].splitlines()) == 2


def test_receipt_get_is_byte_for_byte(played: Played, a2a: Run, tmp_path: Path) -> None:
    played.json("GET", "/api/v1/runs/run_1", RUN)
    played.json("GET", "/api/v1/tasks/task_1", {"agent": "echo", "org": "acme"})
    played.json("GET", "/agents/acme.echo/runs/run_1/receipt", {"id": "é", "z": 1, "a": 2})
    expected = json.dumps({"id": "é", "z": 1, "a": 2})
    assert a2a("receipt", "get", "run_1")[:2] == (0, expected + "\n")
    assert a2a("receipt", "get", "run_1", "--out", "r.json")[0] == 0
    assert (tmp_path / "r.json").read_text() == expected


def test_receipt_verify_refuses_what_is_none(a2a: Run, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    code, out, _ = a2a("receipt", "verify", "r.json")
    assert code == Exit.REFUSED_RECEIPT
    assert out.startswith("refused")
    code, out, _ = a2a("receipt", "verify", "r.json", "--json")
    assert json.loads(out)["verdict"] == "refused"
    (tmp_path / "keys.json").write_text("no")
    assert a2a("receipt", "verify", "r.json", "--key", "keys.json")[0] == Exit.USAGE


def test_keys(played: Played, a2a: Run, tmp_path: Path) -> None:
    made = {"id": "key_1", "principal": "al", "org": "default", "role": "member", "key": "s3cret"}
    played.json("POST", "/api/v1/keys", made, 201)
    code, out, err = a2a("keys", "create", "--principal", "al", "--org", "default")
    assert (code, out) == (0, "s3cret\n")
    assert "s3cret" not in err
    body = {"principal": "al", "org": "default", "role": "member"}
    assert json.loads(played.last("POST", "/api/v1/keys").body) == body
    code, out, err = a2a("keys", "create", "--principal", "al", "--out", "al.key", "--json")
    assert code == 0
    assert "s3cret" not in out + err
    assert (tmp_path / "al.key").read_text() == "s3cret\n"
    assert (tmp_path / "al.key").stat().st_mode & 0o777 == 0o600
    assert a2a("keys", "create", "--principal", "al", "--out", "al.key")[0] == Exit.USAGE
    played.json("GET", "/api/v1/keys", {"keys": [{"id": "key_1", "principal": "al"}]})
    assert "key_1" in a2a("keys", "ls")[1]
    played.json("DELETE", "/api/v1/keys/key_1", {"id": "key_1"})
    assert a2a("keys", "revoke", "key_1")[0] == 0


# --- documentation, start -------------------------------------------------------------------------


def every_command() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(cli.root)

    def add(name: str, command: click.Command) -> None:
        if isinstance(command, click.Group):
            for sub, each in command.commands.items():
                add(f"{name} {sub}", each)
        else:
            found.append((name, command))

    for name in cli.COMMANDS:
        command = cli.root.get_command(context, name)
        assert command is not None
        add(f"a2a {name}", command)
    return found


def test_parameters_of_a_command_have_names_of_their_own() -> None:
    for name, command in every_command():
        names = [parameter.name for parameter in command.params]
        assert len(set(names)) == len(names), name


def test_every_command_option_and_exit_code_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
    examples = [line.strip() for line in text.splitlines() if line.startswith("    a2a ")]
    for name, command in every_command():
        assert f"`{name}" in text, name
        assert any(line.startswith(name) for line in examples), f"no example of {name}"
        for parameter in command.params:
            for flag in parameter.opts:
                if flag.startswith("--"):
                    assert flag in text, f"{name} {flag}"
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert documented == {int(code) for code in Exit}


def test_every_command_takes_json() -> None:
    for name, command in every_command():
        if name != "a2a up":
            assert any("--json" in parameter.opts for parameter in command.params), name


def test_help_loads_no_command_and_no_client() -> None:
    code = (
        "import sys; from a2a_cloud.callers.cli.root import run; run(['--help']);"
        "late = ('aiohttp', 'rich', 'asyncio', 'msgspec', 'a2a_cloud.callers.cli.call');"
        "bad = [name for name in late if name in sys.modules];"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
