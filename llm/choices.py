"""Choosing among given sentences: what the model may say next, and when the choice is made.

    sentences ──tokenize──▶ 12 7 9 end │ 12 8 end │ …
                                  ──── once only one is left, the rest of it is known and not computed

A grammar of a few fixed sentences, written in tokens. llama.cpp's own grammar sampler looks at the whole
vocabulary (262,144 tokens) at each step, lets a small model spell a syllable byte by byte, and ends the
process where no token fits (a sentence with NUL in it is enough; seen on llama-cpp-python 0.3.36).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Choices:
    """The sentences by their tokens, each with the end token after it.

    Sentences that have the same tokens count as one, the first.
    """

    def __init__(self, sentences: Sequence[str], tokenize: Callable[[str], list[int]], end: int) -> None:
        self._sentences: dict[tuple[int, ...], str] = {}
        for sentence in sentences:
            self._sentences.setdefault((*tokenize(sentence), end), sentence)

    @property
    def longest_search(self) -> int:
        """The most tokens that it can take until one sentence is left."""
        return 1 + max((_shared(one, other) for one, other in pairwise(sorted(self._sentences))), default=0)

    def decided(self, said: Sequence[int]) -> str | None:
        """The only sentence that begins with these tokens, or None while there are several."""
        left = self._left(said)
        return self._sentences[left[0]] if len(left) == 1 else None

    def next_tokens(self, said: Sequence[int]) -> list[int]:
        """The tokens that may follow while it is undecided, in the order of the sentences."""
        return [tokens[len(said)] for tokens in self._left(said)]

    def _left(self, said: Sequence[int]) -> list[tuple[int, ...]]:
        start = tuple(said)
        return [tokens for tokens in self._sentences if tokens[: len(start)] == start]


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sentences have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
