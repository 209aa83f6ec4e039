from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm import ModelError, State, processor
from llm.processor import missing_instructions
from llm.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.llm.conftest import Opener


class Machine:
    """What the library was compiled for, and what the processor has."""

    def __init__(self, folder: Path) -> None:
        self.cpuinfo = folder / "cpuinfo"
        self.compiled_for = folder / "llama-instructions"

    def has(self, flags: str, *, name: str = "flags\t\t") -> None:
        self.cpuinfo.write_text(f"processor\t: 0\n{name}: {flags}\n\nprocessor\t: 1\n", encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(processor, "CPUINFO", made.cpuinfo)
    monkeypatch.setattr(processor, "COMPILED_FOR", made.compiled_for)
    made.compiled_for.write_text("avx2\navx512f\nfma\n", encoding="utf-8")
    return made


def test_what_the_processor_lacks_is_named(machine: Machine) -> None:
    machine.has("fpu avx2 fma avx512f")
    assert missing_instructions() == []
    machine.has("fpu fma")
    assert missing_instructions() == ["avx2", "avx512f"]


def test_arm_has_other_words(machine: Machine) -> None:
    machine.compiled_for.write_text("asimd\nsve\n", encoding="utf-8")
    machine.has("fp asimd", name="Features\t")
    assert missing_instructions() == ["sve"]


def test_where_nothing_is_known_nothing_is_missing(machine: Machine) -> None:
    assert missing_instructions() == []
    machine.has("fpu")
    machine.compiled_for.write_text("", encoding="utf-8")
    assert missing_instructions() == []
    machine.compiled_for.unlink()
    assert missing_instructions() == []


def test_a_model_is_refused_instead_of_ending_the_process(
    machine: Machine, tiny_llama: Path, opened: Opener
) -> None:
    machine.has("fpu avx2 fma")
    status = opened(tiny_llama).status()
    assert status.state is State.FAILED
    assert "compiled for a processor with avx512f" in status.detail
    assert "Run make setup" in status.detail


def test_the_vocabulary_alone_is_refused_too(machine: Machine, tiny_llama: Path) -> None:
    """The daemon counts an identity's tokens with it before any model is loaded."""
    machine.has("fpu avx2 fma")
    with pytest.raises(ModelError, match="compiled for a processor with avx512f"):
        Weights(tiny_llama, gpu_layers=0, template=None, vocabulary_only=True)
