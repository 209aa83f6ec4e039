from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.manifests import (
    MANIFEST_BYTES,
    MANIFESTS,
    Manifests,
    bodies_in,
    head_of,
    of_origin,
    read_manifests,
    room_fault,
)

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {"echo_identity.txt": "나는 에코다.", "fillin_manifest.txt": "기억한다.", "origin_id.txt": "jihun"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_three_manifests_are_read_without_marks_and_blank_edges(folder: Path) -> None:
    (folder / "echo_identity.txt").write_text("\ufeff나는 에코다.\n", encoding="utf-8")
    (folder / "fillin_manifest.txt").write_text("\n기억한다.\r\n", encoding="utf-8")
    read = read_manifests(folder)
    assert (read.texts, read.missing, read.faults) == (TEXTS, (), ())


def test_a_missing_manifest_is_named_with_what_it_is_for_and_where_to_write_it(tmp_path: Path) -> None:
    read = read_manifests(tmp_path)
    assert (read.texts, read.missing) == ({}, MANIFESTS)
    assert read.faults[0] == (
        f"echo_identity.txt (who the being is) is not there: write it as UTF-8 text into {tmp_path}"
    )
    assert read.faults[2].startswith("origin_id.txt (who its origin is) ")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("나는 에코다.".encode("cp949"), "is written in CP949, the older Korean encoding, and is left out"),
        ("나는 에코다.".encode("utf-16"), "is written in UTF-16 and is left out: save it as UTF-8"),
        (b"\xff\xfa\x80\xff", "is no UTF-8 text and is left out"),
        ("echo".encode("utf-16-le"), "is no text (it holds zero bytes)"),
        (b"a" * (MANIFEST_BYTES + 1), "is longer than 65,536 bytes and is left out"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_left_out_and_says_why(
    folder: Path, data: bytes, fault: str
) -> None:
    (folder / "fillin_manifest.txt").write_bytes(data)
    read = read_manifests(folder)
    assert read.missing == ("fillin_manifest.txt",)
    (said,) = read.faults
    assert said.startswith(f"fillin_manifest.txt (what it stands for) {fault}")


def test_one_in_cp949_comes_with_the_remedy(folder: Path) -> None:
    (folder / "echo_identity.txt").write_bytes("나는 에코다.".encode("cp949"))
    (said,) = read_manifests(folder).faults
    assert "`iconv -f CP949 -t UTF-8 echo_identity.txt > new.txt && mv new.txt echo_identity.txt`" in said


def test_an_empty_manifest_is_there_and_is_said_to_be_empty(folder: Path) -> None:
    (folder / "echo_identity.txt").write_text(" \n", encoding="utf-8")
    read = read_manifests(folder)
    assert read.texts["echo_identity.txt"] == ""
    assert read.faults == ("echo_identity.txt (who the being is) is empty",)


def test_the_origin_in_force_stands_in_place_of_one_that_is_not_confirmed() -> None:
    manifests = Manifests(texts=TEXTS | {"origin_id.txt": "haram\n그리고 더"}, missing=())
    assert of_origin(manifests, "jihun").texts["origin_id.txt"] == "jihun"
    assert of_origin(manifests, "haram") == manifests
    missing = Manifests(texts={}, missing=MANIFESTS)
    assert of_origin(missing, "jihun") == missing


def test_the_head_gives_back_each_manifests_lines() -> None:
    texts = TEXTS | {"echo_identity.txt": "나는 에코다.\n# 나는 누구인가 (who I am)\n\n말을 아낀다."}
    bodies = bodies_in(head_of(Manifests(texts=texts, missing=())))
    assert bodies == {
        "echo_identity.txt": ["나는 에코다.", "# 나는 누구인가 (who I am)", "말을 아낀다."],
        "fillin_manifest.txt": ["기억한다."],
        "origin_id.txt": ["jihun"],
    }


def test_manifests_that_leave_no_room_for_memories_are_told_of() -> None:
    long = Manifests(texts=TEXTS | {"fillin_manifest.txt": "a" * 400}, missing=())
    taken = len(head_of(long))
    assert room_fault(long, taken * 2, len) == ""
    tight = room_fault(long, taken + 9, len)
    assert (
        f"take {taken} of the identity's {taken + 9} tokens, so that 9 tokens are left for memories" in tight
    )
    assert "no room is left" in room_fault(long, taken - 1, len)
    assert "raise replay.token_budget" in tight
