"""What models will take of GPU and memory, counted before anything is loaded, and whether they fit.

    ModelSettings, GgufInfo ─▶ weights + KV + buffers, by layer ─▶ against what is free ─▶ fits
                                                                                     ├▶ fits with fewer GPU layers
                                                                                     └▶ refused, in numbers

Weights and KV are exact. Buffers are estimated, a little high: llama.cpp reserves a graph for the engine's largest
step, with the rows inside a layer, a mask over all cells, the logits of one row a sequence, and, once, CUDA's own
memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

from llm.engine.sizes import BATCH_TOKENS, sequences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm.base import KvType, ModelSettings
    from llm.device import Device
    from llm.gguf import GgufInfo

GIB = 2**30
CELL_STEP = 256  # llama.cpp rounds its cells up to this
CUDA_BYTES = 512 * 2**20  # CUDA's context, kernels and cuBLAS, once a process
KV_BYTES: dict[KvType, tuple[int, int]] = {"f32": (1, 4), "f16": (1, 2), "q8_0": (32, 34)}
"""Values in a block, bytes of a block."""
INPUT = ("token_embd", "position_embd", "token_types", "per_layer_token_embd")
"""Tensors that are looked up by token; they stay in memory whatever is on the GPU."""


class Verdict(StrEnum):
    """Whether a model can be loaded."""

    FITS = "fits"
    FEWER = "fits with fewer layers on the GPU"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes that a model takes in one place."""

    weights: int = 0
    kv: int = 0
    buffers: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.buffers

    def __add__(self, other: Need) -> Need:
        return Need(
            weights=self.weights + other.weights,
            kv=self.kv + other.kv,
            buffers=self.buffers + other.buffers,
        )

    def __str__(self) -> str:
        parts = f"weights {_gib(self.weights)}, KV {_gib(self.kv)}, buffers {_gib(self.buffers)}"
        return f"{_gib(self.total)} GiB ({parts})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """What one model will take, and whether it may.

    Attributes:
        cells: of the KV cache, in tokens.
        layers: that could be on the GPU: the model's own and the output layer.
        gpu_layers: that are to be loaded there.
        gpu, ram: bytes there; of a refused model, what was asked for.
        refusal: why it can't be loaded, in numbers, with the remedy; "" where it can.
    """

    name: str
    cells: int
    layers: int
    gpu_layers: int
    gpu: Need
    ram: Need
    verdict: Verdict
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all models take together; `left` is what is free once they are loaded."""

    device: Device
    left: Device
    models: tuple[ModelPlan, ...]

    @property
    def gpu(self) -> Need:
        """What the models that fit take of the GPU."""
        return sum((each.gpu for each in self._loaded), Need())

    @property
    def ram(self) -> Need:
        """What the models that fit take of the machine's memory."""
        return sum((each.ram for each in self._loaded), Need())

    @property
    def _loaded(self) -> list[ModelPlan]:
        return [each for each in self.models if each.verdict is not Verdict.REFUSED]


def plan(models: Sequence[tuple[str, ModelSettings, GgufInfo]], device: Device) -> Plan:
    """Plans models in the order in which they will be loaded; a refused one takes nothing from those after it."""
    left = device
    plans = []
    for name, settings, info in models:
        made = verdict_for(settings, info, left, name=name)
        plans.append(made)
        if made.verdict is not Verdict.REFUSED:
            left = left.less(gpu=made.gpu.total, ram=made.ram.total)
    return Plan(device=device, left=left, models=tuple(plans))


def verdict_for(settings: ModelSettings, info: GgufInfo, device: Device, *, name: str = "") -> ModelPlan:
    """Plans one model on what is free now."""
    layers = info.block_count + 1
    asked = layers if settings.gpu_layers < 0 else min(settings.gpu_layers, layers)
    if not device.gpu:
        asked = 0
    cells = cells_of(settings, info.context_length)

    def made(count: int, verdict: Verdict, refusal: str = "") -> ModelPlan:
        gpu, ram = needs(settings, info, count, begun=device.begun)
        return ModelPlan(
            name=name,
            cells=cells,
            layers=layers,
            gpu_layers=count,
            gpu=gpu,
            ram=ram,
            verdict=verdict,
            refusal=refusal,
        )

    counts = range(asked, -1, -1)
    fitting = next((count for count in counts if _fits(settings, info, count, device)), None)
    if fitting == asked:
        return made(asked, Verdict.FITS)
    if fitting is not None and settings.fewer_gpu_layers:
        return made(fitting, Verdict.FEWER)
    return made(asked, Verdict.REFUSED, _refusal(settings, info, asked, fitting, device))


def cells_of(settings: ModelSettings, trained: int = 0) -> int:
    """Cells of the KV cache, which all sequences share.

    Args:
        trained: the longest context that the model was made for, in tokens (`GgufInfo.context_length`); 0 where
            it isn't known. Two conversations of that length are as much as is kept by default.
    """
    context = min(settings.context_tokens, trained or settings.context_tokens)
    return ceil((settings.cache_tokens or 2 * context) / CELL_STEP) * CELL_STEP


def kv_bytes(info: GgufInfo, kv_type: KvType, layers: range | None = None) -> int:
    """Bytes that one token takes in the cache, in all layers or in these."""
    values, length = KV_BYTES[kv_type]
    heads = info.head_count_kv if layers is None else info.head_count_kv[layers.start : layers.stop]
    wide = info.key_length + (0 if info.latent else info.value_length)
    return sum(ceil(count * wide / values) * length for count in heads)


def needs(
    settings: ModelSettings, info: GgufInfo, gpu_layers: int, *, begun: bool = False
) -> tuple[Need, Need]:
    """What a model takes of the GPU and of the machine's memory with so many layers on the GPU.

    As llama.cpp does it: the output layer goes there first, then the last layers.

    Args:
        begun: CUDA's own memory is taken already.
    """
    looked_up, by_layer, output, tied = _weights(info)
    first = info.block_count + 1 - gpu_layers if gpu_layers else info.block_count
    cells = cells_of(settings, info.context_length)
    rows = sequences(settings.parallel)
    computing = compute_bytes(info, cells, rows)
    host = 4 * rows * info.vocab_size  # logits, as they are read
    if gpu_layers:  # what is copied there each step
        host += 4 * BATCH_TOKENS * info.embedding_length + _mask_bytes(info, cells)
    ram = Need(
        weights=looked_up + sum(by_layer[:first]) + (0 if gpu_layers else output),
        kv=cells * kv_bytes(info, settings.kv_type, range(first)),
        buffers=host + (computing if first else 0),
    )
    if not gpu_layers:
        return Need(), ram
    gpu = Need(
        weights=sum(by_layer[first:]) + output + tied,
        kv=cells * kv_bytes(info, settings.kv_type, range(first, info.block_count)),
        buffers=computing + (0 if begun else CUDA_BYTES),
    )
    return gpu, ram


def compute_bytes(info: GgufInfo, cells: int, rows: int) -> int:
    """llama.cpp's compute buffer with flash attention, estimated: what one layer holds at once, and the logits."""
    heads = max(info.embedding_length, info.head_count * info.key_length)
    inside = 2 * info.feed_forward_length * max(info.expert_used_count, 1) + 3 * heads
    logits = rows * (info.vocab_size + info.embedding_length)
    return 4 * (BATCH_TOKENS * inside + logits) + _mask_bytes(info, cells)


def _mask_bytes(info: GgufInfo, cells: int) -> int:
    """What each token of a step may see of each cell, in f16; once more for windowed layers."""
    return 2 * BATCH_TOKENS * cells * (2 if info.sliding_window else 1)


def _weights(info: GgufInfo) -> tuple[int, list[int], int, int]:
    """Bytes that are looked up, of each layer, of the output layer, and of the table that it shares, if it does."""
    looked_up = output = table = 0
    by_layer = [0] * info.block_count
    own_table = False
    for tensor in info.tensors:
        first, _, rest = tensor.name.partition(".")
        number = rest.partition(".")[0]
        if first == "blk" and number.isdecimal() and int(number) < info.block_count:
            by_layer[int(number)] += tensor.bytes
        elif first in INPUT:
            looked_up += tensor.bytes
            table += tensor.bytes if first == "token_embd" else 0
        else:
            output += tensor.bytes
            own_table = own_table or first == "output"
    return looked_up, by_layer, output, 0 if own_table else table


def _fits(settings: ModelSettings, info: GgufInfo, gpu_layers: int, device: Device) -> bool:
    gpu, ram = needs(settings, info, gpu_layers, begun=device.begun)
    if device.shared:
        return gpu.total + ram.total <= device.ram_free
    return gpu.total <= device.gpu_free and ram.total <= device.ram_free


def _refusal(settings: ModelSettings, info: GgufInfo, asked: int, fitting: int | None, device: Device) -> str:
    gpu, ram = needs(settings, info, asked, begun=device.begun)
    if device.shared:
        need, free, place = gpu + ram, device.ram_free, "memory"
    elif gpu.total > device.gpu_free:
        need, free, place = gpu, device.gpu_free, "GPU memory"
    else:
        need, free, place = ram, device.ram_free, "memory"
    short = max(need.total - free, GIB // 10)
    said = f"needs {need} of {place}; free are {_gib(free)} GiB; {_gib(short)} too few."
    if fitting:
        return (
            f"{said} {fitting} of its {info.block_count + 1} layers would fit: set llm.gpu_layers = {fitting}, or"
            " llm.fewer_gpu_layers = true."
        )
    return f"{said} Lower llm.context_tokens or llm.cache_tokens, or name a smaller file."


def _gib(count: int) -> str:
    return f"{count / GIB:.1f}"
