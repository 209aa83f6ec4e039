"""The KV cache's cells as an account: who has reserved how many, so that what is begun can be finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class Cells:
    """Reservations by owner, in tokens; a cell that sequences share is its first owner's."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._reserved: dict[Hashable, int] = {}

    @property
    def used(self) -> int:
        """All reservations together."""
        return sum(self._reserved.values())

    @property
    def free(self) -> int:
        """What is left."""
        return self.total - self.used

    def reserve(self, owner: Hashable, count: int) -> bool:
        """Sets an owner's reservation; False, with nothing changed, where so many aren't left."""
        if count - self._reserved.get(owner, 0) > self.free:
            return False
        self._reserved[owner] = count
        return True

    def release(self, owner: Hashable) -> None:
        """Gives an owner's back."""
        self._reserved.pop(owner, None)

    def move(self, owner: Hashable, to: Hashable) -> None:
        """Makes a reservation another owner's."""
        self._reserved[to] = self._reserved.pop(owner, 0)

    def of(self, owner: Hashable) -> int:
        """An owner's reservation, 0 for none."""
        return self._reserved.get(owner, 0)
