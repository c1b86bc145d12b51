"""Parts of a message on their way in (A2A 1.0, section 4.1.6): checked, large ones moved to objects,
files bound to parameters.

A file part finds its parameter by its metadata `{"param": NAME}`, then by media type, then by order.
"""

from __future__ import annotations

import asyncio
import binascii
import mimetypes
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import UNSET, Raw

from a2a_cloud.model.problem import ContentTypeNotSupported, InvalidParams
from a2a_cloud.model.release import FileParam, SkillSpec
from a2a_cloud.model.run import BoundFile
from a2a_cloud.model.task import Message, Part, Role
from a2a_cloud.surface.alike import alike
from a2a_cloud.surface.ports import Objects, SurfaceLimits
from a2a_cloud.surface.push_port import Files
from a2a_cloud.wire.json_text import readable

OCTETS = "application/octet-stream"
_MAX_ID = 256
_MAX_NAMES = 100
#: Bytes of metadata that is remembered.
_SHORT = 256
_URLSAFE = str.maketrans("-_", "+/")
_any = msgspec.json.Decoder()


def check_message(message: Message, limits: SurfaceLimits) -> bool:
    """Whether a part is larger than what stays inline. Raises InvalidParams for what A2A doesn't allow.

    What came from outside as `object` is dropped: only the platform makes those.
    """
    parts = message.parts
    if not parts:
        raise InvalidParams(
            "The message has no parts.", remedy="Send at least one part.", info={"field": "message.parts"}
        )
    if len(parts) > limits.parts:
        raise InvalidParams(
            f"The message has {len(parts)} parts; at most {limits.parts} are taken.",
            info={"field": "message.parts"},
        )
    check_id(message.message_id, "message.messageId")
    if message.role is not Role.USER:
        raise InvalidParams("A caller speaks as ROLE_USER.", info={"field": "message.role"})
    if message.context_id is not UNSET:
        if message.context_id:
            check_id(message.context_id, "message.contextId")
        else:
            message.context_id = UNSET
    if message.task_id is not UNSET:
        if message.task_id:
            check_id(message.task_id, "message.taskId")
        else:
            message.task_id = UNSET
    if message.metadata is not UNSET and not is_object(message.metadata, "message.metadata"):
        message.metadata = UNSET
    for names, field in (
        (message.extensions, "message.extensions"),
        (message.reference_task_ids, "message.referenceTaskIds"),
    ):
        if names is not UNSET and (len(names) > _MAX_NAMES or any(len(name) > 2048 for name in names)):
            raise InvalidParams(f"{field} holds more than {_MAX_NAMES} names.", info={"field": field})
    large = False
    inline = limits.inline
    for index, part in enumerate(parts):
        part.object = UNSET
        size = -1
        if part.text is not UNSET:
            size = len(part.text)
        if part.data is not UNSET:
            size = _only(size, index) or len(bytes(part.data))
        if part.raw is not UNSET:
            # Four characters of base64 hold three bytes.
            size = _only(size, index) or len(part.raw) * 3 // 4
            if len(part.raw) <= inline:  # Larger ones are decoded when they become objects.
                decode_base64(part.raw, index)
        if part.url is not UNSET:
            size = _only(size, index) or len(part.url)
        if size < 0:
            raise InvalidParams(
                f"Part {index} is empty.",
                remedy="Give it one of text, raw, url or data.",
                info={"field": f"message.parts[{index}]"},
            )
        if size > inline:
            large = True
        if part.metadata is not UNSET and not is_object(part.metadata, f"message.parts[{index}].metadata"):
            part.metadata = UNSET
    return large


def _only(size: int, index: int) -> int:
    if size >= 0:
        raise InvalidParams(
            f"Part {index} has more than one content.",
            remedy="Give it one of text, raw, url or data.",
            info={"field": f"message.parts[{index}]"},
        )
    return 0


def check_id(text: str, field: str) -> None:
    """Raises InvalidParams unless `text` is 1 to 256 printable characters."""
    if not text or len(text) > _MAX_ID or not text.isprintable():
        raise InvalidParams(f"{field} has to be 1 to {_MAX_ID} printable characters.", info={"field": field})


class Said(NamedTuple):
    """Metadata: its value, which nobody may change, and the bytes by which two are alike."""

    value: Any
    alike: bytes


def metadata_of(raw: Raw, field: str) -> Said:
    """What is said beside a message. Most callers say the same with every call (which skill is meant), so
    short ones are remembered. Raises InvalidParams for numbers that nothing can hold."""
    data = bytes(raw)
    return _remembered(data, field) if len(data) <= _SHORT else _said(data, field)


def _said(data: bytes, field: str) -> Said:
    value = decode_any(data, field)
    return Said(value, alike(data, value))


_remembered = lru_cache(512)(_said)


def is_object(raw: Raw, field: str) -> bool:
    """Whether metadata is an object; False for null. Raises InvalidParams for anything else."""
    value = metadata_of(raw, field).value
    if value is None:
        return False
    if not isinstance(value, dict):
        raise InvalidParams(f"{field} has to be an object.", info={"field": field})
    return True


def decode_any(raw: Raw | bytes, field: str) -> Any:
    """A value that was kept as bytes. Raises InvalidParams for numbers that nothing can hold."""
    try:
        return _any.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParams(f"{field} can't be read: {error}.", info={"field": field}) from None


async def store_raw(message: Message, objects: Objects, limits: SurfaceLimits) -> None:
    """Moves the bytes of large `raw` parts to the object store; the message then holds references."""
    for index, part in enumerate(message.parts):
        if part.raw is UNSET or len(part.raw) <= limits.inline:
            continue
        body = decode_base64(part.raw, index)
        if len(body) > limits.inline:
            part.media_type = media_type_of(part)
            part.raw = UNSET
            part.object = await objects.put(body)
            if part.metadata is not UNSET:
                # Else the whole body of the request would live as long as the run.
                part.metadata = part.metadata.copy()


async def store_said(message: Message, objects: Objects, limits: SurfaceLimits) -> None:
    """Moves large text and data parts too, of a message whose arguments are known and kept apart."""
    kept: list[Part] = []
    for part in message.parts:
        if part.text is not UNSET:
            body, kind = part.text.encode(), "text/plain"
        elif part.data is not UNSET:
            body, kind = bytes(part.data), "application/json"
        else:
            body, kind = b"", ""
        if len(body) <= limits.inline:
            kept.append(part)
            continue
        part = Part(
            object=await objects.put(body),
            filename=part.filename,
            media_type=kind if part.media_type is UNSET else part.media_type,
            metadata=part.metadata.copy() if part.metadata is not UNSET else UNSET,
        )
        kept.append(part)
    message.parts = kept


def decode_base64(text: str, index: int) -> bytes:
    """The bytes of a `raw` part, in the standard or the URL-safe alphabet. Raises InvalidParams."""
    if "-" in text or "_" in text:
        text = text.translate(_URLSAFE)
    if len(text) % 4:
        text += "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(text, strict_mode=True) if text else b""
    except (binascii.Error, ValueError) as error:
        raise InvalidParams(
            f"Part {index}: raw is not base64: {error}.", info={"field": f"message.parts[{index}].raw"}
        ) from None


def media_type_of(part: Part) -> str:
    """The part's media type in lower case without parameters; guessed from its file name when it has none."""
    if part.media_type is not UNSET and part.media_type:
        return part.media_type.partition(";")[0].strip().lower()
    if part.text is not UNSET:
        return "text/plain"
    if part.filename is not UNSET:
        return mimetypes.guess_type(part.filename)[0] or OCTETS
    return OCTETS


def is_file(part: Part) -> bool:
    """Whether a part is a file: bytes, a reference, an address, or text that has a file name."""
    return (
        part.raw is not UNSET
        or part.url is not UNSET
        or part.object is not UNSET
        or (part.text is not UNSET and part.filename is not UNSET)
    )


def has_address(parts: list[Part]) -> bool:
    """Whether one of the parts says where its file is to be had."""
    for part in parts:  # noqa: SIM110 (a generator costs more than the loop)
        if part.url is not UNSET:
            return True
    return False


async def fetch_addresses(message: Message, files: Files | None, limits: SurfaceLimits, owner: int) -> None:
    """Puts the files in the place of their addresses, as objects, for the principal `owner`. Raises
    InvalidParams, StorageFull."""
    parts = list(message.parts)
    left = limits.fetched
    try:
        async with asyncio.timeout(limits.fetch_seconds):
            for index, part in enumerate(parts):
                if part.url is UNSET:
                    continue
                field = f"message.parts[{index}].url"
                if files is None:
                    raise InvalidParams(
                        f"Part {index} is the address of a file: this platform fetches none.",
                        remedy="Send the file itself as raw (base64), or POST it to /invoke.",
                        info={"field": field},
                    )
                found = await files.fetch(part.url, left, field, owner)
                left -= found.ref.size
                fetched = Part(object=found.ref, metadata=part.metadata)
                if part.filename is not UNSET or found.filename:
                    fetched.filename = found.filename if part.filename is UNSET else part.filename
                if part.media_type is not UNSET and part.media_type:
                    fetched.media_type = part.media_type
                elif found.media_type not in ("", OCTETS):
                    fetched.media_type = found.media_type
                parts[index] = fetched
    except TimeoutError:
        raise InvalidParams(
            f"The files of the message could not be fetched within {limits.fetch_seconds:g} s.",
            remedy="Send them as raw (base64), or POST them to /invoke.",
            info={"field": "message.parts"},
        ) from None
    message.parts = parts


def matches(media_type: str, patterns: list[str]) -> bool:
    """Whether `media_type` fits one of `patterns`, such as `text/*`."""
    return any(fnmatchcase(media_type, pattern.partition(";")[0].strip().lower()) for pattern in patterns)


def bind_files(spec: SkillSpec, parts: list[Part], files: list[int]) -> list[BoundFile]:
    """Binds `parts[i]` for each i of `files` to the skill's file parameters.

    Raises InvalidParams for a file too many or missing, ContentTypeNotSupported for a wrong media type.
    """
    params = {param.name: param for param in spec.files}
    bound: dict[str, list[int]] = {}
    rest: list[int] = []
    for index in files:
        name = _named(parts[index], index)
        if name is None:
            rest.append(index)
        elif name not in params:
            raise InvalidParams(
                f"Part {index} is meant for {readable(name)}, which is no file parameter of {spec.id}.",
                remedy=_takes(spec),
                info={"field": f"message.parts[{index}].metadata"},
            )
        else:
            if not _fits(parts[index], params[name]):
                raise _wrong_type(parts[index], index, spec)
            bound.setdefault(name, []).append(index)
    for by_type in (True, False):
        left: list[int] = []
        for index in rest:
            param = _free(parts[index], spec.files, bound, by_type)
            if param is None:
                left.append(index)
            else:
                bound.setdefault(param.name, []).append(index)
        rest = left
    if rest:
        index = rest[0]
        if not spec.files or any(_fits(parts[index], param) for param in spec.files):
            raise InvalidParams(
                f"The skill {spec.id} has no parameter left for the file in part {index}.",
                remedy=_takes(spec),
                info={"field": f"message.parts[{index}]"},
            )
        raise _wrong_type(parts[index], index, spec)
    result: list[BoundFile] = []
    for param in spec.files:
        given = bound.get(param.name, [])
        if len(given) > 1 and not param.many:
            raise InvalidParams(f"The parameter {param.name} takes one file, not {len(given)}.")
        if not given and param.required:
            raise InvalidParams(
                f"The skill {spec.id} needs a file for {param.name}.",
                remedy='Send it as a part with raw (base64), filename and mediaType, and metadata {"param": '
                f'"{param.name}"}}; or POST it to /invoke/{spec.id} as the body.',
                info={"field": param.name},
            )
        result += [_bound(param.name, parts[index], index) for index in sorted(given)]
    return result


def _named(part: Part, index: int) -> str | None:
    if part.metadata is UNSET:
        return None
    metadata = cast("dict[str, Any]", decode_any(part.metadata, "metadata"))
    name = metadata.get("param")
    if name is not None and not isinstance(name, str):
        raise InvalidParams(f"Part {index}: metadata.param has to be a parameter's name.")
    return name


def _fits(part: Part, param: FileParam) -> bool:
    return not param.media_types or matches(media_type_of(part), param.media_types)


def _free(
    part: Part, params: list[FileParam], bound: dict[str, list[int]], by_type: bool
) -> FileParam | None:
    for param in params:
        if (
            (param.many or param.name not in bound)
            and bool(param.media_types) is by_type
            and _fits(part, param)
        ):
            return param
    return None


def _wrong_type(part: Part, index: int, spec: SkillSpec) -> ContentTypeNotSupported:
    return ContentTypeNotSupported(
        f"Part {index} is {readable(media_type_of(part))}, which {spec.id} doesn't take.", remedy=_takes(spec)
    )


def _takes(spec: SkillSpec) -> str:
    if not spec.files:
        return f"The skill {spec.id} takes no files."
    words = [
        f"{param.name}{'' if param.required else ' (optional)'}"
        + (f": {', '.join(param.media_types)}" if param.media_types else "")
        for param in spec.files
    ]
    return f"Its files are {'; '.join(words)}."


def _bound(name: str, part: Part, index: int) -> BoundFile:
    media_type = media_type_of(part)
    filename = "" if part.filename is UNSET else part.filename
    if part.object is not UNSET:
        return BoundFile(name, filename, media_type, part.object.size, object=part.object)
    if part.raw is not UNSET:
        body = decode_base64(part.raw, index)
    else:
        assert part.text is not UNSET, "addresses were fetched before"
        body = part.text.encode()
    return BoundFile(name, filename, media_type, len(body), inline=body)
