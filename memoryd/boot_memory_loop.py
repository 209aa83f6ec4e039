"""The replay: reads the manifests and every turn again, and writes a new identity where anything has changed.

manifests + every turn in event order ──make_identity──▶ digest known? ── yes ─▶ identity stays
                                                              └── no ──▶ version n + 1 ──adopted──▶ the models
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from memoryd.errors import MemorydError, ReplayError
from memoryd.identity import make_identity, read_manifests
from memoryd.ledger import ReplayRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from memoryd.clock import Clock
    from memoryd.ledger import IdentityRow, Ledger

log = logging.getLogger(__name__)


class BootMemoryLoop:
    """Runs replays, one at a time.

    Args:
        manifest: the folder of the three files.
        owners: whose turns the identity is made of.
        budget: of the identity, in estimated tokens.
        adopted: told of each identity that comes into force, in their order; must not fail.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        manifest: Path,
        owners: Sequence[str],
        budget: int,
        adopted: Callable[[IdentityRow], None],
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._manifest = manifest
        self._owners = owners
        self._budget = budget
        self._adopted = adopted
        self._clock = clock
        self._lock = threading.Lock()
        self._running: ReplayRow | None = None
        self.fault = ""

    def identity(self) -> IdentityRow | None:
        """The identity in force, or None before the first replay."""
        return self._ledger.identities.latest()

    def adopt(self) -> IdentityRow | None:
        """Tells of the identity in force again: at the start, and where the models have forgotten it."""
        with self._lock:
            identity = self.identity()
            if identity is not None:
                self._adopted(identity)
            return identity

    def running(self) -> ReplayRow | None:
        """The replay that is under way, or None."""
        return self._running

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the replay that runs, and lets none begin meanwhile."""
        with self._lock:
            yield

    def replay(self, trigger: str) -> ReplayRow:
        """Runs one replay; a second one waits for the first.

        Raises:
            ReplayError: it failed; the identity before it stays in force.
        """
        with self._lock:
            begun = time.perf_counter()
            row = ReplayRow(
                state="running",
                trigger=trigger,
                started_at=self._clock.now(),
                seconds=0.0,
                turns=0,
                kept=0,
                changed=False,
                identity_version=None,
                digest=None,
            )
            self._running = row
            try:
                row = replace(self._run(row), seconds=_seconds_since(begun))
                self._ledger.identities.log_replay(row)
                self.fault = ""
            except (MemorydError, OSError) as error:
                failed = replace(row, state="failed", seconds=_seconds_since(begun), error=str(error))
                self._log_failure(failed)
                self.fault = f"the last replay failed: {error}"
                raise ReplayError(
                    f"The replay failed: {error} The identity before it stays in force."
                ) from error
            finally:
                self._running = None
            log.info(
                "replay (%s): %d turns, %d memories kept, identity %s%s in %.2f s",
                trigger,
                row.turns,
                row.kept,
                row.identity_version,
                "" if row.changed else " unchanged",
                row.seconds,
            )
            return row

    def _log_failure(self, row: ReplayRow) -> None:
        """Records a failed replay, unless the ledger itself is what failed."""
        try:
            self._ledger.identities.log_replay(row)
        except MemorydError:
            log.exception("the failed replay could not be recorded")

    def _run(self, row: ReplayRow) -> ReplayRow:
        made = make_identity(
            read_manifests(self._manifest), self._ledger.files.all_turns(self._owners), budget=self._budget
        )
        before = self._ledger.identities.latest()
        changed = before is None or before.digest != made.digest
        identity = before
        if before is None or changed:
            identity = self._ledger.identities.add(
                digest=made.digest,
                text=made.text,
                tokens=made.tokens,
                missing=made.missing,
                created_at=self._clock.now(),
            )
            self._adopted(identity)
        return replace(
            row,
            state="done",
            turns=made.turns,
            kept=made.kept,
            changed=changed,
            identity_version=identity.version if identity else None,
            digest=made.digest,
        )


def _seconds_since(begun: float) -> float:
    return round(time.perf_counter() - begun, 3)
