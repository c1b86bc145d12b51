"""Devices and command lines (RFC 8628), on Authlib's grant."""
# Authlib has no types.
# pyright: basic

from __future__ import annotations

from typing import Any

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidGrantError
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant

from a2a_cloud.control.oauth import records, scopes
from a2a_cloud.control.oauth.core import ANY, Exchange
from a2a_cloud.control.oauth.records import Client, Device, Family, digest
from a2a_cloud.control.oauth.rows import add_device, add_family
from a2a_cloud.control.oauth.tokens import SECONDS
from a2a_cloud.model.scope import SYSTEM

#: Seconds that a device waits for its person, and that it waits between its questions.
DEVICE_SECONDS, INTERVAL = 600, 5
#: What people read off one screen and type at another: no vowels, nothing that looks like something else.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


class DeviceStart(DeviceAuthorizationEndpoint):
    """RFC 8628, section 3.1."""

    CLIENT_AUTH_METHODS = ANY
    EXPIRES_IN = DEVICE_SECONDS
    INTERVAL = INTERVAL
    server: Any

    def create_endpoint_response(self, request: Exchange) -> Any:
        client: Client = self.authenticate_client(request).client
        if records.DEVICE not in client.grants:
            raise InvalidClientError("The client is not registered for devices.")
        self.server.validate_requested_scope(request.given.values.get("scope"))
        resource = request.given.values.get("resource", "")
        place = self.server.place(resource)
        secret, code = self.server.new("a2d_"), self._user_code()
        asked = scopes.read(request.given.values.get("scope", "")) or (scopes.usual(place),)
        now = self.server.clock.now()
        expires = now + DEVICE_SECONDS
        device = Device(digest(secret), code, client.id, " ".join(asked), resource, expires)
        request.ops.append(add_device(device))
        where = f"{self.server.tokens.issuer()}/oauth/device"
        body = {
            "device_code": secret,
            "user_code": code,
            "verification_uri": where,
            "verification_uri_complete": f"{where}?user_code={code}",
            "expires_in": DEVICE_SECONDS,
            "interval": INTERVAL,
        }
        return 200, body, []

    def _user_code(self) -> str:
        # 8 letters of 20: some 34 bits, good for ten minutes, and wrong ones are counted.
        number = int.from_bytes(self.server.entropy.bytes(16))
        letters: list[str] = []
        for _ in range(8):
            number, place = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[place])
        return f"{''.join(letters[:4])}-{''.join(letters[4:])}"


class _Waiting:
    """A device as Authlib asks about it."""

    def __init__(self, secret: str, device: Device, now: float) -> None:
        self.secret, self.device, self._now = secret, device, now

    def is_expired(self) -> bool:
        return self.device.expires <= self._now

    def get_client_id(self) -> str:
        return self.device.client

    def get_user_code(self) -> _Waiting:
        return self  # Authlib asks for the verdict by it.

    def get_scope(self) -> str:
        return self.device.family.scope if self.device.family is not None else ""


class DeviceGrant(DeviceCodeGrant):
    """RFC 8628, section 3.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY
    request: Any  # An Exchange.
    server: Any  # The Core.

    def query_device_credential(self, device_code: str) -> _Waiting:
        key = digest(device_code)
        found = self.server.rows.device(SYSTEM, key)
        used = self.server.rows.spent(SYSTEM, key)
        if found is None:
            raise InvalidGrantError("The device code is not known, or its time is over.")
        if used is not None:
            self.server.replayed(self.request, used)
            raise InvalidGrantError("The device code was used already.")
        return _Waiting(device_code, found, self.server.clock.now())

    def query_user_grant(self, user_code: _Waiting) -> tuple[Family | None, bool] | None:
        device = user_code.device
        if not device.verdict:
            return None
        if (
            device.verdict == "allow"
            and device.family is not None
            and not self.server.alive(device.family.about)
        ):
            return None, False
        return device.family, device.verdict == "allow"

    def should_slow_down(self, credential: _Waiting) -> bool:
        polled, now = self.server.polled, self.server.clock.monotonic()
        last, interval = polled.get(credential.device.digest, (-1e9, INTERVAL))
        early = now - last < interval - 1  # A second for the network's sake.
        if len(polled) > 10_000:
            polled.clear()
        polled[credential.device.digest] = (now, interval + 5 if early else interval)
        return early

    def generate_token(self, user: Family, scope: str, **_: Any) -> dict[str, Any]:
        client: Client = self.request.client.client
        given = self.request.given
        waiting: _Waiting = self.request.credential
        if client.public:
            user = msgspec.structs.replace(user, jkt=given.jkt, x5t=given.x5t if client.certified else "")
        until = waiting.device.expires + SECONDS
        self.request.family = user
        self.request.ops += [
            add_family(user, self.server.clock.now()),
            self.server.spend(waiting.secret, user, until),
        ]
        return self.server.token(self.request, client, user, scope, refresh=True)

    def save_token(self, token: dict[str, Any]) -> None:
        """It is in the family's write."""
