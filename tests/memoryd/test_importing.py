from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders import Conversation, Loaded, Role, Turn, load
from loaders.assemble import Utterance, assemble
from memoryd.day_files import DayFiles
from memoryd.errors import BadRequestError
from memoryd.importing import Importer, Outcome, align, day_folder
from memoryd.owners import Owners
from memoryd.sources import Opened

SEOUL = timezone(timedelta(hours=9))
MORNING = datetime(2026, 3, 15, 9, 0, tzinfo=SEOUL)
WRITTEN = datetime(2026, 5, 1, tzinfo=SEOUL)


@dataclass(frozen=True)
class Home:
    """A memory folder, and imports into it."""

    memory: Path

    def take(
        self,
        *conversations: Conversation,
        name: str = "conversations.json",
        form: str = "chatgpt",
        owner: str = "",
        day: str | None = None,
    ) -> list[Outcome]:
        files = DayFiles(self.memory, max_file_bytes=10**7, dry_run=False)
        importer = Importer(files, owner=owner, owners=Owners("jihoon", ["minji"]), day=day)
        opened = Opened(
            name=name, size=1, modified=WRITTEN, loaded=Loaded(format=form, conversations=conversations)
        )
        return list(importer.take(opened))

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.memory).as_posix(): path.read_bytes()
            for path in sorted(self.memory.rglob("*"))
            if path.is_file()
        }

    def texts(self) -> dict[str, list[str]]:
        return {
            path: [turn.text for each in load(path, data).conversations for turn in each.turns]
            for path, data in self.files().items()
        }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _talk(*said: tuple[str, datetime | None], id: str = "c1", numbered: bool = False) -> Conversation:  # noqa: A002
    return assemble(
        id,
        [
            Utterance(role=Role.USER, text=text, time=time, id=None if numbered else f"id of {text}")
            for text, time in said
        ],
    )


def _minutes(*texts: str, start: datetime = MORNING) -> list[tuple[str, datetime | None]]:
    return [(text, start + timedelta(minutes=number)) for number, text in enumerate(texts)]


# Where turns go


def test_a_conversation_over_several_days_has_a_file_a_day_and_one_id(home: Home) -> None:
    (outcome,) = home.take(
        _talk(("하나", MORNING), ("둘", None), ("셋", MORNING + timedelta(days=1)), ("넷", None))
    )
    assert home.texts() == {
        "day0315/chatgpt_c1.jsonl": ["하나", "둘"],
        "day0316/chatgpt_c1.jsonl": ["셋", "넷"],
    }
    assert {each.id for path, data in home.files().items() for each in load(path, data).conversations} == {
        "c1"
    }
    assert [(each.path, each.turns, each.new) for each in outcome.written] == [
        ("day0315/chatgpt_c1.jsonl", 2, True),
        ("day0316/chatgpt_c1.jsonl", 2, True),
    ]


def test_the_day_is_the_speakers_own(home: Home) -> None:
    late = datetime(2026, 3, 15, 0, 30, tzinfo=SEOUL)  # the 14th in UTC
    home.take(_talk(("늦었다", late)))
    assert list(home.files()) == ["day0315/chatgpt_c1.jsonl"]


def test_first_turns_without_times_go_with_the_first_that_has_one(home: Home) -> None:
    home.take(_talk(("?", None), ("!", MORNING)))
    assert home.texts() == {"day0315/chatgpt_c1.jsonl": ["?", "!"]}


def test_without_any_time_the_files_date_or_the_named_day_stands_in(home: Home) -> None:
    home.take(_talk(("하나", None)))
    home.take(_talk(("둘", None), id="c2"), day="day0101")
    assert list(home.files()) == ["day0101/chatgpt_c2.jsonl", "day20260501/chatgpt_c1.jsonl"]


def test_one_without_times_stays_where_it_is_when_it_grows(home: Home) -> None:
    home.take(_talk(("하나", None)), day="day0101")
    home.take(_talk(("하나", None), ("둘", None)), day="day0202")
    assert home.texts() == {"day0101/chatgpt_c1.jsonl": ["하나", "둘"]}


def test_it_becomes_a_users_own_and_is_not_taken_twice_under_two_owners(home: Home) -> None:
    home.take(_talk(("하나", MORNING)), owner="jihoon")
    (outcome,) = home.take(_talk(("하나", MORNING)))
    assert list(home.files()) == ["day0315/jihoon/chatgpt_c1.jsonl"]
    assert outcome.refused is not None
    assert "already as jihoon" in outcome.refused


def test_a_folder_of_no_user_would_be_everybodys(home: Home) -> None:
    with pytest.raises(BadRequestError, match="--for jihoon"):
        home.take(_talk(("하나", MORNING)), owner="nobody")


@pytest.mark.parametrize(
    ("text", "folder"),
    [("0315", "day0315"), ("day0229", "day0229"), ("20260315", "day20260315"), ("last", "daylast")],
)
def test_a_day_is_written_in_several_ways(text: str, folder: str) -> None:
    assert day_folder(text) == folder


@pytest.mark.parametrize(
    "text", ["", "0230", "1301", "315", "20250229", "day", "2026-03-15", "../0315", "٠٣١٥"]
)
def test_other_days_are_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="no day folder"):
        day_folder(text)


# Importing again


def test_the_same_export_again_changes_nothing(home: Home) -> None:
    talk = _talk(*_minutes("하나", "둘"))
    home.take(talk)
    before = home.files()
    (outcome,) = home.take(talk)
    assert (outcome.known, outcome.written, outcome.notes, outcome.refused) == (2, (), (), None)
    assert home.files() == before


def test_a_newer_export_adds_only_what_is_new(home: Home) -> None:
    home.take(_talk(*_minutes("하나", "둘")))
    (outcome,) = home.take(_talk(*_minutes("하나", "둘", "셋"), ("넷", MORNING + timedelta(days=1))))
    assert home.texts() == {
        "day0315/chatgpt_c1.jsonl": ["하나", "둘", "셋"],
        "day0316/chatgpt_c1.jsonl": ["넷"],
    }
    assert [(each.turns, each.new) for each in outcome.written] == [(1, False), (1, True)]


def test_another_branch_is_added_and_the_old_one_stays(home: Home) -> None:
    home.take(_talk(*_minutes("물음", "답")))
    home.take(_talk(*_minutes("물음", "다시", start=MORNING)))
    assert home.texts() == {"day0315/chatgpt_c1.jsonl": ["물음", "답", "다시"]}


def test_an_older_period_comes_in_front(home: Home) -> None:
    home.take(_talk(*_minutes("둘", "셋", start=MORNING + timedelta(minutes=1))))
    home.take(_talk(*_minutes("하나", "둘", "셋")))
    assert home.texts() == {"day0315/chatgpt_c1.jsonl": ["하나", "둘", "셋"]}


def test_a_turn_that_was_taken_out_stays_out_and_that_is_said(home: Home) -> None:
    talk = _talk(*_minutes("하나", "둘", "셋"))
    home.take(talk)
    file = home.memory / "day0315/chatgpt_c1.jsonl"
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text(lines[0] + lines[2], "utf-8")
    (outcome,) = home.take(_talk(*_minutes("하나", "둘", "셋", "넷")))
    assert home.texts() == {"day0315/chatgpt_c1.jsonl": ["하나", "셋", "넷"]}
    (note,) = outcome.notes
    assert note.startswith("1 turn of the export is missing in the middle of day0315/chatgpt_c1.jsonl")


@pytest.mark.parametrize("numbered", [True, False])
def test_an_edited_turn_stays_edited_and_that_is_said(home: Home, numbered: bool) -> None:
    talk = _talk(*_minutes("하나", "둘"), numbered=numbered)
    home.take(talk)
    file = home.memory / "day0315/chatgpt_c1.jsonl"
    file.write_text(file.read_text("utf-8").replace('"text": "둘"', '"text": "둘째"'), "utf-8")
    before = home.files()
    (outcome,) = home.take(talk)
    assert home.files() == before
    assert outcome.notes == (
        "day0315/chatgpt_c1.jsonl has 1 turn otherwise than the export; it stays as it is",
    )


def test_a_damaged_file_is_left_alone_and_the_others_are_taken(home: Home) -> None:
    home.take(_talk(("하나", MORNING)))
    (home.memory / "day0315/chatgpt_c1.jsonl").write_text("{broken\n{}\n")
    refused, taken = home.take(_talk(*_minutes("하나", "둘")), _talk(("셋", MORNING), id="c2"))
    assert refused.refused is not None
    assert "day0315/chatgpt_c1.jsonl is damaged" in refused.refused
    assert [each.path for each in taken.written] == ["day0315/chatgpt_c2.jsonl"]


def test_what_the_loader_left_out_is_passed_on(home: Home) -> None:
    talk = replace(_talk(("하나", MORNING)), remarks=("two side branches are left out",))
    assert home.take(talk)[0].notes == ("two side branches are left out",)


def test_a_move_to_another_time_zone_makes_no_turn_new(home: Home) -> None:
    said = _minutes("하나", "둘")
    home.take(_talk(*said, id="room"), form="kakaotalk")
    elsewhere = [(text, time and time.replace(tzinfo=UTC)) for text, time in said]
    (outcome,) = home.take(_talk(*elsewhere, id="room"), form="kakaotalk")
    assert (outcome.known, outcome.written) == (2, ())


# Chats that are named after their file


def test_a_renamed_export_of_the_same_chat_goes_on_with_it(home: Home) -> None:
    first = _talk(*_minutes("하나", "둘", "셋"), id="chat 0315.txt", numbered=True)
    later = _talk(
        *_minutes("둘", "셋", "넷", start=MORNING + timedelta(minutes=1)), id="chat 0501.txt", numbered=True
    )
    home.take(first, name="chat 0315.txt", form="whatsapp")
    (outcome,) = home.take(later, name="chat 0501.txt", form="whatsapp")
    ((path, data),) = home.files().items()
    (conversation,) = load(path, data).conversations
    assert [(turn.id, turn.text) for turn in conversation.turns] == [
        ("chat 0315.txt:1", "하나"),
        ("chat 0315.txt:2", "둘"),
        ("chat 0315.txt:3", "셋"),
        ("chat 0315.txt:4", "넷"),
    ]
    assert outcome.conversation_id == "chat 0315.txt"
    before = home.files()
    home.take(later, first, name="chat", form="whatsapp")
    assert home.files() == before


def test_another_chat_in_a_file_of_the_same_name_is_another_conversation(home: Home) -> None:
    home.take(
        _talk(*_minutes("하나", "둘"), id="_chat.txt", numbered=True), name="_chat.txt", form="whatsapp"
    )
    other = _talk(*_minutes("one", "two"), id="_chat.txt", numbered=True)
    (outcome,) = home.take(other, name="_chat.txt", form="whatsapp")
    assert outcome.conversation_id == "_chat.txt#2"
    before = home.files()
    (again,) = home.take(other, name="_chat.txt", form="whatsapp")
    assert (again.conversation_id, again.known, home.files()) == ("_chat.txt#2", 2, before)


def test_an_edited_note_goes_on_with_itself(home: Home) -> None:
    note = _talk(("장보기", None), ("우유", None), id="list.md", numbered=True)
    home.take(note, name="list.md", form="notes")
    home.take(
        _talk(("장보기", None), ("우유", None), ("빵", None), id="list.md", numbered=True),
        name="list.md",
        form="notes",
    )
    assert list(home.texts().values()) == [["장보기", "우유", "빵"]]


# Whatever the conversation

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
TIMES = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001  (hypothesis wants naive bounds)
    datetime(2100, 1, 1),  # noqa: DTZ001  (the same)
    timezones=st.sampled_from([UTC, SEOUL, timezone(-timedelta(hours=3, minutes=30))]),
)
UTTERANCES = st.builds(
    Utterance,
    role=st.sampled_from(Role),
    text=WORDS,
    id=st.none() | WORDS,
    speaker=st.none() | WORDS,
    time=st.none() | TIMES | st.sampled_from([MORNING, MORNING + timedelta(days=1)]),
    citations=st.none() | st.lists(WORDS, max_size=2).map(tuple),
)
CONVERSATIONS = st.builds(
    assemble, WORDS, st.lists(UTTERANCES, min_size=1, max_size=8), title=st.just("") | WORDS
)


def _said(turn: Turn) -> tuple[object, ...]:
    """All of a turn but its place, its time with the offset."""
    time = turn.time.isoformat() if turn.time else None
    return turn.id, turn.role, turn.speaker, time, turn.text, turn.citations


def _unique_ids(conversation: Conversation) -> bool:
    return len({turn.id for turn in conversation.turns}) == len(conversation.turns)


@settings(max_examples=50, deadline=None)  # every file is synced to disk
@given(conversation=CONVERSATIONS)
def test_every_turn_comes_back_from_the_files_as_it_was_said(conversation: Conversation) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        (outcome,) = home.take(conversation)
        assert outcome.refused is None
        parts = [load(each.path, (home.memory / each.path).read_bytes()) for each in outcome.written]
    read = [each for part in parts for each in part.conversations]
    assert {(each.id, each.title) for each in read} == {(conversation.id, conversation.title)}
    order = {_said(turn): turn.index for turn in reversed(conversation.turns)}
    turns = [[_said(turn) for turn in each.turns] for each in read]
    if _unique_ids(conversation):
        assert all([order[turn] for turn in day] == sorted(order[turn] for turn in day) for day in turns)
        assert sorted(order[turn] for day in turns for turn in day) == list(range(len(conversation.turns)))


@settings(max_examples=50, deadline=None)
@given(conversation=CONVERSATIONS.filter(_unique_ids), data=st.data())
def test_in_two_imports_it_comes_to_the_same_as_in_one(
    conversation: Conversation, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(conversation.turns)))
    # The beginning alone must lie on the same days: a first time that comes later moves what is before it.
    timed = next((turn.index for turn in conversation.turns if turn.time), 0)
    cut = max(cut, timed + 1) if any(turn.time for turn in conversation.turns) else cut
    begun = replace(conversation, turns=conversation.turns[:cut])
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        at_once, in_steps = Home(Path(one)), Home(Path(two))
        at_once.take(conversation)
        in_steps.take(begun)
        in_steps.take(conversation)
        assert in_steps.files() == at_once.files()
        (again,) = in_steps.take(conversation)
        assert (again.known, again.written, again.notes) == (len(conversation.turns), (), ())


@given(conversation=CONVERSATIONS)
def test_nothing_is_matched_twice(conversation: Conversation) -> None:
    matches = align(conversation.turns, conversation)
    assert [match and match.index for match in matches] == list(range(len(conversation.turns)))
