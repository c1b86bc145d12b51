"""Frames between the runtime and a worker: docs/worker-protocol.md in code.

A frame is a 4-byte big-endian length and a msgpack array whose first element is the frame's tag.
JSON payloads travel as `bin`, so that nobody decodes what they only pass on. This module imports
nothing of ours: the kit in an agent's environment has it and msgspec, and no more.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

#: Still 1 with `Effect.data` and `Answer.data`: a frame is an array, its last elements have defaults and
#: a reader passes over those it does not know; only a worker that asks for a file gets `Answer.data`.
PROTOCOL = 1
#: Larger frames are a breach of the protocol; larger payloads travel as objects in chunks. A call of
#: 16 MB is in its start frame twice: as arguments, and in its message.
MAX_FRAME = 48 << 20
#: A payload above this many bytes goes to the object store.
INLINE_LIMIT = 64 << 10
#: Bytes per chunk of an object on its way to or from a worker.
CHUNK = 1 << 20
#: Bytes of text and artifacts that may be on their way without an ack: then `text` waits.
WINDOW = 256 << 10
#: Bytes of an effect's `args`, of its `input`, of a step's value, of one Text or artifact.
VALUE_LIMIT = 1 << 20
#: Bytes of a run's result.
RESULT_LIMIT = 16 << 20
#: Reads that a worker may have open, and objects that it may be making, at once.
MAX_READS = 128
MAX_UPLOADS = 32


class Trouble(Struct, array_like=True):
    """A problem on the wire: stable code, sentences, whether a retry helps."""

    code: str
    detail: str
    remedy: str = ""
    retry: bool = False


class FileFrame(Struct, array_like=True):
    """A file bound to parameter `param`: `inline` bytes, or `sha256` to read through Read frames."""

    param: str
    name: str
    media_type: str
    size: int
    inline: bytes = b""
    sha256: str = ""


# --- runtime to worker ------------------------------------------------------------------------


class Hello(Struct, array_like=True, tag="hello"):
    """First frame. `memory` in bytes (0: unlimited), `open_files` and `concurrency` counts,
    `log_bytes` per minute (0: unlimited)."""

    protocol: int
    agent: str
    release: int
    folder: str
    entry: str
    memory: int
    open_files: int
    concurrency: int
    log_bytes: int = 0


class Start(Struct, array_like=True, tag="start"):
    """Run a skill ("" = the message handler). `timeout` in seconds; `now` are recorded clock values
    for a replay, in order; `history` is a JSON array of earlier messages of the task,
    `references` one of the ended tasks that the message refers to; `extensions` are the URIs of those
    that are active; `actors` acted for the caller, nearest first."""

    run: int
    run_id: str
    task_id: str
    context_id: str
    skill: str
    arguments: bytes
    message: bytes
    timeout: float
    attempt: int = 1
    files: list[FileFrame] = []
    history: bytes = b""
    caller: str = ""
    org: str = ""
    parent_agent: str = ""
    now: list[float] = []
    output_modes: list[str] = []
    references: bytes = b""
    extensions: list[str] = []
    actors: list[str] = []


class Answer(Struct, array_like=True, tag="answer"):
    """The outcome of effect `n`: JSON `value`, or `trouble`; `go` tells to run a step's body.

    `data` is the content of a file that `ws` `read` asked for, where it has at most INLINE_LIMIT bytes;
    a larger one is read through Read frames by the value's `sha256`.
    """

    run: int
    n: int
    value: bytes = b"null"
    trouble: Trouble | None = None
    go: bool = False
    data: bytes = b""


class Data(Struct, array_like=True, tag="data"):
    """Bytes that Read `n` asked for, or the reference (JSON) that Put `n` made."""

    run: int
    n: int
    data: bytes
    trouble: Trouble | None = None


class Ack(Struct, array_like=True, tag="ack"):
    """`size` more bytes of output are durable."""

    run: int
    size: int


class Cancel(Struct, array_like=True, tag="cancel"):
    """Stop the run: `reason` is `canceled`, `timed_out` or `shutdown`."""

    run: int
    reason: str


class Stop(Struct, array_like=True, tag="stop"):
    """No more runs will come: end when the last one has."""


# --- worker to runtime ------------------------------------------------------------------------


class Ready(Struct, array_like=True, tag="ready"):
    """The agent's code is loaded; `skills` is a JSON array of skill specs."""

    protocol: int
    kit: str
    pid: int
    skills: bytes
    message_handler: bool


class Broken(Struct, array_like=True, tag="broken"):
    """The agent's code could not be loaded. `trace` is for its author."""

    detail: str
    trace: str = ""


class Effect(Struct, array_like=True, tag="effect"):
    """The run asks the runtime for something and waits for Answer `n`.

    `kind` is step, ask, call, sleep, get, set, drop, ws or scope; `args` is what identifies the effect
    besides kind and name; `input` is a JSON object of what it needs. `data` is the content that `ws`
    `write` and `append` carry, at most INLINE_LIMIT bytes: `args` has its sha256 and size, and larger
    content is an object that the run Put before.
    """

    run: int
    n: int
    kind: str
    name: str
    args: bytes = b""
    input: bytes = b"null"
    data: bytes = b""


class Done(Struct, array_like=True, tag="done"):
    """A step's body ended; the worker waits for Answer `n` before it goes on."""

    run: int
    n: int
    value: bytes = b"null"
    trouble: Trouble | None = None


class Text(Struct, array_like=True, tag="text"):
    """A piece of streamed text."""

    run: int
    delta: str


class Progress(Struct, array_like=True, tag="progress"):
    """Progress; `percent` from 0 to 100 or -1."""

    run: int
    stage: str
    percent: float
    message: str


class Made(Struct, array_like=True, tag="artifact"):
    """An artifact or a piece of one; `artifact` is the JSON of A2A's Artifact, where a part may have
    `object` {sha256, size} that a Put of this run made."""

    run: int
    artifact: bytes
    append: bool
    last: bool


class Log(Struct, array_like=True, tag="log"):
    """A log line; `source` is log, stdout or stderr. `run` 0: of no run in particular."""

    run: int
    level: str
    source: str
    line: str


class Usage(Struct, array_like=True, tag="usage"):
    """`qty` is a decimal string."""

    run: int
    meter: str
    qty: str
    unit: str


class Now(Struct, array_like=True, tag="now"):
    """The run read the clock and saw `at` (wall seconds)."""

    run: int
    at: float


class Read(Struct, array_like=True, tag="read"):
    """Read up to `length` bytes, at `offset`, of a bound file or of one that an effect gave the run;
    answered by Data `n`."""

    run: int
    n: int
    sha256: str
    offset: int
    length: int


class Put(Struct, array_like=True, tag="put"):
    """A chunk of a new object; chunks of one object share `n`. The last one is answered by Data `n`;
    each of the others too, with empty data, so that a fast worker waits for a slow disk."""

    run: int
    n: int
    chunk: bytes
    last: bool


class Result(Struct, array_like=True, tag="result"):
    """The run ended: `status` is ok, reply or said (value: a Message in JSON), refused, failed, canceled."""

    run: int
    status: str
    value: bytes = b"null"
    trouble: Trouble | None = None


ToWorker = Hello | Start | Answer | Data | Ack | Cancel | Stop
ToRuntime = Ready | Broken | Effect | Done | Text | Progress | Made | Log | Usage | Now | Read | Put | Result

_encoder = msgspec.msgpack.Encoder()
_to_runtime: msgspec.msgpack.Decoder[ToRuntime] = msgspec.msgpack.Decoder(ToRuntime)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


class BadFrame(Exception):
    """The other side broke the protocol; the connection can't go on."""


def encode(frame: Struct) -> bytes:
    """A frame with its length. Raises BadFrame when it is larger than MAX_FRAME."""
    body = _encoder.encode(frame)
    if len(body) > MAX_FRAME:
        raise BadFrame(f"a frame of {len(body)} bytes is larger than {MAX_FRAME}")
    return len(body).to_bytes(4, "big") + body


class Frames:
    """Cuts a byte stream into frame bodies. `limit` bounds one frame."""

    __slots__ = ("_chunks", "_have", "_limit", "_need")

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = 4
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete now. Raises BadFrame on an oversized length."""
        if self._chunks:
            # A large frame arrives in many pieces: join once it is whole, not at every piece.
            self._chunks.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
        bodies: list[bytes] = []
        at, end = 0, len(data)
        need = 4
        while end - at >= 4:
            size = int.from_bytes(data[at : at + 4], "big")
            if size > self._limit:
                raise BadFrame(f"a frame of {size} bytes is larger than {self._limit}")
            if end - at - 4 < size:
                need = 4 + size
                break
            bodies.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        if at < end:
            rest = data[at:] if at else data
            self._chunks.append(rest)
            self._have, self._need = len(rest), need
        return bodies


def decode_from_worker(body: bytes) -> ToRuntime:
    """A frame that a worker sent. Raises BadFrame."""
    try:
        return _to_runtime.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadFrame(str(error)) from error


def decode_from_runtime(body: bytes) -> ToWorker:
    """A frame that the runtime sent. Raises BadFrame."""
    try:
        return _to_worker.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadFrame(str(error)) from error
