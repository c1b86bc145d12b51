"""The kit's Context against a real platform: each method in async and in sync skills, and the mistakes
that authors make."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from calling import (
    Said,
    answer,
    begin,
    events,
    invoke,
    lines,
    log_text,
    peak_rss,
    request,
    run_of,
    send,
    wait_for,
)

from running import AGENTS, Running, start_platform

MB = 1 << 20
OCTETS = {"Content-Type": "application/octet-stream", "Content-Disposition": 'attachment; filename="a.bin"'}


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "kitchen"], tmp_path_factory.mktemp("kitchen"))
    yield running
    running.stop()


def call(kitchen: Running, skill: str, /, **arguments: Any) -> Any:
    said = invoke(kitchen, "kitchen", skill, **arguments)
    assert said.status == 200, said.body
    return said.json


def replies(kitchen: Running, said: Said, *values: Any) -> Any:
    """Answer the questions of a run in turn; the last answer's task."""
    task: Any = None
    for value in values:
        found = answer(kitchen, "kitchen", said.json["task_id"], value)
        assert found.status == 200, found.body
        task = found.json["task"]
    return task


def result(task: Any) -> Any:
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task["status"]
    return value_of(task)


def value_of(task: Any) -> Any:
    (part,) = task["artifacts"][-1]["parts"]
    return part["data"] if "data" in part else part["text"]


# --- outputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("skill", ["outputs", "outputs_sync"])
def test_outputs(kitchen: Running, skill: str) -> None:
    found = events(kitchen, "kitchen", skill)
    progress = [data for kind, data in found if kind == "progress"]
    assert [(p["stage"], p["percent"], p["message"]) for p in progress] == [
        ("cutting", 10, "Onions"),
        ("boiling", None, ""),
    ]
    assert "".join(data["delta"] for kind, data in found if kind == "text") == "one two"
    made = [data for kind, data in found if kind == "artifact"]
    parts = {data["artifact"]["artifactId"]: data["artifact"]["parts"][0] for data in made}
    assert parts["note"] == {"text": "short", "mediaType": "text/markdown"}
    assert made[0]["artifact"]["description"] == "A note"
    assert parts["bytes"]["raw"] == "AAEC"
    assert parts["data"]["data"] == {"a": [1, {"dish": "soup", "count": 2}]}
    assert parts["link"] == {"url": "https://example.com/x.pdf", "mediaType": "application/pdf"}
    assert fetch(kitchen, parts["long"]) == ("é" * 50_000).encode()
    assert parts["long"]["mediaType"] == "text/plain; charset=utf-8"
    assert fetch(kitchen, parts["large"]) == bytes(5 * MB)
    assert parts["large"]["mediaType"] == "application/x-zeros"
    assert json.loads(fetch(kitchen, parts["big data"])) == ["x" * 1000] * 4000
    assert fetch(kitchen, parts["file"]) == b"L" * 100_000
    pieces = [
        (data["artifact"]["parts"][0]["text"], data["append"], data["last"])
        for data in made
        if data["artifact"]["artifactId"] == "parts"
    ]
    assert pieces == [("a", False, False), ("b", True, True)]
    assert [data["value"] for kind, data in found if kind == "result"] == ["done"]
    assert found[-1][1]["state"] == "completed"


def fetch(kitchen: Running, part: Any) -> bytes:
    url = urlsplit(part["url"])
    said = request(kitchen, "GET", f"{url.path}?{url.query}")
    assert said.status == 200
    return said.body


def test_a_file_of_the_module_serves_every_run(kitchen: Running) -> None:
    for _ in range(2):
        assert events(kitchen, "kitchen", "outputs")[-1][1]["state"] == "completed"


def test_many_objects_at_once(kitchen: Running) -> None:
    assert call(kitchen, "many_artifacts", count=100) == 100


def test_a_reply_is_a_message_and_no_task(kitchen: Running) -> None:
    data = {"data": {"skill": "reply", "arguments": {}}}
    message = send(kitchen, "kitchen", data)["message"]
    assert message["parts"] == [{"data": {"said": "words"}}]
    assert "taskId" not in message
    said = invoke(kitchen, "kitchen", "reply", late=True)
    assert said.code == "invalid_agent_response"


def test_generators(kitchen: Running) -> None:
    assert call(kitchen, "words", count=3) == "0 1 2 "
    assert call(kitchen, "numbers", count=3) == [0, 1, 2]


# --- questions --------------------------------------------------------------------------------------


def test_questions_of_every_kind(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "questions")
    wrong = answer(kitchen, "kitchen", replies_until(kitchen, said, "words"), {"no": "bool"})
    assert wrong.status == 400
    task = replies(kitchen, said, True, "salad", {"dish": "pie", "count": 3}, {"n": 5})
    assert result(task) == ["words", True, "salad", {"dish": "pie", "count": 3}, {"n": 5}]


def replies_until(kitchen: Running, said: Said, value: Any) -> str:
    replies(kitchen, said, value)
    return said.json["task_id"]


def test_questions_in_a_thread(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "questions_sync")
    order, text, count = result(replies(kitchen, said, {"dish": "stew", "count": 2}, "yes"))
    assert (order, text, count) == ({"dish": "stew", "count": 2}, "yes", 1)


def test_a_question_with_a_bad_schema_is_the_authors_problem(kitchen: Running) -> None:
    assert call(kitchen, "bad_question").startswith("invalid_params: The question's schema can't be used")


# --- steps, replay ----------------------------------------------------------------------------------


@pytest.mark.parametrize("skill", ["steps", "steps_sync"])
def test_steps(kitchen: Running, skill: str) -> None:
    found = call(kitchen, skill)
    assert found["cooked"] == {"dish": "SOUP", "count": 2}
    assert found["herbs"] == [0, 1, 2]
    assert found["failures"][0] == ["burnt", "It burnt.", "Watch it.", True]
    assert found["failures"][1] == [
        "skill_failed",
        "The skill raised ValueError.",
        "Its log says more.",
        False,
    ]
    assert "larger than" in found["failures"][2]


def test_clock_and_random_are_the_same_on_a_replay(kitchen: Running, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    said = invoke(kitchen, "kitchen", "again", path=str(path))
    os.kill(_pid(kitchen), 9)
    wait_for(lambda: "killed by SIGKILL" in log_text(kitchen, "kitchen"))
    found = result(replies(kitchen, said, True))
    first, step, second = path.read_text().splitlines()
    assert step == "step"
    assert first == second == " ".join(map(str, found[:4]))
    assert found[4] is True


def _pid(kitchen: Running) -> int:
    return request(kitchen, "POST", "/agents/kitchen/invoke/digest?file=doc", b"x", OCTETS).json[-1]


# --- state, facts, usage ----------------------------------------------------------------------------


@pytest.mark.parametrize(("skill", "nothing"), [("remember", None), ("remember_sync", "nothing")])
def test_state_is_kept_per_context(kitchen: Running, skill: str, nothing: Any) -> None:
    def turn(context: str, **arguments: Any) -> Any:
        part = {"data": {"skill": skill, "arguments": {"key": "k", **arguments}}}
        task = send(kitchen, "kitchen", part, contextId=context)["task"]
        return value_of(task) if task.get("artifacts") else None

    here, there = os.urandom(4).hex(), os.urandom(4).hex()
    assert turn(here, value="one") == nothing
    assert turn(here) == "one"
    assert turn(there) == nothing
    if skill == "remember":
        assert turn(here, forget=True) == "one"
        assert turn(here) is None


def test_state_is_bounded(kitchen: Running) -> None:
    assert "larger than" in call(kitchen, "large_state")


def test_what_a_run_knows(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "facts")
    found = said.json
    assert found["caller"] == ["admin", "default", "", False]
    assert found["ids"] == [said.run, said.headers["a2a-task"], said.headers["a2a-context"]]
    assert found["attempt"] == 1
    assert found["later"] is True
    assert 0 < found["left"] <= 61
    assert found["cancelled"] is False
    assert found["history"] == 0


@pytest.mark.parametrize(
    ("qty", "as_text"),
    [
        (1, "1"),
        (0.5, "0.5"),
        ("12.50", "12.5"),
        (1e-7, "0.0000001"),
        ("1e3", "1000"),
        (1 / 3, None),
        (-2, "-2"),
    ],
)
def test_usage(kitchen: Running, qty: Any, as_text: str | None) -> None:
    said = invoke(kitchen, "kitchen", "meter", qty=qty)
    assert said.json == "ok"
    receipt = request(kitchen, "GET", f"/agents/kitchen/runs/{said.run}/receipt").json
    (usage,) = receipt["body"]["usage"]
    assert as_text is None or usage["qty"] == as_text


@pytest.mark.parametrize("qty", ["many", "nan", "inf", "1e40", "1e999999999", "", None, [1], "1" * 60])
def test_usage_that_is_none(kitchen: Running, qty: Any) -> None:
    assert "decimal quantity" in call(kitchen, "meter", qty=qty)


# --- children, routes -------------------------------------------------------------------------------


def test_files_go_to_children_and_routes(kitchen: Running) -> None:
    body = b"d" * (5 * MB)
    said = request(kitchen, "POST", "/agents/kitchen/invoke/pass_on", body, OCTETS)
    assert said.json == [
        ["a.bin", len(body), len(body)],
        ["logo.bin", 100_000, 100_000],
        ["small.txt", 3, 3],
        ["a.bin", len(body), len(body)],
    ]


@pytest.mark.parametrize(
    ("skill", "code", "detail"),
    [
        ("refuse", "refused", "Not on a Monday."),
        ("problem", "skill_failed", "No salt."),
        ("none", "skill_not_found", "no skill 'none'"),
        ("wrong", "invalid_agent_response", "return type"),
    ],
)
def test_a_childs_failure_is_a_problem(kitchen: Running, skill: str, code: str, detail: str) -> None:
    found = call(kitchen, "child_fails", skill=skill)
    assert found[0] == code
    assert detail in found[1]


def test_routes(kitchen: Running) -> None:
    assert call(kitchen, "routes_sync") == [None, [0, 1, 2], [0, 1, 2]]
    assert call(kitchen, "routes") == [[0, 1], [0, 1, 2]]


def test_threads_and_loops_that_a_skill_starts_itself(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "own_loop")
    assert said.json["question"]["text"] == "Which?"
    assert result(replies(kitchen, said, "this")) == "[0, 1] this"
    assert call(kitchen, "helper_thread") == "default"


# --- the message handler ----------------------------------------------------------------------------


def test_the_message_handler_answers_asks_and_routes(kitchen: Running) -> None:
    assert result(send(kitchen, "kitchen", "hello")["task"]) == "heard hello, after []"
    assert result(send(kitchen, "kitchen", "route")["task"]) == [0, 1, 2]
    assert send(kitchen, "kitchen", "reply")["message"]["parts"] == [{"text": "just words"}]
    asked = send(kitchen, "kitchen", "ask")["task"]
    assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert result(answer(kitchen, "kitchen", asked["id"], "that").json["task"]) == "you said that"


# --- what goes wrong --------------------------------------------------------------------------------


def test_refuse_and_problem(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "refuse")
    assert (said.status, said.code, said.json["state"]) == (422, "refused", "rejected")
    assert said.detail == "Not on a Monday. Come on Tuesday."
    assert invoke(kitchen, "kitchen", "problem").detail == "No salt. Buy some."
    assert invoke(kitchen, "kitchen", "problem", code="timed_out").code == "skill_failed"
    assert invoke(kitchen, "kitchen", "problem", code="invalid_params").code == "invalid_params"
    assert "pair" in invoke(kitchen, "kitchen", "surrogate").detail


def test_retries_void_what_came_before(kitchen: Running) -> None:
    found = events(kitchen, "kitchen", "third_time")
    assert [data["attempt"] for kind, data in found if kind == "attempt"] == [2, 3]
    text = "".join(data["delta"] for kind, data in found if kind == "text")
    assert "LATE" not in text
    assert [data["value"] for kind, data in found if kind == "result"] == [3]


def test_a_result_of_another_type(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "wrong")
    assert said.code == "invalid_agent_response"
    assert "`wrong` does not fit its return type" in said.detail


def test_a_result_that_is_too_large(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "large_result")
    assert said.code == "invalid_agent_response"
    assert "ctx.artifact" in said.detail


def test_a_forgotten_await_is_told(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "forgot")
    assert said.json == "ok"
    found = [line["line"] for line in lines(kitchen, "kitchen") if line["run_id"] == said.run]
    assert any(line.endswith("write `await ctx.text(…)`.") for line in found), found
    assert any(line.endswith("write `await ctx.state.set(…)`.") for line in found), found
    assert all("agent.py:" in line for line in found), found


# --- logs -------------------------------------------------------------------------------------------


def test_lines_belong_to_the_run_that_printed_them(kitchen: Running) -> None:
    names = [f"n{n}" for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda name: invoke(kitchen, "kitchen", "chatty", name=name).run, names))
    want = {
        "task 0",
        "task 1",
        "task 2",
        "task 3",
        "task 4",
        "thread",
        "copied",
        "log",
        "bytes",
        "error",
        "rest",
    }
    for name, run in zip(names, runs, strict=True):
        found = [line for line in lines(kitchen, "kitchen") if line["run_id"] == run]
        assert {line["line"] for line in found} == {f"{name} {one}" for one in want} | {
            f"INFO {name} logging"
        }
        assert {line["source"] for line in found} == {"stdout", "stderr", "log"}


def test_plain_threads_and_child_processes_belong_to_no_run(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "chatty_sync", name="solo")
    mine = [line["line"] for line in lines(kitchen, "kitchen") if line["run_id"] == said.run]
    assert mine == ["solo sync"]
    wait_for(lambda: "stdout: solo child" in log_text(kitchen, "kitchen"))
    assert "stdout: solo stray" in log_text(kitchen, "kitchen")


# --- files and load ---------------------------------------------------------------------------------


@pytest.mark.parametrize("skill", ["digest", "digest_sync"])
@pytest.mark.parametrize("size", [0, 3, 70_000, 9 * MB])
def test_files_of_all_sizes(kitchen: Running, skill: str, size: int) -> None:
    if skill == "digest_sync" and size == 0:
        pytest.skip("there is nothing to seek in an empty file")
    body = os.urandom(size)
    found = request(kitchen, "POST", f"/agents/kitchen/invoke/{skill}", body, OCTETS).json
    assert found[:4] == ["a.bin", "application/octet-stream", size, hashlib.sha256(body).hexdigest()]
    if skill == "digest" and size > 8 * MB:
        assert "can't be opened in an async skill" in found[4]


def test_a_file_is_given_back_by_reference(kitchen: Running) -> None:
    body = os.urandom(6 * MB)
    said = request(
        kitchen, "POST", "/agents/kitchen/invoke/copy", body, {**OCTETS, "Accept": "text/event-stream"}
    )
    block = next(b for b in said.body.decode().split("\n\n") if "event: artifact" in b)
    data = json.loads(block.partition("data: ")[2])
    assert fetch(kitchen, data["artifact"]["parts"][0]) == body


def test_a_hundred_megabytes_pass_in_constant_memory(kitchen: Running) -> None:
    block = os.urandom(MB)
    found = hashlib.sha256(block * 100).hexdigest()
    worker = _pid(kitchen)
    before = peak_rss(kitchen.process.pid), peak_rss(worker)
    for skill in ("digest", "digest_sync"):
        said = request(
            kitchen,
            "POST",
            f"/agents/kitchen/invoke/{skill}",
            iter([block] * 100),
            {**OCTETS, "Content-Length": str(100 * MB)},
        )
        assert said.json[3] == found
        assert said.json[-1] == worker
    after = peak_rss(kitchen.process.pid), peak_rss(worker)
    assert after[0] - before[0] < 60 * MB
    assert after[1] - before[1] < 60 * MB


def test_the_largest_json_body_passes(kitchen: Running) -> None:
    said = invoke(kitchen, "kitchen", "echo", text="x" * (16 * MB - 100))
    assert len(said.body) == 16 * MB - 98


def test_a_hundred_calls_share_one_worker(kitchen: Running) -> None:
    calls = [begin(kitchen, "kitchen", "together", seconds=1.0) for _ in range(100)]
    assert max(one.result(30).json for one in calls) > 50


def test_a_skills_own_concurrency(kitchen: Running) -> None:
    calls = [begin(kitchen, "kitchen", "pairs", seconds=0.05) for _ in range(8)]
    assert max(one.result(30).json for one in calls) == 2


def test_the_platform_is_well_after_all_that(kitchen: Running) -> None:
    assert request(kitchen, "GET", "/readyz").status == 200
    assert "Traceback" not in kitchen.log.read_text()
    assert run_of(kitchen, invoke(kitchen, "kitchen", "words", count=1).run)["state"] == "completed"
