"""Claude.ai's data export: `conversations.json`, a list of conversations with `chat_messages`.

    {"uuid": "c1", "name": "빵집", "created_at": "…Z", "chat_messages": [
        {"uuid": "m1", "sender": "human", "created_at": "…Z", "text": "…",
         "content": [{"type": "text", "text": "…"}, {"type": "tool_use", …}, {"type": "tool_result", …}],
         "attachments": [{"file_name": "a.txt", "extracted_content": "…"}], "files": [{"file_name": "b.png"}]}]}

One conversation by itself, as Claude's web interface gets it, is read too. `content` is what was said;
`text` is an older flattened copy of it, and speaks only where `content` has no words. A tool's result is a
turn of the tool's, so that a message around it becomes several turns. Thinking is left out.

Source: Anthropic documents how to ask for the export (https://support.claude.com/en/articles/9450526) and not
its fields; these are the ones that https://github.com/osteele/claude-chat-viewer (src/schemas) checks.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.parsing import items, parse_json, parse_time, record, string

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_OPENING: Final = re.compile(r'\s*(?:\[\s*)?\{\s*"')
_MESSAGES_KEY: Final = re.compile(r'"(mapping|chat_messages|chunkedPrompt)"\s*:')
_ROLES: Final = {"human": Role.USER, **{role.value: role for role in Role}}
_THINKING: Final = frozenset({"thinking", "redacted_thinking"})
_UNSUPPORTED: Final = "This block is not supported on your current device yet."


class ClaudeLoader:
    """A list of conversations with `chat_messages`, or one such conversation."""

    format: Final = "claude"

    def sniff(self, source: Source) -> bool:
        """Whether the text opens as a JSON object or a list of them, and `chat_messages` hold the messages."""
        text = source.text or ""
        if _OPENING.match(text) is None:
            return False
        key = _MESSAGES_KEY.search(text)
        return key is not None and key[1] == "chat_messages"

    def load(self, source: Source) -> list[Conversation]:
        """Every conversation, in the export's order; one without messages is empty.

        Raises:
            UnreadableError: broken JSON, or no entry has messages.
        """
        value = parse_json(source.text or "")
        entries = [record(entry) for entry in (value if isinstance(value, list) else [value])]
        if not any(isinstance(entry.get("chat_messages"), list) for entry in entries):
            raise UnreadableError(
                'no entry has a list of "chat_messages", so this is no conversations.json of Claude; '
                "export it again",
            )
        names = [
            own_id(source) if len(entries) == 1 else f"{own_id(source)}#{n + 1}" for n in range(len(entries))
        ]
        return [_conversation(entry, name) for entry, name in zip(entries, names, strict=True)]


def _conversation(entry: Record, name: str) -> Conversation:
    conversation = string(entry.get("uuid")) or name
    messages = [record(message) for message in items(entry.get("chat_messages"))]
    shown = _shown_branch(messages, entry.get("current_leaf_message_uuid"))
    remarks = []
    if aside := len(messages) - len(shown):
        remarks.append(
            "1 message on a branch that is not shown was left out"
            if aside == 1
            else f"{aside} messages on branches that are not shown were left out",
        )
    blocks = (block for message in shown for block in items(message.get("content")))
    if remark := thinking_remark(sum(1 for block in blocks if is_thinking(block))):
        remarks.append(remark)
    return assemble(
        conversation,
        [utterance for message in shown for utterance in _utterances(message, conversation)],
        title=string(entry.get("name")),
        remarks=tuple(remarks),
    )


def _shown_branch(messages: list[Record], leaf: object) -> list[Record]:
    """The messages from the first to the leaf, where every message names its parent; else all of them."""
    by_id = {string(message.get("uuid")): message for message in messages}
    if string(leaf) not in by_id or not all(
        isinstance(one.get("parent_message_uuid"), str) for one in messages
    ):
        return messages
    branch: dict[str, Record] = {}
    key = string(leaf)
    while key in by_id and key not in branch:
        branch[key] = by_id[key]
        key = string(by_id[key].get("parent_message_uuid"))
    return list(reversed(branch.values()))


def _utterances(message: Record, conversation: str) -> list[Utterance]:
    """What the sender said, in as many turns as tools' results part it into."""
    sender = string(message.get("sender"))
    role = _ROLES.get(sender, Role.USER)
    speaker = None if sender in _ROLES else sender or "unknown"
    time = time_or_none(message.get("created_at"))
    runs: list[tuple[Role, str | None, list[str]]] = [(role, speaker, _lead(message))]
    for block in map(record, items(message.get("content"))):
        if block.get("type") == "tool_result":
            runs.append((Role.TOOL, string(block.get("name")) or None, [result_text(block)]))
        elif not is_thinking(block):
            if runs[-1][0] is Role.TOOL and role is not Role.TOOL:
                runs.append((role, speaker, []))
            runs[-1][2].append(block_text(block))
    own = next(lines for of, _, lines in reversed(runs) if of is role)
    own.extend(_attached(message))
    texts = [(of, who, text) for of, who, lines in runs if (text := "\n".join(filter(None, lines))).strip()]
    key = string(message.get("uuid"))
    return [
        Utterance(
            id=numbered(f"{conversation}:{key}", number) if key else None,
            role=of,
            speaker=who,
            text=text,
            time=time,
        )
        for number, (of, who, text) in enumerate(texts)
    ]


def _lead(message: Record) -> list[str]:
    """The words that stand outside of blocks: content as one string, or `text` where no block has words."""
    content = message.get("content")
    if isinstance(content, str) and content.strip():
        return [content]
    blocks = [record(block) for block in items(content)]
    if any(string(one.get("text")).strip() for one in blocks if one.get("type") == "text"):
        return []
    text = string(message.get("text"))
    return [] if blocks and _UNSUPPORTED in text else [text]


def _attached(message: Record) -> list[str]:
    """Attachments with the text that was taken from them, and the names of other files."""
    attachments = [record(one) for one in items(message.get("attachments"))]
    lines = [f"{_file_note(one)}\n{string(one.get('extracted_content'))}".strip() for one in attachments]
    names = {string(one.get("file_name")) for one in attachments} - {""}
    files = [record(one) for one in items(message.get("files")) or items(message.get("files_v2"))]
    return lines + [_file_note(one) for one in files if string(one.get("file_name")) not in names]


def _file_note(file: Record) -> str:
    name = string(file.get("file_name"))
    kind = string(file.get("file_kind")) or "file"
    return note(kind, "" if name == kind else name)


def is_thinking(block: object) -> bool:
    """Whether a content block is the model's thinking."""
    return string(record(block).get("type")) in _THINKING


def thinking_remark(count: int) -> str:
    """What to say of thinking that was left out; an empty string where there was none."""
    return {0: "", 1: "1 block of thinking was left out"}.get(
        count, f"{count} blocks of thinking were left out"
    )


def block_text(block: Record) -> str:
    """The words of a content block that is no result: text, or a note of what else it is."""
    kind = string(block.get("type"))
    if kind == "text":
        return string(block.get("text"))
    if kind.endswith("tool_use"):
        return use_text(block)
    source = record(block.get("source"))
    words = string(source.get("data")) if source.get("type") == "text" else string(block.get("text"))
    title = string(block.get("title")) or string(block.get("file_name"))
    return "\n".join(filter(None, (note(kind or "attachment", title), words)))


def use_text(block: Record) -> str:
    """A tool's use: its name, what the page says of it, and its input line by line."""
    heading = " ".join(filter(None, (note("tool", string(block.get("name"))), string(block.get("message")))))
    given = block.get("input")
    fields = record(given) or ({"input": given} if given else {})
    return "\n".join([heading, *(f"{key}: {_value_text(value)}" for key, value in fields.items())])


def result_text(block: Record) -> str:
    """What a tool gave back, as text; where it gave nothing, what the page says of it."""
    content = block.get("content")
    if isinstance(content, str) and content.strip():
        return content
    lines = [string(one) or (block_text(record(one)) if record(one) else "") for one in items(content)]
    return "\n".join(filter(None, lines)) or string(block.get("message"))


def _value_text(value: object) -> str:
    """A string as it is, everything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # read at a shallower place in the program
        return "[nested too deeply]"


def note(kind: str, name: str) -> str:
    """`[image: cat.png]`, or `[image]` where it has no name."""
    return f"[{kind}: {name}]" if name else f"[{kind}]"


def numbered(key: str, number: int) -> str:
    """The key for the first of several turns, with `#2` and so on for the others."""
    return f"{key}#{number + 1}" if number else key


def time_or_none(value: object) -> datetime | None:
    """The time of an ISO 8601 string, or None where that is none."""
    try:
        return parse_time(string(value))
    except UnreadableError:
        return None
