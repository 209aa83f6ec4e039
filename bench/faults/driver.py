"""What people and their programs do to a memory, by chance: files come, grow, change, move and go, and questions come.

Every turn holds a made-up word that no other turn has, so that it can be asked for, and missed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from memoryd_client import ClientError
from memoryd_client.models import NewTurn

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from memoryd_client import Client

FILES = 60
BURST = 8
BEGINNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
SYLLABLES = ("ba", "ke", "mi", "ro", "tu", "za", "lo", "fi", "ne", "gu", "pa", "wi", "do", "shu", "va", "hy")
MADE_UP = re.compile(rf"\b(?:{'|'.join(SYLLABLES)}){{5}}\b")
KEPT = """
    lantern, 연필, compass, 자전거, kettle, 우표 책, drum, 화분, telescope, 실타래, passport, 찻잔, accordion, 망치,
    chessboard, 손전등, umbrella, 도장, typewriter, 벽시계, sleeping bag, 바둑판
"""
PLACES = """
    다락에, in the attic, 부엌 서랍에, by the river, 차고에, under the stairs, 옥상에, at the mill, 할머니 댁에,
    behind the piano, 사무실 금고에, in locker nine, 베란다에, at Tobias's, 현관 옆에, on the boat
"""
CHATS = 40


@dataclass(slots=True)
class Saved:
    """Turns that the daemon said it had saved: (conversation, words)."""

    turns: list[tuple[str, str]] = field(default_factory=list)


class Driver:
    """Acts on a memory folder and a daemon.

    Args:
        chance: the seeded dice; every decision is theirs.
        memory: the folder of day folders.
    """

    def __init__(self, chance: random.Random, memory: Path) -> None:
        self._chance = chance
        self._memory = memory
        self._number = 0
        self.words: list[str] = []
        self.saved = Saved()

    def act(self, client: Client | None, *, asks: bool) -> None:
        """Does one thing. What a dying daemon answers, or a full disk refuses, is no fault of the driver's."""
        on_files: list[tuple[Callable[[], None], int]] = [
            (self._new, 5),
            (self._burst, 1),
            (self._append, 4),
            (self._edit, 4),
            (self._move, 2),
            (self._delete, 2 if len(self.files()) < FILES else 20),
        ]
        on_daemon: list[tuple[Callable[[Client], None], int]] = [
            (self._say, 4),
            (self._search, 3),
            (self._replay, 1),
            (self._ask, 4 if asks else 0),
        ]
        weights = [weight for _, weight in on_files] + [weight for _, weight in on_daemon if client]
        (place,) = self._chance.choices(range(len(weights)), weights)
        try:
            if place < len(on_files):
                on_files[place][0]()
            elif client:
                on_daemon[place - len(on_files)][0](client)
        except (ClientError, OSError):
            pass

    def files(self) -> list[Path]:
        """The files that the driver wrote, in a fixed order."""
        return sorted(self._memory.glob("day*/talk_*.jsonl"))

    def fill(self, files: int) -> None:
        """The first memories."""
        for _ in range(files):
            self._new()

    def _new(self) -> None:
        self._number += 1
        number = self._number
        turns = [self._turn(number, place) for place in range(self._chance.randint(2, 8))]
        self._write(self._memory / self._day() / f"talk_{number}.jsonl", turns)

    def _burst(self) -> None:
        for _ in range(BURST):
            self._new()

    def _append(self) -> None:
        file = self._one()
        if file is None:
            return
        had = _lines(file)
        number = int(file.stem.split("_")[1])
        more = [self._turn(number, len(had) + place) for place in range(self._chance.randint(1, 3))]
        with file.open("ab") as out:
            for turn in more:
                data = _line(turn)
                # In two steps now and then: somebody may read it in between.
                cut = self._chance.choice([len(data), len(data) // 2])
                out.write(data[:cut])
                out.flush()
                out.write(data[cut:])

    def _edit(self) -> None:
        file = self._one()
        turns = _lines(file) if file else []
        if file and turns:
            place = self._chance.randrange(len(turns))
            turns[place] |= {"text": self._text()}
            self._write(file, turns)

    def _move(self) -> None:
        file = self._one()
        if file:
            target = self._memory / self._day() / file.name
            target.parent.mkdir(exist_ok=True)
            file.rename(target)

    def _delete(self) -> None:
        file = self._one()
        if file:
            file.unlink()

    def _say(self, client: Client) -> None:
        text = self._text()
        saved = client.add_conversation([NewTurn(text=text)], id=self._conversation())
        self.saved.turns.append((saved.id, text))

    def _search(self, client: Client) -> None:
        client.search(self._question(), k=5)

    def _replay(self, client: Client) -> None:
        client.replay(wait=self._chance.random() < 0.5)

    def _ask(self, client: Client) -> None:
        question = self._question()
        answer = client.ask(question, conversation_id=self._conversation())
        if answer.saved:
            self.saved.turns += [(answer.conversation_id, question), (answer.conversation_id, answer.answer)]

    def _one(self) -> Path | None:
        files = self.files()
        return self._chance.choice(files) if files else None

    def _question(self) -> str:
        return f"What was {self._chance.choice(self.words or ['said'])} about?"

    def _conversation(self) -> str:
        return f"chat-{self._chance.randint(1, CHATS)}"

    def _day(self) -> str:
        return f"day{self._chance.randint(1, 12):02d}{self._chance.randint(1, 28):02d}"

    def _turn(self, number: int, place: int) -> dict[str, str]:
        time = BEGINNING + timedelta(hours=number, minutes=place)
        return {
            "id": f"t{number}-{place}",
            "conversation": f"talk-{number}",
            "time": time.isoformat(),
            "role": "assistant" if place % 2 else "user",
            "speaker": "에코" if place % 2 else "하람",
            "text": self._text(),
        }

    def _text(self) -> str:
        word = "".join(self._chance.choices(SYLLABLES, k=5))
        self.words.append(word)
        what, where = (self._chance.choice(names.split(",")).strip() for names in (KEPT, PLACES))
        return f"The {what} is {where}: {word}. Ask for {word}, shelf {self._chance.randint(1, 99)}."

    def _write(self, file: Path, turns: list[dict[str, str]]) -> None:
        """In one step, or in place as plain editors do; what a full disk cuts off is not left behind."""
        file.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(_line(turn) for turn in turns)
        aside = file.with_name(f".{file.name}.partial")
        in_place = self._chance.random() < 0.3
        target = file if in_place else aside
        try:
            target.write_bytes(data)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        if not in_place:
            aside.rename(file)


def _line(turn: dict[str, str]) -> bytes:
    return (json.dumps(turn, ensure_ascii=False) + "\n").encode()


def _lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
