"""Models together on tiny files: every figure is there, and each model's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench.engine_residents import main

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["--identity-tokens", "120", "--users", "2", "--tokens", "4", "--threads", "1"]


def test_two_models_are_measured_alone_and_together(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--model", f"plain={tiny}", "--model", f"llama={tiny}"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["alone"]) == set(result["at_once"]) == {f"plain {tiny.name}", f"llama {tiny.name}"}
    for figures in result["alone"].values():
        assert figures["warm_first_token_s"] > 0
        assert list(figures["tps_by_people"]) == ["1", "2"]
    for heard in result["at_once"].values():
        assert heard["tokens"] == 8


def test_a_file_that_is_no_model_ends_it_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "empty.gguf"
    path.touch()
    assert main([*SMALL, "--model", f"llama={path}"]) == 1
    assert f"{path} is empty" in capsys.readouterr().err


def test_a_family_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*SMALL, "--model", "gpt=x.gguf"])
    assert "'gpt=x.gguf' is not FAMILY=FILE with one of: plain, " in capsys.readouterr().err
