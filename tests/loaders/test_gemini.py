from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Role, Source, UnreadableError
from loaders.decode import decode
from loaders.gemini import GeminiLoader, text_of_html

if TYPE_CHECKING:
    from loaders.base import Conversation

ACTIVITY_KEYS = [
    "header",
    "title",
    "time",
    "safeHtmlItem",
    "html",
    "details",
    "url",
    "imageFile",
    "attachedFiles",
]
CHUNK_KEYS = [
    "chunkedPrompt",
    "chunks",
    "parts",
    "text",
    "role",
    "thought",
    "inlineImage",
    "executableCode",
    "id",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "user", "Gemini", "<p>"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ACTIVITY_KEYS, *CHUNK_KEYS]), inner, max_size=5)
    ),
    max_leaves=20,
)
NOON = "2026-03-15T12:00:00.000Z"
ONE = "2026-03-15T13:00:00.000Z"


def _activity(title: str, *answers: str, time: Any = NOON, **fields: Any) -> dict[str, Any]:
    html = {"safeHtmlItem": [{"html": answer} for answer in answers]} if answers else {}
    return {"header": "Gemini 앱", "title": title, "time": time, "products": ["Gemini 앱"], **html, **fields}


def _load(value: object) -> list[Conversation]:
    source = decode("day0315/내활동.json", json.dumps(value, ensure_ascii=False).encode())
    assert GeminiLoader().sniff(source)
    return GeminiLoader().load(source)


def _said(*activities: dict[str, Any]) -> list[tuple[Role, str]]:
    (conversation,) = _load(list(activities))
    return [(turn.role, turn.text) for turn in conversation.turns]


def test_activities_are_put_in_time_order() -> None:
    (conversation,) = _load(
        [
            _activity("Prompted 그럼 내일은?", "<p>비.</p>", time=ONE),
            _activity("Prompted 오늘 날씨?\n서울 말이야.", "<p>맑음.</p>", time=NOON),
        ],
    )
    assert [(turn.role, turn.speaker, turn.text) for turn in conversation.turns] == [
        (Role.USER, "user", "오늘 날씨?\n서울 말이야."),
        (Role.ASSISTANT, "assistant", "맑음."),
        (Role.USER, "user", "그럼 내일은?"),
        (Role.ASSISTANT, "assistant", "비."),
    ]
    assert conversation.id == "day0315/내활동.json"
    assert conversation.turns[0].time == conversation.turns[1].time == datetime(2026, 3, 15, 12, tzinfo=UTC)


def test_activities_without_a_time_keep_their_place() -> None:
    activities = [
        _activity("셋", "ㄷ", time=ONE),
        _activity("둘", "ㄴ", time="어제"),
        _activity("하나", "ㄱ"),
    ]
    assert [text for role, text in _said(*activities) if role is Role.USER] == ["하나", "둘", "셋"]
    oldest_first = [
        _activity("하나", "ㄱ"),
        _activity("둘", "ㄴ", time=None),
        _activity("셋", "ㄷ", time=ONE),
    ]
    assert [text for role, text in _said(*oldest_first) if role is Role.USER] == ["하나", "둘", "셋"]


def test_activities_are_gathered_by_the_conversation_they_name() -> None:
    def link(key: str) -> dict[str, Any]:
        return {"details": [{"url": f"https://gemini.google.com/app/{key}"}]}

    conversations = _load(
        [
            _activity("Prompted 셋", time="2026-03-15T14:00:00Z", **link("c1")),
            _activity("Prompted 둘", time=ONE),
            _activity("Prompted 하나", **link("c1")),
        ],
    )
    assert [(one.id, [turn.text for turn in one.turns]) for one in conversations] == [
        ("c1", ["하나", "셋"]),
        ("day0315/내활동.json", ["둘"]),
    ]


@pytest.mark.parametrize(
    ("activity", "said"),
    [
        (_activity("Prompted 안녕"), (Role.USER, "안녕")),
        (_activity("Used Gemini Apps"), (Role.SYSTEM, "Used Gemini Apps")),
        (_activity("Created 일기", "<p>첫날</p>"), (Role.SYSTEM, "Created 일기")),
        (_activity("오늘 날씨?", "<p>맑음</p>"), (Role.USER, "오늘 날씨?")),
        (_activity("Eingegebener Prompt: Hallo", "<p>Hi</p>"), (Role.USER, "Hallo")),
        (_activity("Prompted", "<p>고양이</p>", imageFile="a.png"), (Role.USER, "[image: a.png]")),
        (
            _activity("Prompted 봐", "<p>응</p>", imageFile=["a.png"], attachedFiles=["a.png", "b.pdf", 3]),
            (Role.USER, "봐\n[image: a.png]\n[file: b.pdf]"),
        ),
    ],
)
def test_titles_are_prompts_or_notices(activity: dict[str, Any], said: tuple[Role, str]) -> None:
    assert _said(activity)[0] == said


def test_every_answer_is_kept() -> None:
    assert _said(_activity("Prompted 시?", "<p>하나</p>", "<p>둘</p>"))[1:] == [
        (Role.ASSISTANT, "하나"),
        (Role.ASSISTANT, "둘"),
    ]


def test_activities_of_other_products_are_counted() -> None:
    others = [{"header": "YouTube", "title": "Watched a film", "time": NOON}, None]
    (conversation,) = _load([_activity("Prompted 안녕", "<p>응</p>"), *others])
    assert conversation.remarks == ("2 activities of other products were left out",)
    assert len(conversation.turns) == 2


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>하나 &amp; <strong>둘</strong></p><p>셋<br>넷</p>", "하나 & 둘\n\n셋\n넷"),
        ("<h3>할 일</h3><ul><li>빵</li><li>우유</li></ul>", "할 일\n\n- 빵\n- 우유"),
        ("<pre><code>if a &lt; b:\n    go()\n</code></pre>", "if a < b:\n    go()"),
        (
            "<table><tr><th>역</th><th>시</th></tr><tr><td>서울</td><td>여섯</td></tr></table>",
            "역 | 시 |\n서울 | 여섯 |",
        ),
        ('<img src="x" alt="고양이 &amp; 개"> <img>', "[image: 고양이 & 개] [image]"),
        ("<!-- 숨김 -->1 < 2, 3 > 2 <", "1 < 2, 3 > 2 <"),
        ("&#" + "9" * 5_000 + ";", "&#" + "9" * 5_000 + ";"),
    ],
)
def test_html_becomes_words(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", ["<a", "<", "<!--", '<img alt="', "&", "&#", "</"])
def test_odd_html_takes_no_longer(piece: str) -> None:
    assert text_of_html(piece * 200_000)
    assert text_of_html("<" + piece[-1] * 200_000)


def _studio(*chunks: Any, **fields: Any) -> Conversation:
    (conversation,) = _load({"id": "c1", "chunkedPrompt": {"chunks": list(chunks)}, **fields})
    return conversation


def test_a_prompt_of_ai_studio_is_read() -> None:
    thought = {"text": "음…", "thought": True}
    conversation = _studio(
        {"role": "user", "text": "안녕"},
        {"role": "model", "text": "헌 글", "parts": [thought, {"text": "안녕하"}, {"text": "세요"}]},
        {"role": "model", "text": "생각", "isThought": True},
        {"role": "user", "text": "뭐 해?", "createTime": NOON},
        title="인사",
        create_time=1_700_000_000,
        systemInstruction={"parts": [{"text": "짧게."}]},
    )
    assert [(turn.role, turn.text) for turn in conversation.turns] == [
        (Role.SYSTEM, "짧게."),
        (Role.USER, "안녕"),
        (Role.ASSISTANT, "안녕하세요"),
        (Role.USER, "뭐 해?"),
    ]
    assert (conversation.id, conversation.title) == ("c1", "인사")
    assert conversation.remarks == ("2 thoughts of the model were left out",)
    assert conversation.turns[0].time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert conversation.turns[3].time == datetime(2026, 3, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        ({"role": "user", "text": "봐", "driveDocument": {"id": "d"}}, (Role.USER, "봐\n[document]")),
        ({"role": "user", "inlineFile": {"name": "a.txt"}}, (Role.USER, "[file: a.txt]")),
        ({"role": "model", "parts": [{"inlineData": {"data": "AA"}}]}, (Role.ASSISTANT, "[file]")),
        ({"role": "model", "executableCode": {"code": "print(1)"}}, (Role.ASSISTANT, "print(1)")),
        ({"role": "model", "codeExecutionResult": {"output": "1"}}, (Role.TOOL, "1")),
        ({"role": "model", "errorMessage": "Blocked"}, (Role.ASSISTANT, "Blocked")),
        ({"text": "누구"}, (Role.ASSISTANT, "누구")),
    ],
)
def test_chunks_of_every_kind_become_words(chunk: dict[str, Any], said: tuple[Role, str]) -> None:
    (turn,) = _studio(chunk).turns
    assert (turn.role, turn.text) == said


def test_prompts_in_a_list_have_ids_of_their_own() -> None:
    entry = {
        "chunkedPrompt": {"chunks": [{"role": "user", "text": "안녕"}]},
        "systemInstruction": {"text": "짧게"},
    }
    conversations = _load([entry, entry, None])
    assert [(one.id, len(one.turns)) for one in conversations] == [
        ("day0315/내활동.json#1", 2),
        ("day0315/내활동.json#2", 2),
        ("day0315/내활동.json#3", 0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[{"header": "YouTube", "title": "Gemini"}]',
        '[{"mapping": {"a": {"chunkedPrompt": {}}}}]',
        '{"header": "Gemini Apps"}',
        '"header": "Gemini Apps"',
        "Gemini",
        "[]",
    ],
)
def test_other_files_are_not_sniffed(text: str) -> None:
    assert not GeminiLoader().sniff(Source(name="MyActivity.json", data=b"", text=text))
    assert not GeminiLoader().sniff(Source(name="MyActivity.json", data=b"", text=None))


@pytest.mark.parametrize("text", ['[{"a": {"header": "Gemini"}}]', '{"a": {"chunkedPrompt": {}}}'])
def test_a_file_with_nothing_of_geminis_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match="no entry"):
        GeminiLoader().load(decode("MyActivity.json", text.encode()))


def test_an_export_cut_in_the_middle_is_damaged() -> None:
    data = json.dumps([_activity("Prompted 안녕")])[:-4]
    with pytest.raises(UnreadableError, match="not valid JSON"):
        GeminiLoader().load(decode("MyActivity.json", data.encode()))


@given(entries=st.lists(st.dictionaries(st.sampled_from(ACTIVITY_KEYS), JSON, max_size=6), max_size=4))
def test_any_activities_are_read(entries: list[dict[str, Any]]) -> None:
    _load([_activity("Prompted 안녕"), *({**entry, "products": ["Gemini"]} for entry in entries)])


@given(entries=st.lists(JSON, max_size=4))
def test_any_prompts_are_read(entries: list[Any]) -> None:
    _load([{"chunkedPrompt": {"chunks": entries}, "systemInstruction": entry} for entry in [{}, *entries]])


@given(html=st.text(alphabet="<>/!-a&#;1p li\n\"='", max_size=60))
def test_any_html_is_read(html: str) -> None:
    text_of_html(html)
