"""Conversation files of many formats, read into one shape.

name, bytes ──decode──▶ Source ──first loader that sniffs yes──▶ Loaded(format, conversations)
        └──zip──▶ Slack's export as a whole, else each member that holds conversations

chatgpt      conversations.json of ChatGPT's data export      discord      by DiscordChatExporter
claude       conversations.json of Claude's                   meta         Messenger and Instagram
claude-code  sessions of Claude Code                          slack        Slack's export
gemini       Gemini's Takeout, AI Studio's prompts            telegram     Telegram Desktop's result.json
native       memoryd's own JSON Lines
kakaotalk    telephones', Windows' and the Mac's exports      whatsapp     an exported chat
signal       a chat as text
transcript   chats pasted as text ("나의 말:", "You said:", "지훈: …")
notes        every other text, Markdown or plain
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loaders.archive import is_zip, zip_members
from loaders.base import Conversation, EmptyFileError, Loader, Role, Source, Turn, UnreadableError
from loaders.chatgpt import ChatGPTLoader
from loaders.claude import ClaudeLoader
from loaders.claude_code import ClaudeCodeLoader
from loaders.decode import decode
from loaders.discord import DiscordLoader
from loaders.gemini import GeminiLoader
from loaders.kakaotalk import KakaoTalkLoader
from loaders.kakaotalk_csv import KakaoTalkCsvLoader
from loaders.meta import MetaLoader
from loaders.native import NativeLoader
from loaders.notes import NotesLoader
from loaders.parsing import parse_json
from loaders.signal import SignalLoader
from loaders.slack import SlackLoader
from loaders.telegram import TelegramLoader
from loaders.transcript import TranscriptLoader
from loaders.whatsapp import WhatsAppLoader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from loaders.archive import Member

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

# The first that knows the content reads it, so what is surest comes first and what takes anything last.
_CONVERSATION_LOADERS: Final[tuple[Loader, ...]] = (
    ChatGPTLoader(),
    ClaudeLoader(),
    GeminiLoader(),
    TelegramLoader(),
    DiscordLoader(),
    MetaLoader(),
    SlackLoader(),
    ClaudeCodeLoader(),
    NativeLoader(),
    KakaoTalkCsvLoader(),
    KakaoTalkLoader(),
    WhatsAppLoader(),
    SignalLoader(),
    TranscriptLoader(),
)
_LOADERS: Final[tuple[Loader, ...]] = (*_CONVERSATION_LOADERS, NotesLoader())

# In ChatGPT's and Claude's archives only these are conversations; a long history comes in numbered parts.
_HISTORY: Final = re.compile(r"conversations(?:[-_]?\d+)?\.json")
_HISTORY_FORMATS: Final = frozenset({"chatgpt", "claude"})
_TEXT_ENDINGS: Final = frozenset(
    {".json", ".jsonl", ".ndjson", ".txt", ".csv", ".md", ".markdown", ".log", ""}
)
_NAMED_FAULTS: Final = 10  # in the remark; an archive may hold thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a file held.

    Attributes:
        format: the short name of the loader that read it; `"chatgpt zip"` and the like for an archive's members.
        conversations: at least one, each with at least one turn and an id of its own.
    """

    format: str
    conversations: tuple[Conversation, ...]


@dataclass(frozen=True, slots=True)
class _Members:
    """What came out of an archive's members; `faults` say why each damaged one could not be read."""

    loaded: Sequence[Loaded]
    faults: Sequence[str]
    is_silent: bool  # a member is a conversation in which nothing was said


def load(name: str, data: bytes) -> Loaded:
    """Read a file of any known format; content decides, the name's ending only breaks ties.

    Args:
        name: the file's name, with or without folders. It names conversations that have no id.
        data: the whole file.

    Raises:
        EmptyFileError: nothing was said in the file.
        UnreadableError: the bytes are no text, or of no known format, or damaged.
    """
    if is_zip(data):
        return _load_zip(Source(name=name, data=data, text=None))
    source = decode(name, data)
    loaded = _read(source, _LOADERS)
    if loaded is None:
        raise _unknown_json(source)
    return loaded


def _read(source: Source, loaders: Iterable[Loader]) -> Loaded | None:
    """What the first loader that knows the source makes of it, or None where none does."""
    loader = next((loader for loader in loaders if loader.sniff(source)), None)
    if loader is None:
        return None
    conversations = tuple(_distinct(one for one in loader.load(source) if one.turns))
    if not conversations:
        raise EmptyFileError("nothing was said in the file yet; it is read again when it changes")
    return Loaded(format=loader.format, conversations=conversations)


def _load_zip(source: Source) -> Loaded:
    """An archive that one loader knows as a whole, else what each member holds."""
    members = zip_members(source.data)
    whole = _read(source, _CONVERSATION_LOADERS)
    if whole is not None:
        return whole
    found = _read_members(source, (one for one in members.values() if _HISTORY.fullmatch(one.name)))
    if not any(loaded.format in _HISTORY_FORMATS for loaded in found.loaded):
        found = _read_members(source, members.values())
    if not found.loaded:
        raise _nothing_found(found)
    conversations = _distinct(one for loaded in found.loaded for one in loaded.conversations)
    remarks = _remarks(found, others=len(members) - len(found.loaded) - len(found.faults))
    conversations[0] = replace(conversations[0], remarks=(*conversations[0].remarks, *remarks))
    formats = sorted({loaded.format for loaded in found.loaded})
    return Loaded(format=f"{'+'.join(formats)} zip", conversations=tuple(conversations))


def _read_members(archive: Source, members: Iterable[Member]) -> _Members:
    """Read each member that a loader knows as a conversation, one in memory at a time."""
    loaded: list[Loaded] = []
    faults: list[str] = []
    is_silent = False
    for member in members:
        name = f"{archive.name}/{member.path}"
        if Source(name=name, data=b"", text="").suffix not in _TEXT_ENDINGS:
            continue
        try:
            one = _read_member(name, member)
        except EmptyFileError:
            is_silent = True
        except UnreadableError as error:
            faults.append(f"{member.path!r} in the zip archive was left out ({error})")
        else:
            loaded += [one] if one else []
    return _Members(loaded, faults, is_silent)


def _read_member(name: str, member: Member) -> Loaded | None:
    data = member.read()
    try:
        source = decode(name, data)
    except EmptyFileError:
        raise
    except UnreadableError:  # a picture, an archive, a database: no conversation, and not damaged
        return None
    return _read(source, _CONVERSATION_LOADERS)


def _distinct(conversations: Iterable[Conversation]) -> list[Conversation]:
    """The same, the second of one id with a number after it."""
    distinct: dict[str, Conversation] = {}
    numbers: Counter[str] = Counter()
    for conversation in conversations:
        name = conversation.id
        while name in distinct:
            numbers[conversation.id] += 1
            name = f"{conversation.id}#{numbers[conversation.id] + 1}"
        distinct[name] = replace(conversation, id=name)
    return list(distinct.values())


def _remarks(found: _Members, *, others: int) -> tuple[str, ...]:
    """What of an archive was left out."""
    remarks = list(found.faults[:_NAMED_FAULTS])
    if (more := len(found.faults) - _NAMED_FAULTS) > 0:
        remarks.append(f"{more} more damaged files in the zip archive were left out")
    if others > 0:
        remarks.append(
            "1 other file in the zip archive holds no conversation and was left out"
            if others == 1
            else f"{others} other files in the zip archive hold no conversation and were left out"
        )
    return tuple(remarks)


def _nothing_found(found: _Members) -> UnreadableError:
    if found.faults:
        return UnreadableError(found.faults[0])
    if found.is_silent:
        return EmptyFileError("nothing was said in the archive's conversations yet")
    return UnreadableError(
        "no conversation in the zip archive: memoryd looks for ChatGPT's and Claude's conversations.json, a Slack "
        "export, and chats of KakaoTalk, WhatsApp, Telegram, Discord, Messenger, Instagram, Signal or Gemini as "
        "JSON, CSV or text; unpack it if it holds notes, or ask for the export as JSON instead of HTML",
    )


def _unknown_json(source: Source) -> UnreadableError:
    """Say why: only JSON gets past every loader, and damaged JSON raises here with its line."""
    parse_json(source.text or "")
    return UnreadableError(
        "a JSON file that is no conversation format known to memoryd; bring an export of ChatGPT, Claude, Gemini, "
        "Telegram, Discord, Messenger, Instagram or Slack, memoryd's own JSON Lines, or the conversation as plain "
        "text",
    )
