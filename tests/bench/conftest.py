"""A model that is small enough to run a whole bench on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.llm.tiny_gguf import LLAMA, write_tiny

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers in Llama 3's form with random weights."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "llama.gguf", LLAMA)
