"""One round: the driver acts, something is killed (and damaged), the daemon comes back, everything is compared."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from bench.daemon import DaemonError
from bench.faults.truth import PAGES_DAMAGED, Differences, LedgerView, compare, on_disk, signatures, words_in
from memoryd_client import ClientError, ProblemError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from bench.faults.driver import Driver
    from bench.faults.victim import Victim

LONGEST_ACTING_S = 2.0
# A start takes about so long; a second kill falls somewhere into it.
LONGEST_START_S = 5.0
AGAIN_SHARE = 0.15
ASKING_SHARE = 0.1
RECOVERY_LIMIT_S = 90.0
POLL_S = 0.1
PROBES = 4
PAUSES_S = (0.0, 0.01, 0.05, 0.2)


@dataclass(slots=True)
class Score:
    """What all rounds came to."""

    kills: int = 0
    lost: int = 0
    duplicated: int = 0
    unopenable: int = 0
    wrong: int = 0
    unsaved: int = 0
    untold: int = 0
    degraded_answers: int = 0
    generations: int = 0
    answering_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    cold_s: list[float] = field(default_factory=list)

    def add(self, found: Differences) -> None:
        """Counts the differences of one round."""
        self.lost += len(found.lost)
        self.duplicated += len(found.duplicated)
        self.wrong += len(found.wrong)

    def bad(self) -> int:
        """How much is not as it should be."""
        return self.lost + self.duplicated + self.unopenable + self.wrong + self.unsaved + self.untold

    def fields(self) -> dict[str, object]:
        """For the JSON line."""
        return {
            "kills": self.kills,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "unopenable": self.unopenable,
            "wrong_after_recovery": self.wrong,
            "acknowledged_not_on_disk": self.unsaved,
            "trouble_not_told": self.untold,
            "index_made_anew": self.generations,
            "degraded_answers": self.degraded_answers,
            "answering_s": _summary(self.answering_s),
            "whole_s": _summary(self.whole_s),
            "cold_start_whole_s": _summary(self.cold_s),
        }


class Rounds:
    """Plays rounds on one daemon and keeps the score."""

    def __init__(self, victim: Victim, driver: Driver, chance: random.Random) -> None:
        self.victim = victim
        self.score = Score()
        self.ledger = LedgerView(victim.state)
        self.driver = driver
        self._chance = chance
        self._stable: dict[str, str] = {}

    def open(self) -> None:
        """The first start, until all is in step."""
        self.victim.start()
        self.victim.wait_ready()
        self._wait_whole(time.monotonic() + RECOVERY_LIMIT_S)
        self._remember_stable()

    def kill(self) -> None:
        """A round: things happen, and in the midst of them the daemon, its Chroma child or both are killed."""
        target = self._chance.choice(("daemon", "chroma", "both"))
        asks = self._chance.random() < ASKING_SHARE
        self.act_and(lambda: self.strike(target), asks=self._models_ready())
        if target != "chroma":
            self.victim.give_models(enabled=asks)
            if self._chance.random() < AGAIN_SHARE:
                self.victim.start()
                self.pause(self._chance.uniform(0.0, LONGEST_START_S))
                self.strike("daemon")
        self.recover(target)

    def act_and(self, strike: Callable[[], None], *, asks: bool = False) -> None:
        """Acts until the strike has fallen, at a moment drawn by chance."""
        fallen = threading.Event()

        def fall() -> None:
            strike()
            fallen.set()

        timer = threading.Timer(self._chance.uniform(0.02, LONGEST_ACTING_S), fall)
        timer.start()
        try:
            with self.victim.client(timeout=20.0) as client:
                while not fallen.wait(self._chance.choice(PAUSES_S)):
                    self.driver.act(client, asks=asks)
        finally:
            timer.join()

    def recover(self, what: str) -> bool:
        """Brings the daemon back and compares; whether all was as it should be."""
        begun = time.monotonic()
        before = self._generation()
        found = Differences()
        try:
            if not self.victim.alive:
                self.victim.start()
            self.victim.wait_ready(poll=0.02)
            answering = time.monotonic() - begun
            found.wrong += self._probe_at_once()
            self._wait_whole(begun + RECOVERY_LIMIT_S)
        except (DaemonError, ClientError) as error:
            self.score.unopenable += 1
            sys.stderr.write(f"NOT RECOVERED after {what}: {error}\n")
            self._begin_anew()
            return False
        whole = time.monotonic() - begun
        (self.score.cold_s if self.victim.cold and what != "chroma" else self.score.whole_s).append(whole)
        self.score.answering_s.append(answering)
        self.score.generations += max(0, self._generation() - before)
        child = self.victim.chroma()
        checked = compare(self.victim.memory, self.ledger, child and child[1])
        found.lost += checked.lost
        found.duplicated += checked.duplicated
        found.wrong += checked.wrong + self._ask_around()
        self._count_unsaved()
        self.score.add(found)
        if PAGES_DAMAGED in found.wrong:
            self._begin_anew()
        self._remember_stable()
        for difference in found.all()[:20]:
            sys.stderr.write(f"  {what}: {difference}\n")
        sys.stderr.write(
            f"{what}: answering {answering:.1f} s, whole {whole:.1f} s, {len(found.all())} differences\n"
        )
        return not found.all()

    def strike(self, target: str) -> None:
        """`kill -9` of the daemon, of its Chroma child, or of both in either order."""
        hit = False
        first = self._chance.random() < 0.5
        if target == "chroma" or (target == "both" and first):
            hit = self.victim.kill_chroma()
        if target != "chroma" and self.victim.alive:
            self.victim.kill()
            hit = True
        self.score.kills += hit

    def _models_ready(self) -> bool:
        with suppress(ClientError), self.victim.client(timeout=20.0) as client:
            return any(model.state == "ready" for model in client.ready().models)
        return False

    def in_step(self) -> bool:
        """Whether the ledger knows every file as it is, Chroma has everything, and recall trusts it."""
        with suppress(sqlite3.Error, ClientError, OSError):
            return (
                self.ledger.files() == signatures(self.victim.memory)
                and not self.ledger.outbox()
                and not self._degraded()
                and self.victim.chroma() is not None
            )
        return False

    def _wait_whole(self, deadline: float) -> None:
        """Until all is in step."""
        while True:
            if self.in_step():
                return
            if not self.victim.alive:
                raise DaemonError(f"The daemon ended.\n{self.victim.log_tail()}")
            if time.monotonic() > deadline:
                raise DaemonError(f"It is not whole again after {RECOVERY_LIMIT_S:g} s: {self._state()}")
            self.pause(POLL_S)

    def _state(self) -> str:
        """What is amiss, for people."""
        try:
            known, there = self.ledger.files(), signatures(self.victim.memory)
            differing = [path for path in known.keys() | there.keys() if known.get(path) != there.get(path)]
            with self.victim.client(timeout=20.0) as client:
                parts = [f"{part.name} {part.state} {part.detail}" for part in client.ready().parts]
        except (sqlite3.Error, ClientError) as error:
            return f"{error}\n{self.victim.log_tail()}"
        return f"{differing=} outbox={self.ledger.outbox()} {parts}\n{self.victim.log_tail()}"

    def _degraded(self) -> bool:
        with self.victim.client(timeout=20.0) as client:
            return client.search("?", k=1).degraded is not None

    def _probe_at_once(self) -> list[str]:
        """What was there before and has not been touched since is found from the first moment on."""
        there = {
            turn: path for path, turn, text in on_disk(self.victim.memory) if self._stable.get(turn) == text
        }
        stable = [(turn, self._stable[turn]) for turn in there]
        try:
            # Before the questions: what is read while they are asked was not there to be found.
            known = self.ledger.files()
            missed = self._probe(self._chance.sample(stable, min(PROBES, len(stable))))
        except (ProblemError, sqlite3.Error) as error:
            # A ledger that is being recovered says so instead of answering.
            sys.stderr.write(f"  at once: {error}\n")
            return []
        # A file that has moved or changed, or that a recovered ledger lacks, is being read right now.
        files = signatures(self.victim.memory)
        return [
            f"at once: {why}" for turn, why in missed.items() if known.get(there[turn]) == files[there[turn]]
        ]

    def _probe(self, asked: list[tuple[str, str]]) -> dict[str, str]:
        """Those of the turns that are not found by the word that they alone hold, each with a sentence."""
        missed = {}
        with self.victim.client(timeout=20.0) as client:
            for turn, text in asked:
                # A word that one passage alone holds is among the first ten, however near others are by meaning; that
                # meanings are right is compared vector by vector.
                (word,) = words_in([("", turn, text)])
                answer = client.search(word, k=10)
                self.score.degraded_answers += answer.degraded is not None
                if turn not in {each.id for hit in answer.hits for each in hit.turns}:
                    missed[turn] = f"{turn} is not found by {word} ({answer.degraded})"
        return missed

    def _ask_around(self) -> list[str]:
        """A few words that are there are found, a few that are gone are not."""
        alive = self._probeable()
        missed = self._probe(self._chance.sample(sorted(alive.items()), min(PROBES, len(alive))))
        wrong = [f"after recovery: {why}" for why in missed.values()]
        there = words_in(on_disk(self.victim.memory))
        gone = [word for word in self.driver.words if word not in there]
        with self.victim.client(timeout=20.0) as client:
            for word in self._chance.sample(gone, min(PROBES, len(gone))):
                hits = client.search(f"Where is the {word}?", k=20).hits
                wrong += [f"{word} is gone and was found in {hit.path}" for hit in hits if word in hit.text]
        return wrong

    def _probeable(self) -> dict[str, str]:
        """Turn id → its words, where it alone holds its made-up word."""
        turns = on_disk(self.victim.memory)
        often = words_in(turns)
        return {
            turn: text
            for path, turn, text in turns
            if [often[word] for word in words_in([(path, turn, text)])] == [1]
        }

    def _remember_stable(self) -> None:
        self._stable = self._probeable()

    def _count_unsaved(self) -> None:
        """What was acknowledged as saved is on disk."""
        texts = {text for _, _, text in on_disk(self.victim.memory)}
        for conversation, text in self.driver.saved.turns:
            if text and text not in texts:
                self.score.unsaved += 1
                sys.stderr.write(f"  acknowledged and not on disk: {conversation}: {text}\n")

    def _generation(self) -> int:
        try:
            return self.ledger.generation()
        except sqlite3.Error:
            return 0

    def _begin_anew(self) -> None:
        """A daemon that did not recover must not spoil the rounds that follow."""
        self.victim.stop()
        aside = self.victim.state.with_name(f"state-{self.victim.starts}")
        self.victim.state.rename(aside)
        sys.stderr.write(f"  its state is kept in {aside}\n")
        self.open()

    @staticmethod
    def pause(seconds: float) -> None:
        """Lets time pass."""
        threading.Event().wait(seconds)


def _summary(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"median": round(median(seconds), 2), "max": round(max(seconds), 2), "count": len(seconds)}
