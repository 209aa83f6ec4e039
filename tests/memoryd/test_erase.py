"""An erasure from the files to the proof: who may, in which order, and what a kill in between leaves to do."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from llm import GenerateRequest, Identity
from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.chroma import ChromaIndex, ChromaServer, RemoteChroma
from memoryd.config import Paths
from memoryd.cut_out import Action
from memoryd.day_digests import DayDigests
from memoryd.digest_writer import DigestWriter
from memoryd.erase import Eraser, Report, finish_erasures, make_plan, scope_of
from memoryd.errors import (
    BadRequestError,
    ForbiddenError,
    IndexUnavailableError,
    NotFoundError,
    StoreError,
)
from memoryd.index_keeper import BUILDING, GENERATION, begin_generation
from memoryd.journal import Journal, Utterance
from memoryd.ledger import ErasureState, IdentityRow, Ledger
from memoryd.reading import Reading
from memoryd.testing import FakeClock, FakeGenerator
from memoryd.users import User
from tests.memoryd.parts import Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = User(id="jihun")
MEMBER = User(id="sora")
SECRET = "지하실 금고의 비밀번호는 아무에게도 말하지 않았어."
KEPT = "텃밭에 심은 방울토마토는 사흘에 한 번 물을 주기로 했어."
BOTH = "day0310/both.jsonl"


@dataclass
class Away:
    """The parts that only a daemon has, and what they were asked."""

    home: Home
    forgotten: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def renew(self) -> int:
        return begin_generation(self.home.ledger)

    def forget(self, conversation_id: str) -> None:
        self.forgotten.append(conversation_id)

    def note(self, path: str, *, settled: bool) -> None:
        assert settled
        self.noted.append(path)


@dataclass
class Desk:
    """A home with everything that an erasure needs."""

    home: Home
    chroma_url: str = ""

    def __post_init__(self) -> None:
        self.paths = Paths(
            memory=self.home.root,
            manifest=self.home.manifest,
            state=self.home.folder / "state",
            models=self.home.folder,
        )
        self.away = Away(self.home)
        self.clock = FakeClock()
        self.journal = Journal(self.home.root)
        self.generator = FakeGenerator()
        self.reading = Reading()
        self.digests = DayDigests(ledger=self.home.ledger, owners=("", "jihun"), clock=self.clock)
        self.loop = BootMemoryLoop(
            ledger=self.home.ledger,
            manifest=self.home.manifest,
            owners=("", "jihun", "sora"),
            origin="jihun",
            being="에코",
            budget=500,
            adopted=self._pin,
            clock=self.clock,
            digests=self.digests,
        )
        self.eraser = Eraser(
            ledger=self.home.ledger,
            paths=self.paths,
            users=self.home.users,
            journal=self.journal,
            reading=self.reading,
            watcher=cast("Any", self.away),
            keeper=cast("Any", self.away),
            brain=cast("Any", self.away),
            generators=[self.generator],
            loop=self.loop,
            clock=self.clock,
        )

    def erase(self, conversation_id: str = "secret", *, user: User = ORIGIN) -> Report:
        return self.eraser.erase(user, conversation_id)

    def _pin(self, identity: IdentityRow) -> None:
        self.generator.pin(Identity(version=identity.version, text=identity.text))

    def held(self) -> bytes:
        """Every byte of state."""
        return b"".join(file.read_bytes() for file in self.paths.state.rglob("*") if file.is_file())

    def finish(self) -> None:
        """As the next start does."""
        finish_erasures(
            self.home.ledger,
            self.paths,
            Journal(self.home.root),
            self.clock,
            users=self.home.users,
            chroma_url=self.chroma_url,
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    home = Home(tmp_path)
    home.remember(
        BOTH, line(SECRET, conversation="secret", speaker="지훈") + line(KEPT, conversation="garden")
    )
    desk = Desk(home)
    desk.loop.replay("boot")
    yield desk
    home.ledger.close()


def test_it_is_taken_out_everywhere_and_the_proof_says_so(desk: Desk) -> None:
    assert SECRET.encode() in desk.held()
    report = desk.erase()
    assert [(file.path, file.action) for file in report.files] == [(BOTH, Action.REWRITTEN)]
    assert (report.turns, report.passages, report.vectors, report.identities) == (1, 1, 1, 1)
    assert (report.proof.search.found, report.proof.words_left) == ((), 0)
    assert report.proof.search.fragments >= 3
    assert report.proof.words >= 5
    assert SECRET.encode() not in desk.held()
    assert desk.home.said() == [KEPT]
    assert (report.identity_version, report.generation) == (2, 2)


def test_an_unreadable_file_that_names_it_is_told_and_left(desk: Desk) -> None:
    damaged = line(SECRET, conversation="secret") + "{broken\n" + line(SECRET, conversation="secret")
    desk.home.remember("day0312/bad.jsonl", damaged)
    desk.home.remember("day0312/other.jsonl", line(KEPT, conversation="garden") + "{broken\n" + line(KEPT))
    told = [(file.path, file.action) for file in desk.erase().files]
    assert told == [(BOTH, Action.REWRITTEN), ("day0312/bad.jsonl", Action.UNREADABLE)]
    assert (desk.home.root / "day0312/bad.jsonl").read_text("utf-8") == damaged


def test_every_part_that_keeps_something_in_memory_is_told(desk: Desk) -> None:
    list(desk.generator.generate(GenerateRequest(messages=())))
    desk.erase()
    assert desk.away.forgotten == ["secret"]
    assert desk.away.noted == [BOTH]
    assert desk.generator.requests == []
    assert [each.id for each in desk.journal.erased_since(0, ["jihun"])] == ["secret"]


def test_models_forget_the_identity_that_quoted_it_and_hold_the_next(desk: Desk) -> None:
    assert [SECRET in each.text for each in desk.generator.pinned] == [True]
    desk.erase()
    assert [(each.version, SECRET in each.text) for each in desk.generator.pinned] == [(2, False)]


def test_where_the_replay_fails_models_hold_the_old_identity_without_its_quotes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(desk.home.ledger.gists, "missing", refuse)
    desk.erase()
    assert [(each.version, SECRET in each.text) for each in desk.generator.pinned] == [(1, False)]


def test_old_identities_lose_their_quotes_and_the_next_one_has_none(desk: Desk) -> None:
    desk.erase()
    first, second = (desk.home.ledger.identities.get(version) for version in (1, 2))
    assert first is not None
    assert second is not None
    assert SECRET not in first.text + second.text
    assert "(지워짐, erased)" in first.text
    assert KEPT in first.text
    assert KEPT in second.text


def test_turns_that_are_on_disk_and_not_read_yet_go_too(desk: Desk) -> None:
    said = Utterance(role="user", speaker="지훈", text="아직 읽지 않은 비밀 이야기야.", time=desk.clock.now())
    path = desk.journal.append("jihun", "secret", [said])
    report = desk.erase()
    assert {file.path: file.action for file in report.files} == {
        BOTH: Action.REWRITTEN,
        path: Action.REMOVED,
    }
    assert not (desk.home.root / path).exists()
    assert report.turns == 2


def test_what_is_found_is_reported_with_its_place(desk: Desk) -> None:
    (desk.paths.state / "copy.bak").write_text(f"somebody's copy: {SECRET}", encoding="utf-8")
    report = desk.erase()
    assert [found.path for found in report.proof.search.found] == ["copy.bak"]
    (row,) = desk.home.ledger.erasures.all()
    assert (row.state, row.found) == (ErasureState.DONE, report.proof.search.fragments - 1)


def test_the_record_says_who_and_when_and_nothing_that_was_said(desk: Desk) -> None:
    report = desk.erase()
    (row,) = desk.home.ledger.erasures.all()
    assert (row.by, row.begun_at, row.done_at) == ("jihun", desk.clock.now(), desk.clock.now())
    assert (row.turns, row.fragments, row.found) == (1, report.proof.search.fragments, 0)
    assert row.conversation_id is None


def test_a_file_that_is_not_read_yet_is_cut_too(desk: Desk) -> None:
    new = desk.home.put("day0311/new.jsonl", line(SECRET, conversation="secret") + line(KEPT))
    other = desk.home.put("day0311/other.jsonl", line(SECRET, conversation="another"))
    desk.home.put("day0311/broken.jsonl", "{broken\n{}\n")
    desk.home.put("day0311/.hidden.jsonl", line(SECRET, conversation="secret"))
    assert {file.path: file.action for file in desk.erase().files} == {
        BOTH: Action.REWRITTEN,
        "day0311/new.jsonl": Action.REWRITTEN,
    }
    assert SECRET not in new.read_text(encoding="utf-8")
    assert SECRET in other.read_text(encoding="utf-8")


def test_copies_of_a_damaged_ledger_go_with_it(desk: Desk) -> None:
    ledger = desk.paths.state / "ledger.sqlite3"
    kept = ledger.with_name("ledger.damaged-20260315T210400.sqlite3")
    kept.write_bytes(ledger.read_bytes())
    half_made = ledger.with_name("ledger.sqlite3.new")
    half_made.write_bytes(SECRET.encode())
    report = desk.erase()
    assert report.copies == (kept.name, half_made.name)
    assert report.proof.search.found == ()
    assert SECRET.encode() not in desk.held()


# Who may


def test_an_unknown_conversation_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFoundError, match='no conversation "nobody"'):
        desk.erase("nobody")
    assert desk.home.ledger.erasures.all() == []


def test_a_member_erases_their_own_and_nothing_else(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        desk.home.users, "owner_of", lambda path: path.split("/")[1] if path.count("/") > 1 else ""
    )
    desk.home.remember("day0311/sora/own.jsonl", line("내 비밀 이야기는 나만 알고 있어.", conversation="own"))
    desk.home.remember(
        "day0311/jihun/his.jsonl", line("지훈의 비밀 이야기는 지훈만 알아.", conversation="his")
    )
    with pytest.raises(ForbiddenError, match="not sora's own; only the origin may"):
        desk.erase("secret", user=MEMBER)
    with pytest.raises(NotFoundError):
        desk.erase("his", user=MEMBER)
    assert desk.erase("own", user=MEMBER).turns == 1
    assert not (desk.home.root / "day0311/sora/own.jsonl").exists()


def test_the_origin_erases_a_members(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.home.users, "owner_of", lambda _path: "sora")
    desk.home.remember("day0311/sora/own.jsonl", line("내 비밀 이야기는 나만 알고 있어.", conversation="own"))
    assert desk.erase("own").turns == 1


# What stops it


def test_a_damaged_file_stops_it_before_anything_is_done(desk: Desk) -> None:
    (desk.home.root / BOTH).write_text("{broken\n{}\n", encoding="utf-8")
    with pytest.raises(BadRequestError, match="Mend the file"):
        desk.erase()
    assert desk.home.ledger.erasures.all() == []
    assert SECRET in desk.home.said()


def test_another_memory_folder_stops_it(desk: Desk) -> None:
    desk.home.root.rename(desk.home.folder / "unmounted")
    desk.home.root.mkdir()
    with pytest.raises(StoreError, match="not the one that memoryd started on"):
        desk.erase()
    assert SECRET in desk.home.said()


def test_it_waits_for_the_file_that_is_being_read(desk: Desk) -> None:
    thread = threading.Thread(target=desk.erase)
    with desk.reading.of_files():
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert SECRET in desk.home.said()
    thread.join(60)
    assert SECRET not in desk.home.said()


# Cut short


def kill(desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """An erasure that ends at a call as a killed process does."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, die)
        with pytest.raises(KeyboardInterrupt):
            desk.erase()


@pytest.mark.parametrize(
    ("place", "state"),
    [
        ("memoryd.erase.carry_out", ErasureState.BEGUN),
        ("memoryd.ledger.erasures.ErasureStore.cut", ErasureState.BEGUN),
        ("memoryd.ledger.erasures.ErasureStore.compact", ErasureState.CUT),
        ("memoryd.ledger.erasures.ErasureStore.finish", ErasureState.CUT),
    ],
)
def test_what_a_kill_cuts_short_the_next_start_finishes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str, state: ErasureState
) -> None:
    kill(desk, monkeypatch, place)
    (row,) = desk.home.ledger.erasures.unfinished()
    assert row.state is state
    (desk.paths.state / "chroma" / "g0001").mkdir(parents=True)
    before = int(desk.home.ledger.setting(GENERATION) or 1)
    desk.finish()
    (done,) = desk.home.ledger.erasures.all()
    assert (done.state, done.conversation_id, done.turns) == (ErasureState.DONE, None, 1)
    # Once the text is gone nobody knows what to look for: that is no proof, and the record says so.
    assert done.found == (0 if state is ErasureState.BEGUN else None)
    assert SECRET.encode() not in desk.held()
    assert desk.home.said() == [KEPT]
    assert [json.loads(each)["text"] for each in (desk.home.root / BOTH).read_text("utf-8").splitlines()] == [
        KEPT
    ]
    assert int(desk.home.ledger.setting(GENERATION) or 1) == before + 1
    assert desk.home.ledger.setting(BUILDING)
    assert not list((desk.paths.state / "chroma").iterdir())


@pytest.mark.parametrize("place", ["memoryd.ledger.erasures.ErasureStore.cut", "memoryd.erase.scrub_logs"])
def test_what_broke_off_is_gone_on_with_when_it_is_asked_for_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    kill(desk, monkeypatch, place)
    desk.erase()
    (row,) = desk.home.ledger.erasures.all()
    assert row.state is ErasureState.DONE
    assert SECRET.encode() not in desk.held()


def test_an_erasure_that_the_next_start_finishes_leaves_nothing_on_a_chroma_elsewhere(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a review: the collections of the generations before stayed there, the erased vectors in them."""
    server = ChromaServer(max_file_bytes=2**30)
    server.start(tmp_path / "elsewhere" / "g0001")
    try:
        desk.chroma_url = server.url(60)

        def opened(instance: str) -> ChromaIndex:
            return ChromaIndex(
                RemoteChroma(desk.chroma_url),
                instance=instance,
                embedder="fake",
                dimension=4,
                generation=1,
                sync_threshold=1000,
            )

        for instance in (desk.home.ledger.instance(), "another"):
            opened(instance).upsert("", ["p_1"], np.eye(4, dtype=np.float32)[:1])
        kill(desk, monkeypatch, "memoryd.ledger.erasures.ErasureStore.compact")
        desk.finish()
        assert opened(desk.home.ledger.instance()).count("") == 0
        assert opened("another").count("") == 1
    finally:
        server.stop()


def test_while_a_chroma_elsewhere_cant_be_reached_no_erasure_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.chroma_url = "http://127.0.0.1:1"
    kill(desk, monkeypatch, "memoryd.ledger.erasures.ErasureStore.compact")
    with pytest.raises(IndexUnavailableError):
        desk.finish()
    (row,) = desk.home.ledger.erasures.unfinished()
    assert row.state is ErasureState.CUT


def test_without_the_memory_folder_the_next_start_waits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(desk, monkeypatch, "memoryd.ledger.erasures.ErasureStore.cut")
    desk.home.root.rename(desk.home.folder / "unmounted")
    desk.home.root.mkdir()
    desk.finish()
    (row,) = desk.home.ledger.erasures.unfinished()
    assert row.state is ErasureState.BEGUN


def test_the_search_is_no_formality(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memoryd.ledger.erasures.ErasureStore.compact", lambda _: None)
    found = {each.path for each in desk.erase().proof.search.found}
    assert "ledger.sqlite3-wal" in found


@pytest.mark.parametrize("place", ["memoryd.erase.carry_out", "memoryd.ledger.erasures.ErasureStore.compact"])
def test_a_ledger_that_is_damaged_before_it_is_done_brings_nothing_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    kill(desk, monkeypatch, place)
    desk.home.ledger.close()
    with (desk.paths.state / "ledger.sqlite3").open("r+b") as torn:
        torn.write(b"\xa5" * 4096)
    desk.home.ledger = Ledger(desk.paths.state)
    assert "was damaged" in desk.home.ledger.recovered
    desk.finish()
    assert desk.home.ledger.erasures.unfinished() == []
    assert SECRET.encode() not in desk.held()
    assert SECRET not in (desk.home.root / BOTH).read_text("utf-8")
    assert KEPT in (desk.home.root / BOTH).read_text("utf-8")


def test_what_an_old_identity_tells_in_other_words_under_another_name_goes_too(desk: Desk) -> None:
    desk.home.ledger.files.remove(BOTH)
    (desk.home.root / BOTH).unlink()
    edited = line("비밀 이야기를 고쳐 적어 두었어.", conversation="secret", speaker="지훈")
    desk.home.remember("day0311/moved.jsonl", edited)
    desk.loop.replay("now")
    report = desk.erase()
    first = desk.home.ledger.identities.get(1)
    assert first is not None
    assert SECRET not in first.text
    assert KEPT in first.text
    assert SECRET.encode() not in desk.held()
    assert report.proof.search.found == ()


def test_a_conversation_that_only_identities_quote_can_be_erased(desk: Desk) -> None:
    desk.home.ledger.files.remove(BOTH)
    (desk.home.root / BOTH).unlink()
    desk.erase()
    first = desk.home.ledger.identities.get(1)
    assert first is not None
    assert SECRET not in first.text
    with pytest.raises(NotFoundError):
        desk.erase()


def test_a_member_cuts_nothing_out_of_identities_with_words_like_anothers(desk: Desk) -> None:
    desk.home.ledger.files.remove(BOTH)
    (desk.home.root / BOTH).rename(desk.home.root / "day0310/renamed.jsonl")
    desk.home.read("day0310/renamed.jsonl")
    desk.home.users.add("sora", now=desk.clock.now())
    desk.home.remember("day0310/sora/own.jsonl", line(SECRET, conversation="copy", speaker="지훈"))
    desk.erase("copy", user=MEMBER)
    first = desk.home.ledger.identities.get(1)
    assert first is not None
    assert SECRET in first.text


RETOLD = "금고 이야기를 털어놓았다."


def _retell(desk: Desk) -> None:
    """A model sums up the day of the secret, and another one."""
    desk.home.remember("day0309/diary.jsonl", line("감자를 심었다.", conversation="diary"))
    model = FakeGenerator("llama", answer=RETOLD)
    assert DigestWriter(digests=desk.digests, loop=desk.loop, models=[model]).step() == 2
    assert RETOLD.encode() in desk.held()


def test_what_a_model_retold_goes_with_it_from_every_version(desk: Desk) -> None:
    """Of whatever day: nobody knows what a model's words retell."""
    _retell(desk)
    desk.erase()
    assert RETOLD.encode() not in desk.held()
    identity = desk.loop.identity()
    assert identity is not None
    assert "감자를 심었다." in identity.text
    assert len(desk.digests.missing()) == 2


def test_a_member_who_erases_their_own_leaves_digests_in_identities(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None retells a member's own, and that somebody erases is nobody's business."""
    monkeypatch.setattr(desk.home.users, "owner_of", lambda path: "sora" if "/sora/" in path else "")
    _retell(desk)
    desk.home.remember("day0310/sora/own.jsonl", line("소라만의 말.", conversation="own"))
    before = desk.loop.identity()
    desk.erase("own", user=MEMBER)
    assert desk.loop.identity() == before
    assert not desk.digests.missing()


def test_a_conversation_that_opened_a_day_is_not_said_to_be_left_in_the_models_words(desk: Desk) -> None:
    """The same words may be written again of what is left of the day; they were not the conversation's."""
    model = FakeGenerator("llama", answer=RETOLD)
    writer = DigestWriter(digests=desk.digests, loop=desk.loop, models=[model])
    assert writer.step() == 1
    plan = make_plan(
        desk.home.ledger, desk.paths, desk.journal, "secret", scope_of(desk.home.users, ORIGIN.id)
    )
    assert not plan.sought.stands_in(RETOLD.encode())
    assert plan.sought.stands_in(SECRET.encode())


def test_an_erasure_ends_the_digest_that_a_model_is_writing(desk: Desk) -> None:
    ended: list[int] = []
    desk.eraser._drop_digest = lambda: ended.append(len(desk.generator.requests))
    desk.erase()
    assert ended
