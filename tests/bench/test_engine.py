"""The engine's bench as a whole, on a tiny model; and its ratios by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from bench.engine import Questions, main, picture, ratios
from bench.engine_models import PLAIN, Prompts
from bench.engine_peers import PeerError, llama_server, started

if TYPE_CHECKING:
    from pathlib import Path


def side(first: float, newcomer: float, tps: float) -> dict[str, object]:
    return {
        "together": {"first_token_s_p50": first},
        "newcomer_first_token_s": newcomer,
        "held": {"total_tps": tps},
    }


RESULT = {
    "memoryd": side(0.5, 0.2, 66.0),
    "llama_server": side(50.0, 20.0, 60.0) | {"together_unwarmed": {"first_token_s_p50": 60.0}},
    "llama_cpp_python_server": side(5.0, 8.0, 33.0),
}


def test_more_is_better_in_every_ratio() -> None:
    assert ratios(RESULT) == {
        "six_together_p50_vs_llama_server": 100.0,
        "six_unwarmed_p50_vs_llama_server": 120.0,
        "newcomer_vs_llama_server": 100.0,
        "tps_vs_llama_server_held": 1.1,
        "tps_vs_llama_cpp_python": 2.0,
    }


def test_without_the_others_there_are_no_ratios() -> None:
    assert not ratios({"memoryd": RESULT["memoryd"]})


def test_the_picture_has_a_bar_for_each_server_and_figure() -> None:
    facts = {"model": "G", "identity_tokens": 1, "users": 6, "threads": 2}
    bars = ET.fromstring(picture(RESULT | facts)).iter("{http://www.w3.org/2000/svg}rect")  # noqa: S314
    assert len(list(bars)) == 9


def test_one_question_is_asked_behind_the_identity_and_without_it(tiny: Path) -> None:
    questions = Questions(Prompts(tiny, PLAIN), "나는 에코.", 6)
    behind, alone = questions.both_ways()
    assert behind.text == f"나는 에코.{alone.text}"
    assert questions.next(alone=True).text != alone.text


def test_everything_is_measured_and_the_last_line_is_json(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.engine_bounds.TRIES", 1)
    monkeypatch.setattr("bench.engine.SOLO_ROUNDS", 2)
    plot = tmp_path / "plot.svg"
    arguments = [
        "--identity-tokens",
        "120",
        "--users",
        "2",
        "--tokens",
        "6",
        "--threads",
        "1",
        "--rounds",
        "1",
    ]
    assert main([*arguments, "--model", str(tiny), "--plot", str(plot)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["identity_tokens"] == 120
    assert result["llama_server"]["held"]["tokens"] == result["memoryd"]["held"]["tokens"] == 12
    assert result["llama_cpp_python_server"]["held"]["tokens"] == 12
    for name in ("cold_first_token_s", "warm_first_token_s", "question_only_first_token_s", "serial_tps"):
        assert result[name] > 0
    for name in ("batched_tps", "decode_bandwidth_fraction", "prefill_flops_fraction"):
        assert result[name] > 0
    for name in ratios(RESULT):
        assert result[name] > 0
    assert result["machine"]["cores"]
    ET.fromstring(plot.read_text(encoding="utf-8"))  # noqa: S314


def test_a_file_that_is_no_model_ends_it_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"nothing")
    assert main(["--model", str(tmp_path / "a.gguf")]) == 1
    assert "is not a GGUF file" in capsys.readouterr().err


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    peer = llama_server(tmp_path / "none.gguf", slots=1, cells=64, threads=1, gpu_layers=0)
    with pytest.raises(PeerError, match=r"none\.gguf"), started(peer):
        pass
