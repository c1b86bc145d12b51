"""`a2a witness`: cosign the checkpoints of other logs (c2sp.org/tlog-witness)."""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, json_option, with_options

APP = "a2a_cloud.app.witness"


@click.command("witness")
@json_option
@with_options
@click.option("--log", "logs", multiple=True, metavar="VKEY", help="The key of a log to cosign; repeat it.")
@click.option("--logs", "file", default="", metavar="FILE", help="A file with such keys, one a line.")
@click.option(
    "--data", default="a2a-witness", show_default=True, metavar="DIR", help="Folder for its key and memory."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="Port; 0: a free one."
)
@click.option(
    "--name", default="", metavar="NAME", help="Its name, such as witness.example.com/one (else of its key)."
)
@click.option("--vkey", is_flag=True, help="Print its public key, made when there is none, and end.")
def witness_command(
    options: Options,
    logs: tuple[str, ...],
    file: str,
    data: str,
    host: str,
    port: int,
    name: str,
    vkey: bool,
) -> int:
    """Watch that logs only grow, and sign that they do.

    A platform asks it with A2A_WITNESSES='URL VKEY'. Keep it on another machine than the log's: two
    faces of a log are then seen by somebody. docs/audit-log.md.
    """
    if importlib.util.find_spec(APP) is None or importlib.util.find_spec("uvicorn") is None:
        raise Failure(
            Exit.FAILED,
            "The platform is not installed here, only its command line.",
            remedy="pip install 'a2a-cloud[platform]'",
        )
    words = ["--data", data, "--host", host, "--port", str(port), "--name", name, "--logs", file]
    words += [word for log in logs for word in ("--log", log)]
    words += [word for word, wanted in (("--vkey", vkey), ("--json", options.json)) if wanted]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", APP, *words])  # noqa: S606  # signals are then its own
