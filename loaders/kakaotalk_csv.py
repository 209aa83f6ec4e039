"""KakaoTalk's exported chats as the Mac writes them: a table, with messages of many lines in quotes.

    Date,User,Message
    2024-03-15 21:04:00,"지훈","내일 보자.
    여섯 시에."
    2024-03-15 21:05:00,"수민","수민님이 나갔습니다."

A table whose quotes don't match is read line by line, a line that starts with a time opening the next message,
so that one stray quote doesn't swallow the rest of the chat.

Source: KakaoTalk documents no format; this one is read by https://github.com/zeikar/kakaotalk-viewer and
https://github.com/claudianus/kakaotalk-chat-analyzer.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id
from loaders.base import Role, UnreadableError
from loaders.chat_lines import NO_TEXT
from loaders.kakaotalk import is_notice, is_unsaid
from loaders.parsing import parse_time

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source

_HEADER: Final = re.compile(r'\s*"?Date"?,"?User"?,"?Message"?[ \t]*(?:\n\s*"?\d{4}-\d\d-\d\d[ T]|\s*\Z)')
_STAMP: Final = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?"
_TIME: Final = re.compile(_STAMP)
_ROW: Final = re.compile(rf'"?({_STAMP})"?,(?:"((?:[^"]|"")*)"|([^,]*)),(.*)')


@dataclass(frozen=True, slots=True)
class _Row:
    time: str
    user: str
    message: str


class KakaoTalkCsvLoader:
    """One chat room's table."""

    format: Final = "kakaotalk"

    def sniff(self, source: Source) -> bool:
        """Whether the first line is KakaoTalk's row of headings, and a time opens the next."""
        return _HEADER.match(source.text or "") is not None

    def load(self, source: Source) -> list[Conversation]:
        """The one chat, the app's notices with the role of the system."""
        text = (source.text or "").strip("\n").partition("\n")[2]
        return [assemble(own_id(source), map(_utterance, _table(text) or _lines(text)))]


def _table(text: str) -> list[_Row] | None:
    """The rows as the format means them, or None where it is broken."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:  # stray quotes, or a message too long for the parser
        return None
    if not all(len(row) == 3 and _TIME.fullmatch(row[0]) for row in rows):
        return None
    return [_Row(*row) for row in rows]


def _lines(text: str) -> list[_Row]:
    """The rows of a broken table: each goes down to the next line that opens one."""
    groups: list[tuple[re.Match[str], list[str]]] = []
    above: list[str] = []
    for line in text.split("\n"):
        if match := _ROW.fullmatch(line):
            groups.append((match, [match[4]]))
        else:
            (groups[-1][1] if groups else above).append(line)
    rows = [
        _Row(match[1], (match[2] or match[3] or "").replace('""', '"'), _unquoted("\n".join(lines)))
        for match, lines in groups
    ]
    return [_Row("", "", _unquoted("\n".join(above))), *rows] if any(map(str.strip, above)) else rows


def _unquoted(text: str) -> str:
    """A field without the quotes around it, where they are there."""
    text = text.rstrip("\n")
    if not text.startswith('"'):
        return text
    return text[1:].removesuffix('"').replace('""', '"')


def _utterance(row: _Row) -> Utterance:
    text = row.message.strip("\n") if row.message.strip() else NO_TEXT
    notice = all(is_notice(line.strip(), {row.user}) for line in text.split("\n") if line.strip())
    return Utterance(
        role=Role.SYSTEM if notice or is_unsaid(text) or not row.user.strip() else Role.USER,
        speaker=row.user.strip() or None,
        text=text,
        time=_time(row.time),
    )


def _time(text: str) -> datetime | None:
    try:
        return parse_time(text)
    except UnreadableError:
        return None
