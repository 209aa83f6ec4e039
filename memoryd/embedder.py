"""Texts to vectors: the built-in model through ONNX Runtime, any other one through sentence-transformers.

A multilingual model puts the two languages into two clouds, so that a Korean question finds Korean memories first
whatever they say (cross-lingual recall@5 on ko_memory: 25 %). Most of the mean of each cloud is taken away from its
vectors (75 %, and no loss within a language). The means come from `parallel_sentences.txt`, not from the memory,
so that stored vectors need not change as it grows. Source: "centering" in Mu & Viswanath 2018, "All-but-the-Top",
here a language at a time.
"""

from __future__ import annotations

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from memoryd.bundled import ensure_embedder, ensure_onnx_embedder
from memoryd.errors import EmbedderError
from memoryd.korean import estimate_tokens, hangul_share
from memoryd.packed_e5 import MODEL_FILE, TOKENIZER_FILE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from memoryd.config import Config

BUNDLED = "bundled"
# The same on CPU and GPU: their vectors agree to cosine 0.9999.
BUNDLED_ID = "multilingual-e5-small-q4"
BUNDLED_LIMIT = 512
PADDING = 1
MARKS = 6  # tokens of prompt and marks around a text, about
CPU_BATCH_TOKENS = 512
GPU_BATCH_TOKENS = 65536
# Batches a thread that are made or wait to be made while the caller is busy with those that it has.
AHEAD = 4
NVIDIA_DRIVER = Path("/proc/driver/nvidia")
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

    def embed_batches(
        self, texts: Sequence[str]
    ) -> Generator[tuple[list[int], NDArray[np.float32]], None, None]:
        """Places of texts and their unit vectors, (n, d) float32, each batch as it is made; closing it ends it soon."""
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


class PromptedEmbedder(ABC):
    """What every real embedder does with its model: prompts, batches of like length, centring.

    Args:
        model_id: names the model for good.
        query_prompt: put before a question.
        passage_prompt: put before a memory.
        limit: the most tokens that the model takes, marks and prompt counted.
        batch_tokens: of a batch, padding counted.
        threads: how many batches are made at a time.
        kept_in: where the languages' means are kept for the next start, if anywhere (a second of work saved).
    """

    def __init__(
        self,
        model_id: str,
        *,
        query_prompt: str,
        passage_prompt: str,
        limit: int,
        batch_tokens: int,
        threads: int = 1,
        kept_in: Path | None = None,
    ) -> None:
        self.query_prompt = query_prompt
        self.passage_prompt = passage_prompt
        self.batch_tokens = batch_tokens
        self.threads = threads
        prompts = hashlib.sha256(f"{self.query_prompt}\0{self.passage_prompt}".encode()).hexdigest()[:8]
        sentences = PARALLEL_SENTENCES.read_bytes()
        centring = hashlib.sha256(sentences + str(CENTRING).encode()).hexdigest()[:4]
        self.id = f"{model_id}-{prompts}{centring}"
        pairs = [line.split("\t") for line in sentences.decode().splitlines() if not line.startswith("#")]
        file = kept_in and kept_in / f"means-{prompts}{centring}.npy"
        self._passage_means, self._query_means = self._means(pairs, file)
        self.dimension = int(self._query_means.shape[1])
        self.max_tokens = limit - self.count_tokens([self.passage_prompt])[0] - 2

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of memories, (n, d) float32, a batch at a time so that a question can go between."""
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for places, made in self.embed_batches(texts):
            vectors[places] = made
        return vectors

    def embed_batches(
        self, texts: Sequence[str]
    ) -> Generator[tuple[list[int], NDArray[np.float32]], None, None]:
        """Places of texts and their unit vectors, (n, d) float32, each batch as it is made, longest texts first.

        Further batches are made while the caller has one, a few and no more: closing the iterator waits for the
        batches in hand alone.
        """
        # Estimates do for batches, and counting costs a fortieth of embedding.
        lengths = [estimate_tokens(text) for text in texts]
        share = -(-sum(length + MARKS for length in lengths) // self.threads)
        ahead: deque[tuple[list[int], Future[NDArray[np.float32]]]] = deque()
        workers = ThreadPoolExecutor(self.threads, thread_name_prefix="embed")
        try:
            for places in batches(lengths, min(self.batch_tokens, share)):
                batch = [texts[place] for place in places]
                ahead.append((places, workers.submit(self._embed_batch, batch)))
                if len(ahead) == AHEAD * self.threads:
                    yield _made(ahead)
            while ahead:
                yield _made(ahead)
        finally:
            workers.shutdown(cancel_futures=True)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question, (d,) float32; it waits for one batch of memories at most."""
        raw = self._encode([self.query_prompt + text], urgent=True)
        vector: NDArray[np.float32] = _centred(raw, [text], self._query_means)[0]
        return vector

    def _embed_batch(self, texts: list[str]) -> NDArray[np.float32]:
        raw = self._encode([self.passage_prompt + text for text in texts], urgent=False)
        return _centred(raw, texts, self._passage_means)

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in this model's tokens, without prompt and special tokens."""

    @abstractmethod
    def _encode(self, texts: list[str], *, urgent: bool) -> NDArray[np.float32]:
        """Unit vectors of texts that have their prompt, (n, d) float32, in one batch."""

    def _means(self, pairs: Sequence[Sequence[str]], file: Path | None) -> NDArray[np.float32]:
        """The languages' means with each prompt, (2, 2, d): memories' first, from the file where it has them."""
        if file:
            with suppress(OSError, ValueError, EOFError):
                kept = np.load(file)
                if kept.shape[:2] == (2, 2) and kept.dtype == np.float32:
                    return np.asarray(kept, np.float32)
        means = np.stack(
            [self._language_means(prompt, pairs) for prompt in (self.passage_prompt, self.query_prompt)]
        )
        if file:
            partial = file.with_name(f".{os.getpid()}-{file.name}")
            with suppress(OSError):  # a folder that can't be written costs a second at each start
                np.save(partial, means)
                partial.replace(file)
        return means

    def _language_means(self, prompt: str, pairs: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Row 0: the Korean sentences' mean, row 1: the English ones'."""
        means = [
            self._encode([prompt + pair[side] for pair in pairs], urgent=False).mean(axis=0)
            for side in (0, 1)
        ]
        return np.stack(means)


class OnnxEmbedder(PromptedEmbedder):
    """The built-in model on the CPU. Questions and memories run side by side, so none waits for another.

    A batch has one core to itself and there are as many batches as cores: cores that share a batch wait for the
    slowest of them at every step, and whatever else takes one of them for a moment costs all of them that moment.

    Args:
        folder: as `memoryd.onnx_graph` writes it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model_id: str = BUNDLED_ID,
        batch_tokens: int = CPU_BATCH_TOKENS,
        query_prompt: str = "auto",
        passage_prompt: str = "auto",
    ) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        super().__init__(
            model_id,
            query_prompt="query: " if query_prompt == "auto" else query_prompt,
            passage_prompt="passage: " if passage_prompt == "auto" else passage_prompt,
            limit=BUNDLED_LIMIT,
            batch_tokens=batch_tokens,
            threads=len(os.sched_getaffinity(0)),
            kept_in=folder,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in this model's tokens, without prompt and special tokens."""
        return [len(each.ids) for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def _encode(self, texts: list[str], *, urgent: bool) -> NDArray[np.float32]:  # noqa: ARG002  (none waits)
        encoded = self._tokenizer.encode_batch(texts)
        longest = min(max(len(each.ids) for each in encoded), BUNDLED_LIMIT)
        ids = np.full((len(texts), longest), PADDING, np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(encoded):
            # Only a question can be so long; it keeps its end mark.
            kept = each.ids if len(each.ids) <= longest else [*each.ids[: longest - 1], each.ids[-1]]
            ids[row, : len(kept)] = kept
            mask[row, : len(kept)] = 1
        (vectors,) = self._session.run(["vector"], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, np.float32)


class SentenceTransformerEmbedder(PromptedEmbedder):
    """A sentence-transformers model with its prompts; half precision on a GPU.

    Args:
        model: a folder or a model name.
        model_id: names the model for good (see `model_id`).
        device: `cpu`, `cuda`, `cuda:0`, or None for the best there is.
        batch_tokens: of a batch, padding counted; 0 for what suits the device.
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
        batch_tokens: int = 0,
        query_prompt: str = "auto",
        passage_prompt: str = "auto",
    ) -> None:
        self._model = _open(model, device)
        on_gpu = self._model.device.type == "cuda"
        if on_gpu:
            self._model.half()
        self._turns = _Turns()
        own = {name: prompt for name, prompt in self._model.prompts.items() if prompt}
        own_passage = own.get("document") or own.get("passage") or ""
        super().__init__(
            model_id,
            query_prompt=own.get("query", "") if query_prompt == "auto" else query_prompt,
            passage_prompt=own_passage if passage_prompt == "auto" else passage_prompt,
            limit=int(self._model.max_seq_length or 512),
            batch_tokens=batch_tokens or (GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS),
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in this model's tokens, without prompt and special tokens."""
        if not texts:
            return []
        with self._turns.take(urgent=False):
            encoded = self._model.tokenizer(
                list(texts), add_special_tokens=False, truncation=False, verbose=False
            )
        return [len(ids) for ids in encoded["input_ids"]]

    def _encode(self, texts: list[str], *, urgent: bool) -> NDArray[np.float32]:
        with self._turns.take(urgent=urgent):
            vectors = self._model.encode(
                texts,
                batch_size=len(texts),
                prompt="",
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)


class _Turns:
    """One at a time, and who is urgent goes first: one model is not safe to tokenise in two threads at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent = 0

    @contextmanager
    def take(self, *, urgent: bool) -> Iterator[None]:
        with self._changed:
            self._urgent += urgent
            self._changed.wait_for(lambda: not self._taken and (urgent or not self._urgent))
            self._urgent -= urgent
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


def _made(
    ahead: deque[tuple[list[int], Future[NDArray[np.float32]]]],
) -> tuple[list[int], NDArray[np.float32]]:
    """The batch that was begun first, once it is made."""
    places, batch = ahead.popleft()
    return places, batch.result()


def batches(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Places of texts, longest first, in batches of like length.

    Args:
        lengths: of the texts, in tokens.
        most_tokens: of a batch, every text counted as long as its longest; one text always fits.
    """
    places = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    at = 0
    while at < len(places):
        many = max(1, most_tokens // (lengths[places[at]] + MARKS))
        yield places[at : at + many]
        at += many


def open_embedder(config: Config) -> PromptedEmbedder:
    """The embedder that the configuration names, loaded.

    Raises:
        EmbedderError: the model can't be loaded.
    """
    settings = config.embedding
    if settings.model == BUNDLED and not _on_gpu(settings.device):
        return OnnxEmbedder(
            ensure_onnx_embedder(config.paths.models),
            batch_tokens=settings.batch_tokens or CPU_BATCH_TOKENS,
            query_prompt=settings.query_prompt,
            passage_prompt=settings.passage_prompt,
        )
    if settings.model == BUNDLED:
        model, model_id = str(ensure_embedder(config.paths.models)), BUNDLED_ID
    else:
        model = settings.model
        model_id = _folder_id(Path(model)) if Path(model).is_dir() else model.replace("/", "-")
    return SentenceTransformerEmbedder(
        model,
        model_id=model_id,
        device=None if settings.device == "auto" else settings.device,
        batch_tokens=settings.batch_tokens,
        query_prompt=settings.query_prompt,
        passage_prompt=settings.passage_prompt,
    )


def _on_gpu(device: str) -> bool:
    """Whether the built-in model runs on a GPU. Torch, seconds to import, is asked only where there may be one."""
    if device != "auto" or not NVIDIA_DRIVER.exists():
        return device.startswith(("cuda", "mps"))
    import torch

    return torch.cuda.is_available()


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
