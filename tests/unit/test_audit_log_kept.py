"""storage/log: leaves without gaps, checkpoints that only grow, tiles made again, restarts, forks refused."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from identity_site import Turned

from a2a_cloud.control.grants.rows import ADD_AUDIT
from a2a_cloud.control.identity.log_key import LogKeys
from a2a_cloud.model.problem import NotFound, Problem, StorageFull, Unavailable
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.storage.journal.port import Op, Refusal
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.log import sequencer
from a2a_cloud.storage.log.logs import Logs
from a2a_cloud.storage.log.rows import PUT_CHECKPOINT, LogRows
from a2a_cloud.storage.log.tiles_store import FolderTiles
from a2a_cloud.storage.sql import schema, slices, statements
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.testing.commits import Commits
from a2a_cloud.wire import merkle
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.log_event import event_entry
from a2a_cloud.wire.merkle import leaf_hash
from a2a_cloud.wire.note import (
    COSIGNATURE,
    NoteKey,
    add_lines,
    checkpoint_text,
    cosign,
    read_checkpoint,
    read_vkey,
)
from a2a_cloud.wire.tiles import ENTRIES, levels_of, read_entries
from built_log import refusal, tiles_of

ORG = 7


class Site:
    """A data folder with logs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commits = Commits()
        self.clock = Turned()
        (folder / "keys").mkdir(mode=0o700, exist_ok=True)
        self.journal = SqliteJournal(folder / "journal.db", commit=self.commits)
        self.connection = connect(folder / "journal.db", readonly=True)
        self.rows = LogRows(self.connection)
        self.tiles = FolderTiles(folder / "log")
        (self.run,) = self.connection.execute("SELECT COALESCE(MAX(run), 0) FROM receipt").fetchone()

    async def open(self) -> Site:
        await self.org()
        self.keys = LogKeys(self.folder / "keys", self.rows, self.journal, self.clock, SystemEntropy())
        await self.keys.settle()
        self.logs = Logs(
            self.folder / "journal.db",
            self.connection,
            self.journal,
            self.keys,
            self.tiles,
            self.clock,
            name="a2a.example",
        )
        self.keys.changed = self.logs.resign
        self.logs.start()
        return self

    async def org(self) -> None:
        with contextlib.suppress(Refusal):
            await self.journal.write([(statements.ADD_ORG, (ORG, "acme", 1.0))])

    async def close(self) -> None:
        await self.logs.close()
        await self.journal.close()
        self.connection.close()

    def event(self, target: str = "x", org: int = ORG) -> Op:
        return change(org, self.clock.now(), "ada@acme", "key.created", target, role="admin")

    def receipt(self) -> Op:
        self.run: int = self.run + 1
        entry = sha256(b"%d" % self.run).digest()
        row = (self.run, ORG, ORG, leaf_hash(entry), entry, b"{}", "p", "s", b"")
        return statements.ADD_RECEIPT, row

    async def grow(self, count: int) -> None:
        """Some leaves of each kind."""
        ops = [self.event(str(n)) if n % 5 == 0 else self.receipt() for n in range(count)]
        await self.journal.write(ops)

    async def settled(self, size: int, org: int = ORG) -> None:
        """Returns when a checkpoint covers `size` leaves."""
        async with asyncio.timeout(20):
            while not await self.logs.covered(org, size - 1, 1.0):
                pass

    @property
    def size(self) -> int:
        return next(size for org, _, size in self.rows.sizes() if org == ORG)


def at(folder: Path, work: Callable[[Site], Awaitable[None]]) -> None:
    async def whole() -> None:
        site = await Site(folder).open()
        try:
            await work(site)
        finally:
            await site.close()

    asyncio.run(whole())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.02)


async def whole_log(site: Site, folder: Path | None = None) -> list[bytes]:
    """The leaf hashes, all tiles compared with them."""
    logs = site.logs
    place = logs.place(ORG, "acme")
    entries: list[bytes] = []
    for tile in tiles_of(place.size, ENTRIES):
        data, _ = await logs.tile(ORG, "acme", tile.path)
        entries += read_entries(data, tile.width)
    leaves = [leaf_hash(each) for each in entries]
    tree = merkle.Frontier()
    nodes: dict[tuple[int, int], bytes] = {}
    for leaf in leaves:
        nodes.update(((level, index), node) for level, index, node in tree.add(leaf))
    assert tree.root() == place.root
    for level in levels_of(place.size):
        for tile in tiles_of(place.size, level):
            data, _ = await logs.tile(ORG, "acme", tile.path)
            assert data == b"".join(nodes[8 * level, tile.start + n] for n in range(tile.width)), tile.path
    for index in random.Random(1).sample(range(place.size), min(20, place.size)):
        assert refusal(logs.proof(ORG, index), entries[index], key_of(site)) == ""
    return leaves


def key_of(site: Site) -> NoteKey:
    return read_vkey(site.keys.history("a2a.example/log/acme")[-1].vkey)


def test_every_event_and_receipt_is_a_leaf(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(700)
        await site.settled(700)
        leaves = await whole_log(site)
        assert len(leaves) == 700
        for index in (0, 1, 5, 699):
            found = site.logs.entry(ORG, index)
            assert leaf_hash(found.entry) == leaves[index]
            assert found.receipt or event_entry(found.salt, found.payload) == found.entry
        note = site.logs.checkpoint(ORG, "acme")
        told, signed = read_checkpoint(note)
        assert (told.origin, told.size) == ("a2a.example/log/acme", 700)
        assert signed.verified_by(key_of(site))
        with pytest.raises(NotFound):
            site.logs.entry(ORG, 700)

    at(tmp_path, work)


def test_a_write_that_is_refused_leaves_no_gap(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        bad: Op = (ADD_AUDIT, (ORG, float("nan"), "check", "", "", "", "", "", "", "", 0, ""))
        double = site.receipt()
        writes = [
            [site.event(), site.receipt()],
            [site.event(), bad],
            [double, site.event()],
            [site.event(), double],
            [site.receipt()],
        ]
        done = await asyncio.gather(*(site.journal.write(ops) for ops in writes), return_exceptions=True)
        assert [isinstance(each, Refusal) for each in done] == [False, True, False, True, False]
        await site.settled(5)
        assert site.size == 5
        await whole_log(site)

    at(tmp_path, work)


def test_salts_differ_and_are_stored_as_hashed(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.journal.write([site.event("same"), site.event("same")])
        await site.settled(2)
        one, two = site.logs.entry(ORG, 0), site.logs.entry(ORG, 1)
        assert len(one.salt) == 16
        assert one.salt != two.salt
        assert one.entry != two.entry

    at(tmp_path, work)


def test_each_checkpoint_is_a_beginning_of_the_next_over_restarts(tmp_path: Path) -> None:
    seen: list[tuple[int, bytes]] = []

    async def work(site: Site) -> None:
        site.logs.on_checkpoint.append(
            lambda org, _origin, size, note: (
                seen.append((size, read_checkpoint(note)[0].root)) if org == ORG else None
            )
        )
        before = site.size
        for count in (1, 255, 300, 3):
            await site.grow(count)
            await site.settled(site.size)
        assert site.size == before + 559
        for (old, old_root), (new, new_root) in pairwise(seen):
            proof = site.logs.consistency(ORG, old, new)
            merkle.verify_consistency(old, old_root, new, new_root, proof)
        await whole_log(site)

    for _ in range(3):
        at(tmp_path, work)
    assert len(seen) >= 12


def test_lost_and_damaged_tiles_are_made_again(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(800)
        await site.settled(800)
        files = sorted(path for path in (tmp_path / "log").rglob("*") if path.is_file())
        assert [str(path.relative_to(tmp_path)) for path in files] == [
            f"log/acme/tile/{level}/00{n}" for level in ("0", "entries") for n in range(3)
        ]
        before = [path.read_bytes() for path in files]
        files[0].unlink()
        files[1].write_bytes(before[1][:100])
        files[2].write_bytes(b"\0" + before[2][1:])
        files[3].write_bytes(before[4])
        await whole_log(site)
        assert [path.read_bytes() for path in files] == before

    at(tmp_path, work)
    shutil.rmtree(tmp_path / "log")

    async def again(site: Site) -> None:
        await whole_log(site)
        await site.grow(300)
        await site.settled(1100)
        await whole_log(site)

    at(tmp_path, again)


def alter(folder: Path, sql: str) -> None:
    connection = sqlite3.connect(folder / "journal.db")
    with connection:
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE receipt SET leaf_hash=zeroblob(32) WHERE leaf=10",
        "UPDATE audit_event SET leaf_hash=zeroblob(32) WHERE leaf=0 AND org=7",
        "DELETE FROM audit_event WHERE leaf=0 AND org=7",
        "DELETE FROM receipt WHERE leaf=12",
        "DELETE FROM receipt WHERE leaf=(SELECT MAX(leaf) FROM receipt)",
        "UPDATE audit_log SET note=CAST(replace(note, '20', '21') AS BLOB) WHERE org=7",
    ],
    ids=["receipt", "event", "gone", "between", "shorter", "checkpoint"],
)
def test_a_log_that_was_changed_from_outside_is_not_continued(tmp_path: Path, sql: str) -> None:
    async def first(site: Site) -> None:
        await site.grow(20)
        await site.settled(20)

    at(tmp_path, first)
    alter(tmp_path, sql)

    async def then(site: Site) -> None:
        before = site.logs.checkpoint(ORG, "acme")
        await site.journal.write([(statements.ADD_ORG, (8, "beta", 1.0)), site.event(), site.event(org=8)])
        await until(lambda: bool(site.logs.troubles()))
        ((trouble, _),) = site.logs.troubles()
        assert "the log of acme is not continued" in trouble
        assert site.logs.checkpoint(ORG, "acme") == before
        await site.settled(1, org=8)  # What is wrong with one log is nothing to another.

    at(tmp_path, then)


def test_a_longer_log_is_taken_up_from_its_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "AGAIN", 512)
    monkeypatch.setattr(sequencer, "CHUNK", 100)

    async def work(site: Site) -> None:
        await site.grow(700)
        await site.settled(site.size)
        await whole_log(site)

    at(tmp_path, work)
    at(tmp_path, work)


def test_a_checkpoint_that_shrinks_or_forks_is_refused_by_the_database(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(10)
        await site.settled(10)
        shown = site.rows.logs()[ORG]
        for size, root in ((9, shown.root), (10, bytes(32))):
            with pytest.raises(Refusal, match="only grows"):
                await site.journal.write([(PUT_CHECKPOINT, (ORG, shown.origin, size, root, 1.0, b""))])

    at(tmp_path, work)


def test_a_full_disk_holds_checkpoints_up_and_nothing_else(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        class Full(FolderTiles):
            full = True

            def write(self, path: str, data: bytes) -> None:
                if self.full:
                    raise StorageFull(operator="no room")
                super().write(path, data)

        store = Full(tmp_path / "log")
        site.logs._sequencer._store = store  # pyright: ignore[reportPrivateUsage]
        site.logs._retry = 0.05  # pyright: ignore[reportPrivateUsage]
        await site.grow(300)
        await until(lambda: bool(site.logs.troubles()))
        assert site.logs.size(ORG) == 0
        await site.grow(10)
        store.full = False
        await site.settled(310)
        await until(lambda: not site.logs.troubles())
        await whole_log(site)

    at(tmp_path, work)


def test_keys_rotate_and_the_old_one_signs_along(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(3)
        await site.settled(3)
        old = key_of(site)
        await site.keys.rotate("ada@acme", 60.0)
        new = key_of(site)
        assert new != old
        await until(lambda: read_checkpoint(site.logs.checkpoint(ORG, "acme"))[1].verified_by(new))
        note = read_checkpoint(site.logs.checkpoint(ORG, "acme"))[1]
        assert note.verified_by(old)
        assert [key.signs for key in site.keys.history("o")] == [True, True]
        assert {jwk["kid"] for jwk in site.keys.jwks()} == {key.kid for key in site.keys.history("o")}
        site.clock.ahead = 61.0
        await site.grow(1)
        await site.settled(4)
        note = read_checkpoint(site.logs.checkpoint(ORG, "acme"))[1]
        assert note.verified_by(new)
        assert not note.verified_by(old)
        kinds = [site.logs.entry(0, n).payload for n in range(2)]
        assert b'"log_key.made"' in kinds[0]
        assert b'"log_key.rotated"' in kinds[1]

    at(tmp_path, work)


@pytest.mark.parametrize("after", ["file", "row"])
def test_a_rotation_that_is_cut_short_is_finished_or_forgotten(tmp_path: Path, after: str) -> None:
    async def cut(site: Site) -> None:
        def end(*_: Any) -> None:
            raise Unavailable("cut")

        if after == "row":
            site.keys._finish_rotation = end  # type: ignore[method-assign]
        else:
            site.journal.write = end  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            await site.keys.rotate("ada@acme", 60.0)

    async def look(site: Site) -> None:
        history = site.keys.history("o")
        assert len(history) == (2 if after == "row" else 1)
        assert history[-1].kid == site.keys.signers()[0].kid
        assert not (tmp_path / "keys" / "log-next.jwk").exists()

    async def start(folder: Path) -> None:
        site = await Site(folder).open()
        write = site.journal.write
        await cut(site)
        site.journal.write = write  # type: ignore[method-assign]
        await site.close()

    asyncio.run(start(tmp_path))
    at(tmp_path, look)


def test_witnesses_lines_stand_under_the_checkpoint(tmp_path: Path) -> None:
    witness = Signer(bytes(32))

    async def work(site: Site) -> None:
        await site.grow(3)
        await site.settled(3)
        told, note = read_checkpoint(site.logs.checkpoint(ORG, "acme"))
        with pytest.raises(NotFound):
            site.logs.checkpoint(ORG, "acme", witnessed=True)
        line = cosign(checkpoint_text(told), "w.example", witness, 5)
        await site.logs.cosigned(ORG, 3, [line])
        await site.logs.cosigned(ORG, 3, [line])
        shown = site.logs.checkpoint(ORG, "acme")
        assert shown == add_lines(shown[: -len(line)], [line])
        assert shown.count(line) == 1
        await site.grow(2)
        await site.settled(5)
        assert read_checkpoint(site.logs.checkpoint(ORG, "acme"))[0].size == 5
        seen = site.logs.checkpoint(ORG, "acme", witnessed=True)
        assert read_checkpoint(seen)[0].size == 3
        assert site.logs.proof(ORG, 2).endswith(seen)
        assert not site.logs.proof(ORG, 4).endswith(seen)
        await site.logs.cosigned(ORG, 2, [line])
        assert site.logs.checkpoint(ORG, "acme", witnessed=True) == seen
        assert note.verified_by(key_of(site))

    at(tmp_path, work)


def test_a_witness_has_one_line_and_the_logs_new_key_signs_with_it(tmp_path: Path) -> None:
    """A quiet log is cosigned again at each start and rotation: its note stays one that verifiers read."""
    witness, other = Signer(bytes(32)), Signer(bytes([1]) * 32)

    async def work(site: Site) -> None:
        await site.grow(3)
        await site.settled(3)
        told, _ = read_checkpoint(site.logs.checkpoint(ORG, "acme"))
        text = checkpoint_text(told)
        await site.logs.cosigned(ORG, 3, [cosign(text, "other.example", other, 1)])
        for second in range(120):
            await site.logs.cosigned(ORG, 3, [cosign(text, "w.example", witness, second)])
        _, note = read_checkpoint(site.logs.checkpoint(ORG, "acme"))
        assert len(note.signatures) == 3
        key = NoteKey("w.example", witness.public, COSIGNATURE)
        assert note.cosigned_at(key) == 119
        first = key_of(site)
        await site.keys.rotate("ada@acme", 0.0)
        new = key_of(site)
        assert new != first
        await until(lambda: read_checkpoint(site.logs.checkpoint(ORG, "acme"))[1].verified_by(new))
        _, note = read_checkpoint(site.logs.checkpoint(ORG, "acme", witnessed=True))
        assert note.verified_by(new)
        assert note.cosigned_at(key) == 119
        await site.logs.cosigned(ORG, 3, [cosign(text, "w.example", witness, 200)])
        _, note = read_checkpoint(site.logs.checkpoint(ORG, "acme"))
        assert (note.verified_by(new), note.cosigned_at(key)) == (True, 200)

    at(tmp_path, work)


@pytest.mark.parametrize(("leaf", "word"), [(True, False), (False, True), (True, True)])
def test_a_new_key_signs_what_witnesses_saw_whatever_comes_with_it(
    tmp_path: Path, leaf: bool, word: bool
) -> None:
    """A leaf comes in the same tick as the key, a witness's word while the log is being published."""
    witness = Signer(bytes(32))
    key = NoteKey("w.example", witness.public, COSIGNATURE)

    async def work(site: Site) -> None:
        await site.grow(3)
        await site.settled(3)
        text = checkpoint_text(read_checkpoint(site.logs.checkpoint(ORG, "acme"))[0])
        await site.logs.cosigned(ORG, 3, [cosign(text, "w.example", witness, 1)])
        write, waited = site.journal.write, asyncio.Event()

        async def slow(ops: Sequence[Op]) -> None:
            if any(statement is PUT_CHECKPOINT for statement, _ in ops):
                waited.set()
                await asyncio.sleep(0.05)
            await write(ops)

        await site.keys.rotate("ada@acme", 0.0)
        if leaf:
            await site.grow(1)
        site.journal.write = slow  # type: ignore[method-assign]
        await waited.wait()
        if word:
            await site.logs.cosigned(ORG, 3, [cosign(text, "w.example", witness, 2)])
        new = key_of(site)
        await until(lambda: read_checkpoint(site.logs.checkpoint(ORG, "acme"))[1].verified_by(new))
        await asyncio.sleep(0.1)
        site.journal.write = write  # type: ignore[method-assign]
        for found in (site.logs.checkpoint(ORG, "acme", witnessed=True), site.rows.logs()[ORG].witnessed):
            told, note = read_checkpoint(found)
            assert (told.size, note.verified_by(new), note.cosigned_at(key)) == (3, True, 1 + word)

    at(tmp_path, work)


def test_older_events_become_leaves_after_the_receipts(tmp_path: Path) -> None:
    """A database from before every event was a leaf: nothing moves that had a place."""
    number = next(n for n, text in enumerate(schema.MIGRATIONS) if slices.LOGS in text)
    connection = sqlite3.connect(tmp_path / "journal.db")
    schema.migrate(connection, schema.MIGRATIONS[:number])
    connection.execute("INSERT INTO org VALUES(7, 'acme', 1.0)")
    for n in range(3):
        entry = sha256(b"r%d" % n).digest()
        connection.execute(
            "INSERT INTO receipt VALUES(?,7,?,?,?,x'7b7d','p','s',x'')", (n + 1, n, leaf_hash(entry), entry)
        )
    for n in range(4):
        connection.execute(
            "INSERT INTO audit_event(org, at, kind, run, grant_id, root, blocks, caller, operation, target,"
            " allowed, reason, detail) VALUES(7, ?, 'org.made', '', '', '', '', 'ada', '', 'x', 1, '', '')",
            (float(n),),
        )
    connection.commit()
    connection.close()

    async def work(site: Site) -> None:
        await site.settled(7)
        await whole_log(site)
        assert [bool(site.logs.entry(ORG, n).receipt) for n in range(7)] == [True] * 3 + [False] * 4
        assert b'"at":"1970-01-01T00:00:03.000Z"' in site.logs.entry(ORG, 6).payload

    at(tmp_path, work)


def test_nothing_ticks_while_nothing_is_committed(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(2)
        await site.settled(2)
        await asyncio.sleep(1.0)
        groups = site.journal.groups
        await asyncio.sleep(0.6)
        assert site.journal.groups == groups
        assert site.logs._due is None  # pyright: ignore[reportPrivateUsage]

    at(tmp_path, work)


def test_a_clock_that_is_turned_back_changes_nothing(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(2)
        site.clock.ahead = -86_400.0
        await site.grow(2)
        await site.settled(4)
        await whole_log(site)

    at(tmp_path, work)


def test_a_problem_is_told_of_a_tile_that_is_not_there(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        await site.grow(300)
        await site.settled(300)
        for path in ("tile/0/001", "tile/0/001.p/45", "tile/1/001", "tile/0/0", "tile/9/000", "tile/../x"):
            with pytest.raises(Problem):
                await site.logs.tile(ORG, "acme", path)
        data, whole = await site.logs.tile(ORG, "acme", "tile/0/001.p/44")
        assert (len(data), whole) == (44 * 32, False)

    at(tmp_path, work)
