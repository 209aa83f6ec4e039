"""The folder of day folders, known by what it is and not only by its name: a volume can be unmounted under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.disk import same_one
from memoryd.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


class MemoryFolder:
    """`memory/` as it was when the daemon started.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._started_on = same_one(root)

    def check(self) -> None:
        """Nothing may be written to, or taken for deleted in, another folder of the same name.

        Raises:
            StoreError: the folder is gone, or another one stands in its place.
        """
        now = same_one(self.root)
        if now is None or now != self._started_on:
            raise StoreError(
                f"The memory folder {self.root} is not the one that memoryd started on. Mount or move that one "
                "back, or restart memoryd on this one. What was remembered is kept."
            )
