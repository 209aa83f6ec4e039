"""A hit is shown with what stands beside it: a line of chat says little without the one before and the one after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from memoryd.korean import estimate_tokens
from memoryd.passages import Kind
from memoryd.recall import weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memoryd.ledger import FoundPassage, Ledger, Place

# How far to either side it is looked.
REACH = 4
# A chat goes on for years in one file; what was said hours apart is another talk.
SAME_TALK = timedelta(hours=3)


class Widening:
    """Adds neighbours to passages, none twice in one search.

    Args:
        owners: whose passages may be shown.
        scores: row → score, where there is one; the better side is taken first.
        wide: false where the caller filters, who then sees what was asked for and nothing beside it.
    """

    def __init__(
        self, ledger: Ledger, owners: Sequence[str], scores: Mapping[int, float], *, wide: bool
    ) -> None:
        self._search = ledger.search
        self._owners = owners
        self._scores = scores
        self._wide = wide
        self.shown: set[int] = set()

    def wide(self, place: Place, passage: FoundPassage) -> tuple[FoundPassage, tuple[str, ...]]:
        """The passage as one with its neighbours, and the ids of all that it covers, in their order."""
        self.shown.add(place.row)
        room = weights.HIT_TOKENS - estimate_tokens(passage.text)
        if not self._wide or room <= 0 or passage.kind == Kind.REPLY:
            return passage, (passage.id,)
        taken = [passage]
        sides = self._search.beside(place, self._owners, REACH)
        # Nearest last, to be popped; a side ends at the first passage that can't be added.
        before, after = (self._addable(place, side)[::-1] for side in sides)
        while before or after:
            earlier = bool(before) and (not after or self._score(before[-1]) > self._score(after[-1]))
            side = before if earlier else after
            neighbour = side.pop()
            found = self._search.get([neighbour.passage_id], self._owners)
            cost = estimate_tokens(found[0].text) if found else room + 1
            if cost > room:
                side.clear()
                continue
            room -= cost
            taken.insert(0 if earlier else len(taken), found[0])
            self.shown.add(neighbour.row)
        return _joined(passage, taken), tuple(each.id for each in taken)

    def _addable(self, place: Place, side: Sequence[Place]) -> list[Place]:
        """Those of a side, nearest first, that belong to the same talk and were not shown yet."""
        addable: list[Place] = []
        last = place
        for each in side:
            apart = abs(each.time - last.time) > SAME_TALK
            if apart or each.kind == Kind.REPLY or each.row in self.shown:
                break
            addable.append(each)
            last = each
        return addable

    def _score(self, place: Place) -> float:
        return self._scores.get(place.row, 0.0)


def _joined(core: FoundPassage, passages: Sequence[FoundPassage]) -> FoundPassage:
    turns = {turn.index: turn for passage in passages for turn in passage.turns}
    return replace(
        core,
        text="\n".join(passage.text for passage in passages),
        time=passages[0].time,
        turns=tuple(turns[index] for index in sorted(turns)),
    )
