"""Arguments against a skill's input schema (JSON Schema 2020-12), before a run exists: bad input never
reaches user code.

A validator is compiled once for each skill of a release. A refusal says where (a JSON path), what was
expected there, and which parameters the skill takes.
"""

from __future__ import annotations

from typing import Any, cast

import jsonschema_rs
import msgspec

from a2a_cloud.model.problem import InvalidAgentResponse, InvalidParams
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.wire.json_text import readable

_MAX_KEPT = 4096
_MAX_SHOWN = 5
_decode = msgspec.json.Decoder().decode
_canonical = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
EMPTY = b"{}"


class Gate:
    """The compiled schema of one skill, and what a refusal tells about its parameters."""

    __slots__ = ("schema", "spec", "validator")

    def __init__(self, spec: SkillSpec) -> None:
        schema: Any = _decode(spec.input_schema)
        self.spec = spec
        self.schema = cast("dict[str, Any]", schema) if type(schema) is dict else {}
        try:
            self.validator = jsonschema_rs.validator_for(cast("Any", schema), validate_formats=True)
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise InvalidAgentResponse(
                f"The skill {spec.id} declares an input schema that can't be used.", operator=str(error)
            ) from None

    @property
    def properties(self) -> dict[str, Any]:
        """The schemas of the parameters by name."""
        found = self.schema.get("properties")
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def check(self, arguments: Any) -> bytes:
        """The canonical JSON of `arguments` (keys sorted). Raises InvalidParams."""
        try:
            valid = self.validator.is_valid(arguments)
        except ValueError as error:
            # A number that the validator can't hold, a pattern that backtracks for ever.
            raise InvalidParams(f"The arguments can't be checked: {error}.", remedy=self.usage()) from None
        if not valid:
            raise self._misfit(arguments)
        body = _canonical(arguments)
        # Clients built on protobuf send every number as a double: 2 arrives as 2.0.
        return _canonical(_whole(arguments)) if b".0" in body else body

    def _misfit(self, arguments: Any) -> InvalidParams:
        said: list[str] = []
        first = ""
        for error in self.validator.iter_errors(arguments):
            path = json_path(error.instance_path)
            first = first or path
            text = error.message if len(error.message) <= 300 else error.message[:299] + "…"
            said.append(f"{path}: {text}")
            if len(said) == _MAX_SHOWN:
                break
        info = {"field": first, "skill": self.spec.id}
        return InvalidParams("; ".join(said) + ".", remedy=self.usage(), info=info)

    def usage(self) -> str:
        """One sentence: the parameters with their types, files included."""
        required = self.schema.get("required")
        needed = cast("list[Any]", required) if isinstance(required, list) else []
        words = [
            f"{name} ({_kind(schema)}{'' if name in needed else ', optional'})"
            for name, schema in self.properties.items()
        ]
        words += [
            f"{file.name} (file{'s' if file.many else ''}{'' if file.required else ', optional'})"
            for file in self.spec.files
        ]
        if not words:
            return f"The skill {self.spec.id} takes no arguments."
        return f"The skill {self.spec.id} takes: {', '.join(words[:40])}."


def _whole(value: Any) -> Any:
    """`value` with whole floats as the integers that JSON Schema takes them for."""
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_whole(item) for item in cast("list[Any]", value)]
    return value


def json_path(path: list[str | int]) -> str:
    """`$.a.b[1]` of ["a", "b", 1]."""
    text = "$"
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}"
        else:
            text += f"[{readable(step)}]"
    return text


def _kind(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "anything"
    known = cast("dict[str, Any]", schema)
    if "enum" in known and isinstance(known["enum"], list):
        values = cast("list[Any]", known["enum"])
        return " | ".join(msgspec.json.encode(value).decode() for value in values[:8])
    kind = known.get("type", "anything")
    if isinstance(kind, list):
        kind = " or ".join(str(k) for k in cast("list[Any]", kind))
    return f"{kind}, {known['format']}" if "format" in known else str(kind)


class Gates:
    """Compiled gates by release and skill."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], Gate] = {}

    def of(self, release: Release, spec: SkillSpec) -> Gate:
        """The gate of a skill of a release; a release never changes, so it is made once."""
        key = (release.no, spec.id)
        gate = self._kept.get(key)
        if gate is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            gate = self._kept[key] = Gate(spec)
        return gate
