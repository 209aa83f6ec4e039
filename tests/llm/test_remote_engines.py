"""The same questions to the servers that people run: llama.cpp's own, and llama-cpp-python's."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm import GenerateRequest, Message, ModelError, PromptTooLongError, RemoteSettings, State
from llm.base import BadGrammarError, Finish, Sampling
from llm.remote_runner import RemoteModel
from llm.token_estimate import estimate_tokens
from tests.llm.tiny_gguf import LLAMA, write_tiny
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm import Piece

CONTEXT = 1024
HISTORY = "지훈은 서울에 살고, 민서는 부산에 산다. 두 사람은 봄마다 만나 바다를 본다. " * 8


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("remote") / "tiny.gguf", LLAMA)


@pytest.fixture(scope="session")
def llama_cpp(tiny: Path) -> Iterator[RemoteModel]:
    """llama.cpp's own server."""
    script = Path(__file__).with_name("llama_cpp_server.py")
    command = [sys.executable, str(script), str(tiny), str(CONTEXT)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            with _connected(process.stdout.readline().strip()) as remote:
                yield remote
        finally:
            process.kill()


@pytest.fixture(scope="session")
def llama_cpp_python(tiny: Path) -> Iterator[RemoteModel]:
    """llama-cpp-python's server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {"model": tiny, "n_ctx": CONTEXT, "n_threads": 1, "host": "127.0.0.1", "port": port}
    # Alpaca's form: a base model goes on after it.
    options |= {"chat_format": "alpaca", "n_threads_batch": 1}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    with subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with _connected(f"http://127.0.0.1:{port}") as remote:
                yield remote
        finally:
            process.kill()


def _connected(url: str) -> closing[RemoteModel]:
    remote = RemoteModel("big", RemoteSettings(url=url, look_again_s=0.1, context_tokens=CONTEXT))
    remote.load()
    until(lambda: remote.status().state is State.READY, patience_s=90)
    return closing(remote)


@pytest.fixture(params=["llama_cpp", "llama_cpp_python"])
def remote(request: pytest.FixtureRequest) -> RemoteModel:
    engine: RemoteModel = request.getfixturevalue(request.param)
    return engine


def ask(text: str, *, system: str = "", **more: object) -> GenerateRequest:
    messages = (
        *([Message(role="system", speaker="에코", text=system)] if system else []),
        Message(role="user", speaker="지훈", text=text),
    )
    return GenerateRequest(**{"messages": messages, "max_tokens": 8, "deadline_s": 30} | more)  # type: ignore[arg-type]


def texts(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_a_greedy_answer_is_the_same_each_time(remote: RemoteModel) -> None:
    first, again = (list(remote.generate(ask("바다는"))) for _ in range(2))
    assert texts(first) == texts(again) != ""
    last = first[-1]
    assert last.finish is Finish.LENGTH
    assert last.usage is not None
    assert 4 <= last.usage.completion_tokens <= 8  # where the server does not count: chunks with text
    assert last.usage.prompt_tokens > 4


def test_the_seed_decides_what_is_drawn(remote: RemoteModel) -> None:
    def drawn(seed: int) -> str:
        sampling = Sampling(temperature=1.5, top_k=100, top_p=0.99, min_p=0.001, repetition=1.1, seed=seed)
        return texts(list(remote.generate(ask("오늘은", sampling=sampling))))

    drawn(7)  # from here on the server finds the same part of the prompt in its cache: rounding may decide
    assert drawn(7) == drawn(7)
    assert len({drawn(seed) for seed in range(3)}) > 1


def test_log_probabilities_come_best_first(llama_cpp: RemoteModel) -> None:
    pieces = list(llama_cpp.generate(ask("바다는", logprobs=3, max_tokens=4)))
    told = [token for piece in pieces for token in piece.logprobs]
    assert len(told) == 4
    for token in told:
        likeliest = [logprob for _, _, logprob in token.top]
        assert len(likeliest) >= 3
        assert likeliest == sorted(likeliest, reverse=True)
        assert token.logprob == pytest.approx(likeliest[0], abs=1e-4)


def test_an_answer_by_a_schema_is_json(remote: RemoteModel) -> None:
    schema = {"type": "object", "properties": {"나이": {"enum": [7, 8]}}, "required": ["나이"]}
    request = ask("JSON:", json_schema=json.dumps(schema), max_tokens=40)
    assert json.loads(texts(list(remote.generate(request))))["나이"] in {7, 8}


def test_a_stop_text_is_no_part_of_the_answer(remote: RemoteModel) -> None:
    whole = texts(list(remote.generate(ask("하나 둘 셋", max_tokens=12))))
    middle = whole[len(whole) // 2]
    pieces = list(remote.generate(ask("하나 둘 셋", max_tokens=12, stop=(middle,))))
    assert texts(pieces) == whole[: whole.index(middle)].rstrip()
    assert pieces[-1].finish is Finish.STOP


def test_it_counts_in_the_models_tokens(llama_cpp: RemoteModel, llama_cpp_python: RemoteModel) -> None:
    text = "안녕하세요 hello"
    counted = llama_cpp.count_tokens(text)
    assert counted != estimate_tokens(text)
    assert llama_cpp_python.count_tokens(text) == counted + 1  # it counts the start token too


def test_two_are_answered_together(llama_cpp: RemoteModel) -> None:
    with closing(llama_cpp.generate(ask("하나", max_tokens=4))) as one:
        first = next(one)
        assert list(llama_cpp.generate(ask("둘", max_tokens=2)))[-1].finish is Finish.LENGTH
        assert [first, *one][-1].finish is Finish.LENGTH


def test_who_leaves_makes_room_for_the_next(llama_cpp: RemoteModel) -> None:
    """A long answer that was left is not computed to its end: the server is free at once."""
    cancelled = threading.Event()
    said = []
    for piece in llama_cpp.generate(ask("옛날 옛적에", max_tokens=900, cancelled=cancelled)):
        said.append(piece)
        cancelled.set()
    assert said[-1].finish is Finish.CANCELLED
    assert len(said) < 20
    assert list(llama_cpp.generate(ask("바다는", deadline_s=10)))[-1].finish is Finish.LENGTH


def test_the_second_question_finds_the_first_ones_beginning_in_the_servers_cache(
    llama_cpp: RemoteModel,
) -> None:
    list(llama_cpp.generate(ask("누가 서울에?", system=HISTORY, max_tokens=2)))
    usage = list(llama_cpp.generate(ask("누가 부산에?", system=HISTORY, max_tokens=2)))[-1].usage
    assert usage is not None
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens > 100


def test_a_prompt_that_is_too_long_is_said_so(llama_cpp: RemoteModel, llama_cpp_python: RemoteModel) -> None:
    with pytest.raises(PromptTooLongError, match=r"exceeds the available context size \(1024 tokens\)"):
        list(llama_cpp.generate(ask(HISTORY * 8)))
    with pytest.raises(ModelError, match="the prompt may be too long"):
        list(llama_cpp_python.generate(ask(HISTORY * 8)))


def test_llama_cpp_takes_a_grammar_and_refuses_a_broken_one(llama_cpp: RemoteModel) -> None:
    request = ask("바다는?", grammar='root ::= "파랗다" | "넓다"')
    assert texts(list(llama_cpp.generate(request))) in {"파랗다", "넓다"}
    with pytest.raises(BadGrammarError, match="failed to parse grammar"):
        list(llama_cpp.generate(ask("바다는?", grammar="root ::= (")))
    with pytest.raises(BadGrammarError, match="unrecognized type"):
        list(llama_cpp.generate(ask("바다는?", json_schema='{"type": "nonsense"}')))


def test_the_context_is_the_servers_own(llama_cpp: RemoteModel) -> None:
    assert llama_cpp.context_tokens == CONTEXT
