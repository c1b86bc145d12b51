"""A call followed to its end on the command line: progress, text, questions, result, exit code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from a2a_cloud.callers.cli.ask import ask_person, example_words, show_question
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.outcome import Outcome
from a2a_cloud.callers.cli.report import as_failure
from a2a_cloud.callers.cli.terminal import Progress, clean_line, interactive, pretty, put, put_json, say
from a2a_cloud.client.calls import INTERRUPTED, CallEvent, Watched, text_of
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform
from a2a_cloud.client.shapes import obj

Begin = Callable[[Watched], AsyncGenerator[CallEvent]]
Part = dict[str, Any]


class Follower:
    """Follows one task. `stream`: show text as it comes; `out`: a folder for artifacts ("" for none);
    `timeout`: seconds to wait (None: as long as it takes), after which the run goes on without us;
    `wait`: for decisions about what the run asks for too, as on a terminal."""

    def __init__(
        self,
        options: Options,
        agent: str,
        *,
        stream: bool,
        out: str = "",
        timeout: float | None = None,
        wait: bool = False,
    ) -> None:
        self.outcome = Outcome()
        self._options = options
        self._stream = stream
        self._out = Path(out).expanduser() if out else None
        self._timeout = timeout
        self._wait = wait or (interactive() and not options.json)
        self._progress = Progress(quiet=options.json and not stream)
        self._target = options.target()
        self._watched = Watched(Platform(self._target), agent)
        self._column = 0

    def run(self, begin: Begin) -> int:
        """Begin, answer what is asked when somebody is there, tell the end; the exit code."""
        try:
            self._phase(begin)
            while self.outcome.state in INTERRUPTED:
                if self.outcome.state == "auth-required" and self._wait:
                    self._tell_approval("Waiting until somebody decides (Ctrl-C leaves the run waiting).")
                    self._phase(lambda watched: watched.watch(watched.last_id))
                    continue
                if not self._can_ask():
                    break
                try:
                    part = ask_person(self.outcome.question)
                except (click.Abort, KeyboardInterrupt):
                    say()
                    break
                self._phase(lambda watched, part=part: answered(watched, lambda _question: part))
        except KeyboardInterrupt:
            self._progress.clear()
            say()
            self._hint("Not waiting any longer; the run goes on.", cancel=True)
            return int(Exit.INTERRUPTED)
        return self._end()

    def _can_ask(self) -> bool:
        return self.outcome.state == "input-required" and interactive() and not self._options.json

    def _phase(self, begin: Begin) -> None:
        async def talk() -> None:
            async with Platform(self._target) as platform:
                watched = self._connect(platform)
                async with aclosing(begin(watched)) as events:
                    async for event in events:
                        self._take(event)
                if self._out is not None and self.outcome.artifacts:
                    await self.outcome.save(self._out, platform)

        async def bounded() -> None:
            async with asyncio.timeout(self._timeout):
                await talk()

        try:
            asyncio.run(bounded())
        except TimeoutError:
            self._progress.clear()
            self._hint(f"No end after {self._timeout:g} s; the run goes on.", cancel=True)
            failure = Failure(
                Exit.STILL_RUNNING,
                "The time to wait is over.",
                code="still_running",
                facts={"run_id": self._watched.run_id, "task_id": self._watched.task_id},
            )
            raise failure from None
        except (Unreachable, ServerProblem) as error:
            failure = as_failure(error)
            if failure is None or not (self._watched.run_id or self._watched.task_id):
                raise
            failure.run_id = failure.run_id or self._watched.run_id
            failure.facts["task_id"] = self._watched.task_id
            raise failure from None
        except OSError as error:
            raise Failure(
                Exit.FAILED,
                f"The artifacts can't be written to {self._out}: {error.strerror}.",
                remedy="The run has ended; its artifacts are kept with it.",
                run_id=self._watched.run_id,
            ) from None
        finally:
            self._progress.clear()
            self._note_ids()

    def _connect(self, platform: Platform) -> Watched:
        before = self._watched
        self._watched = Watched(
            platform,
            before.agent,
            before.run_id,
            before.task_id,
            before.context_id,
            before.receipt_id,
            before.last_id,
            asked=before.asked,
            broken=lambda why: self._progress.show(f"connection lost ({why}), taking it up again"),
        )
        return self._watched

    def attach(self, task_id: str) -> None:
        """Follow a task that exists already."""
        self._watched.task_id = task_id

    def _note_ids(self) -> None:
        for name in ("run_id", "task_id", "context_id", "receipt_id"):
            setattr(self.outcome, name, getattr(self._watched, name))

    def _take(self, event: CallEvent) -> None:
        self.outcome.take(event)
        if self._stream and self._options.json:
            put_json({"id": event.id, "event": event.kind, "data": event.data})
            return
        if self._stream and event.kind == "text":
            delta = str(event.data.get("delta", ""))
            if delta:
                self._progress.clear()
                put(delta, end="")
                self._column = 0 if delta.endswith("\n") else 1
            return
        line = progress_line(event)
        if line and (event.kind == "attempt" or self._column == 0):
            self._finish_line()
            self._progress.show(line)

    def _finish_line(self) -> None:
        if self._column:
            put("")
            self._column = 0

    def _end(self) -> int:
        outcome = self.outcome
        self._finish_line()
        as_json = self._options.json
        if as_json and not self._stream:
            put_json(outcome.document())
        if outcome.state in INTERRUPTED:
            return self._waiting()
        if outcome.state != "completed":
            raise self._failure()
        if not as_json:
            self._show_result()
        self._ids()
        return int(Exit.OK)

    def _show_result(self) -> None:
        outcome = self.outcome
        result = outcome.result
        if outcome.text and not self._stream and result != outcome.text:
            put(outcome.text, end="" if outcome.text.endswith("\n") else "\n")
        if isinstance(result, str):
            if not (self._stream and result == outcome.text):
                put(result, end="" if result.endswith("\n") else "\n")
        elif result is not None:
            put(pretty(result))
        reply = text_of(outcome.reply) if outcome.reply is not None else ""
        if reply or (outcome.said and not outcome.has_result and not outcome.text):
            put(reply or outcome.said)

    def _waiting(self) -> int:
        outcome = self.outcome
        if outcome.state == "auth-required":
            self._ids()
            self._tell_approval("The run waits until somebody decides.")
            return int(Exit.INPUT_REQUIRED)
        show_question(outcome.question)
        self._ids()
        words = example_words(outcome.question)
        agent = ("--agent", self._watched.agent)  # The platform looks up its own organisation's tasks alone.
        say("Answer it with:")
        say(f"  {self._options.command('answer', *agent, outcome.task_id, *words)}")
        return int(Exit.INPUT_REQUIRED)

    def _tell_approval(self, last: str) -> None:
        """What the run asks for, and how somebody with an admin's key decides it, on stderr."""
        approval, command = self.outcome.approval or {}, self._options.command
        self._finish_line()
        say(
            clean_line(str(approval.get("text") or self.outcome.said or "The run asks for more than it may."))
        )
        ident = str(approval.get("id", ""))
        if ident:
            say(clean_line(f"approval {ident}"))
            say(f"  see it:     {command('approvals', 'show', ident)}")
            say(f"  approve it: {command('approvals', 'approve', ident)}")
            say(f"  deny it:    {command('approvals', 'deny', ident)}")
        say(f"  the run:    {command('runs', self.outcome.run_id or self.outcome.task_id)}")
        say(last)

    def _failure(self) -> Failure:
        outcome = self.outcome
        error = outcome.error or {}
        detail = str(error.get("detail") or outcome.said or f"The run ended as {outcome.state or 'unknown'}.")
        self._ids()
        return Failure(
            Exit.FAILED,
            detail,
            remedy=str(error.get("remedy") or ""),
            code=str(error.get("code") or outcome.state),
            run_id=outcome.run_id,
            facts={"state": outcome.state, "task_id": outcome.task_id},
            printed=True,
        )

    def _ids(self) -> None:
        outcome = self.outcome
        for artifact in outcome.artifacts.values():
            say(f"artifact {clean_line(artifact.line())}")
        receipt = f" · receipt {outcome.receipt_id}" if outcome.receipt_id else ""
        say(clean_line(f"run {outcome.run_id} {outcome.state}{receipt}"))

    def _hint(self, text: str, *, cancel: bool) -> None:
        say(text)
        watched, command = self._watched, self._options.command
        if not watched.run_id and not watched.task_id:
            say(f"Whether it began is not known: {command('runs', '--agent', watched.agent)}")
            return
        say(f"  see it:    {command('runs', watched.run_id or watched.task_id)}")
        if cancel:
            say(f"  cancel it: {command('cancel', watched.task_id or watched.run_id)}")


def answered(
    watched: Watched, part_for: Callable[[dict[str, Any]], Part], *, key: str = ""
) -> AsyncGenerator[CallEvent]:
    """Answer the open question with the part that `part_for` makes from it, and follow what comes of it."""
    return watched.answer(
        lambda question: new_message([part_for(question)], task_id=watched.task_id), key=key
    )


def new_message(parts: list[Part], *, task_id: str = "") -> dict[str, Any]:
    """A user's A2A message."""
    message: dict[str, Any] = {"messageId": f"msg-{uuid4().hex}", "role": "ROLE_USER", "parts": parts}
    if task_id:
        message["taskId"] = task_id
    return message


def progress_line(event: CallEvent) -> str:
    """What an event says about the way of the run, in a line ("" when nothing)."""
    data = event.data
    match event.kind:
        case "status" if event.state in ("submitted", "working"):
            return event.state
        case "progress":
            percent = data.get("percent")
            share = f" {percent:g} %" if isinstance(percent, int | float) and percent >= 0 else ""
            message = f": {data['message']}" if data.get("message") else ""
            return f"{data.get('stage', '')}{share}{message}"
        case "attempt":
            return f"attempt {data.get('attempt', '')}: {data.get('why', '')} (what came before is void)"
        case "status" if event.state == "auth-required":
            return f"asks for {obj(data.get('approval')).get('id') or 'more than it may'}"
        case "answer":
            return f"answered by {data.get('by', '')}"
        case "artifact" if data.get("last", True):
            artifact: Any = data.get("artifact") or {}
            return f"artifact {artifact.get('name') or artifact.get('artifactId', '')}"
        case _:
            return ""
