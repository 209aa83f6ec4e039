"""Continuous batching for one model: each step computes one token of every answer and a piece of the prompts.

        ┌── a token of each answer under way ──┐
step ─▶ ├── prompts that have just come ───────┼─▶ decode ─▶ draw ─▶ Piece, Piece, …
        └── the next identity, if time is left ┘

The step is as large as fits into about a sixth of a second, so that nobody waits long for a word and a
request that was given up is gone by the next one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llm.base import DeadlineError, Finish, ModelError, ModelNotReadyError, PromptTooLongError, Usage
from llm.engine.cache import Cache, Lane, Memory
from llm.engine.identity_file import Sample, StoredIdentity
from llm.engine.pins import Pin
from llm.engine.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from llm.batch import Batch
    from llm.engine.identity_file import State
    from llm.engine.job import Job

log = logging.getLogger(__name__)

SMALLEST_STEP = 16
FIRST_STEP = 64
LONG_STEP_S = 0.16
# Of a step that takes less, one of twice the tokens is not too long: a step that a busy minute halved grows again.
SHORT_STEP_S = LONG_STEP_S / 2
# While nobody is answered: large steps are quicker a token, and whoever comes waits half a second.
IDLE_STEPS = 4


class Computer(Memory, Protocol):
    """What computes; `llm.context.Context` is one, and its docstrings hold."""

    def decode(self, batch: Batch) -> bool: ...  # noqa: D102

    def logits(self, row: int) -> NDArray[np.float32]: ...  # noqa: D102

    def state(self, sequence: int) -> State: ...  # noqa: D102

    def restore(self, sequence: int, data: State) -> bool: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """What a model is at, for people and tests. Cells in tokens."""

    running: int
    waiting: int
    kept: int
    cells: int
    cells_used: int
    cells_pinned: int
    stray: int


@dataclass(slots=True)
class _Part:
    """What one step computes of one lane or identity: `count` tokens, their last row wanted or not."""

    owner: Lane | Pin
    count: int
    row: int | None


class Batcher:
    """One model's answers, stepped by the engine's thread.

    `submit` may be called from any thread, everything else from the engine's.
    """

    def __init__(
        self,
        name: str,
        context: Computer,
        batch: Batch,
        *,
        parallel: int,
        waiting: int,
        on_pinned: Callable[[int], None] = lambda _version: None,
        on_computed: Callable[[NDArray[np.int32], StoredIdentity], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Starts with an empty cache.

        Args:
            name: the model's, for messages.
            context: computes; closed by `close`.
            batch: is filled for it.
            parallel: how many answers at once.
            waiting: how many more may wait.
            on_pinned: told the version of an identity that is in force now.
            on_computed: given an identity that was computed, to be kept on disk; None to keep none.
            clock: seconds, to measure steps.
        """
        self.name = name
        self.queue = Waiting(waiting)
        self.cache = Cache(context)
        self._context = context
        self._batch = batch
        self._parallel = parallel
        self._on_pinned = on_pinned
        self._on_computed = on_computed
        self._clock = clock
        self._lanes: list[Lane] = []
        self._step_tokens = min(FIRST_STEP, batch.size)
        self._wiped: list[Callable[[], None]] = []
        self._pin_after_wipe: Pin | None = None
        self._over = False

    # -- from any thread

    def submit(self, job: Job) -> bool:
        """Takes a request in; False where as many wait as may.

        Raises:
            ModelError: the model was closed, or failed.
        """
        return self.queue.add(job, free_places=self._parallel - len(self._lanes))

    # -- by the engine

    def step(self) -> bool:
        """Computes one batch; False where there is nothing to do."""
        self.sweep()
        if self._wiped and not self._lanes:
            self._wipe()
        self._begin_identity()
        self._admit()
        larger = 1 if self._lanes else IDLE_STEPS
        parts = self._fill(self._step_tokens * larger)
        if not parts:
            return bool(self._lanes)
        began, tokens = self._clock(), self._batch.length
        while not self._context.decode(self._batch):
            parts = self._smaller(parts)
            if not parts:
                return True
            began, tokens = self._clock(), self._batch.length
        took = self._clock() - began
        for part in parts:
            self._computed(part)
        self._adapt(tokens / larger, took / larger)
        return True

    def pin(self, pin: Pin) -> None:
        """Wants another identity; see `Generator.pin`. Nothing where the model was closed, or is too small for it."""
        if self._over:
            return
        if self._wiped:  # else it would be forgotten with what came before
            self._pin_after_wipe = pin
            return
        if len(pin.tokens) >= self.cache.cells.total:
            log.error(
                "model %s: identity %d has %d tokens and the cache %d. Raise llm.cache_tokens.",
                self.name,
                pin.version,
                len(pin.tokens),
                self.cache.cells.total,
            )
            return
        self.cache.want(pin)
        if self.cache.next_pin is None and self.cache.pin is not None:
            self._on_pinned(pin.version)

    def wipe(self, done: Callable[[], None]) -> None:
        """Forgets all, once the answers under way have ended; the next ones wait for it."""
        if self._over:
            done()
        else:
            self._pin_after_wipe = None
            self._wiped.append(done)

    def fail(self, error: ModelError) -> None:
        """Ends every request with an error; the cache is not used again."""
        self._over = True
        for lane in self._lanes:
            lane.job.end(error)
        self._lanes.clear()
        for job in self.queue.close(error):
            job.end(error)
        for done in self._wiped:
            done()
        self._wiped.clear()

    def close(self) -> None:
        """Frees the context."""
        self._over = True
        self._context.close()

    def occupancy(self) -> Occupancy:
        """What it is at now.

        Raises:
            ModelNotReadyError: the model was closed, or failed.
        """
        if self._over:
            raise ModelNotReadyError(f"The model {self.name} was closed.")
        return Occupancy(
            running=len(self._lanes),
            waiting=len(self.queue),
            kept=self.cache.kept,
            cells=self.cache.cells.total,
            cells_used=self.cache.cells.used,
            cells_pinned=self.cache.pinned,
            stray=self.cache.stray(),
        )

    # -- who is answered

    def sweep(self) -> None:
        """Lets go of requests that were given up or are overdue, and frees their cells."""
        for lane in [lane for lane in self._lanes if lane.job.given_up or lane.job.overdue]:
            if lane.job.given_up:
                lane.job.answer.finish = Finish.CANCELLED
                self._end(lane)
            else:
                self._end(lane, _too_late(self.name, len(lane.said)))
        for job in self.queue.take_if(lambda job: job.given_up or job.overdue):
            if job.given_up:
                job.answer.finish = Finish.CANCELLED
                _last_piece(job, cached=0)
            else:
                job.end(_too_late(self.name, 0))

    def _admit(self) -> None:
        if self.cache.next_waits and self._lanes:  # else those who come would keep its cells from it for ever
            return
        while len(self._lanes) < self._parallel and not self._wiped:
            job = self.queue.first()
            if job is None or self._awaits_identity(job):
                return
            if not self._fits(job):
                self.queue.begun(job)
                continue
            lane = self.cache.open(job)
            if lane is None:
                return
            self.queue.begun(job)
            self._lanes.append(lane)

    def _awaits_identity(self, job: Job) -> bool:
        """Whether the identity that it begins with is being computed, so that it need not be computed twice."""
        coming, here = self.cache.next_pin, self.cache.pin
        return coming is not None and coming.begins(job.prompt) and not (here and here.begins(job.prompt))

    def _fits(self, job: Job) -> bool:
        needed, most = len(job.prompt) + job.room, self.cache.most(job.prompt)
        if needed <= most:
            return True
        job.end(
            PromptTooLongError(
                f"The prompt has {len(job.prompt)} tokens and the answer needs room for {job.room}; the cache of the "
                f"model {self.name} has room for {most} beside the identity. Raise llm.cache_tokens."
            )
        )
        return False

    def _end(self, lane: Lane, error: ModelError | None = None) -> None:
        self._lanes.remove(lane)
        if error is None:
            _last_piece(lane.job, cached=lane.cached)
        else:
            lane.job.end(error)
        self.cache.close(lane, keep=error is None)

    # -- what is computed

    def _fill(self, budget: int) -> list[_Part]:
        """Fills the batch: a token of each answer, then at most `budget` tokens of prompts and the identity."""
        self._batch.clear()
        parts: list[_Part] = []
        for lane in self._lanes:
            if not lane.prompt_left:
                row = self._batch.add(lane.said[-1:], lane.length, lane.sequence, wanted=True)
                parts.append(_Part(lane, 1, row))
        budget = min(budget, self._batch.room)
        for lane, count in _shares(self._lanes, budget).items():
            whole = count == lane.prompt_left
            tokens = lane.job.prompt[lane.length : lane.length + count]
            row = self._batch.add(tokens, lane.length, lane.sequence, wanted=whole)
            parts.append(_Part(lane, count, row if whole else None))
            budget -= count
        pin = self.cache.next_pin
        if budget and pin is not None and pin.sequence >= 0:
            count = min(budget, len(pin.tokens) - pin.computed)
            tokens = pin.tokens[pin.computed : pin.computed + count]
            self._batch.add(tokens, pin.computed, pin.sequence, wanted=False)
            parts.append(_Part(pin, count, None))
        return parts

    def _computed(self, part: _Part) -> None:
        """Takes account of a part; the identity's comes last, since proving it computes again."""
        owner = part.owner
        if isinstance(owner, Pin):
            owner.computed += part.count
            if owner.ready:
                self._adopt()
            return
        owner.length += part.count
        if part.row is None:
            return
        try:
            token, piece = owner.job.answer.draw(self._context.logits(part.row))
        except Exception as error:  # one request's sampler must not end the others
            log.exception("model %s: an answer failed", self.name)
            self._end(
                owner, ModelError(f"The model {self.name} failed in the middle of an answer: {error!r}")
            )
            return
        owner.said.append(token)
        if piece is not None:
            owner.job.put(piece)
        if owner.job.answer.finish is not None:
            self._end(owner)

    def _smaller(self, parts: list[_Part]) -> list[_Part]:
        """A smaller batch after the cache had no room: fewer kept conversations, shorter prompts, one answer less."""
        if self.cache.make_room():
            return self._fill(self._step_tokens)
        prefill = sum(part.count for part in parts if part.count > 1 or part.row is None)
        if prefill > 1:
            return self._fill(prefill // 2)
        last = self._lanes[-1] if self._lanes else None
        if last is None:
            raise ModelError(
                f"The cache of the model {self.name} has no room for its identity. Raise llm.cache_tokens."
            )
        log.error("model %s: no cells left, which the account should have prevented", self.name)
        self._end(last, ModelError(f"The model {self.name} ran out of cells. Raise llm.cache_tokens."))
        return self._fill(self._step_tokens)

    def _adapt(self, tokens: float, took: float) -> None:
        """Larger steps where they are quick, smaller ones where they are slow."""
        if took > LONG_STEP_S and tokens > SMALLEST_STEP:
            self._step_tokens = max(SMALLEST_STEP, self._step_tokens // 2)
        elif took < SHORT_STEP_S and tokens >= self._step_tokens:
            self._step_tokens = min(self._batch.size, self._step_tokens * 2)

    # -- the identity

    def _begin_identity(self) -> None:
        """Finds room for the next identity, and takes what an earlier run kept of it."""
        waited = self.cache.next_waits
        pin = self.cache.begin_next(idle=not self._lanes)
        if pin is None or not waited:
            return
        if pin.stored is not None:
            self._restore(pin)
        if pin.ready:
            self._adopt()
        else:
            log.info("model %s: computing identity %d, %d tokens", self.name, pin.version, len(pin.tokens))

    def _adopt(self) -> None:
        pin = self.cache.adopt_next()
        log.info("model %s: identity %d is in force, %d tokens", self.name, pin.version, len(pin.tokens))
        self._on_pinned(pin.version)
        if self._on_computed is not None and pin.stored is None and (sample := self._sample(pin)):
            self._on_computed(pin.tokens, StoredIdentity(sample, self._context.state(pin.sequence)))
        pin.stored = None

    def _restore(self, pin: Pin) -> None:
        """Takes what was computed in an earlier run, if computing on from it gives the same logits."""
        stored = pin.stored
        assert stored is not None  # noqa: S101
        if self._context.restore(pin.sequence, stored.state) and self._length_is(pin):
            pin.computed = len(pin.tokens)
            if (logits := self._logits_behind(pin)) is not None and stored.sample.agrees(logits):
                log.info("model %s: identity %d was kept on disk", self.name, pin.version)
                pin.restored = True
                return
        log.warning(
            "model %s: what was kept of identity %d is not the same; computing it", self.name, pin.version
        )
        self._context.cut(pin.sequence)
        pin.computed = 0
        pin.stored = None

    def _length_is(self, pin: Pin) -> bool:
        return self._context.length(pin.sequence) == len(pin.tokens)

    def _sample(self, pin: Pin) -> Sample | None:
        logits = self._logits_behind(pin)
        return None if logits is None else Sample.of(logits)

    def _logits_behind(self, pin: Pin) -> NDArray[np.float32] | None:
        """The logits after the identity and its last token once more, in a sequence lent for it.

        Not those of the last token itself: of a sliding window, a kept identity has just what the next token sees.
        """
        end = len(pin.tokens)
        sequence = self.cache.spare() if self.cache.cells.free > 0 else None
        if sequence is None:
            return None
        try:
            self._context.copy(pin.sequence, sequence, end)
            self._batch.clear()
            row = self._batch.add(pin.tokens[-1:], end, sequence, wanted=True)
            return self._context.logits(row) if self._context.decode(self._batch) else None
        finally:
            self.cache.give_back(sequence)

    def _wipe(self) -> None:
        self.cache.wipe()
        for job in self.queue.jobs():
            job.conversation = ""  # it was written before: what it holds is not to be kept either
        pin, self._pin_after_wipe = self._pin_after_wipe, None
        for done in self._wiped:
            done()
        self._wiped.clear()
        if pin is not None:
            self.pin(pin)


def _shares(lanes: list[Lane], budget: int) -> dict[Lane, int]:
    """How much of each prompt is computed: half of it all for the one that came first, then the shortest first.

    So a short question does not wait for a long prompt, and a long prompt is not starved by short questions.
    """
    prompts = [lane for lane in lanes if lane.prompt_left]
    counts = dict.fromkeys(prompts, 0)
    for lane in prompts[:1]:
        counts[lane] = min(lane.prompt_left, (budget + 1) // 2)
        budget -= counts[lane]
    for lane in sorted(prompts, key=lambda lane: lane.prompt_left - counts[lane]):
        more = min(lane.prompt_left - counts[lane], budget)
        counts[lane] += more
        budget -= more
    return {lane: count for lane, count in counts.items() if count}


def _last_piece(job: Job, *, cached: int) -> None:
    usage = Usage(prompt_tokens=len(job.prompt), cached_tokens=cached, completion_tokens=job.answer.computed)
    try:
        job.put(job.answer.last(usage))
    except ModelError as error:
        job.end(error)
    except Exception as error:  # else whoever asked would wait for ever
        log.exception("an answer failed at its end")
        job.end(ModelError(f"The answer failed at its end: {error!r}"))
    else:
        job.end()


def _too_late(name: str, said: int) -> DeadlineError:
    return DeadlineError(
        f"The model {name} had {said} tokens of the answer when its time was over. Give it more, or ask for less."
    )
