"""Agents by their address, wherever they are: `a2a call URL` and `a2a card URL` find them by their card.

What such an agent says is gathered as a call of our own platform is, so that both print and end alike.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from a2a_cloud.callers.cli.arguments import STDIN, FromFile, existing_file, parse_arguments, parse_json
from a2a_cloud.callers.cli.ask import ask_person, example_words, read_text, show_question
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.follow import progress_line
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.outcome import Outcome
from a2a_cloud.callers.cli.report import as_failure
from a2a_cloud.callers.cli.terminal import Progress, clean_line, interactive, pretty, put, put_json, say
from a2a_cloud.client.a2a import A2AClient
from a2a_cloud.client.a2a_card import Card
from a2a_cloud.client.a2a_shapes import (
    INTERRUPTED,
    Content,
    Event,
    Json,
    Message,
    Part,
    Task,
    read_part,
    said,
)
from a2a_cloud.client.calls import CallEvent
from a2a_cloud.client.errors import ClientError
from a2a_cloud.client.http import Platform
from a2a_cloud.client.profile import Target, resolve
from a2a_cloud.client.shapes import obj, objs, text
from a2a_cloud.model.card import SKILL_SCHEMAS

_RUN, _RECEIPT, _ERROR = "a2a-cloud/run", "a2a-cloud/receipt", "a2a-cloud/error"


def is_url(agent: str) -> bool:
    """Whether an agent is named by its address."""
    return agent.startswith(("http://", "https://"))


def target_of(options: Options, url: str) -> Target:
    """The agent at `url` and the key for its origin. Raises NotConfigured.

    A2A_KEY alone is for this user's own platform, so it goes nowhere else; with A2A_URL it has an origin.
    """
    env = dict(os.environ)
    if not env.get("A2A_URL"):
        env.pop("A2A_KEY", None)
    return resolve(url=url, key=options.key, key_file=options.key_file, profile=options.profile, env=env)


@dataclass
class Said:
    """What is to be said to an agent, and how the call is to be made."""

    skill: str = ""
    words: tuple[str, ...] = ()
    text: str = ""
    task: str = ""
    context: str = ""
    key: str = ""
    metadata: dict[str, Any] | None = None
    binding: str = ""
    version: str = ""
    stream: bool = False
    wait: bool = False
    timeout: float | None = None
    out: str = ""

    @property
    def nothing(self) -> bool:
        """Whether there is only a task to be followed."""
        return not (self.skill or self.text or self.words)


@dataclass
class _Call:
    options: Options
    target: Target
    how: Said
    outcome: Outcome = field(default_factory=Outcome)
    last: str = ""

    def __post_init__(self) -> None:
        self.progress = Progress(quiet=self.options.json and not self.how.stream)
        self.column = 0

    def agent(self) -> A2AClient:
        broken: Callable[[str], None] = lambda why: self.progress.show(f"{why}, taking it up again")  # noqa: E731
        return A2AClient.discover(
            self.target.url,
            key=self.target.key,
            binding=self.how.binding,
            version=self.how.version,
            broken=broken,
        )

    # --- a call -----------------------------------------------------------------------------------------

    def run(self) -> int:
        content: Content | None = None
        try:
            self.phase(content)
            while self.outcome.state == "input-required" and interactive() and not self.options.json:
                try:
                    content = read_part(ask_person(self.outcome.question))
                except (click.Abort, KeyboardInterrupt):
                    say()
                    break
                self.phase(content)
        except KeyboardInterrupt:
            self.progress.clear()
            say()
            self.hint("Not waiting any longer; the task goes on.")
            return int(Exit.INTERRUPTED)
        return self.end()

    def phase(self, content: Content | None) -> None:
        async def talk() -> None:
            async with self.agent() as agent:
                events = self.events(agent, content)
                async with aclosing(events):
                    async for event in events:
                        self.take(event)
            if self.how.out and self.outcome.artifacts:
                async with Platform(Target(self.target.origin, self.target.key)) as platform:
                    await self.outcome.save(Path(self.how.out).expanduser(), platform)

        async def bounded() -> None:
            async with asyncio.timeout(self.how.timeout):
                await talk()

        try:
            asyncio.run(bounded())
        except TimeoutError:
            self.progress.clear()
            self.hint(f"No end after {self.how.timeout:g} s; the task goes on.")
            facts = {"task_id": self.outcome.task_id}
            raise Failure(
                Exit.STILL_RUNNING, "The time to wait is over.", code="still_running", facts=facts
            ) from None
        except ClientError as error:
            failure = as_failure(error)
            if failure is None or not self.outcome.task_id:
                raise
            failure.facts["task_id"] = self.outcome.task_id
            raise failure from None
        except OSError as error:
            raise Failure(Exit.FAILED, f"A file can't be read or written: {error}.") from None
        finally:
            self.progress.clear()

    async def events(self, agent: A2AClient, content: Content | None) -> AsyncGenerator[Event]:
        how = self.how
        task_id = self.outcome.task_id or how.task
        wait = how.wait or (interactive() and not self.options.json and self.outcome.state == "auth-required")
        if content is None and how.nothing:
            follow = agent.subscribe(task_id, wait=wait)
        else:
            more: Json = {"task": task_id} if task_id else {}
            if content is None:
                content = prepared(agent.card, how)
                more |= {"context": how.context, "message_id": how.key, "metadata": metadata(agent.card, how)}
            follow = agent.stream(content, wait=wait, **more)
        async with aclosing(follow) as events:
            async for event in events:
                yield event

    def take(self, event: Event) -> None:
        for each in call_events(event):
            self.outcome.take(each)
            line = progress_line(each)
            if line and self.column == 0 and not self.how.stream:
                self.progress.show(line)
        self.outcome.task_id = event.task_id or self.outcome.task_id
        self.outcome.context_id = event.context_id or self.outcome.context_id
        self.outcome.run_id = text(event.metadata.get(_RUN)) or self.outcome.run_id
        self.outcome.receipt_id = text(event.metadata.get(_RECEIPT)) or self.outcome.receipt_id
        if not self.how.stream:
            return
        if self.options.json:
            put_json({"id": event.id, "event": event.kind, "data": event.json})
        elif event.kind == "artifact" and event.text:
            self.progress.clear()
            put(event.text, end="")
            self.column = 0 if event.text.endswith("\n") else 1

    # --- its end ----------------------------------------------------------------------------------------

    def end(self) -> int:
        outcome, as_json = self.outcome, self.options.json
        if self.column:
            put("")
        values = content_of(outcome)
        outcome.result = values[0] if len(values) == 1 else None
        if as_json and not self.how.stream:
            put_json(outcome.document())
        if outcome.state in INTERRUPTED:
            return self.waiting()
        if outcome.state != "completed":
            self.ids()
            error = outcome.error or {}
            raise Failure(
                Exit.FAILED,
                text(error.get("detail"))
                or outcome.said
                or f"The task ended as {outcome.state or 'unknown'}.",
                code=text(error.get("code")) or outcome.state,
                facts={"state": outcome.state, "task_id": outcome.task_id},
                printed=True,
            )
        if not as_json:
            self.show(values)
        self.ids()
        return int(Exit.OK)

    def show(self, values: list[Any]) -> None:
        for value in values:
            if not isinstance(value, str):
                put(pretty(value))
            elif not self.how.stream:
                put(value, end="" if value.endswith("\n") else "\n")
        if not self.outcome.artifacts and self.outcome.said:
            put(self.outcome.said)

    def waiting(self) -> int:
        outcome, command = self.outcome, self.options.command
        if outcome.state == "auth-required":
            say(outcome.said or "The task waits until somebody allows it, or until you have signed in there.")
            self.ids()
            say("Follow it:")
            say(f"  {command('call', self.target.url, '--task', outcome.task_id, '--wait')}")
            return int(Exit.INPUT_REQUIRED)
        show_question(outcome.question)
        self.ids()
        words = example_words(outcome.question)
        if not all("=" in word for word in words):
            words = ["--message", " ".join(words)]
        say("Answer it with:")
        say(f"  {command('call', self.target.url, '--task', outcome.task_id, *words)}")
        return int(Exit.INPUT_REQUIRED)

    def ids(self) -> None:
        outcome = self.outcome
        for artifact in outcome.artifacts.values():
            say(f"artifact {clean_line(artifact.line())}")
        if outcome.task_id:
            receipt = f" · receipt {outcome.receipt_id}" if outcome.receipt_id else ""
            say(clean_line(f"task {outcome.task_id} {outcome.state}{receipt}"))

    def hint(self, words: str) -> None:
        say(words)
        if self.outcome.task_id:
            task = ("--task", self.outcome.task_id)
            say(f"  follow it: {self.options.command('call', self.target.url, *task)}")


def call_outside(options: Options, url: str, how: Said) -> int:
    """`a2a call URL`; its exit code."""
    if how.nothing and not how.task:
        raise Failure(
            Exit.USAGE,
            "Nothing is said to the agent.",
            remedy=f"Say something with --message, or see what it can do: {options.command('card', url)}",
        )
    return _Call(options, target_of(options, url), how).run()


def begin_outside(options: Options, url: str, how: Said) -> int:
    """`a2a call URL --async`: the task, and no waiting."""
    call = _Call(options, target_of(options, url), how)

    async def talk() -> Task | Message:
        async with call.agent() as agent:
            more: Json = {"task": how.task} if how.task else {}
            return await agent.send(
                prepared(agent.card, how),
                return_immediately=True,
                context=how.context,
                message_id=how.key,
                metadata=metadata(agent.card, how),
                **more,
            )

    answer = asyncio.run(talk())
    if isinstance(answer, Message):
        put_json({"message": answer.json}) if options.json else put(answer.text)
        return int(Exit.OK)
    if options.json:
        put_json({"task_id": answer.id, "context_id": answer.context_id, "state": answer.state})
    else:
        say(clean_line(f"task {answer.id} {answer.state}"))
        say(f"  follow it: {options.command('call', url, '--task', answer.id)}")
    return int(Exit.OK)


# --- what is said ----------------------------------------------------------------------------------------


def prepared(card: Card, how: Said) -> list[Part]:
    """The parts that say it. Raises Failure (usage)."""
    arguments: Json = {}
    parts: list[Part] = []
    schema = _schemas(card).get(how.skill, {})
    texts = obj(obj(obj(schema).get("inputSchema")).get("properties"))
    for each in parse_arguments(how.words):
        if not isinstance(each, FromFile):
            arguments[each.name] = each.value
            continue
        path = None if each.path == STDIN else existing_file(each.path, each.name)
        raw = path.read_bytes() if path else sys.stdin.buffer.read()
        if each.as_json:
            arguments[each.name] = parse_json(raw, each.name)
        elif each.name in texts:
            arguments[each.name] = read_text(raw, each.name)
        else:
            part = Part.of(path) if path else Part.of(raw, media_type="application/octet-stream")
            named = {"param": each.name}
            parts.append(
                Part("raw", raw=raw, filename=part.filename, media_type=part.media_type, metadata=named)
            )
    if how.skill:
        if not _schemas(card):
            raise Failure(
                Exit.USAGE,
                f"{card.name} takes messages; A2A has no way to call a skill by its name.",
                remedy="Say what you want with --message; NAME=VALUE after it goes along as data.",
            )
        return [Part.of({"skill": how.skill, "arguments": arguments}), *parts]
    if how.text:
        parts.insert(0, Part.of(how.text))
    return [*parts, Part.of(arguments)] if arguments else parts


def metadata(card: Card, how: Said) -> Json:
    """What the message says besides. Raises Failure (usage) for what the agent would not heed."""
    if not how.metadata:
        return {}
    if not _schemas(card):
        raise Failure(
            Exit.USAGE,
            f"{card.name} knows nothing of --grant, --priority and --budget.",
            remedy="Leave them out: they would not be heeded.",
        )
    return how.metadata


def _schemas(card: Card) -> Json:
    """What the agent says of its skills' arguments, by skill; {} for agents that are called by messages."""
    extension = card.extension(SKILL_SCHEMAS)
    return obj(extension.params.get("skills")) if extension is not None else {}


# --- what comes back ---------------------------------------------------------------------------------------


def call_events(event: Event) -> list[CallEvent]:
    """An event of A2A in the words of the platform's own stream."""
    if event.kind == "artifact" and event.artifact is not None:
        made = obj(obj(event.json.get("artifactUpdate")).get("artifact"))
        return [
            CallEvent(event.id, "artifact", {"artifact": made, "append": event.append, "last": event.last})
        ]
    if event.kind == "message" and event.message is not None:
        reply = {"message": event.message.json}
        return [CallEvent(event.id, "reply", reply), CallEvent(event.id, "status", {"state": "completed"})]
    found: list[CallEvent] = []
    if event.task is not None:
        for each in objs(event.task.json.get("artifacts")):
            found.append(CallEvent("", "artifact", {"artifact": each, "append": False, "last": True}))
    data: Json = {"state": event.state, "message": said(event.message) if event.message else None}
    if event.message is not None:
        asked = event.message.metadata
        if event.state == "input-required":
            schema = obj(asked.get("a2a-cloud/question")).get("schema", True)
            data["question"] = {"text": event.message.text, "schema": schema}
        elif event.state == "auth-required":
            data["approval"] = {"text": event.message.text, **obj(asked.get("a2a-cloud/approval"))}
    if event.metadata.get(_ERROR):
        detail = event.message.text if event.message else ""
        data["error"] = {"code": text(event.metadata[_ERROR]), "detail": detail}
    return [*found, CallEvent(event.id, "status", data)]


def content_of(outcome: Outcome) -> list[Any]:
    """What was made, as values to print: texts and data, in the order of the artifacts; files aside."""
    values: list[Any] = []
    reply = objs(obj(outcome.reply).get("parts")) if outcome.reply is not None else []
    for parts in [*(each.parts for each in outcome.artifacts.values()), reply]:
        for part in parts:
            if isinstance(part.get("text"), str):
                values.append(part["text"])
            elif "data" in part:
                values.append(part["data"])
    return values
