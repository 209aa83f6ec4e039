from __future__ import annotations

import io
import stat
import struct
import time
import tracemalloc
import unicodedata
import warnings
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.archive import is_zip, zip_members
from loaders.base import UnreadableError


def _zip(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, level: int | None = None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method, compresslevel=level) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice, which some tests want
        for name, data in files:
            archive.writestr(name, data)
    return packed.getvalue()


def _refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        zip_members(data)


def _renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """The archive with a name that Python would not write."""
    assert len(old) == len(new)
    return data.replace(old, new)


def test_members_are_read_in_order_with_their_folders() -> None:
    members = zip_members(_zip(("대화/b.txt", "안녕".encode()), ("a.txt", b"one"), ("빈 폴더/", b"")))
    assert list(members) == ["대화/b.txt", "a.txt"]
    assert [member.name for member in members.values()] == ["b.txt", "a.txt"]
    assert [member.size for member in members.values()] == [6, 3]
    assert members["대화/b.txt"].read().decode() == "안녕"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_both_usual_methods_are_read(method: int) -> None:
    long = "기억 ".encode() * 100_000
    assert zip_members(_zip(("a", long), method=method))["a"].read() == long


def test_an_archive_opens_as_one() -> None:
    assert is_zip(_zip(("a", b"")))
    assert is_zip(_zip())
    assert not is_zip("PK는 사람 이름이 아니다".encode())
    assert zip_members(_zip()) == {}


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_korean_names_without_the_mark_of_utf8_are_read(encoding: str) -> None:
    name = "카카오톡 대화.txt".encode(encoding)
    members = zip_members(_renamed(_zip(("x" * len(name), b"")), b"x" * len(name), name))
    assert list(members) == ["카카오톡 대화.txt"]
    assert members["카카오톡 대화.txt"].read() == b""


def test_a_name_in_no_known_encoding_still_has_one() -> None:
    (path,) = zip_members(_renamed(_zip(("xx.txt", b"")), b"xx.txt", b"\xff\xfe.txt"))
    assert path.endswith(".txt")


def test_names_that_a_mac_took_apart_are_put_together() -> None:
    assert list(zip_members(_zip((unicodedata.normalize("NFD", "대화.txt"), b"")))) == ["대화.txt"]


def test_hidden_files_and_those_of_macs_are_left_out() -> None:
    data = _zip(("__MACOSX/._a.txt", b"x"), (".DS_Store", b"x"), ("a/.git/b", b"x"), ("./a.txt", b"x"))
    assert list(zip_members(data)) == ["./a.txt"]


@pytest.mark.parametrize("path", ["/etc/a", "../a", "a/../../b", "C:/a", "c:a", "a\\b", "\\\\host\\a"])
def test_unsafe_paths_are_refused(path: str) -> None:
    _refused(_zip(("good.txt", b"x"), (path, b"x")), "unsafe path")


def test_a_name_that_breaks_off_is_unsafe() -> None:
    _refused(_renamed(_zip(("a.txt#..b", b"x")), b"a.txt#..b", b"a.txt\0..b"), "unsafe path")


def test_links_are_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    _refused(packed.getvalue(), "holds a link, 'link.txt'; put the file itself")


def test_encrypted_archives_are_refused_with_the_remedy() -> None:
    data = bytearray(_zip(("a.txt", b"x")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    _refused(bytes(data), "encrypted; unpack it with its password")


def test_a_path_that_comes_twice_is_refused() -> None:
    _refused(_zip(("a.txt", b"1"), ("a.txt", b"2")), "'a.txt' twice")
    _refused(_zip(("대화", b"1"), (unicodedata.normalize("NFD", "대화"), b"2")), "twice")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_methods_are_refused(method: int) -> None:
    _refused(_zip(("a.txt", b"x" * 100), method=method), "pack it again the usual way")


def _declared(size: int, packed: int = 3) -> bytes:
    """An archive whose directory declares these sizes for its one file, whatever is in it."""
    data = bytearray(_zip(("a.txt", b"abc"), method=zipfile.ZIP_STORED))
    struct.pack_into("<II", data, data.index(b"PK\x01\x02") + 20, packed, size)
    return bytes(data)


def test_a_member_over_its_limit_is_refused_by_what_it_declares() -> None:
    _refused(_declared(512 * 2**20 + 1, 400 * 2**20), "would unpack to 536870913 bytes, more than 536870912")


def test_what_packs_too_well_is_refused() -> None:
    _refused(_zip(("a.txt", bytes(3 * 2**20)), level=9), "times its size, more than 200 times")
    assert zip_members(_zip(("a.txt", bytes(2**20)), level=9))["a.txt"].read() == bytes(2**20)


def test_all_members_together_have_a_limit() -> None:
    entry = _declared(500 * 2**20, 400 * 2**20)
    start, end = entry.index(b"PK\x01\x02"), entry.index(b"PK\x05\x06")
    names = [b"%d.txt" % number for number in range(5)]
    directory = b"".join(entry[start:end].replace(b"a.txt", name) for name in names)
    tail = bytearray(entry[end:])
    struct.pack_into("<HHI", tail, 8, 5, 5, len(directory))
    _refused(entry[:start] + directory + bytes(tail), "2621440000 bytes, more than 2147483648")


def test_too_many_members_are_refused_before_they_are_listed() -> None:
    data = b"PK\x03\x04" + b"PK\x01\x02" * 20_001
    _refused(data, "holds 20001 files .*more than 20000")


def test_a_member_that_inflates_past_its_declared_size_is_cut_there() -> None:
    honest = _zip(("a.txt", bytes(50 * 2**20)), level=9)
    at = honest.index(b"PK\x01\x02")
    lying = bytearray(honest)
    struct.pack_into("<I", lying, at + 24, 1000)  # the directory now declares a thousand bytes
    struct.pack_into("<I", lying, 22, 1000)
    member = zip_members(bytes(lying))["a.txt"]
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match=r"'a\.txt' in the zip archive is damaged"):
            member.read()
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_bombs_are_refused_at_once() -> None:
    bomb = _zip(("a.txt", bytes(100 * 2**20)), level=9)
    began = time.perf_counter()
    _refused(bomb, "times its size")
    assert time.perf_counter() - began < 1  # seconds; inflating alone would take longer with more


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["[Content_Types].xml", "word/document.xml"], "Word document"),
        (["[Content_Types].xml", "xl/workbook.xml"], "Excel workbook"),
        (["[Content_Types].xml", "ppt/presentation.xml"], "PowerPoint"),
        (["mimetype", "Contents/content.hpf", "META-INF/container.xml"], "Hangul document"),
        (["mimetype", "META-INF/container.xml"], "e-book"),
        (["mimetype", "content.xml", "META-INF/manifest.xml"], "OpenDocument"),
        (["META-INF/MANIFEST.MF", "a.class"], "Java program"),
        (["META-INF/MANIFEST.MF", "AndroidManifest.xml"], "Android program"),
    ],
)
def test_documents_that_are_zips_inside_are_refused_as_what_they_are(names: list[str], kind: str) -> None:
    _refused(_zip(*((name, b"x") for name in names)), kind)


def test_a_folder_named_like_a_documents_is_no_document() -> None:
    assert list(zip_members(_zip(("word/chat.txt", b"x"), ("content.xml", b"x"))))


@pytest.mark.parametrize("cut", [4, 30, 60, -1, -10])
def test_an_archive_that_is_cut_is_damaged(cut: int) -> None:
    _refused(_zip(("a.txt", b"hello" * 20))[:cut], "download or pack it again")


def test_a_damaged_member_is_named() -> None:
    data = bytearray(_zip(("a.txt", b"hello"), method=zipfile.ZIP_STORED))
    data[data.index(b"hello")] = 0
    with pytest.raises(UnreadableError, match=r"'a\.txt' in the zip archive is damaged"):
        zip_members(bytes(data))["a.txt"].read()


@given(
    at=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 500),
)
def test_any_damage_is_an_unreadable_error(at: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(_zip(("a.txt", b"hello" * 9), ("나/b.json", b"[]"), ("c", b"x" * 50)))
    for place, value in at:
        data[place % len(data)] = value
    try:
        for member in zip_members(bytes(data[: len(data) - cut % 9])).values():
            member.read()
    except UnreadableError:
        return
