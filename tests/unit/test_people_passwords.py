"""control/people: passwords that are refused, pauses that are forgotten, tickets, rules over claims."""

from __future__ import annotations

import asyncio

import pytest

from a2a_cloud.control.people import passwords
from a2a_cloud.control.people.passwords import Passwords, check
from a2a_cloud.control.people.rules import parse, places
from a2a_cloud.control.people.throttle import ACCOUNT, LONGEST, PAIR, WINDOW, Throttle
from a2a_cloud.control.people.tickets import Tickets
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.model.problem import BadSetting, Busy, InvalidParams
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.surface.people import port


class Clock:
    at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


GOOD = [
    "three green teapots sing",
    "correct horse battery staple tulip",
    "xK9#mQ2$vL7@nR4",
    "жёлтые слоны поют ночью",
    "密碼密碼一二三四五六七八九十百千",
    "adas favourite colour is teal",
]
BAD = [
    *(
        "fourteen chars",
        "a" * 15,
        "abababababababab",
        "passwordpassword",
        "Password12345678",
        "123456789012345",
    ),
    *(
        "qwertyuiopasdfg",
        "letmeinletmein!!",
        "correct horse battery staple",
        "ada@example.com1",
        "a2acloudadmin123",
    ),
    *("zyxwvutsrqponmlkj", "p" * 300, "tab\there in the middle", "welcome-welcome-1", "adalovelace12345"),
]


@pytest.mark.parametrize("password", GOOD, ids=range(len(GOOD)))
def test_a_good_password_is_taken(password: str) -> None:
    check(password, "ada@example.com")


@pytest.mark.parametrize("password", BAD, ids=range(len(BAD)))
def test_a_bad_one_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        check(password, "adalovelace@example.com" if "lovelace" in password else "ada@example.com")
    assert password not in refused.value.sentence


def test_the_pages_say_the_lengths_that_hold() -> None:
    assert (port.LEAST, port.MOST) == (passwords.LEAST, passwords.MOST)


def test_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        hashes = Passwords(SystemEntropy())
        stored = await hashes.hash("ﬁve green teapots")
        assert stored.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
        # The same in another spelling of Unicode, and nothing else.
        assert await hashes.matches(stored, "five green teapots") == (True, "")
        assert await hashes.matches(stored, "Five green teapots") == (False, "")
        assert await hashes.matches("", "five green teapots") == (False, "")
        assert await hashes.matches("no hash", "five green teapots") == (False, "")
        assert await hashes.matches(stored, "x" * 100_000) == (False, "")
        monkeypatch.setattr(passwords, "PASSES", 2)
        dearer = Passwords(SystemEntropy())
        good, again = await dearer.matches(stored, "five green teapots")
        assert good
        assert again.startswith("$argon2id$v=19$m=32768,t=2,p=1$")
        monkeypatch.setattr(passwords, "WAITING", 1)
        found = await asyncio.gather(*(hashes.hash("x") for _ in range(3)), return_exceptions=True)
        assert sorted(type(each) is Busy for each in found) == [False, True, True]
        hashes.close()
        dearer.close()

    asyncio.run(work())


def test_pauses_grow_and_are_forgotten() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(PAIR):
        assert throttle.wait("ada", "1.2.3.4") == 0
        throttle.failed("ada", "1.2.3.4")
    pauses: list[float] = []
    for _ in range(12):
        pauses.append(throttle.wait("ada", "1.2.3.4"))
        throttle.failed("ada", "1.2.3.4")
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[1], max(pauses)) == (1, 2, LONGEST)
    # From elsewhere she still comes in, and others from there.
    assert throttle.wait("ada", "5.6.7.8") == 0
    assert throttle.wait("bob", "1.2.3.4") == 0
    clock.at += WINDOW + 1
    assert throttle.wait("ada", "1.2.3.4") == 0


def test_a_guesser_with_many_addresses_has_to_wait_too() -> None:
    throttle = Throttle(Clock())
    for number in range(ACCOUNT):
        throttle.failed("ada", f"10.0.0.{number}")
    assert throttle.wait("ada", "192.0.2.1") > 0
    assert throttle.wait("bob", "192.0.2.1") == 0
    for number in range(30):
        throttle.failed(f"person {number}", "203.0.113.9")
    assert throttle.wait("somebody else", "203.0.113.9") > 0
    for number in range(30):  # A /64 is one subscriber's.
        throttle.failed(f"person {number}", f"2001:db8::{number:x}")
    assert throttle.wait("somebody else", "2001:db8::ffff:1") > 0
    assert throttle.wait("somebody else", "2001:db8:0:1::1") == 0


def test_tickets() -> None:
    clock = Clock()
    tickets = Tickets(Seal(b"k" * 32, SystemEntropy()), clock)
    ticket = tickets.make("sign-in", 60, {"a": "ü"})
    assert "ü" not in ticket
    assert tickets.read("register", ticket) is None
    assert tickets.read("sign-in", ticket[:-2] + "AA") is None
    assert tickets.read("sign-in", "") is None
    assert tickets.read("sign-in", "ä") is None
    assert tickets.read("sign-in", ticket) == {"a": "ü"}
    assert tickets.read("sign-in", ticket) is None
    late = tickets.make("sign-in", 60, {})
    clock.at += 61
    assert tickets.read("sign-in", late) is None
    other = Tickets(Seal(b"l" * 32, SystemEntropy()), clock)
    assert other.read("sign-in", tickets.make("sign-in", 60, {})) is None


def test_rules() -> None:
    rules = parse(
        "groups=ops -> default:admin;groups=*-dev->acme:developer\n# all\nemail = *@a.example->acme:member\n"
        "* -> zoo:viewer",
        "X",
    )
    assert places(rules, {"groups": ["ops", "web-dev"]}) == {
        "default": "admin",
        "acme": "developer",
        "zoo": "viewer",
    }
    assert places(rules, {"groups": "web-dev"})["acme"] == "developer"
    assert places(rules, {"groups": ["web-devs", 7, None]}) == {"zoo": "viewer"}
    assert places(rules, {"email": "x@a.example"}) == {"zoo": "viewer"}
    assert places(rules, {"email": "x@a.example", "email_verified": "true"}) == {"zoo": "viewer"}
    assert places(rules, {"email": "x@a.example", "email_verified": True})["acme"] == "member"
    assert places(rules, {"email": "x@a.example.evil", "email_verified": True}) == {"zoo": "viewer"}
    assert parse("", "X") == ()


@pytest.mark.parametrize(
    "text",
    ["ops", "groups=ops", "groups=ops -> default", "=x -> a:b", "a= -> a:b", "a=b -> A:b", "* -> a:b c"],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="which is no rule"):
        parse(text, "A2A_OIDC_RULES")
