"""The templates of the families, rendered as llama-cpp-python renders a file's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from llm import Message
from llm.bundled_runner import BUNDLED
from llm.deepseek_runner import DEEPSEEK
from llm.llama_runner import LLAMA
from llm.mixtral_runner import MIXTRAL
from llm.prompt import from_template

if TYPE_CHECKING:
    from llm.family import Family

MESSAGES = (
    Message(role="system", speaker="에코", text="나는 에코다."),
    Message(role="user", speaker="지훈", text="안녕?"),
    Message(role="assistant", speaker="에코", text="응."),
    Message(role="user", speaker="지훈", text="누구니?"),
)


def rendered(family: Family) -> str:
    assert family.template
    formatter = Jinja2ChatFormatter(family.template, eos_token="</s>", bos_token="<s>")

    def render(messages: list[Any]) -> str:
        return formatter(messages=messages).prompt

    return from_template(MESSAGES, render).text


def test_llama() -> None:
    assert rendered(LLAMA) == (
        "<s><|start_header_id|>system<|end_header_id|>\n\n나는 에코다.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n안녕?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n응.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n누구니?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_mixtral_gets_the_system_as_the_users() -> None:
    assert rendered(MIXTRAL) == "<s>[INST] 나는 에코다.\n\n안녕? [/INST] 응.</s>[INST] 누구니? [/INST]"


def test_deepseek_begins_to_think() -> None:
    assert rendered(DEEPSEEK) == (
        "<s>나는 에코다.<｜User｜>안녕?<｜Assistant｜>응.<｜end▁of▁sentence｜>"
        "<｜User｜>누구니?<｜Assistant｜><think>\n"
    )


@pytest.mark.parametrize("family", [DEEPSEEK, LLAMA, MIXTRAL], ids=lambda family: family.name)
def test_every_turn_of_a_template_is_opened_or_closed_by_marks_that_the_family_names(family: Family) -> None:
    turns = rendered(family).split("안녕?")[1].split("응.")
    assert any(mark in turns[0] for mark in family.stop)
    assert any(mark in turns[1].split("누구니?")[0] for mark in family.stop)


def test_what_else_differs() -> None:
    assert [family.name for family in (BUNDLED, DEEPSEEK, LLAMA, MIXTRAL) if family.thinks] == ["deepseek"]
    assert [family.name for family in (BUNDLED, DEEPSEEK, LLAMA, MIXTRAL) if family.quotes] == ["bundled"]
    assert BUNDLED.template is None
