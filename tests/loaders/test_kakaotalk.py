from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Conversation, Role, Source, Turn
from loaders.kakaotalk import KakaoTalkLoader, is_notice, is_unsaid

ANDROID = """\
저녁 모임 님과 카카오톡 대화
저장한 날짜 : 2024년 3월 16일 오전 8:00


2024년 3월 15일 오후 9:04
2024년 3월 15일 오후 9:04, 지훈 : 내일 볼까?
시간 : 여섯 시

장소 : 역 앞
2024년 3월 15일 오후 9:05, 지훈님이 수민님을 초대했습니다.
2024년 3월 15일 오후 9:06, 수민 : 사진 3장
2024년 3월 16일 오전 12:10
2024년 3월 16일 오전 12:10, 수민 : 삭제된 메시지입니다.
2024년 3월 16일 오전 12:11, 지훈 : 이모티콘
"""

WINDOWS = """\
저녁 모임 님과 카카오톡 대화
저장한 날짜 : 2024-03-16 08:00:00

--------------- 2024년 3월 15일 금요일 ---------------
지훈님이 수민님과 [영업] 민지님을 초대하였습니다.
[지훈] [오전 12:04] 자?
안 자면
답해 줘
[[영업] 민지] [오전 12:05] 파일: 보고서 [초안].pdf
수민님이 나갔습니다.

--------------- 2024년 3월 16일 토요일 ---------------
[지훈] [오후 1:00] 어제 얘기인데
손님이 나갔습니다.
[[영업] 민지] [오후 1:01] 그리고
수민님이 나갔습니다.
라고 떴어
"""


def _source(text: str, name: str = "day0316/chat.txt") -> Source:
    return Source(name=name, data=text.encode("utf-8", "replace"), text=text)


def _conversation(text: str) -> Conversation:
    source = _source(text)
    assert KakaoTalkLoader().sniff(source)
    (conversation,) = KakaoTalkLoader().load(source)
    return conversation


def _row(turn: Turn) -> tuple[str, str, str, str]:
    time = "" if turn.time is None else f"{turn.time:%m-%d %H:%M}"
    return time, turn.role.value, turn.speaker, turn.text


def _rows(text: str) -> list[tuple[str, str, str, str]]:
    return [_row(turn) for turn in _conversation(text).turns]


def test_android_messages_keep_their_lines_and_notices_are_the_systems() -> None:
    conversation = _conversation(ANDROID)
    assert (conversation.id, conversation.title) == ("day0316/chat.txt", "저녁 모임")
    assert [_row(turn) for turn in conversation.turns] == [
        ("03-15 21:04", "user", "지훈", "내일 볼까?\n시간 : 여섯 시\n\n장소 : 역 앞"),
        ("03-15 21:05", "system", "system", "지훈님이 수민님을 초대했습니다."),
        ("03-15 21:06", "user", "수민", "사진 3장"),
        ("03-16 00:10", "system", "수민", "삭제된 메시지입니다."),
        ("03-16 00:11", "user", "지훈", "이모티콘"),
    ]


def test_windows_notices_stand_between_messages_and_not_within() -> None:
    assert _rows(WINDOWS) == [
        ("", "system", "system", "지훈님이 수민님과 [영업] 민지님을 초대하였습니다."),
        ("03-15 00:04", "user", "지훈", "자?\n안 자면\n답해 줘"),
        ("03-15 00:05", "user", "[영업] 민지", "파일: 보고서 [초안].pdf"),
        ("03-15 00:05", "system", "system", "수민님이 나갔습니다."),
        ("03-16 13:00", "user", "지훈", "어제 얘기인데\n손님이 나갔습니다."),
        ("03-16 13:01", "user", "[영업] 민지", "그리고\n수민님이 나갔습니다.\n라고 떴어"),
    ]


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("March 15, 2024 at 9:04 PM", "03-15 21:04"),
        ("March 15, 2024 at 9:04\u202fPM", "03-15 21:04"),
        ("Mar 15, 2024, 9:04 PM", "03-15 21:04"),
        ("Mar 15, 2024 at 21:04", "03-15 21:04"),
        ("15 March 2024 at 21:04", "03-15 21:04"),
        ("December 9, 2024, 12:05 a.m.", "12-09 00:05"),
        ("2024년 3월 15일 21:04", "03-15 21:04"),
        ("2024. 3. 15. 오후 9:04", "03-15 21:04"),
        ("2024.3.15. 21:04", "03-15 21:04"),
    ],
)
def test_every_way_to_write_a_stamp_is_read(stamp: str, time: str) -> None:
    assert _rows(f"{stamp}, Jihun : Photo\nand : more\n{stamp}, Sumin : 오후 3:00, 회의 : 2층\n") == [
        (time, "user", "Jihun", "Photo\nand : more"),
        (time, "user", "Sumin", "오후 3:00, 회의 : 2층"),
    ]


def test_ios_takes_the_day_from_the_line_above() -> None:
    text = """\
지훈 님과 카카오톡 대화
저장한 날짜 : 2021년 12월 30일 오후 7:17


2021년 12월 29일 수요일
오전 12:05,  : 시스템 알림
오후 8:36, 지훈 : ㅎㅇ
2021년 12월 29일 수요일
에 보기로 했지
오후 8:38, 수민님이 나갔습니다.
2021년 12월 30일 목요일
오전 9:00, 지훈 : Day 1 : https://example.org/
"""
    assert _rows(text) == [
        ("12-29 00:05", "system", "system", "시스템 알림"),
        ("12-29 20:36", "user", "지훈", "ㅎㅇ\n2021년 12월 29일 수요일\n에 보기로 했지"),
        ("12-29 20:38", "system", "system", "수민님이 나갔습니다."),
        ("12-30 09:00", "user", "지훈", "Day 1 : https://example.org/"),
    ]


def test_ios_notices_follow_a_colon() -> None:
    text = """\
\ufeffTalk_2024.3.16 08:00-1.txt
Date Saved : Mar 16, 2024 at 08:00

Friday, March 15, 2024
Mar 15, 2024 at 19:12: Jihun invited Sumin .
Mar 15, 2024 at 19:13, Sumin : hello
2024년 3월 20일 수요일

Saturday, March 16, 2024
Mar 16, 2024 at 21:01: Sumin left this chatroom.
"""
    assert _rows(text) == [
        ("03-15 19:12", "system", "system", "Jihun invited Sumin ."),
        ("03-15 19:13", "user", "Sumin", "hello\n2024년 3월 20일 수요일"),
        ("03-16 21:01", "system", "system", "Sumin left this chatroom."),
    ]


def test_windows_in_english() -> None:
    text = """\
Dinner with KakaoTalk Chats
Date Saved: 2024-03-16 08:00:00

--------------- Friday, March 15, 2024 ---------------
[Jihun] [1:01 AM] Mom left.
[Sumin] [1:02 PM] Voice Call 3:12
Sumin left.
[Jihun] [13:05] Emoticons
[] [1:06 PM] a notice
"""
    assert _conversation(text).title == "Dinner"
    assert _rows(text) == [
        ("03-15 01:01", "user", "Jihun", "Mom left."),
        ("03-15 13:02", "system", "Sumin", "Voice Call 3:12"),
        ("03-15 13:02", "system", "system", "Sumin left."),
        ("03-15 13:05", "user", "Jihun", "Emoticons"),
        ("03-15 13:06", "system", "system", "a notice"),
    ]


def test_messages_copied_from_the_windows_app_have_no_day() -> None:
    assert _rows("[지훈] [오후 3:20] 안녕\n[수민] [오후 3:21] 응\n") == [
        ("", "user", "지훈", "안녕"),
        ("", "user", "수민", "응"),
    ]


def test_what_stands_above_the_first_message_is_kept() -> None:
    text = "방 카카오톡 대화\n저장한 날짜 : 2024. 3. 16.\n모르는 줄\n\n2024. 3. 15. 오후 9:04, 지훈 : 응\n"
    assert _rows(text) == [("", "system", "system", "모르는 줄"), ("03-15 21:04", "user", "지훈", "응")]


def test_a_day_that_does_not_exist_costs_only_the_time() -> None:
    text = """\
2024년 2월 31일 오후 9:04, 지훈 : 하나
Foo 3, 2024 at 9:04 PM, 수민 : 둘
2024년 3월 1일 오후 9:04, 수민 :
"""
    assert _rows(text) == [
        ("", "user", "지훈", "하나"),
        ("", "user", "수민", "둘"),
        ("03-01 21:04", "user", "수민", "[no text]"),
    ]


def test_a_chat_in_which_nothing_was_said_has_no_turns() -> None:
    assert _conversation("방 님과 카카오톡 대화\n저장한 날짜 : 2024-03-16 08:00:00\n").turns == ()


@pytest.mark.parametrize(
    "text",
    [
        "2024년 3월 15일 금요일\n비가 왔다.\n\n2024년 3월 16일 토요일\n개었다.\n",
        "2024년 3월 15일 오후 9:04\n오늘은 일찍 잔다.\n",
        "# 2024년 3월 15일\n오후 8:36, 카페 : 커피\n",
        "2024년 3월 15일 금요일\n오후 8:36, 카페 : 커피\n좋은 하루였다.\n길게 걸었다.\n",
        "[2024-03-15 21:04:05] ERROR: 없다\n",
        "[main] [09:15] started\n[main] [09:16] stopped\n",
        "지훈: 내일?\n수민: 응.\n지훈: 몇 시?\n수민: 여섯 시.\n",
        "카카오톡 대화\n저장한 날짜 : 내일 적기\n",
        "2024. 3. 15. 오후 9:04 - 지훈: 왓츠앱\n",
        "[2024. 3. 15. 오후 9:04:05] 지훈: 왓츠앱\n",
        '{"date": "2024년 3월 15일 오후 9:04, 지훈 : 응"}',
        "나의 말:\n2024년 3월 15일 오후 9:04, 지훈 : 응\n",
        "\n",
        "",
    ],
)
def test_other_texts_are_left_to_others(text: str) -> None:
    assert not KakaoTalkLoader().sniff(_source(text))


@pytest.mark.parametrize(
    ("line", "notice"),
    [
        ("수민님이 들어왔습니다.", True),
        ("앨리스님이 들어왔습니다.운영정책을 위반한 메시지로 신고 접수 시 제한이 있을 수 있습니다.", True),
        ("수민님을 내보냈습니다.", True),
        ("채팅방 관리자가 메시지를 가렸습니다.", True),
        ("Sumin joined this chatroom.", True),
        ("지훈 invited Sumin and Minji.", True),
        ("손님이 들어왔습니다.", False),
        ("오늘은 선생님을 초대했습니다.", False),
        ("수민님이 들어왔습니다만 바로 나갔어요", False),
        ("Mom left.", False),
        ("Mom invited me.", False),
    ],
)
def test_a_notice_is_known_by_its_wording(line: str, notice: bool) -> None:
    assert is_notice(line, {"지훈"}) is notice


@pytest.mark.parametrize(
    ("text", "unsaid"), [("보이스톡 해요", True), ("보이스톡 3:12", True), ("보이스톡 할까?", False)]
)
def test_a_call_is_not_said(text: str, unsaid: bool) -> None:
    assert is_unsaid(text) is unsaid


_PIECES = st.sampled_from(
    [
        *ANDROID.split("\n"),
        *WINDOWS.split("\n"),
        "오후 8:36, 지훈 : ㅎㅇ",
        "2024년 3월 15일 금요일",
        "2024. 3. 15. 오후 9:04: 수민님이 나갔습니다.",
        "[] [99:99] ",
        "9999년 99월 99일 오후 99:99,  : ",
    ]
)


@given(lines=st.lists(_PIECES | st.text(max_size=12), max_size=12))
def test_any_text_is_read(lines: list[str]) -> None:
    loader = KakaoTalkLoader()
    source = _source("\n".join(lines))
    loader.sniff(source)
    (conversation,) = loader.load(source)
    assert all(turn.role in {Role.USER, Role.SYSTEM} and turn.text.strip() for turn in conversation.turns)


def test_long_lines_cost_no_time() -> None:
    for piece in ("님이 ", "[", "] [", "a : ", "님을 초대", "-", "2024년 ", " with KakaoTalk Chats", "9:"):
        source = _source("저장한 날짜 : 1\n[지훈] [오후 1:00] 응\n" + piece * 100_000)
        KakaoTalkLoader().sniff(source)
        KakaoTalkLoader().load(source)
    KakaoTalkLoader().load(_source("[지훈] [오후 1:00] 응\n" + "수민님이 나갔습니다.\n" * 50_000))
