from __future__ import annotations

import io
import json
import time
import unicodedata
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loaders
from loaders import EmptyFileError, Loaded, Source, UnreadableError, load

CHATGPT = {"title": "기억", "mapping": {"n": {"message": {"content": {"parts": ["chat_messages, 안녕"]}}}}}
CLAUDE = {
    "uuid": "c1",
    "name": "기억",
    "chat_messages": [{"uuid": "m1", "sender": "human", "text": '"mapping": {', "content": []}],
}
ACTIVITY = {
    "header": "Gemini Apps",
    "title": "Prompted 안녕",
    "time": "2026-03-15T12:00:00.000Z",
    "products": ["Gemini Apps"],
    "safeHtmlItem": [{"html": "<p>안녕하세요.</p>"}],
}
TELEGRAM = {
    "name": "수민",
    "type": "personal_chat",
    "id": 77,
    "messages": [{"id": 1, "type": "message", "date_unixtime": "1773576240", "from": "수민", "text": "안녕"}],
}
DISCORD = {
    "guild": {"id": "9", "name": "모임"},
    "channel": {"id": "901", "name": "잡담"},
    "messages": [{"id": "1", "type": "Default", "content": "안녕", "author": {"name": "수민"}}],
}
META = {
    "participants": [{"name": "a"}],
    "messages": [{"sender_name": "a", "timestamp_ms": 1773576240000, "content": "hello", "type": "Generic"}],
}
SLACK_DAY = [{"type": "message", "user": "U0A1", "text": "안녕", "ts": "1773576240.000100"}]
SESSION = [
    {
        "type": role,
        "uuid": role,
        "sessionId": "s1",
        "timestamp": "2026-03-15T12:00:00Z",
        "message": {"role": role, "content": "안녕"},
    }
    for role in ("user", "assistant")
]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def _lines(*values: object) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


KAKAOTALK_ANDROID = """\
수민 님과 카카오톡 대화
저장한 날짜 : 2026년 3월 16일 오전 8:00


2026년 3월 15일 오후 9:04
2026년 3월 15일 오후 9:04, 지훈 : 안녕
2026년 3월 15일 오후 9:05, 수민 : 응
"""
KAKAOTALK_WINDOWS = """\
수민 님과 카카오톡 대화
저장한 날짜 : 2026-03-16 08:00:00

--------------- 2026년 3월 15일 일요일 ---------------
[지훈] [오후 9:04] 안녕
[수민] [오후 9:05] 응
"""

# One small file of each format; each must be known by its own loader and by no other.
EXAMPLES = [
    ("chatgpt", _json([CHATGPT])),
    ("chatgpt", _json(CHATGPT)),
    ("claude", _json([CLAUDE])),
    ("gemini", _json([ACTIVITY])),
    ("telegram", _json(TELEGRAM)),
    ("telegram", _json({"about": "…", "chats": {"about": "…", "list": [TELEGRAM]}})),
    ("discord", _json(DISCORD)),
    ("meta", _json(META)),
    ("slack", _json(SLACK_DAY)),
    ("claude-code", _lines(*SESSION)),
    ("native", _lines({"text": "안녕", "speaker": "지훈"}, {"text": "응"})),
    ("kakaotalk", "Date,User,Message\n2026-03-15 21:04:00,지훈,안녕\n2026-03-15 21:05:00,수민,응\n"),
    ("kakaotalk", KAKAOTALK_ANDROID),
    ("kakaotalk", KAKAOTALK_WINDOWS),
    ("whatsapp", "2026. 3. 15. 오후 9:04 - 지훈: 안녕\n2026. 3. 15. 오후 9:05 - 수민: 응\n"),
    ("whatsapp", "[15/03/2026, 21:04:05] Jihun: hello\n[15/03/2026, 21:05:10] Sumin: hi\n"),
    ("signal", "[2026-03-15, 21:04] 지훈: 안녕\n[2026-03-15, 21:05] 수민: 응\n"),
    ("transcript", "나의 말:\n안녕\nChatGPT의 말:\n응\n"),
    ("transcript", "지훈: 안녕\n수민: 응\n지훈: 내일?\n수민: 그래\n"),
    ("notes", "# 2026-03-15\n비가 왔다. 지훈과 걸었다.\n"),
    ("notes", "회의록 [2026-03-15, 21:04]\n안건 하나.\n"),
]
MISLEADING = [
    "conversations.json",
    "result.json",
    "message_1.json",
    "2026-03-15.json",
    "KakaoTalk_20260315.txt",
    "KakaoTalk_Chat_모임.csv",
    "WhatsApp Chat with Jihun.txt",
    "signal.txt",
    "일기.md",
    "a.jsonl",
    "파일",
]


def _zip(files: dict[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


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


@pytest.mark.parametrize(("expected", "text"), EXAMPLES)
@pytest.mark.parametrize("name", MISLEADING)
def test_every_format_is_known_whatever_the_file_is_called(name: str, expected: str, text: str) -> None:
    assert load(name, text.encode()).format == expected


@pytest.mark.parametrize(("expected", "text"), EXAMPLES)
@pytest.mark.parametrize("name", ["파일", "a.txt", "conversations.json"])
def test_no_two_loaders_of_conversations_claim_one_file(name: str, expected: str, text: str) -> None:
    source = Source(name=name, data=text.encode(), text=text)
    claims = {loader.format for loader in loaders._CONVERSATION_LOADERS if loader.sniff(source)}
    assert claims <= {expected}
    assert claims or expected == "notes"


def test_a_zip_as_chatgpt_gives_it_counts_only_its_conversations() -> None:
    data = _zip(
        {
            "conversations.json": _json([{**CHATGPT, "conversation_id": "c1"}]),
            "user.json": "{}",
            "message_feedback.json": "[]",
            "shared_conversations.json": _json([META]),
            "chat.html": "<html>",
            "dalle/a.png": b"\x89PNG\r\n\x1a\n",
            "옆 대화.txt": "지훈: 안녕\n수민: 응\n지훈: 내일?\n수민: 그래\n",
            "__MACOSX/._conversations.json": "x",
        }
    )
    loaded = load("day0315/export.zip", data)
    assert loaded.format == "chatgpt zip"
    (conversation,) = loaded.conversations
    assert conversation.id == "c1"
    assert conversation.remarks == (
        "6 other files in the zip archive hold no conversation and were left out",
    )


def test_a_long_history_in_parts_is_read_as_one() -> None:
    parts = {f"conversations-{n:03}.json": _json([{**CHATGPT, "id": f"c{n}"}]) for n in range(3)}
    assert [one.id for one in load("a.zip", _zip({**parts})).conversations] == ["c0", "c1", "c2"]


def test_a_zip_as_claude_gives_it_is_read() -> None:
    data = _zip({"users.json": "[]", "projects.json": "[]", "conversations.json": _json([CLAUDE])})
    loaded = load("a.zip", data)
    assert (loaded.format, loaded.conversations[0].id) == ("claude zip", "c1")
    assert loaded.conversations[0].remarks[-1].startswith("2 other files")


def test_a_zip_of_chats_gives_each_under_a_name_of_its_own() -> None:
    kakaotalk = "카카오톡 대화/a.txt"
    chats = {expected: text for expected, text in EXAMPLES if expected not in {"notes", "chatgpt", "claude"}}
    files = {
        f"{kakaotalk if expected == 'kakaotalk' else expected}": text for expected, text in chats.items()
    }
    loaded = load("day0315/chats.zip", _zip({**files, "읽어 주세요.md": "# 안내\n글이다."}))
    assert loaded.format == "+".join(sorted(chats)) + " zip"
    ids = [one.id for one in loaded.conversations]
    assert len(set(ids)) == len(chats)
    assert f"day0315/chats.zip/{kakaotalk}" in ids
    assert {"telegram-77", "discord-901"} <= set(ids)
    assert loaded.conversations[0].remarks == (
        "1 other file in the zip archive holds no conversation and was left out",
    )


def test_conversations_of_one_id_are_numbered() -> None:
    text = _json(TELEGRAM)
    loaded = load("a.zip", _zip({"1.json": text, "2.json": text, "3.json": text}))
    assert [one.id for one in loaded.conversations] == ["telegram-77", "telegram-77#2", "telegram-77#3"]


def test_korean_names_in_a_zip_name_conversations() -> None:
    chat = EXAMPLES[-3][1]
    data = _zip({"x" * 10: chat}).replace(b"x" * 10, "대화방.txt".encode("cp949"))
    assert load("a.zip", data).conversations[0].id == "a.zip/대화방.txt"
    apart = unicodedata.normalize("NFD", "대화방.txt")
    assert load("a.zip", _zip({apart: chat})).conversations[0].id == "a.zip/대화방.txt"


def test_a_damaged_member_is_left_out_with_its_reason_and_the_others_are_kept() -> None:
    good = {"good.json": _json(TELEGRAM)}
    bad = {f"bad{n}.json": '{"type": "personal_chat", "messages": [' for n in range(12)}
    (conversation,) = load("a.zip", _zip({**bad, **good})).conversations
    assert len(conversation.remarks) == 11
    assert conversation.remarks[0].startswith(
        "'bad0.json' in the zip archive was left out (line 1: not valid JSON"
    )
    assert conversation.remarks[-1] == "2 more damaged files in the zip archive were left out"
    with pytest.raises(UnreadableError, match=r"'bad0\.json' in the zip archive"):
        load("a.zip", _zip({**bad}))


def test_an_archive_in_an_archive_stays_shut() -> None:
    inner = _zip({"result.json": _json(TELEGRAM)})
    with pytest.raises(UnreadableError, match="no conversation in the zip archive: memoryd looks for"):
        load("a.zip", _zip({"inner.zip": inner, "inner.json": inner}))


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.md": "# 글\n글이다."},
        {"a.png": b"\x89PNG"},
        {"index.html": "<p>지훈: 안녕"},
        {"a.json": "{}"},
        {"a.txt": ""},
    ],
)
def test_a_zip_without_conversations_says_what_was_looked_for(files: dict[str, str | bytes]) -> None:
    with pytest.raises(UnreadableError, match="archive"):
        load("a.zip", _zip(files))


def test_a_zip_of_silent_conversations_is_empty_not_damaged() -> None:
    with pytest.raises(EmptyFileError):
        load("a.zip", _zip({"conversations.json": '[{"mapping": {}}]', "a.txt": " \n"}))


def test_a_document_that_is_a_zip_inside_is_refused_as_what_it_is() -> None:
    with pytest.raises(UnreadableError, match="Word document"):
        load("a.zip", _zip({"[Content_Types].xml": "", "word/document.xml": "지훈: 안녕"}))


@given(
    name=NAMES,
    files=st.dictionaries(
        st.sampled_from(["conversations.json", "users.json", "방/2026-03-15.json", "a.txt", "b.jsonl"]),
        st.sampled_from([text for _, text in EXAMPLES]) | st.binary(max_size=40),
        max_size=4,
    ),
)
def test_any_mixture_in_a_zip_is_read_or_refused(name: str, files: dict[str, str | bytes]) -> None:
    _check(name, _zip(files))


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


def test_two_conversations_of_one_id_get_one_each() -> None:
    message = {"a": {"message": {"content": {"parts": ["안녕"]}}}}
    export = json.dumps([{"conversation_id": "c1", "mapping": message}] * 3)
    assert [each.id for each in load("conversations.json", export.encode()).conversations] == [
        "c1",
        "c1#2",
        "c1#3",
    ]
