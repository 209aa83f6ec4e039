"""Whose a file is: a folder with somebody's name inside a day folder is theirs, and stays so when they have gone.

memory/day0315/talk.txt          shared
memory/day0315/<user>/talk.txt   that user's own

Who is a user stands in the state folder, which can be lost. So the names that make a folder private are kept beside
the manifests as well: without them, everybody's own would become shared.
"""

from __future__ import annotations

import os
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from memoryd.disk import write_whole
from memoryd.errors import BadRequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHARED = ""
SHARED_WORD = "shared"
FOLDERS_FILE = "private_folders.txt"
FOLDERS_HEADING = (
    "# memoryd: folders with these names inside day folders are somebody's own, also of users who have gone.\n"
    "# Keep this file with memory/. A name that is taken out makes its folders shared at the next start.\n"
)
# A name is a folder's; 40 letters of any script fit into what a file system takes.
NAME = re.compile(r"\w[\w-]{0,39}\Z")
RESERVED = re.compile(r"(?:day(?:\d+|last)|shared)\Z")


class Owners:
    """The people whose folders are private.

    Args:
        origin: the origin's id.
        others: those of members, and of everybody who ever was one.
    """

    def __init__(self, origin: str, others: Iterable[str] = ()) -> None:
        self.origin = origin
        self._ids = {folder_key(each): each for each in (*others, origin)}

    @property
    def others(self) -> tuple[str, ...]:
        """Everybody but the origin."""
        return tuple(each for each in self._ids.values() if each != self.origin)

    @property
    def mark(self) -> str:
        """Names these owners among others: where it is the same, every file has the same owner."""
        return "1 " + " ".join(sorted(self._ids.values()))

    def of(self, path: str) -> str:
        """Whose a file below `memory/` is.

        A folder is known by its name in any case and composition: file systems differ in both, and what is doubtful
        is private. A person's folder that lies in no day folder is theirs too, though nothing in it is read.
        """
        for folder in path.split("/")[:-1][:2]:
            owner = self.named(folder)
            if owner is not None:
                return owner
        return SHARED

    def named(self, name: str) -> str | None:
        """The id of the one whose name it is, however it is written."""
        return self._ids.get(folder_key(name))


@lru_cache(maxsize=4096)
def folder_key(name: str) -> str:
    """A name without case, width and composition."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def checked_name(name: str) -> str:
    """A new user's name as it becomes their id.

    Raises:
        BadRequestError: it can't be a folder's, or means something else.
    """
    chosen = unicodedata.normalize("NFC", name.strip())
    if not NAME.match(chosen):
        raise BadRequestError(
            f"{name!r} can't be a user's name, which is a folder's too: letters of any script, digits, - and _, "
            "40 at most, and none of the others first."
        )
    if RESERVED.match(folder_key(chosen)):
        raise BadRequestError(f"{chosen!r} means something else in memory/. Choose another name.")
    return chosen


def read_folders(manifest: Path) -> tuple[str, ...]:
    """The names in `private_folders.txt`; none where there is no such file.

    Raises:
        StoreError: it can't be read. Going on would make private folders shared.
    """
    file = manifest / FOLDERS_FILE
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{file} can't be read ({error}), so nobody knows whose folders are private. Mend its permissions, or "
            "write it anew, one name a line."
        ) from error
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def keep_folders(manifest: Path, names: Iterable[str]) -> None:
    """Adds names to `private_folders.txt`.

    Raises:
        StoreError: the disk refuses.
    """
    known = read_folders(manifest)
    keys = set(map(folder_key, known))
    new = [each for each in names if folder_key(each) not in keys]
    if not new:
        return
    file = manifest / FOLDERS_FILE
    data = FOLDERS_HEADING + "".join(f"{each}\n" for each in (*known, *new))
    try:
        write_whole(file, data.encode(), aside=file.with_name(f".{FOLDERS_FILE}.{os.getpid()}"))
    except OSError as error:
        raise StoreError(
            f"{file} can't be written: {error.strerror}. Whose folders are private must be known beside the state "
            "folder too. Mend the permissions of the manifest folder, or free the disk."
        ) from error
