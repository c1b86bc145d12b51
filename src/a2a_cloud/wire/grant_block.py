"""One block of a grant: read strictly from its bytes, compiled once, asked on every operation.

Whatever is not understood is refused: unknown claims and operations, wrong types, duplicate keys, floats,
patterns outside the language of `wire/glob.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from a2a_cloud.model.grant import (
    EVERYTHING,
    READING,
    WRITING,
    BlockVerdict,
    LaterBlock,
    Operation,
    Patterns,
    RootBlock,
)
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.glob import Globs, check_path, globs, host_glob
from a2a_cloud.wire.jws import b64url, b64url_decode

DOMAIN = b"grant-v1\0"
#: Who made block 0, in explanations.
ROOT = "the agent's declaration"

Right = Callable[[str], bool]
_encode = msgspec.json.Encoder().encode
_decode_root = msgspec.json.Decoder(RootBlock).decode
_decode_later = msgspec.json.Decoder(LaterBlock).decode
_Claims = TypeVar("_Claims", RootBlock, LaterBlock)


class Block:
    """A block and the rights that follow from it. Made by `root_block` and `later_block`.

    `text` is as in the token, `signed` what the HMAC is over. `aud` is "" unless it hands the grant over.
    `nbf`, `exp`, `max_uses`, `max_bytes` are 0 where it sets none.
    """

    def __init__(self, text: str, raw: bytes, claims: RootBlock | LaterBlock) -> None:
        """Raises InvalidParams for claims that make no sense."""
        self.text = text
        self.signed = DOMAIN + raw
        self.claims = claims
        self.nbf = claims.nbf or 0
        self.exp = claims.exp or 0
        self.max_uses = claims.max_uses or 0
        self.max_bytes = claims.max_bytes or 0
        self.max_depth = None if claims.max_depth is UNSET else claims.max_depth
        self.prefix = _prefix(claims.prefix)
        if self.exp and self.exp <= self.nbf:
            raise _bad("it ends before it begins")
        if isinstance(claims, RootBlock):
            self.aud, self.run, self.by = claims.aud, claims.run, ROOT
            self.org, self.kid = claims.org, claims.kid
        else:
            self.aud, self.run, self.by = claims.aud or "", claims.run or "", claims.by or ""
            self.org, self.kid = "", ""
            if self.run and not self.aud:
                raise _bad("it names a run and no audience")
        self._read = _globs(claims.read)
        self._write = _globs(claims.write)
        self._skills = _globs(claims.skills)
        self._egress = (
            None if claims.egress is UNSET else globs(tuple(host_glob(each) for each in claims.egress))
        )
        self._deny = _globs(claims.deny) if claims.deny else None
        self._ops = frozenset(EVERYTHING if claims.ops is UNSET else claims.ops)
        self._rights = self._all_rights()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its bytes in hex."""
        return sha256(self.signed[len(DOMAIN) :]).hexdigest()

    def allows(self, operation: Operation, target: str) -> bool:
        """Whether this block allows it; `target` has been checked."""
        right = self._rights.get(operation)
        return right is not None and right(target)

    def _all_rights(self) -> dict[str, Right]:
        rights: dict[str, Right] = {}
        for operation in self._ops:
            allowed = self._asked(operation)
            right = _anything if allowed is None else allowed.matches
            if operation in READING:
                rights[operation] = _path_right(right, self.prefix, self._deny, folder=True)
            elif operation in WRITING:
                rights[operation] = _path_right(right, self.prefix, self._deny, folder=False)
            else:
                rights[operation] = right
        return rights

    def _asked(self, operation: Operation) -> Globs | None:
        if operation in READING:
            return self._read
        if operation in WRITING:
            return self._write
        return self._skills if operation is Operation.CALL else self._egress

    def explain(self, number: int, operation: Operation, target: str) -> BlockVerdict:
        """The same as `allows`, with its reason; `number` is the block's place. A test holds both equal."""

        def verdict(allowed: bool, reason: str, glob: str = "") -> BlockVerdict:
            return BlockVerdict(number, self.by, allowed, glob, reason)

        if operation not in self._ops:
            return verdict(False, f"the operation {operation.value} is not among those it lists")
        of_paths = operation in READING or operation in WRITING
        if of_paths and self._deny is not None:
            denied = self._deny.first(target)
            if denied is not None:
                return verdict(False, f"deny has {denied}", denied)
        if of_paths and self.prefix:
            inside = target.startswith(self.prefix) or (operation in READING and target == self.prefix[:-1])
            if inside:
                return verdict(True, f"it lies in the run's own folder {self.prefix}", self.prefix + "**")
        what = _LISTS[operation]
        asked = self._asked(operation)
        if asked is None:
            return verdict(True, f"it does not restrict {what}")
        found = asked.first(target)
        if found is None:
            listed = ", ".join(getattr(self.claims, what) or ()) or "nothing"
            return verdict(False, f"{what} has {listed[:300]}")
        shown: Patterns = getattr(self.claims, what)
        glob = shown[asked.patterns.index(found)]
        return verdict(True, f"{what} has {glob}", glob)


_LISTS = {
    **dict.fromkeys(READING, "read"),
    **dict.fromkeys(WRITING, "write"),
    Operation.CALL: "skills",
    Operation.EGRESS: "egress",
}


def _anything(_target: str) -> bool:
    return True


def _path_right(right: Right, prefix: str, deny: Globs | None, *, folder: bool) -> Right:
    """`right` with the run's own folder added and what is denied taken away. The folder itself may be
    looked at (`folder`), but nothing can be written in its place."""
    allowed = right
    if prefix:
        itself = prefix[:-1] if folder else ""

        def inside(target: str) -> bool:
            return target.startswith(prefix) or target == itself or right(target)

        allowed = inside
    if deny is None:
        return allowed
    denied, granted = deny.matches, allowed

    def but(target: str) -> bool:
        return not denied(target) and granted(target)

    return but


def _globs(patterns: Patterns | UnsetType) -> Globs | None:
    return None if patterns is UNSET else globs(patterns)


def _prefix(prefix: str | UnsetType) -> str:
    if not prefix:
        return ""
    if prefix[-1] != "/":
        raise _bad(f"its prefix {prefix[:120]!a} has no / at its end")
    check_path(prefix[:-1])
    if any(sign in prefix for sign in "*?[]{}!"):
        raise _bad(f"its prefix {prefix[:120]!a} is one folder and no pattern")
    return prefix


# --- reading --------------------------------------------------------------------------------------------


def block_bytes(text: str) -> bytes:
    """The bytes of a block's text. Raises InvalidParams."""
    try:
        return b64url_decode(text)
    except ValueError as error:
        raise _bad(str(error)) from None


def root_block(text: str, claims: RootBlock | None = None) -> Block:
    """Block 0 from its text; `claims` when they are read already. Raises InvalidParams."""
    raw = block_bytes(text)
    return Block(text, raw, claims or _claims(raw, RootBlock))


def later_block(text: str) -> Block:
    """A later block from its text. Raises InvalidParams."""
    raw = block_bytes(text)
    return Block(text, raw, _claims(raw, LaterBlock))


def written(claims: RootBlock) -> bytes:
    """The bytes of block 0, unchecked."""
    return _encode(claims)


def written_block(claims: RootBlock | LaterBlock) -> Block:
    """A new block, as whoever reads it will see it. Raises InvalidParams for claims that make no sense."""
    decode = _decode_root if isinstance(claims, RootBlock) else _decode_later
    try:
        raw = _encode(claims)
        return Block(b64url(raw).decode(), raw, decode(raw))
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise _bad(str(error)) from None


def root_claims(text: str) -> RootBlock:
    """The claims of block 0 alone: enough to find its key before anything of it is used."""
    return _claims(block_bytes(text), RootBlock)


def _claims(raw: bytes, kind: type[_Claims]) -> _Claims:
    try:
        return msgspec.convert(parse_strict(raw), kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise _bad(str(error)) from None


def _bad(why: str) -> InvalidParams:
    return InvalidParams(f"A block of a grant can't be used: {why}.", info={"reason": "malformed"})
