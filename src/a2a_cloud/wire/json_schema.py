"""JSON Schema checks by the jsonschema library, for schemas that come from agents: nothing remote is
fetched, and a schema that can't be compiled is an error where it enters, not where it is used."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

#: A schema larger than this is refused.
MAX_SCHEMA = 1 << 20


class BadSchema(ValueError):
    """The schema can't be used; the text says why."""


class Misfit(ValueError):
    """The value does not fit. `path` is a JSON pointer into it; the text says what was expected."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self.path = path


def _no_remote(uri: str) -> Any:
    raise ValueError(f"{uri}: schemas may not refer to other documents")


@lru_cache(maxsize=512)
def compiled(schema: bytes) -> Any:
    """The validator of a JSON Schema (2020-12 unless it says otherwise). Raises BadSchema."""
    if len(schema) > MAX_SCHEMA:
        raise BadSchema(f"the schema is larger than {MAX_SCHEMA} bytes")
    try:
        return jsonschema_rs.validator_for(msgspec.json.decode(schema), retriever=_no_remote)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadSchema(str(error).splitlines()[0]) from None


def fits(schema: bytes, value: Any) -> bool:
    """Whether `value` fits."""
    return bool(compiled(schema).is_valid(value))


def check(schema: bytes, value: Any) -> None:
    """Raises Misfit when `value` does not fit."""
    try:
        compiled(schema).validate(value)
    except jsonschema_rs.ValidationError as error:
        path = "".join(f"/{step}" for step in error.instance_path)
        raise Misfit(str(error.message), path) from None
