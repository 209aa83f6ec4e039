"""What bounds a model on this machine: memory's speed for answers, arithmetic for prompts, and how near it comes.

an answer's token reads every weight once   ─▶ tokens/s × bytes ÷ what numpy reads a second
a prompt's token costs 2 operations a weight ─▶ operations/s ÷ numpy's float32 matrix product

numpy runs on as many threads. llama.cpp multiplies 4-bit weights in integers, so the second is a yardstick and no wall.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from llm.gguf import GgufInfo

BLOCK_BYTES = 256 * 2**20
MATRIX = 2048
TRIES = 5
EXPERTS = "_exps."


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a model does for a token.

    Attributes:
        weight_bytes: weights read for one token of one answer.
        weights: how many weights a prompt's token is multiplied with.
        cache_bytes: keys and values read for each token that stands before it, in f16.
        attention: operations for each token that stands before it.
    """

    weight_bytes: int
    weights: int
    cache_bytes: int
    attention: int


def work_of(info: GgufInfo) -> Work:
    """From the file's header. Of a layer's experts those count that a token takes.

    The table of embeddings is read a row at a time, unless it is the output's as well; a prompt needs the output
    for its last token only.
    """
    share = info.expert_used_count / info.expert_count if info.expert_count else 1.0
    names = {tensor.name for tensor in info.tensors}
    table, output = "token_embd.weight", "output.weight"
    read, multiplied = 0.0, 0.0
    for tensor in info.tensors:
        part = share if EXPERTS in tensor.name else 1.0
        if tensor.name != table or output not in names:
            read += part * tensor.bytes
        if tensor.name not in {table, output}:
            multiplied += part * prod(tensor.shape)
    values = sum(info.head_count_kv) * (info.key_length + (0 if info.latent else info.value_length))
    pairs = info.block_count * info.head_count * (info.key_length + info.value_length)
    return Work(weight_bytes=int(read), weights=int(multiplied), cache_bytes=2 * values, attention=2 * pairs)


def prefill_operations(work: Work, tokens: int) -> float:
    """Operations for a prompt that nothing is known of: its weights, and each token against those before it."""
    return 2.0 * work.weights * tokens + work.attention * tokens * (tokens + 1) / 2


def read_bytes_per_s(threads: int, *, block_bytes: int = BLOCK_BYTES) -> float:
    """How fast memory is read: the best of several sums over blocks that no cache holds."""
    blocks = [np.ones(block_bytes // 8, np.int64) for _ in range(threads)]
    kinds: list[Callable[[NDArray[np.int64]], object]] = [np.sum, np.max, lambda block: block.copy()]
    factors = (1, 1, 2)  # a copy writes as much as it reads
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for kind, factor in zip(kinds, factors, strict=True):
            for _ in range(TRIES):
                began = time.perf_counter()
                list(pool.map(kind, blocks))
                seconds = time.perf_counter() - began
                best = max(best, factor * threads * blocks[0].nbytes / seconds)
    return best


def matmul_operations_per_s(threads: int, *, size: int = MATRIX) -> float:
    """How fast float32 matrices are multiplied: the best of several, in operations (a multiply-add is two)."""
    one = np.random.default_rng(0).random((size, size), np.float32)
    best = float("inf")
    with threadpool_limits(threads):
        for _ in range(TRIES):
            began = time.perf_counter()
            one @ one
            best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best
