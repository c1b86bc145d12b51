"""The process of `a2a witness`: its key, its memory, its socket. Options: docs/audit-log.md."""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import sqlite3
import sys
from hashlib import sha256
from pathlib import Path

from a2a_cloud.model.problem import Problem
from a2a_cloud.ops import private_file
from a2a_cloud.ops.system import SystemClock, SystemEntropy
from a2a_cloud.ops.witness import Witness
from a2a_cloud.surface.witness import WitnessApp
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import canonical, parse_strict
from a2a_cloud.wire.note import COSIGNATURE, NoteError, NoteKey, check_name, read_vkey

_KEY = "witness.jwk"
#: Requests that are answered at the same time; the next ones get 503.
AT_ONCE = 64


class _Wrong(Exception):
    """The witness cannot begin; the text says why and what to do."""


def signer_of(folder: Path) -> jws.Signer:
    """The witness's key, made at the first start. Raises Problem or OSError."""
    entropy = SystemEntropy()
    path = folder / _KEY
    if not path.exists():
        private_file.create(path, canonical(jws.Signer(entropy.bytes(32)).private_jwk()), entropy)
    remedy = "move it away and start again: the witness then has another key."
    data = private_file.read(path, "the witness's key", remedy)
    try:
        parsed = parse_strict(data)
        if not isinstance(parsed, dict):
            raise ValueError("not a JSON object")
        return jws.private_key(parsed)  # pyright: ignore[reportUnknownArgumentType]
    except ValueError as error:
        raise _Wrong(f"{path} is damaged: {error}. Put back a copy of it.") from None


def logs_of(vkeys: list[str], file: str) -> list[NoteKey]:
    """The keys of the logs that are cosigned: from the options, and one a line from `file`."""
    lines = list(vkeys)
    if file:
        try:
            text = Path(file).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _Wrong(f"{file} can't be read: {error}.") from None
        lines += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[NoteKey] = []
    for line in lines:
        try:
            key = read_vkey(line)
        except NoteError as error:
            raise _Wrong(f"{line[:100]!r} is not the key of a log: {error}.") from None
        if key.kind == COSIGNATURE:
            raise _Wrong(f"{key.name} is the key of a witness. Give the keys of logs: a2a audit key.")
        found.append(key)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="a2a witness")
    parser.add_argument("--data", default="a2a-witness")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8787)
    parser.add_argument("--name", default="")
    parser.add_argument("--log", action="append", default=[])
    parser.add_argument("--logs", default="")
    parser.add_argument("--vkey", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> None:
    folder = Path(options.data).expanduser().absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = signer_of(folder)
    name = options.name or f"a2a-witness-{sha256(signer.public).hexdigest()[:12]}"
    check_name(name)
    vkey = NoteKey(name, signer.public, COSIGNATURE).vkey
    if options.vkey:
        print(json.dumps({"vkey": vkey}) if options.json else vkey)
        return
    logs = logs_of(options.log, options.logs)
    if not logs:
        raise _Wrong(
            "No log is named. Give logs' keys: --log VKEY (a2a audit key prints it), or --logs FILE."
        )
    witness = Witness(name, signer, logs, folder, SystemClock())
    _serve(witness, options, vkey)
    witness.close()


def _serve(witness: Witness, options: argparse.Namespace, vkey: str) -> None:
    import uvicorn

    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    listener.listen(AT_ONCE)  # What reads the address may ask at once.
    host = f"[{options.host}]" if family == socket.AF_INET6 else options.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    if options.json:
        print(json.dumps({"url": url, "vkey": vkey, "logs": witness.origins}), flush=True)
    else:
        print(f"Witness {witness.key.name} at {url}\n  key: {vkey}", flush=True)
        for origin in witness.origins:
            print(f"  log: {origin}", flush=True)
        print(f"  A platform asks it with A2A_WITNESSES='{url} {vkey}'", flush=True)
    config = uvicorn.Config(
        WitnessApp(witness),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=AT_ONCE,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """The process's entry. Ends with 2 when it is told to do what it can't."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    os.umask(0o077)
    try:
        _run(_options())
    except Problem as problem:
        sys.exit(_said(f"{problem.detail} {problem.remedy}".strip()))
    except (NoteError, _Wrong) as error:
        sys.exit(_said(str(error)))
    except (OSError, sqlite3.Error) as error:
        sys.exit(_said(f"{error}"))


def _said(what: str) -> int:
    print(f"a2a: {what}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
