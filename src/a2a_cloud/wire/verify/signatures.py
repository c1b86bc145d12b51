"""One detached JWS over bytes, checked with the keys that the reader trusts, or only read when there are
none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from a2a_cloud.model.receipt import Signature
from a2a_cloud.wire import jws
from a2a_cloud.wire.verify.trail import RefusedError


def check_signature(
    what: str, at: str, signatures: Sequence[Signature], data: bytes, keys: Mapping[str, bytes] | None
) -> str:
    """The kid that signed `data`; without keys the kid that claims to have. Raises RefusedError."""
    if len(signatures) != 1:
        raise RefusedError(f"{what} has {len(signatures)} signatures, not one", at)
    (signature,) = signatures
    try:
        if keys is not None:
            return jws.verify(data, signature.protected, signature.signature, keys)
        jws.read_signature(signature.signature)
        return jws.read_header(signature.protected)
    except jws.SignatureError as refusal:
        raise RefusedError(f"{what}: {refusal}", f"{at}[0]") from None
