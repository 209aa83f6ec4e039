"""Users who come and go while the daemon runs: who may see a file changes at once, in everything made of it.

add ─▶ (no replay, no file's commit) ─▶ ledger: files, passages, identities ─▶ users.json ─▶ token
                                                     └─▶ what conversations at hand quote, a replay
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.identity import without_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from memoryd.boot_memory_loop import BootMemoryLoop
    from memoryd.clock import Clock
    from memoryd.ledger import Ledger
    from memoryd.owners import Owners
    from memoryd.users import User, Users

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A member who has just come: their token, kept nowhere, and the files that were shared and are theirs now."""

    user: User
    token: str
    files: tuple[str, ...]


class People:
    """Adds users, and gives files to their owners.

    Args:
        moved: told when files have another owner now: what was made of them is to be made anew.
    """

    def __init__(
        self,
        *,
        users: Users,
        ledger: Ledger,
        loop: BootMemoryLoop,
        moved: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._users = users
        self._ledger = ledger
        self._loop = loop
        self._moved = moved
        self._clock = clock

    def add(self, name: str, *, returning: bool = False) -> Added:
        """Makes a member. Whatever lies in folders of that name is theirs before anybody has the token.

        Raises:
            BadRequestError: the name can't be one.
            ConflictError: it is taken, or was somebody's, or there are six users already.
            StoreError: the disk refuses; nobody was added.
        """
        files: list[str] = []
        # A replay that began before would write an identity that quotes them after.
        try:
            with self._loop.held():
                user, token = self._users.add(
                    name,
                    now=self._clock.now(),
                    returning=returning,
                    owned=lambda owners: files.extend(give_to_owners(self._ledger, owners)),
                )
        finally:
            # Also where the disk refused the user after that: their files are not shared any more.
            if files:
                self._moved()
        return Added(user=user, token=token, files=tuple(files))


def give_to_owners(ledger: Ledger, owners: Owners) -> tuple[str, ...]:
    """Has the ledger know whose each file is; returns the paths of those that have another owner now.

    Raises:
        StoreError: the ledger refuses; nothing has changed.
    """
    moved = ledger.files.reown(owners.of, owners.mark, without_files)
    if moved:
        log.info("%d files have another owner now", len(moved))
    return moved
