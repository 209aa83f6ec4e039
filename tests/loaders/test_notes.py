from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Conversation, Role, load


def _note(text: str) -> Conversation:
    loaded = load("day0315/일기.md", text.encode())
    assert loaded.format == "notes"
    (conversation,) = loaded.conversations
    return conversation


def _texts(text: str) -> list[str]:
    return [turn.text for turn in _note(text).turns]


def _days(text: str) -> list[str | None]:
    return [turn.time.date().isoformat() if turn.time else None for turn in _note(text).turns]


def test_every_section_is_a_turn_with_its_heading() -> None:
    note = _note("# 여행\n\n짐을 쌌다.\n\n## 바다\n파도가 높았다.\n\n조개를 주웠다.\n## 산\n안개.\n")
    assert (note.id, note.title) == ("day0315/일기.md", "여행")
    assert [turn.text for turn in note.turns] == [
        "# 여행\n\n짐을 쌌다.",
        "## 바다\n파도가 높았다.\n\n조개를 주웠다.",
        "## 산\n안개.",
    ]
    assert {(turn.role, turn.speaker) for turn in note.turns} == {(Role.USER, "note")}


def test_a_heading_with_nothing_under_it_goes_with_the_next() -> None:
    assert _texts("# 여행\n\n## 바다\n파도.\n## 끝") == ["# 여행\n\n## 바다\n파도.", "## 끝"]


def test_words_before_the_first_heading_are_kept() -> None:
    assert _texts("머리말.\n# 제목\n몸.") == ["머리말.", "# 제목\n몸."]


def test_a_comment_in_a_code_fence_is_no_heading() -> None:
    text = "# 설치\n```sh\n# 준비\nmake\n```\n끝."
    assert _texts(text) == [text]


def test_short_paragraphs_go_together_and_long_ones_apart() -> None:
    short, long = "짧은 글.", "긴 글. " * 200
    assert _texts(f"{short}\n\n\n{short}") == [f"{short}\n\n\n{short}"]
    assert _texts(f"{short}\n\n{long}\n\n{short}") == [short, long, short]


def test_a_date_that_opens_a_heading_is_the_sections() -> None:
    text = "# 일기\n시작.\n## 2026-03-15 비\n왔다.\n### 저녁\n갬.\n## 2026년 3월 16일\n해.\n## 뒤\n끝."
    assert _days(text) == [None, "2026-03-15", "2026-03-15", "2026-03-16", None]


def test_a_date_is_midnight_here() -> None:
    (turn,) = _note("# 2026. 3. 5.\n봄.").turns
    assert turn.time == datetime(2026, 3, 5).astimezone()


@pytest.mark.parametrize(
    "heading", ["# 12026-03-15", "# 2026-13-45", "# 만난 날 2026-03-15", "# 2026-03-155"]
)
def test_a_doubtful_date_is_none(heading: str) -> None:
    assert _days(f"{heading}\n글.") == [None]


@pytest.mark.parametrize("date", ["2026-03-15", '"2026-03-15"', "2026-03-15T09:00:00+09:00", "2026. 3. 15."])
def test_front_matter_dates_the_note_and_stays_in_it(date: str) -> None:
    text = f"---\ntitle: 봄\ndate: {date}\n---\n# 봄\n꽃."
    assert _texts(text) == [text]
    (turn,) = _note(text).turns
    assert turn.time is not None
    assert (turn.time.month, turn.time.day) == (3, 15)


def test_a_rule_at_the_top_is_no_front_matter() -> None:
    assert _days("---\ndate: 2026-03-15\n글이 이어진다.") == [None]


@given(
    st.lists(
        st.sampled_from(
            [
                "# 가",
                "## 2026-03-15",
                "---",
                "date: 2026-01-01",
                "```",
                "글.",
                "  들여 쓴 글",
                "",
                "글 " * 300,
            ]
        ),
        min_size=1,
        max_size=25,
    ).filter(lambda lines: any(map(str.strip, lines))),
)
def test_no_line_is_lost_or_moved(lines: list[str]) -> None:
    kept = "\n".join(_texts("\n".join(lines))).split("\n")
    assert [line for line in kept if line.strip()] == [line for line in lines if line.strip()]
