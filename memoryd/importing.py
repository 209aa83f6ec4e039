"""Copies the conversations of an export into the day folders on which they were held.

export ──loaders──▶ conversations ──align with what is there──▶ new turns ──by day──▶ memory/dayMMDD/<format>_<id>.jsonl

What was decided, and why:

- **Where.** A turn goes to the folder of its day, `dayMMDD`. The day is the one on the speaker's clock, which is the
  time's own offset; a time in UTC is only a moment, and its day is that of this machine's zone. A turn without a time
  goes with the turn before it. A conversation without any time goes to the folder that the caller names, else to
  `dayYYYYMMDD` of the file's modification date: that folder is all that dates it, so it names the year too.
- **What.** memoryd's own JSON Lines, one file a day and conversation, with the ids, speakers, roles, times (and their
  offsets) and words as the loader gave them. The ledger joins the days of a conversation by its id.
- **Names.** `<format>_<conversation id>.jsonl` says where it came from, and is the same for every export of an
  account. It is not a folder: a folder in a day folder may be a user's.
- **Again.** An import only adds. A turn is there already if the id, or else the time, speaker and words, are; a
  turn's clock is compared, not its moment, so that a move to another zone changes nothing. Turns before the first or
  after the last one that is there are new, and so is what is later than all. What is missing *between* turns that are
  there was taken out by somebody: it stays out, and the outcome says so. A turn that differs stays as it is in the
  file, and the outcome says so. (A whole conversation that was taken out, or its end, comes back: nothing is left
  that could tell it from a new one.)
- **Same talk, other file name.** Chats whose export gives no id are named after their file, and files get renamed. Such
  a conversation goes on with one that is there if, in the time that both cover, half of the turns are the same.
- **Never by force.** Lines that are there stay byte for byte. A file that is damaged, linked, too large for the daemon
  or being changed is left alone, with the reason and the remedy.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from typing import TYPE_CHECKING

from memoryd.day_files import LeftAloneError, file_name, is_numbered
from memoryd.errors import BadRequestError
from memoryd.owners import SHARED, SHARED_WORD

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from datetime import datetime
    from typing import Final

    from loaders import Conversation, Turn
    from memoryd.day_files import DayFiles, Part
    from memoryd.owners import Owners
    from memoryd.sources import Opened

DAY: Final = re.compile(r"(?:day)?(?:(?P<year>\d{4})?(?P<month>\d\d)(?P<day>\d\d)|last)\Z", re.ASCII)
LEAP_YEAR: Final = "2000"  # 0229 is a day folder
# How many conversations with turns in common are looked at more closely.
CANDIDATES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that turns were, or in a dry run would be, written to.

    Attributes:
        path: below `memory/`.
        turns: how many were added.
        new: whether the file was made for them.
    """

    path: str
    turns: int
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one conversation of an export.

    Attributes:
        conversation_id: as it is in `memory/`.
        turns: how many the export has.
        known: how many of them were there already.
        notes: what was not copied as the export has it, one sentence each, the loader's remarks first.
        refused: why the rest was left alone, or None.
    """

    conversation_id: str
    title: str
    turns: int
    known: int = 0
    written: tuple[Written, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None


class Importer:
    """Takes exports into day folders, one opened file after the other.

    Args:
        owner: the user whose own the conversations become; SHARED for everybody's.
        owners: the people whose folders are their own.
        day: the day folder of conversations without times; None for the file's modification date.
    """

    def __init__(self, files: DayFiles, *, owner: str, owners: Owners, day: str | None) -> None:
        named = SHARED if owner == SHARED else owners.named(owner)
        if named is None:
            raise BadRequestError(
                f"There is no user {owner!r}; a folder of that name would be everybody's. "
                f"Say --for {' or '.join([owners.origin, *owners.others])}, or leave --for out to share."
            )
        self._files = files
        self._owner = named
        self._owners = owners
        self._day = day
        self._said: dict[str, defaultdict[Hashable, set[str]]] = {}

    def take(self, opened: Opened) -> Iterator[Outcome]:
        """Copies what is new in a file, conversation by conversation.

        Raises:
            StoreError: the disk refused; what was written before stays.
        """
        form = opened.loaded.format
        for each in opened.loaded.conversations:
            outcome = Outcome(
                conversation_id=each.id, title=each.title, turns=len(each.turns), notes=each.remarks
            )
            try:
                conversation = self._recognised(form, each) if each.id.startswith(opened.name) else each
                yield self._take(form, conversation, outcome, f"day{opened.modified:%Y%m%d}")
            except LeftAloneError as error:
                yield replace(outcome, refused=str(error))

    def _take(self, form: str, conversation: Conversation, outcome: Outcome, written_on: str) -> Outcome:
        parts = self._files.parts(form, conversation.id)
        self._check_owner(parts)
        there = [turn for part in parts for turn in part.turns]
        matches = align(there, conversation)
        places = _places(there, conversation.turns, matches)
        fallback = parts[-1].day if parts else self._day or written_on
        days = _days(conversation.turns, fallback)
        fresh: dict[str, tuple[list[Turn], list[Turn]]] = {}
        numbers = _Numbers(there, conversation.id)
        for turn, day, place in zip(conversation.turns, days, places, strict=True):
            if place is not None:
                fresh.setdefault(day, ([], []))[place].append(numbers.given(turn))
        outcome = replace(
            outcome,
            conversation_id=conversation.id,
            known=sum(1 for match in matches if match),
            notes=(*outcome.notes, *_notes(conversation.turns, matches, places, parts)),
        )
        return self._write(form, conversation, outcome, fresh, {part.day: part.path for part in parts})

    def _write(
        self,
        form: str,
        conversation: Conversation,
        outcome: Outcome,
        fresh: dict[str, tuple[list[Turn], list[Turn]]],
        paths: dict[str, str],
    ) -> Outcome:
        written: list[Written] = []
        for day, (before, after) in _outwards(fresh):
            folder = f"{day}/{self._owner}" if self._owner else day
            path = paths.get(day, f"{folder}/{file_name(form, conversation.id)}")
            try:
                self._files.add(path, conversation, before=before, after=after)
            except LeftAloneError as error:
                return replace(outcome, written=tuple(written), refused=str(error))
            written.append(Written(path=path, turns=len(before) + len(after), new=day not in paths))
        if form in self._said:
            for turn in conversation.turns:
                self._said[form][_words(turn)].add(conversation.id)
        return replace(outcome, written=tuple(written))

    def _check_owner(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if (there := self._owners.of(part.path)) != self._owner:
                here = self._owner or SHARED_WORD
                raise LeftAloneError(
                    f"{part.path} has it already as {there or SHARED_WORD}, not {here}; "
                    "move its files, or import it the same way"
                )

    def _recognised(self, form: str, conversation: Conversation) -> Conversation:
        """A conversation named after its file, under the name of the one that it goes on with, or a free one."""
        said = self._said.get(form) or self._index(form)
        votes = Counter(each for turn in conversation.turns for each in said.get(_words(turn), ()))
        for candidate, _ in votes.most_common(CANDIDATES):
            there = [turn for part in self._files.parts(form, candidate) for turn in part.turns]
            if candidate == conversation.id or _same_talk(there, conversation.turns):
                return _renamed(conversation, candidate)
        for number in count(1):
            name = conversation.id if number == 1 else f"{conversation.id}#{number}"
            if not self._files.parts(form, name):
                return _renamed(conversation, name)
        raise AssertionError  # there is always a free number

    def _index(self, form: str) -> defaultdict[Hashable, set[str]]:
        """Which conversations hold a turn of these words, over all that was imported from a format."""
        said: defaultdict[Hashable, set[str]] = defaultdict(set)
        for name in self._files.names(form):
            for conversation_id in self._files.conversations(name):
                with suppress(LeftAloneError):
                    for part in self._files.parts(form, conversation_id):
                        for turn in part.turns:
                            said[_words(turn)].add(conversation_id)
        self._said[form] = said
        return said


class _Numbers:
    """Ids for turns whose files gave none: the next free number where theirs is taken."""

    def __init__(self, there: Sequence[Turn], conversation_id: str) -> None:
        self._taken = {turn.id for turn in there}
        self._conversation_id = conversation_id
        self._free = count(len(there) + 1)

    def given(self, turn: Turn) -> Turn:
        if is_numbered(turn, self._conversation_id):
            while turn.id in self._taken:
                turn = replace(turn, id=f"{self._conversation_id}:{next(self._free)}")
            self._taken.add(turn.id)
        return turn


def day_folder(text: str) -> str:
    """The day folder that `0315`, `20260315`, `last`, or either of these with `day` before it, means.

    Raises:
        BadRequestError: it is none.
    """
    match = DAY.match(text)
    try:
        if match and match["day"]:
            date(int(match["year"] or LEAP_YEAR), int(match["month"]), int(match["day"]))
    except ValueError:
        match = None
    if match is None:
        raise BadRequestError(f"{text!r} is no day folder. Write 0315 (15 March), 20260315 or last.")
    return f"day{text.removeprefix('day')}"


def align(there: Sequence[Turn], conversation: Conversation) -> list[Turn | None]:
    """For each turn of a conversation the one that is there already, or None; none is matched twice.

    The same id and words come first, then the same words, then the same id: such a turn was edited.
    """

    def identity(turn: Turn) -> Hashable:
        # A number says little: an export may begin elsewhere.
        numbered = is_numbered(turn, conversation.id)
        return (turn.id, _clock(turn), turn.speaker) if numbered else (turn.id,)

    def both(turn: Turn) -> Hashable:
        return turn.id, _words(turn)

    keys: tuple[Callable[[Turn], Hashable], ...] = (both, _words, identity)
    matches: list[Turn | None] = [None] * len(conversation.turns)
    free = dict(enumerate(there))
    for key in keys:
        pool: defaultdict[Hashable, deque[int]] = defaultdict(deque)
        for place, turn in free.items():
            pool[key(turn)].append(place)
        for number, turn in enumerate(conversation.turns):
            if matches[number] is None and (places := pool.get(key(turn))):
                matches[number] = free.pop(places.popleft())
    return matches


def _places(there: Sequence[Turn], turns: Sequence[Turn], matches: Sequence[Turn | None]) -> list[int | None]:
    """For each turn 0 (new, before what is there), 1 (new, after it) or None (known, or taken out by somebody)."""
    known = [number for number, match in enumerate(matches) if match]
    first, last = (known[0], known[-1]) if known else (0, -1)
    latest = max((turn.time for turn in there if turn.time), default=None)
    places: list[int | None] = []
    for number, (turn, match) in enumerate(zip(turns, matches, strict=True)):
        later = latest is not None and turn.time is not None and turn.time > latest
        if match is not None:
            places.append(None)
        elif number > last or later:
            places.append(1)
        else:
            places.append(0 if number < first else None)
    return places


def _days(turns: Sequence[Turn], fallback: str) -> Iterator[str]:
    """Each turn's day folder; a turn without a time has that of the turn before, the first ones of the first time."""
    times = (turn.time for turn in turns if turn.time)
    first = next(times, None)
    day = _day(first) if first else fallback
    for turn in turns:
        day = _day(turn.time) if turn.time else day
        yield day


def _day(time: datetime) -> str:
    return f"day{time if time.utcoffset() else time.astimezone():%m%d}"


def _clock(turn: Turn) -> str:
    """What the speaker's clock showed, whatever the zone."""
    return "" if turn.time is None else turn.time.replace(tzinfo=None).isoformat()


def _words(turn: Turn) -> Hashable:
    """What makes two turns the same utterance."""
    return _clock(turn), turn.role, turn.speaker, turn.text


def _same_talk(there: Sequence[Turn], turns: Sequence[Turn]) -> bool:
    """Whether at least half of the turns are the same, in the time that both cover; without times, of all turns."""
    clocks = [[_clock(turn) for turn in each if turn.time] for each in (there, turns)]
    if all(clocks):
        begin, end = max(map(min, clocks)), min(map(max, clocks))
        mine, other = ([t for t in each if t.time and begin <= _clock(t) <= end] for each in (there, turns))
    else:
        mine, other = list(there), list(turns)
    shared = (Counter(map(_words, mine)) & Counter(map(_words, other))).total()
    return shared > 0 and 2 * shared >= min(len(mine), len(other))


def _renamed(conversation: Conversation, name: str) -> Conversation:
    """The conversation under another id, and with it the turns that are numbered after it."""
    turns = tuple(
        replace(turn, id=name + turn.id.removeprefix(conversation.id))
        if is_numbered(turn, conversation.id)
        else turn
        for turn in conversation.turns
    )
    return replace(conversation, id=name, turns=turns)


def _outwards(
    fresh: dict[str, tuple[list[Turn], list[Turn]]],
) -> list[tuple[str, tuple[list[Turn], list[Turn]]]]:
    """The days nearest to what is there first.

    An import that is cut short must leave no gap: what lies between known turns counts as taken out by somebody.
    """
    before = [each for each in fresh.items() if each[1][0]]
    return [*reversed(before), *(each for each in fresh.items() if not each[1][0])]


def _notes(
    turns: Sequence[Turn],
    matches: Sequence[Turn | None],
    places: Sequence[int | None],
    parts: Sequence[Part],
) -> list[str]:
    """What the files have otherwise than the export."""
    held_in = {turn.id: part.path for part in parts for turn in part.turns}
    edited = [
        held_in[match.id]
        for turn, match in zip(turns, matches, strict=True)
        if match is not None and _words(match) != _words(turn)
    ]
    out = sum(1 for match, place in zip(matches, places, strict=True) if match is None and place is None)
    where = ", ".join(sorted({part.path for part in parts}))
    notes = [
        f"{path} has {number} {_turns(number)} otherwise than the export; it stays as it is"
        for path, number in sorted(Counter(edited).items())
    ]
    if out:
        notes.append(
            f"{out} {_turns(out)} of the export {'is' if out == 1 else 'are'} missing in the middle of {where} (taken "
            "out by somebody?) and not put back; to have all of it, move what is there out of memory/ and import again"
        )
    return notes


def _turns(number: int) -> str:
    return "turn" if number == 1 else "turns"
