"""The test client that we ship: the kit's own worker code, with the test as its runtime."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from a2a_cloud import Agent, Context, File, Problem, Refuse
from a2a_cloud.agent.problem import BadDeclaration, BadResult, InvalidArguments
from a2a_cloud.model.run import ProgressEvent, TextEvent
from a2a_cloud.testing import AgentTest, NotAnswered, Question

agent = Agent("tested")
RAN: list[str] = []


@dataclass
class Order:
    item: str
    count: int = 1


@agent.skill
def greet(name: str, title: Literal["Ms", "Mr", ""] = "") -> str:
    return f"Hello, {title} {name}!".replace("  ", " ")


@agent.skill
async def order(ctx: Context, wanted: Order) -> Order:
    ctx.progress("check", 10, "looking")
    sure: bool = await ctx.ask(f"Order {wanted.count} {wanted.item}?", bool)
    if not sure:
        raise Refuse("Nobody wants it.", remedy="Ask again tomorrow.")
    size = await ctx.ask("Which size?", Literal["S", "L"])
    ctx.progress("done")
    return Order(f"{wanted.item} {size}", wanted.count)


@agent.skill
async def everything(ctx: Context, document: File, more: list[File] | None = None) -> dict[str, Any]:
    data = await document.aread()
    ctx.log("read it", "debug")
    ctx.usage("tokens", 5)
    ctx.usage("tokens", "7.5")
    ctx.usage("time", 2, "s")
    await ctx.text("one ")
    await ctx.text("two")
    await ctx.artifact("copy.bin", data, "application/x-copy")
    await ctx.artifact("same.bin", document)
    await ctx.artifact("data", {"a": [1]})
    await ctx.artifact("lines", "first\n", append=False, last=False)
    await ctx.artifact("lines", "second\n", append=True)
    await ctx.artifact("page", url="https://example.org/", description="a page")
    return {"size": document.size, "type": document.media_type, "more": [one.name for one in more or []]}


@agent.skill
def counted(ctx: Context) -> int:
    count: int = ctx.state.get("count", 0) + 1
    ctx.state.set("count", count)
    return count


@agent.skill(durable=True)
async def pipeline(ctx: Context, start: int) -> dict[str, Any]:
    def add(left: int, right: int) -> int:
        RAN.append(f"{left}+{right}")
        return left + right

    at = ctx.now()
    total: int = await ctx.step(add, start, 1)
    await ctx.state.set("total", total)
    ctx.progress("asking", 50)
    more: int = await ctx.ask("How much more?", int)
    await ctx.sleep(3600)
    left, right = await asyncio.gather(
        ctx.call("maths", "double", value=total), ctx.call("maths", "double", value=more)
    )
    await ctx.text(f"{left} {right}")
    total = await ctx.step(add, left, right)
    return {
        "total": total,
        "kept": await ctx.state.get("total"),
        "chance": ctx.random.random(),
        "hours": (ctx.now() - at).total_seconds() / 3600,
    }


@agent.skill
async def unsteady(ctx: Context) -> str:
    RAN.append("unsteady")
    await ctx.step(lambda: None, name=f"step {len(RAN)}")
    return "done"


@agent.skill(retries=2)
async def flaky(ctx: Context) -> int:
    await ctx.text(f"try {ctx.attempt}")
    if ctx.attempt < 3:
        raise Problem("Not yet.", retry=True)
    return ctx.attempt


@agent.skill
async def delegates(ctx: Context, document: File) -> Any:
    return await ctx.call("reader", "read", document=document, times=2)


@agent.skill
def broken() -> int:
    return {}["nothing"]


@agent.skill
def lies() -> int:
    return "three"  # type: ignore[return-value]


@agent.skill
def fails() -> None:
    raise Problem("The shop is closed.", code="closed", remedy="Come at nine.")


@agent.skill(timeout=30)
async def waits(ctx: Context) -> str:
    ctx.progress("waiting")
    try:
        await asyncio.sleep(60)
    finally:
        RAN.append("cleaned up")
    return "never"


@agent.skill
def deaf(seconds: float) -> None:
    time.sleep(seconds)


@agent.skill
async def words(count: int) -> AsyncIterator[str]:
    for number in range(count):
        yield f"w{number} "


@agent.skill
def items() -> Iterator[int]:
    yield from (1, 2)


@agent.skill
def much(ctx: Context, size: int) -> None:
    ctx.text("ä" * size)
    ctx.artifact("big", b"x" * size)


@agent.skill
async def facts(ctx: Context) -> list[Any]:
    caller = ctx.caller
    left = ctx.deadline - ctx.now()
    return [caller.name, caller.org, caller.agent, caller.anonymous, left.total_seconds(), ctx.output_modes]


@agent.message
async def talk(ctx: Context, text: str, attached: File | None = None) -> None:
    said: int = await ctx.state.get("said", 0) + 1
    await ctx.state.set("said", said)
    if text == "order":
        await ctx.route("order", wanted={"item": "tea"})
    elif text == "late reply":
        await ctx.text("first")
        ctx.reply("second")
    else:
        name = attached.name if attached is not None else "nothing"
        ctx.reply(f"{said}: {text} with {name}, after {[m.text for m in ctx.history]}")


@pytest.fixture(scope="module")
def tested() -> Iterator[AgentTest]:
    with AgentTest(agent) as client:
        yield client


# --- calls ----------------------------------------------------------------------------------------


def test_a_call_returns_what_the_skill_returned(tested: AgentTest) -> None:
    result = tested.call("greet", name="Ada", title="Ms")
    assert result.value == "Hello, Ms Ada!"
    assert (result.status, result.problem, result.questions, result.texts) == ("completed", None, [], [])


def test_arguments_are_refused_as_in_production(tested: AgentTest) -> None:
    with pytest.raises(InvalidArguments, match=r"(?s)`title`.*Write one of \"\", \"Mr\", \"Ms\""):
        tested.call("greet", name="Ada", title="Dr")
    with pytest.raises(InvalidArguments, match="Did you mean `name`"):
        tested.call("greet", nmae="Ada")
    with pytest.raises(InvalidArguments, match="takes no file `title`"):
        tested.call("greet", name="Ada", title=File.from_bytes("a", b""))
    with pytest.raises(Problem, match=r"no skill 'gret'.*Its skills are greet") as caught:
        tested.call("gret")
    assert caught.value.code == "skill_not_found"
    with pytest.raises(Problem, match="can't be written as JSON"):
        tested.call("greet", name=object())


def test_questions_are_answered_in_order_by_text_or_by_a_function(tested: AgentTest) -> None:
    asked: list[Question] = []

    def answer(question: Question) -> Any:
        asked.append(question)
        return True if question.schema == {"type": "boolean"} else "L"

    for answers in ([True, "L"], {"size": "L", "Order 2 tea?": True}, answer):
        result = tested.using(answers=answers).call("order", wanted=Order("tea", 2))
        assert result.value == {"item": "tea L", "count": 2}
    assert [one.text for one in asked] == ["Order 2 tea?", "Which size?"]
    assert [(one.text, one.answer) for one in result.questions] == [
        ("Order 2 tea?", True),
        ("Which size?", "L"),
    ]
    assert result.stages == ["check", "done"]
    assert (result.progress[0].percent, result.progress[1].percent) == (10, None)


def test_a_question_without_an_answer_says_what_to_write(tested: AgentTest) -> None:
    with pytest.raises(NotAnswered, match=r"(?s)asks 'Order 1 tea\?'.*answers=\[….*boolean"):
        tested.call("order", wanted={"item": "tea"})
    with pytest.raises(NotAnswered, match=r"has 1 for it"):
        tested.using(answers=[True]).call("order", wanted={"item": "tea"})
    with pytest.raises(NotAnswered, match="answers has only 'colour'"):
        tested.using(answers={"colour": "red"}).call("order", wanted={"item": "tea"})
    with pytest.raises(BadDeclaration, match="Write a list"):
        tested.using(answers="yes")
    with pytest.raises(AssertionError, match="does not fit"):
        tested.using(answers=["perhaps"]).call("order", wanted={"item": "tea"})


def test_what_a_test_function_raises_reaches_the_test(tested: AgentTest) -> None:
    def answer(question: Question) -> Any:
        pytest.fail("not this question")

    with pytest.raises(pytest.fail.Exception, match="not this question"):
        tested.using(answers=answer).call("order", wanted={"item": "tea"})


def test_refusals_and_failures_are_exceptions_or_outcomes(tested: AgentTest) -> None:
    refused = tested.using(answers=[False])
    with pytest.raises(Refuse, match=r"Nobody wants it. Ask again tomorrow."):
        refused.call("order", wanted={"item": "tea"})
    outcome = refused.run("order", wanted={"item": "tea"})
    assert outcome.status == "rejected"
    assert isinstance(outcome.problem, Refuse)
    with pytest.raises(Problem, match=r"The shop is closed\. Come at nine.") as caught:
        tested.call("fails")
    assert (caught.value.code, caught.value.info) == ("skill_failed", {"agent_code": "closed"})
    with pytest.raises(BadResult, match="does not fit its return type"):
        tested.call("lies")


def test_a_bug_is_told_as_to_a_caller_with_its_traceback_as_a_note(tested: AgentTest) -> None:
    with pytest.raises(Problem, match=r"^The skill raised KeyError. Its log says more.") as caught:
        tested.call("broken")
    assert 'return {}["nothing"]' in caught.value.__notes__[0]
    assert any("KeyError" in line for line in tested.run("broken").lines)


def test_outputs_are_there_to_look_at(tested: AgentTest) -> None:
    big = bytes(range(256)) * 1024
    document = File.from_bytes("a.bin", big, "application/x-test")
    result = tested.call("everything", document=document, more=[File.from_bytes("b", b""), Path(__file__)])
    assert result.value == {
        "size": len(big),
        "type": "application/x-test",
        "more": ["b", "test_kit_client.py"],
    }
    assert (result.texts, result.text) == (["one ", "two"], "one two")
    assert result.usage == {"tokens": Decimal("12.5"), "time s": 2}
    assert [(one.line, one.level, one.source) for one in result.logs] == [("read it", "debug", "log")]
    made = result.artifacts
    assert made["copy.bin"].bytes == made["same.bin"].bytes == big
    assert (made["copy.bin"].media_type, made["same.bin"].filename) == ("application/x-copy", "a.bin")
    assert made["data"].data == {"a": [1]}
    assert (made["lines"].text, made["lines"].complete) == ("first\nsecond\n", True)
    assert (made["page"].url, made["page"].description) == ("https://example.org/", "a page")


def test_more_output_than_the_window_is_acked(tested: AgentTest) -> None:
    result = tested.call("much", size=600_000)
    assert len(result.text) == len(result.artifacts["big"].bytes) == 600_000


def test_files_are_needed_and_must_be_files(tested: AgentTest) -> None:
    with pytest.raises(InvalidArguments, match="file `document` of the skill `everything` is missing"):
        tested.call("everything")
    with pytest.raises(InvalidArguments, match="Give a File"):
        tested.call("everything", document="text")


def test_generators_stream(tested: AgentTest) -> None:
    result = tested.call("words", count=3)
    assert (result.texts, result.value) == (["w0 ", "w1 ", "w2 "], "w0 w1 w2 ")
    assert tested.call("items").value == [1, 2]


def test_state_is_kept_per_context_and_caller(tested: AgentTest) -> None:
    ada = tested.using(context="c1")
    assert [ada.call("counted").value for _ in range(2)] == [1, 2]
    assert ada.using(caller="bob").call("counted").value == 1
    assert tested.call("counted").value == tested.call("counted").value == 1
    nobody = ada.using(org="")
    assert nobody.call("counted").value == nobody.call("counted").value == 1
    ada.put_state({"count": 9})
    result = ada.call("counted")
    assert result.state == ada.state() == tested.state("c1") == {"count": 10}
    with pytest.raises(Problem, match="belongs to a context"):
        tested.state()


def test_children_are_played_by_the_test(tested: AgentTest) -> None:
    document = File.from_bytes("a.txt", b"x" * 100_000, "text/plain")

    def read(document: File, times: int) -> int:
        return len(document.read()) * times

    result = tested.using(calls={"reader/read": read}).call("delegates", document=document)
    assert result.value == 200_000
    (call,) = result.calls
    assert (call.agent, call.skill, call.arguments["times"]) == ("reader", "read", 2)
    assert call.arguments["document"].name == "a.txt"

    async def later(**_: Any) -> str:
        return "later"

    assert tested.using(calls={"reader": later}).call("delegates", document=document).value == "later"
    assert tested.using(calls={"reader": {"a": 1}}).call("delegates", document=document).value == {"a": 1}
    with pytest.raises(Problem, match="No such page"):
        tested.using(calls={"reader": Problem("No such page.")}).call("delegates", document=document)
    with pytest.raises(NotAnswered, match=r"(?s)calls 'reader/read' with.*calls=\{'reader/read': VALUE\}"):
        tested.call("delegates", document=document)
    with pytest.raises(ZeroDivisionError):
        tested.using(calls={"reader": lambda **_: 1 / 0}).call("delegates", document=document)


def test_one_agent_may_stand_for_another(tested: AgentTest) -> None:
    other = Agent()

    @other.skill
    def read(document: File, times: int) -> int:
        return document.size * times

    with AgentTest(other) as second:
        calls = {"reader/read": lambda **arguments: second.call("read", **arguments)}
        document = File.from_bytes("a", b"abc")
        assert tested.using(calls=calls).call("delegates", document=document).value == 6


def test_further_attempts_void_what_came_before(tested: AgentTest) -> None:
    before = tested.now
    result = tested.call("flaky")
    assert (result.value, result.attempts, result.texts) == (3, 3, ["try 3"])
    assert tested.now - before == timedelta(seconds=1.5)
    assert [one.delta for one in result.events if isinstance(one, TextEvent)] == ["try 1", "try 2", "try 3"]


def test_messages_go_to_the_handler(tested: AgentTest) -> None:
    chat = tested.using(context="chat", history=[("user", "hi"), ("agent", "hello")])
    assert chat.send("a").value == "1: a with nothing, after ['hi', 'hello']"
    result = chat.send("b", attached=File.from_bytes("f", b""))
    assert result.reply == result.value == "2: b with f, after ['hi', 'hello']"
    with pytest.raises(Refuse):
        chat.using(answers=[False]).send("order")
    with pytest.raises(BadResult, match="a reply must come first"):
        chat.send("late reply")


def test_without_a_handler_text_goes_to_the_only_skill() -> None:
    single = Agent()

    @single.skill
    def shout(text: str) -> str:
        return text.upper()

    with AgentTest(single) as client:
        assert client.send("hi").value == "HI"
    with pytest.raises(Problem, match="is closed"):
        client.send("hi")
    client.close()


def test_facts_of_the_run(tested: AgentTest) -> None:
    assert tested.call("facts").value == ["tester", "default", "", False, 300.0, []]
    other = tested.using(caller="ada", org="acme", parent_agent="boss", timeout=7, output_modes=["text/html"])
    assert other.call("facts").value == ["ada", "acme", "boss", False, 7.0, ["text/html"]]


# --- time -----------------------------------------------------------------------------------------


def test_time_and_chance_are_the_same_in_every_test() -> None:
    def once(seed: str = "test") -> Any:
        with AgentTest(agent, seed=seed) as client:
            answered = client.using(answers=[4], calls={"maths/double": lambda value: value * 2})
            return answered.call("pipeline", start=1).value

    first = once()
    assert first == once()
    assert first["hours"] == 1.0
    assert first["chance"] != once("another")["chance"]


def test_a_skill_that_takes_too_long_is_stopped(tested: AgentTest) -> None:
    RAN.clear()
    with pytest.raises(Problem, match=r"longer than 0.05 s\.") as caught:
        tested.using(timeout=0.05).call("waits")
    assert caught.value.code == "timed_out"
    assert RAN == ["cleaned up"]


def test_a_skill_that_does_not_hear_is_told_of(tested: AgentTest) -> None:
    with pytest.raises(Problem, match="did not stop within 2 s: its worker is replaced"):
        tested.using(timeout=0.05).call("deaf", seconds=2.3)


def test_a_call_can_be_watched_and_canceled(tested: AgentTest) -> None:
    RAN.clear()
    running = tested.start("waits")
    event = running.wait_for(ProgressEvent)
    assert isinstance(event, ProgressEvent)
    assert event.stage == "waiting"
    with pytest.raises(TimeoutError):
        running.wait_for(TextEvent, timeout=0.01)
    running.cancel()
    outcome = running.outcome()
    assert outcome.status == "canceled"
    assert outcome.problem is not None
    assert (outcome.problem.code, RAN) == ("canceled", ["cleaned up"])
    with pytest.raises(AssertionError, match="ended without the event"):
        running.wait_for(TextEvent)
    quick = tested.start("waits")
    quick.cancel()
    assert quick.outcome().status == "canceled"


def test_the_async_face(tested: AgentTest) -> None:
    async def several() -> list[Any]:
        with pytest.raises(InvalidArguments):
            await tested.acall("greet")
        results = await asyncio.gather(*(tested.acall("greet", name=str(n)) for n in range(20)))
        assert (await tested.arun("fails")).status == "failed"
        assert (await tested.asend("hi")).value.startswith("1: hi")
        return [result.value for result in results]

    assert asyncio.run(several()) == [f"Hello, {n}!" for n in range(20)]


# --- replay ---------------------------------------------------------------------------------------


def test_a_durable_skill_goes_on_after_a_crash_at_any_moment(tested: AgentTest) -> None:
    RAN.clear()
    answered = tested.using(
        answers=[4], calls={"maths/double": lambda value: value * 2}, context="durable", timeout=5
    )
    first = answered.call("pipeline", start=1)
    assert (first.value["total"], first.steps, RAN) == (12, first.steps, ["1+1", "4+8"])
    for keep in range(len(first.events) + 1):
        RAN.clear()
        again = tested.replay(first, keep=keep)
        assert again.problem is None
        assert (again.value["total"], again.value["chance"], again.text) == (12, first.value["chance"], "4 8")
        assert len(again.events) == len(first.events)
        assert [(one.text, one.answer) for one in again.questions] == [("How much more?", 4)]
    assert RAN == []  # all was recorded: no step ran again


def test_a_replay_that_does_something_else_is_named(tested: AgentTest) -> None:
    RAN.clear()
    first = tested.call("unsteady")
    again = tested.replay(first)
    assert again.status == "failed"
    assert again.problem is not None
    assert again.problem.code == "replay_differs"
    assert "The record has step 'step 1'" in again.problem.detail
    assert "the replay did step 'step 2'" in again.problem.detail


# --- where agents come from -------------------------------------------------------------------------


def test_a_folder_is_loaded_by_its_manifest(tmp_path: Path) -> None:
    with pytest.raises(BadDeclaration, match=r"Write a file a2a\.toml"):
        AgentTest(tmp_path)
    (tmp_path / "a2a.toml").write_text('name = "folder"\nentry = "of_folder.py"\ndefault_skill = "echo"\n')
    (tmp_path / "of_folder.py").write_text(
        "from a2a_cloud import skill\n\n@skill(timeout=3)\ndef echo(text: str) -> str:\n    return text\n"
        "\n@skill\ndef other() -> int:\n    return 1\n"
    )
    try:
        with AgentTest(tmp_path) as client:
            assert list(client.skills) == ["echo", "other"]
            assert client.skills["echo"].timeout == 3
            assert client.send("hi").value == "hi"
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["of_folder"]


def test_threads_end_with_the_client() -> None:
    client = AgentTest(agent)
    client.call("greet", name="x")
    before = [one for one in threading.enumerate() if one.name == "a2a agent under test"]
    del client
    after = [one for one in threading.enumerate() if one.name == "a2a agent under test"]
    assert len(after) == len(before) - 1


def test_a_client_may_be_forgotten_while_a_call_goes_on() -> None:
    RAN.clear()
    running = AgentTest(agent).using(timeout=0.05).start("waits")
    assert running.outcome().status == "failed"
    assert RAN == ["cleaned up"]


def test_the_kit_alone_is_enough(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "class Only:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top not in sys.stdlib_module_names and top not in ('a2a_cloud', 'msgspec'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Only())\n"
        "from a2a_cloud import Agent, Context\n"
        "from a2a_cloud.testing import AgentTest\n"
        "agent = Agent()\n"
        "@agent.skill\n"
        "def ask(ctx: Context) -> int:\n"
        "    return ctx.ask('How many?', int)\n"
        "with AgentTest(agent) as client:\n"
        "    result = client.using(answers=[3]).call('ask')\n"
        "    assert client.replay(result).value == 3\n"
        "    print(result.value, client.using(answers=['x']).run('ask').status)\n"
    )
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("3 failed\n", "")


def test_described_parameters_reach_the_schema() -> None:
    described = Agent()

    @described.skill
    def look(depth: Annotated[int, "How far."] = 1) -> int:
        """Look around."""
        return depth

    with AgentTest(described) as client:
        assert b"How far." in bytes(client.skills["look"].input_schema)
        assert client.call("look").value == 1
