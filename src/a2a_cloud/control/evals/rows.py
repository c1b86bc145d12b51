"""What is stored of evals: each with its rubric's digest, the rubrics' texts, the score of each run."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from a2a_cloud.model.evaluation import Eval, Outcome, Score
from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Op, Statement

ADD_RUBRIC = Statement("add_rubric", "INSERT OR IGNORE INTO rubric(org, sha256, text) VALUES(?,?,?)")
ADD_EVAL = Statement(
    "add_eval",
    "INSERT INTO eval(id, org, agent, agent_name, release, number, digest, rubric, own, complete, state,"
    " made_by, runs, repeat, done, passed, score, created, ended, why)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,'running',?,?,?,0,0,'',?,NULL,'')",
)
#: A check may take minutes, and its run be erased meanwhile.
_UNLESS_ERASED = (
    "CASE WHEN EXISTS(SELECT 1 FROM run r JOIN erasure e ON e.run=r.no WHERE r.id=?6 AND r.org=?1)"
    " THEN NULL ELSE {} END"
)
ADD_SCORE = Statement(
    "add_score",
    "INSERT INTO score(org, eval, no, name, attempt, run, receipt, score, passed, failures, weight, at,"
    " seconds, checks_sha256, salt, checks) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"
    f"{_UNLESS_ERASED.format('?15')},{_UNLESS_ERASED.format('?16')})",
)
COUNT_SCORE = Statement(
    "count_score", "UPDATE eval SET done=done+1, passed=passed+? WHERE org=? AND id=?", IN_ORDER
)
END_EVAL = Statement(
    "end_eval",
    "UPDATE eval SET state=?, score=?, ended=?, why=? WHERE org=? AND id=? AND state='running'",
    IN_ORDER,
)
#: Zeros first, in place: a value that is only let go of stays in the page's free space.
WIPE_CHECKS = Statement(
    "wipe_checks", "UPDATE score SET checks=zeroblob(length(checks)) WHERE org=? AND run=?", 7
)
ERASE_CHECKS = Statement("erase_checks", "UPDATE score SET salt=NULL, checks=NULL WHERE org=? AND run=?", 8)

_EVAL = (
    "id, agent, agent_name, release, number, digest, rubric, own, complete, state, made_by, runs, repeat,"
    " done, passed, score, created, ended, why"
)
_SCORE = (
    "no, name, attempt, run, receipt, score, passed, failures, weight, at, seconds, checks_sha256, salt,"
    " checks"
)
EVAL = f"SELECT {_EVAL} FROM eval WHERE id=? AND org=? AND agent=?"  # noqa: S608
LAST = f"""
    SELECT {_EVAL} FROM eval WHERE org=? AND release=? AND own=1 AND complete=1 AND state='done'
    ORDER BY created DESC LIMIT 1
"""  # noqa: S608
RUNNING = f"SELECT org, {_EVAL} FROM eval WHERE state='running'"  # noqa: S608
SCORES = f"SELECT {_SCORE} FROM score WHERE org=? AND eval=? AND no>? ORDER BY no"  # noqa: S608
OF_RUN = f"SELECT eval, {_SCORE} FROM score WHERE org=? AND run=? ORDER BY at"  # noqa: S608
RUBRIC = "SELECT text FROM rubric WHERE org=? AND sha256=?"

_checks = msgspec.json.Decoder(list[Outcome])


def erased(org: int, run_id: str) -> list[Op]:
    """What of an erased run stands in scores goes: what its checks expected and got."""
    return [(WIPE_CHECKS, (org, run_id)), (ERASE_CHECKS, (org, run_id))]


class EvalRows:
    """Reads of committed rows; a scope names one organisation."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except UnicodeEncodeError:
            return []  # No stored text can be equal to that one.

    def eval(self, scope: Scope, agent_no: int, eval_id: str) -> Eval | None:
        """The agent's eval of that id."""
        found = self._all(EVAL, (eval_id, _org(scope), agent_no))
        return _eval(found[0]) if found else None

    def evals(
        self, scope: Scope, agent_no: int, *, release_no: int = 0, before: str = "", limit: int = 50
    ) -> list[Eval]:
        """The agent's, or those of one release (0: all), newest first, those before one."""
        sql = (
            f"SELECT {_EVAL} FROM eval WHERE org=? AND agent=?"  # noqa: S608
            + (" AND release=?" if release_no else "")
            + (" AND (created, id) < (SELECT created, id FROM eval WHERE org=? AND id=?)" if before else "")
            + " ORDER BY created DESC, id DESC LIMIT ?"
        )
        org = _org(scope)
        more = ((release_no,) if release_no else ()) + ((org, before) if before else ())
        return [_eval(row) for row in self._all(sql, (org, agent_no, *more, limit))]

    def last(self, scope: Scope, release_no: int) -> Eval | None:
        """The newest that says how good a release is by its own rubric."""
        found = self._all(LAST, (_org(scope), release_no))
        return _eval(found[0]) if found else None

    def running(self, scope: Scope) -> list[tuple[int, Eval]]:
        """(organisation, eval) of all that did not end. System only."""
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        return [(row[0], _eval(row[1:])) for row in self._all(RUNNING, ())]

    def scores(self, scope: Scope, eval_id: str, after: int = 0) -> list[Score]:
        """Of one eval, in the order in which they came, after number `after`."""
        return [_score(row) for row in self._all(SCORES, (_org(scope), eval_id, after))]

    def of_run(self, scope: Scope, run_id: str) -> list[tuple[str, Score]]:
        """(eval, score) of a run, oldest first."""
        return [(row[0], _score(row[1:])) for row in self._all(OF_RUN, (_org(scope), run_id))]

    def rubric(self, scope: Scope, sha256: str) -> bytes | None:
        """The text of a rubric that was used."""
        found = self._all(RUBRIC, (_org(scope), sha256))
        return bytes(found[0][0]) if found else None


def _org(scope: Scope) -> int:
    if scope.system:
        raise Internal("Evals were asked for without their organisation.")
    return scope.org


def _eval(row: tuple[Any, ...]) -> Eval:
    own, whole = bool(row[7]), bool(row[8])
    return Eval(row[0], row[1], row[2], row[3], row[4], row[5], row[6], own, whole, *row[9:])


def _score(row: tuple[Any, ...]) -> Score:
    *facts, salt, checks = row
    facts[6] = bool(facts[6])
    return Score(
        *facts,
        salt=None if salt is None else bytes(salt).hex(),
        checks=None if checks is None else _checks.decode(checks),
    )
