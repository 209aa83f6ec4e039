"""What stays of a life: from the gists of all files to the statements of an identity.

gists ─▶ words counted ─▶ every statement weighed ─▶ the heaviest ─▶ what was said anew drops what was said before
                                                                          └─▶ cover within the budget ─▶ kept

The gists are gone through twice, some files at a time, and of each statement only numbers are held: a long life takes
the memory of a short one. Nothing hangs on the machine: words are counted, not vectors, sums are rounded, and every
tie is broken by time and place.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from memoryd.gist import KINDS, NUMBERS, WORDS, speaker_number, stem, topic_numbers
from memoryd.owners import SHARED
from memoryd.statements import DONE, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from memoryd.gist import Statement
    from memoryd.ledger.gists import GistRow

    Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
    Values = dict[str, frozenset[str]]

# Statements that are looked at closely; an identity holds a tenth of them.
POOL = 1000
# A word that stands in more than this part of the conversations says nothing about one of them.
COMMON_SHARE = 0.5
# Recent days weigh more: the last day 1, the first this much.
OLDEST_WEIGHT = 0.5
# The origin's words weigh more than another person's.
ORIGIN_WEIGHT = 1.5
KIND_WEIGHT = {
    Kind.KEPT: 6.0,
    Kind.RULE: 2.0,
    Kind.PERSON: 2.0,
    Kind.TASTE: 2.0,
    Kind.CHANGE: 2.0,
    Kind.PLAN: 1.3,
}
KIND_WEIGHTS = np.asarray([KIND_WEIGHT.get(kind, 1.0) for kind in KINDS])
# Two statements can be on one matter where the vectors of their passages are as near as this, cosine.
SAME_MATTER = 0.56
# Newer statements that one is compared with, the nearest.
NEIGHBOURS = 20
OPEN = frozenset({Kind.PROMISE, Kind.REQUEST, Kind.PLAN})
VALUE = re.compile(r"(\d+(?:[.,:]\d+)*)\s?([a-zA-Z가-힣]*)")
# Topics: how many, in how many conversations at least, in what part of them at most.
TOPICS = 12
FEWEST_CONVERSATIONS = 3
TOPIC_SHARE = 0.3
# Added to a statement's length where it is weighed against its words: what its day, speaker and place take.
PLACE_LENGTH = 40.0
# How people call themselves in a transcript of their own.
MYSELF = frozenset({"나", "저", "본인", "me", "i", "you", "user", "human"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A statement that stays, and where it was said.

    Attributes:
        kind: what it is here: what others than the origin lay down is a request.
        words: numbers of its words, ascending.
        weight: what its kind, speaker and day make of its words.
    """

    statement: Statement
    path: str
    kind: Kind
    words: tuple[int, ...]
    weight: float

    @property
    def text(self) -> str:
        """Its words."""
        return self.statement.text

    @property
    def speaker(self) -> str:
        """Who said it."""
        return self.statement.speaker

    @property
    def conversation_id(self) -> str:
        """Where it was said."""
        return self.statement.conversation_id

    @property
    def order(self) -> tuple[float, str, str, int, int]:
        """By time, then by place."""
        said = self.statement
        return said.epoch, self.path, said.conversation_id, said.index, said.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What comes up again and again.

    Attributes:
        conversations: in how many it is spoken of.
        last: the newest statement on it that was looked at.
    """

    name: str
    conversations: int
    last: Kept


class Gists(Protocol):
    """Where the gists of a life are; each call of `numbers` goes through all of them again."""

    def numbers(self) -> Iterable[Sequence[GistRow]]:
        """What statements are weighed by, some files at a time, by path."""
        ...

    def statements(self, places: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], Statement]:
        """(path, place in its gist) → statement; one that is gone meanwhile is left out.

        Args:
            places: path → those that are asked for.
        """
        ...


class Life:
    """Every gist at once, as counts.

    Args:
        vectors: the unit vectors of passages by id, (n, d) float32; zeros for one that has none.
        origin: the origin's id, which may be the name of a speaker.

    Attributes:
        whole: False once statements or vectors were missing where they were looked for: a file was being read in.
    """

    def __init__(self, gists: Gists, vectors: Vectors, *, origin: str) -> None:
        self._gists = gists
        self._vectors = vectors
        self._names = np.asarray([speaker_number(name) for name in {origin, *MYSELF}])
        self.turns = 0
        self.whole = True
        self._conversations = 0
        self._times = np.zeros(WORDS, np.int32)
        self._spread = np.zeros(WORDS, np.int32)
        self._first, self._last = date.max.toordinal(), date.min.toordinal()
        digest = hashlib.sha256()
        for rows in gists.numbers():
            for row in rows:
                self.turns += row.turns
                digest.update(f"{row.path}\0{row.digest}\n".encode(errors="surrogatepass"))
            self._count(_joined(rows))
        self.digest = digest.hexdigest()
        self._common = max(2.0, COMMON_SHARE * self._conversations)

    def pool(self) -> list[Kept]:
        """The heaviest statements of the life, oldest first, without those that a newer one replaces."""
        heaviest = self._heaviest()
        vectors = self._vectors([kept.statement.passage for kept in heaviest])
        if not vectors.any(axis=1).all():
            self.whole = False
        return _that_hold(heaviest, vectors)

    def word_weights(self, words: Sequence[int]) -> dict[int, float]:
        """How telling words are: they recur over conversations, and are not in every one."""
        return dict(zip(words, self._word_weights(np.asarray(words, np.int64)).tolist(), strict=True))

    def topics(self, pool: Sequence[Kept]) -> list[Topic]:
        """What comes up most often in many conversations, and not in most."""
        newest: dict[str, Kept] = {}
        numbers: dict[str, int] = {}
        for kept in pool:
            for name, number in topic_numbers(kept.statement.text).items():
                newest[name], numbers[name] = kept, number
        most = max(FEWEST_CONVERSATIONS, TOPIC_SHARE * self._conversations)
        often = [
            Topic(name=name, conversations=int(self._spread[number]), last=newest[name])
            for name, number in numbers.items()
            if FEWEST_CONVERSATIONS <= self._spread[number] <= most
        ]
        return sorted(often, key=lambda topic: (-topic.conversations, topic.name))[:TOPICS]

    def _count(self, part: _Part) -> None:
        if not len(part.numbers):
            return
        self._conversations += int(part.conversations[-1]) + 1
        np.add.at(self._times, part.words, 1)
        pairs = np.sort(np.repeat(part.conversations, part.numbers["words"]) * WORDS + part.words)
        np.add.at(self._spread, pairs[np.diff(pairs, prepend=-1) != 0] % WORDS, 1)
        self._first = min(self._first, int(part.numbers["day"].min()))
        self._last = max(self._last, int(part.numbers["day"].max()))

    def _word_weights(self, words: NDArray[Any]) -> NDArray[np.float64]:
        times, spread = self._times[words], np.maximum(self._spread[words], 1)
        weights = np.log1p(times) * np.log1p(self._conversations / spread)
        return np.where(spread <= self._common, weights, 0.0).round(6)

    def _heaviest(self) -> list[Kept]:
        """The best `POOL` statements by weight, oldest first; the gists are gone through a second time.

        Of those that are not among the best so far, nothing is held.
        """
        best: list[_Weighed] = []
        number = 0
        for rows in self._gists.numbers():
            part = _joined(rows)
            if not len(part.numbers):
                continue
            kinds = self._kinds(part)
            factors = self._factors(part, kinds)
            ends = np.cumsum(part.numbers["words"], dtype=np.int64)
            sums = np.concatenate([[0.0], np.cumsum(self._word_weights(part.words))])
            worth = sums[ends] - sums[ends - part.numbers["words"]]
            scores = (factors * worth / np.sqrt(part.numbers["length"] + PLACE_LENGTH)).round(6)
            for place in _foremost(scores, best[-1].score if len(best) == POOL else 0.0):
                file, end = int(part.files[place]), int(ends[place])
                best.append(
                    _Weighed(
                        score=float(scores[place]),
                        number=-number - place,
                        path=rows[file].path,
                        place=place - int(np.searchsorted(part.files, file)),
                        kind=KINDS[int(kinds[place])],
                        weight=float(factors[place]),
                        words=tuple(part.words[end - int(part.numbers["words"][place]) : end].tolist()),
                    )
                )
            number += len(part.numbers)
            best = heapq.nlargest(POOL, best)
        return self._with_statements(best)

    def _with_statements(self, best: Sequence[_Weighed]) -> list[Kept]:
        places: dict[str, list[int]] = defaultdict(list)
        for each in best:
            places[each.path].append(each.place)
        told = self._gists.statements(places)
        # A file that changed meanwhile has other statements, or none; the next replay tells of it.
        self.whole = self.whole and len(told) == len(best)
        kept = [
            Kept(
                statement=told[each.path, each.place],
                path=each.path,
                kind=each.kind,
                words=each.words,
                weight=each.weight,
            )
            for each in best
            if (each.path, each.place) in told
        ]
        return sorted(kept, key=lambda each: each.order)

    def _origins(self, part: _Part) -> NDArray[np.bool_]:
        """Whether the origin said each: under their id, as "me", or alone with the being in a file of their own."""
        named: NDArray[np.bool_] = np.isin(part.numbers["speaker"], self._names)
        return named | ((part.numbers["alone"] > 0) & part.own)

    def _kinds(self, part: _Part) -> NDArray[np.int64]:
        """Places in `KINDS`; what others than the origin lay down is a request."""
        rules = part.numbers["kind"] == KINDS.index(Kind.RULE)
        return np.where(rules & ~self._origins(part), KINDS.index(Kind.REQUEST), part.numbers["kind"])

    def _factors(self, part: _Part, kinds: NDArray[np.int64]) -> NDArray[np.float64]:
        """What their kinds, speakers and days make of statements' words, (n,)."""
        age = (part.numbers["day"] - self._first) / max(1, self._last - self._first)
        recency = OLDEST_WEIGHT + (1 - OLDEST_WEIGHT) * age
        origins = self._origins(part)
        voice = np.where(origins, ORIGIN_WEIGHT, 1.0)
        # What others ask to be kept is kept before what they only say, and no more: a crowd does not push the rest out.
        of_kind = np.where(
            ~origins & (kinds == KINDS.index(Kind.KEPT)),
            KIND_WEIGHTS[KINDS.index(Kind.PERSON)],
            KIND_WEIGHTS[kinds],
        )
        weights: NDArray[np.float64] = recency * of_kind * voice
        return weights


def _foremost(scores: NDArray[np.float64], least: float) -> list[int]:
    """The places of the `POOL` highest scores above the least, ascending, with all that are as high as the last."""
    if len(scores) > POOL:
        last = np.partition(scores, -POOL)[-POOL]
        return np.flatnonzero((scores > least) & (scores >= last)).tolist()
    return np.flatnonzero(scores > least).tolist()


class _Weighed(NamedTuple):
    """A statement among the best, without its words yet; `number` breaks ties by place."""

    score: float
    number: int
    path: str
    place: int
    kind: Kind
    weight: float
    words: tuple[int, ...]


class _Part(NamedTuple):
    """Statements of some files as one.

    Attributes:
        numbers: rows of `NUMBERS`, (n,).
        words: of all of them, one after another.
        files: the place of each one's file, (n,) ascending.
        conversations: the number of each one's conversation, (n,) ascending.
        own: whether its file is somebody's own, (n,).
    """

    numbers: NDArray[Any]
    words: NDArray[np.int64]
    files: NDArray[np.int64]
    conversations: NDArray[np.int64]
    own: NDArray[np.bool_]


def _joined(rows: Sequence[GistRow]) -> _Part:
    numbers = np.frombuffer(b"".join(row.numbers for row in rows), NUMBERS)
    words = np.frombuffer(b"".join(row.words for row in rows), "<u4").astype(np.int64)
    sizes = [len(row.numbers) // NUMBERS.itemsize for row in rows]
    files = np.repeat(np.arange(len(rows)), sizes)
    # In each file they are counted from 0 in their order: a new one begins where the number or the file changes.
    begins = (np.diff(files) != 0) | (np.diff(numbers["conversation"].astype(np.int64)) != 0)
    return _Part(
        numbers=numbers,
        words=words,
        files=files,
        conversations=np.concatenate([[0], np.cumsum(begins)]) if len(numbers) else files,
        own=np.repeat([row.owner != SHARED for row in rows], sizes),
    )


def _that_hold(pool: list[Kept], vectors: NDArray[np.float32]) -> list[Kept]:
    """Leaves out what a newer statement on the same matter replaces.

    Args:
        vectors: of the passages that the statements stand in, (n, d) unit float32; zeros where there is none.
    """
    topics = [frozenset(topic_numbers(kept.statement.text)) for kept in pool]
    values = [values_of(kept.statement.text) for kept in pool]
    near = (vectors @ vectors.T).round(3)
    last = {(kept.statement.speaker, kept.statement.text): place for place, kept in enumerate(pool)}
    replaced = set(range(len(pool))) - set(last.values())
    for older in range(len(pool) - 1):
        row = near[older, older + 1 :]
        nearest = np.argsort(-row, kind="stable")[:NEIGHBOURS]
        for newer in (older + 1 + int(place) for place in nearest if row[place] >= SAME_MATTER):
            if replaces(
                pool[older], pool[newer], topics[older] & topics[newer], values[older], values[newer]
            ):
                replaced.add(older)
                break
    return [kept for place, kept in enumerate(pool) if place not in replaced]


class Said(Protocol):
    """What is looked at of a statement to tell whether a newer one replaces it."""

    @property
    def kind(self) -> str:
        """A `Kind`."""
        ...

    @property
    def text(self) -> str:
        """Its words."""
        ...

    @property
    def speaker(self) -> str:
        """Who said it."""
        ...

    @property
    def conversation_id(self) -> str:
        """Where it was said."""
        ...


def replaces(older: Said, newer: Said, shared: frozenset[str], before: Values, now: Values) -> bool:
    """Whether the newer of two statements on one matter says it otherwise, or that it is done."""
    if older.conversation_id == newer.conversation_id or older.kind in {Kind.KEPT, Kind.RULE}:
        return False
    same_speaker = older.speaker == newer.speaker
    if older.kind in {Kind.PERSON, Kind.TASTE} and not same_speaker:
        # What one says of themselves, another's words do not change.
        return False
    if older.kind in OPEN and DONE.search(newer.text):
        return True
    if newer.kind == Kind.CHANGE and (shared or (before and now)):
        return True
    # Another amount of the same: somebody's own, and of a subject that both name.
    others = {unit for unit, value in now.items() if unit and unit in before and before[unit] != value}
    return bool(others) and same_speaker and bool(shared - others)


def values_of(text: str) -> Values:
    """The numbers of a statement by the unit after them: 4.2킬로 is {"킬로": {"4.2"}}; without a unit under ""."""
    found: dict[str, set[str]] = defaultdict(set)
    for number, unit in VALUE.findall(text):
        found[stem(unit.lower()) if unit else ""].add(number)
    return {unit: frozenset(numbers) for unit, numbers in found.items()}


def choose(life: Life, pool: Sequence[Kept], room: int, cost: Callable[[Kept], int]) -> Iterator[Kept]:
    """The most telling statements that fit: each adds words that recur in the life and are not yet covered.

    Greedy cover with lazy evaluation (Minoux 1978): a gain only falls as words are covered, so the top of the heap
    is re-counted and kept if it still leads.

    Args:
        room: tokens.
        cost: of a statement's line, in tokens.
    """
    costs = [cost(kept) for kept in pool]
    telling = life.word_weights(sorted({word for kept in pool for word in kept.words}))
    covered: set[int] = set()

    def gain(i: int) -> float:
        worth = sum(telling[word] for word in pool[i].words if word not in covered)
        return round(pool[i].weight * worth / math.sqrt(costs[i]), 6)

    heap = [(-gain(i), i) for i in range(len(pool))]
    heapq.heapify(heap)
    while heap:
        _, i = heapq.heappop(heap)
        now = gain(i)
        if now <= 0 or costs[i] > room:
            continue
        if heap and -heap[0][0] > now:
            heapq.heappush(heap, (-now, i))
            continue
        covered.update(pool[i].words)
        room -= costs[i]
        yield pool[i]
