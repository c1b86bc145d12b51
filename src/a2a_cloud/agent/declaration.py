"""A declared skill, made ready for calls: arguments in, typed; results out, checked.

Decoders and encoders are made once, at load. A call costs one pass over the arguments (all of them
are decoded and checked at once, into a struct of the parameters) and one or two over the result.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from msgspec.structs import astuple

from a2a_cloud.agent import docs, foreign, schema
from a2a_cloud.agent.files import OCTETS, File
from a2a_cloud.agent.misfit import explain, nearest
from a2a_cloud.agent.options import Options
from a2a_cloud.agent.parameters import MISSING, FileParameter, Parameter, Shape, read
from a2a_cloud.agent.problem import BadDeclaration, BadResult, InvalidArguments

Files = Mapping[str, "File | list[File]"]
Bound = tuple[tuple[Any, ...], dict[str, Any]]

_plain = msgspec.json.Encoder(enc_hook=foreign.builtins)
# Sets have another order in every process, and a replay compares bytes.
_ordered = msgspec.json.Encoder(enc_hook=foreign.builtins, order="deterministic")


class Declaration:
    """One skill (or the message handler) as the worker serves it.

    `function` is called with what `bind` gives. `is_async`: call it in the event loop, else in a
    thread. `is_generator`: the call gives an iterator (`is_async`: an async one; it isn't awaited);
    with `yields_text` its items are text deltas and the result is all of them joined, otherwise they
    are JSON values (`dump_item`) and the result is the list of them.
    """

    def __init__(self, function: Callable[..., Any], options: Options, scope: Mapping[str, Any]) -> None:
        """Raises BadDeclaration."""
        self.function = function
        self.options = options
        self.id = options.id or function.__name__
        self._doc = docs.parse(function.__doc__)
        shape = read(function, scope)
        self.is_async = shape.is_async
        self.is_generator = shape.is_generator
        self.context_param = shape.context
        self.wants_context = bool(shape.context)
        self.parameters = shape.parameters
        self.files = shape.files
        self._files = {file.name: file for file in shape.files}
        self._shape = shape
        self._prepare_input(shape)
        self._prepare_output(shape)

    def __repr__(self) -> str:
        return f"<Declaration {self.id}>"

    # -- what it says of itself

    @property
    def text_param(self) -> str:
        """The one string parameter that free text can fill, or ""."""
        texts = [p for p in self._shape.parameters if schema.takes_text(p.annotation)]
        required = [p for p in texts if p.default is MISSING]
        candidates = required or texts
        return candidates[0].name if len(candidates) == 1 else ""

    def spec(self) -> dict[str, Any]:
        """What the worker reports in `ready`: JSON-encodes to model.release.SkillSpec."""
        options = self.options
        name = options.name or self.id.replace("_", " ").replace("-", " ").strip().capitalize()
        return {
            "id": self.id,
            "name": name,
            "description": options.description or self._doc.summary or name,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "tags": list(options.tags),
            "examples": list(options.examples),
            "input_modes": list(options.input_modes),
            "output_modes": list(options.output_modes),
            "files": [
                {
                    "name": file.name,
                    "required": file.required,
                    "many": file.many,
                    "media_types": list(file.media_types),
                    "description": file.description or self._doc.params.get(file.name, ""),
                }
                for file in self.files
            ],
            "text_param": self.text_param,
            "timeout": options.timeout,
            "retries": options.retries,
            "idempotent": options.idempotent,
            "durable": options.durable,
            "replayable": options.replayable,
            "concurrency": options.concurrency,
            "streams": self.is_generator,
            "extended": options.extended,
            "scopes": options.scopes,
        }

    # -- arguments

    def bind(self, arguments: bytes, files: Files | None = None, context: Any = None) -> Bound:
        """(args, kwargs) for `function` from a JSON object (b"" is an empty one). Raises InvalidArguments."""
        try:
            values = astuple(self._decode(arguments or b"{}"))
        except (ValueError, RecursionError, TypeError) as error:
            raise explain(error, self.id, self.input_schema, self._files) from None
        if self._straight and not files:
            return ((context, *values) if self.wants_context else values), {}
        named = dict(zip(self._names, values, strict=True))
        self._bind_files(files or {}, named)
        if self.wants_context:
            named[self.context_param] = context
        shape = self._shape
        return tuple(named[name] for name in shape.positional), {name: named[name] for name in shape.keyword}

    def bind_text(self, text: str, files: Files | None = None, context: Any = None) -> Bound:
        """`bind` where the caller named no arguments and sent free text."""
        name = self.text_param
        return self.bind(msgspec.json.encode({name: text}) if name else b"", files, context)

    def _prepare_input(self, shape: Shape) -> None:
        kinds = [_kind(self.id, parameter) for parameter in shape.parameters]
        self._names = tuple(parameter.name for parameter in shape.parameters)
        fields = [_field(p, kind) for p, kind in zip(shape.parameters, kinds, strict=True)]
        struct = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
        self.input_schema = self._input_schema(shape, kinds)
        self._decode = cast("Callable[[bytes], msgspec.Struct]", schema.decoder(struct).decode)
        first = shape.positional[:1] == (shape.context,) if shape.context else True
        self._straight = not shape.files and not shape.keyword and first

    def _input_schema(self, shape: Shape, kinds: list[Any]) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        described, components = schema.schemas(kinds) if kinds else ([], {})
        for parameter, found in zip(shape.parameters, described, strict=True):
            text = self._doc.params.get(parameter.name)
            if text and ("description" not in found):
                found["description"] = text
            default = _default(parameter.default)
            if default is not MISSING:
                found["default"] = default
            properties[parameter.name] = found
        required = [p.name for p in shape.parameters if p.default is MISSING]
        out: dict[str, Any] = {"type": "object"}
        if self._doc.summary:
            out["description"] = self._doc.summary
        out["properties"] = properties
        if required:
            out["required"] = required
        out["additionalProperties"] = False
        if components:
            out["$defs"] = components
        return out

    def _bind_files(self, files: Files, named: dict[str, Any]) -> None:
        for name in files:
            if name not in self._files:
                meant = nearest(name, self._files)
                remedy = f"Did you mean `{meant}`?" if meant else ""
                raise InvalidArguments(
                    f"The skill `{self.id}` takes no file `{name}`.", argument=name, remedy=remedy
                )
        for file in self.files:
            named[file.name] = self._file(file, files.get(file.name))

    def _file(self, wanted: FileParameter, given: File | list[File] | None) -> Any:
        several = [] if given is None else given if isinstance(given, list) else [given]
        if not several:
            if wanted.required:
                raise InvalidArguments(
                    f"The file `{wanted.name}` of the skill `{self.id}` is missing.", argument=wanted.name
                )
            return copy.copy(wanted.default)
        if len(several) > 1 and not wanted.many:
            raise InvalidArguments(
                f"`{wanted.name}` of the skill `{self.id}` takes one file, and {len(several)} came.",
                argument=wanted.name,
            )
        for one in several:
            if not _suits(one.media_type, wanted.media_types):
                raise InvalidArguments(
                    f"`{wanted.name}` of the skill `{self.id}` takes {', '.join(wanted.media_types)}, "
                    f"and `{one.name}` is {one.media_type}.",
                    argument=wanted.name,
                )
        if not wanted.many:
            return several[0]
        return tuple(several) if wanted.as_tuple else several

    # -- results

    def dump(self, result: Any) -> bytes:
        """The result as JSON, checked against the declared type. Raises BadResult.

        Of a generator: the joined text, or the list of what it yielded.
        """
        return self._dump(result)

    def dump_item(self, item: Any) -> bytes:
        """One yielded item as JSON, checked. Raises BadResult."""
        return self._dump_item(item)

    def _prepare_output(self, shape: Shape) -> None:
        self.yields_text = shape.is_generator and schema.takes_text(shape.returns)
        item, self.output_schema = self._output(shape.returns)
        self._dump_item = self._dump = item
        if shape.is_generator and not self.yields_text:
            self._dump, self.output_schema = self._output(list[shape.returns])
        if self._doc.returns and self.output_schema.get("type") != "null":
            self.output_schema.setdefault("description", self._doc.returns)

    def _output(self, annotation: Any) -> tuple[Callable[[Any], bytes], dict[str, Any]]:
        if annotation is None:
            annotation = type(None)
        try:
            kind = schema.native(annotation)
            if schema.touches_pydantic(kind):
                return self._checked(foreign.writer(annotation)), foreign.schema(annotation, "serialization")
            (described,), components = schema.schemas([kind], "serialization")
            check = schema.decoder(kind).decode
        except BadDeclaration as error:
            raise BadDeclaration(
                f"The skill `{self.id}` returns what can't be sent. {error.detail}",
                remedy=error.remedy or "Return builtins, dataclasses, TypedDicts or Structs.",
            ) from None
        if components:
            described["$defs"] = components
        unordered = b'"uniqueItems":true' in msgspec.json.encode(described) or kind is Any
        encode = _ordered.encode if unordered else _plain.encode
        if kind is Any:
            return self._checked(encode), described
        if kind in (str, int, bool) and described.keys() == {"type"}:
            return self._checked_scalar(kind, check), described

        def write(result: Any) -> bytes:
            data = encode(result)
            check(data)
            return data

        return self._checked(write), described

    def _checked_scalar(self, kind: type, check: Callable[[bytes], Any]) -> Callable[[Any], bytes]:
        encode = _plain.encode

        def write(result: Any) -> bytes:
            data = encode(result)
            if type(result) is not kind:
                check(data)
            return data

        return self._checked(write)

    def _checked(self, write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
        def dump(result: Any) -> bytes:
            try:
                return write(result)
            except (ValueError, TypeError, RecursionError, OverflowError, NotImplementedError) as error:
                why = str(error) or type(error).__name__
                raise BadResult(
                    f"The result of the skill `{self.id}` does not fit its return type: {why[:400]}"
                ) from None

        return dump


def _kind(skill: str, parameter: Parameter) -> Any:
    annotation = parameter.annotation
    if parameter.default is None and not schema.allows_none(annotation):
        annotation = annotation | None if isinstance(annotation, type) else _optional(annotation)
    try:
        kind = schema.native(annotation)
        schema.decoder(kind)
        schema.schemas([kind])
    except BadDeclaration as error:
        if annotation is File or "File" in str(annotation):
            remedy = "A file is a parameter of its own: File, File | None or list[File]."
        else:
            remedy = error.remedy or "Use builtins, dataclasses, TypedDicts, enums, dates, bytes or Structs."
        raise BadDeclaration(
            f"The parameter `{parameter.name}` of the skill `{skill}` can't be sent. {error.detail}",
            remedy=remedy,
        ) from None
    return kind


def _optional(annotation: Any) -> Any:
    from typing import Optional

    return Optional[annotation]  # noqa: UP045 (any annotation, also those without `|`)


def _field(parameter: Parameter, kind: Any) -> tuple[Any, ...]:
    default = parameter.default
    if default is MISSING:
        return (parameter.name, kind)
    if isinstance(default, list | dict | set | bytearray):
        # One call's changes to a default must not be seen by the next.
        made = cast("Any", default)
        return (parameter.name, kind, msgspec.field(default_factory=lambda: copy.deepcopy(made)))
    return (parameter.name, kind, msgspec.field(default_factory=lambda: default))


def _default(value: Any) -> Any:
    """A default as JSON builtins; MISSING where there is none or it can't be written."""
    if value is MISSING or value is msgspec.UNSET:
        return MISSING
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=foreign.builtins)
    except (TypeError, ValueError, NotImplementedError):
        return MISSING


def _suits(media_type: str, wanted: tuple[str, ...]) -> bool:
    """Whether a file fits; one whose type nobody knows is let through."""
    found = media_type.partition(";")[0].strip().lower()
    if not wanted or found in ("", OCTETS):
        return True
    major = found.partition("/")[0]
    return any(one.lower() in (found, f"{major}/*", "*/*") for one in wanted)
