"""A model behind an OpenAI-compatible server (vLLM, llama.cpp), for whoever's models outgrow the machine.

load ─▶ /v1/models ─▶ ready ─generate─▶ /v1/chat/completions ─SSE─▶ Piece, Piece, … Piece(finish, usage)
          └─away─▶ failed (why), and asked again until it is there
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from llm.base import DeadlineError, ModelError, ModelNotReadyError, ModelStatus, Piece, State
from llm.loop_thread import LoopThread
from llm.openai_answer import Answer
from llm.openai_question import as_question
from llm.openai_server import Dialect, OpenAIServer, RolesRefusedError
from llm.token_estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from concurrent.futures import Future

    from llm.base import GenerateRequest, Identity
    from llm.openai_shapes import Chunk, ModelCard
    from llm.remote_settings import RemoteSettings

log = logging.getLogger(__name__)

FAMILY = "remote"
COUNTS_KEPT = 1024
# A question has a dozen texts counted before it is asked, and can't be left meanwhile: a server that is slow or fails
# at it is waited for once, and let be for a while.
LONGEST_COUNT_S = 5.0
UNCOUNTED_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The model that the server has: its name there, the words it takes, its context in tokens."""

    model: str
    dialect: Dialect
    context_tokens: int


class _CancelledError(Exception):
    """The request's `cancelled` is set."""


class RemoteModel:
    """One model of one server; implements `llm.base.Generator`.

    The server's own prefix cache is what makes a prompt's unchanged beginning cheap: a pinned identity is
    only noted. `cancelled` and `deadline_s` are looked at every 50 ms; leaving an answer closes its
    connection, and the server stops computing. Token counts of an answer that was left are estimates.
    """

    def __init__(self, name: str, settings: RemoteSettings) -> None:
        self._name = name
        self._settings = settings
        self._server = OpenAIServer(name, settings)
        self._loop = LoopThread(f"remote-{name}", at_end=self._server.close)
        self._publish = threading.Lock()
        self._session = 0  # counts closes: what an earlier session finds out late is not news
        self._found: _Found | None = None
        self._identity: int | None = None
        self._watcher: Future[None] | None = None
        self._state, self._detail = State.ABSENT, "not asked yet"
        self._kept_count = lru_cache(COUNTS_KEPT)(self._asked_count)
        self._server_counts, self._by_turns = True, False
        self._count_from = 0.0

    @property
    def name(self) -> str:
        """The name that a request's `model` field uses."""
        return self._name

    @property
    def quotes(self) -> bool:
        """Never: it writes."""
        return False

    @property
    def context_tokens(self) -> int:
        """The context window in tokens: as configured, or less where the server says so."""
        found = self._found
        return found.context_tokens if found else self._settings.context_tokens

    def status(self) -> ModelStatus:
        """The state now; never blocks."""
        with self._publish:
            return ModelStatus(
                name=self._name,
                family=FAMILY,
                state=self._state,
                detail=self._detail,
                path=self._settings.url,
                identity=self._identity,
            )

    def load(self) -> None:
        """Asks the server for its models. Ends `ready`, or `failed` with the reason, and then is asked again."""
        session = self._session
        if self._found is not None:
            return
        self._set(session, State.LOADING, f"asking {self._settings.url}")
        with contextlib.suppress(CancelledError):  # closed meanwhile
            if not self._loop.run(self._look(session)):
                self._begin_to_watch(session)

    def close(self) -> None:
        """Ends the answers under way with ModelNotReadyError; the server goes on without us."""
        with self._publish:
            self._session += 1
            self._found = None
            self._state, self._detail = State.ABSENT, "closed"
        self._loop.close()
        self._kept_count.cache_clear()

    def forget(self) -> None:
        """Drops what is kept of texts; the server's own cache is out of reach."""
        self._kept_count.cache_clear()
        self._identity = None

    def pin(self, identity: Identity) -> None:
        """Notes the identity's version; the server caches the text by itself."""
        self._identity = identity.version

    def count_tokens(self, text: str) -> int:
        """Length of a text in the model's tokens, an estimate where the server does not tell.

        Raises:
            ModelNotReadyError: the server has not been reached yet.
        """
        self._ready()
        if self._server_counts and time.monotonic() >= self._count_from:
            session = self._session
            try:
                counted = self._kept_count(text)
            except CancelledError as error:
                raise ModelNotReadyError(f"The model {self._name} was closed.") from error
            except ModelNotReadyError as error:
                self._lost(session, error)
                raise
            except ModelError as error:
                self._count_from = time.monotonic() + UNCOUNTED_S
                log.warning("%s The lengths of texts are estimates for %.0f s.", error, UNCOUNTED_S)
            else:
                if counted is not None:
                    return counted
                self._server_counts = False
        return estimate_tokens(text)

    def generate(self, request: GenerateRequest) -> Generator[Piece]:
        """Streams the answer; what the server refuses, it refuses when the first piece is asked for.

        Raises:
            ModelNotReadyError: the server can't be reached.
            PromptTooLongError: the server says so.
            QueueFullError: the server is full, also after `retries`.
            BadGrammarError: the grammar or schema can't be used there.
            DeadlineError: while iterating, when the time is over.
        """
        found = self._ready()
        as_question(request, found.model, found.dialect)  # what can't be asked is refused now
        return self._pieces(request, found, _still_wanted(self._name, request))

    def _pieces(
        self, request: GenerateRequest, found: _Found, still_wanted: Callable[[], None]
    ) -> Generator[Piece]:
        session = self._session
        answer = Answer(request)
        cancelled = False
        try:
            with contextlib.closing(self._chunks(request, found, still_wanted)) as chunks:
                for chunk in chunks:
                    piece = answer.take(chunk)
                    if piece is not None:
                        yield piece
                    if answer.stopped:
                        break
        except _CancelledError:
            cancelled = True
        except CancelledError as error:
            raise ModelNotReadyError(f"The model {self._name} was closed while it answered.") from error
        except ModelNotReadyError as error:
            self._lost(session, error)
            raise
        last = answer.last(cancelled=cancelled)
        if answer.only_thought and not cancelled:
            raise ModelError(f"The model {self._name} only thought. Raise llm.max_tokens.")
        yield last

    def _chunks(
        self, request: GenerateRequest, found: _Found, still_wanted: Callable[[], None]
    ) -> Generator[Chunk]:
        """The server's answer; a model whose template refuses the roles is asked in its own form from then on."""
        if not self._by_turns:
            question = as_question(request, found.model, found.dialect)
            try:
                yield from self._loop.iterate(self._server.chat(question), still_wanted)
            except RolesRefusedError as error:
                log.info("%s. It is asked by turns now.", error)
                self._by_turns = True
            else:
                return
        question = as_question(request, found.model, found.dialect, by_turns=True)
        yield from self._loop.iterate(self._server.chat(question), still_wanted)

    def _ready(self) -> _Found:
        found = self._found
        if found is None:
            status = self.status()
            raise ModelNotReadyError(f"The model {self._name} is {status.state}: {status.detail}")
        return found

    async def _look(self, session: int) -> bool:
        """Asks once; whether the model is there."""
        try:
            found = self._chosen(await self._server.models())
        except ModelError as error:
            self._set(session, State.FAILED, str(error))
            return False
        except Exception as error:  # the boundary of a load: its failure is a state
            log.exception("model %s: asking %s failed", self._name, self._settings.url)
            self._set(session, State.FAILED, repr(error))
            return False
        self._server_counts, self._by_turns = True, False
        self._kept_count.cache_clear()
        detail = f"{found.model} at {self._settings.url}, context {found.context_tokens} tokens"
        self._set(session, State.READY, detail, found)
        return True

    async def _watch(self, session: int) -> None:
        """Asks until the model is there: a server may start later, or start again."""
        while True:
            await asyncio.sleep(self._settings.look_again_s)
            if await self._look(session):
                return

    def _lost(self, session: int, error: ModelNotReadyError) -> None:
        """Takes the model for gone until the server answers again."""
        with self._publish:
            if session != self._session or self._found is None:
                return
            self._found = None
            self._state, self._detail = State.FAILED, str(error)
        log.warning("%s", error)
        self._begin_to_watch(session)

    def _begin_to_watch(self, session: int) -> None:
        with self._publish:
            if session == self._session and (self._watcher is None or self._watcher.done()):
                self._watcher = self._loop.spawn(self._watch(session))

    def _set(self, session: int, state: State, detail: str, found: _Found | None = None) -> None:
        with self._publish:
            if session != self._session:
                return
            if (state, detail) != (self._state, self._detail):
                log.log(
                    logging.WARNING if state is State.FAILED else logging.INFO,
                    "model %s: %s",
                    self._name,
                    detail,
                )
            self._state, self._detail, self._found = state, detail, found

    def _chosen(self, cards: Sequence[ModelCard]) -> _Found:
        wanted = self._settings.model
        fitting = [card for card in cards if not wanted or wanted in {card.id, *card.aliases}]
        if len(fitting) != 1:
            known = ", ".join(card.id for card in cards) or "none"
            what = f'no model "{wanted}"' if wanted else "not exactly one model"
            raise ModelError(
                f"{self._settings.url} has {what}; it has: {known}. Set [models.{self._name}] model to one of them."
            )
        card = fitting[0]
        context = min(self._settings.context_tokens, card.context_tokens or self._settings.context_tokens)
        return _Found(model=wanted or card.id, dialect=Dialect.of(card), context_tokens=context)

    def _asked_count(self, text: str) -> int | None:
        found = self._ready()

        async def counted() -> int | None:
            try:
                async with asyncio.timeout(LONGEST_COUNT_S):
                    return await self._server.count_tokens(text, found.dialect, found.model)
            except TimeoutError as error:
                raise ModelError(
                    f"The model {self._name} did not count a text within {LONGEST_COUNT_S:.0f} s."
                ) from error

        return self._loop.run(counted())


def _still_wanted(name: str, request: GenerateRequest) -> Callable[[], None]:
    """Raises once the request is cancelled or its time, which begins now, is over."""
    begun = time.monotonic()

    def look() -> None:
        if request.cancelled is not None and request.cancelled.is_set():
            raise _CancelledError
        if request.deadline_s is not None and time.monotonic() - begun >= request.deadline_s:
            raise DeadlineError(
                f"The model {name} was not done within {request.deadline_s:g} s. "
                "Ask for a shorter answer or give it more time."
            )

    return look
