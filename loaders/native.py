"""memoryd's own format: JSON Lines, one turn a line.

    {"id": "t1", "conversation": "c1", "time": "2026-03-15T21:04:00+09:00", "role": "user", "speaker": "지훈",
     "text": "…", "citations": ["p7"], "title": "…"}

Only `text` must be there. `role` defaults to user, `conversation` to the file's name; a conversation's first
`title` is its title; other fields are ignored. A file may hold many conversations. A last line that breaks off
without a line end is a write in progress or a crash: it is left out, the others are kept, and the file is read
again when it changes. Any other damaged line makes the file unreadable, by number.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.parsing import parse_json, parse_time, string

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from loaders.base import Conversation, Source

    Record = dict[str, object]

_SNIFFED_LINES: Final = 20


class NativeLoader:
    """JSON Lines with a `text` on every line."""

    format: Final = "native"

    def sniff(self, source: Source) -> bool:
        """Whether the first lines are all objects and one has a text, or the name ends in .jsonl."""
        text = source.text or ""
        if not text.lstrip().startswith("{"):
            return False
        if source.suffix in {".jsonl", ".ndjson"}:
            return True
        head = list(islice((line for line in text.split("\n") if line.strip()), _SNIFFED_LINES))
        return all(line.lstrip().startswith("{") for line in head) and any(map(_has_text, head))

    def load(self, source: Source) -> list[Conversation]:
        """Every conversation, in order of first appearance.

        Raises:
            UnreadableError: a damaged line that is not a torn last one.
        """
        groups: dict[str, list[Utterance]] = {}
        titles: dict[str, str] = {}
        for number, record in _records(source.text or ""):
            try:
                conversation = _optional(record, "conversation") or own_id(source)
                groups.setdefault(conversation, []).append(_utterance(record))
                titles[conversation] = titles.get(conversation) or string(record.get("title"))
            except UnreadableError as error:
                raise UnreadableError(error.reason, line=number) from error
        return [
            assemble(conversation, utterances, title=titles[conversation])
            for conversation, utterances in groups.items()
        ]


def _records(text: str) -> Iterator[tuple[int, Record]]:
    """Every line's object with its 1-based number, a torn last line left out."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except UnreadableError as error:
            if number == len(lines):  # no line end follows: torn
                return
            raise UnreadableError(error.reason, line=number) from error
        if not isinstance(value, dict):
            raise UnreadableError("a turn must be a JSON object", line=number)
        yield number, cast("Record", value)


def _utterance(record: Record) -> Utterance:
    text = record.get("text")
    if not isinstance(text, str):
        raise UnreadableError('"text" is missing or no string; memoryd\'s JSON Lines have one on every line')
    time = _optional(record, "time")
    return Utterance(
        id=_optional(record, "id"),
        role=_role(record.get("role")),
        speaker=_optional(record, "speaker"),
        time=None if time is None else parse_time(time),
        text=text,
        citations=_citations(record.get("citations")),
    )


def _optional(record: Record, key: str) -> str | None:
    """A field that may be missing, null or empty; a whole number is taken as its digits, except as a time."""
    value = record.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and key != "time":
        return str(value)
    if not isinstance(value, str):
        raise UnreadableError(f'"{key}" must be a string')
    return value


def _role(value: object) -> Role:
    if value is None:
        return Role.USER
    try:
        return Role(cast("str", value))
    except ValueError as error:
        raise UnreadableError(f'"role" must be one of {", ".join(Role)}') from error


def _citations(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UnreadableError('"citations" must be a list of strings')
    return tuple(value)


def _has_text(line: str) -> bool:
    try:
        value = parse_json(line)
    except UnreadableError:
        return False
    return isinstance(value, dict) and "text" in value
