"""What a client says of itself (RFC 7591, section 2), read and checked: when it registers, or in the document
behind a client id that is an address (OAuth Client ID Metadata Document).

The rules are the same for both but for secrets: a document is public, so its client has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from a2a_cloud.control.oauth import records, scopes
from a2a_cloud.control.oauth.records import LOOPBACK

METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
#: What somebody may register for without anybody's leave.
OPEN_GRANTS = frozenset({records.CODE, records.REFRESH, records.DEVICE})
MAX_REDIRECTS, MAX_URI, MAX_NAME = 20, 1000, 200
#: Schemes that a browser acts on by itself.
_UNSAFE = frozenset(
    {"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "mailto", "resource"}
    | {"tel", "vbscript", "view-source", "ws", "wss", "intent"}
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,60}").fullmatch
#: Letters and digits of all scripts, and what names are written with; nothing that turns or hides text.
_ODD = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


class BadMetadata(Exception):
    """`error` is one of RFC 7591's codes; the text says why."""

    def __init__(self, why: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(why)
        self.error = error


class Metadata(Struct, frozen=True):
    """The members that are read; others are ignored (RFC 7591, section 2)."""

    redirect_uris: tuple[str, ...] = ()
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105
    grant_types: tuple[str, ...] = (records.CODE,)
    response_types: tuple[str, ...] = ("code",)
    client_name: str = ""
    client_uri: str = ""
    scope: str = ""
    application_type: str = "web"
    jwks: dict[str, Any] | None = None
    jwks_uri: str = ""
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    client_id: str = ""
    client_secret: str = ""


_object = msgspec.json.Decoder(dict[str, Any]).decode


def read(data: bytes) -> Metadata:
    """The metadata in a JSON body; a member that is null counts as left out. Raises BadMetadata."""
    try:
        given = {name: value for name, value in _object(data).items() if value is not None}
        return msgspec.convert(given, Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMetadata(f"the metadata can't be read: {_safe(str(error))}") from None


def check(found: Metadata, allowed: Sequence[str] | frozenset[str] = OPEN_GRANTS) -> None:
    """Raises BadMetadata for what can't be a client here. `allowed`: its grant types."""
    method = found.token_endpoint_auth_method
    if method not in METHODS:
        raise BadMetadata(f"token_endpoint_auth_method has to be one of {', '.join(METHODS)}")
    if method == "private_key_jwt" and not (found.jwks and found.jwks.get("keys")):
        raise BadMetadata("private_key_jwt needs jwks with the client's public keys")
    if found.jwks is not None and "keys" not in found.jwks:
        raise BadMetadata("jwks has no keys")
    if found.jwks_uri:
        raise BadMetadata("jwks_uri is not fetched here: send jwks")
    for grant in found.grant_types:
        if grant not in allowed:
            raise BadMetadata("grant_types holds one that is not open to this client")
    if records.CODE in found.grant_types:
        if not found.redirect_uris:
            raise BadMetadata("redirect_uris is missing", "invalid_redirect_uri")
        if found.response_types != ("code",):
            raise BadMetadata("response_types has to be code alone")
    if found.application_type not in ("web", "native"):
        raise BadMetadata("application_type is web or native")
    if len(found.redirect_uris) > MAX_REDIRECTS:
        raise BadMetadata("there are too many redirect_uris", "invalid_redirect_uri")
    for uri in found.redirect_uris:
        redirect(uri)
    if (
        len(found.client_name) > MAX_NAME
        or not found.client_name.isprintable()
        or _ODD.search(found.client_name)
    ):
        raise BadMetadata("client_name is too long, or has characters that can't be shown")
    if found.client_uri:
        _web(found.client_uri, "client_uri")
    try:
        scopes.read(found.scope)
    except ValueError as error:
        raise BadMetadata(f"scope can't be used: {error}") from None


def redirect(uri: str) -> None:
    """Raises BadMetadata unless codes may be sent to that address: https; http on the loopback interface; a
    scheme of an app's own."""

    def bad(why: str) -> BadMetadata:
        return BadMetadata(f"a redirect address {why}", "invalid_redirect_uri")

    if not 0 < len(uri) <= MAX_URI or not uri.isascii() or not uri.isprintable():
        raise bad("is empty, too long, or holds characters that can't be there")
    if any(each in uri for each in ' "<>\\^`{|}'):
        raise bad("holds characters that have to be percent-encoded")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad("can't be read") from None
    if "#" in uri:
        raise bad("has a fragment")
    if parts.scheme == "https":
        if not host or "@" in parts.netloc or port == 0:
            raise bad("has no host, or a user's name")
    elif parts.scheme == "http":
        if host not in LOOPBACK or "@" in parts.netloc or port == 0:
            raise bad("is http, and not on the loopback interface")
    elif not _SCHEME(parts.scheme) or parts.scheme in _UNSAFE:
        raise bad("has a scheme that can't be used")


def document_url(client_id: str) -> bool:
    """Whether a client id is the address of a metadata document: https, a path, nothing that hides where."""
    if not client_id.startswith("https://") or len(client_id) > MAX_URI:
        return False
    if (
        not client_id.isascii()
        or not client_id.isprintable()
        or any(each in client_id for each in ' "<>\\^`{|}#')
    ):
        return False
    try:
        parts = urlsplit(client_id)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or port == 0 or len(parts.path) < 2:
        return False
    return not any(step in (".", "..") for step in parts.path.split("/"))


def of_document(client_id: str, data: bytes) -> Metadata:
    """The metadata in a document, which has to be the client's own. Raises BadMetadata."""
    found = read(data)
    if found.client_id != client_id:
        raise BadMetadata("the document is another client's: its client_id is not its address")
    if found.client_secret or found.token_endpoint_auth_method not in ("none", "private_key_jwt"):
        # The default of RFC 7591 is a secret's; a document that says nothing means none.
        if found.client_secret or b'"token_endpoint_auth_method"' in data:
            raise BadMetadata("a client with a document has no secret")
        found = msgspec.structs.replace(found, token_endpoint_auth_method="none")  # noqa: S106
    check(found, OPEN_GRANTS)
    return found


def _web(uri: str, name: str) -> None:
    try:
        parts = urlsplit(uri)
        good = parts.scheme in ("https", "http") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or len(uri) > MAX_URI or not uri.isascii() or not uri.isprintable():
        raise BadMetadata(f"{name} is no address of a page")


def _safe(text: str) -> str:
    return "".join(each for each in text if each.isascii() and each.isprintable() and each not in '"\\')[:200]
