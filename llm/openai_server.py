"""The HTTP side of a model behind an OpenAI-compatible server: three calls, and errors that name the remedy.

/v1/models ─▶ ModelCard, …     /v1/chat/completions ─SSE─▶ Chunk, Chunk, …     /tokenize ─▶ a count
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import httpx
from httpx_sse import EventSource, SSEError
from pydantic import ValidationError

from llm.base import BadGrammarError, ModelError, ModelNotReadyError, PromptTooLongError, QueueFullError
from llm.openai_shapes import Chunk, ModelList, TokenCount, as_fault, read_refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from llm.openai_shapes import Fault, ModelCard
    from llm.remote_settings import RemoteSettings

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0
ASK_AGAIN_S = 5.0
LONGEST_WAIT_S = 3600.0
# What a server may send before it is left: a list of models or a count is small, and an answer grows with the tokens
# and log-probabilities that were asked for. Without an end the process would be full of it.
SMALL_BODY_BYTES = 16 * 2**20
REFUSAL_BYTES = 64 * 2**10
ANSWER_BYTES = 2**20
BYTES_A_TOKEN = 4 * 2**10
BYTES_A_LOGPROB = 2**10
DONE = "[DONE]"

BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
AWAY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
LOCKED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
NO_SUCH_PATH = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
UNFIT = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR}
CONSTRAINTS = {"grammar", "response_format"}
TOO_LONG_CODES = {"context_length_exceeded", "exceed_context_size_error"}
# How the templates of Mixtral, Gemma and others refuse what they were not made for.
ROLES_WORDS = ("roles must alternate", "system role not supported", "only user and assistant roles")
TOO_LONG_WORDS = ("context length", "context size", "context window", "maximum model length")


class Dialect(StrEnum):
    """What is spoken beyond OpenAI's words, by `owned_by` of the models: each engine has extras of its own."""

    LLAMA_CPP = "llamacpp"
    LLAMA_CPP_PYTHON = "me"
    VLLM = "vllm"
    OTHER = ""

    @classmethod
    def of(cls, card: ModelCard) -> Self:
        """The dialect of the engine that a model's card gives away."""
        return next((dialect for dialect in cls if dialect == card.owned_by), cls(""))


class NoSuchPathError(ModelError):
    """The server has no such path, or no such model."""


class RolesRefusedError(ModelError):
    """The model's chat template takes only user and assistant, by turns."""


class _TooMuchError(Exception):
    """A body goes on past what it may have."""


class _Bounded(httpx.AsyncByteStream):
    """A body's bytes up to a number."""

    def __init__(self, body: httpx.SyncByteStream | httpx.AsyncByteStream, most: int) -> None:
        self._body = body
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises _TooMuchError at the first byte too many."""
        left = self._most
        assert isinstance(self._body, httpx.AsyncByteStream)  # noqa: S101  (an asynchronous client's)
        async for data in self._body:
            left -= len(data)
            if left < 0:
                raise _TooMuchError(f"longer than {self._most} bytes")
            yield data

    async def aclose(self) -> None:
        """Closes the connection."""
        assert isinstance(self._body, httpx.AsyncByteStream)  # noqa: S101  (an asynchronous client's)
        await self._body.aclose()


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why there is no answer, and whether and when asking again may help (seconds)."""

    error: ModelError
    again: bool = False
    pause_s: float | None = None


class OpenAIServer:
    """One server, for use within one event loop; every error names the model, the address and the remedy."""

    def __init__(self, name: str, settings: RemoteSettings) -> None:
        self._settings = settings
        self._root = settings.url.rstrip("/").removesuffix("/v1").rstrip("/")
        self._who = f"The model {name} at {self._root}"
        self._section = f"[models.{name}]"
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def close(self) -> None:
        """Closes every connection."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def models(self) -> tuple[ModelCard, ...]:
        """The models that the server has.

        Raises:
            ModelError: it can't be reached, refuses, or speaks another language.
        """
        body = await self._asked("GET", "/v1/models")
        try:
            return ModelList.model_validate_json(body).data
        except ValidationError as error:
            raise self._foreign("/v1/models is no list of models") from error

    async def count_tokens(self, text: str, dialect: Dialect, model: str) -> int | None:
        """Length of a text in the model's tokens; None where the server does not tell.

        Raises:
            ModelError: it can't be reached now.
        """
        question: dict[str, Any]
        match dialect:
            case Dialect.LLAMA_CPP:
                path, question = "/tokenize", {"content": text}
            case Dialect.LLAMA_CPP_PYTHON:
                path, question = "/extras/tokenize/count", {"input": text}
            case Dialect.VLLM:
                path, question = "/tokenize", {"model": model, "prompt": text, "add_special_tokens": False}
            case Dialect.OTHER:
                return None
        try:
            counted = TokenCount.model_validate_json(await self._asked("POST", path, question))
        except (NoSuchPathError, ValidationError):
            return None
        return len(counted.tokens) if counted.tokens is not None else counted.count

    async def chat(self, question: dict[str, Any]) -> AsyncGenerator[Chunk]:
        """The chunks of a streamed answer. Closing it closes the connection, and the server stops computing.

        Raises:
            ModelNotReadyError: the server can't be reached.
            PromptTooLongError, BadGrammarError: the server says so.
            QueueFullError: it is full, also after `retries`.
            ModelError: it refuses, falls silent or breaks off.
        """
        response = await self._answered("POST", "/v1/chat/completions", question, streamed=True)
        response.stream = _Bounded(response.stream, _most_bytes(question))
        chunks = 0
        async with (
            contextlib.aclosing(response),
            contextlib.aclosing(EventSource(response).aiter_sse()) as events,
        ):
            try:
                async for event in events:
                    if event.data == DONE:
                        return
                    if event.data:
                        chunks += 1
                        yield self._chunk(event.data, question)
            except httpx.ReadTimeout as error:
                raise self._silent(f"after {chunks} pieces of its answer") from error
            except SSEError as error:
                raise self._foreign(f"its answer is no event stream ({error})") from error
            except _TooMuchError as error:
                raise self._foreign(f"its answer is {error} for {question['max_tokens']} tokens") from error
            except httpx.HTTPError as error:
                raise self._broken_off(chunks, _words(error)) from error
        raise self._broken_off(chunks, "the connection was closed")

    def _chunk(self, data: str, question: dict[str, Any]) -> Chunk:
        try:
            chunk = Chunk.model_validate_json(data)
        except ValidationError as error:
            raise self._foreign(f"it sent {data[:80]!r} for a piece of an answer") from error
        if chunk.error is not None:
            fault = as_fault(chunk.error)
            raise self._meant(fault, question) or ModelError(f"{self._who} failed: {fault.message}")
        return chunk

    async def _asked(self, method: str, path: str, question: dict[str, Any] | None = None) -> bytes:
        """The whole body of a small answer; what drips for longer than a silence may last is no answer."""
        response = await self._answered(method, path, question or {}, streamed=False)
        response.stream = _Bounded(response.stream, SMALL_BODY_BYTES)
        async with contextlib.aclosing(response):
            try:
                async with asyncio.timeout(self._settings.read_timeout_s):
                    return await response.aread()
            except TimeoutError as error:
                raise self._silent(f"that would end {path}") from error
            except _TooMuchError as error:
                raise self._foreign(f"{path} is {error}") from error
            except httpx.HTTPError as error:
                raise ModelNotReadyError(f"{self._who} broke off {path}: {_words(error)}.") from error

    async def _answered(
        self, method: str, path: str, question: dict[str, Any], *, streamed: bool
    ) -> httpx.Response:
        """The beginning of a good answer; a server that is away or full is asked again."""
        client = self._client(lasting=not streamed)
        for attempt in count():
            try:
                request = client.build_request(method, f"{self._root}{path}", json=question or None)
                response = await client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # Where an answer was asked for, the server may be computing it: only what never arrived is repeated.
                fault = self._unreached(error, repeatable=not streamed)
            else:
                if response.status_code == HTTPStatus.OK:
                    return response
                fault = await self._refused(response, path, question)
            if not fault.again or attempt >= self._settings.retries:
                raise fault.error
            pause = FIRST_PAUSE_S * 2**attempt if fault.pause_s is None else fault.pause_s
            await asyncio.sleep(min(pause, LONGEST_PAUSE_S))
        raise AssertionError("counted to the end")

    def _client(self, *, lasting: bool) -> httpx.AsyncClient:
        """Small questions share connections; each answer has one of its own, which never was left idle."""
        if lasting not in self._clients:
            key = self._settings.api_key
            self._clients[lasting] = httpx.AsyncClient(
                timeout=httpx.Timeout(
                    self._settings.read_timeout_s, connect=self._settings.connect_timeout_s
                ),
                headers={
                    "Accept-Encoding": "identity",
                    **({"Authorization": f"Bearer {key}"} if key else {}),
                },
                trust_env=False,  # no proxy of the environment stands between, and no .netrc speaks for us
                limits=httpx.Limits(max_keepalive_connections=4 if lasting else 0),
            )
        return self._clients[lasting]

    async def _refused(self, response: httpx.Response, path: str, question: dict[str, Any]) -> _Fault:
        """What a status other than 200 means."""
        body = b""
        response.stream = _Bounded(response.stream, REFUSAL_BYTES)
        async with contextlib.aclosing(response):
            with contextlib.suppress(httpx.HTTPError, TimeoutError, _TooMuchError):  # the status says enough
                async with asyncio.timeout(self._settings.read_timeout_s):
                    body = await response.aread()
        fault = read_refusal(body)
        said = f"{self._who} answered {response.status_code}: {fault.message or response.reason_phrase}"
        error = self._meant(fault, question) or self._by_status(response, said, path, question)
        again = response.status_code in BUSY | AWAY
        return _Fault(error, again=again, pause_s=_retry_after(response) if again else None)

    def _by_status(
        self, response: httpx.Response, said: str, path: str, question: dict[str, Any]
    ) -> ModelError:
        status = response.status_code
        if status in BUSY:
            wait = _retry_after(response) or ASK_AGAIN_S
            return QueueFullError(f"{said}. Try again in {wait:.0f} s.", retry_after_s=wait)
        if status in AWAY:
            return ModelNotReadyError(f"{said}. Start the server behind it.")
        if status in LOCKED:
            return ModelError(f"{said}. Set {self._section} api_key to a key that the server takes.")
        if status in NO_SUCH_PATH:
            return NoSuchPathError(
                f"{said}. It has no {path}, or not this model: mend {self._section} url or model."
            )
        if status in UNFIT and question.keys() & CONSTRAINTS:
            return BadGrammarError(f"{said}. Mend the grammar or schema.")
        return ModelError(f"{said}. The server's own log may say more.")

    def _meant(self, fault: Fault, question: dict[str, Any]) -> ModelError | None:
        """What the server's own words mean, whatever its status."""
        words = fault.message.lower()
        codes = {str(fault.code), str(fault.type)}
        if codes & TOO_LONG_CODES or any(each in words for each in TOO_LONG_WORDS):
            room = (
                f" The answer was to have room for {question['max_tokens']}."
                if "max_tokens" in question
                else ""
            )
            return PromptTooLongError(f"{self._who} says: {fault.message}.{room}")
        if any(each in words for each in ROLES_WORDS):
            return RolesRefusedError(f"{self._who} refuses the conversation: {fault.message}")
        if "loading model" in words:
            return ModelNotReadyError(f"{self._who} is still loading. Try again soon.")
        return None

    def _unreached(self, error: Exception, *, repeatable: bool) -> _Fault:
        """Why no status came."""
        if isinstance(error, httpx.ReadTimeout):
            return _Fault(self._silent("to begin with"))
        never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        remedy = f"Start the server, or mend {self._section} url."
        away = ModelNotReadyError(f"{self._who} can't be reached: {_words(error)}. {remedy}")
        return _Fault(away, again=never_arrived or (repeatable and isinstance(error, httpx.TransportError)))

    def _silent(self, when: str) -> ModelError:
        limit = self._settings.read_timeout_s
        return ModelError(
            f"{self._who} said nothing for {limit:g} s {when}. "
            f"If it is only slow, raise {self._section} read_timeout_seconds."
        )

    def _broken_off(self, chunks: int, why: str) -> ModelError:
        if not chunks:  # llama-cpp-python's server says no more than that of a prompt that is too long
            return ModelError(
                f"{self._who} said nothing: {why}. Its own log says why; the prompt may be too long for it."
            )
        return ModelError(f"{self._who} broke off after {chunks} pieces of its answer: {why}. Ask again.")

    def _foreign(self, what: str) -> ModelError:
        return ModelError(
            f"{self._who} does not speak as OpenAI does: {what}. "
            f"Set {self._section} url to an OpenAI-compatible server (vLLM, llama.cpp)."
        )


def _most_bytes(question: dict[str, Any]) -> int:
    """The longest answer to a question, on the wire; what a model thinks counts as tokens too."""
    a_token = BYTES_A_TOKEN + BYTES_A_LOGPROB * question.get("top_logprobs", 0)
    return int(ANSWER_BYTES + question["max_tokens"] * a_token)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _retry_after(response: httpx.Response) -> float | None:
    """The header's seconds, an hour at most; its other form, a date, is for caches that last."""
    value = response.headers.get("Retry-After", "")
    return min(float(value), LONGEST_WAIT_S) if value.isdecimal() else None
