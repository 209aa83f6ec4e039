from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loaders
from loaders import EmptyFileError, Loaded, UnreadableError, load

NAMES = st.sampled_from(
    ["day0315/이야기.txt", "a.jsonl", "conversations.json", "일기.md", "no_ending", "", "..", "/"]
)
FORMAT_BITS = st.sampled_from(
    [
        "나의 말:\n",
        "ChatGPT의 말:\n",
        "You said:\n",
        "지훈: 안녕\n",
        "수민: 응\n",
        '{"text": "가"}\n',
        '{"text": ',
        '[{"mapping": {"a": {"message": {"content": {"parts": ["x"]}}, "parent": "a"}}}]',
        "---\n",
        "date: 2026-03-15\n",
        "# 제목\n",
        "```\n",
        "\n\n",
        "\ud83d",
    ],
)


def test_the_public_surface_is_pinned() -> None:
    assert set(loaders.__all__) == {
        "Conversation",
        "EmptyFileError",
        "Loaded",
        "Loader",
        "Role",
        "Source",
        "Turn",
        "UnreadableError",
        "load",
    }
    assert all(hasattr(loaders, name) for name in loaders.__all__)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", '[{"mapping": {"n": {"message": {"content": {"parts": ["안녕"]}}}}}]', "chatgpt"),
        ("a.txt", '{"text": "안녕"}\n{"text": "응"}\n', "native"),
        ("a.json", '{"text": "안녕"}', "native"),
        ("a.md", "나의 말:\n안녕\nChatGPT의 말:\n응\n", "transcript"),
        ("a.json", "그냥 글이다.", "notes"),
        ("a.txt", "[1단계: 시작]\n그냥 글이다.", "notes"),
        ("a.txt", '{"예": 1}\n앞 줄은 JSON이고 이 줄은 글이다.', "notes"),
    ],
)
def test_content_decides_the_format(name: str, text: str, expected: str) -> None:
    assert load(name, text.encode()).format == expected


@pytest.mark.parametrize("text", ['{"messages": []}', "[1, 2]", '{"a": {"b": "c"}}', '[\n {"chat": 1}\n]'])
def test_json_of_no_known_shape_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(UnreadableError, match="no conversation format known to memoryd") as caught:
        load("a.txt", text.encode())
    assert not isinstance(caught.value, EmptyFileError)


def test_broken_json_is_refused_by_line() -> None:
    with pytest.raises(UnreadableError, match="not valid JSON") as caught:
        load("chats.json", b'[\n {"a": 1},\n {"a": \n')
    assert caught.value.line == 4


@pytest.mark.parametrize(
    "text",
    ["", " \n\t\n", "나의 말:\nChatGPT의 말:\n", '{"text": " "}\n', '[{"mapping": {}}]', '{"text": "쓰다 말'],
)
def test_a_file_in_which_nothing_was_said_is_empty_not_damaged(text: str) -> None:
    with pytest.raises(EmptyFileError):
        load("a.jsonl", text.encode())


def _read(name: str, data: bytes) -> Loaded | str:
    try:
        return load(name, data)
    except UnreadableError as error:
        return str(error)


def _check(name: str, data: bytes) -> None:
    outcome = _read(name, data)
    assert outcome == _read(name, data)
    if isinstance(outcome, Loaded):
        assert outcome.conversations
        for conversation in outcome.conversations:
            assert conversation.id
            assert [turn.index for turn in conversation.turns] == list(range(len(conversation.turns)))
            for turn in conversation.turns:
                assert turn.text.strip()
                assert turn.id
                assert turn.speaker
                assert turn.time is None or turn.time.tzinfo is not None
                turn.text.encode()


@given(name=NAMES, data=st.binary(max_size=400))
def test_arbitrary_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    _check(name, data)


@given(name=NAMES, bits=st.lists(FORMAT_BITS | st.text(max_size=12), max_size=12))
def test_arbitrary_mixtures_of_formats_are_read_or_refused(name: str, bits: list[str]) -> None:
    _check(name, "".join(bits).encode(errors="surrogatepass"))
    _check(name, "".join(bits).encode(errors="replace"))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"text": ' * 100_000,
        '{"mapping": ' + "[" * 200_000,
        "# " + " " * 1_000_000,
        "가: " * 300_000,
        "가: 나\n" * 100_000,
        "\n" * 1_000_000 + "가",
        "나의 말:\n" * 100_000 + "끝",
        "#" * 1_000_000,
        "```\n# 가\n" * 100_000,
        '{"text": "' + "9" * 1_000_000,
        '{"text": ' + "9" * 1_000_000 + "}\n",
    ],
    ids=lambda text: text[:12],
)
def test_a_hostile_file_takes_no_long_time(text: str) -> None:
    began = time.perf_counter()
    _read("a.txt", text.encode())
    assert time.perf_counter() - began < 5  # seconds; quadratic work would take minutes


def test_conversations_that_say_nothing_are_left_out() -> None:
    lines = [{"conversation": "빈", "text": ""}, {"conversation": "찬", "text": "안녕"}]
    data = "\n".join(json.dumps(line) for line in lines).encode()
    assert [one.id for one in load("a.jsonl", data).conversations] == ["찬"]
