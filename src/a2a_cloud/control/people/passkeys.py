"""Passkeys (WebAuthn Level 3) over the package `webauthn`: discoverable credentials with user verification,
so that one of them is a whole sign-in and needs no name. The challenge travels in a ticket, good once."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from a2a_cloud.control.people.ports import Journal
from a2a_cloud.control.people.rows import (
    ADD_PASSKEY,
    DROP_PASSKEY,
    USE_PASSKEY,
    Account,
    Passkey,
    PeopleRows,
)
from a2a_cloud.control.people.tickets import Tickets
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import AlreadyExists, Busy, InvalidParams, Unauthenticated
from a2a_cloud.storage.journal.port import Op, Refusal

#: Seconds that a challenge is good for, and passkeys of one account.
SECONDS, MOST = 300.0, 20
_MOST_LABEL = 60


class Passkeys:
    """See the module. `rp` is the host, `origin` the address that the browser is at."""

    def __init__(
        self, rows: PeopleRows, journal: Journal, tickets: Tickets, clock: Clock, entropy: Entropy
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._tickets = tickets
        self._clock = clock
        self._entropy = entropy

    def listed(self, account_id: str) -> list[Passkey]:
        """The account's, oldest first."""
        return self._rows.passkeys(account_id)

    def to_register(self, account: Account, rp: str) -> dict[str, Any]:
        """{"options": for navigator.credentials.create, "ticket": …}."""
        import webauthn  # Loaded with the first use of a passkey.
        from webauthn.helpers import structs

        challenge = self._entropy.bytes(32)
        there = [each for each in self._rows.passkeys(account.id) if each.rp == rp]
        options = webauthn.generate_registration_options(
            rp_id=rp,
            rp_name="a2a cloud",
            user_name=account.email,
            user_display_name=account.name,
            user_id=account.id.encode(),
            challenge=challenge,
            timeout=int(SECONDS * 1000),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=each.id) for each in there],
        )
        claims = {"challenge": challenge.hex(), "account": account.id, "rp": rp}
        return self._asked(webauthn.options_to_json(options), "register", claims)

    async def register(
        self,
        account: Account,
        ticket: str,
        credential: dict[str, Any],
        label: str,
        *with_it: Op,
        rp: str,
        origin: str,
    ) -> Passkey:
        """Keep a new passkey. Raises InvalidParams, Busy."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        claims = self._tickets.read("register", ticket)
        if claims is None or claims["account"] != account.id or claims["rp"] != rp:
            raise _late()
        if len(self._rows.passkeys(account.id)) >= MOST:
            raise Busy(f"An account has {MOST} passkeys at most.", remedy="Remove one first.")
        try:
            found = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=bytes.fromhex(claims["challenge"]),
                expected_rp_id=rp,
                expected_origin=origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise InvalidParams(
                "The passkey can't be checked.",
                remedy="Try again.",
                operator=f"{type(error).__name__}: {error}",
            ) from None
        words = " ".join(label.split())[:_MOST_LABEL]
        made = Passkey(
            found.credential_id,
            account.id,
            rp,
            words if words and words.isprintable() else "passkey",
            found.credential_public_key,
            found.sign_count,
            self._clock.now(),
            None,
        )
        try:
            await self._journal.write([(ADD_PASSKEY, msgspec.structs.astuple(made)), *with_it])
        except Refusal:
            raise AlreadyExists("This passkey is registered already.") from None
        return made

    def to_sign_in(self, rp: str) -> dict[str, Any]:
        """{"options": for navigator.credentials.get, "ticket": …}; the same for everybody."""
        import webauthn
        from webauthn.helpers import structs

        challenge = self._entropy.bytes(32)
        options = webauthn.generate_authentication_options(
            rp_id=rp,
            challenge=challenge,
            timeout=int(SECONDS * 1000),
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        return self._asked(
            webauthn.options_to_json(options), "sign-in", {"challenge": challenge.hex(), "rp": rp}
        )

    async def sign_in(self, ticket: str, credential: dict[str, Any], *, rp: str, origin: str) -> str:
        """The id of the account that the passkey is of. Raises Unauthenticated, InvalidParams."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        claims = self._tickets.read("sign-in", ticket)
        if claims is None or claims["rp"] != rp:
            raise _late()
        try:
            raw = webauthn.base64url_to_bytes(str(credential["rawId"]))
            known = self._rows.passkey(raw)
            if known is None or known.rp != rp:
                raise _unknown()
            handle = credential["response"].get("userHandle")
            if not handle or webauthn.base64url_to_bytes(handle) != known.account.encode():
                raise _unknown()
            found = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=bytes.fromhex(claims["challenge"]),
                expected_rp_id=rp,
                expected_origin=origin,
                credential_public_key=known.public_key,
                credential_current_sign_count=known.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unknown(f"{type(error).__name__}: {error}") from None
        values = (found.new_sign_count, self._clock.now(), known.id, known.account)
        await self._journal.write([(USE_PASSKEY, values)])
        return known.account

    async def drop(self, account_id: str, credential: bytes, *with_it: Op) -> None:
        """Remove one of the account's."""
        await self._journal.write([(DROP_PASSKEY, (credential, account_id)), *with_it])

    def _asked(self, options: str, purpose: str, claims: dict[str, str]) -> dict[str, Any]:
        return {"options": json.loads(options), "ticket": self._tickets.make(purpose, SECONDS, claims)}


def _late() -> InvalidParams:
    return InvalidParams("This took too long, or was sent before.", remedy="Try again.")


def _unknown(operator: str = "") -> Unauthenticated:
    return Unauthenticated(
        "This passkey opens nothing here.",
        remedy="Sign in another way, then add the passkey to your account.",
        operator=operator,
    )
