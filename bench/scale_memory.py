"""A memory of any size for `bench.scale`: real sentences in new orders, vectors in clusters, the real stores.

    sentences of the given files ──seeded dice──▶ passages ──▶ ledger (SQLite, FTS5) ──outbox──▶ Chroma
    5,000 random centres + noise ───────────────▶ vectors ──┘

Words keep the frequencies of real language, which is what the word index's speed hangs on. Vectors need not mean
anything for that of the vector index. A memory that is there already is only made larger.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from bench.machine import memory_kib
from memoryd.chroma import ChromaIndex, ChromaServer
from memoryd.errors import IndexUnavailableError
from memoryd.kiwi import KIWI
from memoryd.korean import Words, WordSplitter, sentences
from memoryd.ledger import (
    ConversationRow,
    FileRow,
    FileState,
    Ledger,
    NewFile,
    NewPassage,
    Signature,
    TurnRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DIMENSION = 384
CENTRES = 5000
# How far a vector lies from its centre: its nearest neighbours have a cosine of about 0.7, as in real memories.
NOISE = 0.65
EMBEDDER = "synthetic"
SHARED = ""
PASSAGES_A_FILE = 1000
PASSAGES_A_CONVERSATION = 20
SENTENCES_A_TURN = (1, 3)
UPSERTED_TOGETHER = 2000
MOST_TRIES = 10
SHORTEST, LONGEST = 12, 300
BEGIN = datetime(2015, 1, 1, tzinfo=UTC)
BETWEEN_PASSAGES = timedelta(minutes=5)
MAX_FILE_BYTES = 64 * 2**30
# Vectors between two writes of the index files, each of which takes longer the larger the index is.
SYNC_THRESHOLD = 20_000


@dataclass(slots=True)
class Pool:
    """Sentences, their words, and the questions among them."""

    sentences: list[str]
    words: list[Words]
    questions: list[str]


@dataclass(slots=True)
class Built:
    """Seconds that each store took to grow so far, side by side."""

    ledger_s: float = 0.0
    chroma_s: float = 0.0
    passages: int = 0


def read_pool(files: Sequence[Path], words: WordSplitter, *, most: int = 60_000) -> Pool:
    """The sentences of files: every string of a JSON file, every line of another one.

    Raises:
        ValueError: there are none.
    """
    found: dict[str, None] = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        strings = _strings(json.loads(text)) if file.suffix == ".json" else iter(text.splitlines())
        found |= {
            sentence: None
            for string in strings
            for sentence in sentences(string)
            if SHORTEST <= len(sentence) <= LONGEST
        }
    if not found:
        raise ValueError(f"There are no sentences in {', '.join(map(str, files)) or 'no file'}.")
    every = list(found)
    random.Random(1).shuffle(every)  # noqa: S311  (dice, no secret)
    questions = [sentence for sentence in every if sentence.endswith("?")]
    kept = every[:most]
    return Pool(kept, [words.words(sentence) for sentence in kept], questions)


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _strings(each)
        case dict():
            for each in value.values():
                yield from _strings(each)


class Vectors:
    """Unit vectors around random centres; the same number gives the same vector."""

    def __init__(self) -> None:
        self._centres = _unit(np.random.default_rng(7).standard_normal((CENTRES, DIMENSION), np.float32))

    def stored(self, first: int, count: int) -> NDArray[np.float32]:
        """Those of the passages from `first` on, (count, d) float32."""
        dice = np.random.default_rng(first)
        return self._near(self._centres[dice.integers(0, CENTRES, count)], dice)

    def stored_all(self, passages: int) -> NDArray[np.float32]:
        """Those of all passages, (passages, d) float32, as the files have them."""
        firsts = range(0, passages, PASSAGES_A_FILE)
        parts = [self.stored(first, min(PASSAGES_A_FILE, passages - first)) for first in firsts]
        return np.concatenate(parts)

    def asked(self, number: int) -> NDArray[np.float32]:
        """A question's, (d,) float32."""
        dice = np.random.default_rng(10**9 + number)
        vector: NDArray[np.float32] = self._near(self._centres[dice.integers(0, CENTRES, 1)], dice)[0]
        return vector

    def _near(self, centres: NDArray[np.float32], dice: np.random.Generator) -> NDArray[np.float32]:
        noise = _unit(dice.standard_normal(centres.shape, np.float32))
        return _unit((1 - NOISE) * centres + NOISE * noise)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


class ScaleMemory:
    """Ledger and Chroma in a folder, grown to a size.

    Args:
        folder: where they are; what is there already is used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vectors = Vectors()
        self.ledger = Ledger(folder)
        self.server = ChromaServer(max_file_bytes=MAX_FILE_BYTES)
        chroma = folder / "chroma" / "g0001"
        chroma.mkdir(parents=True, exist_ok=True)
        self.server.start(chroma)
        self.server.url(60)
        self.index = ChromaIndex(
            self.server,
            instance=self.ledger.instance(),
            embedder=EMBEDDER,
            dimension=DIMENSION,
            generation=1,
            sync_threshold=SYNC_THRESHOLD,
        )
        self.built = Built(passages=self.ledger.files.totals().passages)

    def grow(self, size: int, pool: Pool) -> None:
        """Adds files until there are `size` passages; Chroma takes one while the ledger takes the next.

        Raises:
            ValueError: the size is no number of whole files.
        """
        if size % PASSAGES_A_FILE:
            raise ValueError(f"{size} is not a multiple of {PASSAGES_A_FILE}, the passages of a file.")
        with ThreadPoolExecutor(1) as beside:
            fed = beside.submit(self._feed)
            while self.built.passages < size:
                number = self.built.passages // PASSAGES_A_FILE
                begun = time.perf_counter()
                count = min(PASSAGES_A_FILE, size - self.built.passages)
                file, vectors = _file(number, count, pool, self.vectors)
                self.ledger.vectors.save(EMBEDDER, vectors)
                self.ledger.files.replace(file)
                self.built.ledger_s += time.perf_counter() - begun
                self.built.passages += count
                fed.result()
                fed = beside.submit(self._feed)
                if number % 10 == 0:
                    sys.stderr.write(f"\r{self.built.passages} passages ")
            fed.result()

    def _feed(self) -> None:
        begun = time.perf_counter()
        failed = 0
        while rows := self.ledger.outbox.batch(EMBEDDER, UPSERTED_TOGETHER):
            vectors = np.stack([np.frombuffer(row.vector or b"", "<f4") for row in rows])
            try:
                self.index.upsert(SHARED, [row.passage_id for row in rows], vectors)
            except IndexUnavailableError as error:
                # A large index that is being written can be silent for longer than a search may wait.
                failed += 1
                if failed == MOST_TRIES:
                    raise
                sys.stderr.write(f"\n{error} Tried again.\n")
                continue
            failed = 0
            self.ledger.outbox.clear([row.seq for row in rows])
        self.built.chroma_s += time.perf_counter() - begun

    def resident_kib(self) -> dict[str, int]:
        """Memory of this process with its Kiwi child, and of the Chroma child, in KiB."""
        kiwi = memory_kib(KIWI.pid) if KIWI.pid else 0
        return {
            "memoryd": memory_kib(os.getpid()) + kiwi,
            "chroma": memory_kib(self.server.pid or os.getpid()),
        }

    def close(self) -> None:
        """Stops Chroma and closes the ledger."""
        self.server.stop()
        self.ledger.close()


def _file(
    number: int, count: int, pool: Pool, vectors: Vectors
) -> tuple[NewFile, dict[bytes, NDArray[np.float32]]]:
    """A file of conversations, with the vectors of its passages."""
    dice = random.Random(number)  # noqa: S311  (dice, no secret)
    path = f"day{number % 12 + 1:02d}{number % 28 + 1:02d}/talk{number:06d}.jsonl"
    conversations = []
    for begin in range(0, count, PASSAGES_A_CONVERSATION):
        many = min(PASSAGES_A_CONVERSATION, count - begin)
        first = number * PASSAGES_A_FILE + begin
        conversations.append(_conversation(first, many, pool, dice))
    row = FileRow(path=path, signature=Signature(1, number, number), state=FileState.INDEXED, format="native")
    keys = [passage.vector_key for each in conversations for passage in each.passages]
    made = vectors.stored(number * PASSAGES_A_FILE, count)
    return NewFile(row=row, day=path[:7], conversations=tuple(conversations)), dict(
        zip(keys, made, strict=True)
    )


def _conversation(first: int, count: int, pool: Pool, dice: random.Random) -> ConversationRow:
    name = f"c{first:08d}"
    turns: list[TurnRow] = []
    passages: list[NewPassage] = []
    for number in range(first, first + count):
        time_ = BEGIN + number * BETWEEN_PASSAGES
        chosen = [
            dice.choices(range(len(pool.sentences)), k=dice.randint(*SENTENCES_A_TURN)) for _ in range(2)
        ]
        texts = [" ".join(pool.sentences[place] for place in places) for places in chosen]
        place = len(turns)
        for offset, (role, speaker) in enumerate((("user", "지훈"), ("assistant", "에코"))):
            turns.append(
                TurnRow(
                    id=f"{name}:{place + offset}",
                    conversation_id=name,
                    index=place + offset,
                    role=role,
                    speaker=speaker,
                    time=time_,
                    text=texts[offset],
                )
            )
        all_words = [pool.words[place] for places in chosen for place in places]
        passages.append(
            NewPassage(
                id=f"p_{number:024d}",
                first=place,
                last=place + 1,
                kind="said",
                time=time_,
                text=f"지훈: {texts[0]}\n에코: {texts[1]}",
                vector_key=hashlib.sha256(str(number).encode()).digest(),
                morphemes=" ".join(words.morphemes for words in all_words),
                bigrams=" ".join(words.bigrams for words in all_words),
            )
        )
    return ConversationRow(id=name, title="", turns=tuple(turns), passages=tuple(passages))
