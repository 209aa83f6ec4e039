from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.openai_shapes import Chunk, Fault, ModelList, read_refusal


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"error": {"message": "full", "type": "server_error", "code": 503}}, ("full", "server_error", 503)),
        ({"error": "full"}, ("full", None, None)),
        (
            {"object": "error", "message": "full", "type": "BadRequestError", "code": 400},
            ("full", "BadRequestError", 400),
        ),
        ({"detail": "Not Found"}, ("Not Found", None, None)),
        (
            {"detail": [{"loc": ["body", "seed"], "msg": "int"}]},
            ("[{'loc': ['body', 'seed'], 'msg': 'int'}]", None, None),
        ),
        ({}, ("", None, None)),
    ],
)
def test_a_refusal_is_read_in_every_form(body: Any, fault: tuple[Any, ...]) -> None:
    read = read_refusal(json.dumps(body).encode())
    assert (read.message, read.type, read.code) == fault


def test_a_page_instead_of_a_refusal_is_cut_to_a_line() -> None:
    read = read_refusal(b"<html>\n  <h1>Bad \xff Gateway</h1>\n" + b"x" * 1000)
    assert read.message.startswith("<html> <h1>Bad \ufffd Gateway</h1> xxx")
    assert len(read.message) == 301


@given(st.binary())
def test_whatever_comes_as_a_refusal_is_read(body: bytes) -> None:
    assert isinstance(read_refusal(body), Fault)


def test_the_context_is_where_each_engine_puts_it() -> None:
    cards: list[dict[str, Any]] = [
        {"id": "vllm", "max_model_len": 4096},
        {"id": "llama.cpp", "meta": {"n_ctx": 512, "n_ctx_train": 32768}},
        {"id": "older llama.cpp", "meta": {"n_ctx_train": 32768}},
        {"id": "other", "meta": None},
    ]
    read = ModelList.model_validate({"object": "list", "data": cards}).data
    assert [card.context_tokens for card in read] == [4096, 512, None, None]


def test_fields_that_nobody_knows_are_passed_over() -> None:
    chunk = Chunk.model_validate_json(
        '{"id": "x", "choices": [{"delta": {"role": "assistant", "content": null, "tool_calls": []}, "index": 0}]}'
    )
    assert chunk.choices[0].delta.content is None
    assert chunk.choices[0].delta.thought == ""
