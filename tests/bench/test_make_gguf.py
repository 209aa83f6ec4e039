"""The files for speed measurements, at a small size: llama.cpp loads them and they decode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import llama_cpp.llama_cpp as llama
import numpy as np
import pytest

from bench.make_gguf import main
from llm.gguf import read_gguf
from tests.llm.opened import Opened

if TYPE_CHECKING:
    from pathlib import Path

# See tests/llm/test_tiny_gguf.py.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SIZES = {"llama-3.1-8b": 128_256, "mixtral-8x7b": 32_000, "r1-distill-qwen-7b": 152_064}  # tokens
TEXT = "오늘 아침 지훈이가 여권을 42번째로 찾았어. The teacher lost the invoice."


@pytest.mark.parametrize("shape", SIZES)
def test_a_narrow_file_of_each_shape(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.gguf"
    assert main(["--shape", shape, "--layers", "3", "--embedding", "256", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["shape"] == shape
    assert result["bytes"] == out.stat().st_size
    assert {"seconds", "machine"} <= result.keys()
    assert read_gguf(out).file_type == "Q4_K_M"

    opened = Opened(out)
    assert llama.llama_vocab_n_tokens(opened.vocab) == SIZES[shape]
    tokens = opened.tokens(TEXT)
    assert opened.text(tokens) == TEXT
    first, second = opened.logits(tokens), opened.logits(tokens[:-1], sequence=1)
    opened.close()
    assert np.isfinite(first).all()
    assert np.abs(first - second).max() > 0.1


def test_a_width_that_the_types_do_not_allow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.gguf"
    assert main(["--shape", "llama-3.1-8b", "--embedding", "300", "--out", str(out)]) == 1
    assert "no multiple of 256" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "nowhere" / "model.gguf"
    assert main(["--shape", "mixtral-8x7b", "--embedding", "256", "--out", str(out)]) == 1
    assert str(out) in capsys.readouterr().err
