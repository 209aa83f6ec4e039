from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm import Message, ModelError
from llm.prompt import from_template, transcript

if TYPE_CHECKING:
    from llm.prompt import Render

SYSTEM = Message(role="system", speaker="에코", text="나는 에코다.")
QUESTION = Message(role="user", speaker="지훈", text="누구니?")
ANSWER = Message(role="assistant", speaker="Echo", text="에코야.")
MORE = Message(role="user", speaker="수아", text="정말?")


def plain(messages: list[dict[str, Any]]) -> str:
    return "".join(f"[{message['role']}]{message['content']}" for message in messages)


def strict(messages: list[dict[str, Any]]) -> str:
    roles = [message["role"] for message in messages]
    if roles != [("user", "assistant")[at % 2] for at in range(len(roles))]:
        raise ValueError("Roles must alternate")
    return plain(messages)


def test_a_transcript_ends_with_the_assistants_label() -> None:
    prompt = transcript([SYSTEM, QUESTION])
    assert prompt.text == "나는 에코다.\n\n지훈: 누구니?\n에코:"
    assert prompt.stop == ("\n에코:", "\n지훈:")
    assert not prompt.control


def test_in_a_transcript_the_assistant_keeps_its_last_name() -> None:
    prompt = transcript([SYSTEM, QUESTION, ANSWER, MORE])
    assert prompt.text == "나는 에코다.\n\n지훈: 누구니?\nEcho: 에코야.\n수아: 정말?\nEcho:"
    assert prompt.stop == ("\nEcho:", "\n수아:", "\n지훈:")


def test_a_transcript_without_names_or_system() -> None:
    messages = [Message(role=role, speaker="", text="…") for role in ("user", "assistant", "user")]
    assert transcript(messages).text == "user: …\nEcho: …\nuser: …\nEcho:"


def test_a_template_that_knows_the_system_gets_the_messages_as_they_are() -> None:
    prompt = from_template([SYSTEM, QUESTION], plain)
    assert prompt.text == "[system]나는 에코다.[user]누구니?"
    assert prompt.control


def test_a_template_that_refuses_the_system_finds_it_in_the_first_question() -> None:
    prompt = from_template([SYSTEM, QUESTION, ANSWER, MORE], strict)
    assert prompt.text == "[user]나는 에코다.\n\n누구니?[assistant]에코야.[user]정말?"


def test_a_template_that_leaves_the_system_out_is_noticed() -> None:
    def forgetful(messages: list[dict[str, Any]]) -> str:
        return plain([message for message in messages if message["role"] != "system"])

    assert from_template([SYSTEM, QUESTION], forgetful).text == "[user]나는 에코다.\n\n누구니?"


def test_two_speakers_in_a_row_are_one_message_for_a_strict_template() -> None:
    assert from_template([QUESTION, MORE], strict).text == "[user]누구니?\n\n정말?"


def test_a_template_that_refuses_everything_is_an_error() -> None:
    with pytest.raises(ModelError, match="refuses the conversation: Roles must alternate"):
        from_template([ANSWER], strict)


def test_the_seam_is_where_the_system_ends() -> None:
    prompt = transcript([SYSTEM, QUESTION])
    assert prompt.text[: prompt.seam] == "나는 에코다."
    prompt = from_template([SYSTEM, QUESTION], plain)
    assert prompt.text[: prompt.seam] == "[system]나는 에코다."
    prompt = from_template([SYSTEM, QUESTION, ANSWER, MORE], strict)
    assert prompt.text[: prompt.seam] == "[user]나는 에코다."


def test_of_two_systems_the_first_is_before_the_seam() -> None:
    prompt = transcript([SYSTEM, replace(SYSTEM, text="기억들"), QUESTION])
    assert prompt.text[: prompt.seam] == "나는 에코다."
    assert "\n\n기억들\n\n지훈:" in prompt.text


@pytest.mark.parametrize("render", [plain, strict])
def test_without_a_system_there_is_no_seam(render: Render) -> None:
    assert transcript([QUESTION]).seam == 0
    assert from_template([QUESTION], render).seam == 0
    assert from_template([replace(SYSTEM, text=" "), QUESTION], render).seam == 0


def test_a_template_that_trims_the_system_has_its_seam_behind_what_is_left() -> None:
    def trimming(messages: list[dict[str, Any]]) -> str:
        return plain([{**message, "content": message["content"].strip()} for message in messages])

    prompt = from_template([replace(SYSTEM, text="\n나는 에코다. \n"), QUESTION], trimming)
    assert prompt.text[: prompt.seam] == "[system]나는 에코다."


@pytest.mark.parametrize("words", ["system", "s", "[", "user", "]s"])
@pytest.mark.parametrize("render", [plain, strict])
def test_words_that_the_template_says_itself_do_not_draw_the_seam_into_it(render: Render, words: str) -> None:
    prompt = from_template([replace(SYSTEM, text=words), QUESTION], render)
    role = "system" if render is plain else "user"
    assert prompt.text[: prompt.seam] == f"[{role}]{words}"


def test_a_question_that_repeats_the_system_does_not_move_the_seam() -> None:
    prompt = from_template([SYSTEM, replace(QUESTION, text="나는 에코다. 맞지?")], plain)
    assert prompt.text[: prompt.seam] == "[system]나는 에코다."
