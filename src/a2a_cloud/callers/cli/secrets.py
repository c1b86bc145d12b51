"""`a2a secrets`: what the platform adds to agents' requests. A value is typed without echo, or comes from
a file or a pipe; never from the command line, which others on the machine can see."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, interactive, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/secrets"
_MOST = 32 << 10
_STDIN = "-"

_FILE = click.option(
    "--file", "source", default="", metavar="FILE", help="Take the value from FILE; `-`: standard input."
)


@click.group("secrets")
def secrets_command() -> None:
    """Store, list and remove secrets that agents use and never see (with an admin's key)."""


@secrets_command.command("set")
@connected
@click.argument("name")
@_FILE
def set_one(options: Options, name: str, source: str) -> int:
    """Store the secret NAME, or give it another value. Asks for it without showing it."""
    return _put(options, name, source, rotate=False)


@secrets_command.command("rotate")
@connected
@click.argument("name")
@_FILE
def rotate(options: Options, name: str, source: str) -> int:
    """Give NAME, which is stored, another value: the next request of an agent has it."""
    return _put(options, name, source, rotate=True)


@secrets_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List the secrets of your organisation (never their values)."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _PATH))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("secrets"))
    if not rows:
        say(f"No secrets. Store one: {options.command('secrets', 'set', 'NAME')}")
        return int(Exit.OK)
    table(
        ("NAME", "VERSION", "SET", "BY"),
        [[text(each.get(key)) for key in ("name", "version", "at", "by")] for each in rows],
    )
    return int(Exit.OK)


@secrets_command.command("rm")
@connected
@click.argument("name")
def rm(options: Options, name: str) -> int:
    """Remove the secret NAME: requests that need it are refused from now on."""
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _at(name)))
    if options.json:
        put_json(answer)
    else:
        put(clean_line(f"Removed {name}."))
    return int(Exit.OK)


def _at(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


def _put(options: Options, name: str, source: str, *, rotate: bool) -> int:
    body: dict[str, Any] = {"value": _value(name, source)}
    if rotate:
        body["rotate"] = True
    answer: Any = options.ask(lambda platform: platform.json("PUT", _at(name), body=body))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    version = text(obj(answer).get("version"))
    put(clean_line(f"{name} is stored (version {version}); the next request of an agent has it."))
    return int(Exit.OK)


def _value(name: str, source: str) -> str:
    """The secret, without the line end at its end. Raises Failure (usage)."""
    if not source and interactive():
        value: str = click.prompt(f"Value of {clean_line(name)}", hide_input=True, err=True)
        return value
    try:
        if source and source != _STDIN:
            with Path(source).expanduser().open("rb") as file:
                raw = file.read(_MOST + 3)
        else:
            raw = sys.stdin.buffer.read(_MOST + 3)
        value = raw.decode()
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"The file {source} can't be read: {error.strerror}.",
            remedy="Name a file that is there.",
        ) from None
    except UnicodeDecodeError:
        raise Failure(
            Exit.USAGE, f"The value of {name} is not UTF-8.", remedy="Store it in Base64."
        ) from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or len(value.encode()) > _MOST:
        raise Failure(
            Exit.USAGE,
            f"The value of {name} is empty, or larger than {_MOST >> 10} KiB.",
            remedy=f"Type it: {'a2a secrets set ' + name}, on a terminal. Or pipe it in.",
        )
    return value
