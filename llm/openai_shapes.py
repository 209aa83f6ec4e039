"""What an OpenAI-compatible server sends: the fields that are used, whatever else comes along.

The format: https://platform.openai.com/docs/api-reference/chat-streaming, with what vLLM and llama.cpp add.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LONGEST_WORDS = 300


class Shape(BaseModel):
    """Base of every shape: frozen; an unknown field is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelMeta(Shape):
    """llama.cpp: the context of one request, in tokens."""

    n_ctx: int | None = None


class ModelCard(Shape):
    """One model of `/v1/models`; `max_model_len` is vLLM's context in tokens."""

    id: str
    aliases: tuple[str, ...] = ()
    owned_by: str = ""
    max_model_len: int | None = None
    meta: ModelMeta | None = None

    @property
    def context_tokens(self) -> int | None:
        """The context window in tokens, where the server tells it."""
        told = self.max_model_len or (self.meta.n_ctx if self.meta else None)
        return told if told and told > 0 else None


class ModelList(Shape):
    """The answer of `/v1/models`."""

    data: tuple[ModelCard, ...]


class Likely(Shape):
    """A token with its natural log-probability; only llama.cpp tells its number."""

    id: int = -1
    token: str
    logprob: float


class Said(Likely):
    """A token of the answer, and the likeliest ones in its place."""

    top_logprobs: tuple[Likely, ...] = ()


class Logprobs(Shape):
    """The log-probabilities of a chunk's tokens."""

    content: tuple[Said, ...] | None = None


class Delta(Shape):
    """What a chunk adds; thoughts are `reasoning_content`, in newer vLLM `reasoning`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def thought(self) -> str:
        """What the model thinks, which is no part of its answer."""
        return self.reasoning_content or self.reasoning or ""


class Choice(Shape):
    """One answer of a chunk; there is only ever one asked for."""

    delta: Delta = Delta()
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class PromptDetails(Shape):
    """How much of the prompt the server had in its cache."""

    cached_tokens: int | None = None


class TokenCounts(Shape):
    """The token counts, sent once, after the answer."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Fault(Shape):
    """What a server says went wrong."""

    message: str = ""
    type: str | None = None
    code: str | int | None = None


class Chunk(Shape):
    """One event of a streamed answer."""

    choices: tuple[Choice, ...] = ()
    usage: TokenCounts | None = None
    error: Fault | str | None = None


class Refusal(Fault):
    """The body of an error: OpenAI's, vLLM's (flat, or `detail` from FastAPI)."""

    error: Fault | str | None = None
    detail: Any = None

    @property
    def fault(self) -> Fault:
        """The fault, wherever in the body it stands."""
        if self.error is not None:
            return as_fault(self.error)
        return self if self.message else Fault(message=str(self.detail or ""))


class TokenCount(Shape):
    """The answer of `/tokenize` (llama.cpp: `tokens`) and of vLLM's and llama-cpp-python's (`count`)."""

    count: int | None = Field(default=None, ge=0)
    tokens: tuple[Any, ...] | None = None


def as_fault(error: Fault | str) -> Fault:
    """A fault that may be a bare sentence."""
    return Fault(message=error) if isinstance(error, str) else error


def read_refusal(body: bytes) -> Fault:
    """What an error's body says; where it is not JSON, its beginning."""
    try:
        fault = Refusal.model_validate_json(body).fault
    except ValidationError:
        fault = Fault(message=body.decode(errors="replace"))
    words = " ".join(fault.message.split())
    short = words if len(words) <= LONGEST_WORDS else words[:LONGEST_WORDS] + "…"
    return Fault(message=short, type=fault.type, code=fault.code)
