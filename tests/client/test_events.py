from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd_client import (
    AskAnswer,
    ConnectionLostError,
    NotReadyError,
    Problem,
    Recalled,
    Thought,
    Token,
    UnexpectedAnswerError,
)
from memoryd_client._events import AskStream, EventParser

STREAM = (
    '\ufeff: heartbeat\n\nevent: token\ndata: {"text": "모델 "}\nid: 7\n\n'
    "event: token\ndata: one\ndata:two\ndata\n\n: heartbeat\nretry: 10\n\nevent: empty\n\ndata: unnamed\n\n"
)
EVENTS = [("token", '{"text": "모델 "}'), ("token", "one\ntwo\n"), ("message", "unnamed")]


def parsed(data: bytes, *cuts: int) -> list[tuple[str, str]]:
    parser = EventParser()
    places = [0, *sorted(cuts), len(data)]
    chunks = [data[start:end] for start, end in pairwise(places)]
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_events_end_at_a_blank_line_whatever_ends_a_line(ending: str) -> None:
    assert parsed(STREAM.replace("\n", ending).encode()) == EVENTS


@given(
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, len(STREAM.encode())), max_size=9),
)
def test_events_are_the_same_however_the_bytes_are_cut(ending: str, cuts: list[int]) -> None:
    assert parsed(STREAM.replace("\n", ending).encode(), *cuts) == EVENTS


def test_events_cut_into_single_bytes_keep_their_korean_text() -> None:
    data = STREAM.replace("\n", "\r\n").encode()

    assert parsed(data, *range(len(data))) == EVENTS


def test_an_event_without_its_blank_line_is_not_whole() -> None:
    assert parsed(b"event: token\ndata: {}\n") == []


def test_an_ask_stream_yields_what_was_recalled_the_tokens_and_the_answer(answer: AskAnswer) -> None:
    stream = AskStream()
    citation = answer.citations[0].model_dump_json()
    data = (
        f'event: recall\ndata: {{"degraded": null, "citations": [{citation}]}}\n\n'
        'event: thought\ndata: {"text": "흠"}\n\n'
        'event: token\ndata: {"text": "모델"}\n\n'
        "event: mood\ndata: something newer\n\n"
        f"event: done\ndata: {answer.model_dump_json()}\n\n"
    )

    events = list(stream.feed(data.encode()))
    stream.close()

    recalled = Recalled(degraded=None, citations=answer.citations)
    assert events == [recalled, Thought(text="흠"), Token(text="모델"), answer]


def test_an_error_event_raises_the_problem_that_it_carries(loading: Problem) -> None:
    data = f"event: error\ndata: {loading.model_dump_json()}\n\n"

    with pytest.raises(NotReadyError) as caught:
        list(AskStream().feed(data.encode()))

    assert caught.value.problem == loading


def test_an_event_without_its_shape_is_named() -> None:
    with pytest.raises(UnexpectedAnswerError, match='"token"'):
        list(AskStream().feed(b'event: token\ndata: {"words": 1}\n\n'))


def test_a_stream_that_ends_before_the_answer_is_whole_is_an_error() -> None:
    stream = AskStream()
    list(stream.feed(b'event: token\ndata: {"text": "a"}\n\n'))

    with pytest.raises(ConnectionLostError):
        stream.close()
