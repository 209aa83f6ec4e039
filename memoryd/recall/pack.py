"""Hits as a prompt holds them: within a budget, in the order of their times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memoryd.ledger import FoundPassage
    from memoryd.recall.hits import Hit


def pack(hits: Sequence[Hit], *, budget: int, count_tokens: Callable[[str], int]) -> list[Hit]:
    """The best hits that fit into a token budget, in time order."""
    chosen: list[Hit] = []
    left = budget
    for hit in hits:
        cost = count_tokens(written(hit.passage))
        if cost <= left:
            chosen.append(hit)
            left -= cost
    return sorted(chosen, key=lambda hit: (hit.passage.time, hit.passage.id))


def written(passage: FoundPassage) -> str:
    """A memory as the model reads it: date and source above the words, which name their speakers."""
    return f"[{passage.time:%Y-%m-%d} · {passage.path}]\n{passage.text}"
