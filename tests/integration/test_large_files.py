"""What limits large files: a run's `upload_bytes`, and for each route over HTTP a size of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import request

from running import Running

MIB = 1 << 20
AGENT = '''
from a2a_cloud import Context, File, skill

MIB = b"x" * (1 << 20)


@skill
async def write(ctx: Context, size: int, times: int = 1) -> int:
    """Writes a file of so many MiB, again and again."""
    for _ in range(times):
        async with ctx.workspace.open(await ctx.workspace.output + "large", "wb") as file:
            for _ in range(size):
                await file.write(MIB)
    return size


@skill
async def small(ctx: Context, times: int) -> int:
    """Writes files of 32 KiB."""
    for number in range(times):
        await ctx.workspace.write(await ctx.workspace.output + str(number), MIB[: 32 << 10])
    return times


@skill
async def append(ctx: Context, times: int) -> int:
    """Adds to a file of 1 MiB, and looks at it in between."""
    place = await ctx.workspace.output + "log"
    await ctx.workspace.write(place, MIB)
    for _ in range(times):
        await ctx.workspace.append(place, "line")
        await ctx.workspace.read(place, 0, 10)
    return times


@skill
async def artifact(ctx: Context, size: int) -> None:
    """Puts out so many MiB."""
    await ctx.artifact("large", MIB * size)
'''
MANIFEST = """
name = "store"
[limits]
upload_bytes = 8388608
artifact_bytes = 2097152
"""
Start = Callable[..., Running]


def test_what_a_run_stores_has_a_limit_of_its_own(platform: Start, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "a2a.toml").write_text(MANIFEST)
    (folder / "agent.py").write_text(AGENT)
    running = platform([folder])

    def call(skill: str, **arguments: int) -> str:
        said = request(running, "POST", f"/agents/store/invoke/{skill}", arguments)
        return "" if said.status == 200 else f"{said.code}: {said.detail}"

    # More than artifacts may be, and no artifact.
    assert call("write", size=8) == ""
    for skill, arguments in (
        ("write", {"size": 9}),
        ("write", {"size": 3, "times": 3}),  # What nobody refers to any more lies on the disk all the same.
        ("small", {"times": 257}),
        ("append", {"times": 8}),
    ):
        said = call(skill, **arguments)
        assert said.startswith("limit_exceeded: The run would store more than 8388608 bytes of files."), said
    assert call("small", times=256) == ""
    assert call("append", times=6) == ""
    assert call("artifact", size=1) == ""
    assert call("artifact", size=3).startswith("invalid_agent_response: The run put out more than 2097152")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/v1/workspaces/default/files/large.bin", 100),
        ("POST", "/api/v1/workspaces/default/objects", 100),
        ("POST", "/api/v1/workspaces/default/commit", 413),
        ("POST", "/agents/desk/invoke/measure", 413),
        ("POST", "/agents/desk/", 413),
        ("POST", "/agents/desk/message:send", 413),
        ("POST", "/api/v1/keys", 413),
        ("PUT", "/api/v1/approvals/policy", 413),
        ("PUT", "/api/v1/grants/policy", 413),
        ("PUT", "/api/v1/secrets/NAME", 413),
        ("POST", "/api/v1/agents/desk/promote", 413),
    ],
)
def test_ten_gigabytes_go_into_a_workspace_and_nowhere_else(
    desk: Running, method: str, path: str, status: int
) -> None:
    if status == 100:
        assert request(desk, "PUT", "/api/v1/workspaces/default").status in (200, 201)
    with socket.create_connection((desk.host, desk.port), 10) as connection:
        kind = "text/plain" if "invoke" in path else "application/json"
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {desk.host}:{desk.port}\r\n"
            f"Authorization: Bearer {desk.key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {10 << 30}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = connection.recv(4096).decode()
    assert answer.startswith(f"HTTP/1.1 {status} "), answer
