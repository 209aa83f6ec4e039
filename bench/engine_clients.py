"""People who ask a language model at the same time, and when they hear what.

Ask ─▶ speak (memoryd's engine, llama.cpp's server, llama-cpp-python's server) ─▶ Said, Said, … ─▶ Heard
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from bench.scores import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from bench.engine_models import Ask
    from llm.base import Generator as Model

LONGEST_ANSWER_S = 1800.0
DATA = "data: "


@dataclass(frozen=True, slots=True)
class Said:
    """A bit of an answer; the last one says how many tokens the whole of it took."""

    text: str
    tokens: int | None = None


class Speak(Protocol):
    """How a server is asked; closing the generator goes away."""

    def __call__(self, ask: Ask) -> Generator[Said, None, None]:
        """The answer as it comes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An answer: seconds from the asking to the first text and to the end, its tokens."""

    first_s: float
    seconds: float
    tokens: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a group of people heard."""

    first_token_s_p50: float
    first_token_s_p95: float
    total_tps: float
    tokens: int
    seconds: float


def in_process(model: Model) -> Speak:
    """The engine of memoryd, as the daemon asks it."""

    def speak(ask: Ask) -> Generator[Said, None, None]:
        pieces = model.generate(ask.request)
        for piece in pieces:
            yield Said(piece.text + piece.thought, piece.usage.completion_tokens if piece.usage else None)

    return speak


def llama_server(url: str) -> Speak:
    """llama.cpp's own server by its own interface, which takes tokens."""

    def speak(ask: Ask) -> Generator[Said, None, None]:
        body = {
            "prompt": list(ask.tokens),
            "n_predict": ask.request.max_tokens,
            "temperature": 0.0,
            "stop": list(ask.stop),
            "stream": True,
            "cache_prompt": True,
        }
        for event in _events(f"{url}/completion", body):
            over = event.get("stop")
            yield Said(event.get("content", ""), int(event["tokens_predicted"]) if over else None)

    return speak


def llama_cpp_python(url: str, count: Callable[[str], int]) -> Speak:
    """llama-cpp-python's server, by OpenAI's interface; it doesn't count a streamed answer, so `count` does."""

    def speak(ask: Ask) -> Generator[Said, None, None]:
        body = {
            "prompt": ask.text,
            "max_tokens": ask.request.max_tokens,
            "temperature": 0.0,
            "stop": list(ask.stop) or None,
            "stream": True,
        }
        whole, reason = "", ""
        for event in _events(f"{url}/v1/completions", body):
            choice = event["choices"][0]
            whole += choice["text"]
            reason = choice.get("finish_reason") or reason
            yield Said(choice["text"])
        yield Said("", ask.request.max_tokens if reason == "length" else count(whole))

    return speak


def listen(
    speak: Speak,
    ask: Ask,
    *,
    on_first: Callable[[], None] = lambda: None,
    enough: threading.Event | None = None,
) -> Heard:
    """Asks and hears the answer out, or until it is `enough`."""
    began = time.perf_counter()
    first, tokens, bits = 0.0, 0, 0
    text = ""
    with closing(speak(ask)) as answer:
        for said in answer:
            if said.text and not first:
                first = time.perf_counter() - began
                on_first()
            bits += bool(said.text)
            text += said.text
            tokens = said.tokens if said.tokens is not None else tokens
            if enough is not None and enough.is_set():
                break
    seconds = time.perf_counter() - began
    return Heard(first_s=first or seconds, seconds=seconds, tokens=tokens or bits, text=text)


def first_token_s(speak: Speak, ask: Ask) -> float:
    """Seconds to the first token of an answer, also one that is not shown: to the end of an answer of one.

    The first text comes a token later where an answer begins with white space, and that differs from prompt to prompt.
    """
    return listen(speak, up_to(ask, 1)).seconds


def one_by_one(speak: Speak, asks: Sequence[Ask]) -> Figures:
    """One person after the other."""
    began = time.perf_counter()
    heard = [listen(speak, ask) for ask in asks]
    return figures(heard, time.perf_counter() - began)


def together(speak: Speak, asks: Sequence[Ask]) -> Figures:
    """All at the same moment."""
    start = threading.Barrier(len(asks) + 1)

    def person(ask: Ask) -> Heard:
        start.wait()
        return listen(speak, ask)

    with ThreadPoolExecutor(len(asks)) as pool:
        answers = [pool.submit(person, ask) for ask in asks]
        start.wait()
        began = time.perf_counter()
        heard = [answer.result() for answer in answers]
        return figures(heard, time.perf_counter() - began)


def newcomer(speak: Speak, asks: Sequence[Ask], late: Ask, *, after: int) -> Heard:
    """What one more person hears who asks when `after` of the others have had their first word.

    The others go away once the newcomer has been answered.
    """
    heard_first = threading.Semaphore(0)
    enough = threading.Event()
    with ThreadPoolExecutor(len(asks)) as pool:
        others = [
            pool.submit(listen, speak, ask, on_first=heard_first.release, enough=enough) for ask in asks
        ]
        for other in others:
            # One that failed, or ended without a word, is not waited for.
            other.add_done_callback(lambda _other: heard_first.release())
        try:
            for _ in range(after):
                if not heard_first.acquire(timeout=LONGEST_ANSWER_S):
                    raise TimeoutError("the others got no answer")
            heard = listen(speak, late)
        finally:
            enough.set()
        for other in others:
            other.result()
    return heard


def round_trip_s(url: str, *, times: int = 20) -> float:
    """The shortest time of a request that does nothing, in seconds: what HTTP itself takes, with its connection."""
    shortest = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        _client().get(url)
        shortest = min(shortest, time.perf_counter() - began)
    return shortest


def up_to(ask: Ask, tokens: int) -> Ask:
    """The same question with another limit to its answer."""
    return replace(ask, request=replace(ask.request, max_tokens=tokens))


def figures(heard: Sequence[Heard], seconds: float) -> Figures:
    """Over one group; `seconds` from the first question to the last answer's end."""
    firsts = [each.first_s for each in heard]
    tokens = sum(each.tokens for each in heard)
    return Figures(
        first_token_s_p50=round(percentile(firsts, 50), 4),
        first_token_s_p95=round(percentile(firsts, 95), 4),
        total_tps=round(tokens / seconds, 2),
        tokens=tokens,
        seconds=round(seconds, 3),
    )


@cache
def _client() -> httpx.Client:
    """One client for all: to make one takes as long as a first token.

    Each question has a connection of its own: llama.cpp's server may close a kept one as the next question goes out.
    """
    none_kept = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(trust_env=False, timeout=LONGEST_ANSWER_S, limits=none_kept)


def _events(url: str, body: dict[str, object]) -> Iterator[dict[str, Any]]:
    """The data of server-sent events, as they come."""
    with _client().stream("POST", url, json=body) as response:
        if response.is_error:
            response.read()
            raise httpx.HTTPStatusError(response.text, request=response.request, response=response)
        for line in response.iter_lines():
            if line.startswith(DATA) and line != DATA + "[DONE]":
                yield json.loads(line.removeprefix(DATA))
