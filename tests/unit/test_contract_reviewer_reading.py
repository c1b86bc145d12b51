"""What the contract reviewer can read, what it refuses with which words, and the law that it reads out of a
clause.
"""

from __future__ import annotations

from contract_reviewer_inputs import contract, pdf

# isort: split
import pytest
from contract_reviewer_agent.law import named_law, same_law
from contract_reviewer_agent.plain import to_plain
from contract_reviewer_agent.report import markdown
from contract_reviewer_agent.review import analyse, judge, needs_law
from contract_reviewer_agent.source import UnreadableError, read_bytes, read_text
from contract_reviewer_agent.wishes import wishes
from hypothesis import given, settings
from hypothesis import strategies as st

CLAUSE = (
    "Either party may terminate this Agreement if the other party fails to cure a material breach"
    " within 30 days."
)


def pages() -> list[str]:
    text = contract("employment.txt").decode().replace("\r\n", "\n")
    lines = text.split("\n")
    return ["\n".join([*lines[i : i + 25], f"Page {i // 25 + 1} of 3"]) for i in range(0, len(lines), 25)]


def test_a_pdf_gives_the_findings_of_its_text_with_pages() -> None:
    source = read_bytes(pdf(pages()), "application/pdf", "employment.pdf")
    found = judge(analyse(source))["findings"]
    plain = judge(analyse(read_bytes(contract("employment.txt"))))["findings"]
    assert [(f["provision"], f["risk"]) for f in found] == [(f["provision"], f["risk"]) for f in plain]
    for finding in found:
        assert source.text[finding["start"] : finding["end"]] == finding["quote"]
        page = finding["page"]
        assert page is not None
        assert source.pages[page - 1] <= finding["start"]
        assert page == len(source.pages) or finding["start"] < source.pages[page]
    assert {f["page"] for f in found} == {1, 2, 3}


@pytest.mark.parametrize(
    ("data", "media_type", "said"),
    [
        (b"", "text/plain", "empty"),
        (b" \r\n\t", "", "empty"),
        (b"%PDF-1.7\nnonsense", "application/pdf", "damaged"),
        (pdf(["x"], drawn=True), "application/pdf", "OCR"),
        (pdf([CLAUSE], encrypted=True), "application/pdf", "password"),
        (pdf([CLAUSE])[:150], "application/pdf", "damaged"),
        (CLAUSE.encode(), "application/pdf", "isn't one"),
        (b"PK\x03\x04" + bytes(400), "application/octet-stream", "Word"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "image/png", "picture"),
        (CLAUSE.encode(), "image/png", "text/plain"),
        (bytes(range(256)) * 20, "text/plain", "readable text"),
        (b"Too short.", "text/plain", "whole text"),
        (
            (
                "Dieser Vertrag unterliegt deutschem Recht und wird zwischen den Parteien geschlossen, " * 8
            ).encode(),
            "",
            "English",
        ),
    ],
)
def test_what_cannot_be_reviewed_is_refused_with_what_to_do(data: bytes, media_type: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        read_bytes(data, media_type)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_damaged_pdf_is_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(
        pdf([CLAUSE, "Another page with some more words on it, for the test to cut and to change."])
    )
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        judge(analyse(read_bytes(bytes(raw), "application/pdf")))
    except UnreadableError:
        return


@settings(max_examples=50)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        judge(analyse(read_bytes(data)))
    except UnreadableError:
        return


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(codec: str) -> None:
    source = read_bytes(f"Caf\u00e9 clause. {CLAUSE}".encode(codec))
    finding = judge(analyse(source))["findings"][0]
    assert finding["quote"] == CLAUSE
    assert source.text[finding["start"] : finding["end"]] == CLAUSE


def test_markup_is_no_text_but_stays_in_the_quote() -> None:
    marked = CLAUSE.replace("party", "<b>party</b>", 1)
    text = f'1. <span class="h" id="1">Ending.</span>  **{marked}** [See](http://x.example) &amp; more.'
    plain = to_plain(text)
    assert plain.text == f"1. Ending.  {CLAUSE} See & more."
    (finding,) = judge(analyse(read_text(text)))["findings"]
    assert finding["text"] == CLAUSE
    assert finding["quote"] == marked
    assert finding["section"] == "1 Ending"


@pytest.mark.parametrize(
    ("clause", "law"),
    [
        (
            "This Agreement is governed by the laws of the State of New York, without regard to"
            " conflicts of law.",
            "New York",
        ),
        (
            "THIS AGREEMENT SHALL BE GOVERNED BY THE LAWS OF THE STATE OF TEXAS AND CONSTRUED ACCORDINGLY.",
            "Texas",
        ),
        ("This Agreement is governed by English law and construed accordingly.", "England"),
        ("Swiss substantive law governs this contract and all disputes about it.", "Switzerland"),
        ("This contract is governed by and construed under the laws of Ontario and of Canada.", "Ontario"),
        ("This contract shall be governed by the laws of Ruritania and no other.", "Ruritania"),
        ("This Agreement is governed by the laws of the Governing Law state chosen on the cover page.", ""),
        ("The Governing Law will govern all interpretations and disputes about this Agreement.", ""),
        (
            "This Agreement is governed by the laws of [State], without regard to conflict of laws rules.",
            "",
        ),
        ("This Agreement is governed by the laws of the State of ________, without regard to conflicts.", ""),
        ("This Agreement is governed by the law of the state in which the Premises are located.", ""),
        ("This contract is governed by the laws of the State set forth in the Order Form.", ""),
        (CLAUSE, ""),
    ],
)
def test_the_governing_law_is_read_or_asked_for(clause: str, law: str) -> None:
    analysis = analyse(read_text(clause))
    assert analysis.choice.name == law
    assert needs_law(analysis, None) == (not law)
    assert not needs_law(analysis, "Delaware")
    if law:
        start, end = analysis.choice.start, analysis.choice.end
        assert analysis.source.text[start:end].lower() in (
            law.lower(),
            "english law",
            "swiss substantive law",
        )


def test_the_law_given_or_answered_is_used() -> None:
    analysis = analyse(read_bytes(contract("consulting.md"), "text/markdown"))
    assert needs_law(analysis, None)
    answered = judge(analysis, None, "neutral", "the laws of England")
    assert answered["governing_law"]["name"] == "England"
    assert answered["governing_law"]["source"] == "answer"
    (clause,) = [f for f in answered["findings"] if f["provision"] == "governing_law.law"]
    assert "laws of England" in clause["redlines"][0]["replacement"]
    assert any("UCTA" in reason for f in answered["findings"] for reason in f["reasons"])
    other = judge(analyse(read_bytes(contract("lease.txt"))), "Ohio")
    assert any("chooses Texas, not Ohio" in reason for f in other["findings"] for reason in f["reasons"])


def test_names_of_laws() -> None:
    assert named_law("  the laws of the State of Delaware. ") == "Delaware"
    assert named_law("german") == "Germany"
    assert named_law("unknown") == named_law("") == named_law(None) == ""
    assert same_law("English law", "England")


def test_a_wish_beside_a_file() -> None:
    assert wishes("Please review this for the customer under New York law.") == wishes(
        "For the customer, laws of New York"
    )
    assert wishes("I am the landlord").party == "provider"
    assert wishes("Review this").law is None


def test_the_report_names_everything_and_escapes_what_the_contract_says() -> None:
    text = (
        contract("lease.txt").decode()
        + "\n\nTenant shall pay rent of $5 monthly for <img src=x> # [extra](javascript:1) `things`.\n"
    )
    result = judge(analyse(read_text(text)))
    report = markdown(result)
    for finding in result["findings"]:
        assert f"characters {finding['start']}–{finding['end']}" in report
    assert "<img" not in report
    assert "](javascript" not in report
    assert "Confidentiality | **missing** | low" in report
