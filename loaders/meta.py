r"""Messenger's and Instagram's downloaded information: `messages/inbox/<chat>/message_1.json`.

    {"participants": [{"name": "\u00ec\u00a7\u0080\u00ed\u009b\u0088"}, …], "thread_path": "inbox/jihun_123",
     "messages": [{"sender_name": "…", "timestamp_ms": 1773576240000, "content": "…", "photos": […]}, …]}

The newest message comes first. Each byte of a string's UTF-8 is written as a character of its own (Latin-1
taken for UTF-8); that is undone where all of a string turns out UTF-8, and nothing else is touched. A chat of
more than 10,000 messages has `message_2.json` and so on, older ones. Chats with end-to-end encryption
come in a second shape (`senderName`, `text`, `timestamp`), encoded properly.

Source: Meta does not document the fields; https://github.com/SamuelePilleri/facebook-schemas does, and the
encoding is told in https://stackoverflow.com/questions/50008296/facebook-json-badly-encoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.chat_json import in_time_order
from loaders.parsing import epoch_time, items, parse_json, record, string

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*\{\s*"')
_MESSAGES: Final = re.compile(r'"messages"\s*:\s*\[')
_SHAPES: Final = (
    (re.compile(r'"sender_name"\s*:'), re.compile(r'"timestamp_ms"\s*:')),
    (re.compile(r'"senderName"\s*:'), re.compile(r'"isUnsent"\s*:')),
)
_PART: Final = re.compile(r"message_(\d{1,6})\.json")
_NOTICES: Final = frozenset({"Call", "Subscribe", "Unsubscribe"})  # and people who joined or left
_MEDIA: Final = (
    ("photos", "photo"),
    ("videos", "video"),
    ("audio_files", "voice message"),
    ("gifs", "gif"),
    ("files", "file"),
    ("media", "attachment"),
)
_LATEST_MS: Final = 10**15


class MetaLoader:
    """A chat of Messenger or Instagram."""

    format: Final = "meta"

    def sniff(self, source: Source) -> bool:
        """Whether a JSON object opens, with messages that have Meta's fields."""
        text = source.text or ""
        if not _OPENING.match(text) or not _MESSAGES.search(text):
            return False
        return any(all(field.search(text) for field in shape) for shape in _SHAPES)

    def load(self, source: Source) -> list[Conversation]:
        """One conversation, oldest message first.

        Raises:
            UnreadableError: broken JSON, or no messages where Meta has them.
        """
        chat = record(parse_json(source.text or ""))
        if not isinstance(chat.get("messages"), list):
            raise UnreadableError(
                'no "messages" where Messenger and Instagram have them; download your information again as JSON',
            )
        messages = [record(message) for message in items(chat.get("messages"))]
        reactions = sum(len(items(message.get("reactions"))) for message in messages)
        return [
            assemble(
                _id(chat, source),
                # Turned round first: of messages of the same millisecond the later in the file is the older.
                in_time_order(map(_utterance, reversed(messages))),
                title=_mended(chat.get("title")) or _mended(chat.get("threadName")),
                remarks=(f"reactions were left out ({reactions})",) if reactions else (),
            )
        ]


def _id(chat: Record, source: Source) -> str:
    """The thread's path, with a number for the file of a long chat."""
    path = string(chat.get("thread_path"))
    if not path:
        return own_id(source)
    part = _PART.fullmatch(source.name.rpartition("/")[2])
    return f"{path}#{part[1]}" if part and part[1] != "1" else path


def _utterance(message: Record) -> Utterance:
    is_notice = string(message.get("type")) in _NOTICES or "call_duration" in message
    unsent = message.get("is_unsent") is True or message.get("isUnsent") is True
    text = "\n".join(filter(None, _parts(message)))
    return Utterance(
        role=Role.SYSTEM if is_notice or (unsent and not text) else Role.USER,
        speaker=_mended(message.get("sender_name")) or _mended(message.get("senderName")) or None,
        time=_time(message),
        text=text or ("[message taken back]" if unsent else ""),
    )


def _time(message: Record) -> datetime | None:
    for key in ("timestamp_ms", "timestamp"):
        value = message.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST_MS:
            return epoch_time(value / 1000)
    return None


def _parts(message: Record) -> list[str]:
    """The words, then a note for each thing that is no text."""
    text = _mended(message.get("content")) or _mended(message.get("text"))
    notes = [
        _note(kind, _file_name(record(thing))) for key, kind in _MEDIA for thing in items(message.get(key))
    ]
    if sticker := record(message.get("sticker")):
        notes.append(_note("sticker", _file_name(sticker)))
    if "call_duration" in message:
        seconds = message.get("call_duration")
        missed = "missed" if message.get("missed") is True else ""
        length = f"{seconds} s" if isinstance(seconds, int | float) and seconds else ""
        notes.append(_note("call", missed or length))
    return [text, *notes, _shared(record(message.get("share")), text)]


def _shared(share: Record, text: str) -> str:
    """A link or post passed on, unless the message's words hold all of it."""
    link = _mended(share.get("link"))
    owner = _mended(share.get("original_content_owner"))
    about = _mended(share.get("share_text"))
    parts = [part for part in (f"by {owner}" if owner else "", about, link) if part and part not in text]
    return _note("shared", " ".join(parts)) if parts else ""


def _note(kind: str, detail: str) -> str:
    return f"[{kind}: {detail}]" if detail else f"[{kind}]"


def _file_name(thing: Record) -> str:
    return _mended(thing.get("name")) or _mended(thing.get("uri")).rpartition("/")[2]


def _mended(value: object) -> str:
    """The string, with its bytes put together again where they were taken for characters."""
    text = string(value)
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
