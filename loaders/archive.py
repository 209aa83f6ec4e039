"""Zip archives, read within limits: a small file must not become a large one, nor reach outside itself.

    bytes ──its directory──▶ sizes, number, ratios, paths within limits? ──▶ members ──read()──▶ their bytes

What the directory declares is checked before anything is inflated, and a member is inflated only when it is
asked for, in pieces, up to its declared size. Nothing is written to disk. An archive in an archive stays shut.

Source of the format: PKWARE's APPNOTE.TXT (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT). It
knows no encoding of names but UTF-8 and IBM's code page 437; Windows in Korean writes CP949, unmarked.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from loaders.base import UnreadableError

if TYPE_CHECKING:
    from typing import Final

_MEMBER_BYTES: Final = 512 * 2**20
_TOTAL_BYTES: Final = 2 * 2**30
_MEMBERS: Final = 20_000
_RATIO: Final = 200  # inflated bytes for one packed byte; text packs to about a tenth
_RATIO_FROM_BYTES: Final = 2**20  # a small file of blanks is no bomb
_PIECE_BYTES: Final = 2**18

_SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06")  # a first member, or the end of an empty archive
_ENTRY: Final = b"PK\x01\x02"
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # the flags for a password, strong encryption, a masked directory
_UTF8_NAME: Final = 0x800
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,  # among them names that are no UTF-8
    OverflowError,
)

# Documents that are zips inside: what the names of their members begin with, and what to do instead.
_AS_TEXT: Final = "save its text as .txt or .md"
_DOCUMENTS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("[Content_Types].xml", "word/"), f"a Word document (docx); {_AS_TEXT}"),
    (("[Content_Types].xml", "xl/"), "an Excel workbook (xlsx); save its sheets as .txt or .csv"),
    (("[Content_Types].xml", "ppt/"), f"a PowerPoint presentation (pptx); {_AS_TEXT}"),
    (("mimetype", "Contents/content.hpf"), f"a Hangul document (hwpx); {_AS_TEXT}"),
    (("mimetype", "META-INF/container.xml"), f"an e-book (epub); {_AS_TEXT}"),
    (
        ("mimetype", "content.xml", "META-INF/manifest.xml"),
        f"an OpenDocument file (odt, ods, odp); {_AS_TEXT}",
    ),
    (("AndroidManifest.xml",), "an Android program (apk); memoryd keeps words only"),
    (("META-INF/MANIFEST.MF",), "a Java program (jar); memoryd keeps words only"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive, still packed.

    Attributes:
        path: its name with folders, forward slashes, Unicode composed (NFC).
        size: bytes once inflated, as the archive's directory declares.
    """

    path: str
    size: int
    _archive: zipfile.ZipFile = field(repr=False)
    _info: zipfile.ZipInfo = field(repr=False)

    @property
    def name(self) -> str:
        """The path without its folders."""
        return self.path.rpartition("/")[2]

    def read(self) -> bytes:
        """Inflate it, no further than its declared size, whatever is packed there.

        Raises:
            UnreadableError: damaged, or packed in a way that Python's zipfile can't read.
        """
        try:
            with self._archive.open(self._info) as stream:
                # Pieces, because one large read would inflate everything before it is cut to size.
                return b"".join(iter(lambda: stream.read(_PIECE_BYTES), b""))
        except _FAULTS as error:
            raise UnreadableError(
                f"{self.path!r} in the zip archive is damaged ({error}); download or pack it again"
            ) from error


def is_zip(data: bytes) -> bool:
    """Whether the bytes open as a zip archive does."""
    return data.startswith(_SIGNATURES)


def zip_members(data: bytes) -> dict[str, Member]:
    """The archive's files by path, in its order; folders, hidden files and Apple's `__MACOSX` left out.

    Raises:
        UnreadableError: damaged, over a limit, unsafe, encrypted, or a document such as docx.
    """
    # Counted before zipfile makes an object of each, and because the declared number may lie.
    if (number := data.count(_ENTRY)) > _MEMBERS:
        raise UnreadableError(
            f"the zip archive holds {number} files (those of archives in it counted), more than {_MEMBERS}; "
            "unpack it and bring the conversation files alone"
        )
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except _FAULTS as error:
        raise UnreadableError(f"a damaged zip archive ({error}); download or pack it again") from error
    members: dict[str, Member] = {}
    total = 0
    for info in archive.infolist():
        path = _path(info)
        _check(path, info)
        if path in members:
            raise UnreadableError(f"the zip archive holds {path!r} twice; unpack it and pack it again")
        total += info.file_size
        if not info.is_dir():
            members[path] = Member(path=path, size=info.file_size, _archive=archive, _info=info)
    if total > _TOTAL_BYTES:
        raise UnreadableError(
            f"the zip archive would unpack to {total} bytes, more than {_TOTAL_BYTES}; "
            "unpack it and bring the conversation files alone"
        )
    _refuse_documents(members)
    return {path: member for path, member in members.items() if not _is_hidden(path)}


def _path(info: zipfile.ZipInfo) -> str:
    """The name as its writer meant it: zipfile reads all that is not marked UTF-8 as code page 437."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_NAME:
        raw = name.encode("cp437", errors="replace")
        for encoding in ("utf-8", "cp949"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return unicodedata.normalize("NFC", name)


def _check(path: str, info: zipfile.ZipInfo) -> None:
    """Refuse the archive for one member of it."""
    unsafe = path.startswith("/") or "\\" in path or "\0" in path or _DRIVE.match(path)
    if unsafe or not path or ".." in path.split("/"):
        raise UnreadableError(
            f"the zip archive holds a file with an unsafe path, {path[:80]!r}; unpack it and pack it again"
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UnreadableError(f"the zip archive holds a link, {path!r}; put the file itself into it")
    if info.flag_bits & _ENCRYPTED:
        raise UnreadableError("the zip archive is encrypted; unpack it with its password and bring the files")
    if info.compress_type not in _METHODS:
        raise UnreadableError(
            f"{path!r} in the zip archive is packed by method {info.compress_type}; pack it again the usual "
            "way (deflate)"
        )
    if info.file_size > _MEMBER_BYTES:
        raise UnreadableError(
            f"{path!r} in the zip archive would unpack to {info.file_size} bytes, more than {_MEMBER_BYTES}; "
            "take it out of the archive"
        )
    if info.file_size > _RATIO_FROM_BYTES and info.file_size > _RATIO * info.compress_size:
        ratio = info.file_size // max(info.compress_size, 1)
        raise UnreadableError(
            f"{path!r} in the zip archive would unpack to {ratio} times its size, more than {_RATIO} times, as "
            "in archives made to do harm; if you trust it, unpack it and bring the file itself"
        )


def _is_hidden(path: str) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part != ".") for part in path.split("/"))


def _refuse_documents(members: dict[str, Member]) -> None:
    for marks, kind in _DOCUMENTS:
        if all(any(path.startswith(mark) for path in members) for mark in marks):
            raise UnreadableError(kind)
