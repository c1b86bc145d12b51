"""A browser without a screen for tests: keeps cookies, posts forms that it was shown, follows redirects."""

from __future__ import annotations

import html
import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

_INPUT = re.compile(r"<input\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')


@dataclass
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    text: str
    url: str

    def json(self) -> Any:
        return json.loads(self.text)

    def fields(self) -> dict[str, str]:
        """Hidden fields of the page's first form."""
        first = self.text.partition("<form")[2].partition("</form>")[0]
        found: dict[str, str] = {}
        for match in _INPUT.finditer(first):
            attributes = dict(_ATTRIBUTE.findall(match[1]))
            if attributes.get("type") == "hidden":
                found[attributes["name"]] = html.unescape(attributes.get("value", ""))
        return found

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.text)
        assert found is not None, self.text
        return found[1]


@dataclass
class Visitor:
    """One browser at one platform."""

    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    agent: str = "Visitor/1.0 (Linux) Chrome"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        site: str = "same-origin",
        mode: str = "navigate",
    ) -> Answer:
        url = urljoin(self.base, path)
        parts = urlsplit(url)
        sent = {
            "User-Agent": self.agent,
            "Accept": "text/html",
            "Sec-Fetch-Site": site,
            "Sec-Fetch-Mode": mode,
        }
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=20)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body or None, sent | (headers or {}))
            answer = connection.getresponse()
            text = answer.read().decode()
            lines = answer.headers.get_all("set-cookie") or []
        finally:
            connection.close()
        for line in lines:
            pair, _, rest = line.partition(";")
            name, _, value = pair.partition("=")
            if not value or "Max-Age=0" in rest:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, lines, text, url)

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(self, path: str, fields: dict[str, str], **more: Any) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(
            "POST", path, urlencode(fields).encode(), headers=kind | more.pop("headers", {}), **more
        )

    def send(self, path: str, document: Any, **more: Any) -> Answer:
        kind = {"Content-Type": "application/json", "Accept": "application/json"}
        return self.ask("POST", path, json.dumps(document).encode(), headers=kind, mode="cors", **more)

    def fill(self, path: str, fields: dict[str, str], at: str = "", **more: Any) -> Answer:
        """Open the page at `path` and post its form, to `at` if that is another path."""
        shown = self.get(path)
        assert shown.status == 200, shown.text
        return self.post(at or path, shown.fields() | fields, **more)

    def sign_in(self, email: str, password: str, next_path: str = "/account") -> Answer:
        return self.fill(
            f"/login?{urlencode({'next': next_path})}", {"email": email, "password": password}, "/login"
        )

    def follow(self, answer: Answer, hops: int = 10) -> Answer:
        """The page at the end of redirects."""
        while answer.status in (302, 303):
            assert hops, "too many redirects"
            hops -= 1
            answer = self.get(urljoin(answer.url, answer.headers["location"]))
        return answer
