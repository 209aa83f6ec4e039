"""Folders that were shared become somebody's, in everything that was made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.errors import ConflictError
from memoryd.identity import without_files
from memoryd.people import People, give_to_owners
from memoryd.testing import FakeClock
from tests.memoryd.parts import SHARED, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIARY = "day0315/minji/diary.jsonl"
SECRET = "민지는 금요일마다 탁구장에서 서브 연습을 몰래 하고 있어."
KNOWN = "두부는 지붕에서 자는 회색 고양이고 밤마다 내려와."


class Desk:
    """A home with a diary in a folder that is nobody's yet."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.remember(DIARY, line(SECRET, conversation="diary", speaker="민지"))
        home.remember("day0315/cat.jsonl", line(KNOWN, conversation="cat", speaker="지훈"))
        home.feed()
        clock = FakeClock()
        self.loop = BootMemoryLoop(
            ledger=home.ledger,
            manifest=home.manifest,
            owners=home.users.identity_owners,
            origin=home.users.origin.id,
            being="에코",
            budget=500,
            adopted=lambda _: None,
            clock=clock,
        )
        self.loop.replay("boot")
        self.moved = 0
        self.people = People(
            users=home.users, ledger=home.ledger, loop=self.loop, moved=self._count, clock=clock
        )

    def _count(self) -> None:
        self.moved += 1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    home = Home(tmp_path)
    yield Desk(home)
    home.ledger.close()


def test_a_folder_of_their_name_is_theirs_at_once_everywhere(desk: Desk) -> None:
    home = desk.home
    assert home.find("탁구장 서브 연습")[0].endswith(SECRET)
    added = desk.people.add("minji")
    assert (added.files, desk.moved) == ((DIARY,), 1)
    # Before Chroma has heard of it, and after.
    for _ in range(2):
        assert not any(SECRET in text for text in home.find("탁구장 서브 연습"))
        found = home.recall.search("탁구장 서브 연습", owners=added.user.owners, k=5).hits
        assert SECRET in found[0].passage.text
        home.feed()
    assert {owner: len(ids) for owner, ids in home.index.vectors.items()} == {"": 1, "minji": 1}
    assert home.ledger.files.conversation("diary", SHARED) is None
    assert [row.path for row in home.ledger.files.list(owners=SHARED)] == ["day0315/cat.jsonl"]


def test_no_identity_version_quotes_them_any_more(desk: Desk) -> None:
    before = desk.loop.identity()
    assert before is not None
    assert SECRET in before.text
    desk.people.add("minji")
    after = desk.home.ledger.identities.get(before.version)
    assert after is not None
    assert SECRET not in after.text
    assert KNOWN in after.text
    desk.loop.replay("users")
    newest = desk.loop.identity()
    assert newest is not None
    assert newest.version > before.version
    assert SECRET not in newest.text


def test_a_file_that_comes_later_is_theirs_from_the_start(desk: Desk) -> None:
    desk.people.add("jun")
    assert desk.moved == 0
    desk.home.remember("day0316/JUN/a.jsonl", line("준의 열쇠는 화분 밑에 있어.", conversation="k"))
    row = desk.home.ledger.files.get("day0316/JUN/a.jsonl")
    assert row is not None
    assert row.owner == "jun"


def test_who_is_refused_changes_nothing(desk: Desk) -> None:
    desk.people.add("jun")
    with pytest.raises(ConflictError):
        desk.people.add("Jun")
    assert SECRET in desk.home.find("탁구장 서브 연습")[0]


def test_a_start_gives_files_to_whom_they_belong_by_now(desk: Desk) -> None:
    """For example after a ledger of an earlier day was put back."""
    desk.people.add("minji")
    with desk.home.ledger._database.write() as connection:
        connection.execute("UPDATE files SET owner = ''")
        connection.execute("UPDATE passages SET owner = ''")
        connection.execute("DELETE FROM settings WHERE name = 'owners'")
    assert give_to_owners(desk.home.ledger, desk.home.users.owners) == (DIARY,)
    assert give_to_owners(desk.home.ledger, desk.home.users.owners) == ()
    assert not any(SECRET in text for text in desk.home.find("탁구장 서브 연습"))


def test_no_topic_that_was_counted_over_them_stays() -> None:
    text = (
        "# 나\n\n# 내가 기억하는 것 (what I remember)\n## 들은 말 (what was said)\n"
        "- 2026-03-15 지훈: 두부는 고양이야. (day0315/cat.jsonl)\n"
        "## 자주 나온 이야기 (what comes up again)\n- 탁구장: 대화 2번, 마지막 2026-03-16 (day0316/b.jsonl)\n"
    )
    made = without_files(text, frozenset({DIARY}))
    assert "두부는 고양이야" in made
    assert "탁구장" not in made
