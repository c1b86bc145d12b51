"""control/grants/keys.py: who may read the keys, what rotation leaves in use, what damage does."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from grant_fixtures import TurnedClock, root
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.control.grants.keys import OVERLAP, GrantKeys, derive
from a2a_cloud.model.problem import Forbidden, InvalidParams, Problem, Unavailable
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.wire.grant import mint, open_signed

ENTROPY = SystemEntropy()


def ring(folder: Path, clock: TurnedClock | None = None) -> GrantKeys:
    return GrantKeys(folder, ENTROPY, clock or TurnedClock())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_hkdf_is_rfc_5869s() -> None:
    # Test case 3: no salt, no info; its first 32 bytes.
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derive(b"\x0b" * 22, b"").hex() == expected


def test_a_key_for_each_organisation_that_the_next_start_finds(tmp_path: Path) -> None:
    folder = tmp_path / "keys" / "grants"
    before = os.umask(0)
    try:
        keys = ring(folder)
        one, two = keys.current("default"), keys.current("acme")
    finally:
        os.umask(before)
    assert (mode(folder), mode(folder / "default.json")) == (0o700, 0o600)
    assert one.secret != two.secret
    assert keys.current("default") is one
    again = ring(folder)
    assert again.current("default") == one
    assert again.get(two.kid) == two
    assert again.get("gk_none") is None
    assert one.secret.hex() not in (folder / "default.json").read_text()


def test_a_file_in_another_organisations_place_is_refused(tmp_path: Path) -> None:
    ring(tmp_path).current("default")
    (tmp_path / "acme.json").write_bytes((tmp_path / "default.json").read_bytes())
    (tmp_path / "acme.json").chmod(0o600)
    with pytest.raises(Unavailable, match="damaged"):
        ring(tmp_path)
    # Even with the name changed the key is another one: the organisation is part of it.
    stored = json.loads((tmp_path / "default.json").read_text()) | {"org": "acme"}
    (tmp_path / "acme.json").write_text(json.dumps(stored))
    keys = ring(tmp_path)
    assert keys.current("acme").secret != keys.current("default").secret


def test_two_keys_overlap_and_a_third_must_wait(tmp_path: Path) -> None:
    clock = TurnedClock()
    keys = ring(tmp_path, clock)
    old = keys.current("default")
    made = mint(old, root(kid=old.kid))
    new = keys.rotate("default")
    assert keys.current("default") == new
    assert new.kid != old.kid
    assert open_signed(made, keys, now=clock.at)
    with pytest.raises(InvalidParams) as caught:
        keys.rotate("default")
    assert caught.value.info["reason"] == "overlap"
    assert open_signed(made, ring(tmp_path, clock), now=clock.at + OVERLAP - 1)
    clock.at += OVERLAP
    with pytest.raises(Forbidden):
        open_signed(made, keys, now=clock.at)
    third = keys.rotate("default")
    assert keys.get(old.kid) is None
    assert keys.get(new.kid) is not None
    assert ring(tmp_path, clock).current("default") == third
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "default.json"]


def test_rotating_first_makes_the_first(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    assert keys.rotate("acme") == keys.current("acme")
    assert keys.rotate("acme") == keys.current("acme")


def test_two_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    found: list[str] = []
    rings = [ring(tmp_path) for _ in range(4)]

    def begin(each: GrantKeys) -> None:
        found.append(each.current("default").kid)

    threads = [threading.Thread(target=begin, args=(each,)) for each in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.parametrize("org", ["", "../x", "A", "a/b", "a.b", "x" * 64, "a\n"])
def test_a_name_that_is_no_file(tmp_path: Path, org: str) -> None:
    with pytest.raises(InvalidParams):
        ring(tmp_path).current(org)


def test_what_others_may_read_proves_nothing(tmp_path: Path) -> None:
    ring(tmp_path).current("default")
    path = tmp_path / "default.json"
    path.chmod(0o640)
    with pytest.raises(Unavailable, match="Others may read"):
        ring(tmp_path)
    path.chmod(0o600)
    tmp_path.chmod(0o777)
    with pytest.raises(Unavailable, match="Others may write"):
        ring(tmp_path)
    tmp_path.chmod(0o700)
    ring(tmp_path)


def test_links_and_pipes_are_refused_and_nothing_hangs(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    ring(outside).current("default")
    linked, piped = tmp_path / "linked", tmp_path / "piped"
    linked.mkdir(0o700)
    (linked / "default.json").symlink_to(outside / "default.json")
    piped.mkdir(0o700)
    os.mkfifo(piped / "default.json", 0o600)
    for folder in (linked, piped):
        with pytest.raises(Unavailable):
            ring(folder)


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
@settings(max_examples=60, deadline=None)
def test_damage_is_said_and_nothing_replaced(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("keys")
    path = folder / "default.json"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(Problem, match="damaged"):
        ring(folder)
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    "stored",
    [
        {"org": "default", "keys": []},
        {"org": "default", "keys": [{"kid": "gk_1", "secret": "00", "made": 1.0}]},
        {
            "org": "default",
            "keys": [{"kid": "gk_" + "0" * 24, "secret": "0" * 64, "made": 1.0, "until": 2.0}],
        },
        {"org": "default", "keys": [{"kid": "gk_" + "0" * 24, "secret": "0" * 64, "made": 1.0}], "more": 1},
    ],
)
def test_half_a_file_is_damage(tmp_path: Path, stored: object) -> None:
    path = tmp_path / "default.json"
    path.write_text(json.dumps(stored))
    path.chmod(0o600)
    with pytest.raises(Unavailable, match="damaged"):
        ring(tmp_path)
