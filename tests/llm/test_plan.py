"""What models take, and which of them fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import ModelSettings
from llm.device import Device
from llm.gguf import GgufInfo, read_gguf
from llm.gguf_tensors import Tensor
from llm.plan import (
    CUDA_BYTES,
    GIB,
    Need,
    Verdict,
    cells_of,
    compute_bytes,
    kv_bytes,
    needs,
    plan,
    verdict_for,
)

KIB, MIB = 2**10, 2**20
SETTINGS = ModelSettings(path=Path("model.gguf"), context_tokens=8192)


def tensor(name: str, size: int) -> Tensor:
    return Tensor(name=name, type="Q4_K", bytes=size, shape=(size,))


def model(
    *, layers: int, heads_kv: int, size: float, width: int = 4096, vocab: int = 128256, heads: int = 32
) -> GgufInfo:
    """A model of these measures whose weights take `size` GiB, a tenth of them at each end."""
    end = int(size * GIB / 10)
    return GgufInfo(
        architecture="llama",
        name="",
        context_length=0,
        chat_template=None,
        file_type="Q4_K_M",
        block_count=layers,
        embedding_length=width,
        feed_forward_length=14336,
        head_count=heads,
        head_count_kv=(heads_kv,) * layers,
        key_length=128,
        value_length=128,
        latent=False,
        sliding_window=0,
        sliding_window_pattern=(),
        expert_count=0,
        expert_used_count=0,
        vocab_size=vocab,
        tensors=(
            tensor("token_embd.weight", end),
            *(tensor(f"blk.{n}.ffn_up.weight", (int(size * GIB) - 2 * end) // layers) for n in range(layers)),
            tensor("output.weight", end),
        ),
        parts=(Path("model.gguf"),),
    )


LLAMA_8B = model(layers=32, heads_kv=8, size=4.6)
MIXTRAL = replace(model(layers=32, heads_kv=8, size=24.6, vocab=32000), expert_count=8, expert_used_count=2)
QWEN_7B = model(layers=28, heads_kv=4, size=4.4, width=3584, vocab=152064, heads=28)
DEEPSEEK_7B = replace(model(layers=30, heads_kv=32, size=3.9, vocab=102400), context_length=4096)


def gpu(free: float, *, ram: float = 64) -> Device:
    return Device(
        ram_free=int(ram * GIB),
        ram_total=64 * GIB,
        gpu="NVIDIA A",
        gpu_free=int(free * GIB),
        gpu_total=24 * GIB,
    )


def cpu(ram: float) -> Device:
    return Device(ram_free=int(ram * GIB), ram_total=64 * GIB)


# The cache


@pytest.mark.parametrize(
    ("info", "kib"), [(LLAMA_8B, 128), (MIXTRAL, 128), (QWEN_7B, 56), (DEEPSEEK_7B, 480)]
)
def test_a_token_in_the_cache(info: GgufInfo, kib: int) -> None:
    assert kv_bytes(info, "f16") == kib * KIB
    assert kv_bytes(info, "f32") == 2 * kib * KIB
    assert kv_bytes(info, "q8_0") == kib * KIB * 17 // 32


def test_layers_with_different_heads_and_a_compressed_cache() -> None:
    info = replace(LLAMA_8B, block_count=3, head_count_kv=(8, 0, 2))
    assert kv_bytes(info, "f16") == 10 * 256 * 2
    assert kv_bytes(info, "f16", range(1, 3)) == 2 * 256 * 2
    latent = replace(info, head_count_kv=(1, 1, 1), key_length=576, value_length=512, latent=True)
    assert kv_bytes(latent, "f16") == 3 * 576 * 2


def test_the_cache_holds_two_contexts_unless_told_otherwise() -> None:
    assert cells_of(SETTINGS) == 16384
    assert cells_of(replace(SETTINGS, cache_tokens=10_000)) == 10_240
    assert cells_of(SETTINGS, 4096) == 8192
    assert cells_of(replace(SETTINGS, context_tokens=100)) == 256


# Where the bytes go


def test_without_a_gpu_all_of_it_is_in_memory() -> None:
    on_gpu, ram = needs(SETTINGS, LLAMA_8B, 0)
    assert on_gpu == Need()
    logits = 25 * LLAMA_8B.vocab_size * 4
    assert ram == Need(
        weights=LLAMA_8B.bytes, kv=2 * GIB, buffers=compute_bytes(LLAMA_8B, 16384, 25) + logits
    )


def test_on_the_gpu_all_but_the_table_of_tokens() -> None:
    on_gpu, ram = needs(SETTINGS, LLAMA_8B, 33)
    table = LLAMA_8B.tensors[0].bytes
    assert on_gpu == Need(
        weights=LLAMA_8B.bytes - table, kv=2 * GIB, buffers=compute_bytes(LLAMA_8B, 16384, 25) + CUDA_BYTES
    )
    assert (ram.weights, ram.kv) == (table, 0)
    assert ram.buffers < 40 * MIB
    begun, _ = needs(SETTINGS, LLAMA_8B, 33, begun=True)
    assert on_gpu.total - begun.total == CUDA_BYTES


def test_a_shared_table_is_there_twice_once_the_output_is_on_the_gpu() -> None:
    tied = replace(LLAMA_8B, tensors=LLAMA_8B.tensors[:-1])
    on_gpu, ram = needs(SETTINGS, tied, 33)
    assert on_gpu.weights == tied.bytes
    assert ram.weights == tied.tensors[0].bytes
    assert needs(SETTINGS, tied, 0)[1].weights == tied.bytes


def test_the_output_layer_goes_first_and_then_the_last_layers() -> None:
    on_gpu, ram = needs(SETTINGS, LLAMA_8B, 11)
    layer = LLAMA_8B.tensors[1].bytes
    assert on_gpu.weights == 10 * layer + LLAMA_8B.tensors[-1].bytes
    assert on_gpu.kv == 2 * GIB * 10 // 32
    assert ram.weights == 22 * layer + LLAMA_8B.tensors[0].bytes
    assert on_gpu.kv + ram.kv == 2 * GIB


@pytest.mark.parametrize(("cells", "mib"), [(4096, 25.8), (16384, 49.8)])
def test_the_compute_buffer_is_near_what_llama_cpp_reports(gguf: Path, cells: int, mib: float) -> None:
    # llama-cpp-python 0.3.36 on a CPU, steps of 512 tokens, 8 sequences: "CPU compute buffer size = … MiB"
    assert mib <= compute_bytes(read_gguf(gguf), cells, 8) / MIB <= mib + 10


@given(count=st.integers(0, 33), tied=st.booleans())
def test_no_byte_is_lost_between_gpu_and_memory(count: int, tied: bool) -> None:
    info = replace(LLAMA_8B, tensors=LLAMA_8B.tensors[:-1]) if tied else LLAMA_8B
    on_gpu, ram = needs(SETTINGS, info, count)
    twice = info.tensors[0].bytes if tied and count else 0
    assert on_gpu.weights + ram.weights == info.bytes + twice
    assert on_gpu.kv + ram.kv == 2 * GIB


# Verdicts


def test_what_fits_gets_all_the_layers_that_were_asked_for() -> None:
    made = verdict_for(SETTINGS, LLAMA_8B, gpu(22), name="llama")
    assert (made.verdict, made.gpu_layers, made.layers, made.refusal) == (Verdict.FITS, 33, 33, "")
    assert (made.name, made.cells) == ("llama", 16384)
    assert verdict_for(replace(SETTINGS, gpu_layers=7), LLAMA_8B, gpu(22)).gpu_layers == 7
    assert verdict_for(replace(SETTINGS, gpu_layers=99), LLAMA_8B, gpu(22)).gpu_layers == 33


def test_without_a_gpu_no_layer_is_put_on_one() -> None:
    made = verdict_for(SETTINGS, LLAMA_8B, cpu(16))
    assert (made.verdict, made.gpu_layers) == (Verdict.FITS, 0)


def test_a_refusal_is_in_numbers_and_names_the_remedy() -> None:
    made = verdict_for(replace(SETTINGS, context_tokens=4096), MIXTRAL, gpu(18))
    assert made.verdict is Verdict.REFUSED
    assert made.gpu_layers == 33
    assert made.refusal == (
        "needs 23.8 GiB (weights 22.1, KV 1.0, buffers 0.6) of GPU memory; free are 18.0 GiB; 5.8 too few. "
        "24 of its 33 layers would fit: set llm.gpu_layers = 24, or llm.fewer_gpu_layers = true."
    )


def test_fewer_layers_only_where_that_is_allowed() -> None:
    allowed = replace(SETTINGS, fewer_gpu_layers=True)
    made = verdict_for(allowed, MIXTRAL, gpu(12))
    assert made.verdict is Verdict.FEWER
    assert made.gpu.total <= 12 * GIB
    more, _ = needs(allowed, MIXTRAL, made.gpu_layers + 1)
    assert more.total > 12 * GIB
    assert verdict_for(allowed, MIXTRAL, gpu(0.1)).gpu_layers == 0


def test_memory_that_is_short_is_refused_too() -> None:
    made = verdict_for(SETTINGS, LLAMA_8B, cpu(4))
    assert made.refusal.startswith(
        "needs 6.7 GiB (weights 4.6, KV 2.0, buffers 0.1) of memory; free are 4.0 GiB"
    )
    assert made.refusal.endswith("Lower llm.context_tokens or llm.cache_tokens, or name a smaller file.")
    made = verdict_for(replace(SETTINGS, fewer_gpu_layers=True), MIXTRAL, gpu(12, ram=4))
    assert made.verdict is Verdict.REFUSED


def test_a_gpu_without_memory_of_its_own_is_counted_once() -> None:
    shared = Device(
        ram_free=8 * GIB, ram_total=8 * GIB, gpu="GB10", gpu_free=8 * GIB, gpu_total=8 * GIB, shared=True
    )
    assert verdict_for(SETTINGS, LLAMA_8B, shared).verdict is Verdict.FITS
    small = shared.less(gpu=GIB, ram=GIB)
    assert small.ram_free == small.gpu_free == 6 * GIB
    assert "of memory; free are 6.0 GiB" in verdict_for(SETTINGS, LLAMA_8B, small).refusal


# All of them


def test_models_are_planned_one_after_another_and_a_refused_one_takes_nothing() -> None:
    small = replace(SETTINGS, context_tokens=2048)
    made = plan([("a", small, LLAMA_8B), ("b", small, MIXTRAL), ("c", small, QWEN_7B)], gpu(12))
    assert [each.verdict for each in made.models] == [Verdict.FITS, Verdict.REFUSED, Verdict.FITS]
    first, _, last = made.models
    assert made.gpu == first.gpu + last.gpu
    assert made.ram == first.ram + last.ram
    assert made.left.gpu_free == 12 * GIB - made.gpu.total
    assert made.left.ram_free == 64 * GIB - made.ram.total
    assert last.gpu.buffers == compute_bytes(QWEN_7B, 4096, 25)  # CUDA's own memory is counted once


def test_a_plan_without_models() -> None:
    made = plan([], cpu(1))
    assert (made.models, made.gpu, made.left) == ((), Need(), made.device)


def test_the_built_in_model_on_a_small_machine(gguf: Path) -> None:
    made = verdict_for(SETTINGS, read_gguf(gguf), cpu(2))
    assert made.verdict is Verdict.FITS
    assert made.ram.kv == 16384 * 18 * 2 * 256 * 2
