"""Small fakes of memoryd's ports, for tests of the parts that stand on them (and for users' own tests)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from llm import Finish, ModelNotReadyError, ModelStatus, Piece, State, Usage
from memoryd.errors import IndexUnavailableError
from memoryd.korean import bigrams, latin_words

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from llm import GenerateRequest, Identity


class FakeClock:
    """A clock that moves when told."""

    def __init__(self, now: datetime = datetime(2026, 3, 15, 9, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._seconds = 0.0

    def now(self) -> datetime:
        """The time that was set, plus what has passed."""
        return self._now + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return self._seconds

    def pass_seconds(self, seconds: float) -> None:
        """Moves on."""
        self._seconds += seconds

    def jump(self, by: timedelta) -> None:
        """Sets the wall clock, as a person or a time server does; no time passes."""
        self._now += by


class FakeEmbedder:
    """Vectors of hashed words and syllable pairs: texts that share words are near, and nothing is loaded.

    `embedded` lists every text that a vector was made for, so that a test can see what was embedded twice.
    """

    def __init__(self, *, dimension: int = 256, name: str = "fake") -> None:
        self.id = name
        self.dimension = dimension
        self.max_tokens = 480
        self.embedded: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, (n, d) float32."""
        self.embedded += texts
        return (
            np.stack([self._vector(text) for text in texts])
            if texts
            else np.zeros((0, self.dimension), np.float32)
        )

    def embed_batches(
        self, texts: Sequence[str]
    ) -> Generator[tuple[list[int], NDArray[np.float32]], None, None]:
        """Places and unit vectors, four texts at a time."""
        for first in range(0, len(texts), 4):
            batch = texts[first : first + 4]
            yield list(range(first, first + len(batch))), self.embed_passages(batch)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """A unit vector, (d,) float32."""
        return self._vector(text)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words, by spaces."""
        return [len(text.split()) for text in texts]

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.full(self.dimension, 1e-6, np.float32)
        for word in [*latin_words(text), *bigrams(text)]:
            place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % self.dimension
            vector[place] += 1.0
        return vector / np.float32(np.linalg.norm(vector))


class FakeVectorIndex:
    """Exact search in memory. `broken = True` makes every call fail as an unreachable Chroma does."""

    def __init__(self) -> None:
        self.vectors: dict[str, dict[str, NDArray[np.float32]]] = {}
        self.broken = False

    def upsert(self, owner: str, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Puts vectors in."""
        self._reach()
        self.vectors.setdefault(owner, {}).update(zip(ids, vectors, strict=True))

    def delete(self, owner: str, ids: Sequence[str]) -> None:
        """Takes vectors out."""
        self._reach()
        for passage_id in ids:
            self.vectors.get(owner, {}).pop(passage_id, None)

    def query(self, owners: Sequence[str], vector: NDArray[np.float32], k: int) -> list[tuple[str, float]]:
        """(passage id, cosine), best first."""
        self._reach()
        found = [
            (passage_id, float(stored @ vector))
            for owner in owners
            for passage_id, stored in self.vectors.get(owner, {}).items()
        ]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k]

    def count(self, owner: str) -> int:
        """How many vectors an owner has."""
        self._reach()
        return len(self.vectors.get(owner, {}))

    def find_themselves(self, owner: str, vectors: NDArray[np.float32]) -> bool:
        """Whether every vector is its own nearest."""
        nearest = [self.query([owner], vector, 1) for vector in vectors]
        return all(each and each[0][1] > 1.0 - 1e-3 for each in nearest)

    def ids(self, owner: str) -> set[str]:
        """The ids of all that an owner has."""
        self._reach()
        return set(self.vectors.get(owner, {}))

    def stored(self, owner: str, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Those of these ids that are in it, with their vectors."""
        self._reach()
        held = self.vectors.get(owner, {})
        return {passage_id: held[passage_id] for passage_id in ids if passage_id in held}

    def drop_others(self) -> None:
        """Nothing: another generation is another fake."""

    def _reach(self) -> None:
        if self.broken:
            raise IndexUnavailableError("The fake index is broken, as the test asked.")


class FakeGenerator:
    """Answers with `answer`, a word a piece, after a `thought`; remembers every request and pinned identity.

    A request that is cancelled, or has said as many words as it may, ends with the word in hand.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        answer: str = "기억하고 있어요.",
        thought: str = "",
        quotes: bool = False,
    ) -> None:
        self.name = name
        self.quotes = quotes
        self.context_tokens = 4096
        self.requests: list[GenerateRequest] = []
        self.pinned: list[Identity] = []
        self.state = State.READY
        self.answer = answer
        self.thought = thought
        self.closed_early = False

    def status(self) -> ModelStatus:
        """The state that the test set."""
        identity = self.pinned[-1].version if self.pinned else None
        return ModelStatus(name=self.name, family="fake", state=self.state, identity=identity)

    def load(self) -> None:
        """Ready at once."""
        self.state = State.READY

    def count_tokens(self, text: str) -> int:
        """Words, by spaces."""
        return len(text.split())

    def pin(self, identity: Identity) -> None:
        """Remembers it, behind those before."""
        self.pinned.append(identity)

    def generate(self, request: GenerateRequest) -> Iterator[Piece]:
        """The first choice, or `answer`."""
        if self.state is not State.READY:
            raise ModelNotReadyError(f"{self.name} is {self.state}")
        self.requests.append(request)
        return self._pieces(request)

    def forget(self) -> None:
        """Remembers no request and no identity."""
        self.requests.clear()
        self.pinned.clear()

    def close(self) -> None:
        """Absent after it."""
        self.state = State.ABSENT

    def _pieces(self, request: GenerateRequest) -> Iterator[Piece]:
        words = (request.choices[0] if request.choices else self.answer).split(" ")
        said, finish = 0, Finish.STOP
        try:
            if self.thought:
                yield Piece(text="", thought=self.thought)
            for word in words:
                if request.cancelled is not None and request.cancelled.is_set():
                    finish = Finish.CANCELLED
                    break
                if said == request.max_tokens:
                    finish = Finish.LENGTH
                    break
                yield Piece(text=f" {word}" if said else word)
                said += 1
        except GeneratorExit:
            self.closed_early = True
            raise
        usage = Usage(prompt_tokens=10, cached_tokens=5, completion_tokens=said)
        yield Piece(text="", finish=finish, usage=usage)


class FakeFileEvents:
    """Notices that a test gives by hand."""

    def __init__(self) -> None:
        self._notice: Callable[[Path, bool], None] | None = None

    def start(self, root: Path, notice: Callable[[Path, bool], None]) -> None:  # noqa: ARG002  (the port's)
        """Keeps the callback."""
        self._notice = notice

    def stop(self) -> None:
        """Forgets it."""
        self._notice = None

    def happen(self, path: Path, *, is_folder: bool = False) -> None:
        """Gives a notice, if somebody listens."""
        if self._notice is not None:
            self._notice(path, is_folder)
