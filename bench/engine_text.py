"""An identity of an exact number of tokens, and questions without end, for the engine's benches.

manifest/ + memory/ (or a file) ─▶ lines, again and again, each time a little different ─▶ cut to the token
"""

from __future__ import annotations

import random
import re
from itertools import count as numbers
from typing import TYPE_CHECKING

from bench.daemon import REPOSITORY
from loaders import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NUMBER = re.compile(r"\d+")
ENDS = (" 끝", " 나", " a", ".", "1", " the", "\n-")
TRIES = 200
STEMS = (
    "지난주에 우리가 나눈 이야기 가운데 무엇이 가장 먼저 떠올라?",
    "What did I tell you about the trip, and who came along?",
    "내가 요즘 배우는 악기 이름과 연습한 곡을 기억해?",
    "Which promise did we make in March, and why?",
    "보리 예방접종 날짜랑 병원 이름을 다시 말해 줄래?",
    "How does the sourdough starter want to be fed on cold days?",
    "오늘 하루를 네 말로 길게 이야기해 줄래?",
    "Tell me a long story about the two of us.",
)


def sample_lines(path: Path | None = None) -> list[str]:
    """The lines of a text file; without one, those of the repository's own manifest and memories."""
    if path is not None:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    lines: list[str] = []
    for file in sorted((REPOSITORY / "manifest").glob("*.txt")):
        lines += file.read_text(encoding="utf-8").splitlines()
    for file in sorted((REPOSITORY / "memory").rglob("*")):
        if file.is_file():
            for conversation in load(file.name, file.read_bytes()).conversations:
                lines += [f"{turn.speaker}: {turn.text}" for turn in conversation.turns]
    return [line for line in lines if line.strip()]


def varied(lines: Sequence[str], *, seed: int = 0) -> Iterator[str]:
    """The lines as they are, then again and again in another order and with other numbers."""
    yield from lines
    for turn in numbers(1):
        chance = random.Random(f"{seed} {turn}")  # noqa: S311  (no secret hangs on it)
        for place in chance.sample(range(len(lines)), len(lines)):
            line = NUMBER.sub(lambda _, chance=chance: str(chance.randrange(1, 60)), lines[place])  # type: ignore[misc]
            yield f"{turn}.{place} {line}"


def exactly(lines: Iterator[str], wanted: int, count: Callable[[str], int]) -> str:
    """A text of so many tokens, from as many lines as it takes.

    Args:
        lines: never ending.
        wanted: the number of tokens.
        count: how many tokens a text has.

    Raises:
        ValueError: the tokenizer gives no text of that length (fewer than an empty text has, for one).
    """
    parts: list[str] = []
    while count("\n".join(parts)) <= wanted:
        parts += [next(lines) for _ in range(max(1, len(parts) // 4))]
    text = "\n".join(parts)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(text[:middle]) <= wanted else (low, middle - 1)
    text = text[:low].rstrip()
    for _ in range(TRIES):
        missing = wanted - count(text)
        if not missing:
            return text
        longer = [text + end for end in ENDS if 0 < count(text + end) - count(text) <= missing]
        text = longer[0] if longer else text[:-1].rstrip()
    raise ValueError(f"no text of {wanted} tokens was found")


def question(number: int) -> str:
    """A question unlike every other; they are about equally long."""
    return f"{number}. {STEMS[number % len(STEMS)]}"
