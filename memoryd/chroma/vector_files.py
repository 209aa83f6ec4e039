"""Whether Chroma's vector files can be what it once wrote; it reads torn ones without a word.

Each collection has a folder with four files of hnswlib, least byte first:

    header.bin       version, counts, sizes, parameters: 100 bytes      data_level0.bin   an element after another
    link_lists.bin   of each element: how many bytes, then its links    length.bin        4 bytes an element
                     on each level above the lowest

Where the header ends early, Chroma takes what is missing as 0. It then draws absurd levels for every new vector, makes
gigabytes of link_lists.bin, and never finds some of the new vectors, while all that was there before is still found.
Vectors and the links of the lowest level are not looked at: asking for the vectors tells of them.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = "header.bin"
# Chroma writes it after the others, and makes anew from its log what has none.
METADATA = "index_metadata.pickle"
LAYOUT = struct.Struct("<i6QiI3QdQ")
VERSION = 1
WORD = 4
# Elements; a large index is not to be in memory a second time.
READ_AT_ONCE = 10_000


class _Header(NamedTuple):
    """header.bin, field by field; sizes and offsets within an element in bytes."""

    version: int
    start: int
    most: int
    elements: int
    element_bytes: int
    label: int
    vector: int
    highest: int
    entry: int
    upper: int
    lowest: int
    links: int
    factor: float
    candidates: int

    @property
    def is_sound(self) -> bool:
        """Whether the fields agree with each other as hnswlib makes them."""
        return (
            self.version == VERSION
            and self.start == 0
            and 1 < self.links == self.upper
            and self.lowest == 2 * self.links
            and self.vector == WORD * (1 + self.lowest)
            and self.vector < self.label == self.element_bytes - 2 * WORD
            and self.elements <= self.most
            and self.candidates >= self.links
            and math.isclose(self.factor, 1 / math.log(self.links))
            and (self.elements == 0 or (self.entry < self.elements and self.highest >= 0))
        )


def torn(folder: Path) -> str:
    """Why the vector files of a generation's folder can't be what was written; "" where nothing speaks against them.

    They must not be written to meanwhile. Files of a version that is not known here are not judged.
    """
    for metadata in sorted(folder.glob(f"*/{METADATA}")):
        header = metadata.with_name(HEADER)
        try:
            if why := _why_torn(header):
                return f"{header.parent / why}."
        except FileNotFoundError as error:
            return f"{error.filename} is missing."
        except OSError:
            continue  # whatever it is, nothing says that the file is torn
    return ""


def _why_torn(path: Path) -> str:
    """The torn file's name and what is wrong with it."""
    raw = path.read_bytes()
    if len(raw) >= WORD and int.from_bytes(raw[:WORD], "little", signed=True) > VERSION:
        return ""
    if len(raw) != LAYOUT.size:
        return f"{HEADER} has {len(raw)} bytes of {LAYOUT.size}"
    header = _Header._make(LAYOUT.unpack(raw))
    if not header.is_sound:
        return f"{HEADER} holds parameters that nobody chose"
    return _why_torn_elements(path.parent, header)


def _why_torn_elements(folder: Path, header: _Header) -> str:
    """The same for the three files that hold something of each element."""
    vectors, lengths, links = (folder / name for name in ("data_level0.bin", "length.bin", "link_lists.bin"))
    for file, needed in ((vectors, header.element_bytes), (lengths, WORD)):
        held = file.stat().st_size
        if held < header.elements * needed:
            return f"{file.name} has {held} bytes of {header.elements * needed}"
    if not _are_whole(links, header):
        return f"{links.name} holds what are no links"
    length = np.fromfile(lengths, "<f4", header.elements)
    if not (np.isfinite(length) & (length > 0)).all():
        return f"{lengths.name} holds what are no lengths"
    if len(np.unique(_labels(vectors, header))) < header.elements:
        return f"{vectors.name} has one label twice"
    return ""


def _labels(path: Path, header: _Header) -> NDArray[np.uint64]:
    """What Chroma knows each element by, (elements,) uint64."""
    size = header.element_bytes
    found = [np.zeros(0, np.uint64)]
    with path.open("rb") as file:
        for first in range(0, header.elements, READ_AT_ONCE):
            count = min(READ_AT_ONCE, header.elements - first)
            part = np.fromfile(file, np.uint8, count * size).reshape(count, size)
            found.append(part[:, header.label :].copy().view("<u8")[:, 0])
    return np.concatenate(found)


def _are_whole(path: Path, header: _Header) -> bool:
    """Whether the file holds so many elements' links, all of them to elements that there are, and nothing more."""
    a_level = 1 + header.links
    highest = max(header.highest, 0)
    size = path.stat().st_size
    if size % WORD or size > header.elements * WORD * (1 + highest * a_level):
        return False
    words = np.fromfile(path, "<u4").tolist()
    at = 0
    for element in range(header.elements):
        if at >= len(words):
            return False
        levels, rest = divmod(words[at], WORD * a_level)
        if rest or levels > highest or (element == header.entry and levels != highest):
            return False
        for start in range(at + 1, at + 1 + levels * a_level, a_level):
            linked = words[start : start + a_level]
            if len(linked) < a_level or linked[0] > header.links:
                return False
            if any(each >= header.elements for each in linked[1 : 1 + linked[0]]):
                return False
        at += 1 + levels * a_level
    return at == len(words)
