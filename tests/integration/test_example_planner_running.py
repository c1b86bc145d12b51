"""The planner on a real platform with the agents that it calls, without them, and over a crash."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import answer, send

from running import Running, start_platform

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SAMPLES = EXAMPLES / "planner" / "samples"
FOLDERS = [EXAMPLES / name for name in ("planner", "contract_reviewer", "data_analyst")]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform(FOLDERS, tmp_path_factory.mktemp("office"))
    yield running
    running.stop()


def part(name: str, body: bytes, media_type: str = "application/octet-stream") -> Any:
    return {"raw": base64.b64encode(body).decode(), "filename": name, "mediaType": media_type}


def samples(*names: str) -> list[Any]:
    types = {".md": "text/markdown", ".txt": "text/plain", ".csv": "text/csv"}
    return [part(name, (SAMPLES / name).read_bytes(), types[Path(name).suffix]) for name in names]


def brief(running: Running, *parts: Any, **arguments: Any) -> Any:
    """The task of a brief of these files."""
    call = {"data": {"skill": "brief", "arguments": arguments}}
    return send(running, "planner", call, *parts)["task"]


def said(running: Running, task: Any, value: str) -> Any:
    """The task after an answer."""
    found = answer(running, "planner", task["id"], value)
    assert found.status == 200, found.body
    return found.json["task"]


def question(task: Any) -> str:
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", task["status"]
    return task["status"]["message"]["parts"][0]["text"]


def result(task: Any) -> Any:
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task["status"]
    return task["artifacts"][-1]["parts"][0]["data"]


ALL = ("supply_agreement.md", "delivery_terms.txt", "orders.csv", "meeting_notes.txt")


def test_a_folder_becomes_a_brief(office: Running) -> None:
    broken = part("broken.csv", b"a,b\n1,2\n3,4,5\n", "text/csv")
    task = brief(office, *samples(*ALL), broken, part("x.png", b"\x89PNG...."))
    assert "What is meeting_notes.txt?" in question(task)
    task = said(office, task, "leave out")
    assert "England in supply_agreement.md; Delaware in delivery_terms.txt" in question(task)
    task = said(office, task, "England")
    found = result(task)
    assert {one["document"]: one["governing_law"] for one in found["contracts"]} == {
        "supply_agreement.md": "England",
        "delivery_terms.txt": "Delaware",
    }
    assert [one["rows"] for one in found["tables"]] == [240]
    assert found["tables"][0]["highlights"]
    differs = [one for one in found["risks"] if one["title"] == "Governing law differs"]
    assert [one["document"] for one in differs] == ["delivery_terms.txt"]
    gaps = {one["document"]: one["why"] for one in found["gaps"]}
    assert set(gaps) == {"x.png", "meeting_notes.txt", "broken.csv"}
    assert "data_analyst could not read it: Row 2 (line 3) has 3 fields" in gaps["broken.csv"]
    assert not found["complete"]
    assert [one["answer"] for one in found["decisions"]] == ["leave out", "England"]
    names = {artifact["name"] for artifact in task["artifacts"]}
    assert {"brief.md", "brief.json"} <= names


def test_an_answer_decides_what_a_file_is(office: Running) -> None:
    task = brief(office, *samples("meeting_notes.txt"))
    found = result(said(office, task, "contract"))
    assert [one["document"] for one in found["contracts"]] == ["meeting_notes.txt"]


def test_without_questions_what_is_unclear_is_a_gap(office: Running) -> None:
    found = result(brief(office, *samples(*ALL), ask=False, party="customer", focus="returned"))
    assert [one["document"] for one in found["gaps"]] == ["meeting_notes.txt"]
    assert len([one for one in found["risks"] if one["title"] == "Governing law differs"]) == 2


def test_an_agent_that_is_not_there_leaves_a_gap(platform: Callable[..., Running]) -> None:
    running = platform(FOLDERS[:2])
    found = result(brief(running, *samples("supply_agreement.md", "orders.csv")))
    assert len(found["contracts"]) == 1
    (gap,) = found["gaps"]
    assert gap["document"] == "orders.csv"
    assert "data_analyst" in gap["why"]


def test_a_question_outlives_the_platform(platform: Callable[..., Running]) -> None:
    running = platform(FOLDERS)
    task = brief(running, *samples(*ALL[:3]))
    assert "England in supply_agreement.md" in question(task)
    running.kill()
    running.restart()
    found = result(said(running, task, "keep each"))
    assert (len(found["contracts"]), len(found["tables"]), found["complete"]) == (2, 1, True)
