"""One file into the ledger: read, load, date, cut, embed, commit.

    path ─▶ bytes ─loaders─▶ conversations ─▶ dated turns ─▶ passages ─embedder─▶ vectors (committed as they come)
                                                                  └──────────────▶ file (one transaction)

Vectors are committed batch by batch, before the file: a kill in the middle of a long file costs at most one batch.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import loaders
from memoryd.ledger import ConversationRow, FileRow, FileState, NewFile, NewPassage, TurnRow
from memoryd.memory_folder import MemoryFolder
from memoryd.passages import DatedTurn, Passage, make_passages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from memoryd.embedder import Embedder
    from memoryd.korean import WordSplitter
    from memoryd.ledger import Ledger
    from memoryd.users import Users

log = logging.getLogger(__name__)

DAY_FOLDER = re.compile(r"day(?:(?P<digits>\d{4,})|last)\Z")
# How far a day folder may lie after its file's time: clocks differ, and plans are written down early.
FORWARD = timedelta(days=31)
# Part of the pipeline's fingerprint: a change of how turns become passages makes every file be read again.
PIPELINE = 1


# The latest time that SQLite can hold; a file from the year 2262 or later counts as of then.
LATEST_NS = 2**63 - 1
# A time that no file has: the next scan reads the file again.
AGAIN = -1


class UnsettledError(Exception):
    """The file changed while it was read; it is tried again once it has settled."""


class Ingest:
    """Reads files below `memory/` into the ledger.

    Args:
        max_file_bytes: larger files are skipped.
        max_tokens: the longest passage, in the embedder's tokens.
        batch_size: texts embedded between two commits of vectors.
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
        batch_size: int,
    ) -> None:
        self._memory = memory
        self._folder = MemoryFolder(memory)
        self._ledger = ledger
        self._embedder = embedder
        self._words = words
        self._users = users
        self._max_file_bytes = max_file_bytes
        self._max_tokens = min(max_tokens, embedder.max_tokens)
        self._batch_size = batch_size

    @property
    def fingerprint(self) -> str:
        """What the passages, vectors and words were made with; when it changes, all are made anew."""
        origin = self._users.origin.id
        return f"{PIPELINE} {self._embedder.id} {self._max_tokens} {self._words.version} origin {origin}"

    def read(self, path: str) -> None:
        """Brings the ledger up to date with one file; a file that is gone is taken out.

        Args:
            path: below `memory/`, with forward slashes; the ledger has it as `printable` gives it.

        Raises:
            UnsettledError: it changed meanwhile.
            StoreError: the ledger refused the commit.
        """
        file = self._memory / path
        path = printable(path)
        try:
            status = file.lstat()
        except (FileNotFoundError, NotADirectoryError):
            # A folder that is not there is no deletion of what is in it.
            self._folder.check()
            if self._ledger.files.remove(path):
                log.info("%s is gone: taken out of the memory", path)
            return
        row = self._row(path, status)
        known = self._ledger.files.get(path)
        if known and known.state is FileState.INDEXED and _signature(known) == _signature(row):
            return
        reason = self._refusal(file, status)
        if reason:
            # Another setting may let it in, so the next scan looks at it again.
            self._refuse(replace(row, mtime_ns=AGAIN), FileState.SKIPPED, reason, None)
            return
        try:
            data = file.read_bytes()
            after = file.lstat()
            if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
                raise UnsettledError(path)
            loaded = loaders.load(path, data)
        except loaders.EmptyFileError as error:
            log.info("%s is skipped: %s", path, error.reason)
            emptied = replace(row, state=FileState.SKIPPED, reason=error.reason)
            self._ledger.files.replace(NewFile(row=emptied, day=_day(path)))
        except loaders.UnreadableError as error:
            self._refuse(row, FileState.QUARANTINED, error.reason, error.line)
        except OSError as error:
            # Mending the permissions changes neither size nor time.
            again = replace(row, mtime_ns=AGAIN)
            self._refuse(again, FileState.QUARANTINED, f"it can't be read: {error.strerror}", None)
        else:
            self._store(replace(row, reason=_torn(loaded, data)), loaded, status)

    def cut(
        self, path: str, loaded: loaders.Loaded, status: os.stat_result
    ) -> list[tuple[loaders.Conversation, list[DatedTurn], list[Passage]]]:
        """A file's conversations with their dated turns and passages; nothing is stored or embedded.

        Args:
            path: printable, below `memory/`.
            status: the file's own, for the year of its day folder.
        """
        fallback = folder_time(_day(path), status.st_mtime)
        conversations = []
        for conversation in _distinct(loaded.conversations):
            turns = dated_turns(conversation.turns, fallback)
            passages = make_passages(
                path,
                conversation.id,
                turns,
                count_tokens=self._embedder.count_tokens,
                max_tokens=self._max_tokens,
            )
            conversations.append((conversation, turns, passages))
        return conversations

    def _row(self, path: str, status: os.stat_result) -> FileRow:
        return FileRow(
            path=path,
            size=status.st_size,
            mtime_ns=min(status.st_mtime_ns, LATEST_NS),
            state=FileState.INDEXED,
            owner=self._users.owner_of(path),
        )

    def _refusal(self, file: Path, status: os.stat_result) -> str | None:
        """Why a file is not even opened, or None."""
        if stat.S_ISLNK(status.st_mode):
            return "it is a link; put the file itself here"
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
        self._ledger.files.refuse(refused, _day(row.path))

    def _store(self, row: FileRow, loaded: loaders.Loaded, status: os.stat_result) -> None:
        day = _day(row.path)
        conversations = self.cut(row.path, loaded, status)
        self._embed([passage for _, _, passages in conversations for passage in passages])
        self._ledger.files.replace(
            NewFile(
                row=replace(row, format=loaded.format),
                day=day,
                conversations=tuple(
                    ConversationRow(
                        id=conversation.id,
                        title=conversation.title,
                        turns=tuple(_turn_row(conversation.id, turn) for turn in turns),
                        passages=tuple(self._new_passage(passage) for passage in passages),
                    )
                    for conversation, turns, passages in conversations
                ),
            )
        )
        log.info("%s: %d conversations", row.path, len(conversations))

    def _embed(self, passages: Sequence[Passage]) -> None:
        """Makes the vectors that are not there yet, longest first, a commit a batch."""
        texts = {passage.vector_key: passage.embedded for passage in passages}
        missing = self._ledger.vectors.missing(self._embedder.id, list(texts))
        todo = sorted(missing, key=lambda key: (-len(texts[key]), key))
        for at in range(0, len(todo), self._batch_size):
            keys = todo[at : at + self._batch_size]
            vectors = self._embedder.embed_passages([texts[key] for key in keys])
            self._ledger.vectors.save(self._embedder.id, dict(zip(keys, vectors, strict=True)))

    def _new_passage(self, passage: Passage) -> NewPassage:
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


def printable(path: str) -> str:
    """A path as text: bytes that are no UTF-8, as old Korean archives leave in names, in hexadecimal."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _day(path: str) -> str:
    return path.split("/", maxsplit=1)[0]


def folder_time(day: str, mtime: float) -> datetime:
    """The moment that a day folder stands for: MMDD in the year nearest the file's time, or YYYYMMDD.

    Nothing was said in the future: a day more than a month after the file's time is taken a year earlier.
    `daylast`, and digits that are no date, stand for the file's own day. Midnight in the machine's zone.

    Args:
        day: the day folder's name.
        mtime: when the file was written, seconds since 1970.
    """
    written = datetime.fromtimestamp(min(mtime, LATEST_NS / 1e9)).astimezone()
    match = DAY_FOLDER.match(day)
    digits = (match and match["digits"]) or ""
    dates: list[date] = []
    # 29 February is up to eight years away.
    years = range(written.year - 8, written.year + 2)
    spelled = [digits] if len(digits) == 8 else [f"{year:04d}{digits}" for year in years if len(digits) == 4]
    for each in spelled:
        with suppress(ValueError):  # 0230 is no date in any year
            dates.append(date(int(each[:4]), int(each[4:6]), int(each[6:8])))
    past = [each for each in dates if each <= written.date() + FORWARD]
    nearest = min(past, key=lambda each: abs(each - written.date()), default=written.date())
    return datetime.combine(nearest, time()).astimezone()


def dated_turns(turns: Sequence[loaders.Turn], fallback: datetime) -> list[DatedTurn]:
    """Gives a turn without a time the time of the turn before it, or the day folder's; never today's."""
    dated = []
    known = next((turn.time for turn in turns if turn.time), None)
    last = known or fallback
    for turn in turns:
        last = turn.time or last
        dated.append(
            DatedTurn(
                id=turn.id,
                index=turn.index,
                role=turn.role,
                speaker=turn.speaker,
                time=last,
                text=turn.text,
                citations=turn.citations,
            )
        )
    return dated


def _signature(row: FileRow) -> tuple[int, int]:
    return row.size, row.mtime_ns


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


def _turn_row(conversation_id: str, turn: DatedTurn) -> TurnRow:
    return TurnRow(
        id=turn.id,
        conversation_id=conversation_id,
        index=turn.index,
        role=turn.role,
        speaker=turn.speaker,
        time=turn.time,
        text=turn.text,
        citations=turn.citations,
    )


def _distinct(conversations: Sequence[loaders.Conversation]) -> list[loaders.Conversation]:
    """An export that names two conversations alike gives the second another name."""
    distinct: dict[str, loaders.Conversation] = {}
    for conversation in conversations:
        name, number = conversation.id, 1
        while name in distinct:
            number += 1
            name = f"{conversation.id}#{number}"
        distinct[name] = replace(conversation, id=name)
    return list(distinct.values())
