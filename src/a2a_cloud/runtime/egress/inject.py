"""Secrets that the proxy adds to an agent's requests, so that the agent never has them.

A secret is bound to one host, one port and one header field. The agent sends its request to the plain
`http://HOST/…`; the proxy goes on with TLS, takes out what the agent wrote into that field, and puts the
secret there. Elsewhere nothing is added, so neither is after a redirect to another host.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from a2a_cloud.model.problem import EgressRefused, NotFound
from a2a_cloud.runtime.egress.http1 import HOP_BY_HOP, Field

#: In a format, where the secret goes.
PLACE = "{}"
HTTPS = 443
HTTP = 80

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}").fullmatch
_VALUE = re.compile(r"[!-~](?:[ -~\t]*[!-~])?").fullmatch
#: Fields of which a secret would change what the message is.
_TAKEN = HOP_BY_HOP | {b"host", b"content-length", b"expect"}


class Injection(NamedTuple):
    """The stored secret `name` goes to `host`:`port` (canonical, spoken to in TLS) in the field `header`,
    written as `format` with `{}` in its place, such as `Bearer {}`."""

    name: str
    host: str
    port: int
    header: str
    format: str = PLACE


def bound(injections: Sequence[Injection], host: str, port: int) -> tuple[Injection, ...]:
    """Those for a plain-HTTP request to that host and port. Port 80 stands for 443."""
    wanted = HTTPS if port == HTTP else port
    return tuple(each for each in injections if each.host == host and each.port == wanted)


def with_secrets(
    fields: list[Field], injections: Sequence[Injection], secret: Callable[[str], str]
) -> list[Field]:
    """The fields with the secrets in them, and without what the agent wrote there.

    Raises EgressRefused, which names the secret and never holds it.
    """
    added: list[Field] = []
    for each in injections:
        if not _NAME(each.header) or each.header.lower().encode() in _TAKEN or each.format.count(PLACE) != 1:
            raise EgressRefused(
                f"The secret {each.name} is bound to the field {each.header[:80]!a}, where none can go.",
                remedy="Bind it to another header in [secrets] of a2a.toml.",
                info={"reason": "secret"},
            )
        try:
            value = each.format.replace(PLACE, secret(each.name))
        except NotFound:
            raise EgressRefused(
                f"The secret {each.name}, which {each.host} needs, is not stored.",
                remedy=f"An admin stores it: a2a secrets set {each.name}",
                info={"reason": "secret"},
            ) from None
        if not _VALUE(value):
            raise EgressRefused(
                f"The secret {each.name} can't be written into a header: it is not one line of ASCII.",
                remedy=f"An admin stores it anew: a2a secrets rotate {each.name}",
                info={"reason": "secret"},
            )
        added.append((each.header.encode(), value.encode()))
    # Servers that hand fields on as variables read `X_Key` as `X-Key`.
    names = {_folded(name) for name, _ in added}
    return [field for field in fields if _folded(field[0]) not in names] + added


def _folded(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")
