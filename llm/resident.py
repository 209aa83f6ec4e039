"""A GGUF model that stays loaded: its state, one answer at a time, streamed as text.

generate ─▶ prompt ─▶ tokens ─▶ fits the context? ─▶ wait for the turn ─▶ Piece, Piece, … Piece(usage)
"""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from llm.answer_text import OPEN, AnswerText, Thought
from llm.base import (
    ModelError,
    ModelNotReadyError,
    ModelStatus,
    Piece,
    PromptTooLongError,
    State,
    Usage,
)
from llm.choices import Choices
from llm.gguf import read_gguf
from llm.prompt import Prompt, from_template, transcript

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from llm.base import GenerateRequest, ModelSettings
    from llm.family import Family
    from llm.llama_cpp_model import LlamaCppModel

log = logging.getLogger(__name__)


class ResidentModel:
    """One model of one family; implements `llm.base.Generator`.

    `status()` may be called from any thread at any time. `generate()` checks and tokenises at once; the
    computing starts with the first piece, and the model is busy until the iterator ends or is closed.
    """

    def __init__(self, name: str, family: Family, settings: ModelSettings) -> None:
        self._name = name
        self._family = family
        self._settings = settings
        self._model: LlamaCppModel | None = None
        self._loading = threading.Lock()
        self._turn = threading.Lock()
        self._publish = threading.Lock()
        self._closes = 0
        self._status = self._absent()

    @property
    def name(self) -> str:
        """The name that a request's `model` field uses."""
        return self._name

    @property
    def quotes(self) -> bool:
        """Whether the model only chooses among given sentences."""
        return self._family.quotes

    @property
    def context_tokens(self) -> int:
        """The context window in tokens: as loaded, before that as configured."""
        model = self._model
        return model.context_tokens if model else self._settings.context_tokens

    def status(self) -> ModelStatus:
        """The state now; never blocks."""
        return self._status

    def load(self) -> None:
        """Loads the weights, or waits for a load under way.

        Ends `ready`, `failed` (with the reason), or `absent` where there is no file.
        """
        with self._loading:
            if self._model is not None:
                return
            closes = self._closes
            if not _is_there(self._settings.path):
                self._status = self._absent()
                return
            self._status = self._state(State.LOADING, "")
            try:
                model, detail = self._open()
            except ModelError as error:
                log.warning("model %s: %s", self._name, error)
                self._status = self._state(State.FAILED, str(error))
                return
            except Exception as error:
                log.exception("model %s: loading failed", self._name)
                self._status = self._state(State.FAILED, repr(error))
                return
            with self._publish:
                if self._closes == closes:
                    self._model = model
                    self._status = self._state(State.READY, detail)
                else:
                    self._status = self._absent()

    def close(self) -> None:
        """Frees the weights. An answer under way ends with ModelNotReadyError and frees them then."""
        with self._publish:
            self._closes += 1
            self._model = None
            self._status = self._absent()

    def forget(self) -> None:
        """Drops what the KV cache holds of earlier prompts, after the answer under way."""
        with self._turn:
            model = self._model
            if model is not None:
                model.forget()

    def count_tokens(self, text: str) -> int:
        """Length of a text in this model's tokens."""
        return len(self._ready().tokenize(text))

    def generate(self, request: GenerateRequest) -> Generator[Piece]:
        """Streams the answer; with `choices`, the chosen sentence is one piece.

        `Usage.completion_tokens` counts what was computed: of a choice, only what it took to decide.

        Raises:
            ModelNotReadyError: the model is not loaded.
            PromptTooLongError: prompt and answer don't fit into the context.
        """
        model = self._ready()
        if request.max_tokens < 1:
            raise ModelError(f"max_tokens is {request.max_tokens}; ask for 1 or more.")
        prompt = self._prompt(model, request)
        if not request.choices:
            tokens = self._fitting(model, prompt, request.max_tokens, "max_tokens")
            return self._write(model, tokens, request, self._answer_text(prompt))
        space = "" if prompt.control else " "  # a transcript's label ends with its colon
        choices = Choices(request.choices, lambda text: model.tokenize(space + text), model.end_token)
        if (only := choices.decided(())) is not None:
            return self._say(only)
        tokens = self._fitting(model, prompt, choices.longest_search, "to choose a sentence")
        return self._choose(model, tokens, choices)

    def _open(self) -> tuple[LlamaCppModel, str]:
        """The loaded model, and a line about it for people."""
        info = read_gguf(self._settings.path)
        from llm.llama_cpp_model import LlamaCppModel

        context = min(self._settings.context_tokens, info.context_length or self._settings.context_tokens)
        template = info.chat_template or self._family.template
        model = LlamaCppModel(self._settings, context_tokens=context, template=template)
        limit = ", all that the model was made for" if context < self._settings.context_tokens else ""
        return model, f"{info.name or info.architecture} {info.file_type}, context {context} tokens{limit}"

    def _ready(self) -> LlamaCppModel:
        model = self._model
        if model is None:
            status = self._status
            raise ModelNotReadyError(
                f"The model {self._name} is {status.state}: {status.detail or 'wait a little'}"
            )
        return model

    def _prompt(self, model: LlamaCppModel, request: GenerateRequest) -> Prompt:
        if not model.has_template:
            return transcript(request.messages)
        marks = self._family.stop
        messages = [replace(each, text=model.harmless(each.text, marks)) for each in request.messages]
        return from_template(messages, model.render)

    def _fitting(self, model: LlamaCppModel, prompt: Prompt, room: int, purpose: str) -> list[int]:
        tokens = model.prompt_tokens(prompt.text, control=prompt.control)
        excess = len(tokens) + room - model.context_tokens
        if excess > 0:
            raise PromptTooLongError(
                f"The prompt has {len(tokens)} tokens and the answer needs room for {room} ({purpose});"
                f" the model {self._name} has a context of {model.context_tokens} tokens, {excess} too few."
            )
        return tokens

    def _answer_text(self, prompt: Prompt) -> AnswerText:
        thought = Thought.DONE
        if self._family.thinks:
            thought = Thought.THINKING if prompt.text.rstrip().endswith(OPEN) else Thought.NOT_YET
        return AnswerText(stop=(*prompt.stop, *self._family.stop), thought=thought)

    def _while_loaded(self, model: LlamaCppModel, tokens: Generator[int]) -> Generator[int]:
        with contextlib.closing(tokens):
            while self._model is model:
                try:
                    token = next(tokens)
                except StopIteration:
                    return
                yield token
        raise ModelNotReadyError(f"The model {self._name} was closed while it answered.")

    def _absent(self) -> ModelStatus:
        path = self._settings.path
        if _is_there(path):
            return self._state(State.ABSENT, "not loaded")
        return self._state(
            State.ABSENT, f"no file at {path}; put the GGUF there or set [models.{self._name}] path"
        )

    def _state(self, state: State, detail: str) -> ModelStatus:
        return ModelStatus(
            name=self._name,
            family=self._family.name,
            state=state,
            detail=detail,
            path=str(self._settings.path),
        )

    def _say(self, sentence: str) -> Generator[Piece]:
        yield Piece(text=sentence, usage=Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0))

    def _choose(self, model: LlamaCppModel, prompt: list[int], choices: Choices) -> Generator[Piece]:
        with self._turn:
            said: list[int] = []
            tokens = self._while_loaded(model, model.choose(prompt, choices.next_tokens))
            with contextlib.closing(tokens):
                while (sentence := choices.decided(said)) is None:
                    said.append(next(tokens))
            usage = _usage(model, prompt, len(said))
        yield Piece(text=sentence, usage=usage)

    def _write(
        self, model: LlamaCppModel, prompt: list[int], request: GenerateRequest, answer: AnswerText
    ) -> Generator[Piece]:
        with self._turn:
            count = 0
            sampled = model.answer(prompt, temperature=request.temperature, seed=request.seed)
            tokens = self._while_loaded(model, sampled)
            with contextlib.closing(tokens):
                for token in tokens:
                    count += 1
                    text = answer.feed(model.token_bytes(token))
                    if text:
                        yield Piece(text=text)
                    if answer.stopped or count >= request.max_tokens:
                        break
            usage = _usage(model, prompt, count)
        if answer.thought is Thought.THINKING:
            raise ModelError(
                f"The model {self._name} only thought, for {count} tokens. Raise llm.max_tokens."
            )
        yield Piece(text=answer.end(), usage=usage)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder on the way that may not be entered
        return False


def _usage(model: LlamaCppModel, prompt: list[int], completion_tokens: int) -> Usage:
    return Usage(
        prompt_tokens=len(prompt), cached_tokens=model.cached_tokens, completion_tokens=completion_tokens
    )
