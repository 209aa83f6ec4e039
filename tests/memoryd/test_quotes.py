from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.quotes import (
    MOST_CHOICES,
    NO_SENTENCE_EN,
    NO_SENTENCE_KO,
    NOTHING_EN,
    NOTHING_KO,
    Quotes,
    _names,
    clean,
    statements,
)
from memoryd.recall import weights
from tests.memoryd.parts import SHARED, WORDS, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, max_tokens=400)
    yield home
    home.ledger.close()


def _choices(home: Home, question: str) -> tuple[str, ...]:
    quotes = Quotes(embedder=home.embedder, words=WORDS)
    return quotes.choices(question, home.recall.memories(question, owners=SHARED, count=6).hits)


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("- 두부는 고양이", "두부는 고양이"),
        ("* **두부**는 고양이", "두부는 고양이"),
        ("1. 물을 끓인다", "물을 끓인다"),
        ("2) 소금을 넣는다", "소금을 넣는다"),
        ("- 1. `memory` 폴더", "memory 폴더"),
        ("## 첼로", "첼로"),
        ("> 인용한 말", "인용한 말"),
        ("- [ ] 우유 사기", "우유 사기"),
        ("①  첫째", "첫째"),
        ("→ 결론", "결론"),
        ("이름\t두부", "이름 · 두부"),
        ("  그대로   둔다 ", "그대로 둔다"),
        ("3.5초가 걸렸다", "3.5초가 걸렸다"),
        ("-5도였다", "-5도였다"),
        ("두부 - 고양이", "두부 - 고양이"),
    ],
)
def test_a_line_loses_only_its_layout(written: str, bare: str) -> None:
    assert clean(written) == bare
    assert clean(bare) == bare


KOREAN = (
    line("우리 고양이 이름은 두부야. 회색이고 겁이 많아.", speaker="지훈", conversation="c1")
    + line("수영은 화요일 저녁에 해. 수영장 물은 늘 차가워.", speaker="지훈", conversation="c2")
    + line("사워도우 반죽은 냉장고에서 발효해. 소금은 나중에 넣어.", speaker="수민", conversation="c3")
)
ENGLISH = (
    line("Our cat is called Dubu. She is grey and shy.", speaker="Jihun", conversation="c1")
    + line("I swim on Tuesday evenings. The pool water stays cold.", speaker="Jihun", conversation="c2")
    + line(
        "The sourdough rests in the fridge overnight. Salt goes in late.", speaker="Sumin", conversation="c3"
    )
)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("고양이 이름이 뭐야?", "우리 고양이 이름은 두부야."),
        ("수영은 무슨 요일에 해?", "수영은 화요일 저녁에 해."),
        ("반죽은 어디에서 발효해?", "사워도우 반죽은 냉장고에서 발효해."),
        ("소금은 나중에 넣었나?", "소금은 나중에 넣어."),
    ],
)
def test_the_sentence_that_answers_is_chosen_in_korean(home: Home, question: str, said: str) -> None:
    home.remember("day0310/a.jsonl", KOREAN)
    assert _choices(home, question)[0] == said


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is our cat called?", "Our cat is called Dubu."),
        ("Which evenings do I swim?", "I swim on Tuesday evenings."),
        ("Where does the sourdough rest?", "The sourdough rests in the fridge overnight."),
    ],
)
def test_the_sentence_that_answers_is_chosen_in_english(home: Home, question: str, said: str) -> None:
    home.remember("day0310/a.jsonl", ENGLISH)
    assert _choices(home, question)[0] == said


@pytest.mark.parametrize(
    ("memories", "question", "said"),
    [
        (
            "반죽은 오래 발효했다.\n반죽 발효는 20시간이었다.\n",
            "반죽 발효는 몇 시간이었지?",
            "반죽 발효는 20시간이었다.",
        ),
        (
            "The dough rose for long.\nThe dough rose for 20 hours.\n",
            "How many hours was the dough rising?",
            "The dough rose for 20 hours.",
        ),
        (
            "모델은 잘 있다.\n모델은 /workspace/llm_models 에 둔다.\n",
            "모델은 어느 폴더에 둬?",
            "모델은 /workspace/llm_models 에 둔다.",
        ),
        (
            "The models work well.\nThe models go to /workspace/llm_models there.\n",
            "What is the path of the models?",
            "The models go to /workspace/llm_models there.",
        ),
    ],
)
def test_a_question_for_a_number_or_a_path_gets_one(
    home: Home, memories: str, question: str, said: str
) -> None:
    home.remember("day0310/a.md", memories)
    assert _choices(home, question)[0] == said


def test_questions_headings_and_broken_off_lines_are_never_chosen(home: Home) -> None:
    home.remember(
        "day0310/a.md",
        '첼로 연습 계획:\n첼로 연습을 매일 하나?\n첼로 연습을 "매일 할까?"\n[첼로 연습]\n'
        "첼로 연습을 하고,\n첼로는 저녁에 켠다.\n",
    )
    assert _choices(home, "첼로는 언제 켜지?") == ("첼로는 저녁에 켠다.",)


def test_a_sentence_is_offered_once_and_no_more_than_three_are(home: Home) -> None:
    home.remember("day0310/a.md", "\n".join(f"- 두부는 {n}번 고양이" for n in range(9)) * 2)
    choices = _choices(home, "두부는 몇 번 고양이야?")
    assert 1 <= len(choices) <= MOST_CHOICES
    assert len(set(choices)) == len(choices)


def test_the_choice_is_the_same_every_time(home: Home) -> None:
    home.remember("day0310/a.jsonl", KOREAN)
    assert _choices(home, "고양이 이름이 뭐야?") == _choices(home, "고양이 이름이 뭐야?")


@pytest.mark.parametrize(
    ("question", "nothing", "no_sentence"),
    [
        ("우주선은 누가 만들었지?", NOTHING_KO, NO_SENTENCE_KO),
        ("Who built rockets?", NOTHING_EN, NO_SENTENCE_EN),
    ],
)
def test_what_is_not_known_is_admitted_in_the_questions_language(
    home: Home, question: str, nothing: str, no_sentence: str
) -> None:
    assert _choices(home, question) == (nothing,)
    home.remember("day0310/a.jsonl", KOREAN + ENGLISH)
    assert _choices(home, question) == (no_sentence,)


def test_only_the_found_part_of_a_long_turn_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "HIT_TOKENS", 0)
    home = Home(tmp_path, max_tokens=12)
    diary = "고양이 두부는 회색이다. " + "오늘은 하루 종일 비가 왔다. " * 4 + "고양이 두부는 아홉 살이다."
    home.remember("day0310/a.jsonl", line(diary))
    (hit,) = home.recall.search("아홉 살", owners=SHARED, k=1).hits
    quotes = Quotes(embedder=home.embedder, words=WORDS)
    assert quotes.choices("고양이 두부는?", [hit])[0] == "고양이 두부는 아홉 살이다."
    home.ledger.close()


# What lines say


def test_a_line_of_code_stands_after_what_announces_it() -> None:
    lines = [
        "[바꿀 것]",
        "1. 경로 변환",
        "python",
        "복사",
        "편집",
        'MODELS = "./models"',
        "→",
        'MODELS = "/data"',
    ]
    assert statements(lines) == ["경로 변환", '경로 변환: MODELS = "./models" → MODELS = "/data"']


def test_code_that_nothing_announces_stands_alone() -> None:
    assert statements(['MODELS = "/data"']) == ['MODELS = "/data"']


def test_code_is_said_without_its_comment_and_prose_with_its_hash() -> None:
    assert statements(['PATH = "/data/#1"  # an example', "채널은 # general 이다."]) == [
        'PATH = "/data/#1"',
        "채널은 # general 이다.",
    ]
    assert statements(["mid = (lo + hi) // 2"]) == ["mid = (lo + hi) // 2"]
    assert statements(['CHANNEL = "팀 # 공지"']) == ['CHANNEL = "팀 # 공지"']


def test_a_heading_is_said_only_with_its_code() -> None:
    assert statements(["After:", "import os", "Keep the rest."]) == ["After: import os", "Keep the rest."]


@pytest.mark.parametrize(
    "line", ["from there we went home.", "If x == 3, stop.", "class was fun.", "두부 (고양이) 는 귀여워."]
)
def test_prose_is_not_taken_for_code(line: str) -> None:
    assert statements(["Before.", line]) == ["Before.", line]


def test_the_one_whom_the_question_names_is_quoted_before_others(home: Home) -> None:
    home.remember(
        "day0310/a.jsonl",
        line("수영장 물이 차가웠다.", speaker="수민") + line("수영장 물이 따뜻했다.", speaker="지훈"),
    )
    assert _choices(home, "지훈은 수영장 물이 어땠대?")[0] == "수영장 물이 따뜻했다."
    assert _choices(home, "수민이는 수영장 물이 어땠대?")[0] == "수영장 물이 차가웠다."


def test_who_calls_the_being_by_its_name_does_not_ask_what_it_said(home: Home) -> None:
    home.remember(
        "day0310/a.jsonl",
        line("우리 고양이 이름은 두부야.", speaker="지훈")
        + line("고양이 이름을 기억할게요.", speaker="에코", role="assistant"),
    )
    assert _choices(home, "에코, 우리 고양이 이름이 뭐야?")[0] == "우리 고양이 이름은 두부야."


@pytest.mark.parametrize(
    ("question", "speaker", "named"),
    [
        ("When will Sam come?", "Sam", True),
        ("Is it the same?", "Sam", False),
        ("What is Sams plan?", "Sam", True),
        ("What did Sam's boss say?", "sam", True),
        ("지훈이는 뭐래?", "지훈", True),
        ("이지훈은 뭐래?", "지훈", False),
    ],
)
def test_a_name_is_not_the_beginning_of_an_english_word(question: str, speaker: str, named: bool) -> None:
    assert _names(question, speaker) is named


def test_a_name_of_one_letter_is_no_name(home: Home) -> None:
    """Transcripts call people "나", which stands in 나무 and 나라 too."""
    home.remember(
        "day0310/a.jsonl",
        line("정원에 그늘이 없다.", speaker="나", conversation="c1")
        + line("정원에 나무를 심었다.", speaker="수민", conversation="c2"),
    )
    assert _choices(home, "나무는 정원 어디에?")[0] == "정원에 나무를 심었다."


def test_a_rare_word_says_more_than_many_common_ones(home: Home) -> None:
    common = [f"리팩토링 도구 시작 {number}단계." for number in range(8)]
    home.remember("day0310/a.md", "\n".join([*common, "미리보기만 하고 바꾸지 않는 모드도 있다."]))
    assert _choices(home, "리팩토링 도구 미리보기?")[0] == "미리보기만 하고 바꾸지 않는 모드도 있다."


def test_a_question_for_a_reason_prefers_what_gives_one(home: Home) -> None:
    home.remember(
        "day0310/a.jsonl",
        line("이사는 다음 달이다.", conversation="c1") + line("이사는 월세 때문이다.", conversation="c2"),
    )
    assert _choices(home, "이사는 왜 해?")[0] == "이사는 월세 때문이다."
