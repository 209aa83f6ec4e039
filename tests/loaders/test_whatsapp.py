from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Conversation, Source
from loaders.whatsapp import WhatsAppLoader

MARK = "\N{LEFT-TO-RIGHT MARK}"


def _source(text: str) -> Source:
    return Source(name="day0316/_chat.txt", data=text.encode("utf-8", "replace"), text=text)


def _conversation(text: str) -> Conversation:
    source = _source(text)
    assert WhatsAppLoader().sniff(source)
    (conversation,) = WhatsAppLoader().load(source)
    assert conversation.id == "day0316/_chat.txt"
    return conversation


def _rows(text: str) -> list[tuple[str, str, str, str]]:
    return [
        (
            "" if turn.time is None else f"{turn.time:%Y-%m-%d %H:%M:%S}",
            turn.role.value,
            turn.speaker,
            turn.text,
        )
        for turn in _conversation(text).turns
    ]


def _days(*dates: str) -> list[str]:
    return [row[0][:10] for row in _rows("".join(f"{day}, 21:04 - 지훈: 응\n" for day in dates))]


def test_ios_stamps_stand_in_brackets() -> None:
    text = (
        f"{MARK}[15/03/24, 21:04:05] 저녁 모임: {MARK}Messages and calls are end-to-end encrypted. No one outside "
        "of this chat can read them.\n"
        f"[15/03/24, 21:04:06] 저녁 모임: {MARK}지훈 created this group\n"
        "[15/03/24, 21:04:07] 지훈: 내일 볼까?\n"
        "시간: 여섯 시\n"
        "\n"
        "장소: 역 앞\n"
        f"{MARK}[15/03/24, 21:05:00] ~\u202f수민: {MARK}image omitted\n"
        f"[15/03/24, 21:05:01] +82 10-1234-5678: https://example.org/a: b\n"
        f"[15/03/24, 21:05:02] 수민: {MARK}This message was deleted.\n"
        f"[15/03/24, 21:05:03] 수민: {MARK}<attached: 00012-added.jpg>\n"
        f"[15/03/24, 21:05:04] 수민: {MARK}Voice call, {MARK}No answer\n"
        "[15/03/24, 21:05:05] 수민: Video call? I left it open\n"
        "[15/03/24, 21:05:06] 수민: \n"
    )
    notice = "Messages and calls are end-to-end encrypted. No one outside of this chat can read them."
    assert _rows(text) == [
        ("2024-03-15 21:04:05", "system", "저녁 모임", notice),
        ("2024-03-15 21:04:06", "system", "저녁 모임", "지훈 created this group"),
        ("2024-03-15 21:04:07", "user", "지훈", "내일 볼까?\n시간: 여섯 시\n\n장소: 역 앞"),
        ("2024-03-15 21:05:00", "user", "~\u202f수민", "image omitted"),
        ("2024-03-15 21:05:01", "user", "+82 10-1234-5678", "https://example.org/a: b"),
        ("2024-03-15 21:05:02", "system", "수민", "This message was deleted."),
        ("2024-03-15 21:05:03", "user", "수민", "<attached: 00012-added.jpg>"),
        ("2024-03-15 21:05:04", "system", "수민", f"Voice call, {MARK}No answer"),
        ("2024-03-15 21:05:05", "user", "수민", "Video call? I left it open"),
        ("2024-03-15 21:05:06", "user", "수민", "[no text]"),
    ]


def test_android_stamps_end_with_a_dash() -> None:
    text = (
        "3/15/24, 9:04\u202fPM - Messages and calls are end-to-end encrypted. Tap to learn more.\n"
        '3/15/24, 9:04\u202fPM - Jihun created group "Dinner"\n'
        '3/15/24, 9:04\u202fPM - Jihun changed the subject from "a: b" to "c: d"\n'
        "3/15/24, 9:05\u202fPM - Jihun: <Media omitted>\n"
        "3/16/24, 12:05\u202fAM - Anna :) Smith: <Media omitted>\n"
        "caption: mine\n"
        "3/16/24, 12:06\u202fAM - You deleted this message\n"
        "3/16/24, 12:07\u202fAM - Jihun:.\n"
        "3/16/24, 12:08\u202fAM - Sumin left\n"
    )
    assert [row[1:] for row in _rows(text)] == [
        ("system", "system", "Messages and calls are end-to-end encrypted. Tap to learn more."),
        ("system", "system", 'Jihun created group "Dinner"'),
        ("system", "system", 'Jihun changed the subject from "a: b" to "c: d"'),
        ("user", "Jihun", "<Media omitted>"),
        ("user", "Anna :) Smith", "<Media omitted>\ncaption: mine"),
        ("system", "system", "You deleted this message"),
        ("user", "Jihun", "."),
        ("system", "system", "Sumin left"),
    ]
    assert _rows(text)[4][0] == "2024-03-16 00:05:00"


@pytest.mark.parametrize(
    "stamp",
    [
        "[15/03/24, 21:04:00] ",
        "[15/03/24 21:04] ",
        "[15.03.24, 21:04:00] ",
        "[15.03.2024, 9:04:00\u202fPM] ",
        "[2024-03-15, 21:04:00] ",
        "[2024-03-15, 9:04:00 p.m.] ",
        "[2024. 3. 15. 오후 9:04:00] ",
        "[2024/3/15 21:04:00] ",
        "[21:04, 15/03/2024] ",
        "[9:04 PM, 3/15/2024] ",
        "15/03/2024, 21:04 - ",
        "15/03/2024 21:04 - ",
        "15/03/2024 à 21:04 - ",
        "15-03-24 21:04 - ",
        "15.3.2024 21.04 - ",
        "15/3/24, 9:04 p. m. - ",
        "3/15/24, 9:04 pm – ",
        "2024-03-15, 21:04 - ",
        "2024/03/15, 21:04 - ",
        "2024. 3. 15. 오후 9:04 - ",
        "24/3/15 PM 9:04 - ",
    ],
)
def test_every_way_to_write_a_stamp_is_read(stamp: str) -> None:
    assert _rows(f"{stamp}지훈: 응\n그래\n{stamp}수민: 좋아\n") == [
        ("2024-03-15 21:04:00", "user", "지훈", "응\n그래"),
        ("2024-03-15 21:04:00", "user", "수민", "좋아"),
    ]


def test_a_number_over_twelve_tells_the_day_from_the_month() -> None:
    assert _days("1/2/24", "1/13/24") == ["2024-01-02", "2024-01-13"]
    assert _days("1/2/24", "13/2/24") == ["2024-02-01", "2024-02-13"]


def test_dates_that_run_forward_tell_the_day_from_the_month() -> None:
    assert _days("11/1/24", "12/1/24", "1/2/24", "2/2/24") == [
        "2024-01-11",
        "2024-01-12",
        "2024-02-01",
        "2024-02-02",
    ]
    assert _days("1/11/24", "1/12/24", "2/1/24", "2/2/24") == [
        "2024-01-11",
        "2024-01-12",
        "2024-02-01",
        "2024-02-02",
    ]


def test_where_nothing_tells_the_day_is_taken_first_and_a_remark_says_so() -> None:
    (remark,) = _conversation("3/4/24, 21:04 - 지훈: 응\n").remarks
    assert "3/4" in remark
    assert _days("3/4/24") == ["2024-04-03"]
    assert _conversation("4/4/24, 21:04 - 지훈: 응\n").remarks == ()
    assert _conversation("14/4/24, 21:04 - 지훈: 응\n").remarks == ()


def test_two_digits_of_a_year_may_stand_first() -> None:
    text = "24/8/21 21:04 - 지훈: 응\n24/8/22 21:04 - 수민: 응\n24/9/1 21:04 - 수민: 응\n"
    assert [row[0][:10] for row in _rows(text)] == ["2024-08-21", "2024-08-22", "2024-09-01"]
    assert _days("21/8/24", "21/8/25") == ["2024-08-21", "2025-08-21"]


def test_a_day_that_does_not_exist_costs_only_the_time() -> None:
    assert [row[0][:10] for row in _rows("13/2/24, 21:04 - 지훈: 응\n31/2/24, 21:04 - 지훈: 응\n")] == [
        "2024-02-13",
        "",
    ]


def test_korean_notices_are_the_systems() -> None:
    text = (
        "2024. 3. 15. 오후 9:04 - 메시지와 통화는 종단간 암호화되어 안전하게 보호됩니다.\n"
        "2024. 3. 15. 오후 9:04 - 지훈님이 “저녁: 역 앞” 그룹을 만들었습니다\n"
        "2024. 3. 15. 오후 9:05 - 수민: 이 메시지는 삭제되었습니다\n"
        "2024. 3. 15. 오후 9:05 - 수민: <미디어 파일 제외됨>\n"
    )
    assert [row[1:3] for row in _rows(text)] == [
        ("system", "system"),
        ("system", "system"),
        ("system", "수민"),
        ("user", "수민"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[2024-03-15 21:04:05] ERROR: disk full\n[2024-03-15 21:04:06] INFO: retry\n",
        "[2024-03-15, 21:04] Me: Signal\n",
        "[2024-03-15 21:04:05] Me: Signal\n",
        "2024-03-15 21:04:05 - root: started\n",
        "15/03/2024, 21:04 - ERROR: disk full\n",
        "15/03/2024, 21:04 - went for a walk\n16/03/2024, 7:00 - got up\n",
        "15/03/2024\nI wrote: no more.\n",
        "notes\n[15/03/24, 21:04:05] 지훈: 응\n",
        "# 15/03/24\n\n- 21:04 - 지훈: 응\n",
        "[00:00:12] Anita: let's begin\n",
        "2024. 3. 15. 오후 9:04, 지훈 : 카카오톡\n",
        "지훈: 내일?\n수민: 응.\n",
        "15.03.2024 - 21:04 - x: y\n",
        '{"a": 1}',
        "",
    ],
)
def test_other_texts_are_left_to_others(text: str) -> None:
    assert not WhatsAppLoader().sniff(_source(text))


_PIECES = st.sampled_from(
    [
        "[15/03/24, 21:04:05] 지훈: 응",
        "[99/99/99, 99:99:99] 지훈: 응",
        f"{MARK}[0/0/0, 0:00] :",
        "15/03/24, 21:04 - 지훈 left",
        "9999. 99. 99. 오후 9:04 - : ",
        "1/1/9999, 23:59 - a: b",
        "",
    ]
)


@given(lines=st.lists(_PIECES | st.text(max_size=12), max_size=12))
def test_any_text_is_read(lines: list[str]) -> None:
    source = _source("\n".join(lines))
    WhatsAppLoader().sniff(source)
    (conversation,) = WhatsAppLoader().load(source)
    assert all(turn.text.strip() for turn in conversation.turns)


def test_long_lines_cost_no_time() -> None:
    for piece in ("a", ": ", "[", "1/", "left ", "님이 ", "암호화", "call ", MARK, " "):
        for opening in ("", f"[15/03/24, 21:04:05] 지훈: {MARK}", "15/03/24, 21:04 - "):
            source = _source("[15/03/24, 21:04:05] 지훈: 응\n" + opening + piece * 100_000)
            WhatsAppLoader().sniff(source)
            WhatsAppLoader().load(source)
