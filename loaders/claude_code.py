"""Claude Code's session files: JSON Lines, one event a line.

    {"type": "user", "uuid": "u1", "sessionId": "s1", "timestamp": "…Z", "message": {"role": "user", "content": "…"}}
    {"type": "assistant", "uuid": "u2", …, "message": {"content": [{"type": "text", …}, {"type": "tool_use", …}]}}
    {"type": "user", "uuid": "u3", …, "message": {"content": [{"type": "tool_result", "tool_use_id": …, …}]}}
    {"type": "summary", "summary": "a heading", "leafUuid": "u2"}

One conversation a session, and one for every sub-agent that Claude sent off (a side chain), in the file's
order. Thinking, lines that the program put in for the model (`isMeta`) and its bookkeeping are left out. A
last line that breaks off without a line end is a write in progress or a crash, and is left out as well. Any
other damaged line makes the file unreadable, by number.

Source: the format has no specification; the fields are those that https://github.com/daaain/claude-code-log
(claude_code_log/models.py) reads.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, cast

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.claude import (
    block_text,
    is_thinking,
    numbered,
    result_text,
    thinking_remark,
    time_or_none,
    use_text,
)
from loaders.parsing import items, parse_json, record, string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from loaders.base import Conversation, Source
    from loaders.parsing import Record

_SNIFFED_LINES: Final = 20
_MARK: Final = re.compile(r'"(?:sessionId|session_id|leafUuid|messageId|timestamp)"\s*:')
_TALK: Final = frozenset({"user", "assistant", "tool_use", "tool_result"})
_OTHERS: Final = frozenset({"system", "progress", "queue-operation", "attachment", "file-history-snapshot"})
_TITLES: Final = {"summary": "summary", "ai-title": "aiTitle", "custom-title": "customTitle"}
_OUTPUTS: Final = ("local-command-stdout", "local-command-stderr", "bash-stdout", "bash-stderr")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LEFT_OUT: Final = {  # why: what the remark says, of one and of many
    "meta": (
        "1 text that Claude Code put in for the model was left out",
        "{} texts that Claude Code put in for the model were left out",
    ),
    "copies": (
        "1 line that comes a second time was left out",
        "{} lines that come a second time were left out",
    ),
    "records": (
        "1 line of the program's bookkeeping was left out",
        "{} lines of the program's bookkeeping were left out",
    ),
    "torn": ("the last line is cut off and was left out", ""),
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of words of one speaker within a line."""

    role: Role
    speaker: str | None
    text: str


@dataclass(slots=True)
class _Talk:
    """A conversation while its lines are read."""

    key: str
    said: list[Utterance] = field(default_factory=list)
    title: str = ""
    seen: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)


class ClaudeCodeLoader:
    """JSON Lines whose lines have a `type` and belong to a session."""

    format: Final = "claude-code"

    def sniff(self, source: Source) -> bool:
        """Whether the first lines are all objects with a type, and one of them is a session's."""
        text = (source.text or "").lstrip()
        if not text.startswith("{") or _MARK.search(text.partition("\n")[0]) is None:
            return False
        lines = (line for line in text.split("\n", 10 * _SNIFFED_LINES) if line.strip())
        head = list(islice(lines, _SNIFFED_LINES))
        try:
            events = [record(parse_json(line)) for line in head[:-1] or head]  # the last one may be torn
        except UnreadableError:
            return False
        return all(isinstance(one.get("type"), str) for one in events) and any(map(_is_session_line, events))

    def load(self, source: Source) -> list[Conversation]:
        """Every session of the file and every side chain, in order of first appearance.

        Raises:
            UnreadableError: a damaged line that is not a torn last one.
        """
        events, torn = _events(source.text or "")
        session = next(filter(None, map(_session, events)), own_id(source))
        talks: dict[str, _Talk] = {}
        tools: dict[str, str] = {}
        for event in events:
            session = _session(event) or session
            chain = string(event.get("agentId")) or "sidechain"
            key = f"{session}#{chain}" if event.get("isSidechain") is True else session
            talk = talks.setdefault(key, _Talk(key))
            _read(event, talk, tools)
        if torn and talks:
            next(reversed(talks.values())).left_out["torn"] = 1
        return [_conversation(talk) for talk in talks.values()]


def _events(text: str) -> tuple[list[Record], bool]:
    """Every line's object, and whether a torn last line was left out."""
    lines = text.split("\n")
    events: list[Record] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except UnreadableError as error:
            if number == len(lines):  # no line end follows: torn
                return events, True
            raise UnreadableError(error.reason, line=number) from error
        if not isinstance(value, dict):
            raise UnreadableError("a line of a Claude Code session must be a JSON object", line=number)
        events.append(cast("Record", value))
    return events, False


def _is_session_line(event: Record) -> bool:
    kind = string(event.get("type"))
    if kind == "summary":
        return isinstance(event.get("leafUuid"), str)
    if kind in _TALK and isinstance(event.get("timestamp"), str):
        return bool(record(event.get("message")) or {"content", "tool_name", "name"} & event.keys())
    return kind in _TALK | _OTHERS and bool(_session(event) or string(event.get("messageId")))


def _session(event: Record) -> str:
    return string(event.get("sessionId")) or string(event.get("session_id"))


def _conversation(talk: _Talk) -> Conversation:
    counts = talk.left_out
    remarks = [
        one if counts[why] == 1 else many.format(counts[why])
        for why, (one, many) in _LEFT_OUT.items()
        if counts[why]
    ]
    remarks += filter(None, [thinking_remark(counts["thinking"])])
    return assemble(talk.key, talk.said, title=talk.title, remarks=tuple(remarks))


def _read(event: Record, talk: _Talk, tools: dict[str, str]) -> None:
    """Add a line's words to its talk, or count it among what is left out."""
    kind, uuid = string(event.get("type")), string(event.get("uuid"))
    if kind in _TITLES:
        talk.title = string(event.get(_TITLES[kind])) or talk.title
        return
    if uuid and uuid in talk.seen:
        talk.left_out["copies"] += 1
        return
    talk.seen.add(uuid)
    pieces = [one for one in _pieces(event, talk.left_out, tools) if one.text.strip()]
    if event.get("isMeta") is True and kind in _TALK:
        talk.left_out["meta"] += bool(pieces)
        return
    if not pieces and kind not in _TALK:
        talk.left_out["records"] += 1
    time = time_or_none(event.get("timestamp"))
    talk.said += [
        Utterance(
            id=numbered(f"{talk.key}:{uuid}", number) if uuid else None,
            role=piece.role,
            speaker=piece.speaker,
            text=piece.text,
            time=time,
        )
        for number, piece in enumerate(_joined(pieces))
    ]


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """The pieces, neighbours of one speaker as one; every result of a tool stays by itself."""
    runs: list[list[_Piece]] = []
    for piece in pieces:
        last = runs[-1][-1] if runs else None
        same = last is not None and (last.role, last.speaker) == (piece.role, piece.speaker)
        if same and piece.role is not Role.TOOL:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return [_Piece(run[0].role, run[0].speaker, "\n".join(one.text for one in run)) for run in runs]


def _pieces(event: Record, left_out: Counter[str], tools: dict[str, str]) -> Iterator[_Piece]:
    """The words of a line, each with its speaker; thinking and texts for the model are counted instead."""
    kind = string(event.get("type"))
    if kind == "system":
        yield _Piece(Role.SYSTEM, None, _COLOURS.sub("", string(event.get("content"))))
    elif kind in {"tool_use", "tool_result"}:
        yield _tool_line(event)
    role, speaker = _speaker(event)
    for block in _blocks(event):
        if is_thinking(block):
            left_out["thinking"] += 1
        elif block.get("type") == "tool_result":
            name = string(block.get("name")) or tools.get(string(block.get("tool_use_id")))
            yield _Piece(Role.TOOL, name, result_text(block) or _raw_result(event))
        elif block.get("type") == "text" and role is Role.USER:
            piece = _typed(string(block.get("text")))
            left_out["meta"] += piece is None
            if piece is not None:
                yield piece
        else:
            if key := string(block.get("id")):
                tools[key] = string(block.get("name"))
            yield _Piece(role, speaker, block_text(block))


def _blocks(event: Record) -> list[Record]:
    """The content blocks of a line of talk, or of what the person typed while Claude was still at work."""
    kind = string(event.get("type"))
    attachment = record(event.get("attachment"))
    if kind == "attachment" and attachment.get("type") == "queued_command":
        content = attachment.get("prompt")
    elif kind in {"user", "assistant"}:
        content = record(event.get("message")).get("content", event.get("content"))
    else:
        content = None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [record(block) or {"type": "text", "text": string(block)} for block in items(content)]


def _speaker(event: Record) -> tuple[Role, str | None]:
    """Who speaks: in a side chain Claude asks and a sub-agent answers, nobody else is there."""
    assistant = event.get("type") == "assistant"
    if event.get("isSidechain") is True:
        return Role.ASSISTANT, "sub-agent" if assistant else None
    if event.get("isCompactSummary") is True:
        return Role.SYSTEM, None
    return (Role.ASSISTANT if assistant else Role.USER), None


def _typed(text: str) -> _Piece | None:
    """What the person typed, or a command's output; None for a reminder to the model."""
    if text.startswith("<system-reminder>") and text.rstrip().endswith("</system-reminder>"):
        return None
    if text.startswith("<command-") and (name := _between(text, "command-name")):
        return _Piece(Role.USER, None, f"{name} {_between(text, 'command-args')}".strip())
    if text.startswith("<bash-input>") and (line := _between(text, "bash-input")):
        return _Piece(Role.USER, None, f"! {line}")
    if text.startswith(tuple(f"<{tag}>" for tag in _OUTPUTS)):
        output = "\n".join(filter(None, (_between(text, tag) for tag in _OUTPUTS)))
        return _Piece(Role.TOOL, "command", _COLOURS.sub("", output))
    return _Piece(Role.USER, None, text)


def _between(text: str, tag: str) -> str:
    """What stands between `<tag>` and `</tag>`, or an empty string."""
    start = text.find(f"<{tag}>")
    end = text.find(f"</{tag}>", start)
    return text[start + len(tag) + 2 : end].strip() if -1 < start < end else ""


def _tool_line(event: Record) -> _Piece:
    """A line that is a tool's use or result by itself, as short transcripts have them."""
    name = string(event.get("tool_name")) or string(event.get("name"))
    if event.get("type") == "tool_use":
        given = event.get("tool_input", event.get("input"))
        return _Piece(Role.ASSISTANT, None, use_text({"name": name, "input": given}))
    output = event.get("tool_output", event.get("output", event.get("content")))
    text = result_text({"content": output}) or (use_text({"name": name, "input": output}) if output else "")
    return _Piece(Role.TOOL, name or None, text)


def _raw_result(event: Record) -> str:
    """The result beside the message, where the message has none."""
    result = event.get("toolUseResult")
    return string(result) or string(record(result).get("stdout"))
