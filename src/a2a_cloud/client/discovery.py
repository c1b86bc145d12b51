"""Finding an agent's card: the well-known addresses of every generation, conditional requests, signatures
(A2A 1.0, section 8; RFC 8615, RFC 9111).

A card is kept as long as its max-age says (a day at most) and asked for with its ETag after that. What is
kept is bounded, and is kept apart for each key, because a card may depend on who asks.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from a2a_cloud.client.a2a_card import Card, read_card
from a2a_cloud.client.a2a_http import Answer, Web, checked_url, web_origin
from a2a_cloud.client.a2a_problems import http_problem
from a2a_cloud.client.a2a_shapes import Json
from a2a_cloud.client.a2a_trust import is_signed, key_set, vouched
from a2a_cloud.client.errors import BadAnswer, NoAnswer, NoCard, ServerProblem, Untrusted
from a2a_cloud.client.shapes import obj, objs, text
from a2a_cloud.wire.jws import Jwk, b64url_decode

#: Where a card may be below an agent's address, the newest generation first.
PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json", "/card")
JWKS_PATH = "/.well-known/jwks.json"
_LONGEST = 86_400.0
_ABSENT = (404, 405, 410)
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)


@dataclass
class _Kept:
    answer: Answer
    until: float


class CardCache:
    """Cards by address and key, `most` of them: the one unused longest goes first.

    One may be shared by all clients of a program, on one event loop.
    """

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def get(self, web: Web, url: str) -> Answer:
        """The document at `url`, from here when it is fresh, or unchanged since. Raises what Web.ask does."""
        now = asyncio.get_running_loop().time()
        name = (url, web.key(url))
        kept = self._kept.get(name)
        headers: dict[str, str] = {}
        if kept is not None:
            self._kept.move_to_end(name)
            if now < kept.until:
                return kept.answer
            for given, sent in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")):
                if given in kept.answer.headers:
                    headers[sent] = kept.answer.headers[given]
        answer = await web.ask("GET", url, headers=headers, largest=web.limits.card)
        if answer.status == 304 and kept is not None:
            kept.until = now + _fresh(answer.headers.get("Cache-Control", ""))
            return kept.answer
        control = answer.headers.get("Cache-Control", "")
        if answer.status == 200 and "no-store" not in control.lower():
            self._kept[name] = _Kept(answer, now + _fresh(control))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.pop(name, None)
        return answer


def _fresh(control: str) -> float:
    """Seconds that Cache-Control allows to use an answer without asking; 0 when it says nothing."""
    if "no-cache" in control.lower():
        return 0.0
    found = _MAX_AGE.search(control)
    return min(float(found[1]), _LONGEST) if found else 0.0


@dataclass(frozen=True)
class Trust:
    """What is asked of a card's signatures.

    `require`: a card without a signature that holds is refused. Otherwise a signature is checked when
    `check` and its key is known, and refused when it is wrong; a card without one, or by a key that nobody
    here knows, is taken as it is, with an empty `signed_by`. `keys`: the public keys (JWK) that are
    believed; without any, those at the card's own origin are.
    """

    check: bool = True
    require: bool = False
    keys: Sequence[Jwk] = ()


TAKE_ALL = Trust(check=False)


async def find_card(
    web: Web, url: str, *, cache: CardCache | None = None, trust: Trust | None = None
) -> Card:
    """The card of the agent at `url`: an agent's address, or that of a card.

    Raises NoCard, Untrusted, NoAnswer, BadAnswer, ServerProblem, NotConfigured (for no URL).
    """
    url = checked_url(url)
    cache = cache or CardCache()
    trust = trust or Trust()
    for address in _addresses(url):
        answer = await cache.get(web, address)
        if answer.status in _ABSENT:
            continue
        if answer.status != 200:
            raise http_problem(answer.status, answer.headers, answer.body)
        document = obj(answer.json(address))
        if not document:
            raise NoCard(f"What is at {address} is no agent card.", "Give the agent's address.")
        return await judged(web, document, address, trust)
    raise NoCard(
        f"There is no agent card at {url}.",
        f"Looked at {' and '.join(PATHS[:2])} below it. Give the agent's address, or that of its card.",
    )


async def judged(web: Web, document: Json, address: str, trust: Trust) -> Card:
    """The card in `document`, fetched at `address`, as far as it is trusted. Raises NoCard, Untrusted."""
    if not is_signed(document):
        if trust.require:
            raise Untrusted("The card is not signed.", "Ask who runs the agent to sign it.")
        return read_card(document, address)
    if not (trust.check or trust.require):
        return read_card(document, address)
    sets: dict[str, Sequence[Jwk]] = {}
    if not trust.keys:
        for where in _key_addresses(document, address):
            sets[where] = await _fetched(web, where)

    def keys(_kid: str, jku: str) -> Sequence[Jwk]:
        if trust.keys:
            return trust.keys
        named = sets.get(jku, ())
        return [*named, *(jwk for where, found in sets.items() if where != jku for jwk in found)]

    try:
        proof = await asyncio.to_thread(vouched, document, keys)
    except Untrusted as error:
        if error.wrong or trust.require:
            raise
        return read_card(document, address)
    return read_card(proof.document, address, proof.kid or "an unnamed key")


def _addresses(url: str) -> Iterable[str]:
    path = urlsplit(url).path
    if path.endswith((".json", "/card")):
        return [url]
    bare = urlsplit(url)._replace(query="").geturl().rstrip("/")
    return [bare + each for each in PATHS]


def _key_addresses(document: Json, address: str) -> list[str]:
    """Where the keys of the card's own origin may be: the well-known place, and a `jku` on that origin."""
    home = urlsplit(address)
    found = [f"{home.scheme}://{home.netloc}{JWKS_PATH}"]
    for each in objs(document.get("signatures"))[:4]:
        try:
            jku = text(obj(json.loads(b64url_decode(text(each.get("protected"))))).get("jku"))
        except (ValueError, RecursionError):
            continue
        if jku and web_origin(jku) == web_origin(address) and jku not in found:
            found.append(jku)
    return found


async def _fetched(web: Web, where: str) -> Sequence[Jwk]:
    """The keys there; none when there are none to be had. They are public, so no key of ours goes there."""
    try:
        answer = await web.ask("GET", where, largest=web.limits.card, anonymous=True)
        return key_set(answer.json(where)) if answer.status == 200 else ()
    except (NoAnswer, BadAnswer, ServerProblem):
        return ()
