"""ChatGPT's data export: `conversations.json`, a list of conversations that are trees of messages.

    current_node ──parent──▶ … ──parent──▶ root        read backwards, it is the talk as last shown

Edited questions and regenerated answers leave side branches in the tree; the branch that ChatGPT shows is
kept. Messages marked hidden, and contents that were never said (a model's thoughts, profile settings), are
left out.

Source: OpenAI documents how to ask for the export (https://help.openai.com/en/articles/7260999) and not its
fields; these are the ones that exports of 2023 to 2026 have in common.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.parsing import epoch_time, parse_json, record, string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*(?:\[\s*)?\{\s*"')
_MAPPING: Final = re.compile(r'"mapping"\s*:')
_NEVER_SAID: Final = frozenset(
    {"thoughts", "reasoning_recap", "model_editable_context", "user_editable_context"},
)


class ChatGPTLoader:
    """A list of conversations with a `mapping` of nodes, or one such conversation."""

    format: Final = "chatgpt"

    def sniff(self, source: Source) -> bool:
        """Whether the text opens as a JSON object or a list of them, and a `mapping` occurs."""
        text = source.text or ""
        return _OPENING.match(text) is not None and _MAPPING.search(text) is not None

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
    messages = (record(node.get("message")) for node in _shown_branch(entry))
    return assemble(
        string(entry.get("conversation_id")) or string(entry.get("id")) or name,
        [_utterance(message, began) for message in messages if not _is_hidden(message)],
        title=string(entry.get("title")),
    )


def _shown_branch(entry: Record) -> Iterator[Record]:
    """The nodes from the root to the current one; a circle of parents is cut where it closes."""
    nodes = {key: record(node) for key, node in record(entry.get("mapping")).items()}
    key = entry.get("current_node")
    if not isinstance(key, str) or key not in nodes:
        key = _latest_leaf(nodes)
    branch: dict[str, Record] = {}
    while isinstance(key, str) and key in nodes and key not in branch:
        branch[key] = nodes[key]
        key = nodes[key].get("parent")
    return reversed(branch.values())


def _latest_leaf(nodes: dict[str, Record]) -> str | None:
    """The last written node that no other has as its parent; of equals, the later in the file."""
    parents = {parent for node in nodes.values() if isinstance(parent := node.get("parent"), str)}
    leaves = [key for key in nodes if key not in parents] or list(nodes)

    def written(key: str) -> float:
        time = epoch_time(record(nodes[key].get("message")).get("create_time"))
        return float("-inf") if time is None else time.timestamp()

    return max(reversed(leaves), key=written, default=None)


def _is_hidden(message: Record) -> bool:
    hidden = record(message.get("metadata")).get("is_visually_hidden_from_conversation")
    return bool(hidden) or record(message.get("content")).get("content_type") in _NEVER_SAID


def _utterance(message: Record, began: datetime | None) -> Utterance:
    """One message; without a time of its own it takes the conversation's."""
    author = record(message.get("author"))
    return Utterance(
        id=string(message.get("id")) or None,
        role=_role(author.get("role")),
        speaker=string(author.get("name")) or None,
        text=_said(record(message.get("content"))),
        time=epoch_time(message.get("create_time")) or began,
    )


def _role(value: object) -> Role:
    """The role; one that ChatGPT has newly invented is a tool's."""
    return Role(value) if isinstance(value, str) and value in set(Role) else Role.TOOL


def _said(content: Record) -> str:
    """The words of a message: its parts, else its text (code, outputs, errors, web pages)."""
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n".join(filter(None, map(_part, parts)))
    return string(content.get("text")) or string(content.get("result"))


def _part(part: object) -> str:
    """A string as it is, a transcription's text, and a note such as `[image]` for what is no text."""
    fields = record(part)
    kind = string(fields.get("content_type")).removesuffix("_asset_pointer").replace("_", " ")
    return string(part) or string(fields.get("text")) or (f"[{kind or 'attachment'}]" if fields else "")
