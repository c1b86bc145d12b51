"""A hook: an address at which somebody else's webhooks call one skill of an agent (docs/hooks.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from a2a_cloud.model.grant import Narrowing


class Scheme(StrEnum):
    """How a sender signs its deliveries."""

    GITHUB = "github"
    STRIPE = "stripe"
    SLACK = "slack"
    STANDARD = "standard"
    HMAC = "hmac"
    NONE = "none"


_Header = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]{0,100}\Z")]


class Checks(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a hook's scheme leaves open. Names of headers, "" for none.

    `header` holds the signature of `hmac`, as `encoding`, after `prefix`; with `timestamp_header` the
    timestamp and a dot are signed in front of the body. `id_header` names the delivery, in `hmac` and
    `none`. `window` in seconds: how far a signed timestamp may be off; and how long the same body is the
    same delivery, where nothing names it.
    """

    header: _Header = ""
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Annotated[str, Meta(max_length=40, pattern=r"\A[!-~]*\Z")] = ""
    timestamp_header: _Header = ""
    id_header: _Header = ""
    window: Annotated[int, Meta(ge=1, le=86_400)] = 300


class Hook(Struct, frozen=True):
    """A hook without its key and secret. `owner` is the number of who made it and for whom its runs are,
    `by` that principal as `name@org`; `agent` the agent's name. Times are wall seconds; `*_until`: how long
    the key or secret before the last rotation is still good (0: there is none)."""

    id: str
    org_no: int
    owner: int
    agent_no: int
    agent: str
    skill: str
    scheme: Scheme
    checks: Checks
    narrow: Narrowing | None
    label: str
    created: float
    by: str
    old_key_until: float = 0.0
    old_secret_until: float = 0.0
