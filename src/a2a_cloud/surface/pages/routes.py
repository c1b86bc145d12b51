"""`Pages`: the documentation page of each agent, and in dev mode `/_dev`."""

from __future__ import annotations

from urllib.parse import quote

from a2a_cloud.model.problem import NotFound
from a2a_cloud.model.release import Release
from a2a_cloud.surface.accounting_port import Accounting, price_of
from a2a_cloud.surface.conditional import has_it
from a2a_cloud.surface.pages.assets import HTML, SAFE, asset, etag_of, templates
from a2a_cloud.surface.pages.docs import docs_page
from a2a_cloud.surface.request import Headers, Request

#: A page is asked for again each time and then answered with 304: a new release shows at once.
_CHECKED = (b"cache-control", b"private, no-cache")


class Pages:
    """Answers with pages and their files. `dev`: whether `/_dev` is there."""

    __slots__ = ("_dev", "_docs")

    def __init__(self, *, dev: bool = False) -> None:
        self._dev = dev
        self._docs: dict[tuple[int, str, float | None, int, tuple[tuple[str, str], ...]], bytes] = {}

    async def docs(
        self,
        request: Request,
        platform: str,
        deprecated_until: float | None = None,
        accounting: Accounting | None = None,
    ) -> None:
        """`GET /docs` below an agent's base. `platform`: the platform's address, as `docs_page` takes it."""
        request.allow("GET")
        release = request.release.seen_by(request.principal.anonymous)
        prices = _prices(accounting, release)
        key = (release.no, request.base, deprecated_until, len(release.skills), prices)
        body = self._docs.get(key)
        if body is None:
            if len(self._docs) >= 256:
                self._docs.clear()
            body = self._docs[key] = docs_page(
                release,
                request.base,
                auth_public=release.public,
                receipt_url=request.base + "/runs/{id}/receipt",
                platform=platform,
                deprecated_until=deprecated_until,
                prices=dict(prices),
            )
        await _send(request, body)

    async def locked(self, request: Request) -> None:
        """The page that asks a person for a key, for a documentation page that is not public."""
        request.allow("GET")
        # Where the session's cookie is, a person can sign in as well.
        sign_in = f"/login?next={quote(request.path)}" if request.path.startswith("/agents/") else ""
        await request.answer(401, locked_page(sign_in), HTML, [*SAFE, *_LOCKED])

    async def dev(self, request: Request, rest: str) -> None:
        """`GET /_dev` and below; `rest` is what follows `/_dev`. Raises NotFound outside of dev mode."""
        if not self._dev:
            raise NotFound(
                "There is nothing at this path.", remedy="This page is there while `a2a dev` runs the agent."
            )
        request.allow("GET")
        if not rest:
            return await _send(request, dev_page())
        return await self.asset(request, rest[1:])

    async def verify(self, request: Request) -> None:
        """`GET /verify`: the page that checks receipts in the browser, for anybody."""
        from a2a_cloud.surface.pages.verifier import verifier_page

        request.allow("GET")
        await _send(request, verifier_page())

    async def asset(self, request: Request, name: str) -> None:
        """A style sheet or module of the pages, for anybody. Raises NotFound."""
        request.allow("GET")
        body, kind, etag = asset(name)
        headers: Headers = [(b"etag", etag), (b"cache-control", b"no-cache"), *SAFE]
        if has_it(request, etag, 0.0) and request.if_none_match:
            return await request.answer(304, b"", kind, headers)
        return await request.answer(200, body, kind, headers)


_LOCKED: Headers = [(b"www-authenticate", b'Bearer realm="a2a-cloud"'), (b"cache-control", b"no-store")]


def wants_page(request: Request) -> bool:
    """Whether a browser asks for the documentation page without a key: a person can be asked for one."""
    return (
        request.rest == "/docs"
        and request.method in ("GET", "HEAD")
        and request.principal.anonymous
        and b"text/html" in request.accept.lower()
    )


def _prices(accounting: Accounting | None, release: Release) -> tuple[tuple[str, str], ...]:
    """What skills cost, in words; "" is the message handler."""
    ids = [spec.id for spec in release.skills] + ([""] if release.has_message_handler else [])
    found = [(one, price_of(accounting, release, one)) for one in ids]
    return tuple((one, str(price["about"])) for one, price in found if price is not None)


def dev_page() -> bytes:
    """The page at `/_dev`: a shell that its modules fill."""
    return templates().get_template("dev.html").render().encode()


def locked_page(sign_in: str = "") -> bytes:
    """A page that takes a key and then shows what the same address gives to that key. `sign_in`: where a
    person can sign in instead."""
    return templates().get_template("locked.html").render(sign_in=sign_in).encode()


async def _send(request: Request, body: bytes) -> None:
    etag = etag_of(body)
    headers: Headers = [(b"etag", etag), _CHECKED, (b"vary", b"Host, Authorization, X-API-Key"), *SAFE]
    if request.if_none_match and has_it(request, etag, 0.0):
        return await request.answer(304, b"", HTML, headers)
    return await request.answer(200, body, HTML, headers)
