"""The reader of a2a.toml (or `[tool.a2a]` of pyproject.toml): a folder's Manifest, or what to write.

Every refusal is an InvalidParams that names the file, the key and what belongs there; an unknown key
gets the nearest right one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from a2a_cloud.control.grants.declare import read_grant
from a2a_cloud.control.registry.extensions import read_extensions
from a2a_cloud.model.limits import WRITE_RATE, read_rate
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.release import (
    PLATFORM,
    SCOPE,
    Limits,
    Manifest,
    SandboxSpec,
    SecretBinding,
    SkillRules,
    Visibility,
)
from a2a_cloud.wire import toml_text
from a2a_cloud.wire.glob import host_glob

FILE = "a2a.toml"
FALLBACK = "pyproject.toml"
ENTRY = "agent.py"

#: First segments of an agent's paths, which A2A's `/{tenant}/…` must not meet.
RESERVED = frozenset(
    {"v1", "invoke", "runs", "sse", "app", "mcp", "hooks", "sessions", "tasks", "auth", PLATFORM}
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"\d+(\.\d+){0,2}([-+.][0-9A-Za-z][0-9A-Za-z.+-]*)?")
_ENTRY = re.compile(r"[^:\s]+(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_MIB = 1 << 20
#: key of [limits] → (least, most, whole number)
_BOUNDS: dict[str, tuple[float, float, bool]] = {
    "concurrency": (1, 1024, True),
    "workers": (1, 64, True),
    "queue": (0, 100_000, True),
    "timeout": (0.001, 7 * 24 * 3600, False),
    "start_timeout": (0.1, 600, False),
    "memory": (64 * _MIB, 1 << 40, True),
    "open_files": (32, 65_536, True),
    "log_bytes": (0, 1 << 30, True),
    "artifact_bytes": (0, 1 << 40, True),
    "upload_bytes": (0, 1 << 50, True),
    "events": (1, 10_000_000, True),
    "children": (0, 10_000, True),
    "depth": (0, 32, True),
    "cpu": (0, 1024, False),
    "pids": (8, 65_536, True),
    "tmp_bytes": (_MIB, 1 << 40, True),
    "caller_runs": (1, 100_000, True),
    "caller_day": (1, 10**9, True),
    "caller_month": (1, 10**11, True),
}

#: An origin as browsers write it: no path, lower case.
_ORIGIN = re.compile(r"\*|https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_MOST_ORIGINS = 32

REQUIRABLE = ("jail",)
ISOLATIONS = ("shared", "caller", "run")
MERGES = ("refuse", "last-writer")
#: Idle workers that an agent may have kept ready.
MOST_SPARES = 16
_MOST_IDLE = 7 * 24 * 3600
_MOST_SECRETS = 32
#: Organisations that an agent may list.
_MOST_ORGS = 100
_ORG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

_ISSUER = re.compile(r"[a-z][a-z0-9-]{0,30}")
_MOST_ISSUERS = 10
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
#: Header fields that say where a message goes or where it ends: none of an agent's business.
_FRAMING = re.compile(
    "host|content-length|transfer-encoding|connection|keep-alive|proxy-.*|te|trailer|upgrade|expect"
)
_TEMPLATE = re.compile(r"[\x20-\x7e]*\{\}[\x20-\x7e]*")

Check = Callable[[str, str, Any], Any]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an agent's folder; a2a.toml comes before `[tool.a2a]`. Raises InvalidParams."""
    if not folder.is_dir():
        raise InvalidParams(f"There is no folder {folder}.", remedy="Name the folder that holds a2a.toml.")
    file, table = _table(folder)
    fields = _read(file, "", table, {**_KEYS, **dict.fromkeys(_SECTIONS, _section)})
    provider = _read(file, "provider.", fields.pop("provider", {}), {"name": _text, "url": _url})
    limits = _read(file, "limits.", fields.pop("limits", {}), _LIMITS)
    sandbox = _read(file, "sandbox.", fields.pop("sandbox", {}), _SANDBOX)
    workspace = _read(file, "workspace.", fields.pop("workspace", {}), _WORKSPACE)
    auth = _read(file, "auth.", fields.pop("auth", {}), _AUTH)
    http = _read(file, "http.", fields.pop("http", {}), _HTTP)
    skills = _skills(file, fields.pop("skills", {}))
    if isinstance(fields.get("visibility"), tuple):
        fields["visible_to"] = fields.pop("visibility")
    extensions = read_extensions(file, fields.pop("extensions", []))
    if sandbox.get("isolation", "shared") != "shared":
        sandbox.setdefault("spares", 1)
    if "name" not in fields:
        raise InvalidParams(
            f"{file} gives the agent no `name`.", remedy=f'Write name = "{_suggested(folder)}".'
        )
    entry = fields.pop("entry", ENTRY)
    _find_entry(file, folder, entry)
    return Manifest(
        entry=entry,
        provider_name=provider.get("name", ""),
        provider_url=provider.get("url", ""),
        limits=Limits(**limits),
        grant=read_grant(fields.pop("grant", {}), file),
        sandbox=SandboxSpec(**sandbox),
        secrets=_secrets(file, fields.pop("secrets", {})),
        merge=workspace.get("merge", "refuse"),
        extensions=extensions,
        skills=skills,
        issuers=auth.get("issuers", ()),
        cors=http.get("cors", ()),
        **fields,
    )


def _table(folder: Path) -> tuple[str, dict[str, Any]]:
    """(the file's name for sentences, the agent's table)."""
    if (folder / FILE).is_file():
        return FILE, _toml(folder / FILE)
    if (folder / FALLBACK).is_file():
        tool = _toml(folder / FALLBACK).get("tool", {})
        table = tool.get("a2a") if isinstance(tool, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if isinstance(table, dict):
            return f"{FALLBACK} [tool.a2a]", cast("dict[str, Any]", table)
    raise InvalidParams(
        f"{folder} is no agent: it has no {FILE}, and no [tool.a2a] in {FALLBACK}.",
        remedy=f'Write a file {FILE} with name = "{_suggested(folder)}" and entry = "{ENTRY}".',
    )


def _toml(path: Path) -> dict[str, Any]:
    try:
        return toml_text.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidParams(f"{path.name} is not valid TOML: {error}.") from None
    except UnicodeDecodeError:
        raise InvalidParams(f"{path.name} is not UTF-8 text.", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise InvalidParams(f"{path.name} can't be read: {error.strerror}.") from None


def _read(file: str, prefix: str, table: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in table.items():
        check = checks.get(key)
        if check is None:
            raise InvalidParams(
                f"{file} has an unknown key `{prefix}{key}`.",
                remedy=_meant(prefix, key, checks),
                info={"key": prefix + key},
            )
        out[key] = check(file, prefix + key, value)
    return out


def _meant(prefix: str, key: str, known: Iterable[str]) -> str:
    for section, keys in _SECTIONS.items():
        if not prefix and key in keys:
            return f"Did you mean `{section}.{key}`?"
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.55)
    if close:
        return f"Did you mean `{prefix}{close[0]}`?"
    return f"It takes {', '.join(f'`{prefix}{one}`' for one in known)}."


def _wrong(file: str, key: str, value: Any, write: str) -> InvalidParams:
    said = str(value) if not isinstance(value, str) else f'"{value}"'
    return InvalidParams(
        f"{file}: `{key}` can't be {said[:100]}.", remedy=f"Write {write}.", info={"key": key}
    )


def _leaf(key: str) -> str:
    return key.rpartition(".")[2]


def _text(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 10_000:
        raise _wrong(file, key, value, f'a text: {_leaf(key)} = "…"')
    return value


def _url(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/]+\S*", value):
        raise _wrong(file, key, value, f'an address: {_leaf(key)} = "https://…"')
    return value


def _flag(file: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(file, key, value, f"{key} = true or {key} = false, without quotes")
    return value


def _name(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _wrong(
            file,
            key,
            value,
            "small letters, digits, `-` and `_`, a letter first, at most 63: "
            f'{key} = "{_slug(str(value)) or "reviewer"}"',
        )
    if value in RESERVED:
        raise InvalidParams(
            f"{file}: the name `{value}` is reserved, because addresses use it.",
            remedy=f'Write another one: {key} = "{value}-agent".',
            info={"key": key},
        )
    return value


def _version(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 64 or not _VERSION.fullmatch(value):
        raise _wrong(file, key, value, f'a version in quotes: {key} = "1.2.0"')
    return value


def _visibility(file: str, key: str, value: Any) -> Visibility | tuple[str, ...]:
    if isinstance(value, list):
        orgs = cast("list[Any]", value)
        if 0 < len(orgs) <= _MOST_ORGS and all(isinstance(one, str) and _ORG.fullmatch(one) for one in orgs):
            return tuple(dict.fromkeys(orgs))
    elif isinstance(value, str) and value in tuple(Visibility):
        return Visibility(value)
    raise _wrong(
        file,
        key,
        value,
        f'{key} = "org" (people of the organisation), {key} = ["acme"] (and of these), {key} = "signed-in" '
        f'(everybody who says who they are) or {key} = "public" (anyone)',
    )


def _require(file: str, key: str, value: Any) -> tuple[str, ...]:
    scopes: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [None]
    if len(scopes) > 20 or not all(isinstance(one, str) and SCOPE.fullmatch(one) for one in scopes):
        write = 'a list of scopes, small letters and `._-`: require = ["invoices.pay"]'
        raise _wrong(file, key, value, write)
    return tuple(dict.fromkeys(scopes))


def _skills(file: str, table: Mapping[str, Any]) -> dict[str, SkillRules]:
    return {
        name: SkillRules(**_read(file, f"skills.{name}.", _section(file, f"skills.{name}", value), _SKILL))
        for name, value in table.items()
    }


def _entry(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not _ENTRY.fullmatch(value):
        raise _wrong(file, key, value, f'a file or module, and an Agent in it: {key} = "agent.py:agent"')
    return value


def _section(file: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(file, key, value, f"a section: [{key}]")
    return cast("dict[str, Any]", value)


def _as_it_is(_file: str, _key: str, value: Any) -> Any:
    return value


def _bounded(file: str, key: str, value: Any) -> float:
    least, most, whole = _BOUNDS[_leaf(key)]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (whole and not isinstance(value, int)) or not least <= value <= most:
        usual = getattr(Limits(), _leaf(key)) or 100
        kind = "a whole number" if whole else "cores (0: no limit)" if _leaf(key) == "cpu" else "seconds"
        raise _wrong(
            file,
            key,
            value,
            f"{kind} from {least} to {most}: {_leaf(key)} = {usual}",
        )
    return value if whole else float(value)


def _called(file: str, key: str, value: Any) -> str:
    try:
        return str(read_rate(value))
    except (InvalidParams, AttributeError):
        raise _wrong(file, key, value, f'{WRITE_RATE}: {_leaf(key)} = "10/s"') from None


def _issuers(file: str, key: str, value: Any) -> tuple[str, ...]:
    names: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [0]
    if len(names) > _MOST_ISSUERS or not all(_ISSUER.fullmatch(str(one)) for one in names):
        raise _wrong(file, key, value, 'a list of issuers that the operator named: issuers = ["corp"]')
    return tuple(dict.fromkeys(names))


def _origins(file: str, key: str, value: Any) -> tuple[str, ...]:
    origins: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [0]
    if len(origins) > _MOST_ORIGINS or not all(_ORIGIN.fullmatch(str(one)) for one in origins):
        write = (
            'origins whose pages may call the agent, as browsers say them: cors = ["https://app.example.com"]'
        )
        raise _wrong(file, key, value, write)
    return tuple(dict.fromkeys(origins))


def _one_of(*words: str) -> Check:
    def check(file: str, key: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise _wrong(file, key, value, " or ".join(f'{_leaf(key)} = "{one}"' for one in words))
        return value

    return check


def _spares(file: str, key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_SPARES:
        raise _wrong(file, key, value, f"a whole number from 0 to {MOST_SPARES}: spares = 1")
    return value


def _idle(file: str, key: str, value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not (value == 0 or 1 <= value <= _MOST_IDLE):
        raise _wrong(
            file, key, value, f"seconds from 1 to {_MOST_IDLE}, or 0 for the platform's own: idle = 900"
        )
    return float(value)


_LIMITS: dict[str, Check] = {
    **dict.fromkeys(_BOUNDS, _bounded),
    "rate": _called,
    "caller_rate": _called,
}
_SKILL: dict[str, Check] = {
    "require": _require,
    "rate": _called,
    "caller_rate": _called,
    "caller_day": _bounded,
    "caller_month": _bounded,
}
_SANDBOX: dict[str, Check] = {
    "require": _one_of(*REQUIRABLE),
    "isolation": _one_of(*ISOLATIONS),
    "spares": _spares,
    "idle": _idle,
}
_AUTH: dict[str, Check] = {"issuers": _issuers}
_HTTP: dict[str, Check] = {"cors": _origins}
_WORKSPACE: dict[str, Check] = {"merge": _one_of(*MERGES)}
#: Tables of the file, with keys that somebody might write above them.
_SECTIONS: dict[str, Iterable[str]] = {
    "provider": ("url",),
    "limits": _LIMITS,
    "grant": ("read", "write", "deny", "egress"),
    "sandbox": _SANDBOX,
    "workspace": _WORKSPACE,
    "secrets": (),
    "skills": (),
    "auth": _AUTH,
    "http": _HTTP,
}


def _secrets(file: str, table: Mapping[str, Any]) -> tuple[SecretBinding, ...]:
    if len(table) > _MOST_SECRETS:
        raise InvalidParams(
            f"{file}: [secrets] has {len(table)} lines; {_MOST_SECRETS} are the most.",
            remedy="Take out those that the agent does not use.",
            info={"key": "secrets"},
        )
    found: list[SecretBinding] = []
    for name, value in table.items():
        key = f"secrets.{name}"
        if not _SECRET.fullmatch(name):
            raise InvalidParams(
                f"{file}: `{key[:120]}` is no name of a secret.",
                remedy="Write letters, digits and `_`, no digit first, 100 at most.",
                info={"key": key},
            )
        example = 'host = "api.example.com", header = "Authorization", format = "Bearer {}"'
        write = f"a table: {name} = {{ {example} }}"
        if not isinstance(value, dict):
            # What stands there may be the secret itself: it is not repeated.
            raise InvalidParams(f"{file}: `{key}` is no table.", remedy=f"Write {write}.", info={"key": key})
        fields = _read(file, f"{key}.", cast("dict[str, Any]", value), _BINDING)
        if "host" not in fields:
            raise InvalidParams(
                f"{file}: `{key}` names no `host`.", remedy=f"Write {write}.", info={"key": f"{key}.host"}
            )
        header = fields.get("header", "Authorization")
        usual = "Bearer {}" if header.lower() == "authorization" else "{}"
        one = SecretBinding(name, fields["host"], header, fields.get("format", usual))
        for other in found:
            if (other.host, other.header.lower()) == (one.host, one.header.lower()):
                raise InvalidParams(
                    f"{file}: `secrets.{other.name}` and `{key}` set the same header of {one.host}.",
                    remedy="Take one of them out.",
                    info={"key": key},
                )
        found.append(one)
    return tuple(found)


def _host(file: str, key: str, value: Any) -> str:
    write = 'one host, without `*`, with a port if it is not 443: host = "api.example.com"'
    if not isinstance(value, str) or "*" in value:
        raise _wrong(file, key, value, write)
    try:
        host_glob(value)
    except InvalidParams:
        raise _wrong(file, key, value, write) from None
    return value.removesuffix(":443")


def _header(file: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not _HEADER.fullmatch(value) or _FRAMING.fullmatch(value.lower()):
        raise _wrong(
            file, key, value, 'the name of a header that a server reads a key from: header = "Authorization"'
        )
    return value


def _template(file: str, key: str, value: Any) -> str:
    good = isinstance(value, str) and len(value) <= 256 and _TEMPLATE.fullmatch(value)
    if not good or value.count("{}") != 1:
        # Without its {} it may hold the secret itself: it is not repeated.
        raise InvalidParams(
            f"{file}: `{key}` does not say where the secret goes.",
            remedy='Write ASCII text with one {} in it: format = "Bearer {}".',
            info={"key": key},
        )
    return value


_BINDING: dict[str, Check] = {"host": _host, "header": _header, "format": _template}

_KEYS: dict[str, Check] = {
    "name": _name,
    "description": _text,
    "version": _version,
    "entry": _entry,
    "default_skill": _text,
    "visibility": _visibility,
    "anonymous_list": _flag,
    "documentation_url": _url,
    "icon_url": _url,
    "extensions": _as_it_is,
}


def _find_entry(file: str, folder: Path, entry: str) -> None:
    where = entry.partition(":")[0]
    if where.endswith(".py"):
        path = PurePosixPath(where)
        if path.is_absolute() or ".." in path.parts or "\\" in where:
            raise _wrong(file, "entry", entry, f'a path inside the folder: entry = "{ENTRY}"')
        found = (folder / path).is_file()
    else:
        if not _MODULE.fullmatch(where):
            raise _wrong(file, "entry", entry, f'a file or a module: entry = "{ENTRY}" or entry = "reviewer"')
        base = folder.joinpath(*where.split("."))
        found = base.with_name(base.name + ".py").is_file() or (base / "__init__.py").is_file()
    if found:
        return
    scripts = sorted(p.name for p in folder.glob("*.py"))
    if scripts:
        remedy = f'Write entry = "{scripts[0]}", or make the file.'
    else:
        remedy = f"Make {ENTRY} with a function under @skill, and name it as the entry."
    raise InvalidParams(
        f"{file}: the entry `{entry}` is not in {folder}.", remedy=remedy, info={"key": "entry"}
    )


def _suggested(folder: Path) -> str:
    return _slug(folder.resolve().name) or "reviewer"


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")
    slug = re.sub(r"^[^a-z]+", "", slug)[:63]
    return f"{slug}-agent" if slug in RESERVED else slug
