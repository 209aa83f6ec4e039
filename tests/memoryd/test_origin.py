from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.errors import BadRequestError, StoreError
from memoryd.origin import (
    DEFAULT_ORIGIN,
    confirm_origin,
    origin_in_force,
    remembered_origin,
    settle_origin,
    unconfirmed,
)
from memoryd.users import Users

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "manifest"
    folder.mkdir()
    name(folder, "jihun")
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def name(manifest: Path, origin: str) -> None:
    """Writes an id into `origin_id.txt`."""
    (manifest / "origin_id.txt").write_text(f"{origin}\n", encoding="utf-8")


def test_the_first_start_remembers_whom_the_file_names(manifest: Path, state: Path) -> None:
    assert settle_origin(manifest, state) == "jihun"
    assert remembered_origin(state) == "jihun"
    assert unconfirmed(manifest, state, "jihun") == ""


def test_another_id_in_the_file_changes_nothing_and_is_told_of_with_the_remedy(
    manifest: Path, state: Path
) -> None:
    settle_origin(manifest, state)
    name(manifest, "haram")
    assert settle_origin(manifest, state) == "jihun"
    assert Users(manifest, state).origin.id == "jihun"
    said = unconfirmed(manifest, state, "jihun")
    assert said.startswith("origin_id.txt names 'haram', and the origin is 'jihun' still")
    assert "`memoryd identity origin haram`, then start memoryd again" in said


def test_a_confirmed_id_is_the_origins_from_the_next_start_on(manifest: Path, state: Path) -> None:
    users = Users(manifest, state)
    name(manifest, "haram")
    assert confirm_origin(manifest, state, "haram") == "jihun"
    assert users.origin.id == "jihun"
    assert unconfirmed(manifest, state, "jihun") == (
        "'haram' is confirmed and is the origin from the next start on; until then 'jihun' is"
    )
    assert Users(manifest, state).origin.id == "haram"
    assert unconfirmed(manifest, state, "haram") == ""


@pytest.mark.parametrize("wrong", ["harm", "jihun", ""])
def test_what_the_file_does_not_name_is_not_confirmed(manifest: Path, state: Path, wrong: str) -> None:
    settle_origin(manifest, state)
    name(manifest, "haram")
    with pytest.raises(BadRequestError, match="names 'haram', not"):
        confirm_origin(manifest, state, wrong)
    assert remembered_origin(state) == "jihun"


def test_a_file_that_is_gone_or_names_nobody_leaves_the_origin(manifest: Path, state: Path) -> None:
    settle_origin(manifest, state)
    for words in ("", None):
        if words is None:
            (manifest / "origin_id.txt").unlink()
        else:
            name(manifest, words)
        assert settle_origin(manifest, state) == "jihun"
        assert unconfirmed(manifest, state, "jihun") == ""
        with pytest.raises(BadRequestError, match="names nobody"):
            confirm_origin(manifest, state, "jihun")


def test_before_any_file_names_one_nobody_is_remembered(manifest: Path, state: Path) -> None:
    (manifest / "origin_id.txt").unlink()
    assert settle_origin(manifest, state) == DEFAULT_ORIGIN
    assert remembered_origin(state) == ""
    name(manifest, "jihun")
    assert settle_origin(manifest, state) == origin_in_force(manifest, state) == "jihun"


def test_a_state_folder_that_takes_nothing_does_not_keep_the_daemon_from_its_origin(
    unprivileged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("manifest", "state"):
        (unprivileged / folder).mkdir()
    name(unprivileged / "manifest", "jihun")
    (unprivileged / "state").chmod(0o500)
    assert settle_origin(unprivileged / "manifest", unprivileged / "state") == "jihun"
    assert "can't be written" in caplog.text
    with pytest.raises(StoreError, match="Mend the state folder's permissions"):
        confirm_origin(unprivileged / "manifest", unprivileged / "state", "jihun")
    (unprivileged / "state").chmod(0o700)
