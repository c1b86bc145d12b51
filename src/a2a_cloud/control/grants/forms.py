"""Block 0 of ordinary grants, filled into a form: for one agent it is the same for every call but for ids,
who it acts for, times and the base version. A test holds it equal to what the encoder writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter

import msgspec

from a2a_cloud.model.grant import GrantSpec, RootBlock
from a2a_cloud.wire.grant import MAX_TOKEN, VERSION
from a2a_cloud.wire.grant_block import written
from a2a_cloud.wire.jws import b64url

#: Forms that are kept.
KEPT = 512
#: Longer ones are left to the checked way, which says what is wrong with them.
_MOST = MAX_TOKEN - 100
#: What stands in a form for a value: control characters, which no path, pattern or id can hold, and numbers
#: that no version and no time is.
ID, RUN, SUBJECT = "\x01i\x01", "\x01r\x01", "\x01s\x01"
BASE, NBF, EXP = 9007199254740901, 1099511627701, 1099511627709

_PLACES = re.compile(
    rb'\\u0001i\\u0001|\\u0001r\\u0001|\\u0001s\\u0001|%d|%d|%d' % (BASE, NBF, EXP)
)  # fmt: skip
_encode = msgspec.json.Encoder().encode

Key = tuple[str, str, str, str]
_Order = Callable[[tuple[bytes, ...]], tuple[bytes, ...]]


class Forms:
    """The forms of agents whose grants were issued last."""

    def __init__(self) -> None:
        #: The spec, and its form as `_form` gives it.
        self._forms: dict[Key, tuple[GrantSpec, bytes, _Order]] = {}

    def fill(
        self,
        key: Key,
        spec: GrantSpec,
        make: Callable[[], RootBlock],
        *,
        grant_id: str,
        run: str,
        subject: str,
        base: int,
        nbf: int,
        exp: int,
    ) -> str:
        """`g1.BLOCK`, the blocks of a new grant without a signature; "" when it is too long for one.

        `key` (the key's id, the agent, the workspace, the organisation) and `spec` say which form; `make`
        gives block 0 with the constants of this module in the places of what is filled in.
        """
        known = self._forms.get(key)
        if known is None or known[0] is not spec:
            if len(self._forms) >= KEPT:
                self._forms.clear()
            known = self._forms[key] = (spec, *_form(written(make())))
        values = (
            grant_id.encode(),
            run.encode(),
            _encode(subject)[1:-1],
            b"%d" % base,
            b"%d" % nbf,
            b"%d" % exp,
        )
        blocks = f"{VERSION}.{b64url(known[1] % known[2](values)).decode()}"
        return blocks if len(blocks) <= _MOST else ""


def _form(block: bytes) -> tuple[bytes, _Order]:
    """The block with `%b` in each place, and what puts (id, run, subject, base, nbf, exp) in their order."""
    marks = (rb"\u0001i\u0001", rb"\u0001r\u0001", rb"\u0001s\u0001", b"%d" % BASE, b"%d" % NBF, b"%d" % EXP)
    order = itemgetter(*(marks.index(mark) for mark in _PLACES.findall(block)))
    return b"%b".join(text.replace(b"%", b"%%") for text in _PLACES.split(block)), order
