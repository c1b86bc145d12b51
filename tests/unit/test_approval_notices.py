"""control/approvals/notices.py against a real server: signed, tried again, given up, never waited for."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from approval_fixtures import BOB, IDS, site
from cli_platform import Played, playing
from grant_fixtures import NOW, TurnedClock

from a2a_cloud.control.approvals.notices import Notices
from a2a_cloud.model.approval import Verdict
from a2a_cloud.model.problem import BadSetting

SECRET = "0123456789abcdef"


@pytest.fixture
def played() -> Iterator[Played]:
    with playing() as server:
        yield server


def notices(url: str, *pauses: float) -> Notices:
    return Notices(url + "/hook", SECRET, TurnedClock(), IDS, pauses=pauses)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - a server in another thread, or a log, sets no event
            await asyncio.sleep(0.01)


async def asked(played: Played, count: int) -> None:
    await until(lambda: len(played.asked) >= count)


def test_opening_and_deciding_are_told_with_a_signature(tmp_path: Path, played: Played) -> None:
    played.json("POST", "/hook", {})

    async def play() -> None:
        told = notices(played.url)
        async with site(tmp_path, told) as here:
            new = await here.ask()
            await asked(played, 1)
            await here.approvals.vote(new.id, BOB, Verdict.DENY, note="no")
            await asked(played, 2)
        await told.close()

    asyncio.run(play())
    bodies = [json.loads(each.body) for each in played.asked]
    assert [body["event"] for body in bodies] == ["approval.opened", "approval.decided"]
    assert [body["approval"]["state"] for body in bodies] == ["open", "denied"]
    assert bodies[0]["id"] != bodies[1]["id"]
    for each in played.asked:
        at, _, mac = each.headers["A2A-Signature"].partition(",v1=")
        assert at == f"t={int(NOW)}"
        wanted = hmac.new(SECRET.encode(), at[2:].encode() + b"." + each.body, hashlib.sha256).hexdigest()
        assert mac == wanted
        assert each.headers["Content-Type"] == "application/json"


def test_what_may_pass_is_tried_again_and_the_rest_is_given_up(
    tmp_path: Path, played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = [500, 429, 200, 404, 503, 302, 204]

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=statuses.pop(0), headers={"Location": "/elsewhere"})

    played.answers["POST", "/hook"] = answer

    async def play() -> None:
        told = notices(played.url, 0.01, 0.01)
        async with site(tmp_path, told) as here:
            await here.ask()
            await asked(played, 3)  # 500, 429, 200
            await here.ask()
            await asked(played, 4)  # 404: no other attempt
            await here.ask()
            await asked(played, 6)  # 503, 302: not followed, no other attempt
            await until(lambda: "302" in caplog.text)
        await told.close()

    with caplog.at_level(logging.WARNING, "a2a_cloud.approvals"):
        asyncio.run(play())
    assert statuses == [204]
    assert {each.path for each in played.asked} == {"/hook"}
    assert len({each.body for each in played.asked[:3]}) == 1
    assert [record.message.split("given up: ")[1] for record in caplog.records] == [
        "it answered 404",
        "it answered 302",
    ]


def test_nobody_at_the_address_holds_nothing_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        told = notices("http://127.0.0.1:9", 0.01)
        async with site(tmp_path, told) as here:
            new = await here.ask()
            assert (await here.approvals.vote(new.id, BOB, Verdict.APPROVE)).state == "approved"
            await until(lambda: len(caplog.records) == 2)
        await told.close()

    asyncio.run(play())
    assert "was given up" in caplog.text


def test_closing_waits_for_nothing(tmp_path: Path, played: Played) -> None:
    played.json("POST", "/hook", {}, status=500)

    async def play() -> None:
        told = notices(played.url, 60.0)
        async with site(tmp_path, told) as here:
            await here.ask()
            await asked(played, 1)
        async with asyncio.timeout(2):
            await told.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("url", "secret"),
    [("example.com/hook", SECRET), ("https://a b", SECRET), ("https://example.com", "short")],
)
def test_bad_settings_are_refused(url: str, secret: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Notices(url, secret, TurnedClock(), IDS)
    assert caught.value.remedy
