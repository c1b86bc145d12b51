"""What the official MCP conformance suite calls on a server: its tools, prompts and resources, by the names
and with the words of its scenarios. docs/mcp.md says how tags of a skill make it a prompt or a resource."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Annotated, Any

import msgspec
from content import PNG, WAV

from a2a_cloud import Agent, Context, Problem

agent = Agent("mcp_suite")


# --- tools ------------------------------------------------------------------------------------------------


@agent.skill
async def test_simple_text() -> str:
    """Return a text."""
    return "This is a simple text response for testing."


@agent.skill
async def test_image_content(ctx: Context) -> None:
    """Return an image."""
    await ctx.artifact("pixel.png", PNG, media_type="image/png")


@agent.skill
async def test_audio_content(ctx: Context) -> None:
    """Return a sound."""
    await ctx.artifact("silence.wav", WAV, media_type="audio/wav")


@agent.skill
async def test_embedded_resource(ctx: Context) -> None:
    """Return an embedded resource."""
    await ctx.artifact("words", "This is an embedded resource content.", media_type="text/plain")


@agent.skill
async def test_multiple_content_types(ctx: Context) -> str:
    """Return a text, an image and a resource."""
    await ctx.artifact("pixel.png", PNG, media_type="image/png")
    await ctx.artifact("value", {"test": "data", "value": 123})
    return "Multiple content types test:"


@agent.skill
async def test_tool_with_logging(ctx: Context) -> str:
    """Log while it works."""
    ctx.log("Tool execution started")
    await asyncio.sleep(0.05)
    ctx.log("Tool processing data")
    await asyncio.sleep(0.05)
    ctx.log("Tool execution completed")
    return "Logged three times."


@agent.skill
async def test_logging_tool(ctx: Context) -> str:
    """Log a line."""
    ctx.log("A line that is only for those who asked for lines")
    return "Logged."


@agent.skill
async def test_custom_header_tool(
    region: Annotated[str, msgspec.Meta(extra_json_schema={"x-mcp-header": "Region"})], query: str
) -> str:
    """Take an argument that is repeated in a header."""
    return f"{query} in {region}"


@agent.skill
async def test_error_handling() -> str:
    """Fail, always."""
    raise Problem("This tool intentionally returns an error for testing")


@agent.skill
async def test_tool_with_progress(ctx: Context) -> str:
    """Tell how far it is."""
    for percent in (0, 50, 100):
        ctx.progress("working", percent)
        await asyncio.sleep(0.05)
    return "Done."


@agent.skill
async def test_reconnection() -> str:
    """Take a moment."""
    await asyncio.sleep(0.5)
    return "Reconnection test completed successfully"


class Json2020(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody to write to."""

    name: str = ""
    email: str = ""


@agent.skill
async def json_schema_2020_12_tool(name: str = "", address: Json2020 | None = None) -> str:
    """Take arguments of some depth."""
    return f"{name} {address}"


# --- questions ----------------------------------------------------------------------------------------------


@agent.skill
async def test_elicitation(ctx: Context, message: str) -> str:
    """Ask for a name and an address."""
    text = {"type": "string"}
    said = await ctx.ask(
        message,
        {
            "type": "object",
            "properties": {
                "username": {**text, "description": "User's response"},
                "email": {**text, "description": "User's email address"},
            },
            "required": ["username", "email"],
        },
    )
    return f"User response: {json.dumps(said)}"


@agent.skill
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Ask with defaults for values of each kind."""
    said = await ctx.ask(
        "Please review and update the form",
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "default": "John Doe"},
                "age": {"type": "integer", "default": 30},
                "score": {"type": "number", "default": 95.5},
                "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
                "verified": {"type": "boolean", "default": True},
            },
        },
    )
    return f"Elicitation completed: {json.dumps(said)}"


def _titled(word: str) -> list[dict[str, str]]:
    names = ("First", "Second", "Third")
    return [{"const": f"value{n}", "title": f"{name} {word}"} for n, name in enumerate(names, 1)]


@agent.skill
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Ask to choose in all five ways."""
    options = ["option1", "option2", "option3"]
    said = await ctx.ask(
        "Please choose",
        {
            "type": "object",
            "properties": {
                "untitledSingle": {"type": "string", "enum": options},
                "titledSingle": {"type": "string", "oneOf": _titled("Option")},
                "legacyEnum": {
                    "type": "string",
                    "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"],
                },
                "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
                "titledMulti": {"type": "array", "items": {"anyOf": _titled("Choice")}},
            },
        },
    )
    return f"Elicitation completed: {json.dumps(said)}"


async def asked(ctx: Context, text: str, **requests: dict[str, Any]) -> dict[str, Any]:
    """What the client answers to these requests, by name."""
    return await ctx.ask(text, {"type": "object", "x-mcp-input-requests": requests})


def form(message: str, name: str, kind: str = "string") -> dict[str, Any]:
    """A request for one value."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sampling(text: str, tokens: int = 100) -> dict[str, Any]:
    """A request for a model's words."""
    messages = [{"role": "user", "content": {"type": "text", "text": text}}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": tokens}}


ROOTS: dict[str, Any] = {"method": "roots/list", "params": {}}


def given(answers: dict[str, Any], name: str) -> dict[str, Any]:
    """What was filled in."""
    return answers.get(name, {}).get("content") or {}


def sampled(answers: dict[str, Any], name: str) -> str:
    """What the model said."""
    content = answers.get(name, {}).get("content") or {}
    first = content[0] if isinstance(content, list) else content
    return str(first.get("text", ""))


@agent.skill
async def test_sampling(ctx: Context, prompt: str) -> str:
    """Ask the client's model."""
    answers = await asked(ctx, prompt, answer=sampling(prompt))
    return f"LLM response: {sampled(answers, 'answer')}"


@agent.skill
async def test_input_required_result_elicitation(ctx: Context) -> str:
    """Ask for a name."""
    answers = await asked(ctx, "A name", user_name=form("What is your name?", "name"))
    return f"Hello, {given(answers, 'user_name').get('name', '')}!"


@agent.skill
async def test_input_required_result_sampling(ctx: Context) -> str:
    """Ask the client's model for a capital."""
    answers = await asked(ctx, "A capital", capital_question=sampling("What is the capital of France?"))
    return sampled(answers, "capital_question")


@agent.skill
async def test_input_required_result_list_roots(ctx: Context) -> str:
    """Ask for the client's roots."""
    answers = await asked(ctx, "The roots", client_roots=ROOTS)
    return "Roots: " + ", ".join(root["uri"] for root in answers["client_roots"].get("roots", []))


@agent.skill
async def test_input_required_result_request_state(ctx: Context) -> str:
    """Ask for a confirmation, and go on where it was."""
    await asked(ctx, "A confirmation", confirm=form("Please confirm", "ok", "boolean"))
    return "state-ok"


@agent.skill
async def test_input_required_result_tampered_state(ctx: Context) -> str:
    """Ask for a confirmation; nobody may change where it goes on."""
    await asked(ctx, "A confirmation", confirm=form("Please confirm", "ok", "boolean"))
    return "state-ok"


@agent.skill
async def test_input_required_result_multiple_inputs(ctx: Context) -> str:
    """Ask for a form, a model's words and the roots at once."""
    answers = await asked(
        ctx,
        "Three things",
        user_name=form("What is your name?", "name"),
        greeting=sampling("Generate a greeting", 50),
        client_roots=ROOTS,
    )
    roots = answers.get("client_roots", {}).get("roots", [])
    name = given(answers, "user_name").get("name", "")
    return f"{sampled(answers, 'greeting')} {name}, with {len(roots)} roots"


@agent.skill
async def test_input_required_result_multi_round(ctx: Context) -> str:
    """Ask twice, one after the other."""
    name = await asked(ctx, "A name", step1=form("Step 1: What is your name?", "name"))
    colour = await asked(ctx, "A colour", step2=form("Step 2: What is your favorite color?", "color"))
    return f"{given(name, 'step1').get('name', '')} likes {given(colour, 'step2').get('color', '')}"


@agent.skill
async def test_input_required_result_capabilities(ctx: Context) -> str:
    """Ask in the ways that the client knows."""
    answers = await asked(
        ctx, "What you can", user_name=form("What is your name?", "name"), greeting=sampling("Say hello")
    )
    return f"{given(answers, 'user_name').get('name', '')} {sampled(answers, 'greeting')}"


@agent.skill(tags=["mcp:requires=sampling"])
async def test_missing_capability(ctx: Context) -> str:
    """Need a model of the client's."""
    answers = await asked(ctx, "A model's words", answer=sampling("Say hello"))
    return sampled(answers, "answer")


@agent.skill
async def test_streaming_elicitation(ctx: Context) -> str:
    """Tell how far it is, then ask."""
    ctx.progress("asking", 10)
    answers = await asked(ctx, "A name", user_name=form("What is your name?", "name"))
    return f"Hello, {given(answers, 'user_name').get('name', '')}!"


# --- tasks --------------------------------------------------------------------------------------------------


@agent.skill
async def greet(name: str) -> str:
    """Greet, at once."""
    return f"Hello, {name}!"


@agent.skill(tags=["mcp:task"])
async def slow_compute(seconds: float = 1.0, label: str = "") -> str:
    """Take that many seconds."""
    await asyncio.sleep(min(max(seconds, 0.0), 30.0))
    return f"Computed {label} in {seconds:g} s"


@agent.skill(tags=["mcp:task=required"])
async def failing_job() -> str:
    """Fail after a second."""
    await asyncio.sleep(1)
    raise Problem("This job always fails")


@agent.skill(tags=["mcp:task"])
async def protocol_error_job() -> str:
    """Break."""
    raise RuntimeError("broken")


@agent.skill
async def test_tool_with_task(ctx: Context) -> str:
    """Ask, then work for so long that the call becomes a task."""
    answers = await asked(ctx, "A name", user_name=form("What is your name?", "name"))
    await asyncio.sleep(4)
    return f"Hello, {given(answers, 'user_name').get('name', '')}!"


@agent.skill(tags=["mcp:task"])
async def confirm_delete(ctx: Context, filename: str = "") -> str:
    """Delete after a confirmation."""
    answers = await asked(ctx, "A confirmation", confirm=form(f"Delete {filename}?", "confirm", "boolean"))
    return f"Deleted {filename}: {json.dumps(given(answers, 'confirm'))}"


@agent.skill(tags=["mcp:task"])
async def multi_input(ctx: Context) -> str:
    """Ask two things at once."""
    answers = await asked(
        ctx, "Two things", first=form("First?", "name"), second=form("Second?", "confirm", "boolean")
    )
    return json.dumps({name: given(answers, name) for name in ("first", "second")})


# --- prompts ------------------------------------------------------------------------------------------------

PROMPT = ["mcp:prompt"]


@agent.skill(tags=PROMPT)
async def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


@agent.skill(tags=PROMPT)
async def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@agent.skill(tags=PROMPT)
async def test_prompt_with_embedded_resource(resourceUri: str) -> list[dict[str, Any]]:  # noqa: N803
    """A prompt that holds a resource."""
    resource = {
        "uri": resourceUri,
        "mimeType": "text/plain",
        "text": "Embedded resource content for testing.",
    }
    said = {"type": "text", "text": "Please process the embedded resource above."}
    return [
        {"role": "user", "content": {"type": "resource", "resource": resource}},
        {"role": "user", "content": said},
    ]


@agent.skill(tags=PROMPT)
async def test_prompt_with_image() -> list[dict[str, Any]]:
    """A prompt that holds an image."""
    image = {"type": "image", "data": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
    said = {"type": "text", "text": "Please analyze the image above."}
    return [{"role": "user", "content": image}, {"role": "user", "content": said}]


@agent.skill(tags=PROMPT)
async def test_input_required_result_prompt(ctx: Context) -> str:
    """A prompt that asks first."""
    question = form("What context should the prompt use?", "context")
    answers = await asked(ctx, "A context", user_context=question)
    return f"Use this context: {given(answers, 'user_context').get('context', '')}"


# --- resources ----------------------------------------------------------------------------------------------


@agent.skill(tags=["mcp:resource=test://static-text"], output_modes=["text/plain"])
async def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


@agent.skill(tags=["mcp:resource=test://static-binary"], output_modes=["image/png"])
async def static_binary(ctx: Context) -> None:
    """An image."""
    await ctx.artifact("pixel.png", PNG, media_type="image/png")


@agent.skill(tags=["mcp:resource=test://template/{id}/data"], output_modes=["application/json"])
async def template(id: str) -> dict[str, Any]:  # noqa: A002
    """Data by id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


@agent.skill(tags=["mcp:resource=test://watched-resource"], output_modes=["text/plain"])
async def watched() -> str:
    """A text that may be watched."""
    return "Watched resource content"
