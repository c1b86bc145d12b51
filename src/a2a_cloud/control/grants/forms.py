"""Block 0 of ordinary grants, filled into a form: for one agent it is the same for every call but for ids,
who it acts for, times and the base version. A test holds it equal to what the encoder writes."""

from __future__ import annotations

import re
from collections.abc import Callable

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


class Forms:
    """The forms of agents whose grants were issued last."""

    def __init__(self) -> None:
        self._forms: dict[Key, tuple[GrantSpec, list[bytes], list[bytes]]] = {}

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
            form = written(make())
            known = self._forms[key] = (spec, _PLACES.split(form), _PLACES.findall(form))
        values = {
            b"\\u0001i\\u0001": grant_id.encode(),
            b"\\u0001r\\u0001": run.encode(),
            b"\\u0001s\\u0001": _encode(subject)[1:-1],
            _BASE: b"%d" % base,
            _NBF: b"%d" % nbf,
            _EXP: b"%d" % exp,
        }
        texts, places = known[1], known[2]
        filled = [texts[0]]
        for place, text in zip(places, texts[1:], strict=True):
            filled.append(values[place])
            filled.append(text)
        blocks = f"{VERSION}.{b64url(b''.join(filled)).decode()}"
        return blocks if len(blocks) <= _MOST else ""


_BASE, _NBF, _EXP = b"%d" % BASE, b"%d" % NBF, b"%d" % EXP
