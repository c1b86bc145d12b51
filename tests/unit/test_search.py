"""The search among agents: what is found by words and by what skills take and give, and who sees what."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_fixtures import ADMIN, BOOKS, REVIEWER, STRANGER, TALKER, Serving, agent, names, skill

from a2a_cloud.control.registry.search import Search
from a2a_cloud.control.registry.words import Words, words_of
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.search import By, Found, Meaning, Query


def find(query: Query, principal: Principal = ADMIN, serving: Serving | None = None) -> Found:
    return asyncio.run(Search(serving or Serving(REVIEWER, BOOKS, TALKER), None).find(query, principal))


def skills(found: Found) -> list[str]:
    return [one.spec.id for agent in found.agents for one in agent.skills]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("review a contract", "contract_reviewer"),
        ("I need somebody who reviews contracts", "contract_reviewer"),
        ("reviewing", "contract_reviewer"),
        ("invoices", "bookkeeper"),
        ("book invoice", "bookkeeper"),
        ("LEGAL", "contract_reviewer"),
        ("supplier", "bookkeeper"),
        ("talker", "talker"),
        ("talk", "talker"),
    ],
)
def test_found_by_words(text: str, first: str) -> None:
    assert names(find(Query(text)))[0] == first


def test_what_no_agent_says_finds_none() -> None:
    assert find(Query("zebra")) == Found([], 0, Meaning.ABSENT)
    assert find(Query("zebra", By.WORDS)).meaning is Meaning.UNASKED
    # A tag that only MCP reads is nobody's word.
    assert names(find(Query("mcp task"))) == []


def test_words_that_say_nothing_count_when_there_are_no_others() -> None:
    assert (
        names(find(Query("the"))) == ["contract_reviewer", "bookkeeper", "talker"]
        or find(Query("the")).total == 3
    )


def test_skills_of_an_agent_come_together_best_first() -> None:
    found = find(Query("compare contracts"))
    assert skills(found) == ["compare", "review"]
    assert found.agents[0].score == found.agents[0].skills[0].score > found.agents[0].skills[1].score


def test_without_text_all_by_name() -> None:
    found = find(Query())
    assert names(found) == ["bookkeeper", "contract_reviewer", "talker"]
    assert skills(found) == ["bookInvoice", "audit", "review", "compare"]
    assert found.total == 3
    assert names(find(Query(limit=1))) == ["bookkeeper"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(parameter="supplier"), ["bookInvoice"]),
        (Query(parameter="amount:integer"), ["bookInvoice"]),
        (Query(parameter="amount:number"), ["bookInvoice"]),
        (Query(parameter="amount:string"), []),
        (Query(parameter="contract"), ["review"]),
        (Query(parameter="contract:file"), ["review"]),
        (Query(accepts="application/pdf"), ["review"]),
        (Query(accepts="text/markdown; charset=utf-8"), ["review"]),
        (Query(accepts="application/*", parameter="strict"), ["compare"]),
        (Query(accepts="image/png"), []),
        (Query(returns="object"), ["review"]),
        (Query(returns="number"), ["bookInvoice"]),
        (Query(returns="findings"), ["review"]),
        (Query(returns="text/plain", parameter="supplier"), []),
        (Query(mode="application/pdf"), ["review"]),
        (Query(tag="Money"), ["bookInvoice"]),
        (Query("contract", tag="legal"), ["review"]),
    ],
    ids=lambda value: "-".join(str(one) for one in value if one) if isinstance(value, tuple) else None,
)
def test_found_by_what_skills_take_and_give(query: Query, expected: list[str]) -> None:
    assert skills(find(query)) == expected


def test_who_sees_what() -> None:
    assert names(find(Query(), STRANGER)) == ["bookkeeper", "talker"]
    anonymous = find(Query(), ANONYMOUS)
    assert names(anonymous) == ["bookkeeper"]
    assert skills(anonymous) == ["bookInvoice"]
    assert [spec.id for spec in anonymous.agents[0].release.skills] == ["bookInvoice"]
    assert find(Query("tax office"), ANONYMOUS).total == 0
    narrowed = msgspec.structs.replace(ADMIN, scopes=frozenset({"agent:contract_reviewer/compare"}))
    assert skills(find(Query(), narrowed)) == ["compare"]


def test_what_is_not_seen_has_no_part_in_scores() -> None:
    alone = find(Query("book invoice ledger"), STRANGER, Serving(BOOKS, TALKER))
    beside = find(Query("book invoice ledger"), STRANGER, Serving(REVIEWER, BOOKS, TALKER))
    assert beside == alone


def test_a_release_comes_and_goes() -> None:
    serving = Serving(REVIEWER)
    search = Search(serving, None)

    def found(text: str) -> list[str]:
        return names(asyncio.run(search.find(Query(text), ADMIN)))

    assert found("contract") == ["contract_reviewer"]
    serving.releases = [agent(4, "contract_reviewer", skill("sum", "Adds numbers."))]
    assert found("clauses") == []
    assert found("numbers") == ["contract_reviewer"]
    serving.releases = []
    assert found("numbers") == []


def test_too_long_and_without_a_model() -> None:
    with pytest.raises(InvalidParams, match="1000 characters"):
        find(Query("x" * 1001))
    with pytest.raises(InvalidParams, match="no model"):
        find(Query("contract", By.MEANING))


def test_words_of_names_and_plurals() -> None:
    assert words_of("readInvoice_from-PDFs") == ["read", "invoice", "from", "pdf"]
    assert words_of("Café MATCHES policies bus process") == ["cafe", "match", "policy", "bus", "process"]


@given(st.lists(st.text(max_size=40), max_size=8), st.text(max_size=40))
def test_any_text_is_taken(texts: list[str], query: str) -> None:
    index = Words()
    for number, text in enumerate(texts):
        index.add(number, [(text, 1.0)])
    ranked = index.rank(query, set(range(len(texts))))
    assert all(score > 0 for _, score in ranked)
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
    for number in range(len(texts)):
        index.drop(number)
    assert index.rank(query, set()) == []
