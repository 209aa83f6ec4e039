from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from llm import (
    GenerateRequest,
    Message,
    ModelError,
    ModelNotReadyError,
    PromptTooLongError,
    RemoteSettings,
    State,
    Usage,
)
from llm.base import (
    BadGrammarError,
    DeadlineError,
    Finish,
    Identity,
    Piece,
    QueueFullError,
    TokenLogprob,
)
from llm.remote_runner import RemoteModel
from tests.llm.scripted_server import (
    CHAT,
    MODELS,
    ScriptedServer,
    cards,
    chunk,
    endless,
    hang,
    reply,
    stream,
    usage,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = stream(chunk("네, "), chunk("기억해요."), chunk(finish="stop"), usage(30, 5, cached_tokens=20))
USUAL: dict[str, Any] = {"look_again_s": 0.02}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.scripts[CHAT] = [ANSWER]
        yield server


@pytest.fixture
def connect(server: ScriptedServer) -> Iterator[Callable[..., RemoteModel]]:
    models: list[RemoteModel] = []

    def connected(**settings: Any) -> RemoteModel:
        remote = RemoteModel("big", RemoteSettings(**USUAL | {"url": server.url} | settings))
        models.append(remote)
        remote.load()
        return remote

    yield connected
    for remote in models:
        remote.close()


@pytest.fixture
def big(connect: Callable[..., RemoteModel]) -> RemoteModel:
    return connect()


def ask(text: str = "기억해?", **more: Any) -> GenerateRequest:
    return GenerateRequest(messages=(Message(role="user", speaker="지훈", text=text),), **more)


def texts(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def answered(remote: RemoteModel, request: GenerateRequest | None = None) -> list[Piece]:
    return list(remote.generate(request or ask()))


# Where it stands


def test_it_is_ready_when_the_server_has_the_model(big: RemoteModel, server: ScriptedServer) -> None:
    status = big.status()
    assert (status.name, status.family, status.state) == ("big", "remote", State.READY)
    assert status.detail == f"small at {server.url}, context 8192 tokens"
    assert status.path == server.url
    assert not big.quotes


def test_before_it_was_asked_for_it_is_absent_and_answers_nothing() -> None:
    remote = RemoteModel("big", RemoteSettings(url="http://127.0.0.1:9"))
    assert remote.status().state is State.ABSENT
    with pytest.raises(ModelNotReadyError, match="The model big is absent: not asked yet"):
        remote.generate(ask())
    with pytest.raises(ModelNotReadyError):
        remote.count_tokens("글")


@pytest.mark.parametrize("ending", ["/v1", "/v1/", "/"])
def test_the_address_may_end_as_people_write_it(
    connect: Callable[..., RemoteModel], server: ScriptedServer, ending: str
) -> None:
    assert texts(answered(connect(url=server.url + ending))) == "네, 기억해요."


def test_a_wrong_name_lists_the_models_that_there_are(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [reply(cards("llama-70b", "qwen-32b"))]
    status = connect(model="lama").status()
    assert status.state is State.FAILED
    assert status.detail == (
        f'{server.url} has no model "lama"; it has: llama-70b, qwen-32b. '
        "Set [models.big] model to one of them."
    )


def test_of_several_models_one_has_to_be_named(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [reply(cards("llama-70b", "qwen-32b"))]
    assert "has not exactly one model; it has: llama-70b, qwen-32b" in connect().status().detail
    assert connect(model="qwen-32b").status().state is State.READY


def test_a_smaller_context_of_the_server_counts(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [reply(cards("small", owned_by="vllm", max_model_len=4096))]
    assert connect().context_tokens == 4096
    assert connect(context_tokens=2048).context_tokens == 2048


def test_a_server_that_comes_later_is_found(connect: Callable[..., RemoteModel]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    remote = connect(url=f"http://127.0.0.1:{port}", retries=0)
    status = remote.status()
    assert status.state is State.FAILED
    assert f"The model big at http://127.0.0.1:{port} can't be reached: " in status.detail
    assert "Start the server, or mend [models.big] url." in status.detail
    with ScriptedServer(port) as late:
        late.scripts[CHAT] = [ANSWER]
        until(lambda: remote.status().state is State.READY)
        assert texts(answered(remote)) == "네, 기억해요."


def test_a_server_that_went_away_is_failed_until_it_is_back(connect: Callable[..., RemoteModel]) -> None:
    with ScriptedServer() as first:
        remote = connect(url=first.url, retries=0)
    with pytest.raises(ModelNotReadyError, match="can't be reached"):
        answered(remote)
    assert remote.status().state is State.FAILED
    with ScriptedServer(first.server_address[1]) as again:
        again.scripts[CHAT] = [ANSWER]
        until(lambda: remote.status().state is State.READY)
        assert texts(answered(remote)) == "네, 기억해요."


def test_what_is_no_such_server_is_said_so(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [reply(b"<html>It works!</html>")]
    assert "does not speak as OpenAI does: /v1/models is no list of models" in connect().status().detail


def test_a_key_is_sent_and_not_shown(connect: Callable[..., RemoteModel], server: ScriptedServer) -> None:
    connect(api_key="geheim")
    assert server.asked[0][2]["Authorization"] == "Bearer geheim"
    assert "geheim" not in repr(RemoteSettings(url=server.url, api_key="geheim"))


def test_a_refused_key_is_named(connect: Callable[..., RemoteModel], server: ScriptedServer) -> None:
    server.scripts[MODELS] = [reply({"error": {"message": "Invalid API Key", "code": 401}}, 401)]
    assert "answered 401: Invalid API Key. Set [models.big] api_key" in connect().status().detail


def test_the_environments_proxies_and_netrc_are_not_used(
    connect: Callable[..., RemoteModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert texts(answered(connect())) == "네, 기억해요."


def test_a_pinned_identity_is_noted(big: RemoteModel) -> None:
    assert big.status().identity is None
    big.pin(Identity(version=7, text="나는 에코다."))
    assert big.status().identity == 7
    big.forget()
    assert big.status().identity is None


def test_closed_it_is_absent_and_can_be_loaded_again(big: RemoteModel) -> None:
    big.pin(Identity(version=7, text="나는 에코다."))
    big.close()
    assert big.status().state is State.ABSENT
    with pytest.raises(ModelNotReadyError):
        big.generate(ask())
    big.load()
    assert texts(answered(big)) == "네, 기억해요."
    assert big.status().identity == 7


# What it answers


def test_an_answer_is_streamed_with_its_counts_last(big: RemoteModel) -> None:
    *said, last = answered(big)
    assert [piece.text for piece in said] == ["네,", " 기억해요."]
    assert last == Piece(
        text="",
        finish=Finish.STOP,
        usage=Usage(prompt_tokens=30, cached_tokens=20, completion_tokens=5),
    )


def test_the_question_goes_out_as_asked(big: RemoteModel, server: ScriptedServer) -> None:
    answered(big, ask("안녕"))
    assert server.bodies()[0]["messages"] == [{"role": "user", "content": "안녕"}]
    assert server.bodies()[0]["model"] == "small"


def test_an_answer_at_its_limit_says_so(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [stream(chunk("네"), chunk(finish="length"))]
    assert answered(big)[-1].finish is Finish.LENGTH


def test_a_server_that_counts_nothing_is_estimated(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [stream(chunk("네"), chunk("."), chunk(finish="stop"))]
    spent = answered(big)[-1].usage
    assert spent is not None
    assert spent.completion_tokens == 2
    assert 4 < spent.prompt_tokens < 12


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_kept_apart(big: RemoteModel, server: ScriptedServer, field: str) -> None:
    server.scripts[CHAT] = [stream(chunk(**{field: "어디 보자"}), chunk("네."), chunk(finish="stop"))]
    pieces = answered(big)
    assert texts(pieces) == "네."
    assert pieces[0] == Piece(text="", thought="어디 보자")


def test_thoughts_in_the_text_are_kept_apart_too(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [
        stream(chunk("<thi"), chunk("nk>음"), chunk("</think>\n\n네."), chunk(finish="stop"))
    ]
    pieces = answered(big)
    assert texts(pieces) == "네."
    assert "".join(piece.thought for piece in pieces) == "음"


def test_nothing_but_thoughts_is_no_answer(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [stream(chunk(reasoning_content="음…"), chunk(finish="length"))]
    with pytest.raises(ModelError, match="only thought"):
        answered(big)


def test_log_probabilities_come_with_their_tokens(big: RemoteModel, server: ScriptedServer) -> None:
    said = {"id": 5, "token": "네", "logprob": -0.1, "top_logprobs": [{"token": "응", "logprob": -2.0}]}
    spoken = chunk("네")
    spoken["choices"][0]["logprobs"] = {"content": [said]}
    server.scripts[CHAT] = [stream(spoken, chunk(finish="stop"))]
    assert answered(big, ask(logprobs=1))[0].logprobs == (
        TokenLogprob(token=5, text="네", logprob=-0.1, top=((-1, "응", -2.0),)),
    )


def test_a_stop_text_that_the_server_was_not_told_ends_the_answer_and_the_connection(
    big: RemoteModel, server: ScriptedServer
) -> None:
    server.scripts[CHAT] = [hang(chunk("네.\n지훈"), chunk(": 그래"))]
    pieces = answered(big, ask(stop=("1", "2", "3", "4", "\n지훈:")))
    assert texts(pieces) == "네."
    assert pieces[-1].finish is Finish.STOP
    assert server.left.wait(30)


@pytest.mark.parametrize(
    "words",
    [
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Jinja Exception: System role not supported",
    ],
)
def test_a_template_that_refuses_the_roles_is_asked_by_turns_from_then_on(
    big: RemoteModel, server: ScriptedServer, words: str
) -> None:
    server.scripts[CHAT] = [reply({"object": "error", "message": words}, 400), ANSWER]
    system = Message(role="system", speaker="에코", text="나는 에코다.")
    request = GenerateRequest(messages=(system, *ask("안녕?").messages))
    assert texts(answered(big, request)) == "네, 기억해요."
    assert texts(answered(big, request)) == "네, 기억해요."
    merged = [{"role": "user", "content": "나는 에코다.\n\n안녕?"}]
    assert [len(body["messages"]) for body in server.bodies()] == [2, 1, 1]
    assert server.bodies()[-1]["messages"] == merged


# When it goes wrong


def test_a_server_that_is_full_or_away_for_a_moment_is_asked_again(
    big: RemoteModel, server: ScriptedServer
) -> None:
    full = reply({"error": {"message": "busy"}}, 429, Retry_After="0")
    server.scripts[CHAT] = [full, reply({"message": "no slot"}, 503, Retry_After="0"), ANSWER]
    assert texts(answered(big)) == "네, 기억해요."
    assert len(server.bodies()) == 3


def test_a_server_that_stays_full_says_when_to_come_back(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[CHAT] = [reply({"detail": "too many"}, 503, Retry_After="7")]
    with pytest.raises(QueueFullError, match=r"answered 503: too many. Try again in 7 s") as caught:
        answered(connect(retries=0))
    assert caught.value.retry_after_s == 7


def test_a_gateway_without_its_server_is_not_ready(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[CHAT] = [reply(b"<html>Bad Gateway</html>", 502)]
    with pytest.raises(ModelNotReadyError, match="answered 502"):
        answered(connect(retries=0))


def test_no_answer_is_asked_for_twice_once_it_has_begun(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [stream(chunk("네, "), chunk("기억"), done=False)]
    said: list[str] = []
    with pytest.raises(ModelError, match="broke off after 2 pieces of its answer"):
        said.extend(piece.text for piece in big.generate(ask()))
    assert "".join(said) == "네, 기억"
    assert len(server.bodies()) == 1


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{not json", "does not speak as OpenAI does: it sent '{not json'"),
        ({"choices": [{"delta": {"content": 5}}]}, "does not speak as OpenAI does"),
        ({"error": {"message": "CUDA out of memory", "code": 500}}, "failed: CUDA out of memory"),
        ({"error": "boom"}, "failed: boom"),
    ],
)
def test_what_is_no_piece_of_an_answer_is_shown(
    big: RemoteModel, server: ScriptedServer, event: Any, said: str
) -> None:
    server.scripts[CHAT] = [stream(chunk("네"), event)]
    with pytest.raises(ModelError) as caught:
        answered(big)
    assert said in str(caught.value)
    assert server.url in str(caught.value)


def test_an_answer_that_is_no_stream_is_named(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [reply(chunk("네"))]
    with pytest.raises(ModelError, match="its answer is no event stream"):
        answered(big)


def test_an_empty_stream_is_no_answer(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [stream(done=False)]
    with pytest.raises(ModelError, match="the prompt may be too long for it"):
        answered(big)


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"message": "request (9 tokens) exceeds it", "type": "exceed_context_size_error"}},
        {"error": {"message": "too long", "code": "context_length_exceeded"}},
        {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(
    big: RemoteModel, server: ScriptedServer, refusal: Any
) -> None:
    server.scripts[CHAT] = [reply(refusal, 400)]
    with pytest.raises(PromptTooLongError, match="room for 512"):
        answered(big)
    server.scripts[CHAT] = [stream(refusal if "error" in refusal else {"error": refusal})]
    with pytest.raises(PromptTooLongError):
        answered(big)


def test_a_schema_that_the_server_refuses_is_a_bad_one(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [reply({"error": {"message": "unrecognized type nonsense"}}, 400)]
    with pytest.raises(BadGrammarError, match="unrecognized type nonsense"):
        answered(big, ask(json_schema='{"type": "nonsense"}'))
    with pytest.raises(ModelError, match="answered 400") as caught:
        answered(big)
    assert type(caught.value) is ModelError


def test_a_silent_server_is_given_up(connect: Callable[..., RemoteModel], server: ScriptedServer) -> None:
    server.scripts[CHAT] = [hang(begun=False), hang(chunk("네"))]
    remote = connect(read_timeout_s=0.1)
    for when in ("to begin with", "after 1 pieces"):
        with pytest.raises(ModelError, match=rf"said nothing for 0.1 s {when}.*read_timeout_seconds"):
            answered(remote)
    assert len(server.bodies()) == 2


@pytest.mark.parametrize("event", [b'data: {"choices":[{"delta":{"content":"x "}}]}\n\n', b"data: x\n", b"x"])
def test_an_answer_without_an_end_is_left(big: RemoteModel, server: ScriptedServer, event: bytes) -> None:
    server.scripts[CHAT] = [endless(event * 1000)]
    if event.endswith(b"\n\n"):
        pieces = answered(big, ask(max_tokens=20))
        assert (pieces[-1].finish, len(texts(pieces))) == (Finish.LENGTH, 81)
    else:
        with pytest.raises(ModelError, match="its answer is longer than"):
            answered(big, ask(max_tokens=20))


def test_a_refusal_without_an_end_is_a_refusal(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [endless(b"z" * 1000, status=400)]
    with pytest.raises(ModelError, match="answered 400"):
        answered(big)


def test_a_list_of_models_without_an_end_is_none(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [endless(b" " * 65536), endless(b" ", pause_s=0.05)]
    remote = connect(read_timeout_s=0.5, look_again_s=60)
    assert "/v1/models is longer than" in remote.status().detail
    remote.load()
    assert "said nothing for 0.5 s that would end /v1/models" in remote.status().detail


def test_a_server_that_is_slow_to_count_is_waited_for_once(
    connect: Callable[..., RemoteModel], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm.remote_runner.LONGEST_COUNT_S", 0.1)
    server.scripts[MODELS] = [reply(cards("small", owned_by="llamacpp"))]
    server.scripts["/tokenize"] = [hang(begun=False)]
    remote = connect()
    assert [remote.count_tokens(text) for text in ("가", "나", "다")] == [1, 1, 1]
    assert len(server.bodies("/tokenize")) == 1


@pytest.mark.parametrize("context", [-5, 0])
def test_numbers_that_can_not_be_are_passed_over(
    connect: Callable[..., RemoteModel], server: ScriptedServer, context: int
) -> None:
    server.scripts[MODELS] = [reply(cards("small", owned_by="vllm", max_model_len=context))]
    server.scripts["/tokenize"] = [reply({"count": -7})]
    remote = connect()
    assert remote.context_tokens == 8192
    assert remote.count_tokens("가") == 1
    server.scripts[CHAT] = [reply({}, 503, Retry_After="0"), reply({}, 503, Retry_After="9" * 400)]
    once = connect(retries=0)
    with pytest.raises(QueueFullError):
        answered(once)
    with pytest.raises(QueueFullError) as caught:
        answered(once)
    assert caught.value.retry_after_s == 3600


# Who leaves


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancelled_request_ends_at_once_and_frees_the_server(
    big: RemoteModel, server: ScriptedServer, begun: bool
) -> None:
    server.scripts[CHAT] = [hang(*([chunk("네")] if begun else []), begun=begun)]
    cancelled = threading.Event()

    def cancel() -> None:
        server.hanging.wait(5)
        cancelled.set()

    if not begun:
        threading.Thread(target=cancel).start()
    pieces = []
    for piece in big.generate(ask(cancelled=cancelled)):
        pieces.append(piece)
        # What the server has sent may not have come yet, so it is not the server that says when.
        cancelled.set()
    assert texts(pieces) == ("네" if begun else "")
    assert pieces[-1].finish is Finish.CANCELLED
    assert pieces[-1].usage is not None
    assert server.left.wait(1)


def test_a_request_ends_with_its_time(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [hang(chunk("네"))]
    begun = time.monotonic()
    with pytest.raises(DeadlineError, match=r"The model big was not done within 0.2 s"):
        answered(big, ask(deadline_s=0.2))
    assert time.monotonic() - begun < 2
    assert server.left.wait(30)


def test_who_closes_the_iterator_frees_the_server(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [hang(chunk("네"), chunk("에"))]
    with closing(big.generate(ask())) as pieces:
        assert next(pieces).text == "네"
    assert server.left.wait(30)
    assert big.status().state is State.READY


def test_closing_the_model_ends_what_it_says(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [hang(chunk("네"))]
    with closing(big.generate(ask())) as pieces:
        next(pieces)
        big.close()
        with pytest.raises(ModelNotReadyError, match="was closed while it answered"):
            next(pieces)
    assert server.left.wait(30)


def test_several_requests_are_answered_together(big: RemoteModel, server: ScriptedServer) -> None:
    server.scripts[CHAT] = [hang(chunk("먼저")), ANSWER]
    with closing(big.generate(ask())) as first:
        assert next(first).text == "먼저"
        assert texts(answered(big)) == "네, 기억해요."


# Counting


@pytest.mark.parametrize(
    ("owner", "path", "question", "answer"),
    [
        ("llamacpp", "/tokenize", {"content": "글"}, {"tokens": [1, 2, 3]}),
        (
            "vllm",
            "/tokenize",
            {"model": "small", "prompt": "글", "add_special_tokens": False},
            {"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3]},
        ),
        ("me", "/extras/tokenize/count", {"input": "글"}, {"count": 3}),
    ],
)
def test_the_server_counts_where_it_can_once_a_text(
    connect: Callable[..., RemoteModel],
    server: ScriptedServer,
    owner: str,
    path: str,
    question: Any,
    answer: Any,
) -> None:
    server.scripts[MODELS] = [reply(cards("small", owned_by=owner))]
    server.scripts[path] = [reply(answer)]
    remote = connect()
    assert [remote.count_tokens("글"), remote.count_tokens("글")] == [3, 3]
    assert server.bodies(path) == [question]
    remote.forget()
    remote.count_tokens("글")
    assert len(server.bodies(path)) == 2


def test_a_server_that_does_not_count_is_not_asked_again(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [reply(cards("small", owned_by="vllm"))]
    remote = connect()
    assert [remote.count_tokens("가나다라"), remote.count_tokens("마바사아")] == [4, 4]
    assert len(server.bodies("/tokenize")) == 1


def test_an_unknown_server_is_not_asked_to_count(big: RemoteModel, server: ScriptedServer) -> None:
    assert big.count_tokens("가나다라") == 4
    assert [path for path, *_ in server.asked] == [MODELS]


def test_a_count_that_finds_the_server_gone_is_no_guess(connect: Callable[..., RemoteModel]) -> None:
    with ScriptedServer() as server:
        server.scripts[MODELS] = [reply(cards("small", owned_by="llamacpp"))]
        remote = connect(url=server.url, retries=0)
    with pytest.raises(ModelNotReadyError, match="can't be reached"):
        remote.count_tokens("글")
    assert remote.status().state is State.FAILED


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(
    connect: Callable[..., RemoteModel], server: ScriptedServer
) -> None:
    server.scripts[MODELS] = [reply(cards("small", owned_by="llamacpp"))]
    server.scripts["/tokenize"] = [reply({"tokens": [1]}), reply({"tokens": [1, 2]})]
    remote = connect()
    assert remote.count_tokens("하나") == 1
    server.hang_up()
    assert remote.count_tokens("둘둘") == 2
