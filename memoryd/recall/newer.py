"""Newer before older: where two hits speak of the same thing, the one that may have changed it stands first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memoryd.recall import weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.recall.ranking import Ranked

# Only among the first hits does an order matter.
DEPTH = 20


def newer_first(ranked: Sequence[Ranked], vectors: Mapping[int, NDArray[np.float32]]) -> list[Ranked]:
    """Candidates with each moved before the first older one on its subject that scores little more.

    Args:
        ranked: best first.
        vectors: row → unit vector, (d,) float32, of the first of them.
    """
    ordered = list(ranked)
    for at in range(1, min(DEPTH, len(ordered))):
        newer = ordered[at]
        for before in range(at):
            if _supersedes(newer, ordered[before], vectors):
                del ordered[at]
                ordered.insert(before, replace(newer, why=replace(newer.why, newer=True)))
                break
    return ordered


def _supersedes(newer: Ranked, older: Ranked, vectors: Mapping[int, NDArray[np.float32]]) -> bool:
    """Whether one was said later than another on the same subject, and fits the question nearly as well."""
    if newer.place.time <= older.place.time or older.score - newer.score > weights.NEWER_WITHIN:
        return False
    mine, theirs = vectors.get(newer.place.row), vectors.get(older.place.row)
    return mine is not None and theirs is not None and float(mine @ theirs) >= weights.SAME_SUBJECT
