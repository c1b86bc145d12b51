"""The database refuses one write of a group (a trigger stands for whatever reason it may have): that run
alone fails, its neighbours and the log have no gap, and nothing of it was seen."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ledger import Ledger, settle, verify
from witness import Witness
from world import World

from a2a_cloud.model.task import TaskState


def refuse(world: World, table: str, column: str, word: str) -> None:
    """From now on the database takes no row of `table` with that word in `column`."""
    connection = sqlite3.connect(world.data / "journal.db", isolation_level=None)
    connection.execute(
        f"CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table}"
        f" WHEN instr(CAST(new.{column} AS TEXT), '{word}') BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
    )
    connection.close()


@pytest.fixture
def client(world: World, witness: Witness) -> Witness:
    world.start()
    return witness


def checked(client: Witness) -> Ledger:
    client.join()
    ledger = settle(client.world)
    for run in ledger.runs:
        # The one kind of run that is on the dead-letter list without its worker's fault.
        run.dead = run.dead and run.problem != "internal"
    ledger.check()
    ledger.shows(client)
    verify(client.world, client, ledger, set())
    return ledger


def test_what_a_run_did_is_refused(client: Witness) -> None:
    refuse(client.world, "event", "body", "POISON")
    words = ["one", "poison", "two", "three", "poison 2", "four"]
    with ThreadPoolExecutor(len(words)) as pool:
        said = list(pool.map(lambda word: client.invoke("say", word, text=word), words))
    for word, one in zip(words, said, strict=True):
        assert one.status == (500 if "poison" in word else 200), one.body
    assert client.invoke("say", text="after").json == "AFTER"
    bad = [run for run in checked(client).runs if run.state is TaskState.FAILED]
    assert [run.problem for run in bad] == ["internal"] * 2
    again = client.invoke("say", "poison", text="poison")
    assert (again.status, again.code) == (500, "internal")


def test_a_stream_is_told(client: Witness, tmp_path: Path) -> None:
    """Events from before stay, and the numbering goes on without a gap."""
    gate = tmp_path / "gate"
    task = client.begin("pour", gate=str(gate))
    client.follow(task)
    client.world.until(lambda: len(Ledger(client.world.data).runs[0].events) >= 6, 5, "it works")
    refuse(client.world, "event", "body", "poured")
    gate.touch()
    (run,) = checked(client).runs
    assert run.problem == "internal"
    assert client.task(task)["state"] == "failed"


def test_a_call_is_refused(client: Witness) -> None:
    refuse(client.world, "run", "call", "unwelcome")
    said = client.invoke("say", "key", text="unwelcome")
    assert said.status == 500, said.body
    assert checked(client).runs == []
    assert client.invoke("say", text="hello").json == "HELLO"
    checked(client)


def test_calls_that_began_early_are_refused(client: Witness) -> None:
    """Their skill may run before they are taken; nothing of what it did is stored without them."""
    refuse(client.world, "run", "call", "unwelcome")
    words = ["unwelcome", "welcome", "unwelcome", "welcome"] * 6
    with ThreadPoolExecutor(len(words)) as pool:
        said = list(pool.map(lambda word: client.invoke("quick", trace="", note=word), words))
    for word, one in zip(words, said, strict=True):
        assert one.status == (500 if word == "unwelcome" else 200), one.body
    assert len(checked(client).runs) == words.count("welcome")


def test_a_follow_up_is_refused(client: Witness, tmp_path: Path) -> None:
    """The task ends with the run that there is."""
    refuse(client.world, "run", "call", "unwelcome")
    gate = tmp_path / "gate"
    task = client.skill("first", "pour", gate=str(gate), now=True).json["task"]["id"]
    client.follow(task)
    said = client.send("second", "unwelcome", task=task)
    assert said.status == 500
    gate.touch()
    client.join()
    assert client.task(task)["state"] == "completed"
    checked(client)


def test_a_child_is_refused(client: Witness) -> None:
    refuse(client.world, "run", "call", "a child")
    said = client.invoke("family")
    assert (said.status, said.code) == (500, "skill_failed")
    checked(client)


def test_an_answer_is_refused(client: Witness) -> None:
    """The run fails, and whoever answered hears it."""
    task = client.skill("ask", "survey").json["task"]["id"]
    client.follow(task)
    refuse(client.world, "event", "body", "blue")
    said = client.send("answer", "blue", task=task)
    assert said.status == 500, said.body
    (run,) = checked(client).runs
    assert run.problem == "internal"
