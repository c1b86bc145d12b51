"""`a2a hooks`: addresses for other people's webhooks. The address holds its key and is shown once; a secret
is typed without echo, or comes from a file or a pipe, never from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.names import agent_names, skill_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, interactive, put, put_json, say, table
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/hooks"
_SCHEMES = ("github", "stripe", "slack", "standard", "hmac", "none")
#: Schemes whose senders show a secret that has to be copied from there.
_THEIRS = ("stripe", "slack")

_STDIN = click.option("--secret-stdin", is_flag=True, help="Take the secret from standard input.")
_FILE = click.option("--secret-file", default="", metavar="FILE", help="Take the secret from FILE.")


@click.group("hooks")
def hooks_command() -> None:
    """Let other people's webhooks call a skill: GitHub, Stripe, Slack and others."""


@hooks_command.command("create")
@connected
@click.argument("agent", shell_complete=agent_names)
@click.argument("skill", shell_complete=skill_names)
@click.option("--scheme", required=True, type=click.Choice(_SCHEMES), help="How the sender signs.")
@_STDIN
@_FILE
@click.option("--label", default="", metavar="TEXT", help="What it is for.")
@click.option("--grant", default="", metavar="JSON", help="What is left of the agent's grant for its runs.")
@click.option("--header", default="", metavar="NAME", help="hmac: the header with the signature.")
@click.option(
    "--encoding", default="", type=click.Choice(["", "hex", "base64"]), help="hmac: of the signature."
)
@click.option("--prefix", default="", metavar="TEXT", help="hmac: what stands before it, such as sha256=.")
@click.option(
    "--timestamp-header",
    default="",
    metavar="NAME",
    help="hmac: the header whose value, and a dot, is signed too.",
)
@click.option("--id-header", default="", metavar="NAME", help="hmac, none: the header that names a delivery.")
@click.option(
    "--window",
    default=0,
    metavar="SECONDS",
    help="How far a signed time may be off; how long the same body without an id is the same delivery. [300]",
)
def create(
    options: Options,
    agent: str,
    skill: str,
    scheme: str,
    secret_stdin: bool,
    secret_file: str,
    label: str,
    grant: str,
    **checks: Any,
) -> int:
    """Make an address at which a sender of webhooks calls SKILL of AGENT, and print it, once.

    Runs are yours, as if you had called. For github, standard and hmac a secret is made unless you give
    one; for stripe and slack give the one that they show.
    """
    body: dict[str, Any] = {"agent": agent, "skill": skill, "scheme": scheme}
    secret = _secret(secret_stdin, secret_file, ask=scheme in _THEIRS)
    if secret:
        body["secret"] = secret
    if label:
        body["label"] = label
    if grant:
        body["grant"] = _grant(grant)
    said = {name: value for name, value in checks.items() if value}
    if said:
        body["checks"] = said
    made: Any = options.ask(lambda platform: platform.json("POST", _PATH, body=body))
    return _show(options, obj(made))


@hooks_command.command("ls")
@connected
@click.argument("agent", required=False, default="", shell_complete=agent_names)
def ls(options: Options, agent: str) -> int:
    """List your hooks (an admin's: all of the organisation), never their addresses."""
    params = {"agent": agent} if agent else None
    answer: Any = options.ask(lambda platform: platform.json("GET", _PATH, params=params))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("hooks"))
    if not rows:
        say(f"No hooks. Make one: {options.command('hooks', 'create', 'AGENT', 'SKILL')} --scheme github")
        return int(Exit.OK)
    columns = ("id", "agent", "skill", "scheme", "created", "by", "label")
    table([name.upper() for name in columns], [[text(each.get(name)) for name in columns] for each in rows])
    return int(Exit.OK)


@hooks_command.command("rm")
@connected
@click.argument("hook_id", metavar="ID")
def rm(options: Options, hook_id: str) -> int:
    """Remove a hook: its deliveries are refused from now on."""
    answer: Any = options.ask(lambda platform: platform.json("DELETE", _at(hook_id)))
    if options.json:
        put_json(answer)
    else:
        say(f"removed {clean_line(hook_id)}")
    return int(Exit.OK)


@hooks_command.command("rotate")
@connected
@click.argument("hook_id", metavar="ID")
@click.option("--secret", is_flag=True, help="Another secret, instead of another address.")
@_STDIN
@_FILE
@click.option(
    "--grace", default=0.0, metavar="SECONDS", help="How long the old one stays good, a week at most. [0]"
)
def rotate(
    options: Options, hook_id: str, secret: bool, secret_stdin: bool, secret_file: str, grace: float
) -> int:
    """Give a hook another address, or with --secret another secret, and print it, once."""
    body: dict[str, Any] = {"what": "key"}
    if secret or secret_stdin or secret_file:
        body = {"what": "secret"}
        given = _secret(secret_stdin, secret_file, ask=False)
        if given:
            body["secret"] = given
    if grace:
        body["grace"] = grace
    made: Any = options.ask(lambda platform: platform.json("POST", f"{_at(hook_id)}/rotate", body=body))
    return _show(options, obj(made))


def _at(hook_id: str) -> str:
    return f"{_PATH}/{quote(hook_id, safe='')}"


def _show(options: Options, made: dict[str, Any]) -> int:
    if options.json:
        put_json(made)
        return int(Exit.OK)
    if text(made.get("url")):
        put(clean_line(text(made.get("url"))))
    if text(made.get("secret")):
        put(clean_line(f"secret {text(made.get('secret'))}"))
    say(
        clean_line(
            f"hook {text(made.get('id'))} ({text(made.get('scheme'))}) of {text(made.get('agent'))}/"
            f"{text(made.get('skill'))}; what is printed above is shown this once"
        )
    )
    return int(Exit.OK)


def _grant(given: str) -> dict[str, Any]:
    try:
        grant = json.loads(given)
    except (ValueError, RecursionError):
        grant = None
    if not isinstance(grant, dict):
        raise Failure(
            Exit.USAGE,
            "--grant is no JSON object.",
            remedy="""Write for example --grant '{"read": ["contracts/**"], "write": []}'.""",
        )
    return obj(grant)


def _secret(stdin: bool, file: str, *, ask: bool) -> str:
    """The secret without the line end at its end; "": none was given. Raises Failure (usage)."""
    if stdin and file:
        raise Failure(
            Exit.USAGE, "The secret comes from two places.", remedy="Give --secret-stdin or --secret-file."
        )
    if not stdin and not file:
        if ask and interactive():
            return str(click.prompt("The sender's signing secret", hide_input=True, err=True))
        return ""
    try:
        if file:
            with Path(file).expanduser().open("rb") as opened:
                raw = opened.read(8192)
        else:
            raw = sys.stdin.buffer.read(8192)
        secret = raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise Failure(
            Exit.USAGE,
            f"The file {file} can't be read: {error.strerror}.",
            remedy="Name a file that is there.",
        ) from None
    except UnicodeDecodeError:
        raise Failure(
            Exit.USAGE, "The secret is not UTF-8.", remedy="Give it as the sender shows it."
        ) from None
    if not secret:
        raise Failure(Exit.USAGE, "The secret is empty.", remedy="Pipe it in, or leave the option out.")
    return secret
