"""runtime/outward.py: which addresses the platform sends anything to, and which never."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from cli_platform import Played, playing

from a2a_cloud.model.problem import BadSetting, EgressRefused, InvalidParams, UpstreamFailed
from a2a_cloud.runtime import outward as outward_module
from a2a_cloud.runtime.outward import Outward, Private, place, private

NOWHERE = private("", "A2A_PUSH_PRIVATE")


class Names:
    """A resolver that says what a test wants, one answer after the other."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def played() -> Iterator[Played]:
    with playing() as server:
        server.json("POST", "/hook", {})
        server.json("GET", "/file", {"it": "is"})
        yield server


def judge(url: str, allowed: Private = NOWHERE, *found: str) -> list[str]:
    async def look() -> list[str]:
        outward = Outward(allowed, resolver=Names(found))
        where = place(url)
        return await outward.addresses(where.host, where.port)

    return asyncio.run(look())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "169.254.1.1",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.7",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2002:7f00:1::1",
    ],
)
def test_what_is_not_global_is_refused_by_name_and_by_number(address: str) -> None:
    with pytest.raises(EgressRefused) as caught:
        judge("https://hooks.example/x", NOWHERE, address)
    assert "A2A_PUSH_PRIVATE" in caught.value.remedy
    with pytest.raises(EgressRefused):
        judge("https://hooks.example/x", NOWHERE, "8.8.8.8", address)  # one of several is enough
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises((EgressRefused, InvalidParams)):
        judge(f"https://{literal}/x")


def test_what_is_global_is_dialled() -> None:
    assert judge("https://hooks.example/x", NOWHERE, "8.8.8.8", "2606:4700::1111") == [
        "8.8.8.8",
        "2606:4700::1111",
    ]
    assert judge("https://8.8.8.8/") == ["8.8.8.8"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "gopher://hooks.example/",
        "https://user:pass@hooks.example/",
        "https://hooks.example@10.0.0.1/",
        "https://hooks.example\\@10.0.0.1/",
        "https://hooks.example /",
        "https://hooks.example/\r\nHost: x",
        "https://höoks.example/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://[::ffff:7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://%[v1.a]/",
        "https://hooks.example%2f/",
        "https://hooks.example:0/",
        "https://hooks.example:99999/",
        "https://hooks.example:x/",
        "https:///x",
        "https://" + "a" * 2048,
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        place(url)
    assert caught.value.info == {"field": "url"}


def test_an_operator_opens_hosts_and_ranges() -> None:
    allowed = private("hooks.internal, localhost:8000 ,10.1.0.0/16, [fd00::5]:81", "A2A_PUSH_PRIVATE")
    assert judge("http://hooks.internal:9/", allowed, "192.168.0.1") == ["192.168.0.1"]
    assert judge("http://localhost:8000/", allowed, "127.0.0.1") == ["127.0.0.1"]
    assert judge("http://other.example/", allowed, "10.1.2.3") == ["10.1.2.3"]
    assert judge("http://10.1.2.3/", allowed) == ["10.1.2.3"]
    assert judge("http://[fd00::5]:81/", allowed) == ["fd00::5"]
    for url, found in (
        ("http://localhost:8001/", "127.0.0.1"),
        ("http://other.example/", "10.2.0.1"),
        ("http://hooks.internal/", "169.254.169.254"),  # where machines get their keys
        ("http://hooks.internal/", "fd00:ec2::254"),
        ("http://[fd00::5]:82/", ""),
    ):
        with pytest.raises(EgressRefused):
            judge(url, allowed, found)
    everything = private("0.0.0.0/0, ::/0", "A2A_PUSH_PRIVATE")
    with pytest.raises(EgressRefused):
        judge("http://hooks.example/", everything, "169.254.169.254")
    assert judge("http://hooks.example/", everything, "10.0.0.1") == ["10.0.0.1"]


@pytest.mark.parametrize("text", ["10.0.0.1/8", "host:0", "host:x", "http://host", "a b", "host:99999"])
def test_a_setting_that_can_t_be_used_is_named(text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        private(text, "A2A_FETCH_PRIVATE")
    assert caught.value.info == {"setting": "A2A_FETCH_PRIVATE"}


def test_a_name_that_changes_between_check_and_connection_changes_nothing(played: Played) -> None:
    port = int(played.url.rpartition(":")[2])
    where = place(f"http://hooks.example:{port}/hook")

    async def play() -> None:
        names = Names(["8.8.8.8"], ["127.0.0.1"])  # Global when it is looked at, this machine afterwards.
        outward = Outward(NOWHERE, resolver=names)
        await outward.look(where)
        with pytest.raises(EgressRefused):
            await outward.post(where, b"{}", {}, 5)
        assert names.asked == 2
        await outward.close()

    asyncio.run(play())
    assert played.asked == []


def test_what_was_judged_is_what_is_dialled(played: Played) -> None:
    port = int(played.url.rpartition(":")[2])
    where = place(f"http://hooks.example:{port}/hook?k=1#part")

    async def play() -> None:
        names = Names(["127.0.0.1"])
        outward = Outward(private("127.0.0.0/8", "X"), resolver=names)
        assert (await outward.post(where, b'{"a":1}', {"A": "b"}, 5)).status == 200
        assert names.asked == 1  # the one look-up of the connection
        await outward.close()

    asyncio.run(play())
    (asked,) = played.asked
    assert (asked.path, asked.query, asked.body, asked.headers["A"]) == ("/hook", {"k": "1"}, b'{"a":1}', "b")
    assert asked.headers["Host"] == f"hooks.example:{port}"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://HOOKS.Example:PORT/hook", "hooks.example"),
        ("http://xn--bcher-kva.example:PORT/hook", "xn--bcher-kva.example"),
        ("HTTP://_hooks.Example:0PORT/hook", "_hooks.example"),
    ],
)
def test_a_name_in_another_spelling_is_the_same_name(played: Played, url: str, host: str) -> None:
    port = played.url.rpartition(":")[2]
    where = place(url.replace("PORT", port))
    assert (where.url, where.origin) == (f"http://{host}:{port}/hook", f"http://{host}:{port}")

    async def play() -> None:
        outward = Outward(private("127.0.0.0/8", "X"), resolver=Names(["127.0.0.1"]))
        assert (await outward.post(where, b"{}", {}, 5)).status == 200
        await outward.close()

    asyncio.run(play())
    assert played.asked[0].headers["Host"] == f"{host}:{port}"


@pytest.mark.parametrize("url", ["http://xn--a/", "http://xn--a-https/"])
def test_what_another_reader_can_t_read_is_never_dialled(url: str) -> None:
    async def play() -> None:
        names = Names(["127.0.0.1"])
        outward = Outward(NOWHERE, resolver=names)
        with pytest.raises(InvalidParams):
            await outward.post(place(url), b"{}", {}, 5)
        await outward.close()
        assert names.asked == 0

    asyncio.run(play())


def test_names_that_are_slow_to_be_found_hold_up_nothing_that_is_sent(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stranger's name server makes them: looking costs places that sending doesn't need."""
    port = int(played.url.rpartition(":")[2])
    slow, found = threading.Event(), socket.getaddrinfo

    def look_up(host: str, *args: Any, **named: Any) -> Any:
        if host.startswith("slow"):
            slow.wait(30)
        return found("127.0.0.1", *args, **named)

    monkeypatch.setattr(outward_module.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(outward_module, "LOOK", 0.01)

    async def play() -> None:
        outward = Outward(private("127.0.0.0/8", "X"), at_once=2)
        await asyncio.gather(*(outward.look(place(f"http://slow{n}.example/")) for n in range(50)))
        quick = place(f"http://quick.example:{port}/hook")
        assert (await outward.post(quick, b"{}", {}, 30)).status == 200
        slow.set()
        await outward.close()

    asyncio.run(play())


def test_a_redirect_is_a_new_address(played: Played) -> None:
    port = int(played.url.rpartition(":")[2])
    played.json("GET", "/in", {}, 302, Location="http://internal.example/")
    played.json("GET", "/out", {}, 302, Location=f"http://files.example:{port}/file")

    async def play() -> None:
        async def resolver(host: str, _port: int) -> list[str]:
            return ["10.0.0.1"] if host == "internal.example" else ["127.0.0.1"]

        outward = Outward(private("127.0.0.0/8", "X"), resolver=resolver)
        with pytest.raises(EgressRefused):
            async with outward.get(place(f"http://files.example:{port}/in"), 5):
                pass
        async with outward.get(place(f"http://files.example:{port}/out"), 5) as response:
            assert await response.json() == {"it": "is"}
        await outward.close()

    asyncio.run(play())


def test_what_fails_says_why_and_not_where() -> None:
    async def play() -> None:
        outward = Outward(private("127.0.0.0/8", "X"))
        with pytest.raises(UpstreamFailed, match="not known"):
            await outward.post(place("http://nothing.invalid/?secret"), b"", {}, 5)
        with pytest.raises(UpstreamFailed) as caught:
            await outward.post(place("http://127.0.0.1:9/?secret"), b"", {}, 5)
        assert "secret" not in caught.value.sentence
        await outward.look(place("http://nothing.invalid/"))  # It may be known later.
        await outward.close()

    asyncio.run(play())
