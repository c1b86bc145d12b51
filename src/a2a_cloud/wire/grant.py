"""The token of a grant, `g1.BLOCK.BLOCK….SIGNATURE`: made, narrowed and verified, without I/O.

Chained HMAC-SHA256: s0 = HMAC(K, "grant-v1\\0" ‖ block 0), s_i = HMAC(s_(i-1), "grant-v1\\0" ‖ block i);
the token carries the last one, so that anyone who holds it can add a block and nobody can take one away.
A request is allowed when every block allows it. Format: docs/grants.md (reference: mcp-and-identity.md).
The exact bytes are signed and never written again. `verify` is on the way of every operation.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

import msgspec
from msgspec import Struct

from a2a_cloud.model.grant import LaterBlock, Limit, Operation, RootBlock
from a2a_cloud.model.problem import Forbidden, InvalidParams, Problem
from a2a_cloud.wire.glob import check_path
from a2a_cloud.wire.grant_block import (
    DOMAIN,
    Block,
    block_bytes,
    later_block,
    root_block,
    root_claims,
    written_block,
)
from a2a_cloud.wire.jws import b64url, b64url_decode

VERSION = "g1"
MAX_TOKEN = 8192
MAX_BLOCKS = 10
_ID_DOMAIN = b"grant-id-v1\0"
_SIGNATURE_CHARS = 43
_KEPT = 2048

# Compiled blocks by their text. Only what was signed rightly comes in, so nobody else can fill them.
_roots: dict[str, Block] = {}
_laters: dict[str, Block] = {}


class GrantKey(Struct, frozen=True):
    """A key of one organisation. `until`: wall seconds after which nothing is verified with it."""

    kid: str
    org: str
    secret: bytes
    until: float = float("inf")


class KeyRing(Protocol):
    """Where `verify` finds the key that block 0 names; a dict of GrantKey by kid is one."""

    def get(self, kid: str, /) -> GrantKey | None:
        """The key with that id."""
        ...


class Standing(Protocol):
    """Whether a grant that is signed rightly still stands."""

    def refusal(self, root_id: str, ids: Sequence[str], now: float) -> str:
        """Why not: a word for `info["reason"]`; "" when it stands. `ids`: block 0's, then one for each
        handover; the last is the grant's own."""
        ...


class Grant:
    """A chain of blocks and what it allows; from `verify` when somebody relies on it.

    `ids` are block 0's id and one for each handover, `id` the last of them, `holder` and `run` those that
    it was handed to last, `exp` the first end (Unix seconds).
    """

    __slots__ = ("_limits", "blocks", "holder", "id", "ids", "run", "tails")

    def __init__(self, blocks: Sequence[Block], tails: Sequence[bytes]) -> None:
        self.blocks = tuple(blocks)
        self.tails = tuple(tails)
        self.holder, self.run = self.root.aud, self.root.run
        ids = [self.root.id]
        for at, block in enumerate(self.blocks):
            if at and block.aud:
                ids.append(chain_id(self.tails[at]))
                self.holder, self.run = block.aud, block.run or self.run
        self.ids = tuple(ids)
        self.id = ids[-1]
        self._limits: tuple[Limit, ...] | None = None

    @property
    def root(self) -> RootBlock:
        """Block 0."""
        root = self.blocks[0].claims
        assert isinstance(root, RootBlock)
        return root

    @property
    def depth(self) -> int:
        """How many handovers there were."""
        return len(self.ids) - 1

    @property
    def handovers_left(self) -> int:
        """How many may follow."""
        return _handovers_left(self.blocks)

    @property
    def exp(self) -> int:
        """When it ends: the first end of all blocks."""
        return min(block.exp for block in self.blocks if block.exp)

    @property
    def prefix(self) -> str:
        """The folder of this run's outputs, from the last block that pins one; "" for none."""
        return next((block.prefix for block in reversed(self.blocks) if block.prefix), "")

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The totals that bind it, each with the id of its count."""
        if self._limits is None:
            self._limits = tuple(
                Limit(chain_id(tail) if at else self.ids[0], block.max_uses, block.max_bytes)
                for at, (block, tail) in enumerate(zip(self.blocks, self.tails, strict=True))
                if block.max_uses or block.max_bytes
            )
        return self._limits

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of each block in hex, for the audit log."""
        return tuple(block.digest for block in self.blocks)

    def allows(self, operation: Operation, target: str) -> bool:
        """Whether every block allows it. Raises InvalidParams for a target that is no path."""
        check_path(target)
        for block in self.blocks:  # noqa: SIM110 - a generator costs as much as the check
            if not block.allows(operation, target):
                return False
        return True

    def check(self, operation: Operation, target: str) -> None:
        """Raises Forbidden unless every block allows it, InvalidParams for a target that is no path."""
        if self.allows(operation, target):
            return
        verdicts = (block.explain(at, operation, target) for at, block in enumerate(self.blocks))
        verdict = next(verdict for verdict in verdicts if not verdict.allowed)
        raise Forbidden(
            f"This run's grant does not allow to {operation.value} {target}.",
            remedy="Ask for it with ctx.request_scope, or declare it in [grant] of a2a.toml.",
            info={"reason": "scope", "operation": operation.value, "target": target, "grant_id": self.id},
            operator=f"block {verdict.block} ({verdict.by}): {verdict.reason}",
        )

    def among(self, operation: Operation, targets: Sequence[str]) -> list[str]:
        """Those of `targets` (paths that exist, so they are well formed) that it allows: for lists."""
        blocks = self.blocks
        return [target for target in targets if all(block.allows(operation, target) for block in blocks)]

    def unsigned(self) -> str:
        """The blocks as text without the signature, for storing: nobody can use it without the key."""
        return ".".join((VERSION, *(block.text for block in self.blocks)))


def chain_id(tail: bytes) -> str:
    """The id of what ends with this signature: nobody can choose it, and it does not tell the signature."""
    return "grant_" + sha256(_ID_DOMAIN + tail).hexdigest()[:32]


# --- making ---------------------------------------------------------------------------------------------


def mint(key: GrantKey, root: RootBlock, later: Sequence[LaterBlock] = ()) -> str:
    """A new token. Raises InvalidParams for claims that make no sense, or too many of them."""
    if root.kid != key.kid or root.org != key.org:
        raise ValueError("block 0 names another key than the one that signs")
    first = written_block(root)
    blocks = [first, *(written_block(block) for block in later)]
    if any(not block.by or block.aud for block in blocks[1:]):
        raise ValueError("a block of a new grant says who added it, and hands nothing over")
    token = _signed([block.text for block in blocks], _chain(key, [block.signed for block in blocks])[-1])
    _keep(_roots, first)
    return token


def attenuate(token: str, block: LaterBlock) -> str:
    """The token with one more block; needs no key. `block.by` becomes the holder when it is not set, and
    always in a handover (`aud` set).

    This does not verify the token. Raises InvalidParams for claims that make no sense, a handover too
    many, or a token that is full; Forbidden for a text that is no grant.
    """
    texts, signature = _split(token)
    try:
        blocks = [_compiled(at, text) for at, text in enumerate(texts)]
        tail = b64url_decode(signature)
    except (InvalidParams, ValueError) as error:
        raise _refused("malformed", "The grant can't be read.", str(error)) from None
    holder = next(each.aud for each in reversed(blocks) if each.aud)
    if block.aud and _handovers_left(blocks) < 1:
        raise InvalidParams(
            "The grant may not be handed on any further.",
            remedy="Raise `depth` in [grant] of the agent that began, or call fewer agents in a chain.",
            info={"reason": "depth"},
        )
    if block.aud or not block.by:
        block = msgspec.structs.replace(block, by=holder)
    added = written_block(block)
    return _signed([*texts, added.text], hmac.digest(tail, added.signed, "sha256"))


def sign_again(unsigned: str, keys: KeyRing) -> str:
    """The token of blocks that the platform itself has stored (`Grant.unsigned`). Raises Forbidden when
    their key is gone: then only a new grant helps."""
    texts, _ = _split(unsigned + "." + "A" * _SIGNATURE_CHARS)
    try:
        key = keys.get(root_claims(texts[0]).kid)
        signed = [DOMAIN + block_bytes(text) for text in texts]
    except InvalidParams as error:
        raise _refused("malformed", "The stored grant can't be read.", error.detail) from None
    if key is None:
        raise _refused("key", "The grant's key is not in use any more.")
    return _signed(texts, _chain(key, signed)[-1])


def _chain(key: GrantKey, signed: Sequence[bytes]) -> list[bytes]:
    tail, tails = key.secret, list[bytes]()
    for each in signed:
        tail = hmac.digest(tail, each, "sha256")
        tails.append(tail)
    return tails


def _signed(texts: Sequence[str], tail: bytes) -> str:
    token = ".".join((VERSION, *texts, b64url(tail).decode()))
    if len(token) > MAX_TOKEN or len(texts) > MAX_BLOCKS:
        raise InvalidParams(
            f"The grant is too large: {MAX_TOKEN} characters and {MAX_BLOCKS} blocks are the most.",
            remedy="Use fewer or shorter patterns, or call fewer agents in a chain.",
            info={"reason": "size"},
        )
    return token


def _handovers_left(blocks: Sequence[Block]) -> int:
    left, since = MAX_BLOCKS, 0
    for at in range(len(blocks) - 1, -1, -1):
        depth = blocks[at].max_depth
        if depth is not None and depth - since < left:
            left = depth - since
        since += bool(blocks[at].aud)
    return left


# --- verifying ------------------------------------------------------------------------------------------


def verify(
    token: str, keys: KeyRing, *, holder: str, now: float, standing: Standing | None = None, run: str = ""
) -> Grant:
    """The grant, when it is signed rightly, `holder` holds it (for `run`, when given), it has begun and not
    ended (`now`: wall seconds), and it still stands; checked in this order. Ask `Grant.check` for the rest.

    Raises Forbidden with `info["reason"]`: malformed, key, signature, audience, run, depth, not_yet,
    expired, or what `standing` says.
    """
    grant = open_signed(token, keys, now=now)
    if grant.holder != holder:
        raise _refused("audience", "The grant is not for who uses it.", f"{holder} uses {grant.holder}'s")
    if run and grant.run != run:
        raise _refused("run", "The grant is for another run.", f"{run} uses that of {grant.run}")
    if len(grant.blocks) > 1 and grant.handovers_left < 0:
        raise _refused("depth", "The grant was handed on more often than it may be.")
    for block in grant.blocks:
        if now < block.nbf:
            raise _refused("not_yet", "The grant has not begun.")
        if block.exp and now >= block.exp:
            raise _refused("expired", "The grant has ended.")
    if standing is not None:
        reason = standing.refusal(grant.root.root_id, grant.ids, now)
        if reason:
            raise _refused(reason, f"The grant does not stand any more ({reason}).")
    return grant


def open_signed(token: str, keys: KeyRing, *, now: float) -> Grant:
    """The grant whose signature holds; nothing else of it is checked. Raises Forbidden."""
    texts, signature = _split(token)
    known = [_roots.get(texts[0]), *map(_laters.get, texts[1:])]
    claims = None
    try:
        # Of block 0 its claims come first, for they name the key; nothing of them is used before it holds.
        first = known[0]
        if first is None:
            claims = root_claims(texts[0])
        key = keys.get(claims.kid if claims else first.kid if first else "")
        if key is None or now >= key.until:
            raise _refused("key", "The grant's key is not in use.")
        tail, tails = key.secret, list[bytes]()
        for block, text in zip(known, texts, strict=True):
            tail = hmac.digest(tail, DOMAIN + block_bytes(text) if block is None else block.signed, "sha256")
            tails.append(tail)
        if not hmac.compare_digest(b64url(tail), signature.encode()):
            raise _refused("signature", "The grant's signature does not hold.")
        blocks = [
            block or (later_block(text) if at else root_block(text, claims))
            for at, (block, text) in enumerate(zip(known, texts, strict=True))
        ]
    except InvalidParams as error:
        raise _refused("malformed", "The grant can't be read.", error.detail) from None
    if blocks[0].org != key.org:
        raise _refused("key", "The grant's key is another organisation's.")
    holder = ""
    for at, block in enumerate(blocks):
        if at and (not block.by or (block.aud and block.by != holder)):
            raise _refused("malformed", "The grant can't be read.", f"block {at} does not say who added it")
        holder = block.aud or holder
        if known[at] is None:
            _keep(_laters if at else _roots, block)
    return Grant(blocks, tails)


def _split(token: str) -> tuple[list[str], str]:
    parts = token.split(".") if len(token) <= MAX_TOKEN and token.isascii() else []
    if not 3 <= len(parts) <= MAX_BLOCKS + 2 or parts[0] != VERSION or len(parts[-1]) != _SIGNATURE_CHARS:
        raise _refused("malformed", "This is no grant.")
    return parts[1:-1], parts[-1]


def _compiled(at: int, text: str) -> Block:
    known = (_laters if at else _roots).get(text)
    return known or (later_block(text) if at else root_block(text))


def _keep(kept: dict[str, Block], block: Block) -> None:
    if len(kept) >= _KEPT:
        kept.clear()
    kept[block.text] = block


def forget() -> None:
    """Drop the compiled blocks; they are compiled anew when they are met again."""
    _roots.clear()
    _laters.clear()


def _refused(reason: str, detail: str, operator: str = "") -> Problem:
    return Forbidden(
        detail, remedy="Use the grant that the run was given.", info={"reason": reason}, operator=operator
    )
