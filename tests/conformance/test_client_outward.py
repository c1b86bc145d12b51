"""Our client against the official SDK's server, in each version and binding that it has over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sdk_server import Server, serving

from a2a_cloud.client.a2a import A2AClient
from a2a_cloud.client.a2a_shapes import Event, Message, Part, Task
from a2a_cloud.client.errors import NoInterface, NotSpoken, ServerProblem

SPOKEN = [("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "0.3")]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(*SPOKEN) as one:
        yield one


@pytest.fixture(params=SPOKEN, ids=lambda pair: f"{pair[1]} {pair[0]}")
def spoken(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def run(server: Server, spoken: tuple[str, str], test: Callable[[A2AClient], Awaitable[Any]]) -> Any:
    async def inside() -> Any:
        binding, version = spoken
        async with A2AClient.discover(server.url, binding=binding, version=version) as agent:
            assert (agent.interface.binding, agent.interface.version) == (binding, version)
            return await test(agent)

    return asyncio.run(inside())


async def said(agent: A2AClient, content: Any, **more: Any) -> Task:
    answer = await agent.send(content, **more)
    assert isinstance(answer, Task)
    return answer


def test_a_call(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        task = await said(agent, "hello")
        assert (task.state, task.text) == ("completed", "HELLO")
        assert task.context_id
        again = await agent.get_task(task)
        assert (again.id, again.state) == (task.id, "completed")
        assert [message.text for message in again.history][:1] == ["hello"]

    run(server, spoken, test)


def test_an_answer_without_a_task(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        answer = await agent.send("message")
        assert isinstance(answer, Message)
        assert (answer.text, answer.role) == ("no task here", "agent")
        events = [event async for event in agent.stream("message")]
        assert [event.kind for event in events] == ["message"]

    run(server, spoken, test)


def test_a_stream(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        events: list[Event] = [event async for event in agent.stream("slow")]
        assert events[0].kind == "task"
        pieces = [event for event in events if event.kind == "artifact"]
        assert "".join(event.text for event in pieces) == "piece 0 piece 1 piece 2 "
        assert [event.append for event in pieces] == [False, True, True]
        assert events[-1].state == "completed"
        assert len({event.task_id for event in events}) == 1

    run(server, spoken, test)


def test_a_question_and_its_answer(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        events = [event async for event in agent.stream("ask")]
        assert events[-1].state == "input-required"
        assert events[-1].message is not None
        assert events[-1].message.text == "Which?"
        task = await agent.get_task(events[-1].task_id)
        assert task.state == "input-required"
        answered = await said(agent, "this one", task=task)
        assert (answered.id, answered.state, answered.artifacts[-1].text) == (
            task.id,
            "completed",
            "THIS ONE",
        )

    run(server, spoken, test)


def test_a_task_is_followed_from_elsewhere_and_canceled(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        task = await said(agent, "hang", return_immediately=True)
        assert task.state in ("submitted", "working")
        watching = asyncio.ensure_future(_all(agent.subscribe(task)))
        await asyncio.sleep(0.2)
        canceled = await agent.cancel(task)
        assert canceled.state == "canceled"
        events = await asyncio.wait_for(watching, 20)
        assert events[0].kind == "task"
        assert events[-1].state == "canceled"
        with pytest.raises(ServerProblem) as refused:
            await agent.cancel(task)
        # The SDK's 0.3 over HTTP+JSON names its errors, and this one so.
        assert refused.value.code == "task_not_cancelable"

    run(server, spoken, test)


async def _all(events: Any) -> list[Event]:
    return [event async for event in events]


def test_parts_come_back_as_they_went(server: Server, spoken: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_bytes(b"\x00\xffnote")
    parts = [
        "data",
        Part.of({"n": 1, "list": [True, None, "x"]}),
        Part.of([1, 2]) if spoken[1] == "1.0" else Part.of({"list": [1, 2]}),
        file,
        Part.link("https://example.org/a.pdf", media_type="application/pdf", filename="a.pdf"),
    ]

    async def test(agent: A2AClient) -> None:
        task = await said(agent, parts)
        back = task.artifacts[0].parts
        assert [part.kind for part in back] == ["text", "data", "data", "raw", "url"]
        assert back[1].data == {"n": 1, "list": [True, None, "x"]}
        assert back[2].data == ([1, 2] if spoken[1] == "1.0" else {"list": [1, 2]})
        assert (back[3].raw, back[3].filename, back[3].media_type) == (
            b"\x00\xffnote",
            "note.txt",
            "text/plain",
        )
        assert (back[4].url, back[4].filename) == ("https://example.org/a.pdf", "a.pdf")

    run(server, spoken, test)


def test_a_failure_says_why(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        task = await said(agent, "fail")
        assert (task.state, task.text) == ("failed", "broken")

    run(server, spoken, test)


def test_an_unknown_task(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        with pytest.raises(ServerProblem) as refused:
            await agent.get_task("no-such-task")
        assert (refused.value.code, refused.value.status) == ("task_not_found", 404)

    run(server, spoken, test)


def test_lists(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        task = await said(agent, "one")
        more = [await said(agent, "two", context=task.context_id) for _ in range(2)]
        if spoken[1] == "0.3":
            with pytest.raises(NotSpoken):
                await anext(agent.list_tasks())
            return
        found = [each.id async for each in agent.list_tasks(context=task.context_id, page_size=1)]
        assert sorted(found) == sorted([task.id, *(each.id for each in more)])

    run(server, spoken, test)


def test_push_configurations(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        task = await said(agent, "ask")
        made = await agent.create_push(task, "https://example.org/hook", id="one", token="t")
        assert (made["url"], made["id"], made["taskId"]) == ("https://example.org/hook", "one", task.id)
        assert (await agent.get_push(task, "one"))["token"] == "t"
        if spoken == ("HTTP+JSON", "0.3"):
            return  # that server has neither of the others
        assert [each["id"] for each in await agent.list_push(task)] == ["one"]
        await agent.delete_push(task, "one")
        assert await agent.list_push(task) == []

    run(server, spoken, test)


def test_the_extended_card(server: Server, spoken: tuple[str, str]) -> None:
    async def test(agent: A2AClient) -> None:
        assert agent.card.extended
        card = await agent.extended_card()
        assert card.description == "Echoes, for friends."

    run(server, spoken, test)


def test_the_newest_version_is_chosen() -> None:
    async def inside(url: str, **options: Any) -> tuple[str, str]:
        async with A2AClient.discover(url, **options) as agent:
            assert (await said(agent, "x")).text == "X"
            return agent.interface.binding, agent.interface.version

    with serving(
        ("HTTP+JSON", "0.3"), ("JSONRPC", "0.3"), ("HTTP+JSON", "1.0"), ("JSONRPC", "1.0.1")
    ) as server:
        assert asyncio.run(inside(server.url)) == ("HTTP+JSON", "1.0")
        assert asyncio.run(inside(server.url, binding="JSONRPC")) == ("JSONRPC", "1.0")
        assert asyncio.run(inside(server.url, version="0.3")) == ("HTTP+JSON", "0.3")
        with pytest.raises(NoInterface):
            asyncio.run(inside(server.url, version="7.0"))
    with serving(("JSONRPC", "2.0"), ("JSONRPC", "0.3.0")) as server:
        assert asyncio.run(inside(server.url)) == ("JSONRPC", "0.3")


def test_a_key_goes_to_its_own_origin_alone(server: Server) -> None:
    async def inside(url: str, **options: Any) -> None:
        async with A2AClient.discover(url, **options) as agent:
            await agent.send("x")

    server.asked.clear()
    asyncio.run(inside(server.url, key="k1"))
    assert {headers.get("authorization") for _, headers in server.asked} == {"Bearer k1"}
    with serving(*SPOKEN) as other:
        server.asked.clear()
        asyncio.run(inside(server.url, keys={other.url: "k2"}))
        assert {headers.get("authorization") for _, headers in server.asked} == {None}
