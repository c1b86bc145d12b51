"""`@skill` and `Agent`: how an author declares what an agent can do.

    from a2a_cloud import Context, skill

    @skill
    async def review(ctx: Context, text: str, strict: bool = False) -> Report:
        \"\"\"Review a contract.\"\"\"

A parameter annotated `Context` (or an unannotated first one named `ctx`) receives the context; `File`
parameters receive file parts; the others are the arguments. `Annotated[T, "…"]` describes one.
Generators stream: `Iterator[str]` yields text deltas, any other item type JSON values, and the result
is then the array of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar, overload

from a2a_cloud.agent import options as opts
from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.load import Declared, find_entry, load
from a2a_cloud.agent.options import Options
from a2a_cloud.agent.parameters import refuse_early
from a2a_cloud.agent.problem import BadDeclaration

__all__ = ["Agent", "Declaration", "Declared", "find_entry", "load", "skill"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Marked:
    """A function as its decorator saw it. Its types are read at load, when all names exist."""

    function: Callable[..., Any]
    options: Options
    scope: Mapping[str, Any]

    def declaration(self) -> Declaration:
        """Ready for calls. Raises BadDeclaration."""
        return Declaration(self.function, self.options, self.scope)


@overload
def skill(function: F, /) -> F: ...
@overload
def skill(
    *,
    id: str | None = None,
    name: str | None = None,
    description: str | None = None,
    tags: Sequence[str] = (),
    examples: Sequence[str] = (),
    input_modes: Sequence[str] = (),
    output_modes: Sequence[str] = (),
    timeout: float | None = None,
    retries: int = 0,
    idempotent: bool = False,
    durable: bool = False,
    replayable: bool | None = None,
    concurrency: int | None = None,
    extended: bool = False,
    scopes: Sequence[str] = (),
) -> Callable[[F], F]: ...
def skill(function: Any = None, /, **given: Any) -> Any:
    """Declare a function of this module as a skill. The function itself is returned unchanged.

    `id` (the function's name), `name`, `description` (the docstring's), `tags`, `examples`,
    `input_modes`, `output_modes` (media types) are what callers read. `timeout` in seconds for one
    attempt; `retries` further attempts after a `Problem(retry=True)`; `concurrency` runs at once in one
    worker. `idempotent`: after a crash it may be started again. `durable`: after a crash it goes on by
    replay. `replayable=False`: never run it again, not even to go on after a question. `extended`: only
    callers with a key see it, in the extended card, and may call it. `scopes`: what a caller has to hold, all
    of them: permissions of the platform or words of the organisation's own.

    Raises BadDeclaration for a value that can't be used.
    """
    return _decorated(function, given, lambda marked: _mark(marked))


class Agent:
    """Skills and a message handler in one object, where module-level `@skill` is not enough.

    `name` and `description` are for readers of the code; a2a.toml decides what the agent is called.
    """

    def __init__(self, name: str = "", *, description: str = "") -> None:
        self.name = name
        self.description = description
        self.marked: list[Marked] = []
        self.handler: Marked | None = None

    @overload
    def skill(self, function: F, /) -> F: ...
    @overload
    def skill(
        self,
        *,
        id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        examples: Sequence[str] = (),
        input_modes: Sequence[str] = (),
        output_modes: Sequence[str] = (),
        timeout: float | None = None,
        retries: int = 0,
        idempotent: bool = False,
        durable: bool = False,
        replayable: bool | None = None,
        concurrency: int | None = None,
        extended: bool = False,
        scopes: Sequence[str] = (),
    ) -> Callable[[F], F]: ...
    def skill(self, function: Any = None, **given: Any) -> Any:
        """Declare a skill of this agent. The options are those of the module's `skill`."""
        return _decorated(function, given, self.marked.append)

    def message(self, function: F, /) -> F:
        """Declare the handler of messages that name no skill.

        It takes the context and at most one text (the message's), files too; whatever else it takes
        needs a default. It may answer, ask, or call a skill. An agent has one. Raises BadDeclaration.
        """
        refuse_early(function)
        if self.handler is not None:
            first, second = self.handler.function.__name__, function.__name__
            raise BadDeclaration(
                f"The agent has two message handlers, `{first}` and `{second}`.", remedy="Keep one."
            )
        self.handler = Marked(function, Options(), _scope(function, inspect.currentframe()))
        return function


def _mark(marked: Marked) -> None:
    marked.function.__a2a_skill__ = marked  # type: ignore[attr-defined]


def _decorated(function: Any, given: dict[str, Any], keep: Callable[[Marked], None]) -> Any:
    options = _options(given)

    def declare(function: Any) -> Any:
        refuse_early(function)
        keep(Marked(function, options, _scope(function, inspect.currentframe())))
        return function

    if function is not None:
        return declare(function)
    return declare


_DEFAULTS: dict[str, Any] = {
    "id": None,
    "name": None,
    "description": None,
    "tags": (),
    "examples": (),
    "input_modes": (),
    "output_modes": (),
    "timeout": None,
    "retries": 0,
    "idempotent": False,
    "durable": False,
    "replayable": None,
    "concurrency": None,
    "extended": False,
    "scopes": (),
}


def _options(given: dict[str, Any]) -> Options:
    for name in given:
        if name not in _DEFAULTS:
            from a2a_cloud.agent.misfit import nearest

            meant = nearest(name, _DEFAULTS) or "one of " + ", ".join(_DEFAULTS)
            raise BadDeclaration(f"@skill has no option `{name}`.", remedy=f"Write {meant}.")
    return opts.checked(**{**_DEFAULTS, **given})


def _scope(function: Any, frame: FrameType | None) -> Mapping[str, Any]:
    """The local names around a function inside a function: its types may be among them."""
    names: list[str] = function.__qualname__.split(".")
    if names[-2:-1] != ["<locals>"]:
        return {}
    outer = names[-3]
    while frame is not None:
        if frame.f_code.co_name == outer and frame.f_globals is function.__globals__:
            return dict(frame.f_locals)
        frame = frame.f_back
    return {}
