"""What every model runner offers: a state, a text continuation, and nothing about memory.

absent ──load──▶ loading 37 % ──▶ ready ──generate──▶ Piece, Piece, … Piece(finish, usage)
                    └──▶ failed (why)  │
                                       └─pin(identity)─▶ computed in spare steps, then every prompt starts with it
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

KvType = Literal["f32", "f16", "q8_0"]
"""How keys and values are kept in the cache."""


class ModelError(Exception):
    """A model that can't do what was asked; the message names the model, the cause and the remedy."""


class ModelNotReadyError(ModelError):
    """Asked before the model was loaded, or after loading failed."""


class PromptTooLongError(ModelError):
    """The prompt and the answer's room exceed the context; the message gives the numbers in tokens.

    The remedy is the caller's to name: it knows what of the prompt can go and who sets the context.
    """


class QueueFullError(ModelError):
    """As many requests wait as may.

    Attributes:
        retry_after_s: when to try again, in seconds.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(ModelError):
    """The answer was not done within its request's `deadline_s`; what was said until then was given."""


class BadGrammarError(ModelError):
    """A grammar or JSON schema that can't be used; the message says why."""


class State(StrEnum):
    """Where a model stands."""

    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A model's state for people.

    Attributes:
        detail: the missing path, the failure's reason, or what is loaded.
        progress: how much of the weights is loaded, 0 to 1, while it is loading.
        identity: the version of the pinned identity; None where none is.
    """

    name: str
    family: str
    state: State
    detail: str = ""
    path: str = ""
    progress: float | None = None
    identity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How a GGUF file is loaded.

    Attributes:
        context_tokens: the longest prompt with its answer, in tokens.
        cache_tokens: cells of the KV cache, which all sequences share; 0 for twice `context_tokens`.
        parallel: how many requests are answered at once.
        waiting: how many more may wait.
        gpu_layers: layers kept on the GPU; -1 for all of them.
        fewer_gpu_layers: whether fewer may be kept there where its memory is short.
        threads: CPU threads; 0 for as many as the machine has cores.
        kv_type: how keys and values are kept.
        states: the folder in which computed identities are kept; None to keep none.
    """

    path: Path
    context_tokens: int = 8192
    cache_tokens: int = 0
    parallel: int = 6
    waiting: int = 32
    gpu_layers: int = -1
    fewer_gpu_layers: bool = False
    threads: int = 0
    kv_type: KvType = "f16"
    states: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat: role `system`, `user` or `assistant`, the speaker's name, the text."""

    role: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn; the defaults are greedy.

    Attributes:
        temperature: 0 for the likeliest token, whatever the others say.
        top_k: only the k likeliest; 0 for all.
        top_p: only the likeliest that make up this probability; 1 for all.
        min_p: only those at least this fraction as likely as the likeliest; 0 for all.
        repetition: divides the logits of the last 64 tokens where they are positive (1.1 is usual); 1 for none.
        seed: the same seed draws the same tokens.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The text that every prompt starts with, as its system message; versions are numbered by its maker."""

    version: int
    text: str
    speaker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """What to continue.

    Attributes:
        messages: the first is the system message (identity); the last is the question.
        max_tokens: the longest answer, in tokens.
        stop: texts that end the answer and are not part of it.
        choices: where not empty, the answer is exactly one of these sentences (a quoting model).
        grammar: the answer is a sentence of this grammar, in GBNF.
        json_schema: the answer is JSON of this schema, itself JSON; not together with `grammar`.
        logprobs: how many likeliest tokens are told with each token of the answer; 0 for no log-probabilities.
        user: whose request it is: users take turns, however much one of them asks.
        conversation: requests of one conversation find what the last one left in the cache; "" for none.
        deadline_s: seconds until the answer must be done; None for as long as it takes.
        cancelled: set by anybody, at any time, to end the request within one step.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 512
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    grammar: str = ""
    json_schema: str = ""
    logprobs: int = 0
    user: str = ""
    conversation: str = ""
    deadline_s: float | None = None
    cancelled: threading.Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one answer; `cached_tokens` of the prompt were in the KV cache already."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """A token of the answer with its natural log-probability, and the likeliest ones in its place, best first."""

    token: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A bit of answer text as it is computed; the last piece carries `finish` and `usage`.

    Attributes:
        thought: what a thinking model thinks, kept apart from the answer's `text`.
        logprobs: of the tokens computed since the last piece, where they were asked for.
    """

    text: str
    thought: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None
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

    def pin(self, identity: Identity) -> None:
        """Has the identity computed in spare steps and kept in the cache; the one before serves until then.

        Returns at once. Before `load()` it is kept and pinned once the model is ready. A prompt whose system
        message is the identity's text then costs what comes after it.
        """
        ...

    def generate(self, request: GenerateRequest) -> Iterator[Piece]:
        """Streams the answer; several requests are answered together. Closing the iterator ends this one.

        Raises:
            ModelNotReadyError: the model is not loaded.
            PromptTooLongError: before anything is computed.
            QueueFullError: too many wait already.
            BadGrammarError: the grammar or schema can't be used.
            DeadlineError: while iterating, when the time is over.
        """
        ...

    def forget(self) -> None:
        """Drops what is kept of earlier prompts and identities, and their files; answers under way go on."""
        ...

    def close(self) -> None:
        """Frees the weights; the state is `absent` after it."""
        ...
