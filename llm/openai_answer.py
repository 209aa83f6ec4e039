"""Chunks of a streamed answer into pieces: text, thoughts, log-probabilities, and the counts last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm.answer_text import AnswerText, Thought
from llm.base import Finish, Piece, TokenLogprob, Usage
from llm.token_estimate import estimate_tokens

if TYPE_CHECKING:
    from llm.base import GenerateRequest
    from llm.openai_shapes import Choice, Chunk, Likely, Logprobs

TEMPLATE_TOKENS = 4  # what a chat template adds to a message, about


class Answer:
    """Feed it each chunk, show the pieces, stop once `stopped`, and close with `last`."""

    def __init__(self, request: GenerateRequest) -> None:
        self._request = request
        self._text = AnswerText(stop=request.stop, thought=Thought.NOT_YET)
        self._logprobs: list[TokenLogprob] = []
        self._chunks = 0
        self._thought = self._said = False
        self._finish: Finish | None = None
        self._usage: Usage | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop text has come that the server did not see, or far more than was asked for."""
        return self._text.stopped or self._overlong

    @property
    def _overlong(self) -> bool:
        """Some servers pass over `max_tokens`; a token may come in two pieces (thought and text), not in more."""
        return self._chunks > 2 * self._request.max_tokens

    def take(self, chunk: Chunk) -> Piece | None:
        """The piece that a chunk makes sure, if any."""
        if chunk.usage is not None:
            cached = chunk.usage.prompt_tokens_details
            self._usage = Usage(
                prompt_tokens=chunk.usage.prompt_tokens,
                cached_tokens=(cached.cached_tokens if cached else None) or 0,
                completion_tokens=chunk.usage.completion_tokens,
            )
        return self._choice(chunk.choices[0]) if chunk.choices else None

    def last(self, *, cancelled: bool) -> Piece:
        """What was held back, why it ended and what it cost; an estimate where it was left before its end."""
        text = self._text.end()
        self._said = self._said or bool(text)
        finish = self._finish or (Finish.LENGTH if self._overlong else Finish.STOP)
        return Piece(
            text=text,
            thought=self._text.thoughts(),
            logprobs=self._drained(),
            finish=Finish.CANCELLED if cancelled else finish,
            usage=self._usage or self._estimate(),
        )

    @property
    def only_thought(self) -> bool:
        """Whether thoughts came and no word of the answer."""
        return not self._said and (self._thought or self._text.thought is Thought.THINKING)

    def _choice(self, choice: Choice) -> Piece | None:
        content, thought = choice.delta.content or "", choice.delta.thought
        self._chunks += bool(content or thought)
        self._keep(choice.logprobs)
        if choice.finish_reason is not None:
            self._finish = Finish.LENGTH if choice.finish_reason == "length" else Finish.STOP
        text = self._text.feed(content.encode(errors="replace"))
        thought += self._text.thoughts()
        self._thought = self._thought or bool(thought)
        self._said = self._said or bool(text)
        return Piece(text=text, thought=thought, logprobs=self._drained()) if text or thought else None

    def _keep(self, logprobs: Logprobs | None) -> None:
        for said in (logprobs.content if logprobs else None) or ():
            self._logprobs.append(
                TokenLogprob(
                    token=said.id,
                    text=said.token,
                    logprob=said.logprob,
                    top=tuple(_entry(each) for each in said.top_logprobs),
                )
            )

    def _drained(self) -> tuple[TokenLogprob, ...]:
        drained, self._logprobs = tuple(self._logprobs), []
        return drained

    def _estimate(self) -> Usage:
        texts = [message.text for message in self._request.messages]
        return Usage(
            prompt_tokens=sum(estimate_tokens(text) + TEMPLATE_TOKENS for text in texts),
            cached_tokens=0,
            completion_tokens=self._chunks,
        )


def _entry(likely: Likely) -> tuple[int, str, float]:
    return likely.id, likely.token, likely.logprob
