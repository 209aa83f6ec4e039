"""`POST /api/ask`: whole or streamed; the exchange is kept whatever happens to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm import DeadlineError, Piece, QueueFullError, State
from memoryd.prompt import MOOD_HEADING
from memoryd.testing import FakeGenerator
from tests.memoryd.api.stand_in import LAKE, FailingGenerator, events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.testclient import TestClient

    from llm import GenerateRequest
    from tests.memoryd.api.stand_in import StandIn

QUESTION = "오두막 열쇠는 어디에 뒀지?"


@pytest.fixture(autouse=True)
def lake(daemon: StandIn) -> None:
    daemon.drop_lake()


def test_an_answer_comes_with_its_memories_and_how_it_was_made(client: TestClient, daemon: StandIn) -> None:
    daemon.loop.replay("boot")
    body = client.post("/api/ask", json={"question": QUESTION}).json()
    assert body["answer"] == daemon.generator.answer
    assert body["model"] == "fake"
    assert body["identity_version"] == 1
    assert body["degraded"] is None
    assert body["unread_files"] == 0
    assert body["note"] is None
    assert body["saved"] is True
    assert (body["citations"][0]["path"], body["citations"][0]["turns"][0]["id"]) == (LAKE, "l1")
    assert body["timings"]["prompt_tokens"] == 10
    assert body["timings"]["cached_tokens"] == 5
    assert 0 <= body["timings"]["first_token_ms"] <= body["timings"]["total_ms"]


def test_an_answer_says_how_many_files_are_yet_to_be_read(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_unread("day0403/new.txt")
    assert client.post("/api/ask", json={"question": QUESTION}).json()["unread_files"] == 1


def test_the_exchange_is_on_disk_and_in_the_memory_when_the_answer_comes(
    client: TestClient, daemon: StandIn
) -> None:
    body = client.post("/api/ask", json={"question": QUESTION}).json()
    asked, answered = daemon.kept()
    assert (asked["role"], asked["speaker"], asked["text"]) == ("user", "origin", QUESTION)
    assert (answered["role"], answered["speaker"]) == ("assistant", "에코")
    assert answered["text"] == body["answer"]
    # Every passage that was shown, and not only those that were found.
    assert {each["passage_id"] for each in body["citations"]} < set(answered["citations"])
    assert asked["conversation"] == answered["conversation"] == body["conversation_id"]
    turns = client.get(f"/api/conversations/{body['conversation_id']}").json()["turns"]
    assert [turn["text"] for turn in turns] == [QUESTION, body["answer"]]


def test_a_conversation_goes_on_with_what_was_said_in_it(client: TestClient, daemon: StandIn) -> None:
    for question in (QUESTION, "고마워!"):
        response = client.post("/api/ask", json={"question": question, "conversation_id": "c1"})
        assert response.json()["conversation_id"] == "c1"
    asked, answered, thanked = daemon.generator.requests[-1].messages[1:]
    assert asked == daemon.generator.requests[0].messages[1]
    assert asked.text.endswith(QUESTION)
    assert (answered.text, thanked.text) == (daemon.generator.answer, "고마워!")


def test_max_tokens_reaches_the_model(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/ask", json={"question": QUESTION, "max_tokens": 7})
    assert daemon.generator.requests[0].max_tokens == 7


def test_a_stream_brings_memories_then_words_then_the_whole(client: TestClient, daemon: StandIn) -> None:
    response = client.post("/api/ask", json={"question": QUESTION, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    stream = events(response.text)
    assert [name for name, _ in stream] == ["recall", "token", "token", "done"]
    recalled, done = stream[0][1], stream[-1][1]
    assert recalled["degraded"] is None
    assert recalled["citations"] == done["citations"]
    words = "".join(data["text"] for name, data in stream if name == "token")
    assert words == done["answer"] == daemon.generator.answer
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, words]


@pytest.mark.parametrize("stream", [False, True])
def test_before_the_first_word_a_refusal_is_a_plain_problem(
    client: TestClient, daemon: StandIn, stream: bool
) -> None:
    daemon.generator.state = State.LOADING
    response = client.post("/api/ask", json={"question": QUESTION, "stream": stream})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["Retry-After"]
    assert response.json()["code"] == "no_model"
    assert "fake is loading" in response.json()["detail"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_404_and_the_known_ones_are_named(client: TestClient, stream: bool) -> None:
    response = client.post("/api/ask", json={"question": QUESTION, "model": "gpt", "stream": stream})
    assert response.status_code == 404
    assert '"gpt"' in response.json()["detail"]
    assert "fake" in response.json()["detail"]


def test_a_model_that_fails_midway_ends_the_stream_with_a_problem(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.generators["fake"] = FailingGenerator()
    response = client.post("/api/ask", json={"question": QUESTION, "stream": True})
    assert response.status_code == 200
    stream = events(response.text)
    assert [name for name, _ in stream] == ["recall", "token", "error"]
    problem = stream[-1][1]
    assert (problem["status"], problem["code"]) == (503, "no_model")
    assert "smaller context" in problem["detail"]
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, "그건"]


def test_a_model_that_fails_midway_is_a_problem_for_a_whole_answer(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.generators["fake"] = FailingGenerator()
    response = client.post("/api/ask", json={"question": QUESTION})
    assert response.status_code == 503
    assert response.json()["code"] == "no_model"
    assert daemon.kept()[0]["text"] == QUESTION


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_whose_queue_is_full_says_when_to_come_back(
    client: TestClient, daemon: StandIn, stream: bool
) -> None:
    class Full(FakeGenerator):
        def generate(self, _request: GenerateRequest) -> Iterator[Piece]:
            raise QueueFullError("fake answers 6 and 32 wait.", retry_after_s=7.2)

    daemon.generators["fake"] = Full()
    response = client.post("/api/ask", json={"question": QUESTION, "stream": stream})
    assert (response.status_code, response.json()["code"]) == (503, "busy")
    assert response.headers["Retry-After"] == "8"
    assert "32 wait" in response.json()["detail"]
    assert daemon.kept() == []


class LateGenerator(FakeGenerator):
    """Says one word, and has no time for another."""

    def _pieces(self, _request: GenerateRequest) -> Iterator[Piece]:
        yield Piece(text="그건")
        raise DeadlineError("fake had 9 s.")


def test_a_deadline_reaches_the_model_and_a_late_answer_is_504(client: TestClient, daemon: StandIn) -> None:
    daemon.generators["fake"] = late = LateGenerator()
    response = client.post("/api/ask", json={"question": QUESTION, "deadline_s": 9})
    assert (response.status_code, response.json()["code"]) == (504, "too_slow")
    assert "is kept" in response.json()["detail"]
    assert 0 < (late.requests[0].deadline_s or 0) < 9
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, "그건"]


def test_a_late_answer_ends_a_stream_with_the_problem(client: TestClient, daemon: StandIn) -> None:
    daemon.generators["fake"] = LateGenerator()
    stream = events(client.post("/api/ask", json={"question": QUESTION, "stream": True}).text)
    assert [name for name, _ in stream] == ["recall", "token", "error"]
    assert (stream[-1][1]["status"], stream[-1][1]["code"]) == (504, "too_slow")


def test_a_thought_has_its_own_events_and_its_own_field(client: TestClient, daemon: StandIn) -> None:
    daemon.generators["fake"] = FakeGenerator(answer="우체통 밑.", thought="열쇠는 우체통이었지.")
    stream = events(client.post("/api/ask", json={"question": QUESTION, "stream": True}).text)
    assert [name for name, _ in stream] == ["recall", "thought", "token", "token", "done"]
    assert stream[1][1] == {"text": "열쇠는 우체통이었지."}
    assert stream[-1][1]["thought"] == "열쇠는 우체통이었지."
    assert stream[-1][1]["answer"] == "우체통 밑."
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, "우체통 밑."]


def test_an_answer_that_was_cut_off_says_so(client: TestClient, daemon: StandIn) -> None:
    whole = client.post("/api/ask", json={"question": QUESTION}).json()
    daemon.generators["fake"] = FakeGenerator(answer="하나 둘 셋")
    cut = client.post("/api/ask", json={"question": QUESTION, "max_tokens": 2}).json()
    assert (whole["finish"], whole["thought"]) == ("stop", None)
    assert (cut["finish"], cut["answer"]) == ("length", "하나 둘")


def test_a_mood_that_is_sure_enough_stands_above_the_question(client: TestClient, daemon: StandIn) -> None:
    daemon.memory.moods.learn()
    for _ in range(4):
        client.post("/api/ask", json={"question": "너무 무서워. 무섭고 불안해서 잠이 안 와"})
    client.post("/api/ask", json={"question": "회의는 세 시야?"})
    read = daemon.generator.requests[-1].messages[-1].text
    assert MOOD_HEADING in read
    assert "origin: 두려움 (fear, " in read
    assert MOOD_HEADING not in daemon.generator.requests[0].messages[-1].text


def test_a_request_to_forget_is_answered_with_proposals_and_leaves_no_trace(
    client: TestClient, daemon: StandIn
) -> None:
    told = {"turns": [{"text": "첼로 선생님이 화요일마다 오신다.", "speaker": "지훈"}]}
    conversation = client.post("/api/conversations", json=told).json()["id"]
    answer = client.post("/api/ask", json={"question": "잊어줘: 첼로 선생님"}).json()
    assert answer["proposed"][0]["conversation_id"] == conversation
    assert (answer["saved"], answer["model"]) == (False, "memoryd")
    assert f"memoryd erase {conversation}" in answer["answer"]
    assert client.get(f"/api/conversations/{conversation}").status_code == 200
    assert client.get(f"/api/conversations/{answer['conversation_id']}").status_code == 404
    assert not any(
        "잊어줘" in file.read_text("utf-8") for file in daemon.config.paths.memory.rglob("*.jsonl")
    )


def test_an_answer_explains_its_prompt_where_that_is_asked_for(client: TestClient) -> None:
    plain = client.post("/api/ask", json={"question": "두부는 어디 있어?"}).json()
    assert plain["explain"] is None
    explained = client.post("/api/ask", json={"question": "두부는 어디 있어?", "explain": True}).json()
    report = explained["explain"]["prompt_report"]
    assert report["question"] > 0
    assert report["context"] >= sum(
        report[part] for part in ("identity", "memories", "conversation", "question", "answer")
    )
