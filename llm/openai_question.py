"""A request as `/v1/chat/completions` takes it, with the extras that each engine knows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llm.base import BadGrammarError, ModelError
from llm.openai_server import Dialect
from llm.prompt import WORD_JOINER, alternating

if TYPE_CHECKING:
    from llm.base import GenerateRequest, Message, Sampling

MOST_STOPS = 4  # OpenAI takes no more; whoever reads the answer minds the rest
# What the usual chat templates write between turns; a server reads it as such wherever it stands.
TURN_MARK = re.compile(
    r"<(?=\|[^|<>\n]{1,40}\|>|｜[^｜<>\n]{1,40}｜>|(?:start|end)_of_turn>|/?s>|[be]os>)|\[(?=/?(?:INST|SYSTEM_PROMPT)\])"
)


def as_question(
    request: GenerateRequest, model: str, dialect: Dialect, *, by_turns: bool = False
) -> dict[str, Any]:
    """The JSON body that asks for a streamed answer with its token counts.

    Speakers are left out, as a chat template leaves them out.

    Args:
        by_turns: only user and assistant speak, by turns: for a template that takes nothing else.

    Raises:
        ModelError: nothing can be asked so.
        BadGrammarError: the engine takes no grammar, or the schema is none.
    """
    if request.max_tokens < 1:
        raise ModelError(f"max_tokens is {request.max_tokens}; ask for 1 or more.")
    if request.choices:
        raise ModelError("A model on a server does not choose among sentences; ask the built-in one.")
    messages = alternating(request.messages) if by_turns else request.messages
    question: dict[str, Any] = {
        "model": model,
        "messages": [{"role": each.role, "content": harmless(each)} for each in messages],
        "max_tokens": request.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(request.sampling, dialect),
        **_constraint(request, dialect),
    }
    if stop := [text for text in request.stop if text][:MOST_STOPS]:
        question["stop"] = stop
    if request.logprobs:
        question |= {"logprobs": True, "top_logprobs": request.logprobs}
    return question


def harmless(message: Message) -> str:
    """A message's text with each mark of a chat template broken: nobody's words end a turn or open the system's."""
    return TURN_MARK.sub(lambda mark: mark[0] + WORD_JOINER, message.text)


def _sampling(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    """How tokens are drawn. What OpenAI lacks goes to engines that know it, so that no default of theirs counts."""
    known = dialect is not Dialect.OTHER
    drawn = sampling.temperature > 0
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
    }
    if sampling.top_k or (known and drawn):
        everything = -1 if dialect is Dialect.VLLM else 0
        fields["top_k"] = sampling.top_k or everything
    if sampling.min_p or (known and drawn):
        fields["min_p"] = sampling.min_p
    if sampling.repetition != 1 or known:
        # llama.cpp's name and vLLM's: each passes over the other's.
        fields |= {"repeat_penalty": sampling.repetition, "repetition_penalty": sampling.repetition}
    return fields


def _constraint(request: GenerateRequest, dialect: Dialect) -> dict[str, Any]:
    if request.grammar and request.json_schema:
        raise BadGrammarError("Give a grammar or a JSON schema, not both.")
    if request.grammar:
        # llama-cpp-python's server takes one too, and dies of one that is broken (0.3.36).
        if dialect is not Dialect.LLAMA_CPP:
            raise BadGrammarError("Only llama.cpp's own server takes a grammar; give a JSON schema instead.")
        return {"grammar": request.grammar}
    if not request.json_schema:
        return {}
    try:
        schema = json.loads(request.json_schema)
    except ValueError as error:
        raise BadGrammarError(f"The JSON schema is not JSON: {error}.") from error
    if not isinstance(schema, dict):
        raise BadGrammarError("The JSON schema is no object.")
    if dialect is Dialect.LLAMA_CPP_PYTHON:
        return {"response_format": {"type": "json_object", "schema": schema}}
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
