"""Signal's chats as text. Signal exports none itself; two programs read its desktop database and write these.

    [2024-03-15, 21:04] Me: 내일 보자              signal-export; newer ones write [2024-03-15 21:04:05]
    여섯 시에.
    (- 수민: 👍 -)

    Conversation: 수민 (+82 10 1234 5678)          sigtop

    From: 수민 (+82 10 1234 5678)
    Type: incoming
    Sent: Fri, 15 Mar 2024 21:04:05 +0900
    Received: Fri, 15 Mar 2024 21:04:07 +0900
    Attachment: 역.jpg (image/jpeg, 52311 bytes)
    Reaction: 👍 from 지훈

    여기야.

A log's lines look like signal-export's newer ones, so there the names must be people's. Of sigtop's fields the
attachments and reactions stay with the words; when a message was received is left out.

Source: https://github.com/carderne/signal-export (`models.py`) and https://github.com/tbvdm/sigtop
(`fmt_text.go`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id, without_blank_edges
from loaders.base import Role
from loaders.chat_lines import CLOCK, NO_TEXT, Opening, Times, is_log_source, utterances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source

_STAMPED: Final = re.compile(
    rf"\[(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)(?P<comma>,?) {CLOCK}\] "
    r"(?P<name>.{0,120}?):(?: (?P<text>.*))?",
)
_OWN_NAME: Final = "Me"
_NOBODY: Final = "No-Sender"
_UNSAID: Final = re.compile(
    r"\(This message was deleted\)|(?:Incoming|Outgoing|Missed) (?:voice |video |group )?call(?: \(.{0,80}\))?",
)
_HEADER: Final = re.compile(r"Conversation: (?P<title>.+)\n+(?:From: .+\n)?Type: \S+\n")
_FIELD: Final = re.compile(r"(?P<key>From|Type|Sent|Received|Attachment|Reaction|Edited): (?P<value>.*)")
_KEPT: Final = frozenset({"Attachment", "Reaction", "Edited"})
_SPOKEN: Final = frozenset({"incoming", "outgoing"})
_SNIFFED_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class _Head:
    """The fields above a message of sigtop's, and where they stand."""

    line: int
    fields: tuple[tuple[str, str], ...]

    def value(self, key: str) -> str:
        """The first field of that name, or an empty string."""
        return next((value for name, value in self.fields if name == key), "")


class SignalLoader:
    """One chat's text, of either program."""

    format: Final = "signal"

    def sniff(self, source: Source) -> bool:
        """Whether the text opens as one of the two programs writes it, and people speak."""
        text = (source.text or "").lstrip()
        if text.startswith("Conversation: "):
            return _HEADER.match(text[:2_000]) is not None
        lines = text.split("\n", _SNIFFED_LINES)[:_SNIFFED_LINES]
        if _STAMPED.fullmatch(lines[0]) is None:
            return False
        stamped = [match for line in lines if (match := _STAMPED.fullmatch(line))]
        names = Counter(match["name"] for match in stamped)
        if any(match["before"] or match["after"] or _is_whatsapp(match) for match in stamped):
            return False
        if _OWN_NAME in names:
            return True
        if any(map(is_log_source, names)):
            return False
        return all(match["comma"] for match in stamped) or all(map(_is_full_name, names))

    def load(self, source: Source) -> list[Conversation]:
        """The one chat; calls, deletions and the program's own notices have the role of the system."""
        text = source.text or ""
        if header := _HEADER.match(text.lstrip()):
            said = _sigtop(text.lstrip().split("\n"))
            remarks = ("when messages were received was left out; when they were sent is kept",)
            return [assemble(own_id(source), said, title=header["title"], remarks=remarks)]
        lines = text.split("\n")
        matches = ((number, _STAMPED.fullmatch(line)) for number, line in enumerate(lines))
        times = Times()
        openings = (_opening(number, match, times) for number, match in matches if match)
        return [assemble(own_id(source), utterances(lines, openings))]


def _is_whatsapp(match: re.Match[str]) -> bool:
    """Where the year stands first, WhatsApp writes both the comma and the seconds; signal-export one of them."""
    return bool(match["comma"] and match["second"])


def _is_full_name(name: str) -> bool:
    """Whether it is two words, or no ASCII: so people are called, and hardly a program that writes a log."""
    return " " in name.strip() or not name.isascii()


def _opening(line: int, match: re.Match[str], times: Times) -> Opening:
    text = match["text"] or ""
    unsaid = match["name"] in {"", _NOBODY} or _UNSAID.fullmatch(text.strip())
    return Opening(
        line=line,
        text=text,
        speaker=match["name"],
        role=Role.SYSTEM if unsaid else Role.USER,
        time=times.at((int(match["year"]), int(match["month"]), int(match["day"])), match),
    )


def _sigtop(lines: Sequence[str]) -> list[Utterance]:
    """The messages; words that stand above the first one's fields are kept as the program's own."""
    heads = _heads(lines)
    starts = [*(head.line for head in heads), len(lines)]
    above = Utterance(role=Role.SYSTEM, text=without_blank_edges(list(lines[1 : starts[0]])))
    said = [
        _message(head, lines[head.line + len(head.fields) : end])
        for head, end in zip(heads, starts[1:], strict=True)
    ]
    return [above, *said]


def _heads(lines: Sequence[str]) -> list[_Head]:
    """The blocks of fields that open messages: after a blank line, with a type and a time.

    A message may quote "From: …" at a line's start; the two other fields are what makes it a head.
    """
    heads = []
    for number, line in enumerate(lines[1:], start=1):
        if lines[number - 1].strip() or not line.startswith(("From: ", "Type: ")):
            continue
        below = range(number, min(number + 1_000, len(lines)))
        block = takewhile(bool, (_FIELD.fullmatch(lines[each]) for each in below))
        fields = tuple((match["key"], match["value"]) for match in block if match)
        keys = {key for key, _ in fields}
        if "Type" in keys and keys & {"Sent", "Received"}:
            heads.append(_Head(number, fields))
    return heads


def _message(head: _Head, lines: Sequence[str]) -> Utterance:
    kept = [f"[{key.casefold()}: {value}]" for key, value in head.fields if key in _KEPT]
    kind = head.value("Type")
    words = without_blank_edges(list(lines))
    spoken = kind in _SPOKEN
    return Utterance(
        role=Role.USER if spoken else Role.SYSTEM,
        speaker=head.value("From") or None,
        text="\n".join(filter(None, [words or ("" if spoken else f"[{kind}]"), *kept])) or NO_TEXT,
        time=_sent(head.value("Sent")) or _sent(head.value("Received")),
    )


def _sent(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
        time.astimezone(UTC)  # in the first and last year of all a zone may lead out of what dates can say
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return time if time.tzinfo is not None else None
