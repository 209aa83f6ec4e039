"""Messages into the text that a model continues: by its chat template, or as a transcript.

messages ──chat template──▶ text with control tokens        (a model that was taught to chat)
         └─transcript─────▶ "이름: 글" lines, "Echo:" last  (a base model; it stops at the next label)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from llm.base import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm.base import Message

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
ASSISTANT_NAME = "Echo"
WORD_JOINER = "\u2060"  # breaks a mark that a message spells out, and is not seen
MARK = "\ufdd0"  # not a character, so that no text begins with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A text to continue.

    Attributes:
        text: the whole of it, without the start token in the transcript form.
        control: whether control tokens in `text` are meant as such (a chat template wrote them).
        stop: texts that end the answer.
        seam: where the first system message ends, in characters; tokens are not merged across it, so that every
            prompt with the same identity begins with the same tokens.
    """

    text: str
    control: bool
    stop: tuple[str, ...] = ()
    seam: int = 0


class Render(Protocol):
    """A compiled chat template: role and content of each message in, text out; ValueError to refuse."""

    def __call__(self, messages: list[dict[str, Any]]) -> str:
        """The text, with the opening of the assistant's answer last."""
        ...


def transcript(messages: Sequence[Message]) -> Prompt:
    """The system's texts, then one "speaker: text" paragraph a turn; ends with the assistant's label.

    The assistant is called what its last message, else the system message calls itself.
    """
    assistant = _assistant_name(messages)
    systems = [message.text for message in messages if message.role == SYSTEM]
    turns = [
        _speaker(message, assistant) + ": " + message.text for message in messages if message.role != SYSTEM
    ]
    labels = {_speaker(message, assistant) for message in messages if message.role != SYSTEM} | {assistant}
    blocks = [*systems, "\n".join([*turns, f"{assistant}:"])]
    return Prompt(
        text="\n\n".join(blocks),
        control=False,
        stop=tuple(f"\n{label}:" for label in sorted(labels)),
        seam=len(systems[0]) if systems else 0,
    )


def _assistant_name(messages: Sequence[Message]) -> str:
    said = [message.speaker for message in messages if message.role == ASSISTANT]
    introduced = [message.speaker for message in messages if message.role == SYSTEM]
    return next((name for name in [*reversed(said), *introduced] if name), ASSISTANT_NAME)


def _speaker(message: Message, assistant: str) -> str:
    return message.speaker or (assistant if message.role == ASSISTANT else message.role)


def from_template(messages: Sequence[Message], render: Render) -> Prompt:
    """The template's text; where it refuses or leaves out the system's, that goes into the first user's.

    Raises:
        ModelError: the template accepts the conversation in neither form.
    """

    def by_turns(some: Sequence[Message]) -> str:
        return render(_as_chat(alternating(some)))

    def as_they_are(some: Sequence[Message]) -> str:
        return render(_as_chat(some))

    try:
        text = as_they_are(messages)
        if all(message.text.strip() in text for message in messages if message.role == SYSTEM):
            return Prompt(text=text, control=True, seam=_seam(messages, text, as_they_are))
    except ValueError:
        pass  # the second form is for this
    try:
        text = by_turns(messages)
        return Prompt(text=text, control=True, seam=_seam(messages, text, by_turns))
    except ValueError as error:
        raise ModelError(f"The model's chat template refuses the conversation: {error}") from error


def _seam(messages: Sequence[Message], text: str, write: Callable[[Sequence[Message]], str]) -> int:
    """Where the first system message ends in the text; templates may trim it."""
    system = next((message for message in messages if message.role == SYSTEM and message.text.strip()), None)
    if system is None:
        return 0
    words = system.text.strip()
    place = text.find(words)
    if text.find(words, place + 1) >= 0:  # perhaps the template itself has these words, before the message
        marked = [replace(each, text=MARK + each.text) if each is system else each for each in messages]
        differs = (
            at for at, (one, other) in enumerate(zip(text, write(marked), strict=False)) if one != other
        )
        place = text.find(words, next(differs, 0))
    return 0 if place < 0 else place + len(words)


def _as_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.text} for message in messages]


def alternating(messages: Sequence[Message]) -> list[Message]:
    """System messages become the user's, neighbours of one role become one message."""
    turns = [replace(message, role=USER) if message.role == SYSTEM else message for message in messages]
    return [
        replace(first, text="\n\n".join([first.text, *(message.text for message in rest)]))
        for first, *rest in (list(group) for _, group in groupby(turns, key=lambda message: message.role))
    ]
