"""People at a server that says what the test wants."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from bench import engine_clients
from bench.engine_clients import (
    Heard,
    Said,
    figures,
    first_token_s,
    listen,
    newcomer,
    one_by_one,
    together,
    up_to,
)
from bench.engine_models import Ask
from llm import GenerateRequest, Message

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ASK = Ask(
    request=GenerateRequest(messages=(Message(role="user", speaker="지훈", text="뭐해?"),), max_tokens=3),
    text="지훈: 뭐해?",
    tokens=(1, 2, 3),
    stop=("\n지훈:",),
)


def speak(ask: Ask) -> Generator[Said, None, None]:
    """As many words as may be."""
    yield Said("")
    for _ in range(ask.request.max_tokens):
        yield Said("말 ")
    yield Said("", ask.request.max_tokens)


class Scripted(BaseHTTPRequestHandler):
    """Answers with the events that stand in `said`, and keeps what it was asked, and from which ports."""

    protocol_version = "HTTP/1.1"
    said: tuple[str, ...] = ()
    status = 200
    asked: tuple[str, dict[str, object]] = ("", {})
    ports: tuple[int, ...] = ()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked = (self.path, json.loads(body))
        type(self).ports += (self.client_address[1],)
        answer = "".join(f"{event}\n\n" for event in self.said).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[Scripted]]]:
    handler = type("Handler", (Scripted,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", handler
        http.shutdown()
        thread.join()


def test_the_first_token_is_the_first_that_says_something() -> None:
    firsts: list[bool] = []
    heard = listen(speak, ASK, on_first=lambda: firsts.append(True))
    assert firsts == [True]
    assert 0 < heard.first_s <= heard.seconds
    assert (heard.text, heard.tokens) == ("말 말 말 ", 3)


def test_the_first_token_counts_though_it_is_not_shown() -> None:
    asked: list[int | None] = []

    def white(ask: Ask) -> Generator[Said, None, None]:
        asked.append(ask.request.max_tokens)
        yield Said("", 1)

    assert first_token_s(white, ASK) > 0
    assert asked == [1]


def test_an_answer_that_says_nothing_took_as_long_as_all_of_it() -> None:
    heard = listen(speak, up_to(ASK, 0))
    assert heard.first_s == heard.seconds


def test_figures_are_of_the_whole_group() -> None:
    heard = [Heard(first_s=each, seconds=2 * each, tokens=10) for each in (0.1, 0.2, 0.3, 5.0)]
    found = figures(heard, 10.0)
    assert (found.first_token_s_p50, found.first_token_s_p95) == (0.2, 5.0)
    assert (found.total_tps, found.tokens) == (4.0, 40)


def test_all_ask_at_once_or_one_after_another() -> None:
    assert together(speak, [ASK] * 3).tokens == one_by_one(speak, [ASK] * 3).tokens == 9


def test_a_newcomer_comes_when_the_others_are_being_answered_and_they_go_when_it_is_done() -> None:
    under_way = threading.Semaphore(0)
    late = up_to(ASK, 7)
    waited: list[bool] = []

    def slow(ask: Ask) -> Generator[Said, None, None]:
        if ask is late:
            waited.extend(under_way.acquire(timeout=10) for _ in range(2))
            yield from speak(ask)
            return
        under_way.release()
        while True:
            yield Said("끝없이 ")

    assert newcomer(slow, [ASK, ASK], late, after=2).tokens == 7
    assert waited == [True, True]


def test_what_goes_wrong_for_one_of_them_is_raised() -> None:
    def broken(ask: Ask) -> Generator[Said, None, None]:
        yield Said(ask.text)
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        together(broken, [ASK])


def test_llama_cpps_server_is_given_tokens_and_counts_its_own(
    server: tuple[str, type[Scripted]],
) -> None:
    url, handler = server
    handler.said = (
        'data: {"content": "나", "stop": false}',
        'data: {"content": "", "stop": true, "tokens_predicted": 2}',
    )
    heard = listen(engine_clients.llama_server(url), ASK)
    assert (heard.text, heard.tokens) == ("나", 2)
    path, body = handler.asked
    assert path == "/completion"
    assert (body["prompt"], body["n_predict"], body["stop"]) == ([1, 2, 3], 3, ["\n지훈:"])


def test_each_question_has_a_connection_of_its_own(server: tuple[str, type[Scripted]]) -> None:
    url, handler = server
    handler.said = ('data: {"content": "나", "stop": true, "tokens_predicted": 1}',)
    for _ in range(3):
        listen(engine_clients.llama_server(url), ASK)
    assert len(set(handler.ports)) == 3


@pytest.mark.parametrize(("reason", "tokens"), [("length", 3), ("stop", 11)])
def test_llama_cpp_pythons_server_is_given_text_and_counted_for(
    server: tuple[str, type[Scripted]], reason: str, tokens: int
) -> None:
    url, handler = server
    handler.said = (
        'data: {"choices": [{"text": "나는 ", "finish_reason": null}]}',
        f'data: {{"choices": [{{"text": "", "finish_reason": "{reason}"}}]}}',
        "data: [DONE]",
    )
    heard = listen(engine_clients.llama_cpp_python(url, lambda text: 8 + len(text)), ASK)
    assert (heard.text, heard.tokens) == ("나는 ", tokens)
    assert handler.asked[1]["prompt"] == ASK.text


def test_a_server_that_refuses_is_an_error_in_its_own_words(server: tuple[str, type[Scripted]]) -> None:
    url, handler = server
    handler.status, handler.said = 400, ("too long",)
    with pytest.raises(httpx.HTTPStatusError, match="too long"):
        listen(engine_clients.llama_server(url), ASK)
