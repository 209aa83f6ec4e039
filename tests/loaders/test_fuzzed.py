"""Files that found something, kept: by `python -m bench.fuzz`, or by hand while it was written."""

from __future__ import annotations

import io
import json
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loaders import UnreadableError, load

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parent / "samples"
LONGEST = 5.0  # seconds of processor time for about a megabyte; quadratic work takes eight and more
COUNT = 20_000


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(SAMPLES).as_posix()
        for path in sorted(SAMPLES.rglob("*"))
        if path.is_file() and SAMPLES / "zip" not in path.parents
    ],
)
def test_the_samples_that_are_mutated_are_good_files_of_their_formats(path: str) -> None:
    loaded = load(Path(path).name, (SAMPLES / path).read_bytes())
    assert loaded.format == Path(path).parent.name


@pytest.mark.parametrize(
    ("lines", "ids"),
    [
        ([{"id": "t-1", "text": "하나"}, {"id": "t-1", "text": "둘"}], ["t-1", "t-1#2"]),
        ([{"id": "a:2", "text": "하나"}, {"text": "둘"}], ["a:2", "a:2#2"]),
        (
            [{"id": "t#2", "text": "하나"}, *[{"id": "t", "text": "둘"}] * 3],
            ["t#2", "t", "t#3", "t#4"],
        ),
    ],
)
def test_no_two_turns_of_a_conversation_have_one_id(lines: list[dict[str, str]], ids: list[str]) -> None:
    data = "\n".join(json.dumps(line) for line in lines).encode()
    (conversation,) = load("a", data).conversations
    assert [turn.id for turn in conversation.turns] == ids


def test_a_reason_that_quotes_half_a_surrogate_pair_can_be_shown() -> None:
    with pytest.raises(UnreadableError, match="is no ISO 8601 time") as caught:
        load("a.jsonl", rb'{"text": "a", "time": "\ud800"}')
    str(caught.value).encode()
    caught.value.reason.encode()


def test_a_time_that_utc_does_not_have_is_none() -> None:
    fields = "From: 은비\nType: incoming\nSent: Fri, 31 Dec 9999 23:59:59 -2359"
    (conversation,) = load("a.txt", f"Conversation: 은비\n\n{fields}\n\n안녕\n".encode()).conversations
    assert conversation.turns[0].time is None


def _telegram_ids_of_one_hash() -> bytes:
    """Whole numbers that Python's hash takes for the same, all of them."""
    messages = [{"id": number * (2**61 - 1), "text": "가"} for number in range(2 * COUNT)]
    return json.dumps({"type": "personal_chat", "messages": messages}).encode()


def _slack_replies_to_two_long_messages() -> bytes:
    """Each reply's note quotes what it answers, of which only the beginning may be looked at."""
    threads = ["1773576240.000000", "1773576240.000001"]
    parents = [{"type": "message", "user": "U1", "text": "가 " * 100_000, "ts": ts} for ts in threads]
    replies = [
        {
            "type": "message",
            "user": "U1",
            "text": "나",
            "ts": f"1773576241.{n:06}",
            "thread_ts": threads[n % 2],
        }
        for n in range(COUNT // 4)
    ]
    return json.dumps([*parents, *replies], ensure_ascii=False).encode()


def _slack_blocks_beside_a_long_text() -> bytes:
    """Blocks are looked for in the text, a hundred of them and no more."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "가" * 30 + "나"}}
    message = {
        "type": "message",
        "text": "가" * 150_000,
        "ts": "1773576240.000000",
        "blocks": [block] * COUNT,
    }
    return json.dumps([message], ensure_ascii=False).encode()


def _discord(messages: list[dict[str, object]]) -> bytes:
    export = {"guild": {"name": "모임"}, "channel": {"id": "901"}, "messages": messages}
    return json.dumps(export, ensure_ascii=False).encode()


def _discord_replies_to_one_long_message() -> bytes:
    parent: dict[str, object] = {"id": "p", "content": "가 " * 150_000}
    answer = {"reference": {"messageId": "p"}, "content": "나"}
    replies: list[dict[str, object]] = [{"id": str(n), **answer} for n in range(COUNT // 2)]
    return _discord([parent, *replies])


def _discord_embeds_beside_a_long_text() -> bytes:
    embed = {"url": "가" * 30 + "나"}
    return _discord([{"id": "1", "content": "가" * 150_000, "embeds": [embed] * COUNT}])


def _zip_of_many_slack_folders() -> bytes:
    """Each may be the folder that a Slack export lies in, and none is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(9_000):
            archive.writestr(f"{number}/users.json", "[]")
            archive.writestr(f"a{number}/a.txt", "")
    return packed.getvalue()


@pytest.mark.parametrize(
    "build",
    [
        _telegram_ids_of_one_hash,
        _slack_replies_to_two_long_messages,
        _slack_blocks_beside_a_long_text,
        _discord_replies_to_one_long_message,
        _discord_embeds_beside_a_long_text,
        _zip_of_many_slack_folders,
    ],
    ids=lambda build: build.__name__.strip("_"),
)
def test_a_file_made_to_cost_quadratic_work_costs_none(build: Callable[[], bytes]) -> None:
    data = build()
    began = time.process_time()
    with suppress(UnreadableError):
        load("a", data)
    assert time.process_time() - began < LONGEST
