"""What was said is found in any byte of a folder, however it is written, and nothing else is."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd import proof
from memoryd.korean import bigrams
from memoryd.proof import Found, Seeker, Sought, fragments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAID = "지하실 금고의 비밀번호는 아무에게도 말하지 않았어."
ENGLISH = 'The "adoption papers" are hidden behind the wardrobe.'


def where(folder: Path, *texts: str, **more: object) -> list[Found]:
    return list(Sought(texts, **more).search(folder).found)  # type: ignore[arg-type]


@pytest.mark.parametrize("said", [SAID, ENGLISH])
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: b"\0" + text.encode("utf-16-be"),
        lambda text: json.dumps(text).encode(),
        lambda text: re.sub(r"(?<=\\u)....", lambda four: four[0].upper(), json.dumps(text)).encode(),
        lambda text: json.dumps(text, ensure_ascii=False).encode(),
        lambda text: unicodedata.normalize("NFD", text).encode(),
        lambda text: gzip.compress(b"log " + text.encode()),
        lambda text: b"half of it: " + text.encode()[: len(text.encode()) * 3 // 4],
    ],
)
def test_it_is_found_in_every_spelling(tmp_path: Path, said: str, written: Callable[[str], bytes]) -> None:
    (tmp_path / "deep").mkdir()
    data = written(said)
    (tmp_path / "deep" / "file").write_bytes(data if data.startswith(b"\x1f\x8b") else b"abc" + data + b"xyz")
    assert [found.path for found in where(tmp_path, "다른 말은 여기 어디에도 없는데.", said)] == ["deep/file"]


def test_lexical_columns_are_found(tmp_path: Path) -> None:
    (tmp_path / "bigrams").write_text(" ".join(bigrams("앞 " + SAID + " 뒤")), encoding="utf-8")
    (tmp_path / "words").write_text("그 the adoption papers are hidden behind the wardrobe", encoding="utf-8")
    assert {found.path for found in where(tmp_path, SAID, ENGLISH)} == {"bigrams", "words"}


def test_what_is_not_there_is_not_found_and_everything_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").write_text("다른 이야기일 뿐이야, 정말로.", encoding="utf-8")
    search = Sought([SAID]).search(tmp_path)
    assert (search.files, search.bytes, search.found, search.unread) == (2, 1041, (), ())
    assert search.fragments == len(fragments([SAID]))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").write_text(SAID, encoding="utf-8")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Sought, "_in_file", refuse)
    assert Sought([SAID]).search(tmp_path).unread == ("closed",)


def test_what_others_have_said_is_not_sought(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(f"{SAID} {ENGLISH}", encoding="utf-8")
    sought = Sought(
        [SAID, ENGLISH], beside=[("c2", f"그가 말했다: {SAID}"), ("", "manifest"), ("c3", "아무 말")]
    )
    assert (sought.shared, sought.elsewhere) == (len(fragments([SAID])), ("c2",))
    assert sought.search(tmp_path).found == (Found(path="file", fragments=len(fragments([ENGLISH]))),)


def test_names_and_vectors_are_sought_too(tmp_path: Path) -> None:
    vector = np.linspace(0.1, 0.9, 64, dtype="<f4").tobytes()
    (tmp_path / "hnsw").write_bytes(b"\x07" * 13 + vector)
    (tmp_path / "log").write_text("reads day0315/secret.txt", encoding="utf-8")
    found = where(tmp_path, names=["day0315/secret.txt", "short"], vectors=[vector])
    assert {each.path for each in found} == {"hnsw", "log"}


def test_sentences_long_enough_are_fragments_and_long_ones_come_in_pieces() -> None:
    assert fragments(["네. 좋아요."]) == set()
    assert fragments(["응. 그래. 그러자. 내일 보자."]) == {"응. 그래. 그러자. 내일 보자."}
    long = "".join(chr(0xAC00 + number) for number in range(100)) + "."
    pieces = sorted(fragments([long]))
    assert [len(piece) for piece in pieces] == [21, 21, 21, 21, 17]
    assert "".join(pieces) == long


def test_a_fragment_across_two_chunks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "CHUNK_BYTES", 16)
    (tmp_path / "file").write_bytes(b"." * 29 + ENGLISH.encode() + b"." * 29)
    assert where(tmp_path, ENGLISH)[0].fragments == len(fragments([ENGLISH]))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(min_size=8, max_size=20), min_size=1, max_size=6, unique=True),
    st.lists(st.binary(max_size=30), max_size=8),
    st.data(),
)
def test_the_seeker_finds_what_a_plain_search_finds(
    forms: list[bytes], noise: list[bytes], data: st.DataObject
) -> None:
    parts = [*noise, *data.draw(st.lists(st.sampled_from(forms), max_size=3))]
    text = b"".join(data.draw(st.permutations(parts)))
    seeker = Seeker({form: number for number, form in enumerate(forms)})
    assert seeker.find(text) == {number for number, form in enumerate(forms) if form in text}
    chunks = [text[at : at + 5] for at in range(0, len(text), 5)]
    assert seeker.find_in(chunks) == seeker.find(text)
