"""Proves an erasure: looks for what was said in every byte of a folder.

text ─▶ fragments (sentences of 12 characters or more, long ones in pieces)
            └─▶ forms (UTF-8, UTF-16, JSON escapes, white space and Unicode composition, lexical columns)
                    └─▶ Seeker ◀── bytes of every file, packed logs unpacked
"""

from __future__ import annotations

import gzip
import json
import os
import time
import unicodedata
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from memoryd.korean import normalise, plain_words, sentences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Characters. Shorter sentences ("네, 좋아요.") are everybody's; longer pieces could lie on two pages of a file.
SHORTEST = 12
LONGEST = 24
# Of a vector, so many numbers in a row are sought, around its largest: they are no other vector's.
VECTOR_NUMBERS = 32
CHUNK_BYTES = 8 * 2**20
# A form is known by its first eight bytes, and those by twenty bits of a product.
KEY_BYTES = 8
TABLE_BITS = 20
MIXER = np.uint64(0x9E3779B97F4A7C15)
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that still holds something: its path below the folder, and how many fragments."""

    path: str
    fragments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was looked through, and what was found.

    Attributes:
        bytes: read, packed files as they are on disk.
        fragments: how many were sought, each in all its forms.
        unread: files that could not be read.
    """

    files: int
    bytes: int
    fragments: int
    found: tuple[Found, ...]
    unread: tuple[str, ...]
    seconds: float


def fragments(texts: Iterable[str]) -> set[str]:
    """What of these texts is worth seeking: sentences, or lines of short ones, in pieces of at most 24 characters."""
    found: set[str] = set()
    for text in texts:
        for line in text.split("\n"):
            long = [each for each in sentences(line) if len(each) >= SHORTEST]
            for unit in long or [line.strip()]:
                found.update(_pieces(unit))
    return found


def written_forms(fragment: str) -> set[bytes]:
    """A fragment's bytes in every way in which it may be written down."""
    forms: set[bytes] = set()
    flat = " ".join(fragment.split())
    for text in {fragment, flat, normalise(flat), unicodedata.normalize("NFD", flat)}:
        escaped = json.dumps(text)[1:-1]
        forms |= {
            text.encode(),
            text.encode("utf-16-le"),
            text.encode("utf-16-be"),
            escaped.encode(),
            _upper_escapes(escaped).encode(),
            json.dumps(text, ensure_ascii=False)[1:-1].encode(),
        }
    words = plain_words(fragment)
    columns = (words.morphemes, words.bigrams)
    return forms | {text.encode() for text in columns if len(text) >= SHORTEST}


class Seeker:
    """Finds many byte strings at once, at about a hundred megabytes a second.

    Args:
        forms: byte string (eight bytes or more) → number of the fragment that it is a form of.
    """

    def __init__(self, forms: Mapping[bytes, int]) -> None:
        self._by_key: dict[int, list[tuple[bytes, int]]] = {}
        for form, number in forms.items():
            key = int.from_bytes(form[:KEY_BYTES], "little")
            self._by_key.setdefault(key, []).append((form, number))
        self._keys = np.array(sorted(self._by_key), np.uint64)
        self._maybe = np.zeros(2**TABLE_BITS, np.bool_)
        self._maybe[_mixed(self._keys)] = True
        self.longest = max(map(len, forms), default=0)

    def find(self, data: bytes) -> set[int]:
        """The numbers of the fragments that stand in the bytes."""
        found: set[int] = set()
        for offset in range(min(KEY_BYTES, len(data) - KEY_BYTES + 1)):
            words = np.frombuffer(data, "<u8", offset=offset, count=(len(data) - offset) // KEY_BYTES)
            places = np.flatnonzero(self._maybe[_mixed(words)])
            for place in places[np.isin(words[places], self._keys)]:
                at = offset + int(place) * KEY_BYTES
                for form, number in self._by_key[int(words[place])]:
                    if number not in found and data.startswith(form, at):
                        found.add(number)
        return found

    def find_in(self, chunks: Iterable[bytes]) -> set[int]:
        """The same over pieces of one file, also where a fragment lies across two of them."""
        found: set[int] = set()
        rest = b""
        for chunk in chunks:
            data = rest + chunk
            found |= self.find(data)
            rest = data[max(0, len(data) - self.longest + 1) :] if self.longest > 1 else b""
        return found


class Sought:
    """Fragments to be sought, once those are left out that others have said too.

    Args:
        texts: what was said.
        names: ids and file names of the conversation; sought whole.
        vectors: that no other passage has.
        beside: (conversation id, text) of everything that rightly stays.

    Attributes:
        count: fragments that are sought.
        shared: fragments that are not, because others have said them too.
        elsewhere: ids of the conversations that have.
    """

    def __init__(
        self,
        texts: Iterable[str],
        *,
        names: Iterable[str] = (),
        vectors: Iterable[bytes] = (),
        beside: Iterable[tuple[str, str]] = (),
    ) -> None:
        wanted = sorted(fragments(texts) | {name for name in names if len(name) >= SHORTEST})
        sought: dict[bytes, int] = {}
        for number, fragment in enumerate(wanted):
            for form in written_forms(fragment):
                sought.setdefault(form, number)
        held = _held_beside(Seeker(sought), beside)
        shared = {number for numbers in held.values() for number in numbers}
        self.shared = len(shared)
        self.elsewhere = tuple(sorted(name for name in held if name))
        own = {form: number for form, number in sought.items() if number not in shared}
        for number, vector in enumerate(vectors, start=len(wanted)):
            own[_telling(vector)] = number
        self.count = len(set(own.values()))
        self._seeker = Seeker(own)

    def stands_in(self, data: bytes) -> bool:
        """Whether any of it stands in these bytes."""
        return bool(self._seeker.find_in([data]))

    def search(self, folder: Path) -> Search:
        """Looks through every file below a folder."""
        begun = time.perf_counter()
        files, size = 0, 0
        found: list[Found] = []
        unread: list[str] = []
        for file in _files(folder):
            path = file.relative_to(folder).as_posix()
            try:
                numbers = self._in_file(file)
                size += file.stat().st_size
            except FileNotFoundError:
                continue  # removed meanwhile, which is what we want to see
            except OSError:
                unread.append(path)
                continue
            files += 1
            if numbers:
                found.append(Found(path=path, fragments=len(numbers)))
        return Search(
            files=files,
            bytes=size,
            fragments=self.count,
            found=tuple(found),
            unread=tuple(unread),
            seconds=round(time.perf_counter() - begun, 3),
        )

    def _in_file(self, file: Path) -> set[int]:
        with file.open("rb") as source:
            packed = source.read(2) == GZIP
            source.seek(0)
            found = self._seeker.find_in(_chunks(source))
        if packed:
            with suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(file) as unpacked:
                found |= self._seeker.find_in(_chunks(unpacked))
        return found


def _held_beside(seeker: Seeker, beside: Iterable[tuple[str, str]]) -> dict[str, set[int]]:
    """Conversation id → numbers of the fragments that it holds too."""
    held: dict[str, set[int]] = {}
    for batch in _batches(beside):
        # One look through many texts; only where something is found each is looked at by itself.
        if seeker.find(b"\0".join(data for _, data in batch)):
            for name, data in batch:
                if numbers := seeker.find(data):
                    held.setdefault(name, set()).update(numbers)
    return held


def _batches(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for name, text in texts:
        ways = dict.fromkeys((text, " ".join(text.split()), normalise(text)))
        data = "\0".join(ways).encode(errors="replace")
        batch.append((name, data))
        size += len(data)
        if size > CHUNK_BYTES // 16:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _pieces(sentence: str) -> Iterator[str]:
    """A sentence in pieces of about the same length; nothing of a short one."""
    if len(sentence) < SHORTEST:
        return
    count = -(-len(sentence) // LONGEST)
    step = -(-len(sentence) // count)
    for at in range(0, len(sentence), step):
        piece = sentence[at : at + step].strip()
        if len(piece) >= SHORTEST:
            yield piece


def _telling(vector: bytes) -> bytes:
    """The bytes of a vector's largest number and its neighbours."""
    numbers = np.frombuffer(vector, "<f4")
    first = max(0, min(int(np.abs(numbers).argmax()) - VECTOR_NUMBERS // 2, len(numbers) - VECTOR_NUMBERS))
    return numbers[first : first + VECTOR_NUMBERS].tobytes()


def _upper_escapes(escaped: str) -> str:
    r"""`\uac00` as `\uAC00`, which other programs write."""
    parts = escaped.split("\\u")
    return "\\u".join([parts[0], *(part[:4].upper() + part[4:] for part in parts[1:])])


def _mixed(keys: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    mixed: np.ndarray[tuple[int], np.dtype[np.uint64]] = (keys * MIXER) >> np.uint64(64 - TABLE_BITS)
    return mixed


def _chunks(source: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def _files(folder: Path) -> Iterator[Path]:
    for below, _, names in os.walk(folder):
        for name in names:
            file = Path(below, name)
            if file.is_file() and not file.is_symlink():
                yield file
