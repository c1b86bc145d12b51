"""`a2a env`: an agent's plain settings, which it finds in its environment variables."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.http import Platform, agent_path
from a2a_cloud.client.shapes import obj, objs, text

VERBS = ("ls", "set", "rm")
_USAGE = "a2a env [AGENT] [ls], a2a env [AGENT] set NAME=VALUE…, or a2a env [AGENT] rm NAME…"
_LIKE_A_SECRET = re.compile(r"(?i)(^|_)(key|token|secret|password|passwd|credentials?)($|_)")


@click.command("env")
@connected
@click.argument(
    "words", nargs=-1, metavar="[AGENT] [ls|set NAME=VALUE…|rm NAME…]", shell_complete=agent_names
)
def env_command(options: Options, words: tuple[str, ...]) -> int:
    """List, set or remove the plain settings of AGENT (secrets: `a2a secrets`)."""
    rest = list(words)
    agent = agent_named(rest.pop(0) if rest and rest[0] not in VERBS else "")
    verb = rest.pop(0) if rest else "ls"
    if verb not in VERBS or (verb == "ls" and rest) or (verb != "ls" and not rest):
        raise Failure(Exit.USAGE, f"`env` can't do {' '.join([verb, *rest])!r}.", remedy=f"Write: {_USAGE}")
    path = f"/api/v1{agent_path(agent)}/env"
    settings = _settings(rest) if verb == "set" else {}

    done: list[str] = []

    async def talk(platform: Platform) -> Any:
        for name, value in settings.items():
            await platform.json("PUT", f"{path}/{quote(name, safe='')}", body={"value": value})
            done.append(name)
        for name in rest if verb == "rm" else []:
            await platform.json("DELETE", f"{path}/{quote(name, safe='')}")
            done.append(name)
        return await platform.json("GET", path)

    try:
        answer = options.ask(talk)
    except (ServerProblem, Unreachable):
        if done:
            say(clean_line(f"Done before that: {verb} {', '.join(done)}"))
        raise
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    if verb == "ls":
        _show(options, agent, objs(obj(answer).get("env")))
        return int(Exit.OK)
    names = ", ".join(settings or rest)
    put(clean_line(f"{'Set' if verb == 'set' else 'Removed'} {names} of {agent}; new calls see it."))
    secret = [name for name in settings if _LIKE_A_SECRET.search(name)]
    if secret:
        say(
            f"{clean_line(', '.join(secret))}: settings are kept as plain text, and the admins of the "
            f"organisation can read them. For a secret, which agent code never sees: "
            f"{options.command('secrets', 'set', secret[0])}"
        )
    return int(Exit.OK)


def _settings(words: list[str]) -> dict[str, str]:
    """NAME → value. Raises Failure (usage) for the first word that is none; nothing was set then."""
    settings: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Failure(
                Exit.USAGE, f"{word!r} is not NAME=VALUE; nothing was set.", remedy=f"Write: {_USAGE}"
            )
        if name in settings:
            raise Failure(
                Exit.USAGE, f"{name} is given twice; nothing was set.", remedy="Give each setting once."
            )
        settings[name] = value
    return settings


def _show(options: Options, agent: str, settings: list[dict[str, Any]]) -> None:
    if not settings:
        say(f"No settings. Set one: {options.command('env', agent, 'set', 'NAME=VALUE')}")
        return
    table(
        ("NAME", "VALUE", "SET"),
        [(text(each.get("name")), text(each.get("value")), text(each.get("at"))) for each in settings],
    )
