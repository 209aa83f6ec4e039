"""A member's own words go with their questions, and nobody else's with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from memoryd.own_part import OwnParts
from memoryd.users import User
from tests.memoryd.parts import Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = "나는 금요일마다 탁구장에서 서브 연습을 하고 있어."


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.users.add("minji", now=home_time())
    home.users.add("jun", now=home_time())
    home.remember("day0315/minji/a.jsonl", line(OWN, conversation="a", speaker="민지"))
    home.remember("day0315/cat.jsonl", line("두부는 지붕에서 자는 회색 고양이야.", conversation="b"))
    yield home
    home.ledger.close()


def home_time() -> datetime:
    return datetime(2026, 3, 15, tzinfo=UTC)


def test_it_is_of_their_own_turns_alone(home: Home) -> None:
    parts = OwnParts(home.ledger, embedder=home.embedder.id, budget=200)
    assert OWN in parts.of(User(id="minji"))
    assert "두부" not in parts.of(User(id="minji"))
    assert parts.of(User(id="jun")) == ""
    assert parts.of(home.users.origin) == ""


def test_it_is_kept_until_something_is_forgotten(home: Home) -> None:
    parts = OwnParts(home.ledger, embedder=home.embedder.id, budget=200)
    before = parts.of(User(id="minji"))
    home.ledger.files.remove("day0315/minji/a.jsonl")
    assert parts.of(User(id="minji")) == before
    parts.forget()
    assert parts.of(User(id="minji")) == ""
