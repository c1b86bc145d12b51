"""The small parts of the MCP surface: sealed values, sessions, headers, templates, search."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from a2a_cloud.control.registry.search import Search
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import InvalidParams, McpSessionNotFound
from a2a_cloud.model.release import Manifest, Release, SkillSpec
from a2a_cloud.surface.mcp import catalogue, headers
from a2a_cloud.surface.mcp.catalogue import Catalogue
from a2a_cloud.surface.mcp.events import Place, read_event_id
from a2a_cloud.surface.mcp.offer import Offer, Offers, prompt_document, tool_document
from a2a_cloud.surface.mcp.sealed import Sealer
from a2a_cloud.surface.mcp.sessions import SESSION_SECONDS, Sessions
from a2a_cloud.wire.mcp import Client

ANN = Principal(1, 1, "ann", "default", "admin")


class Clock:
    """A clock that is turned by hand."""

    at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Ids:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, kind: str) -> str:
        self.count += 1
        return f"{kind}_{self.count}"


class Thing(Struct, array_like=True):
    name: str
    no: int


def release(no: int, name: str, *skills: SkillSpec) -> Release:
    """A release of an agent."""
    manifest = Manifest(name=name, entry="agent.py", description=f"The agent {name}")
    return Release(no, no, 1, "default", 1, "sha256:0", "/", manifest, skills)


def skill(name: str, description: str = "", **more: Any) -> SkillSpec:
    """A skill."""
    schema = more.pop("schema", b'{"type":"object"}')
    return SkillSpec(
        id=name,
        name=name,
        description=description,
        input_schema=Raw(schema),
        output_schema=Raw(b"{}"),
        **more,
    )


# --- what clients keep for us -----------------------------------------------------------------------------


@given(st.text(max_size=30), st.integers(-(2**60), 2**60))
def test_what_was_sealed_is_opened(name: str, no: int) -> None:
    sealer = Sealer(b"k" * 32)
    text = sealer.seal("a", Thing(name, no))
    assert all(0x21 <= ord(sign) <= 0x7E for sign in text)
    assert sealer.open("a", text, Thing) == Thing(name, no)
    assert sealer.open("b", text, Thing) is None
    assert Sealer(b"l" * 32).open("a", text, Thing) is None


@given(st.text(max_size=200))
def test_what_was_not_sealed_is_not_opened(text: str) -> None:
    assert Sealer(b"k" * 32).open("a", text, Thing) is None


def test_a_sealed_value_can_not_be_changed() -> None:
    sealer = Sealer(b"k" * 32)
    text = sealer.seal("a", Thing("x", 1))
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert sealer.open("a", changed, Thing) in (None, Thing("x", 1))
        if place < text.index("."):
            assert sealer.open("a", changed, Thing) is None


def test_a_session_ends_with_its_time_or_when_it_is_told_to() -> None:
    clock = Clock()
    sessions = Sessions(Sealer(b"k" * 32), clock, Ids())
    text = sessions.begin("desk", ANONYMOUS, "2025-11-25", Client(form=True))
    found = sessions.read(text, "desk", ANONYMOUS)
    assert (found.version, found.client, found.level) == ("2025-11-25", Client(form=True), "")
    found.kept.level = "info"
    assert sessions.read(text, "desk", ANONYMOUS).level == "info"
    # Another life of the platform knows it, but for what memory held.
    later = Sessions(Sealer(b"k" * 32), clock, Ids()).read(text, "desk", ANONYMOUS)
    assert later.level == ""
    clock.at += SESSION_SECONDS + 1
    with pytest.raises(McpSessionNotFound):
        sessions.read(text, "desk", ANONYMOUS)
    clock.at = 1000.0
    sessions.end(found)
    with pytest.raises(McpSessionNotFound):
        sessions.read(text, "desk", ANONYMOUS)


def test_memory_of_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("a2a_cloud.surface.mcp.sessions._MOST", 3)
    sessions = Sessions(Sealer(b"k" * 32), Clock(), Ids())
    for number in range(5):
        sessions.remember(f"n{number}")
    assert sessions.known("n1") is None
    assert sessions.known("n4") is not None


@given(st.text(max_size=100))
def test_any_event_id_is_read_or_refused(text: str) -> None:
    with pytest.raises(InvalidParams):
        read_event_id(text)


def test_an_event_id_leads_back() -> None:
    place = Place("task_1", "tool", "add", Raw(b'"x"'), Raw(b"null"), "")
    mark = base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")
    found, position = read_event_id(f"{mark}~2.17")
    assert (found.task_id, bytes(found.id), position) == ("task_1", b'"x"', (2, 17))


# --- headers ----------------------------------------------------------------------------------------------


@given(st.text(max_size=80))
def test_a_header_in_base64_is_read(text: str) -> None:
    assert headers.decoded(f"=?base64?{base64.b64encode(text.encode()).decode()}?=") == text


@pytest.mark.parametrize("value", ["=?base64?%?=", "=?base64?//8=?=", "=?base64?YQ?="])
def test_a_header_that_cannot_be_read_is_nothing(value: str) -> None:
    assert headers.decoded(value) is None


@pytest.mark.parametrize("value", ["", "plain", "=?base64?", "=?BASE64?YQ==?="])
def test_another_header_is_what_it_says(value: str) -> None:
    assert headers.decoded(value) == value


def test_annotated_parameters_are_found_where_properties_lead() -> None:
    inner = {"type": "string", "x-mcp-header": "Inner"}
    schema = {
        "properties": {
            "a": {"type": "string", "x-mcp-header": "A"},
            "b": {"type": "object", "properties": {"c": inner}},
            "d": {"type": "array", "items": {"properties": {"e": inner}}},
            "f": {"type": "string", "x-mcp-header": "not a token"},
        }
    }
    assert headers.annotated(schema, ()) == [(("a",), "A"), (("b", "c"), "Inner")]


# --- what is offered --------------------------------------------------------------------------------------


def test_tags_say_what_a_skill_is() -> None:
    offer = Offer(
        release(
            1,
            "desk",
            skill("plain", examples=["Do it"]),
            skill(
                "words",
                tags=["mcp:prompt"],
                schema=b'{"type":"object","properties":{"a":{"description":"A"}}}',
            ),
            skill("page", tags=["mcp:resource=pages://{book}/{no}", "mcp:resource=pages://all"]),
            skill("job", tags=["mcp:task=required", "mcp:requires=roots", "mcp:read-only"]),
        )
    )
    assert list(offer.tools) == ["plain", "job"]
    assert [one.name for one in offer.examples] == ["plain-1"]
    assert prompt_document(offer.prompts[0])["arguments"] == [
        {"name": "a", "required": False, "description": "A"}
    ]
    template, whole = offer.resources
    assert template.arguments("pages://a%20b/7") == {"book": "a b", "no": "7"}
    assert template.arguments("pages://a/b/c") is None
    assert whole.arguments("pages://all") == {}
    assert whole.arguments("pages://al.") is None
    job = offer.tools["job"]
    assert (job.task, job.requires) == ("must", ("roots",))
    assert tool_document(job, modern=False)["execution"] == {"taskSupport": "required"}
    assert tool_document(job, modern=True)["annotations"]["readOnlyHint"]
    assert "execution" not in tool_document(job, modern=True)


def test_many_tools_are_searched_and_not_listed() -> None:
    agents = [
        release(
            no,
            f"agent{no:02}",
            skill("review", "Reviews contracts"),
            skill("sum", "Adds numbers", tags=["maths"]),
        )
        for no in range(catalogue.MANY)
    ]
    few, many = Catalogue(agents[:2], Offers()), Catalogue(agents, Offers())
    assert (few.many, many.many) == (False, True)

    class Serving:
        def everything(self) -> list[Release]:
            return agents

    def found(query: str, limit: int) -> list[str]:
        search = Search(Serving(), None)
        given = {"query": query, "limit": limit}
        body = asyncio.run(catalogue.search(search, many, ANN, given, modern=True))
        return [one["name"] for one in body["tools"]]

    assert found("review a contract", 3) == ["agent00.review", "agent01.review", "agent02.review"]
    assert found("maths", 1) == ["agent00.sum"]
    assert found("zebra", 9) == []
    assert found("", 2) == ["agent00.review", "agent00.sum"]
    with pytest.raises(InvalidParams, match="needs a query"):
        asyncio.run(catalogue.search(Search(Serving(), None), many, ANN, {}, modern=True))
    assert many.tool("agent07.sum") is not None
    assert many.tool("agent07.gone") is None
