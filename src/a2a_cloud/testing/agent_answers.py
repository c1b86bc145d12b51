"""Who a skill talks to in a test: what answers its questions, and what stands for other agents."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from a2a_cloud.agent.problem import BadDeclaration
from a2a_cloud.testing.agent_outcome import ChildCall, Outcome, Question

Answers = Sequence[Any] | Mapping[str, Any] | Callable[[Question], Any]
"""A list (in the order of the questions), answers by question (its text, or a piece of it), or a
function from the Question to the answer."""

Calls = Mapping[str, Any]
"""`"agent/skill"` (or `"agent"` for all its skills) to what the call returns: a value, a function of
the arguments, or an exception to raise, such as `Problem("…")`."""


class NotAnswered(AssertionError):
    """A skill asked, or called another agent, and the test does not say what comes back."""


def checked_answers(answers: Answers | None) -> Answers:
    """The answers as they are. Raises BadDeclaration for what can't be told apart from one answer."""
    if answers is None:
        return []
    if callable(answers) or isinstance(answers, Mapping):
        return answers
    if isinstance(answers, str | bytes) or not isinstance(answers, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadDeclaration(
            f"answers={answers!r} can't be used.",
            remedy="Write a list (answers=[…]), a dict of questions, or a function of the question.",
        )
    return answers


class Asked:
    """Answers the questions of one run; `begun` questions have been answered in an earlier life."""

    def __init__(self, answers: Answers, begun: int) -> None:
        self._answers = answers
        self._at = begun

    async def answer(self, question: Question) -> Any:
        """The answer. Raises NotAnswered, and whatever the test's function raises."""
        answers = self._answers
        if isinstance(answers, Mapping):
            return self._by_text(cast("Mapping[str, Any]", answers), question)
        if callable(answers):
            return await called(answers, question)
        if self._at >= len(answers):
            raise _no_answer(
                question, f"answers=[…] has {len(answers)} for it" if answers else "none was given"
            )
        self._at += 1
        return answers[self._at - 1]

    def _by_text(self, answers: Mapping[str, Any], question: Question) -> Any:
        if question.text in answers:
            return answers[question.text]
        found = [key for key in answers if key and key in question.text]
        if not found:
            raise _no_answer(question, f"answers has only {', '.join(map(repr, answers)) or 'nothing'}")
        return answers[max(found, key=len)]


def _no_answer(question: Question, why: str) -> NotAnswered:
    return NotAnswered(
        f"The skill asks {question.text!r}, and the test gives no answer: {why}.\n"
        "Write agent.using(answers=[…]).call(…), or answers={'a piece of the question': …}.\n"
        f"The answer must fit this JSON Schema: {json.dumps(question.schema, ensure_ascii=False)}"
    )


async def child_value(calls: Calls, call: ChildCall) -> Any:
    """What a call to another agent returns. Raises NotAnswered, and what the fake raises."""
    name = f"{call.agent}/{call.skill}" if call.skill else call.agent
    for key in (name, call.agent):
        if key in calls:
            fake = calls[key]
            break
    else:
        known = ", ".join(map(repr, calls)) or "nothing"
        raise NotAnswered(
            f"The skill calls {name!r} with {call.arguments!r}, and calls={{…}} has {known}.\n"
            f"Write agent.using(calls={{{name!r}: VALUE}}).call(…), or a function of the arguments."
        )
    if isinstance(fake, BaseException):
        raise fake
    found: Any = await called(fake, **call.arguments) if callable(fake) else fake
    return found.value_or_raise().value if isinstance(found, Outcome) else found


async def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function of the test returns, awaited if need be."""
    # In a thread: the test's function may itself call an agent and wait for it.
    made = await asyncio.to_thread(function, *args, **kwargs)
    return await made if inspect.isawaitable(made) else made
