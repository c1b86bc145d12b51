"""control/grants: from declarations to a run's grant, to its children's, to what an approval gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from grant_fixtures import NOW, Numbers, TurnedClock

from a2a_cloud.control.grants.explain import audit, explain, explain_rows
from a2a_cloud.control.grants.keys import OVERLAP, GrantKeys
from a2a_cloud.control.grants.ledger import Ledger
from a2a_cloud.control.grants.mint import LONGEST, Grants, Holder, Issued
from a2a_cloud.control.grants.revocation import GRACE, Standings
from a2a_cloud.control.grants.rows import ADD_GRANT, EndRow
from a2a_cloud.model.grant import GrantSpec, LaterBlock, Narrowing, Operation, Widening
from a2a_cloud.model.problem import Forbidden, InvalidParams
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.wire.grant import attenuate
from a2a_cloud.wire.grant_block import written
from a2a_cloud.wire.jws import b64url

READ, WRITE, CALL = Operation.READ, Operation.WRITE, Operation.CALL
SPEC = GrantSpec(read=("contracts/**", "shared/**"), skills=("pricing/*", "mailer/send"))
EVERY = GrantSpec(read=("**",), skills=("**",), depth=9)


class Site:
    """The control side of a platform."""

    def __init__(self, folder: Path, max_depth: int = 6) -> None:
        self.clock = TurnedClock()
        self.keys = GrantKeys(folder, SystemEntropy(), self.clock)
        self.misused: list[tuple[str, str]] = []
        self.standings = Standings(misused=lambda each, root: self.misused.append((each, root)))
        self.grants = Grants(
            self.keys, self.standings, self.clock, Numbers(), issuer="http://a", max_depth=max_depth
        )

    issued = 0

    def issue(self, spec: GrantSpec = SPEC, **narrow: Any) -> Issued:
        given = self.issued = self.issued + 1  # A run has one first grant, and its id is made of the run's.
        own = msgspec.structs.replace(holder(1), run=f"run_1_{given}" if given > 1 else "run_1")
        return self.grants.issue(own, spec, seconds=300, base=3, **narrow)

    def child(
        self, parent: Issued, number: int, spec: GrantSpec = EVERY, narrow: Narrowing | None = None
    ) -> Issued:
        return self.grants.hand_over(
            parent.token, holder(number), spec, parent=parent.grant.holder, narrow=narrow
        )

    def chain(self, length: int) -> list[Issued]:
        line = [self.issue(GrantSpec(read=("**",), skills=("**",), depth=length))]
        for number in range(length):
            line.append(self.child(line[-1], number + 2))
        return line

    def stands(self, issued: Issued) -> str:
        try:
            self.grants.verify(issued.token, issued.grant.holder)
        except Forbidden as problem:
            return problem.info["reason"]
        return "stands"


def holder(number: int) -> Holder:
    return Holder("default", 1, f"agent:default/a{number}", "ada@default", f"run_{number}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def allowed(issued: Issued, *targets: str, operation: Operation = READ) -> list[bool]:
    return [issued.grant.allows(operation, target) for target in targets]


# --- a run's grant ------------------------------------------------------------------------------------


def test_the_declaration_is_the_most(site: Site) -> None:
    issued = site.issue()
    root = issued.grant.root
    assert (root.org, root.sub, root.aud, root.run, root.base) == (
        "default",
        "ada@default",
        "agent:default/a1",
        "run_1",
        3,
    )
    assert (root.nbf, root.exp) == (int(NOW), int(NOW) + 301)
    assert root.id == root.root_id == issued.row.id == issued.row.root
    assert issued.op == (ADD_GRANT, tuple(issued.row))
    assert len(issued.grant.blocks) == 1
    assert allowed(issued, "contracts/a", "shared/b", "finance/c", "outputs/run_1/d") == [
        True,
        True,
        False,
        True,
    ]
    assert allowed(issued, "outputs/run_1/a", "outputs/run_2/a", "contracts/a", operation=WRITE) == [
        True,
        False,
        False,
    ]
    site.grants.check(issued.token, "agent:default/a1", READ, "contracts/a", run="run_1")


def test_caller_and_policy_are_blocks_and_all_must_allow(site: Site) -> None:
    issued = site.issue(
        caller=Narrowing(read=("contracts/acme/**", "finance/**"), reason="only Acme's"),
        policy=Narrowing(
            read=("contracts/**", "finance/**"), deny=("**/salaries/**",), skills=("pricing/**",)
        ),
    )
    assert [block.by for block in issued.grant.blocks[1:]] == ["policy", "caller"]
    paths = ("contracts/acme/a", "contracts/b", "shared/a", "finance/a", "contracts/acme/salaries/a")
    assert allowed(issued, *paths) == [True, False, False, False, False]
    assert allowed(issued, "pricing/quote", "mailer/send", operation=CALL) == [True, False]


def test_what_restricts_nothing_is_no_block(site: Site) -> None:
    issued = site.issue(caller=Narrowing(), policy=Narrowing(reason="none"))
    assert len(issued.grant.blocks) == 1


def test_a_narrower_caller_leaves_the_runs_own_folder(site: Site) -> None:
    issued = site.issue(caller=Narrowing(read=("contracts/a",), write=("drafts/**",)))
    assert allowed(issued, "outputs/run_1/x", "contracts/a", "contracts/b") == [True, True, False]
    assert allowed(issued, "outputs/run_1/x", operation=WRITE) == [True]
    closed = site.issue(caller=Narrowing(write=()))
    assert allowed(closed, "outputs/run_1/x", operation=WRITE) == [False]
    reading = site.issue(caller=Narrowing(operations=(READ,)))
    assert allowed(reading, "outputs/run_1/x", operation=WRITE) == [False]


def test_a_declared_folder_is_no_way_around_the_policy(site: Site) -> None:
    spec = GrantSpec(prefix="finance/{run}/")
    issued = site.issue(spec, policy=Narrowing(write=("drafts/**",), read=("drafts/**",)))
    assert allowed(issued, "finance/run_1/x", operation=WRITE) == [False]
    assert allowed(issued, "finance/run_1/x") == [False]
    assert allowed(site.issue(spec), "finance/run_1_2/x", operation=WRITE) == [True]


def test_the_callers_time_and_limits(site: Site) -> None:
    issued = site.issue(caller=Narrowing(seconds=10, bytes=100, depth=0))
    assert issued.grant.exp == int(NOW) + 11
    assert issued.row.expires == int(NOW) + 11
    assert issued.grant.handovers_left == 0
    assert [each.bytes for each in issued.grant.limits] == [100]
    assert site.grants.issue(holder(1), SPEC, seconds=1e12).grant.exp <= NOW + LONGEST + 1


# --- children -----------------------------------------------------------------------------------------


def test_a_child_gets_its_parents_grant_and_a_block(site: Site) -> None:
    parent = site.issue()
    child = site.child(parent, 2, GrantSpec(read=("contracts/a/**", "finance/**"), skills=("**",)))
    assert child.token.startswith(parent.token.rpartition(".")[0])
    assert (child.row.parent, child.row.root, child.row.run) == (parent.grant.id, parent.grant.id, "run_2")
    assert child.grant.prefix == "outputs/run_1/run_2/"
    paths = ("contracts/a/x", "contracts/b", "finance/a", "outputs/run_1/run_2/x", "outputs/run_1/x")
    assert allowed(child, *paths) == [True, False, False, True, False]
    assert allowed(child, "outputs/run_1/run_2/x", "outputs/run_1/x", operation=WRITE) == [True, False]
    assert site.stands(child) == "stands"
    with pytest.raises(Forbidden):
        site.grants.verify(child.token, "agent:default/a1")


@pytest.mark.parametrize("length", [6, 9])
def test_long_chains(tmp_path: Path, length: int) -> None:
    site = Site(tmp_path, max_depth=length)
    line = site.chain(length)
    assert line[-1].grant.depth == length
    assert [site.stands(each) for each in line] == ["stands"] * (length + 1)
    with pytest.raises(InvalidParams):
        site.child(line[-1], 99)


def test_six_handovers_under_policy_and_caller(site: Site) -> None:
    issued = site.issue(EVERY, caller=Narrowing(deny=("x/**",)), policy=Narrowing(deny=("y/**",)))
    for number in range(6):
        issued = site.child(issued, number + 2)
    assert issued.grant.depth == 6
    assert allowed(issued, "a", "x/a", "y/a") == [True, False, False]
    with pytest.raises(InvalidParams) as caught:
        site.child(issued, 9)
    assert caught.value.info["reason"] == "depth"


def test_the_setting_caps_the_declared_depth(tmp_path: Path) -> None:
    site = Site(tmp_path, max_depth=1)
    child = site.child(site.issue(), 2)
    with pytest.raises(InvalidParams):
        site.child(child, 3)


def test_a_parent_may_narrow_its_child(site: Site) -> None:
    child = site.child(site.issue(), 2, narrow=Narrowing(read=("contracts/a",), write=(), seconds=5))
    assert allowed(child, "contracts/a", "contracts/b") == [True, False]
    assert allowed(child, "outputs/run_1/run_2/x", operation=WRITE) == [False]
    assert child.grant.exp == int(NOW) + 6
    assert child.grant.blocks[1].by == "agent:default/a1"


def test_only_the_holder_hands_over(site: Site) -> None:
    parent = site.issue()
    with pytest.raises(Forbidden):
        site.grants.hand_over(parent.token, holder(3), EVERY, parent="agent:default/a3")


# --- theft --------------------------------------------------------------------------------------------


def test_a_thief_can_add_a_block_and_gains_nothing(site: Site) -> None:
    parent = site.issue()
    stolen = attenuate(parent.token, LaterBlock(aud="agent:default/thief", run="run_9"))
    with pytest.raises(Forbidden) as caught:
        site.grants.verify(stolen, "agent:default/thief")
    assert caught.value.info["reason"] == "handover"
    # The same words again get the same id, and only then: the id is the signature's.
    child = site.child(parent, 2)
    again = attenuate(child.token, LaterBlock(aud="agent:default/thief"))
    with pytest.raises(Forbidden):
        site.grants.verify(again, "agent:default/thief")
    assert site.stands(child) == "stands"


# --- revocation ---------------------------------------------------------------------------------------


def test_revoking_a_root_ends_its_tree_at_once(site: Site) -> None:
    line = site.chain(6)
    bystander = site.issue()
    site.standings.revoke(line[0].row.root, NOW)
    assert [site.stands(each) for each in line] == ["revoked"] * 7
    assert site.stands(bystander) == "stands"


@pytest.mark.parametrize("at", range(1, 7))
def test_revoking_a_child_ends_what_came_after_it(site: Site, at: int) -> None:
    line = site.chain(6)
    site.standings.revoke(line[at].grant.id, NOW)
    assert [site.stands(each) for each in line] == ["stands"] * at + ["revoked"] * (7 - at)
    with pytest.raises(Forbidden):
        site.child(line[at], 20)


def test_after_a_restart_it_is_all_the_same(site: Site, tmp_path: Path) -> None:
    line = site.chain(3)
    other = site.chain(2)
    wider = site.grants.replace(other[1].token, 1, other[1].grant.holder, extra=Widening(read=("z",)))
    site.grants.settled(wider)
    rows = [each.row for each in (*line, *other, wider)]
    site.standings = site.grants.standings = Standings()
    assert site.stands(line[1]) == "handover"  # before it is loaded
    site.standings.load(rows, [EndRow(line[2].grant.id, 1, NOW, "ada@default", "leaked")])
    assert [site.stands(each) for each in line] == ["stands", "stands", "revoked", "revoked"]
    tokens = [site.grants.restore(row) for row in rows]
    assert tokens == [each.token for each in (*line, *other, wider)]
    site.clock.at += GRACE + 1
    assert site.stands(wider) == "stands"
    site.standings.revoke(other[1].grant.id, NOW)
    assert site.stands(wider) == "revoked"


# --- approvals ----------------------------------------------------------------------------------------


def test_an_approval_rotates_the_grant(site: Site) -> None:
    old = site.issue(caller=Narrowing(read=("contracts/**",)), policy=Narrowing(deny=("**/salaries/**",)))
    new = site.grants.replace(
        old.token, 1, "agent:default/a1", extra=Widening(read=("finance/q1/**",)), approval="appr_1"
    )
    root = new.grant.root
    assert (root.prior_id, root.root_id, root.approval_id) == (old.grant.id, old.grant.id, "appr_1")
    assert root.id not in (old.grant.id, "")
    assert (new.row.prior, new.row.approval, new.row.root) == (old.grant.id, "appr_1", old.grant.id)
    assert (new.grant.run, new.grant.holder, new.grant.exp) == ("run_1", "agent:default/a1", old.grant.exp)
    paths = (
        "finance/q1/a",
        "finance/q2/a",
        "finance/q1/salaries/a",
        "contracts/a",
        "shared/a",
        "outputs/run_1/a",
    )
    assert allowed(new, *paths) == [True, False, False, True, False, True]
    assert allowed(old, *paths) == [False, False, False, True, False, True]
    assert allowed(new, "finance/q1/a", operation=WRITE) == [False]


def test_the_policys_cap_is_not_lifted(site: Site) -> None:
    old = site.issue(policy=Narrowing(read=("contracts/**",)))
    new = site.grants.replace(old.token, 1, "agent:default/a1", extra=Widening(read=("finance/**",)))
    assert allowed(new, "finance/a", "contracts/a") == [False, True]


def test_dead_patterns_are_not_opened(site: Site) -> None:
    spec = GrantSpec(read=("a/**",), write=("b/**",), operations=(READ,), prefix="own/")
    new = site.grants.replace(site.issue(spec).token, 1, "agent:default/a1", extra=Widening(write=("c",)))
    assert allowed(new, "b/x", "own/x", "c", operation=WRITE) == [False, False, True]
    assert allowed(new, "a/x", "own/x", "own", "c", "b/x") == [True, True, True, False, False]
    writer = GrantSpec(read=("a/**",), write=("b/**",), operations=(WRITE,), prefix="own/")
    new = site.grants.replace(site.issue(writer).token, 1, "agent:default/a1", extra=Widening(read=("c",)))
    assert allowed(new, "b/x", "own/x", "own", operation=WRITE) == [True, True, False]
    assert allowed(new, "a/x", "own/x", "c") == [False, False, True]


def test_a_childs_grant_can_be_replaced_and_stays_in_its_tree(site: Site) -> None:
    line = site.chain(3)
    old = line[2]
    new = site.grants.replace(old.token, 1, old.grant.holder, extra=Widening(read=("z/**",)))
    assert new.grant.depth == 0
    assert new.grant.handovers_left == old.grant.handovers_left
    assert (new.grant.run, new.row.root) == ("run_3", line[0].grant.id)
    below = site.child(new, 30)
    assert [site.stands(each) for each in (new, below)] == ["stands"] * 2
    twice = site.grants.replace(new.token, 1, new.grant.holder, extra=Widening(read=("y/**",)))
    for ancestor in (line[0], line[1], old, new):
        standing = Site.__new__(Site)
        standing.__dict__.update(site.__dict__)
        assert site.standings.line(twice.grant.ids).count(ancestor.grant.id) == 1
    site.standings.revoke(line[1].grant.id, NOW)
    assert [site.stands(each) for each in (line[0], new, below, twice)] == ["stands", *["revoked"] * 3]


def test_the_prior_works_for_its_grace_and_betrays_a_copy_after_it(site: Site) -> None:
    old = site.issue(EVERY)
    child = site.child(old, 2)
    new = site.grants.replace(old.token, 1, "agent:default/a1", extra=Widening(read=("z",)))
    assert site.stands(old) == "stands"  # not yet on disk
    site.clock.at += 10 * GRACE
    site.clock.at = NOW
    site.grants.settled(new)
    site.clock.at = NOW + GRACE
    assert [site.stands(each) for each in (old, new, child)] == ["stands"] * 3
    site.clock.at = NOW + GRACE + 1
    assert [site.stands(each) for each in (new, child)] == ["stands"] * 2
    found = explain("a", READ, [old.grant], now=site.clock.at, standings=site.standings)
    assert "replaced" in found[0].reason
    assert site.misused == []  # asking why is no use
    assert site.stands(old) == "replaced"
    assert site.misused == [(old.grant.id, old.grant.id)]
    assert [site.stands(each) for each in (old, new, child)] == ["revoked"] * 3
    assert len(site.misused) == 1


def test_time_of_an_approval(site: Site) -> None:
    old = site.issue()
    short = site.grants.replace(old.token, 1, "agent:default/a1", seconds=20)
    assert short.grant.exp == int(NOW) + 21
    long = site.grants.replace(old.token, 1, "agent:default/a1", seconds=9999)
    assert long.grant.exp == old.grant.exp
    site.clock.at += 5000
    with pytest.raises(Forbidden):
        site.grants.replace(old.token, 1, "agent:default/a1", seconds=100)
    renewed = site.grants.replace(old.token, 1, "agent:default/a1", seconds=100, renew=True)
    assert site.stands(renewed) == "stands"
    assert renewed.grant.exp == int(NOW) + 5101


def test_a_renewal_outlives_the_times_of_its_blocks(site: Site) -> None:
    child = site.child(site.issue(caller=Narrowing(seconds=10)), 2)
    site.clock.at += 5000
    renewed = site.grants.replace(child.token, 1, child.grant.holder, seconds=100, renew=True)
    assert site.stands(renewed) == "stands"
    site.standings.revoke(child.row.root, NOW)
    with pytest.raises(Forbidden):
        site.grants.replace(child.token, 1, child.grant.holder, seconds=100, renew=True)


def test_a_grant_outlives_the_rotation_of_its_key(site: Site) -> None:
    issued = site.issue()
    site.keys.rotate("default")
    assert site.stands(issued) == "stands"
    assert site.stands(site.child(issued, 2)) == "stands"
    new = site.grants.replace(issued.token, 1, "agent:default/a1")
    assert new.grant.root.kid != issued.grant.root.kid
    site.clock.at += OVERLAP
    assert site.stands(issued) == "key"


# --- counts -------------------------------------------------------------------------------------------


def test_uses_and_bytes(site: Site) -> None:
    ledger = Ledger()
    parent = site.issue(GrantSpec(read=("**",), uses=5, bytes=100, depth=6))
    child = site.child(parent, 2, GrantSpec(read=("**",), uses=2))
    ledger.spend(child.grant, 1, bytes=60)
    assert ledger.left(child.grant) == (1, 40)
    assert ledger.left(parent.grant) == (4, 40)
    with pytest.raises(Forbidden) as caught:
        ledger.spend(child.grant, 1, bytes=41)
    assert caught.value.info == {"reason": "limit", "limit": "bytes", "grant_id": child.grant.id}
    assert ledger.left(child.grant) == (1, 40)  # all or none
    ledger.spend(child.grant, 1, bytes=40)
    with pytest.raises(Forbidden) as caught:
        ledger.spend(child.grant, 1)
    assert caught.value.info["limit"] == "uses"
    ledger.spend(parent.grant, 1, uses=3)
    with pytest.raises(Forbidden):
        ledger.spend(parent.grant, 1)
    free = site.issue()
    ledger.spend(free.grant, 1, uses=10**9, bytes=10**12)
    assert ledger.left(free.grant) == (None, None)


def test_counts_survive_rotation_and_restart(site: Site) -> None:
    ledger = Ledger()
    old = site.issue(GrantSpec(uses=5), caller=Narrowing(bytes=100))
    ledger.spend(old.grant, 1, uses=2, bytes=30)
    new = site.grants.replace(old.token, 1, "agent:default/a1", extra=Widening(read=("z",)))
    ledger.carry(old.grant, new.grant, 1)
    ledger.spend(new.grant, 1, uses=2, bytes=30)
    assert ledger.left(old.grant) == ledger.left(new.grant) == (1, 40)
    rows = ledger.changed()
    assert len(rows) == 4
    assert ledger.changed() == []
    later = Ledger()
    later.restore(rows)
    later.carry(old.grant, new.grant, 1)
    later.spend(new.grant, 1)
    assert later.left(old.grant) == later.left(new.grant) == (0, 40)
    later.forget(new.grant)
    assert later.left(new.grant) == (5, 100)


def test_forgetting_a_child_keeps_its_parents_count(site: Site) -> None:
    ledger = Ledger()
    parent = site.issue(GrantSpec(uses=5))
    child = site.child(parent, 2, GrantSpec(uses=3), narrow=Narrowing(bytes=9))
    ledger.spend(child.grant, 1)
    ledger.forget(child.grant)
    assert ledger.left(parent.grant) == (4, None)


# --- why ----------------------------------------------------------------------------------------------


def test_who_can_read_it_and_why(site: Site) -> None:
    wide = site.issue(policy=Narrowing(deny=("**/salaries/**",)))
    narrow = site.issue(caller=Narrowing(read=("shared/**",)))
    child = site.child(wide, 2, GrantSpec(read=("contracts/*.md",)))
    found = explain("contracts/acme.md", READ, [narrow.grant, wide.grant, child.grant], now=NOW)
    assert [(each.grant, each.allowed) for each in found] == [
        (wide.grant.id, True),
        (child.grant.id, True),
        (narrow.grant.id, False),
    ]
    assert [each.glob for each in found[0].verdicts] == ["contracts/**", ""]
    assert found[1].verdicts[-1].glob == "contracts/*.md"
    assert found[1].verdicts[-1].by == "agent:default/a1"
    assert found[2].reason == "no: block 1 (caller): read has shared/**"
    (denied,) = explain("contracts/salaries/a", READ, [wide.grant], now=NOW)
    assert denied.reason == "no: block 1 (policy): deny has **/salaries/**"
    assert denied.verdicts[1].glob == "**/salaries/**"
    (own,) = explain("outputs/run_1/a", WRITE, [wide.grant], now=NOW)
    assert own.verdicts[0].glob == "outputs/run_1/**"
    with pytest.raises(InvalidParams):
        explain("../x", READ, [], now=NOW)


def test_why_of_stored_grants(site: Site) -> None:
    line = site.chain(2)
    rows = [each.row for each in line]

    def reasons(now: float = NOW) -> list[str]:
        found = explain_rows("a", READ, rows, site.keys, now=now, standings=site.standings)
        return sorted(each.reason.partition(";")[0] for each in found)

    assert reasons() == ["yes: every block allows it"] * 3
    assert reasons(NOW + 1000) == ["no: it has ended"] * 3
    assert reasons(NOW - 1000) == ["no: it has not begun"] * 3
    site.standings.revoke(line[1].grant.id, NOW)
    assert reasons() == ["no: it was revoked"] * 2 + ["yes: every block allows it"]
    gone = explain_rows("a", READ, rows, {}, now=NOW)
    assert {each.reason for each in gone} == {"no: the key that it was signed with is not in use any more"}


def test_an_entry_of_the_audit_log(site: Site) -> None:
    issued = site.child(site.issue(), 2)
    entry = audit(issued.grant, "agent:default/a2", READ, "contracts/a", None)
    assert entry.allowed
    assert entry.blocks == issued.grant.hashes
    assert (entry.grant, entry.root) == (issued.grant.id, issued.row.root)
    with pytest.raises(Forbidden) as caught:
        issued.grant.check(READ, "finance/a")
    refused = audit(issued.grant, "agent:default/a2", READ, "finance/a", caught.value)
    assert (refused.allowed, refused.reason) == (False, "scope")


def test_sweeping_forgets_the_dead_alone(site: Site) -> None:
    line = site.chain(1)
    new = site.grants.replace(line[1].token, 1, line[1].grant.holder)
    site.grants.settled(new)
    site.standings.sweep(NOW, LONGEST)
    assert [site.stands(each) for each in (*line, new)] == ["stands"] * 3
    site.standings.revoke("grant_x", NOW)
    site.standings.sweep(NOW + 2 * LONGEST, LONGEST)
    assert not site.standings.revoked("grant_x")
    assert site.standings.line(new.grant.ids) == [new.grant.id]


@pytest.mark.parametrize(
    "spec",
    [
        GrantSpec(),
        GrantSpec(read=("a/**",), prefix="reports/{run}/x/"),
        GrantSpec(write=("ä/*",), deny=("b",), bytes=5, uses=7, depth=0, workspace="w"),
        GrantSpec(skills=("a/b",), egress=("h.example:443",), operations=(Operation.READ,)),
    ],
)
@pytest.mark.parametrize("subject", ["ada@default", 'a "quoted" \\ ünïcode\x02 name@org'])
def test_a_filled_form_is_what_the_encoder_writes(site: Site, spec: GrantSpec, subject: str) -> None:
    for number in (1, 2, 30):
        own = msgspec.structs.replace(holder(number), subject=subject)
        issued = site.grants.issue(own, spec, seconds=300 + number, base=number * 1000)
        root = issued.grant.root
        assert (root.sub, root.run, root.base, root.id) == (subject, own.run, number * 1000, issued.id)
        assert (root.exp, root.prefix) == (issued.expires, spec.pinned(own.run))
        assert issued.blocks == "g1." + b64url(written(root)).decode()
