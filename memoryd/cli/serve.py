"""`memoryd run`: hands the process to the daemon, Kiwi loading beside it. Imports nothing that the daemon doesn't."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from memoryd.errors import MemorydError

if TYPE_CHECKING:
    from pathlib import Path

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def serve(config: Path | None) -> int:
    """Runs the daemon until it is told to stop. Returns the exit code."""
    # A signal ends the process at once. Until the app has the port nothing needs saving, and an exception in the midst
    # of imports may get lost in a callback that ignores it, or come out as another one. Then uvicorn takes the
    # signals, and sends them again once all is stopped: Python's own exit would wait for a worker within a large file.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: os._exit(0))
    signal.signal(signal.SIGINT, lambda _signal, _frame: os._exit(INTERRUPTED))
    from memoryd.kiwi import KIWI

    # First of all: it takes longer to load than all else, and does so on another core while the daemon is imported.
    KIWI.start()
    try:
        from memoryd.api.port import run

        return run(config)
    except MemorydError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    finally:
        KIWI.stop()
