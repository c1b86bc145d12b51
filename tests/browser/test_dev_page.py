"""`/_dev` in a real browser: forms from schemas, live events, questions in place, receipts, reloads; and that
nothing an agent says becomes code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chrome
import pytest

from running import Running, start_platform

pytestmark = pytest.mark.skipif(not chrome.FOUND, reason="Debian's chromium and chromium-driver are not here")

AGENT = '''
from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal

from msgspec import Meta

from a2a_cloud import Context, File, skill


@dataclass
class Item:
    """A line of the order."""

    name: str
    count: Annotated[int, Meta(ge=1, le=99)] = 1
    tags: list[str] = field(default_factory=list)


@dataclass
class Address:
    street: str
    zip: Annotated[str, Meta(pattern="^[0-9]{5}$")]


class Speed(Enum):
    slow = "slow"
    fast = "fast"


@skill(tags=["food"], examples=["Order two soups"])
async def order(
    ctx: Context,
    items: list[Item],
    note: str,
    to: Address | None = None,
    when: datetime.date | None = None,
    speed: Speed = Speed.slow,
    express: bool = False,
    price: float = 2.5,
    meta: dict[str, int] | None = None,
    mixed: int | str | None = None,
    pair: tuple[int, str] = (1, "a"),
    anything: Any = None,
) -> dict:
    """Order things for delivery.

    Args:
        items: What to order.
    """
    print("an order of", len(items))
    await ctx.progress("cooking", 80, "Cooking it")
    await ctx.text("Soon ")
    await ctx.text("there.")
    return {
        "items": items, "note": note, "to": to, "when": when, "speed": speed, "express": express,
        "price": price, "meta": meta, "mixed": mixed, "pair": pair, "anything": anything,
    }


@skill
async def advise(ctx: Context, topic: str) -> dict:
    """Ask twice, then advise."""
    law = await ctx.ask("Which law governs?", Literal["Delaware", "England"])
    schema = {
        "type": "object",
        "properties": {"sure": {"type": "number", "maximum": 1}, "by": {"type": "string", "format": "date"}},
        "required": ["sure"],
    }
    return {"topic": topic, "law": law, **await ctx.ask("How sure?", schema)}


SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" onload="top.owned=1">'
    '<script>top.owned = 1</script><rect width="40" height="20" fill="teal"/></svg>'
)


@skill
async def draw(ctx: Context) -> str:
    """Put out what a page must not run."""
    await ctx.artifact("small.svg", SVG, media_type="image/svg+xml")
    large = SVG.replace("</svg>", "<!--" + "x" * 90_000 + "--></svg>")
    await ctx.artifact("large.svg", large, media_type="image/svg+xml")
    await ctx.artifact("page.html", "<script>top.owned = 1</script>", media_type="text/html")
    await ctx.artifact("bytes.bin", bytes(3000))
    await ctx.artifact("link", url="javascript:top.owned=1", media_type="text/html")
    return "<img src=x onerror='top.owned=1'>"


@skill
async def measure(document: File, unit: str = "bytes") -> dict:
    """Size of a file."""
    return {"name": document.name, "media_type": document.media_type, "size": document.size, "unit": unit}


@skill
async def both(first: File, more: list[File]) -> list:
    """Names of files."""
    return [first.name, *(each.name for each in more)]


@skill
async def wait(ctx: Context) -> str:
    """Take very long."""
    await ctx.progress("waiting")
    await ctx.sleep(600)
    return "late"


@skill
async def books(ctx: Context) -> str:
    """Ask for more than it may."""
    scope = await ctx.request_scope(read=["finance/**"], reason="the books of May")
    return f"may read {scope.read[0]}"


@skill
def fail(why: str) -> str:
    """Raise."""
    raise ValueError(why)
'''


@pytest.fixture(scope="module")
def bistro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("dev")
    folder = home / "agent"
    folder.mkdir()
    (folder / "a2a.toml").write_text(
        'name = "bistro"\ndescription = "Takes orders and asks."\nentry = "agent"\nversion = "1.4.0"\n'
    )
    (folder / "agent.py").write_text(AGENT)
    running = start_platform([folder], home, A2A_DEV="1")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chrome.Page]:
    with chrome.browser(tmp_path_factory.mktemp("chrome")) as page:
        page.size(1400, 1000)
        yield page


@pytest.fixture
def page(window: chrome.Page, bistro: Running) -> chrome.Page:
    window.go("about:blank")
    window.go(f"{bistro.url}/_dev#key={bistro.key}")
    window.shows("bistro", "#agent")
    window.complaints()
    return window


def choose(page: chrome.Page, skill: str) -> None:
    page.run(
        "[...document.querySelectorAll('#skills button')].find(b => b.textContent === arguments[0]).click()",
        skill,
    )
    page.shows(skill, "#form h2")


def labelled(page: chrome.Page, label: str, inside: str = "#form") -> str:
    """A selector of the control under this label."""
    found = page.run(
        "const l = [...document.querySelectorAll(arguments[1] + ' label')]"
        ".find(l => l.textContent.replace('*', '').trim() === arguments[0]);"
        "const c = l && (l.control ?? l.querySelector('input'));"
        "if (!c) return ''; c.id ||= 'x' + Math.random().toString(36).slice(2); return '#' + c.id",
        label,
        inside,
    )
    assert found, f"no control is labelled {label!r}: {page.text(inside)}"
    return str(found)


def result(page: chrome.Page, state: str = "completed") -> str:
    page.shows(state, "#runs > details:first-child .state")
    return page.run(
        "return document.querySelector('#runs > details:first-child .result pre code')?.textContent ?? ''"
    )


def test_the_key_leaves_the_address_and_stays_in_the_tab(page: chrome.Page, bistro: Running) -> None:
    assert page.run("return location.href") == f"{bistro.url}/_dev"
    assert page.run("return sessionStorage.getItem('a2a-key')") == bistro.key
    assert page.run("return localStorage.length + document.cookie.length") == 0
    page.go(f"{bistro.url}/_dev")
    page.shows("bistro", "#agent")


def test_without_a_key_it_asks_for_one(window: chrome.Page, bistro: Running) -> None:
    window.go(f"{bistro.url}/_dev")
    window.run("sessionStorage.clear()")
    window.go(f"{bistro.url}/_dev")
    window.shows("A key is needed", "#view-key")
    window.type("#key", bistro.key)
    window.click("#door .go")
    window.shows("bistro", "#agent")
    window.find("#call")


def test_a_form_gives_each_kind_of_value(page: chrome.Page) -> None:
    choose(page, "order")
    page.run("document.querySelector('#form fieldset .items > button').click()")
    page.type(labelled(page, "name"), "soup\nof the day")
    page.type(labelled(page, "count"), "200")
    page.type(labelled(page, "note"), "ünï 'quoted'")
    page.click("#call")
    page.shows("count", "#form [role=alert]:not(:empty)")
    page.type(labelled(page, "count"), "2")
    page.click(labelled(page, "to"))
    page.type(labelled(page, "street"), "Main 1")
    page.type(labelled(page, "zip"), "12x45")
    page.click("#call")
    page.shows("zip has to match", "#form")
    page.type(labelled(page, "zip"), "12345")
    page.run("document.querySelector(arguments[0]).value = '2027-03-04'", labelled(page, "when"))
    page.run("document.querySelector(arguments[0]).selectedIndex = 1", labelled(page, "speed"))
    page.click(labelled(page, "express"))
    page.type(labelled(page, "anything"), '{"a": [1]}')
    page.click("#call")
    value = json.loads(result(page))
    assert value == {
        "items": [{"name": "soup\nof the day", "count": 2, "tags": []}],
        "note": "ünï 'quoted'",
        "to": {"street": "Main 1", "zip": "12345"},
        "when": "2027-03-04",
        "speed": "fast",
        "express": True,
        "price": 2.5,
        "meta": None,
        "mixed": None,
        "pair": [1, "a"],
        "anything": {"a": [1]},
    }
    assert "Soon there." in page.text("#runs .text")
    assert "progress" in page.run("return document.querySelector('#runs .events').textContent")
    assert not page.complaints()


def test_the_form_as_json_and_back(page: chrome.Page) -> None:
    choose(page, "order")
    page.click("#form [aria-pressed]")
    page.type(
        "#form textarea.mono", '{"items": [{"name": "tea"}], "note": "n", "mixed": "x", "meta": {"k": 7}}'
    )
    page.click("#form [aria-pressed]")
    assert page.run("return document.querySelector(arguments[0]).value", labelled(page, "note")) == "n"
    page.click("#call")
    value = json.loads(result(page))
    assert (value["mixed"], value["meta"], value["items"][0]["name"]) == ("x", {"k": 7}, "tea")


def test_questions_are_answered_in_place(page: chrome.Page) -> None:
    choose(page, "advise")
    page.type(labelled(page, "topic"), "tea")
    page.click("#call")
    page.shows("Which law governs?", ".question")
    page.run("document.querySelector('.question select').value = '1'")
    page.click(".question .go")
    page.shows("How sure?", ".question")
    page.type(labelled(page, "sure", ".question"), "3")
    page.click(".question .go")
    page.shows("sure", ".question [role=alert]")
    page.type(labelled(page, "sure", ".question"), "0.5")
    page.click(".question .go")
    assert json.loads(result(page)) == {"topic": "tea", "law": "England", "sure": 0.5}


def ask(running: Running, method: str, path: str, body: Any = None, key: str = "") -> Any:
    """The platform's answer to a request with JSON."""
    sent = urllib.request.Request(  # noqa: S310
        running.url + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {key or running.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(sent, timeout=20) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_what_a_run_asks_for_is_shown_and_it_goes_on(page: chrome.Page, bistro: Running) -> None:
    boss = ask(bistro, "POST", "/api/v1/keys", {"principal": "boss", "role": "admin"})["key"]
    choose(page, "books")
    page.click("#call")
    page.shows("auth-required", "#runs > details:first-child .state")
    page.shows("finance/**", "#runs .approval")
    (found,) = ask(bistro, "GET", "/api/v1/approvals")["approvals"]
    page.shows(found["id"], "#runs .approval .hint")
    page.shows(f"a2a approvals approve {found['id']}", "#runs .approval pre")
    ask(bistro, "POST", f"/api/v1/approvals/{found['id']}/approve", {}, boss)
    assert result(page) == "may read finance/**"
    assert page.run("return document.querySelectorAll('#runs .approval').length") == 0
    assert page.complaints() == []


def test_what_an_agent_puts_out_never_runs(page: chrome.Page) -> None:
    choose(page, "draw")
    page.click("#call")
    assert result(page) == "<img src=x onerror='top.owned=1'>"
    pictures = "[...document.querySelectorAll('#runs img')]"
    page.run(f"{pictures}.forEach(i => i.loading = 'eager')")
    page.until(
        lambda: page.run(f"return {pictures}.filter(i => i.naturalWidth === 40).length") == 2, "pictures"
    )
    assert page.run("return top.owned") is None
    assert page.run("return document.querySelectorAll('#runs script, #runs iframe, #runs svg').length") == 0
    assert page.run("return document.querySelectorAll('#runs a[href^=\"javascript\"]').length") == 0
    types = page.run("return [...document.querySelectorAll('#runs .artifact a')].map(a => a.protocol)")
    assert set(types) <= {"http:"}
    assert not page.complaints()


def test_files_alone_and_several(page: chrome.Page, bistro: Running, tmp_path: Path) -> None:
    one, two, three = tmp_path / "ö ne.csv", tmp_path / "two.md", tmp_path / "three.json"
    one.write_text("a,b\n1,2\n")
    two.write_text("# two")
    three.write_text("{}")
    choose(page, "measure")
    page.click("#call")
    page.shows("choose a file", "#form")
    page.upload("#file-document", one)
    page.type(labelled(page, "unit"), "B&B")
    page.click("#call")
    value = json.loads(result(page))
    assert value == {"name": "ö ne.csv", "media_type": "text/csv", "size": 8, "unit": "B&B"}
    choose(page, "both")
    page.upload("#file-first", two)
    page.upload("#file-more", one)
    page.upload("#file-more", three)
    page.click("#call")
    assert json.loads(result(page)) == ["two.md", "ö ne.csv", "three.json"]
    curl = page.run("return document.querySelector('#runs .tools button:last-child').title")
    env = {**bistro.env, "A2A_KEY": bistro.key}
    done = subprocess.run(
        ["sh", "-c", curl], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert '["two.md","ö ne.csv","three.json"]' in done.stdout


def test_a_run_can_be_canceled_and_a_failure_is_told(page: chrome.Page) -> None:
    choose(page, "wait")
    page.click("#call")
    page.shows("waiting", "#runs .now")
    page.click("#runs > details:first-child .tools button")
    page.shows("canceled", "#runs > details:first-child .state")
    choose(page, "fail")
    page.type(labelled(page, "why"), "the oven is cold")
    page.click("#call")
    page.shows("failed", "#runs > details:first-child .state")
    page.shows("skill_failed", "#runs > details:first-child .result")
    page.shows("ValueError: the oven is cold", "#runs > details:first-child .own-log")


def test_receipt_card_logs(page: chrome.Page) -> None:
    choose(page, "order")
    page.click("#form [aria-pressed]")
    page.type("#form textarea.mono", '{"items": [], "note": "n"}')
    page.click("#call")
    result(page)
    page.click("#runs .receipt summary")
    page.shows('"signatures"', "#runs .receipt")
    page.click("#tab-card")
    page.shows("The card is valid (A2A 1.0).", "#view-card")
    page.click("#tab-logs")
    page.shows("an order of", "#view-logs")


def test_commands_to_copy_do_the_same(page: chrome.Page, bistro: Running) -> None:
    choose(page, "order")
    page.click("#form [aria-pressed]")
    page.type("#form textarea.mono", '{"items": [{"name": "it\'s"}], "note": "a \\"b\\" $HOME"}')
    page.click("#call")
    value = json.loads(result(page))
    buttons = "[...document.querySelectorAll('#runs > details:first-child .tools button')]"
    commands = page.run(f"return {buttons}.map(b => b.title)")
    curl = next(each for each in commands if each.startswith("curl"))
    call = next(each for each in commands if each.startswith("a2a call"))
    env = {**bistro.env, "A2A_URL": bistro.url, "A2A_KEY": bistro.key}

    def shell(command: str) -> Any:
        done = subprocess.run(
            ["sh", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    assert shell(curl) == value
    a2a = f"{sys.executable} -m a2a_cloud.callers.cli"
    assert shell(f"{call.replace('a2a', a2a, 1)} --json")["result"] == value


def test_it_is_fit_for_a_narrow_screen_and_the_dark(page: chrome.Page, tmp_path: Path) -> None:
    page.size(360, 800)
    page.dark(True)
    try:
        choose(page, "order")
        for tab in ("#tab-call", "#tab-card", "#tab-logs"):
            page.click(tab)
            assert page.run("return document.documentElement.scrollWidth") <= 360
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(20, 22, 26)"
    finally:
        page.size(1400, 1000)
        page.dark(False)


def test_a_save_makes_new_forms_and_a_broken_one_says_why(page: chrome.Page, bistro: Running) -> None:
    choose(page, "advise")
    page.type(labelled(page, "topic"), "kept")
    agent = bistro.folders[0] / "agent.py"
    whole = agent.read_text()
    before = page.text("#release")
    agent.write_text(whole.replace("topic: str)", "topic: str, tone: str = 'dry')"))
    page.shows("tone", "#form")
    assert page.text("#release") != before
    assert page.run("return document.querySelector(arguments[0]).value", labelled(page, "topic")) == "kept"
    agent.write_text(whole.replace("def fail(", "def fail(("))
    page.shows("SyntaxError", "#notices")
    agent.write_text(whole)
    page.until(lambda: "SyntaxError" not in page.text("#notices"), "the notice goes")
    page.until(lambda: "tone" not in page.text("#form"), "the form of before")


def test_a_restart_is_a_pause(page: chrome.Page, bistro: Running) -> None:
    choose(page, "advise")
    page.type(labelled(page, "topic"), "kept")
    port = bistro.port
    bistro.stop()
    page.shows("reconnecting", "#link")
    agent = bistro.folders[0] / "agent.py"
    agent.write_text(agent.read_text().replace("topic: str)", "topic: str, depth: int = 3)"))
    bistro.env["A2A_PORT"] = str(port)
    bistro.restart()
    page.shows("depth", "#form")
    page.shows("live", "#link")
    assert page.run("return document.querySelector(arguments[0]).value", labelled(page, "topic")) == "kept"
