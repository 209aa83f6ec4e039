"""Newer before older: where two hits speak of the same thing, the one that may have changed it stands first.

How alike they must be hangs on the question: "지금 몇 명이야?" and "what is it now?" ask for the latest there is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memoryd.recall import weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.recall.ranking import Ranked

# Only among the first hits does an order matter.
DEPTH = 20
# Words of who asks how things stand now, or what became of them.
LATEST = re.compile(
    r"지금|현재|요즘|요새|이제|최근|최신|아직|여전히|결국|최종|마지막|바뀌|바뀐|바꿨|바꾼|변경|밀렸|밀린|미뤄|미룬|연기(?:됐|된)|옮겼|옮긴|"
    r"\b(?:now|nowadays|currently|current|these days|latest|recent(?:ly)?|still|any ?more|final(?:ly)?|in the end|"
    r"end(?:ed)? up|chang(?:ed?|ing)|moved|updated?|postponed|switched)\b",
    re.IGNORECASE,
)


def newer_first(
    ranked: Sequence[Ranked], vectors: Mapping[int, NDArray[np.float32]], *, latest: bool
) -> list[Ranked]:
    """Candidates with each moved before the first older one on its subject that scores little more.

    Args:
        ranked: best first.
        latest: whether the question asks for the latest there is (`asks_for_latest`).
        vectors: row → unit vector, (d,) float32, of the first of them.
    """
    ordered = list(ranked)
    for at in range(1, min(DEPTH, len(ordered))):
        newer = ordered[at]
        for before in range(at):
            if _supersedes(newer, ordered[before], vectors, latest=latest):
                del ordered[at]
                ordered.insert(before, newer._replace(why=newer.why._replace(newer=True)))
                break
    return ordered


def asks_for_latest(question: str) -> bool:
    """Whether a question asks how things stand now."""
    return bool(LATEST.search(question))


def _supersedes(
    newer: Ranked, older: Ranked, vectors: Mapping[int, NDArray[np.float32]], *, latest: bool
) -> bool:
    """Whether one was said later than another on the same subject, and fits the question nearly as well."""
    alike, within = (
        (weights.SAME_SUBJECT, weights.LATEST_WITHIN)
        if latest
        else (weights.SAME_STATEMENT, weights.NEWER_WITHIN)
    )
    if newer.place.time <= older.place.time or older.score - newer.score > within:
        return False
    mine, theirs = vectors.get(newer.place.row), vectors.get(older.place.row)
    return mine is not None and theirs is not None and float(mine @ theirs) >= alike
