"""The identity's text: the three manifests, then what the replay kept of the memories, within a token budget.

Same manifests and same turns give the same bytes, whatever the machine: words are counted, not vectors, and every
tie is broken by time and place.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.korean import QUESTION_END, bigrams, estimate_tokens, latin_words, normalise, sentences
from memoryd.owners import ORIGIN_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from memoryd.ledger import TurnRow

MANIFESTS = ("echo_identity.txt", "fillin_manifest.txt", ORIGIN_FILE)
HEADINGS = {
    "echo_identity.txt": "# 나는 누구인가 (who I am)",
    "fillin_manifest.txt": "# 무엇을 위해 있는가 (what I stand for)",
    ORIGIN_FILE: "# 오리진 (my origin)",
}
MEMORIES_HEADING = "# 내가 기억하는 것 (what I remember)"
# Stands where an erasure has taken a line out of an identity.
ERASED_LINE = "- (지워짐, erased)"
# Part of the digest: another way of choosing makes another identity.
METHOD = 1
SHORTEST_LINE = 8
LONGEST_LINE = 240
# A word that stands in more than this part of the conversations says nothing about one of them.
COMMON_SHARE = 0.5
# Recent days weigh more: the last day 1, the first this much.
OLDEST_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The three files as they are on disk; `missing` names those that are not there or can't be read."""

    texts: dict[str, str]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One sentence that a person said, and where."""

    day: str
    path: str
    conversation_id: str
    speaker: str
    text: str
    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityText:
    """A made identity, before it has a version number."""

    text: str
    digest: str
    tokens: int
    kept: int
    turns: int
    missing: tuple[str, ...]


def read_manifests(folder: Path) -> Manifests:
    """Reads the three files; a missing or unreadable one is named, not an error."""
    texts, missing = {}, []
    for name in MANIFESTS:
        try:
            texts[name] = (folder / name).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            missing.append(name)
    return Manifests(texts=texts, missing=tuple(missing))


def make_identity(manifests: Manifests, turns: Iterable[tuple[str, TurnRow]], *, budget: int) -> IdentityText:
    """Builds the identity.

    Args:
        turns: (path, turn) in event order; read once.
        budget: tokens (estimated) for manifests and memories together. Manifests are never cut.
    """
    digest = hashlib.sha256(f"{METHOD} {budget}\n".encode())
    for name in MANIFESTS:
        digest.update(f"{name}\0{manifests.texts.get(name)}\0".encode())
    said: list[Memory] = []
    count = 0
    for path, turn in turns:
        count += 1
        place = f"{path}\0{turn.conversation_id}\0{turn.time.isoformat()}"
        mark = f"{place}\0{turn.role}\0{turn.speaker}\0{turn.text}"
        digest.update(mark.encode(errors="surrogatepass") + b"\n")
        said += _sentences(path, turn, len(said))
    head = _head(manifests)
    room = budget - estimate_tokens(f"{head}\n{MEMORIES_HEADING}\n")
    kept = sorted(choose(said, room), key=lambda memory: memory.order)
    lines = [MEMORIES_HEADING, *(_line(memory) for memory in kept)] if kept else []
    text = "\n".join([head, *lines]).strip() + "\n"
    return IdentityText(
        text=text,
        digest=digest.hexdigest(),
        tokens=estimate_tokens(text),
        kept=len(kept),
        turns=count,
        missing=manifests.missing,
    )


def own_words(turns: Iterable[tuple[str, TurnRow]], *, budget: int) -> str:
    """The most telling sentences of somebody's turns, a line each, in event order.

    Args:
        turns: (path, turn) in event order; read once.
        budget: tokens (estimated).
    """
    said: list[Memory] = []
    for path, turn in turns:
        said += _sentences(path, turn, len(said))
    return "\n".join(_line(each) for each in sorted(choose(said, budget), key=lambda memory: memory.order))


def quotes_of(path: str, turns: Iterable[TurnRow]) -> dict[str, str]:
    """Every line that an identity can quote of these turns → the same without its path."""
    memories = [memory for turn in turns for memory in _sentences(path, turn, 0)]
    return {_line(memory): _spoken(memory) for memory in memories}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubber:
    """Takes what an erased conversation said out of identities.

    Attributes:
        gone: the conversation's lines.
        spoken: the same without their paths.
        kept: the lines of other conversations in the same files.
        paths: the files that held the conversation.
        known: every file that there is.
    """

    gone: frozenset[str]
    spoken: frozenset[str]
    kept: frozenset[str]
    paths: frozenset[str]
    known: frozenset[str]

    def scrub(self, text: str) -> str:
        """The identity's text with a mark in place of each line that is the conversation's."""
        head, heading, memories = text.partition(f"\n{MEMORIES_HEADING}\n")
        lines = [ERASED_LINE if self._is_gone(line) else line for line in memories.split("\n")]
        return head + heading + "\n".join(lines)

    def _is_gone(self, line: str) -> bool:
        """A line of its files that is nobody else's, or its words under a file name that is no longer there."""
        if not line.startswith("- ") or line in self.kept:
            return False
        if line in self.gone or any(line.endswith(f" ({path})") for path in self.paths):
            return True
        places = (match.start() for match in re.finditer(r" \(", line))
        return any(line[:at] in self.spoken and line[at + 2 : -1] not in self.known for at in places)


def without_files(text: str, paths: frozenset[str]) -> str:
    """An identity's text with a mark in place of each line that quotes one of these files."""
    head, heading, memories = text.partition(f"\n{MEMORIES_HEADING}\n")
    lines = (ERASED_LINE if _quotes(line, paths) else line for line in memories.split("\n"))
    return head + heading + "\n".join(lines)


def _quotes(line: str, paths: frozenset[str]) -> bool:
    return any(line[match.end() : -1] in paths for match in re.finditer(r" \(", line))


def choose(said: Sequence[Memory], room: int) -> list[Memory]:
    """The most telling sentences that fit: each adds words that recur in the life and are not yet covered.

    Greedy cover with lazy evaluation (Minoux 1978): a gain only falls as words are covered, so the top of the heap
    is re-counted and kept if it still leads.
    """
    words = [frozenset(_words(memory.text)) for memory in said]
    weight = _word_weights(said, words)
    days = sorted({memory.day for memory in said})
    recency = {day: OLDEST_WEIGHT + (1 - OLDEST_WEIGHT) * (i + 1) / len(days) for i, day in enumerate(days)}
    cost = [max(1, estimate_tokens(_line(memory)) + 1) for memory in said]

    def gain(i: int, covered: set[str]) -> float:
        new = sorted(words[i] - covered)
        worth: float = sum(weight.get(word, 0.0) for word in new)
        return round(recency[said[i].day] * worth / math.sqrt(cost[i]), 9)

    covered: set[str] = set()
    heap = [(-gain(i, covered), said[i].order, i) for i in range(len(said))]
    heapq.heapify(heap)
    kept: list[Memory] = []
    while heap:
        _, order, i = heapq.heappop(heap)
        now = gain(i, covered)
        if now <= 0 or cost[i] > room:
            continue
        if heap and -heap[0][0] > now:
            heapq.heappush(heap, (-now, order, i))
            continue
        kept.append(said[i])
        covered |= words[i]
        room -= cost[i]
    return kept


def _word_weights(said: Sequence[Memory], words: Sequence[frozenset[str]]) -> dict[str, float]:
    """How telling a word is: it recurs over conversations, and is not in every one."""
    conversations: dict[str, set[str]] = {}
    for memory, its_words in zip(said, words, strict=True):
        conversations.setdefault(f"{memory.path}\0{memory.conversation_id}", set()).update(its_words)
    spread = Counter(word for its_words in conversations.values() for word in its_words)
    times = Counter(word for its_words in words for word in its_words)
    total = len(conversations)
    common = max(2.0, COMMON_SHARE * total)
    return {
        word: math.log1p(times[word]) * math.log1p(total / n) for word, n in spread.items() if n <= common
    }


def _sentences(path: str, turn: TurnRow, before: int) -> Iterator[Memory]:
    """What a person said in this turn that can stand alone; an assistant's words are not its memories."""
    if turn.role != "user":
        return
    for order, text in enumerate(sentences(turn.text), start=before):
        line = " ".join(text.split())
        if SHORTEST_LINE <= len(line) <= LONGEST_LINE and not QUESTION_END.search(line):
            yield Memory(
                day=f"{turn.time:%Y-%m-%d}",
                path=path,
                conversation_id=turn.conversation_id,
                speaker=turn.speaker,
                text=line,
                order=order,
            )


def _words(text: str) -> Iterator[str]:
    text = normalise(text)
    yield from bigrams(text)
    yield from latin_words(text)


def _line(memory: Memory) -> str:
    return f"{_spoken(memory)} ({memory.path})"


def _spoken(memory: Memory) -> str:
    return f"- {memory.day} {memory.speaker}: {memory.text}"


def _head(manifests: Manifests) -> str:
    parts = []
    for name in MANIFESTS:
        body = manifests.texts.get(name)
        parts.append(f"{HEADINGS[name]}\n{body if body is not None else f'(manifest/{name} is missing)'}\n")
    return "\n".join(parts)
