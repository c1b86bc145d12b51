"""Sentences about arguments that do not fit: which one, where in it, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, cast

import msgspec

from a2a_cloud.agent.problem import InvalidArguments

_AT = re.compile(r"^(?P<what>.*) - at `(?:key in )?(?P<path>.*)`$", re.S)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.S)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.S)
_LONGEST = 400


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` was probably meant to be, or ""."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")


def explain(error: Exception, skill: str, schema: dict[str, Any], files: Iterable[str]) -> InvalidArguments:
    """What msgspec said about the arguments of `skill`, whose input schema is `schema`, for a caller."""
    if isinstance(error, RecursionError):
        return InvalidArguments("The arguments are nested too deeply.")
    if not isinstance(error, msgspec.ValidationError):
        if isinstance(error, ValueError):
            return InvalidArguments(
                f"The arguments are not valid JSON: {_short(error)}.", remedy="Send a JSON object in UTF-8."
            )
        return InvalidArguments(f"The arguments can't be used: {_short(error)}.")
    what, path = _taken_apart(str(error))
    if unknown := _UNKNOWN.match(what):
        return _unknown(unknown["name"], path, skill, schema, set(files))
    if missing := _MISSING.match(what):
        full = _joined(path, missing["name"])
        return InvalidArguments(
            f"The argument `{full}` of the skill `{skill}` is missing.",
            argument=full,
            remedy=_about(schema, full),
        )
    if not path:
        return InvalidArguments(
            f"The arguments must be a JSON object, not {_got(what)}.", remedy='Send {"name": value, …}.'
        )
    what = what[0].lower() + what[1:].rstrip(".")
    return InvalidArguments(
        f"The argument `{path}` of the skill `{skill}` does not fit: {_short(what)}.",
        argument=path,
        remedy=_choices(schema, path),
    )


def _unknown(name: str, path: str, skill: str, schema: dict[str, Any], files: set[str]) -> InvalidArguments:
    full = _joined(path, name)
    if not path and name in files:
        return InvalidArguments(
            f"The argument `{name}` of the skill `{skill}` is a file.",
            argument=name,
            remedy="Send it as a file part, not among the arguments.",
        )
    known = list(_at(schema, path).get("properties", {}))
    if meant := nearest(name, [*known, *(files if not path else ())]):
        remedy = f"Did you mean `{meant}`?"
    elif known:
        remedy = f"It takes {', '.join(f'`{one}`' for one in known)}."
    else:
        remedy = "It takes no arguments."
    subject = f"`{path}`" if path else f"The skill `{skill}`"
    return InvalidArguments(
        f"{subject} has no argument `{_short(name)}`.", argument=_short(full), remedy=remedy
    )


def _taken_apart(message: str) -> tuple[str, str]:
    """msgspec's message and its path, without the leading `$.`."""
    found = _AT.match(message)
    if not found:
        return message, ""
    return found["what"], found["path"].removeprefix("$").removeprefix(".")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _got(what: str) -> str:
    return what.rpartition("got `")[2].rstrip("`") or "that"


def _short(text: object) -> str:
    said = str(text)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _about(schema: dict[str, Any], path: str) -> str:
    description = _at(schema, path).get("description")
    return str(description) if description else ""


def _choices(schema: dict[str, Any], path: str) -> str:
    values = _at(schema, path).get("enum")
    if not values:
        return ""
    return f"Write one of {', '.join(msgspec.json.encode(value).decode() for value in values)}."


def _at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema that holds at a path such as `a.b[0]`; {} where it can't be followed."""
    here = _resolved(schema, schema)
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        if step.startswith("["):
            following = here.get("items", here.get("additionalProperties"))
        else:
            following = here.get("properties", {}).get(step)
        if not isinstance(following, dict):
            return {}
        here = _resolved(cast("dict[str, Any]", following), schema)
    return here


def _resolved(here: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    arms = [arm for arm in here.get("anyOf", []) if arm.get("type") != "null"]
    if len(arms) == 1:
        here = {**arms[0], **{k: v for k, v in here.items() if k != "anyOf"}}
    ref = here.get("$ref")
    if not isinstance(ref, str):
        return here
    return {**root.get("$defs", {}).get(ref.removeprefix("#/$defs/"), {}), **here}
