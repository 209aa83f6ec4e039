"""Rows out of an SQLite file's pages one by one, without the trees that hold them together.

A torn page costs the rows on it and no others; a header of garbage or a file that was cut off costs nothing that is
still there. Source: "Database File Format", https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# SQLite's own choice, which the ledger keeps to; a torn header may say anything.
PAGE = 4096
WAL_MAGIC = (0x377F0682, 0x377F0683)
INDEX_INTERIOR, INDEX_LEAF, TABLE_LEAF = 0x02, 0x0A, 0x0D
# Lengths in bytes of the serial types 0 to 9; 8 and 9 are the numbers 0 and 1.
INTEGER_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
FLOAT = 7
LONGEST_ROW_BYTES = 2**28

Value = int | float | str | bytes | None


class Row(NamedTuple):
    """A row that could be decoded: its number (0 on the pages of an index), and its values."""

    number: int
    values: tuple[Value, ...]


class TornError(Exception):
    """A page, or a row on it, is not what its format says."""


def rows(file: Path) -> Iterator[Row]:
    """Every row on every page, of tables and of indexes, in the order of the pages.

    Rows of a table WITHOUT ROWID stand on the pages of an index.
    """
    if not file.stat().st_size:
        return
    log = file.with_name(f"{file.name}-wal")
    with file.open("rb") as source, mmap(source.fileno(), 0, access=ACCESS_READ) as data:
        pages = _Pages(data, log)
        for number in range(1, pages.count + 1):
            with suppress(TornError, IndexError, struct.error):
                yield from _rows_of(number, pages)


class _Pages:
    """The pages of a file, each as its log has it last."""

    def __init__(self, data: mmap, log: Path) -> None:
        self._data = data
        self._log = _log_pages(log)
        self.count = max([-(-len(data) // PAGE), *self._log])

    def page(self, number: int) -> bytes:
        """One page by its number, from 1."""
        if not 1 <= number <= self.count:
            raise TornError
        at = (number - 1) * PAGE
        return self._log.get(number) or self._data[at : at + PAGE].ljust(PAGE, b"\0")


def _log_pages(log: Path) -> dict[int, bytes]:
    """The last committed version of each page in a write-ahead log; a frame of an older round ends it."""
    try:
        data = log.read_bytes()
    except OSError:
        return {}
    if len(data) < 32 or struct.unpack_from(">I", data)[0] not in WAL_MAGIC:
        return {}
    salts = data[16:24]
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for at in range(32, len(data) - PAGE - 23, PAGE + 24):
        number, pages_after = struct.unpack_from(">II", data, at)
        if data[at + 8 : at + 16] != salts:
            break
        pending[number] = data[at + 24 : at + 24 + PAGE]
        if pages_after:
            committed |= pending
            pending = {}
    return committed


def _rows_of(number: int, pages: _Pages) -> Iterator[Row]:
    page = pages.page(number)
    head = 100 if number == 1 else 0
    kind = page[head]
    if kind not in {INDEX_INTERIOR, INDEX_LEAF, TABLE_LEAF}:
        return
    (cells,) = struct.unpack_from(">H", page, head + 3)
    first = head + (12 if kind == INDEX_INTERIOR else 8)
    for place in range(first, min(first + 2 * cells, len(page) - 1), 2):
        (at,) = struct.unpack_from(">H", page, place)
        with suppress(TornError, IndexError, struct.error):
            yield _cell(page, at, kind, pages)


def _cell(page: bytes, at: int, kind: int, pages: _Pages) -> Row:
    at += 4 if kind == INDEX_INTERIOR else 0
    length, at = _varint(page, at)
    number = 0
    if kind == TABLE_LEAF:
        number, at = _varint(page, at)
    return Row(number, _record(_payload(page, at, length, kind, pages)))


def _payload(page: bytes, at: int, length: int, kind: int, pages: _Pages) -> bytes:
    """A row's bytes, with those that ran over onto other pages."""
    if not 0 < length <= min(LONGEST_ROW_BYTES, pages.count * PAGE):
        raise TornError
    most = PAGE - 35 if kind == TABLE_LEAF else (PAGE - 12) * 64 // 255 - 23
    if length <= most:
        return page[at : at + length]
    least = (PAGE - 12) * 32 // 255 - 23
    here = least + (length - least) % (PAGE - 4)
    here = here if here <= most else least
    parts = [page[at : at + here]]
    (following,) = struct.unpack_from(">I", page, at + here)
    left = length - here
    while left > 0:
        over = pages.page(following)
        (following,) = struct.unpack_from(">I", over)
        parts.append(over[4 : 4 + min(left, PAGE - 4)])
        left -= PAGE - 4
    return b"".join(parts)


def _record(payload: bytes) -> tuple[Value, ...]:
    head, at = _varint(payload, 0)
    if head > len(payload):
        raise TornError
    kinds = []
    while at < head:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at > len(payload):
        raise TornError
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == FLOAT:
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    if kind in INTEGER_BYTES:
        end = at + INTEGER_BYTES[kind]
        if not kind:
            return None, end
        return kind - 8 if kind >= 8 else int.from_bytes(payload[at:end], "big", signed=True), end
    if kind < 12:
        raise TornError
    end = at + (kind - 12) // 2
    data = payload[at:end]
    if kind % 2 == 0:
        return data, end
    try:
        return data.decode(), end
    except UnicodeDecodeError as error:
        raise TornError from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A big-endian number of seven bits a byte, at most nine bytes, and where it ends."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    return value << 8 | data[at + 8], at + 9
