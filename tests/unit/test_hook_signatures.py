"""Signatures of webhooks: the vectors that senders publish, and everything that must not pass."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256

import pytest

from a2a_cloud.control.hooks.signatures import check, check_secret
from a2a_cloud.model.hook import Checks, Scheme
from a2a_cloud.model.problem import InvalidParams, Unauthenticated

# GitHub's documentation, "Validating webhook deliveries".
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB = {
    "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
}
# Slack's documentation, "Verifying requests from Slack".
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_AT = 1531420618
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK = {
    "x-slack-request-timestamp": str(SLACK_AT),
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
# The specification of Standard Webhooks 1.0, and the vector of its reference libraries.
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_AT = 1614265330
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(STANDARD_AT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
# Stripe's documentation gives the rule ("Verify manually": HMAC-SHA256 of `t.payload`) and no vector.
STRIPE_SECRET = "whsec_test_secret_of_an_endpoint"
STRIPE_AT = 1492774577
STRIPE_BODY = b'{"id": "evt_test_webhook", "object": "event"}'


def stripe(at: int = STRIPE_AT, secret: str = STRIPE_SECRET, body: bytes = STRIPE_BODY) -> dict[str, str]:
    digest = hmac.new(secret.encode(), b"%d." % at + body, sha256).hexdigest()
    return {"stripe-signature": f"t={at},v0={'0' * 64},v1={digest}"}


def passes(
    scheme: Scheme,
    headers: dict[str, str],
    body: bytes,
    now: float,
    secrets: Sequence[str],
    checks: Checks | None = None,
) -> bool:
    try:
        check(scheme, checks or Checks(), secrets, headers, body, now)
    except Unauthenticated as problem:
        said, remedy = problem.sentence, problem.remedy
    else:
        return True
    assert remedy
    assert not any(secret in said for secret in secrets)
    return False


VECTORS = [
    pytest.param(Scheme.GITHUB, GITHUB, GITHUB_BODY, 0, GITHUB_SECRET, id="github"),
    pytest.param(Scheme.SLACK, SLACK, SLACK_BODY, SLACK_AT, SLACK_SECRET, id="slack"),
    pytest.param(Scheme.STANDARD, STANDARD, STANDARD_BODY, STANDARD_AT, STANDARD_SECRET, id="standard"),
    pytest.param(Scheme.STRIPE, stripe(), STRIPE_BODY, STRIPE_AT, STRIPE_SECRET, id="stripe"),
]


@pytest.mark.parametrize(("scheme", "headers", "body", "at", "secret"), VECTORS)
def test_what_the_sender_publishes_passes(
    scheme: Scheme, headers: dict[str, str], body: bytes, at: int, secret: str
) -> None:
    check_secret(scheme, secret)
    assert passes(scheme, headers, body, at, [secret])
    assert passes(scheme, headers, body, at + 299, [secret])
    assert passes(scheme, headers, body, at, ["another secret of ours", secret])


@pytest.mark.parametrize(("scheme", "headers", "body", "at", "secret"), VECTORS)
def test_nothing_else_does(
    scheme: Scheme, headers: dict[str, str], body: bytes, at: int, secret: str
) -> None:
    assert not passes(scheme, headers, body + b" ", at, [secret])
    assert not passes(scheme, headers, body, at, [secret + "x" * 4])
    assert not passes(scheme, headers, body, at, [])
    assert not passes(scheme, {}, body, at, [secret])
    for name, value in headers.items():
        assert not passes(scheme, {**headers, name: ""}, body, at, [secret])
        assert not passes(scheme, {**headers, name: value[:-1]}, body, at, [secret])
        assert not passes(scheme, {**headers, name: value + "0"}, body, at, [secret])
        assert not passes(scheme, {**headers, name: "é" + value}, body, at, [secret])


@pytest.mark.parametrize(("scheme", "headers", "body", "at", "secret"), VECTORS[1:])
def test_an_old_one_or_one_from_the_future_does_not(
    scheme: Scheme, headers: dict[str, str], body: bytes, at: int, secret: str
) -> None:
    assert not passes(scheme, headers, body, at + 301, [secret])
    assert not passes(scheme, headers, body, at - 301, [secret])
    assert passes(scheme, headers, body, at + 301, [secret], Checks(window=600))


def test_stripe_signs_with_two_secrets_while_one_is_rolled() -> None:
    other = stripe(secret="whsec_the_one_that_comes_next")["stripe-signature"]
    both = {"stripe-signature": f"{other},{stripe()['stripe-signature'].split(',')[2]}"}
    assert passes(Scheme.STRIPE, both, STRIPE_BODY, STRIPE_AT, [STRIPE_SECRET])


def test_stripes_test_signature_is_none() -> None:
    digest = hmac.new(STRIPE_SECRET.encode(), b"%d." % STRIPE_AT + STRIPE_BODY, sha256).hexdigest()
    only = {"stripe-signature": f"t={STRIPE_AT},v0={digest}"}
    assert not passes(Scheme.STRIPE, only, STRIPE_BODY, STRIPE_AT, [STRIPE_SECRET])


PLAIN_SECRET = "a secret between two servers"
PLAIN_BODY = b'{"n": 1}'


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("prefix", ["", "sha256="])
@pytest.mark.parametrize("timed", [False, True], ids=["bare", "timed"])
def test_a_plain_hmac_in_a_header_of_ones_own(encoding: str, prefix: str, timed: bool) -> None:
    checks = Checks(
        header="X-Signature",
        encoding="hex" if encoding == "hex" else "base64",
        prefix=prefix,
        timestamp_header="X-Time" if timed else "",
    )
    digest = hmac.new(PLAIN_SECRET.encode(), (b"1000." if timed else b"") + PLAIN_BODY, sha256).digest()
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    headers = {"x-signature": prefix + text, "x-time": "1000"}
    assert passes(Scheme.HMAC, headers, PLAIN_BODY, 1000, [PLAIN_SECRET], checks)
    assert not passes(Scheme.HMAC, headers, PLAIN_BODY + b" ", 1000, [PLAIN_SECRET], checks)
    assert passes(Scheme.HMAC, headers, PLAIN_BODY, 9000, [PLAIN_SECRET], checks) is not timed
    assert not passes(
        Scheme.HMAC, {**headers, "x-signature": "x" + text}, PLAIN_BODY, 1000, [PLAIN_SECRET], checks
    )


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [
        pytest.param(Scheme.GITHUB, "short", id="short"),
        pytest.param(Scheme.GITHUB, "", id="none"),
        pytest.param(Scheme.GITHUB, "x" * 5000, id="long"),
        pytest.param(Scheme.SLACK, "two\nlines of a secret", id="two-lines"),
        pytest.param(Scheme.STANDARD, "whsec_not base64 at all", id="no-base64"),
        pytest.param(Scheme.NONE, "a secret that nobody checks", id="unused"),
    ],
)
def test_what_is_no_secret(scheme: Scheme, secret: str) -> None:
    with pytest.raises(InvalidParams):
        check_secret(scheme, secret)
