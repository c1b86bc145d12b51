"""JSON Schema checks by the jsonschema library, for schemas that come from agents: nothing remote is
fetched, and a schema that can't be compiled is an error where it enters, not where it is used."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from a2a_cloud.wire.schema_cost import Plan, TooCostly

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
def _ready(schema: bytes) -> tuple[Any, Plan | None]:
    if len(schema) > MAX_SCHEMA:
        raise BadSchema(f"the schema is larger than {MAX_SCHEMA} bytes")
    try:
        told = msgspec.json.decode(schema)
        plan = Plan(told)
        return jsonschema_rs.validator_for(told, retriever=_no_remote), plan if plan.counted else None
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadSchema(str(error).splitlines()[0]) from None


def compiled(schema: bytes) -> Any:
    """The validator of a JSON Schema (2020-12 unless it says otherwise). Raises BadSchema."""
    return _ready(schema)[0]


def fits(schema: bytes, value: Any) -> bool:
    """Whether `value` fits; one that would take too long to check does not."""
    validator, plan = _ready(schema)
    try:
        if plan is not None:
            plan.check(value)
    except TooCostly:
        return False
    return bool(validator.is_valid(value))


def check(schema: bytes, value: Any) -> None:
    """Raises Misfit when `value` does not fit, or would take too long to check."""
    validator, plan = _ready(schema)
    try:
        if plan is not None:
            plan.check(value)
        validator.validate(value)
    except TooCostly as error:
        raise Misfit(str(error), "") from None
    except jsonschema_rs.ValidationError as error:
        path = "".join(f"/{step}" for step in error.instance_path)
        raise Misfit(str(error.message), path) from None
