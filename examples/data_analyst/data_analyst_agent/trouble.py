"""What is wrong with a file, in a sentence, and what to do about it."""

from __future__ import annotations


class UnreadableError(Exception):
    """The file can't be analysed: `detail` says what is wrong and where, `remedy` what to do."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(f"{detail} {remedy}")
        self.detail = detail
        self.remedy = remedy


class NotThisEncodingError(Exception):
    """Bytes came that the guessed encoding doesn't have: try the next one."""
