"""The tester does what each of its skills says, and its table of messageIds names what there is."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from example_paths import EXAMPLES

from a2a_cloud import File
from a2a_cloud.testing import AgentTest

FOLDER = EXAMPLES / "tester"
BEHAVIOURS: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "behaviours.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def tester() -> Iterator[AgentTest]:
    with AgentTest(FOLDER) as agent:
        yield agent


def test_a_status_message_or_silence(tester: AgentTest) -> None:
    assert tester.call("complete", message="done").reply == "done"
    assert tester.call("complete").reply is None
    late = tester.call("slow", seconds=0, message="late")
    assert (late.reply, late.stages) == ("late", ["working"])


def test_artifacts_of_each_kind(tester: AgentTest) -> None:
    assert tester.call("text_artifact", text="leaf").artifacts["words"].text == "leaf"
    file = tester.call("file_artifact", content="leaf", name="a.txt").artifacts["a.txt"]
    assert (file.bytes, file.filename, file.media_type) == (b"leaf", "a.txt", "text/plain")
    assert (
        tester.call("url_artifact", url="https://x.example/").artifacts["words.txt"].url
        == "https://x.example/"
    )
    assert tester.call("data_artifact", value={"a": [1]}).artifacts["value"].data == {"a": [1]}
    given = tester.call("give_back", file=File.from_bytes("b.txt", b"leaf", "text/plain"))
    assert (given.value["size"], given.artifacts["b.txt"].bytes) == (4, b"leaf")
    assert tester.call("stream", chunks=["a", "b"]).artifacts["stream"].text == "ab"


def test_questions_refusals_failures(tester: AgentTest) -> None:
    asked = tester.using(answers=["tea", "coffee"]).call("ask", question="What?", times=2)
    assert asked.value == "Answered: tea, coffee"
    assert [one.text for one in asked.questions] == ["What?", "What?"]
    assert tester.run("reject", why="no").status == "rejected"
    assert tester.run("fail", why="no").status == "failed"
    assert tester.call("answer", text="hi").reply == "hi"


def test_any_message_gets_an_answer(tester: AgentTest) -> None:
    assert tester.send("hello").reply == "hello"


@pytest.mark.parametrize("prefix", BEHAVIOURS)
def test_the_table_names_skills_and_their_arguments(tester: AgentTest, prefix: str) -> None:
    behaviour = {name: value for name, value in BEHAVIOURS[prefix].items() if name != "skill"}
    if "seconds" in behaviour:
        behaviour["seconds"] = 0
    skill = BEHAVIOURS[prefix]["skill"]
    runner = {"ask": tester.using(answers=["yes"]), "authorize": tester.using(approve=True)}.get(
        skill, tester
    )
    outcome = runner.run(skill, **behaviour)
    expected = {"reject": "rejected", "fail": "failed"}.get(skill, "completed")
    assert outcome.status == expected, outcome.problem
