"""The steps of a check one by one: the proof in the log, witnesses, grants, approvals, the ledger, children,
erasures; and where in the file something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET
from test_proof import AGENT, CHILDREN, EFFECTS, ENV, JWKS, OTHER, SALTS, SIGNER, body, swap

from a2a_cloud.client import receipts
from a2a_cloud.model.grant import EVERYTHING, LaterBlock, RootBlock
from a2a_cloud.model.receipt import (
    AgentFacts,
    ApprovalEntry,
    ChildEntry,
    GrantEntry,
    LedgerEntry,
    LedgerFacts,
    PriceFacts,
    ReceiptBody,
    WorkspaceEntry,
    WorkspaceFacts,
)
from a2a_cloud.wire import merkle, note, tlog_proof
from a2a_cloud.wire.canonical import salted_sha256
from a2a_cloud.wire.grant import GrantKey, attenuate, chain_id, mint
from a2a_cloud.wire.proof import STEPS, Outcome, Verdict, verify_receipt
from a2a_cloud.wire.seal import (
    EMPTY,
    NOTHING,
    SealedReceipt,
    disclose_payloads,
    disclose_sections,
    document,
    seal,
    section,
    section_hashes,
)
from a2a_cloud.wire.verify.place import find, line_and_column
from a2a_cloud.wire.verify.tree import verify_tree

ORIGIN = "clouds.example/log/default"
WITNESS = note.NoteKey("witness.example", OTHER.public, note.COSIGNATURE)
KEY = GrantKey("k1", "default", bytes(32))
HOLDER = "agent:default/contract-reviewer"


def step(verdict: Verdict, name: str) -> tuple[str, str]:
    """State and reason of one step."""
    (found,) = [each for each in verdict.steps if each.name == name]
    return found.state, found.why


def proof_of(sealed: SealedReceipt, index: int = 12, *, origin: str = ORIGIN, witness: bool = True) -> str:
    """A `.tlog-proof` of a log in which the receipt stands at `index`."""
    leaves = [merkle.leaf_hash(b"%032d" % number) for number in range(20)]
    leaves[index] = sealed.leaf
    known: dict[tuple[int, int], bytes] = {}
    frontier = merkle.Frontier()
    for leaf in leaves:
        for level, number, value in frontier.add(leaf):
            known[level, number] = value

    def read(level: int, number: int) -> bytes:
        return known[level, number]

    path = merkle.prove_inclusion(read, index, len(leaves))
    text = note.checkpoint_text(note.Checkpoint(origin, len(leaves), frontier.root()))
    signed = note.sign_note(text, [(origin, SIGNER)])
    if witness:
        signed += note.cosign(text, WITNESS.name, OTHER, 1_800_000_000)
    return tlog_proof.write_proof(index, path, signed).decode()


def whole(made: ReceiptBody | None = None, **sections: bytes) -> tuple[SealedReceipt, Callable[..., bytes]]:
    """A receipt with these sections, and what gives its whole view."""
    hashed = {name: value for name, value in sections.items() if name != "ledger"}
    children = hashed.pop("children", EMPTY)
    hashes = section_hashes(SALTS, ENV, EFFECTS, children, **hashed)  # type: ignore[arg-type]
    base = made or body()
    sealed = seal(SIGNER, msgspec.structs.replace(base, sections=hashes))

    def view(**more: Any) -> bytes:
        shown = disclose_sections(SALTS, ENV, EFFECTS, children, **{**hashed, **_ledger(sections)})  # type: ignore[arg-type]
        more.setdefault("agent", AGENT)
        return document(sealed, SIGNER, org="default", index=12, sections=shown, **more)

    return sealed, view


def _ledger(sections: dict[str, bytes]) -> dict[str, bytes]:
    return {"ledger": sections["ledger"]} if "ledger" in sections else {}


def changed(of: bytes, path: str, value: Any) -> bytes:
    found = json.loads(of)
    swap(found, path, value)
    return json.dumps(found).encode()


# --- the log ---------------------------------------------------------------------------------------------

SEALED, VIEW = whole(children=CHILDREN)
PROVED = VIEW(proof=proof_of(SEALED))


def test_every_step_of_a_whole_receipt() -> None:
    verdict = verify_receipt(PROVED, JWKS, [WITNESS])
    assert verdict.outcome is Outcome.VALID
    assert tuple(each.name for each in verdict.steps) == STEPS
    assert {each.name for each in verdict.steps if each.state != "ok"} == {"payloads", "children"}
    assert step(verdict, "inclusion") == ("ok", "index 12 of 20 in the tree of the checkpoint")
    assert step(verdict, "witness") == ("ok", "cosigned by witness.example")


def test_a_copy_without_a_proof_takes_one_from_elsewhere() -> None:
    bare = VIEW()
    assert step(verify_receipt(bare, JWKS), "inclusion")[0] == "unchecked"
    assert verify_receipt(bare, JWKS, [WITNESS]).outcome is Outcome.REFUSED
    verdict = verify_receipt(bare, JWKS, [WITNESS], proof_of(SEALED))
    assert verdict.outcome is Outcome.VALID
    assert step(verdict, "checkpoint")[0] == "ok"


def test_a_proof_from_elsewhere_is_checked_whatever_the_copy_brings() -> None:
    for view in (PROVED, VIEW(), changed_log(VIEW())):
        assert verify_receipt(view, JWKS, (), "nonsense").outcome is Outcome.REFUSED
        assert verify_receipt(view, JWKS, (), proof_of(whole()[0])).outcome is Outcome.REFUSED
        verdict = verify_receipt(view, JWKS, [WITNESS], proof_of(SEALED))
        assert verdict.outcome is Outcome.VALID
        assert step(verdict, "inclusion") == ("ok", "index 12 of 20 in the tree of the checkpoint")
    other = verify_receipt(changed_log(VIEW()), JWKS, (), proof_of(SEALED, 3))
    assert step(other, "inclusion") == ("ok", "index 3 of 20 in the tree of the checkpoint")
    # The one in the copy has to hold too, and the later one may be of a witness.
    assert verify_receipt(VIEW(proof="x"), JWKS, (), proof_of(SEALED)).outcome is Outcome.REFUSED
    unseen = VIEW(proof=proof_of(SEALED, witness=False))
    assert verify_receipt(unseen, JWKS, [WITNESS], proof_of(SEALED)).outcome is Outcome.VALID


def changed_log(view: bytes) -> bytes:
    """The copy without its place in the log."""
    found = json.loads(view)
    del found["log"]
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("inclusion", "x", "can't be read"),
        ("inclusion", proof_of(SEALED, 11), "is for index 11"),
        ("inclusion", proof_of(whole()[0]), "leads to"),
        ("inclusion", proof_of(SEALED).replace("index", "extra AAAA\nindex", 1), "extra"),
        ("checkpoint", proof_of(SEALED, origin="clouds.example/log/other"), "not of one of default"),
        ("checkpoint", proof_of(SEALED).replace("\n20\n", "\n21\n"), "does not hold"),
        ("witness", proof_of(SEALED, witness=False), "has not cosigned"),
    ],
    ids=["unreadable", "another-place", "another-leaf", "extra", "another-log", "another-size", "no-witness"],
)
def test_a_proof_that_does_not_hold(name: str, text: str, why: str) -> None:
    verdict = verify_receipt(VIEW(proof=text), JWKS, [WITNESS])
    assert verdict.outcome is Outcome.REFUSED
    state, said = step(verdict, name)
    assert state == "failed"
    assert why in said


def test_a_log_key_that_is_not_among_the_given_ones() -> None:
    later = VIEW(proof=proof_of(SEALED))
    assert verify_receipt(later, [SIGNER.jwk()]).outcome is Outcome.VALID
    verdict = verify_receipt(document(SEALED, SIGNER, org="default", index=12, proof=_other_log()), JWKS)
    assert step(verdict, "checkpoint") == (
        "failed",
        f"the checkpoint of {ORIGIN} is signed with no key that was given",
    )


def _other_log() -> str:
    proof = tlog_proof.read_proof(proof_of(SEALED).encode())
    text = proof.note.text
    return tlog_proof.write_proof(12, proof.path, note.sign_note(text, [(ORIGIN, AGENT)])).decode()


def test_no_byte_of_a_receipt_with_its_proof_changes_unnoticed() -> None:
    """Whatever byte is changed: it is refused, or it says what it said before."""
    before = verify_receipt(PROVED, JWKS, [WITNESS])
    assert before.outcome is Outcome.VALID
    for at in range(len(PROVED)):
        for bit in (0, 3, 5):
            broken = bytearray(PROVED)
            broken[at] ^= 1 << bit
            verdict = verify_receipt(bytes(broken), JWKS, [WITNESS])
            if verdict.outcome is not Outcome.REFUSED:
                assert json.loads(broken) == json.loads(PROVED), at
            else:
                assert any(each.state == "failed" for each in verdict.steps)


# --- erasures --------------------------------------------------------------------------------------------


def test_an_erasure_is_said_and_signed() -> None:
    erased = VIEW(erased=("2026-02-01T00:00:00.000Z", "bob@default"))
    verdict = verify_receipt(erased, JWKS)
    assert verdict.outcome is Outcome.VALID
    assert step(verdict, "payloads") == ("unchecked", "erased at 2026-02-01T00:00:00.000Z by bob@default")
    assert "erased" in verdict.notes[0]
    assert verify_receipt(changed(erased, "erased.by", "eve@default"), JWKS).outcome is Outcome.REFUSED
    assert verify_receipt(changed(erased, "erased.at", "2026-02-02T00:00:00.000Z"), JWKS).exit_code == 8
    shown = disclose_payloads(SALTS, request=b'{"text":"Vertrag \xc3\xbcber K\xc3\xa4se"}')
    both = VIEW(erased=("2026-02-01T00:00:00.000Z", "bob@default"), disclosed=shown)
    assert step(verify_receipt(both, JWKS), "payloads")[0] == "failed"


def test_the_salts_of_sections_outlive_an_erasure() -> None:
    from a2a_cloud.wire.seal import Salts

    kept = Salts(bytes(64) + SALTS.raw[64:112] + bytes(16), SALTS.kept_later())
    for name in ("effects", "env", "children", "approvals", "grants", "workspace", "ledger"):
        assert getattr(kept, name) == getattr(SALTS, name)
    assert kept.request == bytes(16)
    assert kept.effect(1, "args") != SALTS.effect(1, "args")


# --- grants and approvals --------------------------------------------------------------------------------


def root(**changes: Any) -> RootBlock:
    claims: dict[str, Any] = {
        "v": 1,
        "kid": "k1",
        "id": "grant_1",
        "root_id": "grant_1",
        "iss": "clouds",
        "org": "default",
        "sub": "bob@default",
        "aud": HOLDER,
        "run": "run_1",
        "workspace": "default",
        "base": 3,
        "ops": EVERYTHING,
        "read": ("contracts/**",),
        "write": (),
        "deny": (),
        "skills": (),
        "egress": (),
        "prefix": "outputs/run_1/",
        "nbf": 1,
        "exp": 2_000_000_000,
        "max_depth": 6,
    }
    return RootBlock(**{**claims, **changes})


def entry(token: str, **changes: Any) -> GrantEntry:
    blocks = token.rpartition(".")[0]
    facts: dict[str, Any] = {
        "blocks": blocks,
        "id": "grant_1",
        "sha256": hashlib.sha256(blocks.encode()).hexdigest(),
    }
    return GrantEntry(**{**facts, **changes})


PLAIN = mint(KEY, root())
WIDE = mint(
    KEY, root(id="grant_2", prior_id="grant_1", approval_id="appr_1", read=("contracts/**", "finance/**"))
)
FIRST = entry(PLAIN)
SECOND = entry(WIDE, id="grant_2", prior_id="grant_1")
YES = ApprovalEntry(
    at="2026-01-31T12:00:00.500Z", by="ada@default", grant_id="grant_2", id="appr_1", state="approved"
)


def files(*ops: tuple[str, str]) -> bytes:
    return section(
        WorkspaceFacts(
            base_tree="t",
            base_version=3,
            name="default",
            ops=[WorkspaceEntry(bytes=1, op=op, path=path, seq=n) for n, (op, path) in enumerate(ops, 1)],
        )
    )


def check(**sections: Any) -> Verdict:
    encoded = {
        name: value if isinstance(value, bytes) else section(value) for name, value in sections.items()
    }
    return verify_receipt(whole(None, **encoded)[1](), JWKS)


def test_grants_are_read_and_cover_what_was_done() -> None:
    done = files(("read", "contracts/a.md"), ("write", "outputs/run_1/a.md"), ("list", ""))
    verdict = check(grants=[FIRST], workspace=done)
    assert verdict.outcome is Outcome.VALID
    state, why = step(verdict, "grants")
    assert state == "ok"
    assert "2 operations on files, each allowed" in why
    assert "MAC is not checkable" in why


def test_a_wider_grant_has_its_decision() -> None:
    done = files(("read", "finance/a.csv"))
    verdict = check(grants=[FIRST, SECOND], approvals=[YES], workspace=done)
    assert verdict.outcome is Outcome.VALID, verdict.reason
    assert step(verdict, "approvals") == ("ok", "1 decision, 1 of them a yes")


def test_a_handed_on_grant_is_the_childs() -> None:
    parent = mint(KEY, root(aud="agent:default/planner", run="run_0", id="grant_0"))
    child = attenuate(parent, LaterBlock(aud=HOLDER, run="run_1", read=("contracts/a/**",)))
    verdict = check(grants=[entry(child, id=chain_id(b"x"))])
    assert verdict.outcome is Outcome.VALID, verdict.reason
    # Once handed on, it is not the parent's any more.
    other = attenuate(child, LaterBlock(aud="agent:default/third", run="run_9"))
    assert "not agent:default/contract-reviewer's" in check(grants=[entry(other)]).reason


@pytest.mark.parametrize(
    ("name", "sections", "why"),
    [
        ("grants", {"grants": [entry(PLAIN, sha256="0" * 64)]}, "do not have the hash"),
        ("grants", {"grants": [entry(PLAIN, id="grant_9")]}, "are those of grant_1"),
        ("grants", {"grants": [entry(mint(KEY, root(run="run_7")))]}, "for run_7"),
        ("grants", {"grants": [SECOND], "approvals": [YES]}, "which the run had not"),
        (
            "grants",
            {"grants": [FIRST, entry(PLAIN, id="grant_2", prior_id="grant_1")]},
            "are those of grant_1",
        ),
        ("grants", {"grants": [entry("g1.AAAA.BBBB")]}, "can't be used"),
        (
            "grants",
            {"grants": [FIRST], "workspace": files(("read", "finance/a"))},
            "allows to read finance/a",
        ),
        ("grants", {"workspace": files(("write", "a"))}, "allows to write a"),
        ("approvals", {"grants": [FIRST, SECOND]}, "approved no such grant"),
        ("approvals", {"grants": [FIRST], "approvals": [YES]}, "is not the run's"),
        (
            "approvals",
            {"grants": [FIRST, SECOND], "approvals": [msgspec.structs.replace(YES, state="denied")]},
            "is denied, and a grant came of it",
        ),
    ],
    ids=range(11),
)
def test_grants_that_do_not_fit_together(name: str, sections: dict[str, Any], why: str) -> None:
    verdict = check(**sections)
    assert verdict.outcome is Outcome.REFUSED
    state, said = step(verdict, name)
    assert state == "failed"
    assert why in said


def test_what_is_left_out_is_not_said_to_be_nothing() -> None:
    """Whoever hands a receipt on may leave sections out, and gets no step that says they were empty."""
    done = files(("read", "finance/a.csv"))
    view = whole(None, grants=section([FIRST, SECOND]), approvals=section([YES]), workspace=done)[1]()
    for name, steps in (
        ("grants", ("grants", "approvals")),
        ("approvals", ("approvals",)),
        ("workspace", ("grants",)),
    ):
        found = json.loads(view)
        del found["sections"][name]
        verdict = verify_receipt(json.dumps(found).encode(), JWKS)
        assert verdict.outcome is Outcome.VALID
        for each in steps:
            assert step(verdict, each)[0] == "unchecked", name
    quiet = check()
    assert step(quiet, "grants") == ("ok", "the run used none")
    assert step(quiet, "approvals") == ("ok", "the run asked for none")


def test_grants_given_by_their_hash_alone_are_not_checkable() -> None:
    bare = GrantEntry(id="grant_1", sha256="0" * 64)
    assert step(check(grants=[bare]), "grants")[0] == "unchecked"


# --- the ledger ------------------------------------------------------------------------------------------


def paid(*amounts: int, price: int | None = 100, currency: str = "USD") -> Verdict:
    entries = section(
        [
            LedgerEntry(account=f"a{line}", amount=amount, currency=currency, line=line, scale=2)
            for line, amount in enumerate(amounts)
        ]
    )
    facts = LedgerFacts(entries_sha256=salted_sha256(SALTS.ledger, entries), txn_id="txn_1")
    cost = UNSET if price is None else PriceFacts(amount=price, currency="USD", scale=2, version=1)
    return verify_receipt(whole(body(price=cost, ledger=facts), ledger=entries)[1](), JWKS)


def test_the_ledgers_entries_add_up_to_the_price() -> None:
    verdict = paid(-100, 80, 20)
    assert verdict.outcome is Outcome.VALID, verdict.reason
    assert step(verdict, "ledger") == ("ok", "3 entries of txn_1 sum to 0 and move 1.00 USD")


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (paid(-100, 80), "sum to -20"),
        (paid(-90, 90), "move 90, and the price is 100"),
        (paid(-100, 100, currency="EUR"), "move 0"),
        (paid(-100, 100, price=None), "names no price"),
        (
            verify_receipt(
                whole(body(price=PriceFacts(amount=1, currency="USD", scale=2, version=1)))[1](), JWKS
            ),
            "no transaction says so",
        ),
    ],
    ids=["not-zero", "another-amount", "another-currency", "no-price", "no-transaction"],
)
def test_a_ledger_that_does_not_add_up(verdict: Verdict, why: str) -> None:
    assert verdict.outcome is Outcome.REFUSED
    assert why in step(verdict, "ledger")[1]


def test_changed_entries_are_refused() -> None:
    entries = section([LedgerEntry(account="a", amount=0, currency="USD", line=0, scale=2)])
    facts = LedgerFacts(entries_sha256=salted_sha256(SALTS.ledger, entries), txn_id="txn_1")
    free = PriceFacts(amount=0, currency="USD", scale=2, version=1)
    view = whole(body(price=free, ledger=facts), ledger=entries)[1]()
    assert verify_receipt(view, JWKS).outcome is Outcome.VALID
    verdict = verify_receipt(changed(view, "sections.ledger.value.0.account", "b"), JWKS)
    assert step(verdict, "ledger")[0] == "failed"
    assert step(verify_receipt(document_without_sections(view), JWKS), "ledger")[0] == "unchecked"


def document_without_sections(view: bytes) -> bytes:
    found = json.loads(view)
    del found["sections"]
    return json.dumps(found).encode()


# --- trees -----------------------------------------------------------------------------------------------


def family(**child_changes: Any) -> dict[str, bytes]:
    parent_token = mint(KEY, root())
    child_agent = AgentFacts(id="child", image_digest="sha256:d", version="1")
    token = attenuate(parent_token, LaterBlock(aud="agent:default/child", run="run_2"))
    made = body(**{"agent": child_agent, "run_id": "run_2", "parent_run": "run_1", **child_changes})
    child, child_view = whole(made, grants=section([entry(token, id="grant_c")]))
    parent_body = body(parent_run=UNSET)
    children = section([ChildEntry(receipt_id=child.id)])
    _, parent_view = whole(parent_body, grants=section([entry(parent_token)]), children=children)
    return {"parent": parent_view(), "child": child_view(agent=None)}


def test_a_tree_verifies_as_one() -> None:
    found = verify_tree(family(), JWKS)
    assert {name: verdict.outcome for name, verdict in found.items()} == {
        "parent": Outcome.VALID,
        "child": Outcome.VALID,
    }, found["child"].reason
    assert step(found["parent"], "children") == ("ok", "all 1 are here and name it as their parent")


def test_a_child_that_is_not_there_is_named() -> None:
    tree = family()
    verdict = verify_tree({"parent": tree["parent"]}, JWKS)["parent"]
    assert verdict.outcome is Outcome.VALID
    state, why = step(verdict, "children")
    assert state == "unchecked"
    assert json.loads(tree["child"])["id"] in why


def test_a_child_of_somebody_else_is_refused() -> None:
    verdict = verify_tree(family(parent_run="run_0"), JWKS)["parent"]
    assert verdict.outcome is Outcome.REFUSED
    assert "does not name run_1" in step(verdict, "children")[1]


def test_a_child_with_more_than_its_parent_had_is_refused() -> None:
    tree = family()
    child_token = attenuate(mint(KEY, root(read=("**",))), LaterBlock(aud="agent:default/child", run="run_2"))
    made = body(
        agent=AgentFacts(id="child", image_digest="sha256:d", version="1"), run_id="run_2", parent_run="run_1"
    )
    child, view = whole(made, grants=section([entry(child_token, id="grant_c")]))
    _, parent_view = whole(
        body(parent_run=UNSET),
        grants=section([entry(mint(KEY, root()))]),
        children=section([ChildEntry(receipt_id=child.id)]),
    )
    verdict = verify_tree({"parent": parent_view(), "child": view(agent=None)}, JWKS)["parent"]
    assert "does not begin with one of its parent's" in step(verdict, "children")[1]
    assert verify_tree(tree, JWKS)["parent"].outcome is Outcome.VALID


def test_a_child_that_shows_no_grants_is_not_said_to_be_covered() -> None:
    tree = family()
    tree["child"] = document_without_sections(tree["child"])
    state, why = step(verify_tree(tree, JWKS)["parent"], "children")
    assert state == "unchecked"
    assert "1 do not show under which grant they acted" in why


def test_a_pipe_in_a_folder_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "receipt.json")
    with pytest.raises(ValueError, match="no file"):
        receipts.verify_folder(tmp_path, JWKS)


def test_a_folder_is_a_tree(tmp_path: Path) -> None:
    for name, view in family().items():
        (tmp_path / f"{name}.json").write_bytes(view)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": JWKS}))
    found = receipts.verify_folder(tmp_path, JWKS)
    assert {name: verdict.exit_code for name, verdict in found.items()} == {"parent.json": 0, "child.json": 0}
    with pytest.raises(ValueError, match="none"):
        receipts.verify_folder(tmp_path / "nowhere")


# --- where ------------------------------------------------------------------------------------------------


def test_the_place_of_what_is_wrong() -> None:
    text = json.dumps(json.loads(PROVED), indent=2)
    broken = text.replace('"caller": "bob@default"', '"caller": 5')
    verdict = receipts.verify(broken.encode(), JWKS)
    (found,) = verdict.steps
    assert found.at == "$.body.caller"
    position = receipts.position(broken.encode(), found)
    assert position is not None
    line = broken.split("\n")[position[0] - 1]
    assert line[position[1] - 1 :] == "5,"
    shown = receipts.shown(verdict, broken.encode())
    assert (shown["steps"][0]["line"], shown["steps"][0]["column"]) == position


def test_the_place_of_what_is_no_json() -> None:
    verdict = receipts.verify(b'{\n "body": ]', JWKS)
    assert receipts.position(b'{\n "body": ]', verdict.steps[0]) == (2, 10)
    broken = '{"ä": 1}'.encode() + b"\xff"
    assert receipts.position(broken, receipts.verify(broken, JWKS).steps[0]) == (1, 9)


def test_finding_values() -> None:
    text = '{"a": [1, {"b\\"c": [], "d": {"e": "x"}}], "f": null}'
    for path, begins in (("$.a[0]", "1,"), ("$.a[1].d.e", '"x"'), ("$.f", "null"), ("$", '{"a"')):
        index = find(text, path)
        assert index is not None
        assert text[index:].startswith(begins)
    assert text[find(text, "$.a[1].d.nothing") or 0 :].startswith('{"e"')
    assert find("[", "$.a[0]") == 0
    assert find("", "$.a") is None
    assert line_and_column("a\nbc", 3) == (2, 2)


def test_pinned_keys_are_the_only_ones() -> None:
    keys = [SIGNER.jwk(), OTHER.jwk(), {"kty": "RSA"}]
    assert receipts.pinned(keys, [SIGNER.kid]) == [SIGNER.jwk()]
    assert receipts.verify(PROVED, receipts.pinned(keys, [OTHER.kid])).outcome is Outcome.REFUSED


def test_nothing_of_an_agents_inside_is_needed() -> None:
    assert NOTHING == b"null"
    verdict = verify_receipt(document_without_sections(PROVED), JWKS)
    assert verdict.outcome is Outcome.VALID
    assert {each.name for each in verdict.steps if each.state == "unchecked"} == {
        *("sections", "payloads", "witness", "grants", "approvals", "children"),
    }
