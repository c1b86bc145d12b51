"""`/api/v1/log/{org}/…`: an organisation's audit log as anybody checks it who may read it: checkpoint and
tiles (c2sp.org/tlog-tiles), entries, proofs. `_platform` is the platform's own. And the proof of a receipt,
for whoever may read the receipt."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from a2a_cloud.model.principal import DEFAULT_ORG, Permission, Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, ProofPending, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.log_port import PLATFORM_NAME, PLATFORM_NO, AuditLogs, Entry, Place
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Headers, Request, flag
from a2a_cloud.wire.merkle import leaf_hash
from a2a_cloud.wire.note import b64

_encode = msgspec.json.Encoder().encode

_LINES = b"application/jsonl"
_TEXT, _OCTETS = b"text/plain; charset=utf-8", b"application/octet-stream"
_COSE = b'application/cose; cose-type="cose-sign1"'
_PRIVATE: Headers = [(b"cache-control", b"private, no-store")]
#: A whole tile never changes; it is for who may see it all the same.
_FOR_GOOD: Headers = [(b"cache-control", b"private, max-age=31536000, immutable")]
#: Seconds for which a proof waits for the checkpoint that covers it.
_PATIENCE = 3.0
_MOST = 99_999_999_999


class _Rotation(Struct):
    """The body of a rotation."""

    overlap: float | UnsetType = UNSET


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/log`: the logs that one may read."""
    who = request.principal
    audit = _logs(services)
    found: list[dict[str, Any]] = []
    if who.may(Permission.READ_AUDIT):
        found.append(_place(audit.logs.place(who.org_no, who.org)))
    if _operates(who):
        found.append(_place(audit.logs.place(PLATFORM_NO, PLATFORM_NAME)))
    if not found:
        raise _closed()
    return 200, {"logs": found}


async def read(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/log/{org}/…`: see docs/audit-log.md for each path."""
    org, name = which(request.principal, values[0])
    audit = _logs(services)
    logs = audit.logs
    first, _, rest = values[1].partition("/")
    query = request.query()
    if first == "tile":
        data, whole = await logs.tile(org, name, values[1])
        await request.answer(200, data, _OCTETS, _FOR_GOOD if whole else _PRIVATE)
    elif first == "opened":
        found, whole = logs.opened(org, values[1])
        data = b"".join(_encode(_entry(index, each)) + b"\n" for index, each in found)
        await request.answer(200, data, _LINES, _FOR_GOOD if whole else _PRIVATE)
    elif first == "entries" and rest and "/" not in rest:
        index = _whole(rest, "The index")
        return 200, _entry(index, logs.entry(org, index))
    elif rest:
        raise _nothing()
    elif first == "checkpoint":
        data = logs.checkpoint(org, name, witnessed=flag(query, "witnessed"))
        await request.answer(200, data, _TEXT, _PRIVATE)
    elif first == "keys":
        return 200, _keys(audit, logs.place(org, name).origin)
    elif first == "proof":
        if query.get("run"):
            index = logs.of_run(org, query["run"])
        elif "index" in query:
            index = number(query, "index", 0, 0, _MOST)
        else:
            raise InvalidParams("Say of which entry.", remedy="Send ?index=N, or ?run=RUN.")
        await send_proof(services, request, org, index)
    elif first == "consistency":
        size = logs.place(org, name).size
        new = number(query, "new", size, 0, _MOST)
        old = number(query, "old", 0, 0, _MOST)
        proof = logs.consistency(org, old, new)
        return 200, {
            "old": old,
            "new": new,
            "old_root": logs.root(org, old).hex(),
            "new_root": logs.root(org, new).hex(),
            "proof": [b64(each) for each in proof],
        }
    else:
        raise _nothing()
    return 200, None


async def rotate(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/log/_platform/key`: a new key signs all logs; the one before signs along for a while."""
    if values[0] != PLATFORM_NAME:
        raise NotFound("All logs have one key, the platform's.", remedy=f"It is changed at {PLATFORM_NAME}.")
    if not request.principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("The platform's keys are changed by who runs it.", remedy="Use an admin's key.")
    body = await read_body(request, _Rotation, "{overlap?: seconds}")
    audit = _logs(services)
    overlap = 30 * 86_400.0 if body.overlap is UNSET else body.overlap
    await audit.keys.rotate(request.principal.label, overlap)
    return 200, _keys(audit, audit.logs.place(PLATFORM_NO, PLATFORM_NAME).origin)


async def send_proof(services: Services, request: Request, org: int, index: int) -> None:
    """Answer with the proof of a leaf, `format=cose` with the COSE receipt. Raises ProofPending, NotFound."""
    logs = _logs(services).logs
    form = request.query().get("format", "")
    if form not in ("", "tlog", "cose"):
        raise InvalidParams("There is no such form of a proof.", remedy="Send format=tlog, or format=cose.")
    if not await logs.covered(org, index, _PATIENCE):
        raise ProofPending(
            f"No checkpoint covers entry {index} yet.",
            remedy="Ask again in a second.",
            retry_after=1,
        )
    if form == "cose":
        at = logs.entry(org, index)
        subject = at.receipt or leaf_hash(at.entry).hex()
        return await request.answer(200, logs.cose(org, index, subject), _COSE, _PRIVATE)
    return await request.answer(200, logs.proof(org, index), _TEXT, _PRIVATE)


def which(who: Principal, name: str) -> tuple[int, str]:
    """The number and name of the organisation whose log is meant, if `who` may read it. Raises Forbidden,
    whether there is such an organisation or not."""
    if name == PLATFORM_NAME and _operates(who):
        return PLATFORM_NO, PLATFORM_NAME
    if name == who.org and who.may(Permission.READ_AUDIT):
        return who.org_no, who.org
    raise _closed()


def _operates(who: Principal) -> bool:
    return who.org == DEFAULT_ORG and who.may(Permission.READ_AUDIT) and who.may(Permission.MANAGE_PLATFORM)


def _closed() -> Forbidden:
    return Forbidden(
        "An organisation's log is for its auditors and admins, the platform's for who runs it.",
        remedy="Use a key of theirs.",
        info={"permission": Permission.READ_AUDIT.value},
    )


def _nothing() -> NotFound:
    return NotFound(
        "A log has nothing at this path.",
        remedy="It has checkpoint, tile/…, entries/{index}, opened/…, proof, consistency and keys"
        " (docs/audit-log.md).",
    )


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidParams(f"{what} has to be a whole number.")
    return int(text)


def _logs(services: Services) -> AuditLogs:
    if services.log is None:
        raise Unavailable("This platform has no audit log.", remedy="Start it with `a2a up`.")
    return services.log


def _place(place: Place) -> dict[str, Any]:
    told: dict[str, Any] = {"org": place.org, "origin": place.origin, "size": place.size}
    return {**told, "root": place.root.hex(), **({"at": stamp(place.at)} if place.at else {})}


def _entry(index: int, found: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {
        "index": index,
        "kind": "receipt" if found.receipt else "event",
        "leaf_sha256": leaf_hash(found.entry).hex(),
    }
    if found.receipt:
        return {**told, "receipt": found.receipt, "run": found.run}
    return {**told, "salt": found.salt.hex(), "payload": found.payload.decode()}


def _keys(audit: AuditLogs, origin: str) -> dict[str, Any]:
    keys = [
        {
            "vkey": key.vkey,
            "kid": key.kid,
            "made": stamp(key.made),
            **({} if key.until is None else {"until": stamp(key.until)}),
            "signs": key.signs,
        }
        for key in audit.keys.history(origin)
    ]
    return {"origin": origin, "keys": keys}
