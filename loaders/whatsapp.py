"""WhatsApp's exported chats as text, as iOS and Android write them in any country.

    [15/03/24, 21:04:05] 지훈: 내일 보자           iOS
    여섯 시에.
    3/15/24, 9:04 PM - Jihun: <Media omitted>      Android
    2024. 3. 15. 오후 9:04 - 수민: 좋아            Android, the year first
    3/15/24, 9:05 PM - Sumin left                  no name and colon: the app's own
    [21:04, 15/03/2024] Jihun: text                copied from WhatsApp Web

Whether day or month stands first depends on the telephone's country, and no line says so. The whole file does:
by a number over 12, else by the order in which the dates run forward. Where neither tells, the day is taken to
stand first, and a remark says so. Dates as in `24/3/15` put the year first where the same tests say so.

Source: https://faq.whatsapp.com/1180414079177245 tells how to export, not the format; these are the ones that
https://github.com/joweich/chat-miner and https://github.com/Pustur/whatsapp-chat-parser read.
"""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from loaders.assemble import assemble, own_id
from loaders.base import Role
from loaders.chat_lines import CLOCK, MARKS, Opening, Times, is_log_source, utterances

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source

    Day = tuple[int, int, int]
    Triple = tuple[int, int, int]

_DATE: Final = r"(?P<one>\d{1,4})(?P<dot>[./-]) ?(?P<two>\d{1,2})(?P=dot) ?(?P<three>\d{1,4})\.?"
_BRACKETED: Final = re.compile(rf"\[{_DATE}(?P<comma>,?) (?:à )?{CLOCK}\] ?(?P<rest>.*)")
_FROM_WEB: Final = re.compile(rf"\[{CLOCK}(?P<comma>,) {_DATE}\] ?(?P<rest>.*)")
_DASHED: Final = re.compile(rf"{_DATE}(?P<comma>,?) (?:à )?{CLOCK} [-–] (?P<rest>.*)")
_SNIFFED_LINES: Final = 200
_FORMS: Final = (_BRACKETED, _FROM_WEB, _DASHED)
_BLANKS: Final = re.compile(r"[\u00a0\u2009\u202f]")
_STAMP_LENGTH: Final = 60  # characters; blanks of other widths occur in the stamp, and are kept elsewhere

# A name and what it says. "Name:." is what some versions leave of a message that has disappeared.
_SAID: Final = re.compile(r"(?P<name>.{1,120}?):(?: (?P<text>.*)|(?P<bare>\.?))")

# What no person wrote, though a name may stand before it: iOS puts the chat's there.
_NOTICE: Final = re.compile(
    r"Messages (?:and calls|to this \w+ and calls) are (?:now secured with )?end-to-end encrypt.*"
    r"|Messages you send to this .{1,40} are now secured.*"
    r"|메시지와 통화는 종단간 암호화.*|이 \S{1,10}에서 주고받는 메시지.*암호화.*"
    r"|(?:This message was deleted|You deleted this message)\.?(?: by .*)?"
    r"|이 메시지는 삭제되었습니다\.?|삭제된 메시지입니다\.?"
    r"|(?:사용자님이 |회원님이 )?이 메시지를 삭제(?:했|하였)습니다\.?"
    r"|Missed (?:group )?(?:voice|video) call\b.{0,60}|부재중 (?:그룹 )?(?:음성|영상)통화.{0,60}",
)
# The same, believed only after the mark of direction with which iOS opens what it writes itself.
_MARKED_NOTICE: Final = re.compile(
    r"(?!<).{0,200}\b(?:created (?:this )?group|changed (?:the|this|their|to)|added|removed|left\b|joined|"
    r"pinned a message|turned (?:on|off)|is a contact|security code)\b.*|(?:Voice|Video) call\b.*|Silenced .*"
    r"|.{0,200}님이 .{0,200}습니다\.?|.{0,200}(?:음성|영상)통화.{0,60}",
)
_LONGEST_NOTICE: Final = 1_000  # characters; spares long lines the pattern
# In a line without a name, a colon that stands in what is quoted: `Jihun changed the subject from "a: b"`.
_QUOTING: Final = re.compile(
    r' (?:created group|changed the (?:subject|group)|changed this group)|님이 .{0,60}["“]|["“].{0,60}그룹',
)


class _Line(NamedTuple):
    """A line that opens a message: its stamp, what stands after it, and the date's three numbers as they stand."""

    number: int
    stamp: re.Match[str]
    rest: str
    triple: Triple

    @property
    def said(self) -> re.Match[str] | None:
        """The name and the words, or None where the app itself speaks."""
        match = _SAID.fullmatch(self.rest.lstrip(MARKS))
        return None if match is None or _QUOTING.search(match["name"]) else match


class WhatsAppLoader:
    """One chat's text."""

    format: Final = "whatsapp"

    def sniff(self, source: Source) -> bool:
        """Whether the first line is a message's, and those who speak in the first lines are no log's sources."""
        text = (source.text or "").lstrip("\n " + MARKS)
        lines = _stamped(text.split("\n", _SNIFFED_LINES)[:_SNIFFED_LINES])
        if not lines or lines[0].number or _is_of_another(lines[0]):
            return False
        names = [said["name"] for line in lines if (said := line.said)]
        if sum(map(is_log_source, names)) * 4 > len(names):  # one may be a group that is called Info
            return False
        notices = sum(1 for line in lines if not line.said and _NOTICE.fullmatch(line.rest.lstrip(MARKS)))
        return notices > 0 or len(names) * 2 >= len(lines)

    def load(self, source: Source) -> list[Conversation]:
        """The one chat, the app's notices with the role of the system."""
        lines = (source.text or "").split("\n")
        stamped = _stamped(lines)
        order, remarks = _order([line.triple for line in stamped], _may_start_with_the_year(stamped))
        times = Times()
        openings = (_opening(line, times.at(order(line.triple), line.stamp)) for line in stamped)
        return [assemble(own_id(source), utterances(lines, openings), remarks=remarks)]


def _stamped(lines: Sequence[str]) -> list[_Line]:
    """The lines that open messages, all of the first one's form: another form is a quotation."""
    form: re.Pattern[str] | None = None
    stamped = []
    for number, line in enumerate(lines):
        bare = line.lstrip(MARKS)
        if not (bare[:1].isdigit() or bare.startswith("[")):  # spares most lines the patterns
            continue
        text = bare if bare.isascii() else _BLANKS.sub(" ", bare[:_STAMP_LENGTH]) + bare[_STAMP_LENGTH:]
        for one in (form,) if form else _FORMS:
            if match := one.fullmatch(text):
                form = one
                triple = int(match["one"]), int(match["two"]), int(match["three"])
                stamped.append(_Line(number, match, bare[match.start("rest") :], triple))
                break
    return stamped


def _is_of_another(line: _Line) -> bool:
    """Whether the stamp is one of a log or of Signal's: `[2024-03-15 21:04:05]`, `[2024-03-15, 21:04]`."""
    stamp = line.stamp
    if stamp["dot"] != "-" or len(stamp["one"]) != 4 or stamp["before"] or stamp["after"]:
        return False
    if stamp.re is _BRACKETED:
        return not (stamp["comma"] and stamp["second"])
    return stamp["second"] is not None


def _opening(line: _Line, time: datetime | None) -> Opening:
    said = line.said
    if said is None:
        text = line.rest.lstrip(MARKS)
        return Opening(line.number, text, None, Role.SYSTEM, time)
    marked = (said["text"] or "")[:1] in {*MARKS}
    text = (said["text"] or said["bare"] or "").lstrip(MARKS)
    notice = _NOTICE.fullmatch(text) or (marked and _MARKED_NOTICE.fullmatch(text[:_LONGEST_NOTICE]))
    role = Role.SYSTEM if notice else Role.USER
    return Opening(line.number, text, said["name"].strip(), role, time)


def _day_first(triple: Triple) -> Day:
    return _full_year(triple[2]), triple[1], triple[0]


def _month_first(triple: Triple) -> Day:
    return _full_year(triple[2]), triple[0], triple[1]


def _year_first(triple: Triple) -> Day:
    return _full_year(triple[0]), triple[1], triple[2]


def _full_year(year: int) -> int:
    return year + 2000 if year < 100 else year


def _order(
    triples: Sequence[Triple], maybe_year_first: bool
) -> tuple[Callable[[Triple], Day], tuple[str, ...]]:
    """How the file's dates are read, and a remark where that is an assumption.

    The best order names the fewest days that don't exist, and then goes back in time the least often.
    """
    if sum(one > 99 for one, _, _ in triples) * 2 > len(triples):
        return _year_first, ()
    faults = {order: _faults([order(triple) for triple in triples]) for order in (_day_first, _month_first)}
    if maybe_year_first:
        faults = {_year_first: _faults([_year_first(triple) for triple in triples]), **faults}
    best = min(faults, key=faults.__getitem__)  # of equals, the first
    other = _month_first if best is _day_first else _day_first
    open_question = best is not _year_first and faults[other] == faults[best]
    if not open_question or all(one == two for one, two, _ in triples):
        return best, ()
    one, two, _ = next(triple for triple in triples if triple[0] != triple[1])
    question = (
        f"whether the day or the month stands first in dates such as {one}/{two} can't be told from this file"
    )
    return best, (f"{question}; the day was taken to stand first",)


def _may_start_with_the_year(lines: Sequence[_Line]) -> bool:
    """Whether the stamps are such as Korean telephones write, which put the year first: `24/3/15 PM 9:04`.

    PM stands before the time there; with 24 hours, no comma stands after the date, and the first number changes
    less than the last, as a year does and a day doesn't.
    """
    if any(line.stamp["before"] for line in lines):
        return True
    firsts, lasts = {line.triple[0] for line in lines}, {line.triple[2] for line in lines}
    return (
        not any(line.stamp["comma"] for line in lines)
        and min(firsts, default=0) > 9
        and len(firsts) < len(lasts)
    )


def _faults(days: Sequence[Day]) -> tuple[int, int]:
    """How many days don't exist, and how often the rest goes back in time."""
    real = [day for day in days if _exists(day)]
    return len(days) - len(real), sum(later < earlier for earlier, later in pairwise(real))


def _exists(day: Day) -> bool:
    try:
        date(*day)
    except ValueError:
        return False
    return True
