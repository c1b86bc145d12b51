"""How the runs of a test begin: from a call, a text or a record to the frame that starts the skill."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec

from a2a_cloud.agent.files import File
from a2a_cloud.agent.problem import BadDeclaration, InvalidArguments, Problem
from a2a_cloud.agent.values import to_json
from a2a_cloud.model.grant import GrantSpec
from a2a_cloud.model.release import Manifest, SkillSpec
from a2a_cloud.model.run import AttemptEvent, EffectEnded, EffectStarted
from a2a_cloud.testing.agent_answers import Answers, Asked, Calls
from a2a_cloud.testing.agent_outcome import last_attempt
from a2a_cloud.testing.agent_run import Beginning
from a2a_cloud.testing.agent_runtime import Runtime
from a2a_cloud.testing.agent_scope import Approve
from a2a_cloud.testing.agent_workspace import Draft, Rights
from a2a_cloud.wire.worker import INLINE_LIMIT, FileFrame, Start


@dataclass(frozen=True)
class Settings:
    """What `using` sets: who calls, and what comes back to the skill."""

    answers: Answers = ()
    calls: Calls = field(default_factory=dict[str, Any])
    context: str = ""
    caller: str = "tester"
    org: str = "default"
    parent_agent: str = ""
    actors: tuple[str, ...] = ()
    timeout: float = 0.0
    output_modes: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    approve: Approve | None = None
    grant: GrantSpec | None = None
    extensions: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """Whose `ctx.state` it is; "" for anonymous callers, who own nothing."""
        return f"{self.caller}@{self.org}" if self.org else ""


@dataclass
class Origin:
    """How a run began, for `replay`."""

    start: Start
    settings: Settings
    objects: frozenset[tuple[str, int]]
    state: dict[str, bytes]
    events: list[tuple[int, Any]]
    state_log: list[tuple[int, str, bytes | None]]
    draft: Draft


class Beginnings:
    """Begins runs of one agent. `handler`: it has a message handler."""

    def __init__(
        self,
        manifest: Manifest,
        skills: dict[str, SkillSpec],
        handler: bool,
        runtime: Runtime,
        seed: str,
        grant: GrantSpec | None,
    ) -> None:
        self._manifest = manifest
        self._grant = grant
        self._skills = skills
        self._handler = handler
        self._runtime = runtime
        self._seed = seed
        self._numbers = itertools.count(1)

    def of_call(self, settings: Settings, skill: str, arguments: dict[str, Any]) -> Beginning:
        spec = self._skills.get(skill)
        if spec is None:
            known = ", ".join(self._skills) or "none"
            raise Problem(
                f"The agent has no skill {skill!r}.",
                code="skill_not_found",
                remedy=f"Its skills are {known}.",
            )
        names = {one.name for one in spec.files}
        files = {name: value for name, value in arguments.items() if name in names or _is_file(value)}
        plain = to_json({name: value for name, value in arguments.items() if name not in files})
        said = {"data": {"skill": skill, "arguments": msgspec.Raw(plain)}}
        return self._beginning(settings, spec, skill, plain, said, files)

    def of_text(self, settings: Settings, text: str, files: dict[str, Any]) -> Beginning:
        if self._handler:
            return self._beginning(settings, None, "", b"{}", {"text": text}, files)
        default = self._manifest.default_skill
        spec = self._skills.get(default) if default else None
        if not default and len(self._skills) == 1:
            spec = next(iter(self._skills.values()))
        if spec is None or not spec.text_param:
            raise InvalidArguments(
                "The agent has no message handler, and no default skill takes free text.",
                remedy="Use call(SKILL, …), or write @agent.message.",
            )
        plain = to_json({spec.text_param: text})
        return self._beginning(settings, spec, spec.id, plain, {"text": text}, files)

    def _beginning(
        self,
        settings: Settings,
        spec: SkillSpec | None,
        skill: str,
        arguments: bytes,
        said: dict[str, Any],
        files: dict[str, Any],
    ) -> Beginning:
        number = next(self._numbers)
        task_id, context = f"task_{self._seed}_{number}", settings.context or f"ctx_{self._seed}_{number}"
        frames = [self._frame(param, file) for param, value in files.items() for file in _files(param, value)]
        parts = [said, *(_part(frame) for frame in frames)]
        message = {
            "messageId": f"msg_{self._seed}_{number}",
            "role": "ROLE_USER",
            "parts": parts,
            "contextId": context,
        }
        limit = self._manifest.limits.timeout
        start = Start(
            run=0,
            run_id=f"run_{self._seed}_{number}",
            task_id=task_id,
            context_id=context,
            skill=skill,
            arguments=arguments,
            message=to_json(message),
            timeout=settings.timeout or (spec.timeout if spec is not None else 0.0) or limit,
            files=frames,
            history=_history(settings.history, context) if settings.history else b"",
            caller=settings.caller,
            org=settings.org,
            parent_agent=settings.parent_agent,
            actors=list(settings.actors),
            output_modes=list(settings.output_modes),
            extensions=list(settings.extensions),
        )
        return Beginning(
            start=start,
            asked=Asked(settings.answers, 0),
            calls=settings.calls,
            # Nobody in particular owns an anonymous context: what is kept for them is kept per task.
            state=self._runtime.state.of(settings.owner, context if settings.owner else task_id),
            objects=frozenset((one.sha256, one.size) for one in frames if one.sha256),
            retries=spec.retries if spec is not None else 0,
            children=self._manifest.limits.children,
            settings=settings,
            draft=self._draft(settings, start.run_id, None),
            approve=settings.approve,
            merge=self._manifest.merge,
        )

    def _draft(self, settings: Settings, run: str, before: Draft | None) -> Draft:
        runtime, rights = self._runtime, Rights(settings.grant or self._grant, run)
        if before is not None:
            return Draft(before.base, before.version, rights, runtime.objects)
        return Draft(runtime.workspace.files(), runtime.workspace.version, rights, runtime.objects)

    def again(self, origin: Origin, events: list[tuple[int, Any]]) -> Beginning:
        settings, start = origin.settings, origin.start
        state = self._runtime.state.of(settings.owner, start.context_id if settings.owner else start.task_id)
        state.clear()
        state.update(origin.state)
        last = events[-1][0] if events else 0
        for seq, name, value in origin.state_log:
            if seq <= last and value is not None:
                state[name] = value
            elif seq <= last:
                state.pop(name, None)
        spec = self._skills.get(start.skill)
        asks = {seq for seq, event in events if isinstance(event, EffectStarted) and event.kind == "ask"}
        answered = sum(1 for _, event in events if isinstance(event, EffectEnded) and event.effect in asks)
        current = last_attempt(events)
        draft = self._draft(settings, start.run_id, origin.draft)
        read = draft.replayed(current)
        attempts = 1 + sum(1 for _, event in events if isinstance(event, AttemptEvent))
        return Beginning(
            start=msgspec.structs.replace(start, attempt=attempts),
            asked=Asked(settings.answers, answered),
            calls=settings.calls,
            state=state,
            objects=origin.objects | read,
            retries=spec.retries if spec is not None else 0,
            children=self._manifest.limits.children,
            settings=settings,
            events=events,
            replays=bool(current),
            draft=draft,
            approve=settings.approve,
            merge=self._manifest.merge,
        )

    def _frame(self, param: str, file: File) -> FileFrame:
        data = file.read()
        if len(data) <= INLINE_LIMIT:
            return FileFrame(param, file.name, file.media_type, len(data), data)
        digest = sha256(data).hexdigest()
        self._runtime.objects[digest] = data
        return FileFrame(param, file.name, file.media_type, len(data), b"", digest)


def _is_file(value: Any) -> bool:
    several: list[Any] = list(cast("list[Any]", value)) if isinstance(value, list | tuple) else [value]
    return bool(several) and all(isinstance(one, File | Path) for one in several)


def _files(param: str, value: Any) -> list[File]:
    several: list[Any] = list(cast("list[Any]", value)) if isinstance(value, list | tuple) else [value]
    found: list[File] = []
    for one in several:
        if one is None:
            continue
        if not isinstance(one, File | Path):
            raise InvalidArguments(
                f"`{param}` is a file, not a value of type {type(one).__name__}.",
                argument=param,
                remedy="Give a File (File.from_bytes, File.from_path) or a Path.",
            )
        found.append(one if isinstance(one, File) else File.from_path(one))
    return found


def _part(frame: FileFrame) -> dict[str, Any]:
    part: dict[str, Any] = {
        "filename": frame.name,
        "mediaType": frame.media_type,
        "metadata": {"param": frame.param},
    }
    if not frame.sha256:
        part["raw"] = base64.b64encode(frame.inline).decode()
    return part


def _history(said: Sequence[tuple[str, str]], context: str) -> bytes:
    messages: list[dict[str, Any]] = []
    for at, (role, text) in enumerate(said):
        if role not in ("user", "agent"):
            raise BadDeclaration(f"history names the speaker {role!r}.", remedy='Write "user" or "agent".')
        messages.append(
            {
                "messageId": f"msg_earlier_{at + 1}",
                "role": f"ROLE_{role.upper()}",
                "parts": [{"text": text}],
                "contextId": context,
            }
        )
    return to_json(messages)
