"""The search by meaning, with the real model in its own process: what it finds, and what becomes of it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from search_fixtures import ADMIN, BOOKS, REVIEWER, TALKER, Serving, names

from a2a_cloud.control.registry import meaning as module
from a2a_cloud.control.registry.embedding import Model, NoModel, folder
from a2a_cloud.control.registry.meaning import Meaning, installed
from a2a_cloud.control.registry.search import Search
from a2a_cloud.control.registry.wordpiece import WordPiece
from a2a_cloud.model.principal import ANONYMOUS
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.model.search import By, Query
from a2a_cloud.model.search import Meaning as Part

TEXTS = {"a": "Reads a contract and lists risky clauses.", "b": "Enters an invoice into the ledger."}
PATIENT = 30.0


def test_the_vector_is_that_of_the_published_model() -> None:
    # As the model's own page shows it.
    vector = Model(folder()).vector("This is an example sentence")
    assert vector[:5].tolist() == pytest.approx([0.0677, 0.0635, 0.0487, 0.0793, 0.0374], abs=1e-4)
    assert float(vector @ vector) == pytest.approx(1.0, abs=1e-5)


def test_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="can't be read"):
        Model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    with pytest.raises(NoModel, match="not those"):
        Model(tmp_path)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello, World!", [101, 7592, 1010, 2088, 999, 102]),
        ("unaffable", [101, 14477, 20961, 3468, 102]),
        ("na\u00efve caf\u00e9", [101, 15743, 7668, 102]),
        ("\u6f22\u5b57", [101, 1904, 100, 102]),
        ("a\u200bb\0c", [101, 5925, 102]),
        ("x" * 101, [101, 100, 102]),
        ("", [101, 102]),
    ],
    ids=["punctuation", "pieces", "accents", "ideographs", "invisible", "too-long", "empty"],
)
def test_pieces_are_those_of_the_published_tokenizer(text: str, pieces: list[int]) -> None:
    with (folder() / "vocab.txt").open(encoding="utf-8") as lines:
        assert WordPiece(lines).tokens(text, 100) == pieces


def test_found_by_meaning(tmp_path: Path) -> None:
    async def run() -> None:
        meaning = Meaning(tmp_path / "search")
        search = Search(Serving(REVIEWER, BOOKS, TALKER), meaning)
        try:
            # No word of it stands in any agent.
            query = Query("examine an agreement for dangerous terms", patience=PATIENT)
            found = await search.find(query, ADMIN)
            assert found.meaning is Part.USED
            assert names(found)[0] == "contract_reviewer"
            assert found.agents[0].skills[0].spec.id == "review"
            assert not names(await search.find(query._replace(by=By.WORDS), ADMIN))
            # Who may not see it does not find it so either.
            assert "contract_reviewer" not in names(await search.find(query, ANONYMOUS))
            only = await search.find(Query("accounting", By.MEANING, patience=PATIENT), ADMIN)
            assert names(only)[0] == "bookkeeper"
        finally:
            await meaning.close()
        assert not meaning.running

    assert installed()
    asyncio.run(run())


def test_what_was_read_is_kept_and_what_is_gone_forgotten(tmp_path: Path) -> None:
    async def scores(texts: dict[str, str], keys: list[str]) -> list[float] | None:
        meaning = Meaning(tmp_path / "search")
        try:
            return await meaning.scores("legal risks", texts, keys, PATIENT)
        finally:
            await meaning.close()

    first = asyncio.run(scores(TEXTS, ["a", "b"]))
    assert first is not None
    assert first[0] > first[1]
    (kept,) = (tmp_path / "search").iterdir()
    size = kept.stat().st_size
    again = asyncio.run(scores(TEXTS, ["b", "a"]))
    assert again == pytest.approx(first[::-1], abs=1e-3)
    assert asyncio.run(scores({"a": TEXTS["a"]}, ["a"])) == pytest.approx(first[:1], abs=1e-3)
    assert kept.stat().st_size < size
    kept.write_bytes(b"damaged")
    assert asyncio.run(scores(TEXTS, ["a", "b"])) == pytest.approx(first, abs=1e-3)


def test_a_process_that_dies_is_told_of_and_words_still_find(tmp_path: Path) -> None:
    async def run() -> None:
        meaning = Meaning(tmp_path, (sys.executable, "-c", "import sys; sys.stdin.readline()"))
        search = Search(Serving(REVIEWER), meaning)
        try:
            found = await search.find(Query("contract", patience=PATIENT), ADMIN)
            assert names(found) == ["contract_reviewer"]
            assert found.meaning is Part.ABSENT
            assert meaning.trouble == "Its process has ended."
            assert not meaning.running
            with pytest.raises(Unavailable, match="does not work"):
                await search.find(Query("contract", By.MEANING, patience=PATIENT), ADMIN)
        finally:
            await meaning.close()

    asyncio.run(run())


def test_a_process_that_was_ended_is_started_again(tmp_path: Path) -> None:
    async def run() -> None:
        meaning = Meaning(tmp_path)
        try:
            first = await meaning.scores("contract", TEXTS, ["a"], PATIENT)
            assert meaning.process is not None
            assert meaning.reading is not None
            meaning.process.kill()
            await meaning.reading
            assert not meaning.running
            assert await meaning.scores("contract", TEXTS, ["a"], PATIENT) == pytest.approx(first, abs=1e-3)
            assert not meaning.trouble
        finally:
            await meaning.close()

    asyncio.run(run())


def test_a_process_without_the_model_says_why(tmp_path: Path) -> None:
    said = (
        """import json; print(json.dumps({"id": 0, "error": "The package is not installed."}), flush=True)"""
    )

    async def run() -> None:
        meaning = Meaning(tmp_path, (sys.executable, "-c", said))
        try:
            assert await meaning.scores("contract", TEXTS, ["a"], PATIENT) is None
            assert meaning.trouble == "The package is not installed."
        finally:
            await meaning.close()

    asyncio.run(run())


def test_a_slow_process_is_not_waited_for(tmp_path: Path) -> None:
    async def run() -> None:
        meaning = Meaning(tmp_path, (sys.executable, "-c", "import time; time.sleep(60)"))
        search = Search(Serving(REVIEWER), meaning)
        try:
            found = await search.find(Query("contract", patience=0.05), ADMIN)
            assert (names(found), found.meaning) == (["contract_reviewer"], Part.LEARNING)
        finally:
            await meaning.close()

    asyncio.run(run())


def test_it_is_let_go_when_nobody_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)

    async def run() -> None:
        meaning = Meaning(tmp_path)
        try:
            assert await meaning.scores("contract", TEXTS, ["a"], PATIENT) is not None
            assert meaning.reading is not None
            await meaning.reading
            assert not meaning.running
            assert not meaning.trouble
            assert await meaning.scores("contract", TEXTS, ["a"], PATIENT) is not None
        finally:
            await meaning.close()

    asyncio.run(run())
