"""The tokens of one step, in arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Batch:
    """Tokens of several sequences for one step, in arrays that llama.cpp reads where they are.

    A loop over ctypes arrays costs a microsecond a token; a slice of a numpy array costs one a sequence.

    Attributes:
        size: the most tokens that it takes.
        length: how many it holds; the rest of the arrays, each (size,), is stale.
        tokens: int32.
        positions: int32, each counted from its sequence's beginning.
        counts: int32, in how many sequences a token is: one.
        sequences: int32.
        sequence_places: uint64, the address of each entry of `sequences`.
        wanted: int8, whether logits are computed for the row.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.length = 0
        self.tokens = np.zeros(size, np.int32)
        self.positions = np.zeros(size, np.int32)
        self.counts = np.ones(size, np.int32)
        self.sequences = np.zeros(size, np.int32)
        places = self.sequences.ctypes.data + 4 * np.arange(size, dtype=np.uint64)
        self.sequence_places = places.astype(np.uint64)
        self.wanted = np.zeros(size, np.int8)

    @property
    def room(self) -> int:
        """How many more tokens it takes."""
        return self.size - self.length

    def clear(self) -> None:
        """Empties it."""
        self.length = 0

    def add(
        self, tokens: Sequence[int] | NDArray[np.int32], position: int, sequence: int, *, wanted: bool
    ) -> int:
        """Adds tokens of one sequence, the first at `position` (counted from 0).

        Returns:
            The row of the last token, for `Context.logits` where they are `wanted`.
        """
        start, end = self.length, self.length + len(tokens)
        self.tokens[start:end] = tokens
        self.positions[start:end] = np.arange(position, position + len(tokens), dtype=np.int32)
        self.sequences[start:end] = sequence
        self.wanted[start:end] = 0
        self.wanted[end - 1] = wanted
        self.length = end
        return end - 1
