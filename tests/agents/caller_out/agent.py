"""An agent that goes out into the network, as ordinary libraries do, and tells how it went."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx

from a2a_cloud import Context, ScopeDenied, skill

#: Tunnels that outlive the run that made them.
KEPT: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []


@skill
def with_urllib(url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """GET, as everybody's script does."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as got:  # noqa: S310
            return {"status": got.status, "body": got.read().decode(), "url": got.url}
    except urllib.error.HTTPError as error:
        with error:
            return {"status": error.code, "body": error.read().decode(), "url": error.url}
    except OSError as error:
        return {"status": 0, "body": str(error), "url": url}


@skill
async def with_httpx(url: str, body: str = "", roots: str = "") -> dict[str, Any]:
    """GET or POST, `roots` being PEM for an https address."""
    verify = ssl.create_default_context(cadata=roots) if roots else True
    async with httpx.AsyncClient(verify=verify, timeout=10) as client:
        try:
            got = await (client.post(url, content=body) if body else client.get(url))
        except httpx.ProxyError as error:
            return {"status": 0, "body": str(error)}
        return {"status": got.status_code, "body": got.text}


@skill
def straight(addresses: list[tuple[str, int]]) -> dict[str, str]:
    """Connect without the proxy: which error each gives."""
    found: dict[str, str] = {}
    for host, port in addresses:
        try:
            with socket.create_connection((host, port), timeout=3):
                found[host] = "connected"
        except socket.gaierror:
            found[host] = "EAI"
        except OSError as error:
            found[host] = errno.errorcode.get(error.errno or 0, str(error))
    return found


@skill
async def wider(ctx: Context, host: str, url: str) -> dict[str, Any]:
    """Ask for a host, then go there."""
    before = await asyncio.to_thread(with_urllib, url)
    try:
        scope = await ctx.request_scope(egress=[host], reason="to look there")
    except ScopeDenied as denied:
        return {"before": before, "denied": denied.detail}
    return {
        "before": before,
        "egress": list(scope.egress),
        "after": await asyncio.to_thread(with_urllib, url),
    }


async def tunnel(host: str, port: int, roots: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TLS connection through the proxy, on which a first line went both ways."""
    proxy = httpx.URL(os.environ["HTTPS_PROXY"])
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in answer:
        raise RuntimeError(answer.decode())
    await writer.start_tls(ssl.create_default_context(cadata=roots), server_hostname=host)
    writer.write(b"ping\n")
    if await reader.readline() != b"ping\n":
        raise RuntimeError("there is no echo")
    return reader, writer


@skill
async def hold(ctx: Context, host: str, port: int, roots: str) -> dict[str, Any]:
    """Keep a tunnel busy until somebody cuts it."""
    reader, writer = await tunnel(host, port, roots)
    await ctx.progress("held")
    try:
        for _ in range(2000):
            writer.write(b"ping\n")
            if await reader.readline() != b"ping\n":
                break
            await asyncio.sleep(0.01)
        else:
            return {"cut": False}
    except (OSError, ssl.SSLError):
        pass
    finally:
        writer.transport.abort()
    again = await asyncio.to_thread(with_urllib, f"http://{host}:{port}/")
    return {"cut": True, "again": again["status"]}


@skill
async def keep(host: str, port: int, roots: str) -> str:
    """Leave a tunnel open."""
    KEPT.append(await tunnel(host, port, roots))
    return "kept"


@skill
async def kept() -> list[str]:
    """How the tunnels are that earlier runs left."""
    found: list[str] = []
    for reader, writer in KEPT:
        try:
            writer.write(b"ping\n")
            async with asyncio.timeout(3):
                found.append("open" if await reader.readline() else "ended")
        except (OSError, ssl.SSLError):
            found.append("ended")
        writer.transport.abort()
    KEPT.clear()
    return found


@skill
def everything() -> str:
    """All that it can read about itself and others: environments, arguments, memory, files."""
    found = [repr(sorted(os.environ))]
    for folder in ("/proc", "/app", "/tmp", "/run", "/etc", "/dev/shm"):
        for path, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name not in ("task", "sys", "__pycache__")]
            for name in names:
                if folder != "/proc" or name in ("environ", "cmdline"):
                    try:
                        found.append(needles((Path(path) / name).read_bytes()))
                    except OSError:
                        continue
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if rights.startswith("rw") and end - start < 64 << 20:
            with open("/proc/self/mem", "rb", buffering=0) as memory:
                try:
                    memory.seek(start)
                    found.append(needles(memory.read(end - start)))
                except OSError:
                    continue
    return " ".join(filter(None, found))


def needles(data: bytes) -> str:
    """What looks like the test's secret."""
    return " ".join(found.decode() for found in re.findall(rb"s3cret-of-[0-9a-f]{16}", data))
