"""The tokens of an uncased BERT model: text is cleaned and split, then each word is cut into the longest
pieces that the vocabulary has (Devlin et al., 2018; Wu et al., 2016)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

_MOST_SIGNS = 100


class WordPiece:
    """`lines` are the pieces, in the order of their numbers."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._numbers = {line.rstrip("\n"): number for number, line in enumerate(lines)}
        self._unknown = self._numbers["[UNK]"]
        self._begin = self._numbers["[CLS]"]
        self._end = self._numbers["[SEP]"]

    def tokens(self, text: str, most: int) -> list[int]:
        """The numbers of the text's pieces between those of beginning and end, `most` in all."""
        found = [self._begin]
        for word in _words(text):
            found += self._pieces(word)
            if len(found) >= most:
                break
        return [*found[: most - 1], self._end]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _MOST_SIGNS:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self._numbers.get(mark + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [self._unknown]
        return found


def _words(text: str) -> Iterator[str]:
    """Words without case and accents; a punctuation mark or an ideograph is a word of its own."""
    word: list[str] = []
    for sign in unicodedata.normalize("NFD", "".join(map(_cleaned, text)).lower()):
        category = unicodedata.category(sign)
        if category == "Mn":
            continue
        if sign.isspace() or _alone(sign, category):
            if word:
                yield "".join(word)
                word.clear()
            if not sign.isspace():
                yield sign
        else:
            word.append(sign)
    if word:
        yield "".join(word)


def _cleaned(sign: str) -> str:
    if sign in "\t\n\r":
        return " "
    category = unicodedata.category(sign)
    if sign in "\0\ufffd" or category in ("Cc", "Cf", "Co", "Cs"):
        return ""
    return " " if category == "Zs" else sign


def _alone(sign: str, category: str) -> bool:
    code = ord(sign)
    if code < 0x80:
        return not sign.isalnum()
    return (
        category[0] == "P"
        or 0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x2A6DF
        or 0x2A700 <= code <= 0x2B73F
        or 0x2B740 <= code <= 0x2B81F
        or 0x2B820 <= code <= 0x2CEAF
        or 0xF900 <= code <= 0xFAFF
        or 0x2F800 <= code <= 0x2FA1F
    )
