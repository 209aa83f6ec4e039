"""Answers from made-up logits, with a small model's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llm import Finish, ModelError, Piece, Sampling, Usage
from llm.answer import Choosing, Writing
from llm.answer_text import AnswerText, Thought
from llm.choices import Choices
from llm.sampler import Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm import TokenLogprob
    from llm.answer import Answer
    from llm.weights import Weights

USAGE = Usage(prompt_tokens=3, cached_tokens=1, completion_tokens=2)


def only(weights: Weights, token: int) -> NDArray[np.float32]:
    logits = np.zeros(weights.vocab_size, np.float32)
    logits[token] = 9
    return logits


def feed(answer: Answer, weights: Weights, tokens: list[int]) -> list[Piece]:
    pieces = []
    for token in tokens:
        drawn, piece = answer.draw(only(weights, token))
        assert drawn == token
        if piece is not None:
            pieces.append(piece)
        if answer.finish is not None:
            break
    return pieces


def writing(
    weights: Weights,
    *,
    stop: tuple[str, ...] = (),
    thought: Thought = Thought.DONE,
    grammar: str = "",
    **more: Any,
) -> Writing:
    text = AnswerText(stop=stop, thought=thought)
    return Writing(weights, Sampler(weights, Sampling(), grammar), text, **{"max_tokens": 100, **more})


def test_tokens_become_text_and_the_end_token_ends_it(tiny: Weights) -> None:
    answer = writing(tiny)
    tokens = tiny.tokenize("오늘 뷁 뭐 했어?")
    pieces = feed(answer, tiny, [*tokens, tiny.end_token, *tokens])
    assert "".join(piece.text for piece in pieces) == "오늘 뷁 뭐 했어?"
    assert not any("\ufffd" in piece.text for piece in pieces)
    assert answer.finish is Finish.STOP
    assert answer.computed == len(tokens)
    assert answer.last(USAGE) == Piece(text="", finish=Finish.STOP, usage=USAGE)


def test_the_longest_answer(tiny: Weights) -> None:
    answer = writing(tiny, max_tokens=3)
    feed(answer, tiny, tiny.tokenize("abcdefgh")[:1] * 9)
    assert (answer.finish, answer.computed) == (Finish.LENGTH, 3)


def test_a_stop_text_ends_it(tiny: Weights) -> None:
    answer = writing(tiny, stop=("\n지훈:",))
    pieces = feed(answer, tiny, tiny.tokenize("응.\n지훈: 그래"))
    assert "".join(piece.text for piece in pieces) + answer.last(USAGE).text == "응."
    assert answer.finish is Finish.STOP


def test_what_was_held_back_comes_last(tiny: Weights) -> None:
    answer = writing(tiny, stop=("\n지훈:",))
    tokens = tiny.tokenize("응\n지훈")
    pieces = feed(answer, tiny, [*tokens, tiny.end_token])
    assert [piece.text for piece in pieces] == ["응"]
    assert answer.last(USAGE).text == "\n지훈"


def test_thoughts_come_apart(tiny: Weights) -> None:
    answer = writing(tiny, thought=Thought.NOT_YET)
    tokens = tiny.tokenize("<think>음, 둘?</think>\n셋.")
    pieces = [*feed(answer, tiny, [*tokens, tiny.end_token]), answer.last(USAGE)]
    assert "".join(piece.thought for piece in pieces) == "음, 둘?"
    assert "".join(piece.text for piece in pieces) == "셋."


def test_an_answer_that_was_only_thought_is_an_error(tiny: Weights) -> None:
    answer = writing(tiny, thought=Thought.THINKING, max_tokens=5)
    feed(answer, tiny, tiny.tokenize("음 음 음 음 음 음"))
    assert answer.finish is Finish.LENGTH
    with pytest.raises(ModelError, match=r"only thought, for 5 tokens\. Raise llm\.max_tokens"):
        answer.last(USAGE)


def test_a_grammar_without_a_way_on_ends_it_also_where_nothing_is_an_end_token(
    tiny: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "ends", lambda _token: False)
    answer = writing(tiny, grammar="root ::= [z-a]")
    _, piece = answer.draw(only(tiny, 5))
    assert (piece, answer.finish, answer.computed) == (None, Finish.STOP, 0)


def test_one_that_was_cancelled_while_it_thought_is_none(tiny: Weights) -> None:
    answer = writing(tiny, thought=Thought.THINKING)
    feed(answer, tiny, tiny.tokenize("음 음"))
    answer.finish = Finish.CANCELLED
    assert answer.last(USAGE).finish is Finish.CANCELLED


def test_a_grammar_with_no_way_on_ends_it(tiny: Weights) -> None:
    answer = writing(tiny, grammar="root ::= [z-a]")
    token, piece = answer.draw(only(tiny, 5))
    assert tiny.ends(token)
    assert piece is None
    assert answer.finish is Finish.STOP


def told(answer: Answer, some_logits: list[NDArray[np.float32]]) -> list[TokenLogprob]:
    pieces = [piece for logits in some_logits if (piece := answer.draw(logits)[1])]
    return [each for piece in [*pieces, answer.last(USAGE)] for each in piece.logprobs]


def test_log_probabilities_are_the_log_softmax(tiny: Weights) -> None:
    random = np.random.default_rng(4)
    some_logits = [random.normal(size=tiny.vocab_size, scale=4).astype(np.float32) for _ in range(5)]
    each_told = told(writing(tiny, logprobs=3), some_logits)
    for each, logits in zip(each_told, some_logits, strict=True):
        exact = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
        likeliest = [int(token) for token in np.argsort(-logits)[:3]]
        assert each.token == likeliest[0]
        assert each.logprob == pytest.approx(exact[each.token], abs=1e-4)
        assert [token for token, _, _ in each.top] == likeliest
        assert [value for _, _, value in each.top] == pytest.approx(exact[likeliest], abs=1e-4)
        texts = [tiny.token_bytes(token).decode(errors="replace") for token in likeliest]
        assert [text for _, text, _ in each.top] == texts


def test_all_tokens_together_are_certain(tiny: Weights) -> None:
    logits = np.random.default_rng(5).normal(size=tiny.vocab_size).astype(np.float32)
    (one,) = told(writing(tiny, logprobs=tiny.vocab_size + 5), [logits])
    values = [value for _, _, value in one.top]
    assert np.exp(values).sum() == pytest.approx(1)
    assert values == sorted(values, reverse=True)


def test_no_log_probabilities_unless_they_are_asked_for(tiny: Weights) -> None:
    assert told(writing(tiny), [only(tiny, 50)]) == []


def test_a_choice_follows_the_likeliest_way_and_is_told_whole(tiny: Weights) -> None:
    answer = Choosing(Choices(["나는 안다", "나는 모른다"], tiny.tokenize, tiny.end_token))
    wanted, other = tiny.tokenize("나는 모른다"), tiny.tokenize("나는 안다")
    shared = next(at for at, (one, two) in enumerate(zip(wanted, other, strict=False)) if one != two)
    assert feed(answer, tiny, wanted) == []
    assert answer.finish is Finish.STOP
    assert answer.computed == shared + 1
    assert answer.last(USAGE) == Piece(text="나는 모른다", finish=Finish.STOP, usage=USAGE)


def test_a_choice_never_draws_what_no_sentence_says(tiny: Weights) -> None:
    answer = Choosing(Choices(["네", "아니"], tiny.tokenize, tiny.end_token))
    token, _ = answer.draw(only(tiny, tiny.tokenize("글쎄")[0]))
    assert token in {tiny.tokenize("네")[0], tiny.tokenize("아니")[0]}


def test_a_choice_that_was_cancelled_is_none(tiny: Weights) -> None:
    answer = Choosing(Choices(["나는 안다", "나는 모른다"], tiny.tokenize, tiny.end_token))
    answer.finish = Finish.CANCELLED
    assert answer.last(USAGE) == Piece(text="", finish=Finish.CANCELLED, usage=USAGE)
