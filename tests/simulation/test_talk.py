"""Follow-ups, answers, children, replies, retries, state: what a task and its runs agree on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ledger import Ledger, settle, verify
from witness import Said, Witness
from world import World

from a2a_cloud.model.run import AnswerEvent
from a2a_cloud.model.task import TaskState


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One platform for all of these; it has room for one call at a time in the agent `narrow`."""
    home = tmp_path_factory.mktemp("talk")
    narrow = home / "narrow"
    narrow.mkdir()
    (narrow / "a2a.toml").write_text(NARROW_MANIFEST)
    (narrow / "agent.py").write_text(NARROW)
    crash = Path(__file__).parents[1] / "agents" / "crash"
    world = World(home, (crash, narrow))
    world.start()
    yield world  # type: ignore[misc]
    ledger = settle(world)
    ledger.check()
    verify(world, Witness(world), ledger, set())
    assert world.stop() == 0
    world.close()


NARROW_MANIFEST = """
name = "narrow"
default_skill = "echo"

[limits]
concurrency = 1

[grant]
skills = ["**"]
depth = 9
"""

NARROW = '''
from a2a_cloud import Context, skill


@skill
async def echo(text: str) -> str:
    return text


@skill
async def there_and_back(ctx: Context, levels: int) -> str:
    """A calls B calls A, with room for one."""
    if not levels:
        return "back"
    return await ctx.call("crash", "hop", levels=levels - 1)
'''


@pytest.fixture
def client(house: World) -> Witness:
    return Witness(house)


def state(said: Said) -> str:
    return said.json["task"]["status"]["state"].removeprefix("TASK_STATE_").lower()


def runs_of(house: World, task: str) -> list[tuple[int, str, str]]:
    return [
        (run.ordinal, run.skill, run.state.short) for run in Ledger(house.data).runs if run.task_id == task
    ]


def test_a_message_to_a_working_task_is_a_run_after_it(client: Witness, house: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = client.skill("follow-1", "pour", gate=str(gate), now=True)
    task = first.json["task"]["id"]
    client.follow(task)
    house.until(lambda: client.task(task)["state"] == "working", 5, "it works")
    second = client.send("follow-2", "second", task=task, now=True)
    third = client.send("follow-3", "third", task=task, now=True)
    assert (state(second), state(third)) == ("working", "working")
    assert len(runs_of(house, task)) == 3
    gate.touch()
    client.join()  # The stream ends with the last run, and not before.
    assert [run[1:] for run in runs_of(house, task)] == [
        ("pour", "completed"),
        ("say", "completed"),
        ("say", "completed"),
    ]
    assert client.task(task)["state"] == "completed"
    shown = [position for (_, position), (kind, _) in client.events.items() if kind == "result"]
    assert [place.split(".")[0] for place in shown] == ["1", "2", "3"]
    Ledger(house.data).shows(client)
    late = client.send("follow-4", "fourth", task=task)
    assert (late.status, late.code) == (400, "unsupported_operation")
    again = client.send("follow-2", "second", task=task)
    assert again.status == 200
    assert len(runs_of(house, task)) == 3


def test_a_follow_up_waits_without_its_time_running(client: Witness, house: World) -> None:
    """Behind a question it may wait for ever; it runs when its turn comes."""
    task = client.skill("wait-1", "nap", seconds=0.3, now=True).json["task"]["id"]
    client.send("wait-2", "later", task=task, now=True)
    house.until(lambda: client.task(task)["state"] == "completed", 10, "both have ended")
    assert [run[2] for run in runs_of(house, task)] == ["completed", "completed"]


def test_cancel_ends_every_run_of_a_task(client: Witness, house: World, tmp_path: Path) -> None:
    task = client.skill("cancel-1", "pour", gate=str(tmp_path / "never"), now=True).json["task"]["id"]
    client.follow(task)
    client.send("cancel-2", "waits", task=task, now=True)
    assert client.cancel(task).json["status"]["state"] == "TASK_STATE_CANCELED"
    client.join()
    assert [run[2] for run in runs_of(house, task)] == ["canceled", "canceled"]
    assert client.task(task)["state"] == "canceled"
    ends = [position[0] for (_, position), (kind, data) in client.events.items() if kind == "status"]
    assert ends == ["1", "2"]
    gone = client.cancel(task)
    assert (gone.status, gone.code) == (400, "task_not_cancelable")


def test_cancel_of_a_question(client: Witness, house: World) -> None:
    task = client.skill("cancel-ask", "survey").json["task"]["id"]
    client.follow(task)
    assert client.cancel(task).json["status"]["state"] == "TASK_STATE_CANCELED"
    client.join()
    late = client.send("cancel-ask-answer", "red", task=task)
    assert (late.status, late.code) == (400, "unsupported_operation")


def test_cancel_reaches_the_children(client: Witness, house: World, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    task = client.begin("outer", gate=str(tmp_path / "never"), trace=str(trace))
    house.until(lambda: trace.exists() and "pour" in trace.read_text(), 10, "the child works")
    client.cancel(task)
    ledger = settle(house)
    (parent,) = [run for run in ledger.runs if run.task_id == task]
    (child,) = [run for run in ledger.runs if run.parent == parent.no]
    assert (parent.state, child.state) == (TaskState.CANCELED, TaskState.CANCELED)
    document = client.request("GET", f"/agents/crash/runs/{parent.id}/receipt").json
    named = [one["receipt_id"] for one in document["sections"]["children"]["value"]]
    assert named == [client.run(child.id)["receipt_id"]]


def test_children_go_eight_deep_and_no_deeper(client: Witness) -> None:
    assert client.invoke("deep", levels=8).json == 8
    said = client.invoke("deep", levels=9)
    assert said.status == 400, said.body
    assert "deep" in said.json["detail"]


def test_there_and_back_with_room_for_one(client: Witness) -> None:
    narrow = Witness(client.world, agent="narrow")
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda n: narrow.invoke("there_and_back", levels=3), range(4)))
    assert [one.json for one in said] == ["back"] * 4


def test_the_deadline_flows_to_children(client: Witness, house: World) -> None:
    said = client.invoke("hasty")
    assert (said.status, said.code) == (504, "timed_out")
    ledger = settle(house)
    (child,) = [run for run in ledger.runs if run.skill == "nap_awake"]
    assert child.state in (TaskState.CANCELED, TaskState.FAILED)


def test_one_question_and_two_answers(client: Witness, house: World) -> None:
    """Of two answers that race one is taken. The other is told so, or came so late that it was a message
    to a working task, which is a run of its own."""
    for n in range(5):
        task = client.skill(f"race-{n}", "survey").json["task"]["id"]
        with ThreadPoolExecutor(2) as pool:
            answers = [
                pool.submit(client.send, f"race-{n}-{color}", color, task=task) for color in ("red", "blue")
            ]
            said = [one.result() for one in answers]
        taken = [one for one in said if one.status == 200]
        assert taken, [one.body for one in said]
        assert {state(one) for one in taken} == {"completed"}
        assert {one.code for one in said if one.status != 200} <= {"unsupported_operation", "invalid_params"}
        runs = [run for run in Ledger(house.data).runs if run.task_id == task]
        assert [run.skill for run in runs] == ["survey", "say"][: len(taken)]
        assert sum(isinstance(event, AnswerEvent) for _, event in runs[0].events) == 1


def test_an_answer_may_be_repeated(client: Witness, house: World) -> None:
    task = client.skill("repeat", "survey").json["task"]["id"]
    first = client.send("repeat-answer", "red", task=task)
    again = client.send("repeat-answer", "red", task=task)
    assert state(first) == state(again) == "completed"
    assert len(runs_of(house, task)) == 1
    other = client.send("repeat-answer", "blue", task=task)
    assert (other.status, other.code) == (409, "idempotency_conflict")


def test_an_answer_that_does_not_fit_leaves_the_question_open(client: Witness) -> None:
    task = client.skill("misfit", "survey").json["task"]["id"]
    said = client.send("misfit-answer", "green", task=task)
    assert (said.status, said.code) == (400, "invalid_params")
    assert client.task(task)["question"]["text"] == "Which color?"
    assert state(client.send("fit-answer", "red", task=task)) == "completed"


@pytest.mark.parametrize("die", [False, True], ids=["live", "replayed"])
def test_two_questions_at_once(client: Witness, house: World, die: bool) -> None:
    """They are asked one after the other, also when the worker dies in between."""
    first = client.skill(f"two-{die}", "two_questions")
    task = first.json["task"]["id"]
    assert client.task(task)["question"]["text"] == "First?"
    if die:
        house.kill_worker()
    second = client.send(f"two-{die}-1", "one", task=task)
    assert state(second) == "input_required"
    assert client.task(task)["question"]["text"] == "Second?"
    if die:
        house.kill_worker()
    done = client.send(f"two-{die}-2", "two", task=task)
    assert state(done) == "completed"
    assert "one and two" in done.body.decode()


def test_reply(client: Witness, house: World) -> None:
    """First output and nobody saw a task: a message alone. Shown or after a question: the status message."""
    said = client.skill("reply-1", "greet")
    assert said.json["message"]["parts"][0]["text"] == "Hello you"
    assert "taskId" not in said.json["message"]
    assert client.skill("reply-1", "greet").json["message"]["parts"] == said.json["message"]["parts"]
    shown = client.skill("reply-2", "greet", now=True).json["task"]["id"]
    house.until(lambda: client.task(shown)["state"] == "completed", 5, "it has ended")
    found = client.request("GET", f"/agents/crash/tasks/{shown}").json
    assert found["status"]["message"]["parts"][0]["text"] == "Hello you"
    asked = client.skill("reply-3", "greet", ask=True).json["task"]["id"]
    done = client.send("reply-4", "Ann", task=asked)
    assert done.json["task"]["status"]["message"]["parts"][0]["text"] == "Hello Ann"
    noisy = client.skill("reply-5", "greet", noise=True)
    assert state(noisy) == "failed"
    assert "reply must come first" in noisy.body.decode()


def test_retries(client: Witness, house: World, tmp_path: Path) -> None:
    trace = tmp_path / "moody"
    assert client.invoke("moody", trace=str(trace)).json == "fine"
    assert len(trace.read_text().splitlines()) == 3
    run = [run for run in Ledger(house.data).runs if run.skill == "moody"][-1]
    assert run.attempts == 3
    trace = tmp_path / "once"
    assert client.invoke("moody_parent", trace=str(trace)).json == "now"


def test_state_is_kept_per_context(client: Witness) -> None:
    first = client.skill("state-1", "remember", value=7).json["task"]
    body = {
        "messageId": "state-2",
        "role": "ROLE_USER",
        "contextId": first["contextId"],
        "parts": [{"data": {"skill": "remember", "arguments": {}}}],
    }
    second = client.request("POST", "/agents/crash/message:send", {"message": body}).json["task"]
    assert second["artifacts"][-1]["parts"][0] != {}
    assert '"data":7' in str(second).replace("'", '"').replace(" ", "")
    other = client.skill("state-3", "remember").json["task"]
    assert "7" not in str(other.get("artifacts", ""))


def test_state_is_kept_per_owner(client: Witness, house: World) -> None:
    made = client.request("POST", "/api/v1/keys", {"principal": "other"})
    key = made.json["key"]
    context = client.skill("owner-1", "remember", value=9).json["task"]["contextId"]
    body = {
        "messageId": "owner-2",
        "role": "ROLE_USER",
        "contextId": context,
        "parts": [{"data": {"skill": "remember", "arguments": {}}}],
    }
    theirs = client.request(
        "POST", "/agents/crash/message:send", {"message": body}, Authorization=f"Bearer {key}"
    )
    assert theirs.status == 200, theirs.body
    assert "9" not in str(theirs.json["task"].get("artifacts", ""))
