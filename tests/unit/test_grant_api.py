"""`/api/v1/grants` and `/api/v1/audit` through the front door, over real grants in a real database."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, cast

import msgspec
from test_grant_authority import SPEC, Site, agent, run_row, tell

from a2a_cloud.model.grant import Operation
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import Forbidden, Unauthenticated
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Services

PEOPLE = {
    "ada": Principal(1, 1, "ada", "default"),
    "bob": Principal(2, 1, "bob", "default"),
    "root": Principal(3, 1, "root", "default", Role.ADMIN),
    "eve": Principal(4, 2, "eve", "acme", Role.ADMIN),
}


class Identity:
    def authenticate(self, token: str) -> Principal:
        if token not in PEOPLE:
            raise Unauthenticated("That key is not good.")
        return PEOPLE[token]


class Door:
    """The front door before one site; `ask` gives (status, document)."""

    def __init__(self, site: Site) -> None:
        nothing = cast("Any", None)
        services = Services(
            runs=nothing,
            identity=cast("Any", Identity()),
            registry=nothing,
            objects=nothing,
            deploys=nothing,
            parts=nothing,
            variables=nothing,
            renew=lambda _agent: None,
            clock=site.clock,
            ids=site.ids,
            link_key=b"k" * 32,
            grants=site.office,
            audit=site.audit,
        )
        self._door = FrontDoor(services)

    async def ask(
        self, who: str, method: str, path: str, query: str = "", body: bytes = b"", kind: str = ""
    ) -> tuple[int, Any]:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost")]
        headers += [(b"x-api-key", who.encode())] if who else []
        headers += [(b"content-type", kind.encode())] if kind else []
        raw = f"/api/v1/{path}"
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "method": method,
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "scheme": "http",
            "client": ("127.0.0.1", 1),
        }
        await self._door(scope, receive, send)
        return sent[0]["status"], msgspec.json.decode(b"".join(m.get("body", b"") for m in sent[1:]))


def test_each_sees_what_is_theirs(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        door = Door(site)
        own = await site.begin(1)
        child = await site.child(own, 2)
        for who, count in (("ada", 2), ("root", 2), ("bob", 0), ("eve", 0)):
            status, page = await door.ask(who, "GET", "grants")
            assert (status, len(page["grants"])) == (200, count)
            status, _ = await door.ask(who, "GET", f"grants/{own.grant.id}")
            assert status == (200 if count else 404)
            assert (await door.ask(who, "GET", f"grants/{own.grant.id}/tree"))[0] == status
        assert (await door.ask("", "GET", "grants"))[0] == 401
        _, page = await door.ask("root", "GET", "grants", "agent=a2&limit=1")
        assert [each["id"] for each in page["grants"]] == [child.grant.id]
        assert page["next"] == child.grant.id
        _, page = await door.ask("root", "GET", "grants", f"agent=a2&before={child.grant.id}")
        assert page == {"grants": [], "next": ""}
        assert (await door.ask("root", "GET", "grants", "before=grant_x"))[0] == 404
        assert (await door.ask("root", "GET", "grants", "limit=0"))[0] == 400
        assert (await door.ask("root", "GET", "grants/%00"))[0] == 400
        _, shown = await door.ask("ada", "GET", f"grants/{child.grant.id}")
        assert shown["state"] == "active"
        assert shown["blocks"][0]["claims"]["read"] == list(SPEC.read)
        assert shown["blocks"][1]["claims"]["aud"] == agent(2)
        assert child.token.rpartition(".")[2] not in msgspec.json.encode(shown).decode()
        _, drawn = await door.ask("ada", "GET", f"grants/{child.grant.id}/tree")
        assert drawn["complete"] is True
        assert drawn["root"]["children"][0]["id"] == child.grant.id

    tell(tmp_path, story)


def test_revoking_is_for_admins_of_the_organisation(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        door = Door(site)
        own = await site.begin(1)
        path = f"grants/{own.grant.id}/revoke"
        body = b'{"reason": "leaked"}'
        assert (await door.ask("ada", "POST", path, body=body))[0] == 403
        assert (await door.ask("eve", "POST", path, body=body))[0] == 404
        assert site.tries(own) == ""
        for bad in (b"{", b'{"why": 1}', b'{"reason": "a\\nb"}', b'{"reason": 1}', b"[]"):
            assert (await door.ask("root", "POST", path, body=bad))[0] == 400
        status, facts = await door.ask("root", "POST", path, body=body)
        assert (status, facts["state"]) == (200, "revoked")
        assert (facts["end"]["by"], facts["end"]["reason"]) == ("root@default", "leaked")
        assert site.tries(own) == "revoked"
        assert (await door.ask("ada", "GET", "audit"))[0] == 403
        await site.events()
        _, log = await door.ask("root", "GET", "audit", f"grant={own.grant.id}")
        kinds = [(each["kind"], each["allowed"], each["reason"]) for each in log["events"]]
        assert kinds == [("revoke", True, "leaked"), ("check", False, "revoked")]
        first = log["events"][0]["no"]
        _, log = await door.ask("root", "GET", "audit", f"run=run_1&after={first}&limit=1")
        assert [each["kind"] for each in log["events"]] == ["check"]
        assert (await door.ask("eve", "GET", "audit"))[1] == {"events": []}

    tell(tmp_path, story)


def test_who_may_and_why(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        door = Door(site)
        own = await site.begin(1)
        await site.journal.write([run_row(1)])
        status, found = await door.ask("ada", "GET", "grants/explain", "path=contracts/acme.md")
        assert status == 200
        assert [each["grant"] for each in found["allowed"]] == [own.grant.id]
        assert found["allowed"][0]["verdicts"][0]["glob"] == "contracts/**"
        assert (await door.ask("bob", "GET", "grants/explain", "path=contracts/a"))[1]["allowed"] == []
        _, found = await door.ask("root", "GET", "grants/explain", "path=contracts/a&operation=write")
        assert found["allowed"] == []
        assert "write has nothing" in found["refused"][0]["reason"]
        query = "path=pricing/quote&operation=call"
        assert (await door.ask("root", "GET", "grants/explain", query))[1]["allowed"]
        query = "path=api.example.com:8443&operation=egress"
        assert not (await door.ask("root", "GET", "grants/explain", query))[1]["allowed"]
        for query in (
            "path=../x",
            "path=",
            "path=a&operation=chmod",
            "path=a:x&operation=egress",
            "path=a%00",
        ):
            assert (await door.ask("root", "GET", "grants/explain", query))[0] == 400

    tell(tmp_path, story)


def test_the_policy_as_toml_and_as_json(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        door = Door(site)
        toml = b'[grant]\nread = ["contracts/**"]\noperations = ["read"]\nseconds = 60\n'
        assert (await door.ask("ada", "PUT", "grants/policy", body=toml, kind="application/toml"))[0] == 403
        status, kept = await door.ask("root", "PUT", "grants/policy", body=toml, kind="application/toml")
        assert (status, kept) == (
            200,
            {"grant": {"read": ["contracts/**"], "operations": ["read"], "seconds": 60.0}},
        )
        assert (await door.ask("root", "GET", "grants/policy"))[1] == kept
        assert (await door.ask("eve", "GET", "grants/policy"))[1] == {"grant": {}}
        own = await site.begin(1)
        assert [site.tries(own, path) for path in ("contracts/a", "shared/a")] == ["", "scope"]
        bad = [(b"read = [", "application/toml"), (b"{", ""), (b"[]", ""), (b'{"reed": []}', "")]
        bad += [(b"read = 2020-01-01", "application/toml"), (b"\xff", "text/toml"), (b"a=1", "text/plain")]
        for body, kind in bad:
            status, problem = await door.ask("root", "PUT", "grants/policy", body=body, kind=kind)
            assert status in (400, 415)
            assert problem["detail"]
        status, kept = await door.ask("root", "PUT", "grants/policy", body=b"{}")
        assert (status, kept) == (200, {"grant": {}})

    tell(tmp_path, story)


def test_the_key_is_changed_by_admins_and_not_twice_in_a_row(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        door = Door(site)
        own = await site.begin(1)
        assert (await door.ask("ada", "POST", "grants/rotate-key"))[0] == 403
        status, made = await door.ask("root", "POST", "grants/rotate-key")
        assert status == 200
        assert made["kid"] not in ("", own.grant.root.kid)
        assert site.tries(own) == ""
        assert (await site.begin(2)).grant.root.kid == made["kid"]
        status, problem = await door.ask("root", "POST", "grants/rotate-key")
        assert status == 400
        assert "again in" in problem["remedy"]
        assert [each.reason for each in await site.events() if each.kind == "key"] == [made["kid"]]

    tell(tmp_path, story)


def test_what_the_api_says_is_what_the_check_does(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        door = Door(site)
        own = await site.begin(1)
        await site.journal.write([run_row(1)])
        paths = ("contracts/a", "shared/x/y", "finance/a", "outputs/run_1/a", "outputs/run_2/a")
        for operation in (Operation.READ, Operation.WRITE, Operation.LIST, Operation.DELETE):
            for path in paths:
                try:
                    site.authority.check(own.token, agent(1), "run_1", operation, path)
                    allowed = True
                except Forbidden:
                    allowed = False
                query = f"path={path}&operation={operation.value}"
                _, found = await door.ask("root", "GET", "grants/explain", query)
                assert bool(found["allowed"]) is allowed

    tell(tmp_path, story)
