"""A mood in words: its emotions by name, and what a prompt says of it. The app starts with this, without numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

EMOTIONS = ("joy", "sadness", "anger", "fear", "surprise", "affection", "neutral")
NEUTRAL = EMOTIONS.index("neutral")
IN_KOREAN = dict(zip(EMOTIONS, ("기쁨", "슬픔", "화", "두려움", "놀람", "애정", "차분함"), strict=True))
# Less sure than that, a prompt says nothing of it.
SURE_ENOUGH = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """How somebody's words of the last hours read.

    Attributes:
        who: a speaker's name.
        being: whether it is the being's own.
        emotion: the likeliest.
        sure: its share, 0 to 1; on single lines shares are about as often right as they say.
        valence: unpleasant -1 to pleasant 1.
        arousal: sleepy -1 to excited 1.
        emotions: the share of each, together 1.
        turns: how many were read.
        last_said: the time of the newest.
    """

    who: str
    being: bool
    emotion: str
    sure: float
    valence: float
    arousal: float
    emotions: dict[str, float]
    turns: int
    last_said: datetime


def in_words(moods: Sequence[Mood], asker: str) -> str:
    """The being's mood and the asker's where they are sure enough and not neutral, in one sentence for a prompt.

    "" where there is none.
    """
    told = [
        f"{each.who}: {IN_KOREAN[each.emotion]} ({each.emotion}, {each.sure:.0%} sure)"
        for each in moods
        if (each.being or each.who == asker)
        and each.sure >= SURE_ENOUGH
        and each.emotion != EMOTIONS[NEUTRAL]
    ]
    return f"지난 몇 시간 동안의 말은 이렇게 읽힌다 – {', '.join(told)}." if told else ""
