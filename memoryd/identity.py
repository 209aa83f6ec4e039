"""The identity's text: the three manifests, then what the replay kept of the memories, within a token budget.

Same manifests and same memories give the same bytes, whatever the machine: see `memoryd.life` for what is kept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from memoryd.korean import estimate_tokens, sentences
from memoryd.ledger.files import ERASED_LINE
from memoryd.life import choose
from memoryd.manifests import MANIFESTS, head_of, room_fault
from memoryd.mood_words import IN_KOREAN
from memoryd.statements import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from memoryd.day_digests import DayDigest
    from memoryd.day_moods import DayMood
    from memoryd.ledger import TurnRow
    from memoryd.life import Kept, Life, Topic
    from memoryd.manifests import Manifests

MEMORIES_HEADING = "# 내가 기억하는 것 (what I remember)"
TOPICS = "topics"
FEELING = "feeling"
DIGEST = "digest"
# Below the memories' heading, in their order: what stands under one heading.
SECTIONS: dict[str, tuple[str, ...]] = {
    "## 기억해 달라고 한 것 (asked to be kept)": (Kind.KEPT,),
    "## 오리진이 정한 것 (what my origin laid down)": (Kind.RULE,),
    "## 사람들 (people)": (Kind.PERSON, Kind.TASTE),
    "## 달라진 것 (what has changed)": (Kind.CHANGE,),
    "## 계획, 약속, 부탁 (plans, promises, requests)": (Kind.PLAN, Kind.PROMISE, Kind.REQUEST),
    "## 들은 말 (what was said)": (Kind.SAID,),
    "## 자주 나온 이야기 (what comes up again)": (TOPICS,),
    "## 지난 며칠의 마음, 말에서 읽힌 대로 (how I have been feeling, as words read)": (FEELING,),
    "## 지난 며칠, 모델이 간추린 말 (the last days, as a model sums them up: its words, nobody's)": (DIGEST,),
}
# What is made of many files takes this part of the room each: statements are what an identity is for.
SHARES = {TOPICS: 0.1, FEELING: 0.1, DIGEST: 0.2}
NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
DIGEST_LINE = re.compile(r"- \d{4}-\d\d-\d\d, .+ \(말 \d+번")
MOOD_LINE = re.compile(r"- (?P<day>\d{4}-\d\d-\d\d): \S+ \((?P<emotion>\w+)\) \d+ %")
# Part of the digest: another way of choosing makes another identity.
METHOD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of an identity, and where it comes from.

    Attributes:
        kind: a `Kind`, `topics`, `feeling` or `digest`.
        text: the whole line.
        day: on which it was said; of a topic, when it was last spoken of.
        passage: id of the passage that it was said in.
    """

    kind: str
    text: str
    day: str
    speaker: str
    passage: str
    conversation_id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityText:
    """A made identity, before it has a version number.

    Attributes:
        lines: what was kept of the memories, in the text's order.
        manifests: name → SHA-256 of each manifest's text, hexadecimal.
        memories: SHA-256 of everything that was said.
        settings: what else it was made with.
        warning: that the manifests leave no room for memories; empty where they do.
    """

    text: str
    digest: str
    tokens: int
    lines: tuple[Line, ...]
    turns: int
    missing: tuple[str, ...]
    manifests: dict[str, str]
    memories: str
    settings: dict[str, str]
    warning: str

    @property
    def made_of(self) -> dict[str, object]:
        """What the ledger keeps beside the text."""
        return {
            "lines": [asdict(line) for line in self.lines],
            "manifests": self.manifests,
            "memories": self.memories,
            "settings": self.settings,
            "warning": self.warning,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """Counts tokens as the model does that reads the identity; two of one name count alike."""

    name: str
    count: Callable[[str], int]


ESTIMATE = Tokenizer(name="estimate", count=estimate_tokens)


def digest_of(
    manifests: Manifests, life: Life, settings: dict[str, str], digests: Sequence[DayDigest] = ()
) -> str:
    """SHA-256 of all that an identity is made of, hexadecimal: known before it is made."""
    digest = hashlib.sha256(f"{METHOD} {sorted(settings.items())}\n".encode())
    for name in MANIFESTS:
        digest.update(f"{name}\0{manifests.texts.get(name)}\0".encode())
    digest.update(life.digest.encode())
    for each in digests:
        digest.update(f"\0{digest_line(each).text}".encode())
    return digest.hexdigest()


def make_identity(
    manifests: Manifests,
    life: Life,
    *,
    budget: int,
    settings: dict[str, str],
    tokenizer: Tokenizer = ESTIMATE,
    moods: Sequence[DayMood] = (),
    digests: Sequence[DayDigest] = (),
) -> IdentityText:
    """Builds the identity.

    Args:
        budget: tokens for manifests and memories together. Manifests are never cut.
        moods: how the last days read.
        digests: what a model says of them, the newest day first.
        settings: what else decides how it comes out, by name; part of the digest.
    """
    head = head_of(manifests)
    room = budget - tokenizer.count(f"{head}\n{MEMORIES_HEADING}\n")
    pool = life.pool()
    lines: list[Line] = []
    for derived in (
        [_topic_line(each) for each in life.topics(pool)],
        [_mood_line(each) for each in moods],
        [digest_line(each) for each in digests],
    ):
        left = room * SHARES[derived[0].kind] if derived else 0
        for line in derived:
            cost = tokenizer.count(f"{line.text}\n")
            if cost <= left:
                lines.append(line)
                left -= cost
    room -= sum(tokenizer.count(f"{line.text}\n") for line in lines)
    chosen = list(choose(life, pool, room, lambda kept: tokenizer.count(f"{_line(kept)}\n")))
    made = _text(head, [*lines, *_lines(chosen)])
    # The headings of sections, and that tokens of lines do not add up to those of their text.
    while chosen and tokenizer.count(made[0]) > budget:
        chosen.pop()
        made = _text(head, [*lines, *_lines(chosen)])
    text, told = made
    return IdentityText(
        text=text,
        digest=digest_of(manifests, life, settings, digests),
        tokens=tokenizer.count(text),
        lines=told,
        turns=life.turns,
        missing=manifests.missing,
        manifests={name: hashlib.sha256(body.encode()).hexdigest() for name, body in manifests.texts.items()},
        memories=life.digest,
        settings=settings,
        warning=room_fault(manifests, budget, tokenizer.count),
    )


def own_words(life: Life, *, budget: int) -> str:
    """The most telling statements of somebody's life, a line each, oldest first.

    Args:
        budget: tokens (estimated).
    """
    chosen = choose(life, life.pool(), budget, lambda kept: estimate_tokens(f"{_line(kept)}\n"))
    return "\n".join(_line(kept) for kept in sorted(chosen, key=lambda each: each.order))


def without_marks(text: str) -> str:
    """An identity's text without the marks of erased lines, and without the headings that have nothing below them."""
    head, heading, memories = text.partition(f"\n{MEMORIES_HEADING}\n")
    kept: list[str] = []
    for line in memories.splitlines():
        if line == ERASED_LINE:
            continue
        if line in SECTIONS and kept and kept[-1] in SECTIONS:
            kept.pop()
        kept.append(line)
    if kept and kept[-1] in SECTIONS:
        kept.pop()
    return head + heading + "\n".join(kept) + "\n" if kept else head.strip() + "\n"


def quoted_in(line: Mapping[str, str]) -> str:
    """What was said, of a line as it is kept beside an identity."""
    text = line["text"].removesuffix(f" ({plain(line.get('path', ''))})")
    return text.removeprefix(_spoken(line["day"], line["speaker"], "")).strip()


def quotes_of(path: str, turns: Iterable[TurnRow]) -> dict[str, str]:
    """Every line that an identity can quote of these turns → the same without its path."""
    spoken = [
        _spoken(f"{turn.time:%Y-%m-%d}", turn.speaker, " ".join(sentence.split()))
        for turn in turns
        for sentence in sentences(turn.text)
    ]
    return {f"{each} ({plain(path)})": each for each in spoken}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubber:
    """Takes what an erased conversation said out of identities.

    Attributes:
        gone: the conversation's lines.
        spoken: the same without their paths.
        kept: the lines of other conversations in the same files.
        paths: the files that held the conversation.
        known: every file that there is.
        days: on which something of the conversation was said: how they felt was read from it too.
        retold: whether a model may have retold it, of whatever day.
    """

    gone: frozenset[str]
    spoken: frozenset[str]
    kept: frozenset[str]
    paths: frozenset[str]
    known: frozenset[str]
    days: frozenset[str] = frozenset()
    retold: bool = False

    def scrub(self, text: str) -> str:
        """The identity's text with a mark in place of each line that is the conversation's."""
        head, heading, memories = text.partition(f"\n{MEMORIES_HEADING}\n")
        lines = [ERASED_LINE if self._is_gone(line) else line for line in memories.split("\n")]
        return head + heading + "\n".join(lines)

    def _is_gone(self, line: str) -> bool:
        """A line of its files that is nobody else's, or its words under a file name that is no longer there."""
        if not line.startswith("- ") or line in self.kept:
            return False
        mood = MOOD_LINE.match(line)
        if (mood and mood["day"] in self.days) or (self.retold and DIGEST_LINE.match(line)):
            return True
        if line in self.gone or any(line.endswith(f" ({plain(path)})") for path in self.paths):
            return True
        places = (match.start() for match in re.finditer(r" \(", line))
        return any(line[:at] in self.spoken and line[at + 2 : -1] not in self.known for at in places)


def without_files(text: str, paths: frozenset[str]) -> str:
    """An identity's text with a mark in place of each line that quotes one of these files.

    Topics, moods and digests are made of many files: all of these go.
    """
    head, heading, memories = text.partition(f"\n{MEMORIES_HEADING}\n")
    lines, derived = [], False
    for line in memories.split("\n"):
        derived = SECTIONS[line][0] in SHARES if line in SECTIONS else derived
        told = line.startswith("- ") and (derived or _quotes(line, paths))
        lines.append(ERASED_LINE if told else line)
    return head + heading + "\n".join(lines)


def _quotes(line: str, paths: frozenset[str]) -> bool:
    return any(line[match.end() : -1] in map(plain, paths) for match in re.finditer(r" \(", line))


def _lines(chosen: Sequence[Kept]) -> Iterator[Line]:
    """The chosen statements as lines, oldest first."""
    for kept in sorted(chosen, key=lambda each: each.order):
        said = kept.statement
        yield Line(
            kind=kept.kind,
            text=_line(kept),
            day=said.day,
            speaker=said.speaker,
            passage=said.passage,
            conversation_id=said.conversation_id,
            path=kept.path,
        )


def _text(head: str, lines: Sequence[Line]) -> tuple[str, tuple[Line, ...]]:
    """The whole text, and its lines in its order. Statements about people stand together, person by person."""
    written = [head]
    told: list[Line] = []
    for heading, kinds in SECTIONS.items():
        section = [line for line in lines if line.kind in kinds]
        if Kind.PERSON in kinds:
            section.sort(key=lambda line: line.speaker)
        if DIGEST in kinds:
            section.sort(key=lambda line: line.day)
        if section:
            written += [heading] if told else [MEMORIES_HEADING, heading]
            written += [line.text for line in section]
            told += section
    return "\n".join(written).strip() + "\n", tuple(told)


def _topic_line(topic: Topic) -> Line:
    last = topic.last.statement
    text = f"- {topic.name}: 대화 {topic.conversations}번, 마지막 {last.day} ({plain(topic.last.path)})"
    return Line(
        kind=TOPICS,
        text=text,
        day=last.day,
        speaker=last.speaker,
        passage=last.passage,
        conversation_id=last.conversation_id,
        path=topic.last.path,
    )


def _mood_line(mood: DayMood) -> Line:
    turn, korean = mood.turn, IN_KOREAN[mood.emotion]
    return Line(
        kind=FEELING,
        text=f"- {mood.day}: {korean} ({mood.emotion}) {mood.percent} %, 말 {mood.turns}번 ({plain(turn.path)})",
        day=mood.day,
        speaker=turn.speaker,
        passage=turn.passage,
        conversation_id=turn.conversation_id,
        path=turn.path,
    )


def digest_line(digest: DayDigest) -> Line:
    """A day as a model sums it up; it names the model, and how much of the day that read."""
    row, first = digest
    read = f"말 {row.turns}번" if row.read == row.turns else f"말 {row.turns}번 중 {row.read}번"
    return Line(
        kind=DIGEST,
        text=f"- {row.day}, {plain(row.model)} ({read}): {row.text}",
        day=row.day,
        speaker=row.model,
        passage=first.passage,
        conversation_id=first.conversation_id,
        path=first.path,
    )


def _line(kept: Kept) -> str:
    said = kept.statement
    return f"{_spoken(said.day, said.speaker, said.text)} ({plain(kept.path)})"


def _spoken(day: str, speaker: str, text: str) -> str:
    """A line without its place."""
    return f"- {day} {plain(speaker)}: {plain(text)}"


def plain(text: str) -> str:
    """A text on one line: what a file brings as a name may hold line ends and control characters."""
    return " ".join(NOT_PLAIN.sub(" ", text).split())
