"""A person of the soak: asks in every way there is, one after another, and knows what may come of each.

an act ─▶ the outcomes that it may have ─▶ anything else is an error that nobody asked for
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.engine_models import SPEAKER
from bench.engine_text import question
from llm import (
    BadGrammarError,
    DeadlineError,
    Finish,
    GenerateRequest,
    Identity,
    Message,
    PromptTooLongError,
    QueueFullError,
    Sampling,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.engine_models import Prompts
    from llm.resident import ResidentModel

LONGEST_ANSWER = 48
JSON_SCHEMA = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
CHOICES = ("보리 예방접종은 4월 3일이야.", "나는 그날 첼로를 켰어.", "I fed the sourdough starter.")
HURRIES_S = (0.01, 0.5)
GIVES_UP_S = (0.0, 0.6)


@dataclass(slots=True)
class Tally:
    """What came of it all; written by every person.

    Attributes:
        outcomes: how often each act ended how.
        unasked: errors that nobody asked for, in words.
        freed_s: seconds from setting the event to the cells being free.
        closed_s: the same from closing the iterator, and up to two steps of the engine more.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    unasked: list[str] = field(default_factory=list)
    freed_s: list[float] = field(default_factory=list)
    closed_s: list[float] = field(default_factory=list)
    tokens: int = 0
    swaps: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True, kw_only=True)
class Being:
    """A model with the identities that it takes by turns; `identity` is the one it was told last."""

    model: ResidentModel
    prompts: Prompts
    texts: Sequence[str]
    identity: Identity = field(default_factory=lambda: Identity(version=0, text=""))
    versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def next_identity(self, number: int) -> Identity:
        """One of its texts, as a new version."""
        self.identity = Identity(version=next(self.versions), text=self.texts[number], speaker=SPEAKER)
        return self.identity


class Person:
    """One thread's worth of questions, the same for the same seed."""

    def __init__(
        self, number: int, seed: int, beings: Sequence[Being], tally: Tally, over: threading.Event
    ) -> None:
        self._chance = random.Random(f"{seed} {number}")  # noqa: S311  (no secret hangs on it)
        self._name = f"person {number}"
        self._beings = beings
        self._tally = tally
        self._over = over
        self._turns: dict[str, list[Message]] = {}
        self._acts: dict[str, tuple[int, Callable[[Being], str]]] = {
            "asks": (30, self._asks),
            "goes on": (15, self._goes_on),
            "samples": (8, self._samples),
            "chooses": (6, self._chooses),
            "wants JSON": (4, self._wants_json),
            "sets the event": (12, self._sets_the_event),
            "closes": (12, self._closes),
            "hurries": (6, self._hurries),
            "says too much": (4, self._says_too_much),
            "spells no grammar": (3, self._spells_no_grammar),
        }

    def run(self) -> None:
        """Acts until it is over."""
        names = list(self._acts)
        weights = [self._acts[name][0] for name in names]
        while not self._over.is_set():
            name = self._chance.choices(names, weights)[0]
            being = self._chance.choice(self._beings)
            try:
                outcome = self._acts[name][1](being)
            except QueueFullError:
                outcome = "queue full"
                self._over.wait(self._chance.uniform(0.0, 0.2))
            except Exception as error:  # noqa: BLE001  (whatever it is, it is the finding)
                outcome = "unasked"
                with self._tally.lock:
                    self._tally.unasked.append(f"{self._name} {name}: {type(error).__name__}: {error}")
            with self._tally.lock:
                self._tally.outcomes[f"{name}: {outcome}"] += 1

    def _request(self, being: Being, **more: Any) -> GenerateRequest:
        identity = being.identity.text if self._chance.random() < 0.9 else ""
        ask = being.prompts.ask(
            identity,
            question(self._chance.randrange(10_000)),
            max_tokens=self._chance.randint(1, LONGEST_ANSWER),
            user=self._name,
        )
        return replace(ask.request, **more)

    def _heard(self, being: Being, request: GenerateRequest) -> tuple[str, Finish | None]:
        text, finish = "", None
        for piece in being.model.generate(request):
            text += piece.text
            finish = piece.finish or finish
            if piece.usage:
                with self._tally.lock:
                    self._tally.tokens += piece.usage.completion_tokens
        return text, finish

    def _ended(self, being: Being, request: GenerateRequest) -> str:
        _, finish = self._heard(being, request)
        if finish not in {Finish.STOP, Finish.LENGTH}:
            raise AssertionError(f"an answer ended as {finish}")
        return finish.value

    def _asks(self, being: Being) -> str:
        return self._ended(being, self._request(being))

    def _samples(self, being: Being) -> str:
        sampling = Sampling(
            temperature=self._chance.uniform(0.2, 1.5),
            top_k=self._chance.choice((0, 40)),
            top_p=self._chance.choice((1.0, 0.9)),
            min_p=self._chance.choice((0.0, 0.05)),
            repetition=self._chance.choice((1.0, 1.1)),
            seed=self._chance.randrange(2**31),
        )
        return self._ended(
            being, self._request(being, sampling=sampling, logprobs=self._chance.choice((0, 3)))
        )

    def _chooses(self, being: Being) -> str:
        text, _ = self._heard(being, self._request(being, choices=CHOICES))
        if text not in CHOICES:
            raise AssertionError(f"it chose {text!r}")
        return "chosen"

    def _wants_json(self, being: Being) -> str:
        return self._ended(being, self._request(being, json_schema=JSON_SCHEMA))

    def _goes_on(self, being: Being) -> str:
        """A turn more; a conversation that has grown long, or whose identity has changed, begins again."""
        name = f"{self._name} with {being.model.name}"
        request = self._request(being)
        turns = self._turns.get(name, [])
        if len(turns) > 7:
            turns = []
        *system, said = request.messages
        text, finish = self._heard(
            being, replace(request, messages=(*system, *turns, said), conversation=name, max_tokens=24)
        )
        if finish not in {Finish.STOP, Finish.LENGTH}:
            raise AssertionError(f"an answer ended as {finish}")
        self._turns[name] = [*turns, said, Message(role="assistant", speaker=SPEAKER, text=text)]
        return f"turn {len(turns) // 2 + 1}"

    def _sets_the_event(self, being: Being) -> str:
        """Gives up by the event; the last piece comes when the cells are free."""
        cancelled = threading.Event()
        request = self._request(being, cancelled=cancelled, max_tokens=LONGEST_ANSWER)
        pieces = being.model.generate(request)
        given_up: list[float] = []

        def give_up() -> None:
            given_up.append(time.perf_counter())
            cancelled.set()

        timer = threading.Timer(self._chance.uniform(*GIVES_UP_S), give_up)
        timer.start()
        finish = [piece.finish for piece in pieces][-1]
        ended = time.perf_counter()
        timer.cancel()
        timer.join()
        if finish is Finish.CANCELLED:
            with self._tally.lock:
                self._tally.freed_s.append(ended - given_up[0])
            return "cancelled"
        return "was done before"

    def _closes(self, being: Being) -> str:
        """Goes away after a few pieces. Two questions to the engine bracket the step in which it is let go."""
        pieces = being.model.generate(self._request(being, max_tokens=LONGEST_ANSWER))
        wanted = self._chance.choice((0, 0, 1, 3, 8))
        with closing(pieces):  # type: ignore[type-var]
            heard = sum(1 for _ in itertools.islice(pieces, wanted))
        began = time.perf_counter()
        being.model.occupancy()
        being.model.occupancy()
        with self._tally.lock:
            self._tally.closed_s.append(time.perf_counter() - began)
        return "closed" if heard == wanted else "was done before"

    def _hurries(self, being: Being) -> str:
        try:
            return self._ended(being, self._request(being, deadline_s=self._chance.uniform(*HURRIES_S)))
        except DeadlineError:
            return "too late"

    def _says_too_much(self, being: Being) -> str:
        request = self._request(being)
        words = " ".join(f"{number}번째" for number in range(being.model.context_tokens))
        *system, said = request.messages
        try:
            self._heard(being, replace(request, messages=(*system, replace(said, text=words + said.text))))
        except PromptTooLongError:
            return "refused"
        raise AssertionError("a prompt that is too long was taken")

    def _spells_no_grammar(self, being: Being) -> str:
        try:
            self._heard(being, self._request(being, grammar="root ::= ["))
        except BadGrammarError:
            return "refused"
        raise AssertionError("a grammar that is none was taken")
