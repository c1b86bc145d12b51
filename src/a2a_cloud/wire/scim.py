"""SCIM 2.0 (RFC 7643, RFC 7644): users and groups as JSON, lists, errors, and what the service says of
itself. Attributes that are not kept are passed over, as the RFC allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import Problem
from a2a_cloud.wire.scim_filter import bad, member

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"

#: The most that one page has, and that it has when nobody says.
MAX_COUNT, USUAL_COUNT = 200, 100
_MOST_TEXT, _MOST_EMAILS = 300, 20
_KEPT = ("title", "locale", "timezone", "nickName", "preferredLanguage", "userType")
_NAMES = ("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")

Json = dict[str, Any]


class User(Struct, frozen=True):
    """A user as a directory describes it. `body` are the attributes that are kept as they came."""

    user_name: str
    email: str
    shown: str
    external: str
    active: bool
    body: Json


def read_user(body: Mapping[str, Any]) -> User:
    """Raises InvalidParams with invalidValue."""
    name = _text(body, "userName")
    if not name:
        raise bad("userName is missing.", "invalidValue")
    emails = _emails(body)
    email = _primary(emails) or name
    if "@" not in email:
        raise bad("A user has an e-mail address: in emails, or as userName.", "invalidValue")
    kept: Json = {each: _text(body, each) for each in _KEPT if _text(body, each)}
    names = member(body, "name")
    if names is not None:
        if not isinstance(names, dict):
            raise bad("name is an object.", "invalidValue")
        parts = cast("Json", names)
        kept["name"] = {each: _text(parts, each) for each in _NAMES if _text(parts, each)}
    display = _text(body, "displayName")
    if display:
        kept["displayName"] = display
    if emails:
        kept["emails"] = emails
    parts = kept.get("name", {})
    both = " ".join(part for part in (parts.get("givenName", ""), parts.get("familyName", "")) if part)
    shown = display or parts.get("formatted", "") or both or email
    kept["userName"] = name
    return User(name, email.lower(), shown[:100], _text(body, "externalId"), _flag(body, "active"), kept)


def _emails(body: Mapping[str, Any]) -> list[Json]:
    given = member(body, "emails")
    if given is None:
        return []
    listed: list[Any] = cast("list[Any]", given) if isinstance(given, list) else [given]
    if len(listed) > _MOST_EMAILS:
        raise bad("A user has that many e-mail addresses?", "tooMany")
    found: list[Json] = []
    for each in listed:
        one = cast("Json", each) if isinstance(each, dict) else {"value": each}
        value = _text(one, "value")
        if value:
            kind = _text(one, "type")
            found.append(
                {
                    "value": value,
                    "primary": member(one, "primary") is True,
                    **({"type": kind} if kind else {}),
                }
            )
    return found


def _primary(emails: Sequence[Json]) -> str:
    chosen = [each for each in emails if each["primary"]] or [
        each for each in emails if each.get("type", "").lower() == "work"
    ]
    return str((chosen or list(emails) or [{"value": ""}])[0]["value"])


def _text(body: Mapping[str, Any], name: str) -> str:
    value = member(body, name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
        raise bad(f"{name} is a line of {_MOST_TEXT} characters at most.", "invalidValue")
    return value.strip()


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = member(body, name)
    if value is None:
        return True
    if isinstance(value, str) and value.lower() in ("true", "false"):  # Entra sends texts.
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise bad(f"{name} is true or false.", "invalidValue")
    return value


class Group(Struct, frozen=True):
    """A group as a directory describes it; `members` are ids of users, None when it says nothing of them."""

    name: str
    external: str
    members: tuple[str, ...] | None


def read_group(body: Mapping[str, Any]) -> Group:
    """Raises InvalidParams with invalidValue."""
    name = _text(body, "displayName")
    if not name:
        raise bad("displayName is missing.", "invalidValue")
    given = member(body, "members")
    if given is None:
        return Group(name, _text(body, "externalId"), None)
    if not isinstance(given, list):
        raise bad("members is a list.", "invalidValue")
    ids: list[str] = []
    for each in cast("list[Any]", given):
        value = member(cast("Json", each), "value") if isinstance(each, dict) else each
        if not isinstance(value, str) or len(value) > _MOST_TEXT:
            raise bad("A member is {value: the id of a user}.", "invalidValue")
        ids.append(value)
    return Group(name, _text(body, "externalId"), tuple(dict.fromkeys(ids)))


def user_resource(
    user_id: str,
    body: Json,
    external: str,
    active: bool,
    created: str,
    changed: str,
    groups: list[Json],
    at: str,
) -> Json:
    """A user; `at` is its address, `created` and `changed` are stamps."""
    return {
        "schemas": [USER],
        "id": user_id,
        **({"externalId": external} if external else {}),
        **body,
        "active": active,
        "groups": groups,
        "meta": {"resourceType": "User", "created": created, "lastModified": changed, "location": at},
    }


def group_resource(
    group_id: str, name: str, external: str, created: str, changed: str, members: list[Json], at: str
) -> Json:
    """A group."""
    return {
        "schemas": [GROUP],
        "id": group_id,
        **({"externalId": external} if external else {}),
        "displayName": name,
        "members": members,
        "meta": {"resourceType": "Group", "created": created, "lastModified": changed, "location": at},
    }


def listed(resources: Sequence[Json], start: int, count: int) -> Json:
    """A page of what was found; `start` counts from 1."""
    page = list(resources[start - 1 : start - 1 + count])
    return {
        "schemas": [_LIST],
        "totalResults": len(resources),
        "startIndex": start,
        "itemsPerPage": len(page),
        "Resources": page,
    }


def chosen(resource: Json, attributes: str, excluded: str) -> Json:
    """What a query leaves of a resource: `id` and `schemas` always."""
    if attributes:
        wanted = {each.strip().partition(".")[0].lower() for each in attributes.split(",")}
        return {
            key: value for key, value in resource.items() if key in ("id", "schemas") or key.lower() in wanted
        }
    if excluded:
        gone = {each.strip().lower() for each in excluded.split(",")} - {"id", "schemas"}
        return {key: value for key, value in resource.items() if key.lower() not in gone}
    return resource


def error(problem: Problem) -> bytes:
    """A problem as SCIM says it (3.12)."""
    kind = problem.info.get("scimType") or ("uniqueness" if problem.http == 409 else "")
    return msgspec.json.encode(
        {
            "schemas": [_ERROR],
            "status": str(problem.http),
            **({"scimType": kind} if kind else {}),
            "detail": problem.sentence,
        }
    )


# --- what the service says of itself (RFC 7643, sections 5 to 7) ------------------------------------------


def provider_config(base: str) -> Json:
    """ServiceProviderConfig."""
    return {
        "schemas": [_CONFIG],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MAX_COUNT},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": False},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of one organisation, which `a2a scim create` makes.",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[Json]:
    """ResourceTypes."""
    return [
        {
            "schemas": [_TYPE],
            "id": name,
            "name": name,
            "endpoint": f"/{name}s",
            "schema": schema,
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{name}"},
        }
        for name, schema in (("User", USER), ("Group", GROUP))
    ]


def schemas(base: str) -> list[Json]:
    """Schemas: the attributes that are kept."""
    user = [
        _attribute("userName", required=True, unique="server"),
        _attribute("externalId", exact=True),
        _attribute("displayName"),
        _attribute("name", kind="complex", sub=[_attribute(each) for each in _NAMES]),
        _attribute("active", kind="boolean"),
        _attribute(
            "emails",
            kind="complex",
            many=True,
            sub=[_attribute("value"), _attribute("type"), _attribute("primary", kind="boolean")],
        ),
        *(_attribute(each) for each in _KEPT),
        _attribute(
            "groups",
            kind="complex",
            many=True,
            writes=False,
            sub=[_attribute("value"), _attribute("display")],
        ),
    ]
    group = [
        _attribute("displayName", required=True, unique="server"),
        _attribute("externalId", exact=True),
        _attribute("members", kind="complex", many=True, sub=[_attribute("value"), _attribute("display")]),
    ]
    return [
        {
            "schemas": [_SCHEMA],
            "id": schema,
            "name": name,
            "description": f"{name} of an organisation",
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{schema}"},
        }
        for name, schema, attributes in (("User", USER, user), ("Group", GROUP, group))
    ]


def _attribute(
    name: str,
    *,
    kind: str = "string",
    many: bool = False,
    required: bool = False,
    unique: str = "none",
    exact: bool = False,
    writes: bool = True,
    sub: list[Json] | None = None,
) -> Json:
    return {
        "name": name,
        "type": kind,
        "multiValued": many,
        "description": name,
        "required": required,
        "caseExact": exact,
        "mutability": "readWrite" if writes else "readOnly",
        "returned": "default",
        "uniqueness": unique,
        **({"subAttributes": sub} if sub is not None else {}),
    }
