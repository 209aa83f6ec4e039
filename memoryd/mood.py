"""How the words of the last hours read: for each person and for the being, from turns that are in the ledger already.

turns of the last two days ──passages' vectors──▶ emotions ──each weighs half as much every three hours──▶ mood

No state of it is stored: what the ledger holds gives the same mood after a restart. Beside what was said stands a calm
that does not fade, so that a mood goes back to neutral as hours pass; that a mood is such a decaying sum of what
happened is after Egges, Kshirsagar & Magnenat-Thalmann 2004, "Generic personality and emotion simulation for
conversational agents". How a turn is read, and its sources: `memoryd.emotions`.

A person's mood comes from what that person said. The being's comes from its own replies, and to a smaller part from
what people said, as words catch on in a talk (Hatfield, Cacioppo & Rapson 1993, "Emotional Contagion"). All of it is a
guess about words, given with how sure it is; nothing is claimed about what anybody feels.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from loaders.notes import SPEAKER as NOTE
from memoryd.emotions import EmotionReader, circumplex
from memoryd.mood_words import EMOTIONS, NEUTRAL, Mood

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from memoryd.clock import Clock
    from memoryd.embedder import Embedder
    from memoryd.ledger import Ledger
    from memoryd.ledger.vectors import Spoken
    from memoryd.users import User

log = logging.getLogger(__name__)

HALF_LIFE_S = 3 * 3600.0
# After so long a turn weighs a sixty-thousandth.
LOOK_BACK_S = 16 * HALF_LIFE_S
MOST_TURNS = 200
MOST_PEOPLE = 8
# What does not fade weighs as half a turn that was said just now; what people say, a third of the being's own words.
CALM = 0.5
CAUGHT = 1 / 3


class Moods:
    """Moods of one ledger.

    Args:
        being: the being's name, as its turns have it.
        kept_in: where what was learned is kept for the next start.
    """

    def __init__(
        self, *, ledger: Ledger, embedder: Embedder, clock: Clock, being: str, kept_in: Path | None = None
    ) -> None:
        self._ledger = ledger
        self._embedder = embedder
        self._clock = clock
        self._being = being
        self._kept_in = kept_in
        self._reader: EmotionReader | None = None

    def learn(self, stopping: threading.Event | None = None) -> None:
        """Learns to read, half a minute of processor time the first time; until then there are no moods.

        Args:
            stopping: ends the learning soon, once it is set.

        Raises:
            EmbedderError: it was ended.
        """
        self._reader = EmotionReader(self._embedder, kept_in=self._kept_in, stopping=stopping)
        log.info("moods are read")

    @property
    def reader(self) -> EmotionReader | None:
        """What reads emotions, once it has learned to."""
        return self._reader

    def of(self, user: User, owners: Sequence[str] | None = None) -> list[Mood]:
        """The being's mood, the user's and other people's, from turns that this user may see.

        None of who said nothing of late.

        Args:
            owners: whose turns are read, of those that the user sees; None for all of them.

        Raises:
            StoreError: the ledger can't be read.
        """
        reader = self._reader
        if reader is None:
            return []
        now = self._clock.now().timestamp()
        turns = [
            turn
            for turn in self._ledger.vectors.spoken(
                self._embedder.id, user.owners if owners is None else owners, now - LOOK_BACK_S, MOST_TURNS
            )
            if turn.epoch <= now and turn.text.strip()
        ]
        if not turns:
            return []
        emotions = reader.read(np.stack([turn.vector for turn in turns]), [turn.text for turn in turns])
        ages = np.array([now - turn.epoch for turn in turns])
        return moods(turns, emotions, ages, being=self._being, person=user.id)


def moods(
    turns: Sequence[Spoken],
    emotions: NDArray[np.float32],
    ages: NDArray[np.float64],
    *,
    being: str,
    person: str,
) -> list[Mood]:
    """The being's mood, then that person's and other people's, who spoke last first.

    Args:
        turns: newest first.
        emotions: how likely each emotion is in each turn, (n, 7).
        ages: seconds since each turn, (n,).
    """
    fresh = 0.5 ** (ages / HALF_LIFE_S)
    own = np.array([turn.role == "assistant" and turn.speaker == being for turn in turns])
    people = np.array([_is_persons(turn) for turn in turns])
    speakers = np.array([turn.speaker for turn in turns])
    names = dict.fromkeys([person, *speakers[people].tolist()])
    spoke = {name: people & (speakers == name) for name in list(names)[:MOST_PEOPLE]}
    found = []
    if own.any():
        last = turns[int(np.flatnonzero(own)[0])]
        weights = fresh * being_weights(turns, being)
        found.append(_mood(being, emotions, weights, being=True, last=last.epoch))
    for name, theirs in spoke.items():
        if theirs.any():
            last = turns[int(np.flatnonzero(theirs)[0])]
            found.append(_mood(name, emotions, fresh * theirs, being=False, last=last.epoch))
    return found


def being_weights(turns: Sequence[Spoken], being: str) -> NDArray[np.float64]:
    """What each turn counts for the being's mood, whenever it was said, (n,)."""
    own = np.array([turn.role == "assistant" and turn.speaker == being for turn in turns])
    return own + CAUGHT * np.array([_is_persons(turn) for turn in turns])


def _is_persons(turn: Spoken) -> bool:
    """Notes were written by nobody that a name is known of."""
    return turn.role == "user" and turn.speaker != NOTE


def _mood(
    who: str, emotions: NDArray[np.float32], weights: NDArray[np.float64], *, being: bool, last: float
) -> Mood:
    sums = weights @ emotions
    sums[NEUTRAL] += CALM
    shares = (sums / sums.sum()).astype(np.float32)
    valence, arousal = map(float, circumplex(shares[None])[0])
    best = int(shares.argmax())
    return Mood(
        who=who,
        being=being,
        emotion=EMOTIONS[best],
        sure=float(shares[best]),
        valence=valence,
        arousal=arousal,
        emotions=dict(zip(EMOTIONS, map(float, shares), strict=True)),
        turns=int((weights > 0).sum()),
        last_said=datetime.fromtimestamp(last, UTC),
    )
