"""surface/api/approvals.py over the front door: real approvals, raw requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, cast

from approval_fixtures import ADA, BOB, IDS, MEMBER, STRANGER, Site, site

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Unauthenticated
from a2a_cloud.ops.system import SystemClock
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Services

WHO = {"ada": ADA, "bob": BOB, "mia": MEMBER, "foreign": STRANGER}


class Identity:
    def authenticate(self, token: str) -> Principal:
        if token not in WHO:
            raise Unauthenticated("That key is not good.")
        return WHO[token]


class Desk:
    """The front door over a site."""

    def __init__(self, here: Site | None) -> None:
        none = cast("Any", None)
        self.door = FrontDoor(
            Services(
                runs=none,
                identity=cast("Any", Identity()),
                registry=none,
                objects=none,
                deploys=none,
                parts=none,
                variables=none,
                renew=lambda _agent: None,
                clock=SystemClock(),
                ids=IDS,
                link_key=b"k" * 32,
                approvals=here.approvals if here is not None else None,
            )
        )

    async def __call__(
        self, by: str, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path, _, query = f"/api/v1/approvals{path}".partition("?")
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", kind.encode())]
        if by:
            headers.append((b"x-api-key", by.encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "scheme": "http",
            "client": ("127.0.0.1", 1),
        }
        await self.door(scope, receive, send)
        return sent[0]["status"], json.loads(b"".join(each.get("body", b"") for each in sent[1:]) or b"null")


def test_the_inbox_an_approval_and_its_decision(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            ask = Desk(here)
            assert await ask("bob", "GET", "") == (200, {"approvals": [], "next": "", "last": 0})
            new = await here.ask()
            status, page = await ask("bob", "GET", "?limit=1")
            assert (status, [each["id"] for each in page["approvals"]], page["next"]) == (200, [new.id], "1")
            assert (await ask("bob", "GET", f"?cursor={page['next']}"))[1]["approvals"] == []
            status, one = await ask("bob", "GET", f"/{new.id}")
            assert (status, one["state"], one["risk"], one["agent"]) == (200, "open", "high", "reviewer")
            assert one["asked"]["read"] == ["finance/**"]
            assert one["granted"] is None
            assert len(one["story"]) == 2
            body = {"read": ["finance/q3/**"], "seconds": 60, "note": "q3 only"}
            status, done = await ask("bob", "POST", f"/{new.id}/approve", body)
            assert (status, done["state"], done["ended_by"], done["seconds"]) == (
                200,
                "approved",
                "bob@acme",
                60,
            )
            assert done["granted"] == {"read": ["finance/q3/**"], "write": [], "skills": [], "egress": []}
            status, problem = await ask("ada", "POST", f"/{new.id}/deny", {})
            assert (status, problem["code"], problem["by"]) == (409, "approval_closed", "bob@acme")
            assert (await ask("bob", "GET", "?state=approved"))[1]["approvals"][0]["id"] == new.id
            assert (await ask("bob", "GET", "?state=all"))[1]["last"] == 1

    asyncio.run(play())


def test_refusals(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            ask = Desk(here)
            new = await here.ask()
            approve = f"/{new.id}/approve"
            for by, method, path, body, status, code in (
                ("", "GET", "", None, 401, "unauthenticated"),
                ("foreign", "GET", f"/{new.id}", None, 404, "approval_not_found"),
                ("mia", "GET", f"/{new.id}", None, 404, "approval_not_found"),
                ("foreign", "POST", approve, {}, 404, "approval_not_found"),
                ("mia", "POST", approve, {}, 403, "forbidden"),
                ("ada", "POST", approve, {}, 403, "forbidden"),
                ("bob", "POST", approve, {"reads": ["x"]}, 400, "invalid_params"),
                ("bob", "POST", approve, {"read": "finance/x"}, 400, "invalid_params"),
                ("bob", "POST", approve, {"read": []}, 400, "invalid_params"),
                ("bob", "POST", approve, {"read": ["**"]}, 400, "invalid_params"),
                ("bob", "POST", approve, {"seconds": "1h"}, 400, "invalid_params"),
                ("bob", "POST", approve, {"note": 1}, 400, "invalid_params"),
                ("bob", "POST", approve, [], 400, "invalid_params"),
                ("bob", "POST", f"/{new.id}/deny", {"read": []}, 400, "invalid_params"),
                ("bob", "GET", "?state=perhaps", None, 400, "invalid_params"),
                ("bob", "GET", "?limit=0", None, 400, "invalid_params"),
                ("bob", "GET", "?after=x", None, 400, "invalid_params"),
                ("bob", "DELETE", f"/{new.id}", None, 405, "method_not_allowed"),
                ("mia", "GET", "/policy", None, 403, "forbidden"),
                ("mia", "PUT", "/policy", {"text": ""}, 403, "forbidden"),
                ("bob", "PUT", "/policy", {"text": 1}, 400, "invalid_params"),
            ):
                got, problem = await ask(by, method, path, body)
                assert (got, problem["code"]) == (status, code), (by, method, path, body)
            assert here.approvals.inbox.one(BOB, new.id).open
            assert (await Desk(None)("bob", "GET", ""))[0] == 503

    asyncio.run(play())


def test_waiting_for_the_next_one(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            ask = Desk(here)
            first = await here.ask()
            status, page = await ask("bob", "GET", "?after=0&wait=20")
            assert (status, [each["id"] for each in page["approvals"]]) == (200, [first.id])
            waiting = asyncio.create_task(ask("bob", "GET", f"?after={page['last']}&wait=20"))
            foreign = asyncio.create_task(ask("foreign", "GET", "?after=0&wait=0.2"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            second = await here.ask()
            _, page = await asyncio.wait_for(waiting, 2)
            assert ([each["id"] for each in page["approvals"]], page["last"]) == ([second.id], 2)
            assert (await foreign)[1] == {"approvals": [], "next": "", "last": 0}

    asyncio.run(play())


def test_rules_are_put_as_toml_or_json_and_hold_at_once(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            ask = Desk(here)
            empty = {"version": 0, "text": "", "at": None, "by": ""}
            assert await ask("bob", "GET", "/policy") == (200, empty)
            text = '[[rule]]\ndecision = "approve"\n'
            status, put = await ask("bob", "PUT", "/policy", text.encode(), "application/toml")
            assert (status, put["version"], put["text"], put["by"]) == (200, 1, text, "bob@acme")
            assert (await here.ask()).state == "approved"
            status, put = await ask("ada", "PUT", "/policy", {"text": ""})
            assert (status, put["version"]) == (200, 2)
            assert (await here.ask()).open
            bad = b'[[rule]]\ndecision = "ask"\npath = ["a"]\n'
            status, problem = await ask("bob", "PUT", "/policy", bad, "text/plain")
            assert (status, problem["line"], problem["key"]) == (400, "3", "path")
            assert (await ask("bob", "PUT", "/policy", b"\xff", "text/plain"))[0] == 400
            assert (await ask("bob", "GET", "/policy"))[1]["version"] == 2

    asyncio.run(play())
