"""`a2a ws` against a platform that lies, breaks off, or sends something else than it listed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aiohttp import web
from cli_fixtures import a2a, played, server
from cli_platform import Played
from cli_running import Run

from a2a_cloud.callers.cli.exits import Exit

__all__ = ["a2a", "played", "server"]

DATA = bytes(range(256)) * 4000
SHA = hashlib.sha256(DATA).hexdigest()
W = "/api/v1/workspaces/w"


def tree(played: Played, *paths: str, size: int = len(DATA), sha256: str = SHA, kind: str = "folder") -> None:
    entries = [{"kind": "file", "path": path, "sha256": sha256, "size": size} for path in paths]
    page = {"version": 7, "kind": kind, "entries": entries, "next": ""}
    played.json("GET", f"{W}/tree", page)


def content(played: Played, path: str, data: bytes, etag: str = SHA, cut: int = 0) -> None:
    """The first answer breaks off after `cut` bytes, when that is any."""
    left = [cut] if cut else []

    async def answer(request: web.Request) -> web.StreamResponse:
        field = request.headers.get("Range", "")
        offset = int(field.removeprefix("bytes=").rstrip("-")) if field else 0
        response = web.StreamResponse(
            status=206 if field else 200, headers={"ETag": f'"{etag}"', "A2A-Workspace-Version": "7"}
        )
        response.content_length = len(data) - offset
        await response.prepare(request)
        if left:
            await response.write(data[: left.pop()])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(data[offset:])
        return response

    played.answers["GET", f"{W}/files/{path}"] = answer


@pytest.mark.parametrize(
    "path", ["../out", "/etc/passwd", "in/../../out", "a\\b", "C:x", "a/\x00", "", "elsewhere/x", "a//b"]
)
def test_names_from_the_platform_are_checked(played: Played, a2a: Run, path: str) -> None:
    tree(played, "folder/a", path)
    content(played, "folder/a", DATA)
    before = sorted(Path.cwd().parent.rglob("*"))
    code, _, err = a2a("ws", "get", "w:folder", "to", "--force")
    assert code == Exit.UNREACHABLE, err
    assert sorted(Path.cwd().parent.rglob("*")) == before


def test_a_read_that_breaks_goes_on_in_the_middle(played: Played, a2a: Run) -> None:
    tree(played, "f", kind="file")
    content(played, "f", DATA, cut=600_000)
    assert a2a("ws", "get", "w:f")[0] == 0
    assert Path("f").read_bytes() == DATA
    again = played.last("GET", f"{W}/files/f")
    assert again.headers["If-Range"] == f'"{SHA}"'
    assert 0 < int(again.headers["Range"].removeprefix("bytes=").rstrip("-")) <= 600_000
    assert again.query == {"version": "7"}


def test_another_content_is_not_kept(played: Played, a2a: Run) -> None:
    other = b"x" * len(DATA)
    tree(played, "f", kind="file")
    content(played, "f", other)  # Its ETag is not its hash.
    assert a2a("ws", "get", "w:f")[0] == Exit.UNREACHABLE
    content(played, "f", other, etag=hashlib.sha256(other).hexdigest())  # It is not what was listed.
    assert a2a("ws", "get", "w:f")[0] == Exit.FAILED
    assert list(Path.cwd().iterdir()) == []


def test_what_was_stored_is_checked(played: Played, a2a: Run) -> None:
    Path("f").write_bytes(b"1")
    played.json("PUT", f"{W}/files/f", {"sha256": SHA, "version": 1})
    assert a2a("ws", "put", "f", "w:f")[0] == Exit.UNREACHABLE


def test_what_a_terminal_obeys_is_escaped(played: Played, a2a: Run) -> None:
    versions = [{"version": 1, "message": "\x1b]0;title\x07", "by": "x\nrow", "changed": 1}]
    played.json("GET", f"{W}/versions", {"versions": versions, "next": 0})
    code, out, _ = a2a("ws", "log", "w")
    assert (code, "\x1b" in out, out.count("\n")) == (0, False, 2)
