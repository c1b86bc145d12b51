"""The prompt of `a2a dev`: `skill name=value …` as `a2a call` takes it, with completion, help and questions
answered in place.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from a2a_cloud.callers.cli.ask import choices
from a2a_cloud.callers.cli.call import Terms, call_events
from a2a_cloud.callers.cli.dev_screen import Screen, whole_findings
from a2a_cloud.callers.cli.follow import Follower, progress_line
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.report import as_failure, tell
from a2a_cloud.callers.cli.terminal import clean_line, put, say
from a2a_cloud.client.calls import CallEvent
from a2a_cloud.client.shapes import items, obj, objs, text

_HELP = ("?", "help")
_LEAVE = ("exit", "quit")
_LINT = "lint"
_WORDS = ("-m", "--message")


@dataclass
class Skills:
    """What the agent's serving release can do, as `/api/v1/agents/{name}` says; replaced after a reload."""

    agent: str = ""
    described: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    #: What the card's lint found in that release.
    findings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def take(self, document: dict[str, Any]) -> None:
        """Note what a release's description says."""
        self.described = {text(each.get("id")): each for each in objs(document.get("skills"))}

    def names(self) -> list[str]:
        """Ids of the skills."""
        return list(self.described)

    def parameters(self, skill: str) -> dict[str, dict[str, Any]]:
        """Parameters by name: their schemas; a file parameter's has `"file": true`."""
        described = self.described.get(skill, {})
        files = {text(each.get("name")): {**each, "file": True} for each in objs(described.get("files"))}
        schema = obj(described.get("input_schema"))
        defs = obj(schema.get("$defs"))
        known = {name: _resolved(obj(each), defs) for name, each in obj(schema.get("properties")).items()}
        return {**files, **known}

    def required(self, skill: str) -> set[str]:
        """Names of the parameters that a call needs."""
        described = self.described.get(skill, {})
        files = {text(each.get("name")) for each in objs(described.get("files")) if each.get("required")}
        return files | {text(each) for each in items(obj(described.get("input_schema")).get("required"))}


def _resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    name = text(schema.get("$ref")).removeprefix("#/$defs/")
    return {**obj(defs.get(name)), **schema} if name else schema


def complete(skills: Skills, before: str, word: str) -> list[str]:
    """What `word` may become, after `before` on the line: skills, parameters, values, files."""
    words = before.split()
    if not words or (len(words) == 1 and words[0] in _HELP):
        names = skills.names() if words else [*skills.names(), *_HELP, _LINT]
        return [f"{name} " for name in names if name.startswith(word)]
    parameters = skills.parameters(words[0])
    name, equals, value = word.partition("=")
    if not equals:
        given = {each.partition("=")[0].removesuffix(":") for each in words[1:]}
        return [
            each + _assign(schema)
            for each, schema in parameters.items()
            if each.startswith(word) and each not in given
        ]
    if value.startswith("@"):
        paths = [
            path + ("/" if Path(path).is_dir() else "") for path in glob.glob(glob.escape(value[1:]) + "*")
        ]
        return [f"{name}=@{path}" for path in sorted(paths)]
    schema = parameters.get(name.removesuffix(":"), {})
    known = [each if isinstance(each, str) else str(each).lower() for each in choices(schema)]
    if not known and schema.get("type") == "boolean":
        known = ["true", "false"]
    return [f"{name}={each} " for each in known if each.startswith(value)]


def _assign(schema: dict[str, Any]) -> str:
    if schema.get("file"):
        return "=@"
    values = choices(schema)
    if values:
        return "=" if all(isinstance(each, str) for each in values) else ":="
    return "=" if schema.get("type") in ("string", None) and "anyOf" not in schema else ":="


class Shown(Follower):
    """A call from the prompt: every event is a line that stays."""

    def _take(self, event: CallEvent) -> None:
        self.outcome.take(event)
        if event.kind == "text":
            delta = text(event.data.get("delta"))
            put(delta, end="")
            self._column = 0 if delta.endswith("\n") or not delta else 1
            return
        line = progress_line(event)
        if line:
            self._finish_line()
            say(f"  {clean_line(line)}")

    @property
    def run_id(self) -> str:
        """The run, once it is known."""
        return self._watched.run_id


class Prompt:
    """Reads lines until the end and calls what they say. `calling` is the call under way, or None."""

    def __init__(self, screen: Screen, skills: Skills, options: Options, history: Path) -> None:
        self.calling: Shown | None = None
        self.own: set[str] = set()
        self._screen = screen
        self._skills = skills
        self._options = options
        self._history = history
        self._candidates: list[str] = []

    def loop(self, ended: Callable[[], bool]) -> None:
        """Returns at the end of input, or at `exit`. Raises KeyboardInterrupt for Ctrl-C at the prompt."""
        import readline

        with contextlib.suppress(OSError):
            readline.read_history_file(self._history)
        readline.set_history_length(500)
        readline.set_completer_delims(" \t\n")
        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
        try:
            while not ended():
                readline.set_completer(self._complete)
                try:
                    line = self._screen.read(f"{self._skills.agent}> ")
                except EOFError:
                    print(flush=True)
                    return
                readline.set_completer(None)
                if line.strip() in _LEAVE:
                    return
                self.act(line)
        finally:
            with contextlib.suppress(OSError):
                readline.write_history_file(self._history)

    def _complete(self, word: str, state: int) -> str | None:
        import readline

        if state == 0:
            before = readline.get_line_buffer()[: readline.get_begidx()]
            self._candidates = complete(self._skills, before, word)
        return self._candidates[state] if state < len(self._candidates) else None

    def act(self, line: str) -> None:
        """Do what a line says, and tell what was wrong with it."""
        try:
            words = shlex.split(line)
        except ValueError:
            say("A quote is open: close it.")
            return None
        if not words:
            return None
        first, rest = words[0], words[1:]
        if first in _HELP or rest == ["?"]:
            return self._help(rest[0] if first in _HELP and rest else first if rest == ["?"] else "")
        if first in _WORDS:
            if not rest:
                say("Say what: -m WORDS")
                return None
            return self._call("", (), " ".join(rest))
        if first == _LINT and not rest and _LINT not in self._skills.described:
            found = whole_findings(self._screen, self._skills.findings)
            self._screen.tell({}, *(found or ["  Nothing was found."]))
            return None
        if first not in self._skills.described:
            near = difflib.get_close_matches(first, self._skills.names(), 1)
            say(
                f"There is no skill {clean_line(first)}."
                + (f" Did you mean {near[0]}?" if near else " ? lists them.")
            )
            return None
        return self._call(first, tuple(rest), "")

    def _call(self, skill: str, words: tuple[str, ...], said: str) -> None:
        self.calling = Shown(self._options, self._skills.agent, stream=True)
        try:
            self.calling.run(lambda watched: call_events(watched, skill, words, said, Terms()))
        except Exception as error:
            failure = as_failure(error)
            if failure is None:
                raise
            tell(failure)
        finally:
            self.own.add(self.calling.run_id)
            self.calling = None

    def _help(self, skill: str) -> None:
        skills = self._skills
        if skill and skill not in skills.described:
            say(f"There is no skill {clean_line(skill)}.")
            return
        lines: list[str] = []
        for name in [skill] if skill else skills.names():
            about = text(skills.described[name].get("description")).partition("\n")[0]
            parameters, required = skills.parameters(name), skills.required(name)
            usage = [f"{each}{_assign(schema)}…" for each, schema in parameters.items() if each in required]
            usage += [
                f"[{each}{_assign(schema)}…]" for each, schema in parameters.items() if each not in required
            ]
            lines.append(clean_line(f"  {' '.join([name, *usage])}"))
            lines.append(self._screen.style("dim", clean_line(f"      {about}")))
            if skill:
                lines += [clean_line(f"      {each}: {_takes(s)}") for each, s in parameters.items()]
        if not skill:
            lines.append("  -m WORDS   say something without naming a skill")
            lines.append("  k=text k:=json k=@file as in `a2a call`; ? SKILL says more; lint; exit or Ctrl-D")
        self._screen.tell({}, *lines)


def _takes(schema: dict[str, Any]) -> str:
    """What a parameter takes, and what is said of it."""
    allowed = " | ".join(str(value) for value in choices(schema)) or text(schema.get("type")) or "any"
    return f"{'file' if schema.get('file') else allowed}  {text(schema.get('description'))}".rstrip()
