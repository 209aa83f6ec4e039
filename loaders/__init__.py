"""Conversation files of many formats, read into one shape.

name, bytes ──decode──▶ Source ──first loader that sniffs yes──▶ Loaded(format, conversations)

chatgpt      conversations.json of ChatGPT's data export
native       memoryd's own JSON Lines
transcript   chats pasted as text ("나의 말:", "You said:", "지훈: …")
notes        every other text, Markdown or plain
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loaders.base import Conversation, EmptyFileError, Loader, Role, Source, Turn, UnreadableError
from loaders.chatgpt import ChatGPTLoader
from loaders.decode import decode
from loaders.native import NativeLoader
from loaders.notes import NotesLoader
from loaders.parsing import parse_json
from loaders.transcript import TranscriptLoader

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "Conversation",
    "EmptyFileError",
    "Loaded",
    "Loader",
    "Role",
    "Source",
    "Turn",
    "UnreadableError",
    "load",
]

_LOADERS: Final[tuple[Loader, ...]] = (ChatGPTLoader(), NativeLoader(), TranscriptLoader(), NotesLoader())


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a file held.

    Attributes:
        format: the short name of the loader that read it.
        conversations: at least one, each with at least one turn.
    """

    format: str
    conversations: tuple[Conversation, ...]


def load(name: str, data: bytes) -> Loaded:
    """Read a file of any known format; content decides, the name's ending only breaks ties.

    Args:
        name: the file's name, with or without folders. It names conversations that have no id.
        data: the whole file.

    Raises:
        EmptyFileError: nothing was said in the file.
        UnreadableError: the bytes are no text, or of no known format, or damaged.
    """
    source = decode(name, data)
    loader = next((loader for loader in _LOADERS if loader.sniff(source)), None)
    if loader is None:
        raise _unknown_json(source)
    conversations = tuple(one for one in loader.load(source) if one.turns)
    if not conversations:
        raise EmptyFileError("nothing was said in the file yet; it is read again when it changes")
    return Loaded(format=loader.format, conversations=conversations)


def _unknown_json(source: Source) -> UnreadableError:
    """Say why: only JSON gets past every loader, and damaged JSON raises here with its line."""
    parse_json(source.text or "")
    return UnreadableError(
        "a JSON file that is no conversation format known to memoryd; bring ChatGPT's conversations.json, "
        "memoryd's own JSON Lines, or the conversation as plain text",
    )
