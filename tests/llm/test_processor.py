from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm import State, processor
from llm.processor import missing, missing_instructions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.llm.conftest import Opener

LINE = "CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 1 | AMX_INT8 = 0 | LLAMAFILE = 1 | REPACK = 1 | "


@pytest.mark.parametrize(
    ("flags", "lacking"),
    [
        ({"pni", "avx2", "avx512f"}, []),
        ({"pni", "avx2"}, ["AVX512"]),
        ({"fpu"}, ["SSE3", "AVX2", "AVX512"]),
        (set(), []),
    ],
)
def test_what_the_library_uses_and_the_processor_lacks_is_named(flags: set[str], lacking: list[str]) -> None:
    assert missing(LINE, frozenset(flags)) == lacking


def test_the_library_here_was_compiled_for_this_processor() -> None:
    assert missing_instructions() == []


def test_a_model_is_refused_instead_of_ending_the_process(
    tiny_llama: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "cpuinfo"
    elsewhere.write_text("processor\t: 0\nflags\t\t: fpu sse2\n", encoding="utf-8")
    monkeypatch.setattr(processor, "CPUINFO", elsewhere)
    status = opened(tiny_llama).status()
    assert status.state is State.FAILED
    assert "compiled for a processor with SSE3" in status.detail
    assert "Run make setup" in status.detail
