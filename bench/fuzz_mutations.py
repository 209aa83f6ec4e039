"""Files as damage, haste and malice make them: small good files of every format, changed at random.

    seeds ──bytes, lines, JSON values, encodings, repetition──▶ a file under a misleading name
                                     └──several──▶ a zip, its bytes changed too

The same chance gives the same files.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.daemon import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from random import Random
    from typing import Final

SAMPLES: Final = REPOSITORY / "tests" / "loaders" / "samples"
LONGEST_SEED: Final = 2**20  # bytes; of a corpus, larger files are left out
LONGEST: Final = 3 * 2**20  # bytes that a repetition may make of a seed
NAMES: Final = (
    "conversations.json",
    "result.json",
    "message_2.json",
    "2026-03-15.json",
    "My Activity.json",
    "a.jsonl",
    "b.ndjson",
    "KakaoTalk_20260315.txt",
    "KakaoTalk_Chat_모임.csv",
    "WhatsApp Chat with Jihun.txt",
    "signal.txt",
    "일기.md",
    "chats.zip",
    "day0315/파일",
    ".txt",
    "",
    "..",
    "/",
)
# What formats give a meaning to, and what commonly goes wrong in text.
TOKENS: Final[tuple[bytes, ...]] = tuple(
    token.encode("utf-8", errors="surrogatepass")
    for token in (
        *'{}[]",:\\\n\r\t\0\x0b\x1c\x85\u2028\u200e\ufeff\u202f\ue200\ue201\ue202<&#`-|',
        "\r\n",
        "null",
        "-0",
        "1e999",
        "NaN",
        "-Infinity",
        "9" * 30,
        "9" * 4299,
        "9" * 5000,
        "0.1" * 20,
        '\\ud800"',
        "\\x1f",
        "\ud800",
        "🙂",
        "각".encode().decode("latin-1"),
        "٣",
        "²",
        "[" * 300,
        '{"a":' * 1200,
        "\n---\n",
        "\n# ",
        "\n```\n",
        "\n[15/03/26, 21:04:05] 은비: ",
        "\n2026년 3월 15일 오후 9:04, 은비 : ",
        "\n[은비] [오후 9:04] ",
        "\n--------------- 2026년 2월 31일 일요일 ---------------\n",
        "\nFrom: 은비\nType: incoming\nSent: Thu, 31 Dec 9999 23:59:59 -2359\n\n",
        "\n9999-12-31 23:59:59,은비,",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        '"id": "1", ',
        "님이 나갔습니다.",
    )
)
_DEPTH: Final = 30  # levels in which values are exchanged
_PLACES: Final = 20_000
_CODECS: Final = ("utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "cp949", "latin-1", "utf-32", "utf-7")
_JUNK: Final[tuple[object, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    10**18,
    10**4000,
    1e308,
    float("nan"),
    float("-inf"),
    253402300799,
    -62135596800,
    "",
    " ",
    "0",
    "\ud800",
    "9999-12-31T23:59:59.999999-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-03-15",
    "99999999999.9",
    "안녕",
    [],
    {},
    [None],
    [[]],
    {"": {}},
    {"text": None},
    {"text": ["a"]},
)


@dataclass(frozen=True, slots=True)
class Seed:
    """A good file.

    Attributes:
        format: the folder that it lies in, as loaders call the format.
    """

    format: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """A file to be read.

    Attributes:
        marks: words that must be found again in what is read from it, if it is read.
    """

    name: str
    data: bytes
    marks: tuple[str, ...] = ()


def seeds(corpus: Path | None = None) -> list[Seed]:
    """The samples of every format, each folder of `samples/zip` packed, and the corpus's smaller files."""
    archives = SAMPLES / "zip"
    found = [
        Seed(path.parent.name, path.name, path.read_bytes())
        for path in sorted(SAMPLES.rglob("*"))
        if path.is_file() and archives not in path.parents
    ]
    for folder in sorted(archives.iterdir()):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        members = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]
        found.append(Seed("zip", f"{folder.name}.zip", packed(members)))
    if corpus is not None:
        files = sorted(path for path in corpus.rglob("*") if path.is_file())
        small = [path for path in files if 0 < path.stat().st_size <= LONGEST_SEED]
        found += [Seed("corpus", path.relative_to(corpus).as_posix(), path.read_bytes()) for path in small]
    return found


def packed(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of files, by path."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, data in members:
            archive.writestr(zipfile.ZipInfo(path), data, compress_type=method)
    return buffer.getvalue()


def mutations(seeds: Sequence[Seed], chance: Random) -> Iterator[Case]:
    """Changed files without end, one in eight of them a zip."""
    while True:
        seed = chance.choice(seeds)
        name = chance.choice((seed.name, chance.choice(NAMES)))
        data = _changed(seed.data, seeds, chance)
        if chance.random() < 1 / 8:
            others = [chance.choice(seeds) for _ in range(chance.randrange(4))]
            members = {name or "a": data, **{other.name: other.data for other in others}}
            data = packed(list(members.items()), chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
            if chance.random() < 0.7:
                data = _torn(data, chance)
        yield Case(name, data)


def _changed(data: bytes, seeds: Sequence[Seed], chance: Random) -> bytes:
    """A few changes one after the other; now and then none of bytes but of JSON values, or a large repetition."""
    torn = chance.random() < 0.6
    if not torn or chance.random() < 0.2:
        data = _json_changed(data, chance)
    for _ in range(min(chance.randrange(5), chance.randrange(9)) if torn else 0):
        change: Callable[[bytes, Random], bytes] = chance.choice((_torn, _with_token, _lines, _recoded))
        data = change(data, chance)
    if chance.random() < 0.15:
        other = chance.choice(seeds).data
        data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
    return _repeated(data, chance) if chance.random() < 0.03 else data


def _torn(data: bytes, chance: Random) -> bytes:
    """Bytes flipped, cut out, doubled or put in."""
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.choice((1, 1, 2, 4, 16, 300)))
    match chance.randrange(5):
        case 0:
            return (
                data[:start] + bytes(byte ^ 1 << chance.randrange(8) for byte in data[start:end]) + data[end:]
            )
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:]
        case 3:
            return data[:start] + chance.randbytes(end - start) + data[start:]
        case _:
            return data[:start]


def _with_token(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + chance.choice(TOKENS) + data[start + chance.choice((0, 0, 1, 5)) :]


def _lines(data: bytes, chance: Random) -> bytes:
    """Lines in another order, doubled, left out or joined, or with other ends."""
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            chance.shuffle(lines)
        case 1:
            lines.insert(place, chance.choice(lines))
        case 2:
            del lines[place]
        case 3:
            lines[place : place + 2] = [b"".join(lines[place : place + 2])]
        case _:
            end: bytes = chance.choice((b"\r\n", b"\r", b"\n\n", b"\x0b"))
            return end.join(lines)
    return b"\n".join(lines)


def _recoded(data: bytes, chance: Random) -> bytes:
    """The same text in another encoding, or taken for another."""
    text = data.decode(chance.choice(("utf-8", "utf-8", "utf-8", "latin-1")), errors="replace")
    return text.encode(chance.choice(_CODECS), errors="ignore")


def _repeated(data: bytes, chance: Random) -> bytes:
    """One stretch, from a byte to all of it, as often as fits into a size between a few kilobytes and a few MB."""
    start = chance.randrange(len(data) + 1)
    length = chance.choice((1, 2, 3, 5, 10, 30, 100, 1_000, len(data)))
    lines = data.split(b"\n")
    stretch = chance.choice(
        (data[start : start + length], chance.choice(lines) + b"\n", chance.choice(TOKENS))
    )
    times = chance.choice((10_000, 300_000, LONGEST)) // max(1, len(stretch))
    return data[:start] + stretch * times + data[start:]


def _json_changed(data: bytes, chance: Random) -> bytes:
    """JSON or JSON Lines with some values replaced, moved, doubled or left out; anything else as it is."""
    values = json_values(data)
    if not values:
        return data
    for _ in range(chance.choice((1, 1, 2, 5))):
        found = list(places(values))
        if 0 < len(found) < _PLACES:
            _replace(chance.choice(found), found, chance)
    return written(values, ascii_only=chance.random() < 0.5) or data


def _replace(place: Place, others: Sequence[Place], chance: Random) -> None:
    match chance.randrange(5):
        case 0:
            place.remove()
        case 1:
            text = written([chance.choice(others).value], ascii_only=True)
            place.put(json.loads(text) if text else None)
        case 2:
            place.put(deep(chance.choice((10, 200, 900, 960, 990)), as_lists=chance.random() < 0.5))
        case 3:
            place.put([place.value] * chance.choice((1, 2, 30)))
        case _:
            place.put(chance.choice(_JUNK))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a tree: what holds it, and its key or number there."""

    holder: Any
    key: str | int

    @property
    def value(self) -> object:
        """What stands there."""
        return self.holder[self.key]

    def put(self, value: object) -> None:
        """Another value in its place."""
        self.holder[self.key] = value

    def remove(self) -> None:
        """Take it out; numbers after it move up."""
        del self.holder[self.key]


def places(tree: object, depth: int = 0) -> Iterator[Place]:
    """Every place below the top of a tree; of a deep one the uppermost only."""
    inner: Iterable[tuple[str | int, object]] = ()
    if isinstance(tree, dict):
        inner = tree.items()
    elif isinstance(tree, list):
        inner = enumerate(tree)
    for key, value in inner if depth < _DEPTH else ():
        yield Place(tree, key)
        yield from places(value, depth + 1)


def json_values(data: bytes) -> list[object]:
    """A JSON file's one value, or those of its lines; none for anything else."""
    for parts in ([data], data.splitlines()):
        try:
            return [json.loads(part) for part in parts if part.strip()]
        except (ValueError, RecursionError):
            continue
    return []


def written(values: Sequence[object], *, ascii_only: bool) -> bytes:
    """The values as JSON, one a line; nothing where Python can't write them."""
    try:
        text = "\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in values)
    except (ValueError, RecursionError):
        return b""
    return text.encode("utf-8", errors="surrogatepass")


def deep(depth: int, *, as_lists: bool) -> object:
    """A value in as many lists or objects; about 990 is what Python's parser takes."""
    value: object = "끝"
    for _ in range(depth):
        value = [value] if as_lists else {"text": value}
    return value
