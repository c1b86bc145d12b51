"""Asking witnesses to cosign the logs' checkpoints (c2sp.org/tlog-witness, as a client).

Each witness has a task and at most one request on the way. It is shown the newest checkpoint of each log and
no older one, from the size that it cosigned last; what it answers is kept when its own key made it. Nothing
waits for a witness: a log goes on when all of them are gone, and the checkpoints of that time lack their
lines until the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Problem
from a2a_cloud.wire.note import (
    NoteError,
    NoteKey,
    add_lines,
    b64,
    open_note,
    read_signatures,
    read_size,
    signature_line,
)

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

#: Seconds between two requests to one witness, and the most before a log that failed is shown again.
PACE, LONGEST = 1.0, 60.0
#: Seconds for an answer; the longest that is read.
ANSWER, MAX_ANSWER = 10.0, 64 << 10

#: (organisation, old size, new size) → the consistency proof.
Prove = Callable[[int, int, int], Awaitable[Sequence[bytes]]]
#: (organisation, size, the witness's lines for the checkpoint of that size).
Cosigned = Callable[[int, int, list[bytes]], Awaitable[None]]


class WitnessAt(NamedTuple):
    """A witness: where it is asked (`url` without the last slash), and the key that it signs with."""

    url: str
    key: NoteKey


class Standing(NamedTuple):
    """How a witness does: its name, when it last cosigned (wall seconds; 0: never), and what keeps it from
    doing so, "" for nothing."""

    name: str
    url: str
    cosigned: float
    why: str


#: How a witness's word begins that a log was changed, and how many words about logs are told at most.
_SEEN, _TOLD = "it has seen", 3


class _Due(NamedTuple):
    origin: str
    size: int
    note: bytes


class Witnesses:
    """All witnesses that are asked. `prove` gives consistency proofs, `cosigned` keeps what they answer, one
    answer after the other. Problems of either are taken as the witness's failure: it is asked again."""

    def __init__(
        self, witnesses: Sequence[WitnessAt], prove: Prove, cosigned: Cosigned, clock: Clock
    ) -> None:
        turns = asyncio.Lock()

        async def in_turn(org: int, size: int, lines: list[bytes]) -> None:
            async with turns:  # Two witnesses' lines come under one checkpoint.
                await cosigned(org, size, lines)

        self._askers = [_Asker(witness, prove, in_turn, clock) for witness in witnesses]

    def start(self) -> None:
        """Begin. Needs a running loop."""
        for asker in self._askers:
            asker.start()

    def on_checkpoint(self, org: int, origin: str, size: int, note: bytes) -> None:
        """There is a new checkpoint, stored already. Returns at once."""
        for asker in self._askers:
            asker.show(org, _Due(origin, size, note))

    def standing(self) -> list[Standing]:
        """How each does."""
        return [asker.standing() for asker in self._askers]

    async def close(self) -> None:
        """Stop asking."""
        await asyncio.gather(*(asker.close() for asker in self._askers))


class _Asker:
    """One witness's task."""

    def __init__(self, witness: WitnessAt, prove: Prove, cosigned: Cosigned, clock: Clock) -> None:
        self._witness = witness
        self._prove = prove
        self._keep = cosigned
        self._clock = clock
        self._due: dict[int, _Due] = {}
        #: What it cosigned last, by origin, as far as it is known: it says so itself when it is asked.
        self._known: dict[str, int] = {}
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        #: What keeps it from cosigning, by origin: of logs that failed alone. One that it refuses for good
        #: is not forgotten when it cosigns another, and does not hold that one up.
        self._why: dict[str, str] = {}
        #: Of logs that failed, by organisation: (the pause, when they are shown again in the loop's time).
        self._pauses: dict[int, tuple[float, float]] = {}
        self._at = 0.0

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def show(self, org: int, due: _Due) -> None:
        self._due[org] = due
        self._more.set()

    def standing(self) -> Standing:
        # What it says of a log's past comes before what it says of itself.
        whys = sorted(dict.fromkeys(self._why.values()), key=lambda why: not why.startswith(_SEEN))
        if len(whys) > _TOLD:
            whys[_TOLD:] = [f"and {len(whys) - _TOLD} more"]
        return Standing(self._witness.key.name, self._witness.url, self._at, "; ".join(whys))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            again = {org: self._pauses.get(org, (0.0, 0.0))[1] for org in self._due}
            ready = [org for org, at in again.items() if at <= clock()]
            if not ready:
                self._more.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(again.values(), default=None)):
                        await self._more.wait()
                continue
            for org in ready:
                each = self._due.pop(org)
                why = await self._cosign(org, each)
                self._say(each.origin, why)
                if why:
                    self._due.setdefault(org, each)  # What came meanwhile is newer.
                    pause = min(self._pauses.get(org, (PACE, 0.0))[0] * 2, LONGEST)
                    self._pauses[org] = (pause, clock() + pause)
                else:
                    self._pauses.pop(org, None)
            await asyncio.sleep(PACE)

    def _say(self, origin: str, why: str) -> None:
        if why:
            if why not in self._why.values():  # All logs say the same of a witness that is away.
                log.warning("The witness %s does not cosign: %s", self._witness.key.name, why)
            self._why[origin] = why
        elif self._why.pop(origin, "") and not self._why:
            log.warning("The witness %s cosigns again", self._witness.key.name)

    async def _cosign(self, org: int, due: _Due) -> str:
        """Why it did not cosign; "" when it did."""
        try:
            status, body = await self._ask(org, due)
            for _ in range(2):
                if status != 409:
                    break
                known = read_size(body.decode("ascii").removesuffix("\n"))  # What it cosigned last.
                if known > due.size:
                    return f"{_SEEN} {known} entries of {due.origin}, and the log has {due.size}"
                if known == self._known.get(due.origin, 0):
                    return f"{_SEEN} another tree of {known} entries of {due.origin}: THE LOG WAS FORKED"
                self._known[due.origin] = known
                status, body = await self._ask(org, due)
            if status != 200:
                said = body[:200].decode(errors="replace").strip()
                return f"it answered {status} for {due.origin}: {said}"
            lines = self._lines(due, body)
            self._known[due.origin] = due.size
            await self._keep(org, due.size, lines)
        except (OSError, ValueError, TimeoutError, Problem) as error:
            return f"{type(error).__name__} {error}".strip()
        self._at = self._clock.now()
        return ""

    async def _ask(self, org: int, due: _Due) -> tuple[int, bytes]:
        old = min(self._known.get(due.origin, 0), due.size)
        proof = await self._prove(org, old, due.size)
        head = [f"old {old}", *(b64(each) for each in proof)]
        body = ("\n".join(head) + "\n\n").encode() + due.note
        import aiohttp  # Large, and most platforms have no witness.

        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"User-Agent": "a2a-cloud"},
                timeout=aiohttp.ClientTimeout(total=ANSWER),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        url = f"{self._witness.url}/add-checkpoint"
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as response:
                return response.status, await _body(response)
        except aiohttp.ClientError as error:
            raise ValueError(f"{type(error).__name__} {error}") from None

    def _lines(self, due: _Due, body: bytes) -> list[bytes]:
        """The answer's line that is this witness's own: the last one, so that nobody fills a note up. Raises
        NoteError when there is none."""
        key = self._witness.key
        found = [
            signature_line(each)
            for each in read_signatures(body)
            if (each.name, each.id) == (key.name, key.id)
        ][-1:]
        if not found or not open_note(add_lines(due.note, found)).verified_by(key):
            raise NoteError(f"its answer is not signed by {key.vkey}")
        return found


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The answer, as far as it is read."""
    parts: list[bytes] = []
    length = 0
    async for part in response.content.iter_any():
        parts.append(part)
        length += len(part)
        if length > MAX_ANSWER:
            break
    return b"".join(parts)
