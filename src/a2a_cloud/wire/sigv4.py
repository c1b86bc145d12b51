"""AWS Signature Version 4 as a receiver checks it ("Create a signed AWS API request"): what an
Authorization header says, what was signed, and the signature.

The canonical request is made from the path and query as they came. For the service `s3` the path stands
there once encoded, for all others twice, as AWS's own signers do. Pure functions; who knows keys, clocks and
bodies is elsewhere.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

ALGORITHM = "AWS4-HMAC-SHA256"
#: What stands for a body that nobody hashed; it is not taken.
UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-")
EMPTY = sha256(b"").hexdigest()

_FIELDS = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([A-Za-z0-9]{4,128})/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})"
    r"/aws4_request, *SignedHeaders=([a-z0-9;_-]{1,2000}), *Signature=([0-9a-f]{64})"
).fullmatch
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z").fullmatch
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
_BLANKS = re.compile(r" +")

Fields = Sequence[tuple[bytes, bytes]]


class BadSignature(ValueError):
    """A request that is not signed as it has to be; the text says why."""


class Claim(Struct, frozen=True):
    """What a request says of its signature. `at`: wall seconds; `body_sha256`: what it says of its body, ""
    for nothing; `headers`: those that are signed, each with its values as they are signed."""

    key_id: str
    date: str
    region: str
    service: str
    signature: str
    at: float
    stamp: str
    body_sha256: str
    headers: tuple[tuple[str, str], ...]


def claims(authorization: bytes) -> bool:
    """Whether an Authorization header is one of these."""
    return authorization.startswith(b"AWS4-")


def read(authorization: bytes, fields: Fields) -> Claim:
    """What the headers of a request say. Raises BadSignature."""
    found = _FIELDS(authorization.decode("latin-1").strip())
    if found is None:
        raise BadSignature(f"the Authorization header is no {ALGORITHM} as AWS writes it")
    key_id, date, region, service, names, signature = found.groups()
    signed = names.split(";")
    if signed != sorted(set(signed)):
        raise BadSignature("SignedHeaders is not in order")
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    for name in ("host", "x-amz-date"):
        if name not in signed:
            raise BadSignature(f"{name} is not signed")
    unsigned = [name for name in values if name.startswith("x-amz-") and name not in signed]
    if unsigned:
        raise BadSignature(f"{unsigned[0][:60]} is there and not signed")
    if missing := [name for name in signed if name not in values]:
        raise BadSignature(f"{missing[0][:60]} is signed and not there")
    if "x-amz-security-token" in values:
        raise BadSignature("session tokens of AWS are not known here")
    stamp = values["x-amz-date"][0]
    if len(values["x-amz-date"]) > 1 or _DATE(stamp) is None or stamp[:8] != date:
        raise BadSignature("x-amz-date is no time, or another day than the credential's")
    try:
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadSignature("x-amz-date is no time") from None
    said = values.get("x-amz-content-sha256", [""])
    if len(said) > 1 or (said[0] and _HASH(said[0]) is None):
        raise BadSignature("x-amz-content-sha256 is no hash; an unsigned or streamed body is not taken")
    headers = tuple((name, _joined(values[name])) for name in signed)
    return Claim(key_id, date, region, service, signature, at, stamp, said[0], headers)


def signature(claim: Claim, secret: str, method: str, path: str, query: str, body_sha256: str) -> str:
    """What the signature of such a request has to be, in hex. `path` and `query` as they came. Raises
    BadSignature for a query that can be read in two ways."""
    canonical = "\n".join(
        (
            method,
            path if claim.service == "s3" else quote(path, safe="/-_.~"),
            canonical_query(query),
            *(f"{name}:{value}" for name, value in claim.headers),
            "",
            ";".join(name for name, _ in claim.headers),
            body_sha256,
        )
    )
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    text = "\n".join((ALGORITHM, claim.stamp, scope, sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for step in (claim.date, claim.region, claim.service, "aws4_request", text):
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex()


def canonical_query(query: str) -> str:
    """Parameters by encoded name and value, each encoded in the one way."""
    if "+" in query:
        raise BadSignature("the query has a `+`, which some read as a blank: write %20 or %2B")
    pairs: list[tuple[str, str]] = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def _joined(values: list[str]) -> str:
    return ",".join(_BLANKS.sub(" ", value.strip()) for value in values)
