"""The gist of a file: the statements that may stand in an identity, with the words that they are weighed by.

turns of a file ──make_gist──▶ Gist ──ledger──▶ every gist ──memoryd.life──▶ the lines of an identity

A gist hangs on its file alone, so the ledger keeps it until the file's turns change, and a replay after a new day reads
that day only. It is a bounded part of its file: a few statements a conversation, more of a long one.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memoryd.korean import HANGUL_RUN, latin_words, normalise
from memoryd.statements import Kind, is_to_be_kept, kept_statements, kind_of, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from memoryd.ledger import TurnRow

# Part of a gist's key: another way of making them makes all of them anew.
METHOD = 2
# Statements a conversation that are kept: so many, and one of so many beyond.
FEWEST = 8
ONE_OF = 8
# Words are numbers below this: hashed, so that counting them takes the same memory for a year as for a life.
WORDS = 2**21
KINDS = tuple(Kind)
# What the weight of a statement hangs on besides its words: how many these are, its kind's place in `KINDS`, whether
# nobody else was there, `speaker_number`, the day's ordinal, the number of its conversation in the file, its length.
NUMBERS = np.dtype(
    [
        ("words", "<u2"),
        ("kind", "u1"),
        ("alone", "u1"),
        ("speaker", "<u4"),
        ("day", "<i4"),
        ("conversation", "<u4"),
        ("length", "<u2"),
    ]
)
# A statement says enough with so many different words.
ENOUGH_WORDS = 10
# What is to be kept comes before all; what has a kind before what was only said.
KEPT_WEIGHT, KIND_WEIGHT, SAID_WEIGHT = 100.0, 1.8, 1.0
NUMBER = re.compile(r"\d")
# Words that are about nothing.
EMPTY = frozenset(
    line
    for line in Path(__file__).with_name("empty_words.txt").read_text("utf-8").splitlines()
    if line[:1] != "#"
)
PARTICLE = re.compile(
    r"(?:에서는|에게서|으로는|이라고|이랑은|에서|에게|한테|께서|으로|이랑|까지|부터|처럼|보다|하고|이나|라고|는|은|이|가|을|를|에"
    r"|도|의|로|와|과|랑|만|야|아|요)$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One sentence that a person said, and where.

    Attributes:
        time: of its turn, ISO 8601 with its offset.
        epoch: the same in seconds.
        alone: whether nobody but this person spoke with the being there.
        index: of its turn in the conversation.
        place: of the sentence among those of its conversation.
        passage: the id of the passage that covers its turn.
    """

    kind: Kind
    time: str
    epoch: float
    speaker: str
    alone: bool
    text: str
    conversation_id: str
    index: int
    place: int
    passage: str

    @property
    def day(self) -> str:
        """The day on which it was said, where it was said."""
        return self.time[:10]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gist:
    """What a file leaves.

    Attributes:
        digest: SHA-256 of the file's turns, hexadecimal.
        words: of each statement, numbers below `WORDS`, uint32.
    """

    turns: int
    digest: str
    statements: tuple[Statement, ...]
    words: tuple[NDArray[np.uint32], ...]


class Stored(NamedTuple):
    """A gist as the ledger keeps it: what statements are weighed by apart from what they say.

    Attributes:
        numbers: a row of `NUMBERS` for each statement.
        words: of one statement after another, uint32.
        body: the statements, JSON.
    """

    turns: int
    digest: str
    numbers: bytes
    words: bytes
    body: str


def make_gist(turns: Iterable[TurnRow], passage_of: Callable[[TurnRow], str]) -> Gist:
    """Reads the turns of one file, in their order; conversations may not be mixed."""
    digest = hashlib.sha256()
    count = 0
    kept: list[tuple[Statement, NDArray[np.uint32]]] = []
    for _, group in groupby(turns, key=lambda turn: turn.conversation_id):
        said: list[tuple[str, TurnRow]] = []
        voices: set[str] = set()
        for turn in group:
            count += 1
            mark = (
                f"{turn.conversation_id}\0{turn.time.isoformat()}\0{turn.role}\0{turn.speaker}\0{turn.text}"
            )
            digest.update(mark.encode(errors="surrogatepass") + b"\n")
            # An assistant's words are not its memories.
            if turn.role == "user":
                voices.add(turn.speaker)
                lines = kept_statements if is_to_be_kept(turn.text) else statements
                said += [(line, turn) for line in lines(turn.text)]
        kept += _most_telling(said, passage_of, alone=len(voices) == 1)
    return Gist(
        turns=count,
        digest=digest.hexdigest(),
        statements=tuple(statement for statement, _ in kept),
        words=tuple(words for _, words in kept),
    )


def word_numbers(text: str) -> NDArray[np.uint32]:
    """A text's different words as numbers, (n,) ascending: Hangul bigrams, words without particles, Latin words."""
    text = normalise(text)
    found: set[int] = set()
    for run in HANGUL_RUN.findall(text):
        found |= _hangul_numbers(run)
    found.update(_number(word) for word in latin_words(text) if not word.isdecimal() and len(word) > 1)
    return np.asarray(sorted(found), np.uint32)


def topic_numbers(text: str) -> dict[str, int]:
    """What a statement may be about → its number: words without their particles, as they were first written."""
    text = normalise(text)
    stems = [stem(run) for run in HANGUL_RUN.findall(text)]
    topics = {name: _number(f"={name}") for name in stems if len(name) > 1}
    topics |= {word: _number(word) for word in latin_words(text) if len(word) > 2 and not word.isdecimal()}
    return {name: number for name, number in topics.items() if name not in EMPTY}


def stem(run: str) -> str:
    """A Hangul word without the particle at its end: 보리는 is 보리."""
    bare = PARTICLE.sub("", run)
    return bare if len(bare) > 1 else run


def dumps(gist: Gist) -> Stored:
    """A gist as the ledger keeps it."""
    conversations = dict.fromkeys(each.conversation_id for each in gist.statements)
    places = {name: place for place, name in enumerate(conversations)}
    numbers = np.array(
        [
            (
                len(words),
                KINDS.index(each.kind),
                each.alone,
                speaker_number(each.speaker),
                date.fromisoformat(each.day).toordinal(),
                places[each.conversation_id],
                len(each.text),
            )
            for each, words in zip(gist.statements, gist.words, strict=True)
        ],
        NUMBERS,
    )
    body = [
        (
            *(each.kind, each.time, each.epoch, each.speaker, each.alone, each.text),
            *(each.conversation_id, each.index, each.place, each.passage),
        )
        for each in gist.statements
    ]
    return Stored(
        turns=gist.turns,
        digest=gist.digest,
        numbers=numbers.tobytes(),
        words=b"".join(words.tobytes() for words in gist.words),
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )


def statements_of(body: str, places: Iterable[int]) -> dict[int, Statement]:
    """Place → statement as it was before `dumps`, for those places that there are."""
    lines = json.loads(body)
    return {place: _statement(lines[place]) for place in places if place < len(lines)}


def _statement(line: Sequence[Any]) -> Statement:
    kind, time, epoch, speaker, alone, text, conversation_id, index, place, passage = line
    return Statement(
        kind=Kind(kind),
        time=time,
        epoch=epoch,
        speaker=speaker,
        alone=alone,
        text=text,
        conversation_id=conversation_id,
        index=index,
        place=place,
        passage=passage,
    )


def speaker_number(speaker: str) -> int:
    """A speaker's name as a number, whatever its case."""
    return zlib.crc32(speaker.casefold().encode(errors="surrogatepass"))


def _most_telling(
    said: Sequence[tuple[str, TurnRow]], passage_of: Callable[[TurnRow], str], *, alone: bool
) -> list[tuple[Statement, NDArray[np.uint32]]]:
    """The statements of a conversation that go into the gist, in their order."""
    weighed = []
    for place, (line, turn) in enumerate(said):
        kind = Kind.KEPT if is_to_be_kept(turn.text) else kind_of(line)
        words = word_numbers(line)
        weight = {Kind.KEPT: KEPT_WEIGHT, Kind.SAID: SAID_WEIGHT}.get(kind, KIND_WEIGHT)
        weight *= max(1, min(len(words), ENOUGH_WORDS)) / ENOUGH_WORDS
        weighed.append((-weight * (1.25 if NUMBER.search(line) else 1.0), place, kind, words, line, turn))
    weighed.sort(key=lambda each: each[:2])
    asked = sum(kind is Kind.KEPT for _, _, kind, *_ in weighed)
    most = asked + FEWEST + max(0, len(said) - asked - FEWEST) // ONE_OF
    kept = sorted(weighed[:most], key=lambda each: each[1])
    return [
        (
            Statement(
                kind=kind,
                time=turn.time.isoformat(),
                epoch=turn.time.timestamp(),
                speaker=turn.speaker,
                alone=alone,
                text=line,
                conversation_id=turn.conversation_id,
                index=turn.index,
                place=place,
                passage=passage_of(turn),
            ),
            words,
        )
        for _, place, kind, words, line, turn in kept
    ]


@lru_cache(maxsize=2**16)
def _hangul_numbers(run: str) -> frozenset[int]:
    pairs = [run[i : i + 2] for i in range(len(run) - 1)] if len(run) > 1 else [run]
    bare = stem(run)
    return frozenset(map(_number, pairs)) | ({_number(f"={bare}")} if len(bare) > 1 else frozenset())


def _number(word: str) -> int:
    return zlib.crc32(word.encode(errors="surrogatepass")) & (WORDS - 1)
