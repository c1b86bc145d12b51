"""Receipts and packs, good ones and broken ones, that every verifier of ours has to judge alike: the one in
Python and the page's in JavaScript."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from a2a_cloud.model.grant import LaterBlock, Operation, RootBlock
from a2a_cloud.model.receipt import (
    AgentFacts,
    ApprovalEntry,
    ChildEntry,
    Environment,
    GrantEntry,
    LedgerEntry,
    LedgerFacts,
    PriceFacts,
    ReceiptBody,
    Signature,
    SkillFacts,
    Usage,
    WorkspaceEntry,
    WorkspaceFacts,
)
from a2a_cloud.wire import merkle, note
from a2a_cloud.wire.canonical import canonical, salted_sha256
from a2a_cloud.wire.grant_block import Block, written_block
from a2a_cloud.wire.jws import Signer, b64url, thumbprint
from a2a_cloud.wire.pack_manifest import Listed, Manifest, PackWriter
from a2a_cloud.wire.pack_zip import ZipReader, ZipWriter
from a2a_cloud.wire.seal import (
    Salts,
    disclose_payloads,
    disclose_sections,
    document,
    effect_entry,
    events_payload,
    seal,
    section,
    section_hashes,
)
from a2a_cloud.wire.tlog_proof import write_proof

SIGNER, AGENT, LOG, WITNESS, STRANGER = (Signer(bytes([seed]) * 32) for seed in range(1, 6))
#: The issuer's, and one that is damaged: its last letter has spare bits that are not zeros.
JWKS = [{**STRANGER.jwk(), "x": STRANGER.jwk()["x"][:-1] + "_"}, SIGNER.jwk(), LOG.jwk()]
WITNESS_KEY = note.NoteKey("witness.example", WITNESS.public, note.COSIGNATURE)
OTHER_WITNESS = note.NoteKey("other.example", STRANGER.public, note.COSIGNATURE)
ORIGIN = "cloud.example/log/default"
SALTS = Salts(bytes(range(128)))
INDEX, LEAVES = 5, 11
EVENTS = [b'{"k":"result","value":1}', b'{"k":"status"}']


class Case(NamedTuple):
    """A document, and with what it is checked."""

    name: str
    document: bytes
    keyed: bool = True
    witnesses: tuple[note.NoteKey, ...] = ()


def root_block(**changes: Any) -> Block:
    claims: dict[str, Any] = {
        "v": 1,
        "kid": "k1",
        "id": "grant_1",
        "root_id": "grant_1",
        "iss": "cloud.example",
        "org": "default",
        "sub": "bob@default",
        "aud": "agent:default/reviewer",
        "run": "run_1",
        "workspace": "default",
        "base": 3,
        "ops": tuple(Operation),
        "read": ("contracts/**", "laws/**/de/*.md", "a?/*-*"),
        "write": ("drafts/**",),
        "deny": ("contracts/secret/**",),
        "skills": ("lawyer/*",),
        "egress": ("api.example.com",),
        "prefix": "outputs/run_1/",
        "nbf": 1_700_000_000,
        "exp": 1_800_000_000,
        "max_depth": 3,
    }
    return written_block(RootBlock(**{**claims, **changes}))


def blocks(*each: Block) -> str:
    return ".".join(("g1", *(block.text for block in each)))


def grant(text: str, id_: str = "grant_1", **more: Any) -> GrantEntry:
    return GrantEntry(blocks=text, id=id_, sha256=salted_sha256(b"", text.encode()), **more)


NARROWED = written_block(LaterBlock(by="caller", read=("contracts/**",), deny=("**/*.key",)))
WIDER = root_block(id="grant_2", root_id="grant_1", prior_id="grant_1", approval_id="appr_1")
GRANTS = [
    grant(blocks(root_block(), NARROWED)),
    grant(blocks(WIDER), "grant_2", prior_id="grant_1"),
]
APPROVALS = [
    ApprovalEntry(
        at="2026-01-31T12:00:00.500Z", by="eve@default", grant_id="grant_2", id="appr_1", state="approved"
    ),
    ApprovalEntry(at="2026-01-31T12:00:00.600Z", by="rule nights", id="appr_2", state="denied"),
]
LEDGER = [
    LedgerEntry(account="caller:bob", amount=-250, currency="EUR", line=0, scale=2),
    LedgerEntry(account="owner:default", amount=200, currency="EUR", line=1, scale=2),
    LedgerEntry(account="platform", amount=50, currency="EUR", line=2, scale=2),
]
OPS = [
    ("read", "contracts/a/b.txt"),
    ("read", "laws/x/y/de/bgb.md"),
    ("read", "ab/c-d"),
    ("list", "anything"),
    ("write", "outputs/run_1/résumé.md"),
    ("delete", "drafts/old"),
]


def workspace(ops: Sequence[tuple[str, str]] = OPS) -> WorkspaceFacts:
    return WorkspaceFacts(
        base_tree="t" * 64,
        base_version=3,
        name="default",
        ops=[WorkspaceEntry(bytes=9, op=op, path=path, seq=seq) for seq, (op, path) in enumerate(ops, 1)],
        result_tree="u" * 64,
        result_version=4,
    )


def receipt(
    *,
    grants: Sequence[GrantEntry] = GRANTS,
    approvals: Sequence[ApprovalEntry] = APPROVALS,
    ledger: Sequence[LedgerEntry] = LEDGER,
    ops: Sequence[tuple[str, str]] = OPS,
    children: Sequence[str] = (),
    view: str = "whole",
    proof: bool = True,
    erased: tuple[str, str] | None = None,
    sign_log: Signer = LOG,
    run: str = "run_1",
    parent: str = "",
    changes: dict[str, Any] | None = None,
) -> bytes:
    """A receipt with everything in it, in the log, its checkpoint cosigned."""
    env = section(Environment(deps_digest="sha256:d", runtime_digest="sha256:e", sandbox="jail"))
    effects = section([effect_entry(SALTS, 1, "step", "prüfen\n\u2028", b"[]", b"1")])
    said: dict[str, Any] = {
        "approvals": section(list(approvals)),
        "grants": section(list(grants)),
        "workspace": section(workspace(ops)),
    }
    named = section([ChildEntry(receipt_id=one) for one in children])
    entries = section(list(ledger))
    facts: dict[str, Any] = {
        "agent": AgentFacts(
            id="reviewer",
            image_digest="sha256:c",
            service_id="spiffe://example.com/org/default/agent/reviewer",
            service_kid=AGENT.kid,
            version="1.0.0",
        ),
        "attempts": 1,
        "caller": "bob@default",
        "context_id": "ctx_1",
        "ended_at": "2026-01-31T12:00:01.000Z",
        "events_sha256": salted_sha256(SALTS.events, events_payload(EVENTS)),
        "idempotency_key": salted_sha256(SALTS.key, b"message-1"),
        "issued_at": "2026-01-31T12:00:01.001Z",
        "issuer_kid": SIGNER.kid,
        "ledger": LedgerFacts(entries_sha256=salted_sha256(SALTS.ledger, entries), txn_id="txn_1"),
        "org": "default",
        "price": PriceFacts(amount=250, currency="EUR", scale=2, version=1),
        "request_sha256": salted_sha256(SALTS.request, "Käse 🧀".encode()),
        "response_sha256": salted_sha256(SALTS.response, b"\xff\x00"),
        "run_id": run,
        "sections": section_hashes(SALTS, env, effects, named, **said),
        "skill": SkillFacts(id="review", schema_sha256="d" * 64, version="1.0.0"),
        "started_at": "2026-01-31T12:00:00.000Z",
        "status": "completed",
        "task_id": "task_1",
        "usage": [Usage(meter="tokens", qty="12.5", unit="token")],
    }
    if parent:
        facts["parent_run"] = parent
    facts |= changes or {}
    sealed = seal(SIGNER, ReceiptBody(**{name: value for name, value in facts.items() if value is not None}))
    return document(
        sealed,
        SIGNER,
        org="default",
        index=INDEX,
        agent=AGENT,
        sections=disclose_sections(SALTS, env, effects, named, ledger=entries, **said)
        if view == "whole"
        else None,
        disclosed=None
        if erased
        else disclose_payloads(
            SALTS,
            request="Käse 🧀".encode(),
            response=b"\xff\x00",
            events=events_payload(EVENTS),
            idempotency_key="message-1",
        ),
        proof=proof_for(bytes.fromhex(sealed.id[5:]), sign_log).decode() if proof else "",
        erased=erased,
    )


def proof_for(entry: bytes, signer: Signer = LOG, origin: str = ORIGIN) -> bytes:
    """An entry's place in a log of LEAVES leaves, cosigned by WITNESS."""
    hashes = [merkle.leaf_hash(bytes([at]) * 32) for at in range(LEAVES)]
    hashes[INDEX] = merkle.leaf_hash(entry)
    levels = [hashes]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([merkle.node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])

    def read(level: int, index: int) -> bytes:
        return levels[level][index]

    text = note.checkpoint_text(note.Checkpoint(origin, LEAVES, merkle.root(read, LEAVES)))
    signed = note.sign_note(text, [(origin, signer)])
    signed = note.add_lines(signed, [note.cosign(text, WITNESS_KEY.name, WITNESS, 1_769_860_800)])
    return write_proof(INDEX, merkle.prove_inclusion(read, INDEX, LEAVES), signed)


WHOLE = receipt()
CALLERS = receipt(view="own")
_ENTRY = bytes.fromhex(json.loads(WHOLE)["id"][5:])


def edited(edit: Callable[[dict[str, Any]], object], original: bytes = WHOLE) -> bytes:
    """The document with a change that keeps it readable."""
    value = json.loads(original)
    edit(value)
    return json.dumps(value, ensure_ascii=False).encode()


def put(*steps: str | int, value: Any) -> Callable[[dict[str, Any]], object]:
    def edit(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        document[steps[-1]] = value

    return edit


def drop(*steps: str | int) -> Callable[[dict[str, Any]], object]:
    def edit(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        del document[steps[-1]]

    return edit


def _with_proof(change: Callable[[str], str]) -> bytes:
    return edited(lambda one: one["log"].update(proof=change(one["log"]["proof"])))


def _with_line(*names: str) -> bytes:
    """A receipt with more signatures in its proof: nobody signs those lines, so anybody can add one."""
    return _with_proof(lambda text: text + "".join(f"— {name} AAAAAAA=\n" for name in names))


def _with_origin(origin: str) -> bytes:
    return _with_proof(lambda _: proof_for(_ENTRY, origin=origin).decode())


def _long_origin(text: str) -> str:
    """No key can have such a name, so its log has not signed it."""
    head, _, rest = text.partition(f"{ORIGIN}\n")
    return f"{head}{'🧀' * 244}/log/default\n{rest}"


def _swapped(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def _line(text: str, number: int, change: Callable[[str], str]) -> str:
    lines = text.split("\n")
    lines[number] = change(lines[number])
    return "\n".join(lines)


def _other(letter: str) -> str:
    return "A" if letter != "A" else "B"


def _good() -> list[Case]:
    erased = receipt(erased=("2026-02-01T00:00:00.000Z", "bob@default"))
    return [
        Case("whole", WHOLE),
        Case("callers", CALLERS),
        Case("whole, no key", WHOLE, keyed=False),
        Case("callers, no key", CALLERS, keyed=False),
        Case("witnessed", WHOLE, witnesses=(WITNESS_KEY,)),
        Case("without a proof", receipt(proof=False)),
        Case("a cosignature under a byte order mark", _with_line("\ufeff")),
        Case("cosignatures beyond the basic plane", _with_line("🧀", "\ufeff")),
        Case("a cosignature under a name of 255 characters", _with_line("🧀" * 255)),
        Case("a log with a name of 255 characters", _with_origin("🧀" * 243 + "/log/default")),
        Case("an empty proof", _with_proof(lambda _: "")),
        Case("written otherwise", json.dumps(json.loads(WHOLE), indent=3).encode()),
        Case("not countersigned", edited(drop("countersignature"))),
        Case("without a place", edited(drop("log"))),
        Case("without payloads", edited(drop("disclosed"))),
        Case("erased", erased),
        Case("erased, no key", erased, keyed=False),
        Case("free", receipt(changes={"price": None, "ledger": None}, ledger=[])),
        Case("no grants", receipt(grants=[], approvals=[], ops=[("list", "x")])),
        Case(
            "handed over", receipt(grants=[grant(blocks(_parents(), _handover()), "grant_x")], approvals=[])
        ),
        Case("a grant by its hash", receipt(grants=[GrantEntry(id="g", sha256="a" * 64)], approvals=[])),
        Case("grants left out", edited(drop("sections", "grants"))),
        Case("approvals left out", edited(drop("sections", "approvals"))),
        Case("files left out", edited(drop("sections", "workspace"))),
        Case("grants and files left out", _left_out("grants", "workspace", "approvals")),
        Case("the machine left out", edited(drop("sections", "env"))),
        Case("with children", receipt(children=["rcpt_" + "a" * 64])),
        Case("a field of later", _later()),
    ]


def _left_out(*names: str) -> bytes:
    one = json.loads(WHOLE)
    for name in names:
        del one["sections"][name]
    return json.dumps(one).encode()


def _parents() -> Block:
    return root_block(aud="agent:default/planner", run="run_0")


def _handover() -> Block:
    return written_block(LaterBlock(by="agent:default/planner", aud="agent:default/reviewer", run="run_1"))


def _later() -> bytes:
    """A body with a field that this version does not know."""
    value = json.loads(CALLERS)
    value["body"]["zeal"] = {"of": ["later"]}
    body = canonical(value["body"])
    value["id"] = "rcpt_" + sha256(body).hexdigest()
    value["signatures"] = [{"protected": SIGNER.protected, "signature": SIGNER.sign(body)}]
    value["countersignature"] |= {"signature": AGENT.sign(body)}
    del value["log"]
    return json.dumps(value).encode()


def _refused() -> list[Case]:
    cases = [
        Case("another caller", edited(put("body", "caller", value="mallory@default"))),
        Case("another caller, no key", edited(put("body", "caller", value="m@default")), keyed=False),
        Case("another id", edited(put("id", value="rcpt_" + "0" * 64))),
        Case("another issuer", edited(put("body", "issuer_kid", value=STRANGER.kid))),
        Case("no signature", edited(put("signatures", value=[]))),
        Case("two signatures", edited(lambda one: one["signatures"].append(one["signatures"][0]))),
        Case("signed by another", edited(lambda one: _sign(one, STRANGER))),
        Case("damaged signature", edited(_damage("signatures", 0, "signature"))),
        Case("short signature", edited(put("signatures", 0, "signature", value="AAAA"))),
        Case("strange header", edited(put("signatures", 0, "protected", value="e30"))),
        Case("unreadable header", edited(put("signatures", 0, "protected", value="e3"))),
        Case("header of none", edited(put("signatures", 0, "protected", value=_b64('{"alg":"none"}')))),
        Case("header with crit", edited(put("signatures", 0, "protected", value=_b64(_CRIT)))),
        Case("countersigned by another", edited(_counter(STRANGER))),
        Case("damaged countersignature", edited(_damage("countersignature", "signature"))),
        Case("a section changed", edited(put("sections", "effects", "value", 0, "name", value="x"))),
        Case("a salt changed", edited(put("sections", "env", "salt", value="0" * 32))),
        Case("a payload changed", edited(put("disclosed", "request", "payload", value="Käse 🧀!"))),
        Case("a payload twice", edited(put("disclosed", "request", "payload_b64", value="AA"))),
        Case("a payload badly written", edited(put("disclosed", "response", "payload_b64", value="_wB"))),
        Case("a payload after its erasure", _unerased()),
        Case("an erasure by another", _erased_by_another()),
        Case("another index", edited(put("log", "index", value=6))),
        Case("another leaf", edited(put("log", "leaf_sha256", value="a" * 64))),
        Case("another log", edited(put("log", "org", value="other"))),
        Case("not cosigned", WHOLE, witnesses=(OTHER_WITNESS,)),
        Case("no proof for a witness", receipt(proof=False), witnesses=(WITNESS_KEY,)),
        Case("a log signed by another", receipt(sign_log=STRANGER)),
        Case("proof: index", _with_proof(lambda text: _swapped(text, "index 5", "index 4"))),
        Case("proof: no proof", _with_proof(lambda _: "nothing")),
        Case("proof: other first line", _with_proof(lambda text: "x" + text)),
        Case("proof: extra", _with_proof(lambda text: _swapped(text, "index 5", "extra AAAA\nindex 5"))),
        Case("proof: hash", _with_proof(lambda text: _line(text, 3, lambda one: _other(one[0]) + one[1:]))),
        Case(
            "proof: hash missing",
            _with_proof(lambda text: _line(text, 3, lambda _: "").replace("\n\n", "\n", 1)),
        ),
        Case("proof: short hash", _with_proof(lambda text: _line(text, 3, lambda _: "AAAA"))),
        Case(
            "proof: hash spelled badly", _with_proof(lambda text: _line(text, 3, lambda one: one[:-2] + "=="))
        ),
        Case("proof: size", _with_proof(lambda text: _swapped(text, f"\n{LEAVES}\n", f"\n{LEAVES + 1}\n"))),
        Case(
            "proof: size spelled badly", _with_proof(lambda text: _swapped(text, f"\n{LEAVES}\n", "\n011\n"))
        ),
        Case("proof: origin", _with_proof(lambda text: text.replace("/log/default", "/log/others"))),
        Case("proof: unsigned", _with_proof(lambda text: text[: text.index("—")] + text[text.rindex("—") :])),
        Case(
            "proof: signature",
            _with_proof(lambda text: _line(text, -3, lambda one: one[:-9] + _other(one[-9]) + one[-8:])),
        ),
        Case("proof: cosignature", _cut_cosignature(), witnesses=(WITNESS_KEY,)),
        *(
            Case(f"proof: a name with U+{ord(blank):04X}", _with_line(f"a{blank}b"))
            for blank in "\x1c\x85\xa0\u1680\u2000\u200a\u2028\u202f\u205f\u3000+"
        ),
        Case("proof: a name of 256 characters", _with_line("🧀" * 256)),
        Case("proof: an origin of 256 characters", _with_proof(_long_origin)),
        Case(
            "proof: a control character far behind",
            _with_proof(lambda text: text.replace("cloud", "🧀\t")),
        ),
        Case("proof: a control character", _with_proof(lambda text: text.replace("cloud", "cl\tud"))),
        Case(
            "grants: hash",
            receipt(grants=[msgspec.structs.replace(GRANTS[0], sha256="0" * 64)], approvals=[]),
        ),
        Case("grants: another run's", receipt(grants=[grant(blocks(root_block(run="run_9")))], approvals=[])),
        Case("grants: another's id", receipt(grants=[grant(blocks(root_block()), "grant_9")], approvals=[])),
        Case("grants: no prior", receipt(grants=[GRANTS[1]], approvals=[])),
        Case(
            "grants: prior not said",
            receipt(
                grants=[GRANTS[0], grant(blocks(root_block(id="g2")), "g2", prior_id="grant_1")], approvals=[]
            ),
        ),
        Case("grants: no blocks", receipt(grants=[grant("g1")], approvals=[])),
        Case("grants: garbage", receipt(grants=[grant("g1.AAAA")], approvals=[])),
        Case(
            "grants: nobody's block", receipt(grants=[grant(blocks(root_block(), _nobodys()))], approvals=[])
        ),
        Case(
            "grants: handed on too often", receipt(grants=[grant(blocks(*_too_often()), "x")], approvals=[])
        ),
        Case("grants: section no list", _section("grants", {"a": 1})),
        Case("grants: entry no entry", _section("grants", [{"id": 1}])),
        Case("approvals: denied and granted", receipt(approvals=_approvals(state="denied"))),
        Case("approvals: of no grant", receipt(approvals=_approvals(grant_id="grant_9"))),
        Case("approvals: missing", receipt(approvals=APPROVALS[1:])),
        Case("ledger: sum", receipt(ledger=LEDGER[:2])),
        Case(
            "ledger: amount",
            receipt(changes={"price": PriceFacts(amount=9, currency="EUR", scale=2, version=1)}),
        ),
        Case("ledger: no price", receipt(changes={"price": None})),
        Case("ledger: no transaction", receipt(changes={"ledger": None})),
        Case("ledger: no entries, a price", receipt(changes={"ledger": None}, ledger=[])),
        Case("ledger: changed", edited(put("sections", "ledger", "value", 0, "amount", value=-251))),
    ]
    cases.append(Case("workspace: read under no grant", receipt(grants=[], approvals=[])))
    for op, path in (
        ("read", "elsewhere/x"),
        ("read", "laws/de.md"),
        ("read", "laws/x/de/y/z.md"),
        ("read", "abc/c-d"),
        ("read", "contracts/secret/plan"),
        ("write", "contracts/a"),
        ("write", "outputs/run_1"),
        ("delete", "drafts/../x"),
        ("adopt", "outputs/run_2/x"),
    ):
        cases.append(Case(f"workspace: {op} {path}", receipt(ops=[(op, path)])))
    for name, raw in _UNREADABLE.items():
        cases.append(Case(f"unreadable: {name}", raw))
    for name, edit in _SHAPES.items():
        cases.append(Case(f"shape: {name}", edited(edit)))
    return cases


_CRIT = '{"alg":"Ed25519","crit":["x"],"kid":"k"}'
_UNREADABLE = {
    "nothing": b"",
    "not JSON": b"{",
    "no object": b"[]",
    "no body": b"{}",
    "body no object": b'{"body":[]}',
    "no version": b'{"body":{"kind":"run"}}',
    "version true": b'{"body":{"kind":"run","v":true}}',
    "no kind": b'{"body":{"v":1}}',
    "not UTF-8": WHOLE[:-1] + b"\xff}",
    "more after it": WHOLE + b" {}",
    "twice the same key": WHOLE[:-1] + b',"id":"x"}',
    "a float": WHOLE.replace(b'"attempts":1', b'"attempts":1.0'),
    "an exponent": WHOLE.replace(b'"attempts":1', b'"attempts":1e0'),
    "a large number": WHOLE.replace(b'"attempts":1', b'"attempts":9007199254740992'),
    "NaN": WHOLE.replace(b'"attempts":1', b'"attempts":NaN'),
    "half a surrogate": WHOLE.replace(b'"bob@default"', b'"\\ud800"'),
    "deep": b'{"body":' + b"[" * 70 + b"]" * 70 + b"}",
}
_SHAPES: dict[str, Callable[[dict[str, Any]], object]] = {
    "unknown member": put("extra", value=1),
    "unknown in log": put("log", "extra", value=1),
    "unknown section": put("sections", "inside", value={"salt": "0" * 32, "value": 1}),
    "null": put("disclosed", value=None),
    "bad hash": put("body", "request_sha256", value="A" * 64),
    "bad time": put("body", "ended_at", value="2026-01-31T12:00:01Z"),
    "negative": put("log", "index", value=-1),
    "a status": put("body", "status", value="working"),
    "a kind": put("body", "kind", value="pack"),
    "a quantity": put("body", "usage", 0, "qty", value="1e3"),
    "missing": drop("body", "org"),
    "missing agent's": drop("body", "agent", "image_digest"),
    "salt": put("sections", "env", "salt", value="00"),
    "a scale": put("body", "price", "scale", value=10),
}


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _sign(one: dict[str, Any], signer: Signer) -> None:
    body = canonical(one["body"])
    one["signatures"] = [{"protected": signer.protected, "signature": signer.sign(body)}]


def _counter(signer: Signer) -> Callable[[dict[str, Any]], object]:
    def edit(one: dict[str, Any]) -> None:
        body = canonical(one["body"])
        one["countersignature"] = {
            "key": signer.jwk()["x"],
            "protected": signer.protected,
            "signature": signer.sign(body),
        }

    return edit


def _damage(*steps: str | int) -> Callable[[dict[str, Any]], object]:
    def edit(document: Any) -> None:
        for step in steps[:-1]:
            document = document[step]
        text = document[steps[-1]]
        document[steps[-1]] = _other(text[0]) + text[1:]

    return edit


def _unerased() -> bytes:
    gone = json.loads(receipt(erased=("2026-02-01T00:00:00.000Z", "bob@default")))
    return json.dumps(gone | {"disclosed": json.loads(WHOLE)["disclosed"]}).encode()


def _erased_by_another() -> bytes:
    gone = receipt(erased=("2026-02-01T00:00:00.000Z", "bob@default"))
    return edited(put("erased", "by", value="eve@default"), gone)


def _cut_cosignature() -> bytes:
    return _with_proof(lambda text: text[:-30] + _other(text[-30]) + text[-29:])


def _nobodys() -> Block:
    return written_block(LaterBlock(read=("a",)))


def _too_often() -> list[Block]:
    first = root_block(max_depth=0, aud="agent:default/planner", run="run_0")
    return [first, _handover()]


def _approvals(**changes: Any) -> list[ApprovalEntry]:
    return [msgspec.structs.replace(APPROVALS[0], **changes), APPROVALS[1]]


def _section(name: str, value: Any) -> bytes:
    """A whole receipt whose section says something that is none, signed all the same."""
    one = json.loads(WHOLE)
    shown = one["sections"][name]
    shown["value"] = value
    one["body"]["sections"][name] = salted_sha256(bytes.fromhex(shown["salt"]), canonical(value))
    body = canonical(one["body"])
    one["id"] = "rcpt_" + sha256(body).hexdigest()
    _sign(one, SIGNER)
    one["countersignature"]["signature"] = AGENT.sign(body)
    del one["log"]
    return json.dumps(one).encode()


def corpus() -> list[Case]:
    """All of them."""
    return [*_good(), *_refused()]


GOOD = len(_good())


# --- packs ------------------------------------------------------------------------------------------------


def receipt_id(document: bytes) -> str:
    return str(json.loads(document)["id"])


def packed(files: dict[str, bytes], signer: Signer = SIGNER, **changes: Any) -> bytes:
    """A pack of these files."""
    writer = PackWriter()
    pieces = [writer.add(name, data) for name, data in files.items()]
    facts: dict[str, Any] = {
        "kind": "pack",
        "made_at": "2026-02-01T00:00:00.000Z",
        "made_by": "ada@default",
        "org": "default",
        "runs": sum(name.startswith("receipts/") for name in files),
        "v": 1,
        "view": "whole",
    }

    def describe(listed: dict[str, Listed]) -> Manifest:
        return Manifest(files=listed, **{**facts, **changes})

    def sign(manifest: bytes) -> Signature:
        return Signature(signer.protected, signer.sign(manifest))

    return b"".join((*pieces, *writer.close(describe, sign)))


def tree() -> dict[str, bytes]:
    """A parent's receipt and its child's, the child's grant handed over to it."""
    parents = root_block(aud="agent:default/reviewer", run="run_0", max_depth=3)
    handed = written_block(LaterBlock(by="agent:default/reviewer", aud="agent:default/reviewer", run="run_1"))
    child = receipt(grants=[grant(blocks(parents, handed), "g9")], approvals=[], parent="run_0", ops=[])
    parent = receipt(
        grants=[grant(blocks(parents))],
        approvals=[],
        ops=[],
        children=[receipt_id(child)],
        run="run_0",
    )
    return {f"receipts/{receipt_id(one)}.json": one for one in (child, parent)}


def reviewed(**changes: Any) -> dict[str, bytes]:
    """A receipt, a review of it, and the event that says whose key signed; `changes` are of that."""
    from a2a_cloud.wire.review import Notes, sign, statement_sha256

    one = receipt_id(WHOLE)
    made = sign(
        STRANGER,
        receipt_id=one,
        run_id="run_1",
        verdict="approve",
        by="eve@default",
        at="2026-02-01T00:00:00.000Z",
        key_id="key_1",
        notes=Notes(salt="0" * 32, text="good <b>work</b>"),
    )
    detail = {"statement_sha256": statement_sha256(made.statement), "key": STRANGER.kid, "receipt": one}
    payload = json.dumps({"by": "eve@default", "kind": "review.signed", "detail": detail} | changes)
    about = {"run": "run_1", "receipt_id": one}
    events = {**about, "events": [event(payload)]}
    return {
        f"receipts/{one}.json": WHOLE,
        "events/run_1.json": json.dumps(events).encode(),
        "reviews/run_1.json": json.dumps({**about, "reviews": [msgspec.to_builtins(made)]}).encode(),
    }


def event(payload: str) -> dict[str, Any]:
    """An event of the log, with the proof of its place."""
    salt = bytes(16)
    entry = b"\x01" + sha256(salt + payload.encode()).digest()
    return {"index": INDEX, "salt": salt.hex(), "payload": payload, "proof": proof_for(entry).decode()}


def with_edit(
    files: dict[str, bytes], name: str, edit: Callable[[dict[str, Any]], object]
) -> dict[str, bytes]:
    """The files, one of them changed: a pack that the platform signed and should not have."""
    return {**files, name: edited(edit, files[name])}


def receipt_as_event() -> dict[str, bytes]:
    """The entry of a receipt, said to be that of an event: its hash is over a salt and a text too."""
    one = json.loads(WHOLE)
    body = canonical(one["body"])
    told = {
        "index": INDEX,
        "salt": body[:16].hex(),
        "payload": body[16:].decode(),
        "proof": one["log"]["proof"],
    }
    about = {"run": "run_1", "receipt_id": one["id"]}
    return {"events/run_1.json": json.dumps({**about, "events": [told]}).encode()}


def signed_by_nothing() -> dict[str, bytes]:
    """A review whose key is a point of small order, under which one signature is of every text."""
    nothing = b"\1" + bytes(31)
    files = reviewed()
    made = json.loads(files["reviews/run_1.json"])
    (review,) = made["reviews"]
    head = canonical({"alg": "Ed25519", "kid": thumbprint(nothing)})
    review["key"], review["protected"] = b64url(nothing).decode(), b64url(head).decode()
    review["signature"] = b64url(nothing + bytes(32)).decode()
    return {"reviews/run_1.json": json.dumps(made).encode()}


PLAIN = {
    f"receipts/{receipt_id(WHOLE)}.json": WHOLE,
    f"proofs/{receipt_id(WHOLE)}.tlog-proof": json.loads(WHOLE)["log"]["proof"].encode(),
    "keys.json": json.dumps({"note": "no proof", "keys": JWKS}).encode(),
    "index.html": b"<!doctype html><p>For people</p>",
}


PROOF = PLAIN[f"proofs/{receipt_id(WHOLE)}.tlog-proof"]


def packs() -> list[Case]:
    """Packs, good ones and broken ones."""
    family, review = tree(), reviewed()
    child, parent = family
    good = packed(PLAIN)
    flipped = [
        Case(f"byte {at}", good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :])
        for at in range(0, len(good), 61)
    ]
    other = {"receipts/" + "rcpt_" + "0" * 64 + ".json": WHOLE}
    bad_proof = {
        **PLAIN,
        f"proofs/rcpt_{'0' * 64}.tlog-proof": PLAIN[f"proofs/{receipt_id(WHOLE)}.tlog-proof"],
    }
    return [
        Case("good", good),
        Case("good, no key", good, keyed=False),
        Case("tree", packed(family)),
        Case("reviewed", packed(review)),
        Case("reviewed, no key", packed(review), keyed=False),
        Case("reviewed, witnessed", packed(review), witnesses=(WITNESS_KEY,)),
        Case(
            "review without event",
            packed({name: data for name, data in review.items() if "event" not in name}),
        ),
        Case("review with another's event", packed(reviewed(detail={}))),
        Case("child missing", packed({parent: family[parent]})),
        Case("child without its inside", packed({**family, child: edited(drop("sections"), family[child])})),
        Case("with a page", packed({"verify.html": b"<script>document.write('valid')</script>"})),
        Case("empty", packed({})),
        Case("witnessed", packed({child: family[child]}), witnesses=(WITNESS_KEY,)),
        Case("bad: event not cosigned", packed(_unseen(review)), witnesses=(WITNESS_KEY,)),
        Case("bad: a receipt as an event", packed(receipt_as_event())),
        Case("bad: signed by nothing", packed(signed_by_nothing())),
        Case("bad: child of another", packed({**family, parent: _other_parent(family[child])})),
        Case("bad: another's signature", packed(PLAIN, STRANGER)),
        Case("bad: name", packed(other)),
        Case("bad: proof of another", packed(bad_proof)),
        Case("bad: proof with a bad name", packed({"proofs/x.tlog-proof": b""})),
        Case("bad: proof in upper case", packed({f"proofs/rcpt_{receipt_id(WHOLE)[5:].upper()}.cose": b""})),
        Case("bad: proof of no receipt", packed({f"proofs/{receipt_id(WHOLE)[5:]}.tlog-proof": PROOF})),
        Case(
            "bad: event",
            packed(with_edit(review, "events/run_1.json", put("events", 0, "salt", value="1" * 32))),
        ),
        Case("bad: event shape", packed({**review, "events/run_1.json": b"{}"})),
        Case(
            "bad: review",
            packed(with_edit(review, "reviews/run_1.json", put("reviews", 0, "notes", "text", value="bad"))),
        ),
        Case(
            "bad: review of another",
            packed(with_edit(review, "reviews/run_1.json", put("receipt_id", value="rcpt_" + "0" * 64))),
        ),
        Case("bad: review by another", packed(reviewed(by="mallory@default"))),
        Case("bad: manifest kind", _manifest(kind="run")),
        Case("bad: manifest field", _manifest(more=1)),
        Case("bad: added", zipped({**_members(good), "extra.txt": b"x"})),
        Case(
            "bad: taken out",
            zipped({name: data for name, data in _members(good).items() if name != "index.html"}),
        ),
        Case("bad: without manifest", zipped({"x": b""})),
        Case(
            "bad: without signature",
            zipped({name: data for name, data in _members(good).items() if "jws" not in name}),
        ),
        Case("bad: no zip", b"receipt"),
        Case("bad: nothing", b""),
        Case("bad: cut", good[:-1]),
        Case("bad: longer", good + b"\0"),
        Case("bad: in front", b"\0" + good),
        *flipped,
    ]


GOOD_PACKS = 13


def _unseen(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same, its event under a checkpoint that no witness has seen."""

    def without(one: dict[str, Any]) -> None:
        (told,) = one["events"]
        told["proof"] = told["proof"][: told["proof"].rindex("— ")]

    return with_edit(files, "events/run_1.json", without)


def _other_parent(child: bytes) -> bytes:
    return receipt(grants=[], approvals=[], ops=[], children=[receipt_id(child)], run="run_7")


def _members(pack: bytes) -> dict[str, bytes]:
    reader = ZipReader(pack)
    return {name: reader.data(name, len(pack)) for name in reader.members}


def zipped(files: dict[str, bytes]) -> bytes:
    """A right zip of whatever."""
    writer = ZipWriter()
    pieces = [writer.begin(name, crc32(data), len(data)) + data for name, data in files.items()]
    return b"".join((*pieces, *writer.end()))


def _manifest(**changes: Any) -> bytes:
    members = _members(packed(PLAIN))
    changed = canonical(json.loads(members["manifest.json"]) | changes)
    signature = canonical(Signature(SIGNER.protected, SIGNER.sign(changed)))
    return zipped({**members, "manifest.json": changed, "manifest.jws": signature})
