"""Files into the ledger: read, load, date, cut, embed, commit.

    paths ─▶ bytes ─loaders─▶ conversations ─▶ dated turns ─▶ passages ─┐
                                                                        │ of many files together
    file (one transaction each) ◀── vectors (committed as they come) ◀──┴─embedder

Files are gathered until there is a good load for the embedder: ten thousand small files fill its batches as one
large file does. Vectors are committed as they come, before the files: a kill costs at most a second of them.

The embedder never waits for the disk. While it works on one load, another thread splits the words of that load, cuts
the next one, and commits the files of the one before.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import loaders
from memoryd.day_folder import DAY_FOLDER, dated, day_of, folder_time
from memoryd.disk import can_be_listed
from memoryd.errors import StoreError
from memoryd.ledger import AGAIN, ConversationRow, FileRow, FileState, NewFile, NewPassage, Signature
from memoryd.memory_folder import MemoryFolder
from memoryd.passages import Passage, make_passages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.embedder import Embedder
    from memoryd.korean import WordSplitter
    from memoryd.ledger import Ledger, TurnRow
    from memoryd.users import Users

log = logging.getLogger(__name__)

# Part of the pipeline's fingerprint: a change of how turns become passages makes every file be read again.
PIPELINE = 2
# Passages that are embedded together, at least; three times as many are held in memory.
LOAD = 512
# How long a load is waited for at a time.
PAUSE_S = 0.5
# Vectors in one commit: about a second of work on a CPU.
SAVED_TOGETHER = 64


def nothing() -> None:
    """Nothing goes between."""


class UnsettledError(Exception):
    """The file changed while it was read; it is tried again once it has settled."""


class StoppingError(Exception):
    """Raised by whoever has files read, to have it end soon: what is not committed is to be read another time."""


@dataclass(frozen=True, slots=True)
class CutConversation:
    """A conversation that is read and cut, and has no vectors yet."""

    conversation: loaders.Conversation
    turns: tuple[TurnRow, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class _ReadFile:
    """A file that waits for its vectors."""

    path: str
    row: FileRow
    cuts: tuple[CutConversation, ...]

    def passages(self) -> Iterator[Passage]:
        return (passage for cut in self.cuts for passage in cut.passages)


class Ingest:
    """Reads files below `memory/` into the ledger.

    Args:
        max_file_bytes: larger files are skipped.
        max_tokens: the longest passage, in the embedder's tokens.
    """

    def __init__(
        self,
        *,
        memory: Path,
        ledger: Ledger,
        embedder: Embedder,
        words: WordSplitter,
        users: Users,
        max_file_bytes: int,
        max_tokens: int,
    ) -> None:
        self._memory = memory
        self._folder = MemoryFolder(memory)
        self._ledger = ledger
        self._embedder = embedder
        self._words = words
        self._users = users
        self._max_file_bytes = max_file_bytes
        self._max_tokens = min(max_tokens, embedder.max_tokens)

    @property
    def fingerprint(self) -> str:
        """What the passages, vectors and words were made with; when it changes, all are made anew."""
        origin = self._users.origin.id
        return f"{PIPELINE} {self._embedder.id} {self._max_tokens} {self._words.version} origin {origin}"

    def read(self, paths: Sequence[str], between: Callable[[], None] = nothing) -> dict[str, Exception]:
        """Brings the ledger up to date with files; one that is gone is taken out.

        Args:
            paths: below `memory/`, with forward slashes; the ledger has them as `printable` gives them.
            between: called before each load, after each batch of vectors and, while only cutting goes on, twice a
                second; may raise `StoppingError`.

        Returns:
            The paths that could not be brought in, with why: `UnsettledError`, or what the disk, the embedder
            or the ledger said. One file's fault is no other's.
        """
        failed: dict[str, Exception] = {}
        gone: list[str] = []
        stopping = threading.Event()
        loads = self._loads(paths, gone, failed, stopping)
        nothing_left: list[_ReadFile] = []
        with ThreadPoolExecutor(1, thread_name_prefix="files") as beside:
            ahead = beside.submit(next, loads, nothing_left)
            try:
                while load := _awaited(ahead, between):
                    between()
                    split = [beside.submit(self._conversation_rows, file, stopping) for file in load]
                    ahead = beside.submit(next, loads, nothing_left)
                    failed |= self._embed_all(load, between)
                    for file, conversations in zip(load, split, strict=True):
                        if file.path not in failed:
                            beside.submit(self._store, file, conversations, failed)
            except StoppingError as error:
                stopping.set()
                beside.shutdown(cancel_futures=True)
                return dict.fromkeys(paths, error)
        # Last of all: what has another name now is found under that one before this one goes.
        for path in gone:
            try:
                self._take_out(path)
            except (StoreError, UnsettledError) as error:
                failed[path] = error
        return failed

    def _take_out(self, path: str) -> None:
        """Forgets a file that is gone.

        Raises:
            UnsettledError: it is there again.
            StoreError: the ledger refused it, or the memory folder is not there: that is no deletion of what is in it.
        """
        self._folder.check()
        file = self._memory / path
        if os.path.lexists(file) and (file.is_symlink() or not file.is_dir()):
            raise UnsettledError("it is there again")
        name = printable(path)
        if self._ledger.files.remove(name):
            log.info("%s is gone: taken out of the memory", name)

    def _loads(
        self, paths: Sequence[str], gone: list[str], failed: dict[str, Exception], stopping: threading.Event
    ) -> Iterator[list[_ReadFile]]:
        """Files that wait for their vectors, a load at a time; notes those that are gone or can't be read."""
        load: list[_ReadFile] = []
        for path in paths:
            try:
                file = self._read(path, stopping)
            except (FileNotFoundError, NotADirectoryError):
                gone.append(path)
                continue
            except Exception as error:  # noqa: BLE001  (handed to the caller; the other files go on)
                failed[path] = error
                continue
            if file:
                load.append(file)
            if sum(1 for each in load for _ in each.passages()) >= LOAD:
                yield load
                load = []
        if load:
            yield load

    def give_up(self, path: str, reason: str) -> None:
        """Lists a file that could not be brought in, to be looked at again; what was read from it earlier stays.

        Raises:
            StoreError: the ledger refused it, or the memory folder is not there: the fault was not the file's.
        """
        self._folder.check()
        name = printable(path)
        try:
            status = (self._memory / path).lstat()
        except OSError:
            return
        known = self._ledger.files.get(name)
        if known is None or known.reason != reason or known.signature.mtime_ns != AGAIN:
            row = _again(self._row(name, Signature.of(status)))
            self._refuse(row, FileState.QUARANTINED, reason, None)

    def _read(self, path: str, stopping: threading.Event) -> _ReadFile | None:
        """Reads and cuts one file; None where there is nothing left to do for it.

        Raises:
            FileNotFoundError, NotADirectoryError: it is gone, or is a folder, whose files are read by their own names.
            UnsettledError: it changed meanwhile.
            StoreError: the ledger refused a commit.
            StoppingError: the read is to end.
        """
        _check(stopping)
        file = self._memory / path
        name = printable(path)
        status = file.lstat()
        if stat.S_ISDIR(status.st_mode) and can_be_listed(file):
            raise FileNotFoundError
        row = self._row(name, Signature.of(status))
        known = self._ledger.files.get(name)
        if known and known.state is FileState.INDEXED and known.signature == row.signature:
            return None
        reason = self._refusal(file, status)
        if reason:
            # Another setting may let it in, so the next scan looks at it again.
            self._refuse(_again(row), FileState.SKIPPED, reason, None)
            return None
        try:
            data = read_file(file, row.signature)
            loaded = loaders.load(name, data)
        except loaders.EmptyFileError as error:
            log.info("%s is skipped: %s", name, error.reason)
            emptied = replace(row, state=FileState.SKIPPED, reason=error.reason)
            self._put(NewFile(row=emptied, day=day_of(name)))
        except loaders.UnreadableError as error:
            self._refuse(row, FileState.QUARANTINED, error.reason, error.line)
        except OSError as error:
            # Mending the permissions may change neither size nor time.
            self._refuse(
                _again(row), FileState.QUARANTINED, f"it can't be read: {error.strerror or error}", None
            )
        else:
            row = replace(row, format=loaded.format, reason=_torn(loaded, data))
            return _ReadFile(path, row, tuple(self.cut(name, loaded, status.st_mtime, stopping)))
        return None

    def cut(
        self, path: str, loaded: loaders.Loaded, mtime: float, stopping: threading.Event | None = None
    ) -> Iterator[CutConversation]:
        """A file's conversations, cut into passages; nothing is stored or embedded.

        Args:
            path: printable, below `memory/`.
            mtime: the file's own, seconds since 1970; for the year of its day folder.
            stopping: set where it is to end before it is done.

        Raises:
            StoppingError: `stopping` is set.
        """

        def count_tokens(texts: Sequence[str]) -> list[int]:
            _check(stopping)
            return self._embedder.count_tokens(texts)

        fallback = folder_time(day_of(path), mtime)
        for conversation in loaded.conversations:
            turns = dated(conversation, fallback)
            passages = make_passages(
                path,
                conversation.id,
                turns,
                count_tokens=count_tokens,
                max_tokens=self._max_tokens,
            )
            yield CutConversation(conversation, turns, tuple(passages))

    def _row(self, path: str, signature: Signature) -> FileRow:
        return FileRow(path=path, signature=signature, state=FileState.INDEXED)

    def _refusal(self, file: Path, status: os.stat_result) -> str | None:
        """Why a file is not even opened, or None."""
        if stat.S_ISLNK(status.st_mode):
            return "it is a link; put the file itself here"
        if stat.S_ISDIR(status.st_mode):
            return (
                "the folder can't be looked into; let memoryd's user read it (chmod), and its files come in"
            )
        if not stat.S_ISREG(status.st_mode):
            return "it is no ordinary file"
        if status.st_size > self._max_file_bytes:
            return f"it has {status.st_size} bytes, more than watch.max_file_bytes ({self._max_file_bytes})"
        if not DAY_FOLDER.match(file.relative_to(self._memory).parts[0]):
            return "it is in no day folder; move it into one such as day0315/"
        return None

    def _refuse(self, row: FileRow, state: FileState, reason: str, line: int | None) -> None:
        """Lists a file with its reason. What was read from it earlier stays: a damaged edit loses nothing."""
        log.warning("%s is %s: %s", row.path, state, reason)
        refused = replace(row, state=state, reason=reason, line=line)
        with self._users.steady():
            owner = self._users.owner_of(row.path)
            self._ledger.files.refuse(replace(refused, owner=owner), day_of(row.path))

    def _put(self, file: NewFile) -> None:
        """Commits a file as its owner's: who that is must not change between the question and the commit."""
        with self._users.steady():
            owner = self._users.owner_of(file.row.path)
            self._ledger.files.replace(replace(file, row=replace(file.row, owner=owner)))

    def _embed_all(self, files: Sequence[_ReadFile], between: Callable[[], None]) -> dict[str, Exception]:
        """Embeds what is new in all of them together; says which could not be and why.

        Raises:
            StoppingError: `between` did.
        """
        try:
            self._embed([passage for file in files for passage in file.passages()], between)
        except StoppingError:
            raise
        except Exception as error:  # noqa: BLE001  (handed to the caller)
            if len(files) == 1:
                return {files[0].path: error}
            return {path: why for file in files for path, why in self._embed_all([file], between).items()}
        return {}

    def _store(
        self, file: _ReadFile, split: Future[tuple[ConversationRow, ...]], failed: dict[str, Exception]
    ) -> None:
        """Commits a file whose vectors are there, or notes in `failed` why it can't be."""
        try:
            row, conversations = file.row, split.result()
            self._put(NewFile(row=row, day=day_of(row.path), conversations=conversations))
        except Exception as error:  # noqa: BLE001  (handed to the caller; the other files go on)
            failed[file.path] = error
        else:
            log.info("%s: %d conversations", row.path, len(conversations))

    def _conversation_rows(self, file: _ReadFile, stopping: threading.Event) -> tuple[ConversationRow, ...]:
        return tuple(
            ConversationRow(
                id=cut.conversation.id,
                title=cut.conversation.title,
                turns=cut.turns,
                passages=tuple(self._new_passage(passage, stopping) for passage in cut.passages),
            )
            for cut in file.cuts
        )

    def _embed(self, passages: Sequence[Passage], between: Callable[[], None]) -> None:
        """Makes the vectors that are not there yet and commits them as they come."""
        texts = {passage.vector_key: passage.embedded for passage in passages}
        missing = self._ledger.vectors.missing(self._embedder.id, list(texts))
        todo = sorted(missing)
        made: dict[bytes, NDArray[np.float32]] = {}
        with closing(self._embedder.embed_batches([texts[key] for key in todo])) as batches:
            try:
                for places, vectors in batches:
                    made |= {todo[place]: vector for place, vector in zip(places, vectors, strict=True)}
                    if len(made) >= SAVED_TOGETHER:
                        full, made = made, {}
                        self._ledger.vectors.save(self._embedder.id, full)
                    between()
            finally:
                if made:
                    self._ledger.vectors.save(self._embedder.id, made)

    def _new_passage(self, passage: Passage, stopping: threading.Event) -> NewPassage:
        _check(stopping)
        words = self._words.words(passage.embedded)
        return NewPassage(
            id=passage.id,
            first=passage.first,
            last=passage.last,
            kind=passage.kind,
            time=passage.time,
            text=passage.text,
            vector_key=passage.vector_key,
            morphemes=words.morphemes,
            bigrams=words.bigrams,
            citations=passage.citations,
        )


def _awaited(ahead: Future[list[_ReadFile]], between: Callable[[], None]) -> list[_ReadFile]:
    """The next load; cutting one that is a single long file takes a minute, in which others can go between."""
    while not wait([ahead], PAUSE_S).done:
        between()
    return ahead.result()


def _check(stopping: threading.Event | None) -> None:
    if stopping is not None and stopping.is_set():
        raise StoppingError


def printable(path: str) -> str:
    r"""A path as text: bytes that are no UTF-8, as old Korean archives leave in names, as `\xb1`, a backslash as two.

    No two paths have the same text.
    """
    return os.fsencode(path.replace("\\", "\\\\")).decode(errors="backslashreplace")


def read_file(file: Path, expected: Signature) -> bytes:
    """The whole of an ordinary file, as it was when `expected` was taken, or as it is after it has only grown.

    Opened so that what is put in its place meanwhile, a link or a pipe, is neither followed nor waited for.

    Raises:
        UnsettledError: it is another file now, or was rewritten meanwhile.
        OSError: it can't be read.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or Signature.of(before) != expected:
            raise UnsettledError("it changes all the time")
        data = opened.read(expected.size)
        after = os.fstat(descriptor)
    grew = after.st_size > expected.size
    if len(data) < expected.size or (Signature.of(after) != expected and not grew):
        raise UnsettledError("it changes all the time")
    return data


def _again(row: FileRow) -> FileRow:
    return replace(row, signature=row.signature._replace(mtime_ns=AGAIN))


def _torn(loaded: loaders.Loaded, data: bytes) -> str | None:
    """Says so where the last line of JSON Lines was left out: a write in progress, or one that a crash cut off."""
    tail = data.rpartition(b"\n")[2].strip()
    if loaded.format != "native" or not tail:
        return None
    try:
        json.loads(tail)
    except ValueError:
        return "its last line is cut off and was left out; it is read again when the file changes"
    return None
