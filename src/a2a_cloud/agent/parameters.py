"""A function's signature, read: which parameter is the context, which are files, which are JSON."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from a2a_cloud.agent.files import File
from a2a_cloud.agent.options import MEDIA_TYPE
from a2a_cloud.agent.problem import BadDeclaration

MISSING: Any = inspect.Parameter.empty

_STREAMS = (
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.Generator,
    collections.abc.AsyncGenerator,
)
_STREAMS_OF_GENERATORS = (*_STREAMS, collections.abc.Iterable, collections.abc.AsyncIterable)
_ASYNC_STREAMS: tuple[Any, ...] = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a caller fills. `default` is MISSING when it is required."""

    name: str
    annotation: Any
    default: Any
    keyword_only: bool


@dataclass(frozen=True, slots=True)
class FileParameter:
    """One parameter that takes a file part, or with `many` any number of them."""

    name: str
    default: Any
    many: bool
    as_tuple: bool
    media_types: tuple[str, ...]
    description: str

    @property
    def required(self) -> bool:
        return self.default is MISSING


@dataclass(frozen=True, slots=True)
class Shape:
    """A function as the worker calls it. `yields` is None where it returns, else what it yields."""

    context: str
    parameters: tuple[Parameter, ...]
    files: tuple[FileParameter, ...]
    positional: tuple[str, ...]
    keyword: tuple[str, ...]
    returns: Any
    is_async: bool
    is_generator: bool


def refuse_early(function: Any) -> None:
    """What can be said at the decorator, before annotations can be read. Raises BadDeclaration."""
    if not inspect.isfunction(function):
        raise BadDeclaration(f"@skill is for functions, and {function!r} is none.", remedy="Write a def.")
    label = f"`{function.__name__}`"
    parent = function.__qualname__.rpartition(".")[0]
    if parent and not parent.endswith("<locals>"):
        raise BadDeclaration(
            f"{label} is a method of {parent}, and skills are functions.", remedy="Move it out of the class."
        )
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise BadDeclaration(
                f"The skill {label} takes `{parameter}`, so callers can't know its arguments.",
                remedy="Write each parameter with its type, or one `dict[str, X]` or `list[X]`.",
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise BadDeclaration(
                f"The parameter `{parameter.name}` of the skill {label} is positional-only, "
                "and arguments have names.",
                remedy="Remove the `/`.",
            )


def read(function: Callable[..., Any], scope: Mapping[str, Any]) -> Shape:
    """The shape of a function. `scope` holds the local names around it. Raises BadDeclaration."""
    hints = _hints(function, scope)
    context = ""
    parameters: list[Parameter] = []
    files: list[FileParameter] = []
    positional: list[str] = []
    keyword: list[str] = []
    for index, found in enumerate(inspect.signature(function).parameters.values()):
        annotation = hints.get(found.name, Any)
        only = found.kind is found.KEYWORD_ONLY
        (keyword if only else positional).append(found.name)
        if is_context(annotation) or (index == 0 and found.name == "ctx" and annotation is Any):
            if context:
                raise BadDeclaration(f"`{function.__name__}` takes two contexts.", remedy="Keep one.")
            context = found.name
        elif (file := _file(found, annotation)) is not None:
            files.append(file)
        else:
            parameters.append(Parameter(found.name, annotation, found.default, only))
    returns = hints.get("return", MISSING)
    is_async, is_generator, returns = _ways(function, returns)
    return Shape(
        context,
        tuple(parameters),
        tuple(files),
        tuple(positional),
        tuple(keyword),
        returns,
        is_async,
        is_generator,
    )


def is_context(annotation: Any) -> bool:
    """Whether an annotation is the kit's Context, a subclass of it, or one of them or None."""
    arms = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return any(
        base.__qualname__ == "Context" and base.__module__ == "a2a_cloud.agent.context"
        for arm in arms
        if isinstance(arm, type)
        for base in arm.__mro__
    )


def _hints(function: Callable[..., Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    inner = inspect.unwrap(function)
    known = {"File": File, **inner.__globals__, **scope}
    if "Context" not in known and any("Context" in str(note) for note in inner.__annotations__.values()):
        # Often imported for the type checker alone; then only its name is there.
        from a2a_cloud.agent.context import Context

        known["Context"] = Context
    try:
        return typing.get_type_hints(inner, globalns=known, include_extras=True)
    except NameError as error:
        raise BadDeclaration(
            f"An annotation of `{function.__name__}` can't be read: {error}.",
            remedy="Import the name outside `if TYPE_CHECKING`: the types are needed when the agent runs.",
        ) from None
    except (SyntaxError, TypeError, AttributeError) as error:
        raise BadDeclaration(f"An annotation of `{function.__name__}` can't be read: {error}.") from None


def _file(found: inspect.Parameter, annotation: Any) -> FileParameter | None:
    said: list[str] = []
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        for extra in extras:
            text = extra if isinstance(extra, str) else getattr(extra, "description", None)
            if isinstance(text, str):
                said.append(text)
    arms: tuple[Any, ...] = (annotation,)
    if get_origin(annotation) in (Union, types.UnionType):
        arms = tuple(arm for arm in get_args(annotation) if arm is not type(None))
    if len(arms) != 1:
        return None
    one = arms[0]
    origin, items = get_origin(one), [arg for arg in get_args(one) if arg is not Ellipsis]
    several = origin in (list, tuple, collections.abc.Sequence) and items == [File]
    if one is not File and not several:
        return None
    default = found.default
    if default is MISSING and arms != (annotation,):
        # `File | None` with no default still reads as optional: there is no JSON null for a file part.
        default = None
    return FileParameter(
        found.name,
        default,
        several,
        origin is tuple,
        tuple(text for text in said if MEDIA_TYPE.fullmatch(text)),
        " ".join(text for text in said if not MEDIA_TYPE.fullmatch(text)),
    )


def _ways(function: Callable[..., Any], returns: Any) -> tuple[bool, bool, Any]:
    """(is_async, is_generator, what it returns or yields)."""
    origin = get_origin(returns) or returns
    name = getattr(function, "__name__", "?")
    agen, gen = inspect.isasyncgenfunction(function), inspect.isgeneratorfunction(function)
    if agen or gen:
        if returns is MISSING:
            return agen, True, str
        if origin not in _STREAMS_OF_GENERATORS:
            kind = "AsyncIterator" if agen else "Iterator"
            raise BadDeclaration(
                f"`{name}` yields, but says that it returns {returns!r}.", remedy=f"Write -> {kind}[str]."
            )
        return agen, True, _item(returns)
    if origin in _STREAMS:
        if inspect.iscoroutinefunction(function):
            raise BadDeclaration(
                f"`{name}` returns an iterator from an async function.",
                remedy="Write `yield` in it, so that it is an async generator itself.",
            )
        return origin in _ASYNC_STREAMS, True, _item(returns)
    return inspect.iscoroutinefunction(function), False, Any if returns is MISSING else returns


def _item(returns: Any) -> Any:
    args = get_args(returns)
    return args[0] if args else str
