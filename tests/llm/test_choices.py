from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm.choices import Choices


def letters(sentence: str) -> list[int]:
    return [ord(char) for char in sentence]


def test_the_grammar_is_the_sentences_in_tokens() -> None:
    assert Choices(["b", "ab", ""], letters).grammar == 'root ::= "" | <[97]> <[98]> | <[98]>'


def test_one_sentence_is_decided_before_anything_is_said() -> None:
    assert Choices(["가"], letters).decided([]) == "가"
    assert Choices(["가", "가"], letters).decided([]) == "가"


def test_of_sentences_with_the_same_tokens_the_first_counts() -> None:
    assert Choices(["one", "two"], lambda _: [1]).decided([]) == "one"


def test_decided_as_soon_as_one_is_left() -> None:
    choices = Choices(["오리진만", "오늘은", "모두"], letters)
    assert choices.decided([]) is None
    assert choices.decided(letters("모")) == "모두"
    assert choices.decided(letters("오")) is None
    assert choices.decided(letters("오늘")) == "오늘은"


def test_a_sentence_that_begins_another_is_chosen_by_the_end() -> None:
    choices = Choices(["가", "가나"], letters)
    assert choices.decided(letters("가")) is None
    assert choices.ended(letters("가")) == "가"


@given(sentences=st.lists(st.text("가나", max_size=6), min_size=1, max_size=6), chosen=st.data())
def test_a_choice_is_made_within_the_longest_search(sentences: list[str], chosen: st.DataObject) -> None:
    choices = Choices(sentences, letters)
    sentence = chosen.draw(st.sampled_from(sentences))
    search = choices.longest_search
    steps = [choices.decided(letters(sentence)[:count]) for count in range(search + 1)]
    if sentence in steps:
        return
    assert len(sentence) < search  # its last step is the end token
    assert choices.ended(letters(sentence)) == sentence
