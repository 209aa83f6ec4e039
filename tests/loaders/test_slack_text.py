from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from loaders.slack_text import moment, plain, says, spoken_name

NAMES = {"U0A1": "지훈", "C0G": "잡담"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<@U0A1> 봐", "@지훈 봐"),
        ("<@U0A1|jihun> <@U9Z|old> <@U9Z>", "@지훈 @old @U9Z"),
        ("<#C0G> <#C1|공지> <#C2|>", "#잡담 #공지 #C2"),
        (
            "<!here> <!channel> <!subteam^S1|@모두> <!date^1^{date}|어제> <!subteam^S1>",
            "@here @channel @모두 어제 @subteam",
        ),
        ("<https://a.example>", "https://a.example"),
        ("<https://a.example|여기>", "여기 (https://a.example)"),
        ("<http://a.example/|a.example>", "a.example"),
        ("<mailto:a@a.example|a@a.example> <tel:010|010>", "a@a.example 010"),
        ("a &lt; b &amp;&amp; c &gt; d &amp;lt;", "a < b && c > d &lt;"),
        ("1 < 2", "1 < 2"),
        ("", ""),
    ],
)
def test_markup_becomes_words(text: str, expected: str) -> None:
    assert plain(text, NAMES) == expected


def test_hostile_markup_takes_no_long_time() -> None:
    for text in ("<" * 1_000_000, "<a" * 500_000, "<|" * 500_000, "<" + "|" * 1_000_000 + ">"):
        assert plain(text, {})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"text": "안녕", "blocks": [{"type": "rich_text", "elements": [{"text": "안녕"}]}]}, "안녕"),
        (
            {
                "blocks": [
                    {
                        "type": "rich_text",
                        "elements": [
                            {
                                "type": "rich_text_section",
                                "elements": [
                                    {"type": "user", "user_id": "U0A1"},
                                    {"type": "text", "text": " 봐 "},
                                    {"type": "link", "url": "https://a.example"},
                                    {"type": "emoji", "name": "wave"},
                                ],
                            },
                        ],
                    },
                ],
            },
            "@지훈 봐 https://a.example:wave:",
        ),
        (
            {
                "text": "배포",
                "blocks": [
                    {"type": "section", "text": {"type": "mrkdwn", "text": "배포"}},
                    {"type": "section", "fields": [{"text": "*끝*"}, {"text": "<https://a.example|기록>"}]},
                ],
            },
            "배포\n*끝*\n기록 (https://a.example)",
        ),
        (
            {
                "attachments": [
                    {"pretext": "새 커밋", "title": "고침", "text": "a &lt; b", "fallback": "새 커밋 고침"},
                    {"fallback": "한 줄"},
                    {"fields": [{"title": "상태", "value": "끝"}, {"value": "값만"}]},
                ]
            },
            "새 커밋\n고침\na < b\n한 줄\n상태: 끝\n값만",
        ),
        (
            {
                "text": "<https://a.example>",
                "attachments": [{"from_url": "https://a.example", "title": "글", "text": "…"}],
            },
            "https://a.example\n[preview: 글\n…]",
        ),
        ({"attachments": [{"from_url": "https://a.example"}]}, ""),
        ({"attachments": [{"blocks": [{"text": {"text": "안"}}]}]}, "안"),
        (
            {
                "text": "봐",
                "files": [
                    {"name": "역.jpg", "mimetype": "image/jpeg"},
                    {"title": "제목", "mimetype": "application/pdf"},
                    {"mode": "tombstone"},
                    {},
                ],
            },
            "봐\n[photo: 역.jpg]\n[file: 제목]\n[file, deleted]\n[file]",
        ),
        ({"file": {"name": "a.mp4", "mimetype": "video/mp4"}}, "[video: a.mp4]"),
        ({"text": None, "blocks": "x", "attachments": [None, 3], "files": {"a": 1}}, ""),
    ],
)
def test_a_message_says_all_that_is_in_it(message: dict[str, Any], expected: str) -> None:
    assert says(message, NAMES) == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"name": "jihun", "profile": {"display_name": "지훈", "real_name": "김지훈"}}, "지훈"),
        ({"name": "jihun", "profile": {"display_name": " ", "real_name": "김지훈"}}, "김지훈"),
        ({"name": "jihun", "real_name": "김지훈"}, "김지훈"),
        ({"display_name": "", "real_name": "김지훈"}, "김지훈"),
        ({"name": "jihun", "profile": None}, "jihun"),
        ({}, ""),
    ],
)
def test_people_go_by_the_name_that_slack_shows(user: dict[str, Any], expected: str) -> None:
    assert spoken_name(user) == expected


def test_a_timestamp_is_a_moment() -> None:
    assert moment("1773576240.000100") == datetime(2026, 3, 15, 12, 4, 0, 100, tzinfo=UTC)
    assert all(moment(ts) is None for ts in (None, 5, "", "nan", "1e9", "9" * 40, "-1"))
