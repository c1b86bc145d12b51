"""A platform with somebody who can allow clients something."""

from __future__ import annotations

import re
import time

from visitor import Visitor

from running import Running

ADA, SECRET = "ada@example.com", "three green teapots sing"


def signed_in(site: Running) -> Visitor:
    """The first admin's browser."""
    end = time.monotonic() + 10
    while not (found := re.findall(r"/invite/[A-Za-z0-9_-]{43}", site.log.read_text())):
        assert time.monotonic() < end, site.log.read_text()
        time.sleep(0.02)
    visitor = Visitor(site.url)
    made = visitor.fill(found[-1], {"email": ADA, "name": "Ada", "password": SECRET})
    assert made.status == 303, made.text
    return visitor
