from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.korean import estimate_tokens
from memoryd.recall import weights
from tests.memoryd.parts import SHARED, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from memoryd.recall import Hit


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, max_tokens=60)
    yield home
    home.ledger.close()


def talk(*texts: str, hour: int = 9, minutes: int = 1, speakers: Sequence[str] = ("지훈", "에코")) -> str:
    """Turns by turns, so many minutes apart; every two of them are an exchange."""
    return "".join(
        line(
            text,
            id=f"t{number}",
            speaker=speakers[number % len(speakers)],
            time=f"2026-03-10T{hour + number * minutes // 60:02d}:{number * minutes % 60:02d}:00+09:00",
        )
        for number, text in enumerate(texts)
    )


CAT = (
    "회의가 세 시에 끝났어.",
    "그랬군요.",
    "우리 고양이 두부는 회색이야.",
    "귀엽네요.",
    "걔는 지붕에서 자.",
    "조심해야죠.",
)


def first(home: Home, query: str, k: int = 1) -> Hit:
    return home.recall.search(query, owners=SHARED, k=k).hits[0]


def turns(hit: Hit) -> list[str]:
    return [turn.id for turn in hit.passage.turns]


def test_a_hit_is_shown_with_what_was_said_before_and_after(home: Home) -> None:
    home.remember("day0310/cat.jsonl", talk(*CAT))
    hit = first(home, "회색 고양이 두부")
    assert turns(hit) == ["t0", "t1", "t2", "t3", "t4", "t5"]
    assert hit.passage.text.splitlines() == [
        f"{('지훈', '에코')[number % 2]}: {text}" for number, text in enumerate(CAT)
    ]
    assert len(hit.covers) == 3
    assert hit.passage.id == hit.covers[1]


def test_what_is_shown_with_one_hit_is_no_hit_of_its_own(home: Home) -> None:
    home.remember("day0310/cat.jsonl", talk(*CAT))
    assert len(home.recall.search("고양이 지붕", owners=SHARED, k=10).hits) == 1


def test_a_hit_stays_within_its_room_and_no_passage_is_cut(home: Home) -> None:
    texts = [f"{number}번 이야기: " + "두부는 마당에서 놀았다 " * 2 for number in range(24)]
    home.remember("day0310/long.jsonl", talk(*texts))
    found = home.recall.search("12번 이야기", owners=SHARED, k=20).hits
    assert all(estimate_tokens(hit.passage.text) <= weights.HIT_TOKENS + 20 for hit in found)
    shown = [turn for hit in found for turn in turns(hit)]
    assert len(shown) == len(set(shown)) == 24
    assert any(len(hit.covers) > 1 for hit in found)
    for hit in found:
        assert all(turn.text in hit.passage.text for turn in hit.passage.turns)


def test_what_was_said_hours_apart_is_another_talk(home: Home) -> None:
    home.remember("day0310/cat.jsonl", talk(*CAT, minutes=130, hour=1))
    assert turns(first(home, "회색 고양이 두부")) == ["t2", "t3"]


def test_another_conversation_is_never_shown_with_it(home: Home) -> None:
    home.remember("day0310/a.jsonl", talk(*CAT[:2]))
    home.remember("day0310/b.jsonl", talk(*CAT[2:4]))
    assert turns(first(home, "회색 고양이 두부")) == ["t0", "t1"]
    assert first(home, "회색 고양이 두부").passage.path == "day0310/b.jsonl"


def test_what_memoryd_itself_answered_is_not_shown_with_what_was_said(home: Home) -> None:
    asked = talk("두부는 어디에서 자?", "집에 있나?") + line(
        "지붕에서 잡니다.",
        role="assistant",
        speaker="에코",
        citations=["p_1"],
        time="2026-03-10T09:05:00+09:00",
    )
    home.remember("day0310/ask.jsonl", asked)
    hits = home.recall.search("두부 지붕", owners=SHARED, k=5).hits
    assert [len(hit.covers) for hit in hits] == [1, 1]


def test_an_edit_keeps_the_order_of_what_is_shown(home: Home) -> None:
    """A changed passage gets a new row, behind those that stayed."""
    home.remember("day0310/cat.jsonl", talk(*CAT))
    home.remember("day0310/cat.jsonl", talk(CAT[0], "아, 그랬군요.", *CAT[2:]))
    assert turns(first(home, "회색 고양이 두부")) == ["t0", "t1", "t2", "t3", "t4", "t5"]
