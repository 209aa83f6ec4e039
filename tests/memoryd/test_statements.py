from __future__ import annotations

import pytest

from memoryd.statements import Kind, is_to_be_kept, kind_of, statements


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("앞으로는 밤 열한 시 이후에 알림 보내지 마", Kind.RULE),
        ("절대 원본 파일을 건드리면 안 돼", Kind.RULE),
        ("Never push on a Friday.", Kind.RULE),
        ("내 생일은 시월 둘째 주야", Kind.PERSON),
        ("나 땅콩 알레르기 있어", Kind.PERSON),
        ("My sister lives in Jeju.", Kind.PERSON),
        ("I'm allergic to penicillin.", Kind.PERSON),
        ("고수는 진짜 싫어해", Kind.TASTE),
        ("I love rainy mornings", Kind.TASTE),
        ("회의가 목요일로 바뀌었어", Kind.CHANGE),
        ("We moved to the smaller office.", Kind.CHANGE),
        ("내년 봄에 제주로 이사 갈 거야", Kind.PLAN),
        ("I'm going to learn the cello.", Kind.PLAN),
        ("내일까지 초안 보내줄게", Kind.PROMISE),
        ("I'll water the plants.", Kind.PROMISE),
        ("영수증 좀 찾아줘", Kind.REQUEST),
        ("Please call the plumber", Kind.REQUEST),
        ("창가 자리가 하루 종일 밝았어", Kind.SAID),
        ("The soup was too salty.", Kind.SAID),
    ],
)
def test_a_statement_has_the_kind_that_its_words_mark(line: str, kind: Kind) -> None:
    assert kind_of(line) is kind


@pytest.mark.parametrize(
    "text",
    [
        "몇 시에 오는 거야?",
        "오늘은 누가 저녁 하냐",
        "거기 아직도 문 닫았나요",
        "응 그래",
        "What time is it?",
        "나" * 300,
    ],
)
def test_questions_and_lines_that_are_too_short_or_long_are_no_statements(text: str) -> None:
    assert list(statements(text)) == []


def test_a_turn_gives_its_sentences_in_order_each_on_one_line() -> None:
    text = "감자를 심었어.\n물은   아침에 줬고\n비가 올 것 같아? 내일은 당근을 심을 거야."
    assert list(statements(text)) == ["감자를 심었어.", "물은 아침에 줬고", "내일은 당근을 심을 거야."]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("기억해: 열쇠는 하나에게 있어", True),
        ("기억해 줘: 열쇠는 하나에게 있어. 여분은 서랍에.", True),
        (" Remember : the spare key is with Hana", True),
        ("그거 기억해? 열쇠 말이야", False),
        ("I remember: it rained", False),
    ],
)
def test_a_turn_is_to_be_kept_where_it_opens_so(text: str, kept: bool) -> None:
    assert is_to_be_kept(text) is kept
