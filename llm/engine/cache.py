"""What the KV cache holds, and for whom: the identity, the answers under way, the conversations kept for later.

sequence 0, 1, 2 …    pinned identity ──cells shared──▶ answer under way ──done──▶ kept conversation
                                                             ▲                          │ next turn
                                                             └──────────────────────────┘
Cells are reserved before anything is computed. Short of cells, the conversation that was used least recently goes.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from llm.engine.cells import Cells
from llm.engine.pins import Pin, usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.engine.job import Job

log = logging.getLogger(__name__)


class Memory(Protocol):
    """What is asked of a context about its sequences; `llm.context.Context` is one."""

    cells: int
    sequences: int

    def copy(self, source: int, target: int, length: int) -> None:
        """Lets an empty sequence begin with another's first tokens."""
        ...

    def cut(self, sequence: int, length: int = 0) -> bool:
        """Removes what comes after the first `length` tokens; False where that can't be."""
        ...

    def clear(self) -> None:
        """Empties all of it, numbers too."""
        ...

    def length(self, sequence: int) -> int:
        """How many tokens a sequence holds."""
        ...

    def whole(self, sequence: int, length: int) -> bool:
        """Whether all is there that a token sees which comes after the first `length`."""
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class Lane:
    """An answer under way in a sequence of its own.

    Attributes:
        length: how many tokens of it are in the cache.
        base: the identity whose cells it begins with, `base_length` of them.
        cached: how many tokens of the prompt it did not have to compute.
        said: the tokens drawn so far; the last one is not in the cache yet.
    """

    job: Job
    sequence: int
    length: int
    base: Pin | None
    base_length: int
    cached: int
    said: list[int] = field(default_factory=list)

    @property
    def prompt_left(self) -> int:
        """How many tokens of the prompt are still to be computed."""
        return max(0, len(self.job.prompt) - self.length)

    def tokens(self) -> NDArray[np.int32]:
        """What of it is in the cache."""
        return np.concatenate([self.job.prompt, np.array(self.said, np.int32)])[: self.length]


@dataclass(slots=True, eq=False, kw_only=True)
class Kept:
    """A conversation as its last answer left it."""

    sequence: int
    tokens: NDArray[np.int32]
    base: Pin | None
    base_length: int

    def usable(self, prompt: NDArray[np.int32]) -> int:
        """How many of its tokens needn't be computed for a prompt; see `Pin.usable`."""
        return usable(self.tokens, prompt, least=self.base_length)  # less has the identity itself


class Cache:
    """Sequences and cells of one context; used by the engine's thread only."""

    def __init__(self, memory: Memory) -> None:
        """Starts with nothing known of an empty context."""
        self._memory = memory
        self._free = list(range(memory.sequences))
        self.cells = Cells(memory.cells)
        self.pin: Pin | None = None
        self.next_pin: Pin | None = None
        self._retired: list[Pin] = []
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    # -- answers

    def open(self, job: Job) -> Lane | None:
        """A sequence that begins with all that is known of the prompt; None while cells or sequences are short."""
        kept = self._kept.get(job.conversation) if job.conversation else None
        if kept is not None:
            length = self._usable(kept, job.prompt)
            pinned = self._usable(self.pin, job.prompt)
            if length > pinned:
                lane = self._go_on(job, kept, length)
                if lane is not None or kept.base_length >= pinned:
                    return lane
                self._drop(job.conversation)  # it began before the identity, whose cells take less room
        base = self.pin
        length = self._usable(base, job.prompt)
        if not self._reserve(job, len(job.prompt) - length + job.room) or not self._any_sequence():
            self.cells.release(job)
            return None
        sequence = self._free.pop()
        if base is not None and length:
            self._memory.copy(base.sequence, sequence, length)
            base.users += 1
        return Lane(
            job=job,
            sequence=sequence,
            length=length,
            base=base if length else None,
            base_length=length,
            cached=length,
        )

    def close(self, lane: Lane, *, keep: bool) -> None:
        """Ends an answer: its cells are kept for the next turn of its conversation, or freed."""
        name, base = lane.job.conversation, lane.base
        if base is not None:
            base.users -= 1
        if keep and name and lane.length and not (base and base.retired):
            tokens = lane.tokens()
            self._drop(name)
            self._kept[name] = Kept(
                sequence=lane.sequence, tokens=tokens, base=base, base_length=lane.base_length
            )
            self.cells.move(lane.job, name)
            self.cells.reserve(name, len(tokens) - lane.base_length)
        else:
            self.cells.release(lane.job)
            self.give_back(lane.sequence)
        self._free_retired()

    def make_room(self) -> bool:
        """Lets go of the conversation that was used least recently; False where none is kept."""
        if not self._kept:
            return False
        self._drop(next(iter(self._kept)))
        return True

    def most(self, prompt: NDArray[np.int32]) -> int:
        """The most cells that a request with this prompt could ever get."""
        pins = [pin for pin in (self.pin, self.next_pin) if pin and pin.sequence >= 0]
        return self.cells.total - sum(len(pin.tokens) for pin in pins if not pin.begins(prompt))

    # -- identities

    def want(self, pin: Pin) -> None:
        """Asks for another identity; another one that is being computed and not yet in force is given up."""
        if self.next_pin is not None and np.array_equal(self.next_pin.tokens, pin.tokens):
            self.next_pin.version = pin.version
            return
        self._abandon_next()
        if self.pin is not None and np.array_equal(self.pin.tokens, pin.tokens):
            self.pin.version = pin.version
            return
        self.next_pin = pin

    @property
    def next_waits(self) -> bool:
        """Whether an identity is wanted that has no cells yet."""
        return self.next_pin is not None and self.next_pin.sequence < 0

    def begin_next(self, *, idle: bool) -> Pin | None:
        """The wanted identity with a sequence and cells; None while there is none, or no room for both.

        Where both never fit and nobody is being answered (`idle`), the one in force makes room.
        """
        pin = self.next_pin
        if pin is None or pin.sequence >= 0:
            return pin
        if not idle and len(pin.tokens) > self._most_now(pin):
            return None  # else all kept conversations would go, and in vain
        while not self.cells.reserve(pin, len(pin.tokens)):
            if self.make_room():
                continue
            if not idle or self.pin is None:
                return None
            log.info("the cache is too small for two identities: the old one goes first")
            self._retire()
        if not self._any_sequence():
            self.cells.release(pin)
            return None
        pin.sequence = self._free.pop()
        return pin

    def adopt_next(self) -> Pin:
        """Puts the identity that was just computed in force."""
        pin = self.next_pin
        assert pin is not None  # noqa: S101  (the batcher has just computed it)
        self.next_pin = None
        self._retire()
        self.pin = pin
        return pin

    def _retire(self) -> None:
        if self.pin is not None:
            self.pin.retired = True
            self._retired.append(self.pin)
            self.pin = None
        # What goes on from an identity that is no more begins with other tokens than any prompt to come.
        for name in [name for name, kept in self._kept.items() if kept.base and kept.base.retired]:
            self._drop(name)
        self._free_retired()

    def _free_retired(self) -> None:
        for pin in [pin for pin in self._retired if not pin.users]:
            self._retired.remove(pin)
            self.cells.release(pin)
            self.give_back(pin.sequence)

    def _abandon_next(self) -> None:
        if self.next_pin is not None and self.next_pin.sequence >= 0:
            self.cells.release(self.next_pin)
            self.give_back(self.next_pin.sequence)
        self.next_pin = None

    # -- all of it

    def spare(self) -> int | None:
        """An empty sequence, lent until `give_back`; None where there is none."""
        return self._free.pop() if self._any_sequence() else None

    def give_back(self, sequence: int) -> None:
        """Empties a sequence and makes it free again."""
        self._memory.cut(sequence)
        self._free.append(sequence)

    def wipe(self) -> None:
        """Lets go of all that is kept and overwrites the whole cache; nothing may be under way."""
        self._abandon_next()
        while self.make_room():
            pass
        self._retire()
        self._memory.clear()

    @property
    def kept(self) -> int:
        """How many conversations are kept."""
        return len(self._kept)

    @property
    def pinned(self) -> int:
        """Cells of identities, in force, to come or retired."""
        return sum(self.cells.of(pin) for pin in [self.pin, self.next_pin, *self._retired] if pin)

    def stray(self) -> int:
        """Tokens in sequences that should be empty; anything but 0 is a defect."""
        return sum(self._memory.length(sequence) for sequence in self._free)

    def _usable(self, held: Pin | Kept | None, prompt: NDArray[np.int32]) -> int:
        """How many of the tokens that are held needn't be computed for a prompt."""
        length = held.usable(prompt) if held else 0
        return length if held and length and self._memory.whole(held.sequence, length) else 0

    def _go_on(self, job: Job, kept: Kept, length: int) -> Lane | None:
        """The kept sequence itself, cut back to what the prompt begins with: more than the identity's part of it."""
        # Out of the list while cells are sought, or it might be the one that has to go.
        self._kept.pop(job.conversation)
        self.cells.move(job.conversation, job)
        if not self._reserve(job, len(job.prompt) - kept.base_length + job.room):
            self.cells.move(job, job.conversation)
            self._kept[job.conversation] = kept
            self._kept.move_to_end(job.conversation, last=False)
            return None
        self._memory.cut(kept.sequence, length)
        if kept.base is not None:
            kept.base.users += 1
        return Lane(
            job=job,
            sequence=kept.sequence,
            length=length,
            base=kept.base,
            base_length=kept.base_length,
            cached=length,
        )

    def _reserve(self, job: Job, count: int) -> bool:
        if count > self._most_now(job):  # else all kept conversations would go, and in vain
            return False
        while not self.cells.reserve(job, count):
            if not self.make_room():
                return False
        return True

    def _most_now(self, owner: Job | Pin) -> int:
        """The most cells that it gets while the answers under way go on."""
        return self.cells.of(owner) + self.cells.free + sum(map(self.cells.of, self._kept))

    def _any_sequence(self) -> bool:
        return bool(self._free) or self.make_room()

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self.cells.release(name)
            self.give_back(kept.sequence)
