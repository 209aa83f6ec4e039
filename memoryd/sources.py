"""The files that somebody names for `memoryd inspect` and `memoryd import`, read by the loaders.

FILE or folder ──walk──▶ NamedFile ──read──▶ Opened(loaded, modified)   or UnreadableError with the reason

A file's name as the loaders see it is its own name, and for one found in a folder that folder's name before it
(`KakaoTalk/talk.txt`): never where the folder lies on this machine, because names become conversation ids.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import loaders
from memoryd.ingest import printable
from memoryd.watch import ignored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# A film that lies beside an export must not be read whole to be refused. Bytes.
LARGE = 16 * 2**20
HEAD = 4096
# Archives and UTF-16 text, which hold NUL bytes and may be conversations.
MAY_HOLD_NUL = (b"PK", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file to read, and the name that the loaders see."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file that a loader has read.

    Attributes:
        size: bytes.
        modified: when the file was last written, in the machine's zone.
    """

    name: str
    size: int
    modified: datetime
    loaded: loaders.Loaded


def walk(paths: Iterable[Path]) -> Iterator[NamedFile]:
    """The files, and for a folder every file below it by name; hidden and temporary ones are left out.

    Links that are found in a folder are not followed; they come out as they are, for `read` to refuse.
    """
    for path in paths:
        if not path.is_dir():
            # A link that somebody names is meant.
            yield NamedFile(path=path.resolve(), name=printable(path.name))
            continue
        root = path.resolve()
        closed: list[OSError] = []
        for folder, folders, names in os.walk(root, onerror=closed.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = root if folder == str(root) else root / folder
            links = [name for name in folders if (here / name).is_symlink()]
            for name in sorted([*names, *links]):
                if not ignored(name):
                    yield _below(root, here / name)
        yield from (_below(root, root / str(error.filename)) for error in closed)


def read(file: NamedFile) -> Opened:
    """Reads one file with the loader that knows it. However large it is, it is read once.

    Raises:
        UnreadableError: it is not there, is no ordinary file, or no loader makes anything of it.
    """
    try:
        status = file.path.lstat()
        _check(file.path, status)
        data = file.path.read_bytes()
        after = file.path.lstat()
    except OSError as error:
        raise loaders.UnreadableError(f"it can't be read: {error.strerror}") from error
    except MemoryError as error:
        raise _too_large(status.st_size) from error
    if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise loaders.UnreadableError("it changed while it was read; try again when it is whole")
    try:
        loaded = loaders.load(file.name, data)
    except MemoryError as error:
        raise _too_large(status.st_size) from error
    modified = datetime.fromtimestamp(status.st_mtime).astimezone()
    return Opened(name=file.name, size=status.st_size, modified=modified, loaded=loaded)


def _below(root: Path, path: Path) -> NamedFile:
    return NamedFile(path=path, name=printable(path.relative_to(root.parent).as_posix()))


def _check(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise loaders.UnreadableError("it is a link; name the file itself")
    if stat.S_ISDIR(status.st_mode):
        raise loaders.UnreadableError("it is a folder that can't be listed; mend its permissions")
    if not stat.S_ISREG(status.st_mode):
        raise loaders.UnreadableError("it is no ordinary file")
    if status.st_size > LARGE:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if b"\0" in head and not head.startswith(MAY_HOLD_NUL):
            raise loaders.UnreadableError("a binary file (it holds NUL bytes); memoryd keeps words only")


def _too_large(size: int) -> loaders.UnreadableError:
    return loaders.UnreadableError(
        f"there is not enough memory to read its {size:,} bytes; split the export, or read it on a larger machine",
    )
