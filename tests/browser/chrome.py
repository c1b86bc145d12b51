"""A browser for tests: Debian's chromium, driven over WebDriver (W3C) by chromedriver, no package needed."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FOUND = bool(shutil.which("chromium") and shutil.which("chromedriver")) or bool(os.environ.get("CI"))
"""In CI a browser that is missing fails the tests."""


class Page:
    """A window: goes to addresses, finds elements by CSS, waits for what a page shows."""

    def __init__(self, session: str) -> None:
        self._session = session

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One command of WebDriver. Raises AssertionError with the browser's words."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._session + path, data=data, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.loads(error.read())["value"]["message"]) from None

    def go(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """What a function body in JavaScript returns."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    def find(self, css: str, seconds: float = 10.0) -> Any:
        """The element, once it is there and can be seen."""
        script = "const e = document.querySelector(arguments[0]); return e && e.checkVisibility() ? e : null"
        return self.until(lambda: self.run(script, css), css, seconds)

    def click(self, css: str) -> None:
        self.find(css)
        self.run(
            "document.querySelector(arguments[0]).scrollIntoView({behavior: 'instant', block: 'center'})", css
        )
        self.ask("POST", f"/element/{self.find(css)[_ELEMENT]}/click", {})

    def type(self, css: str, text: str) -> None:
        """Replace what the control holds."""
        element = self.find(css)[_ELEMENT]
        self.ask("POST", f"/element/{element}/clear", {})
        self.ask("POST", f"/element/{element}/value", {"text": text})

    def upload(self, css: str, *paths: Path) -> None:
        """Give files to a control, all at once."""
        self.ask("POST", f"/element/{self.find(css)[_ELEMENT]}/value", {"text": "\n".join(map(str, paths))})

    def text(self, css: str = "body") -> str:
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def shows(self, words: str, css: str = "body", seconds: float = 10.0) -> None:
        """Returns once the element shows the words; fails with what it shows."""
        self.until(lambda: words in self.text(css), words, seconds, lambda: self.text(css))

    def until(
        self,
        test: Callable[[], Any],
        what: str,
        seconds: float = 10.0,
        shown: Callable[[], str] | None = None,
    ) -> Any:
        end = time.monotonic() + seconds
        while True:
            found = test()
            if found:
                return found
            assert time.monotonic() < end, f"{what!r} did not come; the page shows:\n{(shown or self.text)()}"
            time.sleep(0.03)

    def size(self, width: int, height: int) -> None:
        """The viewport's size, below a window's least too."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def devtools(self, command: str, params: dict[str, Any]) -> Any:
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """What the browser's console holds: errors of scripts, refusals of the policy. Empties it."""
        entries = self.ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


@contextmanager
def browser(home: Path) -> Iterator[Page]:
    """A fresh headless browser that keeps its profile under `home` and talks to loopback alone."""
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert driver.stdout is not None
        port = ""
        for line in driver.stdout:
            found = re.search(r"successfully on port (\d+)", line)
            if found:
                port = found[1]
                break
        arguments = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--disable-dev-shm-usage", f"--user-data-dir={home / 'profile'}"),
        ]
        capabilities = {
            "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments, "binary": shutil.which("chromium")},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
        }
        root = f"http://127.0.0.1:{port}/session"
        made = Page(root).ask("POST", "", {"capabilities": capabilities})
        page = Page(f"{root}/{made['sessionId']}")
        try:
            yield page
        finally:
            page.ask("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(10)
        if driver.stdout is not None:
            driver.stdout.close()
