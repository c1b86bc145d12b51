"""The official mcp client at an agent's /mcp, in both eras: what it reads is what the skills did."""

from __future__ import annotations

from typing import Any

import outside
import pytest

from running import Running

ERAS = ["legacy", "2026-07-28"]


@pytest.fixture(scope="module", params=ERAS)
def seen(request: pytest.FixtureRequest, toolkit: Running) -> list[tuple[str, Any]]:
    """What the client saw, in order."""
    command = [outside.python("mcp"), outside.PROGRAMS / "mcp_tour.py"]
    found = outside.lines([*command, toolkit.agent("toolkit") + "/mcp", request.param], TOKEN=toolkit.key)
    return [(line["name"], line["value"]) for line in found]


def of(seen: list[tuple[str, Any]], name: str) -> Any:
    """The first of that name."""
    return next(value for found, value in seen if found == name)


@pytest.mark.parametrize(
    ("tool", "text", "structured"),
    [
        ("add", '{"total":3,"odd":true}', {"total": 3, "odd": True}),
        ("echo", "hi", {"result": "hi"}),
        ("several", "[0,1,2]", {"result": [0, 1, 2]}),
        ("spell", "abc", {"result": "abc"}),
        ("said", "just words", None),
        ("ask_name", "Hello, Ada", {"result": "Hello, Ada"}),
        ("ask_twice", "3 green", {"result": "3 green"}),
        ("ask_form", '{"city":"Bern","nights":2}', {"city": "Bern", "nights": 2}),
        ("ask_deep", "[[1,2],[3]]", {"result": [[1, 2], [3]]}),
        ("ask_optional", "nothing", {"result": "nothing"}),
        ("ask_late", "went on", {"result": "went on"}),
        ("think", "a thought", {"result": "a thought"}),
        ("query", "us-west1: grüezi", {"result": "us-west1: grüezi"}),
    ],
)
def test_a_tool_gives_what_the_skill_gave(
    seen: list[tuple[str, Any]], tool: str, text: str, structured: Any
) -> None:
    result = of(seen, f"call {tool}")
    assert not result["isError"]
    assert result["content"][0] == {"type": "text", "text": text}
    assert result.get("structuredContent") == structured
    assert result["_meta"]["a2a-cloud/run"].startswith("run_")
    assert result["_meta"]["a2a-cloud/receipt"].startswith("rcpt_")


def test_a_tool_that_gives_nothing_says_nothing(seen: list[tuple[str, Any]]) -> None:
    assert of(seen, "call nothing")["content"] == []
    assert of(seen, "call maybe")["structuredContent"] == {"result": None}


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("fail", "The oven is cold. Light it."),
        ("refuse", "Not on Sundays."),
        ("crash", "The skill raised RuntimeError."),
    ],
)
def test_what_a_skill_fails_with_is_for_the_model_to_read(
    seen: list[tuple[str, Any]], tool: str, words: str
) -> None:
    result = of(seen, f"call {tool}")
    assert result["isError"]
    assert result["content"][0]["text"].startswith(words)
    assert "secret" not in str(result)


def test_arguments_that_do_not_fit_are_for_the_model_to_read(seen: list[tuple[str, Any]]) -> None:
    result = [value for name, value in seen if name == "call add"][1]
    assert result["isError"]
    assert "is not of type" in result["content"][0]["text"]


def test_files_come_as_text_and_artifacts_leave_as_content(seen: list[tuple[str, Any]]) -> None:
    measured = of(seen, "call measure")["structuredContent"]
    assert measured == {"name": "a.txt", "kind": "text/plain", "sizes": [10], "text": "some words"}
    blocks = of(seen, "call make")["content"]
    kinds = [block["type"] for block in blocks]
    assert kinds == ["text", "resource", "resource", "image", "resource_link", "resource_link"]
    assert blocks[1]["resource"]["text"] == "# Note"
    assert blocks[2]["resource"]["mimeType"] == "application/json"
    assert blocks[4]["size"] == 100_000
    assert blocks[5]["uri"] == "https://example.com/a"
    assert of(seen, "read note.md")["contents"][0]["text"] == "# Note"
    assert of(seen, "read dot.png")["contents"][0]["mimeType"] == "image/png"


def test_progress_grows_and_comes_before_the_result(seen: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in seen]
    told = [value for name, value in seen if name == "progress"]
    assert names.index("progress") < names.index("call slow")
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
    assert [message for _, total, message in told if total] == [f"working: step {n}" for n in range(4)]
    assert [message for _, total, message in told if not total] == [
        "0 ",
        "1 ",
        "2 ",
        "3 ",
        "Artifact log.txt",
    ]


def test_questions_are_forms(seen: list[tuple[str, Any]]) -> None:
    asked = {value["message"]: value["requestedSchema"] for name, value in seen if name == "asked"}
    assert asked["What is your name?"]["properties"] == {"answer": {"type": "string"}}
    assert asked["How many?"]["properties"] == {"answer": {"type": "integer", "minimum": 1}}
    assert asked["Where to?"]["required"] == ["city"]
    assert "JSON that fits" in asked["A matrix?"]["properties"]["answer"]["description"]
    assert "required" not in asked["Anything else?"]


def test_an_approval_is_asked_for_and_its_denial_heard(seen: list[tuple[str, Any]]) -> None:
    asked = [value for name, value in seen if name == "asked" and "secret/**" in value["message"]]
    assert asked[0]["requestedSchema"]["properties"]["decision"]["enum"] == ["approve", "deny"]
    assert of(seen, "call want")["content"][0]["text"].startswith("denied: ")


def test_lists_say_what_there_is(seen: list[tuple[str, Any]]) -> None:
    tools = {tool["name"]: tool for tool in of(seen, "tools")["tools"]}
    assert "review" not in tools
    assert "note" not in tools
    assert "a2a_answer" not in tools, "this client asks its user itself"
    assert tools["add"]["annotations"] == {"title": "Add", "readOnlyHint": True, "idempotentHint": True}
    assert tools["add"]["outputSchema"]["properties"].keys() == {"total", "odd"}
    assert tools["echo"]["outputSchema"]["properties"] == {"result": {"type": "string"}}
    assert tools["measure"]["inputSchema"]["required"] == ["document"]
    prompts = {prompt["name"]: prompt for prompt in of(seen, "prompts")["prompts"]}
    assert [argument["name"] for argument in prompts["review"]["arguments"]] == ["style", "lines"]
    assert "add-1" in prompts
    templates = {one["uriTemplate"] for one in of(seen, "templates")["resourceTemplates"]}
    assert templates == {"notes://{folder}/{name}", "artifact:///{run}/{artifact}", "task:///{task}"}


def test_prompts_resources_and_completion(seen: list[tuple[str, Any]]) -> None:
    words = of(seen, "prompt")["messages"][0]["content"]["text"]
    assert words == "Review this in short style, at most 3 lines."
    assert of(seen, "prompt example")["messages"][0]["content"]["text"] == "Add 1 and 2"
    assert of(seen, "note")["contents"] == [
        {"uri": "notes://red/one", "mimeType": "text/plain", "text": "one in red"}
    ]
    assert of(seen, "completion")["completion"]["values"] == ["short"]


def test_what_is_not_there_has_the_revisions_own_code(seen: list[tuple[str, Any]]) -> None:
    assert of(seen, "unknown tool")["code"] == -32602
    modern = of(seen, "version") == "2026-07-28"
    fault = of(seen, "unknown resource")
    assert fault["code"] == (-32602 if modern else -32002)
    assert fault["data"]["uri"] == "gone://x"


def test_fastmcps_client_gets_along(toolkit: Running) -> None:
    command = [outside.python("mcp"), outside.PROGRAMS / "mcp_fast_client.py"]
    [found] = outside.lines([*command, toolkit.agent("toolkit") + "/mcp"], TOKEN=toolkit.key)
    assert {"add", "ask_name", "fail"} <= set(found["tools"])
    assert found["added"] == {"total": 3, "odd": True}
    assert (found["greeted"], found["failed"]) == ("Hello, Ada", True)
    assert found["prompt"] == "Review this in long style, at most 3 lines."
    assert found["note"] == "one in red"
