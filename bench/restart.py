"""How soon a start is ready for search where nothing has changed since, with many files.

`python -m bench.restart --files 100000`: one small file each, with few enough different texts that reading them in
takes minutes and not hours; that is done once and not measured. Then the daemon starts on them three times, and three
times on an empty memory: what the files cost is the difference. `files_read` and `texts_embedded` count what those
starts did to the files: 0 is right. One JSON line comes last.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.daemon import Daemon, DaemonError
from bench.invented import write
from bench.machine import describe_machine

if TYPE_CHECKING:
    from memoryd_client.models import Counts

STARTS = 3
DIFFERENT_TEXTS = 500
POLL_SECONDS = 0.01
# What ingest logs of each file that it has read.
READ = re.compile(r"memoryd\.ingest")


def main() -> int:
    """Runs the bench. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, metavar="N")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="memoryd-restart-") as scratch,
        Daemon(Path(scratch) / "full", language_models=False) as daemon,
        Daemon(Path(scratch) / "empty", language_models=False) as empty,
    ):
        try:
            result = _measured(daemon, options.files)
            result["ready_without_files_s"] = round(median(_ready(empty) for _ in range(STARTS)), 2)
        except DaemonError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    print(json.dumps(result | {"machine": describe_machine()}, ensure_ascii=False))
    return 0 if result["files_read"] == result["texts_embedded"] == 0 else 1


def _measured(daemon: Daemon, files: int) -> dict[str, object]:
    write(daemon.memory, files, per_file=1, different=DIFFERENT_TEXTS)
    began = time.perf_counter()
    before = _started(daemon, files)
    first = time.perf_counter() - began
    daemon.stop()
    ready, read = [], 0
    for number in range(1, STARTS + 1):
        logged = daemon.log.stat().st_size
        ready.append(_ready(daemon, then_stop=False))
        after = _started(daemon, files)
        daemon.stop()
        read += _lines_of_ingest(daemon.log, logged)
        sys.stderr.write(f"start {number}: ready for search after {ready[-1]:.2f} s\n")
    return {
        "files": files,
        "passages": after.passages,
        "first_read_s": round(first, 1),
        "ready_for_search_s": round(median(ready), 2),
        "ready_for_search_s_max": round(max(ready), 2),
        "files_read": read,
        "texts_embedded": after.embedded_texts - before.embedded_texts,
    }


def _ready(daemon: Daemon, *, then_stop: bool = True) -> float:
    """Seconds from a start until the memory can be searched."""
    began = time.perf_counter()
    daemon.start()
    daemon.wait_ready(poll=POLL_SECONDS)
    seconds = time.perf_counter() - began
    if then_stop:
        daemon.stop()
    return seconds


def _started(daemon: Daemon, files: int) -> Counts:
    """The counts once everything is in; starts the daemon where it does not run."""
    if not daemon.is_running:
        daemon.start()
        daemon.wait_ready()
    return daemon.wait_indexed(files, _say)


def _say(counts: Counts) -> None:
    if counts.waiting_files:
        sys.stderr.write(f"\r{counts.files_indexed} files read, {counts.waiting_files} to go   ")


def _lines_of_ingest(log: Path, start: int) -> int:
    with log.open("rb") as file:
        file.seek(start)
        return sum(1 for line in file if READ.search(line.decode(errors="replace")))


if __name__ == "__main__":
    raise SystemExit(main())
