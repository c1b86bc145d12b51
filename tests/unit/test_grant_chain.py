"""Random chains and paths: nothing that a child allows does an ancestor deny; an approval opens what it
names and nothing else; what `explain` says is what `allows` does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from grant_fixtures import KEY, KEYS, NOW, root
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from test_glob import naive

from a2a_cloud.control.grants.widen import widened, widened_root
from a2a_cloud.model.grant import (
    BY_POLICY,
    READING,
    WRITING,
    LaterBlock,
    Operation,
    RootBlock,
    Widening,
)
from a2a_cloud.model.problem import Forbidden
from a2a_cloud.wire.grant import Grant, attenuate, mint, open_signed, verify

WORDS = ["a", "b", "ab", "c"]
SEGMENT = st.sampled_from([*WORDS, "*", "?", "a*", "**", "**"])
PATTERN = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(PATTERN, max_size=3).map(tuple)
PATH = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("/".join)
SKILL = st.lists(st.sampled_from(["a", "b", "*"]), min_size=2, max_size=2).map("/".join)
SKILLS = st.lists(SKILL, max_size=2).map(tuple)
HOSTS = st.lists(st.sampled_from(["a.b", "*.b", "**.b:*", "b"]), max_size=2).map(tuple)
OPS = st.lists(st.sampled_from(list(Operation)), max_size=7, unique=True).map(tuple)
PREFIX = st.sampled_from(["a/", "a/b/", "c/"])
SOON = st.integers(int(NOW) - 50, int(NOW) + 50)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(UNSET), strategy)


ROOTS = st.builds(
    root,
    ops=OPS,
    read=PATTERNS,
    write=PATTERNS,
    deny=st.lists(PATTERN, max_size=1).map(tuple),
    skills=SKILLS,
    egress=HOSTS,
    prefix=st.one_of(st.just(""), PREFIX),
    nbf=st.integers(int(NOW) - 100, int(NOW) - 51),
    exp=SOON,
)
RESTRICTIONS = st.builds(
    LaterBlock,
    by=st.sampled_from(["caller", "policy"]),
    aud=maybe(st.sampled_from(["agent:x", "agent:y"])),
    ops=maybe(OPS),
    read=maybe(PATTERNS),
    write=maybe(PATTERNS),
    deny=maybe(st.lists(PATTERN, max_size=1).map(tuple)),
    skills=maybe(SKILLS),
    egress=maybe(HOSTS),
    prefix=maybe(PREFIX),
    exp=maybe(SOON),
)
CHAINS = st.tuples(ROOTS, st.lists(RESTRICTIONS, max_size=6))
TARGETS = st.one_of(
    st.tuples(st.sampled_from([*READING, *WRITING]), PATH),
    st.tuples(st.just(Operation.CALL), SKILL.map(lambda one: one.replace("*", "c"))),
    st.tuples(st.just(Operation.EGRESS), st.sampled_from(["a/b/443", "x/a/b/80", "b/443"])),
)


def opened(made: str) -> Grant:
    return open_signed(made, KEYS, now=NOW)


def family(chain: tuple[RootBlock, list[LaterBlock]]) -> list[str]:
    """The token after each block, the eldest first."""
    made = [mint(KEY, chain[0])]
    for block in chain[1]:
        made.append(attenuate(made[-1], block))
    return made


def means(patterns: tuple[str, ...], target: str) -> bool:
    return any(naive(pattern.split("/"), target.split("/")) for pattern in patterns)


def hosts(patterns: tuple[str, ...]) -> tuple[str, ...]:
    split = (each.partition(":") for each in patterns)
    return tuple(f"{host.replace('.', '/')}/{port or '443'}" for host, _, port in split)


def by_the_book(block: RootBlock | LaterBlock, operation: Operation, target: str) -> bool:
    """What docs/grants.md says, written once more without a thought for speed."""
    if block.ops is not UNSET and operation not in block.ops:
        return False
    if operation is Operation.CALL:
        return block.skills is UNSET or means(block.skills, target)
    if operation is Operation.EGRESS:
        return block.egress is UNSET or means(hosts(block.egress), target)
    if block.deny and means(block.deny, target):
        return False
    listed = block.read if operation in READING else block.write
    if listed is UNSET or means(listed, target):
        return True
    prefix = block.prefix or ""
    return bool(prefix) and (target.startswith(prefix) or (operation in READING and target + "/" == prefix))


@settings(max_examples=400, deadline=None)
@given(CHAINS, st.lists(TARGETS, min_size=1, max_size=12), st.lists(SOON, min_size=1, max_size=4))
def test_nothing_that_a_child_allows_does_an_ancestor_deny(
    chain: tuple[RootBlock, list[LaterBlock]], targets: list[tuple[Operation, str]], times: list[int]
) -> None:
    line = [opened(made) for made in family(chain)]
    for operation, target in targets:
        answers = [grant.allows(operation, target) for grant in line]
        assert answers == sorted(answers, reverse=True)
        for grant, answer in zip(line, answers, strict=True):
            assert answer == all(by_the_book(each.claims, operation, target) for each in grant.blocks)
            assert answer == all(
                each.explain(at, operation, target).allowed for at, each in enumerate(grant.blocks)
            )
    for now in times:
        living = [stands(made, now) for made in family(chain)]
        assert living == sorted(living, reverse=True)


def stands(made: str, now: int) -> bool:
    try:
        verify(made, KEYS, holder=opened(made).holder, now=now)
    except Forbidden:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(CHAINS, st.data())
def test_no_chain_is_cut_shuffled_or_mixed(
    chain: tuple[RootBlock, list[LaterBlock]], data: st.DataObject
) -> None:
    made = family(chain)[-1]
    other = family((msgspec.structs.replace(chain[0], id="grant_2"), chain[1]))[-1]
    version, *blocks, signature = made.split(".")
    foreign = other.split(".")[1:-1]
    pool = [*blocks, *foreign]
    chosen = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=len(blocks) + 1))
    text = ".".join((version, *chosen, signature))
    if text == made:
        opened(text)
        return
    with pytest.raises(Forbidden) as caught:
        opened(text)
    assert caught.value.info["reason"] in ("signature", "malformed")


WIDENINGS = st.builds(Widening, read=PATTERNS, write=PATTERNS, skills=SKILLS, egress=HOSTS)


@settings(max_examples=400, deadline=None)
@given(CHAINS, WIDENINGS, st.lists(TARGETS, min_size=1, max_size=12))
def test_an_approval_opens_what_it_names_and_nothing_else(
    chain: tuple[RootBlock, list[LaterBlock]], extra: Widening, targets: list[tuple[Operation, str]]
) -> None:
    before = opened(family(chain)[-1])
    first, *rest = [each.claims for each in before.blocks]
    assert isinstance(first, RootBlock)
    end = int(NOW) + 1000
    later = [
        widened(claims, extra, by=block.by, end=end)
        for block, claims in zip(before.blocks[1:], rest, strict=True)
        if isinstance(claims, LaterBlock)
    ]
    after = opened(mint(KEY, widened_root(first, extra), later))
    assert len(after.blocks) == len(before.blocks)
    assert after.depth == 0
    for operation, target in targets:
        had, has = before.allows(operation, target), after.allows(operation, target)
        asked = named(extra, operation, target)
        assert has or not had
        assert not has or had or asked
        held = [
            block for block in before.blocks if not keeps_closed(block.claims, block.by, operation, target)
        ]
        if asked and len(held) == len(before.blocks):
            assert has


def named(extra: Widening, operation: Operation, target: str) -> bool:
    if operation in READING:
        return means(extra.read, target)
    if operation in WRITING:
        return means(extra.write, target)
    return means(extra.skills if operation is Operation.CALL else hosts(extra.egress), target)


def keeps_closed(claims: RootBlock | LaterBlock, by: str, operation: Operation, target: str) -> bool:
    """A block that an approval does not lift: a denial, the policy's cap, or an operation that a block leaves
    out while it has others of its kind (looking without reading, writing without deleting)."""
    if by == BY_POLICY:
        return not by_the_book(claims, operation, target)
    of_paths = operation in READING or operation in WRITING
    if of_paths and claims.deny and means(claims.deny, target):
        return True
    kind = READING if operation in READING else WRITING if operation in WRITING else (operation,)
    return (
        claims.ops is not UNSET and operation not in claims.ops and any(each in claims.ops for each in kind)
    )
