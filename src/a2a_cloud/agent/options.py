"""The options of `@skill(…)`, checked where they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from a2a_cloud.agent.problem import BadDeclaration

SKILL_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
SCOPE = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w.+!#$&^-]*/(?:\*|[A-Za-z0-9][\w.+!#$&^-]*)|\*/\*")

LONGEST = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `@skill(…)` was told; empty strings and lists mean "take it from the function"."""

    id: str = ""
    name: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    timeout: float = 0.0
    retries: int = 0
    idempotent: bool = False
    durable: bool = False
    replayable: bool = True
    concurrency: int = 0
    extended: bool = False
    scopes: tuple[str, ...] = ()


def checked(
    *,
    id: str | None,  # noqa: A002 (the option's name)
    name: str | None,
    description: str | None,
    tags: Sequence[str],
    examples: Sequence[str],
    input_modes: Sequence[str],
    output_modes: Sequence[str],
    timeout: float | None,
    retries: int,
    idempotent: bool,
    durable: bool,
    replayable: bool | None,
    concurrency: int | None,
    extended: bool,
    scopes: Sequence[str],
) -> Options:
    """The options as a value; BadDeclaration with what to write for the first that is wrong."""
    if durable and replayable is False:
        raise BadDeclaration(
            "A durable skill goes on by replay, so it can't be replayable=False.",
            remedy="Leave one of the two out.",
        )
    return Options(
        id=_id(id),
        name=_text("name", name),
        description=_text("description", description),
        tags=_texts("tags", tags),
        examples=_texts("examples", examples),
        input_modes=_modes("input_modes", input_modes),
        output_modes=_modes("output_modes", output_modes),
        timeout=_timeout(timeout),
        retries=_count("retries", retries, 20),
        idempotent=_flag("idempotent", idempotent),
        durable=_flag("durable", durable),
        replayable=True if replayable is None else _flag("replayable", replayable),
        concurrency=0 if concurrency is None else _count("concurrency", concurrency, 1024, least=1),
        extended=_flag("extended", extended),
        scopes=_scopes(scopes),
    )


def _wrong(option: str, value: object, write: str) -> BadDeclaration:
    return BadDeclaration(f"@skill({option}={value!r}) can't be used.", remedy=f"Write {write}.")


def _id(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not SKILL_ID.fullmatch(value):
        raise _wrong("id", value, 'letters, digits, `_`, `-`, `.`, a letter first, at most 63: id="review"')
    return value


def _text(option: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip():
        raise _wrong(option, value, f'a text: {option}="…"')
    return value


def _texts(option: str, value: object) -> tuple[str, ...]:
    items = _items(value)
    if items is None or not all(isinstance(item, str) and item.strip() for item in items):
        raise _wrong(option, value, f'a list of texts: {option}=["…"]')
    return tuple(str(item) for item in items)


def _modes(option: str, value: object) -> tuple[str, ...]:
    items = _items(value)
    if items is None or not all(isinstance(item, str) and MEDIA_TYPE.fullmatch(item) for item in items):
        raise _wrong(option, value, f'a list of media types: {option}=["text/plain"]')
    return tuple(str(item) for item in items)


def _scopes(value: object) -> tuple[str, ...]:
    items = _items(value)
    if items is None or not all(isinstance(item, str) and SCOPE.fullmatch(item) for item in items):
        raise _wrong("scopes", value, 'a list of small letters and `._-`: scopes=["invoices.pay"]')
    return tuple(str(item) for item in items)


def _items(value: object) -> list[object] | None:
    # A single text is a sequence too, of letters: the commonest slip.
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return None
    return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _timeout(value: object) -> float:
    if value is None:
        return 0.0
    write = "seconds, more than 0 and at most 604800 (a week): timeout=30"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("timeout", value, write)
    if not math.isfinite(value) or not 0 < value <= LONGEST:
        raise _wrong("timeout", value, write)
    return float(value)


def _count(option: str, value: object, most: int, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(option, value, f"a whole number from {least} to {most}: {option}=3")
    return value


def _flag(option: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(option, value, f"{option}=True or {option}=False")
    return value
