"""What the ledger takes and gives, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import os
    from datetime import datetime

# The latest time that SQLite can hold; a file from the year 2262 or later counts as of then.
LATEST_NS = 2**63 - 1
# A size and a time that no file has: the next scan reads the file again.
AGAIN = -1


class Signature(NamedTuple):
    """What tells that a file has changed without reading it.

    Size and modification time can be the same after an edit (`cp -p`, `rsync -t`, two writes in one tick); the
    inode's change time can't be set, so it tells what they hide.
    """

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """The signature of a file as `lstat` gives it; times from 2262 on count as of then."""
        return cls(status.st_size, min(status.st_mtime_ns, LATEST_NS), min(status.st_ctime_ns, LATEST_NS))


class FileState(StrEnum):
    """Nothing is silent: every file is one of these."""

    INDEXED = "indexed"
    SKIPPED = "skipped"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file below `memory/` and what became of it.

    Attributes:
        path: below `memory/`, with forward slashes.
        signature: of the file when it was read; with `AGAIN` in it where it must be read again.
        line: of the fault, 1-based.
    """

    path: str
    signature: Signature
    state: FileState
    format: str | None = None
    reason: str | None = None
    line: int | None = None
    owner: str = ""
    turns: int = 0
    passages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRow:
    """A turn as it is kept; `time` is aware."""

    id: str
    conversation_id: str
    index: int
    role: str
    speaker: str
    time: datetime
    text: str
    citations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassage:
    """A passage on its way in, with its lexical columns."""

    id: str
    first: int
    last: int
    kind: str
    time: datetime
    text: str
    vector_key: bytes
    morphemes: str
    bigrams: str
    citations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRow:
    """A conversation of one file, with its turns and passages."""

    id: str
    title: str
    turns: tuple[TurnRow, ...]
    passages: tuple[NewPassage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file and all that was read from it; replaces what the ledger had under that path."""

    row: FileRow
    day: str
    conversations: tuple[ConversationRow, ...] = ()


class Place(NamedTuple):
    """Where a passage stands, and when: all that ranking needs of it.

    Attributes:
        row: its row number.
        conversation: the row number of its conversation.
        first: index of the first turn that it covers.
        last: index of the last one.
    """

    row: int
    passage_id: str
    conversation: int
    first: int
    last: int
    kind: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPassage:
    """A passage as recall needs it, with the turns that it covers."""

    id: str
    owner: str
    kind: str
    text: str
    path: str
    day: str
    time: datetime
    conversation_id: str
    citations: tuple[str, ...]
    turns: tuple[TurnRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A change that Chroma has not taken yet: an upsert where `vector` is there, else a deletion."""

    seq: int
    passage_id: str
    owner: str
    vector: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRow:
    """A numbered identity.

    Attributes:
        version: 1 and up; never used twice.
        digest: SHA-256 of its inputs, hexadecimal.
        tokens: estimated length.
        missing: parts that were not there when it was made.
        made_of: its lines with their sources, the digests of the manifests and of the memories, the settings, and
            the version that it `restores`; empty for one from before these were kept.
    """

    version: int
    digest: str
    created_at: datetime
    tokens: int
    missing: tuple[str, ...]
    text: str
    made_of: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySummary:
    """A version in a list of all: how many memories it tells, and which version it restores."""

    version: int
    digest: str
    created_at: datetime
    tokens: int
    lines: int
    restores: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """One run of `boot_memory_loop`.

    Attributes:
        progress: the part of the changed files that is read, 0 to 1, while it is running; it is not kept.
        warning: what is amiss with the identity in force after it; kept with that identity.
    """

    state: str
    trigger: str
    started_at: datetime
    seconds: float
    turns: int
    kept: int
    changed: bool
    identity_version: int | None
    digest: str | None
    error: str | None = None
    progress: float | None = None
    warning: str | None = None
