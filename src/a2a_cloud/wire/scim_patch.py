"""PATCH of SCIM (RFC 7644, section 3.5.2): add, replace and remove on a resource, as Okta and Entra write
them, that is with operations in any case, dotted names in values, and booleans as texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast

from a2a_cloud.wire.scim_filter import Path, bad, matches, member, read_path

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_MOST = 1000
Resource = dict[str, Any]


def patched(resource: Mapping[str, Any], body: Mapping[str, Any]) -> Resource:
    """The resource after the operations of a PATCH. Raises InvalidParams with a scimType."""
    operations = member(body, "Operations")
    if not isinstance(operations, list) or not 0 < len(cast("list[Any]", operations)) <= _MOST:
        raise bad(f"A PATCH has a list of 1 to {_MOST} Operations.", "invalidSyntax")
    found: Resource = deepcopy(dict(resource))
    for operation in cast("list[Any]", operations):
        if not isinstance(operation, dict):
            raise bad("An operation is an object with op, path and value.", "invalidSyntax")
        known = cast("Resource", operation)
        op = str(member(known, "op")).lower()
        if op not in ("add", "replace", "remove"):
            raise bad("op is add, replace or remove.", "invalidSyntax")
        path = member(known, "path")
        if path is not None and not isinstance(path, str):
            raise bad("path is a text.", "invalidPath")
        for where, value in _steps(op, path, member(known, "value")):
            _apply(found, op, where, value)
    return found


def _steps(op: str, path: str | None, value: Any) -> Iterator[tuple[Path, Any]]:
    if path:
        yield read_path(path), value
    elif op == "remove":
        raise bad("A removal names its path.", "noTarget")
    elif isinstance(value, dict):
        for name, each in cast("Resource", value).items():
            if name.lower() == "schemas":
                continue
            if isinstance(each, dict) and name.lower().startswith("urn:"):
                yield from ((read_path(inner), one) for inner, one in cast("Resource", each).items())
            else:
                yield read_path(name), each
    else:
        raise bad("Without a path the value is an object.", "invalidValue")


def _apply(resource: Resource, op: str, path: Path, value: Any) -> None:
    name = _key(resource, path.attr)
    held = resource.get(name)
    if path.which is not None:
        return _among(resource, name, op, path, value)
    if path.sub:
        if isinstance(held, list):
            raise bad(
                f'{path.attr} has several values: say which, as {path.attr}[type eq "work"].', "invalidPath"
            )
        inner: Resource = cast("Resource", held) if isinstance(held, dict) else {}
        sub = _key(inner, path.sub)
        if op == "remove":
            inner.pop(sub, None)
        else:
            inner[sub] = value
        resource[name] = inner
    elif op == "remove":
        _removed(resource, name, value)
    elif isinstance(held, list) and op == "add":
        extra = cast("list[Any]", value) if isinstance(value, list) else [value]
        resource[name] = [*cast("list[Any]", held), *(each for each in extra if each not in held)]
    elif isinstance(held, dict) and isinstance(value, dict):
        resource[name] = {**cast("Resource", held), **cast("Resource", value)}
    else:
        resource[name] = value
    return None


def _among(resource: Resource, name: str, op: str, path: Path, value: Any) -> None:
    """Those of an attribute's values that a filter names."""
    held = resource.get(name)
    every: list[Any] = list(cast("list[Any]", held)) if isinstance(held, list) else []
    which = path.which or ()
    objects = [cast("Resource", each) for each in every if isinstance(each, dict)]
    chosen = [each for each in objects if matches(each, which)]
    if op == "remove" and not path.sub:
        resource[name] = [each for each in every if each not in chosen]
        return
    if not chosen and op != "remove":
        # Entra replaces what is not there yet: it is made as the filter says.
        made: Resource = {term.path.attr: term.value for term in which if not term.path.sub}
        every.append(made)
        chosen = [made]
    for each in chosen:
        if not path.sub:
            if not isinstance(value, dict):
                raise bad("The value is an object.", "invalidValue")
            each.update(cast("Resource", value))
        elif op == "remove":
            each.pop(_key(each, path.sub), None)
        else:
            each[_key(each, path.sub)] = value
    resource[name] = every


def _removed(resource: Resource, name: str, value: Any) -> None:
    held = resource.get(name)
    if isinstance(held, list) and value is not None:  # Entra names those that go in the value.
        gone = cast("list[Any]", value) if isinstance(value, list) else [value]
        ids = {_id(each) for each in gone}
        resource[name] = [each for each in cast("list[Any]", held) if _id(each) not in ids]
    else:
        resource.pop(name, None)


def _id(of: Any) -> str:
    return str(member(cast("Resource", of), "value") if isinstance(of, dict) else of)


def _key(of: Mapping[str, Any], name: str) -> str:
    """The name as it stands there."""
    low = name.lower()
    return next((key for key in of if key.lower() == low), name)
