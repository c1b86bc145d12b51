"""What a case works with: the agent under test, one of its bindings, and the words to say what is wrong.

A case is a coroutine with a `Trial`. It returns when the server did what it has to, raises Failed with what
it did instead, or Skipped with what this server or agent lacks. `@case` puts it on the list.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from a2a_cloud.callers.conformance.said import MAPPED, Refusal
from a2a_cloud.callers.conformance.speakers import Http, Speaker, dumped
from a2a_cloud.client.shapes import obj, objs, text

TERMINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELED", "REJECTED"})
#: What an agent may be asked to do: the messageId begins with `case-` and one of these.
BEHAVIOURS: Final = (
    "complete",
    "silent",
    "answer",
    "text",
    "file",
    "url",
    "data",
    "ask",
    "auth",
    "reject",
    "fail",
    "slow",
    "stream",
)


class Failed(Exception):
    """The server does something else than the specification says; the text says what."""


class Skipped(Exception):
    """The case does not apply here; the text says why, and what would make it apply."""


@dataclass
class Agent:
    """The agent under test. `key` and `other` are bearer tokens of two different callers, "" for none."""

    url: str
    http: Http
    card: dict[str, Any]
    speakers: dict[str, Speaker]
    key: str = ""
    other: str = ""
    prefixes: Mapping[str, str] = field(default_factory=dict[str, str])
    webhook_host: str = "127.0.0.1"

    @property
    def capabilities(self) -> dict[str, Any]:
        """The card's capabilities."""
        return obj(self.card.get("capabilities"))

    def interfaces(self, version: str) -> list[dict[str, Any]]:
        """The card's interfaces of that version."""
        found = objs(self.card.get("supportedInterfaces"))
        return [one for one in found if text(one.get("protocolVersion")).startswith(version)]


class Trial:
    """One case, on one binding."""

    def __init__(self, agent: Agent, speaker: Speaker) -> None:
        self.agent = agent
        self.speaker = speaker
        self.key = agent.key

    # --- saying what is wrong ---------------------------------------------------------------------------

    def check(self, holds: object, why: str) -> None:
        """Raises Failed unless it holds."""
        if not holds:
            raise Failed(why)

    def fail(self, why: str) -> NoReturn:
        """Raises Failed."""
        raise Failed(why)

    async def refused(self, doing: Awaitable[Any], *names: str) -> Refusal:
        """The server's refusal, which has to be one of `names`, and said as its binding says it."""
        try:
            got = await doing
        except Refusal as refusal:
            if refusal.name not in names:
                raise Failed(f"{' or '.join(names)} was expected, not {refusal}") from None
            self._well_said(refusal)
            return refusal
        raise Failed(f"{' or '.join(names)} was expected, and it was done: {shown(got)}")

    def _well_said(self, refusal: Refusal) -> None:
        if not refusal.said:
            raise Failed(f"{refusal.name} comes without a message.")
        if refusal.name not in MAPPED:
            return
        if refusal.reason != refusal.name:
            raise Failed(f"{refusal.name}: its ErrorInfo has the reason {refusal.reason!r}.")
        number, code = MAPPED[refusal.name]
        want = {"HTTP+JSON": str(number), "GRPC": code}.get(self.speaker.binding, refusal.code)
        if refusal.code != want:
            raise Failed(f"{refusal.name} came as {refusal.code}, not as {want}.")

    # --- talking ----------------------------------------------------------------------------------------

    async def call(
        self, operation: str, params: Mapping[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """An operation, as the first caller or with another key. Raises Refusal."""
        return await self.speaker.call(operation, params, key=self.key if key is None else key)

    def request(
        self,
        behaviour: str,
        said: str = "tea",
        *,
        parts: list[dict[str, Any]] | None = None,
        configuration: Mapping[str, Any] = {},
        **fields: Any,
    ) -> dict[str, Any]:
        """Params of SendMessage that ask for a behaviour."""
        prefix = self.agent.prefixes.get(behaviour, f"case-{behaviour}")
        message = {
            "messageId": f"{prefix}-{uuid.uuid4()}",
            "role": "ROLE_USER",
            "parts": [{"text": said}] if parts is None else parts,
            **fields,
        }
        return {"message": message} | ({"configuration": dict(configuration)} if configuration else {})

    async def send(
        self, behaviour: str, said: str = "tea", *, key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The result of SendMessage."""
        return await self.call("SendMessage", self.request(behaviour, said, **more), key=key)

    async def task(self, behaviour: str, state: str, said: str = "tea", **more: Any) -> dict[str, Any]:
        """The task of a SendMessage, in that state. Skips when the agent behaves otherwise."""
        found = obj((await self.send(behaviour, said, **more)).get("task"))
        if state_of(found) != state:
            raise Skipped(unlike(behaviour, f"{state} was expected, it is {state_of(found) or 'no task'}"))
        return found

    async def get(self, task: Mapping[str, Any], *, key: str | None = None, **more: Any) -> dict[str, Any]:
        """GetTask."""
        return await self.call("GetTask", {"id": text(task.get("id")), **more}, key=key)

    async def cancel(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """CancelTask."""
        return await self.call("CancelTask", {"id": text(task.get("id"))})

    async def events(
        self, operation: str, params: Mapping[str, Any], *, key: str | None = None
    ) -> list[dict[str, Any]]:
        """All events of a stream."""
        found = self.speaker.stream(operation, params, key=self.key if key is None else key)
        async with aclosing(found) as events:
            return [event async for event in events]

    def streams(self) -> None:
        """Skips unless the card declares streaming."""
        if not self.agent.capabilities.get("streaming"):
            raise Skipped("the card does not declare streaming")

    def listed(self, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The tasks that a list shows. Skips when there are none and the caller proved nothing."""
        if not tasks and not self.key:
            raise Skipped("nothing is listed to a caller without a key, as the server may (--key-file)")
        return tasks


def state_of(task: Mapping[str, Any]) -> str:
    """`COMPLETED`, `INPUT_REQUIRED`, … of a task or status update; "" without one."""
    return text(obj(task.get("status")).get("state")).removeprefix("TASK_STATE_")


def parts_of(artifact: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An artifact's (or message's) parts."""
    return objs(artifact.get("parts"))


def kind_of(event: Mapping[str, Any]) -> str:
    """Which member a StreamResponse has; several or none are a Failed."""
    names = [
        name for name in ("task", "message", "statusUpdate", "artifactUpdate") if event.get(name) is not None
    ]
    if len(names) != 1:
        raise Failed(f"An event has to have exactly one member: {shown(event)}")
    return names[0]


def shown(value: Any) -> str:
    """A value for a reader, short."""
    whole = dumped(value).decode()
    return whole if len(whole) <= 200 else whole[:200] + "…"


def unlike(behaviour: str, what: str) -> str:
    """Why a case is skipped when the agent does something else than it was asked for."""
    return (
        f"the agent does not show “{behaviour}” ({what}); "
        f"--behaviour {behaviour}=PREFIX names a messageId that does, or test examples/tester"
    )


Run = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """`id` is `group.name`; `section` of A2A 1.0 that asks for it; `each`: on every binding, or once."""

    id: str
    section: str
    title: str
    each: bool
    run: Run
    binding: str = ""


CASES: list[Case] = []


def case(id: str, section: str, *, each: bool = True, binding: str = "") -> Callable[[Run], Run]:  # noqa: A002
    """Puts a coroutine on the list; its docstring is the title. `binding`: only there."""

    def listed(run: Run) -> Run:
        CASES.append(Case(id, section, (run.__doc__ or id).strip(), each, run, binding))
        return run

    return listed
