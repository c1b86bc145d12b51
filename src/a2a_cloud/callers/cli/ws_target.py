"""What `a2a ws` is about: `NAME:PATH` as people write it."""

from __future__ import annotations

from dataclasses import dataclass

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import check_path

DEFAULT = "default"


@dataclass(frozen=True)
class Target:
    """A workspace, and a path in it ("" is all of it). `folder`: a slash stood at the path's end."""

    name: str
    path: str
    folder: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.path}"


def target(word: str, *, bare: bool = False) -> Target:
    """`NAME:PATH`, `NAME:`, or `:PATH` for the workspace `default`; with `bare` NAME alone too.

    Raises Failure (usage).
    """
    name, colon, path = word.partition(":")
    if not colon and not bare:
        raise Failure(
            Exit.USAGE,
            f"{word!r} names no place in a workspace.",
            remedy="Write NAME:PATH, or :PATH for the workspace `default`.",
        )
    plain = path.removesuffix("/") if path != "/" else ""
    if plain:
        try:
            check_path(plain)
        except InvalidParams as problem:
            raise Failure(Exit.USAGE, problem.detail, remedy=problem.remedy, code=problem.code) from None
    return Target(name or DEFAULT, plain, path.endswith("/"))


def file_target(word: str) -> Target:
    """A target that names a file. Raises Failure (usage)."""
    found = target(word)
    if not found.path or found.folder:
        raise Failure(Exit.USAGE, f"{word!r} names no file.", remedy="Write NAME:PATH.")
    return found
