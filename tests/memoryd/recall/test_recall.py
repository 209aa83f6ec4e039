from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from memoryd.passages import Kind
from memoryd.recall import Filter, weights
from tests.memoryd.parts import SHARED, WORDS, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.korean import Words

CAT = "두부는 지붕 위에서 잠을 자는 회색 고양이야."
SWIM = "수영장은 화요일 저녁에 열고 물이 차가웠어."
BREAD = "빵 반죽은 스무 시간 동안 냉장고에서 발효했어."


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.ledger.close()


@pytest.fixture
def filled(home: Home) -> Home:
    """Three conversations of three days, in ledger and index."""
    home.remember("day0310/cat.jsonl", line(CAT, speaker="지훈", time="2026-03-10T21:00:00+09:00"))
    home.remember("day0311/swim.jsonl", line(SWIM, speaker="수민", time="2026-03-11T21:00:00+09:00"))
    home.remember("day0312/bread.jsonl", line(BREAD, speaker="지훈", time="2026-03-12T21:00:00+09:00"))
    home.feed()
    return home


# Search.


@pytest.mark.parametrize(
    ("question", "said"),
    [("고양이 이름이 두부야?", CAT), ("수영장이 언제 열어?", SWIM), ("빵을 얼마나 발효했지?", BREAD)],
)
def test_the_passage_that_answers_comes_first(filled: Home, question: str, said: str) -> None:
    found = filled.recall.search(question, owners=SHARED, k=3)
    assert said in found.hits[0].passage.text
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    assert found.degraded is None


def test_a_hit_names_its_file_day_turns_and_speaker(filled: Home) -> None:
    (hit,) = filled.recall.search("회색 고양이", owners=SHARED, k=1).hits
    assert (hit.passage.path, hit.passage.day) == ("day0310/cat.jsonl", "day0310")
    assert [(each.index, each.speaker) for each in hit.passage.turns] == [(0, "지훈")]


def test_no_more_than_k_hits_come(filled: Home) -> None:
    assert len(filled.recall.search("고양이 수영장 빵", owners=SHARED, k=2).hits) == 2


def test_words_are_looked_for_while_the_question_is_embedded(
    filled: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, looked_for = WORDS.words, threading.Event()
    embed = filled.embedder.embed_query

    def noted(text: str) -> Words:
        looked_for.set()
        return split(text)

    def held(text: str) -> NDArray[np.float32]:
        assert looked_for.wait(20)
        return embed(text)

    monkeypatch.setattr(WORDS, "words", noted)
    monkeypatch.setattr(filled.embedder, "embed_query", held)
    assert filled.recall.search("고양이 두부", owners=SHARED, k=1).hits[0].passage.path == "day0310/cat.jsonl"


def test_an_empty_memory_finds_nothing(home: Home) -> None:
    assert home.recall.search("고양이", owners=SHARED, k=5).hits == ()


@pytest.mark.parametrize("query", ["", "?!", '" OR 1', "NEAR(a b)", "고양이 AND * 두부"])
def test_any_query_can_be_searched(filled: Home, query: str) -> None:
    assert len(filled.recall.search(query, owners=SHARED, k=5).hits) == 3


def test_the_same_words_come_once(home: Home) -> None:
    for day in ("day0310", "day0311", "day0312"):
        home.remember(f"{day}/cat.jsonl", line(CAT, speaker="지훈"))
    home.remember("day0313/swim.jsonl", line(SWIM))
    found = home.find("두부", k=2)
    assert found[0] == f"지훈: {CAT}"
    assert SWIM in found[1]


def test_since_and_until_filter_by_event_time(filled: Home) -> None:
    def days(since: datetime | None, until: datetime | None) -> set[str]:
        only = Filter(since=since, until=until)
        found = filled.recall.search("고양이 수영 빵", owners=SHARED, k=5, only=only)
        return {hit.passage.day for hit in found.hits}

    eleventh = datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert days(eleventh, None) == {"day0311", "day0312"}
    assert days(None, eleventh) == {"day0310", "day0311"}
    assert days(datetime(2026, 3, 11, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC)) == {"day0311"}


def test_a_speaker_filters_whatever_the_case(home: Home) -> None:
    home.remember("day0310/a.jsonl", line("The cat sleeps.", speaker="Jihun"))
    home.remember("day0311/b.jsonl", line("The cat eats.", speaker="Sumin"))
    found = home.recall.search("cat", owners=SHARED, k=5, only=Filter(speaker="jihun"))
    assert [hit.passage.day for hit in found.hits] == ["day0310"]


def test_a_filter_reaches_below_the_usual_candidates(home: Home) -> None:
    lines = [line(f"고양이 이야기 {n}.", conversation=f"c{n}", speaker="지훈") for n in range(60)]
    home.remember("day0310/a.jsonl", "".join(lines))
    home.remember("day0311/b.jsonl", line("오늘은 바빴어.", speaker="수민"))
    found = home.recall.search("고양이 이야기", owners=SHARED, k=1, only=Filter(speaker="수민"))
    assert [hit.passage.day for hit in found.hits] == ["day0311"]


def test_a_broken_index_is_told_and_the_hits_stay_the_same(filled: Home) -> None:
    whole = filled.recall.search("고양이 이름이 두부야?", owners=SHARED, k=3)
    filled.index.broken = True
    degraded = filled.recall.search("고양이 이름이 두부야?", owners=SHARED, k=3)
    assert "fake index is broken" in (degraded.degraded or "")
    assert [hit.passage for hit in degraded.hits] == [hit.passage for hit in whole.hits]


def test_an_index_that_is_being_made_anew_is_not_asked(filled: Home) -> None:
    whole = filled.recall.search("고양이", owners=SHARED, k=3)
    filled.index.vectors.clear()
    filled.degraded = "the vector index is being made anew"
    degraded = filled.recall.search("고양이", owners=SHARED, k=3)
    assert degraded.degraded == "the vector index is being made anew"
    assert [hit.passage for hit in degraded.hits] == [hit.passage for hit in whole.hits]


def test_what_the_index_has_not_taken_yet_is_found_at_once(filled: Home) -> None:
    filled.remember("day0313/new.jsonl", line("첼로 연습을 매일 했어.", speaker="지훈"))
    assert filled.ledger.outbox.count() == 1
    found = filled.recall.search("첼로 연습", owners=SHARED, k=1)
    assert found.degraded is None
    assert found.hits[0].passage.day == "day0313"


def test_what_the_index_still_has_of_a_deleted_file_is_not_found(filled: Home) -> None:
    (filled.root / "day0310/cat.jsonl").unlink()
    filled.read("day0310/cat.jsonl")
    assert all(CAT not in text for text in filled.find("두부 고양이"))


def test_owners_stay_apart(home: Home) -> None:
    home.remember("day0310/jihun/secret.txt", "두부에게 비밀 간식을 줬어.")
    home.remember("day0310/cat.txt", CAT)
    home.feed()
    for broken in (False, True):
        home.index.broken = broken
        shared = home.recall.search("두부 비밀", owners=SHARED, k=5).hits
        own = home.recall.search("두부 비밀", owners=("", "jihun"), k=5).hits
        assert [hit.passage.owner for hit in shared] == [""]
        assert {hit.passage.owner for hit in own} == {"", "jihun"}


# Memories for a prompt.


def _reply(text: str, *citations: str) -> str:
    return line(text, role="assistant", speaker="에코", citations=list(citations))


def _ids(home: Home) -> dict[str, str]:
    """Day → passage id, of the person's words."""
    found = home.recall.search("두부", owners=SHARED, k=50).hits
    return {hit.passage.day: hit.passage.id for hit in found if hit.passage.kind == Kind.SAID}


def test_an_earlier_asking_of_the_question_is_no_memory(home: Home) -> None:
    home.remember("day0310/cat.jsonl", line(CAT, speaker="지훈"))
    home.remember("day0311/ask.jsonl", line("두부는 어디에서 자?", speaker="지훈"))
    found = home.recall.memories("두부는 어디에서 자?", owners=SHARED, count=5)
    assert [hit.passage.day for hit in found.hits] == ["day0310"]


def test_a_question_with_its_answer_is_a_memory(home: Home) -> None:
    talk = line("두부는 어디에서 자?", speaker="지훈") + line("지붕 위에서 자.", speaker="수민")
    home.remember("day0311/talk.jsonl", talk)
    found = home.recall.memories("두부는 어디에서 자?", owners=SHARED, count=5)
    assert [hit.passage.day for hit in found.hits] == ["day0311"]


def test_a_reply_beside_its_sources_is_left_out(home: Home) -> None:
    home.remember("day0310/cat.jsonl", line(CAT, speaker="지훈"))
    source = _ids(home)["day0310"]
    home.remember("day0311/reply.jsonl", _reply("두부는 지붕 위에서 자.", source))
    found = home.recall.memories("두부는 어디에서 자?", owners=SHARED, count=5)
    assert [hit.passage.kind for hit in found.hits] == [Kind.SAID]
    # A plain search, which repeats nothing to a model, still shows it.
    assert len(home.recall.search("두부", owners=SHARED, k=5).hits) == 2


def test_a_reply_whose_sources_are_far_is_a_memory(home: Home) -> None:
    home.remember("day0310/cat.jsonl", line(CAT, speaker="지훈"))
    home.remember("day0311/reply.jsonl", _reply("두부는 지붕 위에서 자.", "p_of_long_ago"))
    found = home.recall.memories("두부는 어디에서 자?", owners=SHARED, count=5)
    assert {hit.passage.kind for hit in found.hits} == {Kind.SAID, Kind.REPLY}


def test_no_more_memories_come_than_asked_for(filled: Home) -> None:
    assert len(filled.recall.memories("고양이 수영장 빵", owners=SHARED, count=2).hits) == 2


def test_memories_say_when_the_index_is_broken(filled: Home) -> None:
    filled.index.broken = True
    assert filled.recall.memories("고양이", owners=SHARED, count=2).degraded


# Times.


def test_what_was_said_on_a_day_of_a_long_chat_is_found(home: Home) -> None:
    lines = [
        line(
            f"{n}번째 이야기.",
            speaker=("지훈", "수민")[n % 2],
            time=f"2026-03-{1 + n // 20:02d}T09:{n % 20:02d}:00+09:00",
        )
        for n in range(60)
    ]
    home.remember("day0301/chat.jsonl", "".join(lines))
    now = datetime(2026, 3, 10, 9, tzinfo=UTC)
    found = home.recall.search("지난주 화요일에 어땠지?", owners=SHARED, k=3, now=now)
    assert found.dates == ("지난주 화요일",)
    assert found.hits[0].passage.time.day == 3


def test_a_speaker_and_a_time_filter_together(filled: Home) -> None:
    only = Filter(since=datetime(2026, 3, 11, tzinfo=UTC), speaker="지훈")
    found = filled.recall.search("고양이 수영 빵", owners=SHARED, k=5, only=only)
    assert [hit.passage.day for hit in found.hits] == ["day0312"]


def test_a_pasted_log_names_few_times(filled: Home) -> None:
    query = " ".join(f"3월 {day}일" for day in range(1, 29))
    found = filled.recall.search(query, owners=SHARED, k=3)
    assert len(found.dates) == weights.MOST_TIMES
