"""Reads a GGUF file's header, so that a bad file is an error with a sentence before llama.cpp sees it.

    magic, version, counts │ key/value pairs │ tensor directory │ padding │ weights
    ───────────── read, every length checked ──────────────── ┘             └ only their place is checked

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm.base import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_BYTES = 64 * 1024 * 1024  # more than any vocabulary seen takes (a 262,144-token one: 6 MiB)
NESTING = 4
DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32
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
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    32: "BF16",
}  # fmt: skip
"""Names of `general.file_type`; the rarer ones are shown by their number."""

Value = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufInfo:
    """What a GGUF file says of itself.

    Attributes:
        architecture: llama.cpp's name for the model's kind (`llama`, `gemma3`, `qwen2`).
        name: the model's own name, "" where it gives none.
        context_length: the longest context that it was trained for, in tokens; 0 where it doesn't say.
        chat_template: the Jinja source, None where there is none.
        file_type: the quantisation (`Q4_K_M`), "" where it doesn't say.
    """

    architecture: str
    name: str
    context_length: int
    chat_template: str | None
    file_type: str


def read_gguf(path: Path) -> GgufInfo:
    """Reads and checks the header; takes about 0.1 s and at most 64 MiB, however large the file.

    Raises:
        ModelError: the file can't be read, is empty, cut off, damaged, or no GGUF file of version 2 or 3.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            size = file.seek(0, 2)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}.") from error
    if not size:
        raise ModelError(f"{path} is empty. Copy the model again.")
    try:
        values = _check(head, size)
    except _Flaw as flaw:
        raise ModelError(f"{path} {flaw}") from None
    architecture = _text(values, "general.architecture")
    if not architecture:
        raise ModelError(f"{path} doesn't name its architecture, so it is no model that llama.cpp can load.")
    file_type = values.get("general.file_type")
    return GgufInfo(
        architecture=architecture,
        name=_text(values, "general.name"),
        context_length=_count(values, f"{architecture}.context_length"),
        chat_template=_text(values, "tokenizer.chat_template") or None,
        file_type="" if not isinstance(file_type, int) else FILE_TYPES.get(file_type, f"type {file_type}"),
    )


class _Flaw(Exception):  # noqa: N818  (it becomes the second half of a ModelError's sentence)
    """What is wrong with the file, as the end of a sentence that starts with its path."""


class _Reader:
    """Takes values off the head of a file; `size` is the whole file's, to tell cut off from too long."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head = head
        self._size = size
        self.at = 0

    def number(self, form: struct.Struct) -> int | float:
        start = self.at
        self.skip(form.size)
        value: int | float = form.unpack_from(self._head, start)[0]
        return value

    def count(self, form: struct.Struct = U64) -> int:
        return int(self.number(form))

    def string(self) -> str:
        length = self.count()
        start = self.at
        self.skip(length)
        return self._head[start : self.at].decode(errors="replace")

    def skip(self, length: int) -> None:
        self.at += length
        if self.at <= len(self._head):
            return
        if len(self._head) < self._size:
            raise _Flaw(
                f"has a header of more than {HEADER_BYTES} bytes; it is damaged. Copy the model again."
            )
        raise _Flaw(f"is cut off: it has only {self._size} bytes. Copy the model again.")

    def value(self, kind: int) -> Value | None:
        """A number or text; None for an array, which is passed over."""
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            self._pass_array(NESTING)
            return None
        if kind not in NUMBERS:
            raise _Flaw(f"is damaged: no value has the type {kind}. Copy the model again.")
        return self.number(NUMBERS[kind])

    def _pass_array(self, depth: int) -> None:
        kind, length = self.count(U32), self.count()
        if kind in NUMBERS:
            self.skip(length * NUMBERS[kind].size)
        elif kind == STRING:
            self._pass_strings(length)
        elif kind == ARRAY and depth:
            for _ in range(length):  # each takes 12 bytes, so the file's end bounds the loop
                self._pass_array(depth - 1)
        else:
            raise _Flaw(f"is damaged: no array holds the type {kind}. Copy the model again.")

    def _pass_strings(self, length: int) -> None:
        """The hot loop: a vocabulary has hundreds of thousands."""
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


def _check(head: bytes, size: int) -> dict[str, Value]:
    if not head.startswith(MAGIC):
        if MAGIC.startswith(head):
            raise _Flaw(f"is cut off: it has only {size} bytes. Copy the model again.")
        raise _Flaw(f"is not a GGUF file: it starts with {head[:4]!r}. Name a .gguf file.")
    reader = _Reader(head, size)
    reader.skip(len(MAGIC))
    version = reader.count(U32)
    if version not in VERSIONS:
        raise _Flaw(f"is of GGUF version {version}; only 2 and 3 can be read. Convert the model again.")
    tensors, pairs = reader.count(), reader.count()
    values: dict[str, Value] = {}
    for _ in range(pairs):
        key = reader.string()
        value = reader.value(reader.count(U32))
        if value is not None:
            values[key] = value
    if not tensors:
        raise _Flaw("holds no weights, only a header. Name the file with the weights.")
    last_offset = max(_tensor_offset(reader) for _ in range(tensors))
    alignment = _count(values, "general.alignment") or DEFAULT_ALIGNMENT
    weights = -(-reader.at // alignment) * alignment
    if weights + last_offset >= size:
        raise _Flaw(
            f"is cut off at byte {size}: weights start at {weights + last_offset}. Copy the model again."
        )
    return values


def _tensor_offset(reader: _Reader) -> int:
    """Passes over one entry of the tensor directory: name, dimensions, type, offset."""
    reader.string()
    dimensions = reader.count(U32)
    if dimensions > DIMENSIONS:
        raise _Flaw(f"is damaged: a tensor has {dimensions} dimensions. Copy the model again.")
    reader.skip(dimensions * U64.size + U32.size)
    return reader.count()


def _text(values: dict[str, Value], key: str) -> str:
    value = values.get(key, "")
    return value if isinstance(value, str) else ""


def _count(values: dict[str, Value], key: str) -> int:
    value = values.get(key, 0)
    return value if isinstance(value, int) and value > 0 else 0
