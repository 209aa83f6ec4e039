"""The identity in the cache: the one in force, the next one while it is computed, and old ones still in use.

pin(next) ─▶ computed in spare steps ─▶ in force      the one before: retired ─▶ its last answer ends ─▶ freed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.engine.identity_file import StoredIdentity


@dataclass(slots=True, eq=False, kw_only=True)
class Pin:
    """An identity's tokens in a sequence of their own.

    Attributes:
        version: the identity's.
        tokens: with the start of the chat template before them, (n,) int32.
        stored: what was computed in an earlier run, to be proven.
        sequence: -1 while it has none.
        computed: how many tokens are in the cache.
        users: how many answers under way begin with its cells.
        restored: it came from disk, where a sliding-window layer keeps only what the next token sees: it serves
            whole or not at all.
    """

    version: int
    tokens: NDArray[np.int32]
    stored: StoredIdentity | None = None
    sequence: int = -1
    computed: int = 0
    users: int = 0
    restored: bool = False
    retired: bool = False

    @property
    def ready(self) -> bool:
        """Whether all of it is in the cache."""
        return self.computed == len(self.tokens)

    def usable(self, prompt: NDArray[np.int32]) -> int:
        """How many of its tokens needn't be computed for a prompt."""
        return usable(self.tokens, prompt, least=len(self.tokens) if self.restored else 0)

    def begins(self, prompt: NDArray[np.int32]) -> bool:
        """Whether a prompt starts with all of it and goes on."""
        return shared(self.tokens, prompt) == len(self.tokens) < len(prompt)


def usable(known: NDArray[np.int32], prompt: NDArray[np.int32], *, least: int) -> int:
    """How many tokens of a prompt needn't be computed; its last one must be, for its logits.

    Args:
        least: fewer than so many are of no use.
    """
    length = min(shared(known, prompt), len(prompt) - 1)
    return length if length >= least else 0


def shared(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """How many tokens two runs of tokens have in common at their beginning."""
    length = min(len(one), len(other))
    differs = np.flatnonzero(one[:length] != other[:length])
    return int(differs[0]) if len(differs) else length
