"""From token bytes to the answer as people read it, bit by bit.

bytes ──UTF-8──▶ text ──Thinking──▶ without <think>…</think> ──Stops──▶ up to the stop text, ends trimmed
                             └────▶ what was thought, apart
"""

from __future__ import annotations

import codecs
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

OPEN, CLOSE = "<think>", "</think>"


class Thought(StrEnum):
    """Where a model that may think stands in its answer."""

    NOT_YET = "not yet"
    THINKING = "thinking"
    DONE = "done"


class AnswerText:
    """Feed it each token's bytes, show what it returns, and stop once `stopped`.

    A syllable whose bytes come in several tokens is held until it is whole, and so is what may yet turn
    out to be a stop text, a tag, or white space at the end. Bytes that can't be UTF-8 become U+FFFD; a
    syllable that the token limit cuts in two is left off.
    """

    def __init__(self, *, stop: Sequence[str] = (), thought: Thought = Thought.DONE) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._thinking = _Thinking(thought)
        self._stops = _Stops(stop)

    @property
    def stopped(self) -> bool:
        """Whether a stop text has come."""
        return self._stops.stopped

    @property
    def thought(self) -> Thought:
        """Where the thinking stands."""
        return self._thinking.state

    def feed(self, data: bytes) -> str:
        """The text that is sure now; often ""."""
        return self._stops.feed(self._thinking.feed(self._utf8.decode(data)))

    def thoughts(self) -> str:
        """What was thought since this was asked last; often ""."""
        return self._thinking.take_thoughts()

    def end(self) -> str:
        """The text that was held and turned out to be plain."""
        return self._stops.feed(self._thinking.end()) + self._stops.end()


class _Thinking:
    """Puts one leading `<think>…</think>` apart; later tags are text like any other."""

    def __init__(self, state: Thought) -> None:
        self.state = state
        self._held = ""
        self._thoughts = ""
        self._trim = _Stops(())

    def feed(self, text: str) -> str:
        if self.state is Thought.DONE:
            return text
        self._held += text
        if self.state is Thought.NOT_YET:
            start = self._held.lstrip()
            if start.startswith(OPEN):
                self.state = Thought.THINKING
                self._held = start.removeprefix(OPEN)
            elif not OPEN.startswith(start):
                return self._release()
        if self.state is Thought.THINKING:
            thought, tag, after = self._held.partition(CLOSE)
            if tag:
                self._held = after
                self._thoughts += self._trim.feed(thought)
                return self._release()
            sure = len(self._held) - _beginning_at_the_end(self._held, (CLOSE,))
            self._thoughts += self._trim.feed(self._held[:sure])
            self._held = self._held[sure:]
        return ""

    def take_thoughts(self) -> str:
        thoughts, self._thoughts = self._thoughts, ""
        return thoughts

    def end(self) -> str:
        return "" if self.state is Thought.THINKING else self._release()

    def _release(self) -> str:
        self.state = Thought.DONE
        text, self._held = self._held, ""
        return text


class _Stops:
    """Cuts at the first stop text, and trims white space at both ends."""

    def __init__(self, stop: Sequence[str]) -> None:
        self.stopped = False
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self._begun = False

    def feed(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        cuts = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if cuts:
            self.stopped = True
            self._held = self._held[: min(cuts)]
            return self._take(len(self._held))
        return self._take(len(self._held) - _beginning_at_the_end(self._held, self._stop))

    def end(self) -> str:
        return self._take(len(self._held))

    def _take(self, length: int) -> str:
        """Up to `length` characters of what is held, without the white space around the answer."""
        if not self._begun:
            # Of what is sure only: a stop text may begin with white space.
            white = length - len(self._held[:length].lstrip())
            self._held = self._held[white:]
            length -= white
        sure = self._held[:length].rstrip()
        self._held = self._held[len(sure) :]
        self._begun = self._begun or bool(sure)
        return sure


def _beginning_at_the_end(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of a text that begins one of the marks."""
    # No longer than the text: a mark may be of any length (a speaker's name), and this is asked after each token.
    return max(
        (
            size
            for mark in marks
            for size in range(1, min(len(mark), len(text) + 1))
            if text.endswith(mark[:size])
        ),
        default=0,
    )
