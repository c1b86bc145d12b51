"""The official SDK's client gets what it asks for, over both bindings, streaming and not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import official as sdk
import pytest
from a2a.client.client import Client
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors

from running import Running

pytestmark = pytest.mark.parametrize("binding", sdk.BINDINGS)


def run(
    desk: Running, binding: str, test: Callable[[Client], Awaitable[Any]], agent: str = "desk", **config: bool
) -> Any:
    async def inside() -> Any:
        async with sdk.client(desk.agent(agent), desk.auth, binding, **config) as client:
            return await test(client)

    return asyncio.run(inside())


def test_a_blocking_call(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.call("add", {"a": 2, "b": 3})))
        task = event.task
        assert task.status.state == pb.TASK_STATE_COMPLETED
        assert task.artifacts[0].parts[0].data.struct_value["sum"] == 5
        assert task.metadata["a2a-cloud/receipt"].startswith("rcpt_")
        assert task.history[0].role == pb.ROLE_USER

    run(desk, binding, test)


def test_free_text_goes_to_the_default_skill(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.text("hello")))
        assert event.task.artifacts[0].parts[0].text == "HELLO"

    run(desk, binding, test)


def test_free_text_goes_to_the_message_handler(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.text("hello")))
        assert event.task.artifacts[0].parts[0].text == "heard hello"

    run(desk, binding, test, agent="talker")


def test_a_message_may_be_the_answer(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.call("greet", {"name": "Bo"})))
        assert event.WhichOneof("payload") == "message"
        assert event.message.parts[0].text == "Hello Bo"
        assert event.message.metadata["a2a-cloud/run"].startswith("run_")

    run(desk, binding, test)


def test_a_stream_begins_with_the_task_and_ends_with_its_end(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        events = await sdk.all_of(client.send_message(sdk.call("words", {"text": "a b c"})))
        assert sdk.kinds(events)[0] == "task"
        assert events[0].task.status.state == pb.TASK_STATE_SUBMITTED
        assert set(sdk.kinds(events)[1:-1]) == {"artifact_update"}
        assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
        pieces = [e.artifact_update for e in events if e.HasField("artifact_update")]
        texts = [p for p in pieces if p.artifact.artifact_id == "text"]
        assert "".join(p.artifact.parts[0].text for p in texts) == "a b c "
        assert [p.append for p in texts] == [False] + [True] * (len(texts) - 1)

    run(desk, binding, test, streaming=True)


def test_a_stream_of_an_answer_that_is_a_message_shows_its_task(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        events = await sdk.all_of(client.send_message(sdk.call("greet", {"name": "Bo"})))
        assert sdk.kinds(events)[0] == "task"
        last = events[-1].status_update.status
        assert last.state == pb.TASK_STATE_COMPLETED
        assert last.message.parts[0].text == "Hello Bo"

    run(desk, binding, test, streaming=True)


def test_a_question_in_a_stream_and_its_answer(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        events = await sdk.all_of(client.send_message(sdk.call("advise", {"topic": "tea"})))
        asked = events[-1].status_update
        assert asked.status.state == pb.TASK_STATE_INPUT_REQUIRED
        assert asked.status.message.parts[0].text == "Which law governs?"
        assert asked.status.message.task_id == asked.task_id
        answer = sdk.text("England", task_id=asked.task_id)
        events = await sdk.all_of(client.send_message(answer))
        assert sdk.kinds(events)[0] == "task"
        assert events[0].task.id == asked.task_id
        assert events[0].task.status.state == pb.TASK_STATE_WORKING
        assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
        texts = [e.artifact_update.artifact.parts[0].text for e in events if e.HasField("artifact_update")]
        assert texts == ["tea under the law of England"]

    run(desk, binding, test, streaming=True)


def test_a_question_in_a_blocking_call_and_its_answer(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.call("advise", {"topic": "tea"})))
        assert event.task.status.state == pb.TASK_STATE_INPUT_REQUIRED
        answer = sdk.text("England", task_id=event.task.id, context_id=event.task.context_id)
        (event,) = await sdk.all_of(client.send_message(answer))
        assert event.task.status.state == pb.TASK_STATE_COMPLETED
        said = [m.parts[0].text for m in event.task.history]
        assert said[1:] == ["Which law governs?", "England"]

    run(desk, binding, test)


def test_a_wrong_answer_leaves_the_question_open(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.call("advise", {"topic": "tea"})))
        with pytest.raises(errors.InvalidParamsError):
            await sdk.all_of(client.send_message(sdk.text("France", task_id=event.task.id)))
        task = await client.get_task(pb.GetTaskRequest(id=event.task.id))
        assert task.status.state == pb.TASK_STATE_INPUT_REQUIRED

    run(desk, binding, test)


def test_polling_returns_at_once(desk: Running, binding: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.call("hold", {"gate": str(gate)})))
        assert event.task.status.state in (pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING)
        gate.touch()
        while True:
            task = await client.get_task(pb.GetTaskRequest(id=event.task.id, history_length=0))
            if task.status.state == pb.TASK_STATE_COMPLETED:
                break
            await asyncio.sleep(0.01)
        assert not task.history
        assert task.artifacts[-1].parts[0].text == "open"

    run(desk, binding, test, polling=True)


def test_subscribing_to_a_working_task(desk: Running, binding: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def test(client: Client) -> None:
        first = client.send_message(sdk.call("hold", {"gate": str(gate), "words": 3}))
        opened = await anext(first)
        task_id = opened.task.id
        seen = ""
        async for event in first:
            if event.HasField("artifact_update"):
                seen += event.artifact_update.artifact.parts[0].text
            if seen.endswith("word2 "):
                break
        second = client.subscribe(pb.SubscribeToTaskRequest(id=task_id))
        now = await anext(second)
        assert now.WhichOneof("payload") == "task"
        assert now.task.status.state == pb.TASK_STATE_WORKING
        assert now.task.artifacts[0].parts[0].text == "word0 word1 word2 "
        gate.touch()
        rest, again = await asyncio.gather(sdk.all_of(first), sdk.all_of(second))
        assert rest == again
        assert rest[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
        with pytest.raises(errors.UnsupportedOperationError):
            await sdk.all_of(client.subscribe(pb.SubscribeToTaskRequest(id=task_id)))

    run(desk, binding, test, streaming=True)


def test_canceling(desk: Running, binding: str, tmp_path: Path) -> None:
    async def test(client: Client) -> None:
        stream = client.send_message(sdk.call("hold", {"gate": str(tmp_path / "never")}))
        opened = await anext(stream)
        task = await client.cancel_task(pb.CancelTaskRequest(id=opened.task.id))
        assert task.status.state == pb.TASK_STATE_CANCELED
        rest = await sdk.all_of(stream)
        assert rest[-1].status_update.status.state == pb.TASK_STATE_CANCELED
        with pytest.raises(errors.TaskNotCancelableError):
            await client.cancel_task(pb.CancelTaskRequest(id=opened.task.id))

    run(desk, binding, test, streaming=True)


def test_listing(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        context = f"ctx-list-{binding[:4]}"
        for n in range(5):
            await sdk.all_of(client.send_message(sdk.text(f"n{n}", context_id=context)))
        page = await client.list_tasks(pb.ListTasksRequest(context_id=context, page_size=2))
        assert (len(page.tasks), page.page_size, page.total_size) == (2, 2, 5)
        assert page.next_page_token
        assert not page.tasks[0].artifacts
        seen = [t.history[0].parts[0].text for t in page.tasks]
        while page.next_page_token:
            page = await client.list_tasks(
                pb.ListTasksRequest(
                    context_id=context,
                    page_size=2,
                    page_token=page.next_page_token,
                    include_artifacts=True,
                )
            )
            assert page.tasks[0].artifacts
            seen += [t.history[0].parts[0].text for t in page.tasks]
        assert seen == ["n4", "n3", "n2", "n1", "n0"]
        done = await client.list_tasks(
            pb.ListTasksRequest(context_id=context, status=pb.TASK_STATE_WORKING, history_length=0)
        )
        assert (len(done.tasks), done.total_size, done.next_page_token) == (0, 0, "")
        with pytest.raises(errors.InvalidParamsError):
            await client.list_tasks(pb.ListTasksRequest(page_size=101))
        with pytest.raises(errors.InvalidParamsError):
            await client.list_tasks(pb.ListTasksRequest(page_token="nonsense"))

    run(desk, binding, test)


def test_a_file_part(desk: Running, binding: str) -> None:
    body = bytes(range(256)) * 1000

    async def test(client: Client) -> None:
        request = sdk.call("measure", {"unit": "b"})
        request.message.parts.append(pb.Part(raw=body, filename="x.bin", media_type="application/x-test"))
        (event,) = await sdk.all_of(client.send_message(request))
        measured = event.task.artifacts[0].parts[0].data.struct_value
        assert (measured["size"], measured["name"]) == (len(body), "x.bin")
        shown = event.task.history[0].parts[1]
        assert shown.WhichOneof("content") == "url"

    run(desk, binding, test)


def test_errors_are_the_clients_own(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        with pytest.raises(errors.TaskNotFoundError):
            await client.get_task(pb.GetTaskRequest(id="task_none"))
        with pytest.raises(errors.TaskNotFoundError):
            await sdk.all_of(client.send_message(sdk.text("x", task_id="task_none")))
        with pytest.raises(errors.TaskNotFoundError):
            await client.cancel_task(pb.CancelTaskRequest(id="task_none"))
        with pytest.raises(errors.InvalidParamsError):
            await sdk.all_of(client.send_message(sdk.call("add", {"a": "x"})))
        (event,) = await sdk.all_of(client.send_message(sdk.text("x")))
        with pytest.raises(errors.UnsupportedOperationError):
            await sdk.all_of(client.send_message(sdk.text("more", task_id=event.task.id)))
        with pytest.raises(errors.InvalidParamsError):
            await sdk.all_of(
                client.send_message(sdk.text("more", task_id=event.task.id, context_id="another"))
            )
        missing = pb.GetTaskPushNotificationConfigRequest(task_id=event.task.id, id="c")
        with pytest.raises(errors.TaskNotFoundError):
            await client.get_task_push_notification_config(missing)
        push = pb.TaskPushNotificationConfig(task_id=event.task.id, url="http://10.0.0.1/")
        with pytest.raises(errors.InvalidParamsError):
            await client.create_task_push_notification_config(push)
        accepted = sdk.text("x")
        accepted.configuration.accepted_output_modes.append("image/png")
        with pytest.raises(errors.ContentTypeNotSupportedError):
            await sdk.all_of(client.send_message(accepted))

    run(desk, binding, test)


def test_push_configs(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        request = sdk.text("x")
        inline = request.configuration.task_push_notification_config
        inline.url = "https://hooks.example/inline"
        (event,) = await sdk.all_of(client.send_message(request))
        task = event.task.id
        config = pb.TaskPushNotificationConfig(
            task_id=task,
            id="mine",
            url="https://hooks.example/a",
            token="t",
            authentication=pb.AuthenticationInfo(scheme="Bearer", credentials="c"),
        )
        made = await client.create_task_push_notification_config(config)
        config.ClearField("tenant")  # which the client puts in for gRPC
        assert made == config
        named = pb.GetTaskPushNotificationConfigRequest(task_id=task, id="mine")
        assert await client.get_task_push_notification_config(named) == config
        wanted = pb.ListTaskPushNotificationConfigsRequest(task_id=task)
        listed = await client.list_task_push_notification_configs(wanted)
        assert {each.id: each.url for each in listed.configs} == {"mine": config.url, task: inline.url}
        gone = pb.DeleteTaskPushNotificationConfigRequest(task_id=task, id="mine")
        await client.delete_task_push_notification_config(gone)
        await client.delete_task_push_notification_config(gone)
        with pytest.raises(errors.TaskNotFoundError):
            await client.get_task_push_notification_config(named)

    run(desk, binding, test)


def test_a_failed_and_a_refused_run_are_tasks(desk: Running, binding: str) -> None:
    async def test(client: Client) -> None:
        (event,) = await sdk.all_of(client.send_message(sdk.call("fail", {"why": "x"})))
        assert event.task.status.state == pb.TASK_STATE_FAILED
        assert event.task.metadata["a2a-cloud/error"] == "skill_failed"
        (event,) = await sdk.all_of(client.send_message(sdk.call("refuse", {"why": "not today"})))
        assert event.task.status.state == pb.TASK_STATE_REJECTED
        assert event.task.status.message.parts[0].text == "not today"

    run(desk, binding, test)


def test_the_same_message_twice_is_one_task(desk: Running, binding: str) -> None:
    async def blocking(client: Client) -> str:
        request = sdk.text("once", message_id=f"same-{binding}")
        (first,) = await sdk.all_of(client.send_message(request))
        (second,) = await sdk.all_of(client.send_message(request))
        assert first.task.id == second.task.id
        return first.task.id

    async def streaming(client: Client) -> None:
        events = await sdk.all_of(client.send_message(sdk.text("once", message_id=f"same-{binding}")))
        assert events[0].task.id == task_id
        assert sdk.kinds(events) == ["task", "artifact_update", "status_update"]

    task_id = run(desk, binding, blocking)
    run(desk, binding, streaming, streaming=True)

    async def another(client: Client) -> None:
        with pytest.raises(Exception, match="used before"):
            await sdk.all_of(client.send_message(sdk.text("other", message_id=f"same-{binding}")))

    if binding == "JSONRPC":
        run(desk, binding, another)


def test_a_follow_up_keeps_the_task_working_until_it_ends(
    desk: Running, binding: str, tmp_path: Path
) -> None:
    first_gate, second_gate = tmp_path / "first", tmp_path / "second"

    async def test(client: Client) -> None:
        stream = client.send_message(sdk.call("hold", {"gate": str(first_gate)}))
        task_id = (await anext(stream)).task.id
        follow_up = sdk.call("hold", {"gate": str(second_gate)}, task_id=task_id)
        second = client.send_message(follow_up)
        opened = await anext(second)
        assert opened.task.id == task_id
        assert opened.task.status.state == pb.TASK_STATE_WORKING
        async with sdk.client(desk.agent("desk"), desk.auth, binding) as blocking:
            request = sdk.call("add", {"a": 1}, task_id=task_id)
            last = asyncio.ensure_future(sdk.all_of(blocking.send_message(request)))
            while True:  # Until it is there, or the task might end before it.
                task = await client.get_task(pb.GetTaskRequest(id=task_id, history_length=9))
                if sum(message.role == pb.ROLE_USER for message in task.history) == 3:
                    break
                await asyncio.sleep(0.01)
            first_gate.touch()
            second_gate.touch()
            (ended,) = await last
        assert ended.task.status.state == pb.TASK_STATE_COMPLETED
        artifacts = {artifact.artifact_id for artifact in ended.task.artifacts}
        assert artifacts == {"result", "result-2", "result-3"}
        for events in await asyncio.gather(sdk.all_of(stream), sdk.all_of(second)):
            states = [e.status_update.status.state for e in events if e.HasField("status_update")]
            assert states[-1] == pb.TASK_STATE_COMPLETED
            assert pb.TASK_STATE_COMPLETED not in states[:-1]

    run(desk, binding, test, streaming=True)


def test_a_blocking_call_waits_for_its_tasks_follow_up(desk: Running, binding: str, tmp_path: Path) -> None:
    first_gate, second_gate = tmp_path / "first", tmp_path / "second"

    async def test(client: Client) -> None:
        context = f"ctx-follow-{tmp_path.name}"
        request = sdk.call("hold", {"gate": str(first_gate)}, context_id=context)
        first = asyncio.ensure_future(sdk.all_of(client.send_message(request)))
        while True:
            page = await client.list_tasks(pb.ListTasksRequest(context_id=context))
            if page.tasks:
                break
            await asyncio.sleep(0.01)
        task_id = page.tasks[0].id
        follow_up = sdk.call("hold", {"gate": str(second_gate)}, task_id=task_id)
        follow_up.configuration.return_immediately = True
        await sdk.all_of(client.send_message(follow_up))
        first_gate.touch()
        while True:
            task = await client.get_task(pb.GetTaskRequest(id=task_id))
            if task.artifacts:
                break
            await asyncio.sleep(0.01)
        assert task.status.state == pb.TASK_STATE_WORKING
        assert not first.done()
        second_gate.touch()
        (ended,) = await first
        assert ended.task.status.state == pb.TASK_STATE_COMPLETED
        assert len(ended.task.artifacts) == 2

    run(desk, binding, test)
