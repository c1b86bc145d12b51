"""The table `[grant]` of a2a.toml: the most that an agent's runs may do; and with the same keys what a
caller or an organisation's policy leaves of it. A key or pattern that can't be used is refused with what
to write instead (docs/grants.md)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, cast

from a2a_cloud.model.grant import RUN, GrantSpec, Narrowing, Operation
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import check_globs, check_path, host_glob

FILE = "a2a.toml"
_MOST_PATTERNS = 64
_MOST_DEPTH = 9
_MOST = (1 << 53) - 1
_MOST_SECONDS = 7 * 86400
_MOST_REASON = 300
#: What people write, and what it is called here.
_MEANT = {
    "ops": "operations",
    "max_bytes": "bytes",
    "max_uses": "uses",
    "max_depth": "depth",
    "reads": "read",
    "writes": "write",
    "paths": "read",
    "agents": "skills",
    "calls": "skills",
    "hosts": "egress",
    "network": "egress",
    "outputs": "prefix",
    "exclude": "deny",
}

Check = Callable[[str, str, Any], Any]


def read_grant(table: Mapping[str, Any], file: str = FILE) -> GrantSpec:
    """What the table declares; `file` is named in refusals. Raises InvalidParams with the nearest right
    key, or with what belongs there."""
    return GrantSpec(**_fields(table, file, _KEYS))


def read_narrowing(table: Mapping[str, Any], file: str) -> Narrowing:
    """What the table leaves of a grant: the keys of `[grant]` without `prefix` and `workspace`, and
    `seconds`, `reason`. What it leaves out is not restricted; an empty list closes. Raises InvalidParams as
    `read_grant` does; `file` is named in refusals."""
    return Narrowing(**_fields(table, file, _NARROWING))


def _fields(table: Mapping[str, Any], file: str, keys: Mapping[str, Check]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in table.items():
        check = keys.get(key)
        if check is None:
            raise InvalidParams(
                f"{file} has an unknown key `grant.{key[:100]}`.",
                remedy=_meant(key, keys),
                info={"key": f"grant.{key[:100]}"},
            )
        fields[key] = check(file, key, value)
    return fields


def _meant(key: str, keys: Mapping[str, Check]) -> str:
    plain = key.lower().replace("-", "_")
    meant = _MEANT.get(plain, "")
    close = [meant] if meant in keys else difflib.get_close_matches(plain, keys, n=1, cutoff=0.55)
    if close:
        return f"Did you mean `grant.{close[0]}`?"
    return f"It takes {', '.join(f'`grant.{one}`' for one in keys)}."


def _wrong(file: str, key: str, value: Any, write: str) -> InvalidParams:
    said = f'"{value}"' if isinstance(value, str) else str(value)
    return InvalidParams(
        f"{file}: `grant.{key}` can't be {said[:100]}.",
        remedy=f"Write {write}.",
        info={"key": f"grant.{key}"},
    )


def _texts(file: str, key: str, value: Any, write: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(file, key, value, f"a list: {write}")
    items = cast("list[object]", value)
    if len(items) > _MOST_PATTERNS:
        raise InvalidParams(
            f"{file}: `grant.{key}` has {len(items)} entries; {_MOST_PATTERNS} are the most.",
            remedy="Use fewer, wider patterns: `**` stands for whole folders.",
            info={"key": f"grant.{key}"},
        )
    for each in items:
        if not isinstance(each, str):
            raise _wrong(file, key, each, f"texts: {write}")
    return tuple(cast("list[str]", items))


def _pattern(file: str, key: str, each: str, problem: InvalidParams) -> InvalidParams:
    return InvalidParams(
        f"{file}: `grant.{key}`: {problem.detail}",
        remedy=problem.remedy,
        info={"key": f"grant.{key}", "pattern": each},
    )


def _paths(file: str, key: str, value: Any) -> tuple[str, ...]:
    patterns = _texts(file, key, value, f'{key} = ["contracts/**"]')
    for each in patterns:
        try:
            check_globs((each,))
        except InvalidParams as problem:
            raise _pattern(file, key, each, problem) from None
    return patterns


def _skills(file: str, key: str, value: Any) -> tuple[str, ...]:
    patterns = _texts(file, key, value, f'{key} = ["pricing/quote", "mailer/*"]')
    for each in patterns:
        if each.count("/") != 1 and each != "**":
            raise _wrong(file, key, each, f'agent and skill: {key} = ["pricing/quote", "mailer/*"]')
        try:
            check_globs((each,))
        except InvalidParams as problem:
            raise _pattern(file, key, each, problem) from None
    return patterns


def _hosts(file: str, key: str, value: Any) -> tuple[str, ...]:
    patterns = _texts(file, key, value, f'{key} = ["api.example.com", "*.example.com:8443"]')
    for each in patterns:
        try:
            host_glob(each)
        except InvalidParams as problem:
            raise _pattern(file, key, each, problem) from None
    return patterns


def _operations(file: str, key: str, value: Any) -> tuple[Operation, ...]:
    known = ", ".join(f'"{one.value}"' for one in Operation)
    found: list[Operation] = []
    for each in _texts(file, key, value, f'{key} = ["read", "list"]'):
        if each not in tuple(Operation):
            raise _wrong(file, key, each, f"some of {known}")
        found.append(Operation(each))
    return tuple(found)


def _prefix(file: str, key: str, value: Any) -> str:
    write = f'a folder with a / at its end: {key} = "reports/{RUN}/"'
    if not isinstance(value, str) or not value.endswith("/"):
        raise _wrong(file, key, value, write)
    plain = value.replace(RUN, "run_0")
    if any(sign in plain for sign in "*?[]{}!"):
        raise _wrong(file, key, value, write)
    try:
        check_path(plain[:-1])
    except InvalidParams as problem:
        raise _pattern(file, key, value, problem) from None
    return value


def _workspace(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 63:
        raise _wrong(file, key, value, f'the name of a workspace: {key} = "default"')
    return value


def _number(least: int, most: int, example: str) -> Check:
    def check(file: str, key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _wrong(file, key, value, f"a whole number from {least} to {most}: {key} = {example}")
        return value

    return check


def _reason(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_REASON or not value.isprintable():
        raise _wrong(file, key, value, f'a text on one line: {key} = "only the contracts of Acme"')
    return value


def _seconds(file: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= _MOST_SECONDS:
        raise _wrong(file, key, value, f"seconds, from 1 to {_MOST_SECONDS}: {key} = 600")
    return float(value)


_KEYS: dict[str, Check] = {
    "read": _paths,
    "write": _paths,
    "deny": _paths,
    "skills": _skills,
    "egress": _hosts,
    "operations": _operations,
    "prefix": _prefix,
    "workspace": _workspace,
    "bytes": _number(1, _MOST, "100_000_000"),
    "uses": _number(1, _MOST, "10_000"),
    "depth": _number(0, _MOST_DEPTH, "6"),
}
_NARROWING: dict[str, Check] = {
    **{key: check for key, check in _KEYS.items() if key not in ("prefix", "workspace")},
    "seconds": _seconds,
    "reason": _reason,
}
