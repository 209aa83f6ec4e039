"""An erasure leaves nothing of a conversation in any table, and everything of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.errors import StoreError
from memoryd.ledger import ErasureState, database
from memoryd.ledger.database import Database
from memoryd.ledger.erasures import digest_of
from memoryd.ledger.rows import NewFile
from tests.memoryd.ledger.made import EMBEDDER, START, conversation, empty_outbox, key, put, row, vector
from tests.memoryd.parts import all_turns

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd.ledger import ErasureRow, Ledger

BOTH = "day0315/both.jsonl"
ALONE = "day0316/alone.jsonl"


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """`secret` and `garden` in one file, `c1` in another; "walnut shared" is said in two of them."""
    texts = ("zebra password", "walnut shared", "walnut tomatoes")
    ledger.vectors.save(EMBEDDER, {key(text): vector(text) for text in (*texts, "long edited away")})
    conversations = (
        conversation(texts[:2], path=BOTH, name="secret", title="The zebra"),
        conversation(texts[2:], path=BOTH, name="garden", title="Tomatoes"),
    )
    ledger.files.replace(NewFile(row=row(BOTH), day="day0315", conversations=conversations))
    put(ledger, ALONE, "walnut shared")
    empty_outbox(ledger)
    return ledger


def begin(ledger: Ledger) -> ErasureRow:
    return ledger.erasures.begin("secret", by="jihun", at=START, turns=2)


def test_every_row_of_it_goes_and_the_others_stay(told: Ledger) -> None:
    taken = told.erasures.cut(begin(told), targets={BOTH: BOTH}, removed=[], scrubbed=str)
    assert (taken.turns, taken.passages, taken.vectors, taken.identities) == (2, 2, 2, 0)
    assert told.files.conversation("secret") is None
    assert {turn.text for turn in all_turns(told, [""])} == {"walnut shared", "walnut tomatoes"}
    assert told.vectors.missing(EMBEDDER, [key("walnut shared"), key("walnut tomatoes")]) == set()
    assert told.vectors.count() == told.vectors.embedded_texts() == 2
    assert told.outbox.expected(EMBEDDER) == {"": 2}
    assert told.files.known()[BOTH][0] < 0
    assert told.files.known()[ALONE][0] > 0


def test_a_file_that_is_gone_takes_all_that_came_from_it(told: Ledger) -> None:
    told.erasures.cut(begin(told), targets={}, removed=[BOTH], scrubbed=str)
    assert list(told.files.known()) == [ALONE]
    assert told.files.totals().passages == 1


def test_a_file_that_was_replaced_keeps_its_passages_under_the_new_name(told: Ledger) -> None:
    told.erasures.cut(begin(told), targets={BOTH: f"{BOTH}.jsonl"}, removed=[], scrubbed=str)
    assert set(told.files.known()) == {ALONE, f"{BOTH}.jsonl"}
    stored = told.files.conversation("garden")
    assert stored is not None
    assert stored.paths == (f"{BOTH}.jsonl",)


def test_the_id_is_kept_only_until_the_cut(told: Ledger) -> None:
    erasure = begin(told)
    assert told.erasures.unfinished() == [erasure]
    assert (erasure.state, erasure.conversation_id) == (ErasureState.BEGUN, "secret")
    told.erasures.cut(erasure, targets={BOTH: BOTH}, removed=[], scrubbed=str)
    (cut,) = told.erasures.unfinished()
    assert (cut.state, cut.conversation_id, cut.digest) == (ErasureState.CUT, None, digest_of("secret"))
    told.erasures.finish(cut.id, at=START, fragments=7, found=0)
    (done,) = told.erasures.all()
    assert told.erasures.unfinished() == []
    assert (done.state, done.by, done.turns, done.fragments, done.found) == (
        ErasureState.DONE,
        "jihun",
        2,
        7,
        0,
    )
    assert done.begun_at == done.done_at == START


def test_identities_are_scrubbed(told: Ledger) -> None:
    for text in ("a zebra", "a walnut"):
        told.identities.add(digest=text, text=text, tokens=1, missing=(), created_at=START)
    taken = told.erasures.cut(
        begin(told), targets={BOTH: BOTH}, removed=[], scrubbed=lambda text: text.replace("zebra", "–")
    )
    assert taken.identities == 1
    texts = [each.text for version in (1, 2) if (each := told.identities.get(version))]
    assert texts == ["a –", "a walnut"]


def test_words_that_nobody_else_has_are_known_before_and_gone_after(told: Ledger) -> None:
    words = told.erasures.rare_words("secret")
    assert sorted(words) == ["password", "zebra"]
    assert told.erasures.words_left(words) == 2
    told.erasures.cut(begin(told), targets={BOTH: BOTH}, removed=[], scrubbed=str)
    assert told.erasures.words_left(words) == 0


def test_what_lies_beside_it_is_listed(told: Ledger) -> None:
    assert [(path, turn.text) for path, turn in told.erasures.turns_beside("secret")] == [
        (BOTH, "walnut tomatoes")
    ]
    beside = list(told.erasures.texts_beside("secret"))
    assert {name for name, _ in beside} == {"garden", "c1"}
    assert ("c1", "walnut shared") in beside
    assert not any("zebra" in text for _, text in beside)


def test_only_vectors_that_nobody_else_uses_are_its_own(told: Ledger) -> None:
    assert told.erasures.vectors_of("secret") == [vector("zebra password").astype("<f4").tobytes()]


def test_after_compacting_no_byte_of_it_is_in_the_files(told: Ledger, tmp_path: Path) -> None:
    def files() -> bytes:
        return b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir())

    own = vector("zebra password").astype("<f4").tobytes()
    assert b"zebra" in files()
    assert own in files()
    told.erasures.cut(begin(told), targets={BOTH: BOTH}, removed=[], scrubbed=str)
    told.erasures.compact()
    held = files()
    assert b"zebra" not in held
    assert own not in held
    assert b"secret" not in held
    assert vector("walnut tomatoes").astype("<f4").tobytes() in held
    assert (tmp_path / "state" / "ledger.sqlite3-wal").stat().st_size == 0


def test_a_reader_without_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "COMPACT_TRIES", 1)
    opened = Database(tmp_path / "ledger.sqlite3")
    opened._writer.execute("PRAGMA busy_timeout=10")
    with opened.write() as connection:
        connection.executemany(
            "INSERT INTO settings VALUES (?, ?)", [(str(n), "x" * 1000) for n in range(20)]
        )
    with opened.read() as connection:
        endless = connection.execute("SELECT * FROM settings")
        endless.fetchone()
        with pytest.raises(StoreError, match=r"being read without end|can't be written anew"):
            opened.compact()
        endless.close()
    opened.compact()
    opened.close()
