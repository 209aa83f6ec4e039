"""The words of a question in the lexical index: which passages have them, and how much each says.

question ─▶ terms ─▶ counted ─▶ the rarest, while they match few enough ─▶ their row numbers ─▶ a share for each row

A common term ("그리고", "the") matches half of a large memory and tells nothing. FTS5 finds passages many times as fast
as it scores them, and they are too short for bm25's other parts (how often a word comes, how long the text is) to find
more: docs/recall.md. Numpy is imported where it is used: the routes import the ledger, and the app answers first.
"""

from __future__ import annotations

import math
import re
import time
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
# Weights of the two columns, where a bigram says less than a morpheme, and of what a word is in the other language.
COLUMNS = {"morphemes": 1.0, "bigrams": 0.3}
MEANING = 0.5
# Terms that are counted, and of these the rarest that are looked for.
MOST_LOOKED_UP = 256
MOST_TERMS = 64
# Passages that all the terms of a question match together, at most. The rarest is always taken; where that one alone
# matches more, the passages that came in last are looked at, so many of them.
MOST_MATCHES = 10_000
MOST_OF_ONE = 100_000
# A term that fewer passages have is counted anew each time, which takes a fraction of a millisecond; but for one from
# whom passages are hidden: there it takes as long as there are hidden ones, and must not hang on how many there are.
FEW = 1000
# How many passages have a common term is remembered until the memory has grown by a tenth or lost its last passage, and
# for ten minutes at most: what is taken out elsewhere shows in no number that is cheap to read.
GROWN = 1.1
REMEMBERED_S = 600.0
MOST_KNOWN = 100_000
MATCHING = "lexical WHERE lexical MATCH ?"
QUOTE = '"'
# How a word sounds, in bare letters (`memoryd.transliteration`).
SOUND = re.compile(r'bigrams:"[ㄱ-ㅣ]+"')


class Term(NamedTuple):
    """A word of a question in its column.

    Attributes:
        match: as FTS5 reads it.
        weight: how much it says: its column's weight times its inverse document frequency, less a little.
        matches: passages that have it.
        extra: whether a passage that has it gains, and one that hasn't lacks nothing: another word stands for it.
    """

    match: str
    weight: float
    matches: int
    extra: bool = False


class Shares(NamedTuple):
    """Passages that have words of a question: row numbers, (n,) int64, ascending, and their shares, (n,) float64."""

    rows: NDArray[np.int64]
    shares: NDArray[np.float64]

    def of(self, rows: Sequence[int]) -> dict[int, float]:
        """Row number → share, 0 to 1, of these passages."""
        if not len(self.rows):
            return dict.fromkeys(rows, 0.0)
        at = self.rows.searchsorted(rows).clip(max=len(self.rows) - 1)
        found = (self.shares[at] * (self.rows[at] == rows)).tolist()
        return dict(zip(rows, found, strict=True))

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
    """Counts the passages that have a term, for one reader: of passages that are hidden from them nothing is counted.

    How rare a word is shows in every score. Were it counted over everybody's passages, a word would tell a member
    that somebody else has said it.

    Only of common terms it remembers how many, while the memory stays about as large: a word that is said for the first
    time must be found at once, and counting rare ones takes little.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._passages = 0
        self._last_row = 0
        self._since = -math.inf

    def of(
        self, connection: sqlite3.Connection, words: Words, hidden: NDArray[np.int64] | None = None
    ) -> list[Term]:
        """The terms of a question, rarest first; those that no passage has too, last.

        Args:
            hidden: row numbers of the passages that are not to be counted, (n,) int64, ascending; None for none.
        """
        passages = self._passages_now(connection) if hidden is None else self._visible_now(connection, hidden)
        known = self._known
        terms = []
        for match, column_weight, extra in _matches(words):
            count = known.get(match, 0)
            if not count:
                count = _count(connection, match, hidden)
                if count and (count >= FEW or hidden is not None):
                    known[match] = count
            rarity = math.log(1 + (max(passages - count, 0) + 0.5) / (count + 0.5))
            says = max(rarity - LESS, rarity * LEFT)
            terms.append(Term(match, column_weight * says, count, extra))
        terms = _in_place(terms, words)
        return sorted(terms, key=lambda term: (not term.matches, term.matches))

    def _passages_now(self, connection: sqlite3.Connection) -> int:
        """How many passages there are; forgets the counts where they may no longer hold."""
        last = connection.execute("SELECT coalesce(max(id), 0) FROM passages").fetchone()[0]
        added, now = last - self._last_row, time.monotonic()
        grown = self._passages + added > self._passages * GROWN
        if added < 0 or grown or now - self._since > REMEMBERED_S or len(self._known) > MOST_KNOWN:
            self._passages = connection.execute("SELECT count(*) FROM passages").fetchone()[0]
            self._known, self._last_row, self._since = {}, last, now
            return self._passages
        return self._passages + int(added)

    def _visible_now(self, connection: sqlite3.Connection, hidden: NDArray[np.int64]) -> int:
        """The same for a reader from whom some are hidden, exactly: an estimate would grow with what is hidden."""
        (every,) = connection.execute("SELECT count(*) FROM passages").fetchone()
        passages, now = int(every) - len(hidden), time.monotonic()
        grown = not self._passages <= passages <= self._passages * GROWN
        if grown or now - self._since > REMEMBERED_S or len(self._known) > MOST_KNOWN:
            self._passages, self._known, self._since = passages, {}, now
        return passages


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


def shares(
    connection: sqlite3.Connection, terms: Sequence[Term], hidden: NDArray[np.int64] | None = None
) -> Shares:
    """Each passage's share of the question's words: how much its terms say of what all of them say, 0 to 1.

    Terms that no passage has count among all, but for extra ones.

    Args:
        terms: of a question, rarest first.
        hidden: row numbers of the passages that the reader may not see, (n,) int64, ascending; None for none.
    """
    import numpy as np

    chosen = affordable(terms)
    whole = sum(term.weight for term in terms if not term.extra) or 1.0
    parts = [_found(connection, term, hidden) for term in chosen]
    if not parts:
        return Shares(np.empty(0, np.int64), np.empty(0))
    rows, places = np.unique(np.concatenate(parts), return_inverse=True)
    said = np.repeat([term.weight for term in chosen], [len(part) for part in parts])
    return Shares(rows, np.minimum(np.bincount(places, said, len(rows)) / whole, 1.0))


def _matches(words: Words) -> Iterator[tuple[str, float, bool]]:
    """Each word once, in its column, as FTS5 reads a string, with its weight and whether it is extra.

    Quotes are doubled. A string ends at a NUL.
    """
    found = {}
    for column, said in (("morphemes", words.morphemes), ("bigrams", words.bigrams)):
        for word in said.replace("\0", " ").split():
            match = _match(column, word)
            found[match] = (match, COLUMNS[column], SOUND.fullmatch(match) is not None)
    for _, others in words.meanings:
        if others:
            match = _match("morphemes", *others)
            found.setdefault(match, (match, MEANING, True))
    yield from list(found.values())[:MOST_LOOKED_UP]


def _in_place(terms: Sequence[Term], words: Words) -> list[Term]:
    """A word that no passage has is not counted if it says nothing, or where the other language has it: that counts."""
    known = {term.match: term for term in terms}
    for word, others in words.meanings:
        own = known.get(_match("morphemes", word))
        if own is None or own.matches:
            continue
        other = known.get(_match("morphemes", *others)) if others else None
        if not others or (other and other.matches):
            known[own.match] = own._replace(extra=True)
        if other and other.matches:
            known[other.match] = other._replace(extra=False)
    return list(known.values())


def _match(column: str, *words: str) -> str:
    """What finds the passages that have one of these words."""
    strings = " OR ".join(f'"{word.replace(QUOTE, QUOTE * 2)}"' for word in words)
    return f"{column}:({strings})" if len(words) > 1 else f"{column}:{strings}"


def _found(connection: sqlite3.Connection, term: Term, hidden: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Row numbers of the passages that have a term; of too many those that came in last."""
    if hidden is not None:
        return _visible(_rows(connection, term.match, None), hidden)[-MOST_OF_ONE:]
    return _rows(connection, term.match, MOST_OF_ONE if term.matches > MOST_OF_ONE else None)


def _rows(connection: sqlite3.Connection, match: str, most: int | None) -> NDArray[np.int64]:
    """Row numbers of the passages that match, (n,) int64; of more than `most` those that came in last.

    They come as one text: a row of its own for each would take Python longer than FTS5 takes to find it.
    """
    import numpy as np

    if most is None:
        # A quarter faster than with a limit.
        found = connection.execute(f"SELECT group_concat(rowid) FROM {MATCHING}", (match,))
    else:
        last = f"SELECT rowid FROM {MATCHING} ORDER BY rowid DESC LIMIT ?"
        found = connection.execute(f"SELECT group_concat(rowid) FROM ({last})", (match, most))
    (numbers,) = found.fetchone()
    return np.fromstring(numbers or "", np.int64, sep=",")


def hidden_rows(connection: sqlite3.Connection, owners: Sequence[str]) -> NDArray[np.int64]:
    """Row numbers of the passages in these owners' files, (n,) int64, ascending."""
    import numpy as np

    marks = ", ".join("?" * len(owners))
    (numbers,) = connection.execute(
        f"SELECT group_concat(p.id) FROM files f JOIN passages p ON p.file = f.id WHERE f.owner IN ({marks})",
        list(owners),
    ).fetchone()
    return np.sort(np.fromstring(numbers or "", np.int64, sep=","))


def _visible(rows: NDArray[np.int64], hidden: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that are not hidden."""
    if not len(hidden):
        return rows
    at = hidden.searchsorted(rows).clip(max=len(hidden) - 1)
    seen: NDArray[np.int64] = rows[hidden[at] != rows]
    return seen


def _count(connection: sqlite3.Connection, match: str, hidden: NDArray[np.int64] | None) -> int:
    if hidden is not None:
        return len(_visible(_rows(connection, match, None), hidden))
    counted = connection.execute(f"SELECT count(*) FROM {MATCHING}", (match,)).fetchone()
    return int(counted[0])
