"""MCP over a crash of the platform: a session goes on, a stream is taken up, a question is still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from mcp_speaker import Speaker, hang_up, text_of, until_result

from running import Running


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    hang_up()


def test_a_call_is_taken_up_after_a_crash(platform: Callable[..., Running]) -> None:
    running = platform(["toolkit"])
    speaker = Speaker(running.agent("toolkit") + "/mcp", running.key, {"elicitation": {}})
    speaker.initialize()
    seen = []
    try:
        with speaker.stream("tools/call", {"name": "ask_late"}, {"progressToken": "p"}) as messages:
            for event in messages:
                seen.append(event)
                if event.message.get("method") == "elicitation/create":
                    running.kill()
    except httpx.RemoteProtocolError:
        pass
    running.restart()
    speaker.url = running.agent("toolkit") + "/mcp"
    question = seen[-1].message
    with speaker.listen(seen[-2].id) as messages:
        next(messages)
        assert next(messages).message == question, "what was not answered is asked again"
        said = {"action": "accept", "content": {"answer": True}}
        assert speaker.tell({"id": question["id"], "result": said}).status_code == 202
        last = until_result(messages)
    assert [event.message["params"]["message"] for event in last[:-1]] == ["after"]
    assert text_of(last[-1].message["result"]) == "went on"


def test_a_request_state_is_good_after_a_crash(platform: Callable[..., Running]) -> None:
    running = platform(["toolkit"])
    speaker = Speaker(running.agent("toolkit") + "/mcp", running.key, {"elicitation": {}})
    first = speaker.call("ask_name")
    [name] = first["inputRequests"]
    running.kill()
    running.restart()
    speaker.url = running.agent("toolkit") + "/mcp"
    answers = {name: {"action": "accept", "content": {"answer": "Ada"}}}
    result = speaker.call("ask_name", inputResponses=answers, requestState=first["requestState"])
    assert text_of(result) == "Hello, Ada"


def test_other_tools_are_told(platform: Callable[..., Running]) -> None:
    """A release that serves in the place of another is heard of with the next sign of life."""
    running = platform(["open"])
    speaker = Speaker(running.agent("open") + "/mcp")
    listener = Speaker(running.agent("open") + "/mcp")
    wanted = {"notifications": {"toolsListChanged": True}}
    with listener.stream("subscriptions/listen", wanted) as messages:
        next(messages)
        assert speaker.ask("tools/list")["tools"][0]["name"] == "shout"
        archive = _archive()
        answer = httpx.post(
            f"{running.url}/api/v1/agents/open/releases?force=1",
            content=archive,
            headers={**running.auth, "Content-Type": "application/gzip"},
            timeout=60,
        )
        assert answer.status_code in (200, 201, 202), answer.text
        assert next(messages).message["method"] == "notifications/tools/list_changed"


def _archive() -> bytes:
    import io
    import tarfile

    files = {
        "a2a.toml": b'name = "open"\ndescription = "Anybody may call"\nvisibility = "public"\n',
        "agent.py": b"from a2a_cloud import skill\n\n\n@skill\nasync def whisper(text: str) -> str:\n"
        b'    """Say it softly."""\n    return text.lower()\n',
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return out.getvalue()
