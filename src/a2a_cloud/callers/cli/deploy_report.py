"""What a deploy came to, told to people: the release, where it is, what is weak, what changed, what next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from a2a_cloud.callers.cli.ask import choices
from a2a_cloud.callers.cli.colour import bold, put_painted, red, yellow
from a2a_cloud.callers.cli.options import Options
from a2a_cloud.callers.cli.terminal import clean_line, put
from a2a_cloud.callers.cli.units import between, count, took
from a2a_cloud.client.shapes import items, obj, objs, text

#: Skills with the same weakness that are named.
_SKILLS_NAMED = 4


@dataclass(frozen=True)
class Told:
    """A deploy's end: the release; whether it `existed`; what served `before` and what serves now (0: none);
    the agent's skills with their schemas."""

    agent: str
    release: dict[str, Any]
    existed: bool
    before: int
    serving: int
    skills: Sequence[dict[str, Any]]


def address(release: dict[str, Any]) -> str:
    """How the agent of a release is addressed: `name`, or `org.name` outside the default organisation."""
    agent, org = text(release.get("agent")), text(release.get("org"))
    return agent if not agent or "." in agent or org in ("", "default") else f"{org}.{agent}"


def tell_success(options: Options, told: Told, *, promoted: bool) -> None:
    """The end of a deploy that went well."""
    release = told.release
    number = release.get("release")
    serves = bool(release.get("serving"))
    if told.existed:
        put(f"Nothing changed: this source and environment are release {number} already.")
    put_painted(clean_line(release_line(told, serves)), bold)
    seconds = between(text(release.get("created")), text(release.get("ended")))
    for label, value in (
        ("preview", release.get("preview_url")),
        ("docs", release.get("docs_url")),
        ("environment", _environment(obj(release.get("environment")))),
        ("took", took(seconds) if seconds is not None and not told.existed else ""),
    ):
        if value:
            put(clean_line(f"  {label:12}{value}"))
    _show_sandbox(options, release)
    findings = objs(release.get("findings"))
    if told.existed and findings:
        put(f"The card has {count(len(findings), 'weak point')}, as before; --json lists them.")
    elif not told.existed:
        show_findings(findings)
        show_changes(objs(release.get("changes")), f"since release {told.before}" if told.before else "")
    if not serves:
        why = "It waits to be promoted" if not promoted else "Another release was switched to meanwhile"
        put(f"{why}: {options.command('promote', told.agent, str(number))}")
    put(f"Call it: {call_line(options, told.agent, told.skills)}")


#: What `[sandbox] isolation` shares, in a sentence.
_SHARING = {
    "shared": "runs share its processes",
    "caller": "each caller's runs have processes of their own",
    "run": "each run has a process of its own",
}


def _show_sandbox(options: Options, release: dict[str, Any]) -> None:
    sandbox = obj(release.get("sandbox"))
    name, missing = text(sandbox.get("name")), items(sandbox.get("missing"))
    if name in ("", "process"):
        line = "  not isolated: the agent's code can do what the platform's user can"
        put_painted(f"{line} ({options.command('doctor')} says why)", yellow)
        return
    sharing = _SHARING.get(text(release.get("isolation")), text(release.get("isolation")))
    needed = ", required" if release.get("require") else ""
    put(clean_line(f"  {'sandbox':12}{name}{needed}; {sharing}"))
    if missing:
        lacks = count(len(missing), "gap")
        put_painted(f"  {'':12}{lacks} on this machine: {options.command('doctor')}", yellow)


def release_line(told: Told, serves: bool) -> str:
    """`Release 7 of greeter serves at http://…`."""
    release = told.release
    name = f"Release {release.get('release')} of {told.agent}"
    return f"{name} serves at {release.get('url', '')}" if serves else f"{name} is ready and does not serve"


def _environment(environment: dict[str, Any]) -> str:
    if not environment:
        return ""
    packages = environment.get("packages")
    said = count(packages, "package") if isinstance(packages, int) else ""
    python = text(environment.get("python"))
    parts = [said, f"Python {python}" if python else "", text(environment.get("digest"))[:19]]
    return ", ".join(each for each in parts if each)


def show_findings(findings: list[dict[str, Any]]) -> None:
    """What is weak in the card, skills with the same weakness together."""
    if not findings:
        return
    put(f"The card has {count(len(findings), 'weak point')}:")
    kinds: dict[str, list[dict[str, Any]]] = {}
    for each in findings:
        kinds.setdefault(text(each.get("code")), []).append(each)
    for code, same in kinds.items():
        first = same[0]
        skills = [text(each.get("skill")) for each in same if each.get("skill")]
        more = f" and {len(skills) - _SKILLS_NAMED} more" if len(skills) > _SKILLS_NAMED else ""
        named = f"{', '.join(skills[:_SKILLS_NAMED])}{more}: " if skills else ""
        put(clean_line(f"  {named}{first.get('detail', '')} ({code})"))
        if first.get("remedy"):
            put(clean_line(f"    {first['remedy']}"))


def show_changes(changes: list[dict[str, Any]], since: str) -> None:
    """What callers see of a change, the breaking ones first and marked."""
    if not changes:
        return
    breaking = sum(bool(each.get("breaking")) for each in changes)
    marked = f", {breaking} breaking" if breaking else ""
    put(f"{count(len(changes), 'change')} of the card {since}".rstrip() + f"{marked}:")
    for each in sorted(changes, key=lambda each: not each.get("breaking")):
        place = ".".join(text(each.get(name)) for name in ("skill", "where") if each.get(name))
        line = clean_line(f"{place}: {each.get('detail', '')}" if place else text(each.get("detail")))
        if each.get("breaking"):
            put_painted(f"  breaking  {line}", red)
        else:
            put(f"            {line}")


def call_line(options: Options, agent: str, skills: Sequence[dict[str, Any]]) -> str:
    """A command that calls a skill with values that fit, where its schema says what does."""
    if not skills:
        return options.command("show", agent)
    fits = [each for each in skills if all(not _needed(one) for one in objs(each.get("files")))]
    skill = (fits or list(skills))[0]
    words = [f"{each.get('name')}=@FILE" for each in objs(skill.get("files")) if _needed(each)]
    schema = obj(skill.get("input_schema"))
    properties = obj(schema.get("properties"))
    for name in items(schema.get("required")):
        words.append(_word(text(name), obj(properties.get(name)), obj(schema.get("$defs"))))
    return options.command("call", agent, text(skill.get("id")), *words)


def _needed(file: dict[str, Any]) -> bool:
    return bool(file.get("required", True))


def _word(name: str, schema: dict[str, Any], defs: dict[str, Any]) -> str:
    value = _sample(name, schema, defs, 0)
    if isinstance(value, str) and value[:1] not in ("@", "=", "\\"):
        return f"{name}={value}"
    return f"{name}:={json.dumps(value, ensure_ascii=False)}"


def _sample(name: str, schema: dict[str, Any], defs: dict[str, Any], depth: int) -> Any:
    """A value that the schema takes, as far as a schema says it plainly."""
    reference = text(schema.get("$ref"))
    if reference.startswith("#/$defs/") and depth < 5:
        return _sample(name, obj(defs.get(reference[8:])), defs, depth + 1)
    for values in (items(schema.get("examples")), choices(schema)):
        if values:
            return values[0]
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    for each in objs(schema.get("anyOf")) or objs(schema.get("oneOf")):
        return _sample(name, each, defs, depth + 1)
    kinds = schema.get("type")
    kind = text(next(iter(items(kinds)), "") if isinstance(kinds, list) else kinds)
    match kind:
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return [_sample(name, obj(schema.get("items")), defs, depth + 1)] if depth < 5 else []
        case "object":
            inner = obj(schema.get("properties"))
            wanted = items(schema.get("required")) if depth < 5 else []
            return {text(each): _sample(text(each), obj(inner.get(each)), defs, depth + 1) for each in wanted}
        case _:
            return "hello"
