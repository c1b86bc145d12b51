"""A receipt's second signature: by the service identity of the agent that the signed body names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from test_proof import AGENT, CALLERS, JWKS, OTHER, SEALED, SIGNER, body

from a2a_cloud.model.receipt import AgentFacts
from a2a_cloud.wire.jws import b64url
from a2a_cloud.wire.proof import Outcome, verify_receipt
from a2a_cloud.wire.seal import document, seal


def test_it_is_checked_with_nothing_but_the_platforms_key() -> None:
    verdict = verify_receipt(CALLERS, JWKS)
    assert verdict.outcome is Outcome.VALID
    assert "countersignature" in verdict.checked
    assert not verdict.notes


def test_a_copy_without_it_says_so() -> None:
    verdict = verify_receipt(document(SEALED, SIGNER, org="default", index=12), JWKS)
    assert verdict.outcome is Outcome.VALID
    assert "countersignature" not in verdict.checked
    assert "has not countersigned" in verdict.notes[0]


def test_a_receipt_from_before_has_none_and_needs_none() -> None:
    earlier = seal(SIGNER, body(agent=AgentFacts(id="desk", image_digest="sha256:c", version="1")))
    verdict = verify_receipt(document(earlier, SIGNER, org="default", index=1), JWKS)
    assert verdict.outcome is Outcome.VALID
    assert not verdict.notes
    # And nobody can hang one on it: the body vouches for no key.
    forged = document(earlier, SIGNER, org="default", index=1, agent=AGENT)
    assert verify_receipt(forged, JWKS).outcome is Outcome.REFUSED


def _key(found: dict[str, Any]) -> None:
    found["key"] = b64url(OTHER.public).decode()


def _whose(found: dict[str, Any]) -> None:
    found.update(
        key=b64url(OTHER.public).decode(), protected=OTHER.protected, signature=OTHER.sign(SEALED.body)
    )


def _what(found: dict[str, Any]) -> None:
    found["signature"] = AGENT.sign(b"{}")


def _more(found: dict[str, Any]) -> None:
    found["more"] = 1


def _platform(found: dict[str, Any]) -> None:
    found.update(protected=SIGNER.protected, signature=SIGNER.sign(SEALED.body))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_key, id="another-key"),
        pytest.param(_whose, id="another-signer"),
        pytest.param(_what, id="over-something-else"),
        pytest.param(_platform, id="the-platforms-own"),
        pytest.param(_more, id="a-member-more"),
    ],
)
def test_one_that_does_not_hold_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    found = json.loads(CALLERS)
    change(found["countersignature"])
    verdict = verify_receipt(json.dumps(found).encode(), JWKS)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.body is None
