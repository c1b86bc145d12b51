"""An index of short texts by their words: BM25 (Robertson and Zaragoza, 2009, section 3) in memory.

What a reader may not see counts for nothing: how often a word occurs, and how long texts are, is worked out
among the documents that the reader sees, so that scores tell nothing of the others.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from math import log

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_K1 = 1.2
_B = 0.4
#: A word that only begins as the wanted one counts this much of it.
_BEGINS = 0.6
_MOST_WORDS = 32
_MOST_ALIKE = 50
#: Characters of one text that are read.
_MOST_TEXT = 4000


def words_of(text: str) -> list[str]:
    """The words of a text: without case and accents, names such as `readInvoice` taken apart, plural and
    singular alike."""
    plain = unicodedata.normalize("NFKD", _HUMP.sub(" ", text[:_MOST_TEXT]))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold()
    return [_singular(word) for word in _WORD.findall(plain)]


def _singular(word: str) -> str:
    """Harman's S-stemmer (1991)."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1]


#: Words of a query that say nothing about what is looked for, as long as it has others.
_STOP = frozenset(
    words_of(
        "a an and are as at be by can do find for from get give has have help how i in is it its me my need"
        " needs of on or our please some somebody something that the their them there these they this to want"
        " was what when which who will with would you your agent agents skill skills"
    )
)


class Words:
    """The index. A document is a number; its text comes in parts with a weight each."""

    def __init__(self) -> None:
        self._documents: dict[int, dict[str, float]] = {}
        self._lengths: dict[int, float] = {}
        self._found: dict[str, dict[int, float]] = {}
        self._sorted: list[str] | None = None

    def add(self, document: int, parts: Iterable[tuple[str, float]]) -> None:
        """Takes a document in; `document` is new."""
        counts: dict[str, float] = {}
        for text, weight in parts:
            for word in words_of(text):
                counts[word] = counts.get(word, 0.0) + weight
        self._documents[document] = counts
        self._lengths[document] = sum(counts.values())
        for word, count in counts.items():
            self._found.setdefault(word, {})[document] = count
        self._sorted = None

    def drop(self, document: int) -> None:
        """Lets go of a document."""
        for word in self._documents.pop(document, ()):
            found = self._found[word]
            del found[document]
            if not found:
                del self._found[word]
        self._lengths.pop(document, None)
        self._sorted = None

    def rank(self, text: str, seen: Set[int]) -> list[tuple[int, float]]:
        """The documents among `seen` that say some of the text's words, best first, with their scores."""
        words = list(dict.fromkeys(words_of(text)))
        wanted = ([word for word in words if word not in _STOP] or words)[:_MOST_WORDS]
        if not wanted or not seen:
            return []
        mean = sum(self._lengths[one] for one in seen) / len(seen) or 1.0
        scores: dict[int, float] = {}
        for word in wanted:
            counts = self._counts(word, seen)
            if not counts:
                continue
            rarity = log(1 + (len(seen) - len(counts) + 0.5) / (len(counts) + 0.5))
            for document, count in counts.items():
                norm = _K1 * (1 - _B + _B * self._lengths[document] / mean)
                score = rarity * count * (_K1 + 1) / (count + norm)
                scores[document] = scores.get(document, 0.0) + score
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))

    def _counts(self, word: str, seen: Set[int]) -> dict[int, float]:
        """How often each document says the word, or one that begins with it."""
        counts = {one: count for one, count in self._found.get(word, {}).items() if one in seen}
        for other in self._alike(word):
            for document, count in self._found[other].items():
                if document in seen:
                    counts[document] = max(counts.get(document, 0.0), _BEGINS * count)
        return counts

    def _alike(self, word: str) -> Sequence[str]:
        """`review` finds `reviewer`, and `reviewing` finds `review`."""
        if len(word) < 4:
            return ()
        found = [word[:end] for end in range(len(word) - 1, max(3, len(word) - 5), -1)]
        found = [other for other in found if other in self._found]
        every = self._sorted
        if every is None:
            every = self._sorted = sorted(self._found)
        start = bisect_left(every, word)
        for other in every[start : start + _MOST_ALIKE]:
            if not other.startswith(word):
                break
            if other != word:
                found.append(other)
        return found
