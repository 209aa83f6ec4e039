"""ChatGPT's data export: `conversations.json`, a list of conversations that are trees of messages.

    current_node ──parent──▶ … ──parent──▶ root        read backwards, it is the talk as last shown
          message.content: {"content_type": "text", "parts": ["…", {"content_type": "image_asset_pointer"}]}

Edited questions and regenerated answers leave side branches in the tree; the branch that ChatGPT shows is
kept. Messages marked hidden, and contents that were never said (a model's thoughts, profile settings), are
left out. What is left out is counted in the conversation's remarks.

Source: OpenAI documents how to ask for the export (https://help.openai.com/en/articles/7260999) and not its
fields; these are the ones that exports of 2023 to 2026 have in common, and that the open-source exporter
https://github.com/pionxzh/chatgpt-exporter (src/api.ts) types.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, cast

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.parsing import epoch_time, items, parse_json, record, string

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*(?:\[\s*)?\{\s*"')
# An export of Claude's may well hold a tool's "mapping", and comes to it after its own messages' key.
_MESSAGES_KEY: Final = re.compile(r'"(mapping|chat_messages|chunkedPrompt)"\s*:')
_THOUGHTS: Final = frozenset({"thoughts", "reasoning_recap"})
_SETTINGS: Final = frozenset({"model_editable_context", "user_editable_context"})
_LEFT_OUT: Final = {  # why: what the remark says, of one and of many
    "branch": (
        "1 message on a branch that is not shown was left out",
        "{} messages on branches that are not shown were left out",
    ),
    "hidden": (
        "1 message that ChatGPT hides was left out",
        "{} messages that ChatGPT hides were left out",
    ),
    "thoughts": (
        "1 message of the model's thoughts was left out",
        "{} messages of the model's thoughts were left out",
    ),
    "settings": (
        "1 message of custom instructions or saved memories was left out",
        "{} messages of custom instructions or saved memories were left out",
    ),
}
_WORDLESS: Final = frozenset(  # contents that say nothing where they hold no words
    {"", "text", "multimodal_text", "code", "execution_output", "tether_browsing_display"},
)
_ASSETS: Final = {"real time user audio video": "audio", "video container": "video"}

# Marks that a page shows as a link or a card: U+E200 opens one, U+E202 parts its kind and fields, U+E201 closes.
_MARK: Final = re.compile("( ?)\ue200([^\ue200\ue201]*)\ue201")
_TORN_CITATION: Final = re.compile("\ue200(?:file)?cite(?:\ue202[A-Za-z0-9_-]*)*")
_MARK_LETTERS: Final = re.compile("[\ue200-\ue206]")


class ChatGPTLoader:
    """A list of conversations with a `mapping` of nodes, or one such conversation."""

    format: Final = "chatgpt"

    def sniff(self, source: Source) -> bool:
        """Whether the text opens as a JSON object or a list of them, and a `mapping` holds the messages."""
        text = source.text or ""
        if _OPENING.match(text) is None:
            return False
        key = _MESSAGES_KEY.search(text)
        return key is not None and key[1] == "mapping"

    def load(self, source: Source) -> list[Conversation]:
        """Every conversation, in the export's order.

        Raises:
            UnreadableError: broken JSON, or an entry that is no conversation.
        """
        value = parse_json(source.text or "")
        entries = value if isinstance(value, list) else [value]
        conversations = []
        for number, entry in enumerate(entries, start=1):
            if not isinstance(entry, dict) or not isinstance(entry.get("mapping"), dict):
                raise UnreadableError(
                    f'entry {number} of {len(entries)} has no "mapping" of messages, so this is no whole '
                    "conversations.json of ChatGPT; export it again",
                )
            name = own_id(source) if len(entries) == 1 else f"{own_id(source)}-{number}"
            conversations.append(_conversation(cast("Record", entry), name))
        return conversations


def _conversation(entry: Record, name: str) -> Conversation:
    began = epoch_time(entry.get("create_time"))
    nodes = {key: record(node) for key, node in record(entry.get("mapping")).items()}
    shown = _shown_branch(nodes, entry.get("current_node"))
    said: list[Utterance] = []
    left_out: Counter[str] = Counter()
    for node in shown.values():
        message = record(node.get("message"))
        utterance = _utterance(message, began)
        if why := _why_left_out(message):
            left_out[why] += bool(utterance.text.strip()) or why == "thoughts"
        else:
            said.append(utterance)
    aside = (record(node.get("message")) for key, node in nodes.items() if key not in shown)
    left_out["branch"] = sum(
        1 for message in aside if not _why_left_out(message) and _utterance(message, began).text.strip()
    )
    return assemble(
        string(entry.get("conversation_id")) or string(entry.get("id")) or name,
        said,
        title=string(entry.get("title")),
        remarks=tuple(
            one if left_out[why] == 1 else many.format(left_out[why])
            for why, (one, many) in _LEFT_OUT.items()
            if left_out[why]
        ),
    )


def _shown_branch(nodes: dict[str, Record], current: object) -> dict[str, Record]:
    """The nodes from the root to the current one; a circle of parents is cut where it closes."""
    key = current if isinstance(current, str) and current in nodes else _latest_leaf(nodes)
    branch: dict[str, Record] = {}
    while isinstance(key, str) and key in nodes and key not in branch:
        branch[key] = nodes[key]
        key = cast("str | None", nodes[key].get("parent"))
    return dict(reversed(branch.items()))


def _latest_leaf(nodes: dict[str, Record]) -> str | None:
    """The last written node that no other has as its parent; of equals, the later in the file."""
    parents = {parent for node in nodes.values() if isinstance(parent := node.get("parent"), str)}
    leaves = [key for key in nodes if key not in parents] or list(nodes)

    def written(key: str) -> float:
        time = epoch_time(record(nodes[key].get("message")).get("create_time"))
        return float("-inf") if time is None else time.timestamp()

    return max(reversed(leaves), key=written, default=None)


def _why_left_out(message: Record) -> str:
    """A key of `_LEFT_OUT`, or an empty string for what was said."""
    kind = string(record(message.get("content")).get("content_type"))
    if kind in _THOUGHTS:
        return "thoughts"
    if kind in _SETTINGS:
        return "settings"
    return "hidden" if record(message.get("metadata")).get("is_visually_hidden_from_conversation") else ""


def _utterance(message: Record, began: datetime | None) -> Utterance:
    """One message; without a time of its own it takes the conversation's."""
    author = record(message.get("author"))
    role = _role(author.get("role"))
    text = _said(message)
    return Utterance(
        id=string(message.get("id")) or None,
        role=role,
        speaker=string(author.get("name")) or None,
        # People's own text may hold such letters too: icon fonts have theirs there.
        text=text if role is Role.USER else _without_marks(text, record(message.get("metadata"))),
        time=epoch_time(message.get("create_time")) or began,
    )


def _role(value: object) -> Role:
    """The role; one that ChatGPT has newly invented is a tool's."""
    return Role(value) if isinstance(value, str) and value in set(Role) else Role.TOOL


def _said(message: Record) -> str:
    """The words of a message, and a note for every file and picture of it."""
    content, metadata = record(message.get("content")), record(message.get("metadata"))
    attached = [record(one) for one in items(metadata.get("attachments"))]
    names = {string(one.get("id")): string(one.get("name")) for one in attached}
    parts = items(content.get("parts"))
    pointed = [string(record(part).get("asset_pointer")).rpartition("//")[2] for part in parts]
    lines = [_part(part, names.get(key, "") if key else "") for part, key in zip(parts, pointed, strict=True)]
    if not any(lines):
        lines = [_heading(content), _text(content, metadata)]
    if string(message.get("recipient")).startswith("canmore."):
        lines = [_canvas("\n".join(filter(None, lines)))]
    shown = set(filter(None, pointed))
    beside = (one for one in attached if string(one.get("id")) not in shown)
    lines += [f"[file: {name}]" for one in beside if (name := string(one.get("name")))]
    outputs = items(record(metadata.get("aggregate_result")).get("messages"))
    lines += ["[image]" for one in outputs if record(one).get("message_type") == "image"]
    return "\n".join(filter(None, lines))


def _text(content: Record, metadata: Record) -> str:
    """What contents without parts say: text (code, outputs, errors, pages), a result or settings."""
    fields = (
        "text",
        "result",
        "output_str",
        "summary",
        "user_profile",
        "user_instructions",
        "model_set_context",
    )
    for field in fields:
        if text := string(content.get(field)):
            return text
    kind = string(content.get("content_type"))
    note = "" if kind in _WORDLESS | _THOUGHTS | _SETTINGS else f"[{kind.replace('_', ' ')}]"
    return string(metadata.get("finished_text")) or note


def _heading(content: Record) -> str:
    """The title and address of a page that was opened."""
    return " — ".join(filter(None, (string(content.get("title")), string(content.get("url")))))


def _part(part: object, name: str) -> str:
    """A string as it is, a transcription's text, and a note such as `[image: cat.png]` for what is no text."""
    fields = record(part)
    if not fields:
        return string(part)
    if text := string(fields.get("text")):
        return text
    kind = string(fields.get("content_type")).removesuffix("_asset_pointer").replace("_", " ")
    drawn = string(record(record(fields.get("metadata")).get("dalle")).get("prompt"))
    caption = name or drawn
    return f"[{_ASSETS.get(kind, kind) or 'attachment'}{': ' if caption else ''}{caption}]"


def _canvas(call: str) -> str:
    """What a call to the canvas writes there; a call of unknown shape stays as it is."""
    try:
        fields = record(parse_json(call))
    except UnreadableError:
        return call
    if content := string(fields.get("content")):
        name = string(fields.get("name"))
        return f"[canvas{': ' if name else ''}{name}]\n{content}"
    updates = [record(one) for one in items(fields.get("updates"))]
    lines = ["[canvas changed]"]
    for one in updates:
        pattern = string(one.get("pattern"))
        lines += [f"{pattern} →" if pattern not in {"", ".*"} else "", string(one.get("replacement"))]
    return "\n".join(filter(None, lines)) if updates else call


def _without_marks(text: str, metadata: Record) -> str:
    """The text with every mark as a page shows it: a link, a name, or nothing for a bare citation."""
    if "\ue200" not in text:
        return text
    shown = {
        string(one.get("matched_text")): string(one.get("alt")).strip()
        for one in map(record, items(metadata.get("content_references")))
    }

    def words(match: re.Match[str]) -> str:
        kind, *fields = match[2].split("\ue202")
        plain = shown.get(match[0][len(match[1]) :]) or _mark_words(kind, fields)
        return f"{match[1]}{plain}" if plain else ""

    return _MARK_LETTERS.sub("", _TORN_CITATION.sub("", _MARK.sub(words, text)))


def _mark_words(kind: str, fields: list[str]) -> str:
    """What a mark says by itself: an entity's name, a link's or a list's title, or nothing."""
    if kind in {"url", "link_title", "navlist"} and fields:
        return fields[0]
    if not kind.endswith("entity") or not fields:
        return ""
    try:
        names = items(parse_json(fields[0]))
    except UnreadableError:
        return fields[0]
    return string(names[1]) if len(names) > 1 else ""
