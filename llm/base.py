"""What every model runner offers: a state, a text continuation, and nothing about memory.

absent ──load──▶ loading ──▶ ready ──generate──▶ Piece, Piece, … Piece(usage)
                    └──▶ failed (why)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ModelError(Exception):
    """A model that can't do what was asked; the message names the model, the cause and the remedy."""


class ModelNotReadyError(ModelError):
    """Asked before the model was loaded, or after loading failed."""


class PromptTooLongError(ModelError):
    """The prompt and the answer's room exceed the context; the message gives the numbers in tokens.

    The remedy is the caller's to name: it knows what of the prompt can go and who sets the context.
    """


class State(StrEnum):
    """Where a model stands."""

    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model's state for people: `detail` holds the missing path or the failure's reason."""

    name: str
    family: str
    state: State
    detail: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How a GGUF file is loaded.

    Attributes:
        context_tokens: size of the context window, in tokens.
        gpu_layers: layers kept on the GPU; -1 for all of them.
        threads: CPU threads; 0 for as many as the machine has cores.
    """

    path: Path
    context_tokens: int = 8192
    gpu_layers: int = -1
    threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat: role `system`, `user` or `assistant`, the speaker's name, the text."""

    role: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """What to continue.

    Attributes:
        messages: the first is the system message (identity); the last is the question.
        max_tokens: the longest answer, in tokens.
        temperature: 0 for greedy.
        choices: where not empty, the answer is exactly one of these sentences (a quoting model).
    """

    messages: tuple[Message, ...]
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one answer; `cached_tokens` of the prompt were in the KV cache already."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A bit of answer text as it is computed; the last piece carries the usage."""

    text: str
    usage: Usage | None = None


class Generator(Protocol):
    """A language model behind one small door; `memoryd.testing.FakeGenerator` is its fake."""

    @property
    def name(self) -> str:
        """The name that a request's `model` field uses (`bundled`, `mixtral`, …)."""
        ...

    @property
    def quotes(self) -> bool:
        """Whether the model only chooses among `GenerateRequest.choices` (the bundled one does)."""
        ...

    def status(self) -> ModelStatus:
        """The state now; never blocks."""
        ...

    def load(self) -> None:
        """Loads the weights (seconds to minutes). Failure ends in state `failed`, not in an error."""
        ...

    def count_tokens(self, text: str) -> int:
        """Length of a text in this model's tokens.

        Raises:
            ModelNotReadyError: the model is not loaded.
        """
        ...

    @property
    def context_tokens(self) -> int:
        """The context window in tokens, as loaded."""
        ...

    def generate(self, request: GenerateRequest) -> Iterator[Piece]:
        """Streams the answer; one request at a time, others wait. Closing the iterator stops it.

        Raises:
            ModelNotReadyError: the model is not loaded.
            PromptTooLongError: before anything is computed.
        """
        ...

    def forget(self) -> None:
        """Drops what is kept of earlier prompts, after the answer under way; nothing where none is loaded."""
        ...

    def close(self) -> None:
        """Frees the weights; the state is `absent` after it."""
        ...
