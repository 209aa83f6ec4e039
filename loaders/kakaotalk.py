"""KakaoTalk's exported chats as text, as Android, iOS and Windows write them, in Korean and in English.

    2024년 3월 15일 오후 9:04, 지훈 : 글                        Android; a line without " : " is the app's own
    March 15, 2024 at 9:04 PM, Jihun : text
    2024년 3월 15일 금요일                                      iOS: the day on a line of its own
    오후 9:04, 지훈 : 글
    2024. 3. 15. 오후 9:04, 지훈 : 글                           iOS, newer; "…오후 9:04: " opens the app's own
    Mar 15, 2024 at 21:04, Jihun : text
    --------------- 2024년 3월 15일 금요일 ---------------      Windows
    [지훈] [오후 9:04] 글
    수민님이 나갔습니다.                                        the app's own, with neither name nor time

A line of a message may look like a day or a notice. It counts as one only where nothing of the message follows
it, and a notice only by its wording: "손님이 나갔습니다." is about a guest, "Mom left." about anybody.

Times are exact to the minute, so the file's order is kept. Pictures, emoticons and files stay the words that
KakaoTalk writes for them.

Source: KakaoTalk documents no format; these are the ones that https://github.com/zeikar/kakaotalk-viewer and
https://github.com/uoneway/kakaotalk_msg_preprocessor read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id, without_blank_edges
from loaders.base import Role
from loaders.chat_lines import CLOCK, MARKS, Opening, Times, utterances

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source

    Day = tuple[int, int, int]

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY: Final = (
    r"(?:(?P<y1>\d{4})(?:년 ?|\. ?)(?P<m1>\d{1,2})(?:월 ?|\. ?)(?P<d1>\d{1,2})(?:일|\.)"
    r"|(?P<m2>[A-Z][a-z]{2,8})\.? (?P<d2>\d{1,2}), (?P<y2>\d{4})"
    r"|(?P<d3>\d{1,2}) (?P<m3>[A-Z][a-z]{2,8})\.? (?P<y3>\d{4}))"
)
_WEEKDAY: Final = r"(?:[A-Z][a-z]{5,8}, )?"
_SAID: Final = r"(?:, ?(?P<name>.{0,120}?) :(?: (?P<text>.*))?|(?:,|:) ?(?P<notice>.+))"
_DATED: Final = re.compile(rf"{_DAY},? (?:at )?{CLOCK}{_SAID}")
_BARE: Final = re.compile(rf"{CLOCK}{_SAID}")
_BRACKETS: Final = re.compile(rf"\[(?P<name>.{{0,120}}?)\] \[{CLOCK}\](?: (?P<text>.*))?")
_FORMS: Final = (_DATED, _BARE, _BRACKETS)

_DASHED: Final = re.compile(rf"-{{3,}} ?{_WEEKDAY}{_DAY}(?: [월화수목금토일]요일)? ?-{{3,}}")
_UNDASHED: Final = re.compile(rf"{_WEEKDAY}{_DAY}(?: [월화수목금토일]요일|,? (?:at )?{CLOCK})?")
_LONGEST_HEADING: Final = 90  # characters; spares long lines the patterns

_TITLE: Final = re.compile(
    r"(?P<a>.+?) ?님과(?:의)? 카카오톡 대화|(?P<b>.+?) 카카오톡 대화|KakaoTalk Chats with (?P<c>.+)"
    r"|(?P<d>.+?) with KakaoTalk Chats|(?P<e>.+?) (?:Kakao)?Talk Chats|(?P<f>Talk_\d{4}\..{1,40}\.txt)"
)
_SAVED: Final = re.compile(r"(?:저장한 날짜|Date Saved|Saved Date) ?: .*\d.*")
_SNIFFED_LINES: Final = 200

_LONGEST_NOTICE: Final = 1_000  # characters; a notice names everybody who was invited
_POLICY: Final = r"(?:운영정책을 위반한 메시지로|타인, 기관 등의 사칭에|불법촬영물등 식별 및).*"
_OF_NOBODY: Final = re.compile(
    rf"{_POLICY}|채팅방 관리자가 .{{0,100}}습니다\.?|메시지가 삭제되었습니다\.?"
    r"|.{1,60} (?:joined|left) this chatroom\.?"
)
_OF_SOMEBODY: Final = re.compile(
    rf".{{1,60}}님이 (?:들어왔|나갔|부?방장이 되었|부?방장에서 해제되었)습니다\.?(?: ?{_POLICY})?"
    r"|.+님을 (?:초대(?:했|하였)|내보냈)습니다\.?"
)
_OF_A_SPEAKER: Final = re.compile(r"(.{1,60}?) (?:joined\.|left\.|invited .+)")
# What people call one another by, with the same 님 that follows a name; nobody's name by itself.
_TITLE_WORDS: Final = """
    손 선생 고객 부모 어머 아버 할머 할아버 형 누 사모 스 하나 사장 교수 원장 회장 부장 과장 팀장 대표 기사
"""
_TITLES: Final = frozenset(_TITLE_WORDS.split())
_UNSAID: Final = re.compile(
    r"삭제된 메시지입니다\.?|메시지가 삭제되었습니다\.?|This message was deleted\.?"
    r"|(?:보이스톡|페이스톡|그룹콜|라이브톡) ?(?:해요|취소|부재중|응답없음|종료|(?:종료 )?\d{1,2}:\d{2}(?::\d{2})?)"
    r"|(?:Voice Call|Video Call|Live Talk ended) \d{1,2}:\d{2}(?::\d{2})?"
)


@dataclass(frozen=True, slots=True)
class _Chat:
    """A file in its parts: the title, the first line under the header, and the form of its messages."""

    title: str
    has_header: bool
    start: int
    form: re.Pattern[str] | None
    messages: dict[int, re.Match[str]]


class KakaoTalkLoader:
    """One chat room's text."""

    format: Final = "kakaotalk"

    def sniff(self, source: Source) -> bool:
        """Whether the text opens with KakaoTalk's header, or with lines as only KakaoTalk writes them."""
        lines = (source.text or "").split("\n", _SNIFFED_LINES)[:_SNIFFED_LINES]
        chat = _parts(lines)
        if chat.has_header:
            return bool(chat.title or chat.messages)
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        if chat.form is None or not (first in chat.messages or _heading(lines[first])):
            return False
        named = [match for match in chat.messages.values() if match["name"]]
        if chat.form is _DATED:
            return bool(named)
        if chat.form is _BRACKETS:  # "[main] [09:15] started" is a log's line
            halved = all(match["before"] or match["after"] for match in named)
            return bool(named) and (halved or _DASHED.fullmatch(lines[first].strip()) is not None)
        spoken = sum(1 for line in lines if line.strip() and not _heading(line))
        return len(named) > 1 and len(chat.messages) * 2 >= spoken and first not in chat.messages

    def load(self, source: Source) -> list[Conversation]:
        """The one chat, the app's notices with the role of the system."""
        lines = (source.text or "").split("\n")
        chat = _parts(lines)
        openings = _openings(lines, chat)
        first = next(openings, None)
        above = without_blank_edges(lines[chat.start : len(lines) if first is None else first.line])
        said = utterances(lines, chain([first], openings)) if first else ()
        said = chain([Utterance(role=Role.SYSTEM, text=above)], said)
        return [assemble(own_id(source), said, title=chat.title)]


def is_notice(line: str, speakers: Container[str]) -> bool:
    """Whether a line without a name is the app's own: somebody joined, left or was invited.

    Args:
        line: one whole line.
        speakers: the names of those who spoke in the chat.
    """
    if len(line) > _LONGEST_NOTICE:
        return False
    if _OF_NOBODY.fullmatch(line):
        return True
    if _OF_SOMEBODY.fullmatch(line):
        name = line.split("님", 1)[0]
        return name in speakers or name.split(" ")[-1] not in _TITLES
    match = _OF_A_SPEAKER.fullmatch(line)
    return match is not None and match[1] in speakers


def is_unsaid(text: str) -> bool:
    """Whether what stands beside a name was not said by that person: a deleted message or a call."""
    return len(text) <= _LONGEST_NOTICE and _UNSAID.fullmatch(text.strip()) is not None


def _parts(lines: Sequence[str]) -> _Chat:
    title, saved, start = "", False, 0
    for number, line in enumerate(lines[:6]):
        text = line.strip().lstrip(MARKS)
        if _SAVED.fullmatch(text):
            saved = True
        elif not title and (match := _TITLE.fullmatch(text)):
            title = next(filter(None, match.groups()))
        elif text:
            break
        start = number + 1
    if not saved:  # "… 카카오톡 대화" alone may be anybody's words
        title, start = "", 0
    form, messages = _messages(lines, start)
    return _Chat(title, saved, start, form, messages)


def _messages(lines: Sequence[str], start: int) -> tuple[re.Pattern[str] | None, dict[int, re.Match[str]]]:
    """The lines that open messages, all of the first one's form: another form is a quotation."""
    form: re.Pattern[str] | None = None
    messages = {}
    for number, line in enumerate(lines[start:], start=start):
        if not line:
            continue
        for one in (form,) if form else _FORMS:
            if match := one.fullmatch(line.lstrip(MARKS)):
                form = one
                messages[number] = match
                break
    return form, messages


def _openings(lines: list[str], chat: _Chat) -> Iterator[Opening]:
    """The messages and notices in order; the lines of days are emptied, for every time says them.

    All lines before an opening are done when it comes, and its match is given up.
    """
    speakers = {match["name"] for match in chat.messages.values() if match["name"]}
    borders = _borders(lines, chat, speakers)
    times = Times()
    day: Day | None = None
    time: datetime | None = None
    for number in range(chat.start, len(lines)):
        if (match := chat.messages.pop(number, None)) is not None:
            time = times.at(_day(match) if chat.form is _DATED else day, match)
            yield _opening(number, match, time)
        elif number in borders:
            if (heading := _heading(lines[number])) is not None:
                day, time = _day(heading), None
                lines[number] = ""
            else:  # a notice without a time stands under the message before it
                yield Opening(line=number, text=lines[number], speaker=None, role=Role.SYSTEM, time=time)


def _opening(line: int, match: re.Match[str], time: datetime | None) -> Opening:
    name = match["name"]
    if not name:
        text = match["text"] or match.groupdict().get("notice") or ""
        return Opening(line, text, None, Role.SYSTEM, time)
    text = match["text"] or ""
    return Opening(line, text, name, Role.SYSTEM if is_unsaid(text) else Role.USER, time)


def _borders(lines: list[str], chat: _Chat, speakers: Container[str]) -> set[int]:
    """The lines between messages: days, and notices in the form that gives them no time.

    Both look like lines that a message may hold, so they count only where nothing of a message follows before
    the next one opens. A day must also be that message's own.
    """
    borders: set[int] = set()
    border, opening = True, None
    for number in range(len(lines) - 1, chat.start - 1, -1):
        line = lines[number]
        if number in chat.messages:
            border, opening = True, chat.messages[number]
        elif line.strip():
            border = border and (
                _is_day(line, chat.form, opening)
                or (chat.form is _BRACKETS and is_notice(line.strip(), speakers))
            )
            if border:
                borders.add(number)
    return borders


def _is_day(line: str, form: re.Pattern[str] | None, opening: re.Match[str] | None) -> bool:
    heading = _heading(line)
    if heading is None or (form is _BRACKETS) != (heading.re is _DASHED):
        return False
    return form is not _DATED or opening is None or _day(opening) == _day(heading)


def _heading(line: str) -> re.Match[str] | None:
    text = line.strip().lstrip(MARKS)
    if len(text) > _LONGEST_HEADING:
        return None
    return _DASHED.fullmatch(text) or _UNDASHED.fullmatch(text)


def _day(match: re.Match[str]) -> Day | None:
    """The year, month and day that a match of `_DAY` names."""
    numbers = match.group("y1", "m1", "d1")
    if numbers[0] is not None:
        return int(numbers[0]), int(numbers[1]), int(numbers[2])
    for year, month, day in (match.group("y2", "m2", "d2"), match.group("y3", "m3", "d3")):
        if year is not None:
            name = month[:3].casefold()
            return int(year), _MONTHS.index(name) + 1 if name in _MONTHS else 0, int(day)
    return None
