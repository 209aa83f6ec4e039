from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm.choices import Choices

END = 0


def letters(sentence: str) -> list[int]:
    return [ord(char) for char in sentence]


def choices(*sentences: str) -> Choices:
    return Choices(sentences, letters, END)


def test_one_sentence_is_decided_before_anything_is_said() -> None:
    assert choices("가").decided([]) == "가"
    assert choices("가", "가").decided([]) == "가"


def test_of_sentences_with_the_same_tokens_the_first_counts() -> None:
    assert Choices(["one", "two"], lambda _: [1], END).decided([]) == "one"


def test_decided_as_soon_as_one_is_left() -> None:
    three = choices("오리진만", "오늘은", "모두")
    assert three.decided([]) is None
    assert three.decided(letters("모")) == "모두"
    assert three.decided(letters("오")) is None
    assert three.decided(letters("오늘")) == "오늘은"


def test_what_may_follow() -> None:
    three = choices("오리진만", "오늘은", "모두")
    assert three.next_tokens([]) == letters("오오모")
    assert three.next_tokens(letters("오")) == letters("리늘")


def test_a_sentence_that_begins_another_is_chosen_by_the_end() -> None:
    two = choices("가나", "가")
    assert two.decided(letters("가")) is None
    assert two.next_tokens(letters("가")) == [*letters("나"), END]
    assert two.decided([*letters("가"), END]) == "가"


@given(sentences=st.lists(st.text("가나", max_size=6), min_size=1, max_size=6), data=st.data())
def test_every_way_ends_in_a_sentence_within_the_longest_search(
    sentences: list[str], data: st.DataObject
) -> None:
    some = choices(*sentences)
    said: list[int] = []
    while (sentence := some.decided(said)) is None:
        said.append(data.draw(st.sampled_from(some.next_tokens(said))))
    assert sentence in sentences
    assert len(said) <= some.longest_search
