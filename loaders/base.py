"""What a loader takes and gives: bytes in, conversations of turns out.

Source (name, bytes) ──sniff──▶ Loader ──load──▶ Conversation(Turn, Turn, …)
                                   │
                                   └──▶ UnreadableError (reason, line)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class UnreadableError(Exception):
    """A file that no loader can turn into conversations.

    Args:
        reason: one plain sentence that names what is wrong and, where there is one, the remedy.
        line: 1-based line of the fault, where the format has lines.
    """

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        # A reason may quote the file, where JSON can hold half a surrogate pair, and goes where only UTF-8 does.
        reason = reason.encode(errors="replace").decode()
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason = reason
        self.line = line


class EmptyFileError(UnreadableError):
    """A file in which nothing was said. It is skipped, not quarantined."""


class Role(StrEnum):
    """Who speaks, as chat formats name it."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One utterance, word for word.

    Attributes:
        id: the id that the file gave, else `"<conversation id>:<index + 1>"`; where a turn before it has the same,
            `#2` and so on stand after it.
        index: 0-based place in the conversation.
        speaker: the name that the file gave, else the role.
        time: aware, or None where the file does not say (the day folder's date stands in then).
        citations: passage ids that an answer of memoryd's own was built from; None for what others said.
    """

    id: str
    index: int
    role: Role
    speaker: str
    text: str
    time: datetime | None = None
    citations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A run of turns in order.

    Attributes:
        id: the id that the file gave, else one made from the file's name.
        title: a heading for people, or an empty string.
        remarks: what the loader left out on purpose, one sentence each; nothing is left out without a word.
    """

    id: str
    turns: tuple[Turn, ...]
    title: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Source:
    """A file's bytes and its name (`day0315/talk.txt`), which only breaks ties: content decides.

    Attributes:
        text: the decoded content; None where the bytes are no text at all.
    """

    name: str
    data: bytes
    text: str | None = field(repr=False)

    @property
    def suffix(self) -> str:
        """The lower-case ending with its dot, or an empty string."""
        stem = self.name.rsplit("/", 1)[-1]
        return "." + stem.rsplit(".", 1)[-1].lower() if "." in stem else ""


class Loader(Protocol):
    """One conversation format."""

    @property
    def format(self) -> str:
        """The format's short name, as `memoryd files` shows it."""
        ...

    def sniff(self, source: Source) -> bool:
        """Whether the content is of this format; cheap, and never raises."""
        ...

    def load(self, source: Source) -> Sequence[Conversation]:
        """Every conversation in the file, turns in order.

        Raises:
            UnreadableError: the file is of this format and damaged.
        """
        ...
