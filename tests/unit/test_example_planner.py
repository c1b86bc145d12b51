"""What the planner takes files for, how it opens archives, and how it merges answers and failures."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import Any

from example_paths import EXAMPLES

# isort: split
import pytest
from planner_agent.folder import MAX_UNPACKED, TooMuchError, items_of
from planner_agent.kinds import kind_of
from planner_agent.shapes import Contract, Risk, Table, UnexpectedError, contract_of, table_of
from planner_agent.writing import law_question, laws_of, write

from a2a_cloud import File

SAMPLES = EXAMPLES / "planner" / "samples"
CONTRACTS = EXAMPLES.parent / "tests" / "fixtures" / "contracts"
CSV = b"a,b\n1,2\n3,4\n5,6\n"
LEGAL = b"The parties agree that Supplier shall indemnify Customer; liability and termination follow breach."


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("x.csv", CSV, "table"),
        ("x.txt", CSV, "table"),
        ("x.txt", LEGAL, "contract"),
        ("x.csv", LEGAL, "unsure"),
        ("x.txt", b"Buy milk.", "unsure"),
        ("x.pdf", b"%PDF-1.7 ...", "contract"),
        ("x.docx", b"PK\x03\x04...", "other"),
        ("x.png", b"\x89PNG....", "other"),
        ("x.bin", b"\x00\x01\x02", "other"),
        ("x.py", b"print('hello')", "other"),
        ("x.csv", "größe;zahl\n1;2\n3;4\n".encode("utf-16"), "table"),
        ("x.txt", "Größe, é".encode()[:-1], "unsure"),
    ],
)
def test_kinds(name: str, head: bytes, kind: str) -> None:
    assert kind_of(name, "application/octet-stream" if kind == "other" else "text/plain", head).kind == kind


@pytest.mark.parametrize("path", sorted(CONTRACTS.iterdir()), ids=lambda path: path.name)
def test_contracts_are_contracts(path: Any) -> None:
    assert kind_of(path.name, "text/plain", path.read_bytes()[:65536]).kind == "contract"


def test_the_samples() -> None:
    kinds = {path.name: kind_of(path.name, "", path.read_bytes()).kind for path in SAMPLES.iterdir()}
    assert kinds == {
        "supply_agreement.md": "contract",
        "delivery_terms.txt": "contract",
        "orders.csv": "table",
        "meeting_notes.txt": "unsure",
    }


def archive(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, body in files.items():
            opened.writestr(name, body)
    return made.getvalue()


def test_archives_are_opened() -> None:
    body = archive({"b/x.csv": CSV, "a/x.csv": CSV, "a/.hidden": b"x", "__MACOSX/y": b"x", "empty.txt": b""})
    files = [
        File.from_bytes("room.zip", body),
        File.from_bytes("x.txt", LEGAL),
        File.from_bytes("x.txt", LEGAL),
    ]
    items, skipped = asyncio.run(items_of(files))
    assert [item.name for item in items] == ["a/x.csv", "b/x.csv", "x.txt", "x.txt (2)"]
    assert items[0].file.media_type == "text/csv"
    assert [one.name for one in skipped] == ["empty.txt"]


def test_what_an_archive_may_not_do() -> None:
    bomb = archive({f"{n}.txt": bytes(MAX_UNPACKED // 3) for n in range(4)})
    with pytest.raises(TooMuchError, match="holds more than 96 MB"):
        asyncio.run(items_of([File.from_bytes("bomb.zip", bomb)]))
    with pytest.raises(TooMuchError, match="more than 40 files"):
        asyncio.run(items_of([File.from_bytes("many.zip", archive({f"{n}.txt": b"x" for n in range(41)}))]))
    items, skipped = asyncio.run(items_of([File.from_bytes("cut.zip", archive({"a.csv": CSV})[:40])]))
    assert (items, [one.why for one in skipped]) == ([], ["the archive is damaged"])


def contract(name: str, law: str, high: int = 0) -> Contract:
    return Contract(
        document=name, kind="lease", risk="low", governing_law=law, high=high, medium=0, low=1, missing=[]
    )


def test_conflicting_laws_are_a_risk_until_one_is_chosen() -> None:
    contracts = [
        contract("a", "England"),
        contract("b", "Delaware"),
        contract("c", ""),
        contract("d", "England"),
    ]
    laws = laws_of(contracts)
    assert laws == {"England": ["a", "d"], "Delaware": ["b"]}
    assert "England in a and d; Delaware in b" in law_question(laws)
    kept = write(contracts, [], [], [], [], "")
    assert [risk["document"] for risk in kept["risks"]] == ["a", "b", "d"]
    chosen = write(contracts, [], [], [], [], "England")
    assert [(risk["document"], risk["title"]) for risk in chosen["risks"]] == [("b", "Governing law differs")]
    assert any("governing law of c" in step for step in chosen["next_steps"])


def test_a_brief_names_its_gaps_and_its_risks_in_order() -> None:
    risks: list[Risk] = [
        Risk(document="a", risk="medium", title="M", section="", reason="r", quote=""),
        Risk(document="a", risk="high", title="H <b>", section="1", reason="r", quote="q"),
    ]
    table = Table(document="t.csv", rows=10, columns=2, missing_cells=5, highlights=["**x** is odd."])
    made = write([contract("a", "", 1)], [table], risks, [{"document": "x", "why": "it is no text"}], [], "")
    assert [risk["title"] for risk in made["risks"]] == ["H <b>", "M"]
    assert not made["complete"]
    assert made["headline"] == "1 contract and 1 table read: 1 high risk, 1 medium one; 1 gap."
    assert "Complete t.csv: 25 % of its cells are missing." in made["next_steps"]
    assert "- **x**: it is no text." in made["markdown"]
    assert "<b>" not in made["markdown"]
    assert write([], [], [], [], [], "")["headline"] == "Nothing could be read."


@pytest.mark.parametrize("answer", [None, "text", {}, {"counts": {}}, {"file": {"rows": "many"}}])
def test_answers_of_another_form_are_named(answer: Any) -> None:
    with pytest.raises(UnexpectedError, match="in a form that isn't known"):
        contract_of("a", answer)
    with pytest.raises(UnexpectedError, match="in a form that isn't known"):
        table_of("a", answer)
