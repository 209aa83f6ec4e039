"""Writes GGUF files with random weights: any size, llama.cpp's own tensor names, valid blocks of every type used.

    Shape ──tensors──▶ names and sizes ──mix──▶ types ──▶ header │ directory │ weights, streamed from a ring

A file reads and decodes as a trained one of its shape does, at the same speed; what it says is noise.
Tensor names and types: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from os import SEEK_END
from typing import TYPE_CHECKING

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, LlamaFileType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from bench.gguf_vocabulary import Vocabulary

    Bytes = NDArray[np.uint8]

Kind = GGMLQuantizationType
ALIGNMENT = 32
RING_BYTES = 64 * 2**20
QUANTIZATION_VERSION = 2
RMS_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model's measures.

    Attributes:
        architecture: llama.cpp's name: `llama` (Mixtral too) or `qwen2`.
        name: what the file calls the model.
        layers: how many; each has attention and a feed-forward part.
        embedding: width of the residual stream, a multiple of `heads`.
        heads: attention heads; `kv_heads` of them have keys and values of their own.
        feed_forward: inner width, of one expert where there are experts.
        experts: how many; 0 for a dense model.
        experts_used: how many each token takes.
        context_length: what the model says that it was trained for, in tokens.
        rope_base: base of the rotary frequencies.
        rope_factors: whether it has Llama 3.1's tensor of them.
        attention_bias: whether queries, keys and values have biases (Qwen 2).
    """

    architecture: str
    name: str
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    feed_forward: int
    experts: int = 0
    experts_used: int = 0
    context_length: int
    rope_base: float
    rope_factors: bool = False
    attention_bias: bool = False

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.embedding // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a shape: its name, its layer (-1: of none), its size with the row's length last."""

    name: str
    layer: int
    size: tuple[int, ...]

    @property
    def part(self) -> str:
        """The name without its layer: `attn_v.weight`, `output.weight`."""
        return self.name.split(".", 2)[2] if self.layer >= 0 else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Which type each tensor gets, and what the file says of it."""

    file_type: LlamaFileType
    kind_of: Callable[[Shape, Tensor], Kind]


def _plain(kind: Kind) -> Callable[[Shape, Tensor], Kind]:
    return lambda _shape, tensor: kind if _is_matrix(tensor) else Kind.F32


def _q4_k_m(shape: Shape, tensor: Tensor) -> Kind:
    """As llama.cpp's quantiser chooses (`llama_tensor_get_type_impl` in src/llama-quant.cpp)."""
    if not _is_matrix(tensor):
        return Kind.F32
    if tensor.name == "output.weight":
        return Kind.Q6_K
    eighth = shape.layers // 8
    layer = tensor.layer
    more_bits = layer < eighth or layer >= 7 * shape.layers // 8 or (layer - eighth) % 3 == 2
    of_eight_experts = {
        "attn_v.weight": Kind.Q8_0,
        "attn_k.weight": Kind.Q8_0,
        "attn_output.weight": Kind.Q5_K,
    }
    if shape.experts == 8 and tensor.part in of_eight_experts:
        return of_eight_experts[tensor.part]
    if more_bits and tensor.part in {"attn_v.weight", "ffn_down.weight", "ffn_down_exps.weight"}:
        return Kind.Q6_K
    return Kind.Q4_K


MIXES = {
    "F32": Mix(file_type=LlamaFileType.ALL_F32, kind_of=_plain(Kind.F32)),
    "F16": Mix(file_type=LlamaFileType.MOSTLY_F16, kind_of=_plain(Kind.F16)),
    "Q8_0": Mix(file_type=LlamaFileType.MOSTLY_Q8_0, kind_of=_plain(Kind.Q8_0)),
    "Q4_K_M": Mix(file_type=LlamaFileType.MOSTLY_Q4_K_M, kind_of=_q4_k_m),
}
"""Rows must be a multiple of 32 long for Q8_0, of 256 for Q4_K_M."""


def write_gguf(
    path: Path,
    shape: Shape,
    vocabulary: Vocabulary,
    *,
    mix: str = "F16",
    chat_template: str = "",
    seed: int = 0,
    ring_bytes: int = RING_BYTES,
) -> int:
    """Writes a file of that shape; the same arguments give the same bytes. Returns its size in bytes.

    The output rows of control tokens are zero: the likeliest token is never one, so no greedy answer ends early.

    Args:
        ring_bytes: memory for the random bytes of each type; a longer tensor repeats them.
    """
    tensors = [
        (tensor, MIXES[mix].kind_of(shape, tensor)) for tensor in tensors_of(shape, len(vocabulary.tokens))
    ]
    writer = GGUFWriter(path, shape.architecture)
    writer.add_name(shape.name)
    writer.add_file_type(MIXES[mix].file_type)
    writer.add_quantization_version(QUANTIZATION_VERSION)
    _add_measures(writer, shape, len(vocabulary.tokens))
    _add_vocabulary(writer, vocabulary)
    writer.add_chat_template(chat_template)
    for tensor, kind in tensors:
        writer.add_tensor_info(
            tensor.name, tensor.size, np.dtype(np.float32), _length(tensor, kind), raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    ring = _Ring(np.random.default_rng(seed), spread=shape.embedding**-0.5, ring_bytes=ring_bytes)
    with path.open("r+b") as file:
        file.seek(0, SEEK_END)
        for tensor, kind in tensors:
            file.write(bytes(-file.tell() % ALIGNMENT))
            _write_weights(file, tensor, kind, ring, vocabulary)
        file.write(bytes(-file.tell() % ALIGNMENT))
        return file.tell()


def tensors_of(shape: Shape, vocabulary_size: int) -> Iterator[Tensor]:
    """Every tensor that llama.cpp wants of the shape."""
    wide, inner, keys = shape.embedding, shape.feed_forward, shape.kv_heads * shape.head_size
    yield Tensor(name="token_embd.weight", layer=-1, size=(vocabulary_size, wide))
    if shape.rope_factors:
        yield Tensor(name="rope_freqs.weight", layer=-1, size=(shape.head_size // 2,))
    for layer in range(shape.layers):
        parts: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (wide,),
            "attn_q.weight": (wide, wide),
            "attn_k.weight": (keys, wide),
            "attn_v.weight": (keys, wide),
            "attn_output.weight": (wide, wide),
            "ffn_norm.weight": (wide,),
        }
        if shape.attention_bias:
            parts |= {"attn_q.bias": (wide,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
        if shape.experts:
            parts |= {
                "ffn_gate_inp.weight": (shape.experts, wide),
                "ffn_gate_exps.weight": (shape.experts, inner, wide),
                "ffn_down_exps.weight": (shape.experts, wide, inner),
                "ffn_up_exps.weight": (shape.experts, inner, wide),
            }
        else:
            parts |= {
                "ffn_gate.weight": (inner, wide),
                "ffn_down.weight": (wide, inner),
                "ffn_up.weight": (inner, wide),
            }
        for part, size in parts.items():
            yield Tensor(name=f"blk.{layer}.{part}", layer=layer, size=size)
    yield Tensor(name="output_norm.weight", layer=-1, size=(wide,))
    yield Tensor(name="output.weight", layer=-1, size=(vocabulary_size, wide))


def _is_matrix(tensor: Tensor) -> bool:
    """Whether it is stored in the mix's types; norms, biases and the experts' router stay float32."""
    return len(tensor.size) > 1 and tensor.part != "ffn_gate_inp.weight"


def _length(tensor: Tensor, kind: Kind) -> int:
    elements, block_bytes = GGML_QUANT_SIZES[kind]
    if tensor.size[-1] % elements:
        raise ValueError(
            f"{tensor.name}: a row of {tensor.size[-1]} can't be {kind.name}, in blocks of {elements}"
        )
    return prod(tensor.size) // elements * block_bytes


def _add_measures(writer: GGUFWriter, shape: Shape, vocabulary_size: int) -> None:
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(RMS_EPSILON)
    writer.add_vocab_size(vocabulary_size)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.pre:
        writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def _write_weights(file: BinaryIO, tensor: Tensor, kind: Kind, ring: _Ring, vocabulary: Vocabulary) -> None:
    if tensor.part.endswith("norm.weight") or tensor.part == "rope_freqs.weight":
        file.write(np.ones(tensor.size, "<f4").tobytes())
        return
    start = file.tell()
    file.writelines(ring.take(kind, _length(tensor, kind)))
    if tensor.name == "output.weight":
        row = _length(tensor, kind) // tensor.size[0]
        end = file.tell()
        for token in vocabulary.unsayable:
            file.seek(start + token * row)
            file.write(bytes(row))
        file.seek(end)


class _Ring:
    """Random blocks of each type, made once and handed out round and round."""

    def __init__(self, random: np.random.Generator, *, spread: float, ring_bytes: int) -> None:
        """Weights will have a mean of about zero and a standard deviation of about `spread`."""
        self._random = random
        self._spread = spread
        self._ring_bytes = ring_bytes
        self._made: dict[Kind, memoryview] = {}
        self._at: dict[Kind, int] = {}

    def take(self, kind: Kind, length: int) -> Iterator[memoryview]:
        """The next `length` bytes, in pieces; a whole number of blocks."""
        if kind not in self._made:
            blocks = max(self._ring_bytes // GGML_QUANT_SIZES[kind][1], 1)
            made = random_blocks(self._random, kind, blocks, spread=self._spread)
            self._made[kind], self._at[kind] = made.reshape(-1).data, 0
        ring = self._made[kind]
        while length:
            start = self._at[kind]
            piece = ring[start : start + length]
            yield piece
            length -= len(piece)
            self._at[kind] = (start + len(piece)) % len(ring)


def random_blocks(random: np.random.Generator, kind: Kind, blocks: int, *, spread: float) -> Bytes:
    """`(blocks, bytes of a block) uint8`: blocks of a type whose weights are finite and spread about zero.

    Layouts: `block_q4_K` and its like in ggml/src/ggml-common.h. A random quant times a random scale has the standard
    deviation that `UNIT` gives, for a factor d of 1; so d is chosen to bring it to `spread`.
    """
    if kind in {Kind.F32, Kind.F16}:
        weights = random.standard_normal((blocks, 1), np.float32) * np.float32(spread)
        return weights.astype("<f4" if kind is Kind.F32 else "<f2").view(np.uint8)
    made = random.integers(0, 256, (blocks, GGML_QUANT_SIZES[kind][1]), np.uint8)
    unit, factors = FACTORS[kind]
    for offset, times in factors.items():
        factor = np.array([spread / unit * times], "<f2")
        made[:, offset : offset + 2] = factor.view(np.uint8)
    return made


FACTORS: dict[Kind, tuple[float, dict[int, float]]] = {
    Kind.Q8_0: (73.9, {0: 1}),
    Kind.Q4_K: (257, {0: 1, 2: 7.5}),
    Kind.Q5_K: (524, {0: 1, 2: 15.5}),
    Kind.Q6_K: (1365, {208: 1}),
}
"""Per type: the unit, and where in a block its half-precision factors lie. The second takes off the mean."""
