"""What comes with a member's questions: the most telling of their own words, which no identity holds.

The identity that every model keeps is made of what is shared and the origin's own. A member's own part is chosen in
the same way from their own turns, and goes with their questions, into their prompts alone.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from memoryd.gists import LedgerGists
from memoryd.identity import own_words
from memoryd.life import Life

if TYPE_CHECKING:
    from memoryd.ledger import Ledger
    from memoryd.users import User

# For how long it stands before it is chosen anew.
KEPT_S = 3600.0


class _Part(NamedTuple):
    text: str
    made_at: float


class OwnParts:
    """Chosen at a member's first question, which waits for it, and kept for an hour; safe for threads.

    Args:
        embedder: the id of the embedder whose vectors are looked at.
        budget: of each, in estimated tokens.
    """

    def __init__(self, ledger: Ledger, *, embedder: str, budget: int) -> None:
        self._ledger = ledger
        self._embedder = embedder
        self._budget = budget
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}
        self._forgotten = 0

    def of(self, user: User) -> str:
        """The lines of a user's own part; "" for the origin, whose words the identity holds.

        Raises:
            StoreError: the ledger can't be read.
        """
        if user.is_origin:
            return ""
        with self._lock:
            part, forgotten = self._parts.get(user.id), self._forgotten
        if part is not None and time.monotonic() - part.made_at < KEPT_S:
            return part.text
        part = _Part(self._chosen(user), time.monotonic())
        with self._lock:
            if self._forgotten == forgotten:  # else what was read may have been erased meanwhile
                self._parts[user.id] = part
        return part.text

    def _chosen(self, user: User) -> str:
        gists = LedgerGists(self._ledger, (user.id,))
        gists.make_missing()
        life = Life(
            gists, lambda passages: self._ledger.vectors.of_passages(self._embedder, passages), origin=user.id
        )
        return own_words(life, budget=self._budget)

    def forget(self) -> None:
        """Chooses all of them anew: something was erased, or is another's now."""
        with self._lock:
            self._forgotten += 1
            self._parts.clear()
