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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = "header.bin"
# Chroma writes it after the others, and makes anew from its log what has none.
METADATA = "index_metadata.pickle"
# version, offset, most elements, elements, bytes an element, offsets of label and vector, highest level, where a
# search begins, links a level (most, lowest level, asked for), factor of the levels, candidates while it is built
LAYOUT = struct.Struct("<i6QiI3QdQ")
VERSION = 1
WORD = 4


@dataclass(frozen=True, slots=True)
class _Header:
    """What is needed of a header."""

    elements: int
    element_bytes: int
    label: int
    highest: int
    entry: int
    links: int
    is_sound: bool


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
    header = _read(raw)
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


def _read(raw: bytes) -> _Header:
    """The header, with whether its fields agree with each other as hnswlib makes them."""
    (
        version,
        start,
        most,
        elements,
        size,
        label,
        vector,
        highest,
        entry,
        upper,
        lowest,
        links,
        factor,
        candidates,
    ) = LAYOUT.unpack(raw)
    is_sound = (
        version == VERSION
        and start == 0
        and 1 < links == upper
        and lowest == 2 * links
        and vector == WORD * (1 + lowest)
        and vector < label == size - 2 * WORD
        and elements <= most
        and candidates >= links
        and math.isclose(factor, 1 / math.log(links))
        and (elements == 0 or (entry < elements and highest >= 0))
    )
    return _Header(elements, size, label, highest, entry, links, is_sound)


def _labels(path: Path, header: _Header) -> NDArray[np.uint64]:
    """What Chroma knows each element by, (elements,) uint64."""
    if not header.elements:
        return np.zeros(0, np.uint64)
    held = np.memmap(path, np.uint8, "r", shape=(header.elements, header.element_bytes))
    labels: NDArray[np.uint64] = held[:, header.label :].copy().view("<u8")[:, 0]
    return labels


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
