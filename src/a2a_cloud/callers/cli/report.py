"""How a failure is told: what was wrong, what to do next, its code, the run; and the exit code."""

from __future__ import annotations

from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure, exit_for
from a2a_cloud.callers.cli.terminal import put_json, say
from a2a_cloud.client.errors import AgentError, NoAnswer, NoCard, NotWaiting, ServerProblem, Unreachable
from a2a_cloud.client.profile import NotConfigured
from a2a_cloud.model.problem import Problem


def as_failure(error: Exception) -> Failure | None:
    """Any expected error as a Failure; None for a bug."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, NotConfigured):
        return Failure(Exit.UNREACHABLE, error.detail, remedy=error.remedy, code="not_configured")
    if isinstance(error, Problem):
        code = exit_for(error.http, error.code)
        return Failure(code, error.detail, remedy=error.remedy, code=error.code)
    if isinstance(error, Unreachable):
        source = f" (from {error.target.source})" if error.target.source else ""
        return Failure(
            Exit.UNREACHABLE,
            f"No platform can be reached at {error.target.url}{source}: {error.detail}.",
            remedy="Start it: a2a up",
            code="unreachable",
        )
    if isinstance(error, AgentError):
        code = Exit.NOT_FOUND if isinstance(error, NoCard) else Exit.FAILED
        if isinstance(error, NoAnswer):
            code = Exit.UNREACHABLE
        return Failure(code, error.detail, remedy=error.remedy, code=error.code)
    if isinstance(error, NotWaiting):
        return Failure(
            Exit.USAGE,
            f"The task is not waiting for an answer: it is {error.state or 'unknown'}.",
            code="not_waiting",
            run_id=error.run_id,
        )
    if isinstance(error, ServerProblem):
        remedy = error.remedy
        if error.retry_after:
            remedy = f"{remedy} Try again in {error.retry_after} s.".strip()
        return Failure(
            exit_for(error.status, error.code),
            error.detail,
            remedy=remedy,
            code=error.code,
            run_id=error.run_id,
            facts={"status": error.status},
        )
    return None


def document(failure: Failure) -> dict[str, Any]:
    """The failure for programs."""
    fields: dict[str, Any] = {
        "code": failure.code or failure.exit_code.name.lower(),
        "detail": failure.detail,
        "remedy": failure.remedy,
        "run_id": failure.run_id,
        **failure.facts,
        "exit": int(failure.exit_code),
    }
    return {"error": {name: value for name, value in fields.items() if value != ""}}


def tell(failure: Failure) -> None:
    """The failure for people, on stderr."""
    say(f"a2a: {failure.detail}")
    if failure.remedy:
        say(f"     {failure.remedy}")
    marks = [f"code {failure.code}"] if failure.code else []
    if failure.run_id:
        marks.append(f"run {failure.run_id}")
    if marks:
        say(f"     ({', '.join(marks)})")
    if failure.run_id:
        say(f"     What happened: a2a runs {failure.run_id}; a2a logs {failure.run_id}")


def report(error: Exception, *, as_json: bool) -> int | None:
    """Tell an expected error and give its exit code; None for a bug, which is told by its traceback."""
    failure = as_failure(error)
    if failure is None:
        return None
    if as_json and not failure.printed:
        put_json(document(failure))
    tell(failure)
    return int(failure.exit_code)


def usage(error: click.UsageError) -> int:
    """A wrong command line: what was wrong and the command's help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return int(Exit.USAGE)
    say(f"a2a: {error.format_message()}")
    if error.ctx is not None:
        say(f"     See: {error.ctx.command_path} --help")
    return int(Exit.USAGE)
