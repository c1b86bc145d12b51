"""How a token was shown: what has to fit what it is bound to and what it is for."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import NamedTuple

#: The address of a call whose agent is not known yet: it is asked again when it is.
UNTOLD = ""


class Came(NamedTuple):
    """`scheme`: of the Authorization header, lower case; `url`: what was asked for, without its query;
    `dpop`: the proof (RFC 9449); `x5t`: the thumbprint of the client's certificate (RFC 8705). ""
    where there is none."""

    scheme: str
    method: str
    url: str
    dpop: str = ""
    x5t: str = ""


def thumbprint(certificate: bytes) -> str:
    """What names a certificate (DER); "" for none."""
    if not certificate:
        return ""
    return base64.urlsafe_b64encode(sha256(certificate).digest()).rstrip(b"=").decode()
