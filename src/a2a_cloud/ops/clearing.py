"""What takes a run's payloads away: by their age (ops/retention), or because somebody asked
(runtime/erasure). How it ended stays, and its receipt; the salts by which the payloads could be guessed go
with them."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from a2a_cloud.storage.journal.port import Op, Statement
from a2a_cloud.storage.sql.schema import SEQ_BITS
from a2a_cloud.wire.seal import Salts

#: What stands in the place of a call that was cleared away.
GONE: Final = b'{"message":{"messageId":"","role":"ROLE_USER","parts":[]},"arguments":null}'

_DROP_EVENTS = Statement("drop_events", "DELETE FROM event WHERE id>=? AND id<? AND org=?", 9)
_KEEP_END = Statement("keep_end", "UPDATE event SET body=? WHERE id=? AND org=?", 8)
_DROP_CALL = Statement("drop_call", "UPDATE run SET call=? WHERE no=? AND org=?", 8)
_DROP_DETAIL = Statement("drop_detail", "UPDATE run SET detail=NULL WHERE no=? AND org=?", 8)
_DROP_SALTS = Statement("drop_salts", "UPDATE receipt SET sections=? WHERE run=? AND org=?", 8)
_DROP_KEY = Statement("drop_key", "DELETE FROM idempotency WHERE key=? AND org=? AND run=?", 9)
_DROP_LOGS = Statement("drop_logs", "DELETE FROM log WHERE run=? AND org=?", 9)


class Payloads(Struct):
    """A run that has ended, and what is stored of it: its call, its last event as (id, body), and what is
    kept beside its receipt, where there is one."""

    no: int
    org: int
    owner: int
    agent: int
    call: bytes
    last: tuple[int, bytes] | None
    kept: bytes | None


class _Keyed(Struct):
    key: str = ""


def clear(run: Payloads, *, events: bool, call: bool) -> list[Op]:
    """What clears away what the run said and did (`events`), and what it was asked (`call`)."""
    ops = _without_key(run)
    if events:
        ops += _without_events(run, _ending(run.last[1]) if run.last else b"")
    if call:
        ops.append((_DROP_CALL, (GONE, run.no, run.org)))
    if run.kept is not None:
        ops.append((_DROP_SALTS, (_unsalted(run.kept, events=events, call=call), run.no, run.org)))
    return ops


def erase(run: Payloads, told: str) -> list[Op]:
    """What erases both, the run's log lines and the words of its failure; whoever reads the run finds `told`
    in their place."""
    text = msgspec.json.encode(told).decode()

    def message(role: str) -> str:
        return f'{{"messageId":"","role":"{role}","parts":[{{"text":{text}}}]}}'

    ops = _without_key(run)
    ending = _ending(run.last[1], message("ROLE_AGENT")) if run.last else b""
    ops += _without_events(run, ending)
    asked = f'{{"message":{message("ROLE_USER")},"arguments":null}}'.encode()
    ops.append((_DROP_CALL, (asked, run.no, run.org)))
    ops.append((_DROP_DETAIL, (run.no, run.org)))
    ops.append((_DROP_LOGS, (run.no, run.org)))
    if run.kept is not None:
        found: Any = msgspec.msgpack.decode(run.kept)
        salts = Salts(found["salts"], found.get("later", b""))
        found["later"] = salts.kept_later()
        # With `inner` go the salts of effects' arguments and results.
        found["salts"] = bytes(64) + salts.raw[64:112] + bytes(16)
        ops.append((_DROP_SALTS, (msgspec.msgpack.encode(found), run.no, run.org)))
    return ops


def _without_key(run: Payloads) -> list[Op]:
    try:
        key = msgspec.json.decode(run.call, type=_Keyed).key
    except msgspec.MsgspecError:
        return []
    if not key:
        return []
    digest = hashlib.blake2b(f"{run.org}\0{run.owner}\0{run.agent}\0{key}".encode(), digest_size=16).digest()
    return [(_DROP_KEY, (digest, run.org, run.no))]


def _without_events(run: Payloads, ending: bytes) -> list[Op]:
    ops: list[Op] = []
    first, end = run.no << SEQ_BITS, (run.no + 1) << SEQ_BITS
    # How it ended stays, without what was said with that: by it a reader knows that no more comes.
    if ending and run.last is not None:
        end = run.last[0]
        ops.append((_KEEP_END, (ending, end, run.org)))
    ops.append((_DROP_EVENTS, (first, end, run.org)))
    return ops


def _ending(event: bytes, message: str = "") -> bytes:
    """A run's last status without its words, or with these; b"" when it is another event."""
    found: Any = msgspec.json.decode(event)
    if found.get("k") != "status":
        return b""
    found.pop("message", None)
    if message:
        found.pop("problem_detail", None)
        found["message"] = msgspec.Raw(message.encode())
    return msgspec.json.encode(found)


def _unsalted(kept: bytes, *, events: bool, call: bool) -> bytes:
    """What is stored beside a receipt, without the salts of what is cleared away: request (0-16), response
    and events (16-48), key (48-64)."""
    found: Any = msgspec.msgpack.decode(kept)
    salts = bytearray(found["salts"])
    if call:
        salts[0:16] = bytes(16)
        salts[48:64] = bytes(16)
    if events:
        salts[16:48] = bytes(32)
    found["salts"] = bytes(salts)
    return msgspec.msgpack.encode(found)
