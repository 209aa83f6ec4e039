"""GGUF files made by hand: whole small ones, and ones with anything wrong in them."""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING

from llm.gguf_tensors import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KINDS = {name: kind for kind, (name, _values, _bytes) in BLOCKS.items()}
ALIGNMENT = 32


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def string(key: str, value: str) -> bytes:
    return pair(key, 8, text(value))


def number(key: str, value: int) -> bytes:
    return pair(key, 4, struct.pack("<I", value))


def real(key: str, value: float) -> bytes:
    return pair(key, 6, struct.pack("<f", value))


def array(key: str, kind: int, length: int, items: bytes) -> bytes:
    return pair(key, 9, struct.pack("<IQ", kind, length) + items)


def numbers(key: str, values: Sequence[int]) -> bytes:
    return array(key, 4, len(values), struct.pack(f"<{len(values)}I", *values))


def strings(key: str, values: Iterable[str]) -> bytes:
    items = [text(value) for value in values]
    return array(key, 8, len(items), b"".join(items))


def entry(name: str, shape: Sequence[int], kind: int, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def padded(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def file_of(pairs: Sequence[bytes], entries: Sequence[bytes], weights: int, *, version: int = 3) -> bytes:
    """A file of these parts, with so many bytes of weights."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(entries), len(pairs)) + b"".join([*pairs, *entries])
    return head.ljust(padded(len(head)), b"\0") + b"\1" * weights


def directory(tensors: Iterable[tuple[str, str, Sequence[int]]]) -> tuple[list[bytes], int]:
    """Entries for tensors (name, type, shape) one after another, and the bytes that all of them take."""
    entries, place = [], 0
    for name, kind, shape in tensors:
        _, values, length = BLOCKS[KINDS[kind]]
        entries.append(entry(name, shape, KINDS[kind], place))
        place += padded(prod(shape) // values * length)
    return entries, place


ARCHITECTURE = string("general.architecture", "llama")
LAYERS = 2
TENSORS = (
    ("token_embd.weight", "Q8_0", (64, 5)),
    *((f"blk.{layer}.attn_q.weight", "F16", (64, 64)) for layer in range(LAYERS)),
    ("output_norm.weight", "F32", (64,)),
    ("output.weight", "Q8_0", (64, 5)),
)


def pairs(*more: bytes, architecture: str = "llama") -> list[bytes]:
    """The least that a model says of itself."""
    return [
        string("general.architecture", architecture),
        number(f"{architecture}.block_count", LAYERS),
        number(f"{architecture}.embedding_length", 64),
        number(f"{architecture}.attention.head_count", 4),
        strings("tokenizer.ggml.tokens", ["<s>", "</s>", "안녕", "하세요", ""]),
        *more,
    ]


def model(*more: bytes, architecture: str = "llama", version: int = 3) -> bytes:
    """A whole small model, with these pairs too."""
    entries, weights = directory(TENSORS)
    return file_of(pairs(*more, architecture=architecture), entries, weights, version=version)
