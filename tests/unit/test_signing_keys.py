"""control/identity/signing.py: the key file and who may read it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from a2a_cloud.control.identity.signing import SigningKeys
from a2a_cloud.model.problem import Problem
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.wire import jws

ENTROPY = SystemEntropy()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_key_that_the_next_one_finds(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = SigningKeys.open(tmp_path / "data" / "keys", ENTROPY)
    finally:
        os.umask(before)
    folder = tmp_path / "data" / "keys"
    assert mode(folder) == 0o700
    assert mode(folder / "receipt.jwk") == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["receipt.jwk"]
    again = SigningKeys.open(folder, ENTROPY)
    assert again.signer.kid == keys.signer.kid
    assert keys.jwks() == {"keys": [keys.signer.jwk()]}
    assert "d" not in keys.jwks()["keys"][0]
    assert jws.verify(b"x", keys.signer.protected, again.signer.sign(b"x"), jws.by_kid(keys.jwks()["keys"]))


def test_of_two_that_start_at_once_both_get_the_same_key(tmp_path: Path) -> None:
    for round_no in range(20):
        folder = tmp_path / str(round_no)
        gate = threading.Barrier(4)
        found: list[str] = []

        def start(folder: Path = folder, gate: threading.Barrier = gate, found: list[str] = found) -> None:
            gate.wait()
            found.append(SigningKeys.open(folder, ENTROPY).signer.kid)

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
        assert [path.name for path in folder.iterdir()] == ["receipt.jwk"]


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, bits: int) -> None:
    SigningKeys.open(tmp_path / "keys", ENTROPY)
    path = tmp_path / "keys" / "receipt.jwk"
    path.chmod(bits)
    content = path.read_bytes()
    with pytest.raises(Problem, match="Others may read") as caught:
        SigningKeys.open(tmp_path / "keys", ENTROPY)
    assert f"chmod 600 {path}" in caught.value.remedy
    assert path.read_bytes() == content


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(0o777)
    with pytest.raises(Problem, match="Others may write") as caught:
        SigningKeys.open(tmp_path / "keys", ENTROPY)
    assert "chmod 700" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"kty":"OKP"}', b"\x00" * 100, b" " * 20_000])
def test_a_damaged_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "receipt.jwk"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Problem, match="damaged") as caught:
        SigningKeys.open(tmp_path, ENTROPY)
    assert "backup" in caught.value.remedy
    assert path.read_bytes() == content


def test_a_key_cut_short_or_mixed_up_is_refused(tmp_path: Path) -> None:
    keys = SigningKeys.open(tmp_path, ENTROPY)
    path = tmp_path / "receipt.jwk"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(Problem, match="damaged"):
        SigningKeys.open(tmp_path, ENTROPY)
    mixed = {**keys.signer.private_jwk(), "x": jws.Signer(bytes(32)).jwk()["x"]}
    path.write_text(json.dumps(mixed))
    with pytest.raises(Problem, match="another key") as caught:
        SigningKeys.open(tmp_path, ENTROPY)
    assert keys.signer.private_jwk()["d"] not in caught.value.sentence


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_only_a_plain_file_is_a_key(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "keys" / "receipt.jwk"
    SigningKeys.open(tmp_path / "elsewhere", ENTROPY)
    path.parent.mkdir(mode=0o700)
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere" / "receipt.jwk")
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path, 0o600)
    with pytest.raises(Problem) as caught:
        SigningKeys.open(tmp_path / "keys", ENTROPY)
    assert "file" in caught.value.sentence


def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(Problem, match="can't be used") as caught:
        SigningKeys.open(tmp_path / "data" / "keys", ENTROPY)
    assert caught.value.remedy


def test_a_retired_key_stays_public(tmp_path: Path) -> None:
    first = SigningKeys.open(tmp_path, ENTROPY)
    second = first.rotate(ENTROPY)
    third = second.rotate(ENTROPY)
    assert mode(tmp_path / "receipt.jwk") == 0o600
    kids = [jwk["kid"] for jwk in third.jwks()["keys"]]
    assert kids[0] == third.signer.kid
    assert set(kids) == {first.signer.kid, second.signer.kid, third.signer.kid}
    assert SigningKeys.open(tmp_path, ENTROPY).jwks() == third.jwks()
    secrets = [first.signer.private_jwk()["d"], second.signer.private_jwk()["d"]]
    for path in (tmp_path / "retired").iterdir():
        assert not any(secret in path.read_text() for secret in secrets)


def test_a_crash_in_a_rotation_leaves_the_old_key_listed_once(tmp_path: Path) -> None:
    keys = SigningKeys.open(tmp_path, ENTROPY)
    (tmp_path / "retired").mkdir()
    (tmp_path / "retired" / f"{keys.signer.kid}.jwk").write_text(json.dumps(keys.signer.jwk()))
    assert SigningKeys.open(tmp_path, ENTROPY).jwks() == keys.jwks()


def test_a_damaged_retired_key_is_refused(tmp_path: Path) -> None:
    SigningKeys.open(tmp_path, ENTROPY)
    (tmp_path / "retired").mkdir()
    (tmp_path / "retired" / "x.jwk").write_text("{}")
    with pytest.raises(Problem, match="retired key"):
        SigningKeys.open(tmp_path, ENTROPY)


def test_a_full_disk_leaves_no_half_key(tmp_path: Path) -> None:
    """A file size limit of 10 bytes in a process of its own stands for the full disk."""
    program = (
        "import resource, signal, sys, pathlib\n"
        "from a2a_cloud.control.identity.signing import SigningKeys\n"
        "from a2a_cloud.model.problem import Problem\n"
        "from a2a_cloud.ops.system import SystemEntropy\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n    SigningKeys.open(pathlib.Path(sys.argv[1]), SystemEntropy())\n"
        "except Problem as problem:\n    sys.exit(7)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "keys")], env=env, check=False)
    assert done.returncode == 7
    assert list((tmp_path / "keys").iterdir()) == []
    assert SigningKeys.open(tmp_path / "keys", ENTROPY).signer.kid
