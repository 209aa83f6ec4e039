"""The words of a Slack message: its text with links and mentions resolved, and notes of what is no text.

    <@U0A1> 봐요 <https://a.example|여기>  +  a file     ──▶     @지훈 봐요 여기 (https://a.example)
                                                               [photo: 역.jpg]

Programs often put their words into `attachments` or `blocks` and leave `text` empty or short.

Source: https://docs.slack.dev/messaging/formatting-message-text, https://docs.slack.dev/reference/block-kit and
https://docs.slack.dev/reference/objects/file-object.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loaders.parsing import epoch_time, items, record, string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Final

    from loaders.parsing import Record

_BRACKETS: Final = re.compile(r"<([^<>]*)>")
_TS: Final = re.compile(r"\d{1,12}(?:\.\d{1,9})?")
_COMPARED: Final = 100  # parts looked for in the text; Slack allows fifty blocks, a hostile file more
_KINDS: Final = {"image": "photo", "video": "video", "audio": "audio"}


def moment(ts: object) -> datetime | None:
    """The UTC time of a timestamp such as `1773576240.000100`."""
    text = string(ts)
    return epoch_time(float(text)) if _TS.fullmatch(text) else None


def spoken_name(user: Record) -> str:
    """The name that Slack shows for a user, or for the profile that a message carries."""
    profile = record(user.get("profile")) or user
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    return next((name for name in map(string, names) if name.strip()), "")


def says(message: Record, names: dict[str, str]) -> str:
    """Everything that a message says, in the order in which Slack shows it.

    Args:
        message: as the export has it.
        names: what people and channels are called, by id.
    """
    text = plain(string(message.get("text")), names)
    lines = [text]
    blocks = [record(block) for block in items(message.get("blocks"))]
    # People's words stand in a rich text block too; what a program adds in others is kept.
    added = [part for block in blocks if block.get("type") != "rich_text" for part in _block(block, names)]
    lines += [part for n, part in enumerate(added) if n >= _COMPARED or part not in text]
    if not text and len(lines) == 1:
        lines += ["".join(_leaves(block, names)) for block in blocks]
    for attachment in map(record, items(message.get("attachments"))):
        lines += _attachment(attachment, names)
    files = items(message.get("files")) or items([message.get("file")] if message.get("file") else [])
    lines += [_file(record(file)) for file in files]
    return "\n".join(line for line in lines if line.strip())


def plain(text: str, names: dict[str, str]) -> str:
    """Slack's markup as words: `<…>` resolved, and `&amp;`, `&lt;` and `&gt;` as the signs that they are."""
    resolved = _BRACKETS.sub(lambda match: _resolved(match[1], names), text)
    return resolved.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _resolved(inside: str, names: dict[str, str]) -> str:
    target, _, label = inside.partition("|")
    if target.startswith(("@", "#")):
        name = names.get(target[1:]) or label.removeprefix(target[0]) or target[1:]
        return target[0] + name
    if target.startswith("!"):
        return label or "@" + target[1:].partition("^")[0]
    bare = (
        target.removeprefix("mailto:").removeprefix("tel:").removeprefix("https://").removeprefix("http://")
    )
    if not label or label == target:
        return target
    return label if label.rstrip("/") == bare.rstrip("/") else f"{label} ({target})"


def _block(block: Record, names: dict[str, str]) -> list[str]:
    return [part for leaf in _leaves(block, names) if (part := leaf.strip())]


def _leaves(block: Record, names: dict[str, str]) -> Iterator[str]:
    """The texts in a block from first to last, however deep."""
    left: list[object] = [block]
    while left:
        value = left.pop()
        fields = record(value)
        text = fields.get("text")
        if isinstance(text, str):
            yield plain(text, names)
        elif user := string(fields.get("user_id")) or string(fields.get("channel_id")):
            yield f"@{names.get(user, user)}"
        elif fields.get("type") == "emoji":
            yield f":{string(fields.get('name'))}:"
        elif fields.get("type") == "link":
            yield string(fields.get("url"))
        else:
            inner = value if isinstance(value, list) else list(fields.values())
            left += [one for one in reversed(inner) if isinstance(one, dict | list)]


def _attachment(attachment: Record, names: dict[str, str]) -> list[str]:
    """A program's message or a link's preview; `fallback` repeats the rest in one line.

    A preview is marked, since its words are the page's and not the speaker's.
    """
    told = [plain(string(attachment.get(key)), names) for key in ("pretext", "author_name", "title", "text")]
    for field in map(record, items(attachment.get("fields"))):
        pair = (plain(string(field.get(key)), names) for key in ("title", "value"))
        told.append(": ".join(filter(None, pair)))
    for block in map(record, items(attachment.get("blocks"))):
        told += _block(block, names)
    if not any(map(str.strip, told)):
        told = [plain(string(attachment.get("fallback")), names)]
    if attachment.get("from_url"):
        shown = "\n".join(line for line in told if line.strip())
        return [f"[preview: {shown}]"] if shown else []
    return told


def _file(file: Record) -> str:
    kind = _KINDS.get(string(file.get("mimetype")).partition("/")[0], "file")
    if file.get("mode") == "tombstone":
        return "[file, deleted]"
    name = string(file.get("name")) or string(file.get("title"))
    return f"[{kind}: {name}]" if name else f"[{kind}]"
