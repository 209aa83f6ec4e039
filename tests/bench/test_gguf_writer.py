"""Random blocks are valid numbers of the wanted spread; types are mixed as llama.cpp's quantiser mixes them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import llama_cpp.llama_cpp as llama
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader
from gguf.quants import dequantize

from bench.gguf_shapes import MAKES
from bench.gguf_writer import FACTORS, MIXES, random_blocks, tensors_of
from tests.llm.tiny_gguf import write_tiny

if TYPE_CHECKING:
    from pathlib import Path

# See tests/llm/test_tiny_gguf.py.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, *FACTORS])
def test_random_blocks_spread_about_zero(kind: Kind) -> None:
    spread = 1 / 64
    blocks = random_blocks(np.random.default_rng(3), kind, 4096, spread=spread)
    weights = dequantize(blocks, kind)
    assert np.isfinite(weights).all()
    assert weights.std() == pytest.approx(spread, rel=0.1)
    assert abs(weights.mean()) < 0.1 * spread


@pytest.mark.parametrize("make", MAKES)
def test_types_are_mixed_as_llama_cpp_quantises(make: str, tmp_path: Path) -> None:
    plain, mixed = (
        write_tiny(tmp_path / f"{mix}.gguf", make, mix=mix, layers=9, embedding=256, feed_forward=256)
        for mix in ("F16", "Q4_K_M")
    )
    quantised = tmp_path / "quantised.gguf"
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = llama.LLAMA_FTYPE_MOSTLY_Q4_K_M, 1
    assert llama.llama_model_quantize(bytes(plain), bytes(quantised), parameters) == 0
    assert _kinds(mixed) == _kinds(quantised)


@pytest.mark.parametrize(
    ("make", "counts"),
    [
        ("llama-3.1-8b", {"F32": 66, "Q4_K": 193, "Q6_K": 33}),
        ("mixtral-8x7b", {"F32": 97, "Q4_K": 113, "Q5_K": 32, "Q6_K": 17, "Q8_0": 64}),
        ("r1-distill-qwen-7b", {"F32": 141, "Q4_K": 169, "Q6_K": 29}),
    ],
)
def test_how_many_tensors_of_each_type_the_true_shape_has(make: str, counts: dict[str, int]) -> None:
    shape = MAKES[make].shape
    kind_of = MIXES["Q4_K_M"].kind_of
    assert Counter(kind_of(shape, tensor).name for tensor in tensors_of(shape, 1000)) == counts


def _kinds(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
