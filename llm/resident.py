"""A GGUF model that stays loaded: its state, the identity it holds, and answers, several at once.

absent ─load─▶ loading 37 % ─▶ ready ─generate─▶ prompt ─▶ fits? ─▶ Job ─▶ engine ─▶ Piece, Piece, …
   ▲                             │ llama.cpp failed
   └──── again after 1, 2, 4 … s ┘
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from llm.base import (
    Finish,
    Identity,
    ModelError,
    ModelNotReadyError,
    ModelStatus,
    Piece,
    PromptTooLongError,
    QueueFullError,
    State,
    Usage,
)
from llm.choices import Choices
from llm.device import device_now
from llm.engine.job import Job, Pieces
from llm.gguf import is_there, read_gguf
from llm.plan import Verdict, verdict_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm.base import GenerateRequest, ModelSettings
    from llm.engine import Engine
    from llm.engine.batcher import Occupancy
    from llm.family import Family
    from llm.gguf import GgufInfo
    from llm.loaded import LoadedModel
    from llm.plan import ModelPlan

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
SECONDS_A_PLACE = 2.0


class ResidentModel:
    """One model of one family; implements `llm.base.Generator`. Any thread may use it."""

    def __init__(self, name: str, family: Family, settings: ModelSettings, engine: Engine) -> None:
        self._name = name
        self._family = family
        self._settings = settings
        self._engine = engine
        self._model: LoadedModel | None = None
        self._identity: Identity | None = None
        self._loading = threading.Lock()
        self._publish = threading.Lock()
        self._closes = 0
        self._loads = 0
        self._ready_since = 0.0
        self._backoff_s = FIRST_BACKOFF_S
        self._again: threading.Timer | None = None
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

    def occupancy(self) -> Occupancy:
        """What its cache and queue are at.

        Raises:
            ModelNotReadyError: the model is not loaded.
        """
        batcher = self._ready().batcher
        return self._engine.ask(batcher.occupancy)

    def load(self) -> None:
        """Loads the weights, or waits for a load under way.

        Ends `ready`, `failed` (with the reason), or `absent` where there is no file.
        """
        with self._loading:
            if self._model is not None:
                return
            closes = self._closes
            self._loads += 1
            if not is_there(self._settings.path):
                self._status = self._absent()
                return
            self._status = self._state(State.LOADING, "", progress=0.0)
            try:
                model, detail = self._open(closes)
            except ModelError as error:
                self._failed(closes, str(error))
                log.warning("model %s: %s", self._name, error)
                return
            except Exception as error:
                self._failed(closes, repr(error))
                log.exception("model %s: loading failed", self._name)
                return
            if not self._begin(closes, model, detail):
                model.batcher.close()

    def _begin(self, closes: int, model: LoadedModel, detail: str) -> bool:
        """Serves with a model that was just loaded; False where it or the engine was closed meanwhile."""
        with self._publish:
            if self._closes != closes:
                self._status = self._absent()
                return False
            try:
                self._engine.attach(model.batcher, lambda error: self._died(model, error))
            except ModelError as error:
                self._status = self._state(State.FAILED, str(error))
                return False
            self._model = model
            self._ready_since = time.monotonic()
            self._status = self._state(State.READY, detail)
            self._pin_now(model)
            return True

    def _failed(self, closes: int, reason: str) -> None:
        with self._publish:
            closed = self._closes != closes  # then the loading was stopped, and nothing is wrong
            self._status = self._absent() if closed else self._state(State.FAILED, reason)

    def close(self) -> None:
        """Answers under way end with ModelNotReadyError; the weights are freed once nobody reads tokens any more."""
        with self._publish:
            self._closes += 1
            model, self._model = self._model, None
            if self._again is not None:
                self._again.cancel()
            self._status = self._absent()
        if model is not None:
            self._engine.detach(model.batcher)

    def pin(self, identity: Identity) -> None:
        """Has the identity computed in spare steps; see `Generator.pin`."""
        with self._publish:
            self._identity = identity
            if self._model is not None:
                self._pin_now(self._model)

    def forget(self) -> None:
        """Overwrites the cache once the answers under way have ended, and removes the identities on disk."""
        with self._publish:
            self._identity = None
            model = self._model
        if model is not None:
            done = threading.Event()
            self._engine.order(lambda: model.batcher.wipe(done.set))
            while not done.wait(0.5):
                if self._model is not model:
                    break
            model.forget()
            with self._publish:
                if self._model is model and self._identity is None:  # else another is pinned already
                    self._status = self._state(State.READY, self._status.detail)
        elif self._settings.states is not None:
            from llm.engine.identity_file import remove_identities  # which needs numpy

            remove_identities(self._settings.states)

    def count_tokens(self, text: str) -> int:
        """Length of a text in this model's tokens."""
        return len(self._ready().weights.tokenize(text))

    def generate(self, request: GenerateRequest) -> Iterator[Piece]:
        """Streams the answer; with `choices`, the chosen sentence is one piece. See `Generator.generate`.

        `Usage.completion_tokens` counts what was computed: of a choice, only what it took to decide.
        """
        model = self._ready()
        if request.max_tokens < 1:
            raise ModelError(f"max_tokens is {request.max_tokens}; ask for 1 or more.")
        prompted = model.prompter(request)
        if not len(prompted.tokens):  # nothing of its own to draw from: it would get another answer's logits
            raise ModelError(
                f"The chat template of the model {self._name} makes no prompt of these messages. "
                "Mend the template, or use another file."
            )
        if request.choices:
            space = "" if prompted.prompt.control else " "  # a transcript's label ends with its colon
            choices = Choices(
                request.choices, lambda text: model.weights.tokenize(space + text), model.weights.end_token
            )
            if (only := choices.decided(())) is not None:
                return iter((_undoubted(only),))
            room, purpose = choices.longest_search, "to choose a sentence"
            answer = model.choosing(choices)
        else:
            room, purpose = request.max_tokens, "max_tokens"
            answer = model.writing(prompted.prompt, request)
        self._check_length(model, len(prompted.tokens), room, purpose)
        self._keep_pinned(model)
        job = Job(
            prompt=prompted.tokens,
            answer=answer,
            room=room,
            user=request.user,
            conversation=request.conversation,
            deadline=None if request.deadline_s is None else time.monotonic() + request.deadline_s,
            cancelled=request.cancelled,
        )
        if not model.batcher.submit(job):
            raise self._full(len(model.batcher.queue))
        pieces = Pieces(job, self._engine.wake)
        self._engine.wake()
        return pieces

    def _open(self, closes: int) -> tuple[LoadedModel, str]:
        """The loaded model, and a line about it for people."""
        info = read_gguf(self._settings.path)
        planned = verdict_for(self._settings, info, device_now(), name=self._name)
        if planned.verdict is Verdict.REFUSED:
            raise ModelError(f"{self._settings.path} {planned.refusal}")
        from llm.loaded import LoadedModel

        def progress(share: float) -> bool:
            self._status = self._state(State.LOADING, "", progress=share)
            return self._closes == closes

        load = self._loads
        model = LoadedModel.open(
            self._name,
            self._family,
            self._settings,
            info,
            gpu_layers=planned.gpu_layers,
            threads=self._settings.threads or len(os.sched_getaffinity(0)),
            progress=progress,
            on_pinned=lambda version: self._pinned(load, version),
        )
        return model, _told(info, model.context_tokens, self._settings.context_tokens, planned)

    def _died(self, model: LoadedModel, error: ModelError) -> None:
        """llama.cpp failed on it: it is loaded again, later each time that this happens soon."""
        with self._publish:
            if self._model is not model:
                return
            self._model = None
            if time.monotonic() - self._ready_since > LONGEST_BACKOFF_S:
                self._backoff_s = FIRST_BACKOFF_S
            self._load_later(str(error))

    def _load_later(self, reason: str) -> None:
        """Says so, and tries until it is loaded or closed."""
        wait = self._backoff_s
        self._backoff_s = min(LONGEST_BACKOFF_S, wait * 2)
        self._status = self._state(State.FAILED, f"{reason} It is loaded again in {wait:.0f} s.")
        self._again = threading.Timer(wait, self._load_again, [self._closes])
        self._again.daemon = True
        self._again.start()

    def _load_again(self, closes: int) -> None:
        if self._closes != closes:
            return
        self.load()
        with self._publish:
            if self._closes == closes and self._status.state is State.FAILED:
                self._load_later(self._status.detail)

    def _pin_now(self, model: LoadedModel) -> None:
        """Orders the identity from the engine; tokens and file are seen to in a thread of their own."""
        identity = self._identity
        if identity is None:
            return

        def prepare() -> None:
            try:
                pin = model.pin(identity)
            except ModelError as error:
                log.warning("model %s can't hold identity %d: %s", self._name, identity.version, error)
                return
            with self._publish:  # else a later one may be ordered between the question and the order
                if self._identity is identity:
                    self._engine.order(lambda: model.batcher.pin(pin))
                elif self._identity is None:  # it was forgotten while its tokens were made
                    model.forget_texts()

        threading.Thread(target=prepare, name=f"pin-{self._name}", daemon=True).start()

    def _keep_pinned(self, model: LoadedModel) -> None:
        """A chat template may begin with today's date: then the identity is pinned again behind it."""
        identity = self._identity
        if identity is not None and model.has_moved_on(identity):
            self._pin_now(model)

    def _pinned(self, load: int, version: int) -> None:
        with self._publish:
            if self._loads == load and self._model is not None:
                self._status = self._state(State.READY, self._status.detail, identity=version)

    def _ready(self) -> LoadedModel:
        model = self._model
        if model is None:
            status = self._status
            raise ModelNotReadyError(
                f"The model {self._name} is {status.state}: {status.detail or 'wait a little'}"
            )
        return model

    def _check_length(self, model: LoadedModel, length: int, room: int, purpose: str) -> None:
        excess = length + room - model.context_tokens
        if excess > 0:
            raise PromptTooLongError(
                f"The prompt has {length} tokens and the answer needs room for {room} ({purpose});"
                f" the model {self._name} has a context of {model.context_tokens} tokens, {excess} too few."
            )

    def _full(self, waiting: int) -> QueueFullError:
        after = SECONDS_A_PLACE * max(1, waiting / max(1, self._settings.parallel))
        return QueueFullError(
            f"The model {self._name} answers {self._settings.parallel} and {waiting} more wait. "
            f"Try again in {after:.0f} s.",
            retry_after_s=after,
        )

    def _absent(self) -> ModelStatus:
        path = self._settings.path
        if is_there(path):
            return self._state(State.ABSENT, "waits to be loaded")
        return self._state(
            State.ABSENT, f"no file at {path}; put the GGUF there or set [models.{self._name}] path"
        )

    def _state(
        self, state: State, detail: str, *, progress: float | None = None, identity: int | None = None
    ) -> ModelStatus:
        return ModelStatus(
            name=self._name,
            family=self._family.name,
            state=state,
            detail=detail,
            path=str(self._settings.path),
            progress=progress,
            identity=identity,
        )


def _told(info: GgufInfo, context: int, asked: int, planned: ModelPlan) -> str:
    """What was loaded, with all that may disappoint."""
    said = [f"{info.name or info.architecture} {info.file_type}".strip(), f"context {context} tokens"]
    if context < asked:
        said[-1] += ", all that the model was made for"
    if planned.verdict is Verdict.FEWER:
        said.append(f"{planned.gpu_layers} of {planned.layers} layers on the GPU, for want of memory")
    return "; ".join([", ".join(said), *info.warnings])


def _undoubted(sentence: str) -> Piece:
    """The only choice there is; nothing is computed for it."""
    usage = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
    return Piece(text=sentence, finish=Finish.STOP, usage=usage)
