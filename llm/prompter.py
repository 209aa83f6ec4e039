"""Requests into tokens: the system message's by themselves, so that they are the pinned identity's, then the rest.

messages ─▶ harmless ─▶ template or transcript ─▶ text[:seam] │ text[seam:] ─▶ tokens │ tokens
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from llm.answer_text import OPEN, AnswerText, Thought
from llm.base import GenerateRequest, Identity, Message
from llm.prompt import SYSTEM, USER, Prompt, from_template, transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from llm.family import Family
    from llm.weights import Weights

Made = TypeVar("Made")

REMEMBERED = 8
ANY_QUESTION = "?"


@dataclass(frozen=True, slots=True)
class Prompted:
    """A request's prompt as text and as tokens, (n,) int32; `head` of them are the system message's."""

    prompt: Prompt
    tokens: NDArray[np.int32]
    head: int


class Prompter:
    """Writes prompts for one model, in its family's form; any thread may use it.

    The system message is long and the same for every question, so what was made of the last ones is remembered.
    """

    def __init__(self, weights: Weights, family: Family) -> None:
        self._weights = weights
        self._family = family
        self._lock = threading.Lock()
        self._harmless: OrderedDict[str, str] = OrderedDict()
        self._heads: OrderedDict[str, list[int]] = OrderedDict()

    def __call__(self, request: GenerateRequest) -> Prompted:
        """The prompt of a request.

        Raises:
            ModelError: the chat template refuses the conversation.
        """
        prompt = self._prompt(request)
        head = self._head(prompt)
        tail = self._weights.tail_tokens if head else self._weights.prompt_tokens
        tokens = [*head, *tail(prompt.text[prompt.seam :], control=prompt.control)]
        return Prompted(prompt, np.array(tokens, np.int32), len(head))

    def identity(self, identity: Identity) -> NDArray[np.int32]:
        """The tokens that every prompt with this identity begins with, (n,) int32."""
        messages = (
            Message(role=SYSTEM, speaker=identity.speaker, text=identity.text),
            Message(role=USER, speaker="", text=ANY_QUESTION),
        )
        return np.array(self._head(self._prompt(GenerateRequest(messages=messages))), np.int32)

    def answer_text(self, prompt: Prompt, request: GenerateRequest) -> AnswerText:
        """What turns the answer's tokens into text."""
        thought = Thought.DONE
        if self._family.thinks:
            thought = Thought.THINKING if prompt.text.rstrip().endswith(OPEN) else Thought.NOT_YET
        return AnswerText(stop=(*prompt.stop, *self._family.stop, *request.stop), thought=thought)

    def forget(self) -> None:
        """Drops the texts that are remembered."""
        with self._lock:
            self._harmless.clear()
            self._heads.clear()

    def _prompt(self, request: GenerateRequest) -> Prompt:
        if not self._weights.has_template:
            return transcript(request.messages)
        messages = [replace(each, text=self._made_harmless(each)) for each in request.messages]
        return from_template(messages, self._weights.render)

    def _made_harmless(self, message: Message) -> str:
        def make() -> str:
            return self._weights.harmless(message.text, self._family.stop)

        if message.role != SYSTEM:
            return make()
        return self._remembered(self._harmless, message.text, make)

    def _head(self, prompt: Prompt) -> list[int]:
        text = prompt.text[: prompt.seam]
        if not text:
            return []
        return self._remembered(
            self._heads, text, lambda: self._weights.prompt_tokens(text, control=prompt.control)
        )

    def _remembered(self, made: OrderedDict[str, Made], text: str, make: Callable[[], Made]) -> Made:
        with self._lock:
            if text in made:
                made.move_to_end(text)
                return made[text]
        new = make()
        with self._lock:
            made[text] = new
            while len(made) > REMEMBERED:
                made.popitem(last=False)
        return new
