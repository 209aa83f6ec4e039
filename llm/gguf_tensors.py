"""How many bytes each tensor takes, and whether all of them lie in the file as llama.cpp wants them.

    tensor directory ──▶ type and shape ──▶ bytes ──▶ one after another, aligned, up to the file's end

Sizes of blocks: https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from llm.gguf_reader import U32_KIND, Flaw, damaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm.gguf_reader import Entry, Head

DEFAULT_ALIGNMENT = 32
MOST_BYTES = 2**63 - 1
BLOCKS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
    42: ("Q2_0", 64, 18),
}  # fmt: skip
"""ggml's types: name, values in a block, bytes of a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of a model: its name, its type's name (`Q4_K`), its size in bytes, its shape (columns first)."""

    name: str
    type: str
    bytes: int
    shape: tuple[int, ...]


def tensors_of(head: Head, size: int) -> tuple[Tensor, ...]:
    """The tensors of one file, each checked; `size` is the file's, in bytes.

    Raises:
        Flaw: a type that ggml doesn't have, a shape that its type can't have, a tensor at a wrong place, or
            weights that end behind the file's end.
    """
    alignment = _alignment(head)
    start = _padded(head.end, alignment)
    tensors = tuple(_tensor(entry) for entry in head.entries)
    names = {tensor.name for tensor in tensors}
    if len(names) < len(tensors):
        raise damaged("two tensors have the same name")
    place = 0
    for entry, tensor in zip(head.entries, tensors, strict=True):
        if entry.offset != place:
            raise damaged(
                f"the tensor {entry.name} starts at byte {entry.offset} of the weights, not {place}"
            )
        if start + place + tensor.bytes > size:
            raise Flaw(_cut_off(start, alignment, tensors, size))
        place += _padded(tensor.bytes, alignment)
    return tensors


def _alignment(head: Head) -> int:
    key = "general.alignment"
    if key not in head.kinds:
        return DEFAULT_ALIGNMENT
    alignment = head.count(key)
    if head.kinds[key] != U32_KIND or not alignment or alignment & (alignment - 1):
        raise damaged("its alignment is no power of two")
    return alignment


def _tensor(entry: Entry) -> Tensor:
    if entry.kind not in BLOCKS:
        raise damaged(f"the tensor {entry.name} has the type {entry.kind}, which ggml doesn't have")
    kind, values, length = BLOCKS[entry.kind]
    row = entry.shape[0] if entry.shape else 1
    if row % values:
        raise damaged(f"the tensor {entry.name} has rows of {row}, which {kind} can't hold")
    count = prod(entry.shape)
    whole = count // values * length
    if max((*entry.shape, count, whole)) > MOST_BYTES:
        raise damaged(f"the tensor {entry.name} has the shape {entry.shape}")
    return Tensor(name=entry.name, type=kind, bytes=whole, shape=entry.shape)


def _cut_off(start: int, alignment: int, tensors: Sequence[Tensor], size: int) -> str:
    end = start + sum(_padded(tensor.bytes, alignment) for tensor in tensors)
    return f"is cut off: it has {size} bytes, and its weights end at byte {end}. Copy the model again."


def _padded(count: int, alignment: int) -> int:
    return -(-count // alignment) * alignment
