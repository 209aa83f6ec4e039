"""The words of a question in the lexical index: which passages have them, and how much each says.

question ─▶ terms ─▶ counted ─▶ the rarest, while they match few enough ─▶ their row numbers ─▶ a share for each row

A common term ("그리고", "the") matches half of a large memory and tells nothing. FTS5 finds passages ten times as fast
as it scores them, and they are too short for bm25's other parts (how often a word comes, how long the text is) to find
more: docs/recall.md. Numpy is imported where it is used: the routes import the ledger, and the port opens first.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.korean import Words

# What a word says is the logarithm of one passage in how many has it, less the first of these: what every third passage
# has says next to nothing. A small memory has no rare words; there a part of the logarithm is left.
LESS, LEFT = 1.0, 0.1
# Weights of the two columns: a bigram says less than a morpheme.
COLUMNS = {"morphemes": 1.0, "bigrams": 0.3}
# Terms that are counted, and of these the rarest that are looked for.
MOST_LOOKED_UP = 256
MOST_TERMS = 64
# Passages that all the terms of a question match together, at most. One term is always taken, of which then only the
# passages that came in last are looked at.
MOST_MATCHES = 12_000
# So many passages of a term are read when it is counted; if there are more, it is reckoned from how far they reach.
FEW = 2000
# How many passages have a common term is remembered until the memory has grown by a tenth.
GROWN = 1.1
MOST_KNOWN = 100_000
# How a word sounds, in bare letters (`memoryd.transliteration`).
SOUND = re.compile(r'bigrams:"[ㄱ-ㅣ]+"')


class Term(NamedTuple):
    """A word of a question in its column.

    Attributes:
        match: as FTS5 reads it.
        weight: how much it says: its column's weight times its inverse document frequency, less a little.
        matches: passages that have it; of a common one about so many.
        rows: their row numbers, (n,) int64, ascending; None of a common one.
    """

    match: str
    weight: float
    matches: int
    rows: NDArray[np.int64] | None = None


class Shares(NamedTuple):
    """Passages that have words of a question: row numbers, (n,) int64, ascending, and their shares, (n,) float64."""

    rows: NDArray[np.int64]
    shares: NDArray[np.float64]

    def of(self, row: int) -> float:
        """A passage's share, 0 to 1."""
        at = int(self.rows.searchsorted(row))
        return float(self.shares[at]) if at < len(self.rows) and self.rows[at] == row else 0.0

    def best(self, k: int) -> list[int]:
        """The row numbers of the k largest shares, largest first; among equals those that came in last."""
        rows, shares = self.rows[::-1], self.shares[::-1]
        if k < len(rows):
            # Sorting all of them would take longer than all the rest.
            falling = -shares
            falling.partition(k - 1)
            enough = shares >= -falling[k - 1]
            rows, shares = rows[enough], shares[enough]
        found: list[int] = rows[(-shares).argsort(kind="stable")][:k].tolist()
        return found


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
            rows, count = None, known.get(match, 0)
            if not count:
                rows = _rows(connection, match, most=FEW)
                count = len(rows)
                if count == FEW:
                    known[match] = count = max(FEW, FEW * passages // int(rows[-1]))
                    rows = None
            rarity = math.log(1 + (max(passages - count, 0) + 0.5) / (count + 0.5))
            says = max(rarity - LESS, rarity * LEFT)
            terms.append(Term(match, COLUMNS[column] * says, count, rows))
        return sorted(terms, key=lambda term: (not term.matches, term.matches))


def affordable(terms: Sequence[Term]) -> list[Term]:
    """The rarest terms that match no more passages together than may be looked at; one at least, if any matches."""
    chosen: list[Term] = []
    left = MOST_MATCHES
    for term in terms[:MOST_TERMS]:
        if not term.matches or (chosen and term.matches > left):
            break
        chosen.append(term)
        left -= term.matches
    return chosen


def shares(connection: sqlite3.Connection, terms: Sequence[Term], *, passages: int | None) -> Shares:
    """Each passage's share of the question's words: how much its terms say of what all of them say, 0 to 1.

    Terms that no passage has count among all. The sound of a word does not, for the word stands there itself: a passage
    that has it gains, and one that hasn't lacks nothing.

    Args:
        terms: of a question, rarest first.
        passages: the last row number; of a term that alone matches too many, only the last passages are then looked at.
    """
    import numpy as np

    chosen = affordable(terms)
    first = 0 if passages is None else _first_row(chosen, passages)
    whole = sum(term.weight for term in terms if not SOUND.fullmatch(term.match)) or 1.0
    parts = [_rows(connection, term.match, first) if term.rows is None else term.rows for term in chosen]
    if not parts:
        return Shares(np.empty(0, np.int64), np.empty(0))
    rows, places = np.unique(np.concatenate(parts), return_inverse=True)
    said = np.repeat([term.weight for term in chosen], [len(part) for part in parts])
    return Shares(rows, np.minimum(np.bincount(places, said, len(rows)) / whole, 1.0))


def _first_row(terms: Sequence[Term], passages: int) -> int:
    """The row from which on these terms match about as many passages as may be looked at; 0 where all of them do."""
    matches = sum(term.matches for term in terms)
    return 0 if matches <= MOST_MATCHES else round(passages * (1 - MOST_MATCHES / matches))


def _matches(words: Words) -> Iterator[tuple[str, str]]:
    """Each word once, in its column. Words hold no quotes, so none can escape."""
    pairs = [("morphemes", word) for word in dict.fromkeys(words.morphemes.split())]
    pairs += [("bigrams", pair) for pair in dict.fromkeys(words.bigrams.split())]
    for column, word in pairs[:MOST_LOOKED_UP]:
        yield column, f'{column}:"{word}"'


def _rows(connection: sqlite3.Connection, match: str, first: int = 0, most: int = -1) -> NDArray[np.int64]:
    """Row numbers of the passages that match, ascending, from a first one on; (n,) int64.

    They come as one text: a row of its own for each would take Python longer than FTS5 takes to find it.
    """
    import numpy as np

    (numbers,) = connection.execute(
        """SELECT group_concat(rowid) FROM
               (SELECT rowid FROM lexical WHERE lexical MATCH ? AND rowid >= ? LIMIT ?)""",
        (match, first, most),
    ).fetchone()
    return np.fromstring(numbers or "", np.int64, sep=",")
