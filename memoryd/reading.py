"""Who may have files read into the ledger: the one thread that reads them, or somebody who must have it to themselves.

A read of long files takes minutes, and an erasure can't wait for it. So it is broken off: what is not stored yet
stays as if it had not been read, and is read from its beginning after. (Vectors that no passage uses go with an
erasure, those of a read that it broke off too.)
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memoryd.ingest import StoppingError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reading:
    """Either files are read, or somebody has it alone; who wants it alone goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = 0
        self._alone = False
        self._reads = 0

    @contextmanager
    def of_files(self) -> Iterator[None]:
        """Held by the thread that reads files in, which may read one within the read of others."""
        with self._changed:
            self._changed.wait_for(lambda: self._reads or not (self._wanted or self._alone))
            self._reads += 1
        try:
            yield
        finally:
            with self._changed:
                self._reads -= 1
                self._changed.notify_all()

    def go_on(self) -> None:
        """Called now and then while files are read.

        Raises:
            StoppingError: somebody wants it alone.
        """
        if self._wanted:
            raise StoppingError

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No file is read meanwhile; a read that has begun is broken off as soon as it can be."""
        with self._changed:
            self._wanted += 1
            self._changed.wait_for(lambda: not (self._reads or self._alone))
            self._wanted -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
