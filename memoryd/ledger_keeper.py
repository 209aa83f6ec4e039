"""Keeps the ledger open: tries again while the disk refuses, looks for damage, and sees to it while everything runs.

open ── refused ─▶ say why, try again every 5 s
  └──▶ ended uncleanly last time? ─▶ PRAGMA quick_check beside everything else
  └──▶ damage met by anybody ─▶ everybody out ─▶ recovered ─▶ files read again, a new generation of the index
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from memoryd.errors import StoreError
from memoryd.ledger import Ledger, Recovery

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from memoryd.clock import Clock

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
READERS_LIMIT_S = 2.0
STOP_LIMIT_S = 3.0
WATCH_SECONDS = 1.0
# A pipeline that no daemon has: the files are read into a new generation of the index.
SALVAGED = "salvaged"


class LedgerKeeper:
    """Owns the ledger's thread, and says how the ledger is.

    Attributes:
        fault: why it can't be opened, with the remedy; empty where it is open.
    """

    def __init__(self, state: Path, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._checking = False
        self._recovery = ""
        # A new ledger was made, and not everybody who must know of it does yet.
        self._anew = False
        self.ledger: Ledger | None = None
        self.fault = ""

    def open(self) -> Ledger | None:
        """Opens the ledger, as often as it takes; None where the daemon was told to stop meanwhile."""
        ledger: Ledger | None = None
        while not self._stopping.is_set():
            try:
                ledger = ledger or Ledger(self._state, self._clock)
                if ledger.recovered:
                    self._begin_new_generation(ledger)
            except StoreError as error:
                if str(error) != self.fault:
                    log.error("%s", error)  # noqa: TRY400  (it says all that a person needs)
                self.fault = str(error)
                self._stopping.wait(RETRY_SECONDS)
                continue
            self.fault = ""
            self.ledger = ledger
            return ledger
        if ledger is not None:
            ledger.close()
        return None

    def watch(self, recovered: Callable[[], None]) -> None:
        """Starts to look after the ledger.

        Args:
            recovered: has the files read again, into a new generation; called again where it fails.
        """
        self._thread = threading.Thread(target=self._run, args=(recovered,), name="ledger", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends in a bounded time, a check that is under way too. The ledger stays open."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_LIMIT_S)

    def state(self) -> tuple[str, str]:
        """The ledger's state and detail for `/ready`."""
        ledger = self.ledger
        if ledger is None:
            return ("failed" if self.fault else "loading"), self.fault
        if ledger.damage:
            how = f"it is damaged ({ledger.damage}) and is being recovered"
            return "degraded", f"{how}; {self._recovery}" if self._recovery else how
        if ledger.trouble:
            return "degraded", ledger.trouble
        if self._anew and self._recovery:
            return "degraded", f"{ledger.recovered} That does not begin yet: {self._recovery}"
        checking = "it is being checked: the last run ended uncleanly" if self._checking else ""
        return "ready", ledger.recovered or checking

    def _run(self, recovered: Callable[[], None]) -> None:
        ledger = self.ledger
        assert ledger is not None  # noqa: S101  (`watch` comes after `open`)
        if ledger.unclean:
            self._check(ledger)
        next_probe = self._clock.monotonic()
        while not self._stopping.is_set():
            damaged = ledger.damaged.wait(WATCH_SECONDS)
            try:
                if damaged:
                    self._recover(ledger)
                if self._anew and not ledger.damage:
                    self._begin_new_generation(ledger)
                    recovered()
                    self._anew = False
                elif ledger.trouble and self._clock.monotonic() >= next_probe:
                    next_probe = self._clock.monotonic() + RETRY_SECONDS
                    ledger.probe()
            except Exception as error:  # the thread's boundary: it is tried again
                log.exception("the ledger could not be seen to; it is tried again in %g s", RETRY_SECONDS)
                self._recovery = str(error)
                self._stopping.wait(RETRY_SECONDS)

    def _check(self, ledger: Ledger) -> None:
        log.info("the last run ended uncleanly: the ledger is being checked")
        self._checking = True
        begun = self._clock.monotonic()
        ledger.check(lambda: self._stopping.is_set() or ledger.damaged.is_set())
        self._checking = False
        if not ledger.damage:
            log.info("the ledger was checked in %.1f s: nothing is wrong", self._clock.monotonic() - begun)

    def _recover(self, ledger: Ledger) -> None:
        outcome = ledger.recover(READERS_LIMIT_S)
        if outcome is not Recovery.BUSY:
            self._recovery = ""
            self._anew = self._anew or outcome is Recovery.ANEW

    def _begin_new_generation(self, ledger: Ledger) -> None:
        """What Chroma holds belongs to the ledger that was; its folders say how far that had counted."""
        from memoryd.index_keeper import GENERATION, PIPELINE  # brings numpy, and the app answers first

        folders = (self._state / "chroma").glob("g*")
        numbers = [int(folder.name[1:]) for folder in folders if folder.name[1:].isdecimal()]
        generation = max([int(ledger.setting(GENERATION) or 1), *numbers])
        ledger.remember(GENERATION, str(generation))
        ledger.remember(PIPELINE, SALVAGED)
