"""Who is asking, and whose a file is."""

from __future__ import annotations

import shutil
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import BadRequestError, ConflictError, NotFoundError, StoreError, UnauthorizedError
from memoryd.origin import DEFAULT_ORIGIN, confirm_origin
from memoryd.owners import SHARED
from memoryd.users import Users

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd.owners import Owners


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
    assert sorted(file.name for file in state.iterdir()) == ["origin.id", "origin.token", "users.json"]
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


# Members


NOW = datetime(2026, 3, 15, tzinfo=UTC)


def test_a_member_sees_what_is_shared_and_their_own_and_the_origin_everything(
    manifest: Path, state: Path
) -> None:
    users = Users(manifest, state)
    for name in ("민지", "jun"):
        member, made = users.add(name, now=NOW)
        assert users.of_token(made) == member
        assert member.owners == (SHARED, name)
    assert users.origin.owners == (SHARED, "jihoon", "민지", "jun")
    assert users.identity_owners == (SHARED, "jihoon")


def test_no_token_is_kept_and_nobody_else_reads_who_has_one(manifest: Path, state: Path) -> None:
    _, made = Users(manifest, state).add("minji", now=NOW)
    kept = state / "users.json"
    assert made not in kept.read_text("utf-8")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert Users(manifest, state).of_token(made).id == "minji"


def test_the_seventh_user_is_told_why(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    for number in range(5):
        users.add(f"user{number}", now=NOW)
    with pytest.raises(ConflictError, match=r"6 users already.*jihoon, user0, .*user4"):
        users.add("seventh", now=NOW)
    users.remove("user2")
    users.add("seventh", now=NOW)


@pytest.mark.parametrize("name", ["minji", "Minji", "ＭＩＮＪＩ", "jihoon", "JIHOON"])
def test_a_name_is_taken_however_it_is_written(manifest: Path, state: Path, name: str) -> None:
    users = Users(manifest, state)
    users.add("minji", now=NOW)
    with pytest.raises(ConflictError, match="There is a user"):
        users.add(name, now=NOW, returning=True)


def test_a_removed_members_folders_stay_theirs_for_the_origin_alone(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    _, made = users.add("minji", now=NOW)
    assert users.remove("MINJI") == "minji"
    with pytest.raises(UnauthorizedError):
        users.of_token(made)
    for known in (users, Users(manifest, state)):
        assert known.former == ("minji",)
        assert known.owner_of("day0315/minji/a.txt") == "minji"
        assert "minji" in known.origin.owners
    with pytest.raises(NotFoundError):
        users.remove("minji")


def test_the_name_of_one_who_has_gone_is_given_to_nobody_by_accident(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    users.add("minji", now=NOW)
    users.remove("minji")
    with pytest.raises(ConflictError, match="--returning"):
        users.add("minji", now=NOW)
    with pytest.raises(ConflictError):
        users.add("Minji", now=NOW, returning=True)
    member, _ = users.add("minji", now=NOW, returning=True)
    assert (member.id, users.former) == ("minji", ())


def test_folders_stay_private_where_the_state_folder_is_lost(manifest: Path, state: Path) -> None:
    Users(manifest, state).add("minji", now=NOW)
    shutil.rmtree(state)
    users = Users(manifest, state)
    assert users.owner_of("day0315/minji/a.txt") == "minji"
    assert (users.members, users.former) == ((), ("minji",))


def test_another_origin_does_not_open_the_folders_of_the_one_before(manifest: Path, state: Path) -> None:
    Users(manifest, state).add("minji", now=NOW)
    (manifest / "origin_id.txt").write_text("지훈", encoding="utf-8")
    confirm_origin(manifest, state, "지훈")
    users = Users(manifest, state)
    assert users.owner_of("day0315/jihoon/a.txt") == "jihoon"
    assert users.origin.owners == (SHARED, "지훈", "minji", "jihoon")
    (manifest / "origin_id.txt").write_text("minji", encoding="utf-8")
    confirm_origin(manifest, state, "minji")
    assert Users(manifest, state).members == ()


def test_a_rotated_token_is_the_only_good_one(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    _, before = users.add("minji", now=NOW)
    user, after = users.rotate("minji")
    assert users.of_token(after).id == user == "minji"
    with pytest.raises(UnauthorizedError):
        users.of_token(before)


def test_the_origins_token_is_rotated_in_its_file(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    before = token(state)
    user, after = users.rotate("jihoon")
    assert (user, token(state)) == ("jihoon", after)
    assert users.of_token(after).is_origin
    with pytest.raises(UnauthorizedError):
        users.of_token(before)


def test_the_origin_can_not_be_removed(manifest: Path, state: Path) -> None:
    with pytest.raises(BadRequestError, match=r"origin_id\.txt"):
        Users(manifest, state).remove("jihoon")


def test_files_have_their_owner_before_anybody_has_the_token(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)

    def owned(owners: Owners) -> None:
        assert owners.of("day0315/minji/a.txt") == "minji"
        assert users.members == ()

    users.add("minji", now=NOW, owned=owned)


def test_a_ledger_that_refuses_leaves_everything_as_it_was(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)

    def refuses(_: Owners) -> None:
        raise StoreError("The disk is full.")

    with pytest.raises(StoreError):
        users.add("minji", now=NOW, owned=refuses)
    assert (users.members, users.owner_of("day0315/minji/a.txt")) == ((), SHARED)
    users.add("minji", now=NOW)


def test_users_that_can_not_be_read_stop_everything(manifest: Path, state: Path) -> None:
    Users(manifest, state).add("minji", now=NOW)
    (state / "users.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="who the members are"):
        Users(manifest, state)


def test_names_narrow_what_a_user_sees_and_never_widen_it(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    member, _ = users.add("minji", now=NOW)
    users.add("jun", now=NOW)
    assert users.origin.narrowed(["jun", "shared"]) == ("jun", SHARED)
    assert member.narrowed(None) == member.owners
    said = []
    for name in ("jun", "nobody", "jihoon"):
        with pytest.raises(BadRequestError) as caught:
            member.narrowed([name])
        said.append(str(caught.value).replace(name, "…"))
    assert len(set(said)) == 1
