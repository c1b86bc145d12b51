"""What senders of webhooks write, read: bodies (JSON, forms, text), which delivery it is, which event, and
the requests by which senders try an address out (GitHub's ping, Slack's url_verification).

Deliveries are named by X-GitHub-Delivery, the `id` of a Stripe event, Slack's `event_id` or `trigger_id`,
and the webhook-id of Standard Webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

import msgspec

from a2a_cloud.model.hook import Checks, Scheme
from a2a_cloud.model.problem import Malformed
from a2a_cloud.wire.json_text import check_text, depth_over

_MOST_FIELDS = 1_000
_FORM = "application/x-www-form-urlencoded"
#: Header fields that are for the door and not for a skill.
_KEPT_BACK = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "x-hub-signature",
        "x-hub-signature-256",
        "stripe-signature",
        "x-slack-signature",
        "webhook-signature",
    }
)
_decode = msgspec.json.Decoder().decode


class Delivery(NamedTuple):
    """A delivery, read. `id` is "" where nothing names it, `event` where nothing says what happened.
    `content` is the body decoded, `text` as it came."""

    id: str
    event: str
    content: Any
    text: str


def read(scheme: Scheme, checks: Checks, headers: Mapping[str, str], body: bytes) -> Delivery:
    """Raises Malformed, InvalidRequest (nested too deep). `headers` by lower-case names."""
    content, text = _content(headers.get("content-type", ""), body)
    known = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    ident, event = "", ""
    if scheme is Scheme.GITHUB:
        ident, event = headers.get("x-github-delivery", ""), headers.get("x-github-event", "")
    elif scheme is Scheme.STRIPE:
        ident, event = _text(known, "id"), _text(known, "type")
    elif scheme is Scheme.SLACK:
        ident = _text(known, "event_id") or _text(known, "trigger_id")
        inner = known.get("event")
        event = _text(cast("dict[str, Any]", inner), "type") if isinstance(inner, dict) else ""
        event = event or _text(known, "command") or _text(known, "type")
    elif scheme is Scheme.STANDARD:
        ident, event = headers.get("webhook-id", ""), _text(known, "type")
    elif checks.id_header:
        ident = headers.get(checks.id_header.lower(), "")
    return Delivery(ident.strip(), event, content, text)


def trial(scheme: Scheme, delivery: Delivery) -> dict[str, Any] | None:
    """The answer to a sender that only tries the address; None: it is a delivery."""
    if scheme is Scheme.GITHUB and delivery.event == "ping":
        return {"pong": True}
    if scheme is Scheme.SLACK and delivery.event == "url_verification":
        return {"challenge": _text(cast("dict[str, Any]", delivery.content), "challenge")}
    return None


def shown_headers(headers: Mapping[str, str], checks: Checks) -> dict[str, str]:
    """The header fields that a skill may see: none that prove who sends."""
    hidden = _KEPT_BACK | {checks.header.lower()}
    return {name: value for name, value in sorted(headers.items()) if name not in hidden}


def _content(content_type: str, body: bytes) -> tuple[Any, str]:
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(
            f"The body is not valid UTF-8: byte {error.start} can't be read.",
            remedy="Send JSON, a form, or text, encoded as UTF-8.",
        ) from None
    if kind == _FORM:
        return _form(text), text
    if kind.startswith("text/"):
        return text, text
    if not text.strip():
        return {}, text
    check_text(body)
    try:
        return _decode(body), text
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(
            f"The body is not valid JSON: {error}.",
            remedy="Send JSON; or say with Content-Type that it is a form or text.",
        ) from None


def _form(text: str) -> dict[str, Any]:
    """A form's fields; what GitHub and Slack put as JSON into the one field `payload`, instead of it."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Malformed("The form can't be read.", remedy="Percent-encode it as UTF-8.") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            before = fields[name]
            fields[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            fields[name] = value
    payload = fields.get("payload")
    if isinstance(payload, str) and payload.lstrip()[:1] == "{" and not depth_over(payload.encode(), 64):
        try:
            return cast("dict[str, Any]", _decode(payload))
        except (msgspec.DecodeError, RecursionError):
            pass  # A field of that name, no more.
    return fields


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
