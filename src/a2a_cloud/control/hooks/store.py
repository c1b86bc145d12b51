"""Hooks: made, listed, rotated and removed; found by the key in their path, and a delivery's signature
checked.

The key is stored as its SHA-256, the secret sealed for the hook and its version; both are shown once, when
they are made, and are in no log. A hook acts for the principal who made it, with the rights that they have
then, for as long as they have an API key that was not revoked or are a member of the organisation.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from a2a_cloud.control.hooks.rows import (
    ADD_HOOK,
    DROP_HOOK,
    SET_HOOK_KEY,
    SET_HOOK_SECRET,
    HookRows,
)
from a2a_cloud.control.hooks.signatures import Fields, check, check_secret
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.hook import Checks, Hook, Scheme
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Unavailable
from a2a_cloud.model.scope import Scope, manager_scope, owner_scope, reader_scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change

#: Hooks of one principal.
MAX_HOOKS = 100
#: Seconds that what was rotated may stay good at most.
MAX_GRACE = 7 * 86_400.0
#: Random bytes of a key, and of a secret that is made here.
_KEY = 32
#: Schemes whose senders take a secret that we make; the others give one.
OURS = frozenset({Scheme.GITHUB, Scheme.STANDARD, Scheme.HMAC})

_encode = msgspec.json.Encoder().encode


class Committer(Protocol):
    """The journal, as this store uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Made(NamedTuple):
    """What nobody sees again: the key in the path, and the secret if it was made here ("": it wasn't)."""

    hook: Hook
    key: str
    secret: str


class Hooks:
    """See the module. `principal` gives the principal of a number."""

    def __init__(
        self,
        rows: HookRows,
        journal: Committer,
        seal: Seal,
        clock: Clock,
        ids: Ids,
        entropy: Entropy,
        principal: Callable[[int], Principal | None],
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._seal = seal
        self._clock = clock
        self._ids = ids
        self._entropy = entropy
        self._principal = principal

    # --- made and ended ---------------------------------------------------------------------------------

    async def create(
        self,
        by: Principal,
        *,
        agent_no: int,
        agent: str,
        skill: str,
        scheme: Scheme,
        checks: Checks,
        secret: str,
        narrow: Narrowing | None,
        label: str,
    ) -> Made:
        """A hook for an agent of the principal's own organisation. Raises InvalidParams."""
        _check_options(scheme, checks, label)
        ours = "" if secret or scheme not in OURS else self._new_secret(scheme)
        check_secret(scheme, secret or ours)
        if len(self._rows.hooks(owner_scope(by, by.org_no))) >= MAX_HOOKS:
            raise InvalidParams(f"A principal has {MAX_HOOKS} hooks at most.", remedy="Remove one.")
        hook = Hook(
            id=self._ids.new("hook"),
            org_no=by.org_no,
            owner=by.no,
            agent_no=agent_no,
            agent=agent,
            skill=skill,
            scheme=scheme,
            checks=checks,
            narrow=narrow,
            label=label,
            created=self._clock.now(),
            by=by.label,
        )
        key = self._new_key()
        sealed = (
            self._seal.close((secret or ours).encode(), _place(hook, 1)) if scheme is not Scheme.NONE else b""
        )
        row = (
            hook.id,
            hook.org_no,
            hook.owner,
            agent_no,
            agent,
            skill,
            scheme.value,
            _encode(checks).decode(),
            _encode(narrow).decode(),
            label,
            hook.created,
            hook.by,
            _digest(key),
            1,
            sealed,
        )
        await self._journal.write([(ADD_HOOK, row), self._told(by, "made", hook)])
        return Made(hook, key, ours)

    def listed(self, by: Principal) -> list[Hook]:
        """All of the organisation for its admins, else one's own."""
        return self._rows.hooks(reader_scope(by, by.org_no))

    def one(self, by: Principal, hook_id: str) -> Hook:
        """One that `by` may change. Raises NotFound."""
        hook = self._rows.hook(manager_scope(by, by.org_no), hook_id)
        if hook is None:
            raise NotFound(f"There is no hook {hook_id[:80]!a}.", remedy="See `a2a hooks ls`.")
        return hook

    async def drop(self, by: Principal, hook_id: str) -> Hook:
        """Deliveries to it are refused from now on. Raises NotFound."""
        hook = self.one(by, hook_id)
        await self._journal.write([(DROP_HOOK, (hook.org_no, hook.id)), self._told(by, "removed", hook)])
        return hook

    async def rotate_key(self, by: Principal, hook_id: str, grace: float) -> Made:
        """Another key in the path; the one before is good for `grace` more seconds. Raises NotFound,
        InvalidParams."""
        hook, until = self.one(by, hook_id), self._until(grace)
        key = self._new_key()
        event = self._told(by, "key_rotated", hook)
        await self._journal.write([(SET_HOOK_KEY, (until, _digest(key), hook.org_no, hook.id)), event])
        return Made(self.one(by, hook_id), key, "")

    async def rotate_secret(self, by: Principal, hook_id: str, secret: str, grace: float) -> Made:
        """Another secret ("": one is made here); the one before is good for `grace` more seconds. Raises
        NotFound, InvalidParams."""
        hook, until = self.one(by, hook_id), self._until(grace)
        ours = "" if secret or hook.scheme not in OURS else self._new_secret(hook.scheme)
        check_secret(hook.scheme, secret or ours)
        stored = self._rows.sealed(Scope(org=hook.org_no), hook.id)
        if hook.scheme is Scheme.NONE or stored is None:
            raise InvalidParams(
                "This hook checks no signature, so it has no secret.",
                remedy="Rotate its key, or make another.",
            )
        version = stored.version + 1
        sealed = self._seal.close((secret or ours).encode(), _place(hook, version))
        event = self._told(by, "secret_rotated", hook)
        await self._journal.write([(SET_HOOK_SECRET, (until, sealed, version, hook.org_no, hook.id)), event])
        return Made(self.one(by, hook_id), "", ours)

    # --- a delivery -------------------------------------------------------------------------------------

    def find(self, org_no: int, agent_no: int, skill: str, key: str) -> Hook:
        """The hook whose path this is. Raises NotFound."""
        digest, scope = _digest(key), Scope(org=org_no)
        hook = self._rows.by_key(scope, agent_no, skill, digest, self._clock.now())
        if hook is None:
            raise NotFound(
                "There is no such hook.",
                remedy="Make one with `a2a hooks create`; its address is shown once.",
            )
        return hook

    def admit(self, hook: Hook, headers: Fields, body: bytes) -> Principal:
        """For whom the delivery runs. Raises Unauthenticated when it isn't signed as it should be, Forbidden
        when the hook's owner has no key any more, Unavailable when the secret can't be opened."""
        check(hook.scheme, hook.checks, self._secrets(hook), headers, body, self._clock.now())
        owner = self._principal(hook.owner)
        if owner is None or not self._rows.has_key(Scope(org=hook.org_no, owner=hook.owner)):
            raise Forbidden(
                "Who made this hook has no key any more.", remedy="Make another: a2a hooks create …"
            )
        return owner

    def _secrets(self, hook: Hook) -> list[str]:
        if hook.scheme is Scheme.NONE:
            return []
        stored = self._rows.sealed(Scope(org=hook.org_no), hook.id)
        if stored is None:  # Removed while the body was on its way.
            raise NotFound("There is no such hook.")
        sealed = [(stored.version, stored.value)]
        if stored.old is not None and self._clock.now() < stored.old_until:
            sealed.append((stored.version - 1, stored.old))
        try:
            return [self._seal.open(value, _place(hook, version)).decode() for version, value in sealed]
        except ValueError:
            raise Unavailable(
                f"The secret of the hook {hook.id} can't be opened: its row or the key was changed.",
                remedy=f"Set it again: a2a hooks rotate {hook.id} --secret",
            ) from None

    # --- parts ------------------------------------------------------------------------------------------

    def _told(self, by: Principal, what: str, hook: Hook) -> Op:
        target = f"{hook.agent}/{hook.skill}"
        return change(hook.org_no, self._clock.now(), by.label, f"hook.{what}", target, hook=hook.id)

    def _until(self, grace: float) -> float:
        if not 0 <= grace <= MAX_GRACE:
            raise InvalidParams(
                f"grace has to be from 0 to {MAX_GRACE:.0f} seconds.", info={"field": "grace"}
            )
        return self._clock.now() + grace if grace else 0.0

    def _new_key(self) -> str:
        return base64.urlsafe_b64encode(self._entropy.bytes(_KEY)).decode().rstrip("=")

    def _new_secret(self, scheme: Scheme) -> str:
        drawn = self._entropy.bytes(_KEY)
        return f"whsec_{base64.b64encode(drawn).decode()}" if scheme is Scheme.STANDARD else drawn.hex()


def _check_options(scheme: Scheme, checks: Checks, label: str) -> None:
    """Raises InvalidParams for what the scheme doesn't use: it would promise a check that isn't made."""
    if scheme is Scheme.HMAC and not checks.header:
        raise InvalidParams(
            "A plain HMAC needs the name of the header that holds it.",
            remedy="Write header, such as X-Signature.",
            info={"field": "header"},
        )
    unused = {
        "header": scheme is not Scheme.HMAC and bool(checks.header),
        "encoding": scheme is not Scheme.HMAC and checks.encoding != "hex",
        "prefix": scheme is not Scheme.HMAC and bool(checks.prefix),
        "timestamp_header": scheme is not Scheme.HMAC and bool(checks.timestamp_header),
        "id_header": scheme not in (Scheme.HMAC, Scheme.NONE) and bool(checks.id_header),
    }
    for name, wrong in unused.items():
        if wrong:
            raise InvalidParams(
                f"The scheme {scheme.value} says itself what {name} is.",
                remedy="Leave it out, or use the scheme hmac.",
                info={"field": name},
            )
    if len(label) > 200 or not label.isprintable():
        raise InvalidParams(
            "The label has to be one line of at most 200 characters.", info={"field": "label"}
        )


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _place(hook: Hook, version: int) -> str:
    return f"a2a-cloud hook-v1 {hook.org_no} {hook.id} {version}"
