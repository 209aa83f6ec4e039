"""The small files that other tests stand on are real: llama.cpp loads them, and they tokenise and decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import llama_cpp.llama_cpp as llama
import numpy as np
import pytest

from bench.gguf_writer import MIXES
from llm.gguf import read_gguf
from tests.llm.opened import Opened
from tests.llm.tiny_gguf import LLAMA, MIXTRAL, QWEN2, write_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAKES = (LLAMA, MIXTRAL, QWEN2)
MIXED = "어제 지훈이가 부산역에서 뷁 자전거를 3번째로 잃어버렸대!\n  The dog lost 🎻 a passport yesterday."

# llama-cpp-python's own log callback can't print a line that llama.cpp has cut within a character.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(params=MAKES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    model = Opened(write_tiny(tmp_path / "tiny.gguf", request.param))
    yield model
    model.close()


def test_every_text_comes_back_byte_for_byte_from_fewer_tokens_than_characters(opened: Opened) -> None:
    tokens = opened.tokens(MIXED)
    assert opened.text(tokens) == MIXED
    assert len(tokens) < len(MIXED)


def test_what_it_says_next_depends_on_every_token_before(opened: Opened) -> None:
    prompt = opened.tokens(MIXED)
    other = [prompt[0] ^ 1, *prompt[1:]]
    last, other_last = opened.logits(prompt), opened.logits(other, sequence=1)
    assert np.isfinite(last).all()
    assert np.abs(last - other_last).max() > 0.1


def test_a_copied_sequence_goes_on_as_its_original(opened: Opened) -> None:
    prompt = opened.tokens(MIXED)
    opened.logits(prompt)
    llama.llama_memory_seq_cp(opened.memory, 0, 1, -1, -1)
    (token,) = opened.tokens("다")[-1:]
    copied, original, alone = (
        opened.logits([token], sequence=1, start=len(prompt)),
        opened.logits([token], sequence=0, start=len(prompt)),
        opened.logits([token], sequence=2),
    )
    np.testing.assert_allclose(copied, original, atol=1e-4)
    assert np.abs(copied - alone).max() > 0.1


def test_a_greedy_answer_does_not_end_by_itself(opened: Opened) -> None:
    tokens = opened.tokens(MIXED)
    start = 0
    said = []
    for _ in range(40):
        likeliest = int(opened.logits(tokens, start=start).argmax())
        start += len(tokens)
        tokens = [likeliest]
        said.append(likeliest)
    assert not any(llama.llama_vocab_is_eog(opened.vocab, token) for token in said)
    assert len(set(said)) > 5


@pytest.mark.parametrize(
    ("make", "start", "end", "control", "spoken"),
    [
        (LLAMA, "<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"], []),
        (MIXTRAL, "<s>", "</s>", [], []),
        (
            QWEN2,
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            ["<｜User｜>", "<｜Assistant｜>"],
            ["<think>", "</think>"],
        ),
    ],
)
def test_the_familys_own_tokens(
    tmp_path: Path, make: str, start: str, end: str, control: list[str], spoken: list[str]
) -> None:
    opened = Opened(write_tiny(tmp_path / "tiny.gguf", make))
    assert opened.tokens(start, control=True) == [llama.llama_vocab_bos(opened.vocab)]
    assert opened.tokens(end, control=True) == [llama.llama_vocab_eos(opened.vocab)]
    assert llama.llama_vocab_get_add_bos(opened.vocab)
    assert not llama.llama_vocab_get_add_eos(opened.vocab)
    for mark in (start, end, *control):
        (token,) = opened.tokens(mark, control=True)
        assert llama.llama_vocab_is_control(opened.vocab, token)
        assert len(opened.tokens(mark)) > 1  # spelt out where control tokens are not meant
    for mark in spoken:
        (token,) = opened.tokens(mark)
        assert not llama.llama_vocab_is_control(opened.vocab, token)
    opened.close()


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("make", MAKES)
def test_every_mix_of_types_decodes_to_finite_numbers(tmp_path: Path, make: str, mix: str) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", make, mix=mix, embedding=256, feed_forward=256)
    opened = Opened(path)
    likelihood = opened.logits(opened.tokens(MIXED))
    assert np.isfinite(likelihood).all()
    assert likelihood.std() > 0.3
    assert read_gguf(path).file_type == mix
    opened.close()


def test_what_the_file_says_of_itself_is_the_callers_choice(tmp_path: Path) -> None:
    info = read_gguf(
        write_tiny(
            tmp_path / "tiny.gguf", QWEN2, context_length=1024, chat_template="{{ messages[0].content }}"
        )
    )
    assert (info.architecture, info.context_length) == ("qwen2", 1024)
    assert info.chat_template == "{{ messages[0].content }}"
    assert read_gguf(write_tiny(tmp_path / "plain.gguf", LLAMA)).chat_template is None


def test_the_same_seed_gives_the_same_file_and_another_gives_other_weights(tmp_path: Path) -> None:
    first, again, other = (
        write_tiny(tmp_path / f"{number}.gguf", LLAMA, seed=seed).read_bytes()
        for number, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other
    assert len(first) == len(other) < 2**21


def test_the_session_files(tiny_llama: Path, tiny_mixtral: Path, tiny_qwen2: Path) -> None:
    assert [read_gguf(path).architecture for path in (tiny_llama, tiny_mixtral, tiny_qwen2)] == [
        "llama",
        "llama",
        "qwen2",
    ]
