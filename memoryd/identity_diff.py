"""What differs between two identity versions, as a person would say it: learned, no longer true, feels.

A line that left is no longer true only where a newer line replaces it (see `memoryd.life.replaces`) and two things at
least say that both are about one matter. Any other line that left is still true for all we know: it made room.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memoryd.gist import topic_numbers
from memoryd.identity import DIGEST, FEELING, MEMORIES_HEADING, MOOD_LINE, SHARES, TOPICS, plain
from memoryd.life import replaces, values_of
from memoryd.manifests import MANIFESTS, bodies_in
from memoryd.statements import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memoryd.ledger import IdentityRow

# Words in common, and an amount that is another one now: so many say that two lines are about one matter.
HINTS = 2
# A line of a version from before its lines were kept beside the text.
LINE = re.compile(r"- (?P<day>\S+) (?P<speaker>.+?): (?P<text>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of an identity, taken apart: `text` is what was said and nothing else."""

    kind: str
    day: str
    speaker: str
    text: str
    path: str
    conversation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A line that is no longer true, and the newer one that says so."""

    before: Told
    now: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedManifest:
    """A manifest of other words: the lines that are gone and those that have come."""

    name: str
    gone: tuple[str, ...]
    come: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSetting:
    """A setting of the replay that is another one."""

    name: str
    before: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """From identity `before` to identity `now`.

    Attributes:
        restores: the version whose text `now` was given, or None.
        no_longer_told: lines that left, and are true for all we know.
        summed_up: days as a model sums them up, in its words.
    """

    before: int
    now: int
    restores: int | None
    learned: tuple[Told, ...]
    no_longer_true: tuple[Replaced, ...]
    no_longer_told: tuple[Told, ...]
    feels: tuple[Told, ...]
    no_longer_feels: tuple[Told, ...]
    topics_come: tuple[str, ...]
    topics_gone: tuple[str, ...]
    summed_up: tuple[Told, ...]
    manifests: tuple[ChangedManifest, ...]
    settings: tuple[ChangedSetting, ...]


def difference(before: IdentityRow, now: IdentityRow) -> Difference:
    """What makes one version another."""
    old, new = _told(before), _told(now)
    come, gone = _without(new, old), _without(old, new)
    learned = [line for line in come if line.kind not in SHARES]
    left = [line for line in gone if line.kind not in SHARES]
    replaced = {line: newer for line in left if (newer := _replacement(line, learned))}
    return Difference(
        before=before.version,
        now=now.version,
        restores=now.made_of.get("restores"),
        learned=tuple(line for line in learned if line not in replaced.values()),
        no_longer_true=tuple(Replaced(before=line, now=newer) for line, newer in replaced.items()),
        no_longer_told=tuple(line for line in left if line not in replaced),
        feels=tuple(line for line in come if line.kind == FEELING),
        no_longer_feels=tuple(line for line in gone if line.kind == FEELING),
        topics_come=tuple(line.text for line in come if line.kind == TOPICS),
        topics_gone=tuple(line.text for line in gone if line.kind == TOPICS),
        summed_up=tuple(line for line in come if line.kind == DIGEST),
        manifests=tuple(_manifests(before, now)),
        settings=tuple(_settings(before, now)),
    )


def _told(row: IdentityRow) -> list[Told]:
    lines: list[dict[str, Any]] | None = row.made_of.get("lines")
    if lines is not None:
        return [_taken_apart(**line) for line in lines]
    _, _, memories = row.text.partition(f"\n{MEMORIES_HEADING}\n")
    matches = map(LINE.fullmatch, memories.splitlines())
    return [
        _taken_apart(kind=Kind.SAID, text=found[0], day=found["day"], speaker=found["speaker"])
        for found in matches
        if found
    ]


def _taken_apart(
    *,
    kind: str,
    text: str,
    day: str,
    speaker: str,
    conversation_id: str = "",
    passage: str = "",  # noqa: ARG001  (a line as it is kept)
    path: str = "",
) -> Told:
    if path:
        said = text.removesuffix(f" ({plain(path)})")
    else:
        said, _, where = text.rpartition(" (day")
        path = f"day{where.removesuffix(')')}"
    if kind == TOPICS:
        said = said.removeprefix("- ").rpartition(": 대화 ")[0]
    if kind == FEELING and (mood := MOOD_LINE.match(text)):
        said = mood[0].removeprefix("- ")
    if kind == DIGEST:
        said = text.partition("): ")[2]
    return Told(
        kind=str(kind),
        day=day,
        speaker=speaker,
        text=said.removeprefix(f"- {day} {speaker}: "),
        path=path,
        conversation_id=conversation_id,
    )


def _without(lines: Sequence[Told], others: Iterable[Told]) -> list[Told]:
    """Those that the others do not tell too; neither a file that was moved nor a later day makes a line another one."""
    known = {_matter(line) for line in others}
    return [line for line in lines if _matter(line) not in known]


def _matter(line: Told) -> tuple[str, str, str]:
    """What makes a line the same: of a topic its name, of a mood its day and its emotion."""
    if line.kind == TOPICS:
        return line.kind, "", line.text
    if line.kind == FEELING:
        mood = MOOD_LINE.match(f"- {line.text}")
        return line.kind, line.day, mood["emotion"] if mood else line.text
    return "", line.speaker, line.text


def _replacement(line: Told, learned: Iterable[Told]) -> Told | None:
    """The line that says that this one is no longer true, or None."""
    topics, values = topic_numbers(line.text).keys(), values_of(line.text)
    for newer in learned:
        if newer.day < line.day:
            continue
        shared = frozenset(topics & topic_numbers(newer.text).keys())
        amounts = values_of(newer.text)
        other = any(unit in values and values[unit] != amount for unit, amount in amounts.items() if unit)
        if len(shared) + other >= HINTS and replaces(line, newer, shared, values, amounts):
            return newer
    return None


def _manifests(before: IdentityRow, now: IdentityRow) -> Iterable[ChangedManifest]:
    old, new = _bodies(before), _bodies(now)
    digests = before.made_of.get("manifests", {}), now.made_of.get("manifests", {})
    for name in MANIFESTS:
        was, is_now = old.get(name, []), new.get(name, [])
        known = all(name in each for each in digests)
        if digests[0][name] != digests[1][name] if known else was != is_now:
            gone = tuple(line for line in was if line not in is_now)
            come = tuple(line for line in is_now if line not in was)
            yield ChangedManifest(name=name, gone=gone, come=come)


def _bodies(row: IdentityRow) -> dict[str, list[str]]:
    return bodies_in(row.text.partition(f"\n{MEMORIES_HEADING}\n")[0])


def _settings(before: IdentityRow, now: IdentityRow) -> Iterable[ChangedSetting]:
    old, new = before.made_of.get("settings", {}), now.made_of.get("settings", {})
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield ChangedSetting(name=name, before=old[name], now=new[name])
