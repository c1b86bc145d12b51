"""`a2a conformance`: the tester passes, and a server that lies is caught at it, whatever the lie."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from liar import Json, Liar, Lie, liar

from a2a_cloud.callers.conformance.suite import agent_at, run
from a2a_cloud.callers.conformance.trial import CASES
from running import SOURCE, Running


def a2a(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    return subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
        env=env | {"PYTHONPATH": str(SOURCE)} | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def keys(tester: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Key files of two callers."""
    folder = tmp_path_factory.mktemp("keys")
    where = {"A2A_URL": tester.url, "A2A_KEY": tester.key, "XDG_CONFIG_HOME": str(folder)}
    found: dict[str, Path] = {}
    for name in ("ann", "bob"):
        found[name] = folder / name
        made = a2a("keys", "create", "--principal", name, "--out", str(found[name]), **where)
        assert made.returncode == 0, made.stderr
    return found


# --- the truth ------------------------------------------------------------------------------------------

#: What does not apply to the tester.
SKIPPED = {
    "card.extensions": "requires no extension",
    "owner.key": "requires no security",
    "push.undeclared": "declares push notifications",
    "send.unknown_members": "no unknown names",
    "stream.message": "shows a task in a stream",
    "stream.undeclared": "declares streaming",
}


def test_the_tester_passes(tester: Running, keys: dict[str, Path]) -> None:
    done = a2a(
        "conformance",
        tester.agent("tester"),
        "--json",
        f"--key-file={keys['ann']}",
        f"--other-key-file={keys['bob']}",
    )
    told = json.loads(done.stdout)
    assert [one for one in told["cases"] if one["outcome"] == "failed"] == []
    skipped = {one["case"]: one["why"] for one in told["cases"] if one["outcome"] == "skipped"}
    assert skipped.keys() == SKIPPED.keys()
    assert all(SKIPPED[name] in why for name, why in skipped.items())
    assert {one["binding"] for one in told["cases"]} == {"", "JSONRPC", "HTTP+JSON", "GRPC"}
    assert (done.returncode, told["failed"]) == (0, 0)


@pytest.mark.parametrize(("agent", "case"), [("desk", "owner.key"), ("demanding", "card.extensions")])
def test_what_does_not_apply_to_the_tester(
    tester: Running, keys: dict[str, Path], agent: str, case: str
) -> None:
    key = keys["ann"].read_text().strip()
    assert outcomes(tester.agent(agent), case, key=key) == [("passed", "")] * 3


def test_an_agent_by_its_own_host_name(tester: Running) -> None:
    own = f"http://tester.localhost:{tester.port}"
    done = a2a("conformance", own, "--only=send.task", "--binding=jsonrpc", "--binding=http+json")
    assert (done.returncode, done.stdout.count("passed ")) == (0, 2), done.stdout + done.stderr


def test_a_caller_without_a_key(tester: Running) -> None:
    done = a2a("conformance", tester.agent("tester"), "--anonymous", "--only=list", "--binding=jsonrpc")
    assert (done.returncode, done.stdout.count("passed ")) == (0, 3)
    assert done.stdout.endswith("3 cases: 3 passed, 0 failed, 0 skipped\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["http://127.0.0.1:9/"], 3, "Is the server up"),
        (["ftp://127.0.0.1/"], 3, "is not an http or https URL"),
        (["URL/agents/nobody"], 3, "There is no card"),
        (["URL/agents/tester", "--only=nothing"], 2, "No case's id begins with"),
        (["URL/agents/tester", "--behaviour=dance=x"], 2, "Write NAME=PREFIX"),
        (["URL/agents/tester", "--other-key-file=/nowhere/at/all"], 3, "can't be read"),
    ],
    ids=["nobody there", "no address", "no agent", "no case", "no behaviour", "no key file"],
)
def test_what_it_can_not_do_is_told(tester: Running, words: list[str], code: int, said: str) -> None:
    done = a2a("conformance", *(word.replace("URL", tester.url) for word in words))
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in done.stderr


# --- lies -------------------------------------------------------------------------------------------------


def task_of(said: Json) -> Json:
    result = said.get("result", {})
    return result.get("task") or (result if "status" in result else {})


def in_task(change: Callable[[Json], Any]) -> Lie:
    def lied(said: Json) -> None:
        task = task_of(said)
        if task:
            change(task)

    return Lie(said=lied)


def in_error(**members: Any) -> Lie:
    def lied(said: Json) -> None:
        if "error" in said:
            said["error"] |= members

    return Lie(said=lied)


def no_error(said: Json) -> None:
    if said.pop("error", None):
        said["result"] = {"id": "x", "contextId": "y", "status": {"state": "TASK_STATE_CANCELED"}}


def in_page(change: Callable[[Json], Any]) -> Lie:
    def lied(said: Json) -> None:
        if "tasks" in said.get("result", {}):
            change(said["result"])

    return Lie(said=lied)


def at_once(asked: Json, now: bool) -> None:
    if asked.get("method") == "SendMessage":
        asked["params"].setdefault("configuration", {})["returnImmediately"] = now


def appended(events: list[Json]) -> list[Json]:
    for event in events:
        event["result"].get("artifactUpdate", {}).pop("append", None)
    return events


def set_data(task: Json) -> None:
    for artifact in task.get("artifacts", []):
        artifact["parts"] = [{"data": {"word": "tea", "nested": {"list": [1, "2.5", True], "none": []}}}]


def versionless(headers: dict[str, str]) -> None:
    headers["A2A-Version"] = "1.0"


LIES: dict[str, tuple[str, Lie]] = {
    "a card without a version": ("card.members", Lie(card=lambda card: card.pop("version"))),
    "a card without an ETag": ("card.caching", Lie(card_headers=lambda headers: headers.pop("ETag", None))),
    "a card that was changed": ("card.signature", Lie(card=lambda card: card.update(description="Nice."))),
    "a time without a zone": (
        "send.task",
        in_task(lambda task: task["status"].update(timestamp="2026-01-01T00:00:00")),
    ),
    "no context": ("send.task", in_task(lambda task: task.pop("contextId"))),
    "members in snake case": ("send.task", in_task(lambda task: task.update(context_id="x"))),
    "the agent speaks as the user": (
        "send.status_message",
        in_task(lambda task: task["status"]["message"].update(role="ROLE_USER")),
    ),
    "a number became text": ("send.artifact_data", in_task(set_data)),
    "a part without a name": (
        "send.artifact_file",
        in_task(lambda task: task["artifacts"][0]["parts"][0].pop("filename")),
    ),
    "it does not wait": ("send.blocks", Lie(asked=lambda asked: at_once(asked, True))),
    "it waits": ("send.at_once", Lie(asked=lambda asked: at_once(asked, False))),
    "another context": (
        "send.context",
        Lie(asked=lambda asked: asked["params"]["message"].pop("contextId", None)),
    ),
    "all of the history": (
        "send.history_none",
        in_task(lambda task: task.update(history=[{"messageId": "m", "role": "ROLE_USER", "parts": []}])),
    ),
    "a task for everybody": ("send.unknown_task", Lie(said=no_error)),
    "another error": ("send.ended_task", in_error(code=-32603)),
    "an error without its reason": ("send.ended_task", in_error(data=[])),
    "an error without words": ("send.ended_task", in_error(message="")),
    "the answer makes another task": ("talk.asks", in_task(lambda task: task.update(id=os.urandom(4).hex()))),
    "turns in disorder": ("talk.history", in_task(lambda task: task.get("history", []).reverse())),
    "canceled twice": ("tasks.cancel", Lie(said=no_error)),
    "nothing was made": ("tasks.get", Lie(said=lambda said: said.get("result", {}).pop("artifacts", None))),
    "oldest first": ("list.pages", in_page(lambda page: page["tasks"].reverse())),
    "no total": ("list.shape", in_page(lambda page: page.pop("totalSize"))),
    "artifacts that nobody wanted": (
        "list.shape",
        in_page(lambda page: [task.update(artifacts=[]) for task in page["tasks"]]),
    ),
    "every piece is the first": ("stream.pieces", Lie(events=appended)),
    "a stream without its task": ("stream.task", Lie(events=lambda events: events[1:])),
    "a stream without its end": ("stream.task", Lie(events=lambda events: events[:-1])),
    "something after the end": ("stream.task", Lie(events=lambda events: [*events, events[1]])),
    "another task's event": (
        "stream.task",
        Lie(events=lambda events: [events[0], {**events[0], "result": {"statusUpdate": {"taskId": "x"}}}]),
    ),
    "any version": ("version.unknown", Lie(headers=versionless)),
    "an id became text": ("jsonrpc.ids", Lie(said=lambda said: said.update(id=str(said["id"])))),
    "the bindings differ": (
        "bindings.completed",
        in_task(lambda task: task["status"]["message"].update(parts=[{"text": "coffee"}])),
    ),
    "an error of one binding": ("bindings.unknown_task", in_error(code=-32602)),
}


@pytest.fixture(scope="module")
def lying(tester: Running) -> Iterator[Liar]:
    with liar(tester.agent("tester")) as found:
        yield found


def outcomes(url: str, only: str, **options: Any) -> list[tuple[str, str]]:
    async def tested() -> list[tuple[str, str]]:
        async with agent_at(url, **options) as agent:
            return [(one.outcome, one.why) for one in await run(agent, only) if one.case.id == only]

    return asyncio.run(tested())


def bindings_of(name: str) -> tuple[str, ...]:
    return ("JSONRPC", "HTTP+JSON") if name.startswith("bindings") else ("JSONRPC",)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_caught(lying: Liar, keys: dict[str, Path], lie: str) -> None:
    name, lying.lie = LIES[lie]
    key = keys["ann"].read_text().strip()
    (result,) = outcomes(lying.url, name, key=key, bindings=bindings_of(name))
    assert result[0] == "failed", result


@pytest.mark.parametrize("name", sorted({name for name, _ in LIES.values()} - {"card.signature"}))
def test_without_a_lie_it_passes(lying: Liar, keys: dict[str, Path], name: str) -> None:
    lying.lie = Lie()
    key = keys["ann"].read_text().strip()
    (result,) = outcomes(lying.url, name, key=key, bindings=bindings_of(name))
    assert result == ("passed", "")


def test_a_server_that_takes_everybody_for_the_same(lying: Liar, keys: dict[str, Path]) -> None:
    ann, bob = (keys[name].read_text().strip() for name in ("ann", "bob"))

    def same(headers: dict[str, str]) -> None:
        headers["Authorization"] = f"Bearer {ann}"

    lying.lie = Lie(headers=same)
    for name in ("owner.scope", "owner.context"):
        ((outcome, why),) = outcomes(lying.url, name, key=ann, other=bob, bindings=("JSONRPC",))
        assert outcome == "failed", why


def test_a_server_that_asks_for_no_key(lying: Liar) -> None:
    lying.lie = Lie(card=lambda card: card.update(securityRequirements=[{"schemes": {"bearer": {}}}]))
    ((outcome, why),) = outcomes(lying.url, "owner.key", bindings=("JSONRPC",))
    assert (outcome, "UNAUTHENTICATED was expected" in why) == ("failed", True)


@pytest.mark.parametrize("where", ["host", "port"])
def test_the_key_goes_to_the_cards_own_origin_alone(
    lying: Liar, tester: Running, keys: dict[str, Path], where: str
) -> None:
    key = keys["ann"].read_text().strip()
    with liar(tester.agent("tester")) as other:
        sent: list[str] = []
        moved = other.url if where == "port" else lying.url.replace("127.0.0.1", "localhost")

        def move(card: Json) -> None:
            next(one for one in card["supportedInterfaces"] if one["protocolBinding"] == "JSONRPC")["url"] = (
                moved
            )

        def seen(headers: dict[str, str]) -> None:
            sent.append(headers.get("Authorization", ""))

        lying.lie, other.lie = Lie(headers=seen, card=move), Lie(headers=seen)
        outcomes(lying.url, "send.task", key=key, bindings=("JSONRPC",))
    assert sent == [f"Bearer {key}", ""]  # the card, and its interface elsewhere


def test_a_key_for_ones_own_platform_goes_nowhere_else(lying: Liar, tester: Running) -> None:
    sent: list[str] = []
    lying.lie = Lie(headers=lambda headers: sent.append(headers.get("Authorization", "")))
    done = a2a("conformance", lying.url, "--only=send.task", "--binding=jsonrpc", A2A_KEY=tester.key)
    assert (done.returncode, set(sent)) == (0, {""}), done.stderr


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_an_interface_that_is_at_no_address(lying: Liar, binding: str) -> None:
    def nowhere(card: Json) -> None:
        for one in card["supportedInterfaces"]:
            one["url"] = "http://[oh"

    lying.lie = Lie(card=nowhere)
    done = a2a("conformance", lying.url, "--only=send.task", f"--binding={binding}")
    assert done.returncode in (1, 3)
    assert "Traceback" not in done.stderr
    assert "http://[oh" in done.stdout + done.stderr


def test_ids_of_cases_are_unique() -> None:
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))
    assert all(case.title and case.section for case in CASES)
