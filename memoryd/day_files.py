"""Imported conversations as they lie in day folders: found by name, read, and added to without touching a line.

memory/day0315/chatgpt_<conversation>.jsonl            shared
memory/day0315/<user>/chatgpt_<conversation>.jsonl     that user's own

A file is written under a hidden name, which the watcher overlooks, read back, synced and only then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import loaders
from memoryd.disk import UNSAFE, sync_folder, write_whole
from memoryd.errors import StoreError
from memoryd.memory_folder import MemoryFolder
from memoryd.native_line import native_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

# File systems take names of 255 bytes; a Hangul syllable has three.
LONGEST_STEM: Final = 60
DIGEST = 8
NUMBERED: Final = re.compile(r"\d+\Z")


class LeftAloneError(Exception):
    """A file that an import must not touch, with the reason and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one file holds of a conversation.

    Attributes:
        path: below `memory/`, with forward slashes.
        size: bytes.
    """

    path: str
    size: int
    turns: tuple[loaders.Turn, ...]

    @property
    def day(self) -> str:
        """The day folder's name."""
        return self.path.split("/", 1)[0]


class DayFiles:
    """The imported files below `memory/`.

    Args:
        memory: the folder of day folders.
        max_file_bytes: the daemon reads no larger file, so none is written.
        dry_run: keep what would be written in memory instead.
    """

    def __init__(self, memory: Path, *, max_file_bytes: int, dry_run: bool) -> None:
        self._root = memory
        self._folder = MemoryFolder(memory)
        self._max_file_bytes = max_file_bytes
        self._planned: dict[str, bytes] | None = {} if dry_run else None
        self._where: defaultdict[str, list[str]] = defaultdict(list)
        for path in _native_files(memory):
            self._where[path.rsplit("/", 1)[-1]].append(path)

    def names(self, form: str) -> list[str]:
        """The names of all files that were imported from one format."""
        return [name for name in self._where if name.startswith(f"{_safe(form)}_")]

    def conversations(self, name: str) -> set[str]:
        """The ids of the conversations in the files of this name; a damaged file names none."""
        found = set()
        for path in self._where[name]:
            try:
                found |= {each.id for each in _load(path, self._read(path))}
            except LeftAloneError:
                continue
        return found

    def parts(self, form: str, conversation_id: str) -> list[Part]:
        """What there is of a conversation, in the order of time where its turns have times.

        Raises:
            LeftAloneError: a file of its name can't be read, or holds something else.
        """
        parts = []
        for path in self._where.get(file_name(form, conversation_id), ()):
            data = self._read(path)
            turns = _turns(path, data, conversation_id)
            if not turns:
                raise LeftAloneError(
                    f"{path} is there and holds nothing of this conversation; move it away, and import again"
                )
            parts.append(Part(path=path, size=len(data), turns=turns))
        return sorted(parts, key=_begins)

    def add(
        self,
        path: str,
        conversation: loaders.Conversation,
        *,
        before: Sequence[loaders.Turn],
        after: Sequence[loaders.Turn],
    ) -> None:
        """Puts turns before and after those that a file has; the lines that are there stay, byte for byte.

        Args:
            path: below `memory/`; made where there is no such file.
            conversation: gives the id, and a new file its title.

        Raises:
            LeftAloneError: the file would come out too large or damaged, or somebody else is writing it.
            StoreError: the disk refused, or `memory/` is not there; nothing half-written stays.
        """
        self._folder.check()
        known = path in self._where[_name(path)]
        seen = None if not known or self._planned is not None else self._signature(path)
        old = self._read(path) if known else b""
        head = _lines(conversation, before, title="" if known else conversation.title)
        tail = _lines(conversation, after, title="" if known or before else conversation.title)
        data = head + old + (b"\n" if old and not old.endswith(b"\n") else b"") + tail
        if len(data) > self._max_file_bytes:
            raise LeftAloneError(
                f"{path} would have {len(data):,} bytes, more than the daemon reads; raise "
                f"watch.max_file_bytes ({self._max_file_bytes:,}), and import again"
            )
        there = _turns(path, old, conversation.id) if known else ()
        if not _alike(_turns(path, data, conversation.id), [*before, *there, *after]):
            raise LeftAloneError(
                f"{path} would not be read back as it was said; move it away, and import again"
            )
        if self._planned is not None:
            self._planned[path] = data
        else:
            self._write(path, data, seen)
        if not known:
            self._where[_name(path)].append(path)

    def _read(self, path: str) -> bytes:
        if self._planned and path in self._planned:
            return self._planned[path]
        try:
            if not stat.S_ISREG((self._root / path).lstat().st_mode):
                raise LeftAloneError(f"{path} is no ordinary file; move it away, and import again")
            return (self._root / path).read_bytes()
        except OSError as error:
            raise LeftAloneError(
                f"{path} can't be read: {error.strerror}; mend that, and import again"
            ) from error

    def _signature(self, path: str) -> tuple[int, int, int] | None:
        try:
            status = (self._root / path).lstat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _write(self, path: str, data: bytes, seen: tuple[int, int, int] | None) -> None:
        file = self._root / path
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")

        def ready() -> None:
            if seen is not None:
                partial.chmod(stat.S_IMODE(file.stat().st_mode))
            if self._signature(path) != seen:
                raise LeftAloneError(f"{path} was changed meanwhile; import again")

        try:
            _check_no_links(self._root, file.parent)
            made = [folder for folder in (file.parent, file.parent.parent) if not folder.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, data, aside=partial, ready=ready)
            for folder in made:
                sync_folder(folder.parent)
        except OSError as error:
            raise StoreError(
                f"{path} could not be written: {error.strerror}. Free the disk or mend its permissions, then import "
                "again: what was written before stays, and is not written twice."
            ) from error


def file_name(form: str, conversation_id: str) -> str:
    """The name of a conversation's files: the format, then the id as far as a file's name can hold it."""
    stem = _safe(conversation_id)
    if stem != conversation_id or len(stem) > LONGEST_STEM:
        # Two ids must never share a file.
        digest = hashlib.sha256(conversation_id.encode()).hexdigest()[:DIGEST]
        stem = f"{stem[:LONGEST_STEM]}_{digest}"
    return f"{_safe(form)}_{stem}.jsonl"


def is_numbered(turn: loaders.Turn, conversation_id: str) -> bool:
    """Whether a turn's id is only its place in the conversation: its file gave none."""
    prefix = f"{conversation_id}:"
    return turn.id.startswith(prefix) and NUMBERED.match(turn.id, len(prefix)) is not None


def _safe(text: str) -> str:
    return UNSAFE.sub("_", text)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _native_files(memory: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(memory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".jsonl") and not name.startswith("."):
                yield (Path(folder) / name).relative_to(memory).as_posix()


def _load(path: str, data: bytes) -> tuple[loaders.Conversation, ...]:
    try:
        loaded = loaders.load(path, data)
    except loaders.UnreadableError as error:
        raise LeftAloneError(f"{path} is damaged ({error}); mend it, and import again") from error
    tail = data.rpartition(b"\n")[2]
    if loaded.format != "native" or (tail.strip() and not _whole(tail)):
        raise LeftAloneError(f"{path} is no whole JSON Lines any more; mend it, and import again")
    return loaded.conversations


def _whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _turns(path: str, data: bytes, conversation_id: str) -> tuple[loaders.Turn, ...]:
    found = (each.turns for each in _load(path, data) if each.id == conversation_id)
    return next(found, ())


def _begins(part: Part) -> tuple[float, str]:
    times = (turn.time.timestamp() for turn in part.turns if turn.time)
    return next(times, float("inf")), part.path


def _lines(conversation: loaders.Conversation, turns: Sequence[loaders.Turn], *, title: str) -> bytes:
    lines = []
    for place, turn in enumerate(turns):
        line = native_line(
            id=turn.id,
            conversation=conversation.id,
            time=turn.time,
            role=turn.role,
            speaker=turn.speaker,
            text=turn.text,
            citations=turn.citations,
            title=title if title and place == 0 else None,
        )
        lines.append(line)
    return "".join(lines).encode()


def _alike(read: Sequence[loaders.Turn], meant: Sequence[loaders.Turn]) -> bool:
    """Whether a file gives back the turns that it was written for, their times' offsets too."""

    def as_said(turns: Sequence[loaders.Turn]) -> list[tuple[loaders.Turn, str | None]]:
        return [(replace(turn, index=0), turn.time.isoformat() if turn.time else None) for turn in turns]

    return as_said(read) == as_said(meant)


def _check_no_links(root: Path, folder: Path) -> None:
    while folder != root:
        if folder.is_symlink():
            raise LeftAloneError(f"{folder.relative_to(root)} is a link, which the daemon does not follow")
        folder = folder.parent
