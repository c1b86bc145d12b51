"""A data folder out of a backup, or none at all: `python -m a2a_cloud.ops.restore ARCHIVE DATA [RECEIPT…]`,
and `--verify ARCHIVE [RECEIPT…]`, which leaves nothing behind.

Everything is checked before the folder gets its name: every file against the archive's own list, objects
against their names, the database by SQLite, each receipt against its leaf, id and signature, and the logs
against what the archive says of them. Receipts that people hold (RECEIPT) are looked up: the log must say of
each what it says itself, as far as the log goes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.backup import DATABASE, FIRST, LAST, VERSION, Broken, described, events_are_leaves, leaves
from a2a_cloud.storage.sql import schema
from a2a_cloud.wire import jws
from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.proof import Outcome, verify_receipt
from a2a_cloud.wire.seal import leaf_hash

_NAME = re.compile(
    r"admin\.key|journal\.db|a2a-backup\.json|SHA256SUMS"
    r"|objects/sha256/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|(?:keys|releases)(?:/[^/\0\\]{1,255}){1,64}"
)
#: What a restored folder says of itself to the platform, which makes an event of it (app/log.py).
RESTORED = "restored.json"
_MOST_TEXT = 256 << 20
_CHUNK = 1 << 20


def restore(source: BinaryIO, data: Path, receipts: list[bytes]) -> dict[str, Any]:
    """Make the folder `data`, which must not be there yet or be empty. Returns what was found. Raises Broken,
    after which nothing is left of it, and OSError."""
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise Broken(f"{data} is there already: name a folder that is not, or an empty one.")
    data.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=data.parent, prefix=f".{data.name}-"))  # 0700
    try:
        found = _check(source, aside, receipts)
        (aside / FIRST).unlink()
        (aside / RESTORED).write_text(json.dumps({"made": stamp(found["made"])}))
        (aside / "keys").chmod(0o700)
        aside.replace(data)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return found


def verify(source: BinaryIO, near: Path, receipts: list[bytes]) -> dict[str, Any]:
    """Check an archive whole; what that needs lies in the folder `near` meanwhile. Raises Broken, OSError."""
    with tempfile.TemporaryDirectory(dir=near, prefix=".a2a-verify-") as aside:
        return _check(source, Path(aside), receipts)


def _check(source: BinaryIO, folder: Path, receipts: list[bytes]) -> dict[str, Any]:
    sums = _unpack(source, folder)
    told = _told(folder, sums)
    database = folder / DATABASE
    found = described(database)
    if found["schema"] > schema.VERSION:
        raise Broken("It was made by a newer version of a2a cloud: restore it with that one.")
    if found["logs"] != told["logs"]:
        raise Broken("Its logs are not those that it says that it has.")
    keys = _keys(folder)
    logs = {**keys, **_log_keys(database)}
    count = _receipts(database, keys)
    held = [_held(database, logs, document) for document in receipts]
    return {
        "made": told["made"],
        "version": told["version"],
        "files": len(sums),
        "objects": sum(1 for name in sums if name.startswith("objects/")) if told["objects"] else None,
        "receipts": count,
        "logs": found["logs"],
        "held": held,
    }


def _unpack(source: BinaryIO, folder: Path) -> dict[str, str]:
    """All members as files below `folder`; name → SHA-256."""
    sums: dict[str, str] = {}
    listed = ""
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for entry in archive:
                if listed:
                    raise Broken(f"Something follows after its end: {entry.name!r}.")
                _fit(entry, sums)
                content = archive.extractfile(entry)
                assert content is not None
                if entry.name == LAST:
                    if entry.size > _MOST_TEXT:
                        raise Broken("Its list of files is too long.")
                    listed = content.read().decode("utf-8")
                else:
                    sums[entry.name] = _store(cast("BinaryIO", content), folder / entry.name, entry)
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise Broken(f"This is no whole archive of `a2a backup`: {error}.") from error
    if not listed:
        raise Broken("It ends too early: it was not written whole.")
    lines = (line.partition("  ") for line in listed.splitlines())
    wanted = {name: digest for digest, _, name in lines}
    for name in sorted(wanted.keys() | sums.keys()):
        if sums.get(name) != wanted.get(name):
            what = "is missing" if name not in sums else "was changed"
            raise Broken(f"{name} {what} in it.")
        if name.startswith("objects/") and sums[name] != name.rpartition("/")[2]:
            raise Broken(f"The object {name} has other bytes than its name says: it was damaged before.")
    return sums


def _fit(entry: tarfile.TarInfo, sums: dict[str, str]) -> None:
    name = entry.name
    parts = name.split("/")
    if not entry.isreg() or not _NAME.fullmatch(name) or {"", ".", ".."} & set(parts) or name in sums:
        raise Broken(f"No backup has {name[:200]!a} in it.")
    if not sums and name != FIRST:
        raise Broken("This is no archive of `a2a backup`.")


def _store(content: BinaryIO, path: Path, entry: tarfile.TarInfo) -> str:
    source = entry.name.startswith("releases/")
    path.parent.mkdir(parents=True, exist_ok=True)  # All of it lies in a folder that is the platform's alone.
    digest = sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    os.fchmod(handle, entry.mode & 0o755 if source else 0o600)
    with os.fdopen(handle, "wb") as file:
        while piece := content.read(_CHUNK):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _told(folder: Path, sums: dict[str, str]) -> dict[str, Any]:
    for name in (FIRST, DATABASE):
        if name not in sums:
            raise Broken(f"It has no {name}.")
    try:
        told: Any = json.loads((folder / FIRST).read_bytes())
        if told["v"] != VERSION:
            raise Broken("It was made by a newer version of a2a cloud: restore it with that one.")
        _ = told["logs"], told["made"], told["version"], told["objects"]
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"Its {FIRST} can't be read.") from error
    return cast("dict[str, Any]", told)


def _keys(folder: Path) -> dict[str, bytes]:
    """The public keys of receipts, present and retired, by id."""
    found: list[jws.Jwk] = []
    keys = folder / "keys"
    try:
        for path in (keys / "receipt.jwk", *sorted((keys / "retired").glob("*.jwk"))):
            found.append(jws.public_jwk(jws.public_key(cast("jws.Jwk", parse_strict(path.read_bytes())))))
    except (OSError, ValueError) as error:
        raise Broken(f"Its keys can't be read: {error}.") from error
    return jws.by_kid(found)


def _log_keys(database: Path) -> dict[str, bytes]:
    """The public keys of the logs, present and past, by id."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        if not events_are_leaves(connection):
            return {}
        return dict(connection.execute("SELECT id, public FROM audit_log_key").fetchall())
    finally:
        connection.close()


def _receipts(database: Path, keys: dict[str, bytes]) -> int:
    """How many there are, each of them good."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    count = 0
    try:
        (state,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise Broken(f"Its database is damaged: {state}.")
        rows = connection.execute("SELECT id, body, leaf_hash, protected, signature, leaf FROM receipt")
        for receipt_id, body, leaf, protected, signature, place in rows:
            count += 1
            if sha256(body).digest() != receipt_id or leaf_hash(receipt_id) != leaf:
                raise Broken(f"The receipt at {place} of the log is not what its id says.")
            try:
                jws.verify(body, protected, signature, keys)
            except jws.SignatureError as error:
                raise Broken(f"The receipt rcpt_{receipt_id.hex()}: {error}.") from error
    except sqlite3.Error as error:
        raise Broken(f"Its database can't be read: {error}.") from error
    finally:
        connection.close()
    return count


def _held(database: Path, keys: dict[str, bytes], document: bytes) -> dict[str, Any]:
    """What the log says of a receipt that somebody holds."""
    verdict = verify_receipt(document, [_jwk(kid, key) for kid, key in keys.items()])
    if verdict.outcome is not Outcome.VALID:
        raise Broken(f"A receipt does not hold: {verdict.sentence}.")
    log: Any = json.loads(document).get("log")
    if log is None:
        raise Broken(f"{verdict.receipt_id} has no place in a log.")
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        (number,) = connection.execute("SELECT no FROM org WHERE name=?", (log["org"],)).fetchone() or (-1,)
        row = next(leaves(connection, number, log["index"]), None)
    finally:
        connection.close()
    if row is not None and row != (log["index"], bytes.fromhex(log["leaf_sha256"])):
        raise Broken(
            f"{verdict.receipt_id} stands at {log['index']} of the log of {log['org']}, and this log has "
            "another receipt there: it is not a beginning of the log that gave out this receipt."
        )
    return {"id": verdict.receipt_id, "index": log["index"], "org": log["org"], "in_log": row is not None}


def _jwk(kid: str, key: bytes) -> jws.Jwk:
    return {**jws.public_jwk(key), "kid": kid}


def main() -> int:
    """See the module. What was found is printed as JSON."""
    words = sys.argv[1:]
    only = words[:1] == ["--verify"]
    archive, rest = Path(words[1 if only else 0]), words[2:]
    data = Path(words[1])
    try:
        receipts = [Path(name).read_bytes() for name in rest]
        with archive.open("rb") as source:
            if only:
                found = verify(source, archive.absolute().parent, receipts)
            else:
                found = restore(source, Path(os.path.abspath(data)), receipts)
    except (Broken, OSError) as error:
        print(json.dumps({"problem": str(error)}))
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
