"""Texts to vectors through sentence-transformers; any model that it can open, the built-in one by default.

A multilingual model puts the two languages into two clouds, so that a Korean question finds Korean memories first
whatever they say (cross-lingual recall@5 on ko_memory: 25 %). Most of the mean of each cloud is taken away from its
vectors (75 %, and no loss within a language). The means come from `parallel_sentences.txt`, not from the memory,
so that stored vectors need not change as it grows. Source: "centering" in Mu & Viswanath 2018, "All-but-the-Top",
here a language at a time.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from memoryd.bundled import ensure_embedder
from memoryd.errors import EmbedderError
from memoryd.korean import hangul_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from memoryd.config import Config

BUNDLED = "bundled"
PARALLEL_SENTENCES = Path(__file__).with_name("parallel_sentences.txt")
# How much of a language's mean is taken away; 0.5 to 1.0 measured alike, see docs/architecture.md.
CENTRING = 0.8
HASHED_WHOLE_BYTES = 2**20


class Embedder(Protocol):
    """What makes vectors; `memoryd.testing.FakeEmbedder` is its fake."""

    @property
    def id(self) -> str:
        """Names model and prompts; vectors of two ids are never compared."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """The longest text that is embedded whole, in tokens."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of memories, (n, d) float32."""
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question, (d,) float32."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in this model's tokens, without prompt and special tokens."""
        ...


class SentenceTransformerEmbedder:
    """A sentence-transformers model with its prompts.

    Args:
        model: a folder or a model name.
        model_id: names the model for good (see `model_id`).
        device: `cpu`, `cuda`, `cuda:0`, or None for the best there is.
        query_prompt: put before a question; `auto` takes the model's own.
        passage_prompt: put before a memory; `auto` takes the model's own.

    Raises:
        EmbedderError: the model can't be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        model_id: str,
        device: str | None = None,
        batch_size: int = 16,
        query_prompt: str = "auto",
        passage_prompt: str = "auto",
    ) -> None:
        self._model = _open(model, device)
        self._batch_size = batch_size
        own = {name: prompt for name, prompt in self._model.prompts.items() if prompt}
        self.query_prompt = own.get("query", "") if query_prompt == "auto" else query_prompt
        auto_passage = own.get("document") or own.get("passage") or ""
        self.passage_prompt = auto_passage if passage_prompt == "auto" else passage_prompt
        prompts = hashlib.sha256(f"{self.query_prompt}\0{self.passage_prompt}".encode()).hexdigest()[:8]
        sentences = PARALLEL_SENTENCES.read_bytes()
        centring = hashlib.sha256(sentences + str(CENTRING).encode()).hexdigest()[:4]
        self.id = f"{model_id}-{prompts}{centring}"
        # One model is not safe to tokenise in two threads at once.
        self._lock = threading.Lock()
        pairs = [line.split("\t") for line in sentences.decode().splitlines() if not line.startswith("#")]
        self._passage_means = self._language_means(self.passage_prompt, pairs)
        self._query_means = self._language_means(self.query_prompt, pairs)
        self.dimension = int(self._query_means.shape[1])
        limit = int(self._model.max_seq_length or 512)
        prompt_tokens = self.count_tokens([self.passage_prompt])[0]
        self.max_tokens = limit - prompt_tokens - 2

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of memories, (n, d) float32, a batch at a time so that a question can go between."""
        vectors = []
        for at in range(0, len(texts), self._batch_size):
            batch = texts[at : at + self._batch_size]
            raw = self._encode([self.passage_prompt + text for text in batch])
            vectors.append(_centred(raw, batch, self._passage_means))
        return np.concatenate(vectors) if vectors else np.zeros((0, self.dimension), np.float32)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question, (d,) float32."""
        vector: NDArray[np.float32] = _centred(
            self._encode([self.query_prompt + text]), [text], self._query_means
        )[0]
        return vector

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in this model's tokens, without prompt and special tokens."""
        if not texts:
            return []
        with self._lock:
            encoded = self._model.tokenizer(
                list(texts), add_special_tokens=False, truncation=False, verbose=False
            )
        return [len(ids) for ids in encoded["input_ids"]]

    def _language_means(self, prompt: str, pairs: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Row 0: the Korean sentences' mean, row 1: the English ones'."""
        means = [self._encode([prompt + pair[side] for pair in pairs]).mean(axis=0) for side in (0, 1)]
        return np.stack(means)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        with self._lock:
            vectors = self._model.encode(
                texts,
                batch_size=self._batch_size,
                prompt="",
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)


def open_embedder(config: Config) -> SentenceTransformerEmbedder:
    """The embedder that the configuration names, loaded (seconds).

    Raises:
        EmbedderError: the model can't be loaded.
    """
    settings = config.embedding
    if settings.model == BUNDLED:
        model = str(ensure_embedder(config.paths.models))
        model_id = "multilingual-e5-small-q4"
    else:
        model = settings.model
        model_id = _folder_id(Path(model)) if Path(model).is_dir() else model.replace("/", "-")
    return SentenceTransformerEmbedder(
        model,
        model_id=model_id,
        device=None if settings.device == "auto" else settings.device,
        batch_size=settings.batch_size,
        query_prompt=settings.query_prompt,
        passage_prompt=settings.passage_prompt,
    )


def _centred(
    vectors: NDArray[np.float32], texts: Sequence[str], means: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Takes each text's language mean away, by its share of Hangul, and makes the rest unit length again."""
    shares = np.array([hangul_share(text) for text in texts], dtype=np.float32)[:, None]
    moved = vectors - CENTRING * (shares * means[0] + (1 - shares) * means[1])
    centred: NDArray[np.float32] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return centred


def _open(model: str, device: str | None) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        return SentenceTransformer(model, device=device)
    except Exception as error:  # the library raises whatever its many back ends raise
        raise EmbedderError(
            f'The embedding model "{model}" can\'t be loaded: {error}. '
            'Set embedding.model to a sentence-transformers folder, or to "bundled".'
        ) from error


def _folder_id(folder: Path) -> str:
    """The folder's name and a digest of what is in it: small files whole, weights by size."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            size = file.stat().st_size
            digest.update(f"{file.relative_to(folder)} {size}\n".encode())
            if size <= HASHED_WHOLE_BYTES:
                digest.update(file.read_bytes())
    return f"{folder.name}-{digest.hexdigest()[:12]}"
