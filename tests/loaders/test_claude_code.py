from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Role, Source, Turn, UnreadableError
from loaders.claude_code import ClaudeCodeLoader
from loaders.decode import decode

if TYPE_CHECKING:
    from loaders.base import Conversation

LINE_KEYS = [
    "type",
    "uuid",
    "sessionId",
    "message",
    "content",
    "isMeta",
    "isSidechain",
    "agentId",
    "timestamp",
]
BLOCK_KEYS = [
    "text",
    "tool_use_id",
    "id",
    "name",
    "input",
    "toolUseResult",
    "attachment",
    "prompt",
    "summary",
]
WORDS = ["user", "assistant", "text", "tool_use", "tool_result", "system", "summary", "attachment", "a"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*LINE_KEYS, *BLOCK_KEYS]), inner, max_size=5)
    ),
    max_leaves=20,
)


def _line(kind: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    message = {} if content is None else {"message": {"role": kind, "content": content}}
    return {"type": kind, "sessionId": "s1", **message, **fields}


def _source(*lines: dict[str, Any], tail: str = "") -> Source:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return decode("day0315/session.jsonl", (text + tail).encode())


def _load(*lines: dict[str, Any]) -> list[Conversation]:
    source = _source(*lines)
    assert ClaudeCodeLoader().sniff(source)
    return ClaudeCodeLoader().load(source)


def _said(*lines: dict[str, Any]) -> list[tuple[Role, str, str]]:
    (conversation,) = _load(*lines)
    return [(turn.role, turn.speaker, turn.text) for turn in conversation.turns]


def test_a_session_is_read_in_order() -> None:
    (conversation,) = _load(
        _line("user", "시험을 고쳐 줘.\n고마워.", uuid="u1", timestamp="2026-03-15T12:04:00.000Z"),
        _line("assistant", [{"type": "text", "text": "Sure 🙂"}], uuid="u2", timestamp="어제"),
        {"type": "summary", "summary": "시험 고치기", "leafUuid": "u2"},
    )
    assert (conversation.id, conversation.title, conversation.remarks) == ("s1", "시험 고치기", ())
    moment = datetime(2026, 3, 15, 12, 4, tzinfo=UTC)
    first = Turn(
        id="s1:u1", index=0, role=Role.USER, speaker="user", text="시험을 고쳐 줘.\n고마워.", time=moment
    )
    second = Turn(id="s1:u2", index=1, role=Role.ASSISTANT, speaker="assistant", text="Sure 🙂")
    assert conversation.turns == (first, second)


def test_a_tool_is_used_and_answers_by_its_name() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls\npwd", "timeout": 5}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a.py"}]}
    assert _said(
        _line("assistant", [{"type": "text", "text": "볼게."}, use]),
        _line("user", [result, {**result, "content": "b.py"}, {"type": "text", "text": "됐어"}]),
    ) == [
        (Role.ASSISTANT, "assistant", "볼게.\n[tool: Bash]\ncommand: ls\npwd\ntimeout: 5"),
        (Role.TOOL, "Bash", "a.py"),
        (Role.TOOL, "Bash", "b.py"),
        (Role.USER, "user", "됐어"),
    ]


def test_turns_of_one_line_have_ids_of_their_own() -> None:
    result = {"type": "tool_result", "content": "끝"}
    (conversation,) = _load(_line("user", [result, {"type": "text", "text": "응"}], uuid="u"))
    assert [turn.id for turn in conversation.turns] == ["s1:u", "s1:u#2"]


@pytest.mark.parametrize(("raw", "text"), [("오류", "오류"), ({"stdout": "출력"}, "출력")])
def test_a_result_without_content_is_the_one_beside_the_message(raw: Any, text: str) -> None:
    line = _line("user", [{"type": "tool_result", "content": ""}], toolUseResult=raw)
    assert _said(line) == [(Role.TOOL, "tool", text)]


def test_what_is_left_out_is_counted() -> None:
    (conversation,) = _load(
        _line("file-history-snapshot", snapshot={}),
        _line("user", "안내문", isMeta=True),
        _line("user", [{"type": "text", "text": "<system-reminder>잊지 마</system-reminder>"}]),
        _line("user", "안녕", uuid="u"),
        _line("user", "안녕", uuid="u"),
        _line("assistant", [{"type": "thinking", "thinking": "음"}, {"type": "redacted_thinking"}]),
        _line("progress", data={}),
        _line("system", subtype="turn_duration"),
    )
    assert [turn.text for turn in conversation.turns] == ["안녕"]
    assert conversation.remarks == (
        "2 texts that Claude Code put in for the model were left out",
        "1 line that comes a second time was left out",
        "3 lines of the program's bookkeeping were left out",
        "2 blocks of thinking were left out",
    )


def test_system_lines_and_compacted_talk_are_notices() -> None:
    assert _said(
        {"type": "system", "sessionId": "s1", "content": "\x1b[1mConversation compacted\x1b[0m"},
        _line("user", "지금까지: …", isCompactSummary=True),
    ) == [(Role.SYSTEM, "system", "Conversation compacted"), (Role.SYSTEM, "system", "지금까지: …")]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "<command-message>고</command-message>\n<command-name>/fix</command-name><command-args>2 번</command-args>",
            (Role.USER, "user", "/fix 2 번"),
        ),
        ("<command-name>열린 채", (Role.USER, "user", "<command-name>열린 채")),
        ("<bash-input>ls</bash-input>", (Role.USER, "user", "! ls")),
        (
            "<bash-stdout>a.py</bash-stdout><bash-stderr>\x1b[31m경고\x1b[0m</bash-stderr>",
            (Role.TOOL, "command", "a.py\n경고"),
        ),
        ("<local-command-stdout>잘 가</local-command-stdout>", (Role.TOOL, "command", "잘 가")),
    ],
)
def test_commands_are_read_without_their_tags(typed: str, said: tuple[Role, str, str]) -> None:
    assert _said(_line("user", typed)) == [said]


def test_what_was_typed_while_claude_worked_is_kept() -> None:
    queued = {"type": "queued_command", "prompt": "그것도 해 줘"}
    assert _said(_line("attachment", attachment=queued), _line("assistant", "응")) == [
        (Role.USER, "user", "그것도 해 줘"),
        (Role.ASSISTANT, "assistant", "응"),
    ]


def test_pictures_are_noted() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}
    assert _said(_line("user", [image, {"type": "text", "text": "봐"}])) == [
        (Role.USER, "user", "[image]\n봐")
    ]


def test_a_side_chain_is_a_talk_of_claude_with_a_sub_agent() -> None:
    main, chain = _load(
        _line("user", "찾아 줘"),
        _line("user", "Find it.", isSidechain=True, agentId="a1"),
        _line("assistant", "Found.", isSidechain=True, agentId="a1"),
        _line("assistant", "찾았어"),
    )
    assert (main.id, [turn.text for turn in main.turns]) == ("s1", ["찾아 줘", "찾았어"])
    assert chain.id == "s1#a1"
    assert [(turn.role, turn.speaker) for turn in chain.turns] == [
        (Role.ASSISTANT, "assistant"),
        (Role.ASSISTANT, "sub-agent"),
    ]


def test_every_session_of_a_file_is_a_conversation() -> None:
    conversations = _load(
        _line("user", "하나"), _line("user", "둘", sessionId="s2"), {"type": "user", "content": "셋"}
    )
    assert [(one.id, [turn.text for turn in one.turns]) for one in conversations] == [
        ("s1", ["하나"]),
        ("s2", ["둘", "셋"]),
    ]


def test_tools_with_lines_of_their_own_are_read() -> None:
    moment = {"timestamp": "2026-03-15T12:04:00Z"}
    source = _source(
        {"type": "user", "content": "봐 줘", **moment},
        {"type": "tool_use", "tool_name": "read", "tool_input": {"path": "a.py"}, **moment},
        {"type": "tool_result", "tool_name": "read", "tool_output": {"lines": 3}, **moment},
    )
    assert ClaudeCodeLoader().sniff(source)
    (conversation,) = ClaudeCodeLoader().load(source)
    assert conversation.id == "day0315/session.jsonl"
    assert [(turn.role, turn.speaker, turn.text) for turn in conversation.turns] == [
        (Role.USER, "user", "봐 줘"),
        (Role.ASSISTANT, "assistant", "[tool: read]\npath: a.py"),
        (Role.TOOL, "read", "[tool: read]\nlines: 3"),
    ]


def test_a_torn_last_line_is_a_write_in_progress() -> None:
    (conversation,) = ClaudeCodeLoader().load(_source(_line("user", "안녕"), tail='{"type": "us'))
    assert [turn.text for turn in conversation.turns] == ["안녕"]
    assert conversation.remarks == ("the last line is cut off and was left out",)


def test_a_whole_last_line_needs_no_line_end() -> None:
    tail = json.dumps(_line("assistant", "응"))
    (conversation,) = ClaudeCodeLoader().load(_source(_line("user", "안녕"), tail=tail))
    assert len(conversation.turns) == 2


@pytest.mark.parametrize(("tail", "line"), [('{"type": \n\n', 2), ("3\n", 2), ("\n[]", 3)])
def test_any_other_damaged_line_is_named(tail: str, line: int) -> None:
    with pytest.raises(UnreadableError) as caught:
        ClaudeCodeLoader().load(_source(_line("user", "안녕"), tail=tail))
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "안녕", "timestamp": "2026-03-15T12:04:00Z"}\n',
        '{"type": "click", "sessionId": "s1"}\n',
        '{"type": "message", "timestamp": "2026-03-15T12:04:00Z", "payload": {}}\n',
        '{"role": "user", "sessionId": "s1"}\n',
        '{"type": "user", "sessionId": "s1"\n{"type": "user", "sessionId": "s1"}\n',
        '{\n  "type": "user",\n  "sessionId": "s1"\n}\n',
        '[{"type": "user", "sessionId": "s1"}]',
        '나는 {"type": "user", "sessionId": "s1"} 를 봤다',
        "",
    ],
)
def test_other_files_are_not_sniffed(text: str) -> None:
    assert not ClaudeCodeLoader().sniff(Source(name="a.jsonl", data=b"", text=text))


def test_a_session_is_sniffed_behind_blank_lines_and_before_a_torn_one() -> None:
    text = "\n\n" + json.dumps(_line("user", "안녕")) + '\n{"type"'
    assert ClaudeCodeLoader().sniff(Source(name="a.txt", data=b"", text=text))
    assert not ClaudeCodeLoader().sniff(Source(name="a.jsonl", data=b"", text=None))


@given(lines=st.lists(st.dictionaries(st.sampled_from(LINE_KEYS), JSON, max_size=6), max_size=4))
def test_any_lines_are_read(lines: list[dict[str, Any]]) -> None:
    source = _source({"type": "user", "message": {}}, *lines)
    ClaudeCodeLoader().sniff(source)
    ClaudeCodeLoader().load(source)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        source = decode("a.jsonl", b'{"type": "user", "sessionId": "s"}\n' + data)
        ClaudeCodeLoader().sniff(source)
        ClaudeCodeLoader().load(source)
    except UnreadableError:
        pass
