"""JSON objects of older dialects, read one member at a time: what doesn't fit is an InvalidParams that
names its place.

A member that is null counts as absent, and a name may be written in snake_case too (`message_id`), as
clients of that time did both. Values that nobody here looks into become JSON text again (msgspec.Raw).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from a2a_cloud.model.problem import InvalidParams, Malformed
from a2a_cloud.wire.json_text import readable

_CAPITAL = re.compile(r"[A-Z]")
_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder()
_WHOLE = re.compile(r"-?[0-9]{1,9}\Z", re.ASCII)


def read_json(body: bytes) -> Any:
    """The value in `body`, whose text was checked before. Raises Malformed, InvalidParams."""
    try:
        return _any.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"A value does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None


class Members:
    """One JSON object; `at` is its place in the request, "" for the whole of it."""

    __slots__ = ("_members", "at")

    def __init__(self, value: object, at: str = "") -> None:
        if not isinstance(value, dict):
            raise InvalidParams(f"{at or 'What was sent'} has to be a JSON object.", info={"field": at})
        self._members = cast("dict[str, Any]", value)
        self.at = at

    def place(self, name: str) -> str:
        """The member's place in the request."""
        return f"{self.at}.{name}" if self.at else name

    def misfit(self, name: str, what: str, remedy: str = "") -> InvalidParams:
        """The problem of a member that has to be something else."""
        place = self.place(name)
        return InvalidParams(f"{place} {what}.", remedy=remedy, info={"field": place})

    def get(self, name: str) -> Any:
        """The member as it came, None for null and for none."""
        value = self._members.get(name)
        if value is None and name != name.lower():
            return self._members.get(_CAPITAL.sub(lambda found: "_" + found[0].lower(), name))
        return value

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def text(self, *names: str) -> str:
        """The text of the first of these members that is there; "" for none."""
        for name in names:
            value = self.get(name)
            if value is not None:
                if not isinstance(value, str):
                    raise self.misfit(name, f"has to be a string, not {readable(value)}")
                return value
        return ""

    def needed(self, *names: str) -> str:
        """The same, where there has to be one."""
        text = self.text(*names)
        if not text:
            raise self.misfit(names[0], "is missing")
        return text

    def texts(self, name: str) -> list[str] | None:
        """A list of strings."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[Any]", value)):
            raise self.misfit(name, "has to be a list of strings")
        return cast("list[str]", value)

    def whole(self, name: str) -> int | UnsetType:
        """A whole number, or the digits of one."""
        value = self.get(name)
        if value is None:
            return UNSET
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and _WHOLE.match(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 31:
            raise self.misfit(name, f"has to be a whole number, not {readable(value)}")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.misfit(name, f"has to be true or false, not {readable(value)}")
        return value

    def value(self, name: str) -> Raw:
        """Any value, null too, as JSON text."""
        return Raw(_encode(self._members.get(name)))

    def table(self, name: str) -> Raw | UnsetType:
        """An object that nobody here looks into, as JSON text."""
        value = self.get(name)
        if value is None:
            return UNSET
        if not isinstance(value, dict):
            raise self.misfit(name, "has to be a JSON object")
        return Raw(_encode(value))

    def object(self, *names: str) -> Members | None:
        """The first of these members that is there, which has to be an object."""
        for name in names:
            value = self.get(name)
            if value is not None:
                return Members(value, self.place(name))
        return None

    def objects(self, *names: str) -> Sequence[Members] | None:
        """The objects of the first of these lists that is there."""
        for name in names:
            value = self.get(name)
            if value is not None:
                if not isinstance(value, list):
                    raise self.misfit(name, "has to be a list")
                place = self.place(name)
                return [
                    Members(one, f"{place}[{index}]") for index, one in enumerate(cast("list[Any]", value))
                ]
        return None
