"""Takes the values and the tensor directory off a GGUF file's head, every length checked against the file.

    magic, version, counts │ key/value pairs │ tensor directory │ padding │ weights
    ─────────────────────── read here ───────────────────────── ┘

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_BYTES = 64 * 1024 * 1024  # more than any vocabulary seen takes (a 262,144-token one: 6 MiB)
MOST_PAIRS = 4096  # models have some fifty
MOST_TENSORS = 65_536  # the largest models have two thousand
MOST_TOKENS = 1_048_576
KEPT_ITEMS = 1024  # of an array of numbers; only short ones (a number a layer) say something here
DIMENSIONS = 4
NAME_BYTES = 63  # GGML_MAX_NAME, less its end
TOKENS = "tokenizer.ggml.tokens"
U32_KIND = 4
STRING = 8
ARRAY = 9
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
NUMBERS = {
    kind: struct.Struct(f"<{form}")
    for kind, form in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip

Number = int | float
Value = Number | str | tuple[Number, ...]


class Flaw(Exception):  # noqa: N818  (it becomes the second half of a ModelError's sentence)
    """What is wrong with the file, as the end of a sentence that starts with its path."""


@dataclass(frozen=True, slots=True)
class Array:
    """What is known of any array: the type of its items (as GGUF numbers them) and how many there are."""

    kind: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the tensor directory, as it stands there; `offset` counts from the first weight, in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(slots=True)
class Head:
    """What stands before the weights.

    Attributes:
        values: numbers, texts and short arrays of numbers, by key.
        kinds: the type of each value, as GGUF numbers them, by key.
        arrays: all arrays, by key.
        end: where the tensor directory ends, in bytes.
    """

    values: dict[str, Value] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    end: int = 0

    def text(self, key: str) -> str:
        """The text under a key; "" where there is none."""
        value = self.values.get(key, "")
        return value if isinstance(value, str) else ""

    def count(self, key: str) -> int:
        """The whole number under a key; 0 where there is none, or less than none."""
        value = self.values.get(key, 0)
        return value if isinstance(value, int) and value > 0 else 0

    def counts(self, key: str) -> tuple[int, ...]:
        """The whole numbers under a key: of an array, or of a single one; () where there are none."""
        value = self.values.get(key, ())
        numbers = value if isinstance(value, tuple) else (value,)
        return tuple(max(number, 0) for number in numbers if isinstance(number, int))


def read_head(head: bytes, size: int) -> Head:
    """Reads the beginning of a file.

    Args:
        head: its first bytes, at most `HEADER_BYTES`.
        size: of the whole file, in bytes: it tells cut off from too long.

    Raises:
        Flaw: it is cut off or damaged.
    """
    if not head.startswith(MAGIC):
        if MAGIC.startswith(head):
            raise Flaw(f"is cut off: it has only {size} bytes. Copy the model again.")
        raise Flaw(
            f"is not a GGUF file: it starts with {head[:4]!r}. Name a GGUF file, or download it again."
        )
    reader = _Reader(head, size)
    reader.skip(len(MAGIC))
    version = reader.count(U32)
    if version not in VERSIONS:
        raise Flaw(f"is of GGUF version {version}; only 2 and 3 can be read. Convert the model again.")
    tensors, pairs = reader.count(), reader.count()
    if pairs > MOST_PAIRS or tensors > MOST_TENSORS:
        raise damaged(f"it claims {pairs} values and {tensors} tensors")
    found = Head()
    for _ in range(pairs):
        key = reader.string()
        if not key or key in found.kinds:
            raise damaged(f"the key {key[:60]!r} is empty or there twice")
        kind = found.kinds[key] = reader.count(U32)
        if kind == ARRAY:
            found.arrays[key] = reader.array(key, found.values)
        else:
            found.values[key] = reader.value(kind)
    found.entries = [reader.entry() for _ in range(tensors)]
    found.end = reader.at
    return found


def damaged(what: str) -> Flaw:
    """The flaw of a file whose bytes are not what was written."""
    return Flaw(f"is damaged: {what}. Copy the model again.")


class _Reader:
    """Takes values off the head of a file; `at` is how far it is."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head = head
        self._size = size
        self.at = 0

    def count(self, form: struct.Struct = U64) -> int:
        return int(self._number(form))

    def string(self) -> str:
        return self._bytes().decode(errors="replace")

    def skip(self, length: int) -> None:
        self.at += length
        if self.at <= len(self._head):
            return
        if len(self._head) < self._size:
            raise Flaw(
                f"has a header of more than {HEADER_BYTES} bytes; it is damaged. Copy the model again."
            )
        raise Flaw(f"is cut off: it has only {self._size} bytes. Copy the model again.")

    def value(self, kind: int) -> Number | str:
        if kind == STRING:
            return self.string()
        if kind not in NUMBERS:
            raise damaged(f"no value has the type {kind}")
        return self._number(NUMBERS[kind])

    def array(self, key: str, values: dict[str, Value]) -> Array:
        """Passes over an array; a short one of numbers goes into `values`."""
        kind, length = self.count(U32), self.count()
        if key == TOKENS and kind == STRING:
            self._pass_tokens(length)
        elif kind == STRING:
            self._pass_strings(length)
        elif kind in NUMBERS:
            start = self.at
            self.skip(length * NUMBERS[kind].size)
            if length <= KEPT_ITEMS:
                form = f"<{length}{NUMBERS[kind].format[1:]}"
                values[key] = struct.unpack_from(form, self._head, start)
        else:  # arrays of arrays too: the format has them, llama.cpp doesn't
            raise damaged(f"no array holds the type {kind}")
        return Array(kind, length)

    def entry(self) -> Entry:
        """One entry of the tensor directory: name, dimensions, type, offset."""
        name = self.string()
        if len(name.encode()) > NAME_BYTES:
            raise damaged(f"a tensor's name has {len(name)} characters")
        dimensions = self.count(U32)
        if dimensions > DIMENSIONS:
            raise damaged(f"a tensor has {dimensions} dimensions")
        shape = tuple(self.count() for _ in range(dimensions))
        return Entry(name, shape, self.count(U32), self.count())

    def _number(self, form: struct.Struct) -> Number:
        start = self.at
        self.skip(form.size)
        value: Number = form.unpack_from(self._head, start)[0]
        return value

    def _bytes(self) -> bytes:
        length = self.count()
        start = self.at
        self.skip(length)
        return self._head[start : self.at]

    def _pass_strings(self, length: int) -> None:
        """A hot loop: a list of merges has hundreds of thousands."""
        head, at, last = self._head, self.at, len(self._head) - U64.size
        for _ in range(length):
            if at > last:
                break
            at += U64.size + U64.unpack_from(head, at)[0]
        else:
            self.at = at
            self.skip(0)
            return
        self.at = at
        self.skip(U64.size)

    def _pass_tokens(self, length: int) -> None:
        """The vocabulary: llama.cpp ends the process where a token is there twice."""
        if length > MOST_TOKENS:
            raise damaged(f"it claims a vocabulary of {length} tokens")
        seen = set()
        for index in range(length):
            token = self._bytes().partition(b"\0")[0]  # llama.cpp reads no further
            seen.add(token or b"[EMPTY_%d]" % index)
        if len(seen) < length:
            raise damaged(f"{length - len(seen)} tokens of its vocabulary are there twice")
