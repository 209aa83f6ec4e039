"""The real embedders: unit vectors, ids that tell models and prompts apart, questions across languages."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.bundled import ONNX_FOLDER
from memoryd.config import Config, Embedding
from memoryd.embedder import (
    AHEAD,
    PARALLEL_SENTENCES,
    OnnxEmbedder,
    PromptedEmbedder,
    _Turns,
    batches,
    open_embedder,
)
from memoryd.errors import EmbedderError
from memoryd.testing import FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from memoryd.embedder import Embedder

MIXED = [
    "보리가 무릎에서 잤어.",
    "The vet said it is an allergy.",
    "RunPod에서 A100을 빌렸어",
    "2026-03-15",
    "",
]
# (a question in Korean, the English sentence that answers it)
ACROSS = [
    ("고양이 예방접종은 언제야?", "The cat's next vaccination is on April 3rd."),
    ("왜 사료를 바꿨어?", "The vet suspected an allergy, so we switched to salmon food."),
    ("서버는 어디에서 빌렸지?", "We rented the GPU server from a cloud provider last night."),
    ("동생 결혼식이 몇 시에 시작해?", "My brother's wedding ceremony starts at two in the afternoon."),
]
UNRELATED = [
    "베란다에 심은 토마토가 빨갛게 익었다.",
    "주말에는 산에 올라가서 김밥을 먹었다.",
    "도서관 창가에 앉아서 시를 읽었다.",
    "옆집 아이가 피아노를 열심히 연습한다.",
]


def open_at(folder: Path, **settings: Any) -> PromptedEmbedder:
    return open_embedder(Config(embedding=Embedding(model=str(folder), device="cpu", **settings)))


@pytest.fixture(scope="module", params=["built-in", "MiniLM", "fake"])
def each(request: pytest.FixtureRequest) -> Embedder:
    """The contract below holds for the real ones and the fake alike."""
    if request.param == "fake":
        return FakeEmbedder()
    name = "embedder" if request.param == "built-in" else "minilm"
    opened: Embedder = request.getfixturevalue(name)
    return opened


# What every embedder does


def test_vectors_of_memories_are_unit_rows_of_float32(each: Embedder) -> None:
    vectors = each.embed_passages(MIXED)
    assert vectors.shape == (len(MIXED), each.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_the_vector_of_a_question_is_one_unit_vector(each: Embedder) -> None:
    vector = each.embed_query("보리는 언제 병원에 가?")
    assert vector.shape == (each.dimension,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_no_memories_make_no_vectors(each: Embedder) -> None:
    assert each.embed_passages([]).shape == (0, each.dimension)
    assert each.count_tokens([]) == []


def test_a_vector_does_not_depend_on_what_is_embedded_beside_it(each: Embedder) -> None:
    together = each.embed_passages(MIXED * 4)
    for place, text in enumerate(MIXED):
        cosine = float(each.embed_passages([text])[0] @ together[place])
        assert cosine == pytest.approx(1.0, abs=1e-4)


def test_batches_hold_every_text_once_with_its_vector(each: Embedder) -> None:
    texts = [f"{number}번 {text}" for number in range(4) for text in MIXED]
    together = each.embed_passages(texts)
    seen = []
    for places, vectors in each.embed_batches(texts):
        seen += places
        cosines = (vectors * together[places]).sum(axis=1)
        np.testing.assert_allclose(cosines, 1.0, atol=1e-4)
    assert sorted(seen) == list(range(len(texts)))
    assert list(each.embed_batches([])) == []


def test_longer_texts_have_more_tokens(each: Embedder) -> None:
    short, long = each.count_tokens(["보리 잤어", "보리 잤어 그리고 아주 오래 잤어 정말로"])
    assert 0 < short < long


# The two real ones


def test_dimension_and_longest_text_are_the_models_own(
    embedder: PromptedEmbedder, minilm: PromptedEmbedder
) -> None:
    assert (embedder.dimension, minilm.dimension) == (384, 384)
    # 512 and 256, less the prompt and the two marks around a text
    assert embedder.max_tokens == 512 - embedder.count_tokens(["passage: "])[0] - 2
    assert minilm.max_tokens == 256 - 2


def test_tokens_are_counted_without_prompt_and_marks(embedder: PromptedEmbedder) -> None:
    once, nothing, twice = embedder.count_tokens(["보리", "", "보리 보리"])
    assert (nothing, twice) == (0, 2 * once)


def test_a_text_longer_than_the_model_takes_is_still_counted_whole(
    embedder: PromptedEmbedder,
) -> None:
    once, long = embedder.count_tokens(["보리", " ".join(["보리"] * 700)])
    assert long == 700 * once > embedder.max_tokens


def test_auto_prompts_are_the_models_own(embedder: PromptedEmbedder, minilm: PromptedEmbedder) -> None:
    assert (embedder.query_prompt, embedder.passage_prompt) == ("query: ", "passage: ")
    assert (minilm.query_prompt, minilm.passage_prompt) == ("", "")


def test_ids_tell_models_and_prompts_apart_and_stay_the_same(
    embedder: PromptedEmbedder, minilm: PromptedEmbedder, tiny_folder: Path
) -> None:
    plain = open_at(tiny_folder)
    asked = open_at(tiny_folder, query_prompt="question: ")
    told = open_at(tiny_folder, passage_prompt="ab ab ab ab ab ab ")
    assert len({embedder.id, minilm.id, plain.id, asked.id, told.id}) == 5
    assert open_at(tiny_folder).id == plain.id
    assert asked.query_prompt == "question: "
    assert told.max_tokens < plain.max_tokens


def test_a_model_folder_with_other_files_is_another_model(tiny_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / tiny_folder.name
    shutil.copytree(tiny_folder, copy)
    same = open_at(copy).id
    (copy / "NOTE.txt").write_text("changed")
    assert same == open_at(tiny_folder).id
    assert open_at(copy).id != same


def test_the_size_of_batches_does_not_change_the_vectors(tiny_folder: Path) -> None:
    texts = ["보리는 고양이다", "ab", "보리", "고양이다 ab"]
    vectors = [open_at(tiny_folder, batch_tokens=size).embed_passages(texts) for size in (1, 24)]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_the_built_in_id_says_what_it_is(embedder: PromptedEmbedder) -> None:
    assert embedder.id.startswith("multilingual-e5-small-q4-")


# Across languages


@pytest.mark.parametrize(("question", "answer"), ACROSS)
def test_a_korean_question_is_nearer_to_the_english_answer_than_to_unrelated_korean(
    embedder: PromptedEmbedder, question: str, answer: str
) -> None:
    vectors = embedder.embed_passages([answer, *UNRELATED])
    scores = vectors @ embedder.embed_query(question)
    assert scores.argmax() == 0


def test_without_centring_the_language_alone_would_decide(embedder: PromptedEmbedder) -> None:
    """What the centring is for: the raw vectors put most unrelated Korean before the English answer."""
    lost = 0
    for question, answer in ACROSS:
        raw = embedder._encode([f"passage: {text}" for text in [answer, *UNRELATED]], urgent=False)
        scores = raw @ embedder._encode([f"query: {question}"], urgent=True)[0]
        lost += int(scores.argmax() != 0)
    assert lost >= 2


def test_within_korean_the_right_memory_comes_first(embedder: PromptedEmbedder) -> None:
    memories = ["보리 다음 예방접종은 4월 3일이야.", "닭고기 사료를 먹이면 귀를 긁어.", *UNRELATED]
    scores = embedder.embed_passages(memories) @ embedder.embed_query("보리는 주사를 언제 맞아?")
    assert scores.argmax() == 0


def test_the_parallel_sentences_hold_none_of_these_texts() -> None:
    written = PARALLEL_SENTENCES.read_text(encoding="utf-8")
    assert not any(text in written for pair in ACROSS for text in pair)
    assert all(line.count("\t") == 1 for line in written.splitlines() if not line.startswith("#"))


# What is said when a model can't be loaded


def test_a_model_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    gone = tmp_path / "no-such-model"
    with pytest.raises(EmbedderError) as caught:
        open_embedder(Config(embedding=Embedding(model=str(gone))))
    assert str(caught.value).startswith(f'The embedding model "{gone}" can\'t be loaded: ')
    assert str(caught.value).endswith(
        'Set embedding.model to a sentence-transformers folder, or to "bundled".'
    )


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=f'"{tmp_path}" can\'t be loaded'):
        open_embedder(Config(embedding=Embedding(model=str(tmp_path))))


def test_the_languages_means_are_kept_for_the_next_start(
    embedder: PromptedEmbedder, models_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "onnx"
    shutil.copytree(models_folder / ONNX_FOLDER, folder, ignore=shutil.ignore_patterns("*.npy"))
    first = OnnxEmbedder(folder)
    (kept,) = folder.glob("means-*.npy")
    before = kept.stat().st_mtime_ns
    again = OnnxEmbedder(folder)
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(b"torn")
    mended = OnnxEmbedder(folder)
    asked = OnnxEmbedder(folder, query_prompt="question: ")
    assert len(list(folder.glob("means-*.npy"))) == 2
    wanted = embedder.embed_query("보리는 어디 있어?")
    for each in (first, again, mended):
        assert each.id == embedder.id
        assert each.embed_query("보리는 어디 있어?") @ wanted > 0.9999
    assert asked.id != embedder.id


# Batches and turns


@given(
    st.lists(st.integers(min_value=0, max_value=600), max_size=50), st.integers(min_value=1, max_value=5000)
)
def test_batches_hold_each_text_once_and_no_more_than_they_may(lengths: list[int], most: int) -> None:
    made = list(batches(lengths, most))
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= most
    longest = [max(lengths[place] for place in batch) for batch in made]
    assert longest == sorted(longest, reverse=True)


class Model(PromptedEmbedder):
    """A text a batch; `encode` sees each on the thread that makes it."""

    def __init__(self, *, threads: int, encode: Callable[[str], object], batch_tokens: int = 1) -> None:
        self.encode: Callable[[str], object] = str
        super().__init__(
            "model", query_prompt="", passage_prompt="", limit=512, batch_tokens=batch_tokens, threads=threads
        )
        self.encode = encode

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def _encode(self, texts: list[str], *, urgent: bool) -> NDArray[np.float32]:  # noqa: ARG002  (the port's)
        for text in texts:
            self.encode(text)
        return np.eye(1, 4, dtype=np.float32).repeat(len(texts), axis=0)


def test_as_many_batches_as_threads_are_made_at_a_time() -> None:
    together = threading.Barrier(2, timeout=10)
    model = Model(threads=2, encode=lambda _: together.wait())
    assert model.embed_passages(["하나", "둘", "셋", "넷"]).shape == (4, 4)


def test_a_few_texts_are_shared_among_the_threads() -> None:
    model = Model(threads=2, encode=str, batch_tokens=512)
    made = model.embed_batches(["보리는 고양이다", "두부는 강아지다"])
    assert [places for places, _ in made] == [[0], [1]]


def test_closing_early_makes_few_batches_more_and_leaves_no_thread() -> None:
    encoded: list[str] = []
    model = Model(threads=2, encode=encoded.append)
    before = threading.active_count()
    made = model.embed_batches([str(number) for number in range(100)])
    next(made)
    made.close()
    assert 1 <= len(encoded) <= 2 * AHEAD
    assert threading.active_count() == before


def test_an_error_in_one_batch_comes_after_the_batches_before_it_and_ends_the_rest() -> None:
    encoded: list[str] = []

    def choke(text: str) -> None:
        if text == "독" * 97 * 4:
            raise ValueError("poison")
        encoded.append(text)

    model = Model(threads=2, encode=choke)
    made = model.embed_batches(["독" * 4 * number for number in range(1, 101)])
    assert [next(made)[0] for _ in range(3)] == [[99], [98], [97]]
    with pytest.raises(ValueError, match="poison"):
        next(made)
    assert len(encoded) <= 3 + 2 * AHEAD


def test_a_question_goes_before_the_memories_that_wait() -> None:
    turns = _Turns()
    order: list[str] = []
    waiting = [threading.Event(), threading.Event()]

    def take(name: str, *, urgent: bool, told: threading.Event) -> None:
        told.set()
        with turns.take(urgent=urgent):
            order.append(name)

    with turns.take(urgent=False):
        memory = threading.Thread(target=take, args=("memory",), kwargs={"urgent": False, "told": waiting[0]})
        memory.start()
        assert waiting[0].wait(10)
        question = threading.Thread(
            target=take, args=("question",), kwargs={"urgent": True, "told": waiting[1]}
        )
        question.start()
        while not turns._urgent:
            question.join(0.001)
    memory.join(10)
    question.join(10)
    assert order == ["question", "memory"]
