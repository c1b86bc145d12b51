"""Pages: the documentation of an agent, how to call it in five ways (each is run), the files of `/_dev`."""

from __future__ import annotations

import asyncio
import html
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from a2a_cloud.model.principal import ANONYMOUS
from a2a_cloud.model.problem import MethodNotAllowed, NotFound
from a2a_cloud.model.release import FileParam, Limits, Manifest, Release, SkillSpec, Visibility
from a2a_cloud.surface.pages import assets
from a2a_cloud.surface.pages.calling import text_ways, ways
from a2a_cloud.surface.pages.docs import docs_page
from a2a_cloud.surface.pages.routes import Pages, dev_page, locked_page, wants_page
from a2a_cloud.surface.pages.shapes import in_words, rows
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.schema_reading import sample_arguments
from running import Running

HOSTILE = "</code><script>alert(1)</script>{{ 7 * 7 }}\"'"
INPUT = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "description": "What to order."},
        "to": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}], "default": None},
        "kind": {"enum": ["a", "b"], "default": "a"},
        "when": {"type": "string", "format": "date"},
    },
    "required": ["items", "when"],
    "$defs": {
        "Item": {
            "title": "Item",
            "type": "object",
            "properties": {"name": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
            "required": ["name", "count"],
        },
        "Address": {"title": "Address", "type": "object", "properties": {"zip": {"type": "string"}}},
    },
}
ORDER = SkillSpec(
    "order",
    "Order",
    f"Orders things.\n\nDoes not pay. {HOSTILE}",
    Raw(json.dumps(INPUT).encode()),
    Raw(b'{"type":"array","items":{"type":"string"}}'),
    tags=["food"],
    examples=[HOSTILE],
    files=[FileParam("menu", media_types=["application/pdf"], description="The menu.")],
    timeout=20,
)
BASE = "http://127.0.0.1:8080/agents/bistro"


def release(visibility: Visibility = Visibility.ORG, *skills: SkillSpec) -> Release:
    manifest = Manifest(
        "bistro",
        "agent.py",
        f"Takes orders. {HOSTILE}",
        version="2.1.0",
        provider_name="The kitchen",
        provider_url="javascript:alert(1)",
        visibility=visibility,
        limits=Limits(timeout=90, memory=1 << 30),
    )
    return Release(
        3, 1, 1, "default", 7, "sha256:0ab", "", manifest, skills or (ORDER,), created=1_763_716_992.0
    )


def page(one: Release, **more: Any) -> str:
    public = one.manifest.visibility is Visibility.PUBLIC
    return docs_page(
        one,
        BASE,
        auth_public=public,
        receipt_url=BASE + "/runs/{id}/receipt",
        platform="http://127.0.0.1:8080",
        **more,
    ).decode()


def words_of(text: str) -> str:
    """What a reader sees."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_documentation_says_what_there_is() -> None:
    seen = words_of(page(release()))
    for said in (
        "version 2.1.0",
        "release 7",
        "needs a key",
        "since 2025-11-21",
        "Orders things.",
        "food at most 20 s",
        "menu required file: application/pdf The menu.",
        "items required list of Item What to order.",
        "items[].count required whole number at least 1",
        "to Address or null",
        'kind one of "a", "b" Default: "a"',
        "when required date",
        "Result list of string",
        "a2a call bistro order",
        "export A2A_KEY=…",
        "/runs/{id}/receipt",
        "Time for a run 90 s",
        "Memory of a worker 1 GiB",
        "sha256:0ab",
    ):
        assert said in seen, said


def test_nothing_that_an_author_writes_becomes_markup() -> None:
    shown = page(release())
    assert "<script>alert" not in shown
    assert HOSTILE in html.unescape(shown)
    assert 'href="javascript:' not in shown
    assert re.findall(r"<script[^>]*>", shown) == ['<script type="module" src="docs/docs.js">']
    assert not re.search(r"\son\w+=|\sstyle=|<style", shown.replace(html.escape(HOSTILE), ""))


def test_public_deprecated_and_without_skills() -> None:
    seen = words_of(page(release(Visibility.PUBLIC), deprecated_until=1_798_761_600.0))
    assert "This version is deprecated. It answers until 2027-01-01" in seen
    assert "This agent is public" in seen
    assert "A2A_KEY" not in seen
    assert "deprecated" not in words_of(page(release()))
    bare = msgspec.structs.replace(release(), skills=(), has_message_handler=True)
    seen = words_of(page(bare))
    assert "no skills by name" in seen
    assert "the agent's own message handler" in seen
    assert "a2a call bistro --message Hello" in seen


def test_a_name_that_is_missing_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        assets.templates().from_string("{{ nothing }}").render()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any value"),
        ({"type": "string", "contentEncoding": "base64"}, "bytes (base64)"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"const": 3}, "3"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of whole number by name"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {}]}, "[whole number, any value]"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "whole number or string"),
        ({"$ref": "#/$defs/Loop", "$defs": {"Loop": {"$ref": "#/$defs/Loop"}}}, "any value"),
    ],
)
def test_schemas_in_words(schema: dict[str, Any], words: str) -> None:
    assert in_words(schema, schema) == words


def test_a_schema_that_holds_itself_ends() -> None:
    tree = {
        "properties": {"tree": {"$ref": "#/$defs/Tree"}},
        "required": ["tree"],
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
                "required": ["kids"],
            }
        },
    }
    assert [row.name for row in rows(tree)][:2] == ["tree", "tree.kids"]
    assert len(rows(tree)) < 10
    assert "kids" in sample_arguments(tree)["tree"]


def test_samples_fit() -> None:
    assert sample_arguments(INPUT) == {"items": [{"name": "hello", "count": 1}], "when": "2027-01-31"}


# --- the five ways, run -----------------------------------------------------------------------------


def served(desk: Running, skill: str) -> tuple[Release, SkillSpec]:
    request = urllib.request.Request(f"{desk.url}/api/v1/agents/desk", headers=desk.auth)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        agent = json.loads(answer.read())
    found = next(each for each in agent["skills"] if each["id"] == skill)
    spec = msgspec.convert(
        {
            **found,
            "input_schema": Raw(json.dumps(found["input_schema"]).encode()),
            "output_schema": Raw(json.dumps(found["output_schema"]).encode()),
        },
        SkillSpec,
    )
    manifest = Manifest("desk", "agent.py", default_skill="shout")
    return Release(1, 1, 1, "default", 1, "", "", manifest, (spec,)), spec


def run_way(desk: Running, way: str, text: str, folder: Path) -> str:
    env = {**desk.env, "A2A_URL": desk.url, "A2A_KEY": desk.key}
    if way == "sdk":
        (folder / "sdk.py").write_text(text)
        command = [sys.executable, "-W", "error::SyntaxWarning", "sdk.py"]
    else:
        a2a = f"{sys.executable} -m a2a_cloud.callers.cli"
        command = ["sh", "-c", re.sub("^a2a", a2a, text)]
    done = subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("skill", "wanted"), [("add", '"?sum"?'), ("measure", "5891b5b522d5df086d0ff0b110fbd9d2")]
)
def test_each_way_to_call_a_skill_works(desk: Running, tmp_path: Path, skill: str, wanted: str) -> None:
    one, spec = served(desk, skill)
    (tmp_path / "document.bin").write_bytes(b"hello\n")
    every = ways(one, desk.agent("desk"), spec, public=False)
    assert [way.id for way in every] == ["cli", "curl", "rpc", "sdk", "sse"]
    for way in every:
        assert re.search(wanted, run_way(desk, way.id, way.text, tmp_path)), way.id


def test_each_way_to_say_something_works(desk: Running, tmp_path: Path) -> None:
    one, _ = served(desk, "shout")
    for way in text_ways(one, desk.agent("desk"), public=False):
        assert "HELLO" in run_way(desk, way.id, way.text, tmp_path), way.id


# --- answers ----------------------------------------------------------------------------------------


async def nothing() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


def asked(
    work: str, *args: Any, dev: bool = True, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of one of Pages' answers."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request({"method": method, "query_string": b"", "headers": names}, nothing, send)
    request.read_headers()
    request.release = release()
    request.base = BASE
    asyncio.run(getattr(Pages(dev=dev), work)(request, *args))
    fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], fields, sent[1]["body"]


def test_answers_are_whole_and_safe() -> None:
    for work, args in (
        ("docs", ("http://x",)),
        ("dev", ("",)),
        ("dev", ("/dev.js",)),
        ("asset", ("page.css",)),
    ):
        status, headers, body = asked(work, *args)
        assert (status, headers["content-length"]) == (200, str(len(body)))
        assert "default-src 'none'" in headers["content-security-policy"]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        again = asked(work, *args, if_none_match=headers["etag"])
        assert (again[0], again[2]) == (304, b"")
        with pytest.raises(MethodNotAllowed):
            asked(work, *args, method="POST")


def test_the_page_of_dev_mode_is_there_in_dev_mode_alone() -> None:
    for rest in ("", "/dev.js"):
        with pytest.raises(NotFound):
            asked("dev", rest, dev=False)
    for rest in ("/", "/../routes.py", "/nothing.js", "/dev.js/x"):
        with pytest.raises(NotFound):
            asked("dev", rest)


def test_a_person_without_a_key_is_asked_for_one() -> None:
    status, headers, body = asked("locked")
    assert (status, headers["cache-control"]) == (401, "no-store")
    assert b"bistro" not in body
    assert headers["www-authenticate"].startswith("Bearer")

    def wants(path: str, accept: bytes) -> bool:
        scope = {"method": "GET", "query_string": b"", "headers": [(b"accept", accept)]}
        request = Request(scope, nothing, None)  # type: ignore[arg-type]
        request.read_headers()
        request.rest = path
        assert request.principal is ANONYMOUS
        return wants_page(request)

    assert wants("/docs", b"text/html,*/*;q=0.8")
    assert not wants("/docs", b"*/*")
    assert not wants("/card", b"text/html")


def test_pages_use_nothing_from_elsewhere_and_nothing_inline() -> None:
    for body in (dev_page(), locked_page(), page(release()).encode()):
        text = body.decode()
        for name in re.findall(r'(?:src|href)="(?:docs|_dev)/([^"]+)"', text):
            assert assets.asset(name)[0], name
        assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//', text)
        assert not re.search(r"<script(?![^>]*src=)[^>]*>", text)
    static = Path(assets.__file__).parent / "static"
    for path in static.iterdir():
        text = path.read_text()
        assert "innerHTML" not in text, path
        assert not re.search(r"\burl\(|@import|https?://(?!www\.w3\.org/2000/svg)", text), path
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert (static / name).is_file(), (path, name)
