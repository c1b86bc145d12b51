"""From what a caller said to a `Call`: which skill, which arguments, which files, which kinds of answer
(A2A 1.0, 3.1.1).

A skill is named by `metadata.skill` or by a data part `{"skill": ID, "arguments": {…}}`. Free text goes
to the agent's message handler; without one to the text parameter of the default or only skill. A
message to a task that asked something is its answer and needs no skill. Everything is checked here, so
that bad input never becomes a run.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, cast

from msgspec import UNSET

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import ContentTypeNotSupported, InvalidParams, SkillNotFound
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.model.run import BoundFile, Call
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.model.task import INTERRUPTED, TERMINAL, Message, Part
from a2a_cloud.surface import narrowing, priority, spending
from a2a_cloud.surface.alike import alike, parts_alike
from a2a_cloud.surface.arguments import EMPTY, Gates
from a2a_cloud.surface.parts import (
    bind_files,
    check_message,
    decode_any,
    fetch_addresses,
    has_address,
    is_file,
    is_object,
    matches,
    media_type_of,
    metadata_of,
    store_raw,
    store_said,
)
from a2a_cloud.surface.ports import Services
from a2a_cloud.wire.a2a_v1 import SendMessageParams
from a2a_cloud.wire.json_text import readable

_OWN_MEMBERS = frozenset({"skill", "arguments"})
_DEFAULT_OUTPUT = ["text/plain", "application/json"]


class Calls:
    """Makes Calls out of messages."""

    __slots__ = ("_files", "_limits", "_objects", "_runs", "gates")

    def __init__(self, services: Services) -> None:
        self._runs = services.runs
        self._objects = services.objects
        self._files = services.files
        self._limits = services.limits
        self.gates = Gates()

    async def of_message(
        self, release: Release, principal: Principal, params: SendMessageParams, *, shown: bool
    ) -> Call:
        """The Call that `params` ask of `release`.

        Raises InvalidParams, ContentTypeNotSupported, TaskNotFound, StorageFull.
        """
        message = params.message
        large = check_message(message, self._limits)
        if params.metadata is not UNSET and not is_object(params.metadata, "metadata"):
            params.metadata = UNSET
        if large:
            await store_raw(message, self._objects, self._limits)
        task_id = "" if message.task_id is UNSET else message.task_id
        context_id = "" if message.context_id is UNSET else message.context_id
        accepted = params.configuration.accepted_output_modes
        routed: tuple[str, bytes, list[BoundFile], bytes] | None = None
        if not task_id or not self._answers(release, principal, task_id, context_id):
            try:
                seen = release.seen_by(principal.anonymous)
                if has_address(message.parts) and _takes_files(seen, message, params):
                    routed = await self._fetched(release, seen, principal, params)
                else:
                    routed = self._route(seen, message, params)
            except InvalidParams:
                # The retry of an answer names no skill either; its key leads to the run that it answered.
                # And a task that has ended takes nothing: that is what the caller has to hear.
                if not task_id or not (
                    self._runs.used(release, principal, message.message_id)
                    or self._ended(release, principal, task_id)
                ):
                    raise
        if routed is None:
            skill, arguments, files, parts_hash = "", EMPTY, [], _hash_parts(message.parts)
        else:
            skill, arguments, files, parts_hash = routed
            if accepted:
                _check_output(release, skill, accepted)
        identity = fingerprint(release, task_id, context_id, message, parts_hash)
        if large and skill:
            await store_said(message, self._objects, self._limits)
        return Call(
            release=release,
            principal=principal,
            skill=skill,
            arguments=arguments,
            message=message,
            files=files,
            context_id=context_id,
            task_id=task_id,
            answer=routed is None,
            key="" if principal.anonymous else message.message_id,
            fingerprint=identity,
            shown=shown or params.configuration.return_immediately,
            output_modes=accepted,
            narrow=narrowing.of_metadata(message.metadata, params.metadata),
            priority=priority.of_metadata(principal, message.metadata, params.metadata),
            budget=spending.of_metadata(message.metadata, params.metadata),
        )

    async def _fetched(
        self, release: Release, seen: Release, principal: Principal, params: SendMessageParams
    ) -> tuple[str, bytes, list[BoundFile], bytes] | None:
        """As `_route`, with the files in the place of their addresses; None for a repeat: its key leads to
        its run, and what is at the address now may be another file. What identifies the parts is how they
        came."""
        message = params.message
        said = _hash_parts(message.parts)
        if not principal.anonymous and self._runs.used(release, principal, message.message_id):
            return None
        await fetch_addresses(message, self._files, self._limits, principal.no)
        skill, arguments, files, _ = self._route(seen, message, params)
        return skill, arguments, files, said

    def _ended(self, release: Release, principal: Principal, task_id: str) -> bool:
        scope = owner_scope(principal, release.org_no)
        return self._runs.task(scope, release.agent_no, task_id).state in TERMINAL

    def _answers(self, release: Release, principal: Principal, task_id: str, context_id: str) -> bool:
        """Whether a message to this task answers its question. Raises TaskNotFound, InvalidParams."""
        view = self._runs.task(owner_scope(principal, release.org_no), release.agent_no, task_id)
        if context_id and context_id != view.context_id:
            raise InvalidParams(
                "The task belongs to another context than the message says.",
                remedy="Leave contextId out, or send the task's own.",
                info={"field": "message.contextId"},
            )
        return view.state in INTERRUPTED

    def _route(
        self, release: Release, message: Message, params: SendMessageParams
    ) -> tuple[str, bytes, list[BoundFile], bytes]:
        """(skill, arguments, files, what identifies the parts)."""
        parts = message.parts
        named = _named_skill(message, params)
        data: Any = None
        has_data = False
        texts: list[str] = []
        files: list[int] = []
        hashed = bytearray()
        for index, part in enumerate(parts):
            if part.data is not UNSET:
                value = decode_any(part.data, f"message.parts[{index}].data")
                hashed += alike(part.data, value)
                if not has_data:
                    data, has_data = value, True
                elif _names_skill(value) and not _names_skill(data):
                    data = value
            elif is_file(part):
                files.append(index)
            elif part.text is not UNSET:
                texts.append(part.text)
        if not has_data or len(parts) > 1:
            hashed += parts_alike(parts)
        wanted, arguments = _from_data(data, named) if has_data else (named, None)
        if wanted is None:
            if release.has_message_handler:
                if files:
                    _check_handled(release, parts, files)
                return "", EMPTY, [], bytes(hashed)
            spec = _default_skill(release)
        else:
            spec = find_skill(release, wanted)
        if arguments is None:
            arguments = _from_text(release, spec, texts, explicit=wanted is not None)
        elif not isinstance(arguments, dict):
            raise InvalidParams(
                "The arguments have to be a JSON object.",
                remedy='Send a data part {"skill": ID, "arguments": {…}}.',
            )
        elif spec.text_param and texts and spec.text_param not in arguments:
            arguments = {**cast("dict[str, Any]", arguments), spec.text_param: "\n".join(texts)}
        if files or spec.files:
            _check_input(spec, parts, files)
        checked = self.gates.of(release, spec).check(arguments)
        bound = bind_files(spec, parts, files) if files or spec.files else []
        return spec.id, checked, bound, bytes(hashed)


def _named_skill(message: Message, params: SendMessageParams) -> str | None:
    for raw, field in ((message.metadata, "message.metadata"), (params.metadata, "metadata")):
        if raw is UNSET:
            continue
        metadata = metadata_of(raw, field).value
        if metadata is None:
            continue
        if not isinstance(metadata, dict):
            raise InvalidParams(f"{field} has to be an object.", info={"field": field})
        skill = cast("dict[str, Any]", metadata).get("skill")
        if skill is not None:
            if not isinstance(skill, str):
                raise InvalidParams(
                    f"{field}.skill has to be a skill's id.", info={"field": f"{field}.skill"}
                )
            return skill
    return None


def _takes_files(release: Release, message: Message, params: SendMessageParams) -> bool:
    """Whether the skill that a message means takes files. Raises InvalidParams, SkillNotFound."""
    named = _named_skill(message, params)
    values = [decode_any(part.data, "data") for part in message.parts if part.data is not UNSET]
    data = next((value for value in values if _names_skill(value)), values[0] if values else None)
    wanted = _from_data(data, named)[0] if values else named
    if wanted is None:
        return not release.has_message_handler and bool(_default_skill(release).files)
    return bool(find_skill(release, wanted).files)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _names_skill(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    known = cast("dict[str, Any]", value)
    return isinstance(known.get("skill"), str) and known.keys() <= _OWN_MEMBERS


def _from_data(data: Any, named: str | None) -> tuple[str | None, Any]:
    """(skill, arguments) of the data part; the data itself is the arguments where it names no skill."""
    known: dict[str, Any] = cast("dict[str, Any]", data) if _is_dict(data) else {}
    if _names_skill(data):
        skill = cast(str, known["skill"])
        if named is not None and named != skill:
            raise InvalidParams(
                f"The metadata name the skill {readable(named)}, the data part {readable(skill)}.",
                remedy="Name one skill.",
            )
        return skill, known.get("arguments")
    if named is not None and known.keys() == {"arguments"}:
        return named, known["arguments"]
    return named, data


def find_skill(release: Release, skill_id: str) -> SkillSpec:
    """The skill with that id. Raises SkillNotFound, which lists the skills."""
    spec = release.skill(skill_id)
    if spec is None:
        raise SkillNotFound(f"The agent has no skill {readable(skill_id)}.", remedy=skills_sentence(release))
    return spec


def skills_sentence(release: Release) -> str:
    """`Its skills are …`"""
    ids = [spec.id for spec in release.skills]
    return f"Its skills are {', '.join(ids[:50])}." if ids else "It has no skills."


def _default_skill(release: Release) -> SkillSpec:
    default = release.manifest.default_skill
    if default:
        return find_skill(release, default)
    if len(release.skills) == 1:
        return release.skills[0]
    raise InvalidParams(
        "The message names no skill, and the agent has no default for it.",
        remedy='Name one in metadata.skill or in a data part {"skill": ID, "arguments": {…}}. '
        + skills_sentence(release),
    )


def _from_text(release: Release, spec: SkillSpec, texts: list[str], *, explicit: bool) -> dict[str, Any]:
    """The arguments when there is no data part: the text fills the skill's text parameter."""
    if not texts:
        return {}
    if not spec.text_param:
        if explicit and not release.has_message_handler and not "".join(texts).strip():
            return {}
        raise InvalidParams(
            f"The skill {spec.id} takes no free text.",
            remedy=f'Send a data part {{"skill": "{spec.id}", "arguments": {{…}}}}. '
            + skills_sentence(release),
        )
    return {spec.text_param: "\n".join(texts)}


def _check_input(spec: SkillSpec, parts: list[Part], files: list[int]) -> None:
    """A part that the skill takes in no case is refused as such, before anything is said of its arguments."""
    if spec.input_modes or not spec.files:
        _check_types(spec.id, _taken(spec) if spec.input_modes else _DEFAULT_OUTPUT, parts, files)


def _check_handled(release: Release, parts: list[Part], files: list[int]) -> None:
    """A message handler takes what some skill of the agent takes: that is what the card says."""
    if any(not param.media_types for spec in release.skills for param in spec.files):
        return
    modes = [kind for spec in release.skills for kind in _taken(spec)]
    _check_types("the agent", [*_DEFAULT_OUTPUT, *modes], parts, files)


def _taken(spec: SkillSpec) -> list[str]:
    return spec.input_modes + [kind for param in spec.files for kind in param.media_types]


def _check_types(who: str, allowed: list[str], parts: list[Part], files: list[int]) -> None:
    for index in files:
        kind = media_type_of(parts[index])
        if not matches(kind, allowed):
            raise ContentTypeNotSupported(
                f"Part {index} is {readable(kind)}, which {who} doesn't take.",
                remedy=f"It takes {', '.join(dict.fromkeys(allowed))}.",
            )


def output_modes(spec: SkillSpec | None) -> list[str]:
    """The media types that a skill's answers have."""
    return spec.output_modes if spec is not None and spec.output_modes else _DEFAULT_OUTPUT


def _check_output(release: Release, skill: str, accepted: list[str]) -> None:
    made = output_modes(release.skill(skill) if skill else None)
    for mode in accepted:
        wanted = mode.partition(";")[0].strip().lower()
        if wanted in ("", "*") or matches(wanted, made) or any(matches(kind, [wanted]) for kind in made):
            return
    raise ContentTypeNotSupported(
        f"None of {readable(', '.join(accepted))} can be produced.",
        remedy=f"Accept one of {', '.join(made)}, or leave acceptedOutputModes out.",
        info={"field": "configuration.acceptedOutputModes"},
    )


def _hash_parts(parts: list[Part]) -> bytes:
    data = [part.data for part in parts if part.data is not UNSET]
    hashed = b"".join(alike(raw, decode_any(raw, "data")) for raw in data)
    return hashed + parts_alike(parts) if not hashed or len(parts) > 1 else hashed


def fingerprint(
    release: Release, task_id: str, context_id: str, message: Message, parts_hash: bytes
) -> bytes:
    """SHA-256 over what was asked, without the key: the same for a retry in another binding."""
    raw = message.metadata
    metadata = b"" if raw is UNSET else metadata_of(raw, "message.metadata").alike
    head = f"{release.agent_no}\0{task_id}\0{context_id}\0".encode()
    return sha256(head + metadata + b"\0" + parts_hash).digest()
