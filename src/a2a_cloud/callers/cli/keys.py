"""`a2a keys`: API keys of your organisation. A key's secret is shown once, when it is made."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.callers.cli.units import duration
from a2a_cloud.client.shapes import items, obj, objs, text
from a2a_cloud.wire.api_key import Found, keys_in

#: Keys in one report.
_REPORTED = 500


@click.group("keys")
def keys_command() -> None:
    """Make, list, rotate and revoke API keys (with an admin's key)."""


@keys_command.command("create")
@connected
@click.option("--principal", required=True, metavar="NAME", help="Who will call with it.")
@click.option("--org", default="", metavar="ORG", help="Their organisation; yours when it is not given.")
@click.option(
    "--role",
    default="member",
    show_default=True,
    metavar="ROLE",
    help="A role, or one of the organisation's own.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="What it is good for: agent:NAME, agent:NAME/SKILL, or a permission; again for more. [everything "
    "that the role may]",
)
@click.option("--expires", default="", metavar="TIME", help="How long it is good, such as 90d. [for ever]")
@click.option("--label", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--priority",
    type=click.IntRange(-10, 10),
    default=None,
    metavar="N",
    help="The highest priority that it may give a call (-10 to 10); 10 for an admin, else 0.",
)
@click.option(
    "--out", default="", metavar="FILE", help="Write the key to a new file, 0600, and don't show it."
)
def create(
    options: Options,
    principal: str,
    org: str,
    role: str,
    scopes: tuple[str, ...],
    expires: str,
    label: str,
    priority: int | None,
    out: str,
) -> int:
    """Make a key and print it, once, on standard output."""
    wanted = {"principal": principal, "org": org, "role": role, "label": label}
    body: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    if priority is not None:
        body["priority"] = priority
    if scopes:
        body["scopes"] = list(scopes)
    if expires:
        body["expires_in"] = round(duration(expires, "--expires"))
    made = _made(options, "/api/v1/keys", body, out)
    who = f"key {made.get('id')} of {made.get('principal')}@{made.get('org')} ({made.get('role')})"
    until = f", good until {made['expires']}" if made.get("expires") else ""
    say(clean_line(f"{who}{until}, {f'in {out}' if out else 'shown this once'}"))
    return int(Exit.OK)


def _made(options: Options, path: str, body: dict[str, Any], out: str) -> dict[str, Any]:
    """What making a key answered; the key itself was put on standard output, or into the new file `out`."""
    file = _new_file(out) if out else None
    try:
        made: Any = options.ask(lambda platform: platform.json("POST", path, body=body))
    except BaseException:
        if file is not None:
            os.close(file)
            os.unlink(os.path.expanduser(out))
        raise
    if file is not None:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(f"{made.pop('key')}\n")
    if options.json:
        put_json(made)
    elif file is None:
        put(str(made.get("key", "")))
    return made


def _new_file(path: str) -> int:
    try:
        return os.open(os.path.expanduser(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"{path} can't be made: {error.strerror}.",
            remedy="Name a file that is not there yet.",
        ) from None


@keys_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List the keys of your organisation (never their secrets)."""
    answer: Any = options.ask(lambda platform: platform.json("GET", "/api/v1/keys"))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    table(
        ["PREFIX", "PRINCIPAL", "ORG", "ROLE", "SCOPES", "CREATED", "LAST USED", "ENDS", "LABEL"],
        [_row(each) for each in objs(obj(answer).get("keys"))],
    )
    return int(Exit.OK)


def _row(key: dict[str, Any]) -> list[str]:
    scopes = " ".join(map(text, items(key.get("scopes")))) or "-"
    ends = f"revoked {key['revoked']}" if key.get("revoked") else text(key.get("expires")) or "-"
    shown = text(key.get("prefix")) or text(key.get("id"))
    told = [shown, *(text(key.get(name)) for name in ("principal", "org", "role"))]
    when = [text(key.get("created")), text(key.get("last_used")) or "-"]
    return [*told, scopes, *when, ends, text(key.get("label"))]


@keys_command.command("rotate")
@connected
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    default="0s",
    show_default=True,
    metavar="TIME",
    help="How long the old key stays good, such as 1h.",
)
@click.option(
    "--out", default="", metavar="FILE", help="Write the new key to a new file, 0600, and don't show it."
)
def rotate(options: Options, key_id: str, overlap: str, out: str) -> int:
    """Make a key in the place of another, which ends when the overlap is over."""
    body = {"overlap": duration(overlap, "--overlap")}
    made = _made(options, f"/api/v1/keys/{quote(_id(key_id), safe='')}/rotate", body, out)
    where = f"in {out}" if out else "shown this once"
    say(clean_line(f"key {made.get('id')} in the place of {made.get('replaces')}, {where}"))
    return int(Exit.OK)


@keys_command.command("revoke")
@connected
@click.argument("key_id", metavar="ID")
def revoke(options: Options, key_id: str) -> int:
    """Revoke a key: from now on it opens nothing."""
    path = f"/api/v1/keys/{quote(_id(key_id), safe='')}"
    answer: Any = options.ask(lambda platform: platform.json("DELETE", path))
    if options.json:
        put_json(answer if answer is not None else {"id": key_id})
    else:
        say(f"revoked {clean_line(key_id)}")
    return int(Exit.OK)


@keys_command.command("leaked")
@connected
@click.argument("words", nargs=-1, required=True, metavar="PREFIX|FILE|-")
@click.option("--revoke", "end", is_flag=True, help="Revoke those that are good. Asks nobody.")
def leaked(options: Options, words: tuple[str, ...], end: bool) -> int:
    """Say what the keys are that turned up somewhere: by their prefix, or in a file or standard input (-).

    No key is sent: of a whole one its hash, which is enough to revoke it, whosever it is. Exit code 1
    when one of them is still good.
    """
    found = list(dict.fromkeys(each for word in words for each in _found(word)))
    answers: list[dict[str, Any]] = []
    for start in range(0, len(found), _REPORTED):
        body = {"keys": [each._asdict() for each in found[start : start + _REPORTED]], "revoke": end}
        answer: Any = options.ask(
            lambda platform, body=body: platform.json("POST", "/api/v1/keys/leaked", body=body)
        )
        answers += objs(obj(answer).get("keys"))
    if options.json:
        put_json({"keys": answers})
    elif answers:
        table(["PREFIX", "STATE", "PRINCIPAL", "LAST USED", "LABEL"], [_leak(each) for each in answers])
    else:
        say("no key of a platform like this one is in there")
    good = [each for each in answers if each.get("state") == "active" and not each.get("revoked_now")]
    if good:
        say(f"{len(good)} of them can be used by whoever found it: add --revoke")
    return int(Exit.FAILED if good else Exit.OK)


def _found(word: str) -> list[Found]:
    """The keys that a word of the command line names. Raises Failure."""
    if word == "-":
        return list(keys_in(sys.stdin.buffer.read().decode("utf-8", "replace")))
    named = list(keys_in(word))
    if named and word.startswith("a2a_") and "/" not in word:
        return named
    try:
        return list(keys_in(Path(word).expanduser().read_bytes().decode("utf-8", "replace")))
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"{word[:200]} is no prefix of a key, and no file: {error.strerror}.",
            remedy="Give a prefix such as a2a_0123456789ab, a file, or - for standard input.",
        ) from None


def _leak(answer: dict[str, Any]) -> list[str]:
    key = obj(answer.get("key"))
    state = "revoked now" if answer.get("revoked_now") else text(answer.get("state"))
    who = f"{key['principal']}@{key['org']}" if key else "-"
    return [f"a2a_{answer.get('id')}", state, who, text(key.get("last_used")) or "-", text(key.get("label"))]


def _id(word: str) -> str:
    """A key's id, which may be given as its prefix."""
    return word.removeprefix("a2a_")
