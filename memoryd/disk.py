"""What is asked of files in more than one room: written whole, outliving a power cut, the same one, a safe name."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What may not stand in a file name made of an id.
UNSAFE = re.compile(r"[^\w.-]+")


def sync_folder(folder: Path) -> None:
    """Makes a new name in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(
    file: Path,
    data: bytes,
    *,
    aside: Path,
    mode: int = 0o666,
    ready: Callable[[], None] | None = None,
) -> None:
    """Writes a file whole or not at all, and makes it outlive a power cut.

    Args:
        aside: where it is written first, in the same folder, under a name that nobody reads.
        mode: of a new file, less the process's umask.
        ready: called once `aside` is on disk and before it takes the file's name; an error of it leaves all as it was.

    Raises:
        OSError: the disk refused; the file is as it was.
    """
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        # Without a buffer: what a full disk refused must not be written again on the way out.
        with os.fdopen(descriptor, "wb", buffering=0) as out:
            rest = memoryview(data)
            while rest:
                rest = rest[out.write(rest) :]
            os.fsync(out.fileno())
            if ready:
                ready()
                os.fsync(out.fileno())
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(file.parent)


def can_be_listed(folder: Path) -> bool:
    """Whether a folder's files can be listed and read."""
    return os.access(folder, os.R_OK | os.X_OK)


def same_one(path: Path) -> tuple[int, int] | None:
    """Device and inode, which tell a file or folder from another of the same name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
