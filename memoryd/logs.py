"""Logging: one line an event on stderr and in `state/logs/memoryd.log`, which rotates and is gzipped."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import sys
import zlib
from contextlib import ExitStack
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
FILE_BYTES = 4 * 2**20
FILES_KEPT = 5
# These libraries log a line a request, which says nothing to memoryd's user.
NOISY = ("httpx", "httpcore", "chromadb", "sentence_transformers", "apscheduler", "watchdog", "urllib3")


def setup_logging(level: str, folder: Path) -> None:
    """Sends the root logger to stderr and, where that can be written, to a rotating file in `folder`."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    refused: OSError | None = None
    try:
        handlers.append(_file_handler(folder))
    except OSError as error:
        refused = error
    logging.basicConfig(level=level.upper(), format=FORMAT, handlers=handlers, force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if refused is not None:
        logging.getLogger(__name__).warning("no log file in %s: %s", folder, refused.strerror)


def _file_handler(folder: Path) -> RotatingFileHandler:
    folder.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(
        folder / "memoryd.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
    )
    file.namer = lambda name: f"{name}.gz"
    file.rotator = _gzip
    return file


def scrub_logs(folder: Path, holds: Callable[[bytes], bool]) -> int:
    """Takes the lines that hold something out of every log; returns how many they were.

    The log that is being written stays open: it is shortened in place, while nobody can write to it.
    """
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, RotatingFileHandler)]
    gone = 0
    with ExitStack() as quiet:
        for handler in handlers:
            handler.acquire()
            quiet.callback(handler.release)
        for file in sorted(folder.glob("memoryd.log*")):
            packed = file.suffix == ".gz"
            try:
                data = gzip.decompress(file.read_bytes()) if packed else file.read_bytes()
            except (OSError, EOFError, zlib.error):
                # Cut short by a kill while it was packed: nobody can read it, or say what is in it.
                file.unlink()
                continue
            if not holds(data):
                continue
            lines = data.splitlines(keepends=True)
            kept = [line for line in lines if not holds(line)]
            gone += len(lines) - len(kept)
            rest = b"".join(kept)
            with file.open("r+b") as out:
                out.write(gzip.compress(rest) if packed else rest)
                out.truncate()
                out.flush()
                os.fsync(out.fileno())
    return gone


def _gzip(source: str, target: str) -> None:
    with Path(source).open("rb") as plain, gzip.open(target, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    os.unlink(source)  # noqa: PTH108  (the handler hands over plain strings)
