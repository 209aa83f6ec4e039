"""Discord by DiscordChatExporter: a JSON file for a channel, a thread or a direct message.

    {"guild": {"name": "산책 모임"}, "channel": {"id": "901", "name": "잡담", …}, "dateRange": …, "messages": [
      {"id": "1", "type": "Default", "timestamp": "2026-03-15T21:04:00.123+09:00", "content": "안녕",
       "author": {"name": "jihun", "nickname": "지훈", "isBot": false}, "attachments": [], "embeds": [], …}]}

Discord's own data package holds only what oneself wrote and is not read here.

Source: DiscordChatExporter (DiscordChatExporter.Core/Exporting/JsonMessageWriter.cs in
https://github.com/Tyrrrz/DiscordChatExporter), and https://docs.discord.com/developers/resources/message for
the types of messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.chat_json import in_time_order, reply_note
from loaders.parsing import items, parse_json, parse_time, record, string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*\{\s*"')
_SIGNS: Final = (
    re.compile(r'"guild"\s*:\s*\{'),
    re.compile(r'"channel"\s*:\s*\{'),
    re.compile(r'"messages"\s*:\s*\['),
)
_MENTION: Final = re.compile(r"<@!?(\d{1,25})>")
_EMOJI: Final = re.compile(r"<a?(:\w{1,40}:)\d{1,25}>")
# Types in which somebody speaks, by name, or by number where the exporter has no name for one.
_SPOKEN: Final = frozenset({"", "Default", "Reply", "0", "19", "20", "21", "23"})
_EMBEDS: Final = 10  # Discord's limit; the links of more, in a hostile file, are not looked for in the text
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".heic", ".avif")
_FILMS: Final = (".mp4", ".mov", ".webm", ".mkv")
_SOUNDS: Final = (".ogg", ".mp3", ".m4a", ".wav", ".flac")


class DiscordLoader:
    """A channel with its guild."""

    format: Final = "discord"

    def sniff(self, source: Source) -> bool:
        """Whether a JSON object opens, with a guild, a channel and messages."""
        text = source.text or ""
        return _OPENING.match(text) is not None and all(sign.search(text) for sign in _SIGNS)

    def load(self, source: Source) -> list[Conversation]:
        """One conversation, oldest message first.

        Raises:
            UnreadableError: broken JSON, or no messages where the exporter has them.
        """
        export = record(parse_json(source.text or ""))
        if not isinstance(export.get("messages"), list):
            raise UnreadableError(
                'no "messages" where DiscordChatExporter has them; export the channel again'
            )
        channel = record(export.get("channel"))
        own = string(channel.get("id"))
        name = f"discord-{own}" if own else own_id(source)
        messages = [record(message) for message in items(export.get("messages"))]
        said = in_time_order(_utterance(message, name) for message in _distinct(messages))
        guild, room = string(record(export.get("guild")).get("name")), string(channel.get("name"))
        reactions = sum(len(items(message.get("reactions"))) for message in messages)
        return [
            assemble(
                name,
                _with_replies(said, messages, name),
                title=" / ".join(filter(None, [guild, room])),
                remarks=(f"reactions were left out ({reactions})",) if reactions else (),
            )
        ]


def _distinct(messages: list[Record]) -> list[Record]:
    """The messages with the second of one id left without it, so that no two turns are called alike."""
    seen: set[str] = set()
    distinct = []
    for message in messages:
        key = string(message.get("id"))
        distinct.append({**message, "id": None} if key in seen else message)
        seen.add(key)
    return distinct


def _utterance(message: Record, conversation: str) -> Utterance:
    author = record(message.get("author"))
    key = string(message.get("id"))
    return Utterance(
        id=f"{conversation}:{key}" if key else None,
        role=_role(message, author),
        speaker=_name(author),
        time=_time(message),
        text="\n".join(filter(None, _parts(message))),
    )


def _with_replies(said: list[Utterance], messages: list[Record], name: str) -> Iterator[Utterance]:
    """The same, a note above each reply that does not stand right under what it answers."""
    answers = {
        f"{name}:{string(message.get('id'))}": string(record(message.get("reference")).get("messageId"))
        for message in messages
    }
    by_id = {one.id: one for one in said if one.id}
    before = None
    for one in said:
        answered = by_id.get(f"{name}:{answers.get(one.id or '')}")
        if answered and answered is not before and one.text and one.role is not Role.SYSTEM:
            yield one._replace(text=f"{reply_note(answered.speaker, answered.text)}\n{one.text}")
        else:
            yield one
        before = one


def _role(message: Record, author: Record) -> Role:
    if string(message.get("type")) not in _SPOKEN:
        return Role.SYSTEM
    return Role.TOOL if author.get("isBot") is True else Role.USER


def _name(author: Record) -> str | None:
    return string(author.get("nickname")) or string(author.get("name")) or None


def _time(message: Record) -> datetime | None:
    try:
        return parse_time(string(message.get("timestamp")))
    except UnreadableError:
        return None


def _parts(message: Record) -> list[str]:
    """The words, then what came with them; a forwarded message's after a note."""
    used = record(message.get("interaction"))
    command = string(used.get("name"))
    by = _name(record(used.get("user"))) or "someone"
    parts = [f"[/{command} by {by}]" if command else "", *_content(message)]
    if forwarded := record(message.get("forwardedMessage")):
        parts += ["[forwarded]", *_content(forwarded)]
    if not any(parts) and (kind := string(message.get("type"))) not in _SPOKEN:
        parts = [f"[{kind}]"]
    return parts


def _content(message: Record) -> list[str]:
    text = _words(message)
    parts = [text]
    is_program = record(message.get("author")).get("isBot") is True
    for number, embed in enumerate(map(record, items(message.get("embeds")))):
        shown = "\n".join(filter(None, _embed(embed, text if number < _EMBEDS else "")))
        # A person's embed is a preview of a link: its words are the page's and not the speaker's.
        parts.append(shown if is_program or not shown else f"[preview: {shown}]")
    parts += [
        _file(string(record(file).get("fileName")) or string(record(file).get("url")).rpartition("/")[2])
        for file in items(message.get("attachments"))
    ]
    parts += [_note("sticker", string(record(one).get("name"))) for one in items(message.get("stickers"))]
    return parts


def _words(message: Record) -> str:
    """The content, with mentions and emoji by name where the exporter was told to leave them raw."""
    people = {string(one.get("id")): _name(one) for one in map(record, items(message.get("mentions")))}
    text = _MENTION.sub(lambda match: f"@{people.get(match[1]) or match[1]}", string(message.get("content")))
    return _EMOJI.sub(r"\1", text)


def _embed(embed: Record, text: str) -> list[str]:
    """What a card says; the link that it shows only where the message's words do not have it."""
    url = string(embed.get("url"))
    told = [string(record(embed.get("author")).get("name")), string(embed.get("title"))]
    told += [url if url not in text else "", string(embed.get("description"))]
    for field in map(record, items(embed.get("fields"))):
        told.append(": ".join(filter(None, (string(field.get("name")), string(field.get("value"))))))
    return [*told, string(record(embed.get("footer")).get("text"))]


def _file(name: str) -> str:
    ending = name.lower()
    if ending.endswith(_PICTURES):
        return _note("photo", name)
    if ending.endswith(_FILMS):
        return _note("video", name)
    return _note("audio" if ending.endswith(_SOUNDS) else "file", name)


def _note(kind: str, detail: str) -> str:
    return f"[{kind}: {detail}]" if detail else f"[{kind}]"
