"""Passwords as NIST SP 800-63B-4 (section 3.1.1) wants them: length and a list of refused ones instead of
rules of composition, hashed with argon2id (RFC 9106) beside the loop, a few at once."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Busy, InvalidParams

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

#: Characters: the least for a password that stands alone, and the most that are hashed.
LEAST, MOST = 15, 256
#: argon2id: passes, KiB, lanes. 32 MiB and about 0.1 s of one core for each sign-in.
PASSES, MEMORY, LANES = 3, 32 << 10, 1
#: Hashed at once, and waiting for that.
AT_ONCE, WAITING = 2, 64

_ROWS = ("qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn")
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "1234567890qwertyuiop", *_ROWS)
#: What guessers begin with, and what stands for this platform.
_WORDS = (
    *("password", "passwort", "passw0rd", "p@ssw0rd", "p@ssword", "qwerty", "qwertz", "azerty", "letmein"),
    *("welcome", "iloveyou", "admin", "administrator", "root", "user", "login", "secret", "changeme"),
    *("change", "default", "monkey", "dragon", "football", "baseball", "master", "sunshine", "princess"),
    *("trustno1", "superman", "batman", "shadow", "abc123", "hello", "please", "test", "temp", "guest"),
    *("correcthorsebatterystaple", "correct", "horse", "battery", "staple", "opensesame", "mypassword"),
    *("a2acloud", "a2a", "cloud", "agent", "agents", "platform", "company", "office", "summer", "winter"),
    *("spring", "autumn", "january", "monday", "me", "my", "is", "the", "this", "in", "i", "love", "you"),
)


def normal(password: str) -> str:
    """The one form in which a password is compared (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, email: str = "") -> None:
    """Raises InvalidParams for a password that nobody may take."""
    text = normal(password)
    why = ""
    if len(text) < LEAST:
        why = f"has fewer than {LEAST} characters"
    elif len(text) > MOST:
        why = f"has more than {MOST} characters"
    elif any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
        why = "has control characters"
    elif _guessed(text.casefold(), email.casefold()):
        why = "is one of the first that others would try"
    if why:
        raise InvalidParams(
            f"The password {why}.",
            remedy="Take several words that nobody would put together, or let a password manager make it.",
            info={"field": "password"},
        )


def _guessed(text: str, email: str) -> bool:
    if len(set(text)) < 6:
        return True
    if any(text == (text[:size] * len(text))[: len(text)] for size in range(1, len(text) // 2 + 1)):
        return True  # A short piece again and again.
    left = text
    mine = [part for part in (email, *email.replace("@", ".").split(".")) if len(part) > 2]
    for run in _RUNS:
        for whole in (run, run[::-1]):
            left = _without_runs(left, whole)
    for word in sorted((*_WORDS, *mine), key=len, reverse=True):
        left = left.replace(word, "")
    # What is left when words and runs are gone has to be worth something itself.
    return len("".join(sign for sign in left if sign.isalpha())) < 4 and len(left) < 8


def _without_runs(text: str, run: str) -> str:
    """`text` without pieces of five characters and more that `run` has."""
    at = 0
    while at + 5 <= len(text):
        size = 5
        while at + size <= len(text) and text[at : at + size] in run:
            size += 1
        if size > 5:
            text = text[:at] + text[at + size - 1 :]
        else:
            at += 1
    return text


class Passwords:
    """Hashes and compares. Loop thread only; the work is done in threads of its own."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobodys = ""

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher  # Loaded with the first sign-in.

        return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY, parallelism=LANES)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(AT_ONCE, "passwords")

    async def hash(self, password: str) -> str:
        """What is stored of a password. Raises Busy."""
        return await self._beside(lambda: self._hasher.hash(normal(password)))

    async def matches(self, stored: str, password: str) -> tuple[bool, str]:
        """(whether it is that password, a new hash to store in the old one's place or ""). With nothing
        stored it takes as long, and says no. Raises Busy."""
        if len(password) > MOST * 4:
            return False, ""
        return await self._beside(lambda: self._compare(stored, normal(password)))

    def close(self) -> None:
        """Let go of the threads."""
        if "_threads" in self.__dict__:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _compare(self, stored: str, password: str) -> tuple[bool, str]:
        from argon2.exceptions import InvalidHashError, VerificationError

        if not self._nobodys:
            # Compared when there is no such account: whoever asks must not learn it from the time.
            self._nobodys = self._hasher.hash(self._entropy.bytes(16).hex())
        try:
            self._hasher.verify(stored or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False, ""
        again = self._hasher.check_needs_rehash(stored)
        return True, self._hasher.hash(password) if again else ""

    async def _beside(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Busy("Too many people sign in at this moment.", remedy="Try again.", retry_after=2)
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
