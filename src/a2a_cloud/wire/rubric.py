"""The reader of `evals.toml`: cases to put to an agent and what their results have to be (docs/evals.md).

Text in, a Rubric out; nothing is opened or run. Every refusal is an InvalidParams that names the case, the
key and what belongs there; an unknown key gets the nearest right one. Patterns are those of the linear-time
engine, so that no rubric can hold the platform up.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from hashlib import sha256
from typing import Any, cast

import jsonschema_rs
from msgspec import Struct

from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.wire import toml_text
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.source import check_path

#: The rubric that a release carries: this file beside its a2a.toml.
FILE = "evals.toml"
MAX_BYTES = 256 << 10
MAX_CASES, MAX_CHECKS, MAX_FILES, MAX_ANSWERS = 500, 50, 20, 50
#: Seconds that a run, and a check that runs something, may take.
TIMEOUT, MAX_TIMEOUT = 120.0, 3600.0
CHECK_TIMEOUT = 30.0
MAX_PATTERN = 1000
#: Depth of values, as of canonical JSON.
_MAX_DEPTH = 64
#: How a run that a case asks for may end.
STATES = ("completed", "failed", "rejected", "canceled")

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_RUN = re.compile(r"run_[0-9a-z]{1,64}")
_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,62}(@\d{1,9})?")
_LINEAR = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=4 << 20)


class CaseFile(Struct, frozen=True):
    """A file of the release's source that a case sends: `param` "" leaves the parameter to its type."""

    path: str
    param: str = ""
    media_type: str = ""


class Check(Struct, frozen=True):
    """One thing that has to hold of a result. `path` is a JSON pointer (RFC 6901) into it.

    `value` of equals, contains and numeric, with `tolerance` as (absolute, relative); `ignore` are pointers
    that equals leaves out on both sides. `schema` is a JSON Schema, or `file` of the source has it.
    `function` is `module:function` of the release's source; `agent`, `skill` and `prompt` are a judge's.
    """

    kind: str
    path: str = ""
    weight: str = "1"
    value: Any = None
    ignore: tuple[str, ...] = ()
    tolerance: tuple[str, str] = ("0", "0")
    pattern: str = ""
    schema: Any = None
    file: str = ""
    function: str = ""
    agent: str = ""
    skill: str = ""
    prompt: str = ""
    timeout: float = CHECK_TIMEOUT


class Case(Struct, frozen=True):
    """One call and what is expected of it: `arguments` of a skill, or a `message`, or those of a recorded
    `run`. `weight` and `passing` (the least score with which it passes) are decimal strings. `answers` are
    given to questions in their order; `state` is how the run has to end, "" for as the recorded one."""

    name: str
    skill: str = ""
    arguments: dict[str, Any] | None = None
    message: str | None = None
    run: str = ""
    files: tuple[CaseFile, ...] = ()
    answers: tuple[Any, ...] = ()
    timeout: float = TIMEOUT
    weight: str = "1"
    passing: str = "1"
    state: str = ""
    checks: tuple[Check, ...] = ()


class Rubric(Struct, frozen=True):
    """Cases in their order; `sha256` is that of the text, in hex."""

    sha256: str
    cases: tuple[Case, ...]


def read_rubric(text: bytes, file: str = FILE) -> Rubric:
    """The rubric in `text`; `file` is its name for sentences. Raises InvalidParams, TooLarge."""
    if len(text) > MAX_BYTES:
        raise TooLarge(
            f"{file} has more than {MAX_BYTES >> 10} KiB.",
            remedy="Put long values into files of the agent's folder, or make several rubrics (--rubric).",
        )
    try:
        table = toml_text.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidParams(f"{file} is not UTF-8 text.", remedy="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidParams(f"{file} is not valid TOML: {error}.", remedy="Mend that line.") from None
    except RecursionError:
        raise InvalidParams(f"{file} is nested too deeply.") from None
    top = _Table(file, "", table)
    top.known("case", "timeout", "pass")
    timeout = top.number("timeout", TIMEOUT, 0.1, MAX_TIMEOUT)
    passing = top.decimal("pass", "1", 0, 1)
    tables = top.tables("case")
    if not tables:
        raise InvalidParams(
            f"{file} has no case.", remedy="Write [[case]], and what it calls: docs/evals.md."
        )
    if len(tables) > MAX_CASES:
        raise InvalidParams(f"{file} has {len(tables)} cases; at most {MAX_CASES} are taken.")
    cases = tuple(_case(each, timeout, passing) for each in tables)
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise InvalidParams(
                f"{file} has two cases {readable(name)}.", remedy="Give each case a name of its own."
            )
    return Rubric(sha256(text).hexdigest(), cases)


def _case(table: _Table, timeout: float, passing: str) -> Case:
    table.known(
        "name",
        "skill",
        "arguments",
        "message",
        "run",
        "files",
        "answers",
        "timeout",
        "weight",
        "pass",
        "state",
        "check",
    )
    name = table.text("name", most=100)
    if not name:
        raise table.wrong("name", "is missing", 'Write name = "…": reports name the case by it.')
    table.named = name
    arguments, message, run = table.values.get("arguments"), table.values.get("message"), table.text("run")
    if run and (arguments is not None or message is not None or "files" in table.values):
        raise table.wrong(
            "run", "stands beside arguments, message or files", "A recorded run brings its own."
        )
    if run and not _RUN.fullmatch(run):
        raise table.wrong("run", "is no run's id", 'Write run = "run_…", as `a2a runs` lists them.')
    if arguments is not None and message is not None:
        raise table.wrong("message", "stands beside arguments", "Write one of the two.")
    if not run and arguments is None and message is None and not table.text("skill"):
        raise table.wrong(
            "arguments", "is missing", "Say what to call: arguments of a skill, a message, or a recorded run."
        )
    if arguments is not None and not isinstance(arguments, dict):
        raise table.wrong("arguments", "has to be a table", 'Write arguments = { name = "Ada" }.')
    answers = table.values.get("answers", [])
    if not isinstance(answers, list) or len(cast("list[Any]", answers)) > MAX_ANSWERS:
        raise table.wrong("answers", f"has to be a list of at most {MAX_ANSWERS} values", "")
    state = table.text("state") or ("" if run else "completed")
    if state and state not in STATES:
        raise table.wrong("state", "is no end of a run", f"It is one of {', '.join(STATES)}.")
    checks = tuple(_check(each) for each in table.tables("check"))
    if len(checks) > MAX_CHECKS:
        raise table.wrong("check", f"comes {len(checks)} times; at most {MAX_CHECKS} are taken", "")
    if not checks and not run and "state" not in table.values:
        raise table.wrong(
            "check",
            "is missing",
            'Write [[case.check]]; or state = "completed", where it is enough that the run ends so.',
        )
    return Case(
        name=name,
        skill=table.text("skill", most=200),
        arguments=table.json("arguments", arguments),
        message=None if message is None else table.text("message", most=64 << 10),
        run=run,
        files=tuple(_file(each) for each in table.tables("files", MAX_FILES)),
        answers=tuple(table.json("answers", answers)),
        timeout=table.number("timeout", timeout, 0.1, MAX_TIMEOUT),
        weight=table.decimal("weight", "1", 0, 1000),
        passing=table.decimal("pass", passing, 0, 1),
        state=state,
        checks=checks,
    )


def _file(table: _Table) -> CaseFile:
    table.known("path", "param", "media_type")
    return CaseFile(
        table.path("path", needed=True), table.text("param", most=200), table.text("media_type", most=200)
    )


# --- checks -----------------------------------------------------------------------------------------


def _check(table: _Table) -> Check:
    kind = table.text("kind")
    reader = _KINDS.get(kind)
    if reader is None:
        near = difflib.get_close_matches(kind, _KINDS, 1)
        raise table.wrong(
            "kind",
            f"is {readable(kind)}" if kind else "is missing",
            f"Did you mean {near[0]}?" if near else f"It is one of {', '.join(_KINDS)}.",
        )
    keys, read = reader
    table.known("kind", "path", "weight", *keys)
    path = table.text("path", most=1000)
    if not is_pointer(path):
        raise table.wrong(
            "path", "is no JSON pointer", 'Write "" for the whole result, or "/findings/0/clause".'
        )
    return Check(kind=kind, path=path, weight=table.decimal("weight", "1", 0, 1000), **read(table))


def _equals(table: _Table) -> dict[str, Any]:
    ignore = table.values.get("ignore", [])
    if not isinstance(ignore, list) or not all(
        isinstance(one, str) and one and is_pointer(one) for one in cast("list[Any]", ignore)
    ):
        raise table.wrong("ignore", "has to be a list of JSON pointers", 'Write ignore = ["/created"].')
    return {"value": table.value(), "ignore": tuple(cast("list[str]", ignore))}


def _contains(table: _Table) -> dict[str, Any]:
    return {"value": table.value()}


def _regex(table: _Table) -> dict[str, Any]:
    pattern = table.text("pattern", most=MAX_PATTERN)
    if not pattern:
        raise table.wrong("pattern", "is missing", "Write pattern = '^Re:'.")
    try:
        linear(pattern)
    except ValueError:
        raise table.wrong(
            "pattern",
            "is no pattern of the linear-time engine",
            "It has neither look-around nor back-references: docs/evals.md.",
        ) from None
    return {"pattern": pattern}


def _schema(table: _Table) -> dict[str, Any]:
    schema, file = table.values.get("schema"), table.path("file")
    if (schema is None) == (not file):
        raise table.wrong(
            "schema", "is missing" if schema is None else "stands beside file", "Write one of the two."
        )
    if schema is not None:
        schema = table.json("schema", schema)
        try:
            validator(schema)
        except ValueError as error:
            raise table.wrong("schema", f"can't be used: {str(error).splitlines()[0]}", "") from None
    return {"schema": schema, "file": file}


def _numeric(table: _Table) -> dict[str, Any]:
    value = table.value()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise table.wrong("value", "has to be a number", "")
    tolerance = (table.decimal("abs", "0", 0, 1e18), table.decimal("rel", "0", 0, 1e6))
    return {"value": value, "tolerance": tolerance}


def _python(table: _Table) -> dict[str, Any]:
    function = table.text("function", most=200)
    if not _FUNCTION.fullmatch(function):
        raise table.wrong("function", "names no function", 'Write function = "checks:tone", of checks.py.')
    return {"function": function, "timeout": table.number("timeout", CHECK_TIMEOUT, 0.1, 600)}


def _judge(table: _Table) -> dict[str, Any]:
    agent = table.text("agent")
    if not _AGENT.fullmatch(agent):
        raise table.wrong("agent", "names no agent", 'Write agent = "judge", of the same organisation.')
    skill = table.text("skill", most=200)
    if not skill:
        raise table.wrong("skill", "is missing", "Name the skill that answers {score, reason}.")
    return {
        "agent": agent,
        "skill": skill,
        "prompt": table.text("prompt", most=32 << 10),
        "timeout": table.number("timeout", TIMEOUT, 0.1, MAX_TIMEOUT),
    }


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[_Table], dict[str, Any]]]] = {
    "equals": (("value", "ignore"), _equals),
    "contains": (("value",), _contains),
    "regex": (("pattern",), _regex),
    "schema": (("schema", "file"), _schema),
    "numeric": (("value", "abs", "rel"), _numeric),
    "python": (("function", "timeout"), _python),
    "judge": (("agent", "skill", "prompt", "timeout"), _judge),
}


def validator(schema: Any) -> Any:
    """The validator of a JSON Schema, its patterns linear, nothing remote fetched. Raises ValueError."""
    return jsonschema_rs.validator_for(schema, retriever=_no_remote, pattern_options=_LINEAR)


def linear(pattern: str) -> Any:
    """A validator of texts in which `pattern` is found, in time linear to the text. Raises ValueError."""
    return validator({"type": "string", "pattern": pattern})


def _no_remote(uri: str) -> Any:
    raise ValueError(f"{uri}: schemas may not refer to other documents")


# --- JSON pointers ----------------------------------------------------------------------------------


def is_pointer(text: str) -> bool:
    """Whether `text` is a JSON pointer (RFC 6901)."""
    return (not text or text.startswith("/")) and not re.search(r"~(?![01])", text)


def steps_of(pointer: str) -> list[str]:
    """The names that a pointer goes by."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


# --- what a table says ------------------------------------------------------------------------------


class _Table:
    """A TOML table, read key by key; `at` is its place, `named` the case's name once that is known."""

    def __init__(self, file: str, at: str, values: Mapping[str, Any]) -> None:
        self.file, self.at, self.values = file, at, values
        self.named = ""

    def wrong(self, key: str, what: str, remedy: str) -> InvalidParams:
        """The problem of a key."""
        place = self.at + (f" {readable(self.named)}" if self.named and " " not in self.at else "")
        where = f"{self.file}, {place}: " if self.at else f"{self.file}: "
        return InvalidParams(f"{where}`{key}` {what}.", remedy=remedy, info={"key": key})

    def known(self, *keys: str) -> None:
        """Refuses every other key."""
        for key in self.values:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                remedy = f"Did you mean `{near[0]}`?" if near else f"The keys here: {', '.join(keys)}."
                raise self.wrong(key, "is no key here", remedy)

    def text(self, key: str, *, most: int = 200) -> str:
        """A string, "" when there is none."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(key, "has to be a text", f'Write {key} = "…".')
        if len(value) > most:
            raise self.wrong(key, f"is longer than {most} characters", "")
        return value

    def path(self, key: str, *, needed: bool = False) -> str:
        """A relative path inside the agent's folder."""
        value = self.text(key, most=1024)
        if value or needed:
            try:
                check_path(value)
            except InvalidParams as problem:
                raise self.wrong(key, "names no file of the agent's folder", problem.detail) from None
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """A number within bounds."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(key, f"has to be a number from {least:g} to {most:g}", "")
        return float(value)

    def decimal(self, key: str, default: str, least: float, most: float) -> str:
        """The same as a decimal string: scores are computed without floats."""
        if key not in self.values:
            return default
        return decimal_of(self.number(key, 0.0, least, most))

    def value(self) -> Any:
        """The member `value`, which has to be there."""
        if "value" not in self.values:
            raise self.wrong("value", "is missing", "Write what is expected.")
        return self.json("value", self.values["value"])

    def json(self, key: str, value: Any) -> Any:
        """A value that JSON has."""
        odd = _odd(value, 0)
        if odd:
            raise self.wrong(key, f"holds {odd}, which JSON has not", "Write it as a text.")
        return value

    def tables(self, key: str, most: int = 1 << 20) -> list[_Table]:
        """The tables of a list; none when there is none. A file may be its path alone."""
        found: Any = self.values.get(key, [])
        if not isinstance(found, list) or len(cast("list[Any]", found)) > most:
            raise self.wrong(key, "has to be a list of tables", f"Write [[{key}]] or a shorter list.")
        tables: list[_Table] = []
        for number, each in enumerate(cast("list[Any]", found), 1):
            if key == "files" and isinstance(each, str):
                each = {"path": each}
            if not isinstance(each, dict):
                raise self.wrong(key, "has to be a list of tables", "")
            within = f"{self.at} {readable(self.named)}, " if self.at else ""
            tables.append(_Table(self.file, f"{within}{key} {number}", cast("dict[str, Any]", each)))
        return tables


def decimal_of(value: float) -> str:
    """A number without an exponent, as short as it can be."""
    text = format(Decimal(str(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _odd(value: Any, depth: int) -> str:
    """What in `value` is not of JSON, "" for nothing."""
    if depth > _MAX_DEPTH:
        return "too many levels"
    if isinstance(value, float) and not math.isfinite(value):
        return "inf or nan"
    if isinstance(value, date | time):
        return "a date or time"
    inside: Iterable[Any] = ()
    if isinstance(value, dict):
        inside = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        inside = cast("list[Any]", value)
    return next((odd for each in inside if (odd := _odd(each, depth + 1))), "")
