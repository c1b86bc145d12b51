"""`ctx.workspace`: files that outlive the run, in the organisation's workspace.

A run reads one version, sees its own writes on top of it, and commits once, when it completes. All of it
is effects, so a replay reads what the first life read. In an async skill every method, and the property
`output`, is awaited; in a sync skill they block and give the value. What the run's grant does not allow
raises a Problem with the code `forbidden`: `ctx.request_scope` asks for more.
"""

from __future__ import annotations

import hashlib
import mimetypes
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from a2a_cloud.agent.files import OCTETS, File
from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.streams import Opened, Reading, Writing
from a2a_cloud.agent.uploads import Upload
from a2a_cloud.agent.values import to_json
from a2a_cloud.wire.worker import CHUNK, INLINE_LIMIT

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution

#: Bytes that `read` gives at most; what is larger is opened.
READ_MOST = 64 << 20
#: Entries that one question gives at most; `list` and `glob` ask until they have all.
PAGE = 500


class Entry(Struct, frozen=True, omit_defaults=True):
    """What lies at a path: a file (`sha256` in hex, `size` in bytes) or a folder (`files` and `size` count
    all that is below it)."""

    path: str
    kind: str = "file"
    size: int = 0
    sha256: str = ""
    files: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_folder(self) -> bool:
        """It is a folder."""
        return self.kind == "folder"


class Info(Struct, frozen=True):
    """Where a run works: the workspace's name, the number of the version that it reads, and the folder of
    its own, with a `/` at its end ("": it has none)."""

    workspace: str = ""
    base: int = 0
    prefix: str = ""
    run: str = ""


class Entries(Struct):
    """A page; `after`: ask on from there, there may be more."""

    entries: list[Entry]
    after: str = ""


_entry = msgspec.json.Decoder(Entry)
_entries = msgspec.json.Decoder(Entries)
_info = msgspec.json.Decoder(Info)
T = TypeVar("T")


class Workspace:
    """The files of the run's workspace. Paths are relative, with `/` between names: `reports/may.md`.

    Methods raise Problem with the code `file_not_found`, `forbidden`, `invalid_params` (no path, a folder
    where a file is needed), `too_large`, `storage_full`.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._known: Info | None = None

    # --- where --------------------------------------------------------------------------------------

    @property
    def output(self) -> Any:
        """The run's own folder, such as `outputs/run_…/`, where it may always write; "" for none."""
        return self._execution.face(self._output())

    async def _output(self) -> str:
        return (await self._info()).prefix

    def info(self) -> Any:
        """The `Info`: workspace, base version, the run's own folder."""
        return self._execution.face(self._info())

    async def _info(self) -> Info:
        if self._known is None:
            self._known = _decoded(_info, (await self._ask("info", {})).value)
        return self._known

    # --- reading ------------------------------------------------------------------------------------

    def read(self, path: str, offset: int = 0, length: int = -1) -> Any:
        """A file's bytes, or `length` of them from `offset` on: at most 64 MiB (`open` has no limit)."""
        return self._execution.face(self._read(_path(path), offset, length))

    def read_text(self, path: str, encoding: str = "utf-8") -> Any:
        """A file's text, without a byte order mark. InvalidArguments if it isn't text."""
        return self._execution.face(self._read_text(_path(path), encoding))

    async def _read(self, path: str, offset: int, length: int) -> bytes:
        if offset < 0:
            raise Problem(f"A file can't be read from byte {offset} on.", code="invalid_params")
        entry, first = await self._content(path, offset, length)
        wanted = _wanted(entry, offset, length)
        if len(first) == wanted:
            return first
        if wanted > READ_MOST:
            raise Problem(
                f"`{path}` has {entry.size} bytes; read gives at most {READ_MOST}.",
                code="too_large",
                remedy="Write `with ctx.workspace.open(path) as f` (`async with`), and read it in pieces.",
            )
        return await self._fetch(entry, path, offset, wanted)

    async def _read_text(self, path: str, encoding: str) -> str:
        data = await self._read(path, 0, -1)
        return File.from_bytes(path, data, "a file of the workspace").read_text(encoding)

    async def _content(self, path: str, offset: int, length: int) -> tuple[Entry, bytes]:
        """The file, which the run may then read by its hash, and the bytes if they are few."""
        answer = await self._ask("read", {"path": path, "offset": offset, "length": length})
        entry = _decoded(_entry, answer.value)
        wanted = _wanted(entry, offset, length)
        if len(answer.data) == wanted:
            return entry, answer.data
        # On a replay nothing comes with the answer. What follows must be the same as it was with it.
        return entry, await self._fetch(entry, path, offset, wanted) if wanted <= INLINE_LIMIT else b""

    async def _fetch(self, entry: Entry, path: str, offset: int, size: int) -> bytes:
        blocks: list[bytes] = []
        at, end = offset, offset + size
        while at < end:
            block = await self._execution.read(entry.sha256, at, min(CHUNK, end - at))
            if not block:
                raise Problem(f"`{path}` ended after {at} of {entry.size} bytes.", retry=True)
            blocks.append(block)
            at += len(block)
        return b"".join(blocks)

    def open(self, path: str, mode: str = "rb", encoding: str = "utf-8") -> Opened:
        """A file of any size, in constant memory: `with` (in an async skill `async with`) what this gives.

        `rb` and `r` read: `read(n)`, or a loop over it (blocks of bytes, lines of text). `wb` and `w`
        write a new content with `write(chunk)`, `ab` and `a` add to the end; it is there once the block
        is left, and not at all when that was by an exception. Problem for another mode.
        """
        given = _path(path)
        if mode in ("rb", "r"):
            return Reading(
                self._execution, given, lambda: self._content(given, 0, INLINE_LIMIT), _text(mode, encoding)
            )
        if mode in ("wb", "w", "ab", "a"):

            async def put(upload: Upload) -> None:
                await self._store("write" if mode[0] == "w" else "append", given, upload)

            return Writing(self._execution, given, put, _text(mode, encoding))
        raise Problem(f"A file can't be opened as {mode!r}.", remedy="Write rb, r, wb, w, ab or a.")

    def file(self, path: str) -> Any:
        """The file as a `File`: for `ctx.artifact`, `ctx.call`, `adopt`, or to be read.

        Above 64 KiB its bytes are not copied, wherever it goes. It is what the path holds now.
        """
        return self._execution.face(self._file(_path(path)))

    async def _file(self, path: str) -> File:
        entry, first = await self._content(path, 0, INLINE_LIMIT)
        name = path.rpartition("/")[2]
        media_type = mimetypes.guess_type(name)[0] or OCTETS
        if len(first) == entry.size:
            return File.from_bytes(name, first, media_type)
        return self._execution.stored(name, media_type, entry.size, entry.sha256)

    # --- looking ------------------------------------------------------------------------------------

    def list(self, folder: str = "") -> Any:
        """The entries directly in a folder ("" is the root), by name. Problem if there is none."""
        return self._execution.face(self._pages("list", "folder", _path(folder, empty=True)))

    def glob(self, pattern: str) -> Any:
        """The files whose path fits: `*` and `?` stand within a name, `**` for any number of folders."""
        return self._execution.face(self._pages("glob", "pattern", _path(pattern)))

    async def _pages(self, operation: str, key: str, value: str) -> Any:
        found: Any = []
        after = ""
        while True:
            answer = await self._ask(operation, {key: value, "after": after, "limit": PAGE})
            page = _decoded(_entries, answer.value)
            found += page.entries
            if page.after:
                after = page.after
            elif len(page.entries) < PAGE:
                return found
            else:
                last = page.entries[-1]
                after = last.path if operation == "glob" else last.name

    def stat(self, path: str) -> Any:
        """The `Entry` at a path ("" is the root), or None when there is nothing."""
        return self._execution.face(self._stat(_path(path, empty=True)))

    def exists(self, path: str) -> Any:
        """Whether there is a file or a folder at the path."""
        return self._execution.face(self._exists(_path(path, empty=True)))

    async def _stat(self, path: str) -> Entry | None:
        try:
            return _decoded(_entry, (await self._ask("stat", {"path": path})).value)
        except Problem as problem:
            if problem.code == "file_not_found":
                return None
            raise

    async def _exists(self, path: str) -> bool:
        return await self._stat(path) is not None

    # --- changing -----------------------------------------------------------------------------------

    def write(self, path: str, data: bytes | str | File) -> Any:
        """Let the path hold bytes, text (as UTF-8) or a File's content; folders need not be made.

        Gives the Entry. A File that this run got or stored is not copied.
        """
        return self._execution.face(self._change("write", _path(path), _content(data)))

    def append(self, path: str, data: bytes | str | File) -> Any:
        """Add to the end of a file, which is made if it is not there. Gives the Entry."""
        return self._execution.face(self._change("append", _path(path), _content(data)))

    def adopt(self, path: str, file: File) -> Any:
        """Let the path hold a File, such as one that the caller sent, without copying its bytes."""
        if not isinstance(file, File):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise Problem(f"Only a File can be adopted, not {type(file).__name__}.", remedy="Use write.")
        return self.write(path, file)

    async def _change(self, operation: str, path: str, data: bytes | File) -> Entry:
        execution = self._execution
        if isinstance(data, File):
            if operation == "write" and data.ref and data.run_id == execution.start.run_id:
                return await self._edit("adopt", path, data.ref, data.size)
            sha256, size, data = await execution.keep(data)
            if sha256:
                return await self._edit(operation, path, sha256, size)
        if len(data) > INLINE_LIMIT:
            sha256, size, _ = await execution.keep(File.from_bytes(path, data))
            return await self._edit(operation, path, sha256, size)
        return await self._edit(operation, path, hashlib.sha256(data).hexdigest(), len(data), data)

    async def _store(self, operation: str, path: str, upload: Upload) -> None:
        if not upload.begun and len(held := upload.held) <= INLINE_LIMIT:
            await self._edit(operation, path, hashlib.sha256(held).hexdigest(), len(held), held)
        else:
            await self._edit(operation, path, *await upload.finish())

    async def _edit(self, operation: str, path: str, sha256: str, size: int, data: bytes = b"") -> Entry:
        about = {"path": path, "sha256": sha256, "size": size}
        return _decoded(_entry, (await self._ask(operation, about, data)).value)

    def delete(self, path: str) -> Any:
        """Take a file away. Problem `file_not_found` when there is none."""
        return self._execution.face(self._done("delete", {"path": _path(path)}))

    def copy(self, source: str, target: str) -> Any:
        """Let `target` hold what `source` holds now. No bytes are copied."""
        return self._execution.face(self._done("copy", {"from": _path(source), "to": _path(target)}))

    def keep(self) -> Any:
        """Commit what the run wrote (also what it writes later) even if it fails or is canceled."""
        return self._execution.face(self._done("keep", {}))

    async def _done(self, operation: str, about: dict[str, Any]) -> None:
        await self._ask(operation, about)

    async def _ask(self, operation: str, about: dict[str, Any], data: bytes = b"") -> Any:
        body = to_json(about)
        return await self._execution.answer("ws", operation, body, body, data)


def _decoded(decoder: msgspec.json.Decoder[T], value: bytes) -> T:
    try:
        return decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise Problem(f"The workspace's answer can't be read: {error}.") from None


def _wanted(entry: Entry, offset: int, length: int) -> int:
    """Bytes that a read of `length` (all: -1) gives."""
    left = max(0, entry.size - offset)
    return left if length < 0 else min(left, length)


def _path(path: str, empty: bool = False) -> str:
    """Text that could be a path or pattern; which ones are is for the runtime to say."""
    if not isinstance(path, str) or not (path or empty):  # pyright: ignore[reportUnnecessaryIsInstance]
        shown = "empty" if path == "" else f"of type {type(path).__name__}"
        raise Problem(
            f"A path in the workspace is text; this one is {shown}.",
            code="invalid_params",
            remedy="Write one such as reports/may.md.",
        )
    return path


def _text(mode: str, encoding: str) -> str:
    return "" if "b" in mode else encoding


def _content(data: bytes | str | File) -> bytes | File:
    if isinstance(data, str):
        try:
            return data.encode()
        except UnicodeEncodeError as error:
            raise Problem(
                f"The text has half of a surrogate pair at position {error.start}: it has no UTF-8 form.",
                code="invalid_params",
            ) from None
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, File):  # pyright: ignore[reportUnnecessaryIsInstance]
        return data
    raise Problem(
        f"A file's content is bytes, text or a File, not {type(data).__name__}.",
        code="invalid_params",
        remedy="Of a value write its JSON: json.dumps(value).",
    )
