from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.day_digests import DayDigests
from memoryd.day_moods import DayMoods
from memoryd.errors import BadRequestError, NotFoundError, ReplayError, StoreError
from memoryd.ledger.digests import DigestRow
from memoryd.testing import FakeClock
from tests.memoryd.parts import Home, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from memoryd.emotions import EmotionReader
    from memoryd.ledger import FileToRead, IdentityRow, ReplayRow

LIMIT_S = 20.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    (home.manifest / "echo_identity.txt").write_text("나는 에코다.", encoding="utf-8")
    (home.manifest / "fillin_manifest.txt").write_text("그대로 기억한다.", encoding="utf-8")
    home.remember("day0310/a.jsonl", line("두부는 회색 고양이야."))
    yield home
    home.ledger.close()


def _loop(
    home: Home,
    clock: FakeClock | None = None,
    *,
    owners: Sequence[str] = ("", "jihun"),
    origin: str = "jihun",
    adopted: Callable[[IdentityRow], None] = lambda _identity: None,
    moods: DayMoods | None = None,
    digests: DayDigests | None = None,
) -> BootMemoryLoop:
    return BootMemoryLoop(
        ledger=home.ledger,
        manifest=home.manifest,
        owners=owners,
        origin=origin,
        being="에코",
        budget=500,
        adopted=adopted,
        moods=lambda: moods,
        digests=digests,
        clock=clock or FakeClock(),
    )


def test_there_is_no_identity_before_the_first_replay(home: Home) -> None:
    loop = _loop(home)
    assert loop.identity() is None
    assert loop.running() is None


def test_the_first_replay_makes_identity_one(home: Home) -> None:
    loop = _loop(home)
    row = loop.replay("boot")
    assert (row.state, row.trigger, row.changed, row.identity_version) == ("done", "boot", True, 1)
    assert (row.turns, row.kept, row.error) == (1, 1, None)
    identity = loop.identity()
    assert identity is not None
    assert identity.digest == row.digest
    assert identity.created_at == FakeClock().now()
    assert "두부는 회색 고양이야. (day0310/a.jsonl)" in identity.text
    assert home.ledger.identities.replays() == [row]


def test_a_replay_of_the_same_memories_keeps_the_identity(home: Home) -> None:
    loop = _loop(home)
    first, second = loop.replay("boot"), loop.replay("schedule")
    assert (second.changed, second.identity_version, second.digest) == (False, 1, first.digest)
    assert home.ledger.identities.get(2) is None
    assert [row.trigger for row in home.ledger.identities.replays()] == ["schedule", "boot"]


def test_each_identity_that_comes_into_force_is_told_once(home: Home) -> None:
    adopted: list[IdentityRow] = []
    loop = _loop(home, adopted=adopted.append)
    assert loop.adopt() is None
    loop.replay("boot")
    loop.replay("schedule")
    home.remember("day0311/b.jsonl", line("수영을 시작했다."))
    loop.replay("now")
    assert [each.version for each in adopted] == [1, 2]
    assert adopted[-1] == loop.identity()


def test_a_start_tells_of_the_identity_that_is_stored(home: Home) -> None:
    _loop(home).replay("boot")
    adopted: list[IdentityRow] = []
    loop = _loop(home, adopted=adopted.append)
    assert adopted == []
    assert loop.adopt() == loop.identity()
    assert adopted == [loop.identity()]


def test_the_identity_stays_over_a_restart(home: Home) -> None:
    before = _loop(home).replay("boot")
    loop = _loop(home)
    assert loop.replay("boot").identity_version == before.identity_version


def test_a_new_memory_makes_the_next_identity(home: Home) -> None:
    loop = _loop(home)
    loop.replay("boot")
    home.remember("day0311/b.jsonl", line("수영을 시작했다."))
    row = loop.replay("now")
    assert (row.changed, row.identity_version) == (True, 2)
    assert "수영" in (loop.identity() or pytest.fail("no identity")).text


def test_a_changed_manifest_makes_the_next_identity(home: Home) -> None:
    loop = _loop(home)
    loop.replay("boot")
    (home.manifest / "echo_identity.txt").unlink()
    assert loop.replay("now").identity_version == 2
    assert (loop.identity() or pytest.fail("no identity")).missing == ("echo_identity.txt",)


def test_the_origins_own_memories_belong_to_the_identity_and_nobody_elses(home: Home) -> None:
    home.remember("day0311/jihun/b.jsonl", line("수영을 시작했다."))
    assert _loop(home).replay("boot").turns == 2
    assert _loop(home, owners=("",)).replay("boot").turns == 1


def _refuse(owners: Sequence[str], method: int) -> list[FileToRead]:
    raise StoreError("the disk is gone")


def test_a_failed_replay_leaves_the_identity_and_is_recorded(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = _loop(home)
    loop.replay("boot")
    with monkeypatch.context() as patch:
        patch.setattr(home.ledger.gists, "missing", _refuse)
        with pytest.raises(ReplayError, match="the disk is gone"):
            loop.replay("schedule")
    assert (loop.identity() or pytest.fail("no identity")).version == 1
    assert loop.running() is None
    failed, _ = home.ledger.identities.replays()
    assert (failed.state, failed.trigger, failed.error) == ("failed", "schedule", "the disk is gone")
    assert failed.identity_version is None
    assert loop.replay("now").state == "done"


def test_a_replay_over_a_ledger_that_takes_nothing_is_a_failed_replay(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(row: ReplayRow) -> None:
        raise StoreError("the disk is full")

    loop = _loop(home)
    with monkeypatch.context() as patch:
        patch.setattr(home.ledger.identities, "log_replay", refuse)
        with pytest.raises(ReplayError, match="the disk is full"):
            loop.replay("boot")
    assert loop.running() is None
    assert loop.replay("boot").state == "done"


class HeldClock(FakeClock):
    """A clock that holds the first one who asks, until told."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.askers: list[str] = []

    def now(self) -> datetime:
        self.askers.append(threading.current_thread().name)
        if len(self.askers) == 1:
            self.asked.set()
            assert self.go_on.wait(LIMIT_S)
        return super().now()


def test_a_second_replay_waits_for_the_first(home: Home) -> None:
    clock = HeldClock()
    loop = _loop(home, clock)
    rows: dict[str, ReplayRow] = {}
    calling = threading.Event()

    def first() -> None:
        rows["first"] = loop.replay("boot")

    def second() -> None:
        calling.set()
        rows["second"] = loop.replay("now")

    threads = [threading.Thread(target=each, name=each.__name__) for each in (first, second)]
    threads[0].start()
    assert clock.asked.wait(LIMIT_S)
    threads[1].start()
    assert calling.wait(LIMIT_S)
    clock.go_on.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert clock.askers == ["first", "first", "second"]
    assert (rows["first"].changed, rows["second"].changed) == (True, False)


def test_the_replay_under_way_can_be_seen(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = _loop(home)
    seen: list[ReplayRow | None] = []
    missing = home.ledger.gists.missing

    def look(owners: Sequence[str], method: int) -> list[FileToRead]:
        seen.append(loop.running())
        return missing(owners, method)

    monkeypatch.setattr(home.ledger.gists, "missing", look)
    loop.replay("now")
    assert [(row.state, row.trigger) for row in seen if row] == [("running", "now")]
    assert loop.running() is None


def test_no_replay_begins_while_the_loop_is_held(home: Home) -> None:
    loop = _loop(home)
    replay = threading.Thread(target=loop.replay, args=("schedule",))
    with loop.held():
        replay.start()
        assert loop.running() is None
        assert loop.identity() is None
    replay.join(LIMIT_S)
    assert loop.identity() is not None


def test_manifests_that_leave_no_room_are_a_warning_of_every_replay(home: Home) -> None:
    loop = _loop(home)
    (home.manifest / "echo_identity.txt").write_text("나는 에코다. " * 200, encoding="utf-8")
    first, second = loop.replay("boot"), loop.replay("now")
    assert "the three manifests take" in (first.warning or "")
    assert second.warning == first.warning
    assert [each.warning for each in home.ledger.identities.replays()] == [first.warning] * 2
    (home.manifest / "echo_identity.txt").write_text("나는 에코다.", encoding="utf-8")
    assert loop.replay("manifest").warning is None


def test_another_origin_in_the_file_changes_no_identity(home: Home) -> None:
    loop = _loop(home)
    loop.replay("boot")
    (home.manifest / "origin_id.txt").write_text("haram\n", encoding="utf-8")
    assert loop.replay("manifest").changed is False


# Restoring.


def _restored(home: Home) -> BootMemoryLoop:
    """Identity 1 tells of a cat, 2 of swimming too, 3 of the cat again."""
    loop = _loop(home)
    loop.replay("boot")
    home.remember("day0311/b.jsonl", line("수영을 시작했다."))
    loop.replay("now")
    loop.restore(1)
    return loop


def test_a_restored_version_is_a_new_one_of_the_same_words_and_is_adopted(home: Home) -> None:
    adopted: list[IdentityRow] = []
    loop = _loop(home, adopted=adopted.append)
    loop.replay("boot")
    home.remember("day0311/b.jsonl", line("수영을 시작했다."))
    loop.replay("now")
    restored = loop.restore(1)
    old = home.ledger.identities.get(1) or pytest.fail("no identity")
    assert (restored.version, restored.text, restored.tokens) == (3, old.text, old.tokens)
    assert restored.made_of == {**old.made_of, "restores": 1, "whole": True}
    assert adopted[-1] == restored == loop.identity()


def test_a_replay_of_unchanged_memories_leaves_a_restored_version_in_force(home: Home) -> None:
    loop = _restored(home)
    row = loop.replay("schedule")
    assert (row.changed, row.identity_version) == (False, 3)
    assert _loop(home).replay("boot").identity_version == 3


def test_the_next_new_memory_makes_a_new_identity_of_all(home: Home) -> None:
    loop = _restored(home)
    home.remember("day0312/c.jsonl", line("치과에 다녀왔다."))
    assert loop.replay("now").identity_version == 4
    text = (loop.identity() or pytest.fail("no identity")).text
    assert all(word in text for word in ("두부", "수영", "치과"))


def test_a_version_that_is_not_there_and_one_in_force_are_refused(home: Home) -> None:
    loop = _restored(home)
    with pytest.raises(NotFoundError, match="no identity 9; the newest is 3"):
        loop.restore(9)
    with pytest.raises(BadRequestError, match=r"identity 3 tells is in force already\."):
        loop.restore(3)
    with pytest.raises(BadRequestError, match=r"identity 1 tells is in force already as identity 3\."):
        loop.restore(1)
    assert (loop.identity() or pytest.fail("no identity")).version == 3


def test_what_was_another_origins_own_is_not_told_again(home: Home) -> None:
    _loop(home).replay("boot")
    home.remember("day0311/b.jsonl", line("수영을 시작했다."))
    loop = _loop(home, origin="haram")
    loop.replay("boot")
    with pytest.raises(BadRequestError, match="tells what was jihun's own, who was the origin then"):
        loop.restore(1)


def test_a_restoration_that_fails_leaves_the_identity(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = _restored(home)
    monkeypatch.setattr(home.ledger.gists, "missing", _refuse)
    with pytest.raises(ReplayError, match=r"Identity 2 can't be restored: the disk is gone"):
        loop.restore(2)
    assert (loop.identity() or pytest.fail("no identity")).version == 3


def test_every_version_keeps_the_digests_of_what_it_was_made_of(home: Home) -> None:
    loop = _restored(home)
    first, second = (home.ledger.identities.get(number) for number in (1, 2))
    assert first is not None
    assert second is not None
    assert set(first.made_of["manifests"]) == {"echo_identity.txt", "fillin_manifest.txt", "origin_id.txt"}
    assert first.made_of["manifests"] == second.made_of["manifests"]
    assert first.made_of["memories"] != second.made_of["memories"]
    assert [(each.version, each.lines, each.restores) for each in home.ledger.identities.all()] == [
        (3, 1, 1),
        (2, 2, None),
        (1, 1, None),
    ]
    assert loop.running() is None


def test_a_restored_version_tells_nothing_of_conversations_that_are_gone_or_anothers(home: Home) -> None:
    loop = _restored(home)
    home.ledger.files.remove("day0310/a.jsonl")
    home.remember("day0312/c.jsonl", line("치과에 다녀왔다.", conversation="dentist"))
    loop.replay("now")
    assert "두부" not in loop.restore(2).text


# What was missing.


def test_an_identity_made_while_vectors_were_missing_is_made_anew_once_it_tells_more(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.remember("day0311/b.jsonl", line("두부가 갈색 고양이로 바뀌었어.", conversation="b"))
    vectors = home.ledger.vectors
    of_passages = vectors.of_passages
    loop = _loop(home)
    monkeypatch.setattr(vectors, "of_passages", lambda _, ids: of_passages("none", ids))
    loop.replay("boot")
    assert loop.replay("schedule").changed is False  # nothing has come that it could tell
    monkeypatch.setattr(vectors, "of_passages", lambda _, ids: np.ones((len(ids), 1), np.float32))
    row = loop.replay("schedule")
    assert row.changed
    assert "회색" not in (loop.identity() or pytest.fail("no identity")).text


def test_an_identity_that_would_tell_no_more_is_whole_without_a_new_version(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = _loop(home)
    loop.replay("boot")
    moods = DayMoods(ledger=home.ledger, reader=cast("EmotionReader", None), embedder="none", being="에코")
    vectors = home.ledger.vectors
    monkeypatch.setattr(vectors, "of_passages", lambda _, ids: np.ones((len(ids), 1), np.float32))
    row = _loop(home, moods=moods).replay("schedule")
    assert (row.changed, row.identity_version) == (False, 1)
    identity = loop.identity()
    assert identity is not None
    assert identity.made_of["whole"] is True


def test_a_files_gist_that_is_gone_between_two_looks_leaves_an_identity_that_is_made_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = _loop(home)
    bodies = home.ledger.gists.bodies
    monkeypatch.setattr(home.ledger.gists, "bodies", lambda _: {})
    loop.replay("boot")
    assert "두부" not in (loop.identity() or pytest.fail("no identity")).text
    monkeypatch.setattr(home.ledger.gists, "bodies", bodies)
    assert loop.replay("schedule").changed
    assert "두부" in (loop.identity() or pytest.fail("no identity")).text


# Digests.


def test_a_restored_version_tells_only_digests_of_what_is_still_said(home: Home) -> None:
    digests = DayDigests(ledger=home.ledger, owners=("", "jihun"), clock=FakeClock())
    loop = _loop(home, digests=digests)
    home.remember("day0309/b.jsonl", line("감자를 심었다.", conversation="b"))
    for day in digests.missing():
        digests.save(DigestRow(day=day.day, key=day.key, text=f"{day.day}의 말.", model="m", turns=1, read=1))
    loop.replay("boot")
    first = loop.identity() or pytest.fail("no identity")
    assert first.text.count("의 말.") == 2
    home.remember("day0309/b.jsonl", line("감자를 심지 않았다.", conversation="b"))
    loop.replay("now")
    restored = loop.restore(first.version)
    assert "2026-03-10의 말." in restored.text
    assert "2026-03-09의 말." not in restored.text
