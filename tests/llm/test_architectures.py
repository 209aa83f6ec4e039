from __future__ import annotations

import re
from pathlib import Path

import llama_cpp
import pytest

from llm.architectures import OTHERS, RECURRENT, WRITERS, complaint


def test_every_kind_is_one_of_the_installed_library() -> None:
    library = (Path(llama_cpp.__file__).parent / "lib" / "libllama.so").read_bytes()
    kinds = WRITERS | RECURRENT | set(OTHERS)
    assert len(kinds) == len(WRITERS) + len(RECURRENT) + len(OTHERS)
    assert not [kind for kind in kinds if f"{kind}\0".encode() not in library]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma3", "deepseek2"])
def test_a_kind_that_can_serve(kind: str) -> None:
    assert complaint(kind) == ""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("clip", "is the picture part of a model"),
        ("bert", "is a model that embeds texts"),
        ("mamba", "keeps a state instead of a cache"),
        ("llama9", r'doesn\'t know here \("llama9"\)\. Update llama-cpp-python'),
    ],
)
def test_a_kind_that_can_not(kind: str, reason: str) -> None:
    assert re.search(reason, complaint(kind))
