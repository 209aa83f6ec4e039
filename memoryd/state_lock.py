"""One daemon a state folder: the lock goes with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from memoryd.errors import AlreadyRunningError, StoreError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

LOCK_FILE = "daemon.lock"


def lock_state(state: Path) -> IO[str]:
    """Takes a state folder, which is made where it isn't there.

    Returns:
        What holds it, until it is closed.

    Raises:
        AlreadyRunningError: another daemon owns it.
        StoreError: it can't be written.
    """
    try:
        # Everybody's words are in it, and other accounts of the machine have no business there.
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # On a disk that is read-only now, the file is there from an earlier run, and the port says what is wrong.
        file = (state / LOCK_FILE).open("r" if _is_read_only(state) else "a")
    except OSError as error:
        raise StoreError(
            f"The state folder {state} can't be written: {error.strerror}. Mend its permissions or set paths.state."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise AlreadyRunningError(
            f"Another memoryd owns {state}. Stop it first, or give this one its own paths.state."
        ) from error
    return file


def _is_read_only(state: Path) -> bool:
    return (state / LOCK_FILE).exists() and not os.access(state, os.W_OK)
