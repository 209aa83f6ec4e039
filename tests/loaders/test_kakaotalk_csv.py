from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Source, Turn
from loaders.kakaotalk_csv import KakaoTalkCsvLoader

HEADER = "Date,User,Message\n"


def _source(text: str) -> Source:
    return Source(name="day0316/chat.csv", data=text.encode("utf-8", "replace"), text=text)


def _turns(text: str) -> tuple[Turn, ...]:
    source = _source(text)
    assert KakaoTalkCsvLoader().sniff(source)
    (conversation,) = KakaoTalkCsvLoader().load(source)
    assert conversation.id == "day0316/chat.csv"
    return conversation.turns


def _rows(text: str) -> list[tuple[str, str, str, str]]:
    return [
        ("" if turn.time is None else f"{turn.time:%m-%d %H:%M:%S}", turn.role.value, turn.speaker, turn.text)
        for turn in _turns(text)
    ]


def test_messages_of_many_lines_stand_in_quotes() -> None:
    text = (
        HEADER
        + '2024-03-15 21:04:00,"지훈","내일 ""그 역""에서,\n\n2024-03-15 20:00:00,""수민"",""이라고 복사했어"""\n'
        + "2024-03-15 21:05:09,수민,좋아\n"
        + '2024-03-15 21:06:00,"수민","수민님이 나갔습니다."\n'
        + '2024-03-15 21:07:00,"지훈","손님이 나갔습니다."\n'
        + '2024-03-15 21:08:00,"지훈","삭제된 메시지입니다."\n'
        + '2024-03-15 21:09:00,"지훈",""\n'
    )
    assert _rows(text) == [
        (
            "03-15 21:04:00",
            "user",
            "지훈",
            '내일 "그 역"에서,\n\n2024-03-15 20:00:00,"수민","이라고 복사했어"',
        ),
        ("03-15 21:05:09", "user", "수민", "좋아"),
        ("03-15 21:06:00", "system", "수민", "수민님이 나갔습니다."),
        ("03-15 21:07:00", "user", "지훈", "손님이 나갔습니다."),
        ("03-15 21:08:00", "system", "지훈", "삭제된 메시지입니다."),
        ("03-15 21:09:00", "user", "지훈", "[no text]"),
    ]


def test_a_stray_quote_does_not_swallow_the_rest() -> None:
    text = (
        HEADER
        + '2024-03-15 21:04:00,"지훈","열린 따옴표\n둘째 줄\n'
        + '2024-03-15 21:05:00,"수민","그 "역" 말이야"\n'
        + "2024-03-15 21:06:00,지훈,쉼표, 또 쉼표\n"
    )
    assert _rows(text) == [
        ("03-15 21:04:00", "user", "지훈", "열린 따옴표\n둘째 줄"),
        ("03-15 21:05:00", "user", "수민", '그 "역" 말이야'),
        ("03-15 21:06:00", "user", "지훈", "쉼표, 또 쉼표"),
    ]


def test_a_message_longer_than_the_parsers_limit_is_kept_whole() -> None:
    text = HEADER + f'2024-03-15 21:04:00,"지훈","{"아" * 200_000}"\n2024-03-15 21:05:00,"수민","응"\n'
    assert [len(turn.text) for turn in _turns(text)] == [200_000, 1]


def test_a_time_that_does_not_exist_costs_only_the_time() -> None:
    assert _rows(HEADER + "2024-02-31 21:04:00,지훈,응\n") == [("", "user", "지훈", "응")]


def test_a_table_without_rows_has_no_turns() -> None:
    assert _turns(HEADER) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Date,User,Message\nMonday,지훈,응\n",
        "Date,Amount\n2024-03-15,3\n",
        "날짜: Date,User,Message\n",
        "",
        "\n",
    ],
)
def test_other_tables_are_left_to_others(text: str) -> None:
    assert not KakaoTalkCsvLoader().sniff(_source(text))


@given(rest=st.text(alphabet='ab",\n 2024-03-15:', max_size=80))
def test_any_table_is_read(rest: str) -> None:
    source = _source(HEADER + rest)
    KakaoTalkCsvLoader().sniff(source)
    KakaoTalkCsvLoader().load(source)
