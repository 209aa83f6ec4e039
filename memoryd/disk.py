"""What is asked of files in more than one room: outliving a power cut, being the same one, a name that is safe."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def same_one(path: Path) -> tuple[int, int] | None:
    """Device and inode, which tell a file or folder from another of the same name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
