"""One answer as it grows: a token drawn from the logits, the text that it makes sure, and when it is over.

logits ─▶ draw ─▶ token ─▶ Piece(text, thought, logprobs) …   finish: stop, length
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from llm.answer_text import AnswerText, Thought
from llm.base import Finish, ModelError, Piece, TokenLogprob, Usage
from llm.sampler import GrammarEndsError, Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.choices import Choices
    from llm.weights import Weights


class Answer(Protocol):
    """What the batcher asks for tokens. `finish` says that it is over."""

    finish: Finish | None
    computed: int

    def draw(self, logits: NDArray[np.float32]) -> tuple[int, Piece | None]:
        """The next token, from logits of shape (vocabulary,), and what can be shown by now."""
        ...

    def last(self, usage: Usage) -> Piece:
        """The last piece, with what was held back.

        Raises:
            ModelError: there is no answer to give.
        """
        ...


class Writing:
    """A free answer. `computed` counts its tokens, without the one that ends it."""

    def __init__(
        self, weights: Weights, sampler: Sampler, text: AnswerText, *, max_tokens: int, logprobs: int = 0
    ) -> None:
        self.finish: Finish | None = None
        self.computed = 0
        self._weights = weights
        self._sampler = sampler
        self._text = text
        self._max_tokens = max_tokens
        self._top = logprobs
        self._logprobs: list[TokenLogprob] = []

    def draw(self, logits: NDArray[np.float32]) -> tuple[int, Piece | None]:
        """The next token and the text that is sure now."""
        try:
            token = self._sampler.draw(logits)
        except GrammarEndsError:
            self.finish = Finish.STOP
            return self._weights.end_token, None
        if self._weights.ends(token):
            self.finish = Finish.STOP
            return token, None
        self.computed += 1
        if self._top:
            self._logprobs.append(_logprob(self._weights, logits, token, self._top))
        text = self._text.feed(self._weights.token_bytes(token))
        if self._text.stopped:
            self.finish = Finish.STOP
        elif self.computed >= self._max_tokens:
            self.finish = Finish.LENGTH
        thought = self._text.thoughts()
        if not text and not thought:
            return token, None
        return token, Piece(text=text, thought=thought, logprobs=self._taken())

    def last(self, usage: Usage) -> Piece:
        """What was held back, in case it had become a stop text."""
        text = self._text.end()
        if self._text.thought is Thought.THINKING and self.finish is not Finish.CANCELLED:
            raise ModelError(f"The model only thought, for {self.computed} tokens. Raise llm.max_tokens.")
        return Piece(
            text=text,
            thought=self._text.thoughts(),
            logprobs=self._taken(),
            finish=self.finish,
            usage=usage,
        )

    def _taken(self) -> tuple[TokenLogprob, ...]:
        taken, self._logprobs = tuple(self._logprobs), []
        return taken


class Choosing:
    """One of a few sentences, computed only until one is left. `computed` counts what that took."""

    def __init__(self, choices: Choices) -> None:
        self.finish: Finish | None = None
        self.computed = 0
        self._choices = choices
        self._said: list[int] = []

    def draw(self, logits: NDArray[np.float32]) -> tuple[int, Piece | None]:
        """The likeliest token of those that some sentence goes on with."""
        token = max(self._choices.next_tokens(self._said), key=logits.__getitem__)
        self._said.append(token)
        self.computed += 1
        if self._choices.decided(self._said) is not None:
            self.finish = Finish.STOP
        return token, None

    def last(self, usage: Usage) -> Piece:
        """The sentence, whole; nothing where it was cancelled before it was decided."""
        return Piece(text=self._choices.decided(self._said) or "", finish=self.finish, usage=usage)


def _logprob(weights: Weights, logits: NDArray[np.float32], token: int, top: int) -> TokenLogprob:
    """Log-probabilities by the model itself, before temperature and the like."""
    most = float(logits.max())
    total = most + float(np.log(np.exp(logits - most, dtype=np.float64).sum()))
    count = min(top, len(logits))
    likeliest = np.argpartition(logits, -count)[-count:]
    likeliest = likeliest[np.argsort(-logits[likeliest], kind="stable")]

    def text(of: int) -> str:
        return weights.token_bytes(of).decode(errors="replace")

    return TokenLogprob(
        token=token,
        text=text(token),
        logprob=float(logits[token]) - total,
        top=tuple((int(each), text(int(each)), float(logits[each]) - total) for each in likeliest),
    )
