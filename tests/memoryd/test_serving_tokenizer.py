from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.config import Config, Llm, Model, Paths
from memoryd.identity import ESTIMATE
from memoryd.serving_tokenizer import ServingTokenizer
from tests.llm.tiny_gguf import LLAMA, write_tiny

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "- 2026-03-10 지훈: 두부는 회색 고양이야. (day0310/a.txt)\n"


def _config(folder: Path, llm: Llm | None = None) -> Config:
    paths = Paths(memory=folder, manifest=folder, state=folder, models=folder)
    model = Model(family="llama", path=folder / "tiny.gguf")
    return Config(paths=paths, llm=llm or Llm(default="tiny"), models={"tiny": model})


def test_the_default_models_own_tokens_are_counted_without_its_weights(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.gguf", LLAMA)
    tokenizer = ServingTokenizer(_config(tmp_path))()
    assert tokenizer.name.startswith("tiny.gguf ")
    # The tiny model's vocabulary has bytes and little else.
    assert tokenizer.count(TEXT) > 2 * ESTIMATE.count(TEXT)


def test_the_built_in_model_is_put_in_place_for_it(tmp_path: Path) -> None:
    tokenizer = ServingTokenizer(_config(tmp_path, Llm(default="bundled")))()
    assert 20 < tokenizer.count(TEXT) < 60
    assert (tmp_path / "gemma-3-270m-q4_k_m.gguf").is_file()


def test_without_a_file_or_with_a_damaged_one_tokens_are_estimated(tmp_path: Path) -> None:
    serving = ServingTokenizer(_config(tmp_path))
    assert serving() is ESTIMATE
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF, but no more than that")
    assert serving() is ESTIMATE
    write_tiny(tmp_path / "tiny.gguf", LLAMA)
    assert serving() is not ESTIMATE
    assert ServingTokenizer(_config(tmp_path, Llm(enabled=False, default="tiny")))() is ESTIMATE
