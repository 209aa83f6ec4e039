"""Names that make a folder private, and stay known."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import BadRequestError, StoreError
from memoryd.owners import SHARED, Owners, checked_name, keep_folders, read_folders

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("day0315/민지/a.txt", "민지"),
        (unicodedata.normalize("NFD", "day0315/민지/a.txt"), "민지"),
        ("day0315/SORA/deep/a.txt", "sora"),
        ("day0315/ｓｏｒａ/a.txt", "sora"),
        ("sora/a.txt", "sora"),
        ("day0315/sora.txt", SHARED),
        ("day0315/soraya/a.txt", SHARED),
        ("day0315/trip/sora/a.txt", SHARED),
    ],
)
def test_a_folder_is_known_by_its_name_however_it_is_written(path: str, owner: str) -> None:
    assert Owners("hana", ["민지", "sora"]).of(path) == owner


def test_the_same_people_have_the_same_mark() -> None:
    assert Owners("hana", ["minji", "sora"]).mark == Owners("hana", ["sora", "minji"]).mark
    assert Owners("hana", ["minji"]).mark != Owners("minji").mark


@pytest.mark.parametrize("name", ["minji", "민지", "지훈_2", "Ünal", "three-kings", "x" * 40])
def test_a_name_may_be_of_any_script(name: str) -> None:
    assert checked_name(f" {name} ") == name


def test_a_name_is_composed() -> None:
    assert checked_name(unicodedata.normalize("NFD", "민지")) == "민지"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a b",
        "x" * 41,
        "-x",
        "a\0",
        "a\nb",
        "day0315",
        "DAY20260315",
        "daylast",
        "Shared",
    ],
)
def test_a_name_that_is_no_folders_or_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError):
        checked_name(name)


def test_names_are_added_once_and_read_again(tmp_path: Path) -> None:
    assert read_folders(tmp_path) == ()
    keep_folders(tmp_path, ["minji", "민지"])
    keep_folders(tmp_path, ["Minji", "sora"])
    assert read_folders(tmp_path) == ("minji", "민지", "sora")
    assert (tmp_path / "private_folders.txt").read_text("utf-8").startswith("# memoryd:")


def test_names_that_can_not_be_read_stop_everything(tmp_path: Path) -> None:
    """Without them private folders would be taken for shared ones."""
    (tmp_path / "private_folders.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(StoreError, match="whose folders are private"):
        read_folders(tmp_path)
