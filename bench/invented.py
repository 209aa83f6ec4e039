"""Conversations in any number, made from a few lists of words: every turn differs, and the same seed gives the same.

Korean and English by turns, a few days apart; what they say is nonsense with the lengths of real chat.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = datetime(2024, 1, 1, 9, tzinfo=UTC)
KOREAN = (
    "어제|오늘 아침|지난주에|다음 달에|점심때|새벽에|퇴근길에|주말마다|작년 가을에|방금",
    "지훈이|수민이|엄마가|팀장님이|옆집 아저씨가|민서가|할머니가|선생님이|도윤이|강아지가",
    "부산역에서|도서관에서|부엌에서|회사 옥상에서|한강에서|병원에서|시장 골목에서|버스에서",
    "김치찌개를|자전거를|회의록을|통장을|소설책을|여권을|화분을|이력서를|카메라를|약봉투를",
    "번째로 잃어버렸대|번째로 샀다고 했어|번째로 고쳤어|번째로 빌려줬어|번째로 찾았어|번째로 찍었어",
)
ENGLISH = (
    "Daniel|Priya|My boss|The neighbour|Grandma|Our teacher|Marco|The dog|Lena|Somebody",
    "lost|bought|repaired|forgot|borrowed|found|praised|photographed|sold|painted",
    "the bicycle|a passport|my notes|the recipe|an old camera|the invoice|a plant|the violin",
    "at the station|in the library|on the roof|by the river|at the market|in the kitchen",
    "yesterday|this morning|last week|at noon|before dawn|on a weekend|just now|in March",
)
KOREAN_SHARE = 0.6
SPEAKERS = (("user", "지훈"), ("assistant", "에코"))


def turns(
    count: int, *, seed: int = 0, per_conversation: int = 20, different: int | None = None
) -> Iterator[dict[str, str]]:
    """`count` turns in memoryd's native form, conversation after conversation.

    Args:
        different: how many different texts; without it every turn's is its own.
    """
    for number in range(count):
        text = number % (different or count)
        chance = random.Random(f"{seed} {text}")  # noqa: S311  (no secret hangs on it)
        conversation, place = divmod(number, per_conversation)
        role, speaker = SPEAKERS[place % 2]
        when = BEGIN + timedelta(hours=7 * conversation, minutes=place)
        yield {
            "id": f"i{number}",
            "conversation": f"invented-{conversation}",
            "time": when.isoformat(),
            "role": role,
            "speaker": speaker,
            "text": _said(chance, text),
        }


def write(
    memory: Path, count: int, *, seed: int = 0, per_file: int = 200, different: int | None = None
) -> int:
    """Writes `count` turns as files in day folders; returns how many files."""
    files = 0
    lines: list[str] = []
    for number, turn in enumerate(turns(count, seed=seed, different=different), start=1):
        lines.append(json.dumps(turn, ensure_ascii=False) + "\n")
        if len(lines) == per_file or number == count:
            day = datetime.fromisoformat(turn["time"])
            folder = memory / f"day{day:%Y%m%d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"invented-{files:06d}.jsonl").write_text("".join(lines), encoding="utf-8")
            files += 1
            lines = []
    return files


def _said(chance: random.Random, number: int) -> str:
    return " ".join(_sentence(chance, number) for _ in range(chance.choice((1, 1, 2))))


def _sentence(chance: random.Random, number: int) -> str:
    """One of each list; the number makes it unlike every other."""
    if chance.random() < KOREAN_SHARE:
        *words, did = (chance.choice(options.split("|")) for options in KOREAN)
        return f"{' '.join(words)} {number}{did}."
    words = [chance.choice(options.split("|")) for options in ENGLISH]
    return f"{' '.join(words)}, number {number}."
