from __future__ import annotations

from typing import TYPE_CHECKING

import llama_cpp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.token_estimate import estimate_tokens

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "지난주 화요일에 부산으로 이사한 이야기를 기억하고 있어요. 그때 비가 많이 왔다고 했지요.",
    "Last Tuesday you told me about the move to Busan, and that it had rained all day long.",
    "2026-03-15T21:04:00+09:00 에코: 서울 Node.js 18 버전, 3,400원!",
    "def load(path: Path) -> dict[str, int]:\n    return json.loads(path.read_text())\n",
    "昨日の夜、駅前で彼女に会いました。今天天气很好，我们去公园散步吧。",
]


@pytest.fixture(scope="module")
def gemma(gguf: Path) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(gguf), vocab_only=True, verbose=False)


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_rather_too_high_and_not_wildly(gemma: llama_cpp.Llama, text: str) -> None:
    counted = len(gemma.tokenize(text.encode(), add_bos=False))
    assert counted <= estimate_tokens(text) <= 2.5 * counted


def test_nothing_has_no_tokens() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("a") == 1


@given(st.text(), st.text())
def test_more_text_has_more_tokens(one: str, two: str) -> None:
    assert estimate_tokens(one + two) >= max(estimate_tokens(one), estimate_tokens(two))
