"""Chroma's real files pass at every moment that they are written at, and whatever is torn out of them shows."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.chroma import ChromaIndex, ChromaServer
from memoryd.chroma.vector_files import HEADER, LAYOUT, torn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

DIMENSION = 16
ELEMENTS = 300
ELEMENT_BYTES = 4 * (1 + 32) + 4 * DIMENSION + 8
FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin")


def vectors(first: int, number: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(first).normal(size=(number, DIMENSION)).astype(np.float32)
    rows: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return rows


def opened(folder: Path) -> tuple[ChromaServer, ChromaIndex]:
    server = ChromaServer(max_file_bytes=2**30)
    server.start(folder)
    server.url(60)
    index = ChromaIndex(
        server, instance="test", embedder="fake", dimension=DIMENSION, generation=1, sync_threshold=50
    )
    return server, index


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation's folder with 300 vectors, all of them in the files."""
    folder = tmp_path_factory.mktemp("chroma") / "g0001"
    server, index = opened(folder)
    for first in range(0, ELEMENTS, 50):
        index.upsert("", [f"p_{first + each}" for each in range(50)], vectors(first, 50))
    server.stop()
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that may be torn."""
    shutil.copytree(written, tmp_path / "g0001")
    return tmp_path / "g0001"


def the(name: str, folder: Path) -> Path:
    (found,) = folder.glob(f"*/{name}")
    return found


def cut(file: Path, size: int) -> None:
    with file.open("rb+") as opened_file:
        opened_file.truncate(size)


def test_whatever_chroma_writes_passes(tmp_path: Path) -> None:
    server, index = opened(tmp_path)
    assert torn(tmp_path) == ""
    steps: list[Callable[[], None]] = [
        lambda: index.upsert("", ["first"], vectors(1, 1)),  # files for a hundred, nothing in them
        lambda: index.upsert("jihoon", [f"j_{each}" for each in range(50)], vectors(2, 50)),
        lambda: index.upsert("", [f"p_{each}" for each in range(49)], vectors(3, 49)),
        lambda: index.upsert(
            "", [f"q_{each}" for each in range(130)], vectors(4, 130)
        ),  # room for more is made
        lambda: index.upsert("", [f"q_{each}" for each in range(130)], vectors(5, 130)),
        lambda: index.delete("", [f"p_{each}" for each in range(49)]),
        lambda: index.delete("", ["first", *(f"q_{each}" for each in range(130))]),
        lambda: index.upsert("", [f"p_{each}" for each in range(70)], vectors(6, 70)),
    ]
    try:
        for step in steps:
            step()
            assert torn(tmp_path) == ""
    finally:
        server.stop()
    assert torn(tmp_path) == ""
    server, index = opened(tmp_path)
    try:
        assert len(index.query(["", "jihoon"], vectors(6, 1)[0], 5)) == 5
        assert torn(tmp_path) == ""
    finally:
        server.stop()


def test_whole_files_pass(folder: Path) -> None:
    assert torn(folder) == ""


def test_where_there_are_no_files_nothing_is_torn(tmp_path: Path) -> None:
    assert torn(tmp_path / "g0001") == ""


@pytest.mark.parametrize("size", [0, 3, 4, 60, 83, 91, 99])
def test_a_header_that_ends_early_is_torn(folder: Path, size: int) -> None:
    cut(the(HEADER, folder), size)
    assert f"{HEADER} has {size} bytes of 100." in torn(folder)


@pytest.mark.parametrize(
    ("name", "needed"), [("data_level0.bin", ELEMENTS * ELEMENT_BYTES), ("length.bin", ELEMENTS * 4)]
)
def test_a_file_with_fewer_elements_than_the_header_counts_is_torn(
    folder: Path, name: str, needed: int
) -> None:
    cut(the(name, folder), needed)
    assert torn(folder) == ""
    cut(the(name, folder), needed - 1)
    assert f"{name} has {needed - 1} bytes of {needed}." in torn(folder)


def test_links_that_end_early_are_torn_wherever_that_is(folder: Path) -> None:
    links = the("link_lists.bin", folder)
    whole = links.read_bytes()
    for size in range(0, len(whole), 7):
        links.write_bytes(whole[:size])
        assert "link_lists.bin holds what are no links." in torn(folder), size


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_is_missed(folder: Path, name: str) -> None:
    file = the(name, folder)
    file.unlink()
    assert torn(folder) == f"{file} is missing."


def test_files_that_chroma_makes_anew_from_its_log_are_not_judged(tmp_path: Path) -> None:
    """Before it has written a collection's files for the first time, a kill may leave any part of them."""
    server, index = opened(tmp_path)
    index.upsert("", [f"p_{each}" for each in range(20)], vectors(1, 20))
    server.stop()
    cut(the(HEADER, tmp_path), 0)
    assert torn(tmp_path) == ""
    server, index = opened(tmp_path)
    try:
        assert index.find_themselves("", vectors(1, 20))
    finally:
        server.stop()


@pytest.mark.parametrize("place", [0, *range(2, 14)])
def test_a_header_with_a_field_that_chroma_never_wrote_is_torn(folder: Path, place: int) -> None:
    header = the(HEADER, folder)
    fields = list(LAYOUT.unpack(header.read_bytes()))
    fields[place] = type(fields[place])(0)
    header.write_bytes(LAYOUT.pack(*fields))
    assert torn(folder)


def test_scribbled_links_are_torn(folder: Path) -> None:
    links = the("link_lists.bin", folder)
    whole = links.read_bytes()
    at = next(place for place in range(0, len(whole), 4) if whole[place : place + 4] != bytes(4))
    links.write_bytes(whole[: at + 8] + b"\xff\xff\xff\x7f" + whole[at + 12 :])
    assert "link_lists.bin" in torn(folder)


def test_an_offset_of_the_first_element_is_torn(folder: Path) -> None:
    header = the(HEADER, folder)
    header.write_bytes(header.read_bytes()[:4] + (12).to_bytes(8, "little") + header.read_bytes()[12:])
    assert "parameters that nobody chose" in torn(folder)


@pytest.mark.parametrize("scribble", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\x80\xbf"])
def test_lengths_that_are_none_are_torn(folder: Path, scribble: bytes) -> None:
    with the("length.bin", folder).open("rb+") as file:
        file.seek(4 * (ELEMENTS - 1))
        file.write(scribble)
    assert "length.bin holds what are no lengths." in torn(folder)


def test_a_label_that_stands_twice_is_torn(folder: Path) -> None:
    """Found by a breaker: one passage had no vector any more, and Chroma could not be compared with the ledger."""
    data = the("data_level0.bin", folder)
    raw = bytearray(data.read_bytes())
    label = ELEMENT_BYTES - 8
    raw[9 * ELEMENT_BYTES + label : 10 * ELEMENT_BYTES] = raw[8 * ELEMENT_BYTES + label : 9 * ELEMENT_BYTES]
    data.write_bytes(raw)
    assert "data_level0.bin has one label twice." in torn(folder)


def test_files_of_a_version_that_is_not_known_are_not_judged(folder: Path) -> None:
    the(HEADER, folder).write_bytes((2).to_bytes(4, "little") + b"another layout")
    assert torn(folder) == ""


def test_vectors_that_are_no_numbers_are_like_no_other(folder: Path) -> None:
    """Found by `bench.faults --damage`: Chroma gives None for them, over which the keeper stumbled for ever."""
    data = the("data_level0.bin", folder)
    with data.open("rb+") as file:
        for element in range(ELEMENTS):
            file.seek(element * ELEMENT_BYTES + 4 * (1 + 32))
            file.write(b"\xff" * 4 * DIMENSION)
    assert torn(folder) == ""  # by its form it may be what was written
    server, index = opened(folder)
    try:
        assert not index.find_themselves("", vectors(0, 1))
        assert np.isnan(index.stored("", ["p_0"])["p_0"]).all()
        assert index.query([""], vectors(0, 1)[0], 5) == []
    finally:
        server.stop()
