"""Checks of evals that could hold the platform up: they don't, and say what became of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from a2a_cloud.control.evals.apart import CPU_SECONDS, Apart
from a2a_cloud.wire.rubric import Check


def doubling(levels: int) -> dict[str, Any]:
    """A schema that unfolds to 2**levels."""
    defs: dict[str, Any] = {
        f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]}
        for n in range(levels)
    }
    return {"$defs": {**defs, f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def test_a_schema_that_takes_for_ever_ends_and_nobody_waits() -> None:
    asyncio.run(_takes_for_ever())


async def _takes_for_ever() -> None:
    gaps, over = [0.0], False

    async def beat() -> None:
        last = time.monotonic()
        while not over:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    beating = asyncio.create_task(beat())
    schema = doubling(60)
    made = await Apart().judge(Check("schema", schema=schema), 3, schema)
    over = True
    await beating
    assert not made.passed
    assert "too much memory" in made.detail
    assert max(gaps) < CPU_SECONDS, "the loop went on"


@pytest.mark.parametrize(("value", "good"), [("x", True), (3, False)], ids=["fits", "misfits"])
def test_references_are_followed(value: Any, good: bool) -> None:
    schema = {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    made = asyncio.run(Apart().judge(Check("schema", schema=schema), {"x": value}, schema))
    assert made.passed is good
    assert ("at /x" in made.detail) is not good


def test_a_number_that_no_float_holds() -> None:
    huge = msgspec.json.decode(b"1" + b"0" * 400)
    made = asyncio.run(Apart().judge(Check("numeric", value=1), huge))
    assert (made.passed, made.detail) == (False, "it is off by more than a float can hold")
