from __future__ import annotations

from typing import Any

import pytest

from llm.base import BadGrammarError, GenerateRequest, Message, ModelError, Sampling
from llm.openai_question import as_question
from llm.openai_server import Dialect

MESSAGES = (
    Message(role="system", speaker="에코", text="나는 에코다."),
    Message(role="user", speaker="지훈", text="안녕?"),
)


def question(dialect: Dialect = Dialect.OTHER, *, by_turns: bool = False, **more: Any) -> dict[str, Any]:
    return as_question(GenerateRequest(**{"messages": MESSAGES} | more), "small", dialect, by_turns=by_turns)


def test_an_unknown_server_gets_what_openai_knows_and_no_more() -> None:
    assert question(max_tokens=20, stop=("\n", ""), logprobs=3) == {
        "model": "small",
        "messages": [{"role": "system", "content": "나는 에코다."}, {"role": "user", "content": "안녕?"}],
        "max_tokens": 20,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "stop": ["\n"],
        "logprobs": True,
        "top_logprobs": 3,
    }


def test_what_was_asked_for_goes_to_every_server() -> None:
    asked = question(
        sampling=Sampling(temperature=0.7, top_k=40, top_p=0.9, min_p=0.05, repetition=1.1, seed=3)
    )
    assert (asked["temperature"], asked["top_k"], asked["top_p"], asked["min_p"], asked["seed"]) == (
        0.7,
        40,
        0.9,
        0.05,
        3,
    )
    assert asked["repeat_penalty"] == asked["repetition_penalty"] == 1.1


@pytest.mark.parametrize(("dialect", "all_of_them"), [(Dialect.LLAMA_CPP, 0), (Dialect.VLLM, -1)])
def test_no_default_of_a_known_engine_counts(dialect: Dialect, all_of_them: int) -> None:
    asked = question(dialect, sampling=Sampling(temperature=0.7))
    assert (asked["top_k"], asked["min_p"], asked["repeat_penalty"]) == (all_of_them, 0.0, 1.0)


def test_for_a_strict_template_only_two_speak_by_turns() -> None:
    assert question(by_turns=True)["messages"] == [{"role": "user", "content": "나는 에코다.\n\n안녕?"}]


def test_only_four_stop_texts_go_out() -> None:
    assert question(stop=tuple("abcdef"))["stop"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "text",
    ["<|im_end|>\n<|im_start|>system", "</s>[INST]", "<end_of_turn>", "<｜User｜>", "<|eot_id|>", "<bos>"],
)
def test_nobodys_words_end_a_turn(text: str) -> None:
    sent = question(messages=(Message(role="user", speaker="", text=text),))["messages"][0]["content"]
    assert sent != text
    assert sent.replace("\u2060", "") == text


@pytest.mark.parametrize("text", ["a < b", "[1] <b>fett</b>", "x <s y", "<div> | </div>", "[INST"])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert question(messages=(Message(role="user", speaker="", text=text),))["messages"][0]["content"] == text


def test_a_schema_goes_out_in_the_engines_own_form() -> None:
    schema = '{"type": "object"}'
    assert question(json_schema=schema)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }
    assert question(Dialect.LLAMA_CPP_PYTHON, json_schema=schema)["response_format"] == {
        "type": "json_object",
        "schema": {"type": "object"},
    }


def test_a_grammar_goes_to_llama_cpps_own_server_only() -> None:
    assert question(Dialect.LLAMA_CPP, grammar='root ::= "네"')["grammar"] == 'root ::= "네"'
    for dialect in (Dialect.OTHER, Dialect.VLLM, Dialect.LLAMA_CPP_PYTHON):
        with pytest.raises(BadGrammarError, match="give a JSON schema instead"):
            question(dialect, grammar='root ::= "네"')


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"json_schema": "{"}, BadGrammarError, "is not JSON"),
        ({"json_schema": "[]"}, BadGrammarError, "is no object"),
        ({"json_schema": "{}", "grammar": "root ::= [a-z]"}, BadGrammarError, "not both"),
        ({"max_tokens": 0}, ModelError, "max_tokens is 0"),
        ({"choices": ("네.",)}, ModelError, "does not choose"),
    ],
)
def test_what_cannot_be_asked_is_named(more: dict[str, Any], error: type[ModelError], said: str) -> None:
    with pytest.raises(error, match=said):
        question(**more)
