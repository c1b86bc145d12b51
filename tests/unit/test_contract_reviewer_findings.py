"""What the contract reviewer finds in contracts of many layouts, and what it must not find."""

from __future__ import annotations

from contract_reviewer_inputs import NAMES, contract

# isort: split
import pytest
from contract_reviewer_agent.find import RULES
from contract_reviewer_agent.lines import blocks_of
from contract_reviewer_agent.plain import to_plain
from contract_reviewer_agent.provisions import CATEGORIES
from contract_reviewer_agent.review import Review, analyse, judge
from contract_reviewer_agent.source import UnreadableError, read_bytes, read_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXPECTED: dict[str, dict[str, str]] = {
    "mutual_nda.md": {
        "confidentiality.duty": "low",
        "confidentiality.permitted": "low",
        "confidentiality.exclusions": "low",
        "confidentiality.compelled": "low",
        "confidentiality.return": "low",
        "confidentiality.duration": "low",
        "termination.convenience": "low",
        "termination.effect": "low",
        "intellectual_property.ownership": "low",
        "governing_law.law": "low",
        "governing_law.courts": "low",
    },
    "employment.txt": {
        "payment.duty": "low",
        "termination.convenience": "high",
        "confidentiality.duty": "medium",
        "intellectual_property.assignment": "high",
        "indemnity.duty": "high",
        "data_protection.duty": "medium",
        "governing_law.law": "low",
    },
    "saas_terms_no_headings.txt": {
        "payment.duty": "low",
        "payment.late": "high",
        "payment.increase": "high",
        "payment.no_refund": "medium",
        "renewal.automatic": "high",
        "termination.convenience": "high",
        "termination.for_cause": "medium",
        "liability.cap": "high",
        "liability.excluded_damages": "medium",
        "indemnity.duty": "high",
        "data_protection.use_of_data": "high",
        "data_protection.duty": "medium",
        "intellectual_property.ownership": "low",
        "intellectual_property.licence": "medium",
        "confidentiality.duty": "low",
        "governing_law.law": "low",
        "governing_law.courts": "low",
    },
    "lease.txt": {
        "renewal.term": "low",
        "renewal.option": "low",
        "payment.duty": "low",
        "payment.late": "medium",
        "indemnity.duty": "medium",
        "liability.exclusion": "high",
        "termination.for_cause": "medium",
        "termination.effect": "low",
        "governing_law.law": "low",
    },
    "terse_msa.txt": {
        "renewal.automatic": "medium",
        "payment.invoicing": "low",
        "payment.duty": "medium",
        "confidentiality.duty": "medium",
        "intellectual_property.ownership": "medium",
        "indemnity.duty": "medium",
        "liability.cap": "low",
        "termination.convenience": "high",
        "governing_law.law": "low",
        "governing_law.jury": "low",
        "governing_law.courts": "low",
        "data_protection.duty": "medium",
    },
    "software_licence.md": {
        "intellectual_property.licence": "low",
        "payment.duty": "low",
        "payment.increase": "medium",
        "payment.late": "low",
        "confidentiality.duty": "medium",
        "renewal.automatic": "high",
        "termination.for_cause": "medium",
        "indemnity.duty": "medium",
        "liability.carve_outs": "low",
        "liability.cap": "high",
        "liability.excluded_damages": "medium",
        "intellectual_property.ownership": "low",
        "governing_law.law": "low",
        "governing_law.courts": "low",
        "data_protection.duty": "medium",
    },
    "consulting.md": {
        "payment.duty": "medium",
        "payment.invoicing": "low",
        "payment.late": "low",
        "termination.convenience": "medium",
        "termination.for_cause": "low",
        "intellectual_property.assignment": "low",
        "intellectual_property.ownership": "low",
        "confidentiality.duty": "low",
        "data_protection.duty": "low",
        "indemnity.duty": "low",
        "liability.cap": "low",
        "liability.excluded_damages": "low",
        "governing_law.law": "medium",
    },
}


def review_of(name: str) -> Review:
    return judge(analyse(read_bytes(contract(name), "", name)))


def kinds(review: Review) -> dict[str, str]:
    return {f["provision"]: f["risk"] for f in review["findings"]}


def read(text: str) -> Review:
    return judge(analyse(read_text(text)))


@pytest.mark.parametrize("name", NAMES)
def test_every_clause_of_the_fixtures_is_found_and_graded(name: str) -> None:
    assert kinds(review_of(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_quotes_are_the_source_at_their_offsets(name: str) -> None:
    source = read_bytes(contract(name), "", name)
    for finding in judge(analyse(source))["findings"]:
        assert source.text[finding["start"] : finding["end"]] == finding["quote"]
        assert finding["quote"].strip()
        for change in finding["redlines"]:
            assert source.text[change["start"] : change["end"]] == change["original"]
            assert change["replacement"].strip()
            assert finding["start"] <= change["start"] <= change["end"] <= finding["end"]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_clause_its_finding_goes_and_the_others_stay(name: str) -> None:
    source = read_bytes(contract(name), "", name)
    findings = judge(analyse(source))["findings"]
    for finding in findings:
        left = source.text[: finding["start"]] + source.text[finding["end"] :]
        again = read(left)["findings"]
        assert finding["text"] not in [f["text"] for f in again]
        # What supports a clause goes with it; a list that lost an item may be quoted whole.
        core = finding["provision"] in {rule.id for rule in RULES if rule.role == "core"}
        kept = [
            f
            for f in findings
            if (f["end"] <= finding["start"] or f["start"] >= finding["end"])
            and not (core and f["category"] == finding["category"])
        ]
        for other in kept:
            assert any(other["provision"] == f["provision"] and other["text"] in f["text"] for f in again)


@pytest.mark.parametrize("name", NAMES)
def test_headings_and_numbers_are_no_evidence(name: str) -> None:
    source = read_bytes(contract(name), "", name)
    bare = "\n\n".join(block.body.text for block in blocks_of(to_plain(source.text)) if block.body.text)
    before, after = judge(analyse(source))["findings"], read(bare)["findings"]
    assert {f["provision"] for f in before} == {f["provision"] for f in after}


@pytest.mark.parametrize("name", NAMES)
def test_the_layout_changes_no_finding(name: str) -> None:
    text = read_bytes(contract(name), "", name).text
    before = [(f["provision"], f["risk"]) for f in review_of(name)["findings"]]
    for other in (
        text.replace("\r\n", "\n"),
        text.replace("\r\n", "\n").replace("\n", "\r\n"),
        text.replace("'", "\u2019"),
        text.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"'),
        "\ufeff" + text,
    ):
        assert [(f["provision"], f["risk"]) for f in read(other)["findings"]] == before


@pytest.mark.parametrize("name", NAMES)
def test_two_reviews_are_equal(name: str) -> None:
    assert review_of(name) == review_of(name)


@pytest.mark.parametrize(
    "sentence",
    [
        "Customer and Users must protect the confidentiality of their passwords and login credentials"
        " at all times.",
        '"Confidential Information" means any information that the Recipient shall not disclose to any'
        " third party.",
        "Neither party will be liable for a delay or failure to perform its obligations caused by a"
        " Force Majeure Event.",
        "Neither party is authorized to bind the other to any liability or obligation of any kind under"
        " this contract.",
        "Neither party may assign any rights or obligations under this Agreement without the consent of"
        " the other.",
        "Tenant shall maintain renter's insurance with liability coverage of not less than $100,000 per"
        " occurrence.",
        "If any term of this Agreement is held invalid by a court of competent jurisdiction, the rest"
        " stays in force.",
        "Each party represents that it is duly organized under the laws of the State of Nevada and in"
        " good standing.",
        "Section 8 (Limitation of Liability), Section 9 (Indemnification) and Section 10"
        " (Confidentiality) are attached.",
        "WHEREAS, the parties wish to set out the terms on which the Supplier will pay fees and"
        " terminate the old contract;",
        "The Company will reimburse the Employee for reasonable business expenses that are properly"
        " documented each month.",
        "Section titles, such as Indemnification, Limitation of Liability and Confidentiality, are for"
        " convenience only.",
        "Landlord retains title to the premises and Tenant shall enjoy quiet possession of them during"
        " the whole term.",
        "The committee shall meet on the first Monday of each month and the secretary shall keep"
        " minutes of the meeting.",
    ],
)
def test_what_only_sounds_like_a_clause_is_not_one(sentence: str) -> None:
    assert [f["provision"] for f in read(sentence)["findings"]] == []


@pytest.mark.parametrize(
    ("sentence", "provision"),
    [
        (
            "Vendor's maximum liability for all claims of any kind shall be limited to the price of the"
            " goods.",
            "liability.cap",
        ),
        (
            "IN NO EVENT SHALL EITHER PARTY BE LIABLE FOR ANY INDIRECT, INCIDENTAL OR CONSEQUENTIAL DAMAGES.",
            "liability.excluded_damages",
        ),
        (
            "The Supplier agrees to hold the Buyer harmless against all third-party claims and costs.",
            "indemnity.duty",
        ),
        (
            "Either of us may cancel this contract for any reason by giving two months' notice in writing.",
            "termination.convenience",
        ),
        (
            "On each anniversary the term shall be automatically extended by a further year unless notice"
            " is given.",
            "renewal.automatic",
        ),
        (
            "This deed shall be construed in accordance with the laws of England and Wales.",
            "governing_law.law",
        ),
        (
            "Any controversy shall be finally settled by binding arbitration under the rules of the ICC.",
            "governing_law.arbitration",
        ),
        (
            "The Contractor must keep all trade secrets of the Client in strict confidence.",
            "confidentiality.duty",
        ),
        (
            "All work product shall be deemed works made for hire and is hereby assigned to the Client.",
            "intellectual_property.assignment",
        ),
        ("Invoices are due and payable within 45 days after receipt.", "payment.duty"),
        (
            "Processor shall process personal data only on documented instructions of the Controller.",
            "data_protection.duty",
        ),
    ],
)
def test_other_wordings_of_the_same_clause_are_found(sentence: str, provision: str) -> None:
    assert provision in [
        f["provision"] for f in read(f"{sentence} The rest of the page is left blank.")["findings"]
    ]


def test_a_list_is_read_with_its_stem() -> None:
    text = (
        "Upon termination of this agreement:\n(a) Customer will stop using the service;\n(b) each party"
        " will return the other's"
        " confidential information;\n(c) Customer will pay the final invoice.\n"
    )
    assert [
        f["provision"] for f in read(text)["findings"]
    ] == []  # without the clause itself, what follows from it is none
    text += (
        "\nEither party may terminate this agreement if the other materially breaches it, after 30 days.\n"
    )
    assert [f["provision"] for f in read(text)["findings"]] == ["termination.effect", "termination.for_cause"]


def test_risk_depends_on_whose_side_one_is() -> None:
    source = read_bytes(contract("lease.txt"))
    tenant = judge(analyse(source), party="customer")
    landlord = judge(analyse(source), party="provider")
    assert (kinds(tenant)["indemnity.duty"], kinds(landlord)["indemnity.duty"]) == ("high", "low")


def test_missing_clauses_come_with_wording() -> None:
    absent = {m["category"]: m for m in review_of("lease.txt")["missing"]}
    assert set(absent) == {"confidentiality", "intellectual_property", "data_protection"}
    assert all(m["risk"] == "low" and m["wording"] for m in absent.values())
    for category in review_of("employment.txt")["missing"]:
        assert read(category["wording"])["findings"][0]["category"] == category["category"]


def test_what_is_proposed_mends_the_contract() -> None:
    from contract_reviewer_agent.redlines import apply

    source = read_bytes(contract("saas_terms_no_headings.txt"))
    before = judge(analyse(source))
    mended = read(apply(source.text, [c for f in before["findings"] for c in f["redlines"]]))
    assert before["counts"]["high"] >= 6
    assert mended["counts"]["high"] < before["counts"]["high"] // 2


def test_rules_belong_to_known_categories() -> None:
    assert {rule.category for rule in RULES} == set(CATEGORIES)
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert {c for c in CATEGORIES if any(r.category == c and r.role == "core" for r in RULES)} == set(
        CATEGORIES
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_contracts_are_reviewed_or_refused(data: st.DataObject) -> None:
    raw = bytearray(contract(data.draw(st.sampled_from(NAMES))))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        end = min(len(raw), at + data.draw(st.integers(0, 200)))
        raw[at:end] = data.draw(
            st.binary(max_size=60)
            | st.sampled_from([b"<span>", b"**", b"&#99999;", b"((((", b"\r\r\n", b"|", b'"'])
        )
    try:
        source = read_bytes(bytes(raw))
    except UnreadableError:
        return
    for finding in judge(analyse(source))["findings"]:
        assert source.text[finding["start"] : finding["end"]] == finding["quote"]


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=3000) | st.text(alphabet="ab .;:()\"'*_<>[]#\n\r\t|&-—§1", max_size=3000))
def test_any_text_is_reviewed_or_refused(text: str) -> None:
    try:
        source = read_text(text)
    except UnreadableError:
        return
    plain = to_plain(source.text)
    assert len(plain.text) == len(plain.starts) == len(plain.ends)
    judge(analyse(source))
