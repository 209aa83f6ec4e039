"""`verify` finds whatever is not as the files say, names it, and accuses nothing that only waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd import verify
from memoryd.errors import IndexDamagedError, StoreError
from memoryd.index_keeper import BUILDING
from memoryd.testing import FakeClock, FakeFileEvents
from memoryd.verify import REBUILD, Report, Verifier
from memoryd.watch import Watcher
from tests.memoryd.parts import WORDS, WRITTEN, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd.ledger.audit import StoredPassage

TALK = "day0315/talk.jsonl"
OWN = "day0316/jihun/own.jsonl"
TURNS = {
    TALK: line("두부는 고양이야.", id="t1", role="user")
    + line("The kettle is in the attic.", id="t2", role="user"),
    OWN: line("우표는 옥상에 있어.", id="o1", role="user"),
}


@dataclass
class Scene:
    """A memory that is in step, and a verifier over it."""

    home: Home
    watcher: Watcher
    verifier: Verifier

    def run(self, *, full: bool = True) -> Report:
        return self.verifier.run(full=full)

    def found(self) -> list[tuple[str, str]]:
        """(kind, path) of each difference."""
        return [(each.kind, each.path) for each in self.run().differences]

    def details(self) -> str:
        return "\n".join(each.detail for each in self.run().differences)

    def spoil(self, statement: str, *values: object) -> None:
        """Changes the ledger behind its back."""
        with self.home.ledger._database.write() as connection:
            assert connection.execute(statement, values).rowcount

    def rebuild(self, *, embed: bool = False) -> None:
        embedder = self.home.embedder
        self.home.ledger.begin_rebuild(embedder.id, embedder.dimension, embed=embed)
        self.watcher.rescan()
        self.watcher.step()
        self.home.index.vectors.clear()
        self.home.ledger.outbox.refill()
        self.home.feed()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(verify, "MORE_LOOKS_S", 0.0)
    home = Home(tmp_path)
    for path, text in TURNS.items():
        home.remember(path, text)
    home.feed()
    watcher = Watcher(
        root=home.root,
        events=FakeFileEvents(),
        read=home.ingest.read,
        give_up=home.ingest.give_up,
        known=home.ledger.files.known,
        clock=FakeClock(),
        settle_seconds=0,
        rescan_seconds=0,
    )
    watcher.step()
    verifier = Verifier(
        memory=home.root,
        ledger=home.ledger,
        embedder=home.embedder,
        words=WORDS,
        ingest=home.ingest,
        watcher=watcher,
        index=lambda: home.index,
        origin="jihun",
    )
    yield Scene(home, watcher, verifier)
    home.ledger.close()


def test_in_step_nothing_differs_and_everything_was_compared(scene: Scene) -> None:
    report = scene.run()
    assert (report.differences, report.waiting) == ([], [])
    assert (report.files, report.refused, report.turns) == (2, 0, 3)
    assert report.passages == report.words == report.vectors == report.index_ids == report.index_vectors == 2


def test_an_empty_memory_is_in_step(tmp_path: Path, scene: Scene) -> None:
    for path in TURNS:
        (scene.home.root / path).unlink()
        scene.home.read(path)
    scene.home.feed()
    (scene.home.root / "day0315/empty.txt").write_text("")
    scene.home.read("day0315/empty.txt")
    assert scene.run().differences == []


# Files


def test_a_file_that_nobody_noticed_is_found(scene: Scene) -> None:
    scene.home.put("day0317/new.txt", "새로 온 파일이야.")
    assert scene.found() == [("file", "day0317/new.txt")]
    assert "it is not in the ledger" in scene.details()


def test_a_file_that_changed_or_went_and_nobody_noticed_is_found(scene: Scene) -> None:
    scene.home.put(TALK, line("다른 말이야.", id="t9"))
    (scene.home.root / OWN).unlink()
    assert scene.found() == [("file", TALK), ("file", OWN)]
    assert "changed since it was read" in scene.details()
    assert "is gone, and is still remembered" in scene.details()


def test_a_memory_folder_that_is_not_there_is_one_fault_and_no_hundred(scene: Scene) -> None:
    scene.home.root.rename(scene.home.root.with_name("away"))
    with pytest.raises(StoreError, match="Mount or move that one back"):
        scene.run()
    scene.home.root.mkdir()
    with pytest.raises(StoreError, match="is not the one that memoryd started on"):
        scene.run()


def test_a_file_that_waits_to_be_read_is_no_difference(scene: Scene) -> None:
    scene.home.put(TALK, line("다른 말이야.", id="t9"))
    scene.watcher.note(TALK)
    scene.home.put("day0317/new.txt", "새로 온 파일이야.")
    scene.watcher.note("day0317/new.txt")
    report = scene.run()
    assert report.differences == []
    assert "2 files wait to be read" in report.waiting


def test_files_that_a_rebuild_has_yet_to_read_wait(scene: Scene) -> None:
    scene.home.ledger.begin_rebuild(scene.home.embedder.id, scene.home.embedder.dimension, embed=True)
    report = scene.run()
    assert [each for each in report.differences if each.kind != "index"] == []
    assert "2 files wait to be read" in report.waiting


def test_a_refused_file_is_counted_and_not_accused(scene: Scene) -> None:
    scene.home.remember("day0317/torn.json", "[")
    scene.home.remember("day0317/long.txt", "x" * 20_000)
    scene.home.remember("elsewhere.txt", "In no day folder.")
    report = scene.run()
    assert report.differences == []
    assert report.refused == 3


# Turns and passages


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("UPDATE turns SET text = 'else' WHERE turn_id = 't1'", "turns", "other words for the turns t1"),
        ("UPDATE turns SET speaker = 'else' WHERE turn_id = 't2'", "turns", "other words for the turns t2"),
        ("UPDATE turns SET turn_id = 'x' WHERE turn_id = 't2'", "turns", "other words for the turns t2"),
        ("DELETE FROM turns WHERE turn_id = 't1'", "turns", "lacks the turns t1"),
        ("UPDATE conversations SET conversation_id = 'x' WHERE file = 1", "turns", "not in it: x"),
        ("UPDATE passages SET text = 'else' WHERE file = 1", "passages", "other text is kept of p_"),
        ("UPDATE passages SET passage_id = 'p_x' WHERE file = 1", "passages", "not in it: p_x"),
    ],
)
def test_a_row_that_is_not_as_its_file_is_found_and_a_rebuild_mends_it(
    scene: Scene, statement: str, kind: str, words: str
) -> None:
    scene.spoil(statement)
    report = scene.run()
    assert (kind, TALK) in {(each.kind, each.path) for each in report.differences}
    assert words in scene.details()
    assert all(each.remedy == REBUILD for each in report.differences)
    scene.rebuild()
    assert scene.run().differences == []


# Words


@pytest.mark.parametrize(
    ("statement", "path", "words"),
    [
        ("UPDATE lexical SET morphemes = 'else' WHERE rowid = 1", TALK, "other words are kept of p_"),
        ("DELETE FROM lexical WHERE rowid = 1", TALK, "no words are kept of p_"),
        ("INSERT INTO lexical (rowid, morphemes, bigrams) VALUES (99, 'a', 'b')", "", "1 row that belong"),
        ("UPDATE lexical_content SET c0 = 'else' WHERE id = 2", "", "does not agree with its rows"),
    ],
)
def test_other_words_are_found_and_a_rebuild_mends_them(
    scene: Scene, statement: str, path: str, words: str
) -> None:
    scene.spoil(statement)
    assert ("words", path) in scene.found()
    assert words in scene.details()
    scene.rebuild()
    assert scene.run().differences == []
    assert scene.home.ledger.damage == ""


def test_without_full_words_are_sampled(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "SAMPLED_WORDS", 1)
    scene.home.remember(
        "day0318/many.txt", "\n\n".join(f"Shelf {number} holds a drum." for number in range(60))
    )
    scene.home.feed()
    report = scene.run(full=False)
    assert report.differences == []
    assert report.words < report.passages
    assert scene.run(full=True).words == report.passages


# Vectors


def test_a_missing_or_broken_vector_is_found_and_made_again_alone(scene: Scene) -> None:
    ledger, embedder = scene.home.ledger, scene.home.embedder
    keys = [row.vector_key for path in TURNS for row in passages(scene, path)]
    half = np.full(embedder.dimension, 0.5, "<f4").tobytes()
    scene.spoil("UPDATE vectors SET vector = ? WHERE key = ?", half, keys[0])
    scene.spoil("DELETE FROM vectors WHERE key = ?", keys[1])
    found = scene.found()
    assert ("vectors", TALK) in found
    assert ("vectors", OWN) in found
    assert "the vector is broken" in scene.details()
    assert "no vector of fake" in scene.details()
    before = ledger.vectors.embedded_texts()
    scene.rebuild()
    assert scene.run().differences == []
    assert ledger.vectors.embedded_texts() == before + 2


def passages(scene: Scene, path: str) -> tuple[StoredPassage, ...]:
    stored = scene.home.ledger.audit.file(path)
    assert stored is not None
    return tuple(row for rows in stored.passages.values() for row in rows)


# Chroma


def test_what_chroma_lacks_has_too_much_or_holds_otherwise_is_found(scene: Scene) -> None:
    shared, own = scene.home.index.vectors[""], scene.home.index.vectors["jihun"]
    (name,) = shared
    shared[name] = -shared[name]
    shared["p_ghost"] = shared[name]
    own.clear()
    details = scene.details()
    assert "Chroma has what the ledger does not know: p_ghost" in details
    assert f"Chroma has other vectors than the ledger of {name}" in details
    assert "Chroma lacks p_" in details
    assert "(of jihun)" in details
    scene.rebuild()
    assert scene.run().differences == []


def test_what_waits_for_chroma_is_no_difference(scene: Scene) -> None:
    scene.home.remember("day0318/late.txt", "The lantern hangs by the river.")
    scene.home.put(OWN, line("우표는 다락에 있어.", id="o2"))
    scene.home.read(OWN)
    report = scene.run()
    assert report.differences == []
    assert any("for Chroma" in each for each in report.waiting)


def test_an_index_that_chroma_cant_read_is_to_be_made_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(owner: str) -> set[str]:
        raise IndexDamagedError(f"Chroma can't read its index of {owner}.")

    monkeypatch.setattr(scene.home.index, "ids", ids)
    (difference,) = scene.run().differences
    assert (difference.kind, difference.remedy) == ("index", REBUILD)


def test_an_index_that_is_made_anew_or_away_is_said(scene: Scene) -> None:
    scene.home.index.broken = True
    (difference,) = scene.run().differences
    assert (difference.kind, difference.detail) == ("index", "The fake index is broken, as the test asked.")
    assert "memoryd status" in difference.remedy
    scene.home.ledger.remember(BUILDING, "1")
    report = scene.run()
    assert report.differences == []
    assert report.waiting == ["the vector index is being made anew"]


# Rebuild


def everything(scene: Scene) -> tuple[set[str], dict[bytes, bytes]]:
    ids = {row.id for path in TURNS for row in passages(scene, path)}
    with scene.home.ledger._database.read() as connection:
        vectors = dict(connection.execute("SELECT key, vector FROM vectors").fetchall())
    return ids, vectors


def test_a_rebuild_makes_the_same_ids_and_vectors_and_embeds_nothing(scene: Scene) -> None:
    ledger = scene.home.ledger
    before, embedded = everything(scene), ledger.vectors.embedded_texts()
    identity = ledger.identities.add(
        digest="d", text="나", tokens=1, missing=[], created_at=FakeClock().now()
    )
    held = {owner: set(ids) for owner, ids in scene.home.index.vectors.items()}
    scene.rebuild()
    assert everything(scene) == before
    assert ledger.vectors.embedded_texts() == embedded
    assert ledger.identities.latest() == identity
    assert {owner: set(ids) for owner, ids in scene.home.index.vectors.items()} == held
    assert scene.run().differences == []


def test_a_rebuild_that_is_asked_to_embed_does(scene: Scene) -> None:
    ledger = scene.home.ledger
    before, embedded = everything(scene), ledger.vectors.embedded_texts()
    scene.rebuild(embed=True)
    assert everything(scene) == before
    assert ledger.vectors.embedded_texts() == embedded + 2
    assert scene.run().differences == []


def test_embedding_again_keeps_the_vectors_of_what_can_no_longer_be_read(scene: Scene) -> None:
    before = everything(scene)
    scene.home.remember(TALK, "\0\1\2 not JSON")
    assert scene.home.ledger.files.get(TALK)
    scene.rebuild(embed=True)
    assert everything(scene) == before
    assert scene.run().differences == []


# While files are read


def test_while_files_are_read_nothing_is_accused(scene: Scene) -> None:
    stop = threading.Event()

    def edit() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            path = f"day0320/file{number % 7}.txt"
            scene.home.put(path, f"Shelf {number} holds a drum.", written=WRITTEN + timedelta(seconds=number))
            scene.watcher.note(path, settled=True)
            scene.watcher.step()
            scene.home.feed()

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        for _ in range(8):
            assert scene.run().differences == []
    finally:
        stop.set()
        thread.join()
    assert scene.run().differences == []
