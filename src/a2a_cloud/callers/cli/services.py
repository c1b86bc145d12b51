"""`a2a services`: agents' own identities. A certificate's key is made here and never leaves this machine."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put, put_json, say, table
from a2a_cloud.client.errors import ServerProblem, Unreachable
from a2a_cloud.client.shapes import obj, objs, text

_PATH = "/api/v1/services"
#: Part of its life after which a certificate is renewed, give or take a tenth of it, so that many that were
#: made together don't come together; and seconds until the next try when that failed.
_HALF, _SPREAD, _RETRY = 0.5, 0.1, 30.0
KEY, CERTIFICATE, BUNDLE = "key.pem", "cert.pem", "bundle.pem"


@click.group("services")
def services_command() -> None:
    """See agents' own identities; get certificates and tokens for agents that run elsewhere."""


@services_command.command("ls")
@connected
def ls(options: Options) -> int:
    """List the agents of your organisation with their identities."""
    answer: Any = options.ask(lambda platform: platform.json("GET", _PATH))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("services"))
    if not rows:
        say(f"No agents. Make one: {options.command('deploy')}")
        return int(Exit.OK)
    table(
        ("AGENT", "IDENTITY", "CERTIFICATES", "UNTIL"),
        [
            [
                text(each.get("agent")) + (" (deleted)" if each.get("deleted") else ""),
                text(each.get("id")),
                text(each.get("certificates")),
                text(each.get("ends")),
            ]
            for each in rows
        ],
    )
    return int(Exit.OK)


@services_command.command("cert")
@connected
@click.argument("agent")
@click.option(
    "--out",
    default=".",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where {KEY}, {CERTIFICATE} and {BUNDLE} go. [this folder]",
)
@click.option("--keep", is_flag=True, help="Go on, and renew it at half of its life.")
def cert(options: Options, agent: str, out: Path, keep: bool) -> int:
    """Get a certificate for AGENT that is good for an hour, with a key that is made here."""
    seconds = _fetch(options, agent, out)
    if not keep:
        return int(Exit.OK)
    while True:
        time.sleep(seconds * (_HALF + random.uniform(-_SPREAD, _SPREAD)))  # noqa: S311
        try:
            seconds = _fetch(options, agent, out)
        except (Unreachable, ServerProblem) as error:
            if isinstance(error, ServerProblem) and error.status < 500 and error.status != 429:
                raise  # Revoked, or not allowed any more: nothing gets better by waiting.
            say(clean_line(f"Not renewed yet: {error}"))
            seconds = _RETRY / _HALF


@services_command.command("token")
@connected
@click.argument("agent")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="As `a2a keys create`. [agents.call]")
@click.option("--audience", default="", metavar="URL", help="What it is for. [this platform]")
@click.option("--seconds", type=click.IntRange(1, 600), default=600, show_default=True)
def token(options: Options, agent: str, scopes: tuple[str, ...], audience: str, seconds: int) -> int:
    """Print an access token with which AGENT calls others, good for ten minutes at most."""
    body: dict[str, Any] = {"seconds": seconds}
    if scopes:
        body["scopes"] = list(scopes)
    if audience:
        body["audience"] = [audience]
    answer: Any = options.ask(lambda platform: platform.json("POST", f"{_at(agent)}/tokens", body=body))
    if options.json:
        put_json(answer)
    else:
        put(text(obj(answer).get("access_token")))
    return int(Exit.OK)


@services_command.command("revoke")
@connected
@click.argument("agent")
def revoke(options: Options, agent: str) -> int:
    """End all certificates and tokens of AGENT that are out, at once."""
    answer: Any = options.ask(lambda platform: platform.json("POST", f"{_at(agent)}/revoke", body={}))
    if options.json:
        put_json(answer)
    else:
        count = text(obj(answer).get("certificates"))
        put(clean_line(f"Revoked what {agent} had: {count} certificates, and its tokens."))
    return int(Exit.OK)


@services_command.command("bundle")
@connected
def bundle(options: Options) -> int:
    """Print the roots that sign agents' certificates, as PEM."""
    answer: Any = options.ask(lambda platform: platform.json("GET", f"{_PATH}/bundle"))
    if options.json:
        put_json(answer)
    else:
        put(text(obj(answer).get("bundle")).rstrip("\n"))
    return int(Exit.OK)


@services_command.command("rotate-root")
@connected
@click.option("--now", is_flag=True, help="At once: whatever the roots until now signed counts no more.")
def rotate_root(options: Options, now: bool) -> int:
    """Make the next root. It is in the bundle now, and signs when all certificates were renewed."""
    body = {"now": now}
    answer: Any = options.ask(lambda platform: platform.json("POST", f"{_PATH}/rotate-root", body=body))
    if options.json:
        put_json(answer)
        return int(Exit.OK)
    rows = objs(obj(answer).get("roots"))
    table(
        ("ROOT", "STATE", "SIGNS FROM", "UNTIL"),
        [[text(each.get(key)) for key in ("id", "state", "signs", "ends")] for each in rows],
    )
    return int(Exit.OK)


def _at(agent: str) -> str:
    return f"{_PATH}/{quote(agent, safe='')}"


def _fetch(options: Options, agent: str, out: Path) -> float:
    """Get a certificate into `out`; how many seconds it is good."""
    key, csr = _asked()
    path = f"{_at(agent)}/certificates"
    answer: Any = options.ask(lambda platform: platform.json("POST", path, body={"csr": csr}))
    made = obj(answer)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _put(out / BUNDLE, text(made.get("bundle")).encode(), 0o644)
        # The key stands with its certificate, so that whoever opens the file has two that fit.
        _put(out / CERTIFICATE, text(made.get("certificate")).encode() + key, 0o600)
        _put(out / KEY, key, 0o600)
    except OSError as error:
        raise Failure(
            Exit.USAGE, f"{out} can't be written to: {error.strerror}.", remedy="Name another --out."
        ) from None
    if options.json:
        put_json({name: value for name, value in made.items() if name not in ("certificate", "bundle")})
    else:
        put(clean_line(f"{text(made.get('id'))}: {out / CERTIFICATE}, until {text(made.get('ends'))}"))
    seconds = made.get("seconds")
    return float(seconds) if isinstance(seconds, int) else 0.0


def _asked() -> tuple[bytes, str]:
    """A new key (PEM), and a signing request for it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, request.public_bytes(serialization.Encoding.PEM).decode()


def _put(path: Path, data: bytes, mode: int) -> None:
    """The file, whole or as it was before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(data)
    aside.replace(path)
