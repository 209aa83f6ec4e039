"""What SQLite's errors mean for the ledger: damage, which is recovered from, or a disk that a person must see to."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from memoryd.errors import LedgerDamagedError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

PRIMARY = 0xFF  # of an extended error code
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
REFUSED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
# Python's own error, without a code, where a torn page lies within a text: SQLite sees nothing wrong with such a row.
UNDECODABLE = "Could not decode to UTF-8"
# A disk with less room than this is full for SQLite's log and its index.
LITTLE_ROOM_BYTES = 2**20


def store_error(file: Path, error: sqlite3.Error, what: str) -> StoreError:
    """Our error for one of SQLite's, with its remedy.

    Args:
        what: happened to the ledger, for example `can't be opened`.
    """
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
    if code in DAMAGE or str(error).startswith(UNDECODABLE):
        return LedgerDamagedError(
            f"The ledger {file} is damaged: {in_words(error)}. It is recovered without your help."
        )
    head = f"The ledger {file} {what}: {error}."
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(file)):
        return StoreError(f"{head} Its disk is full: free some room there; memoryd tries again by itself.")
    if code in REFUSED:
        return StoreError(f"{head} {_permission(file)} memoryd tries again by itself.")
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"{head} The disk failed: `dmesg` says how. Mend it, or move the state folder to another disk and "
            "set paths.state."
        )
    return StoreError(head)


def in_words(error: BaseException) -> str:
    """An error's own words, without the text that could not be decoded: somebody said it."""
    return str(error).partition(" with text ")[0]


def _is_full(file: Path) -> bool:
    try:
        disk = os.statvfs(file.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < LITTLE_ROOM_BYTES


def _permission(file: Path) -> str:
    """What to do about a file that may not be opened or written."""
    folder = file.parent
    if not folder.is_dir():
        return f"There is no folder {folder}: mount it, or make it."
    try:
        read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        read_only = False
    if read_only:
        return f"The file system of {folder} is mounted read-only: mount it writable."
    return (
        f"The daemon runs as user {os.geteuid()} and needs to read and write it and its folder: "
        f"`chown -R {os.geteuid()} {folder}` and `chmod -R u+rwX {folder}`."
    )
