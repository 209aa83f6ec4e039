"""Bytes to text: UTF-8, UTF-16 with a byte order mark or CP949, and a plain refusal of everything else.

Zip archives that are no member of another don't come here: `loaders.archive` opens them.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from loaders.base import EmptyFileError, Source, UnreadableError

if TYPE_CHECKING:
    from typing import Final

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"%PDF-", "a PDF document; save its text as .txt or .md"),
    (b"PK\x03\x04", "a zip archive inside another; unpack it and bring it by itself"),
    (b"\xd0\xcf\x11\xe0", "an old Office or HWP document; save its text as .txt or .md"),
    (b"{\\rtf", "an RTF document; save its text as .txt or .md"),
    (b"\x89PNG", "a PNG picture; memoryd keeps words only, so write down what it shows"),
    (b"\xff\xd8\xff", "a JPEG picture; memoryd keeps words only, so write down what it shows"),
    (b"GIF89a", "a GIF picture; memoryd keeps words only, so write down what it shows"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"SQLite format 3\x00", "an SQLite database; export its conversations as text"),
    (b"GGUF\x03", "a GGUF model; models belong in the models folder"),
)


def decode(name: str, data: bytes) -> Source:
    r"""Make the source that loaders read; line ends become `\n`.

    Raises:
        EmptyFileError: no bytes, or blanks only.
        UnreadableError: binary, or text in another encoding.
    """
    for signature, reason in _SIGNATURES:
        if data.startswith(signature):
            raise UnreadableError(reason)
    text = _text(data)
    if "\0" in text:
        raise UnreadableError("a binary file (it holds NUL bytes); if it is text, save it as UTF-8")
    if not text.strip():
        raise EmptyFileError("the file is empty")
    return Source(name=name, data=data, text=text.replace("\r\n", "\n").replace("\r", "\n"))


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _strict(data, "utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        torn = error.reason == "unexpected end of data"
        if torn and not data[: error.start].isascii():
            return _torn(data)
    try:
        return data.decode("cp949")
    except UnicodeDecodeError:
        return _torn(data) if torn else _strict(data, "utf-8")


def _torn(data: bytes) -> str:
    """UTF-8 cut in the middle of its last character, as by a crash: that one shows as U+FFFD."""
    return data.decode("utf-8-sig", errors="replace")


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(
            f"neither UTF-8, UTF-16 nor CP949 text (first wrong byte at offset {error.start}); "
            "if it is text, save it as UTF-8",
        ) from error
