"""Whether a delivery comes from who shares the hook's secret: the schemes of those who send webhooks.

GitHub (X-Hub-Signature-256), Stripe (Stripe-Signature, t and v1), Slack (v0), Standard Webhooks 1.0
(webhook-signature), and a plain HMAC-SHA256 in a header of one's own. All are HMAC-SHA256 over the body as
it came, most with a timestamp in front; compared in constant time. docs/hooks.md has each.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from a2a_cloud.model.hook import Checks, Scheme
from a2a_cloud.model.problem import InvalidParams, Unauthenticated

#: Header fields by their lower-case names.
Fields = Mapping[str, str]

#: Characters of a secret: fewer could be guessed.
MIN_SECRET = 16
MAX_SECRET = 4096
#: Signatures in one header that are tried; senders put two there while they rotate a secret.
_MOST = 8

_TIME = re.compile(r"[0-9]{1,12}").fullmatch
_STANDARD = "whsec_"


def check(
    scheme: Scheme, checks: Checks, secrets: Sequence[str], headers: Fields, body: bytes, now: float
) -> None:
    """Returns when the delivery is signed with one of `secrets`. Raises Unauthenticated."""
    if scheme is not Scheme.NONE:
        _CHECKS[scheme](checks, secrets, headers, body, now)


def check_secret(scheme: Scheme, secret: str) -> None:
    """Raises InvalidParams for what can't be a secret of that scheme."""
    if scheme is Scheme.NONE:
        if secret:
            raise InvalidParams("A hook without a signature has no secret.", info={"field": "secret"})
        return
    if not MIN_SECRET <= len(secret) <= MAX_SECRET or not secret.isprintable():
        raise InvalidParams(
            f"The secret has to be {MIN_SECRET} to {MAX_SECRET} characters on one line.",
            remedy="Take the one that the sender shows, or a random one.",
            info={"field": "secret"},
        )
    if scheme is Scheme.STANDARD and not _standard_key(secret):
        raise InvalidParams(
            "A secret of Standard Webhooks is whsec_ and Base64.",
            remedy="Copy it as the sender shows it.",
            info={"field": "secret"},
        )


def _github(_checks: Checks, secrets: Sequence[str], headers: Fields, body: bytes, _now: float) -> None:
    name = "X-Hub-Signature-256"
    _compare(name, [_field(headers, name)], [f"sha256={_hex(s.encode(), body)}" for s in secrets])


def _stripe(checks: Checks, secrets: Sequence[str], headers: Fields, body: bytes, now: float) -> None:
    name = "Stripe-Signature"
    pairs = [item.partition("=") for item in _field(headers, name).split(",")]
    at = next((value.strip() for key, _, value in pairs if key.strip() == "t"), "")
    given = [value.strip() for key, _, value in pairs if key.strip() == "v1"]
    _compare(name, given, [_hex(s.encode(), at.encode() + b"." + body) for s in secrets])
    _in_time(f"{name} (t)", at, checks.window, now)


def _slack(checks: Checks, secrets: Sequence[str], headers: Fields, body: bytes, now: float) -> None:
    name = "X-Slack-Signature"
    at = _field(headers, "X-Slack-Request-Timestamp")
    signed = b"v0:" + at.encode() + b":" + body
    _compare(name, [_field(headers, name)], [f"v0={_hex(s.encode(), signed)}" for s in secrets])
    _in_time("X-Slack-Request-Timestamp", at, checks.window, now)


def _standard(checks: Checks, secrets: Sequence[str], headers: Fields, body: bytes, now: float) -> None:
    name = "webhook-signature"
    at = _field(headers, "webhook-timestamp")
    signed = f"{_field(headers, 'webhook-id')}.{at}.".encode() + body
    _compare(name, _field(headers, name).split(), [f"v1,{_b64(_standard_key(s), signed)}" for s in secrets])
    _in_time("webhook-timestamp", at, checks.window, now)


def _plain(checks: Checks, secrets: Sequence[str], headers: Fields, body: bytes, now: float) -> None:
    given = _field(headers, checks.header)
    at = _field(headers, checks.timestamp_header) if checks.timestamp_header else ""
    signed = f"{at}.".encode() + body if checks.timestamp_header else body
    digest = _hex if checks.encoding == "hex" else _b64
    if checks.encoding == "hex":
        given = checks.prefix + given[len(checks.prefix) :].lower() if given.startswith(checks.prefix) else ""
    _compare(checks.header, [given], [checks.prefix + digest(s.encode(), signed) for s in secrets])
    if checks.timestamp_header:
        _in_time(checks.timestamp_header, at, checks.window, now)


_CHECKS: dict[Scheme, Callable[[Checks, Sequence[str], Fields, bytes, float], None]] = {
    Scheme.GITHUB: _github,
    Scheme.STRIPE: _stripe,
    Scheme.SLACK: _slack,
    Scheme.STANDARD: _standard,
    Scheme.HMAC: _plain,
}


def _field(headers: Fields, name: str) -> str:
    value = headers.get(name.lower(), "").strip()
    if not value:
        raise Unauthenticated(
            f"The delivery has no {name}.",
            remedy="Give the sender the hook's secret, and the hook the sender's scheme.",
        )
    return value


def _compare(name: str, given: Sequence[str], wanted: Sequence[str]) -> None:
    fits = False
    for each in given[:_MOST]:
        for one in wanted:  # All of them, so that the time tells nothing.
            fits |= hmac.compare_digest(each.encode(), one.encode())
    if not fits:
        raise Unauthenticated(
            f"The signature in {name} is not of this body with the hook's secret.",
            remedy="Give the sender the hook's secret (a2a hooks rotate ID --secret sets another), and let "
            "nothing on the way change the body.",
        )


def _in_time(name: str, at: str, window: int, now: float) -> None:
    # Looked at after the signature: who can't sign learns nothing of our clock.
    if not _TIME(at) or abs(now - int(at)) > window:
        raise Unauthenticated(
            f"The time in {name} is more than {window} seconds from now.",
            remedy="Send it again, signed anew; if it was new, one of the two clocks is wrong.",
        )


def _standard_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _hex(key: bytes, signed: bytes) -> str:
    return hmac.new(key, signed, sha256).hexdigest()


def _b64(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
