"""Evals through a platform's control API: begun, followed to their end through broken connections, ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import quote

from a2a_cloud.client.deploys import WAIT, insist
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import obj, objs


def evals_path(agent: str, eval_id: str = "") -> str:
    """The control API's path of an agent's evals, or of one."""
    return f"/api/v1{agent_path(agent)}/evals" + (f"/{quote(eval_id, safe='')}" if eval_id else "")


async def begin(platform: Platform, agent: str, wish: dict[str, Any]) -> dict[str, Any]:
    """The eval that began: `wish` is the body, {release?, rubric?, cases?, parallel?, repeat?}. Raises
    ServerProblem, Unreachable."""
    return obj(await platform.json("POST", evals_path(agent), body=wish))


async def follow(
    platform: Platform, agent: str, eval_id: str, broken: Callable[[str], None]
) -> AsyncGenerator[dict[str, Any]]:
    """The eval, each time with the new scores in `scores`, up to its end. `broken` hears of each broken
    connection. Raises ServerProblem, Unreachable."""
    loop = asyncio.get_running_loop()
    after = 0
    while True:
        params = {"after": str(after), "wait": str(WAIT)}
        began = loop.time()
        document = obj(
            await insist(
                lambda params=params: platform.json("GET", evals_path(agent, eval_id), params=params), broken
            )
        )
        scores = objs(document.get("scores"))
        after = max([after, *(int(each.get("no") or 0) for each in scores)])
        yield document
        if document.get("state") != "running":
            return
        if not scores and loop.time() - began < 0.2:
            await asyncio.sleep(0.3)  # a platform that does not wait is not to be asked in a loop


async def cancel(platform: Platform, agent: str, eval_id: str) -> dict[str, Any]:
    """Ends an eval. Raises ServerProblem, Unreachable."""
    return obj(await platform.json("POST", f"{evals_path(agent, eval_id)}/cancel"))
