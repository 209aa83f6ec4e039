"""Telegram Desktop's `result.json`: one chat, or every chat of an account.

    {"name": "수민", "type": "personal_chat", "id": 77, "messages": [
      {"id": 1, "type": "message", "date": "2026-03-15T21:04:00", "date_unixtime": "1773576240",
       "from": "수민", "from_id": "user77", "text": ["봐 ", {"type": "link", "text": "https://…"}]},
      {"id": 2, "type": "service", "actor": "수민", "action": "phone_call", "duration_seconds": 95}]}

The whole account has such chats in `chats.list` and `left_chats.list`. `date` is the clock on the exporting
machine's wall; beside `date_unixtime` it tells that machine's time zone.

Source: Telegram Desktop's exporter (Telegram/SourceFiles/export/output/export_output_json.cpp in
https://github.com/telegramdesktop/tdesktop).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.chat_json import reply_note
from loaders.parsing import epoch_time, items, parse_json, record, string, wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*\{\s*"')
_MESSAGES: Final = re.compile(r'"messages"\s*:\s*\[')
_SIGN: Final = re.compile(
    r'"date_unixtime"\s*:|"from_id"\s*:|"type"\s*:\s*"'
    r'(?:personal_chat|bot_chat|saved_messages|(?:private|public)_(?:group|supergroup|channel))"',
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)

# What a service message tells beside its action, in the order in which it reads best.
_DETAILS: Final = (
    "title",
    "new_title",
    "members",
    "inviter",
    "text",
    "information_text",
    "duration",
    "duration_seconds",
    "discard_reason",
    "score",
    "amount",
    "currency",
    "cost",
    "months",
    "emoticon",
    "period",
    "distance",
    "to",
    "reason_domain",
    "reason_app_name",
    "values",
)


class TelegramLoader:
    """A chat with `messages`, or an account with a list of them."""

    format: Final = "telegram"

    def sniff(self, source: Source) -> bool:
        """Whether a JSON object opens, with messages that have Telegram's fields."""
        text = source.text or ""
        return all(pattern(text) for pattern in (_OPENING.match, _MESSAGES.search, _SIGN.search))

    def load(self, source: Source) -> list[Conversation]:
        """Every chat, in the export's order.

        Raises:
            UnreadableError: broken JSON, or no chats where Telegram has them.
        """
        export = record(_parsed(source.text or ""))
        if isinstance(export.get("messages"), list):
            return [_conversation(export, own_id(source))]
        chats = [
            record(chat)
            for key in ("chats", "left_chats")
            for chat in items(record(export.get(key)).get("list"))
        ]
        if not chats:
            raise UnreadableError(
                'neither "messages" nor "chats" with a "list" is where Telegram Desktop\'s result.json has '
                "them; export it again as JSON",
            )
        return [_conversation(chat, f"{own_id(source)}#{n}") for n, chat in enumerate(chats, start=1)]


def _parsed(text: str) -> object:
    r"""The JSON. Telegram Desktop writes control characters as `\x1F`, which JSON does not have."""
    try:
        return parse_json(text)
    except UnreadableError:
        mended = _ESCAPE.sub(lambda match: f"\\u00{match[1]}" if match[1] else match[0], text)
        if mended == text:
            raise
        return parse_json(mended)


def _conversation(chat: Record, name: str) -> Conversation:
    conversation_id = f"telegram-{chat['id']}" if _is_number(chat.get("id")) else name
    messages = [record(message) for message in items(chat.get("messages"))]
    reactions = sum(len(items(message.get("reactions"))) for message in messages)
    return assemble(
        conversation_id,
        _utterances(messages, conversation_id),
        title=string(chat.get("name")) or string(chat.get("type")).replace("_", " "),
        remarks=(f"reactions were left out ({reactions})",) if reactions else (),
    )


def _utterances(messages: list[Record], conversation_id: str) -> Iterator[Utterance]:
    """Each message, a note above a reply that does not stand right under what it answers."""
    by_id: dict[str, Utterance] = {}  # of strings, as numbers can be chosen so that a table of them is slow
    before = None
    for message in messages:
        key = _number(message.get("id"))
        is_new = key != "" and key not in by_id
        utterance = Utterance(
            # The letter keeps it apart from the number that a message without an id gets.
            id=f"{conversation_id}:m{key}" if is_new else None,
            role=Role.SYSTEM if message.get("type") == "service" else Role.USER,
            speaker=_speaker(message),
            time=_time(message),
            text="\n".join(filter(None, _parts(message))),
        )
        if is_new:
            by_id[key] = utterance
        answered = by_id.get(_number(message.get("reply_to_message_id")))
        if answered and answered is not before and utterance.text:
            note = reply_note(answered.speaker, answered.text)
            yield utterance._replace(text=f"{note}\n{utterance.text}")
        else:
            yield utterance
        before = utterance


def _speaker(message: Record) -> str | None:
    """The name; a deleted account has none, so its id stands in."""
    names = (message.get(key) for key in ("from", "actor", "author", "from_id", "actor_id"))
    return next((name for name in map(string, names) if name), None)


def _time(message: Record) -> datetime | None:
    """The moment, in the exporting machine's zone where both clocks are given."""
    moment = epoch_time(_whole(message.get("date_unixtime")))
    try:
        wall = datetime.fromisoformat(string(message.get("date")))
    except ValueError:
        return moment
    if moment is None:
        return wall_clock(wall)
    try:
        offset = wall.replace(tzinfo=None) - moment.replace(tzinfo=None)
        if abs(offset) <= timedelta(hours=14) and offset % timedelta(minutes=15) == timedelta(0):
            return moment.astimezone(timezone(offset))
    except (ValueError, OverflowError):
        pass
    return moment


def _parts(message: Record) -> list[str]:
    """The lines of a message: where it comes from, what is no text, and its words."""
    text = _text(message.get("text")) or _text(message.get("text_entities"))
    if message.get("type") == "service":
        return [_service(message)]
    if message.get("type") == "unsupported":
        return ["[a message of a kind that Telegram does not export]"]
    origin = string(message.get("forwarded_from"))
    forwarded = f"[forwarded{f' from {origin}' if origin else ''}]" if "forwarded_from" in message else ""
    return [forwarded, *_media(message), text]


def _text(value: object) -> str:
    """A string, or a list of strings and of pieces with a style; a link that is hidden under words is shown."""
    if not isinstance(value, list):
        return string(value)
    return "".join(map(_piece, value))


def _piece(value: object) -> str:
    fields = record(value)
    text = string(value) or string(fields.get("text"))
    href = string(fields.get("href"))
    return f"{text} ({href})" if href and href != text else text


def _service(message: Record) -> str:
    action = string(message.get("action")).replace("_", " ")
    details = [_detail(message.get(key), key) for key in _DETAILS]
    return f"[{': '.join(filter(None, [action, ', '.join(filter(None, details))])) or 'service message'}]"


def _detail(value: object, key: str) -> str:
    if isinstance(value, list) and key != "text":
        return ", ".join(string(one) or "someone" for one in value)
    if _is_number(value):
        return f"{value} s" if key.startswith(("duration", "period")) else str(value)
    return _text(value)


def _media(message: Record) -> list[str]:
    """A note for each thing that is no text."""
    notes = []
    if "photo" in message:
        notes.append(_note("photo", _file_name(message.get("photo"))))
    if "file" in message or "media_type" in message:
        kind = string(message.get("media_type")).replace("_", " ") or "file"
        song = " – ".join(filter(None, (string(message.get(key)) for key in ("performer", "title"))))
        name = string(message.get("file_name")) or _file_name(message.get("file"))
        notes.append(_note(kind, string(message.get("sticker_emoji")) or song or name))
    if person := record(message.get("contact_information")):
        named = (string(person.get(key)) for key in ("first_name", "last_name", "phone_number"))
        notes.append(_note("contact", " ".join(filter(None, named))))
    if "location_information" in message or "place_name" in message:
        notes.append(_note("location", _location(message)))
    if poll := record(message.get("poll")):
        notes.append(_note("poll", _poll(poll)))
    if "game_title" in message:
        notes.append(_note("game", string(message.get("game_title"))))
    if invoice := record(message.get("invoice_information")):
        notes.append(_note("invoice", string(invoice.get("title"))))
    return notes


def _note(kind: str, detail: str) -> str:
    return f"[{kind}: {detail}]" if detail else f"[{kind}]"


def _file_name(path: object) -> str:
    """The last part of a path; a sentence in brackets says that the file was not exported."""
    name = string(path).rpartition("/")[2]
    return "" if string(path).startswith("(") else name


def _location(message: Record) -> str:
    point = record(message.get("location_information"))
    place = [string(message.get(key)) for key in ("place_name", "address")]
    at = [str(point[key]) for key in ("latitude", "longitude") if isinstance(point.get(key), int | float)]
    return ", ".join(filter(None, [*place, *at]))


def _poll(poll: Record) -> str:
    answers = (record(answer) for answer in items(poll.get("answers")))
    listed = [f"{_text(answer.get('text'))} ({answer.get('voters', 0)})" for answer in answers]
    return " / ".join(filter(None, [_text(poll.get("question")), *listed]))


def _number(value: object) -> str:
    """The digits of a whole number, or an empty string."""
    return str(value) if _is_number(value) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: object) -> int | None:
    """Whole seconds, which Telegram writes as a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = string(value)
    return int(text) if len(text) < 20 and text.isdecimal() else None
