"""The Chroma child process: `python -m memoryd.chroma.child FOLDER PORT PARENT_PID MAX_FILE_BYTES`.

It dies with the daemon, even when the daemon is killed outright, and takes a lock on its folder first: two servers
on one folder damage it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Binds its life to the daemon's, locks the folder, limits file sizes, and becomes `chroma run`."""
    folder, port, parent, max_file_bytes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the daemon is gone already")
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / ".lock").open("w")
    # Waits for a child of a daemon that was killed a moment ago; that one is dying.
    fcntl.flock(lock, fcntl.LOCK_EX)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    # What chromadb's own `chroma` command calls, without the second that it takes to import chromadb: recall is
    # degraded for as long as a child takes to come back.
    import chromadb_rust_bindings

    with suppress(KeyboardInterrupt):
        chromadb_rust_bindings.cli(
            ["chroma", "run", "--path", str(folder), "--host", "127.0.0.1", "--port", port]
        )


if __name__ == "__main__":
    main()
