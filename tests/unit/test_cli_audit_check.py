"""`a2a audit verify` and `consistency` on saved logs: whole ones, ones with any byte changed, forked ones."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.callers.cli.root import run
from a2a_cloud.wire import jws, note
from a2a_cloud.wire.log_event import event_entry
from a2a_cloud.wire.tiles import ENTRIES, Tile
from built_log import BuiltLog, tiles_of

SALT = bytes(range(16))


def filled(size: int) -> BuiltLog:
    """A log of receipts and, each third one, events."""
    return BuiltLog().add(entry(index) for index in range(size))


def entry(index: int) -> bytes:
    if index % 3 == 0:
        return event_entry(SALT, payload(index).encode())
    return sha256(b"receipt %d" % index).digest()


def payload(index: int) -> str:
    return json.dumps({"v": 1, "kind": "key.made", "target": f"key {index}"})


def saved(log: BuiltLog, folder: Path) -> Path:
    """The log as `a2a audit verify --save` leaves it."""
    log.save(folder)
    for tile in tiles_of(log.size, ENTRIES):
        lines: list[str] = []
        for index in range(tile.start, tile.start + tile.width):
            told: dict[str, Any] = {"index": index}
            if index % 3 == 0:
                told |= {"kind": "event", "salt": SALT.hex(), "payload": payload(index)}
            else:
                told |= {"kind": "receipt", "receipt": f"rcpt_{log.entries[index].hex()}"}
            lines.append(json.dumps(told))
        path = folder / f"{tile.path.replace('tile/entries', 'opened')}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def verify(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code = run(["audit", "verify", "--from-dir", str(folder), "--json", *words])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


@pytest.mark.parametrize("size", [1, 3, 255, 256, 257, 700])
def test_a_whole_log_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    log = filled(size)
    code, told = verify(capsys, saved(log, tmp_path / "log"), "--key", log.key.vkey)
    assert code == Exit.OK
    assert (told["verdict"], told["entries"], told["opened"]) == ("valid", size, True)
    assert told["receipts"] + told["events"] == size
    assert told["root"] == log.root(size).hex()


def test_a_large_log_has_three_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = BuiltLog().grow(66_000)
    folder = log.save(tmp_path / "log")
    code, told = verify(capsys, folder, "--key", log.key.vkey)
    assert (code, told["entries"], told["opened"]) == (Exit.OK, 66_000, False)
    # A byte in a whole tile far below, in one of the middle, and in one of the edge.
    for tile, at in ((Tile(0, 40), 33), (Tile(1, 0), 100), (Tile(2, 0, 1), 5), (Tile(ENTRIES, 200), 70)):
        path = folder / tile.path
        good = path.read_bytes()
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        code, told = verify(capsys, folder, "--key", log.key.vkey)
        path.write_bytes(good)
        assert (code, told["path"]) == (Exit.REFUSED_RECEIPT, tile.path)
        if tile.level != ENTRIES:  # Nobody says here what the entries are of.
            assert told["offset"] == at
            assert told["expected"] == good[at // 32 * 32 : at // 32 * 32 + 32].hex()


def test_without_a_key_the_signer_is_not_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = filled(20)
    folder = saved(log, tmp_path / "log")
    code, told = verify(capsys, folder)
    assert (code, told["verdict"]) == (Exit.SIGNER_UNCHECKED, "signer_unchecked")
    code, _ = verify(capsys, folder, "--key", BuiltLog(seed=5).key.vkey)
    assert code == Exit.REFUSED_RECEIPT
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [jws.public_jwk(log.key.public)]}))
    assert verify(capsys, folder, "--key", str(jwks))[0] == Exit.OK
    # The key that was given once is remembered.
    assert verify(capsys, folder)[0] == Exit.OK
    shutil.rmtree(folder)
    forged = BuiltLog(seed=5).add(log.entries)
    code, told = verify(capsys, saved(forged, folder))
    assert code == Exit.REFUSED_RECEIPT
    assert "none of the keys" in told["reason"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    log = filled(300)
    folder = tmp_path / "log"
    if not folder.exists():
        saved(log, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    code, told = verify(capsys, folder, "--key", log.key.vkey)
    path.write_bytes(good)
    name = str(path.relative_to(folder))
    assert code in (Exit.REFUSED_RECEIPT, Exit.FORKED), name
    if name.startswith("tile/"):
        assert told["path"] == name
        if name.startswith("tile/entries/"):
            starts = itertools.accumulate((35 if index % 3 == 0 else 34 for index in range(256)), initial=0)
            assert told["offset"] in (at, max(start for start in starts if start <= at))
        else:
            assert told["offset"] == at
    elif name.startswith("opened/"):
        assert told["path"] == name
        assert told["index"] == int(name[7:10]) * 256 + good[:at].count(b"\n")


def test_a_log_that_was_cut_or_torn_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = filled(300)
    folder = saved(log, tmp_path / "log")
    for name in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "opened/000.jsonl"):
        path = folder / name
        good = path.read_bytes()
        for changed in (good[:-1], good + b"\n", good[:20], b""):
            path.write_bytes(changed)
            code, told = verify(capsys, folder, "--key", log.key.vkey)
            if not (name.startswith("opened/") and changed in (good[:-1], good + b"\n")):
                assert (code, told["path"]) == (Exit.REFUSED_RECEIPT, name)
        path.unlink()
        code, told = verify(capsys, folder, "--key", log.key.vkey)
        assert (code, told["path"]) == (Exit.REFUSED_RECEIPT, name)
        path.write_bytes(good)


def test_what_was_seen_before_has_to_be_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = filled(1).key.vkey
    small, large = (saved(filled(size), tmp_path / f"log{size}") for size in (20, 30))
    assert verify(capsys, small, "--key", key)[1]["before"] is None
    assert verify(capsys, large)[1]["before"] == 20
    code, told = verify(capsys, small)
    assert (code, told["verdict"], told["before"]) == (Exit.FORKED, "forked", 30)
    assert "shrank" in told["reason"]
    forked = BuiltLog().add([*filled(25).entries, b"x" * 32, *filled(10).entries]).save(tmp_path / "forked")
    code, told = verify(capsys, forked)
    assert (code, told["verdict"]) == (Exit.FORKED, "forked")
    assert verify(capsys, small, "--forget", "--key", key)[0] == Exit.OK


def test_a_witness_that_saw_another_tree_is_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, other = filled(30), BuiltLog().grow(30)
    folder = saved(log, tmp_path / "log")
    signer = jws.Signer(b"w" * 32)
    witness = note.NoteKey("witness.example", signer.public, note.COSIGNATURE)
    words = ("--key", log.key.vkey, "--witness", witness.vkey)

    def seen(of: BuiltLog, size: int) -> None:
        signed = of.checkpoint(size)
        line = note.cosign(note.open_note(signed).text, witness.name, signer, 1_700_000_000)
        (folder / "checkpoint.witnessed").write_bytes(note.add_lines(signed, [line]))

    assert verify(capsys, folder, *words)[0] == Exit.REFUSED_RECEIPT
    seen(log, 12)
    code, told = verify(capsys, folder, *words)
    assert code == Exit.OK
    assert told["witnesses"] == [{"name": "witness.example", "size": 12, "at": "2023-11-14T22:13:20.000Z"}]
    seen(other, 12)
    code, told = verify(capsys, folder, *words)
    assert (code, told["verdict"]) == (Exit.FORKED, "forked")
    assert "witness.example has seen another tree" in told["reason"]


def test_consistency_of_saved_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = filled(300)
    folder = saved(log, tmp_path / "log")
    old, new, other = (tmp_path / name for name in ("old", "new", "other"))
    old.write_bytes(log.checkpoint(20))
    new.write_bytes(log.checkpoint(280))
    other.write_bytes(BuiltLog().grow(20).checkpoint())

    def check(*words: object) -> int:
        return run(["audit", "consistency", *map(str, words)])

    assert check(old, new, "--from-dir", folder, "--key", log.key.vkey) == Exit.OK
    assert "the first 20 entries are the beginning of the 280" in capsys.readouterr().out
    assert check(old, "--from-dir", folder) == Exit.SIGNER_UNCHECKED
    assert check(other, new, "--from-dir", folder) == Exit.FORKED
    assert check(new, old, "--from-dir", folder) == Exit.USAGE
    assert check(old, new, "--from-dir", folder, "--key", BuiltLog(seed=4).key.vkey) == Exit.REFUSED_RECEIPT
    assert check(5, 9, "--from-dir", folder) == Exit.USAGE
    assert check(5, 9000, "--from-dir", folder) == Exit.USAGE

    from a2a_cloud.wire import merkle

    proof = tmp_path / "proof.json"
    lines = [note.b64(each) for each in merkle.prove_consistency(log.read, 20, 280)]
    told = {"old": 20, "new": 280, "old_root": log.root(20).hex(), "new_root": log.root(280).hex()}
    proof.write_text(json.dumps({**told, "proof": lines}))
    assert check(old, new, "--proof", proof, "--key", log.key.vkey) == Exit.OK
    assert check(20, 280, "--proof", proof) == Exit.SIGNER_UNCHECKED
    assert check(other, new, "--proof", proof) == Exit.FORKED
    proof.write_text(json.dumps({**told, "proof": lines[:-1]}))
    assert check(old, new, "--proof", proof) == Exit.FORKED
    for nonsense in ("", "[]", '{"proof": 5}', "{"):
        proof.write_text(nonsense)
        assert check(old, new, "--proof", proof) == Exit.USAGE


def test_a_log_is_not_shown_for_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server may have several logs, all signed with one key: the one that was asked for is the one."""
    other = BuiltLog("a2a.example/log/other").add(filled(5).entries)
    folder = saved(other, tmp_path / "log")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [jws.public_jwk(other.key.public)]}))
    assert verify(capsys, folder, "--key", str(jwks))[0] == Exit.OK
    assert verify(capsys, folder, "--key", str(jwks), "--org", "other")[0] == Exit.OK
    code, told = verify(capsys, folder, "--key", str(jwks), "--org", "default")
    assert (code, "not of one of default" in told["reason"]) == (Exit.REFUSED_RECEIPT, True)


def test_the_key_of_another_log_or_of_a_witness_signs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = filled(5)
    folder = saved(log, tmp_path / "log")
    text, stranger = note.open_note(log.checkpoint()).text, jws.Signer(bytes([7]) * 32)
    strange = note.NoteKey("strange.example/log/default", stranger.public)
    seen = note.NoteKey("witness.example", stranger.public, note.COSIGNATURE)
    for forged, key in (
        (note.sign_note(text, [(strange.name, stranger)]), strange),
        (text + b"\n" + note.cosign(text, seen.name, stranger, 1_800_000_000), seen),
        (
            text + b"\n" + note.cosign(text, log.origin, stranger, 1_800_000_000),
            note.NoteKey(log.origin, stranger.public, note.COSIGNATURE),
        ),
    ):
        (folder / "checkpoint").write_bytes(forged)
        code, told = verify(capsys, folder, "--key", key.vkey)
        assert (code, told["verdict"]) == (Exit.REFUSED_RECEIPT, "refused")


def test_an_event_is_one_with_a_salt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server can't cut an event into another salt and text, nor say that a receipt is an event."""
    body = b'{"agent":{"card_sha256":"0"},"kind":"run"}'
    log = BuiltLog().add([sha256(body).digest(), entry(0)])
    folder = saved(log, tmp_path / "log")
    path = folder / "opened" / "000.p" / "2.jsonl"
    receipt = {"index": 0, "kind": "receipt", "receipt": f"rcpt_{sha256(body).hexdigest()}"}
    event = {"index": 1, "kind": "event", "salt": SALT.hex(), "payload": payload(0)}

    def told(*lines: dict[str, Any]) -> int:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return verify(capsys, folder, "--key", log.key.vkey)[0]

    assert told(receipt, event) == Exit.OK
    as_event = {"index": 0, "kind": "event", "salt": body[:16].hex(), "payload": body[16:].decode()}
    assert told(as_event, event) == Exit.REFUSED_RECEIPT
    as_receipt = {"index": 1, "kind": "receipt", "receipt": f"rcpt_{entry(0).hex()}"}
    assert told(receipt, as_receipt) == Exit.REFUSED_RECEIPT
    as_receipt["receipt"] = f"rcpt_{entry(0)[1:].hex()}"
    assert told(receipt, as_receipt) == Exit.REFUSED_RECEIPT
    longer = SALT + payload(0)[:4].encode()
    assert told(receipt, {**event, "salt": longer.hex(), "payload": payload(0)[4:]}) == Exit.REFUSED_RECEIPT


def test_checkpoints_of_two_logs_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = BuiltLog(), BuiltLog("a2a.example/log/other").grow(3)
    (tmp_path / "old").write_bytes(one.checkpoint())
    (tmp_path / "new").write_bytes(other.checkpoint())
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [jws.public_jwk(one.key.public)]}))
    words = ["--from-dir", str(other.save(tmp_path / "log")), "--key", str(jwks)]
    code = run(["audit", "consistency", str(tmp_path / "old"), str(tmp_path / "new"), *words])
    assert code == Exit.REFUSED_RECEIPT
    assert "OLD is of the log" in capsys.readouterr().out


def test_an_answer_without_end_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("A2A_URL", f"http://127.0.0.1:{server.server_port}")
        try:
            code = run(["audit", "verify", "--org", "default", "--json"])
        finally:
            server.shutdown()
            thread.join()
    assert code == Exit.REFUSED_RECEIPT
    assert json.loads(capsys.readouterr().out)["reason"] == "checkpoint: it is longer than 131072 bytes"
