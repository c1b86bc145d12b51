"""What pages are made of and sent with: templates, style sheets and modules that lie beside this file,
and the headers of a page that runs nothing but those.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from a2a_cloud.model.problem import NotFound
from a2a_cloud.surface.request import Headers
from a2a_cloud.wire.json_text import readable

if TYPE_CHECKING:
    from jinja2 import Environment

HTML = b"text/html; charset=utf-8"
_HERE = Path(__file__).parent
_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
#: Nothing inline, nothing from elsewhere: what an agent says can't become code on this origin.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SAFE: Headers = [
    (b"content-security-policy", POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
]


@cache
def _static() -> dict[str, Path]:
    return {path.name: path for path in (_HERE / "static").iterdir() if path.suffix in _TYPES}


@cache
def _asset(name: str) -> tuple[bytes, bytes, bytes]:
    path = _static()[name]
    body = path.read_bytes()
    return body, _TYPES[path.suffix], etag_of(body)


def asset(name: str) -> tuple[bytes, bytes, bytes]:
    """(bytes, content type, ETag) of a style sheet or module. Raises NotFound."""
    if name not in _static():
        raise NotFound(f"There is no {readable(name[:80])} among the pages' files.")
    return _asset(name)


def inline_style(*names: str) -> tuple[str, str]:
    """(style sheets in one text, the policy of a page that has it within a `style` element and runs nothing):
    for a page that is a file by itself."""
    style = "".join(text_of(name) for name in names)
    return style, f"default-src 'none'; style-src '{hash_source(style)}'; base-uri 'none'; form-action 'none'"


def text_of(name: str) -> str:
    """A style sheet or module as text."""
    return _asset(name)[0].decode()


def hash_source(text: str) -> str:
    """How a policy allows one inline element with exactly this text."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def etag_of(body: bytes) -> bytes:
    """The ETag of these bytes, in its quotes."""
    return b'"' + sha256(body).hexdigest()[:32].encode() + b'"'


@cache
def templates() -> Environment:
    """The templates. Everything that is put into one is escaped; a name that is missing is an error."""
    # Loaded at the first page: a platform that shows none doesn't pay for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
