"""A context that keeps llama.cpp's rules and whose logits tell every mix-up of cells, with requests to ask of it."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from functools import partial
from queue import Empty
from typing import TYPE_CHECKING

import numpy as np

from llm.base import Finish, ModelError, Piece, Usage
from llm.batch import Batch
from llm.engine.batcher import Batcher
from llm.engine.job import Job
from llm.engine.pins import Pin
from llm.engine.sizes import sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from llm.engine.identity_file import State

VOCABULARY = 50
END = 0


def logits_after(tokens: Iterable[int]) -> NDArray[np.float32]:
    """What the model thinks after these tokens: anything, but always the same, (VOCABULARY,).

    It ends its answers, sooner or later, where the first token is END.
    """
    known = np.array(list(tokens), np.int32)
    seed = int.from_bytes(hashlib.blake2b(known.tobytes(), digest_size=8).digest(), "little")
    logits = np.random.default_rng(seed).normal(scale=4.0, size=VOCABULARY).astype(np.float32)
    logits[END] = 50.0 if known[0] == END and seed % 4 == 0 else -50.0
    return logits


def alone(prompt: Sequence[int] | NDArray[np.int32], count: int) -> list[int]:
    """The tokens that a request gets where nobody else asks."""
    tokens = [int(token) for token in prompt]
    said: list[int] = []
    while len(said) < count:
        said.append(int(logits_after(tokens).argmax()))
        if said[-1] == END:
            break
        tokens.append(said[-1])
    return said


@dataclass(slots=True)
class FakeClock:
    """Seconds that pass when somebody says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True, eq=False)
class FakeContext:
    """Implements `llm.engine.batcher.Computer`.

    Attributes:
        seconds: what a decode of so many tokens takes on `clock`.
        no_room: how many decodes to come find no room, whatever there is.
        failure: raised by the next decode.
        lost: sequences of which a sliding window lacks something.
        computed: how many tokens of each decode.
        cleared: how often all of it was overwritten.
    """

    cells: int = 400
    sequences: int = 12
    clock: FakeClock = field(default_factory=FakeClock)
    seconds: Callable[[int], float] = lambda _tokens: 0.0
    no_room: int = 0
    failure: Exception | None = None
    lost: set[int] = field(default_factory=set)
    computed: list[int] = field(default_factory=list)
    cleared: int = 0
    closed: bool = False
    _held: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _names: itertools.count[int] = field(default_factory=itertools.count)
    _logits: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    _thread: int | None = None

    @property
    def used(self) -> int:
        """Cells in use; one that several sequences share counts once."""
        return len({name for held in self._held.values() for name, _ in held})

    def tokens(self, sequence: int) -> list[int]:
        return [token for _, token in self._sequence(sequence)]

    def decode(self, batch: Batch) -> bool:
        self._check()
        assert 0 < batch.length <= batch.size
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.clock.now += self.seconds(batch.length)
        if self.no_room or batch.length > self.cells - self.used:
            self.no_room = max(0, self.no_room - 1)
            return False
        self.computed.append(batch.length)
        self._logits.clear()
        for row in range(batch.length):
            held = self._sequence(int(batch.sequences[row]))
            assert batch.positions[row] == len(held), "a token must follow the last one of its sequence"
            held.append((next(self._names), int(batch.tokens[row])))
            if batch.wanted[row]:
                self._logits[row] = logits_after(token for _, token in held)
        return True

    def logits(self, row: int) -> NDArray[np.float32]:
        self._check()
        return self._logits[row]

    def copy(self, source: int, target: int, length: int) -> None:
        self._check()
        from_, to = self._sequence(source), self._sequence(target)
        assert not to, "copied into a sequence that is not empty"
        assert length <= len(from_), "copied more than there is"
        to.extend(from_[:length])

    def cut(self, sequence: int, length: int = 0) -> bool:
        self._check()
        held = self._sequence(sequence)
        del held[length:]
        return True

    def clear(self) -> None:
        self._check()
        self._held.clear()
        self.cleared += 1

    def length(self, sequence: int) -> int:
        self._check()
        return len(self._sequence(sequence))

    def whole(self, sequence: int, length: int) -> bool:
        self._check()
        assert 0 < length <= len(self._sequence(sequence))
        return sequence not in self.lost

    def state(self, sequence: int) -> bytes:
        self._check()
        return np.array(self.tokens(sequence), np.int32).tobytes()

    def restore(self, sequence: int, data: State) -> bool:
        self._check()
        held = self._sequence(sequence)
        assert not held, "restored into a sequence that is not empty"
        if len(data) % 4 or len(data) // 4 > self.cells - self.used:
            return False
        held.extend((next(self._names), int(token)) for token in np.frombuffer(data, np.int32))
        return True

    def close(self) -> None:
        self._check()
        self.closed = True

    def _sequence(self, sequence: int) -> list[tuple[int, int]]:
        assert 0 <= sequence < self.sequences
        return self._held.setdefault(sequence, [])

    def _check(self) -> None:
        assert not self.closed, "used after it was freed"
        self._thread = self._thread or threading.get_ident()
        assert self._thread == threading.get_ident(), "used by two threads"


@dataclass(slots=True)
class FakeAnswer:
    """Says the likeliest token each time, as a number; `fails_at` that many tokens it raises."""

    max_tokens: int
    fails_at: int = -1
    finish: Finish | None = None
    computed: int = 0
    said: list[int] = field(default_factory=list)

    def draw(self, logits: NDArray[np.float32]) -> tuple[int, Piece | None]:
        if self.computed == self.fails_at:
            raise ValueError("a sampler's defect")
        token = int(logits.argmax())
        self.said.append(token)
        self.computed += 1
        if token == END:
            self.finish = Finish.STOP
        elif self.computed == self.max_tokens:
            self.finish = Finish.LENGTH
        return token, Piece(text=f"{token} ")

    def last(self, usage: Usage) -> Piece:
        return Piece(text="", finish=self.finish, usage=usage)


def make_job(
    prompt: Sequence[int] | NDArray[np.int32],
    count: int = 5,
    *,
    user: str = "",
    conversation: str = "",
    deadline: float | None = None,
    cancelled: threading.Event | None = None,
    fails_at: int = -1,
) -> Job:
    return Job(
        prompt=np.array(prompt, np.int32),
        answer=FakeAnswer(count, fails_at=fails_at),
        room=count,
        user=user,
        conversation=conversation,
        deadline=deadline,
        cancelled=cancelled,
    )


def make_pin(tokens: Sequence[int] | NDArray[np.int32], version: int = 1) -> Pin:
    return Pin(version=version, tokens=np.array(tokens, np.int32))


def make_batcher(context: FakeContext, *, parallel: int = 3, waiting: int = 32, size: int = 64) -> Batcher:
    return Batcher(
        "echo",
        context,
        Batch(size),
        parallel=parallel,
        waiting=waiting,
        clock=context.clock,
    )


def run(batcher: Batcher, *, steps: int = 2000) -> int:
    """Steps it until it has nothing to do; how many steps that took."""
    for step in range(steps):
        if not batcher.step():
            assert not batcher.queue, "it would sleep while somebody waits"
            return step
    raise AssertionError("it never comes to rest")


@dataclass(slots=True)
class Outcome:
    """What came of a job so far."""

    text: str = ""
    last: Piece | None = None
    error: ModelError | None = None
    over: bool = False

    @property
    def usage(self) -> Usage:
        assert self.last is not None, self.error
        assert self.last.usage is not None
        return self.last.usage

    @property
    def finish(self) -> Finish | None:
        assert self.last is not None, self.error
        return self.last.finish

    @property
    def said(self) -> list[int]:
        return [int(word) for word in self.text.split()]


def outcome(job: Job) -> Outcome:
    """Reads what a job has to say, without waiting."""
    result = Outcome()
    while True:
        try:
            item = job.out.get_nowait()
        except Empty:
            return result
        assert not result.over, "something came after the end"
        if item is None:
            result.over = True
        elif isinstance(item, Exception):
            result.error = item
        else:
            result.text += item.text
            result.last = item if item.finish else result.last


def numbers(seed: int, count: int) -> list[int]:
    """Tokens to ask with, never END."""
    return [int(token) for token in np.random.default_rng(seed).integers(1, VOCABULARY, count)]


def ample(parallel: int = 3, **settings: object) -> FakeContext:
    """A context with room for everything."""
    return partial(FakeContext, cells=4000, sequences=sequences(parallel))(**settings)  # type: ignore[arg-type]


IDENTITY = numbers(1, 30)


def pinned(batcher: Batcher, tokens: Sequence[int] = IDENTITY, version: int = 1) -> None:
    """Pins an identity and computes it."""
    batcher.pin(make_pin(tokens, version))
    run(batcher)
    assert batcher.cache.pin is not None
    assert batcher.cache.pin.version == version


def submit(batcher: Batcher, *jobs: Job) -> None:
    """Lets requests in, which must have a place."""
    for job in jobs:
        assert batcher.submit(job)
