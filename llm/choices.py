"""Choosing among given sentences: the grammar that allows nothing else, and when the choice is made.

    sentences ──tokenize──▶ root ::= <[12]> <[7]> <[9]> | <[12]> <[8]> | …
                                     ──── once only one is left, the rest of it is known and not computed

The grammar is written in tokens, not in text: in text it would also allow a syllable byte by byte, and a
small model falls into bytes. It needs no escaping either.

Token literals: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md#tokens
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Choices:
    """The sentences by their tokens; `sentences` that have the same tokens count as one, the first."""

    def __init__(self, sentences: Sequence[str], tokenize: Callable[[str], list[int]]) -> None:
        self._sentences = {tuple(tokenize(sentence)): sentence for sentence in reversed(sentences)}

    @property
    def grammar(self) -> str:
        """GBNF that allows each sentence and nothing else."""
        literals = (" ".join(f"<[{token}]>" for token in tokens) for tokens in self._sentences)
        return "root ::= " + " | ".join(literal or '""' for literal in literals)

    @property
    def longest_search(self) -> int:
        """The most tokens that it can take until one sentence is left, an end token among them."""
        return 1 + max((_shared(one, other) for one, other in pairwise(sorted(self._sentences))), default=0)

    def decided(self, said: Sequence[int]) -> str | None:
        """The only sentence that begins with these tokens, or None while there are several."""
        start = tuple(said)
        left = [sentence for tokens, sentence in self._sentences.items() if tokens[: len(start)] == start]
        return left[0] if len(left) == 1 else None

    def ended(self, said: Sequence[int]) -> str:
        """The sentence that these are all tokens of."""
        return self._sentences[tuple(said)]


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sentences have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
