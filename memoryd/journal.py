"""Writes conversations into `memory/` in the native format, appended and on disk before anyone is told so.

    memory/day0315/<user>/2026-03-15_<conversation>.jsonl     one turn a line

The watcher reads them like any other file: there is one way into the memory.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from memoryd.disk import UNSAFE, sync_folder
from memoryd.errors import StoreError
from memoryd.memory_folder import MemoryFolder
from memoryd.native_line import native_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

LONGEST_LINE_BYTES = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A turn on its way to disk.

    Attributes:
        citations: the passages that an answer was built from.
        identity_version: the identity that gave it.
        mood: how the being's words read then: a named emotion.
    """

    role: str
    speaker: str
    text: str
    time: datetime
    citations: tuple[str, ...] | None = None
    identity_version: int | None = None
    mood: str | None = None


class ErasedConversation(NamedTuple):
    """A conversation that is gone, and whose it was."""

    id: str
    owners: frozenset[str]


class Journal:
    """Appends turns to conversations.

    Args:
        memory: the folder of day folders.
    """

    def __init__(self, memory: Path) -> None:
        self._folder = MemoryFolder(memory)
        self._lock = threading.RLock()
        self._erased: list[ErasedConversation] = []

    def append(self, user: str, conversation_id: str, turns: Sequence[Utterance]) -> str:
        """Writes turns and syncs them to disk; returns the file's path below `memory/`.

        Raises:
            StoreError: the disk refused, or it would be written through a link, which nobody would read; nothing
                half-written stays behind.
        """
        when = turns[0].time
        name = UNSAFE.sub("_", conversation_id)
        path = f"day{when:%m%d}/{user}/{when:%Y-%m-%d}_{name}.jsonl"
        data = "".join(_line(conversation_id, turn) for turn in turns).encode()
        with self._lock:
            self._folder.check()
            try:
                self._refuse_links(path)
                _append(self._folder.root / path, data)
            except OSError as error:
                raise StoreError(
                    f"The conversation could not be written to {path}: {error.strerror}. "
                    "Free the disk or mend its permissions; nothing of it was kept."
                ) from error
        return path

    def _refuse_links(self, path: str) -> None:
        folder, file = self._folder.root, self._folder.root / path
        for each in (file, *file.parents):
            if each == folder:
                return
            if each.is_symlink():
                raise StoreError(
                    f"The conversation can't be written to {path}: {each.relative_to(folder)} is a link, and memoryd "
                    "reads none. Put what it leads to there itself; nothing of it was kept."
                )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is written by others until it ends."""
        with self._lock:
            yield

    @property
    def erasures(self) -> int:
        """How many conversations were erased since the start: a moment to compare with."""
        return len(self._erased)

    def erased_since(self, moment: int, owners: Sequence[str]) -> list[ErasedConversation]:
        """The conversations that were erased since then, of those that who sees these owners may have seen."""
        seen = frozenset(owners)
        return [each for each in self._erased[moment:] if each.owners & seen]

    def note_erased(self, conversation_id: str, owners: Iterable[str]) -> None:
        """Lets those who are about to write know that what these owners had of this conversation is gone."""
        self._erased.append(ErasedConversation(conversation_id, frozenset(owners)))

    def paths_of(self, conversation_id: str) -> list[str]:
        """The files that were written for a conversation, read yet or not."""
        name = UNSAFE.sub("_", conversation_id)
        files = self._folder.root.glob(f"day*/*/????-??-??_{name}.jsonl")
        return sorted(file.relative_to(self._folder.root).as_posix() for file in files)


def new_conversation_id() -> str:
    """A fresh id: `c_` and twelve hexadecimal digits."""
    return f"c_{secrets.token_hex(6)}"


def _line(conversation_id: str, turn: Utterance) -> str:
    return native_line(
        id=f"t_{secrets.token_hex(6)}",
        conversation=conversation_id,
        time=turn.time.replace(microsecond=0),
        role=turn.role,
        speaker=turn.speaker,
        text=turn.text,
        citations=turn.citations,
        identity_version=turn.identity_version,
        mood=turn.mood,
    )


def _append(file: Path, data: bytes) -> None:
    """Appends whole lines, synced. A failed write is taken back."""
    fresh = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without a buffer: what a full disk refused must not be written again on the way out.
    with file.open("ab+", buffering=0) as out:
        _mend_tail(file, out)
        size = out.seek(0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[out.write(rest) :]
            os.fsync(out.fileno())
        except OSError:
            out.truncate(size)
            raise
    if fresh:
        for folder in (file.parent, file.parent.parent, file.parent.parent.parent):
            sync_folder(folder)


def _mend_tail(file: Path, out: IO[bytes]) -> None:
    """A crash can leave half a line at the end, never acknowledged. It is set aside in a hidden file, not joined on."""
    size = out.seek(0, os.SEEK_END)
    out.seek(max(0, size - LONGEST_LINE_BYTES))
    tail = out.read().rpartition(b"\n")[2]
    if not tail:
        return
    try:
        json.loads(tail)
    except ValueError:
        with torn_aside(file).open("ab") as aside:
            aside.write(tail + b"\n")
        out.truncate(size - len(tail))
    else:
        out.seek(0, os.SEEK_END)
        out.write(b"\n")


def torn_aside(file: Path) -> Path:
    """Where half a line of a conversation's file is set aside."""
    return file.with_name(f".{file.name}.torn")
