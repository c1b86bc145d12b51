"""The rules of every organisation: versions in SQL, the newest one in memory, in force at once."""

from __future__ import annotations

import asyncio

from a2a_cloud.control.approvals.policy import Rule
from a2a_cloud.control.approvals.rows import ApprovalRows, Rules, add_rules
from a2a_cloud.control.approvals.rules import read_rules
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import Forbidden
from a2a_cloud.storage.journal.port import Journal
from a2a_cloud.storage.sql.audit import change


class Rulebook:
    """See the module. Loop thread only."""

    def __init__(self, clock: Clock, journal: Journal, rows: ApprovalRows) -> None:
        self._clock = clock
        self._journal = journal
        self._rows = rows
        self._stored: dict[int, Rules] = {}
        self._read: dict[int, tuple[Rule, ...]] = {}
        self._lock = asyncio.Lock()

    def restore(self) -> None:
        """Load the newest rules of each organisation: at start. Raises InvalidParams for rules that this
        version of the platform can't read; to guess what they mean would be wrong."""
        for rules in self._rows.every_rules():
            self._take(rules)

    def _take(self, rules: Rules) -> None:
        self._read[rules.org] = read_rules(rules.text)
        self._stored[rules.org] = rules

    def rules(self, org_no: int) -> tuple[Rule, ...]:
        """The rules in order; none before somebody wrote some."""
        return self._read.get(org_no, ())

    def text(self, org_no: int) -> Rules:
        """The newest version, as it was written."""
        return self._stored.get(org_no) or Rules(org_no, 0, "", 0.0, "")

    async def put(self, by: Principal, text: str) -> Rules:
        """A new version; returns when it is on disk and in force. The same text makes none. Raises
        Forbidden, InvalidParams with line and key."""
        if not by.may(Permission.MANAGE_POLICY):
            raise Forbidden("Only admins change the rules of approvals.", remedy="Use an admin's key.")
        read_rules(text)
        async with self._lock:
            old = self.text(by.org_no)
            if text == old.text:
                return old
            new = Rules(by.org_no, old.version + 1, text, self._clock.now(), by.label)
            event = change(by.org_no, new.at, by.label, "policy.approvals", "rules", version=new.version)
            await self._journal.write([add_rules(new), event])
            self._take(new)
            return new
