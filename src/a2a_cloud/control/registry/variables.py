"""Plain settings of an agent: variables in the environment of its workers. No place for secrets, which
agent code never sees."""

from __future__ import annotations

import re
from collections.abc import Mapping

from a2a_cloud.control.registry.catalog import Agent
from a2a_cloud.control.registry.registry import Committer
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import InvalidParams, NotFound
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.storage.sql.reader import Reader, SettingRow

#: Variables of an agent, and bytes of a value.
MAX_VARIABLES = 200
MAX_VALUE = 32 << 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: Names that steer the interpreter, the loader or the runtime itself.
_OURS = re.compile(
    r"(A2A_|PYTHON|LD_|DYLD_|MALLOC_|GLIBC_).*|PATH|HOME|LANG|LC_.*|TZ|IFS|ENV|BASH_ENV|SSL_.*"
)


class Variables:
    """See the module."""

    def __init__(self, reader: Reader, journal: Committer, clock: Clock) -> None:
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._kept: dict[int, dict[str, str]] = {}

    def rows(self, agent: Agent) -> list[SettingRow]:
        """An agent's variables, by name."""
        return self._reader.settings(Scope(org=agent.org_no), agent.no)

    def of(self, org_no: int, agent_no: int) -> Mapping[str, str]:
        """What a worker of the agent gets."""
        kept = self._kept.get(agent_no)
        if kept is None:
            rows = self._reader.settings(Scope(org=org_no), agent_no)
            kept = self._kept[agent_no] = {row.name: row.value for row in rows}
        return kept

    async def put(self, agent: Agent, name: str, value: str, *, by: str) -> None:
        """Set a variable. Raises InvalidParams."""
        if not _NAME.fullmatch(name):
            raise InvalidParams(
                f"{name[:100]!r} is no name of a variable.",
                remedy="Use letters, digits and `_`, no digit first, 100 at most.",
                info={"field": "name"},
            )
        if _OURS.fullmatch(name.upper()):
            raise InvalidParams(
                f"The variable {name} is the platform's own.",
                remedy="Choose another name.",
                info={"field": "name"},
            )
        if "\0" in value or len(value.encode("utf-8", "replace")) > MAX_VALUE:
            raise InvalidParams(
                f"The value of {name} holds a NUL or is larger than {MAX_VALUE >> 10} KiB.",
                info={"field": "value"},
            )
        known = self.of(agent.org_no, agent.no)
        if name not in known and len(known) >= MAX_VARIABLES:
            raise InvalidParams(f"An agent has {MAX_VARIABLES} variables at most.", remedy="Remove one.")
        now = self._clock.now()
        await self._journal.write(
            [
                (sql.PUT_SETTING, (agent.org_no, agent.no, name, value, now)),
                change(agent.org_no, now, by, "variable.set", f"{agent.name}/{name}"),
            ]
        )
        self._kept.pop(agent.no, None)

    async def drop(self, agent: Agent, name: str, *, by: str) -> None:
        """Remove a variable. Raises NotFound."""
        if name not in self.of(agent.org_no, agent.no):
            raise NotFound(
                f"{agent.name} has no variable {name[:100]}.", remedy=f"See `a2a env {agent.name}`."
            )
        event = change(agent.org_no, self._clock.now(), by, "variable.removed", f"{agent.name}/{name}")
        await self._journal.write([(sql.DROP_SETTING, (agent.org_no, agent.no, name)), event])
        self._kept.pop(agent.no, None)
