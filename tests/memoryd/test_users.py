"""Who is asking, and whose a file is."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import UnauthorizedError
from memoryd.owners import DEFAULT_ORIGIN, SHARED
from memoryd.users import Users

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest" / "origin_id.txt").write_text("jihoon\n", encoding="utf-8")
    return tmp_path / "manifest"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def token(state: Path) -> str:
    return (state / "origin.token").read_text(encoding="utf-8").strip()


# The origin


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("jihoon", "jihoon"),
        ("  지훈 \n두 번째 줄", "지훈"),
        ("\ufeffjihoon\r\n", "jihoon"),
        ("a/b", "a_b"),
        ("", DEFAULT_ORIGIN),
        (" \n", DEFAULT_ORIGIN),
    ],
)
def test_the_origin_is_the_first_word_of_its_file(
    manifest: Path, state: Path, written: str, origin: str
) -> None:
    (manifest / "origin_id.txt").write_text(written, encoding="utf-8")
    assert Users(manifest, state).origin.id == origin


def test_without_the_file_or_with_one_that_is_no_text_there_is_still_an_origin(
    manifest: Path, state: Path
) -> None:
    (manifest / "origin_id.txt").write_bytes(b"\xff\xfe\xff")
    assert Users(manifest, state).origin.id == DEFAULT_ORIGIN
    (manifest / "origin_id.txt").unlink()
    assert Users(manifest, state).origin.id == DEFAULT_ORIGIN


def test_the_origin_recalls_what_is_shared_and_its_own(manifest: Path, state: Path) -> None:
    assert Users(manifest, state).origin.owners == (SHARED, "jihoon")


# The token


def test_the_token_is_made_once_and_readable_by_its_owner_alone(manifest: Path, state: Path) -> None:
    Users(manifest, state)
    made = token(state)
    assert len(made) >= 40
    assert stat.S_IMODE((state / "origin.token").stat().st_mode) == 0o600
    assert sorted(file.name for file in state.iterdir()) == ["origin.token", "users.json"]
    Users(manifest, state)
    assert token(state) == made


def test_an_empty_token_file_gets_a_token(manifest: Path, state: Path) -> None:
    state.mkdir()
    (state / "origin.token").write_text("\n")
    users = Users(manifest, state)
    assert users.of_token(token(state)) == users.origin


def test_a_token_written_by_hand_is_taken(manifest: Path, state: Path) -> None:
    state.mkdir()
    (state / "origin.token").write_text("chosen\n")
    users = Users(manifest, state)
    assert users.of_token("chosen") == users.origin


@pytest.mark.parametrize("given", [None, "", "wrong", "토큰"])
def test_no_token_or_nobodys_is_told_where_the_right_one_is(
    manifest: Path, state: Path, given: str | None
) -> None:
    with pytest.raises(UnauthorizedError, match=r"origin\.token; set MEMORYD_TOKEN to it"):
        Users(manifest, state).of_token(given)


# Whose a file is


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("day0315/talk.txt", SHARED),
        ("day0315/jihoon/talk.txt", "jihoon"),
        ("day0315/jihoon/deep/talk.txt", "jihoon"),
        ("day0315/photos/jihoon/talk.txt", SHARED),
        ("day0315/someone/talk.txt", SHARED),
        ("day0315/jihoon", SHARED),
        ("jihoon/talk.txt", "jihoon"),
        ("day0315/Jihoon/talk.txt", "jihoon"),
        ("day0315/JIHOON/talk.txt", "jihoon"),
    ],
)
def test_a_folder_with_the_users_id_in_a_day_folder_is_that_users(
    manifest: Path, state: Path, path: str, owner: str
) -> None:
    assert Users(manifest, state).owner_of(path) == owner
