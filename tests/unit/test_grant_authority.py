"""control/grants/authority.py and office.py over the real journal: what a run gets, what an attacker tries,
what is in the audit log afterwards, and all of it again after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from grant_fixtures import NOW, Numbers, TurnedClock

from a2a_cloud.control.grants import audit_log
from a2a_cloud.control.grants.authority import PLATFORM, Authority
from a2a_cloud.control.grants.keys import GrantKeys
from a2a_cloud.control.grants.mint import LONGEST, Issued
from a2a_cloud.control.grants.office import GrantOffice
from a2a_cloud.control.grants.reader import GrantRows
from a2a_cloud.control.grants.revocation import GRACE
from a2a_cloud.control.orgs.audit import Audit
from a2a_cloud.control.orgs.rows import OrgRows
from a2a_cloud.model.grant import AuditEntry, GrantSpec, LaterBlock, Narrowing, Operation, Widening
from a2a_cloud.model.org import Change
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Problem
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.storage.journal.port import Op, Write
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql import statements
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.wire.grant import attenuate

READ, WRITE, CALL = Operation.READ, Operation.WRITE, Operation.CALL
SPEC = GrantSpec(read=("contracts/**", "shared/**"), skills=("**",))
ORGS = {"default": 1, "acme": 2}


class Site:
    """A platform's grants over a data folder; `again` is the next life of the platform."""

    def __init__(self, folder: Path, clock: TurnedClock, ids: Numbers) -> None:
        self.folder, self.clock, self.ids = folder, clock, ids
        self.journal = SqliteJournal(folder / "journal.db")
        self.reader = SqliteReader(folder / "journal.db")
        self.closed = False
        self.heard: list[AuditEntry] = []
        keys = GrantKeys(folder / "grants", SystemEntropy(), clock)
        rows = GrantRows(self.reader.connection)
        self.authority = Authority(
            keys=keys,
            rows=rows,
            journal=self.journal,
            clock=clock,
            ids=ids,
            issuer="http://a",
            org_no=ORGS.get,
            on_audit=self.heard.append,
        )
        self.authority.restore()
        self.office = GrantOffice(self.authority, rows, self.journal, clock)
        self.audit = Audit(OrgRows(self.reader.connection))

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        await self.journal.close()
        self.reader.close()

    async def again(self) -> Site:
        await self.close()
        return Site(self.folder, self.clock, self.ids)

    async def kept(self, issued: Issued) -> Issued:
        await self.journal.write([issued.op])
        self.clock.at += 0.01
        return issued

    async def begin(self, number: int = 1, spec: GrantSpec = SPEC, **more: Any) -> Issued:
        values: dict[str, Any] = {"seconds": 300, "base": 0, "caller": None, **more}
        return await self.kept(
            self.authority.issue(
                org="default",
                org_no=1,
                agent=agent(number),
                subject="ada@default",
                run=f"run_{number}",
                spec=spec,
                **values,
            )
        )

    async def child(self, parent: Issued, number: int, spec: GrantSpec = SPEC) -> Issued:
        return await self.kept(
            self.authority.hand_over(
                token=parent.token,
                parent=parent.grant.holder,
                org="default",
                org_no=1,
                agent=agent(number),
                subject="ada@default",
                run=f"run_{number}",
                spec=spec,
            )
        )

    async def wider(self, issued: Issued, seconds: float | None = None, *paths: str) -> Issued:
        wide = await self.kept(
            self.authority.widen(
                issued.token,
                1,
                issued.grant.holder,
                Widening(read=paths or ("finance/**",)),
                approval="appr_1",
                seconds=seconds,
            )
        )
        self.authority.settled(wide)
        return wide

    def tries(self, issued: Issued, target: str = "contracts/a", operation: Operation = READ) -> str:
        """The reason of the refusal, "" when it is allowed."""
        return self.uses(issued.token, issued.grant.holder, issued.grant.run, target, operation)

    def uses(
        self, token: str, holder: str, run: str, target: str = "contracts/a", operation: Operation = READ
    ) -> str:
        try:
            self.authority.check(token, holder, run, operation, target)
        except Problem as problem:
            return problem.info["reason"]
        return ""

    async def events(self, **where: Any) -> list[Change]:
        await self.journal.write([])
        return self.audit.events(1, **where)

    async def open_run(self, number: int) -> None:
        """A row of a run that has not ended."""
        self.ids.last += 1
        await self.journal.write([run_row(number)])


def run_row(number: int) -> Op:
    values = (
        number, f"run_{number}", 1, 1, 1, 1, 1, "task", 1, "ctx", "skill", "TASK_STATE_WORKING", 1, NOW, b"",
        None,
    )  # fmt: skip
    count = statements.ADD_RUN.sql.count("?")
    assert count == len(values), statements.ADD_RUN.sql
    return statements.ADD_RUN, values


def agent(number: int) -> str:
    return f"agent:default/a{number}"


Story = Callable[[Site], Coroutine[Any, Any, None]]


def tell(folder: Path, story: Story) -> None:
    async def run() -> None:
        site = Site(folder, TurnedClock(), Numbers())
        try:
            await story(site)
        finally:
            await site.close()

    asyncio.run(run())


def test_an_attackers_attempts_are_refused_and_in_the_audit_log(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        own = await site.begin(1)
        other = await site.begin(2, GrantSpec(read=("**",)))
        thief = attenuate(other.token, LaterBlock(aud=agent(1), run="run_1"))
        head, _, signature = own.token.rpartition(".")
        forged = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
        late = await site.begin(3, seconds=5)
        assert site.uses(other.token, agent(1), "run_1") == "audience"
        assert site.uses(own.token, agent(1), "run_7") == "run"
        assert site.uses(thief, agent(1), "run_1") == "handover"
        assert site.uses(forged, agent(1), "run_1") == "signature"
        assert site.uses("g1.x", agent(1), "run_1") == "malformed"
        assert site.tries(own, "finance/secret") == "scope"
        assert site.tries(own, "contracts/a", WRITE) == "scope"
        assert site.tries(own, "contracts/../finance/x") == "path"
        assert site.tries(own, "contracts/\u202ex\ud800") == "path"
        site.clock.at += 10
        assert site.tries(late) == "expired"
        refused = [each for each in await site.events() if not each.allowed]
        reasons = "audience run handover signature malformed scope scope path path expired"
        assert [each.reason for each in refused] == reasons.split()
        assert {each.caller for each in refused} == {agent(1), agent(3)}
        assert {each.run for each in refused} == {"run_1", "run_3", "run_7"}
        assert refused[0].grant == other.grant.id
        assert refused[0].blocks == other.grant.hashes
        assert refused[3].grant == ""
        assert refused[8].target == "contracts/\\u202ex\\ud800"
        assert [each.reason for each in site.authority.refusals("run_7")] == ["run"]
        assert {each.kind for each in await site.events(grant=own.grant.id)} == {"check"}
        assert site.audit.events(2) == []

    tell(tmp_path, story)


@pytest.mark.parametrize("at", [0, 3])
def test_revoking_in_flight_and_after_a_restart(tmp_path: Path, at: int) -> None:
    async def story(site: Site) -> None:
        line = [await site.begin(1, GrantSpec(read=("**",), skills=("**",), depth=6))]
        for number in range(2, 8):
            line.append(await site.child(line[-1], number, GrantSpec(read=("**",), depth=6)))
        assert [site.tries(each) for each in line] == [""] * 7
        facts = await site.office.revoke(1, line[at].grant.id, "ada@default", "leaked")
        assert (facts.state, facts.end and facts.end.reason) == ("revoked", "leaked")
        expected = [""] * at + ["revoked"] * (7 - at)
        assert [site.tries(each) for each in line] == expected
        assert [each.state for each in site.office.listed(1)][::-1] == ["active"] * at + ["revoked"] * (
            7 - at
        )
        with pytest.raises(Forbidden):
            await site.child(line[at], 9)
        with pytest.raises(NotFound):
            await site.office.revoke(2, line[0].grant.id, "eve@acme", "")
        later = await site.again()
        try:
            assert [later.tries(each) for each in line] == expected
            found = later.authority.of_run(1, "run_2", agent(2))
            assert [each.token for each in found] == [line[1].token]
            events = [each for each in await later.events() if each.kind == "revoke"]
            assert [(each.grant, each.reason, each.caller) for each in events] == [
                (line[at].grant.id, "leaked", "ada@default")
            ]
        finally:
            await later.close()

    tell(tmp_path, story)


def test_the_prior_used_after_its_grace_revokes_the_root_on_disk_too(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        old = await site.begin(1)
        child = await site.child(old, 2)
        wide = await site.wider(old)
        assert [site.tries(each) for each in (old, wide, child)] == ["", "", ""]
        assert site.tries(wide, "finance/a") == ""
        site.clock.at += GRACE + 1
        assert site.tries(old) == "replaced"
        assert [site.tries(each) for each in (old, wide, child)] == ["revoked"] * 3
        (end,) = [each for each in await site.events() if each.kind == "revoke"]
        assert (end.caller, end.root) == (PLATFORM, old.grant.id)
        assert "copy" in end.reason
        later = await site.again()
        try:
            assert later.tries(wide) == "revoked"
            assert later.office.one(1, wide.grant.id)[0].state == "revoked"
        finally:
            await later.close()

    tell(tmp_path, story)


def test_a_run_goes_on_with_its_rotated_grant_and_its_counts(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        old = await site.begin(1, GrantSpec(read=("contracts/**",), uses=5))
        site.tries(old)
        wide = await site.wider(old)
        assert [site.tries(wide, path) for path in ("finance/a", "contracts/a")] == ["", ""]
        await site.journal.write(site.authority.use_ops())
        later = await site.again()
        try:
            assert later.authority.of_run(1, "run_1", agent(9)) == []
            found = later.authority.of_run(1, "run_1", agent(1))
            assert [each.token for each in found] == [old.token, wide.token]
            assert [each.row for each in found] == [old.row, wide.row]
            assert later.tries(found[-1]) == ""
            assert later.tries(found[0]) == ""  # in its grace, and it counts as one with its successor
            assert later.tries(found[-1]) == "limit"
            _, blocks = later.office.one(1, wide.grant.id)
            assert (blocks[0].uses, blocks[0].claims["max_uses"]) == (5, 5)
        finally:
            await later.close()

    tell(tmp_path, story)


def test_a_run_that_waited_longer_than_its_grant(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        child = await site.child(await site.begin(1, GrantSpec(read=("**",), bytes=100)), 2)
        site.authority.check(child.token, agent(2), "run_2", READ, "contracts/a", size=90)
        await site.journal.write(site.authority.use_ops())
        site.clock.at += 3 * LONGEST / 7
        site.authority.sweep()
        assert site.tries(child) == "expired"
        new = await site.kept(site.authority.renew(child.token, 1, agent(2), seconds=100))
        site.authority.settled(new)
        site.authority.sweep()
        assert site.tries(new) == ""
        with pytest.raises(Forbidden, match="100 bytes"):
            site.authority.check(new.token, agent(2), "run_2", READ, "contracts/a", size=11)
        # What was revoked stays so, however long ago that was.
        site.authority.standings.sweep(site.clock.at + 9 * LONGEST, LONGEST)
        await site.office.revoke(1, child.row.root, "ada@default", "")
        site.authority.standings.sweep(site.clock.at + 9 * LONGEST, LONGEST)
        site.clock.at += 1000
        with pytest.raises(Forbidden) as caught:
            site.authority.renew(new.token, 1, agent(2), seconds=100)
        assert caught.value.info["reason"] == "revoked"

    tell(tmp_path, story)


def test_an_approval_for_a_time_goes_back_to_what_was_before(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        old = await site.begin(1)
        wide = await site.wider(old, 90)
        site.clock.at += 100
        assert site.tries(wide, "contracts/a") == "expired"
        with pytest.raises(Forbidden):
            site.authority.revert(wide.token, wide.token, 1, agent(1))
        back = await site.kept(site.authority.revert(wide.token, old.token, 1, agent(1)))
        site.authority.settled(back)
        assert [site.tries(back, path) for path in ("contracts/a", "finance/a")] == ["", "scope"]
        assert (back.row.prior, back.grant.exp) == (wide.grant.id, old.grant.exp)
        await site.office.revoke(1, wide.grant.id, "ada@default", "")
        assert site.tries(back) == "revoked"

    tell(tmp_path, story)


def test_a_grant_that_is_issued_when_it_is_first_used(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        site.clock.at += 1000
        late = await site.begin(1, at=NOW)
        assert (late.grant.root.nbf, late.grant.exp) == (int(NOW), int(NOW) + 1301)
        assert site.tries(late) == ""
        await site.office.set_policy(1, {"seconds": 900}, "ada@default")
        assert site.tries(await site.begin(2, at=NOW)) == "expired"

    tell(tmp_path, story)


def test_the_policy_caps_what_comes_after_it(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        before = await site.begin(1)
        table = {"read": ["contracts/**"], "deny": ["**/salaries/**"], "reason": "as agreed"}
        kept = await site.office.set_policy(1, table, "ada@default")
        assert kept == Narrowing(read=("contracts/**",), deny=("**/salaries/**",), reason="as agreed")
        after = await site.begin(2)
        assert [site.tries(each, "shared/a") for each in (before, after)] == ["", "scope"]
        wide = await site.wider(after, None, "finance/**", "contracts/salaries/**")
        assert [site.tries(wide, path) for path in ("finance/a", "contracts/salaries/a")] == ["scope"] * 2
        bads: tuple[dict[str, Any], ...] = (
            {"reed": []},
            {"read": "x"},
            {"prefix": "a/"},
            {"seconds": 0},
            {"reason": "a\nb"},
        )
        for bad in bads:
            with pytest.raises(InvalidParams):
                await site.office.set_policy(1, bad, "ada@default")
        later = await site.again()
        try:
            assert later.office.policy(1) == kept
            assert later.office.policy(2) == Narrowing()
            assert later.tries(await later.begin(3), "shared/a") == "scope"
            await later.office.set_policy(1, {}, "ada@default")
            assert later.tries(await later.begin(4), "shared/a") == ""
        finally:
            await later.close()

    tell(tmp_path, story)


def test_who_can_read_it_and_why_and_the_tree(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        root = await site.begin(1)
        child = await site.child(root, 2, GrantSpec(read=("contracts/*.md",), workspace="default"))
        wide = await site.wider(child)
        ended = await site.begin(5)
        for number in (1, 2):
            await site.open_run(number)
        found, whole = await site.office.explain(1, "contracts/acme.md", READ, workspace="default")
        assert whole
        assert [(each.grant, each.allowed) for each in found] == [
            (root.grant.id, True),
            (wide.grant.id, True),
        ]
        assert [each.glob for each in found[1].verdicts] == ["contracts/**", "contracts/*.md"]
        assert (await site.office.explain(1, "contracts/a", READ, workspace="other"))[0] == []
        assert (await site.office.explain(1, "contracts/a", READ, subject="bob@default"))[0] == []
        assert (await site.office.explain(2, "contracts/a", READ))[0] == []
        with pytest.raises(InvalidParams):
            await site.office.explain(1, "../x", READ)
        branch, whole = site.office.tree(1, wide.grant.id)
        assert whole
        assert branch.facts.id == root.grant.id
        (below,) = branch.children
        assert below.facts.id == child.grant.id
        assert [each.facts.id for each in below.children] == [wide.grant.id]
        assert [each.id for each in site.office.listed(1, limit=2)] == [ended.grant.id, wide.grant.id]
        assert [each.id for each in site.office.listed(1, before=wide.grant.id, agent=agent(2))] == [
            child.grant.id
        ]
        assert [each.id for each in site.office.listed(1, run="run_2")] == [wide.grant.id, child.grant.id]
        assert site.office.listed(1, subject="bob@default") == []
        with pytest.raises(NotFound):
            site.office.one(1, root.grant.id, "bob@default")
        facts, blocks = site.office.one(1, child.grant.id)
        assert facts.state == "active"
        assert [each.by for each in blocks] == ["the agent's declaration", agent(1)]
        assert site.office.one(1, root.grant.id)[1][0].claims["read"] == SPEC.read
        shown = repr((site.office.one(1, child.grant.id), branch))
        for token in (root.token, child.token, wide.token):
            assert token.rpartition(".")[2] not in shown

    tell(tmp_path, story)


def test_a_run_that_goes_on_trying_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "MOST_OF_RUN", 20)
    monkeypatch.setattr(audit_log, "RUNS_KEPT", 3)

    async def story(site: Site) -> None:
        own = await site.begin(1)
        for _ in range(100):
            site.tries(own, "finance/a")
        refused = [each for each in await site.events() if not each.allowed]
        assert len(refused) == 21
        assert "not written" in refused[-1].reason
        assert len(site.authority.refusals("run_1")) == audit_log.KEPT
        for number in range(4):
            site.uses("g1", agent(1), f"run_x{number}")
        assert site.authority.refusals("run_1") == []
        numbers = [each.no for each in site.audit.events(1, after=5, limit=3)]
        assert numbers == [6, 7, 8]

    tell(tmp_path, story)


def test_lists_are_filtered_and_a_dead_grant_lists_nothing(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        own = await site.begin(1)
        names = ["contracts/a", "finance/b", "shared/c", "outputs/run_1/d"]
        listed = site.authority.among(own.token, agent(1), "run_1", Operation.LIST, names)
        assert listed == ["contracts/a", "shared/c", "outputs/run_1/d"]
        site.authority.revoke(1, own.grant.id, "ada@default", "")
        with pytest.raises(Forbidden):
            site.authority.among(own.token, agent(1), "run_1", Operation.LIST, names)

    tell(tmp_path, story)


def test_a_revocation_is_written_even_while_the_disk_is_full(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        own = await site.begin(1)
        submitted: list[Write] = []
        submit = site.journal.submit

        def listen(write: Write) -> None:
            submitted.append(write)
            submit(write)

        site.journal.submit = listen  # pyright: ignore[reportAttributeAccessIssue]
        await site.office.revoke(1, own.grant.id, "ada@default", "")
        assert all(write.must for write in submitted)
        connection = sqlite3.connect(tmp_path / "journal.db")
        assert connection.execute("SELECT id FROM grant_end").fetchall() == [(own.grant.id,)]
        connection.close()

    tell(tmp_path, story)
