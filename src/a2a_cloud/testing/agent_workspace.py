"""The workspace of an agent under test: the files that the test puts there and finds afterwards, and what
each run does with them. Paths, patterns, grants and conflicts are as on the platform; nothing is on a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from a2a_cloud.agent.problem import InvalidArguments
from a2a_cloud.agent.scope import Scope
from a2a_cloud.model.grant import READING, WRITING, GrantSpec, Operation, Widening
from a2a_cloud.model.problem import FileNotFound, Forbidden, InvalidParams
from a2a_cloud.model.problem import Problem as PlatformProblem
from a2a_cloud.model.run import EffectEnded, EffectStarted, RunEvent
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Clash, File, Folder, conflict_of
from a2a_cloud.wire.glob import check_path, globs
from a2a_cloud.wire.worker import INLINE_LIMIT

Files = dict[str, ObjectRef]

#: Entries of a page at most.
PAGE = 1000


class Workspace(MutableMapping[str, bytes]):
    """Paths to bytes: `workspace["notes/a.md"] = "# A"` puts a file there, `workspace["notes/a.md"]` are its
    bytes. Runs see what is there when they begin, and their own writes; the test sees those once a run has
    committed. Raises InvalidArguments for what is no path, KeyError for a file that is not there.
    """

    def __init__(self, objects: MutableMapping[str, bytes]) -> None:
        self._objects = objects
        self._files: Files = {}
        self._by: dict[str, tuple[int, str]] = {}
        #: The number of the newest version; each change of the test and each commit makes one.
        self.version = 0

    def __repr__(self) -> str:
        return f"<workspace of {len(self)} files>"

    def __getitem__(self, path: str) -> bytes:
        if path not in self._files:
            near = ", ".join(sorted(self._files)[:20]) or "nothing"
            raise KeyError(f"There is no file {path!r}; the workspace has {near}.")
        return self._objects[self._files[path].sha256]

    def __setitem__(self, path: str, content: bytes | str) -> None:
        try:
            may_hold(self._files, check_path(path))
        except PlatformProblem as problem:
            raise InvalidArguments(problem.detail, remedy=problem.remedy) from None
        ref = kept(self._objects, content.encode() if isinstance(content, str) else bytes(content))
        self.commit({path: ref}, "")

    def __delitem__(self, path: str) -> None:
        if path not in self._files:
            raise KeyError(path)
        self.commit({path: None}, "")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._files))

    def __len__(self) -> int:
        return len(self._files)

    def text(self, path: str) -> str:
        """A file's content as UTF-8."""
        return self[path].decode()

    def glob(self, pattern: str) -> list[str]:
        """The paths that the pattern means. Raises InvalidArguments for one that is none."""
        try:
            fits = globs((pattern,)).matches
        except PlatformProblem as problem:
            raise InvalidArguments(problem.detail, remedy=problem.remedy) from None
        return [path for path in self if fits(path)]

    def load(self, folder: str | Path, under: str = "") -> None:
        """Put the files of a folder of this machine there, below the folder `under`."""
        root = Path(folder)
        for file in sorted(root.rglob("*")):
            if file.is_file():
                path = file.relative_to(root).as_posix()
                self[f"{under.rstrip('/')}/{path}" if under else path] = file.read_bytes()

    # --- for the runs -------------------------------------------------------------------------------

    def files(self) -> Files:
        """What is there now. A copy."""
        return dict(self._files)

    def commit(self, changes: Mapping[str, ObjectRef | None], run: str) -> None:
        """Make a version in which each of these paths holds that content (None: nothing)."""
        self.version += 1
        for path, ref in changes.items():
            self._by[path] = (self.version, run)
            if ref is None:
                self._files.pop(path, None)
            else:
                self._files[path] = ref

    def clashes(self, base: Files, changes: Mapping[str, ObjectRef | None]) -> list[Clash]:
        """Of these paths those that somebody else changed since `base`, and not to the same."""
        found: list[Clash] = []
        for path, ours in sorted(changes.items()):
            before, theirs = base.get(path), self._files.get(path)
            version, run = self._by.get(path, (self.version, ""))
            if theirs != before and theirs != ours:
                found.append(
                    Clash(path, _hash(before), _hash(ours), _hash(theirs), version, run, run or "test")
                )
        return found

    def blocked(self, changes: Mapping[str, ObjectRef | None]) -> list[Clash]:
        """What is in the place of a folder that is needed, or is a folder where a file is to be."""
        files = {path: ref for path, ref in self._files.items() if changes.get(path, ref) is not None}
        found: dict[str, Clash] = {}
        for path, ours in sorted(changes.items()):
            way = in_the_way(files, path) if ours is not None else ""
            if way:
                version, run = self._by.get(way, (self.version, ""))
                found[way] = Clash(
                    way,
                    ours=_hash(changes.get(way)),
                    version=version,
                    run=run,
                    by=run or "test",
                    blocked=True,
                )
        return list(found.values())


class Rights:
    """What a run may do: what its agent declares in [grant], and what was approved. `spec` None: all."""

    def __init__(self, spec: GrantSpec | None, run: str) -> None:
        self.spec = spec
        self.prefix = (spec or GrantSpec()).pinned(run)
        self.wider: list[Widening] = []

    def allows(self, operation: Operation, path: str) -> bool:
        """Whether the run may do that with a path that `check_path` has passed."""
        spec = self.spec
        if spec is None:
            return True
        if globs(spec.deny).matches(path):
            return False
        if operation in spec.operations:
            own = self.prefix and (
                path.startswith(self.prefix) or (operation in READING and path + "/" == self.prefix)
            )
            if own or globs(self._patterns(operation)).matches(path):
                return True
        return any(globs(_of(each, operation)).matches(path) for each in self.wider)

    def leads(self, folder: str) -> bool:
        """Whether something that the run may read could be in that folder."""
        spec = self.spec
        if spec is None:
            return True
        patterns = [*spec.read, *(one for each in self.wider for one in each.read), self.prefix + "**"]
        return any(_leads(pattern.split("/"), folder.split("/")) for pattern in patterns)

    def widen(self, read: tuple[str, ...], write: tuple[str, ...]) -> None:
        """Add what was approved."""
        self.wider.append(Widening(read, write))

    def check(self, operation: Operation, path: str) -> None:
        """Raises Forbidden, and InvalidParams for what is no path."""
        if path and not self.allows(operation, check_path(path)):
            raise Forbidden(
                f"This run's grant does not allow to {operation.value} {path}.",
                remedy="Ask for it with ctx.request_scope, or declare it in [grant] of a2a.toml.",
            )

    def _patterns(self, operation: Operation) -> tuple[str, ...]:
        spec = self.spec
        assert spec is not None
        return spec.write if operation in WRITING else spec.read


class Asked(msgspec.Struct):
    """`input` of a ws effect; which fields count depends on the operation."""

    path: str = ""
    offset: int = 0
    length: int = -1
    sha256: str = ""
    size: int = 0
    source: str = msgspec.field(default="", name="from")
    target: str = msgspec.field(default="", name="to")
    folder: str = ""
    after: str = ""
    limit: int = PAGE
    pattern: str = ""


class Held(msgspec.Struct, omit_defaults=True):
    """What a path holds after an operation."""

    path: str
    sha256: str = ""
    size: int = 0


asked_of = msgspec.json.Decoder(Asked)
held_of = msgspec.json.Decoder(Held)
_encode = msgspec.json.Encoder().encode


class Draft:
    """A run's view: the files as they were at its beginning, and what it changed."""

    def __init__(
        self, base: Files, version: int, rights: Rights, objects: MutableMapping[str, bytes]
    ) -> None:
        self.base, self.version, self.rights = base, version, rights
        self.changes: dict[str, ObjectRef | None] = {}
        self.keeps = False
        self._objects = objects

    def perform(self, name: str, asked: Asked, run: str) -> bytes:
        """Do an operation; returns its value as JSON. Raises the platform's Problem."""
        if name == "info":
            facts = {"workspace": (self.rights.spec or GrantSpec()).workspace, "base": self.version}
            return _encode({**facts, "prefix": self.rights.prefix, "run": run})
        if name == "keep":
            self.keeps = True
            return b"null"
        operation = _OPERATIONS.get(name)
        if operation is None:
            raise AssertionError(f"there is no workspace operation {name!r}")
        return operation(self, asked)

    def replayed(self, events: Iterable[tuple[int, RunEvent]]) -> set[tuple[str, int]]:
        """Take over what the run did and was allowed in an earlier life; returns the contents that it may
        read since."""
        started: dict[int, EffectStarted] = {}
        contents: set[tuple[str, int]] = set()
        for seq, event in events:
            if isinstance(event, EffectStarted) and event.kind in ("ws", "scope"):
                started[seq] = event
            elif isinstance(event, EffectEnded) and event.effect in started and not event.problem_code:
                begun = started[event.effect]
                if begun.kind == "scope":
                    granted = msgspec.json.decode(event.value, type=Scope)
                    self.rights.widen(granted.read, granted.write)
                elif begun.name == "keep":
                    self.keeps = True
                elif begun.name in _HOLDING:
                    held = held_of.decode(event.value)
                    if held.sha256:
                        contents.add((held.sha256, held.size))
                    if begun.name != "read":
                        self.changes[held.path] = ObjectRef(held.sha256, held.size) if held.sha256 else None
        return contents

    def clear(self) -> None:
        """A further attempt begins from scratch."""
        self.changes.clear()
        self.rights.wider.clear()
        self.keeps = False

    @property
    def files(self) -> Files:
        """What the run sees."""
        if not self.changes:
            return self.base
        seen = self.base | {path: ref for path, ref in self.changes.items() if ref is not None}
        return {path: ref for path, ref in seen.items() if self.changes.get(path, ref) is not None}

    def _file(self, operation: Operation, path: str) -> ObjectRef:
        self.rights.check(operation, path)
        ref = self.files.get(check_path(path))
        if ref is None and isinstance(_stat(self.files, path), Folder):
            raise FileNotFound(f"{path[:200]!a} is a folder.", remedy="Name a file, or list it.")
        if ref is None:
            raise _missing(path, "file")
        return ref

    def _read(self, asked: Asked) -> bytes:
        ref = self._file(Operation.READ, asked.path)
        return _encode(Held(asked.path, ref.sha256, ref.size))

    def _put(self, path: str, ref: ObjectRef | None) -> bytes:
        if ref is not None:
            may_hold(self.files, path)
        self.changes[path] = ref
        return _encode(Held(path, ref.sha256, ref.size) if ref is not None else Held(path))

    def _write(self, asked: Asked) -> bytes:
        self.rights.check(Operation.WRITE, asked.path)
        return self._put(check_path(asked.path), ObjectRef(asked.sha256, asked.size))

    def _append(self, asked: Asked) -> bytes:
        self.rights.check(Operation.WRITE, asked.path)
        old = self.files.get(check_path(asked.path))
        before = b"" if old is None else self._objects[old.sha256]
        return self._put(asked.path, kept(self._objects, before + self._objects[asked.sha256]))

    def _delete(self, asked: Asked) -> bytes:
        self._file(Operation.DELETE, asked.path)
        return self._put(asked.path, None)

    def _copy(self, asked: Asked) -> bytes:
        ref = self._file(Operation.READ, asked.source)
        self.rights.check(Operation.WRITE, asked.target)
        return self._put(check_path(asked.target), ref)

    def _stat(self, asked: Asked) -> bytes:
        self.rights.check(Operation.STAT, asked.path)
        found = _stat(self.files, check_path(asked.path) if asked.path else "")
        if found is None:
            raise _missing(asked.path, "file")
        return _encode(found)

    def _list(self, asked: Asked) -> bytes:
        files, folder = self.files, asked.folder
        if folder and not isinstance(_stat(files, check_path(folder)), Folder):
            raise _missing(folder, "folder")
        lead = f"{folder}/" if folder else ""
        names = {path[len(lead) :].split("/")[0] for path in files if path.startswith(lead)}
        found = [_stat(files, lead + name) for name in sorted(names) if name > asked.after]
        return self._page([entry for entry in found if entry is not None], asked)

    def _glob(self, asked: Asked) -> bytes:
        fits = globs((asked.pattern,)).matches
        after = asked.after.split("/") if asked.after else []
        paths = sorted((path for path in self.files if fits(path)), key=_segments)
        found = [_stat(self.files, path) for path in paths if path.split("/") > after]
        return self._page([entry for entry in found if entry is not None], asked)

    def _page(self, found: Sequence[File | Folder], asked: Asked) -> bytes:
        """What of it the run may see; folders without sums, which would tell of the rest."""
        rights = self.rights
        shown: list[File | Folder] = []
        for entry in found:
            allowed = rights.allows(Operation.LIST, entry.path)
            if isinstance(entry, File) and allowed:
                shown.append(entry)
            elif isinstance(entry, Folder) and (allowed or rights.leads(entry.path)):
                shown.append(Folder(entry.path, 0, 0))
        return _encode({"entries": shown[: min(max(asked.limit, 1), PAGE)]})

    def content(self, value: bytes, asked: Asked) -> bytes:
        """What comes beside the value of a read: the bytes, if they are few."""
        held = held_of.decode(value)
        end = held.size if asked.length < 0 else min(held.size, asked.offset + asked.length)
        if end - asked.offset > INLINE_LIMIT:
            return b""
        return self._objects[held.sha256][asked.offset : end]


#: Operations whose value says what a path holds.
_HOLDING = ("read", "write", "append", "adopt", "copy", "delete")
_OPERATIONS: dict[str, Callable[[Draft, Asked], bytes]] = {
    "read": Draft._read,  # pyright: ignore[reportPrivateUsage]
    "write": Draft._write,  # pyright: ignore[reportPrivateUsage]
    "adopt": Draft._write,  # pyright: ignore[reportPrivateUsage]
    "append": Draft._append,  # pyright: ignore[reportPrivateUsage]
    "delete": Draft._delete,  # pyright: ignore[reportPrivateUsage]
    "copy": Draft._copy,  # pyright: ignore[reportPrivateUsage]
    "stat": Draft._stat,  # pyright: ignore[reportPrivateUsage]
    "list": Draft._list,  # pyright: ignore[reportPrivateUsage]
    "glob": Draft._glob,  # pyright: ignore[reportPrivateUsage]
}


def commit(workspace: Workspace, draft: Draft, run: str, merge: str) -> None:
    """Commit what a run wrote. Raises WorkspaceConflict when somebody else changed the same paths."""
    if not draft.changes:
        return
    clashes = workspace.clashes(draft.base, draft.changes) if merge == "refuse" else []
    clashes = clashes or workspace.blocked(draft.changes)
    if clashes:
        raise conflict_of(draft.version, workspace.version, clashes)
    workspace.commit(draft.changes, run)


def kept(objects: MutableMapping[str, bytes], data: bytes) -> ObjectRef:
    """Store a content under its hash."""
    ref = ObjectRef(sha256(data).hexdigest(), len(data))
    objects[ref.sha256] = data
    return ref


def may_hold(files: Mapping[str, Any], path: str) -> None:
    """Raises InvalidParams where a folder, or a file in the place of one of its folders, is in the way."""
    way = in_the_way(files, path)
    if way == path:
        raise InvalidParams(f"{path[:200]!a} is a folder.", remedy="Name a file in it.")
    if way:
        raise InvalidParams(
            f"{way[:200]!a} is a file, so nothing can be in it.", remedy="Delete it, or use another name."
        )


def in_the_way(files: Iterable[str], path: str) -> str:
    """The path itself if it is a folder, the file that is where one of its folders should be, or ""."""
    names = set(files)
    if any(other.startswith(path + "/") for other in names):
        return path
    return next((path[:at] for at, sign in enumerate(path) if sign == "/" and path[:at] in names), "")


def _stat(files: Files, path: str) -> File | Folder | None:
    ref = files.get(path)
    if ref is not None:
        return File(path, ref.sha256, ref.size)
    lead = f"{path}/" if path else ""
    below = [one.size for each, one in files.items() if each.startswith(lead)]
    return Folder(path, len(below), sum(below)) if below or not path else None


def _missing(path: str, what: str) -> FileNotFound:
    return FileNotFound(
        f"The workspace has no {what} {path[:200]!a}.", remedy="List the folder that it should be in."
    )


def _leads(pattern: Sequence[str], folder: Sequence[str]) -> bool:
    for at, name in enumerate(folder):
        if at >= len(pattern):
            return False
        if pattern[at] == "**":
            return True
        if not globs((pattern[at],)).matches(name):
            return False
    return len(pattern) > len(folder)


def _of(wider: Widening, operation: Operation) -> tuple[str, ...]:
    return wider.write if operation in WRITING else wider.read


def _segments(path: str) -> list[str]:
    return path.split("/")


def _hash(ref: ObjectRef | None) -> str:
    return "" if ref is None else ref.sha256
