"""Every commit of every kind of call meets every fault: what a client saw is kept, what was caught has
its fate, and a client that repeats what it said gets the one outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ledger import settle, verify
from witness import Cut, Said, Witness
from world import World

from a2a_cloud.testing.commits import Fault

#: More commits than any of these calls makes.
MANY = 40

Scenario = Callable[[Witness, str, str], Said]


def simple(client: Witness, key: str, trace: str) -> Said:
    return client.invoke("say", key, text=key)


def eager(client: Witness, key: str, trace: str) -> Said:
    return client.invoke("quick", key, trace=trace)


def message(client: Witness, key: str, trace: str) -> Said:
    return client.send(key, key)


def outputs(client: Witness, key: str, trace: str) -> Said:
    client.stream("pour", key, trace=trace)
    return client.invoke("pour", key, trace=trace)


def question(client: Witness, key: str, trace: str) -> Said:
    asked = client.skill(f"{key}-ask", "survey", trace=trace)
    if asked.status != 200:
        return asked
    task = asked.json["task"]["id"]
    client.follow(task)
    return client.send(f"{key}-answer", "red", task=task)


def durable(client: Witness, key: str, trace: str) -> Said:
    client.stream("lasting", key, trace=trace)
    return client.invoke("lasting", key, trace=trace)


def idempotent(client: Witness, key: str, trace: str) -> Said:
    client.stream("again", key, trace=trace)
    return client.invoke("again", key, trace=trace)


def child(client: Witness, key: str, trace: str) -> Said:
    return client.invoke("family", key, trace=trace)


def lasting_child(client: Witness, key: str, trace: str) -> Said:
    return client.invoke("both", key, trace=trace)


def canceled(client: Witness, key: str, trace: str) -> Said:
    began = client.skill(key, "nap", seconds=600, now=True)
    if began.status != 200:
        return began
    task = began.json["task"]["id"]
    client.follow(task)
    return client.cancel(task)


def follow_up(client: Witness, key: str, trace: str) -> Said:
    first = client.skill(f"{key}-1", "nap", now=True, seconds=0.05)
    if first.status != 200:
        return first
    task = first.json["task"]["id"]
    client.follow(task)
    second = client.send(f"{key}-2", key, task=task, now=True)
    if second.status == 200:
        client.request("GET", f"/agents/{client.agent}/tasks/{task}")
    return client.send(f"{key}-2", key, task=task)


def replied(client: Witness, key: str, trace: str) -> Said:
    return client.skill(key, "greet", name=key)


SCENARIOS: list[Scenario] = [
    simple,
    eager,
    message,
    outputs,
    question,
    durable,
    idempotent,
    child,
    lasting_child,
    canceled,
    follow_up,
    replied,
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_death_at_every_commit(scenario: Scenario, world: World, witness: Witness) -> None:
    world.start()
    known: set[str] = set()
    trace = str(world.home / "trace")
    deaths = 0
    for boundary in range(1, MANY):
        died = False
        for fault in (Fault.DIES_BEFORE, Fault.DIES_AFTER):
            key = f"{scenario.__name__}-{boundary}-{fault.name}"
            world.control.arm(fault, boundary)
            try:
                finished(scenario, scenario(witness, key, trace), crashed=False)
            except Cut:
                died = True
            if world.control.hit:
                deaths += 1
                assert world.wait_dead() == -9
                world.restart()
            world.control.disarm()
            ledger = settle(world)
            ledger.check()
            finished(scenario, scenario(witness, key, trace), crashed=world.control.hit)
            witness.join()
            ledger = settle(world)
            ledger.check()
            ledger.shows(witness)
            verify(world, witness, ledger, known)
        if not died:
            break
    else:
        raise AssertionError("it has no end")
    assert deaths >= 2


def test_death_at_every_commit_of_a_first_start(world: World, witness: Witness) -> None:
    for boundary in range(1, MANY):
        world.control.arm((Fault.DIES_BEFORE, Fault.DIES_AFTER)[boundary % 2], (boundary + 1) // 2)
        if world.start(expect=False):
            break
        assert world.wait_dead() == -9
    assert boundary >= 4  # The key and the release have died twice.
    world.control.disarm()
    assert witness.invoke("say", "key", text="hello").json == "HELLO"
    settle(world).check()


@pytest.mark.parametrize(
    "fault", [Fault.FULL, Fault.FAILS_BEFORE, Fault.FAILS_AFTER], ids=lambda fault: fault.name
)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_commit_that_fails(scenario: Scenario, fault: Fault, world: World, witness: Witness) -> None:
    """The platform lives on: new work is refused, or what runs loses nothing."""
    world.start()
    trace = str(world.home / "trace")
    for boundary in range(1, MANY):
        key = f"{scenario.__name__}-{boundary}"
        # The log's own commit may have met the fault of before, once the scenario was over.
        world.until(lambda: witness.request("GET", "/readyz").status == 200, 5, "room again")
        world.control.arm(fault, boundary)
        first = scenario(witness, key, trace)
        hit = world.control.hit
        world.control.disarm()
        refused = first.status >= 500
        if refused:
            assert hit
            assert fault is not Fault.FAILS_AFTER
            assert first.status == (507 if fault is Fault.FULL else 500), first.body
            world.until(lambda: witness.request("GET", "/readyz").status == 200, 5, "room again")
            first = scenario(witness, key, trace)
        finished(scenario, first, crashed=False, refused=refused)
        witness.join()
        ledger = settle(world)
        ledger.check()
        ledger.shows(witness)
        assert not any(run.dead for run in ledger.runs)
        if not hit:
            break
    else:
        raise AssertionError("it has no end")
    verify(world, witness, settle(world), set())


#: Skills whose runs end by themselves after a crash.
SURE: tuple[Scenario, ...] = (durable, idempotent, lasting_child, eager)


def finished(scenario: Scenario, said: Said, *, crashed: bool, refused: bool = False) -> None:
    """The outcome is the whole one, or, where the house says so, that a crash caught it."""
    body = said.json
    if scenario is canceled:
        gone = said.status == 400 and said.code in ("task_not_cancelable", "unsupported_operation")
        assert said.status == 200 or (gone and crashed), said.body
        return
    if scenario is follow_up and refused and said.status == 400:
        assert said.code == "unsupported_operation"  # The task ended before there was room for more.
        return
    if said.status >= 400 or "TASK_STATE_FAILED" in said.body.decode():
        assert crashed, said.body
        assert scenario not in SURE, said.body
        text = said.body.decode()
        lost = any(word in text for word in ("worker_lost", "WORKER_LOST", "restarted while"))
        ended = "takes no more messages" in text
        assert lost or ended or "skill_failed" in text, said.body
        return
    assert said.status == 200, said.body
    if scenario is simple:
        assert body == body.upper()
    elif scenario is durable:
        assert {"one": body["one"], "two": body["two"], "said": body["said"]} == {
            "one": "saw one",
            "two": "saw two",
            "said": "quick",
        }
    elif scenario is question:
        result = result_of(body)
        assert result == {"first": "saw first", "second": "saw second", "color": "red"}, body
    elif scenario is replied:
        assert body["message"]["parts"][0]["text"].startswith("Hello "), body
    elif scenario in (message, follow_up):
        assert body["task"]["status"]["state"] == "TASK_STATE_COMPLETED", body
    else:
        expected = {
            outputs: "poured",
            eager: "quick",
            idempotent: "done",
            child: "parent of A CHILD",
            lasting_child: "child saw one",
        }
        assert body == expected[scenario], body


def result_of(body: dict[str, Any]) -> Any:
    """The value of the task's last data part."""
    artifacts = body["task"]["artifacts"]
    return next(
        part["data"] for artifact in reversed(artifacts) for part in artifact["parts"] if "data" in part
    )
