"""The terms of a question for FTS5, rarest first, and how much each says.

A common term ("그리고", "the") matches half of a large memory and tells nothing, yet FTS5 scores every passage that has
it. So terms are taken from the rarest on until they match as many passages as may be looked at.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from memoryd.korean import Words

# Weights of the two columns: a bigram says less than a morpheme.
COLUMNS = {"morphemes": 1.0, "bigrams": 0.5}
# Terms that are counted, and of these the rarest that are looked for.
MOST_LOOKED_UP = 256
MOST_TERMS = 64
# Passages that all the terms of a question match together, at most: bm25 takes three microseconds for each. One term
# is always taken, of which then only the passages that came in last are looked at.
MOST_MATCHES = 4000
# Counting ends here; from how far it came in the memory the rest is reckoned.
MOST_COUNTED = MOST_MATCHES + 1
# From so many passages on a count is remembered, until the memory has grown by a tenth.
COMMON = 1000
GROWN = 1.1
MOST_KNOWN = 100_000
# How a word sounds, in bare letters (`memoryd.transliteration`).
SOUND = re.compile(r'bigrams:"[ㄱ-ㅣ]+"')


class Term(NamedTuple):
    """A word of a question in its column.

    Attributes:
        match: as FTS5 reads it.
        weight: how much it says: its column's weight times its inverse document frequency. 0 for the sound of a
            word that stands there itself: a passage that has it gains, and one that hasn't lacks nothing.
        matches: passages that have it; beyond `MOST_COUNTED` about so many.
    """

    match: str
    weight: float
    matches: int


class TermCounts:
    """Counts the passages that have a term.

    Only of common terms it remembers how many, while the memory stays about as large: a word that is said for the first
    time must be found at once, and counting rare ones costs nothing.

    Attributes:
        passages: the last row number when it began to remember.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self.passages = 0

    def of(self, connection: sqlite3.Connection, words: Words) -> list[Term]:
        """The terms of a question, rarest first; those that no passage has too, last."""
        passages = connection.execute("SELECT coalesce(max(id), 0) FROM passages").fetchone()[0]
        if not self.passages <= passages <= self.passages * GROWN or len(self._known) > MOST_KNOWN:
            self._known, self.passages = {}, passages
        known = self._known
        terms = []
        for column, match in _matches(words):
            count = known.get(match) or _count(connection, match, passages)
            if count >= COMMON:
                known[match] = count
            rarity = math.log(1 + (max(passages - count, 0) + 0.5) / (count + 0.5))
            weight = 0.0 if SOUND.fullmatch(match) else COLUMNS[column] * rarity
            terms.append(Term(match, weight, count))
        return sorted(terms, key=lambda term: (not term.matches, term.matches))


def affordable(terms: list[Term]) -> list[Term]:
    """The rarest terms that match no more passages together than may be looked at; one at least, if any matches."""
    chosen: list[Term] = []
    left = MOST_MATCHES
    for term in terms[:MOST_TERMS]:
        if not term.matches or (chosen and term.matches > left):
            break
        chosen.append(term)
        left -= term.matches
    return chosen


def first_row(terms: list[Term], passages: int) -> int:
    """The row from which on these terms match about as many passages as may be looked at; 0 where all of them do."""
    matches = sum(term.matches for term in terms)
    return 0 if matches <= MOST_MATCHES else round(passages * (1 - MOST_MATCHES / matches))


def _matches(words: Words) -> Iterator[tuple[str, str]]:
    """Each word once, in its column. Words hold no quotes, so none can escape."""
    pairs = [("morphemes", word) for word in dict.fromkeys(words.morphemes.split())]
    pairs += [("bigrams", pair) for pair in dict.fromkeys(words.bigrams.split())]
    for column, word in pairs[:MOST_LOOKED_UP]:
        yield column, f'{column}:"{word}"'


def _count(connection: sqlite3.Connection, match: str, passages: int) -> int:
    (counted, last) = connection.execute(
        "SELECT count(*), max(rowid) FROM (SELECT rowid FROM lexical WHERE lexical MATCH ? LIMIT ?)",
        (match, MOST_COUNTED),
    ).fetchone()
    return int(counted) if counted < MOST_COUNTED else max(MOST_COUNTED, MOST_COUNTED * passages // int(last))
