"""A2A_WITNESSES: who is asked to cosign, and what can't be meant."""

from __future__ import annotations

import pytest

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings.witnesses import read_witnesses
from a2a_cloud.wire.note import COSIGNATURE, NoteKey

ONE, TWO = (NoteKey(name, name[:1].encode() * 32, COSIGNATURE) for name in ("one.example", "two.example/w"))


def test_witnesses_are_read() -> None:
    told = f"http://127.0.0.1:8787 {ONE.vkey}, https://two.example/prefix/  {TWO.vkey} ,"
    found = read_witnesses({"A2A_WITNESSES": told})
    assert found == (("http://127.0.0.1:8787", ONE), ("https://two.example/prefix", TWO))
    assert read_witnesses({}) == ()


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:8787",
        ONE.vkey,
        f"ftp://one.example {ONE.vkey}",
        f"http://one.example {ONE.vkey[:-1]}",
        f"http://one.example {NoteKey('log', b'l' * 32).vkey}",
        f"http://user@one.example {ONE.vkey}",
    ],
    ids=["no-key", "no-address", "scheme", "damaged", "a-log", "user"],
)
def test_what_cannot_be_meant_is_refused(value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        read_witnesses({"A2A_WITNESSES": value})
    assert "A2A_WITNESSES" in caught.value.detail
