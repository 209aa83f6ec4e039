"""How long a search takes as a memory grows, without the question's own embedding.

`python -m bench.scale --passages 10000,100000,1000000 --text FILE…`: one memory (`bench.scale_memory`) is grown to each
size and searched by `Recall` itself; beside it, over the same vectors and questions, plain Chroma and an exact search
by numpy. `--folder` keeps the memory, which takes hours to grow to a million on two cores; a later run goes on with it
and measures from its size on. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.machine import describe_machine
from bench.scale_memory import DIMENSION, EMBEDDER, SHARED, ScaleMemory, read_pool
from bench.scores import percentile
from memoryd.korean import WordSplitter
from memoryd.recall.recall import Recall
from memoryd.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bench.scale_memory import Pool, Vectors
    from memoryd.recall import Timings

QUESTIONS = 300
WARM_UP = 50
K = 10
CANDIDATES = 100
MIB = 2**20
OWNERS = (SHARED,)


class Asked(FakeEmbedder):
    """Gives each question the vector of its number, at once."""

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(dimension=DIMENSION, name=EMBEDDER)
        self._vectors = vectors
        self.number = 0

    def embed_query(self, text: str) -> NDArray[np.float32]:  # noqa: ARG002  (the number decides)
        """The unit vector of the question that is next, (d,) float32."""
        return self._vectors.asked(self.number)


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--passages", default="10000,100000", metavar="N,N,…", help="sizes, growing")
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="where sentences are taken from")
    parser.add_argument("--folder", type=Path, help="where the memory is kept; a scratch folder without it")
    options = parser.parse_args()
    sizes = [int(size) for size in options.passages.split(",")]
    words = WordSplitter()
    words.load()
    pool = read_pool(options.text, words)
    with tempfile.TemporaryDirectory(prefix="memoryd-scale-") as scratch:
        memory = ScaleMemory(options.folder or Path(scratch))
        try:
            result = _measured(memory, sizes, pool, words)
        finally:
            memory.close()
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0


def _measured(
    memory: ScaleMemory, sizes: Sequence[int], pool: Pool, words: WordSplitter
) -> dict[str, object]:
    found: dict[str, object] = {"questions": QUESTIONS, "k": K, "candidates": CANDIDATES}
    p50: list[float] = []
    for size in sizes:
        memory.grow(size, pool)
        sys.stderr.write(f"\n{memory.built.passages} passages: searching\n")
        at = _at_this_size(memory, pool, words)
        p50.append(at["search_ms"]["p50"])
        found[str(memory.built.passages)] = at
    return found | ({"growth_of_p50": round(p50[-1] / p50[-2], 2)} if len(p50) > 1 else {})


def _at_this_size(memory: ScaleMemory, pool: Pool, words: WordSplitter) -> dict[str, dict[str, float]]:
    embedder = Asked(memory.vectors)
    recall = Recall(
        ledger=memory.ledger,
        embedder=embedder,
        words=words,
        index=lambda: memory.index,
        degraded=lambda: None,
        doubt=lambda: None,
        candidates=CANDIDATES,
    )
    took: list[Timings] = []
    for number in range(WARM_UP + QUESTIONS):
        embedder.number = number
        found = recall.search(pool.questions[number % len(pool.questions)], owners=OWNERS, k=K)
        took.append(found.timings)
    measured = took[WARM_UP:]
    matrix = memory.vectors.stored_all(memory.built.passages)
    asked = [memory.vectors.asked(number) for number in range(QUESTIONS)]
    exact_ids, exact_ms = _timed(lambda vector: _exact(matrix, vector), asked)
    chroma_ids, chroma_ms = _timed(lambda vector: _ids(memory, vector), asked)
    shared = [len(set(one) & set(other)) / K for one, other in zip(exact_ids, chroma_ids, strict=True)]
    passages, built = memory.built.passages, memory.built
    return {
        "search_ms": _percentiles([each.total for each in measured]),
        "vectors_ms": _percentiles([each.vectors for each in measured]),
        "words_ms": _percentiles([each.words for each in measured]),
        "rank_ms": _percentiles([each.rank for each in measured]),
        "pack_ms": _percentiles([each.pack for each in measured]),
        "plain_chroma_ms": _percentiles(chroma_ms),
        "exact_numpy_ms": _percentiles(exact_ms),
        "chroma_recall@10": {"percent": round(100 * float(np.mean(shared)), 1)},
        "build_s": {"ledger": round(built.ledger_s, 1), "chroma": round(built.chroma_s, 1)},
        "bytes_a_passage": {
            "ledger": round(_size(memory.folder, "ledger*") / passages),
            "chroma": round(_size(memory.folder / "chroma", "**/*") / passages),
        },
        "resident_mib": {name: round(kib / 1024) for name, kib in memory.resident_kib().items()},
    }


def _exact(matrix: NDArray[np.float32], vector: NDArray[np.float32]) -> list[int]:
    scores = matrix @ vector
    best = np.argpartition(-scores, K)[:K]
    return [int(each) for each in best]


def _ids(memory: ScaleMemory, vector: NDArray[np.float32]) -> list[int]:
    return [int(name.removeprefix("p_")) for name, _ in memory.index.query(OWNERS, vector, K)]


def _timed(
    search: Callable[[NDArray[np.float32]], list[int]], asked: Sequence[NDArray[np.float32]]
) -> tuple[list[list[int]], list[float]]:
    """What each search found, and the milliseconds it took."""
    found, took = [], []
    for vector in asked:
        begun = time.perf_counter()
        found.append(search(vector))
        took.append((time.perf_counter() - begun) * 1000)
    return found, took


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}": round(percentile(values, percent), 2) for percent in (50, 95)}


def _size(folder: Path, pattern: str) -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern) if file.is_file())


if __name__ == "__main__":
    raise SystemExit(main())
