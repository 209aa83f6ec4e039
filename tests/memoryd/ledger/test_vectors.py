"""Vectors are kept under embedder and text, and searched exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.ledger import vectors as vectors_module
from tests.memoryd.ledger.made import EMBEDDER, SHARED, empty_outbox, key, passage_id, put, vector

if TYPE_CHECKING:
    from memoryd.ledger import Ledger

PATH = "day0315/talk.txt"
TEXTS = [f"text {number}" for number in range(60)]


def test_a_text_has_a_vector_for_the_embedder_that_made_it_alone(ledger: Ledger) -> None:
    ledger.vectors.save(EMBEDDER, {key("one"): vector("one")})
    assert ledger.vectors.missing(EMBEDDER, [key("one"), key("two"), key("two")]) == {key("two")}
    assert ledger.vectors.missing("fake-2", [key("one")]) == {key("one")}


def test_more_keys_than_a_statement_takes_are_no_trouble(ledger: Ledger) -> None:
    keys = [key(str(number)) for number in range(2 * vectors_module.CHUNK + 1)]
    ledger.vectors.save(EMBEDDER, {keys[-1]: vector("last")})
    assert ledger.vectors.missing(EMBEDDER, keys) == set(keys[:-1])


def test_embedding_a_text_twice_is_seen_in_the_counter(ledger: Ledger) -> None:
    assert ledger.vectors.embedded_texts() == 0
    ledger.vectors.save(EMBEDDER, {key("one"): vector("one"), key("two"): vector("two")})
    assert (ledger.vectors.count(), ledger.vectors.embedded_texts()) == (2, 2)
    ledger.vectors.save(EMBEDDER, {key("one"): vector("one")})
    assert (ledger.vectors.count(), ledger.vectors.embedded_texts()) == (2, 3)


@pytest.mark.parametrize("k", [1, 7, 60, 500])
def test_exact_search_is_what_numpy_says(ledger: Ledger, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "CHUNK", 4)  # several parts
    put(ledger, PATH, *TEXTS)
    question = vector("question")
    scores = np.stack([vector(text) for text in TEXTS]) @ question
    expected = [passage_id(PATH, TEXTS[place]) for place in np.argsort(-scores)[:k]]
    found = ledger.vectors.nearest(EMBEDDER, SHARED, question, k)
    assert [each for each, _ in found] == expected
    np.testing.assert_allclose([score for _, score in found], np.sort(scores)[::-1][:k], atol=1e-6)


def test_exact_search_keeps_owners_apart(ledger: Ledger) -> None:
    put(ledger, PATH, "shared")
    put(ledger, "day0315/jihoon/own.txt", "own", owner="jihoon")
    put(ledger, "day0315/mia/secret.txt", "secret", owner="mia")

    def seen(*owners: str) -> set[str]:
        found = ledger.vectors.nearest(EMBEDDER, owners, vector("secret"), 10)
        return {each.rpartition(":")[2] for each, _ in found}

    assert seen("") == {"shared"}
    assert seen("", "jihoon") == {"shared", "own"}
    assert seen("mia") == {"secret"}
    assert seen("nobody") == set()


def test_exact_search_never_compares_two_embedders(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    assert ledger.vectors.nearest("fake-2", SHARED, vector("one"), 10) == []


def test_what_chroma_has_not_taken_yet_can_be_searched_alone(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    empty_outbox(ledger)
    put(ledger, "day0316/new.txt", "two")
    found = ledger.vectors.nearest(EMBEDDER, SHARED, vector("one"), 10, waiting_only=True)
    assert [each for each, _ in found] == [passage_id("day0316/new.txt", "two")]


def test_an_empty_ledger_has_nothing_near(ledger: Ledger) -> None:
    assert ledger.vectors.nearest(EMBEDDER, SHARED, vector("one"), 10) == []
    assert ledger.vectors.sample(EMBEDDER, 8) == []


def test_samples_are_what_the_index_should_hold(ledger: Ledger) -> None:
    put(ledger, PATH, *TEXTS)
    put(ledger, "day0315/jihoon/own.txt", "own", owner="jihoon")
    empty_outbox(ledger)
    put(ledger, "day0316/new.txt", "waiting")
    samples = ledger.vectors.sample(EMBEDDER, 8)
    stored = [vector(text) for text in (*TEXTS, "own")]
    assert 4 <= len(samples) <= 8
    for each in samples:
        (text,) = [
            text for text, own in zip((*TEXTS, "own"), stored, strict=True) if (own == each.vector).all()
        ]
        assert each.owner == ("jihoon" if text == "own" else "")


def test_all_that_the_index_should_hold_is_walked_through_in_steps(ledger: Ledger) -> None:
    put(ledger, PATH, *TEXTS)
    empty_outbox(ledger)
    put(ledger, "day0316/new.txt", "waiting")
    row, walked = 0, []
    while part := ledger.vectors.after(EMBEDDER, row, 2):
        walked += [each.vector.tobytes() for each in part]
        row = part[-1].row
    assert walked == [vector(text).tobytes() for text in TEXTS]


def test_a_vector_comes_back_bit_for_bit(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    (each,) = ledger.outbox.batch(EMBEDDER, 10)
    assert each.vector == vector("one").tobytes()
