from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.gist import make_gist
from memoryd.life import POOL, Life, choose
from memoryd.statements import Kind
from tests.memoryd.parts import GistsAtHand, turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from memoryd.ledger import TurnRow


def _life(
    turns: Sequence[TurnRow], *, near: Sequence[Sequence[str]] = (), files: int = 1, owner: str = ""
) -> Life:
    """A life whose statements are on one matter where `near` names words of theirs together."""
    parts: dict[str, list[TurnRow]] = {}
    for number, each in enumerate(turns):
        parts.setdefault(f"day/{number % files:04d}.jsonl", []).append(each)
    matters = {word: number for number, group in enumerate(near) for word in group}

    def vectors(ids: Sequence[str]) -> NDArray[np.float32]:
        made = np.zeros((len(ids), len(near) + len(ids)), np.float32)
        for row, text in enumerate(ids):
            matter = next((number for word, number in matters.items() if word in text), None)
            made[row, len(near) + row if matter is None else matter] = 1
        return made

    gists = {path: make_gist(each, lambda said: said.text) for path, each in parts.items()}
    return Life(GistsAtHand(gists, owner), vectors, origin="jihun")


def _texts(life: Life) -> list[str]:
    return [kept.statement.text for kept in life.pool()]


def test_a_newer_statement_that_changes_a_matter_replaces_the_older() -> None:
    life = _life(
        [
            turn("치과 예약은 화요일 세 시로 잡았어.", day=10, conversation="a"),
            turn("화분에 물을 줬어.", day=11, conversation="b"),
            turn("치과 예약이 금요일로 바뀌었어.", day=12, conversation="c"),
        ],
        near=[["치과"]],
    )
    assert _texts(life) == ["화분에 물을 줬어.", "치과 예약이 금요일로 바뀌었어."]


def test_another_value_of_the_same_unit_replaces_the_older() -> None:
    life = _life(
        [
            turn("보리 몸무게는 4.2킬로야 지금", day=10, conversation="a"),
            turn("보리가 4.9킬로까지 쪘어 이제야", day=20, conversation="b"),
        ],
        near=[["보리"]],
    )
    assert _texts(life) == ["보리가 4.9킬로까지 쪘어 이제야"]


def test_what_is_done_takes_the_promise_away() -> None:
    life = _life(
        [
            turn("계약서 초안은 내가 보내줄게.", day=10, conversation="a"),
            turn("계약서 초안 아까 보냈어.", day=12, conversation="b"),
        ],
        near=[["계약서"]],
    )
    assert _texts(life) == ["계약서 초안 아까 보냈어."]


def test_rules_and_what_is_to_be_kept_stand_whatever_comes_later() -> None:
    life = _life(
        [
            turn("절대 새벽에 알림 보내지 마.", day=10, conversation="a", speaker="jihun"),
            turn("알림 시간이 아홉 시로 바뀌었어.", day=12, conversation="b"),
        ],
        near=[["알림"]],
    )
    assert "절대 새벽에 알림 보내지 마." in _texts(life)


def test_the_same_words_said_on_another_matter_replace_nothing() -> None:
    life = _life(
        [
            turn("치과 예약은 화요일 세 시로 잡았어.", day=10, conversation="a"),
            turn("미용실 예약이 금요일로 바뀌었어.", day=12, conversation="b"),
        ]
    )
    assert len(_texts(life)) == 2


def test_rules_are_the_origins_and_what_others_lay_down_is_a_request() -> None:
    turns = [
        turn("앞으로는 반드시 불을 끄고 나가.", speaker=who, conversation="a")
        for who in ("Jihun", "수민", "나")
    ]
    life = _life(turns)
    kinds = {kept.statement.speaker: kept.kind for kept in life.pool()}
    assert kinds == {"Jihun": Kind.RULE, "수민": Kind.REQUEST, "나": Kind.RULE}


def test_who_is_alone_with_the_being_is_the_origin_only_in_a_file_of_their_own() -> None:
    turns = [turn("앞으로는 반드시 불을 끄고 나가.", speaker="지훈")]
    assert [kept.kind for kept in _life(turns).pool()] == [Kind.REQUEST]
    assert [kept.kind for kept in _life(turns, owner="jihun").pool()] == [Kind.RULE]


def test_what_somebody_says_again_word_for_word_stands_once() -> None:
    turns = [
        turn("고수는 진짜 싫어해.", day=day, speaker=who, conversation=f"{day}{who}")
        for day in (10, 20)
        for who in ("지훈", "수민")
    ]
    turns += [turn(f"{what}을 지하철에 두고 내렸다.", conversation=what) for what in "산책수건반죽연필둥지"]
    said = [kept.statement for kept in _life(turns).pool() if "고수" in kept.statement.text]
    assert [(each.day, each.speaker) for each in said] == [
        ("2026-03-20", "수민"),
        ("2026-03-20", "지훈"),
    ]


def test_the_origins_words_weigh_more_and_so_do_recent_days() -> None:
    turns = [
        turn("현미차를 끓여 마셨어 둘이서.", speaker="jihun", day=10, conversation="a"),
        turn("보리차를 끓여 마셨어 둘이서.", speaker="수민", day=10, conversation="a"),
        turn("우롱차를 끓여 마셨어 둘이서.", speaker="수민", day=20, conversation="b"),
        turn("홍차랑 쿠키를 먹었어.", speaker="jihun", day=20, conversation="b"),
    ]
    weight = {kept.statement.text[:2]: kept.weight for kept in _life(turns).pool()}
    assert weight["현미"] > weight["보리"] < weight["우롱"]


def test_topics_are_what_many_conversations_speak_of() -> None:
    places = ("창가", "마루", "상자", "부엌")
    turns = [
        turn(f"보리가 {where}에서 잤다.", day=day, conversation=where) for day, where in enumerate(places, 1)
    ]
    turns += [turn(f"{what} 이야기를 했다.", conversation=what) for what in "가나다라마바사아자차"]
    life = _life(turns)
    (topic,) = [each for each in life.topics(life.pool()) if each.name == "보리"]
    assert (topic.conversations, topic.last.statement.text) == (4, "보리가 부엌에서 잤다.")


def test_the_pool_is_bounded_and_the_same_however_the_files_are_read() -> None:
    turns = [
        turn(
            f"뜰에 {chr(0xAC00 + number)}{chr(0xB098 + number)}나무를 심었다.",
            day=1 + number % 28,
            conversation=str(number),
        )
        for number in range(POOL + 300)
    ]
    life = _life(turns, files=37)
    pool = life.pool()
    assert 0 < len(pool) <= POOL
    assert [kept.order for kept in pool] == sorted(kept.order for kept in pool)
    assert pool == _life(turns, files=37).pool()
    assert life.turns == len(turns)


def test_choosing_stays_within_its_room_and_covers_what_recurs() -> None:
    turns = [turn(f"첼로 연습 {number}번째 곡을 배웠다.", conversation=str(number)) for number in range(9)]
    turns += [turn(f"{what}을 지하철에 두고 내렸다.", conversation=what) for what in "산책수건반죽연필둥지"]
    life = _life(turns)
    pool = life.pool()
    chosen = list(choose(life, pool, 3, lambda _: 1))
    assert len(chosen) == 3
    assert "첼로" in chosen[0].statement.text
    assert list(choose(life, pool, 0, lambda _: 1)) == []


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (("내 생일은 3월 4일이야.", "지훈"), ("내 생일은 9월 21일로 바뀌었어.", "소라")),
        (("몸무게는 70킬로쯤 나가.", "지훈"), ("몸무게는 82킬로쯤 나가.", "민수")),
        (("첫째 키가 120센티야.", "지훈"), ("둘째 키는 95센티야.", "지훈")),
    ],
)
def test_another_persons_words_and_another_subjects_amount_replace_nothing(
    older: tuple[str, str], newer: tuple[str, str]
) -> None:
    turns = [
        turn(older[0], day=10, speaker=older[1], conversation="a"),
        turn(newer[0], day=20, speaker=newer[1], conversation="b"),
    ]
    assert len(_texts(_life(turns, near=[["생일", "몸무게", "키"]]))) == 2
