"""wire/seal.py and wire/proof.py: a receipt verifies, and no byte of it changes unnoticed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec import inspect as shapes

from a2a_cloud.model import receipt as nouns
from a2a_cloud.model.receipt import (
    AgentFacts,
    ChildEntry,
    EffectEntry,
    Environment,
    ErrorFacts,
    LedgerEntry,
    LedgerFacts,
    ReceiptBody,
    SkillFacts,
    Usage,
    is_decimal,
)
from a2a_cloud.wire import seal as making
from a2a_cloud.wire.canonical import canonical, salted_sha256
from a2a_cloud.wire.jws import Signer, b64url
from a2a_cloud.wire.proof import MAX_DOCUMENT, Outcome, verify_receipt
from a2a_cloud.wire.seal import (
    EMPTY,
    EventsDigest,
    Salts,
    disclose_payloads,
    disclose_sections,
    document,
    effect_entry,
    events_payload,
    leaf_hash,
    log_statement,
    seal,
    section,
    section_hashes,
)

SIGNER = Signer(bytes(range(32)))
OTHER = Signer(bytes(32))
AGENT = Signer(bytes(range(1, 33)))
JWKS = [SIGNER.jwk()]
SALTS = Salts(bytes(range(128)))
REQUEST = '{"text":"Vertrag über Käse"}'.encode()
RESPONSE = b'{"risk":"low"}'
EVENTS = [b'{"k":"result","value":1}', b'{"k":"status"}']
ENV = section(Environment(deps_digest="sha256:d", runtime_digest="sha256:e", sandbox="process"))
EFFECTS = section(
    [
        effect_entry(SALTS, 1, "step", "prüfen\n", b"[]", b"1"),
        effect_entry(SALTS, 2, "ask", "law", b"{}", None),
    ]
)
CHILDREN = section([ChildEntry(receipt_id="rcpt_" + "a" * 64)])
DOCS = Path(__file__).parents[2] / "docs" / "receipts.md"


def body(**changes: Any) -> ReceiptBody:
    facts: dict[str, Any] = {
        "agent": AgentFacts(
            card_sha256="b" * 64,
            id="contract-reviewer",
            image_digest="sha256:c",
            service_id="spiffe://example.com/org/default/agent/contract-reviewer",
            service_kid=AGENT.kid,
            version="1.0.0",
        ),
        "actors": ["spiffe://example.com/org/default/agent/planner"],
        "attempts": 1,
        "caller": "bob@default",
        "context_id": "ctx_1",
        "ended_at": "2026-01-31T12:00:01.000Z",
        "error": ErrorFacts(code="refused"),
        "events_sha256": salted_sha256(SALTS.events, events_payload(EVENTS)),
        "idempotency_key": salted_sha256(SALTS.key, b"message-1"),
        "issued_at": "2026-01-31T12:00:01.001Z",
        "issuer_kid": SIGNER.kid,
        "org": "default",
        "parent_run": "run_0",
        "request_sha256": salted_sha256(SALTS.request, REQUEST),
        "response_sha256": salted_sha256(SALTS.response, RESPONSE),
        "run_id": "run_1",
        "sections": section_hashes(SALTS, ENV, EFFECTS, CHILDREN),
        "skill": SkillFacts(id="review", schema_sha256="d" * 64, version="1.0.0"),
        "started_at": "2026-01-31T12:00:00.000Z",
        "status": "rejected",
        "task_id": "task_1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "usage": [Usage(meter="tokens", qty="12.5", unit="token")],
    }
    return ReceiptBody(**{**facts, **changes})


SEALED = seal(SIGNER, body())
CALLERS = document(SEALED, SIGNER, org="default", index=12, agent=AGENT)
WHOLE = document(
    SEALED,
    SIGNER,
    org="default",
    index=12,
    sections=disclose_sections(SALTS, ENV, EFFECTS, CHILDREN),
    disclosed=disclose_payloads(
        SALTS,
        request=REQUEST,
        response=RESPONSE,
        events=events_payload(EVENTS),
        idempotency_key="message-1",
    ),
    agent=AGENT,
)
LEDGER = section([LedgerEntry(account="platform", amount=0, currency="EUR", line=0, scale=2)])
PAID = document(
    seal(
        SIGNER,
        body(ledger=LedgerFacts(entries_sha256=salted_sha256(SALTS.ledger, LEDGER), txn_id="txn_1")),
    ),
    SIGNER,
    org="default",
    index=12,
    sections=disclose_sections(SALTS, ENV, EFFECTS, CHILDREN, ledger=LEDGER),
)


# --- making ------------------------------------------------------------------------------------


def test_what_is_signed_is_canonical_json() -> None:
    assert SEALED.body == rfc8785.dumps(json.loads(SEALED.body)) == canonical(body())
    assert SEALED.id == "rcpt_" + hashlib.sha256(SEALED.body).hexdigest()
    assert SEALED.leaf == hashlib.sha256(b"\0" + bytes.fromhex(SEALED.id[5:])).digest()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53 - 1), st.booleans())
def test_any_body_is_canonical_as_encoded(text: str, number: int, absent: bool) -> None:
    changes: dict[str, Any] = {"caller": text, "org": text, "attempts": number}
    if absent:
        changes |= dict.fromkeys(
            ("task_id", "error", "skill", "parent_run", "trace_id", "idempotency_key"), UNSET
        )
    data = seal(SIGNER, body(**changes)).body
    assert data == rfc8785.dumps(json.loads(data))
    assert b"null" not in data or "null" in text


SIGNED = [ReceiptBody, EffectEntry, Environment, ChildEntry, making.LogStatement]


def everything_in(shape: shapes.Type) -> list[shapes.Type]:
    if isinstance(shape, shapes.Metadata):
        return everything_in(shape.type)
    found = [shape]
    if isinstance(shape, shapes.StructType):
        for field in shape.fields:
            found += everything_in(field.type)
    elif isinstance(shape, shapes.UnionType):
        for member in shape.types:
            found += everything_in(member)
    elif isinstance(shape, shapes.ListType):
        found += everything_in(shape.item_type)
    return found


@pytest.mark.parametrize("struct", SIGNED)
def test_signed_structs_are_canonical_by_construction(struct: type) -> None:
    """Fields in alphabetical order, ASCII names, and nothing inside that could print a float."""
    harmless = (
        shapes.StructType,
        shapes.UnionType,
        shapes.ListType,
        shapes.StrType,
        shapes.IntType,
        shapes.LiteralType,
    )
    for shape in everything_in(shapes.type_info(struct)):
        if type(shape).__name__ == "CustomType":  # UNSET, which is never printed
            assert shape.cls is msgspec.UnsetType  # type: ignore[attr-defined]
            continue
        assert isinstance(shape, harmless), shape
        if isinstance(shape, shapes.StructType):
            names = [field.encode_name for field in shape.fields]
            assert names == sorted(names)
            assert all(name.isascii() for name in names)
            assert names == list(shape.cls.__struct_fields__)
            assert shape.tag is None


def test_the_body_has_the_fields_of_the_reference() -> None:
    assert set(json.loads(SEALED.body)) == {
        *("v", "kind", "issued_at", "issuer_kid", "org", "caller", "agent", "skill", "run_id", "task_id"),
        "actors",
        *(
            "context_id",
            "parent_run",
            "idempotency_key",
            "request_sha256",
            "response_sha256",
            "status",
            "error",
        ),
        *("usage", "attempts", "sections", "events_sha256", "started_at", "ended_at", "trace_id"),
    }


def test_salts_are_sixteen_bytes_each_and_all_different() -> None:
    pieces = [getattr(SALTS, name) for name in (*Salts.__slots__, "ledger") if name not in ("raw", "later")]
    pieces += [SALTS.effect(seq, what) for seq in range(20) for what in ("args", "result")]
    assert {len(piece) for piece in pieces} == {16}
    assert len(set(pieces)) == len(pieces) == 52
    with pytest.raises(ValueError, match="128"):
        Salts(bytes(127))


class Zeros:
    def bytes(self, count: int) -> bytes:
        return bytes(count)


def test_salts_come_from_the_entropy_port() -> None:
    assert Salts.draw(Zeros()).raw == bytes(Salts.LENGTH)


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_events_are_hashed_as_they_come(bodies: list[bytes]) -> None:
    digest = EventsDigest(SALTS.events)
    for count, event in enumerate(bodies):
        assert digest.hexdigest() == salted_sha256(SALTS.events, events_payload(bodies[:count]))
        digest.add(event)
    assert digest.hexdigest() == salted_sha256(SALTS.events, events_payload(bodies))


def test_sealing_with_another_key_than_the_body_names_is_refused() -> None:
    with pytest.raises(ValueError, match="another key"):
        seal(OTHER, body())


@pytest.mark.parametrize("text", ["0", "12", "-3", "0.5", "12.50"])
def test_decimals(text: str) -> None:
    assert is_decimal(text)
    assert verify_receipt(sealed(usage=[Usage(meter="m", qty=text, unit="")]), JWKS).outcome is Outcome.VALID


@pytest.mark.parametrize("text", ["", "+1", "01", "1.", ".5", "1e3", "NaN", "١", " 1", "1\n", "1" * 31])
def test_no_decimals(text: str) -> None:
    assert not is_decimal(text)


# --- checking ----------------------------------------------------------------------------------


def sealed(**changes: Any) -> bytes:
    return document(seal(SIGNER, body(**changes)), SIGNER, org="default", index=0)


def changed(change: Callable[[dict[str, Any]], object], of: bytes = WHOLE) -> bytes:
    value = json.loads(of)
    change(value)
    return json.dumps(value).encode()


def reseal(value: dict[str, Any], signer: Signer = SIGNER) -> None:
    """What a forger does (or, with the right key, a later version of the platform)."""
    data = rfc8785.dumps(value["body"])
    digest = hashlib.sha256(data).digest()
    value["id"] = "rcpt_" + digest.hex()
    value["signatures"] = [{"protected": signer.protected, "signature": signer.sign(data)}]
    leaf = leaf_hash(digest).hex()
    statement = log_statement(value["id"], value["log"]["org"], value["log"]["index"], leaf)
    value["log"]["leaf_sha256"] = leaf
    value["log"]["signatures"] = [{"protected": signer.protected, "signature": signer.sign(statement)}]


def resealed(change: Callable[[dict[str, Any]], object], signer: Signer = SIGNER) -> bytes:
    def both(value: dict[str, Any]) -> None:
        change(value)
        reseal(value, signer)
        value["countersignature"]["signature"] = AGENT.sign(canonical(value["body"]))

    return changed(both)


def test_both_views_verify_with_the_same_signature() -> None:
    for view in (CALLERS, WHOLE):
        verdict = verify_receipt(view, JWKS)
        assert verdict.outcome is Outcome.VALID
        assert verdict.exit_code == 0
        assert verdict.receipt_id == SEALED.id
        assert verdict.issuer_kid == SIGNER.kid
        assert verdict.body == body()
        assert verdict.notes == ()
        assert SEALED.id in verdict.sentence
    assert json.loads(CALLERS)["signatures"] == json.loads(WHOLE)["signatures"]
    assert "sections" not in json.loads(CALLERS)
    assert "disclosed" not in json.loads(CALLERS)
    assert verify_receipt(WHOLE, [OTHER.jwk(), {"kty": "RSA"}, *JWKS]).checked == (
        *("id", "signature", "countersignature"),
        *("sections.approvals", "sections.children", "sections.effects"),
        *("sections.env", "sections.grants", "sections.workspace"),
        *("disclosed.events", "disclosed.idempotency_key", "disclosed.request", "disclosed.response"),
        "log",
    )


def test_the_shape_does_not_matter_only_the_content() -> None:
    shuffled = json.dumps(dict(reversed(json.loads(WHOLE).items())), indent=4, ensure_ascii=True).encode()
    assert verify_receipt(b"\n " + shuffled + b"\n", JWKS).outcome is Outcome.VALID


def test_without_a_key_the_signer_is_not_checked() -> None:
    verdict = verify_receipt(WHOLE)
    assert verdict.outcome is Outcome.UNCHECKED
    assert verdict.exit_code == 7
    assert "signer not checked" in verdict.sentence
    assert "signature" not in verdict.checked
    assert "log" not in verdict.checked
    assert verify_receipt(resealed(lambda d: d["body"].update(issuer_kid=OTHER.kid), OTHER)).exit_code == 7


def test_a_receipt_without_log_is_valid_and_says_what_was_checked() -> None:
    verdict = verify_receipt(changed(lambda d: d.pop("log")), JWKS)
    assert verdict.outcome is Outcome.VALID
    assert "log" not in verdict.checked


def test_a_log_index_may_be_signed_by_a_later_key() -> None:
    later = document(SEALED, OTHER, org="default", index=3)
    assert verify_receipt(later, [SIGNER.jwk(), OTHER.jwk()]).outcome is Outcome.VALID
    assert "not among" in verify_receipt(later, JWKS).reason


def test_a_payload_that_is_not_utf8_goes_as_base64url() -> None:
    shown = disclose_payloads(SALTS, response=b"\xff\x00")
    sealed_one = seal(SIGNER, body(response_sha256=salted_sha256(SALTS.response, b"\xff\x00")))
    view = document(sealed_one, SIGNER, org="default", index=0, disclosed=shown)
    assert json.loads(view)["disclosed"]["response"]["payload_b64"] == "_wA"
    assert verify_receipt(view, JWKS).outcome is Outcome.VALID


def test_a_salt_goes_only_with_its_payload() -> None:
    shown = disclose_payloads(SALTS, request=b"x" * (making.DISCLOSE_LIMIT + 1), response=None)
    assert msgspec.json.encode(shown) == b"{}"


def test_empty_sections_are_hashed_too() -> None:
    quiet = section_hashes(SALTS, ENV)
    assert quiet.effects == salted_sha256(SALTS.effects, EMPTY)
    assert EMPTY == section(list[EffectEntry]()) == canonical([])
    view = document(
        seal(SIGNER, body(sections=quiet)),
        SIGNER,
        org="default",
        index=0,
        sections=disclose_sections(SALTS, ENV),
    )
    assert verify_receipt(view, JWKS).outcome is Outcome.VALID


def test_a_signed_field_of_a_later_version_is_noted_and_not_judged() -> None:
    verdict = verify_receipt(resealed(lambda d: d["body"].update(payment={"amount": "3"})), JWKS)
    assert verdict.outcome is Outcome.VALID
    assert "does not know" in verdict.notes[0]


def swap(value: Any, path: str, new: Any) -> None:
    *way, last = path.split(".")
    for step in way:
        value = value[int(step) if step.isdigit() else step]
    value[last] = new


REFUSALS: list[tuple[bytes, str]] = [
    (b"", "not readable"),
    (b" " * (MAX_DOCUMENT + 1), "larger"),
    (b"[]", "not a JSON object"),
    (b"{}", "no body"),
    (b'{"body":1}', "no body"),
    (WHOLE + b"x", "more follows"),
    (WHOLE + WHOLE, "more follows"),
    (WHOLE[:-1], "not JSON"),
    (WHOLE.replace(b'"attempts":1', b'"attempts":1,"attempts":1'), "'attempts' stands twice"),
    (WHOLE.replace(b'"attempts":1', b'"attempts":1.0'), "not an integer"),
    (changed(lambda d: swap(d, "body.caller", "eve@default")), "the body hashes to rcpt_"),
    (changed(lambda d: swap(d, "body.extra", 1)), "the body hashes to rcpt_"),
    (changed(lambda d: d["body"].pop("task_id")), "the body hashes to rcpt_"),
    (changed(lambda d: d["body"].pop("run_id")), "run_id"),
    (changed(lambda d: d["body"].pop("kind")), "no kind"),
    (changed(lambda d: d["body"].pop("v")), "version"),
    (changed(lambda d: swap(d, "body.v", 2)), "version"),
    (changed(lambda d: swap(d, "body.v", True)), "version"),
    (changed(lambda d: swap(d, "body.kind", "log-entry")), "kind"),
    (changed(lambda d: swap(d, "body.task_id", None)), "task_id"),
    (resealed(lambda d: swap(d, "body.ended_at", "2026-01-31T12:00:01Z")), "ended_at"),
    (resealed(lambda d: swap(d, "body.usage", [{"meter": "m", "qty": "1e3", "unit": ""}])), "qty"),
    (changed(lambda d: swap(d, "id", "rcpt_" + "0" * 64)), "but the id is rcpt_000"),
    (changed(lambda d: swap(d, "id", d["id"].upper())), r"\$.id"),
    (changed(lambda d: swap(d, "signatures", [])), "0 signatures"),
    (changed(lambda d: swap(d, "signatures", d["signatures"] * 2)), "2 signatures"),
    (changed(lambda d: swap(d, "signatures.0.signature", OTHER.sign(SEALED.body))), "not that of key"),
    (changed(lambda d: swap(d, "signatures.0.protected", OTHER.protected)), "not among the given keys"),
    (changed(lambda d: swap(d, "signatures.0.header", {})), "header"),
    (changed(lambda d: swap(d, "jwk", OTHER.jwk())), "jwk"),
    (resealed(lambda d: None, OTHER), "not among the given keys"),
    (resealed(lambda d: swap(d, "body.issuer_kid", OTHER.kid)), "the body names the key"),
    (changed(lambda d: swap(d, "log.leaf_sha256", "0" * 64)), "leaf is not the hash"),
    (changed(lambda d: swap(d, "log.index", 13)), "log index 13"),
    (changed(lambda d: swap(d, "log.index", -1)), "index"),
    (changed(lambda d: swap(d, "log.org", "other")), "the log is that of other"),
    (changed(lambda d: swap(d, "log.signatures", d["signatures"])), "log index 12"),
    (changed(lambda d: swap(d, "sections.effects.value", [])), "section effects"),
    (changed(lambda d: swap(d, "sections.env.salt", "0" * 32)), "section env"),
    (changed(lambda d: swap(d, "sections.env.salt", "0" * 30)), "salt"),
    (changed(lambda d: swap(d, "sections.grants", {"salt": "0" * 32, "value": []})), "grants"),
    (changed(lambda d: swap(d, "disclosed.request.payload", "{}")), "payload request"),
    (changed(lambda d: swap(d, "disclosed.request.salt", "0" * 32)), "payload request"),
    (changed(lambda d: swap(d, "disclosed.request.payload_b64", "AA")), "payload request"),
    (changed(lambda d: d["disclosed"]["request"].pop("payload")), "payload request"),
    (changed(lambda d: swap(d, "disclosed.request", {"salt": "0" * 32, "payload_b64": "A"})), "base64url"),
    (changed(lambda d: swap(d, "countersignature.key", "A" * 43)), "countersignature"),
    (changed(lambda d: d.pop("id")), "id"),
    (changed(lambda d: d.pop("signatures")), "signatures"),
    (
        resealed(lambda d: d["body"].pop("idempotency_key")),
        "payload idempotency_key does not have the hash",
    ),
    (WHOLE.replace(b"sandbox", b"sandb\xc3x"), "UTF-8"),
    (b'{"body":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
]


@pytest.mark.parametrize(
    ("view", "reason"), REFUSALS, ids=[f"{n}-{reason}" for n, (_, reason) in enumerate(REFUSALS)]
)
def test_a_damaged_receipt_is_refused_with_the_reason(view: bytes, reason: str) -> None:
    verdict = verify_receipt(view, JWKS)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.exit_code == 8
    assert re.search(reason, verdict.reason), verdict.reason
    assert verdict.body is None
    assert verdict.sentence.startswith("refused: ")


def test_given_keys_that_did_not_sign_it_are_a_refusal() -> None:
    for keys in ([], [OTHER.jwk()], [{"kty": "RSA"}]):
        assert verify_receipt(CALLERS, keys).outcome is Outcome.REFUSED


def unnoticed(of: bytes, broken: bytes) -> bool:
    verdict = verify_receipt(broken, JWKS)
    return verdict.outcome is Outcome.VALID and json.loads(broken) != json.loads(of)


def test_no_byte_changes_unnoticed() -> None:
    """Every bit of every byte; and every byte taken away, doubled, and made a space or a zero."""
    assert verify_receipt(WHOLE, JWKS).outcome is Outcome.VALID
    for at in range(len(WHOLE)):
        for bit in range(8):
            broken = bytearray(WHOLE)
            broken[at] ^= 1 << bit
            assert not unnoticed(WHOLE, bytes(broken)), (at, bit)
        here = WHOLE[at : at + 1]
        for piece in (b"", here * 2, b" ", b"0", b"\0"):
            assert not unnoticed(WHOLE, WHOLE[:at] + piece + WHOLE[at + 1 :]), (at, piece)


@given(st.data())
def test_no_edit_goes_unnoticed(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(len(WHOLE), start + 40)))
    piece = data.draw(st.binary(max_size=8) | st.integers(0, len(WHOLE)).map(lambda n: WHOLE[n : n + 30]))
    assert not unnoticed(WHOLE, WHOLE[:start] + piece + WHOLE[end:])


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_raises(data: bytes) -> None:
    assert verify_receipt(data, JWKS).outcome is Outcome.REFUSED
    assert verify_receipt(data).outcome is Outcome.REFUSED


# --- the documentation -------------------------------------------------------------------------


@pytest.mark.parametrize("view", [CALLERS, WHOLE, PAID], ids=["callers", "whole", "paid"])
def test_the_snippet_of_the_documentation_works(tmp_path: Path, view: bytes) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    script = tmp_path / "check.py"
    script.write_text(snippet)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [OTHER.jwk(), SIGNER.jwk()]}))

    def check(receipt: bytes) -> subprocess.CompletedProcess[str]:
        (tmp_path / "receipt.json").write_bytes(receipt)
        command = [sys.executable, str(script), str(tmp_path / "receipt.json"), str(tmp_path / "jwks.json")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = check(view)
    assert good.returncode == 0, good.stderr
    assert good.stdout == f"valid {json.loads(view)['id']}\n"
    assert check(view.replace(b"bob@default", b"eve@default")).returncode != 0
    forged = json.loads(view)
    forged["signatures"][0]["signature"] = b64url(bytes(64)).decode()
    assert "BadSignature" in check(json.dumps(forged).encode()).stderr
    for name in json.loads(view).get("sections", {}):
        changed = json.loads(view)
        changed["sections"][name]["value"] = "another"
        assert f"AssertionError: {name}" in check(json.dumps(changed).encode()).stderr


def test_the_documentation_names_every_field_and_code() -> None:
    text = DOCS.read_text()
    for struct in (ReceiptBody, AgentFacts, EffectEntry, Environment, ChildEntry, nouns.ReceiptDocument):
        for name in struct.__struct_fields__:
            assert name in text, name
    for outcome in Outcome:
        assert f"| {outcome.value} |" in text
