"""`/scim/v2`: users and groups of one organisation for its directory (RFC 7644), which comes with a token of
its own. What it gets wrong is said in SCIM's words (`wire/scim.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from a2a_cloud.model.org import Team
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Malformed, NotFound, Unauthenticated
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.orgs_port import DirectoryUser, Organisations
from a2a_cloud.surface.request import Request
from a2a_cloud.wire import scim
from a2a_cloud.wire.json_text import check_text
from a2a_cloud.wire.scim_filter import bad, matches, read_filter
from a2a_cloud.wire.scim_patch import patched

MEDIA_TYPE = b"application/scim+json"
_MAX_BODY = 1 << 20

Json = dict[str, Any]


class ScimRoutes:
    """See the module."""

    __slots__ = ("_orgs",)

    def __init__(self, orgs: Organisations) -> None:
        self._orgs = orgs

    async def serve(self, request: Request, steps: Sequence[str]) -> None:
        """Answers; `steps` are those behind `/scim/v2`. Raises Problem."""
        asking = _Asking(request, self._orgs)
        match list(steps):
            case ["ServiceProviderConfig"]:
                return await asking.said(scim.provider_config(asking.base))
            case ["ResourceTypes" | "Schemas" as kind]:
                every = scim.resource_types if kind == "ResourceTypes" else scim.schemas
                return await asking.told(every(asking.base))
            case ["ResourceTypes" | "Schemas" as kind, name]:
                every = scim.resource_types if kind == "ResourceTypes" else scim.schemas
                return await asking.told(every(asking.base), name)
            case ["Users"]:
                return await asking.users()
            case ["Users", user_id]:
                return await asking.user(user_id)
            case ["Groups"]:
                return await asking.groups()
            case ["Groups", group_id]:
                return await asking.group(group_id)
            case _:
                raise NotFound("There is nothing at this path.", remedy="See /scim/v2/ResourceTypes.")


class _Asking:
    """One request of a directory."""

    def __init__(self, request: Request, orgs: Organisations) -> None:
        self._request = request
        self._scim = orgs.scim
        self.base = f"{request.base}/scim/v2"
        scheme, _, token = request.authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthenticated(
                "A directory comes with a token.",
                remedy="Send it as Authorization: Bearer TOKEN; `a2a scim create` makes one.",
            )
        self._by, self._role = orgs.scim.authenticate(token.strip().decode("latin-1"))
        request.principal = self._by
        self._query = request.query()

    @property
    def by(self) -> Principal:
        """The directory."""
        return self._by

    # --- what the service says of itself ----------------------------------------------------------------

    async def said(self, document: Json) -> None:
        """One document."""
        self._request.allow("GET")
        await self._answer(200, document)

    async def told(self, every: Sequence[Json], name: str = "") -> None:
        """All of them, or the one with that id. Raises NotFound."""
        if not name:
            return await self.said(scim.listed(every, 1, len(every)))
        found = next((each for each in every if each["id"] == name), None)
        if found is None:
            raise NotFound("There is nothing of that name.")
        return await self.said(found)

    # --- users ------------------------------------------------------------------------------------------

    async def users(self) -> None:
        """`GET /Users?filter=&startIndex=&count=`, `POST /Users`."""
        self._request.allow("GET", "POST")
        if self._request.method != "POST":
            return await self._list([self._user(each) for each in self._scim.users(self._by)])
        said = scim.read_user(await self._body())
        made = await self._scim.add(
            self._by,
            self._role,
            user_name=said.user_name,
            email=said.email,
            shown=said.shown,
            external=said.external,
            active=said.active,
            body=said.body,
        )
        return await self._made(self._user(made))

    async def user(self, user_id: str) -> None:
        """`GET`, `PUT`, `PATCH`, `DELETE /Users/{id}`."""
        self._request.allow("GET", "PUT", "PATCH", "DELETE")
        old = self._scim.user(self._by, user_id)
        method = self._request.method
        if method == "DELETE":
            await self._scim.drop(self._by, user_id)
            return await self._gone()
        if method in ("GET", "HEAD"):
            return await self._answer(200, self._chosen(self._user(old)))
        body = await self._body()
        said = scim.read_user(patched(self._user(old), body) if method == "PATCH" else body)
        new = await self._scim.change(
            self._by,
            user_id,
            user_name=said.user_name,
            external=said.external,
            active=said.active,
            body=said.body,
        )
        return await self._answer(200, self._chosen(self._user(new)))

    def _user(self, user: DirectoryUser) -> Json:
        account, member, said = user.person.account, user.person.member, user.said
        plain: Json = {
            "userName": account.email,
            "displayName": account.name,
            "emails": [{"value": account.email, "primary": True, "type": "work"}],
        }
        groups = [
            {"value": team.id, "display": team.name, "$ref": f"{self.base}/Groups/{team.id}"}
            for team in user.teams
        ]
        return scim.user_resource(
            account.id,
            plain if said is None else said.body,
            said.external if said is not None else "",
            member.active,
            stamp(member.created),
            stamp(said.changed if said is not None else member.created),
            groups,
            f"{self.base}/Users/{account.id}",
        )

    # --- groups -----------------------------------------------------------------------------------------

    async def groups(self) -> None:
        """`GET /Groups?filter=…`, `POST /Groups`."""
        self._request.allow("GET", "POST")
        if self._request.method != "POST":
            named = self._named()
            return await self._list([self._group(each, named) for each in self._scim.groups(self._by)])
        said = scim.read_group(await self._body())
        made = await self._scim.put_group(self._by, "", said.name, said.external, said.members or ())
        return await self._made(self._group(made, self._named()))

    async def group(self, group_id: str) -> None:
        """`GET`, `PUT`, `PATCH`, `DELETE /Groups/{id}`."""
        self._request.allow("GET", "PUT", "PATCH", "DELETE")
        old = self._scim.group(self._by, group_id)
        method = self._request.method
        if method == "DELETE":
            await self._scim.drop_group(self._by, group_id)
            return await self._gone()
        if method in ("GET", "HEAD"):
            return await self._answer(200, self._chosen(self._group(old, self._named())))
        body = await self._body()
        said = scim.read_group(patched(self._group(old, {}), body) if method == "PATCH" else body)
        new = await self._scim.put_group(self._by, group_id, said.name, said.external, said.members or ())
        return await self._answer(200, self._chosen(self._group(new, self._named())))

    def _named(self) -> dict[str, str]:
        return {each.person.account.id: each.person.account.email for each in self._scim.users(self._by)}

    def _group(self, team: Team, named: dict[str, str]) -> Json:
        members = [
            {"value": account, "display": named.get(account, account), "$ref": f"{self.base}/Users/{account}"}
            for account in team.members
        ]
        at = f"{self.base}/Groups/{team.id}"
        created, changed = stamp(team.created), stamp(team.changed)
        return scim.group_resource(team.id, team.name, team.external, created, changed, members, at)

    # --- requests and answers ---------------------------------------------------------------------------

    async def _body(self) -> Json:
        request = self._request
        if request.media_type() != MEDIA_TYPE:
            request.expect_json()
        raw = await request.body(_MAX_BODY)
        check_text(raw)
        try:
            body: Any = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed("The body is not valid JSON.", info={"scimType": "invalidSyntax"}) from None
        if not isinstance(body, dict):
            raise bad("The body is no object.", "invalidSyntax")
        return cast("Json", body)

    async def _list(self, resources: Sequence[Json]) -> None:
        query = self._query
        wanted = query.get("filter", "")
        terms = read_filter(wanted) if wanted else ()
        found = [each for each in resources if matches(each, terms)]
        start = max(1, _whole(query, "startIndex", 1))
        count = min(max(0, _whole(query, "count", scim.USUAL_COUNT)), scim.MAX_COUNT)
        page = scim.listed(found, start, count)
        page["Resources"] = [self._chosen(each) for each in page["Resources"]]
        await self._answer(200, page)

    def _chosen(self, resource: Json) -> Json:
        return scim.chosen(
            resource, self._query.get("attributes", ""), self._query.get("excludedAttributes", "")
        )

    async def _made(self, resource: Json) -> None:
        location = str(resource["meta"]["location"]).encode()
        await self._answer(201, self._chosen(resource), (b"location", location))

    async def _gone(self) -> None:
        await self._request.answer(204, b"", MEDIA_TYPE)

    async def _answer(self, status: int, document: Json, *headers: tuple[bytes, bytes]) -> None:
        body = _encode(document)
        await self._request.answer(status, body, MEDIA_TYPE, [(b"cache-control", b"no-store"), *headers])


_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def _whole(query: dict[str, str], name: str, usual: int) -> int:
    text = query.get(name, "")
    if not text:
        return usual
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise bad(f"{name} is a whole number.", "invalidValue")
    return int(text)
