"""wire/grant.py: what a token may say, and every way to forge, steal, stretch or garble one."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from grant_fixtures import AGENT, KEY, KEYS, NOW, ROOT, root, token
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from a2a_cloud.model.grant import LaterBlock, Operation
from a2a_cloud.model.problem import Forbidden, InvalidParams, Problem
from a2a_cloud.wire import grant as wire
from a2a_cloud.wire.glob import host_path
from a2a_cloud.wire.grant import Grant, GrantKey, attenuate, mint, open_signed, sign_again, verify
from a2a_cloud.wire.jws import b64url, b64url_decode

READ, WRITE, LIST = Operation.READ, Operation.WRITE, Operation.LIST
CHILD = LaterBlock(aud="agent:default/child", run="run_2")


def opened(made: str, **changes: Any) -> Grant:
    values: dict[str, Any] = {"holder": AGENT, "now": NOW, **changes}
    return verify(made, KEYS, **values)


def refused(made: str, **changes: Any) -> str:
    with pytest.raises(Forbidden) as caught:
        opened(made, **changes)
    assert caught.value.remedy
    return caught.value.info["reason"]


def forged(*claims: object, key: bytes = KEY.secret) -> str:
    """A token that is signed rightly over anything: what a platform with a bug, or a leaked key, makes."""
    raws = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in claims]
    tail = key
    for raw in raws:
        tail = hmac.digest(tail, b"grant-v1\0" + raw, "sha256")
    return ".".join(("g1", *(b64url(each).decode() for each in [*raws, tail])))


def claims(**changes: Any) -> dict[str, Any]:
    raw = b64url_decode(token().split(".")[1])
    return {key: value for key, value in (json.loads(raw) | changes).items() if value is not None}


# --- the format -----------------------------------------------------------------------------------------


def test_the_token_is_the_chain_of_the_reference() -> None:
    made = attenuate(token(), LaterBlock(by="caller", read=("contracts/a.md",)))
    version, first, second, signature = made.split(".")
    assert version == "g1"
    s0 = hmac.digest(KEY.secret, b"grant-v1\0" + b64url_decode(first), "sha256")
    s1 = hmac.digest(s0, b"grant-v1\0" + b64url_decode(second), "sha256")
    assert b64url_decode(signature) == s1
    assert json.loads(b64url_decode(first))["read"] == ["contracts/**", "shared/*.md"]
    assert json.loads(b64url_decode(second)) == {"by": "caller", "read": ["contracts/a.md"]}
    assert forged(b64url_decode(first), b64url_decode(second)) == made


def test_what_it_says_of_itself() -> None:
    grant = opened(token(approval_id="appr_1", prior_id="grant_0", root_id="grant_0"))
    assert (grant.id, grant.ids, grant.depth, grant.handovers_left) == ("grant_1", ("grant_1",), 0, 6)
    assert (grant.holder, grant.run, grant.exp, grant.prefix) == (AGENT, "run_1", ROOT.exp, "outputs/run_1/")
    assert grant.root.sub == "ada@default"
    child = opened(attenuate(token(), CHILD), holder="agent:default/child", run="run_2")
    assert (child.holder, child.run, child.depth, child.handovers_left) == (
        "agent:default/child",
        "run_2",
        1,
        5,
    )
    assert child.ids[0] == "grant_1"
    assert child.id.startswith("grant_")
    assert child.blocks[1].by == AGENT
    assert len(child.hashes) == 2


def test_an_id_cannot_be_chosen_and_tells_nothing() -> None:
    one, two = attenuate(token(), CHILD), attenuate(token(run="run_9"), CHILD)
    ids = {opened(made, holder="agent:default/child").id for made in (one, two)}
    assert len(ids) == 2
    assert not any(each.removeprefix("grant_") in b64url_decode(one.split(".")[-1]).hex() for each in ids)


ALLOWED = [
    (READ, "contracts/acme.md"),
    (READ, "contracts/a/b"),
    (LIST, "contracts"),
    (Operation.STAT, "shared/x.md"),
    (READ, "outputs/run_1/a/b.md"),
    (LIST, "outputs/run_1"),
    (WRITE, "outputs/run_1/a.md"),
    (WRITE, "drafts/x"),
    (Operation.DELETE, "drafts/x"),
    (Operation.CALL, "pricing/quote"),
    (Operation.EGRESS, host_path("api.example.com", 443)),
]
DENIED = [
    (READ, "drafts/x"),
    (READ, "shared/a/b.md"),
    (READ, "contracts/secret/a.md"),
    (WRITE, "contracts/acme.md"),
    (WRITE, "drafts/secret/a"),
    (WRITE, "outputs/run_1/secret/a"),
    (WRITE, "outputs/run_1"),
    (WRITE, "outputs/run_10/a"),
    (WRITE, "outputs/run_2/a"),
    (WRITE, "Drafts/x"),
    (Operation.DELETE, "contracts/acme.md"),
    (Operation.CALL, "mailer/send"),
    (Operation.CALL, "pricing/quote/x"),
    (Operation.EGRESS, host_path("api.example.com", 80)),
    (Operation.EGRESS, host_path("evil.example.com", 443)),
]


@pytest.mark.parametrize(("operation", "target"), ALLOWED)
def test_it_allows(operation: Operation, target: str) -> None:
    opened(token()).check(operation, target)


@pytest.mark.parametrize(("operation", "target"), DENIED)
def test_it_denies(operation: Operation, target: str) -> None:
    with pytest.raises(Forbidden) as caught:
        opened(token()).check(operation, target)
    assert caught.value.info["reason"] == "scope"
    assert caught.value.operator.startswith("block 0 (the agent's declaration): ")
    assert "contracts" not in caught.value.sentence or "contracts" in target


@pytest.mark.parametrize(
    "path", ["../etc/passwd", "contracts/../../x", "contracts//a", "contracts/a\n", "/", ""]
)
def test_a_path_that_is_none_is_refused_before_any_pattern(path: str) -> None:
    grant = opened(token(read=("**",), deny=()))
    with pytest.raises(InvalidParams):
        grant.check(READ, path)


def test_a_block_restricts_what_it_sets_and_nothing_else() -> None:
    made = attenuate(token(), LaterBlock(by="caller", read=("contracts/acme.md", "elsewhere/**")))
    grant = opened(made)
    assert grant.allows(READ, "contracts/acme.md")
    assert not grant.allows(READ, "contracts/b.md")
    assert not grant.allows(READ, "elsewhere/a")
    assert grant.allows(WRITE, "drafts/x")
    assert grant.allows(Operation.CALL, "pricing/quote")
    less = opened(attenuate(made, LaterBlock(by="caller", ops=(READ,), deny=("contracts/**",), egress=())))
    for operation, target in ALLOWED:
        assert not less.allows(operation, target) or target.startswith("outputs/")


def test_lists_are_filtered_entry_by_entry() -> None:
    grant = opened(token())
    found = ["contracts/a", "contracts/secret/b", "finance/c", "shared/x.md", "outputs/run_1/d"]
    assert grant.among(LIST, found) == ["contracts/a", "shared/x.md", "outputs/run_1/d"]


# --- who, when ------------------------------------------------------------------------------------------


def test_a_stolen_grant_is_of_no_use_as_it_is() -> None:
    assert refused(token(), holder="agent:default/thief") == "audience"
    assert refused(token(), run="run_2") == "run"
    child = attenuate(token(), CHILD)
    assert refused(child) == "audience"  # the parent cannot use its child's
    assert refused(child, holder="agent:default/child", run="run_1") == "run"


def test_time() -> None:
    assert refused(token(), now=ROOT.nbf - 0.001) == "not_yet"
    assert opened(token(), now=float(ROOT.nbf))
    assert opened(token(), now=ROOT.exp - 0.001)
    assert refused(token(), now=float(ROOT.exp)) == "expired"
    shorter = attenuate(token(), LaterBlock(by="caller", exp=int(NOW) + 5))
    assert opened(shorter).exp == int(NOW) + 5
    assert refused(shorter, now=NOW + 5) == "expired"
    longer = attenuate(token(), LaterBlock(by="caller", exp=int(NOW) + 9999))
    assert refused(longer, now=float(ROOT.exp)) == "expired"
    assert opened(longer).exp == ROOT.exp
    later = attenuate(token(), LaterBlock(by="caller", nbf=int(NOW) + 5))
    assert refused(later) == "not_yet"


def test_depth() -> None:
    made = token()
    for number in range(6):
        made = attenuate(made, LaterBlock(aud=f"agent:default/{number}", run=f"run_{number}"))
    assert opened(made, holder="agent:default/5").depth == 6
    with pytest.raises(InvalidParams) as caught:
        attenuate(made, CHILD)
    assert caught.value.info["reason"] == "depth"
    assert attenuate(made, LaterBlock(by="caller", deny=("x",)))
    narrow = attenuate(token(), LaterBlock(by="caller", max_depth=0))
    with pytest.raises(InvalidParams):
        attenuate(narrow, CHILD)
    # Whoever writes the block by hand is told on the other side.
    texts = [json.loads(b64url_decode(each)) for each in narrow.split(".")[1:-1]]
    by_hand = forged(*texts, {"by": AGENT, "aud": "agent:default/child"})
    assert refused(by_hand, holder="agent:default/child") == "depth"


def test_too_many_blocks_and_too_large() -> None:
    made = token()
    for _ in range(9):
        made = attenuate(made, LaterBlock(by="caller", deny=("x",)))
    assert len(opened(made).blocks) == 10
    with pytest.raises(InvalidParams) as caught:
        attenuate(made, LaterBlock(by="caller", deny=("y",)))
    assert caught.value.info["reason"] == "size"
    by_hand = forged(*(b64url_decode(each) for each in made.split(".")[1:-1]), {"by": "x"})
    assert refused(by_hand) == "malformed"
    with pytest.raises(InvalidParams):
        token(read=tuple(f"folder{number}/**" for number in range(600)))
    assert refused(forged(claims(read=[f"folder{number}/**" for number in range(600)]))) == "malformed"


class Standing:
    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def refusal(self, root_id: str, ids: Sequence[str], now: float) -> str:
        self.asked.append((root_id, tuple(ids)))
        return self.answer


def test_the_order_of_checks() -> None:
    standing = Standing("revoked")
    made = token()
    bad = made[:-1] + ("A" if made[-1] != "A" else "E")
    late = NOW + 10_000
    assert refused(bad, holder="x", now=late, standing=standing) == "signature"
    assert refused(made, holder="x", now=late, standing=standing) == "audience"
    assert refused(made, now=late, standing=standing) == "expired"
    assert standing.asked == []
    assert refused(made, standing=standing) == "revoked"
    assert standing.asked == [("grant_1", ("grant_1",))]


# --- forgery --------------------------------------------------------------------------------------------


def chain() -> str:
    made = attenuate(token(), LaterBlock(by="caller", read=("contracts/a/**",)))
    made = attenuate(made, LaterBlock(aud="agent:default/child", run="run_2", read=("contracts/a/b/**",)))
    return attenuate(made, LaterBlock(by="caller", read=("contracts/a/b/c.md",)))


def test_a_chain_cannot_be_cut_shuffled_or_edited() -> None:
    made = chain()
    _, *blocks, signature = made.split(".")
    child = "agent:default/child"
    assert opened(made, holder=child)
    changed: list[list[str]] = []
    for at in range(len(blocks)):
        changed.append(blocks[:at] + blocks[at + 1 :])
        changed.append([*blocks[:at], blocks[at], *blocks[at:]])
        for other in range(len(blocks)):
            if other != at:
                swapped = list(blocks)
                swapped[at], swapped[other] = swapped[other], swapped[at]
                changed.append(swapped)
        edited = (
            b64url_decode(blocks[at]).replace(b"contracts/a", b"contracts/b").replace(b"contracts/**", b"**")
        )
        changed.append([*blocks[:at], b64url(edited).decode(), *blocks[at + 1 :]])
    changed += [[*blocks, blocks[-1]], blocks[:1], blocks[:2], blocks[::-1]]
    for each in changed:
        text = ".".join(("g1", *each, signature))
        for holder in (AGENT, child):
            assert refused(text, holder=holder) in ("signature", "malformed"), each


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_byte_can_change(at: int, to: int) -> None:
    made = chain()
    at %= len(made)
    changed = made[:at] + chr(to) + made[at + 1 :]
    if changed != made:
        assert refused(changed, holder="agent:default/child") in ("malformed", "signature", "key")


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    made = token()
    last = made[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(last) ^ 1]  # only spare bits differ
    assert refused(made[:-1] + twin) == "signature"
    assert refused(made + "=") == "malformed"
    assert refused(made + ".") == "malformed"
    assert refused("." + made) == "malformed"
    assert refused(" " + made) == "malformed"
    assert refused("G1" + made[2:]) == "malformed"


def test_other_keys() -> None:
    made = token()
    thief = GrantKey("k1", "default", bytes(32))
    with pytest.raises(Forbidden) as caught:
        verify(mint(thief, ROOT), KEYS, holder=AGENT, now=NOW)
    assert caught.value.info["reason"] == "signature"
    other = GrantKey("k2", "other", bytes(range(32)))
    ring = {**KEYS, "k2": other}
    foreign = mint(other, root(kid="k2", org="other"))
    assert verify(foreign, ring, holder=AGENT, now=NOW).root.org == "other"
    assert refused(foreign) == "key"
    # A key of one organisation signs nothing for another.
    crossed = forged(claims(kid="k2"), key=other.secret)
    with pytest.raises(Forbidden) as caught:
        verify(crossed, ring, holder=AGENT, now=NOW)
    assert caught.value.info["reason"] == "key"
    with pytest.raises(ValueError, match="another key"):
        mint(other, ROOT)
    ending = {"k1": GrantKey("k1", "default", KEY.secret, NOW + 5)}
    assert verify(made, ending, holder=AGENT, now=NOW)
    with pytest.raises(Forbidden) as caught:
        verify(made, ending, holder=AGENT, now=NOW + 5)
    assert caught.value.info["reason"] == "key"


def test_a_block_cannot_hand_over_in_anothers_name() -> None:
    first = claims()
    handover = {"by": "agent:default/somebody", "aud": "agent:default/thief"}
    assert refused(forged(first, handover), holder="agent:default/thief") == "malformed"
    assert refused(forged(first, {"read": ["x"]})) == "malformed"  # says not who added it
    assert refused(forged(first, {"by": AGENT, "run": "run_2"})) == "malformed"
    assert attenuate(token(), LaterBlock(aud="x", by="somebody")).count(".") == 3
    assert opened(attenuate(token(), LaterBlock(aud="x", by="somebody")), holder="x").blocks[1].by == AGENT


@pytest.mark.parametrize("cold", [True, False])
def test_a_forged_block_never_enters_the_cache(cold: bool) -> None:
    made = token()
    if cold:
        wire.forget()
    wide = b64url(json.dumps({"by": "caller", "read": ["**"]}).encode()).decode()
    _, first, signature = made.split(".")
    assert refused(f"g1.{first}.{wide}.{signature}") == "signature"
    assert wide not in wire._laters  # pyright: ignore[reportPrivateUsage]
    assert opened(made)
    assert refused(f"g1.{first}.{wide}.{signature}") == "signature"


# --- claims that are refused though they are signed -----------------------------------------------------

BAD_CLAIMS: dict[str, object] = {
    "unknown claim": claims(admin=True),
    "unknown operation": claims(ops=["read", "chmod"]),
    "operation in capitals": claims(ops=["READ"]),
    "operations as text": claims(ops="read"),
    "no operations": claims(ops=None),
    "no patterns": claims(read=None),
    "no end": claims(exp=None),
    "end zero": claims(exp=0),
    "end negative": claims(exp=-1),
    "end far away": claims(exp=1 << 60),
    "end as text": claims(exp="1900000000"),
    "end true": claims(exp=True),
    "end as float": claims(exp=1900000000.0),
    "end with exponent": json.dumps(claims(exp=7)).replace('"exp": 7', '"exp": 19e8').encode(),
    "end NaN": json.dumps(claims(exp=math.nan)).encode(),
    "end infinite": json.dumps(claims(exp=math.inf)).encode(),
    "end before the beginning": claims(exp=int(NOW) - 100),
    "begins at zero": claims(nbf=0),
    "version 2": claims(v=2),
    "version true": claims(v=True),
    "no version": claims(v=None),
    "no audience": claims(aud=None),
    "empty audience": claims(aud=""),
    "audience as a list": claims(aud=[AGENT]),
    "audience with capitals in the key": {**claims(aud=None), "AUD": AGENT},
    "depth negative": claims(max_depth=-1),
    "depth huge": claims(max_depth=10**9),
    "bytes zero": claims(max_bytes=0),
    "bytes negative": claims(max_bytes=-5),
    "uses as text": claims(max_uses="5"),
    "uses huge": claims(max_uses=1 << 60),
    "base negative": claims(base=-1),
    "base as text": claims(base="7"),
    "pattern with a class": claims(read=["[a-z]/**"]),
    "pattern absolute": claims(read=["/**"]),
    "pattern with parent": claims(write=["outputs/../**"]),
    "pattern empty": claims(deny=[""]),
    "pattern null": claims(read=[None]),
    "patterns as text": claims(read="**"),
    "patterns null": json.dumps(claims() | {"read": None}).encode(),
    "nested patterns": claims(read=[["**"]]),
    "prefix without slash": claims(prefix="outputs"),
    "prefix root": claims(prefix="/"),
    "prefix with parent": claims(prefix="outputs/../"),
    "prefix with star": claims(prefix="outputs/*/"),
    "prefix twice slash": claims(prefix="outputs//"),
    "host with path": claims(egress=["a.com/x"]),
    "duplicate key": b'{"exp":1900000000,' + json.dumps(claims()).encode()[1:],
    "duplicate key of another case": {**claims(), "Exp": 1},
    "a list": [claims()],
    "a text": "x",
    "null": b"null",
    "nothing": b"",
    "more after the end": json.dumps(claims()).encode() + b"{}",
    "bytes that are no text": b"\xff\xfe",
    "lone surrogate": claims(sub="\ud800"),
    "deep": b'{"v":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.mark.parametrize("bad", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_signed_but_refused(bad: object) -> None:
    wire.forget()
    assert refused(forged(bad)) == "malformed"


BAD_LATER: dict[str, object] = {
    "unknown claim": {"by": "x", "sudo": 1},
    "block 0's claims": {"by": "x", "sub": "root@default"},
    "an id": {"by": "x", "id": "grant_2"},
    "a key": {"by": "x", "kid": "k1"},
    "null": {"by": "x", "read": None},
    "pattern": {"by": "x", "read": ["a**b"]},
    "end zero": {"by": "x", "exp": 0},
    "end float": {"by": "x", "exp": 1.9e9},
    "end text": {"by": "x", "exp": "1"},
    "empty audience": {"by": AGENT, "aud": ""},
    "duplicate": b'{"by":"x","read":["a"],"read":["**"]}',
    "a whole block 0": claims(),
    "list": [],
}


@pytest.mark.parametrize("bad", BAD_LATER.values(), ids=BAD_LATER)
def test_a_later_block_signed_but_refused(bad: object) -> None:
    assert refused(forged(claims(), bad)) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 0}, {"exp": 1.5}, {"exp": "x"}, {"exp": math.nan}, {"nbf": ROOT.exp}, {"read": ("a**b",)},
        {"read": "**"}, {"ops": ("chmod",)}, {"aud": ""}, {"sub": "\ud800"}, {"prefix": "x"},
        {"max_depth": -1},
        {"max_bytes": 1 << 70}, {"id": "x" * 300}, {"v": 2}, {"egress": ("A.com",)},
    ],
)  # fmt: skip
def test_what_would_be_refused_is_not_minted(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams) as caught:
        token(**changes)
    assert caught.value.info["reason"] in ("malformed", "glob", "path")


def test_what_would_be_refused_is_not_added() -> None:
    for block in (
        LaterBlock(read=("/x",)), LaterBlock(exp=0), LaterBlock(run="run_2"), LaterBlock(nbf=9, exp=8),
        LaterBlock(aud="x" * 300), LaterBlock(read=("\ud800",)),
    ):  # fmt: skip
        with pytest.raises(InvalidParams):
            attenuate(token(), block)


@given(
    st.one_of(
        st.text(max_size=200),
        st.from_regex(r"g1(\.[A-Za-z0-9_-]{0,60}){1,4}\.[A-Za-z0-9_-]{43}", fullmatch=True),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_refused_with_a_problem(text: str) -> None:
    for work in (
        lambda: opened(text),
        lambda: attenuate(text, LaterBlock(by="caller")),
        lambda: sign_again(text, KEYS),
    ):
        with pytest.raises(Problem):
            work()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(claims())), JSON, JSON)
@settings(max_examples=300, deadline=None)
def test_any_claim_is_understood_or_refused(name: str, value: Any, later: Any) -> None:
    for made in (
        forged({**claims(), name: value}),
        forged(claims(), later),
        forged(claims(), {"by": "x", name: value}),
    ):
        with suppress(Forbidden):
            opened(made)


# --- storing --------------------------------------------------------------------------------------------


def test_a_stored_grant_is_nothing_without_the_key() -> None:
    made = chain()
    grant = opened(made, holder="agent:default/child")
    stored = grant.unsigned()
    assert made.startswith(stored)
    assert refused(stored, holder="agent:default/child") == "malformed"
    assert sign_again(stored, KEYS) == made
    with pytest.raises(Forbidden) as caught:
        sign_again(stored, {})
    assert caught.value.info["reason"] == "key"


def test_limits_have_a_count_for_each_block() -> None:
    made = attenuate(token(max_uses=10), LaterBlock(by="caller", max_bytes=5))
    limits = opened(made).limits
    assert [(each.uses, each.bytes) for each in limits] == [(10, 0), (0, 5)]
    assert limits[0].id == "grant_1"
    child = attenuate(made, LaterBlock(aud="agent:default/child", max_uses=2))
    below = opened(child, holder="agent:default/child")
    assert below.limits[:2] == limits
    assert below.limits[2].id == below.id
    assert opened(token()).limits == ()


def test_opening_checks_the_signature_alone() -> None:
    assert open_signed(token(exp=int(NOW)), KEYS, now=NOW + 1e6).exp == int(NOW)
    assert LaterBlock().by is UNSET
