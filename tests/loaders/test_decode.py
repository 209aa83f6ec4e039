from __future__ import annotations

import pytest

from loaders.base import EmptyFileError, UnreadableError
from loaders.decode import decode

TEXT = "오늘은 비가 왔다.\nIt rained."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_korean_text_is_read_in_its_usual_encodings(encoding: str) -> None:
    assert decode("a.txt", TEXT.encode(encoding)).text == TEXT


def test_big_endian_utf16_is_read_by_its_mark() -> None:
    assert decode("a.txt", b"\xfe\xff" + TEXT.encode("utf-16-be")).text == TEXT


def test_line_ends_of_windows_and_old_macs_become_one() -> None:
    assert decode("a.txt", b"a\r\nb\rc\n").text == "a\nb\nc\n"


@pytest.mark.parametrize("cut", [1, 2])
def test_a_character_torn_by_a_crash_shows_as_such(cut: int) -> None:
    assert decode("a.txt", "기억과 혼".encode()[:-cut]).text == "기억과 \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"PK\x03\x04\x14", "zip archive inside another"),
        (b"%PDF-1.7\n", "PDF"),
        (b"abc\x00def", "NUL"),
        (TEXT.encode("utf-16-le"), "save it as UTF-8"),
        (TEXT.encode("utf-32"), "NUL"),
        (b"\xff\xff\xff\xff", "neither UTF-8"),
        (b"\xff\xfea", "neither UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        decode("a.txt", data)


@pytest.mark.parametrize("data", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_blank_files_are_empty(data: bytes) -> None:
    with pytest.raises(EmptyFileError):
        decode("a.txt", data)
