"""A cross-encoder reads question and passage together, and so orders better than two vectors can; it costs time.

Off unless `recall.reranker` names one: a sentence-transformers CrossEncoder, by name or folder.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from memoryd.errors import EmbedderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.recall.hits import Hit

# Hits that are gathered for it; it reads as many of them as its time allows, a few at once.
DEPTH = 40
READ_TOGETHER = 4


class Reranker:
    """Puts hits into the order of a cross-encoder's scores.

    Args:
        model: a CrossEncoder's folder or name.
        budget_ms: when it is over, no further hits are read; those that were stand before the rest.

    Raises:
        EmbedderError: the model can't be loaded.
    """

    def __init__(self, model: str, *, budget_ms: float) -> None:
        from sentence_transformers import CrossEncoder

        try:
            self._model = CrossEncoder(model)
        except Exception as error:  # the library raises whatever its many back ends raise
            raise EmbedderError(
                f'The reranker "{model}" can\'t be loaded: {error}. Set recall.reranker to a '
                'sentence-transformers CrossEncoder (a folder or a name), or to "" for none.'
            ) from error
        self._budget_ms = budget_ms
        # One tokenizer is not safe in two threads at once.
        self._lock = threading.Lock()

    def reranked(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits that it had time for, best first, then the others as they were."""
        begun = time.perf_counter()
        read: list[Hit] = []
        for at in range(0, len(hits), READ_TOGETHER):
            if at and (time.perf_counter() - begun) * 1000 > self._budget_ms:
                break
            part = hits[at : at + READ_TOGETHER]
            with self._lock:
                scores = self._model.predict(
                    [(query, hit.passage.text) for hit in part], show_progress_bar=False
                )
            read += [
                replace(hit, why=hit.why._replace(reranked=float(score)))
                for hit, score in zip(part, scores, strict=True)
            ]
        read.sort(key=lambda hit: -(hit.why.reranked or 0.0))
        return [*read, *hits[len(read) :]]
