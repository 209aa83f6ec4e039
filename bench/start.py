"""How soon the port answers, the whole interface, and questions, over five starts on a small memory.

`python -m bench.start`; times run from the start of the process, in seconds; one JSON line comes last.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.daemon import Daemon, DaemonError
from bench.machine import describe_machine

STARTS = 5
POLL_SECONDS = 0.005


def main() -> int:
    """Runs the bench. Returns the exit code."""
    port_open, app, ready = [], [], []
    with (
        tempfile.TemporaryDirectory(prefix="memoryd-start-") as scratch,
        Daemon(Path(scratch), sample=True) as daemon,
    ):
        try:
            for number in range(1, STARTS + 1):
                started = time.perf_counter()
                daemon.start()
                daemon.wait_healthy(poll=POLL_SECONDS)
                port_open.append(time.perf_counter() - started)
                daemon.wait_app(poll=POLL_SECONDS)
                app.append(time.perf_counter() - started)
                daemon.wait_ready()
                ready.append(time.perf_counter() - started)
                daemon.stop()
                sys.stderr.write(
                    f"start {number}: port {port_open[-1]:.3f} s, interface {app[-1]:.2f} s, ready {ready[-1]:.2f} s\n"
                )
        except DaemonError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    result = {
        "starts": STARTS,
        "port_open_s": round(median(port_open), 3),
        "port_open_s_max": round(max(port_open), 3),
        "interface_s": round(median(app), 2),
        "interface_s_max": round(max(app), 2),
        "ready_s": round(median(ready), 2),
        "ready_s_max": round(max(ready), 2),
        "machine": describe_machine(),
    }
    print(json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
