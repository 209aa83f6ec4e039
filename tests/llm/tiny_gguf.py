"""Real GGUF files of two small layers with random weights: they load, tokenise and decode as their families do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.gguf_shapes import MAKES
from bench.gguf_writer import write_gguf

if TYPE_CHECKING:
    from pathlib import Path

LLAMA, MIXTRAL, QWEN2 = "llama-3.1-8b", "mixtral-8x7b", "r1-distill-qwen-7b"
RING_BYTES = 2**20  # more than the weights of any tiny file: none repeats


def write_tiny(
    path: Path,
    make: str,
    *,
    mix: str = "F16",
    chat_template: str = "",
    context_length: int = 4096,
    layers: int = 2,
    embedding: int = 128,
    feed_forward: int = 64,
    seed: int = 7,
) -> Path:
    """Writes a small file of that make at `path`, about 1 MB: four attention heads, two of keys and values.

    Args:
        make: `LLAMA`, `MIXTRAL` or `QWEN2`.
        mix: the tensors' types and what the file says of them, a key of `bench.gguf_writer.MIXES`. Q4_K_M
            needs multiples of 256 as `embedding` and `feed_forward`.
        chat_template: the Jinja source to put in; "" for none.
    """
    shape = replace(
        MAKES[make].shape,
        name=f"tiny {make}",
        layers=layers,
        embedding=embedding,
        heads=4,
        kv_heads=2,
        feed_forward=feed_forward,
        context_length=context_length,
    )
    vocabulary = MAKES[make].small_vocabulary()
    write_gguf(
        path, shape, vocabulary, mix=mix, chat_template=chat_template, seed=seed, ring_bytes=RING_BYTES
    )
    return path
