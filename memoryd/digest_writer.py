"""Has a model write the digests of days that have none, beside its other work; the replay after it tells them.

replay ends ──wakes──▶ a day without a digest? ─▶ a resident model that is ready ─▶ written ─▶ kept, if nothing changed
                                                                                                    └─▶ one replay more
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from llm import Finish, GenerateRequest, ModelError, State
from memoryd.day_digests import CUE, QUESTION, fitted, question
from memoryd.errors import MemorydError
from memoryd.identity import plain
from memoryd.korean import sentences
from memoryd.ledger.digests import DigestRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm import Generator
    from memoryd.boot_memory_loop import BootMemoryLoop
    from memoryd.day_digests import Day, DayDigests

log = logging.getLogger(__name__)

TRIGGER = "digests"
# Between two looks whether a model is ready.
LOOK_SECONDS = 2.0
STOP_LIMIT_S = 2.0
# A thinking model thinks first; of what it answers, so many sentences are kept.
ANSWER_TOKENS = 1024
MOST_SENTENCES = 3
# What a model is given of a day, in its tokens: a long prompt takes a CPU minutes.
MOST_TOKENS = 3000
# Around the day's words: the question, and what a chat template takes.
AROUND_TOKENS = 400


class DigestWriter:
    """A thread that sleeps until `wake()`.

    Args:
        models: that may write, the first that is ready does; those that only quote can't.
    """

    def __init__(self, *, digests: DayDigests, loop: BootMemoryLoop, models: Sequence[Generator]) -> None:
        self._digests = digests
        self._loop = loop
        self._models = [each for each in models if not each.quotes]
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="digests", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        if not self._models:
            log.warning(
                'replay.digests is "model", and there is no model that can write them: the built-in one only quotes. '
                "Name a GGUF file in [models] of config.toml."
            )
            return
        self._thread.start()

    def wake(self) -> None:
        """A replay has ended: a day may be over, or other than it was."""
        self._due.set()

    def stop(self) -> None:
        """Ends a digest that is being written; nothing of it is kept."""
        self._stopping.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def step(self) -> int:
        """Writes the digests that are missing now, the newest day first, and replays where there were any.

        Returns:
            How many were written.
        """
        written = 0
        for day in self._digests.missing():
            model = self._ready()
            if model is None:
                break
            row = self._written(model, day)
            if row is None:
                continue
            # An erasure waits for this, or has been: then the day has other words.
            with self._loop.held():
                written += self._digests.save(row)
        if written:
            log.info("%d day digests are written", written)
            self._loop.replay(TRIGGER)
        return written

    def _ready(self) -> Generator | None:
        """The first model that is ready, waited for while there is one that may become so; None at the end."""
        while not self._stopping.is_set():
            for model in self._models:
                if model.status().state is State.READY:
                    return model
            self._stopping.wait(LOOK_SECONDS)
        return None

    def _written(self, model: Generator, day: Day) -> DigestRow | None:
        """A day's digest; None where the model has none to give, which the log says."""
        room = min(MOST_TOKENS, model.context_tokens - ANSWER_TOKENS - AROUND_TOKENS)
        said: list[str] = []
        finish = None
        try:
            lines = fitted(day.turns, room, model.count_tokens)
            request = GenerateRequest(
                messages=question(day.day, lines), max_tokens=ANSWER_TOKENS, cancelled=self._stopping
            )
            for piece in model.generate(request) if lines else ():
                said.append(piece.text)
                finish = piece.finish or finish
        except ModelError as error:
            log.warning("the digest of %s is not written: %s", day.day, error)
            return None
        if finish is Finish.CANCELLED:
            return None
        told = (plain(each) for each in sentences("".join(said)))
        # Small models repeat what they were asked.
        whole = [each for each in told if each and each not in QUESTION and each not in CUE]
        if finish is Finish.LENGTH:
            whole = whole[:-1]  # it broke off in the last one
        if not whole:
            log.warning("the digest of %s is not written: %s gave no whole sentence", day.day, model.name)
            return None
        return DigestRow(
            day=day.day,
            key=day.key,
            text=" ".join(whole[:MOST_SENTENCES]),
            model=model.name,
            turns=len(day.turns),
            read=len(lines),
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait()
            self._due.clear()
            try:
                self.step()
            except MemorydError:  # the ledger, or the replay, which both say so themselves and are seen to
                log.exception("the digests of days wait for the next replay")
            except Exception:  # the thread's boundary: one bad moment must not end it
                log.exception("the writing of digests stumbled and goes on")
