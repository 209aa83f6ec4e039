"""What a token costs, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.engine_bounds import (
    Work,
    matmul_operations_per_s,
    prefill_operations,
    read_bytes_per_s,
    work_of,
)
from llm.gguf import read_gguf
from tests.llm.tiny_gguf import LLAMA, MIXTRAL, write_tiny

if TYPE_CHECKING:
    from pathlib import Path


def test_a_prompts_token_costs_its_weights_and_those_before_it() -> None:
    work = Work(weight_bytes=0, weights=10, cache_bytes=0, attention=3)
    assert prefill_operations(work, 4) == 2 * 10 * 4 + 3 * (1 + 2 + 3 + 4)


def test_an_answers_token_reads_all_but_the_table_of_embeddings(tiny: Path) -> None:
    info = read_gguf(tiny)
    sizes = {tensor.name: tensor for tensor in info.tensors}
    table = sizes["token_embd.weight"]
    work = work_of(info)
    assert work.weight_bytes == info.bytes - table.bytes
    assert work.cache_bytes == 2 * info.block_count * 2 * (info.key_length + info.value_length)


def test_a_token_takes_a_few_of_a_layers_experts(tmp_path: Path) -> None:
    dense, sparse = (
        work_of(read_gguf(write_tiny(tmp_path / f"{make}.gguf", make))) for make in (LLAMA, MIXTRAL)
    )
    info = read_gguf(tmp_path / f"{MIXTRAL}.gguf")
    experts = sum(tensor.bytes for tensor in info.tensors if "_exps." in tensor.name)
    table = next(tensor.bytes for tensor in info.tensors if tensor.name == "token_embd.weight")
    assert experts
    used = info.expert_used_count / info.expert_count
    assert sparse.weight_bytes == pytest.approx(info.bytes - table - (1 - used) * experts, abs=1)
    assert sparse.weights > dense.weights


def test_the_machines_own_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.engine_bounds.TRIES", 1)
    assert 1e6 < read_bytes_per_s(1, block_bytes=2**22) < 1e13
    assert 1e6 < matmul_operations_per_s(1, size=128) < 1e15
