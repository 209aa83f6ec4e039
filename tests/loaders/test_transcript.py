from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Role, load

PAGE = """지난번 답의 끝.
두 줄이다.
나의 말:
기억나지?
ChatGPT의 말:

기억하고 있어.

요약:
- 하나: 둘
    들여 쓴 줄

나의 말:
그래 ㅋㅋ
"""

NOTES = {
    "a form": "이름: 김지훈\n나이: 30\n이름: 박수민\n나이: 28\n",
    "records in a row": "모델: 가\n무게: 3\n색: 빨강\n모델: 나\n무게: 4\n색: 파랑\n",
    "addresses": "문서: https://example.org\nhttps://example.org/a\nhttps://example.org/b\n",
    "a list of things to do": "할 일: 빨래\n완료: 설거지\n할 일: 장보기\n완료: 요리\n",
    "times": "10:30 출발\n11:20 도착\n10:30 출발\n11:20 도착\n",
    "a log": "INFO: started\nERROR: failed\nINFO: retry\nERROR: failed\n",
    "code": "try:\n    go()\nexcept:\n    stop()\ntry:\n    go()\nexcept:\n    stop()\n",
    "a novel": "He said:\nnothing.\nShe said:\nnothing.\nHe said:\nmore.\n",
    "one speaker": "지훈: 하나\n지훈: 둘\n지훈: 셋\n",
    "a meeting note": "회의 내용을 적는다.\n장소: 역 앞\n시각: 여섯 시\n길게 이어지는 글.\n참고: 없음\n",
    "few labels in much prose": "지훈: 가\n글\n글\n수민: 나\n글\n글\n지훈: 다\n글\n수민: 라\n글\n",
}


def _said(text: str) -> list[tuple[str, str]]:
    loaded = load("day0315/대화.txt", text.encode())
    assert loaded.format == "transcript"
    (conversation,) = loaded.conversations
    assert conversation.id == "day0315/대화.txt"
    return [(turn.speaker, turn.text) for turn in conversation.turns]


def _roles(text: str) -> dict[str, Role]:
    (conversation,) = load("대화.txt", text.encode()).conversations
    return {turn.speaker: turn.role for turn in conversation.turns}


def test_a_page_copied_from_the_middle_of_an_answer_keeps_all() -> None:
    assert _said(PAGE) == [
        ("ChatGPT", "지난번 답의 끝.\n두 줄이다."),
        ("나", "기억나지?"),
        ("ChatGPT", "기억하고 있어.\n\n요약:\n- 하나: 둘\n    들여 쓴 줄"),
        ("나", "그래 ㅋㅋ"),
    ]
    assert _roles(PAGE) == {"나": Role.USER, "ChatGPT": Role.ASSISTANT}


def test_the_english_page_reads_alike() -> None:
    text = "#### You said:\nDo you remember?\n\n#### ChatGPT said:\nI do.\nYou said:\nYou said:\nGood.\n"
    assert _said(text) == [("You", "Do you remember?"), ("ChatGPT", "I do."), ("You", "Good.")]


def test_windows_line_ends_change_nothing() -> None:
    assert _said(PAGE.replace("\n", "\r\n")) == _said(PAGE)


def test_an_answer_may_quote_another_label() -> None:
    text = "나의 말:\n연극 써 줘\nChatGPT의 말:\n오리진의 말:\n명령한다.\n"
    assert _said(text)[1] == ("ChatGPT", "오리진의 말:\n명령한다.")


def test_a_named_companion_is_the_assistant() -> None:
    text = "나의 말:\n안녕\n에코의 말:\n반가워\n"
    assert _roles(text) == {"나": Role.USER, "에코": Role.ASSISTANT}


def test_a_page_with_one_label_gives_the_rest_to_the_other_side() -> None:
    assert _said("답의 끝.\n나의 말:\n고마워\n") == [("ChatGPT", "답의 끝."), ("나", "고마워")]


def test_a_chat_of_names_is_a_conversation() -> None:
    text = "지훈: 내일 몇 시?\n수민: 여섯 시\n지훈: 좋아\n수민 : 역에서\n민수: 나도\n"
    assert _said(text) == [
        ("지훈", "내일 몇 시?"),
        ("수민", "여섯 시"),
        ("지훈", "좋아"),
        ("수민", "역에서"),
        ("민수", "나도"),
    ]
    assert set(_roles(text).values()) == {Role.USER}


def test_a_field_above_a_chat_is_no_speaker() -> None:
    assert _said("제목: 회의\nJohn: hi\nMary: hey\nJohn: ok\nMary: bye\n")[:2] == [
        ("note", "제목: 회의"),
        ("John", "hi"),
    ]


def test_a_message_may_run_over_lines_and_hold_colons() -> None:
    text = "# 3월\nJihoon: look\nhttps://example.org\nSumin: 10:30?\nJihoon: yes\n참고: 늦지 마\nSumin: ok\n"
    assert _said(text) == [
        ("note", "# 3월"),
        ("Jihoon", "look\nhttps://example.org"),
        ("Sumin", "10:30?"),
        ("Jihoon", "yes\n참고: 늦지 마"),
        ("Sumin", "ok"),
    ]


def test_a_person_and_a_model_need_no_repetition() -> None:
    text = "User: 알려 줘\nAssistant: 그래.\n\n하나: 물\n둘: 불\n하나: 흙\n둘: 쇠\n끝.\n끝.\n끝.\n끝.\n"
    said = _said(text)
    assert [speaker for speaker, _ in said] == ["User", "Assistant"]
    assert said[1][1].endswith("끝.")
    assert _roles(text) == {"User": Role.USER, "Assistant": Role.ASSISTANT}


@pytest.mark.parametrize("name", ["ChatGPT", "GPT-4o", "Claude 3", "에코", "echo", "AI", "Gemini", "gpt"])
def test_models_are_known_by_name(name: str) -> None:
    assert _roles(f"나: 안녕\n{name}: 응\n")[name] is Role.ASSISTANT


@pytest.mark.parametrize("text", NOTES.values(), ids=NOTES.keys())
def test_notes_with_colons_are_no_conversation(text: str) -> None:
    assert load("a.txt", text.encode()).format == "notes"


WORDS = st.text("가나다 abc.,\n  -", max_size=30)


@given(
    before=WORDS,
    said=st.lists(st.tuples(st.sampled_from(["나의 말:", "ChatGPT의 말:"]), WORDS), min_size=1, max_size=8),
)
def test_every_line_of_a_page_survives(before: str, said: list[tuple[str, str]]) -> None:
    lines = [before, *(f"{label}\n{text}" for label, text in said), "끝"]
    turns = _said("\n".join(lines))
    kept = [line for _, text in turns for line in text.split("\n") if line.strip()]
    given_lines = "\n".join([before, *(text for _, text in said), "끝"]).split("\n")
    assert kept == [line for line in given_lines if line.strip()]
