"""Approvals and the rules for them in SQL: the tables, the statements that change them, the reads.

That an approval ends once is said in SQL: its end is a row of its own under its id, and whoever writes a
second one has the whole write refused, with the grant that would have come of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from a2a_cloud.model.approval import Approval, ApprovalState, Risk, Verdict, Vote
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Op, Statement

_COLUMNS = (
    "id, org, run, task, agent, skill, requester, asked, reason, seconds, risk, created, deadline, needed,"
    " own, rule, state"
)
ADD_APPROVAL = Statement(
    "add_approval", f"INSERT INTO approval({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
ADD_APPROVAL_END = Statement(
    "add_approval_end",
    "INSERT INTO approval_end(approval, org, state, at, ended_by, granted, seconds) VALUES(?,?,?,?,?,?,?)",
)
END_APPROVAL = Statement("end_approval", "UPDATE approval SET state=? WHERE id=? AND org=?", 1)
#: A person has one vote; the last one counts.
PUT_VOTE = Statement(
    "put_approval_vote",
    "INSERT INTO approval_vote(approval, voter, org, at, verdict, note, granted, seconds)"
    " VALUES(?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET at=excluded.at, verdict=excluded.verdict,"
    " note=excluded.note, granted=excluded.granted, seconds=excluded.seconds",
    IN_ORDER,
)
ADD_RULES = Statement(
    "add_approval_rules", "INSERT INTO approval_rules(org, version, text, at, made_by) VALUES(?,?,?,?,?)"
)

_encode = msgspec.json.Encoder().encode
_widening = msgspec.json.Decoder(Widening).decode


class Rules(NamedTuple):
    """A version of an organisation's rules; 0 with an empty text before there was one."""

    org: int
    version: int
    text: str
    at: float
    by: str


def add_approval(new: Approval) -> list[Op]:
    """A new approval, and its end where the rules decided it. Refused when there is one of that id."""
    row = (
        new.id,
        new.org_no,
        new.run,
        new.task,
        new.agent,
        new.skill,
        new.requester,
        _json(new.asked),
        new.reason,
        new.seconds,
        new.risk.value,
        new.created,
        new.deadline,
        new.needed,
        int(new.own),
        new.rule,
        new.state.value,
    )
    return [(ADD_APPROVAL, row)] + ([] if new.open else [_end(new)])


def end_approval(ended: Approval) -> list[Op]:
    """The end of an open approval. Refused when it has ended."""
    return [_end(ended), (END_APPROVAL, (ended.state.value, ended.id, ended.org_no))]


def _end(ended: Approval) -> Op:
    row = (
        ended.id,
        ended.org_no,
        ended.state.value,
        ended.ended,
        ended.ended_by,
        _json(ended.granted),
        ended.seconds,
    )
    return ADD_APPROVAL_END, row


def put_vote(approval: Approval, vote: Vote) -> Op:
    """A person's vote, in the place of an earlier one of theirs."""
    row = (
        vote.by,
        approval.org_no,
        vote.at,
        vote.verdict.value,
        vote.note,
        _json(vote.granted),
        vote.seconds,
    )
    return PUT_VOTE, (approval.id, *row)


def add_rules(rules: Rules) -> Op:
    """A new version. Refused when its number is taken."""
    return ADD_RULES, tuple(rules)


def _json(widening: Widening) -> str:
    return _encode(widening).decode()


Row = tuple[Any, ...]
#: Of all organisations the planner would go through the whole table, which is in the right order.
_OPEN = "approval INDEXED BY approval_open"


class ApprovalRows:
    """The reads, over the reader's connection or one's own. Raises Internal when the database can't be
    read. `requester` "" is anybody; else only what that `name@org` asked for is there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[Row]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    def approval(self, scope: Scope, approval_id: str, requester: str = "") -> Approval | None:
        """One by its id."""
        found = self._select("id=?", [approval_id], scope, requester, limit=1)
        return found[0] if found else None

    def of_run(self, scope: Scope, run: str) -> list[Approval]:
        """All that a run asked for, in order; for its receipt."""
        return self._select("run=?", [run], scope, "", newest=False)

    def every_open(self) -> list[Approval]:
        """The open ones of all organisations, in order: for the platform's own start."""
        return self._select("state='open'", [], SYSTEM, "", newest=False, source=_OPEN)

    def before(
        self,
        scope: Scope,
        *,
        state: str = "",
        requester: str = "",
        before: int | None = None,
        limit: int = 50,
    ) -> list[Approval]:
        """A page below the number `before`, newest first; `state` "": whatever it is."""
        where, params = _state(state)
        top = (1 << 62) if before is None else before
        return self._select(f"{where} AND no<?", [*params, top], scope, requester, limit=limit)

    def after(
        self, scope: Scope, *, last: int, after: int, state: str = "", requester: str = "", limit: int = 50
    ) -> list[Approval]:
        """Those with a number above `after`, up to `last`, oldest first."""
        where, params = _state(state)
        return self._select(
            f"{where} AND no>? AND no<=?", [*params, after, last], scope, requester, newest=False, limit=limit
        )

    def last(self, scope: Scope) -> int:
        """The highest number that was given out, 0 for none."""
        where, params = _where(scope)
        found = self._all(f"SELECT no FROM approval WHERE {where} ORDER BY no DESC LIMIT 1", params)  # noqa: S608
        return found[0][0] if found else 0

    def rules(self, scope: Scope) -> Rules | None:
        """The newest rules of the scope's organisation."""
        found = self._all(
            "SELECT org, version, text, at, made_by FROM approval_rules WHERE org=?"
            " ORDER BY version DESC LIMIT 1",
            (scope.org,),
        )
        return Rules(*found[0]) if found else None

    def every_rules(self) -> list[Rules]:
        """The newest rules of each organisation: for the platform's own start."""
        sql = (
            "SELECT org, version, text, at, made_by FROM approval_rules AS r"
            " WHERE version=(SELECT MAX(version) FROM approval_rules WHERE org=r.org)"
        )
        return [Rules(*row) for row in self._all(sql, ())]

    def _select(
        self,
        condition: str,
        params: list[Any],
        scope: Scope,
        requester: str,
        *,
        newest: bool = True,
        limit: int = -1,
        source: str = "approval",
    ) -> list[Approval]:
        where, more = _where(scope)
        if requester:
            where, more = f"{where} AND requester=?", (*more, requester)
        sql = (
            f"SELECT no, {_COLUMNS} FROM {source} WHERE {where} AND {condition}"  # noqa: S608
            f" ORDER BY no {'DESC' if newest else ''} LIMIT ?"
        )
        return [self._whole(row) for row in self._all(sql, (*more, *params, limit))]

    def _whole(self, row: Row) -> Approval:
        no, ident, org, run, task, agent, skill, requester, asked, reason, seconds, risk, *rest = row
        created, deadline, needed, own, rule, state = rest
        votes = self._all(
            "SELECT voter, at, verdict, note, granted, seconds FROM approval_vote"
            " WHERE approval=? AND org=? ORDER BY at, voter",
            (ident, org),
        )
        plain = Approval(
            id=ident,
            org_no=org,
            run=run,
            task=task,
            agent=agent,
            skill=skill,
            requester=requester,
            asked=_widening(asked),
            reason=reason,
            risk=Risk(risk),
            created=created,
            deadline=deadline,
            needed=needed,
            own=bool(own),
            rule=rule,
            state=ApprovalState(state),
            votes=tuple(_vote(*vote) for vote in votes),
            seconds=seconds,
            no=no,
        )
        if plain.open:
            return plain
        end = self._all(
            "SELECT at, ended_by, granted, seconds FROM approval_end WHERE approval=? AND org=?", (ident, org)
        )[0]
        return msgspec.structs.replace(
            plain, ended=end[0], ended_by=end[1], granted=_widening(end[2]), seconds=end[3]
        )


def _vote(by: str, at: float, verdict: str, note: str, granted: str, seconds: int) -> Vote:
    return Vote(by, at, Verdict(verdict), note, _widening(granted), seconds)


def _state(state: str) -> tuple[str, list[Any]]:
    if state == ApprovalState.OPEN:
        return "state='open'", []  # The words of the partial index.
    return ("state=?", [state]) if state else ("1=1", [])


def _where(scope: Scope) -> tuple[str, tuple[int, ...]]:
    """The condition that keeps a query inside its organisation."""
    return ("1=1", ()) if scope.system else ("org=?", (scope.org,))
