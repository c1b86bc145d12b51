"""Which versions of A2A are spoken (specification 1.0, section 3.6).

A request may name its version; which generation answers is decided by the method or the path, since no
two of them share one: `SendMessage` and `/message:send` are 1.0 whatever is named, `message/send` and
`/v1/message:send` are 0.3. A version that is not spoken is refused before that.
"""

from __future__ import annotations

import re

from a2a_cloud.model.problem import VersionNotSupported
from a2a_cloud.wire.json_text import readable

SPOKEN = ("1.0", "0.3")
#: Only Major.Minor counts.
_VERSION = re.compile(r"(\d{1,9}\.\d{1,9})(?:\.\d{1,9})?\Z", re.ASCII)


def check_spoken(text: str, spoken: tuple[str, ...] = SPOKEN) -> None:
    """Raises VersionNotSupported unless `text` is empty or a version among `spoken`."""
    found = _VERSION.match(text)
    if not text or (found is not None and found[1] in spoken):
        return
    raise VersionNotSupported(
        f"A2A {readable(text)} is not spoken here.",
        remedy=f"Use {' or '.join(spoken)}.",
        info={"supported": ", ".join(spoken)},
    )
