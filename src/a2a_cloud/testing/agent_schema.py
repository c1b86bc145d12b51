"""Answers against the JSON Schema of their question: checked where jsonschema-rs is installed, as it is
with `a2a-cloud[platform]`. With the kit alone the type that `ctx.ask` was given checks them."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def _library() -> ModuleType | None:
    try:
        from a2a_cloud.wire import json_schema
    except ModuleNotFoundError as error:
        if error.name != "jsonschema_rs":
            raise
        return None
    return json_schema


def unusable(schema: bytes) -> str:
    """Why nobody could answer to that schema; "" if it is fine, or can't be checked here."""
    library = _library()
    if library is not None:
        try:
            library.compiled(schema)
        except library.BadSchema as error:
            return str(error)
    return ""


def misfit(schema: bytes, value: Any) -> str:
    """Why the value does not fit; "" if it does, or can't be checked here."""
    library = _library()
    if library is not None:
        try:
            library.check(schema, value)
        except library.Misfit as error:
            return f"{error} (at {error.path})" if error.path else str(error)
    return ""
