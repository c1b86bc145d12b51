"""`Usage`: answers questions about what was used, exactly, out of durable rows. Each question is read in a
thread, over a connection of its own, within bounds of time and lines; the loop and the journal's writer do
not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from a2a_cloud.control.billing.reading import reading
from a2a_cloud.control.billing.usage_rows import MeteredRow, UsageRows, decimal_text
from a2a_cloud.model.billing import Money
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import TooLarge
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.usage import Metered, UsageLine, UsageQuery
from a2a_cloud.ops.rooms import Rooms

#: What the calls themselves are called among meters.
CALLS = "calls"
#: Lines of an answer.
MOST = 100_000
#: Questions of one organisation that are read at a time, and in all.
_OF_ONE, _AT_ONCE = 2, 3


class Usage:
    """Answers. `database`: the journal's file."""

    def __init__(self, database: Path, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._rooms = Rooms(_OF_ONE, _AT_ONCE)

    async def lines(self, scope: Scope, query: UsageQuery) -> list[UsageLine]:
        """What was used, in the order of the keys. A scope with an owner sees that owner's calls alone.
        Raises TooLarge."""
        async with self._rooms.of(scope.org):
            return await asyncio.to_thread(self._read, scope, query)

    def _read(self, scope: Scope, query: UsageQuery) -> list[UsageLine]:
        with reading(self._database, self._clock) as connection:
            return lines(UsageRows(connection), scope, query)


def lines(rows: UsageRows, scope: Scope, query: UsageQuery) -> list[UsageLine]:
    """What was used, in the order of the keys. Raises TooLarge."""
    found: dict[tuple[str, ...], UsageLine] = {}
    place = query.by.index("meter") if "meter" in query.by else -1

    def line(keys: Sequence[str], meter: str) -> UsageLine:
        whole = tuple(keys) if place < 0 else (*keys[:place], meter, *keys[place:])
        one = found.get(whole)
        if one is None:
            if len(found) >= MOST:
                raise TooLarge(
                    f"The answer has more than {MOST} lines.", remedy="Ask for less time, or add up by less."
                )
            one = found[whole] = UsageLine(whole, meters=[], money=[])
        return one

    for row in rows.calls(scope, query):
        one = line(row.keys, CALLS)
        one.calls, one.completed, one.failed, one.open = row[1:]
    for metered in rows.metered(scope, query):
        _add(line(metered.keys, metered.meter or CALLS), metered)
    return [found[keys] for keys in sorted(found)]


def _add(line: UsageLine, row: MeteredRow) -> None:
    if row.meter:
        for place, one in enumerate(line.meters):
            if (one.meter, one.unit) == (row.meter, row.unit):
                both = decimal_text(Fraction(one.qty) + Fraction(row.qty))
                line.meters[place] = Metered(one.meter, one.unit, both)
                break
        else:
            line.meters.append(Metered(row.meter, row.unit, row.qty))
    if row.amount:
        for place, one in enumerate(line.money):
            if (one.currency, one.scale) == (row.currency, row.scale):
                line.money[place] = Money(one.amount + row.amount, one.currency, one.scale)
                break
        else:
            line.money.append(Money(row.amount, row.currency, row.scale))
